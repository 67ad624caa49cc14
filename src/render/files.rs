//! `.Files`: the files of a chart that are neither templates nor values, as a map with methods.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::glob::Glob;
use super::helm_funcs;
use crate::chart::File;
use crate::template::func::{Fault, Host};
use crate::value::{Entries, Map, MapType, Str, Value};

/// The map for a chart's files.
pub(super) fn of(files: &[File]) -> Value {
    let entries: Entries =
        files.iter().map(|file| (Str::from(file.name.as_str()), Value::Bytes(file.data.clone()))).collect();
    Value::Map(Map::typed(MapType::Files, entries))
}

/// Calls a method, or gives `None` where there is none of that name.
pub(super) fn call(host: &dyn Host, files: &Map, name: &str, arguments: &[Value]) -> Option<Result<Value, Fault>> {
    let text = match arguments {
        [Value::Str(text)] => text.clone(),
        _ => Str::from(""),
    };
    Some(match name {
        "Get" => Ok(Value::string(&content(files, &text)[..])),
        "GetBytes" => Ok(Value::Bytes(content(files, &text))),
        "Glob" => Ok(glob(files, &text.to_text())),
        "Lines" => lines(&content(files, &text)),
        "AsConfig" => by_base_name(host, "AsConfig", files, |bytes| Value::string(bytes)),
        "AsSecrets" => by_base_name(host, "AsSecrets", files, |bytes| Value::string(BASE64.encode(bytes))),
        _ => return None,
    })
}

/// The content of a file; empty where there is no such file.
fn content(files: &Map, name: &Str) -> Bytes {
    match files.get(name.as_bytes()) {
        Some(Value::Bytes(bytes)) => bytes,
        _ => Bytes::new(),
    }
}

fn glob(files: &Map, pattern: &str) -> Value {
    let glob = Glob::parse(pattern);
    let found: Entries = files
        .snapshot()
        .into_iter()
        // A malformed pattern matches all files, as in Helm.
        .filter(|(name, _)| glob.as_ref().is_none_or(|glob| glob.matches(&name.to_text())))
        .collect();
    Value::Map(Map::typed(MapType::Files, found))
}

/// YAML of the files by the last part of their paths; of files with one name the last path wins.
fn by_base_name(host: &dyn Host, method: &str, files: &Map, convert: impl Fn(&[u8]) -> Value) -> Result<Value, Fault> {
    let mut entries = Entries::new();
    for (name, value) in files.snapshot() {
        if let Value::Bytes(bytes) = value {
            let base = name.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            entries.insert(Str::from(base), convert(&bytes));
        }
    }
    let written = helm_funcs::to_yaml(host, method, &Value::Map(Map::typed(MapType::String, entries)))?;
    Ok(Value::string(written.unwrap_or_default()))
}

/// The lines, without an empty one after the last line break.
fn lines(content: &[u8]) -> Result<Value, Fault> {
    if content.is_empty() {
        return Ok(Value::strings(Vec::<Str>::new()));
    }
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    if content.iter().filter(|byte| **byte == b'\n').count() > LINES_MAX {
        return Err(Fault::Budget(format!("Lines would make a list of more than {LINES_MAX} items")));
    }
    Ok(Value::strings(content.split(|byte| *byte == b'\n').map(Str::from)))
}

/// How many lines of a file become a list.
const LINES_MAX: usize = 1 << 20;
