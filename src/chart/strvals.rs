//! The language of `--set`: `image.tag=1.2,ports[0].name=web,hosts={a,b}`.
//!
//! The names and limits are Helm's; a value without quotes becomes an `int64`, a bool, nil or a string. Indexes and
//! nesting are bounded because these lines also come from `valuesFrom.targetPath`, which is untrusted.

use crate::value::{Map, Value};

/// The highest list index, as in Helm.
pub const INDEX_MAX: usize = 65_536;
/// How deep names (`a.b.c`) and indexes (`a[0][1]`) may nest. Helm counts only the names.
pub const NESTING_MAX: usize = 30;
/// How many list elements one line may make or copy.
pub const ELEMENTS_MAX: usize = 1_048_576;

/// What a value's text becomes.
pub enum Reading<'r> {
    /// `--set`: int64, bool, nil, or a string.
    Typed,
    /// `--set-string`: always a string.
    Text,
    /// `--set-json`: each value is JSON text.
    Json,
    /// `--set-file`: the value is a name, and this finds the content.
    Content(&'r mut dyn FnMut(&str) -> Result<String, String>),
    /// `--set-literal`: all that follows the first `=` is one string; nothing is quoted.
    Literal,
}

/// Why a line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("key {0:?} has no value")]
    NoValue(String),
    #[error("key {0:?} has no value (cannot end with ,)")]
    EndsWithComma(String),
    #[error("key map {0:?} has no value")]
    NoValueInMap(String),
    #[error("unable to parse key: {key:?} holds a {found}, not a {wanted}")]
    OtherType { key: String, found: String, wanted: &'static str },
    #[error("error parsing index: {0:?} is not a number")]
    BadIndex(String),
    #[error("index {0:?} has no closing bracket")]
    OpenIndex(String),
    #[error("negative {0} index not allowed")]
    NegativeIndex(i64),
    #[error("index of {0} is greater than maximum supported index of {INDEX_MAX}")]
    IndexTooHigh(i64),
    #[error("value name nested level is greater than maximum supported nested level of {NESTING_MAX}")]
    TooDeep,
    #[error("lists of more than {ELEMENTS_MAX} elements in one line")]
    TooManyElements,
    #[error("unexpected data at end of array index: {0:?}")]
    DataAfterIndex(String),
    #[error("list must terminate with '}}'")]
    OpenList,
    #[error("invalid JSON: {0}")]
    BadJson(String),
    #[error("{0}")]
    Content(String),
}

/// Reads `line` and sets what it names in `destination`, in place.
///
/// # Errors
/// The line is malformed or goes past a limit; `destination` may then hold a part of it.
pub fn parse_into(line: &str, destination: &Map, reading: Reading<'_>) -> Result<(), Error> {
    let mut parser = Parser { rest: line, reading, elements_left: ELEMENTS_MAX };
    while parser.key(destination, 0)? == Next::Key {}
    Ok(())
}

struct Parser<'l, 'r> {
    rest: &'l str,
    reading: Reading<'r>,
    elements_left: usize,
}

#[derive(PartialEq, Eq)]
enum Next {
    Key,
    End,
}

impl Parser<'_, '_> {
    /// One `name…=value` and the comma after it.
    fn key(&mut self, data: &Map, depth: usize) -> Result<Next, Error> {
        let (key, stop) = match self.reading {
            Reading::Literal => self.until(&['=', '[', '.']),
            Reading::Typed | Reading::Text | Reading::Json | Reading::Content(_) => self.until(&['=', '[', ',', '.']),
        };
        match stop {
            None if key.is_empty() => Ok(Next::End),
            None => Err(Error::NoValue(key)),
            Some('[') => {
                let index = self.index()?;
                let list = match data.get(key.as_bytes()) {
                    None => Vec::new(),
                    Some(Value::List(list)) => list.as_slice().to_vec(),
                    Some(other) => return Err(other_type(&key, &other, "list")),
                };
                let (list, next) = self.item(list, index, depth + 1)?;
                set(data, key, Value::list(list));
                Ok(next)
            }
            Some('=') => {
                let at_end = self.rest.is_empty() && !matches!(self.reading, Reading::Json | Reading::Literal);
                let value = self.value()?;
                set(data, key, value);
                Ok(if at_end { Next::End } else { Next::Key })
            }
            Some('.') => {
                if depth + 1 > NESTING_MAX {
                    return Err(Error::TooDeep);
                }
                let inner = match data.get(key.as_bytes()) {
                    None => Map::any(Default::default()),
                    Some(Value::Map(map)) => map,
                    Some(other) => return Err(other_type(&key, &other, "map")),
                };
                let next = self.key(&inner, depth + 1)?;
                if inner.is_empty() {
                    if next == Next::Key {
                        return Err(Error::NoValueInMap(key));
                    }
                } else {
                    set(data, key, Value::Map(inner));
                }
                Ok(next)
            }
            Some(_) => Err(Error::EndsWithComma(key)),
        }
    }

    /// What follows `name[index]`: more of the name, or the value.
    fn item(&mut self, mut list: Vec<Value>, index: i64, depth: usize) -> Result<(Vec<Value>, Next), Error> {
        let index = match usize::try_from(index) {
            Err(_) => return Err(Error::NegativeIndex(index)),
            Ok(position) if position > INDEX_MAX => return Err(Error::IndexTooHigh(index)),
            Ok(position) => position,
        };
        if depth > NESTING_MAX {
            return Err(Error::TooDeep);
        }
        let (between, stop) = self.until(&['[', '.', '=']);
        if !between.is_empty() {
            return Err(Error::DataAfterIndex(between));
        }
        let value = match stop {
            Some('=') => self.value()?,
            Some('[') => {
                let next_index = self.index()?;
                let inner = match list.get(index) {
                    None | Some(Value::Nil) => Vec::new(),
                    Some(Value::List(inner)) => inner.as_slice().to_vec(),
                    Some(other) => return Err(other_type(&format!("[{index}]"), other, "list")),
                };
                match self.item(inner, next_index, depth + 1)? {
                    (inner, Next::Key) => Value::list(inner),
                    (_, Next::End) => return Ok((list, Next::End)),
                }
            }
            Some(_) => {
                let inner = match list.get(index) {
                    Some(Value::Map(map)) => map.clone(),
                    _ => Map::any(Default::default()),
                };
                let next = self.key(&inner, depth + 1)?;
                // An empty value at the end of the line (`a[0].b=`) is lost where the element is new, as in Helm.
                if next == Next::End && list.len() <= index {
                    return Ok((list, next));
                }
                Value::Map(inner)
            }
            None => return Err(Error::NoValue(format!("[{index}]"))),
        };
        // Lists are copied to be changed, so each change costs their length.
        let length = list.len().max(index + 1);
        self.elements_left = self.elements_left.checked_sub(length).ok_or(Error::TooManyElements)?;
        list.resize(length, Value::Nil);
        list[index] = value;
        Ok((list, Next::Key))
    }

    fn index(&mut self) -> Result<i64, Error> {
        let (text, stop) = self.until(&[']']);
        match stop {
            Some(_) => text.parse().map_err(|_| Error::BadIndex(text)),
            None => Err(Error::OpenIndex(text)),
        }
    }

    /// The value after a `=`, and the comma after it.
    fn value(&mut self) -> Result<Value, Error> {
        match self.reading {
            Reading::Json => return self.json(),
            Reading::Literal => return Ok(Value::string(std::mem::take(&mut self.rest))),
            Reading::Typed | Reading::Text | Reading::Content(_) => {}
        }
        if self.rest.is_empty() {
            return Ok(Value::string(""));
        }
        if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest;
            return self.list();
        }
        let (text, _) = self.until(&[',']);
        self.read(text)
    }

    /// The elements of `{a,b}`, after its brace.
    fn list(&mut self) -> Result<Value, Error> {
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            let stop = stop.ok_or(Error::OpenList)?;
            items.push(self.read(text)?);
            if stop == '}' {
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                return Ok(Value::list(items));
            }
        }
    }

    fn json(&mut self) -> Result<Value, Error> {
        if self.skip_blanks_and_comma() {
            return Ok(Value::Nil);
        }
        let scalar = scalar_length(self.rest).and_then(|length| self.rest.get(..length));
        let text = scalar.unwrap_or(self.rest);
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
        let value = match values.next() {
            Some(value) => value.map_err(|error| Error::BadJson(error.to_string()))?,
            None => return Err(Error::BadJson("no value".into())),
        };
        self.rest = &self.rest[values.byte_offset()..];
        self.skip_blanks_and_comma();
        Ok(Value::thaw(&value))
    }

    /// Skips blanks up to and with a comma or the end, and tells whether it got there.
    fn skip_blanks_and_comma(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(',') {
            Some(rest) => self.rest = rest,
            None => return self.rest.is_empty(),
        }
        true
    }

    fn read(&mut self, text: String) -> Result<Value, Error> {
        match &mut self.reading {
            Reading::Typed => Ok(typed(text)),
            Reading::Text | Reading::Json | Reading::Literal => Ok(Value::string(text)),
            Reading::Content(content) => content(&text).map(Value::string).map_err(Error::Content),
        }
    }

    /// The text up to one of the stops, which is consumed; `\` quotes the character after it.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if !matches!(self.reading, Reading::Literal) => match chars.next() {
                    Some(quoted) => text.push(quoted),
                    None => break,
                },
                stop if stops.contains(&stop) => {
                    self.rest = chars.as_str();
                    return (text, Some(stop));
                }
                other => text.push(other),
            }
        }
        self.rest = "";
        (text, None)
    }
}

/// Sets a key, except the empty one, which Helm passes over.
fn set(data: &Map, key: String, value: Value) {
    if !key.is_empty() {
        data.set(key, value);
    }
}

fn typed(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Nil;
    }
    // A leading zero marks a string: build numbers, phone numbers.
    if (text == "0" || !text.starts_with('0'))
        && let Ok(number) = text.parse()
    {
        return Value::int64(number);
    }
    Value::string(text)
}

fn other_type(key: &str, found: &Value, wanted: &'static str) -> Error {
    Error::OtherType { key: key.to_owned(), found: found.type_name(), wanted }
}

/// How long the number or the word is that a JSON text begins with. It ends there for Go, whatever follows.
fn scalar_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let after_digits = |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.first()? {
        b'n' | b't' => Some(4),
        b'f' => Some(5),
        b'-' | b'0'..=b'9' => {
            let start = usize::from(bytes[0] == b'-');
            let mut end = if bytes.get(start) == Some(&b'0') { start + 1 } else { after_digits(start) };
            if bytes.get(end) == Some(&b'.') {
                end = after_digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                let is_signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
                end = after_digits(end + 1 + usize::from(is_signed));
            }
            Some(end)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(line: &str) -> Result<serde_json::Value, Error> {
        let map = Map::any(Default::default());
        parse_into(line, &map, Reading::Typed).map(|()| Value::Map(map).freeze())
    }

    #[test]
    fn lines_set_what_helm_sets() {
        for (line, want) in [
            ("name1=value1,name2=value2", json!({"name1": "value1", "name2": "value2"})),
            ("name1=,name2=value2", json!({"name1": "", "name2": "value2"})),
            ("leading_zeros=00009", json!({"leading_zeros": "00009"})),
            (
                "zero=0,neg=-1,float=1.5,yes=TRUE,no=null",
                json!({"zero": 0, "neg": -1, "float": "1.5", "yes": true, "no": null}),
            ),
            ("name1={1021,902}", json!({"name1": [1021, 902]})),
            ("list={a,b},x=1", json!({"list": ["a", "b"], "x": 1})),
            ("list[0].foo=bar,list[0].hello=world", json!({"list": [{"foo": "bar", "hello": "world"}]})),
            ("list[1]=x", json!({"list": [null, "x"]})),
            ("nested[1][1]=1", json!({"nested": [null, [null, 1]]})),
            ("a.b.c=d,a.b.e=f", json!({"a": {"b": {"c": "d", "e": "f"}}})),
            (r"name1=one\,two,name2=x\=y", json!({"name1": "one,two", "name2": "x=y"})),
            (r"kube\.io/a=b", json!({"kube.io/a": "b"})),
            ("a=", json!({"a": ""})),
            ("a[0].b=", json!({"a": []})),
        ] {
            assert_eq!(check(line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in ["name1", "name1=value1,name2", "list[x]=1", "list[-1]=1", "list={a,b", "l[0]x=1"] {
            assert!(check(line).is_err(), "{line}");
        }
    }

    /// Helm takes these for the end of the line and says nothing.
    #[test]
    fn differs_from_helm_an_open_index_is_refused() {
        for line in ["a[0", "a[0]", "a=1,b["] {
            assert!(check(line).is_err(), "{line}");
        }
    }

    #[test]
    fn limits_hold_at_once() {
        assert_eq!(check("a[999999999]=1"), Err(Error::IndexTooHigh(999_999_999)));
        assert_eq!(check(&format!("{}=1", vec!["a"; 100_000].join("."))), Err(Error::TooDeep));
        assert_eq!(check(&format!("a{}=1", "[0]".repeat(100_000))), Err(Error::TooDeep));
        let wide: Vec<String> = (0..100).map(|n| format!("a{n}[65536]=1")).collect();
        assert_eq!(check(&wide.join(",")), Err(Error::TooManyElements));
        assert_eq!(check(&"a[65535]=1,".repeat(10_000)), Err(Error::TooManyElements));
        assert!(check(&"{".repeat(100_000)).is_err());
    }

    #[test]
    fn json_values_stand_between_commas() {
        let map = Map::any(Default::default());
        parse_into(r#"a={"b": [1, 2]}, c.d=null,e="x,y",f="#, &map, Reading::Json).unwrap();
        assert_eq!(Value::Map(map).freeze(), json!({"a": {"b": [1, 2]}, " c": {"d": null}, "e": "x,y", "f": null}));
    }
}
