//! Methods that a template can call on values: `.Values.AsMap`, `$duration.Hours`.
//!
//! The methods of objects belong to the objects; those of `.Files`, and those that print YAML, to the host.

use std::rc::Rc;

use super::func::{Fault, Host};
use crate::value::{ElementType, IntType, List, Map, MapType, Object, Signature, Type, Value, fmt};

/// A method bound to its receiver.
pub(super) enum Method {
    Object(Rc<dyn Object>, Signature),
    Map(Map, Signature),
    /// `Has` of `common.VersionSet`.
    Has(List),
    Int(IntType, i64, Signature),
}

const NO_PARAMETERS: Signature = Signature { parameters: &[], variadic: false };
const STRING: Signature = Signature { parameters: &[Type::String], variadic: false };
const WRITER: Signature = Signature { parameters: &[Type::Writer], variadic: false };
const DURATION: Signature = Signature { parameters: &[Type::Duration], variadic: false };

impl Method {
    /// The method of that name, if the value's type has one.
    pub(super) fn of(value: &Value, name: &str) -> Option<Method> {
        match value {
            Value::Object(object) => object.method(name).map(|signature| Method::Object(object.clone(), signature)),
            Value::Map(map) => map_method(map.map_type, name).map(|signature| Method::Map(map.clone(), signature)),
            Value::List(list) if list.element == ElementType::Versions && name == "Has" => {
                Some(Method::Has(list.clone()))
            }
            Value::Int(int_type, number) => {
                int_method(*int_type, name).map(|signature| Method::Int(*int_type, *number, signature))
            }
            _ => None,
        }
    }

    pub(super) fn signature(&self) -> Signature {
        match self {
            Method::Has(_) => STRING,
            Method::Object(_, signature) | Method::Map(_, signature) | Method::Int(_, _, signature) => *signature,
        }
    }

    pub(super) fn call(&self, name: &str, arguments: &[Value], host: &dyn Host) -> Result<Value, Fault> {
        match self {
            Method::Object(object, _) => object.call(name, arguments).map_err(Fault::Failed),
            Method::Has(list) => {
                let is_wanted = |element: &Value| match (element, arguments) {
                    (Value::Str(element), [Value::Str(wanted)]) => element == wanted,
                    _ => false,
                };
                Ok(Value::Bool(list.as_slice().iter().any(is_wanted)))
            }
            Method::Map(map, _) => call_map(map, name, arguments, host),
            Method::Int(int_type, number, _) => Ok(call_int(*int_type, *number, name, arguments)),
        }
    }
}

fn map_method(map_type: MapType, name: &str) -> Option<Signature> {
    match map_type {
        MapType::Values => match name {
            "AsMap" | "YAML" => Some(NO_PARAMETERS),
            "PathValue" | "Table" => Some(STRING),
            "Encode" => Some(WRITER),
            _ => None,
        },
        MapType::Files => match name {
            "AsConfig" | "AsSecrets" => Some(NO_PARAMETERS),
            "Get" | "GetBytes" | "Glob" | "Lines" => Some(STRING),
            _ => None,
        },
        MapType::Any | MapType::String | MapType::Int => None,
    }
}

fn call_map(map: &Map, name: &str, arguments: &[Value], host: &dyn Host) -> Result<Value, Fault> {
    if map.map_type == MapType::Values {
        let path = match arguments {
            [Value::Str(path)] => path.to_text(),
            _ => "".into(),
        };
        match name {
            "AsMap" if map.is_empty() => return Ok(Value::map(Default::default())),
            "AsMap" => return Ok(Value::Map(map.with_type(MapType::Any))),
            "Table" => return table(map, &path.split('.').collect::<Vec<_>>()).map(Value::Map),
            "PathValue" => return path_value(map, &path),
            "Encode" => {
                // It writes what `YAML` gives. The only writer that a template has is nil.
                if let Some(Err(fault)) = host.map_method(map, "YAML", &[]) {
                    return Err(fault);
                }
                return Err("runtime error: invalid memory address or nil pointer dereference".to_owned().into());
            }
            _ => {}
        }
    }
    host.map_method(map, name, arguments)
        .unwrap_or_else(|| Err(format!("{} has no method {name} in this render", map_type_name(map)).into()))
}

fn map_type_name(map: &Map) -> String {
    Value::Map(map.clone()).type_name()
}

/// The table at a path of keys, as `common.Values`.
fn table(map: &Map, path: &[&str]) -> Result<Map, Fault> {
    let mut table = map.clone();
    for key in path {
        table = match table.get(key.as_bytes()) {
            Some(Value::Map(inner)) if matches!(inner.map_type, MapType::Any | MapType::Values) => {
                inner.with_type(MapType::Values)
            }
            _ => return Err(format!("{} is not a table", super::error::quote(key)).into()),
        };
    }
    Ok(table)
}

/// The value at the end of a dotted path, which must not be a table.
fn path_value(map: &Map, path: &str) -> Result<Value, Fault> {
    if path.is_empty() {
        return Err("YAML path cannot be empty".into());
    }
    let keys: Vec<_> = path.split('.').collect();
    let (key, tables) = keys.split_last().expect("splitting gives at least one piece");
    let found = table(map, tables).ok().and_then(|table| table.get(key.as_bytes()));
    match found {
        Some(value) if !matches!(&value, Value::Map(map) if map.map_type == MapType::Any) => Ok(value),
        _ => Err(format!("{} is not a value", super::error::quote(key)).into()),
    }
}

fn int_method(int_type: IntType, name: &str) -> Option<Signature> {
    match (int_type, name) {
        (IntType::Month | IntType::Weekday | IntType::Duration, "String") => Some(NO_PARAMETERS),
        (
            IntType::Duration,
            "Abs" | "Hours" | "Microseconds" | "Milliseconds" | "Minutes" | "Nanoseconds" | "Seconds",
        ) => Some(NO_PARAMETERS),
        (IntType::Duration, "Round" | "Truncate") => Some(DURATION),
        _ => None,
    }
}

fn call_int(int_type: IntType, number: i64, name: &str, arguments: &[Value]) -> Value {
    const SECOND: i64 = 1_000_000_000;
    let duration = |nanoseconds| Value::Int(IntType::Duration, nanoseconds);
    let in_units = |unit: i64| Value::Float((number / unit) as f64 + (number % unit) as f64 / unit as f64);
    let unit = match arguments {
        [Value::Int(_, unit)] => *unit,
        _ => 0,
    };
    match name {
        "Abs" => duration(number.saturating_abs()),
        "Hours" => in_units(3600 * SECOND),
        "Minutes" => in_units(60 * SECOND),
        "Seconds" => in_units(SECOND),
        "Milliseconds" => Value::int64(number / 1_000_000),
        "Microseconds" => Value::int64(number / 1_000),
        "Nanoseconds" => Value::int64(number),
        "Round" => duration(round(number, unit)),
        "Truncate" => duration(if unit <= 0 { number } else { number - number % unit }),
        _ => Value::string(fmt::sprint(&[Value::Int(int_type, number)])),
    }
}

/// To the nearest multiple of the unit, halves away from zero; at the ends of the range to the end.
fn round(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanoseconds;
    }
    let remainder = nanoseconds % unit;
    let towards_zero = nanoseconds - remainder;
    if remainder.unsigned_abs() < unit.unsigned_abs().div_ceil(2) {
        towards_zero
    } else if nanoseconds < 0 {
        towards_zero.saturating_sub(unit)
    } else {
        towards_zero.saturating_add(unit)
    }
}
