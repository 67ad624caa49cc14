//! The documents of a rendered file as Kubernetes reads a stream: JSON values one after the other, or YAML documents
//! with `---` between them; a stream that begins as JSON may go on as YAML.
//!
//! Follows `k8s.io/apimachinery/pkg/util/yaml` (its `YAMLOrJSONDecoder`), with its words.

use serde_json::Value as Json;

use super::read_into;
use crate::value::json;
use crate::value::shape::{Reading, Shape, Struct, field};
use crate::yaml;

/// How far a stream is looked at to guess whether it is JSON, in bytes.
const GUESS_BYTES: usize = 4096;

/// What the rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

static HEAD: Struct = Struct {
    name: "k8sYamlStruct",
    type_name: "rules.k8sYamlStruct",
    fields: &[("apiVersion", Shape::Text), ("Kind", Shape::Text), ("Metadata", Shape::Struct(&METADATA))],
};

static METADATA: Struct = Struct {
    name: "k8sYamlMetadata",
    type_name: "rules.k8sYamlMetadata",
    fields: &[("Namespace", Shape::Text), ("Name", Shape::Text)],
};

/// A stream of documents: `None` for one that says nothing. It ends with the first that cannot be read.
pub(super) struct Stream<'t> {
    rest: &'t [u8],
    is_json: bool,
    /// JSON values read so far.
    count: usize,
    is_over: bool,
}

impl<'t> Stream<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        let start = String::from_utf8_lossy(&text[..text.len().min(GUESS_BYTES)]);
        Stream { rest: text, is_json: start.trim_start().starts_with('{'), count: 0, is_over: false }
    }

    fn next_json(&mut self) -> Option<Result<Option<Head>, String>> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<&serde_json::value::RawValue>();
        let value = values.next()?;
        let end = values.byte_offset();
        let read = match value {
            Ok(raw) => json::unmarshal(raw.get().as_bytes()).and_then(|json| {
                HEAD.check(&json, Reading::OfJson)?;
                Ok(head_of(&json))
            }),
            // The offset is that of the reader of JSON; Go's own words need the text up to the fault.
            Err(_) => Err(match json::unmarshal(self.rest) {
                Err(problem) => format!("json: offset {}: {problem}", end + 1),
                Ok(_) => "json: unexpected end of JSON input".to_owned(),
            }),
        };
        match read {
            Ok(head) => {
                self.count += 1;
                self.rest = &self.rest[end..];
                Some(Ok(head))
            }
            // After two values the stream is JSON for certain.
            Err(problem) if self.count > 1 => Some(Err(problem)),
            Err(problem) => {
                self.is_json = false;
                self.pass_space();
                match self.next_yaml()? {
                    Ok(head) => Some(Ok(head)),
                    Err(_) => Some(Err(problem)),
                }
            }
        }
    }

    /// Passes white space up to and with the first line break.
    fn pass_space(&mut self) {
        while let [first, rest @ ..] = self.rest
            && first.is_ascii_whitespace()
        {
            self.rest = rest;
            if *first == b'\n' {
                return;
            }
        }
    }

    fn next_yaml(&mut self) -> Option<Result<Option<Head>, String>> {
        let (document, rest) = match cut_document(self.rest) {
            Ok(cut) => cut?,
            Err(problem) => return Some(Err(problem)),
        };
        self.rest = rest;
        Some(read_into(&HEAD, yaml::to_json(&document), Reading::OfYaml).map(|json| head_of(&json)))
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<Option<Head>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = if self.is_json { self.next_json() } else { self.next_yaml() };
        self.is_over = matches!(next, None | Some(Err(_)));
        next
    }
}

/// The first document of a YAML stream that is not empty, with line feeds only, and what follows it.
#[allow(clippy::type_complexity, reason = "a document and the rest, or none, or why not")]
fn cut_document(text: &[u8]) -> Result<Option<(Vec<u8>, &[u8])>, String> {
    let mut document = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(behind) = line.strip_prefix(b"---") {
            let behind = String::from_utf8_lossy(behind);
            let behind = behind.trim();
            if !behind.is_empty() && !behind.starts_with('#') {
                return Err(format!("invalid Yaml document separator: {behind}"));
            }
            if !document.is_empty() {
                return Ok(Some((document, rest)));
            }
        }
        // The mark itself stays with the document after it, as in Go.
        document.extend_from_slice(line);
        document.push(b'\n');
    }
    Ok((!document.is_empty()).then_some((document, rest)))
}

/// `None` for null.
fn head_of(json: &Json) -> Option<Head> {
    let object = json.as_object()?;
    let mut head = Head::default();
    for (key, value) in object {
        match field(HEAD.fields, key).map(|(name, _)| *name) {
            Some("apiVersion") => set(&mut head.api_version, value),
            Some("Kind") => set(&mut head.kind, value),
            Some("Metadata") => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if field(METADATA.fields, key).is_some_and(|(name, _)| *name == "Name") {
                        set(&mut head.name, value);
                    }
                }
            }
            Some(_) | None => {}
        }
    }
    Some(head)
}

/// Null leaves a field as it was.
fn set(field: &mut String, value: &Json) {
    match value {
        Json::Null => {}
        Json::String(text) => field.clone_from(text),
        other => *field = yaml::as_string_field(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let show = |document: Result<Option<Head>, String>| match document {
            Ok(Some(head)) => format!("{}/{}", head.kind, head.name),
            Ok(None) => "-".to_owned(),
            Err(problem) => problem,
        };
        Stream::new(text.as_bytes()).map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn streams_are_json_or_yaml_or_both() {
        for (text, documents) in [
            ("", ""),
            ("---\n", "-"),
            ("kind: A\n---\nKIND: B\nmetadata: {NAME: 1}\n--- # c\n# nothing\n", "A/ B/1 -"),
            ("kind: A\n--- kind: B\n", "invalid Yaml document separator: kind: B"),
            ("{\"kind\": \"A\"} {\"kind\": \"B\"}", "A/ B/"),
            ("{\"kind\": \"A\"}\n---\nkind: B\n", "A/ B/"),
            ("{kind: A}\n", "A/"),
            (
                "kind: A\n---\n- a\n",
                "A/ error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type rules.k8sYamlStruct",
            ),
        ] {
            assert_eq!(read(text), documents, "{text:?}");
        }
    }
}
