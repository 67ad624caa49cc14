//! The functions that `text/template` itself brings.

use std::borrow::Cow;
use std::cmp::Ordering;

use bytes::Bytes;

use super::func::{Fault, Host, spend_on_printing};
use crate::value::{Kind, List, Map, MapType, Object, Signature, Type, UintType, Value, fmt, unicode};

/// A built-in function. `and` and `or` evaluate their arguments themselves, so [`super::exec`] runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    Urlquery,
}

/// Which of the first arguments of a call are held in an interface.
#[derive(Clone, Copy, Default)]
pub(super) struct Interfaces(u8);

impl Interfaces {
    pub(super) fn insert(&mut self, place: usize) {
        // No function looks at more than its first four arguments.
        self.0 |= 1_u8.checked_shl(place as u32).unwrap_or(0);
    }

    fn contains(self, place: usize) -> bool {
        1_u8.checked_shl(place as u32).is_some_and(|bit| self.0 & bit != 0)
    }
}

const ANY: Signature = Signature { parameters: &[Type::Any], variadic: true };
const VALUE: Signature = Signature { parameters: &[Type::Reflect], variadic: false };
const TWO_VALUES: Signature = Signature { parameters: &[Type::Reflect, Type::Reflect], variadic: false };
const VALUES: Signature = Signature { parameters: &[Type::Reflect, Type::Reflect], variadic: true };
const FORMAT: Signature = Signature { parameters: &[Type::String, Type::Any], variadic: true };

impl Builtin {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Builtin::And,
            "call" => Builtin::Call,
            "eq" => Builtin::Eq,
            "ge" => Builtin::Ge,
            "gt" => Builtin::Gt,
            "html" => Builtin::Html,
            "index" => Builtin::Index,
            "js" => Builtin::Js,
            "le" => Builtin::Le,
            "len" => Builtin::Len,
            "lt" => Builtin::Lt,
            "ne" => Builtin::Ne,
            "not" => Builtin::Not,
            "or" => Builtin::Or,
            "print" => Builtin::Print,
            "printf" => Builtin::Printf,
            "println" => Builtin::Println,
            "slice" => Builtin::Slice,
            "urlquery" => Builtin::Urlquery,
            _ => return None,
        })
    }

    /// Whether it makes a text of all that its arguments hold.
    fn prints(self) -> bool {
        matches!(
            self,
            Builtin::Print | Builtin::Println | Builtin::Printf | Builtin::Html | Builtin::Js | Builtin::Urlquery
        )
    }

    pub(super) fn signature(self) -> Signature {
        match self {
            Builtin::And | Builtin::Or | Builtin::Call | Builtin::Eq | Builtin::Index | Builtin::Slice => VALUES,
            Builtin::Ge | Builtin::Gt | Builtin::Le | Builtin::Lt | Builtin::Ne => TWO_VALUES,
            Builtin::Html | Builtin::Js | Builtin::Print | Builtin::Println | Builtin::Urlquery => ANY,
            Builtin::Len | Builtin::Not => VALUE,
            Builtin::Printf => FORMAT,
        }
    }

    /// Runs the function with arguments that fit its signature.
    ///
    /// `interfaces` tells which of them are held in an interface: a nil that was found under a key, say, and not one
    /// that stands for nothing at all. `len` and `slice` mind.
    pub(super) fn call(self, host: &dyn Host, arguments: &[Value], interfaces: Interfaces) -> Result<Value, Fault> {
        if self.prints() {
            spend_on_printing(host, "printing", arguments)?;
        }
        let (first, rest) = arguments.split_first().map_or((&Value::Nil, arguments), |(first, rest)| (first, rest));
        let second = rest.first().unwrap_or(&Value::Nil);
        let answer = match self {
            Builtin::Eq => eq(first, rest)?,
            Builtin::Ne => !eq(first, rest)?,
            Builtin::Lt => lt(first, second)?,
            Builtin::Le => lt(first, second)? || eq(first, rest)?,
            Builtin::Gt => !(lt(first, second)? || eq(first, rest)?),
            Builtin::Ge => !lt(first, second)?,
            Builtin::Not => !first.is_true(),
            Builtin::Len => return len(first, interfaces.contains(0)),
            Builtin::Index => return index(first, rest),
            Builtin::Slice => return slice(first, rest, interfaces),
            Builtin::Print => return printed(fmt::sprint(arguments)),
            Builtin::Println => return printed(fmt::sprintln(arguments)),
            Builtin::Printf => {
                let format = match first {
                    Value::Str(format) => format.as_bytes(),
                    _ => b"",
                };
                return printed(fmt::sprintf(format, rest));
            }
            Builtin::Html => return printed(escape_html(&text_of(arguments))),
            Builtin::Js => return printed(escape_js(&text_of(arguments))),
            Builtin::Urlquery => return printed(escape_query(&text_of(arguments))),
            // Nothing that is called here can be a function: values have none, and exec runs `and` and `or`.
            Builtin::Call | Builtin::And | Builtin::Or => return Err("call of nil".into()),
        };
        Ok(Value::Bool(answer))
    }
}

/// What `call` says of its first argument; no value is a function.
pub(super) fn call_value(value: &Value, name: &str) -> Result<Value, Fault> {
    Err(match value {
        Value::Nil => "call of nil".into(),
        _ => format!("non-function {name} of type {}", value.type_name()).into(),
    })
}

fn printed(text: Vec<u8>) -> Result<Value, Fault> {
    if text.len() > fmt::PRINT_BYTES_MAX {
        return Err(Fault::Budget(format!("a printed text is larger than {} bytes", fmt::PRINT_BYTES_MAX)));
    }
    Ok(Value::string(text))
}

/// The type behind a pointer.
fn pointed_type(value: &Value) -> String {
    value.type_name().trim_start_matches('*').to_owned()
}

fn len(value: &Value, is_nil_interface: bool) -> Result<Value, Fault> {
    let length = match value {
        Value::Str(text) => text.as_bytes().len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.as_slice().len(),
        Value::Map(map) => map.len(),
        Value::Nil if is_nil_interface => return Err("len of nil pointer".into()),
        Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        _ => return Err(format!("len of type {}", pointed_type(value)).into()),
    };
    Ok(Value::int(length as i64))
}

fn index(value: &Value, indexes: &[Value]) -> Result<Value, Fault> {
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".into());
    }
    let mut item = Cow::Borrowed(value);
    for index in indexes {
        item = Cow::Owned(match item.as_ref() {
            Value::Nil => return Err("index of nil pointer".into()),
            Value::Str(text) => byte_at(text.as_bytes(), index, "reflect: string index out of range")?,
            Value::Bytes(bytes) => byte_at(bytes, index, "reflect: slice index out of range")?,
            Value::List(list) => {
                let items = list.as_slice();
                let place = index_in(index, items.len())?;
                items.get(place).cloned().ok_or("reflect: slice index out of range")?
            }
            Value::Map(map) => index_map(map, index)?,
            other => return Err(format!("can't index item of type {}", pointed_type(other)).into()),
        });
    }
    Ok(item.into_owned())
}

fn byte_at(bytes: &[u8], index: &Value, out_of_range: &str) -> Result<Value, Fault> {
    let place = index_in(index, bytes.len())?;
    let byte = bytes.get(place).ok_or(out_of_range)?;
    Ok(Value::Uint(UintType::Uint8, (*byte).into()))
}

fn index_map(map: &Map, index: &Value) -> Result<Value, Fault> {
    match index {
        Value::Str(key) => Ok(map.get(key.as_bytes()).unwrap_or_else(|| zero_element(map.map_type))),
        Value::Nil => Err("value is nil; should be of type string".into()),
        other => Err(format!("value has type {}; should be string", other.type_name()).into()),
    }
}

/// The zero value of a map's elements.
pub(super) fn zero_element(map_type: MapType) -> Value {
    match map_type {
        MapType::Any | MapType::Values => Value::Nil,
        MapType::String => Value::string(""),
        MapType::Int => Value::int(0),
        MapType::Files => Value::Bytes(Bytes::new()),
    }
}

/// An index from 0 up to the length, the length included.
fn index_in(index: &Value, length: usize) -> Result<usize, Fault> {
    let number = match index {
        Value::Int(_, number) => *number,
        // Go converts without looking at the range.
        Value::Uint(_, number) => *number as i64,
        Value::Nil => return Err("cannot index slice/array with nil".into()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    };
    let place = usize::try_from(number).ok().filter(|place| *place <= length);
    place.ok_or_else(|| format!("index out of range: {number}").into())
}

fn slice(value: &Value, indexes: &[Value], interfaces: Interfaces) -> Result<Value, Fault> {
    let length = match value {
        _ if matches!(value, Value::Nil) => return Err("slice of untyped nil".into()),
        _ if indexes.len() > 3 => return Err(format!("too many slice indexes: {}", indexes.len()).into()),
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Str(text) => text.as_bytes().len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.as_slice().len(),
        other => return Err(format!("can't slice item of type {}", pointed_type(other)).into()),
    };
    let mut bounds = [0, length, length];
    for (i, (bound, index)) in bounds.iter_mut().zip(indexes).enumerate() {
        // Unlike `index`, Go's `slice` does not look into interfaces.
        if interfaces.contains(i + 1) {
            return Err(format!("cannot index slice/array with type {}", Type::Any).into());
        }
        *bound = index_in(index, length)?;
    }
    let [start, end, capacity] = bounds;
    for (low, high) in [(start, end), (end, capacity)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}").into());
        }
    }
    Ok(match value {
        Value::Str(text) => Value::string(&text.as_bytes()[start..end]),
        Value::Bytes(bytes) => Value::Bytes(bytes.slice(start..end)),
        Value::List(list) => Value::List(List {
            element: list.element,
            items: list.items.as_ref().map(|items| items[start..end].into()),
        }),
        other => other.clone(),
    })
}

/// The kinds that can be compared.
#[derive(Clone, Copy, PartialEq)]
enum Basic {
    None,
    Bool,
    Int(i64),
    Uint(u64),
    Float(f64),
    String,
}

impl Basic {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Basic::Bool,
            Value::Int(_, number) => Basic::Int(*number),
            Value::Uint(_, number) => Basic::Uint(*number),
            Value::Float(number) => Basic::Float(*number),
            Value::Str(_) => Basic::String,
            Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Object(_) => Basic::None,
        }
    }
}

/// Signed and unsigned numbers compare by what they count.
fn compare_signs(int: i64, uint: u64) -> Ordering {
    u64::try_from(int).map_or(Ordering::Less, |int| int.cmp(&uint))
}

fn incompatible(a: &Value, b: &Value) -> Fault {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()).into()
}

fn eq(first: &Value, rest: &[Value]) -> Result<bool, Fault> {
    if rest.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, Fault> {
    Ok(match (Basic::of(a), Basic::of(b)) {
        (Basic::Bool, Basic::Bool) => a.is_true() == b.is_true(),
        (Basic::Int(a), Basic::Int(b)) => a == b,
        (Basic::Uint(a), Basic::Uint(b)) => a == b,
        (Basic::Int(a), Basic::Uint(b)) | (Basic::Uint(b), Basic::Int(a)) => compare_signs(a, b).is_eq(),
        (Basic::Float(a), Basic::Float(b)) => a == b,
        (Basic::String, Basic::String) => bytes_of(a) == bytes_of(b),
        (Basic::None, Basic::None) => return equal_others(a, b),
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => false,
        _ => return Err(incompatible(a, b)),
    })
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::Str(text) => text.as_bytes(),
        _ => b"",
    }
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil | Value::List(List { items: None, .. }) | Value::Map(Map { entries: None, .. }) => true,
        Value::Bool(_) | Value::Int(..) | Value::Uint(..) | Value::Float(_) | Value::Str(_) => false,
        Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Object(_) => false,
    }
}

/// Lists, maps, objects and nil.
fn equal_others(a: &Value, b: &Value) -> Result<bool, Fault> {
    let (kind_a, kind_b) = (a.kind(), b.kind());
    if kind_a != kind_b && kind_a != Kind::Invalid && kind_b != Kind::Invalid {
        let types = [Value::string(a.type_name()), Value::string(b.type_name())];
        let [type_a, type_b] = types;
        let operands = [a.clone(), type_a, type_b, b.clone()];
        return Err(text_fault(fmt::sprintf(b"non-comparable types %s: %s, %s: %v", &operands)));
    }
    if is_nil(a) || is_nil(b) {
        return Ok(is_nil(a) == is_nil(b));
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if kind_b != Kind::Func => Ok(equal_objects(a.as_ref(), b.as_ref())),
        _ => {
            let operands = [b.clone(), Value::string(b.type_name())];
            Err(text_fault(fmt::sprintf(b"non-comparable type %s: %s", &operands)))
        }
    }
}

fn text_fault(text: Vec<u8>) -> Fault {
    Fault::Failed(String::from_utf8_lossy(&text).into_owned())
}

/// Pointers are equal if they are the same; structs if their type and content is.
fn equal_objects(a: &dyn Object, b: &dyn Object) -> bool {
    match a.kind() {
        Kind::Ptr => std::ptr::addr_eq(a, b),
        _ => a.type_name() == b.type_name() && a.to_json() == b.to_json(),
    }
}

fn lt(a: &Value, b: &Value) -> Result<bool, Fault> {
    const BAD_TYPE: &str = "invalid type for comparison";
    Ok(match (Basic::of(a), Basic::of(b)) {
        (Basic::None, _) | (_, Basic::None) | (Basic::Bool, Basic::Bool) => return Err(BAD_TYPE.into()),
        (Basic::Int(a), Basic::Int(b)) => a < b,
        (Basic::Uint(a), Basic::Uint(b)) => a < b,
        (Basic::Int(a), Basic::Uint(b)) => compare_signs(a, b).is_lt(),
        (Basic::Uint(a), Basic::Int(b)) => compare_signs(b, a).is_gt(),
        (Basic::Float(a), Basic::Float(b)) => a < b,
        (Basic::String, Basic::String) => bytes_of(a) < bytes_of(b),
        _ => return Err(incompatible(a, b)),
    })
}

/// The arguments as one text, nil as a template prints it.
fn text_of(arguments: &[Value]) -> Cow<'_, [u8]> {
    if let [Value::Str(text)] = arguments {
        return Cow::Borrowed(text.as_bytes());
    }
    Cow::Owned(fmt::sprint_values(arguments))
}

fn escape_html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(*byte),
        }
    }
    out
}

fn escape_js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (c, width) = unicode::decode(rest);
        match c {
            '\\' | '\'' | '"' => out.extend([b'\\', c as u8]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => out.extend(format!("\\u{:04X}", u32::from(c)).into_bytes()),
            _ if c.is_ascii() || unicode::is_print(c.into()) => out.extend_from_slice(&rest[..width]),
            _ => out.extend(format!("\\u{:04X}", u32::from(c)).into_bytes()),
        }
        rest = &rest[width..];
    }
    out
}

fn escape_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            _ => out.extend(format!("%{byte:02X}").into_bytes()),
        }
    }
    out
}
