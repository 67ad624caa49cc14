//! Data to YAML text as go-yaml writes it: `toYaml` with version 2, `toYamlPretty` with version 3.
//!
//! Collections are always written in block style, so of go-yaml's emitter only that part exists here. Which style a
//! scalar gets, and where a long one is folded, depends on the column it starts in and on what stands before it.

use base64::Engine;
use serde_json::Value as Json;

use super::order::{Key, sort_by_key};
use super::resolve::{Scalar, is_base_60, old_bool, resolve};
use super::scanner::break_size;
use super::{DEPTH_MAX, Dialect};
use crate::value::fmt::duration_text;
use crate::value::json::{Html, number as number_of, push_string};
use crate::value::strconv::{FloatFormat, format_float};
use crate::value::{IntType, List, Map, Value};

const INDENT_STEP: usize = 2;
/// How version 3 writes a time, bare.
const TIME_LAYOUT: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Version 2 breaks long scalars at spaces beyond this column.
const WIDTH: usize = 80;
/// A longer key needs a `?` in front.
const SIMPLE_KEY_BYTES_MAX: usize = 128;
/// Version 2 reads what it writes from JSON text first, and there a key may have this many characters.
const JSON_KEY_CHARACTERS_MAX: usize = 1024;

/// Version 3 writes base 64 that is not shorter than this in lines of this length.
const BINARY_LINE_CHARACTERS: usize = 70;

/// The value cannot be written directly: as JSON text it reads back as something else, or not at all.
#[derive(Debug)]
pub(super) struct Detour;

/// Writes live data.
pub(super) fn emit(value: &Value, dialect: Dialect) -> Result<Vec<u8>, Detour> {
    let mut emitter = Emitter::new(dialect, Odd::Refuse);
    emitter.value(value, Place::Root)?;
    Ok(emitter.finish())
}

/// Writes frozen data.
pub(super) fn emit_json(json: &Json, odd: Odd) -> Result<Vec<u8>, Detour> {
    let mut emitter = Emitter::new(Dialect::V2, odd);
    emitter.json(json, Place::Root)?;
    Ok(emitter.finish())
}

/// What to do with what does not survive the way through JSON text: some characters, long keys, deep nesting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    Refuse,
    /// Write it all the same, with escapes where needed. Frozen data can always be written so.
    Write,
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    /// A value of a mapping, or a key after `?`.
    Entry,
    /// A key on one line with its value.
    SimpleKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

struct Emitter {
    out: Vec<u8>,
    dialect: Dialect,
    odd: Odd,
    /// In characters.
    column: usize,
    /// `None` outside of any collection.
    indent: Option<usize>,
    depth: usize,
    /// The last character was a space, or a line has just begun.
    after_space: bool,
    /// Nothing but indentation and `-`, `?`, `:` stands on this line yet.
    in_indentation: bool,
}

impl Emitter {
    fn new(dialect: Dialect, odd: Odd) -> Self {
        Emitter {
            out: Vec::new(),
            dialect,
            odd,
            column: 0,
            indent: None,
            depth: 0,
            after_space: true,
            in_indentation: true,
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.start_line();
        self.out
    }

    // Data.

    fn json(&mut self, json: &Json, place: Place) -> Result<(), Detour> {
        match json {
            Json::Null => self.word("null"),
            Json::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), _, _) => self.word(&number.to_string()),
                (None, Some(number), _) => self.word(&number.to_string()),
                (None, None, Some(number)) => self.float(number)?,
                (None, None, None) => self.word(&number.to_string()),
            },
            Json::String(text) => self.text(text, place)?,
            Json::Array(items) => self.sequence(items, place, Emitter::json)?,
            Json::Object(fields) => {
                let entries = fields.iter().map(|(key, value)| (Key::from(key.as_str()), value)).collect();
                self.mapping(entries, Emitter::json)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, place: Place) -> Result<(), Detour> {
        match value {
            Value::Nil => self.word("null"),
            Value::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Value::Int(IntType::Duration, nanoseconds) if self.dialect == Dialect::V3 => {
                self.text(&duration_text(*nanoseconds), place)?;
            }
            Value::Int(_, number) => self.word(&number.to_string()),
            Value::Uint(_, number) => self.word(&number.to_string()),
            Value::Float(number) => self.float(*number)?,
            Value::Str(text) => self.bytes(text.as_bytes(), place)?,
            Value::Bytes(bytes) if self.dialect == Dialect::V2 => {
                self.text(&base64::engine::general_purpose::STANDARD.encode(bytes), place)?;
            }
            Value::Bytes(bytes) => self.sequence(bytes, place, |emitter, byte, _| {
                emitter.word(&byte.to_string());
                Ok(())
            })?,
            Value::List(List { items: None, .. }) | Value::Map(Map { entries: None, .. })
                if self.dialect == Dialect::V2 =>
            {
                self.word("null");
            }
            Value::List(list) => self.sequence(list.as_slice(), place, Emitter::value)?,
            Value::Map(map) => match &map.entries {
                None => self.mapping(Vec::new(), Emitter::value)?,
                Some(entries) => {
                    let entries = entries.borrow();
                    let entries = entries.iter().map(|(key, value)| (Key::new(key.as_bytes()), value)).collect();
                    self.mapping(entries, Emitter::value)?;
                }
            },
            Value::Object(object) if self.dialect == Dialect::V3 && object.type_name() == "time.Time" => {
                match object.call("Format", &[Value::string(TIME_LAYOUT)]) {
                    Ok(Value::Str(time)) => self.word(&time.to_text()),
                    _ => self.json(&object.to_json(), place)?,
                }
            }
            Value::Object(object) => match object.fields() {
                fields if self.dialect == Dialect::V3 && !fields.is_empty() => {
                    let is_exported = |(name, _): &&(&str, Value)| name.starts_with(|c: char| c.is_ascii_uppercase());
                    let fields = fields.iter().filter(is_exported);
                    let entries = fields.map(|(name, value)| (Key::from(name.to_lowercase()), value)).collect();
                    self.ordered_mapping(entries, Emitter::value)?;
                }
                _ => match object.to_json() {
                    // Nothing, or what JSON refuses: the way through JSON tells.
                    Json::Null => return Err(Detour),
                    json => self.json(&json, place)?,
                },
            },
        }
        Ok(())
    }

    fn float(&mut self, number: f64) -> Result<(), Detour> {
        let text = match self.dialect {
            Dialect::V2 if !number.is_finite() => return Err(Detour),
            // JSON writes whole numbers without a point, and they are read back as integers where they fit one.
            Dialect::V2 => match number_of(number) {
                integer if !integer.is_f64() => integer.to_string(),
                // go-yaml reads `-0` as an integer.
                _ if number == 0.0 => "0".into(),
                _ => format_float(number, FloatFormat::General, None),
            },
            Dialect::V3 if number.is_nan() => ".nan".into(),
            Dialect::V3 if number.is_infinite() => {
                if number > 0.0 {
                    ".inf".into()
                } else {
                    "-.inf".into()
                }
            }
            _ => format_float(number, FloatFormat::General, None),
        };
        self.word(&text);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], place: Place) -> Result<(), Detour> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text, place),
            Err(_) if self.dialect == Dialect::V2 => Err(Detour),
            Err(_) => {
                self.binary(bytes);
                Ok(())
            }
        }
    }

    /// What is not UTF-8, as version 3 writes it: tagged, in base 64, in lines of 70 characters if there are several.
    fn binary(&mut self, bytes: &[u8]) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        self.put_after_space("!!binary");
        self.in_indentation = false;
        self.after_space = false;
        let outer = self.indent;
        self.indent = Some(outer.map_or(INDENT_STEP, |indent| indent + INDENT_STEP));
        if encoded.len() < BINARY_LINE_CHARACTERS {
            self.put_after_space(&encoded);
        } else {
            let mut lines = String::new();
            for line in encoded.as_bytes().chunks(BINARY_LINE_CHARACTERS) {
                lines.extend(line.iter().map(|byte| char::from(*byte)));
                lines.push('\n');
            }
            self.write_literal(&lines);
        }
        self.indent = outer;
    }

    fn text(&mut self, text: &str, place: Place) -> Result<(), Detour> {
        let look = look_at(text, self.dialect);
        if look.is_odd && self.dialect == Dialect::V2 && self.odd == Odd::Refuse {
            return Err(Detour);
        }
        self.scalar(text, &look, place);
        Ok(())
    }

    fn sequence<T>(
        &mut self,
        items: &[T],
        place: Place,
        write: impl Fn(&mut Self, &T, Place) -> Result<(), Detour>,
    ) -> Result<(), Detour> {
        if items.is_empty() {
            self.word("[]");
            return Ok(());
        }
        let outer = self.indent;
        // Version 2 does not indent a sequence below its key.
        let is_unindented = self.dialect == Dialect::V2 && place == Place::Entry && !self.in_indentation;
        self.enter(if is_unindented { 0 } else { INDENT_STEP })?;
        for item in items {
            self.start_line();
            self.indicator("-");
            write(self, item, Place::Item)?;
        }
        self.leave(outer);
        Ok(())
    }

    fn mapping<T>(
        &mut self,
        mut entries: Vec<(Key<'_>, &T)>,
        write: impl Fn(&mut Self, &T, Place) -> Result<(), Detour>,
    ) -> Result<(), Detour> {
        sort_by_key(&mut entries, self.dialect);
        self.ordered_mapping(entries, write)
    }

    fn ordered_mapping<T>(
        &mut self,
        entries: Vec<(Key<'_>, &T)>,
        write: impl Fn(&mut Self, &T, Place) -> Result<(), Detour>,
    ) -> Result<(), Detour> {
        if entries.is_empty() {
            self.word("{}");
            return Ok(());
        }
        let outer = self.indent;
        self.enter(INDENT_STEP)?;
        for (key, value) in entries {
            self.start_line();
            self.key(&key)?;
            write(self, value, Place::Entry)?;
        }
        self.leave(outer);
        Ok(())
    }

    /// Writes a key and its colon.
    fn key(&mut self, key: &Key<'_>) -> Result<(), Detour> {
        let text = &*key.text;
        if let Some(bytes) = key.binary {
            return self.binary_key(bytes);
        }
        let look = look_at(text, self.dialect);
        if self.dialect == Dialect::V2
            && self.odd == Odd::Refuse
            && (look.is_odd || (text.len() > SIMPLE_KEY_BYTES_MAX && json_size(text) > JSON_KEY_CHARACTERS_MAX))
        {
            return Err(Detour);
        }
        if !look.has_breaks && text.len() <= SIMPLE_KEY_BYTES_MAX {
            self.scalar(text, &look, Place::SimpleKey);
            self.simple_colon();
        } else {
            self.indicator("?");
            self.scalar(text, &look, Place::Entry);
            self.start_line();
            self.indicator(":");
        }
        Ok(())
    }

    fn binary_key(&mut self, bytes: &[u8]) -> Result<(), Detour> {
        if self.dialect == Dialect::V2 {
            return Err(Detour);
        }
        let encoded_size = bytes.len().div_ceil(3) * 4;
        if encoded_size < BINARY_LINE_CHARACTERS {
            self.binary(bytes);
            self.simple_colon();
        } else {
            self.indicator("?");
            self.binary(bytes);
            self.start_line();
            self.indicator(":");
        }
        Ok(())
    }

    fn simple_colon(&mut self) {
        self.put(":");
        self.after_space = false;
        self.in_indentation = false;
    }

    fn enter(&mut self, step: usize) -> Result<(), Detour> {
        self.depth += 1;
        if self.depth > DEPTH_MAX && self.odd == Odd::Refuse {
            return Err(Detour);
        }
        self.indent = Some(self.indent.map_or(0, |indent| indent + step));
        Ok(())
    }

    fn leave(&mut self, outer: Option<usize>) {
        self.depth -= 1;
        self.indent = outer;
    }

    // Scalars.

    /// Writes text that needs no quotes.
    fn word(&mut self, word: &str) {
        self.put_after_space(word);
        self.after_space = false;
        self.in_indentation = false;
    }

    fn scalar(&mut self, text: &str, look: &Look, place: Place) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(INDENT_STEP, |indent| indent + INDENT_STEP));
        let may_fold = place != Place::SimpleKey && self.dialect == Dialect::V2;
        let style = style_of(text, look, place);
        match style {
            Style::Plain => {
                self.make_space();
                self.write_folded(text, may_fold, style);
            }
            Style::SingleQuoted => {
                self.put_after_space("'");
                self.write_folded(text, may_fold, style);
                self.put("'");
            }
            Style::DoubleQuoted => self.write_double_quoted(text, may_fold),
            Style::Literal => self.write_literal(text),
        }
        if style != Style::Literal {
            self.after_space = false;
            self.in_indentation = false;
        }
        self.indent = outer;
    }

    /// Writes plain text, or the inside of single quotes. A single space beyond [`WIDTH`] becomes a new line.
    fn write_folded(&mut self, text: &str, may_fold: bool, style: Style) {
        let is_quoted = style == Style::SingleQuoted;
        let cannot_fold = !may_fold || self.column + text.len() <= WIDTH;
        if cannot_fold && !(is_quoted && text.contains('\'')) && !has_break(text) {
            self.put(text);
            return;
        }
        let bytes = text.as_bytes();
        let (mut after_space, mut after_break) = (false, false);
        let mut at = 0;
        while at < bytes.len() {
            let is_inside = !is_quoted || (at > 0 && at < bytes.len() - 1);
            let size = break_size(bytes, at);
            if bytes[at] == b' ' {
                let folds = may_fold && !after_space && self.column > WIDTH && is_inside;
                if folds && bytes.get(at + 1) != Some(&b' ') {
                    self.start_line();
                } else {
                    self.put(" ");
                }
                after_space = true;
                at += 1;
            } else if size > 0 {
                if !after_break && bytes[at] == b'\n' {
                    self.put_break();
                }
                at += self.copy_break(text, at);
                self.in_indentation = true;
                after_break = true;
            } else {
                if after_break {
                    self.start_line();
                }
                let end = word_end(bytes, at, is_quoted);
                if end == at {
                    self.put("''");
                    at += 1;
                } else {
                    self.put(&text[at..end]);
                    at = end;
                }
                self.in_indentation = false;
                (after_space, after_break) = (false, false);
            }
        }
    }

    fn write_double_quoted(&mut self, text: &str, may_fold: bool) {
        self.put_after_space("\"");
        self.after_space = false;
        self.in_indentation = false;
        // go-yaml takes everything in a text that begins with a byte order mark for one.
        let escapes_all = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut plain_start = 0;
        for (at, c) in text.char_indices() {
            if c == ' ' && !escapes_all {
                let is_inside = at > 0 && at < text.len() - 1;
                if may_fold && !after_space && is_inside {
                    self.put(&text[plain_start..at]);
                    plain_start = at;
                    if self.column > WIDTH {
                        self.start_line();
                        if text.as_bytes()[at + 1] == b' ' {
                            self.put("\\");
                        }
                        plain_start = at + 1;
                    }
                }
                after_space = true;
            } else if escapes_all || needs_escape(c) {
                self.put(&text[plain_start..at]);
                self.put_escape(c);
                plain_start = at + c.len_utf8();
                after_space = false;
            } else {
                after_space = false;
            }
        }
        self.put(&text[plain_start..]);
        self.put("\"");
    }

    fn put_escape(&mut self, c: char) {
        let code: u32 = c.into();
        let escape = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0b' => "\\v",
            '\x0c' => "\\f",
            '\r' => "\\r",
            '\x1b' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ if code <= 0xff => return self.put(&format!("\\x{code:02X}")),
            _ if code <= 0xffff => return self.put(&format!("\\u{code:04X}")),
            _ => return self.put(&format!("\\U{code:08X}")),
        };
        self.put(escape);
    }

    fn write_literal(&mut self, text: &str) {
        self.put_after_space("|");
        let bytes = text.as_bytes();
        if bytes[0] == b' ' || break_size(bytes, 0) > 0 {
            self.put(INDENT_HINT);
        }
        self.put(chomping_hint(text));
        self.put_break();
        self.after_space = true;
        let mut after_break = true;
        let mut at = 0;
        while at < bytes.len() {
            if break_size(bytes, at) > 0 {
                at += self.copy_break(text, at);
                self.in_indentation = true;
                after_break = true;
                continue;
            }
            if after_break {
                self.start_line();
            }
            let mut end = at + 1;
            while end < bytes.len() && break_size(bytes, end) == 0 {
                end += 1;
            }
            self.put(&text[at..end]);
            at = end;
            self.in_indentation = false;
            after_break = false;
        }
    }

    // Characters.

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.column += if text.len() < 8 { text.chars().count() } else { count_characters(text) };
    }

    fn make_space(&mut self) {
        if !self.after_space {
            self.put(" ");
        }
    }

    fn put_after_space(&mut self, text: &str) {
        self.make_space();
        self.put(text);
    }

    fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.in_indentation = true;
    }

    /// Copies a line break as it is and returns its size.
    fn copy_break(&mut self, text: &str, at: usize) -> usize {
        let width = text[at..].chars().next().map_or(1, char::len_utf8);
        self.out.extend_from_slice(&text.as_bytes()[at..at + width]);
        self.column = 0;
        width
    }

    /// `-`, `?` or `:` of a block.
    fn indicator(&mut self, indicator: &str) {
        self.put_after_space(indicator);
        self.after_space = false;
    }

    /// Goes to the indentation, on a new line unless this one has nothing but indentation.
    fn start_line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.in_indentation || self.column > indent || (self.column == indent && !self.after_space) {
            self.put_break();
        }
        if self.column < indent {
            self.out.resize(self.out.len() + indent - self.column, b' ');
            self.column = indent;
        }
        self.after_space = true;
        self.in_indentation = true;
    }
}

/// Tells how deep a literal is indented when its first line begins with a space.
const INDENT_HINT: &str = "2";

/// What a text holds that decides how it can be written.
struct Look {
    /// Read back without quotes, it is still text.
    is_text: bool,
    has_breaks: bool,
    plain_fits: bool,
    single_quoted_fits: bool,
    block_fits: bool,
    /// JSON text of it does not read back as the same.
    is_odd: bool,
}

fn look_at(text: &str, dialect: Dialect) -> Look {
    let mut look = Look {
        is_text: resolve(text, dialect, true) == Scalar::Text
            && !is_base_60(text)
            && !(dialect == Dialect::V3 && old_bool(text).is_some()),
        has_breaks: false,
        plain_fits: true,
        single_quoted_fits: true,
        block_fits: true,
        is_odd: false,
    };
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        look.block_fits = false;
        return look;
    };
    let is_blank = |at: usize| matches!(bytes.get(at), None | Some(b' ' | b'\t'));
    let mut has_indicator = text.starts_with("---") || text.starts_with("...");
    has_indicator |= match first {
        b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@'
        | b'`' => true,
        b'?' | b':' | b'-' => is_blank(1),
        _ => false,
    };
    let (mut has_tab, mut has_special, mut break_then_space, mut space_then_break) = (false, false, false, false);
    let (mut after_space, mut after_break) = (false, false);
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let mut width = 1;
        let mut is_break = false;
        match byte {
            b' ' => {
                break_then_space |= after_break;
                (after_space, after_break) = (true, false);
                at += 1;
                continue;
            }
            b':' => has_indicator |= is_blank(at + 1),
            b'#' => has_indicator |= at > 0 && (after_space || after_break || matches!(bytes[at - 1], b'\t' | 0)),
            b'\n' => is_break = true,
            b'!'..=b'~' => {}
            b'\t' if dialect == Dialect::V3 => has_tab = true,
            b'\r' => {
                is_break = true;
                has_special = true;
            }
            0x7f => {
                has_special = true;
                look.is_odd = true;
            }
            0..=0x1f => has_special = true,
            _ => {
                let c = text[at..].chars().next().unwrap_or_default();
                width = c.len_utf8();
                is_break = matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
                has_special |= !is_printable(c);
                look.is_odd |= matches!(c, '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
            }
        }
        if is_break {
            look.has_breaks = true;
            space_then_break |= after_space;
        }
        (after_space, after_break) = (false, is_break);
        at += width;
    }
    let begins_with_space = first == b' ' || break_size(bytes, 0) > 0;
    let ends_with_space = last == b' ' || after_break;
    look.plain_fits = !(begins_with_space
        || ends_with_space
        || break_then_space
        || space_then_break
        || has_special
        || has_tab
        || look.has_breaks
        || has_indicator);
    look.single_quoted_fits = !(break_then_space || space_then_break || has_special || has_tab);
    look.block_fits = last != b' ' && !space_then_break && !has_special;
    look
}

fn style_of(text: &str, look: &Look, place: Place) -> Style {
    let single_or_double = if look.single_quoted_fits { Style::SingleQuoted } else { Style::DoubleQuoted };
    if text.contains('\n') {
        if look.block_fits && place != Place::SimpleKey { Style::Literal } else { Style::DoubleQuoted }
    } else if !look.is_text || (place == Place::SimpleKey && look.has_breaks) {
        Style::DoubleQuoted
    } else if look.plain_fits {
        Style::Plain
    } else {
        single_or_double
    }
}

/// Whether go-yaml writes the character as it is. It does so with nothing beyond the basic plane.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\n' | '\u{2028}' | '\u{2029}') || !is_printable(c)
}

fn has_break(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| break_size(bytes, at) > 0)
}

/// Where a run ends that can be copied at once: at a space, a break, or a quote that must be doubled.
fn word_end(bytes: &[u8], start: usize, is_quoted: bool) -> usize {
    let is_end = |at: usize| match bytes[at] {
        b' ' => true,
        b'\'' => is_quoted,
        b'\n' | b'\r' | 0xc2 | 0xe2 => break_size(bytes, at) > 0,
        _ => false,
    };
    (start..bytes.len()).find(|at| is_end(*at)).unwrap_or(bytes.len())
}

/// `-` if the text does not end in a line break, `+` if it ends in several or is nothing else.
fn chomping_hint(text: &str) -> &'static str {
    let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut from_end = text.chars().rev();
    match (from_end.next().is_some_and(is_break), from_end.next().is_none_or(is_break)) {
        (false, _) => "-",
        (true, true) => "+",
        (true, false) => "",
    }
}

fn count_characters(text: &str) -> usize {
    text.bytes().filter(|byte| (*byte as i8) >= -0x40).count()
}

/// The characters of a key as JSON text, its quotes included.
fn json_size(key: &str) -> usize {
    let mut quoted = Vec::new();
    push_string(&mut quoted, key.as_bytes(), Html::Escape);
    String::from_utf8_lossy(&quoted).chars().count()
}
