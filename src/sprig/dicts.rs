//! Dictionaries. `set`, `unset` and the merges change the map they are given and return it: whoever else holds it
//! sees the change.
//!
//! Semantics follow Sprig `dict.go` and dario.cat/mergo v1.0.1. Go yields map entries in random order; here `keys`,
//! `values` and `pluck` go by key.

use std::collections::HashSet;

use super::argument::{IntoValue, Outcome};
use super::limits::{DEPTH_MAX, spend_on_items, too_deep};
use super::semver;
use super::strings::strval;
use crate::template::func::{Fault, Host, spend_on_printing};
use crate::value::{Entries, Kind, List, Map, MapType, Object, Str, Value};

pub(super) fn get(map: &Map, key: &[u8]) -> Value {
    map.get(key).unwrap_or_else(|| "".into_value())
}

pub(super) fn set(host: &dyn Host, map: Map, key: &[u8], value: &Value) -> Result<Map, Fault> {
    if map.entries.is_none() {
        return Err("assignment to entry in nil map".into());
    }
    put(host, &map, Str::from(key), value.clone())?;
    Ok(map)
}

/// Puts a value into a map that a template may hold as well.
fn put(host: &dyn Host, map: &Map, key: Str, value: Value) -> Result<(), Fault> {
    host.spend_bytes(Map::ENTRY_BYTES + key.as_bytes().len())?;
    if matches!(value, Value::Map(_) | Value::List(_)) {
        host.note_nesting(map);
    }
    map.set(key, value);
    Ok(())
}

pub(super) fn unset(map: Map, key: &[u8]) -> Map {
    if let Some(entries) = &map.entries {
        entries.borrow_mut().remove(key);
    }
    map
}

pub(super) fn has_key(map: &Map, key: &[u8]) -> bool {
    map.entries.as_ref().is_some_and(|entries| entries.borrow().contains_key(key))
}

pub(super) fn pluck(key: &[u8], maps: &[Map]) -> Vec<Value> {
    maps.iter().filter_map(|map| map.get(key)).collect()
}

pub(super) fn keys(maps: &[Map]) -> Vec<Str> {
    maps.iter().flat_map(Map::snapshot).map(|(key, _)| key).collect()
}

pub(super) fn values(map: &Map) -> Vec<Value> {
    map.snapshot().into_iter().map(|(_, value)| value).collect()
}

pub(super) fn pick(map: &Map, keys: &[&[u8]]) -> Map {
    Map::any(keys.iter().filter_map(|key| Some((Str::from(*key), map.get(key)?))).collect())
}

pub(super) fn omit(map: &Map, keys: &[&[u8]]) -> Map {
    let keys: HashSet<&[u8]> = keys.iter().copied().collect();
    Map::any(map.snapshot().into_iter().filter(|(key, _)| !keys.contains(key.as_bytes())).collect())
}

/// Keys and values in turn; a last key without a value gets the empty string.
pub(super) fn dict(host: &dyn Host, pairs: &[Value]) -> Result<Map, Fault> {
    spend_on_items(host, "dict", pairs.len() as u128)?;
    for key in pairs.iter().step_by(2).filter(|key| !matches!(key, Value::Str(_))) {
        spend_on_printing(host, "dict", std::slice::from_ref(key))?;
    }
    let entry = |pair: &[Value]| (strval(&pair[0]), pair.get(1).cloned().unwrap_or_else(|| "".into_value()));
    Ok(Map::any(pairs.chunks(2).map(entry).collect::<Entries>()))
}

/// `dig "a" "b" DEFAULT MAP`: the value at a path, or the default where a key is absent.
pub(super) fn dig(arguments: &[Value]) -> Result<Value, Fault> {
    let [path @ .., default, map] = arguments else {
        return Err("dig needs at least three arguments".into());
    };
    if path.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let mut map = asserted_map(map)?;
    let keys = path.iter().map(asserted_string).collect::<Result<Vec<_>, _>>()?;
    for (depth, key) in keys.iter().enumerate() {
        let Some(value) = map.get(key.as_bytes()) else { return Ok(default.clone()) };
        if depth + 1 == keys.len() {
            return Ok(value);
        }
        map = asserted_map(&value)?;
    }
    unreachable!("the path is not empty, so the loop returned")
}

/// Go's `value.(map[string]interface {})`: named map types are other types.
fn asserted_map(value: &Value) -> Result<Map, Fault> {
    match value {
        Value::Map(map) if map.map_type == MapType::Any => Ok(map.clone()),
        other => Err(failed_assertion(other, "map[string]interface {}")),
    }
}

fn asserted_string(value: &Value) -> Result<&Str, Fault> {
    match value {
        Value::Str(text) => Ok(text),
        other => Err(failed_assertion(other, "string")),
    }
}

fn failed_assertion(value: &Value, wanted: &str) -> Fault {
    let found = match value {
        Value::Nil => "nil".to_owned(),
        other => other.type_name(),
    };
    Fault::Failed(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
}

/// Whose value stays where both maps have one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precedence {
    /// `merge`: the destination's, unless it is empty.
    Destination,
    /// `mergeOverwrite`: the source's, even if it is empty.
    Source,
}

/// Merges the sources into the destination, one after the other, and returns the destination.
///
/// Maps below a key are merged in place; a map that the destination lacks is taken over as it is, so that both hold
/// the same one afterwards.
pub(super) fn merge(
    host: &dyn Host,
    precedence: Precedence,
    destination: Map,
    sources: &[Map],
) -> Result<Map, MergeFailure> {
    let mut destination = destination;
    for source in sources {
        if destination.entries.is_none() && source.entries.is_some() {
            destination = Map::any(Entries::new());
        }
        Merge { host, precedence, depth: 0 }.maps(&destination, source)?;
    }
    Ok(destination)
}

/// As [`merge`], but the empty string where Go's merge returns an error: the template goes on.
pub(super) fn merge_or_empty(host: &dyn Host, precedence: Precedence, destination: Map, sources: &[Map]) -> Outcome {
    match merge(host, precedence, destination, sources) {
        Ok(merged) => Ok(Value::Map(merged)),
        Err(MergeFailure::DifferentTypes) => Ok("".into_value()),
        Err(MergeFailure::Fault(fault)) => Err(fault),
    }
}

/// Why maps were not merged.
pub(super) enum MergeFailure {
    /// An error in Go: `merge` swallows it and returns the empty string, `mustMerge` returns it.
    DifferentTypes,
    /// A panic in Go, or a budget.
    Fault(Fault),
}

impl From<Fault> for MergeFailure {
    fn from(fault: Fault) -> Self {
        MergeFailure::Fault(fault)
    }
}

impl From<MergeFailure> for Fault {
    fn from(failure: MergeFailure) -> Self {
        match failure {
            MergeFailure::DifferentTypes => "src and dst must be of same type".into(),
            MergeFailure::Fault(fault) => fault,
        }
    }
}

struct Merge<'h> {
    host: &'h dyn Host,
    precedence: Precedence,
    depth: usize,
}

impl Merge<'_> {
    fn maps(&mut self, destination: &Map, source: &Map) -> Result<(), MergeFailure> {
        if destination.entries.is_none() {
            return Ok(());
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep("merge").into());
        }
        let entries = source.snapshot();
        spend_on_items(self.host, "merge", entries.len() as u128)?;
        for (key, value) in entries {
            let present = destination.get(key.as_bytes());
            if self.takes_over(present.as_ref(), &value)? {
                store(self.host, destination, key, value, source.map_type)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Whether the source's value is put in the place of what the destination has, after merging into the latter.
    fn takes_over(&mut self, present: Option<&Value>, value: &Value) -> Result<bool, MergeFailure> {
        let overwrite = self.precedence == Precedence::Source;
        if matches!(value, Value::Nil) {
            return Ok(overwrite);
        }
        let Some(present) = present else { return Ok(true) };
        if matches!(value.kind(), Kind::Map | Kind::Struct | Kind::Ptr) {
            self.merge_into(present, value)?;
        }
        let both_maps = present.kind() == Kind::Map && value.kind() == Kind::Map;
        // A map just filled from the source is no longer empty.
        Ok(!present.is_true() || overwrite && !both_maps)
    }

    fn merge_into(&mut self, present: &Value, value: &Value) -> Result<(), MergeFailure> {
        match (present, value) {
            (Value::Map(present), Value::Map(value)) => self.maps(present, value),
            (Value::Object(present), Value::Map(value)) if value.entries.is_some() => {
                self.check_replaceable(&**present, "map")
            }
            (Value::Object(present), Value::Object(value)) if value.kind() == Kind::Struct => {
                self.check_replaceable(&**present, "")
            }
            _ => Ok(()),
        }
    }

    /// What mergo makes of a structure or pointer in the destination that meets another type.
    fn check_replaceable(&self, present: &dyn Object, other: &str) -> Result<(), MergeFailure> {
        if present.kind() == Kind::Ptr && self.precedence == Precedence::Destination {
            return Err(MergeFailure::DifferentTypes);
        }
        if present.kind() == Kind::Struct && !present.fields().is_empty() && !other.is_empty() {
            let panic = format!("reflect: call of reflect.Value.Field on {other} Value");
            return Err(MergeFailure::Fault(Fault::Failed(panic)));
        }
        Ok(())
    }
}

/// Puts a value from a map of another type into a map; typed maps take only what comes from their own type.
fn store(host: &dyn Host, map: &Map, key: Str, value: Value, source_type: MapType) -> Result<(), Fault> {
    let takes_anything = matches!(map.map_type, MapType::Any | MapType::Values);
    if !takes_anything && map.map_type != source_type {
        let wanted = element_name(map.map_type);
        // Slices are stored by their own type, all else by that of the source's elements.
        let value_type =
            if value.kind() == Kind::Slice { value.type_name() } else { element_name(source_type).to_owned() };
        return Err(Fault::Failed(format!(
            "reflect.Value.SetMapIndex: value of type {value_type} is not assignable to type {wanted}"
        )));
    }
    put(host, map, key, value)
}

fn element_name(map_type: MapType) -> &'static str {
    match map_type {
        MapType::Any | MapType::Values => "interface {}",
        MapType::String => "string",
        MapType::Int => "int",
        MapType::Files => "[]uint8",
    }
}

/// A copy that shares no map and no list with the original.
pub(super) fn deep_copy(host: &dyn Host, value: &Value) -> Result<Value, Fault> {
    if matches!(value, Value::Nil) {
        return Err("reflect: call of reflect.Value.Type on zero Value".into());
    }
    spend_on_printing(host, "deepCopy", std::slice::from_ref(value))?;
    copy(host, value, 0)
}

fn copy(host: &dyn Host, value: &Value, depth: usize) -> Result<Value, Fault> {
    if depth > DEPTH_MAX {
        return Err(too_deep("deepCopy"));
    }
    match value {
        Value::Map(Map { map_type, entries: Some(entries) }) => {
            let entries = entries.borrow();
            spend_on_items(host, "deepCopy", entries.len() as u128)?;
            let copied = entries.iter().map(|(key, value)| Ok((key.clone(), copy(host, value, depth + 1)?)));
            Ok(Value::Map(Map::typed(*map_type, copied.collect::<Result<Entries, Fault>>()?)))
        }
        Value::List(List { element, items: Some(items) }) => {
            spend_on_items(host, "deepCopy", items.len() as u128)?;
            let copied = items.iter().map(|value| copy(host, value, depth + 1));
            Ok(Value::List(List::typed(*element, copied.collect::<Result<_, _>>()?)))
        }
        other => Ok(semver::deep_copy(other).unwrap_or_else(|| other.clone())),
    }
}
