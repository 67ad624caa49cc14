//! JSON as Go's `encoding/json` writes and reads it.
//!
//! Numbers without a fraction have no point, `<`, `>` and `&` are escaped unless asked otherwise, keys are sorted by
//! their bytes, and errors have Go's words.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::strconv::{FloatFormat, format_float, quote};
use super::{Entries, List, Map, Object, Value};

/// What Go says of a time that has no form in JSON.
const YEAR_OUTSIDE: &str =
    "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]";

/// How deep arrays and objects may be nested when reading. Go stops at 10,000; to walk, or only to drop, a value that
/// deep would take more stack than our threads have.
pub const DEPTH_MAX: usize = 500;

/// How many values one text may hold. Each takes many times its text in memory.
pub const NODES_MAX: usize = 2_000_000;

/// How deep arrays and objects may be nested when writing live values; Go has no such limit.
const WRITE_DEPTH_MAX: usize = 2000;

/// Whether `<`, `>`, `&` are written as `\u003c`, `\u003e`, `\u0026`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html {
    /// As `json.Marshal` does.
    Escape,
    /// As an encoder with `SetEscapeHTML(false)` does.
    Keep,
}

/// `json.Marshal`, or the same without HTML escapes.
///
/// # Errors
/// The value holds a NaN, an infinity, or itself.
pub fn marshal(value: &Value, html: Html) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(html, None);
    writer.value(value)?;
    Ok(writer.out)
}

/// `json.MarshalIndent`: each line after the first begins with the prefix and an indent for each level.
///
/// # Errors
/// As [`marshal`].
pub fn marshal_indent(value: &Value, prefix: &str, indent: &str) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(Html::Escape, Some((prefix, indent)));
    writer.value(value)?;
    Ok(writer.out)
}

/// `json.Marshal` of frozen data.
pub fn write_frozen(json: &Json) -> Vec<u8> {
    let mut writer = Writer::new(Html::Escape, None);
    writer.json(json);
    writer.out
}

/// The number that is read back from a finite float's JSON text: an integer where the text has no fraction and a
/// 64-bit type holds it.
///
/// The text has the shortest digits that tell the float, so that past 2^53 the integer is often not the float's own
/// value: `9223372036854774784.0` is written, and read, as 9223372036854775000.
pub(crate) fn number(float: f64) -> Number {
    const EXACT_END: f64 = 9_007_199_254_740_992.0;
    const INTEGER_END: f64 = 1e20;
    let is_negative_zero = float == 0.0 && float.is_sign_negative();
    let as_float = || Number::from_f64(float).unwrap_or_else(|| 0.into());
    if float.fract() != 0.0 || is_negative_zero || float.abs() >= INTEGER_END {
        return as_float();
    }
    if float.abs() < EXACT_END {
        return (float as i64).into();
    }
    let text = format_float(float, FloatFormat::Decimal, None);
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(integer), _) => integer.into(),
        (_, Ok(integer)) => integer.into(),
        _ => as_float(),
    }
}

/// The text of a Go string: each byte that is no part of UTF-8 becomes U+FFFD.
pub fn go_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

struct Writer<'i> {
    out: Vec<u8>,
    html: Html,
    /// Prefix and indent of lines, if there are lines.
    layout: Option<(&'i str, &'i str)>,
    depth: usize,
    /// The maps and lists being written, by address. Go looks for cycles only below a thousand levels, and has written
    /// all that time; the error is the same.
    open: Vec<usize>,
}

impl<'i> Writer<'i> {
    fn new(html: Html, layout: Option<(&'i str, &'i str)>) -> Self {
        Writer { out: Vec::new(), html, layout, depth: 0, open: Vec::new() }
    }

    fn value(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::List(List { items: Some(items), .. }) => self.list(items, value),
            Value::Map(Map { entries: Some(entries), .. }) => self.map(entries, value),
            _ => self.leaf(value),
        }
    }

    fn list(&mut self, items: &[Value], list: &Value) -> Result<(), String> {
        self.enter(items.as_ptr() as usize, list)?;
        self.begin(b'[');
        for (at, item) in items.iter().enumerate() {
            self.separate(at);
            self.value(item)?;
        }
        self.end(items.is_empty(), b']');
        self.open.pop();
        Ok(())
    }

    fn map(&mut self, entries: &RefCell<Entries>, map: &Value) -> Result<(), String> {
        self.enter(std::ptr::from_ref(entries) as usize, map)?;
        self.begin(b'{');
        let entries = entries.borrow();
        for (at, (key, value)) in entries.iter().enumerate() {
            self.separate(at);
            self.key(key.as_bytes());
            self.value(value)?;
        }
        self.end(entries.is_empty(), b'}');
        self.open.pop();
        Ok(())
    }

    /// Writes a value that holds no others.
    fn leaf(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Nil | Value::List(_) | Value::Map(_) => self.out.extend_from_slice(b"null"),
            Value::Bool(value) => self.out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Int(_, number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Uint(_, number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(number) if number.is_finite() => self.float(*number),
            Value::Float(number) => {
                return Err(format!("json: unsupported value: {}", format_float(*number, FloatFormat::General, None)));
            }
            Value::Str(text) => push_string(&mut self.out, text.as_bytes(), self.html),
            Value::Bytes(bytes) => {
                let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
                push_string(&mut self.out, text.as_bytes(), self.html);
            }
            Value::Object(object) if object.type_name() == "time.Time" && object.to_json().is_null() => {
                return Err(YEAR_OUTSIDE.into());
            }
            Value::Object(object) => self.object(object.as_ref()),
        }
        Ok(())
    }

    /// Writes a Go struct: its JSON fields, in the order in which the struct has them.
    fn object(&mut self, object: &dyn Object) {
        let json = object.to_json();
        let Json::Object(mut fields) = json else { return self.json(&json) };
        // JSON names differ from Go's in case and underscores only.
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let mut ordered = Vec::with_capacity(fields.len());
        for (go_name, value) in object.fields() {
            let Some(name) = fields.keys().find(|name| plain(name) == plain(go_name)).cloned() else { continue };
            if let Some(json) = fields.remove(&name) {
                ordered.push((name, json, value));
            }
        }
        let rest = fields.into_iter().map(|(name, json)| (name, json, Value::Nil));
        ordered.extend(rest);
        self.begin(b'{');
        let is_empty = ordered.is_empty();
        for (at, (name, json, value)) in ordered.into_iter().enumerate() {
            self.separate(at);
            self.key(name.as_bytes());
            match value {
                Value::Object(inner) => self.object(inner.as_ref()),
                _ => self.json(&json),
            }
        }
        self.end(is_empty, b'}');
    }

    fn json(&mut self, json: &Json) {
        match json {
            Json::Null => self.out.extend_from_slice(b"null"),
            Json::Bool(value) => self.out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Json::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => self.float(float),
                _ => self.out.extend_from_slice(number.to_string().as_bytes()),
            },
            Json::String(text) => push_string(&mut self.out, text.as_bytes(), self.html),
            Json::Array(items) => {
                self.begin(b'[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at);
                    self.json(item);
                }
                self.end(items.is_empty(), b']');
            }
            Json::Object(fields) => {
                self.begin(b'{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    self.separate(at);
                    self.key(key.as_bytes());
                    self.json(value);
                }
                self.end(fields.is_empty(), b'}');
            }
        }
    }

    fn float(&mut self, number: f64) {
        let magnitude = number.abs();
        let is_long = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
        let text = if is_long {
            // Small exponents lose the zero that Go's other writers keep: 1e-7.
            format_float(number, FloatFormat::Exponent, None).replace("e-0", "e-")
        } else {
            format_float(number, FloatFormat::Decimal, None)
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn enter(&mut self, address: usize, value: &Value) -> Result<(), String> {
        if self.open.contains(&address) {
            return Err(format!("json: unsupported value: encountered a cycle via {}", value.type_name()));
        }
        if self.open.len() == WRITE_DEPTH_MAX {
            return Err("json: unsupported value: exceeded max depth".into());
        }
        self.open.push(address);
        Ok(())
    }

    fn begin(&mut self, bracket: u8) {
        self.depth += 1;
        self.out.push(bracket);
    }

    /// Goes on to the element of that index.
    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(b',');
        }
        self.start_line();
    }

    fn end(&mut self, is_empty: bool, bracket: u8) {
        self.depth -= 1;
        if !is_empty {
            self.start_line();
        }
        self.out.push(bracket);
    }

    fn start_line(&mut self) {
        if let Some((prefix, indent)) = self.layout {
            self.out.push(b'\n');
            self.out.extend_from_slice(prefix.as_bytes());
            for _ in 0..self.depth {
                self.out.extend_from_slice(indent.as_bytes());
            }
        }
    }

    fn key(&mut self, key: &[u8]) {
        push_string(&mut self.out, key, self.html);
        self.out.push(b':');
        if self.layout.is_some() {
            self.out.push(b' ');
        }
    }
}

/// Writes a Go string with its quotes.
pub(crate) fn push_string(out: &mut Vec<u8>, bytes: &[u8], html: Html) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid(), html);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str, html: Html) {
    let bytes = text.as_bytes();
    let mut plain_start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let (escape, width) = match byte {
            b'"' => ("\\\"", 1),
            b'\\' => ("\\\\", 1),
            b'\n' => ("\\n", 1),
            b'\r' => ("\\r", 1),
            b'\t' => ("\\t", 1),
            0x08 => ("\\b", 1),
            0x0c => ("\\f", 1),
            b'<' if html == Html::Escape => ("\\u003c", 1),
            b'>' if html == Html::Escape => ("\\u003e", 1),
            b'&' if html == Html::Escape => ("\\u0026", 1),
            0xe2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => ("\\u2028", 3),
            0xe2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => ("\\u2029", 3),
            0..=0x1f => {
                out.extend_from_slice(&bytes[plain_start..at]);
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                plain_start = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_start..at]);
        out.extend_from_slice(escape.as_bytes());
        plain_start = at + width;
    }
    out.extend_from_slice(&bytes[plain_start..]);
}

/// `json.Unmarshal` into an `interface {}`, frozen.
///
/// # Errors
/// Go's text: a syntax error anywhere comes before a number that no float holds.
pub fn unmarshal(bytes: &[u8]) -> Result<Json, String> {
    match unmarshal_partly(bytes)? {
        (_, Some(problem)) => Err(problem),
        (json, None) => Ok(json),
    }
}

/// The same, where a number that no float holds is told beside what was read: Go leaves nothing in its place and goes on.
///
/// # Errors
/// Go's text of a syntax error.
pub fn unmarshal_partly(bytes: &[u8]) -> Result<(Json, Option<String>), String> {
    let mut reader = Reader { bytes, at: 0, depth: 0, nodes: 0, out_of_range: None };
    let json = reader.value()?;
    reader.skip_space();
    if let Some(&byte) = bytes.get(reader.at) {
        return Err(invalid_character(byte, "after top-level value"));
    }
    let problem = |number| format!("json: cannot unmarshal number {number} into Go value of type float64");
    Ok((json, reader.out_of_range.map(problem)))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    depth: usize,
    nodes: usize,
    /// The first number that no float holds.
    out_of_range: Option<&'b str>,
}

fn invalid_character(byte: u8, context: &str) -> String {
    let quoted = match byte {
        b'\'' => r"'\''".into(),
        b'"' => r#"'"'"#.into(),
        _ => {
            let text = quote(char::from(byte).to_string().as_bytes());
            format!("'{}'", String::from_utf8_lossy(&text[1..text.len() - 1]))
        }
    };
    format!("invalid character {quoted} {context}")
}

impl<'b> Reader<'b> {
    fn value(&mut self) -> Result<Json, String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(format!("exceeded {NODES_MAX} values"));
        }
        self.skip_space();
        match self.bytes.get(self.at) {
            None => Err(UNEXPECTED_END.into()),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(&byte) => Err(invalid_character(byte, "looking for beginning of value")),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The byte under the cursor. Go reads a space after the end of its input to see whether anything is unfinished.
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b' ')
    }

    /// Passes one of the two bytes and tells which; anything else is an error.
    fn one_of(&mut self, first: u8, second: u8, context: &str) -> Result<u8, String> {
        self.skip_space();
        match self.bytes.get(self.at) {
            None => Err(UNEXPECTED_END.into()),
            Some(&byte) if byte == first || byte == second => {
                self.at += 1;
                Ok(byte)
            }
            Some(&byte) => Err(invalid_character(byte, context)),
        }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("exceeded max depth".into());
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn is_at(&mut self, bracket: u8) -> bool {
        let is_at = self.bytes.get(self.at) == Some(&bracket);
        self.at += usize::from(is_at);
        is_at
    }

    fn array(&mut self) -> Result<Json, String> {
        self.enter()?;
        let mut items = Vec::new();
        let mut is_done = self.is_at(b']');
        while !is_done {
            items.push(self.value()?);
            is_done = self.one_of(b',', b']', "after array element")? == b']';
        }
        self.depth -= 1;
        Ok(Json::Array(items))
    }

    fn object(&mut self) -> Result<Json, String> {
        self.enter()?;
        let mut fields = JsonMap::new();
        let mut is_done = self.is_at(b'}');
        while !is_done {
            self.skip_space();
            match self.bytes.get(self.at) {
                None => return Err(UNEXPECTED_END.into()),
                Some(b'"') => {}
                Some(&byte) => return Err(invalid_character(byte, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            self.one_of(b':', b':', "after object key")?;
            let value = self.value()?;
            fields.insert(key, value);
            is_done = self.one_of(b',', b'}', "after object key:value pair")? == b'}';
        }
        self.depth -= 1;
        Ok(Json::Object(fields))
    }

    fn literal(&mut self, word: &str, value: Json) -> Result<Json, String> {
        for expected in word.bytes() {
            if self.byte() != expected {
                let expected = char::from(expected);
                let context = format!("in literal {word} (expecting '{expected}')");
                return Err(invalid_character(self.byte(), &context));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.byte().is_ascii_digit() {
            return Err(invalid_character(self.byte(), context));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, String> {
        let start = self.at;
        if self.byte() == b'-' {
            self.at += 1;
        }
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).expect("numbers are ASCII");
        if let Ok(integer) = text.parse::<i64>()
            && text != "-0"
        {
            return Ok(integer.into());
        }
        if let Ok(integer) = text.parse::<u64>() {
            return Ok(integer.into());
        }
        let float: f64 = text.parse().unwrap_or(f64::INFINITY);
        if float.is_infinite() {
            self.out_of_range.get_or_insert(text);
            return Ok(Json::Null);
        }
        Ok(Json::Number(number(float)))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        let mut plain_start = self.at;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(UNEXPECTED_END.into()),
                Some(b'"') => {
                    text.push_str(&go_text(&self.bytes[plain_start..self.at]));
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(&go_text(&self.bytes[plain_start..self.at]));
                    self.at += 1;
                    text.push(self.escape()?);
                    plain_start = self.at;
                }
                Some(&byte @ 0..=0x1f) => return Err(invalid_character(byte, "in string literal")),
                Some(_) => self.at += 1,
            }
        }
    }

    /// Reads an escape after its backslash.
    fn escape(&mut self) -> Result<char, String> {
        let letter = self.byte();
        self.at += 1;
        Ok(match letter {
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'\\' | b'/' | b'"' => letter.into(),
            b'u' => {
                let unit = self.code_unit()?;
                self.character(unit)
            }
            _ => return Err(invalid_character(letter, "in string escape code")),
        })
    }

    fn code_unit(&mut self) -> Result<u16, String> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.byte()).to_digit(16) else {
                return Err(invalid_character(self.byte(), "in \\u hexadecimal character escape"));
            };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    /// The character of a UTF-16 unit, with the second half of a pair if that follows. Half a pair is U+FFFD.
    fn character(&mut self, unit: u16) -> char {
        if let Some(c) = char::from_u32(unit.into()) {
            return c;
        }
        let second = self.bytes.get(self.at..self.at + 6).and_then(|escape| {
            let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
            u16::from_str_radix(digits, 16).ok()
        });
        let pair = second.and_then(|second| char::decode_utf16([unit, second]).next()?.ok());
        if pair.is_some() {
            self.at += 6;
        }
        pair.unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

const UNEXPECTED_END: &str = "unexpected end of JSON input";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{ElementType, IntType, MapType, Str};
    use super::*;

    /// The lines of a golden file, with the bytes that its `\ue0XX` stand for.
    fn golden() -> impl Iterator<Item = Json> {
        let lines = include_str!("golden/json.jsonl").lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| serde_json::from_str(line).unwrap())
    }

    fn bytes_of(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for c in text.chars() {
            match c {
                '\u{e000}'..='\u{e0ff}' => bytes.push((u32::from(c) - 0xe000) as u8),
                _ => bytes.extend(c.to_string().bytes()),
            }
        }
        bytes
    }

    fn text(result: Result<Vec<u8>, String>) -> String {
        String::from_utf8(result.unwrap()).unwrap()
    }

    #[test]
    fn reads_and_writes_as_go_does() {
        for case in golden() {
            let input = bytes_of(case["in"].as_str().unwrap());
            let note = String::from_utf8_lossy(&input).into_owned();
            match unmarshal(&input) {
                Err(error) => assert_eq!(Some(error.as_str()), case["error"].as_str(), "{note}"),
                Ok(json) => {
                    let value = Value::thaw(&json);
                    assert_eq!(Some(text(marshal(&value, Html::Escape)).as_str()), case["out"].as_str(), "{note}");
                    if let Some(indented) = case["indented"].as_str() {
                        assert_eq!(text(marshal_indent(&value, "", "  ")), indented, "{note}");
                    }
                }
            }
        }
    }

    #[test]
    fn frozen_integers_stay_exact() {
        let json = unmarshal(b"{\"b\":9223372036854775807,\"a\":1.0,\"c\":18446744073709551615}").unwrap();
        assert_eq!(write_frozen(&json), b"{\"a\":1,\"b\":9223372036854775807,\"c\":18446744073709551615}");
    }

    #[test]
    fn typed_values_write_as_their_go_types_do() {
        let cases = [
            (Value::Bytes(b"hi\xff".as_slice().into()), "\"aGn/\""),
            (Value::List(List { element: ElementType::Any, items: None }), "null"),
            (Value::Map(Map { map_type: MapType::Any, entries: None }), "null"),
            (Value::list(Vec::new()), "[]"),
            (Value::strings(["a", "b"]), "[\"a\",\"b\"]"),
            (Value::Int(IntType::Duration, 1_500_000_000), "1500000000"),
            (Value::string(b"h\xc3".to_vec()), "\"h\\ufffd\""),
            (Value::string("\u{fffd}"), "\"\u{fffd}\""),
        ];
        for (value, want) in cases {
            assert_eq!(text(marshal(&value, Html::Escape)), want);
        }
    }

    #[test]
    fn html_is_kept_when_asked() {
        let value = Value::string("<a> & \u{2028}");
        assert_eq!(text(marshal(&value, Html::Keep)), "\"<a> & \\u2028\"");
        assert_eq!(text(marshal(&value, Html::Escape)), "\"\\u003ca\\u003e \\u0026 \\u2028\"");
    }

    #[test]
    fn prefix_begins_every_line_but_the_first() {
        let value = Value::list(vec![Value::int(1)]);
        assert_eq!(text(marshal_indent(&value, ">", "\t")), "[\n>\t1\n>]");
    }

    #[test]
    fn numbers_json_lacks_are_refused() {
        let refused = |number: f64| marshal(&Value::Float(number), Html::Escape).unwrap_err();
        assert_eq!(refused(f64::NAN), "json: unsupported value: NaN");
        assert_eq!(refused(f64::INFINITY), "json: unsupported value: +Inf");
        assert_eq!(refused(f64::NEG_INFINITY), "json: unsupported value: -Inf");
    }

    #[test]
    fn map_that_holds_itself_is_refused() {
        let map = Map::any(BTreeMap::new());
        map.set("self", Value::Map(map.clone()));
        let error = marshal(&Value::Map(map.clone()), Html::Escape).unwrap_err();
        assert_eq!(error, "json: unsupported value: encountered a cycle via map[string]interface {}");
        map.set("self", Value::Nil);
    }

    #[test]
    fn texts_of_very_many_values_are_refused() {
        let text = format!("[{}1]", "1,".repeat(NODES_MAX));
        assert_eq!(unmarshal(text.as_bytes()).unwrap_err(), "exceeded 2000000 values");
    }

    #[test]
    fn differs_from_go_in_stopping_at_500_levels() {
        let deep = "[".repeat(100_000);
        assert_eq!(unmarshal(deep.as_bytes()).unwrap_err(), "exceeded max depth");
        let allowed = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let json = unmarshal(allowed.as_bytes()).unwrap();
        assert_eq!(write_frozen(&json), allowed.as_bytes());
        assert_eq!(text(marshal(&Value::thaw(&json), Html::Escape)), allowed);
    }

    #[derive(Debug)]
    struct Build;

    impl Object for Build {
        fn type_name(&self) -> &str {
            "version.BuildInfo"
        }
        fn kind(&self) -> super::super::Kind {
            super::super::Kind::Struct
        }
        fn field(&self, _name: &str) -> Option<Value> {
            None
        }
        fn fields(&self) -> Vec<(&'static str, Value)> {
            vec![("Version", Value::string("v4")), ("GitCommit", Value::string("c")), ("Dirty", Value::Bool(true))]
        }
        fn to_json(&self) -> Json {
            serde_json::json!({"dirty": true, "git_commit": "c", "version": "v4"})
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    #[test]
    fn struct_keeps_the_order_of_its_fields() {
        let value = Value::Object(std::rc::Rc::new(Build));
        let want = "{\"version\":\"v4\",\"git_commit\":\"c\",\"dirty\":true}";
        assert_eq!(text(marshal(&value, Html::Escape)), want);
    }

    #[test]
    fn freeze_and_thaw_go_through_json_text() {
        let entries = BTreeMap::from([
            (Str::from("whole"), Value::Float(3.0)),
            (Str::from("large"), Value::Float(9_223_372_036_854_774_784.0)),
            (Str::from("half"), Value::Float(0.5)),
            (Str::from("bad"), Value::string(b"\xe2\x82".to_vec())),
            (Str::from("nil"), Value::List(List { element: ElementType::String, items: None })),
        ]);
        let frozen = Value::map(entries).freeze();
        let want = serde_json::json!({
            "whole": 3, "large": 9_223_372_036_854_775_000_u64, "half": 0.5, "bad": "\u{fffd}\u{fffd}", "nil": null
        });
        assert_eq!(frozen, want);
        assert!(matches!(Value::thaw(&want["whole"]), Value::Float(3.0)));
    }
}
