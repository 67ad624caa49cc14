//! How much there is in a value, asked before a walk through it or after it was made.
//!
//! Containers are shared, so a few lines of a template make a value of 2^100 parts that takes a few hundred bytes, and
//! a map can hold itself. A walk that writes or compares all parts must know before it begins.

use std::rc::Rc;
use std::sync::Arc;

use super::{List, Map, Str, Value};

/// The heaviest value that is walked through as a whole: bytes of text, and some for each part.
pub const WEIGHT_MAX: usize = 32 << 20;

/// What a part weighs besides its text: brackets, punctuation, a key's quotes.
const PART_BYTES: usize = 16;
/// What a part weighs for each level above it: its indentation.
const LEVEL_BYTES: usize = 2;

/// What one slot of a list or one entry of a map takes in memory, about.
const SLOT_BYTES: usize = size_of::<Value>();
const ENTRY_BYTES: usize = size_of::<Str>() + 2 * size_of::<Value>();
/// What an allocation takes besides its content, about.
const ALLOCATION_BYTES: usize = 32;

/// Why a value is not walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Heavier than [`WEIGHT_MAX`], shared parts counted each time they are met.
    TooHeavy,
    /// Nested deeper than allowed.
    TooDeep,
    /// A map that holds itself.
    Endless,
}

/// The weight of all values together, as a walk would meet them.
///
/// # Errors
/// [`Unfit`], for the first part that is.
pub fn weigh<'v>(values: impl IntoIterator<Item = &'v Value>, depth_max: usize) -> Result<usize, Unfit> {
    let mut scale = Scale { weight: 0, depth_max, open: Vec::new() };
    for value in values {
        scale.put(value, 0)?;
    }
    Ok(scale.weight)
}

struct Scale {
    weight: usize,
    depth_max: usize,
    /// The maps that are being walked through.
    open: Vec<Map>,
}

impl Scale {
    fn put(&mut self, value: &Value, depth: usize) -> Result<(), Unfit> {
        self.add(PART_BYTES + LEVEL_BYTES * depth)?;
        match value {
            Value::Str(text) => self.add(text.as_bytes().len()),
            Value::Bytes(bytes) => self.add(bytes.len()),
            Value::List(list) => {
                if depth == self.depth_max {
                    return Err(Unfit::TooDeep);
                }
                list.as_slice().iter().try_for_each(|item| self.put(item, depth + 1))
            }
            Value::Map(map) => self.put_map(map, depth),
            Value::Nil | Value::Bool(_) | Value::Int(..) | Value::Uint(..) | Value::Float(_) | Value::Object(_) => {
                Ok(())
            }
        }
    }

    fn put_map(&mut self, map: &Map, depth: usize) -> Result<(), Unfit> {
        let Some(entries) = &map.entries else { return Ok(()) };
        if self.open.iter().any(|outer| outer.is_same(map)) {
            return Err(Unfit::Endless);
        }
        if depth == self.depth_max {
            return Err(Unfit::TooDeep);
        }
        self.open.push(map.clone());
        for (key, value) in entries.borrow().iter() {
            self.add(key.as_bytes().len())?;
            self.put(value, depth + 1)?;
        }
        self.open.pop();
        Ok(())
    }

    fn add(&mut self, weight: usize) -> Result<(), Unfit> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX { Err(Unfit::TooHeavy) } else { Ok(()) }
    }
}

impl Value {
    /// The memory that nobody but this value holds, in bytes, about: what making it has cost. Parts that others hold
    /// too were there before.
    pub fn own_bytes(&self) -> usize {
        match self {
            Value::Str(text) => text.own_bytes(),
            Value::Bytes(bytes) if bytes.is_unique() => ALLOCATION_BYTES + bytes.len(),
            Value::List(List { items: Some(items), .. }) if Rc::strong_count(items) == 1 => {
                ALLOCATION_BYTES + items.iter().map(|item| SLOT_BYTES + item.own_bytes()).sum::<usize>()
            }
            Value::Map(Map { entries: Some(entries), .. }) if Rc::strong_count(entries) == 1 => {
                let entries = entries.borrow();
                let parts = entries.iter().map(|(key, value)| ENTRY_BYTES + key.own_bytes() + value.own_bytes());
                ALLOCATION_BYTES + parts.sum::<usize>()
            }
            Value::Bytes(_) | Value::List(_) | Value::Map(_) => 0,
            Value::Nil | Value::Bool(_) | Value::Int(..) | Value::Uint(..) | Value::Float(_) => 0,
            Value::Object(_) => ALLOCATION_BYTES,
        }
    }
}

impl Str {
    fn own_bytes(&self) -> usize {
        if Arc::strong_count(&self.0) == 1 { ALLOCATION_BYTES + self.0.len() } else { 0 }
    }
}

impl Map {
    /// What one more entry takes in memory, in bytes, about.
    pub const ENTRY_BYTES: usize = ENTRY_BYTES;
}

/// Lists and maps are taken apart in a loop: one that is nested a million levels deep, as a loop in a template makes it,
/// would otherwise be dropped by a recursion that no stack holds.
impl Drop for List {
    fn drop(&mut self) {
        if let Some(items) = self.items.as_mut().and_then(Rc::get_mut) {
            take_apart(items.iter_mut());
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if let Some(entries) = &self.entries
            && Rc::strong_count(entries) == 1
            && let Ok(mut entries) = entries.try_borrow_mut()
        {
            take_apart(entries.values_mut());
        }
    }
}

fn take_apart<'v>(values: impl Iterator<Item = &'v mut Value>) {
    let mut apart = Vec::new();
    move_containers(values, &mut apart);
    while let Some(mut value) = apart.pop() {
        // What is left of the value is dropped here: it holds no container any more that would have to be taken apart.
        match &mut value {
            Value::List(list) => {
                if let Some(items) = list.items.as_mut().and_then(Rc::get_mut) {
                    move_containers(items.iter_mut(), &mut apart);
                }
            }
            Value::Map(map) => {
                if let Some(entries) = &map.entries
                    && Rc::strong_count(entries) == 1
                    && let Ok(mut entries) = entries.try_borrow_mut()
                {
                    move_containers(entries.values_mut(), &mut apart);
                }
            }
            _ => {}
        }
    }
}

fn move_containers<'v>(values: impl Iterator<Item = &'v mut Value>, apart: &mut Vec<Value>) {
    let containers = values.filter(|value| matches!(value, Value::List(_) | Value::Map(_)));
    apart.extend(containers.map(|value| std::mem::replace(value, Value::Nil)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Entries;

    fn doubled(times: usize) -> Value {
        (0..times).fold(Value::list(vec![]), |inner, _| Value::list(vec![inner.clone(), inner]))
    }

    #[test]
    fn weight_counts_parts_as_often_as_a_walk_meets_them() {
        assert_eq!(weigh([&Value::string("four")], 10), Ok(20));
        assert_eq!(weigh([&doubled(1)], 10), Ok(3 * 16 + 2 * 2));
        assert_eq!(weigh([&doubled(100)], 200), Err(Unfit::TooHeavy));
        assert_eq!(weigh([&doubled(10)], 9), Err(Unfit::TooDeep));
        let map = Map::any(Entries::new());
        map.set("self", Value::list(vec![Value::Map(map.clone())]));
        assert_eq!(weigh([&Value::Map(map.clone())], 10), Err(Unfit::Endless));
        map.set("self", Value::Nil);
    }

    #[test]
    fn own_bytes_leave_out_what_others_hold() {
        let shared = Value::string("x".repeat(1000));
        let list = Value::list(vec![shared.clone(), Value::string("y".repeat(100))]);
        assert!((100..400).contains(&list.own_bytes()), "{}", list.own_bytes());
        drop(shared);
        assert!(list.own_bytes() > 1100);
        let other = list.clone();
        assert_eq!((list.own_bytes(), other.own_bytes()), (0, 0));
    }

    #[test]
    fn deep_values_are_dropped_without_a_deep_stack() {
        let mut lists = Value::Nil;
        let mut maps = Value::Nil;
        for _ in 0..1_000_000 {
            lists = Value::list(vec![lists]);
            maps = Value::map(Entries::from([("a".into(), maps)]));
        }
        drop((lists, maps));
    }
}
