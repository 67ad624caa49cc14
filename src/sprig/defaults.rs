//! Defaults and logic. Zero numbers, `false`, nil and everything of length 0 count as empty; structures never do.

use crate::value::Value;

/// The value given, or the default where it is empty or missing.
pub(super) fn default(default: &Value, given: &[Value]) -> Value {
    given.first().filter(|value| value.is_true()).unwrap_or(default).clone()
}

/// The first that is not empty.
pub(super) fn coalesce(values: &[Value]) -> Value {
    values.iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nil)
}
