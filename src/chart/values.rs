//! Reading values files, and laying one set of values over another.

use serde_json::Value as Json;

use super::{Error, Object};
use crate::yaml;

/// Reads a values file: all its documents, each laid over those before it.
///
/// # Errors
/// A document is no YAML, or no table.
pub fn read(file: &str, data: &[u8]) -> Result<Object, Error> {
    let mut values = Object::new();
    let documents = documents(data).map_err(|problem| Error::WrongShape { file: file.to_owned(), problem })?;
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

/// The documents of a stream: cut at lines that start with `---`, after which only blanks or a comment may stand.
fn documents(data: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut documents = Vec::new();
    let (mut start, mut line_start) = (0, 0);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let line_end = line_start + line.len();
        if let Some(rest) = line.strip_prefix(b"---") {
            match rest.trim_ascii() {
                [] | [b'#', ..] => documents.push(&data[start..line_start]),
                other => return Err(format!("invalid Yaml document separator: {}", String::from_utf8_lossy(other))),
            }
            start = line_end;
        }
        line_start = line_end;
    }
    documents.push(&data[start..]);
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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

    #[test]
    fn values_must_be_a_table() {
        let error = read("values.yaml", b"- a\n").unwrap_err().to_string();
        assert_eq!(error, "cannot load values.yaml: values are not a table but a list");
    }
}
