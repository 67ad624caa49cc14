//! Reading values files, and laying one set of values over another.

use serde_json::Value as Json;

use super::strvals::{self, Reading};
use super::{Error, Object, coalesce};
use crate::value::Map;
use crate::yaml;

/// Reads a values file: all its documents, each laid over those before it.
///
/// # Errors
/// A document is no YAML, or no table.
pub fn read(file: &str, data: &[u8]) -> Result<Object, Error> {
    let mut values = Object::new();
    let text = with_ended_lines(data);
    let documents = documents(&text).map_err(|problem| Error::WrongShape { file: file.to_owned(), problem })?;
    for document in documents {
        let json = yaml::to_json(document).map_err(|source| Error::UnreadableFile { file: file.to_owned(), source })?;
        match json {
            Json::Null => {}
            Json::Object(document) => merge(&mut values, document),
            other => {
                let problem = format!("values are not a table but {}", first_word(&other));
                return Err(Error::WrongShape { file: file.to_owned(), problem });
            }
        }
    }
    Ok(values)
}

/// Lays `over` over `base`: tables are merged, everything else is replaced, nulls stay.
pub fn merge(base: &mut Object, over: Object) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Json::Object(below)), Json::Object(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The one value that a text stands for, as `--set` reads what follows its `=`; but a comma is part of it, and quotes around
/// it make it a string. `literal` takes it as it is.
///
/// # Errors
/// Bytes that are no text, or braces that do not hold a list; the sentence repeats nothing of either.
pub fn single(text: &[u8], literal: bool) -> Result<Json, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text in UTF-8")?;
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if literal {
        return Ok(text.into());
    }
    if let Some(within) = quoted('"').or_else(|| quoted('\'')) {
        return Ok(within.into());
    }
    let is_list = text.starts_with('{');
    let line = if is_list { format!("value={text}") } else { format!("value={}", escaped(text)) };
    let map = Map::any(Default::default());
    let read = strvals::parse_into(&line, &map, Reading::Typed);
    match (read, map.get(b"value")) {
        (Ok(()), Some(value)) if map.len() == 1 => Ok(value.freeze()),
        _ => Err("its braces do not hold a list, as {a,b} does; put quotes around a string that begins with a brace"),
    }
}

/// Sets what `path` names, in the words of `--set`, and makes the tables and lists on the way.
///
/// # Errors
/// The path is none, goes past a limit, or through something that is no table or list; `values` may then hold a part of it.
pub fn place(values: &Map, path: &str, value: &Json) -> Result<(), strvals::Error> {
    strvals::parse_into(&format!("{path}={value}"), values, Reading::Json)
}

/// The values with one of them set, as [`place`] does.
///
/// # Errors
/// As [`place`].
pub fn with(values: &Object, path: &str, value: &Json) -> Result<Object, strvals::Error> {
    let map = coalesce::thaw_object(values);
    place(&map, path, value)?;
    Ok(coalesce::freeze_map(&map))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn first_word(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
    }
}

/// The text as Helm's reader of lines hands it on: each line, the last one too, ends with a line feed alone.
fn with_ended_lines(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(data.len() + 1);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        text.push(b'\n');
    }
    text
}

/// The documents of a stream: cut at lines that start with `---`, after which only blanks or a comment may stand.
fn documents(data: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut documents = Vec::new();
    let mut start = 0;
    for line_start in std::iter::once(0).chain(memchr::memchr_iter(b'\n', data).map(|newline| newline + 1)) {
        let Some(rest) = data[line_start..].strip_prefix(b"---") else { continue };
        let rest = &rest[..memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1)];
        match String::from_utf8_lossy(rest).trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            other => return Err(format!("invalid Yaml document separator: {other}")),
        }
        // Where no document stands before it, the line belongs to the one it begins.
        if start < line_start {
            documents.push(&data[start..line_start]);
            start = line_start + "---".len() + rest.len();
        }
    }
    documents.push(&data[start..]);
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::coalesce::thaw_object;
    use crate::value::Value;
    use serde_json::json;

    #[test]
    fn one_value_has_the_type_that_set_gives_it() {
        for (text, value) in [
            ("", json!("")),
            ("5", json!(5)),
            ("007", json!("007")),
            ("1.5", json!("1.5")),
            ("true", json!(true)),
            ("null", json!(null)),
            ("a,b=c\\", json!("a,b=c\\")),
            ("two\nlines", json!("two\nlines")),
            ("\"5\"", json!("5")),
            ("'{x'", json!("{x")),
            ("\"", json!("\"")),
            ("{a,2}", json!(["a", 2])),
        ] {
            assert_eq!(single(text.as_bytes(), false), Ok(value), "{text}");
            assert_eq!(single(text.as_bytes(), true), Ok(json!(text)));
        }
        for text in ["{a", "{a}b", "{a},b=c", "{{{{{{"] {
            assert!(single(text.as_bytes(), false).is_err(), "{text}");
        }
        assert_eq!(single(b"\xff", true), Err("it is no text in UTF-8"));
    }

    #[test]
    fn one_value_goes_where_its_path_leads_and_leaves_the_rest() {
        let values = json!({"db": {"host": "h"}, "list": [{"a": 1}, 2], "text": "t"});
        let placed = |path: &str| {
            let map = thaw_object(values.as_object().unwrap());
            place(&map, path, &json!("x=1,y=2")).map(|()| Value::Map(map).freeze())
        };
        let with = |pointer: &str| {
            let mut values = values.clone();
            *values.pointer_mut(pointer).unwrap() = "x=1,y=2".into();
            Ok(values)
        };
        assert_eq!(placed("db.host"), with("/db/host"));
        assert_eq!(placed("list[0].a"), with("/list/0/a"));
        assert_eq!(placed("a\\.b").unwrap()["a.b"], "x=1,y=2");
        assert_eq!(placed("new.deep[1]").unwrap()["new"], json!({"deep": [null, "x=1,y=2"]}));
        assert!(matches!(placed("text.a"), Err(strvals::Error::OtherType { .. })));
        assert_eq!(placed("a[99999]"), Err(strvals::Error::IndexTooHigh(99_999)));
        assert_eq!(placed(&"a.".repeat(100_000)), Err(strvals::Error::TooDeep));
    }

    #[test]
    fn documents_are_laid_over_each_other() {
        let values = read("values.yaml", b"---\na: {x: 1, z: 2}\nb: 1\n---\na: {z: 3}\nb: null\n").unwrap();
        assert_eq!(Json::Object(values), json!({"a": {"x": 1, "z": 3}, "b": null}));
    }

    #[test]
    fn empty_files_give_no_values() {
        for text in ["", "---\n", "# only a comment\n", "\n---\n---\n"] {
            assert_eq!(read("values.yaml", text.as_bytes()).unwrap(), Object::new(), "{text:?}");
        }
    }

    /// What Helm answers was asked of it: to go-yaml, U+0085 ends a line too.
    #[test]
    fn the_last_line_is_ended() {
        for (text, want) in [
            ("a: |", json!({"a": ""})),
            ("a: |+\n  x", json!({"a": "x\n"})),
            ("a: |+\n  x\r", json!({"a": "x\n"})),
            ("a: |+\u{85}\u{85}", json!({"a": "\n\n"})),
            ("a: 1\n---\u{b}#\nb: 1\n---\u{a0}", json!({"a": 1, "b": 1})),
        ] {
            assert_eq!(Json::Object(read("values.yaml", text.as_bytes()).unwrap()), want, "{text:?}");
        }
    }

    #[test]
    fn values_must_be_a_table() {
        let error = read("values.yaml", b"- a\n").unwrap_err().to_string();
        assert_eq!(error, "cannot load values.yaml: values are not a table but a list");
    }
}
