//! `toToml`: TOML as the Go library of Helm writes it.
//!
//! Scalars and arrays come before tables, both by name; tables are indented by their depth; floats always have a
//! point or an exponent. Authority: BurntSushi/toml v1.6.

use super::toml_reader::{DATE_ZONE, DATETIME_ZONE, TIME_ZONE};
use crate::sprig::time::Time;
use crate::value::strconv::{FloatFormat, format_float};
use crate::value::{Object, Str, Value};

/// The layout of a date in TOML.
const RFC_3339: &str = "2006-01-02T15:04:05.999999999Z07:00";
const NO_KEY: &str = "toml: top-level values must be Go maps or structs";
const NIL_IN_ARRAY: &str = "toml: cannot encode array with nil element";

/// The TOML text of a value.
///
/// # Errors
/// The value has no TOML form; the text is the Go library's.
pub(super) fn marshal(value: &Value) -> Result<Vec<u8>, String> {
    let mut writer = Writer { out: Vec::new() };
    writer.encode(&mut Vec::new(), value)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn encode(&mut self, key: &mut Vec<Str>, value: &Value) -> Result<(), String> {
        match value {
            Value::Nil => Err("reflect: call of reflect.Value.Type on zero Value".into()),
            Value::Map(map) if map.entries.is_none() => Ok(()),
            value if is_single_table(value) => {
                if key.len() == 1 {
                    self.newline();
                }
                if !key.is_empty() {
                    self.head(key, "[", "]");
                }
                self.table(key, entries(value))
            }
            Value::List(list) if is_array_of_tables(value)? => {
                if key.is_empty() {
                    return Err(NO_KEY.into());
                }
                for item in list.as_slice() {
                    self.newline();
                    self.head(key, "[[", "]]");
                    self.table(key, entries(item))?;
                }
                Ok(())
            }
            value => {
                let Some(name) = key.last() else { return self.element(value) };
                let name = quoted_key(name);
                self.indent(key);
                self.out.extend_from_slice(&name);
                self.out.extend_from_slice(b" = ");
                self.element(value)?;
                self.newline();
                Ok(())
            }
        }
    }

    /// The entries of a table below its head: what is no table first.
    fn table(&mut self, key: &mut Vec<Str>, entries: Vec<(Str, Value)>) -> Result<(), String> {
        let (direct, tables) = direct_and_tables(entries)?;
        for (name, value) in direct.into_iter().chain(tables).filter(|(_, value)| !is_nil(value)) {
            key.push(name);
            self.encode(key, &value)?;
            key.pop();
        }
        Ok(())
    }

    /// A value on the right of `=` or in an array.
    fn element(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Nil => return Err(NIL_IN_ARRAY.into()),
            Value::Bool(flag) => self.out.extend_from_slice(flag.to_string().as_bytes()),
            Value::Int(crate::value::IntType::Duration, _) => {
                self.quoted(&crate::value::fmt::sprint(std::slice::from_ref(value)));
            }
            Value::Int(_, number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Uint(_, number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(number) => self.out.extend_from_slice(float_text(*number).as_bytes()),
            Value::Str(text) => self.quoted(text.as_bytes()),
            Value::Bytes(bytes) => {
                let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
                self.out.extend_from_slice(format!("[{}]", numbers.join(", ")).as_bytes());
            }
            Value::List(list) => {
                self.out.push(b'[');
                for (i, item) in list.as_slice().iter().enumerate() {
                    if i > 0 {
                        self.out.extend_from_slice(b", ");
                    }
                    self.element(item)?;
                }
                self.out.push(b']');
            }
            Value::Map(map) => self.inline_table(map.snapshot())?,
            Value::Object(object) => {
                let fields = exported_fields(object.as_ref());
                if !fields.is_empty() {
                    self.inline_struct(object.as_ref())?;
                } else if let Some(time) = object.as_any().downcast_ref::<Time>() {
                    self.out.extend_from_slice(&date(time));
                } else {
                    self.element(&Value::thaw(&object.to_json()))?;
                }
            }
        }
        Ok(())
    }

    /// The commas go by the number of entries, and those that are nil count.
    fn inline_table(&mut self, entries: Vec<(Str, Value)>) -> Result<(), String> {
        let (direct, tables) = direct_and_tables(entries)?;
        let has_tables = !tables.is_empty();
        self.out.push(b'{');
        for (entries, has_more) in [(direct, has_tables), (tables, false)] {
            let count = entries.len();
            for (i, (name, value)) in entries.iter().enumerate().filter(|(_, (_, value))| !is_nil(value)) {
                self.pair(name, value, has_more || i + 1 < count)?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The library goes by the place of a field among all fields, and by the number of those it writes: where a field is
    /// hidden, commas are missing or too many. The text is then no TOML, as in Helm.
    fn inline_struct(&mut self, object: &dyn Object) -> Result<(), String> {
        let count = exported_fields(object).len();
        let (mut direct, mut tables) = (Vec::new(), Vec::new());
        for (i, (name, value)) in object.fields().into_iter().enumerate().filter(|(_, (name, _))| is_exported(name)) {
            let field = (i, Str::from(name), value);
            if is_table(&field.2)? { tables.push(field) } else { direct.push(field) }
        }
        self.out.push(b'{');
        for (i, name, value) in direct.iter().chain(&tables).filter(|(_, _, value)| !is_nil(value)) {
            self.pair(name, value, i + 1 != count)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn pair(&mut self, name: &Str, value: &Value, has_comma: bool) -> Result<(), String> {
        self.out.extend_from_slice(&quoted_key(name));
        self.out.extend_from_slice(b" = ");
        self.element(value)?;
        if has_comma {
            self.out.extend_from_slice(b", ");
        }
        Ok(())
    }

    fn head(&mut self, key: &[Str], open: &str, close: &str) {
        self.indent(key);
        self.out.extend_from_slice(open.as_bytes());
        self.out.extend_from_slice(&key.iter().map(quoted_key).collect::<Vec<_>>().join(&b"."[..]));
        self.out.extend_from_slice(close.as_bytes());
        self.newline();
    }

    fn indent(&mut self, key: &[Str]) {
        self.out.extend(std::iter::repeat_n(b' ', 2 * (key.len() - 1)));
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.extend_from_slice(&quoted(text));
    }
}

/// A date is a type of its own, written bare. One that was read without a zone goes back without one.
fn date(time: &Time) -> Vec<u8> {
    let layout = match time.fixed_zone_name() {
        Some(DATETIME_ZONE) => "2006-01-02T15:04:05.999999999",
        Some(DATE_ZONE) => "2006-01-02",
        Some(TIME_ZONE) => "15:04:05.999999999",
        _ => return time.format(RFC_3339.as_bytes()),
    };
    time.to_utc().format(layout.as_bytes())
}

/// Entries of a table, in order.
type Pairs = Vec<(Str, Value)>;

/// The entries that are no tables, nil ones among them, and those that are.
fn direct_and_tables(entries: Pairs) -> Result<(Pairs, Pairs), String> {
    let (mut direct, mut tables) = (Vec::new(), Vec::new());
    for entry in entries {
        if is_table(&entry.1)? { tables.push(entry) } else { direct.push(entry) }
    }
    Ok((direct, tables))
}

/// Whether the value is written as a table or an array of tables, where there is room for one.
fn is_table(value: &Value) -> Result<bool, String> {
    Ok(is_single_table(value) || is_array_of_tables(value)?)
}

fn is_single_table(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.entries.is_some(),
        Value::Object(object) => !exported_fields(object.as_ref()).is_empty(),
        _ => false,
    }
}

/// The entries of a single table.
fn entries(table: &Value) -> Pairs {
    match table {
        Value::Map(map) => map.snapshot(),
        Value::Object(object) => exported_fields(object.as_ref()),
        _ => Pairs::new(),
    }
}

/// The fields of a struct that other packages of Go see, in their order; none for what is written as a text.
fn exported_fields(object: &dyn Object) -> Pairs {
    let fields = object.fields().into_iter().filter(|(name, _)| is_exported(name));
    fields.map(|(name, value)| (Str::from(name), value)).collect()
}

fn is_exported(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Nil itself, or a nil map or slice.
fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Map(map) => map.entries.is_none(),
        Value::List(list) => list.items.is_none(),
        _ => false,
    }
}

/// Whether the value is a list of tables only. Lists with nil in them are refused, at any depth.
fn is_array_of_tables(value: &Value) -> Result<bool, String> {
    let Value::List(list) = value else { return Ok(false) };
    let mut only_tables = !list.as_slice().is_empty();
    for item in list.as_slice() {
        if is_nil(item) {
            return Err(NIL_IN_ARRAY.into());
        }
        is_array_of_tables(item)?;
        only_tables &= is_single_table(item);
    }
    Ok(only_tables)
}

fn float_text(number: f64) -> String {
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number.is_nan() {
        return format!("{sign}nan");
    }
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    let text = format_float(number, FloatFormat::General, None);
    if text.contains(['e', '.']) { text } else { format!("{text}.0") }
}

fn quoted_key(key: &Str) -> Vec<u8> {
    let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = key.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(is_bare) { bytes.to_vec() } else { quoted(bytes) }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x00..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            other => out.push(*other),
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: serde_json::Value) -> String {
        match marshal(&Value::thaw(&value)) {
            Ok(text) => String::from_utf8(text).unwrap(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn tables_follow_what_is_no_table() {
        // Printed by Helm v4.3.1's toToml.
        let value = json!({"t": {"x": 1, "deep": {"y": [1, "a"]}}, "b": true, "a.b": "q\"\n", "l": [{"k": 1}, {"k": {"z": 2}}]});
        let want = "\"a.b\" = \"q\\\"\\n\"\nb = true\n\n[[l]]\n  k = 1.0\n\n[[l]]\n  [l.k]\n    z = 2.0\n\n[t]\n  x = 1.0\n  \
                    [t.deep]\n    y = [1.0, \"a\"]\n";
        assert_eq!(check(value), want);
    }

    #[test]
    fn values_without_a_key() {
        assert_eq!(check(json!(1)), "1.0");
        assert_eq!(check(json!([{"a": 1}])), format!("error: {NO_KEY}"));
        assert_eq!(check(json!({"a": [1, null]})), format!("error: {NIL_IN_ARRAY}"));
        assert_eq!(check(json!({"a": [[{"b": 1, "c": {}}]], "n": null})), "a = [[{b = 1.0, c = {}}]]\n");
    }
}
