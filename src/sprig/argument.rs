//! Reads arguments that the engine has checked against a function's signature, and builds results.
//!
//! The engine calls a body only with values of the declared types ([`Func::signature`]), so these readers panic on a
//! mismatch between table and body: that is a mistake in this room, found by the first call of the function.
//!
//! [`Func::signature`]: crate::template::func::Func

use crate::template::func::Fault;
use crate::value::{List, Map, MapType, Str, UintType, Value};

/// A `string` parameter.
pub(super) fn string(arguments: &[Value], index: usize) -> &[u8] {
    match &arguments[index] {
        Value::Str(text) => text.as_bytes(),
        other => mismatch("string", other),
    }
}

/// A `string` parameter as text for an error.
pub(super) fn lossy(arguments: &[Value], index: usize) -> String {
    String::from_utf8_lossy(string(arguments, index)).into_owned()
}

/// An `int`, `int64` or other integer parameter.
pub(super) fn int(arguments: &[Value], index: usize) -> i64 {
    match &arguments[index] {
        Value::Int(_, number) => *number,
        other => mismatch("int", other),
    }
}

/// A `float64` parameter.
pub(super) fn float(arguments: &[Value], index: usize) -> f64 {
    match &arguments[index] {
        Value::Float(number) => *number,
        other => mismatch("float64", other),
    }
}

/// A `bool` parameter.
pub(super) fn boolean(arguments: &[Value], index: usize) -> bool {
    match &arguments[index] {
        Value::Bool(truth) => *truth,
        other => mismatch("bool", other),
    }
}

/// A `map[string]interface {}` parameter. A named map type arrives as the plain one, as Go's assignment makes it.
pub(super) fn map(arguments: &[Value], index: usize) -> Map {
    match &arguments[index] {
        Value::Map(map) => map.with_type(MapType::Any),
        other => mismatch("map[string]interface {}", other),
    }
}

/// A `uint32` parameter.
pub(super) fn uint32(arguments: &[Value], index: usize) -> u32 {
    match &arguments[index] {
        Value::Uint(_, number) => u32::try_from(*number).expect("a number always fits its Go type"),
        other => mismatch("uint32", other),
    }
}

/// A `[]interface {}` parameter.
pub(super) fn list(arguments: &[Value], index: usize) -> &List {
    match &arguments[index] {
        Value::List(list) => list,
        other => mismatch("[]interface {}", other),
    }
}

/// The maps from `start` on, of a variadic parameter.
pub(super) fn maps(arguments: &[Value], start: usize) -> Vec<Map> {
    (start..arguments.len()).map(|index| map(arguments, index)).collect()
}

/// The strings from `start` on, of a variadic parameter.
pub(super) fn strings(arguments: &[Value], start: usize) -> Vec<&[u8]> {
    (start..arguments.len()).map(|index| string(arguments, index)).collect()
}

fn mismatch(expected: &str, found: &Value) -> ! {
    panic!("the engine promised {expected} and passed {}", found.type_name())
}

/// What a body returns.
pub(super) type Outcome = Result<Value, Fault>;

/// Values a leaf function may return, as the Go type its signature names.
pub(super) trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

impl IntoValue for f64 {
    fn into_value(self) -> Value {
        Value::Float(self)
    }
}

impl IntoValue for Vec<u8> {
    fn into_value(self) -> Value {
        Value::string(self)
    }
}

impl IntoValue for &[u8] {
    fn into_value(self) -> Value {
        Value::string(self)
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::string(self)
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::string(self)
    }
}

impl IntoValue for Map {
    fn into_value(self) -> Value {
        Value::Map(self)
    }
}

impl IntoValue for List {
    fn into_value(self) -> Value {
        Value::List(self)
    }
}

/// `[]interface {}`
impl IntoValue for Vec<Value> {
    fn into_value(self) -> Value {
        Value::list(self)
    }
}

/// `[]string`
impl IntoValue for Vec<Str> {
    fn into_value(self) -> Value {
        Value::strings(self)
    }
}

/// A result without an error.
pub(super) fn ok(result: impl IntoValue) -> Outcome {
    Ok(result.into_value())
}

/// A result of a function that may fail in Go.
pub(super) fn checked<E: Into<Fault>>(result: Result<impl IntoValue, E>) -> Outcome {
    result.map(IntoValue::into_value).map_err(Into::into)
}

/// Go's `int64`.
pub(super) fn int64(number: i64) -> Outcome {
    Ok(Value::int64(number))
}

/// Go's `uint64`.
pub(super) fn uint64(number: u64) -> Value {
    Value::Uint(UintType::Uint64, number)
}
