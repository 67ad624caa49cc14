//! JSON. Helm replaces `fromJson`, `toJson` and `mustToJson` by its own; the others reach charts as they are here.

use super::argument::checked;
use crate::template::func::{Call, Fault, WALK_DEPTH_MAX, spend_on_walk};
use crate::value::Value;
use crate::value::json::{Html, marshal, marshal_indent, unmarshal};

/// # Errors
/// The text is not JSON; in Go's words.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    unmarshal(text).map(|json| Value::thaw(&json))
}

/// Takes the cost of writing a value, then writes it.
///
/// # Errors
/// The value is too large or too deep, or what `write` says: of a map that holds itself too.
pub(super) fn written(
    call: &Call<'_>,
    function: &str,
    value: &Value,
    write: impl Fn(&Value) -> Result<Vec<u8>, String>,
) -> Result<Value, Fault> {
    spend_on_walk(call.host, function, std::slice::from_ref(value), WALK_DEPTH_MAX)?;
    checked(write(value))
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
