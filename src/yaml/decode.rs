//! Documents to data: types of scalars, aliases, merges, and the way to JSON.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine;
use serde_json::Value as Json;

use super::error::Error;
use super::parser::{Content, Document, Node, Tag};
use super::resolve::{Scalar, resolve};
use super::{ALIAS_BYTES_MAX, DEPTH_MAX, Dialect, NODES_MAX};
use crate::value::json::{go_text, number};
use crate::value::strconv::{FloatFormat, format_float, format_float32, quote};

/// Data as go-yaml hands it to Go: keys of any type, entries in the order they were set. Texts stay in the nodes.
#[derive(Clone, Debug)]
enum Data<'d> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Cow<'d, str>),
    List(Vec<Data<'d>>),
    Map(Vec<(Data<'d>, Data<'d>)>),
}

/// Reads a document as sigs.k8s.io/yaml does: by go-yaml, then made JSON.
pub(super) fn decode(document: &Document<'_>) -> Result<Json, Error> {
    read(document, None, |_| true)
}

/// As [`decode`], but of a mapping at the top only the entries are made JSON whose key is wanted. The others are checked
/// all the same.
pub(super) fn decode_fields(document: &Document<'_>, is_wanted: fn(&str) -> bool) -> Result<Json, Error> {
    read(document, None, is_wanted)
}

/// As [`decode`], and a key that comes twice in a mapping is an error: one line for each.
pub(super) fn decode_strictly(document: &Document<'_>) -> Result<Json, Error> {
    let mut repeated = Vec::new();
    let json = read(document, Some(&mut repeated), |_| true)?;
    if repeated.is_empty() {
        return Ok(json);
    }
    Err(Error::plain(None, format!("unmarshal errors:\n  {}", repeated.join("\n  "))))
}

fn read(
    document: &Document<'_>,
    repeated: Option<&mut Vec<String>>,
    is_wanted: fn(&str) -> bool,
) -> Result<Json, Error> {
    let mut decoder = Decoder {
        nodes: &document.nodes,
        decoded: 1,
        aliased: 0,
        aliased_bytes: 0,
        open_aliases: Vec::new(),
        depth: 0,
        has_odd_key: false,
        has_odd_float: false,
        repeated,
    };
    let mut data = decoder.read(0)?;
    if decoder.has_odd_key {
        refuse_odd_keys(&data)?;
    }
    // Which float JSON refuses first is found by making everything JSON; nothing else can fail from here on.
    if let Data::Map(entries) = &mut data
        && !decoder.has_odd_float
    {
        entries.retain(|(key, _)| !matches!(key, Data::Text(key) if !is_wanted(key)));
    }
    to_json(data)
}

struct Decoder<'d, 't> {
    nodes: &'d [Node<'t>],
    /// How many nodes were read, those reached through aliases each time anew.
    decoded: usize,
    /// How many of them were reached through aliases.
    aliased: usize,
    aliased_bytes: usize,
    /// The aliases that are being followed.
    open_aliases: Vec<usize>,
    depth: usize,
    /// A mapping has a key that cannot be a JSON key.
    has_odd_key: bool,
    /// Some number is infinite or none at all, which JSON cannot say.
    has_odd_float: bool,
    /// Where repeated keys are noted, if they are wanted.
    repeated: Option<&'d mut Vec<String>>,
}

impl<'d> Decoder<'d, '_> {
    fn read(&mut self, at: usize) -> Result<Data<'d>, Error> {
        self.count(at)?;
        let nodes = self.nodes;
        let node = &nodes[at];
        match &node.content {
            Content::Alias { name, target } => {
                self.follow(at, name)?;
                let data = self.read(*target)?;
                self.open_aliases.pop();
                Ok(data)
            }
            Content::Scalar { value, is_plain } => {
                if !self.open_aliases.is_empty() {
                    self.aliased_bytes += value.len();
                }
                let data = read_scalar(node, value, *is_plain)?;
                self.has_odd_float |= matches!(data, Data::Float(float) if !float.is_finite());
                Ok(data)
            }
            Content::Sequence => {
                self.enter(at)?;
                let mut items = Vec::new();
                let mut child = at + 1;
                while child < node.end {
                    items.push(self.read(child)?);
                    child = self.nodes[child].end;
                }
                self.depth -= 1;
                Ok(Data::List(items))
            }
            Content::Mapping => {
                let mut entries = Vec::new();
                self.read_entries(at, &mut entries)?;
                Ok(Data::Map(entries))
            }
        }
    }

    /// go-yaml's guard against documents that are mostly aliases, and our own bounds beside it.
    fn count(&mut self, at: usize) -> Result<(), Error> {
        self.decoded += 1;
        if !self.open_aliases.is_empty() {
            self.aliased += 1;
        }
        let is_excessive = self.aliased > 100
            && self.decoded > 1000
            && self.aliased as f64 / self.decoded as f64 > alias_ratio_max(self.decoded);
        if is_excessive || self.aliased_bytes > ALIAS_BYTES_MAX || self.decoded > NODES_MAX + 1 {
            return self.refuse(at, "document contains excessive aliasing");
        }
        Ok(())
    }

    fn refuse<T>(&self, at: usize, problem: impl Into<String>) -> Result<T, Error> {
        Err(Error::plain(Some(self.nodes[at].line), problem))
    }

    fn enter(&mut self, at: usize) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.refuse(at, format!("exceeded max depth of {DEPTH_MAX}"));
        }
        Ok(())
    }

    fn follow(&mut self, at: usize, name: &str) -> Result<(), Error> {
        if self.open_aliases.contains(&at) {
            return self.refuse(at, format!("anchor '{name}' value contains itself"));
        }
        self.open_aliases.push(at);
        Ok(())
    }

    /// Reads the entries of a mapping behind those already there: later ones win.
    fn read_entries(&mut self, at: usize, entries: &mut Vec<(Data<'d>, Data<'d>)>) -> Result<(), Error> {
        self.enter(at)?;
        let mut seen: HashSet<String> = match self.repeated {
            Some(_) => entries.iter().map(|(key, _)| go_syntax(key)).collect(),
            None => HashSet::new(),
        };
        let end = self.nodes[at].end;
        let mut key_at = at + 1;
        while key_at < end {
            let value_at = self.nodes[key_at].end;
            if is_merge(&self.nodes[key_at]) {
                self.merge(value_at, entries)?;
            } else {
                let key = self.read(key_at)?;
                if matches!(key, Data::List(_) | Data::Map(_)) {
                    return self.refuse(key_at, format!("invalid map key: {}", go_syntax(&key)));
                }
                self.has_odd_key |= is_odd_key(&key);
                let value = self.read(value_at)?;
                if let Some(repeated) = &mut self.repeated {
                    let key = go_syntax(&key);
                    if seen.contains(&key) {
                        let line = self.nodes[value_at].line + 1;
                        repeated.push(format!("line {line}: key {key} already set in map"));
                    }
                    seen.insert(key);
                }
                entries.push((key, value));
            }
            key_at = self.nodes[value_at].end;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Adds what `<<` names: a mapping, or a list of mappings of which the first wins.
    fn merge(&mut self, at: usize, entries: &mut Vec<(Data<'d>, Data<'d>)>) -> Result<(), Error> {
        match self.nodes[at].content {
            Content::Mapping | Content::Alias { .. } => self.merge_one(at, entries),
            Content::Sequence => {
                let mut children = Vec::new();
                let mut child = at + 1;
                while child < self.nodes[at].end {
                    children.push(child);
                    child = self.nodes[child].end;
                }
                children.iter().rev().try_for_each(|child| self.merge_one(*child, entries))
            }
            Content::Scalar { .. } => self.refuse_merge(at),
        }
    }

    fn merge_one(&mut self, at: usize, entries: &mut Vec<(Data<'d>, Data<'d>)>) -> Result<(), Error> {
        match &self.nodes[at].content {
            Content::Mapping => {
                self.count(at)?;
                self.read_entries(at, entries)
            }
            Content::Alias { name, target } if matches!(self.nodes[*target].content, Content::Mapping) => {
                self.count(at)?;
                self.follow(at, name)?;
                self.count(*target)?;
                self.read_entries(*target, entries)?;
                self.open_aliases.pop();
                Ok(())
            }
            _ => self.refuse_merge(at),
        }
    }

    fn refuse_merge(&self, at: usize) -> Result<(), Error> {
        self.refuse(at, "map merge requires map or sequence of maps as the value")
    }
}

/// The share of a document that may come from aliases: almost all of a small one, a tenth of a very large one.
fn alias_ratio_max(decoded: usize) -> f64 {
    const SMALL: usize = 400_000;
    const LARGE: usize = 4_000_000;
    const SMALL_RATIO: f64 = 0.99;
    const LARGE_RATIO: f64 = 0.10;
    if decoded <= SMALL {
        SMALL_RATIO
    } else if decoded >= LARGE {
        LARGE_RATIO
    } else {
        SMALL_RATIO - (SMALL_RATIO - LARGE_RATIO) * ((decoded - SMALL) as f64 / (LARGE - SMALL) as f64)
    }
}

fn is_merge(key: &Node<'_>) -> bool {
    matches!(&key.content, Content::Scalar { value, is_plain }
        if value == "<<" && (*is_plain || key.tag == Tag::Merge))
}

fn read_scalar<'d>(node: &Node<'_>, text: &'d str, is_plain: bool) -> Result<Data<'d>, Error> {
    match node.tag {
        Tag::None if !is_plain => Ok(Data::Text(text.into())),
        Tag::None => Ok(to_data(resolve(text, Dialect::V2, true), text)),
        Tag::Str | Tag::Merge | Tag::Other => Ok(Data::Text(text.into())),
        Tag::Binary => match decode_base64(text) {
            Some(bytes) => Ok(Data::Text(go_text(&bytes).into_owned().into())),
            None => Err(Error::plain(Some(node.line), "!!binary value contains invalid base64 data")),
        },
        Tag::Bool | Tag::Int | Tag::Float | Tag::Null | Tag::Timestamp => read_tagged(node, text),
    }
}

/// Reads a scalar whose tag says what it must be.
fn read_tagged<'d>(node: &Node<'_>, text: &'d str) -> Result<Data<'d>, Error> {
    let scalar = resolve(text, Dialect::V2, node.tag == Tag::Timestamp);
    let found = match scalar {
        Scalar::Null => Tag::Null,
        Scalar::Bool(_) => Tag::Bool,
        Scalar::Int(_) | Scalar::Uint(_) => Tag::Int,
        Scalar::Float(_) => Tag::Float,
        Scalar::Timestamp => Tag::Timestamp,
        Scalar::Text => Tag::Str,
    };
    match scalar {
        Scalar::Int(number) if node.tag == Tag::Float => Ok(Data::Float(number as f64)),
        _ if found == node.tag => Ok(to_data(scalar, text)),
        _ => {
            let (found, asked) = (found.short_name(), node.tag.short_name());
            Err(Error::plain(Some(node.line), format!("cannot decode {found} `{text}` as a {asked}")))
        }
    }
}

fn to_data(scalar: Scalar, text: &str) -> Data<'_> {
    match scalar {
        Scalar::Null => Data::Null,
        Scalar::Bool(value) => Data::Bool(value),
        Scalar::Int(number) => Data::Int(number),
        Scalar::Uint(number) => Data::Uint(number),
        Scalar::Float(number) => Data::Float(number),
        Scalar::Timestamp | Scalar::Text => Data::Text(text.into()),
    }
}

/// As Go's standard encoding: line breaks are passed over, and the bits that padding leaves unused may be set.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let digits: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    engine.decode(digits).ok()
}

/// Whether sigs.k8s.io/yaml has no way to make the key a string.
fn is_odd_key(key: &Data<'_>) -> bool {
    matches!(key, Data::Null | Data::Uint(_))
}

fn refuse_odd_keys(data: &Data<'_>) -> Result<(), Error> {
    match data {
        Data::List(items) => items.iter().try_for_each(refuse_odd_keys),
        Data::Map(entries) => {
            for (key, value) in unique(entries) {
                let (key_type, key_text) = match key {
                    Data::Null => ("%!s(<nil>)".to_owned(), "<nil>".to_owned()),
                    Data::Uint(_) => ("uint64".to_owned(), go_syntax(key)),
                    _ => {
                        refuse_odd_keys(value)?;
                        continue;
                    }
                };
                let value = if matches!(value, Data::Null) { "<nil>".into() } else { go_syntax(value) };
                return Err(Error::json(format!(
                    "unsupported map key of type: {key_type}, key: {key_text}, value: {value}"
                )));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn to_json(data: Data<'_>) -> Result<Json, Error> {
    Ok(match data {
        Data::Null => Json::Null,
        Data::Bool(value) => value.into(),
        Data::Int(number) => number.into(),
        Data::Uint(number) => number.into(),
        Data::Float(float) if float.is_finite() => Json::Number(number(float)),
        Data::Float(float) => {
            let text = format_float(float, FloatFormat::General, None);
            return Err(Error::json(format!("json: unsupported value: {text}")));
        }
        Data::Text(text) => text.into_owned().into(),
        Data::List(items) => Json::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Data::Map(entries) => {
            let mut entries: Vec<(Cow<'_, str>, Data<'_>)> =
                entries.into_iter().map(|(k, v)| (key_text(k), v)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            // Of equal keys the one set last wins; the sort kept their order.
            entries.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
                if is_same {
                    std::mem::swap(later, earlier);
                }
                is_same
            });
            Json::Object(
                entries.into_iter().map(|(k, v)| Ok((k.into_owned(), to_json(v)?))).collect::<Result<_, Error>>()?,
            )
        }
    })
}

/// The string that a key becomes; `None` for a merge and for what is no scalar.
pub(super) fn scalar_key(node: &Node<'_>) -> Option<String> {
    match &node.content {
        Content::Scalar { value, is_plain } if !is_merge(node) => {
            read_scalar(node, value, *is_plain).ok().map(|key| key_text(key).into_owned())
        }
        _ => None,
    }
}

/// The string sigs.k8s.io/yaml makes of a key.
fn key_text(key: Data<'_>) -> Cow<'_, str> {
    match key {
        Data::Text(text) => text,
        Data::Int(number) => number.to_string().into(),
        Data::Float(number) => float_text(number).into(),
        Data::Bool(value) => value.to_string().into(),
        // None of these is left: a null or uint64 key and a collection were refused before.
        Data::Null | Data::Uint(_) | Data::List(_) | Data::Map(_) => Cow::Borrowed(""),
    }
}

/// How sigs.k8s.io/yaml writes a float where a string is wanted: with the digits of a 32-bit one.
pub(super) fn float_text(number: f64) -> String {
    let single = number as f32;
    if single.is_nan() {
        return ".nan".into();
    }
    if single.is_infinite() {
        return if single > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    format_float32(single)
}

/// The entries that are left when each key is set again by later ones.
fn unique<'e, 'd>(entries: &'e [(Data<'d>, Data<'d>)]) -> Vec<&'e (Data<'d>, Data<'d>)> {
    let is_overwritten = |at: usize| entries[at + 1..].iter().any(|(key, _)| is_same_key(key, &entries[at].0));
    (0..entries.len()).filter(|at| !is_overwritten(*at)).map(|at| &entries[at]).collect()
}

fn is_same_key(a: &Data<'_>, b: &Data<'_>) -> bool {
    match (a, b) {
        (Data::Null, Data::Null) => true,
        (Data::Bool(a), Data::Bool(b)) => a == b,
        (Data::Int(a), Data::Int(b)) => a == b,
        (Data::Uint(a), Data::Uint(b)) => a == b,
        (Data::Float(a), Data::Float(b)) => a == b,
        (Data::Text(a), Data::Text(b)) => a == b,
        _ => false,
    }
}

/// `%#v` of what go-yaml made of a node.
fn go_syntax(data: &Data<'_>) -> String {
    let element = |data: &Data<'_>| match data {
        Data::Null => "interface {}(nil)".to_owned(),
        other => go_syntax(other),
    };
    match data {
        Data::Null => "<nil>".into(),
        Data::Bool(value) => value.to_string(),
        Data::Int(number) => number.to_string(),
        Data::Uint(number) => format!("{number:#x}"),
        Data::Float(number) => format_float(*number, FloatFormat::General, None),
        Data::Text(text) => String::from_utf8_lossy(&quote(text.as_bytes())).into_owned(),
        Data::List(items) => {
            let items: Vec<String> = items.iter().map(element).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Data::Map(entries) => {
            let mut entries = unique(entries);
            entries.sort_by(|a, b| compare_keys(&a.0, &b.0));
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}:{}", element(key), element(value))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", entries.join(", "))
        }
    }
}

/// The order in which Go prints the keys of a map. Between types it is that of their addresses in the program.
fn compare_keys(a: &Data<'_>, b: &Data<'_>) -> std::cmp::Ordering {
    let rank = |data: &Data<'_>| match data {
        Data::Null => 0,
        Data::Text(_) | Data::List(_) | Data::Map(_) => 1,
        Data::Uint(_) => 2,
        Data::Int(_) => 3,
        Data::Float(_) => 4,
        Data::Bool(_) => 5,
    };
    match (a, b) {
        (Data::Bool(a), Data::Bool(b)) => a.cmp(b),
        (Data::Int(a), Data::Int(b)) => a.cmp(b),
        (Data::Uint(a), Data::Uint(b)) => a.cmp(b),
        (Data::Float(a), Data::Float(b)) => a.total_cmp(b),
        (Data::Text(a), Data::Text(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}
