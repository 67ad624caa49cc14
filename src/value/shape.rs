//! Whether JSON fits a Go struct, and Go's sentence where it does not.
//!
//! `encoding/json` reads into typed fields; Helm prints what it says of a field with another type, or of one that is
//! not there. Only shapes and sentences are here: what the fields mean is their owners' business.

use serde_json::Value as Json;

/// The Go type a piece of JSON is read into.
#[derive(Debug)]
pub enum Shape {
    /// `any`
    Any,
    /// `string`
    Text,
    /// `bool`
    Flag,
    /// A slice of the inner type, by its Go name: `[]string`.
    List(&'static str, &'static Shape),
    /// `map[string]string`
    Texts,
    Struct(&'static Struct),
}

/// A Go struct.
#[derive(Debug)]
pub struct Struct {
    /// Without its package: `Metadata`.
    pub name: &'static str,
    /// With its package: `v2.Metadata`.
    pub type_name: &'static str,
    pub fields: &'static [(&'static str, Shape)],
}

/// How JSON is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Made of YAML by sigs.k8s.io/yaml: numbers and bools are taken where text is wanted.
    OfYaml,
    /// As [`Reading::OfYaml`], and fields that the struct has not are refused.
    OfYamlStrictly,
    /// From JSON text: types must be those of the fields.
    OfJson,
}

impl Struct {
    /// Checks JSON against the struct.
    ///
    /// # Errors
    /// Go's sentence about the first thing that does not fit, in the order of the keys.
    pub fn check(&'static self, json: &Json, reading: Reading) -> Result<(), String> {
        Checker { reading, owner: None, path: Vec::new() }.check(json, &Shape::Struct(self))
    }
}

/// The field of a struct that a key names: by exact name, else regardless of case.
pub fn field<'f, T>(fields: &'f [(&'static str, T)], key: &str) -> Option<&'f (&'static str, T)> {
    let exact = fields.iter().find(|(name, _)| *name == key);
    exact.or_else(|| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)))
}

struct Checker {
    reading: Reading,
    /// The innermost struct whose field is read.
    owner: Option<&'static str>,
    /// The fields that led here.
    path: Vec<&'static str>,
}

impl Checker {
    fn check(&mut self, json: &Json, shape: &Shape) -> Result<(), String> {
        match (shape, json) {
            (_, Json::Null) | (Shape::Any, _) | (Shape::Text, Json::String(_)) | (Shape::Flag, Json::Bool(_)) => Ok(()),
            (Shape::Text, Json::Bool(_) | Json::Number(_)) if self.reading != Reading::OfJson => Ok(()),
            (Shape::List(_, inner), Json::Array(items)) => items.iter().try_for_each(|item| self.check(item, inner)),
            (Shape::Texts, Json::Object(entries)) => {
                entries.values().try_for_each(|value| self.check(value, &Shape::Text))
            }
            (Shape::Struct(inner), Json::Object(entries)) => {
                entries.iter().try_for_each(|(key, value)| self.check_field(inner, key, value))
            }
            (shape, other) => Err(self.mismatch(shape, other)),
        }
    }

    fn check_field(&mut self, within: &Struct, key: &str, value: &Json) -> Result<(), String> {
        match field(within.fields, key) {
            Some((name, shape)) => {
                let owner = self.owner.replace(within.name);
                self.path.push(name);
                self.check(value, shape)?;
                self.path.pop();
                self.owner = owner;
                Ok(())
            }
            None if self.reading == Reading::OfYamlStrictly => Err(format!("json: unknown field {key:?}")),
            None => Ok(()),
        }
    }

    fn mismatch(&self, wanted: &Shape, found: &Json) -> String {
        let found = match found {
            Json::Null => "null",
            Json::Bool(_) => "bool",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        };
        let wanted = match wanted {
            Shape::Any => "interface {}",
            Shape::Text => "string",
            Shape::Flag => "bool",
            Shape::List(type_name, _) => type_name,
            Shape::Texts => "map[string]string",
            Shape::Struct(wanted) => wanted.type_name,
        };
        match self.owner {
            Some(owner) => {
                let path = self.path.join(".");
                format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static INNER: Struct = Struct { name: "Inner", type_name: "p.Inner", fields: &[("name", Shape::Text)] };
    static OUTER: Struct = Struct {
        name: "Outer",
        type_name: "p.Outer",
        fields: &[
            ("Kind", Shape::Text),
            ("inners", Shape::List("[]*p.Inner", &Shape::Struct(&INNER))),
            ("notes", Shape::Texts),
            ("on", Shape::Flag),
        ],
    };

    #[test]
    fn sentences_are_those_of_go() {
        let check = |json: Json, reading| OUTER.check(&json, reading).err().unwrap_or_default();
        for (json, sentence) in [
            (json!({"kind": 1, "on": true, "inners": [null, {"name": "a"}], "more": 1}), ""),
            (json!("a"), "json: cannot unmarshal string into Go value of type p.Outer"),
            (
                json!({"inners": {}}),
                "json: cannot unmarshal object into Go struct field Outer.inners of type []*p.Inner",
            ),
            (json!({"inners": [1]}), "json: cannot unmarshal number into Go struct field Outer.inners of type p.Inner"),
            (
                json!({"inners": [{"name": []}]}),
                "json: cannot unmarshal array into Go struct field Inner.inners.name of type string",
            ),
            (
                json!({"inners": [{"name": "a"}], "notes": {"a": {}}}),
                "json: cannot unmarshal object into Go struct field Outer.notes of type string",
            ),
            (json!({"on": "yes"}), "json: cannot unmarshal string into Go struct field Outer.on of type bool"),
        ] {
            assert_eq!(check(json, Reading::OfYaml), sentence);
        }
        assert_eq!(check(json!({"more": 1, "on": 1}), Reading::OfYamlStrictly), "json: unknown field \"more\"");
        let number = "json: cannot unmarshal number into Go struct field Outer.Kind of type string";
        assert_eq!(check(json!({"kind": 1}), Reading::OfJson), number);
    }
}
