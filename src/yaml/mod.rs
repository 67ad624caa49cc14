//! YAML as Helm and kubectl read and write it: go-yaml's bytes, both ways.
//!
//! Reading follows sigs.k8s.io/yaml 1.6 on go.yaml.in/yaml v2: YAML 1.1 (`yes` is a bool, `0777` is 511), then made
//! JSON. Writing follows the same library (`toYaml`) and go.yaml.in/yaml v3 (`toYamlPretty`). Error texts are Go's.
//! Nothing here knows charts or Kubernetes.
//!
//! The way in: `reader` (bytes to text) → `scanner` (tokens) → `parser` (nodes) → `decode` (JSON), with
//! `resolve` for the types of plain scalars. The way out: `emit`, with `order` for the keys.
//!
//! Bounds that go-yaml does not have, because charts are untrusted input: [`DEPTH_MAX`], [`NODES_MAX`],
//! [`ALIAS_BYTES_MAX`].

mod decode;
mod emit;
mod error;
mod lines;
mod order;
mod parser;
mod reader;
mod resolve;
mod scanner;

use serde_json::Value as Json;

pub use error::Error;
pub use lines::{KeyPath, key_lines};

use crate::value::Value;
use crate::value::json::{self, Html};
use emit::Odd;
use error::Step;
use parser::Parser;

/// How deep collections may be nested. The deepest CRD schemas have some forty levels; go-yaml stops at 10,000, which
/// would take more stack than our threads have.
pub const DEPTH_MAX: usize = 200;

/// How many nodes one document may have, those that aliases repeat included.
pub const NODES_MAX: usize = 2_000_000;

/// How many bytes of text aliases may repeat in one document.
pub const ALIAS_BYTES_MAX: usize = 64 << 20;

/// Which version of go-yaml is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Where it begins: the line of its first node, from 1; of its `---` if it is empty.
    pub line: usize,
    /// `Null` for an empty document.
    pub value: Json,
}

/// Reads the first document of a stream, as sigs.k8s.io/yaml `Unmarshal` does; the rest of the stream is not looked at.
///
/// Keys become strings (`yes: 1` has the key `true`), of equal keys the last wins, integers stay exact where a 64-bit
/// type holds them. An empty stream is `Null`.
///
/// # Errors
/// The text is no YAML, it has no form in JSON (a null key, `.inf`), or a bound is passed.
pub fn to_json(bytes: &[u8]) -> Result<Json, Error> {
    first_document(bytes).map_err(|error| error.in_step(Step::YamlToJson))
}

/// As [`to_json`], but of a table only the fields are given back whose key is wanted, and those whose key is no text. The
/// rest is read, and its faults are told.
///
/// # Errors
/// As [`to_json`].
pub fn fields_to_json(bytes: &[u8], is_wanted: fn(&str) -> bool) -> Result<Json, Error> {
    let decode = |document: &parser::Document<'_>| decode::decode_fields(document, is_wanted);
    first_document_by(bytes, decode).map_err(|error| error.in_step(Step::YamlToJson))
}

/// As [`to_json`], and a key that comes twice is an error, as for `UnmarshalStrict`.
///
/// # Errors
/// As [`to_json`]; repeated keys are named with their lines.
pub fn to_json_strictly(bytes: &[u8]) -> Result<Json, Error> {
    first_document_by(bytes, decode::decode_strictly).map_err(|error| error.in_step(Step::YamlToJson))
}

fn first_document(bytes: &[u8]) -> Result<Json, Error> {
    first_document_by(bytes, decode::decode)
}

fn first_document_by(
    bytes: &[u8],
    decode: impl FnOnce(&parser::Document<'_>) -> Result<Json, Error>,
) -> Result<Json, Error> {
    let input = reader::read(bytes);
    match Parser::new(&input).next_document()? {
        Some(document) => decode(&document),
        None => Ok(Json::Null),
    }
}

/// Reads all documents of a stream; empty ones are `Null`.
///
/// # Errors
/// As [`to_json`], for any of the documents; [`Error::line`] counts from the start of the stream.
pub fn documents(bytes: &[u8]) -> Result<Vec<Document>, Error> {
    let input = reader::read(bytes);
    let mut parser = Parser::new(&input);
    let mut documents = Vec::new();
    while let Some(document) = parser.next_document()? {
        documents.push(Document { line: document.line + 1, value: decode::decode(&document)? });
    }
    Ok(documents)
}

/// Writes a value as sigs.k8s.io/yaml `Marshal` does: as JSON, read back, written as YAML. Helm's `toYaml` is this
/// without the last newline.
///
/// # Errors
/// The value has no form in JSON (NaN, a map that holds itself), or its JSON text is no YAML (some control characters).
pub fn marshal(value: &Value) -> Result<String, Error> {
    let emitted = match emit::emit(value, Dialect::V2) {
        Ok(emitted) => emitted,
        Err(emit::Detour) => {
            let json = json::marshal(value, Html::Escape).map_err(|text| Error::json(text).in_step(Step::ToJson))?;
            emit_leniently(&first_document(&json)?)
        }
    };
    Ok(into_text(emitted))
}

/// Writes frozen data as [`marshal`] does.
///
/// What [`marshal`] refuses is written all the same: characters escaped, keys and nesting as they are.
pub fn marshal_json(json: &Json) -> String {
    let emitted = emit::emit_json(json, Odd::Refuse).unwrap_or_else(|emit::Detour| {
        let reread = first_document(&json::write_frozen(json));
        emit_leniently(reread.as_ref().unwrap_or(json))
    });
    into_text(emitted)
}

/// Writes a value as the encoder of go.yaml.in/yaml v3 does with an indent of 2: Helm's `toYamlPretty` is this without
/// the last newline.
///
/// # Errors
/// A map holds itself, or is nested deeper than [`DEPTH_MAX`].
pub fn marshal_pretty(value: &Value) -> Result<String, Error> {
    match emit::emit(value, Dialect::V3) {
        Ok(emitted) => Ok(into_text(emitted)),
        Err(emit::Detour) => Err(Error::plain(None, format!("exceeded max depth of {DEPTH_MAX}"))),
    }
}

/// How sigs.k8s.io/yaml reads a number or bool into a field that is a string (`appVersion: 1.10` is `1.1`).
///
/// `None` where it does not: for a null, a string or a collection.
pub fn as_string_field(json: &Json) -> Option<String> {
    match json {
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) if number.is_f64() => number.as_f64().map(decode::float_text),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn emit_leniently(json: &Json) -> Vec<u8> {
    emit::emit_json(json, Odd::Write).expect("Odd::Write refuses nothing")
}

fn into_text(emitted: Vec<u8>) -> String {
    String::from_utf8(emitted).expect("the emitter writes whole characters only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_not_wanted_are_read_all_the_same() {
        let fields = |text: &str| fields_to_json(text.as_bytes(), |key| key == "a");
        assert_eq!(fields("b: {c: 1}\na: 1\n2: x\nb: 3\n").unwrap(), serde_json::json!({"a": 1, "2": "x"}));
        assert_eq!(fields("- b: 1\n").unwrap(), serde_json::json!([{"b": 1}]));
        for text in ["b: .inf\na: 1\n", "b: {null: 1}\n", "b: *x\n", "b: !!int x\n", "a: 1\nb: {<<: 1}\n"] {
            let (found, whole) = (fields(text).unwrap_err(), to_json(text.as_bytes()).unwrap_err());
            assert_eq!(found.to_string(), whole.to_string());
        }
    }

    #[test]
    fn keys_that_come_twice_are_named_where_asked_for() {
        // The text is what Helm's linter prints for such a Chart.yaml.
        let text = b"name: a\nlist:\n  - {b: 1, b: 2}\nname: c\n1: d\n1: e\n";
        assert_eq!(to_json(text).unwrap()["name"], "c");
        assert_eq!(
            to_json_strictly(text).unwrap_err().to_string(),
            "error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: key \"b\" already set in map\n  \
             line 4: key \"name\" already set in map\n  line 6: key 1 already set in map"
        );
        assert_eq!(to_json_strictly(b"a: 1\n").unwrap()["a"], 1);
    }
    use crate::value::{ElementType, IntType, List, Map};

    /// The lines of a golden file.
    fn cases(golden: &str) -> impl Iterator<Item = Json> {
        golden.lines().filter(|line| !line.starts_with('#')).map(|line| serde_json::from_str(line).unwrap())
    }

    /// The bytes a golden file means: `\ue0XX` stands for a byte that is no part of UTF-8.
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

    #[test]
    fn reads_what_go_reads() {
        for case in cases(include_str!("golden/read.jsonl")) {
            let input = case["in"].as_str().unwrap();
            match to_json(&bytes_of(input)) {
                Ok(json) => {
                    let written = String::from_utf8(json::write_frozen(&json)).unwrap();
                    assert_eq!(Some(written.as_str()), case["json"].as_str(), "{input:?}");
                }
                Err(error) => assert_eq!(Some(error.to_string().as_str()), case["error"].as_str(), "{input:?}"),
            }
        }
    }

    #[test]
    fn writes_what_go_writes() {
        for case in cases(include_str!("golden/write.jsonl")) {
            let value = Value::thaw(&case["value"]);
            match marshal(&value) {
                Ok(written) => {
                    assert_eq!(Some(written.as_str()), case["yaml"].as_str());
                    assert_eq!(marshal_json(&case["value"]), written);
                }
                Err(error) => assert_eq!(Some(error.to_string().as_str()), case["error"].as_str()),
            }
            assert_eq!(Some(marshal_pretty(&value).unwrap().as_str()), case["pretty"].as_str());
        }
    }

    #[test]
    fn frozen_integers_stay_integers() {
        let json = serde_json::json!({"a": 123_456_789_012_345_678_i64, "b": 1_000_000, "c": 1.5, "d": "\u{7f}"});
        assert_eq!(marshal_json(&json), "a: 123456789012345678\nb: 1000000\nc: 1.5\nd: \"\\x7F\"\n");
    }

    #[test]
    fn frozen_data_is_always_written() {
        let deep = json::unmarshal(format!("{}1{}", "[".repeat(300), "]".repeat(300)).as_bytes()).unwrap();
        assert_eq!(marshal_json(&deep), format!("{}1\n", "- ".repeat(300)));
        let long_key = "k".repeat(2000);
        let json = serde_json::json!({ &long_key: "\u{7f}" });
        assert_eq!(marshal_json(&json), format!("? {long_key}\n: \"\\x7F\"\n"));
        assert!(marshal(&Value::thaw(&json)).is_err());
    }

    #[test]
    fn errors_tell_the_real_line() {
        let line = |text: &str| to_json(text.as_bytes()).unwrap_err().line;
        assert_eq!(line("a: b: c"), Some(1));
        assert_eq!(line("a:\n  b: 1\n c: 2"), Some(3));
        assert_eq!(line("a: 1\nb: *x"), Some(2));
        assert_eq!(line("a: 1\n[b]: 2"), Some(2));
        assert_eq!(line("a: 1\nb: \x01"), Some(2));
        let error = to_json(b"a: 1\nb: c: d").unwrap_err();
        assert_eq!(error.problem(), "mapping values are not allowed in this context");
        let text = "error converting YAML to JSON: yaml: line 2: mapping values are not allowed in this context";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn documents_know_where_they_begin() {
        let stream = b"# head\na: 1\n---\n---\n# comment\nb: 2\n...\n--- |\n  text\n";
        let found: Vec<_> =
            documents(stream).unwrap().into_iter().map(|document| (document.line, document.value)).collect();
        let want = vec![
            (2, serde_json::json!({"a": 1})),
            (3, Json::Null),
            (6, serde_json::json!({"b": 2})),
            (8, serde_json::json!("text\n")),
        ];
        assert_eq!(found, want);
        assert_eq!(documents(b"").unwrap(), Vec::new());
        assert_eq!(documents(b"a: 1\n---\nb: 2\nc\n").unwrap_err().line, Some(5));
    }

    #[test]
    fn anchors_end_with_their_document() {
        assert_eq!(documents(b"a: &x 1\n---\nb: *x\n").unwrap_err().problem(), "unknown anchor 'x' referenced");
    }

    #[test]
    fn differs_from_go_yaml_in_stopping_at_200_levels() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
            assert_eq!(to_json(text.as_bytes()).unwrap_err().problem(), "exceeded max depth of 200");
        }
        let allowed = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let value = Value::thaw(&to_json(allowed.as_bytes()).unwrap());
        assert_eq!(to_json(marshal(&value).unwrap().as_bytes()).unwrap(), value.freeze());
    }

    #[test]
    fn alias_chains_are_bounded() {
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for link in 1..5000 {
            chain.push_str(&format!("a{link}: &a{link} [*a{}]\n", link - 1));
        }
        assert_eq!(to_json(chain.as_bytes()).unwrap_err().problem(), "exceeded max depth of 200");
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", ")));
        }
        assert_eq!(to_json(laughs.as_bytes()).unwrap_err().problem(), "document contains excessive aliasing");

        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 900].join(", "));
        assert_eq!(to_json(long.as_bytes()).unwrap_err().problem(), "document contains excessive aliasing");
    }

    #[test]
    fn too_many_nodes_are_refused() {
        let text = "- \n".repeat(NODES_MAX + 1);
        assert_eq!(to_json(text.as_bytes()).unwrap_err().problem(), "exceeded 2000000 nodes");
    }

    #[test]
    fn later_bad_bytes_do_not_hide_earlier_errors() {
        let text = format!("a: b: c\n{}\x01", "# comment\n".repeat(100));
        assert_eq!(to_json(text.as_bytes()).unwrap_err().problem(), "mapping values are not allowed in this context");
        let text = format!("a: b\n{}\x01", "# comment\n".repeat(100));
        assert_eq!(to_json(text.as_bytes()).unwrap_err().problem(), "control characters are not allowed");
    }

    #[test]
    fn differs_from_go_yaml_in_a_second_byte_order_mark() {
        // go-yaml gives it a column, passes over the first character of every further line as well, and fails.
        let json = to_json("\u{feff}\u{feff}a: 1\nb: 2\n".as_bytes()).unwrap();
        assert_eq!(json, serde_json::json!({"a": 1, "b": 2}));
    }

    #[test]
    fn values_json_lacks_are_refused() {
        let error = marshal(&Value::list(vec![Value::Float(f64::NAN)])).unwrap_err();
        assert_eq!(error.to_string(), "error marshaling into JSON: json: unsupported value: NaN");
        assert_eq!(marshal_pretty(&Value::Float(f64::NEG_INFINITY)).unwrap(), "-.inf\n");
    }

    #[test]
    fn map_that_holds_itself_is_refused() {
        let map = Map::any(Default::default());
        map.set("self", Value::Map(map.clone()));
        let text = "error marshaling into JSON: json: unsupported value: \
                    encountered a cycle via map[string]interface {}";
        assert_eq!(marshal(&Value::Map(map.clone())).unwrap_err().to_string(), text);
        assert!(marshal_pretty(&Value::Map(map.clone())).is_err());
        map.set("self", Value::Nil);
    }

    #[test]
    fn go_types_write_as_they_do_in_go() {
        // Written by sigs.k8s.io/yaml v1.6.0 and by go.yaml.in/yaml v3.0.5 with an indent of 2.
        let cases = [
            (Value::Bytes(b"hi".as_slice().into()), "aGk=\n", "- 104\n- 105\n"),
            (Value::Int(IntType::Duration, 90_000_000_000), "90000000000\n", "1m30s\n"),
            (Value::List(List { element: ElementType::String, items: None }), "null\n", "[]\n"),
            (Value::string(b"h\xc3".to_vec()), "h\u{fffd}\n", "!!binary aMM=\n"),
            (Value::strings(["a"]), "- a\n", "- a\n"),
            (Value::int(1_000_000), "1000000\n", "1000000\n"),
            (Value::Float(1_000_000.0), "1000000\n", "1e+06\n"),
            (Value::Float(-0.0), "0\n", "-0\n"),
        ];
        for (value, yaml, pretty) in cases {
            assert_eq!(marshal(&value).unwrap(), yaml);
            assert_eq!(marshal_pretty(&value).unwrap(), pretty);
        }
    }

    #[test]
    fn keys_without_a_fixed_order_do_not_panic() {
        let keys = (0..200).map(|n| format!("b{}{}", n % 20, ["", "a", "0", "z1"][n % 4]));
        let json = Json::Object(keys.map(|key| (key, Json::Null)).collect());
        assert_eq!(to_json(marshal_json(&json).as_bytes()).unwrap(), json);
    }

    #[test]
    fn scalars_become_the_strings_a_string_field_takes() {
        let field = |text: &str| as_string_field(&to_json(text.as_bytes()).unwrap());
        assert_eq!(field("1.10"), Some("1.1".into()));
        assert_eq!(field("0.123456789"), Some("0.12345679".into()));
        assert_eq!(field("12345678"), Some("12345678".into()));
        assert_eq!(field("yes"), Some("true".into()));
        assert_eq!(field("x"), None);
    }
}
