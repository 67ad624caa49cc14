//! List functions. Like Sprig's they take slices of any type and mostly return `[]interface {}`.
//!
//! Elements are compared as `reflect.DeepEqual` does: an `int` never equals a `float64`. Semantics follow Sprig
//! `list.go`. One thing differs: `sortAlpha` of a `[]string` leaves its argument alone, where Go sorts it in place.

use std::borrow::Cow;

use super::limits::{ITEMS_MAX, spend_on_items};
use super::math::to_int;
use super::reflect::{DeepEqual, kind_name};
use crate::template::func::{Fault, Host};
use crate::value::{ElementType, Kind, List, UintType, Value};

/// What Go says when the type of the nil interface is asked for.
const NIL_DEREFERENCE: &str = "runtime error: invalid memory address or nil pointer dereference";

/// The elements of a slice; `complaint` begins the error for what is none.
fn elements<'v>(value: &'v Value, complaint: &str) -> Result<Cow<'v, [Value]>, Fault> {
    match value {
        Value::List(list) => Ok(Cow::Borrowed(list.as_slice())),
        Value::Bytes(bytes) if bytes.len() > ITEMS_MAX => {
            Err(Fault::Budget(format!("a list of more than {ITEMS_MAX} bytes")))
        }
        Value::Bytes(bytes) => {
            Ok(Cow::Owned(bytes.iter().map(|byte| Value::Uint(UintType::Uint8, u64::from(*byte))).collect()))
        }
        other if other.kind() == Kind::Invalid => Err(NIL_DEREFERENCE.into()),
        other => Err(Fault::Failed(format!("{complaint} {}", kind_name(other.kind())))),
    }
}

/// A `[]interface {}` that is nil: prints as the empty list, is `null` in JSON.
fn nil_list() -> List {
    List { element: ElementType::Any, items: None }
}

pub(super) fn push(host: &dyn Host, list: &Value, value: &Value) -> Result<Vec<Value>, Fault> {
    let elements = elements(list, "Cannot push on type")?;
    spend_on_items(host, "append", elements.len() as u128)?;
    Ok(elements.iter().chain([value]).cloned().collect())
}

pub(super) fn prepend(host: &dyn Host, list: &Value, value: &Value) -> Result<Vec<Value>, Fault> {
    let elements = elements(list, "Cannot prepend on type")?;
    spend_on_items(host, "prepend", elements.len() as u128)?;
    Ok([value].into_iter().chain(elements.iter()).cloned().collect())
}

/// Lists of `size` elements each, the last one of what is left. The arithmetic is the original's, in floats.
pub(super) fn chunk(size: i64, list: &Value) -> Result<List, Fault> {
    const BAD_LENGTH: &str = "runtime error: makeslice: len out of range";
    let elements = elements(list, "Cannot chunk type")?;
    let length = elements.len() as f64;
    let chunks = ((length - 1.0) / size as f64).floor() + 1.0;
    if chunks.is_nan() || !(0.0..=length.max(1.0)).contains(&chunks) {
        return Err(BAD_LENGTH.into());
    }
    let chunks = chunks as usize;
    let mut rest = &elements[..];
    let mut parts = Vec::with_capacity(chunks);
    for index in 0..chunks {
        let left = (length % size as f64).floor() as i64;
        let wanted = if index + 1 == chunks && left != 0 { left } else { size };
        let part = usize::try_from(wanted).ok().filter(|wanted| *wanted <= rest.len()).ok_or(BAD_LENGTH)?;
        let (part, behind) = rest.split_at(part);
        parts.push(Value::list(part.to_vec()));
        rest = behind;
    }
    Ok(List::typed(ElementType::AnyList, parts))
}

pub(super) fn first(list: &Value) -> Result<Value, Fault> {
    Ok(elements(list, "Cannot find first on type")?.first().cloned().unwrap_or(Value::Nil))
}

pub(super) fn last(list: &Value) -> Result<Value, Fault> {
    Ok(elements(list, "Cannot find last on type")?.last().cloned().unwrap_or(Value::Nil))
}

/// All but the first; of the empty list, the nil list.
pub(super) fn rest(list: &Value) -> Result<List, Fault> {
    let elements = elements(list, "Cannot find rest on type")?;
    Ok(elements.split_first().map_or_else(nil_list, |(_, rest)| List::any(rest.to_vec())))
}

/// All but the last; of the empty list, the nil list.
pub(super) fn initial(list: &Value) -> Result<List, Fault> {
    let elements = elements(list, "Cannot find initial on type")?;
    Ok(elements.split_last().map_or_else(nil_list, |(_, initial)| List::any(initial.to_vec())))
}

pub(super) fn reverse(list: &Value) -> Result<Vec<Value>, Fault> {
    Ok(elements(list, "Cannot find reverse on type")?.iter().rev().cloned().collect())
}

pub(super) fn compact(list: &Value) -> Result<Vec<Value>, Fault> {
    Ok(elements(list, "Cannot compact on type")?.iter().filter(|value| value.is_true()).cloned().collect())
}

pub(super) fn uniq(host: &dyn Host, list: &Value) -> Result<Vec<Value>, Fault> {
    let elements = elements(list, "Cannot find uniq on type")?;
    let mut unique = Vec::new();
    for value in elements.iter() {
        if !holds(host, &unique, value)? {
            unique.push(value.clone());
        }
    }
    Ok(unique)
}

pub(super) fn without(host: &dyn Host, list: &Value, omitted: &[Value]) -> Result<Vec<Value>, Fault> {
    let elements = elements(list, "Cannot find without on type")?;
    let mut kept = Vec::new();
    for value in elements.iter() {
        if !holds(host, omitted, value)? {
            kept.push(value.clone());
        }
    }
    Ok(kept)
}

/// Whether the list holds the needle; nil holds nothing.
pub(super) fn has(host: &dyn Host, needle: &Value, list: &Value) -> Result<bool, Fault> {
    if matches!(list, Value::Nil) {
        return Ok(false);
    }
    holds(host, &elements(list, "Cannot find has on type")?, needle)
}

fn holds(host: &dyn Host, list: &[Value], needle: &Value) -> Result<bool, Fault> {
    spend_on_items(host, "has", list.len() as u128)?;
    let mut comparison = DeepEqual::new(host);
    for value in list {
        if comparison.equal(needle, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `slice list`, `slice list 1`, `slice list 1 3`: a slice of the same type; nil for an empty list.
pub(super) fn slice(list: &Value, indices: &[Value]) -> Result<Value, Fault> {
    let elements = elements(list, "list should be type of slice or array but")?;
    if elements.is_empty() {
        return Ok(Value::Nil);
    }
    let start = indices.first().map_or(0, to_int);
    let end = indices.get(1).map_or(elements.len() as i64, to_int);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part = range.and_then(|(start, end)| elements.get(start..end));
    let (part, range) = part.zip(range).ok_or("reflect.Value.Slice: slice index out of bounds")?;
    Ok(match list {
        Value::Bytes(bytes) => Value::Bytes(bytes.slice(range.0..range.1)),
        Value::List(list) => Value::List(List::typed(list.element, part.to_vec())),
        _ => unreachable!("only slices have elements"),
    })
}

/// One list of the elements of all; nil when there are none.
pub(super) fn concat(host: &dyn Host, lists: &[Value]) -> Result<List, Fault> {
    let mut joined = Vec::new();
    for list in lists {
        let elements = elements(list, "Cannot concat type").map_err(|fault| match fault {
            Fault::Failed(text) if text.starts_with("Cannot") => Fault::Failed(text + " as list"),
            fault => fault,
        })?;
        spend_on_items(host, "concat", (joined.len() + elements.len()) as u128)?;
        joined.extend_from_slice(&elements);
    }
    Ok(if joined.is_empty() { nil_list() } else { List::any(joined) })
}
