//! JSON. Helm replaces `fromJson`, `toJson` and `mustToJson` by its own; the others reach charts as they are here.

use crate::value::Value;
use crate::value::json::{Html, marshal, marshal_indent, unmarshal};

/// # Errors
/// The text is not JSON; in Go's words.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    unmarshal(text).map(|json| Value::thaw(&json))
}

/// # Errors
/// The value cannot be written as JSON.
pub(super) fn compact(value: &Value) -> Result<Vec<u8>, String> {
    marshal(value, Html::Escape)
}

/// With two spaces a level.
///
/// # Errors
/// The value cannot be written as JSON.
pub(super) fn pretty(value: &Value) -> Result<Vec<u8>, String> {
    marshal_indent(value, "", "  ")
}

/// With `<`, `>` and `&` as they are.
///
/// # Errors
/// The value cannot be written as JSON.
pub(super) fn raw(value: &Value) -> Result<Vec<u8>, String> {
    marshal(value, Html::Keep)
}
