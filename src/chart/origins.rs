//! Where each value comes from: which layer set it, and what that layer overrode.
//!
//! Nothing here merges. The layers are laid over each other once more by the functions that make the values of a
//! render, with a mark in the place of every leaf: whose mark is left at the end has set the value. So tracing costs
//! nothing while nobody asks, and it cannot tell otherwise than the merge, the oddities of nulls and globals included.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Chart, Error, Object, coalesce, values};
use crate::value::{List, Map, Str, UintType, Value};
use crate::yaml::{self, KeyPath};

/// Where values are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The defaults of a chart, by its path from the root: `podinfo`, `podinfo/charts/redis`.
    Chart(String),
    /// A values file.
    File(String),
    /// A flag with its text: `--set` and `image.tag=6.5.0`.
    Flag { flag: &'static str, text: String },
    /// A key of a ConfigMap or Secret that `valuesFrom` names.
    Object { kind: &'static str, name: String, key: String },
    /// The values that a HelmRelease holds itself.
    Inline,
    /// A stored revision, which does not say where it has its values from.
    Record { revision: u32 },
}

impl Source {
    /// Whether its values are not to be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self, Source::Object { kind: "Secret", .. })
    }
}

/// Who wrote a value, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writer {
    pub source: Source,
    /// The line in the source's text, from 1, where it has lines.
    pub line: Option<usize>,
    /// The place in the values where the source wrote it, if that is another one: imported by `import-values`, or
    /// handed down as a global.
    pub written_at: Option<KeyPath>,
}

/// How long the text of a flag is shown.
const FLAG_CHARS_MAX: usize = 60;

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Chart(path) => write!(f, "{path}/values.yaml")?,
            Source::File(name) => f.write_str(name)?,
            Source::Flag { flag, text } => match text.char_indices().nth(FLAG_CHARS_MAX) {
                Some((end, _)) => write!(f, "{flag} {}…", &text[..end])?,
                None => write!(f, "{flag} {text}")?,
            },
            Source::Object { kind, name, key } => write!(f, "{kind} {name} key {key}")?,
            Source::Inline => f.write_str("spec.values")?,
            Source::Record { revision } => write!(f, "revision {revision} as it was made")?,
        }
        match (&self.source, self.line) {
            (Source::Object { .. }, Some(line)) => write!(f, " line {line}")?,
            (_, Some(line)) => write!(f, ":{line}")?,
            (_, None) => {}
        }
        match &self.written_at {
            Some(path) => write!(f, " (from {})", dotted(path)),
            None => Ok(()),
        }
    }
}

/// What is known of one place in the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The effective value: a scalar, a list or an empty table. `None` where a null deleted what others had set.
    pub value: Option<Json>,
    /// Who set it; several where elements of a list were set one by one. The nearest to the user first.
    pub set_by: Vec<Writer>,
    /// Who else had set it, and to what, the nearest to the user first.
    pub overrode: Vec<(Writer, Json)>,
}

impl Origin {
    /// Whether the value came out of a Secret.
    pub fn is_secret(&self) -> bool {
        self.set_by.iter().any(|writer| writer.source.is_secret())
    }
}

/// The origin of every effective value, and of every one that was deleted, by its place.
pub type Origins = BTreeMap<KeyPath, Origin>;

/// Keys with dots between them, dots within keys escaped: what `--set` takes.
pub fn dotted(path: &[String]) -> String {
    let keys: Vec<String> = path.iter().map(|key| key.replace('.', "\\.")).collect();
    keys.join(".")
}

/// Which keys a text of values holds on which lines; of equal keys the last counts.
pub fn lines_of(text: &[u8]) -> HashMap<KeyPath, usize> {
    yaml::key_lines(text).map(|lines| lines.into_iter().collect()).unwrap_or_default()
}

/// The layers of a user's values, laid over each other as they come, with marks for leaves.
pub struct Layers {
    layers: Vec<Layer>,
    /// What each mark stands for.
    marks: Vec<Mark>,
    marked: Map,
}

struct Layer {
    source: Source,
    /// Higher ones are laid over lower ones.
    rank: usize,
    leaves: BTreeMap<KeyPath, Json>,
    lines: HashMap<KeyPath, usize>,
}

/// A leaf of a layer.
#[derive(Clone)]
struct Mark {
    layer: usize,
    path: KeyPath,
}

/// Charts within charts lie below everything a user gives.
const RANK_OF_USER: usize = 1 << 32;

impl Default for Layers {
    fn default() -> Self {
        Layers { layers: Vec::new(), marks: Vec::new(), marked: Map::any(Default::default()) }
    }
}

impl Layers {
    /// Lays a table over what was given so far, as [`values::merge`] does. `lines` tells where its keys stand.
    pub fn table(&mut self, source: Source, table: &Object, lines: HashMap<KeyPath, usize>) {
        let layer = self.add(source, RANK_OF_USER + self.layers.len(), leaves_of(table), lines);
        let mut base = coalesce::freeze_map(&self.marked);
        values::merge(&mut base, self.mark_table(layer, &[], table));
        self.marked = thaw_marks(&base);
    }

    /// Applies a line of `--set` and its like to what was given so far.
    ///
    /// # Errors
    /// What `apply` gives back for it.
    pub fn line<E>(&mut self, source: Source, mut apply: impl FnMut(&Map) -> Result<(), E>) -> Result<(), E> {
        apply(&self.marked)?;
        let alone = Map::any(Default::default());
        // A line that the layers before make possible may fail without them; then only what it set there is known.
        let leaves = match apply(&alone) {
            Ok(()) => leaves_of(&coalesce::freeze_map(&alone)),
            Err(_) => BTreeMap::new(),
        };
        let layer = self.add(source, RANK_OF_USER + self.layers.len(), leaves, HashMap::new());
        let marked = self.marked.clone();
        self.mark_new(layer, &marked, &mut Vec::new());
        Ok(())
    }

    fn add(
        &mut self,
        source: Source,
        rank: usize,
        leaves: BTreeMap<KeyPath, Json>,
        lines: HashMap<KeyPath, usize>,
    ) -> usize {
        self.layers.push(Layer { source, rank, leaves, lines });
        self.layers.len() - 1
    }

    fn new_mark(&mut self, layer: usize, path: &[String]) -> u64 {
        self.marks.push(Mark { layer, path: path.to_vec() });
        self.marks.len() as u64 - 1
    }

    /// The table with its leaves replaced by marks. Nulls stay: they are what deletes.
    fn mark_table(&mut self, layer: usize, path: &[String], table: &Object) -> Object {
        let mut path = path.to_vec();
        let mut marked = Object::new();
        for (key, value) in table {
            path.push(key.clone());
            let value = match value {
                Json::Null => Json::Null,
                Json::Object(table) => Json::Object(self.mark_table(layer, &path, table)),
                leaf => {
                    let mark = self.new_mark(layer, &path);
                    mark_leaf(mark, leaf)
                }
            };
            marked.insert(key.clone(), value);
            path.pop();
        }
        marked
    }

    /// Puts marks in the place of whatever is no mark yet.
    fn mark_new(&mut self, layer: usize, table: &Map, path: &mut KeyPath) {
        for (key, value) in table.snapshot() {
            path.push(key.to_text().into_owned());
            match &value {
                Value::Nil => {}
                Value::Map(inner) => self.mark_new(layer, inner, path),
                leaf if is_marked(leaf) => {}
                leaf => {
                    let mark = self.new_mark(layer, path);
                    table.set(key, mark_new_leaf(mark, leaf));
                }
            }
            path.pop();
        }
    }

    /// The origin of each value that a chart gets from these layers, which together make `user_values`.
    ///
    /// # Errors
    /// The values under the name of a subchart are no table.
    pub fn origins(mut self, chart: &Chart, user_values: &Map) -> Result<Origins, Error> {
        let chart = chart.with_enabled(user_values)?;
        let mut marked_chart = chart.clone();
        self.mark_defaults(&mut marked_chart, &[], chart.name());
        let marked_chart = marked_chart.with_imports()?;
        let marked = coalesce::coalesce_values(&marked_chart, &self.marked)?;
        let effective = coalesce::coalesce_values(&chart.clone().with_imports()?, user_values)?;

        let mut found = Origins::new();
        self.collect(&effective, &marked, &mut Vec::new(), &mut found);
        self.add_deleted(&effective, &mut found);
        self.fold_globals(&marked_chart, &mut Vec::new(), &mut found);
        Ok(found)
    }

    /// Makes a layer of the defaults of a chart and of each of its subcharts, and marks them.
    fn mark_defaults(&mut self, chart: &mut Chart, path: &[String], name: &str) {
        if let Some(defaults) = &chart.values {
            let below = |(key, line): (KeyPath, usize)| ([path, &key].concat(), line);
            let lines = lines_of(&chart.values_text).into_iter().map(below).collect();
            let leaves = leaves_of(defaults).into_iter().map(|(key, value)| ([path, &key].concat(), value)).collect();
            // The deeper a chart, the lower it lies.
            let rank = RANK_OF_USER - 1 - path.len();
            let layer = self.add(Source::Chart(name.to_owned()), rank, leaves, lines);
            chart.values = Some(Arc::new(self.mark_table(layer, path, defaults)));
        }
        for child in &mut chart.dependencies {
            let child_path = [path, &[child.name().to_owned()]].concat();
            let child_name = format!("{name}/charts/{}", child.name());
            self.mark_defaults(Arc::make_mut(child), &child_path, &child_name);
        }
    }

    fn collect(&self, effective: &Map, marked: &Map, path: &mut KeyPath, found: &mut Origins) {
        for (key, value) in effective.snapshot() {
            let marked = marked.get(key.as_bytes());
            path.push(key.to_text().into_owned());
            match (&value, &marked) {
                (Value::Map(table), Some(Value::Map(marked))) if !table.is_empty() => {
                    self.collect(table, marked, path, found);
                }
                _ => {
                    let mut marks = Vec::new();
                    marked.iter().for_each(|marked| marks_in(marked, &mut marks));
                    let origin = self.origin(path, Some(value.freeze()), &marks);
                    if !origin.set_by.is_empty() {
                        found.insert(path.clone(), origin);
                    }
                }
            }
            path.pop();
        }
    }

    /// `marks` are those left in a value. Nulls and what is empty hold none: then the highest layer that has it set it.
    fn origin(&self, path: &KeyPath, value: Option<Json>, marks: &[usize]) -> Origin {
        let mut winners: Vec<&Mark> = marks.iter().filter_map(|mark| self.marks.get(*mark)).collect();
        winners.sort_by_key(|mark| std::cmp::Reverse(self.layers[mark.layer].rank));
        winners.dedup_by_key(|mark| mark.layer);
        let mut others = self.leaves_at(path);
        let set_by: Vec<Writer> = match winners.is_empty() {
            true if others.is_empty() => Vec::new(),
            true => {
                let (layer, _) = others.remove(0);
                vec![self.writer(layer, path, path)]
            }
            false => winners.iter().map(|mark| self.writer(mark.layer, &mark.path, path)).collect(),
        };
        others.retain(|(layer, _)| !winners.iter().any(|mark| mark.layer == *layer && mark.path == *path));
        let overrode = others.into_iter().map(|(layer, value)| (self.writer(layer, path, path), value)).collect();
        Origin { value, set_by, overrode }
    }

    /// What each layer has at a place, the highest layer first. A table is given whole.
    fn leaves_at(&self, path: &KeyPath) -> Vec<(usize, Json)> {
        let mut leaves: Vec<(usize, Json)> =
            self.layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.at(path)?))).collect();
        leaves.sort_by_key(|(layer, _)| std::cmp::Reverse(self.layers[*layer].rank));
        leaves
    }

    fn writer(&self, layer: usize, written_at: &KeyPath, path: &KeyPath) -> Writer {
        let layer = &self.layers[layer];
        Writer {
            source: layer.source.clone(),
            line: layer.line_of(written_at),
            written_at: (written_at != path).then(|| written_at.clone()),
        }
    }

    /// Adds the places that a null emptied.
    fn add_deleted(&self, effective: &Map, found: &mut Origins) {
        for layer in &self.layers {
            for path in layer.leaves.iter().filter(|(_, value)| value.is_null()).map(|(path, _)| path) {
                if found.contains_key(path) || value_at(effective, path).is_some() {
                    continue;
                }
                let origin = self.origin(path, None, &[]);
                if origin.overrode.iter().any(|(_, value)| !value.is_null()) {
                    found.insert(path.clone(), origin);
                }
            }
        }
    }

    /// A global stands in the values of every subchart too. It is told once, with what it overrode there.
    fn fold_globals(&self, chart: &Chart, path: &mut KeyPath, found: &mut Origins) {
        for child in &chart.dependencies {
            path.push(child.name().to_owned());
            self.fold_globals(child, path, found);
            let below = [path.as_slice(), &["global".to_owned()]].concat();
            let copies: Vec<KeyPath> = below_in(found, &below).map(|(path, _)| path.clone()).collect();
            for copy in copies {
                let above = [&path[..path.len() - 1], &copy[path.len()..]].concat();
                let is_same = match (found.get(&above), found.get(&copy)) {
                    (Some(above), Some(copy)) => is_same_writing(above, copy),
                    _ => false,
                };
                if !is_same {
                    continue;
                }
                let own = found.remove(&copy).map(|copy| copy.overrode).unwrap_or_default();
                if let Some(above) = found.get_mut(&above) {
                    above.overrode.extend(own.into_iter().map(|(mut writer, value)| {
                        writer.written_at.get_or_insert_with(|| copy.clone());
                        (writer, value)
                    }));
                }
            }
            path.pop();
        }
    }
}

impl Layer {
    fn at(&self, path: &KeyPath) -> Option<Json> {
        if let Some(value) = self.leaves.get(path) {
            return Some(value.clone());
        }
        let mut table = Json::Null;
        for (below, value) in below_in(&self.leaves, path) {
            let mut at = &mut table;
            for key in &below[path.len()..] {
                at = &mut at[key.as_str()];
            }
            *at = value.clone();
        }
        (!table.is_null()).then_some(table)
    }

    /// The line of the place, or of the nearest place around it that has one (an alias has none).
    fn line_of(&self, path: &[String]) -> Option<usize> {
        (1..=path.len()).rev().find_map(|end| self.lines.get(&path[..end]).copied())
    }
}

/// Whether one place holds what another one was handed down.
fn is_same_writing(above: &Origin, copy: &Origin) -> bool {
    let at = |writers: &[Writer]| -> Vec<(Source, Option<usize>)> {
        writers.iter().map(|writer| (writer.source.clone(), writer.line)).collect()
    };
    above.value == copy.value
        && at(&above.set_by) == at(&copy.set_by)
        && copy.set_by.iter().all(|writer| writer.written_at.is_some())
}

/// The entries whose path begins with another one, itself not among them.
fn below_in<'m, V>(map: &'m BTreeMap<KeyPath, V>, path: &'m [String]) -> impl Iterator<Item = (&'m KeyPath, &'m V)> {
    let from: (Bound<&[String]>, Bound<&[String]>) = (Bound::Excluded(path), Bound::Unbounded);
    map.range::<[String], _>(from).take_while(|(below, _)| below.starts_with(path))
}

/// The leaves of a table: everything in it that is no table with something in it.
fn leaves_of(table: &Object) -> BTreeMap<KeyPath, Json> {
    fn collect(table: &Object, path: &mut KeyPath, leaves: &mut BTreeMap<KeyPath, Json>) {
        for (key, value) in table {
            path.push(key.clone());
            match value {
                Json::Object(inner) if !inner.is_empty() => collect(inner, path, leaves),
                leaf => {
                    leaves.insert(path.clone(), leaf.clone());
                }
            }
            path.pop();
        }
    }
    let mut leaves = BTreeMap::new();
    collect(table, &mut Vec::new(), &mut leaves);
    leaves
}

/// A list keeps its form, because lines of `--set` reach into it.
fn mark_leaf(mark: u64, leaf: &Json) -> Json {
    match leaf {
        Json::Null => Json::Null,
        Json::Array(items) => items.iter().map(|item| mark_leaf(mark, item)).collect(),
        Json::Object(table) => table.iter().map(|(key, value)| (key.clone(), mark_leaf(mark, value))).collect(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => mark.into(),
    }
}

/// Marks among live values are of a type that neither files nor `--set` ever give.
fn mark_value(mark: u64) -> Value {
    Value::Uint(UintType::Uint64, mark)
}

fn is_marked(value: &Value) -> bool {
    match value {
        Value::Uint(UintType::Uint64, _) | Value::Nil => true,
        Value::List(list) => list.as_slice().iter().all(is_marked),
        Value::Map(map) => map.snapshot().iter().all(|(_, value)| is_marked(value)),
        _ => false,
    }
}

fn mark_new_leaf(mark: u64, leaf: &Value) -> Value {
    match leaf {
        marked if is_marked(marked) => marked.clone(),
        Value::List(list) => Value::List(List::any(list.as_slice().iter().map(|v| mark_new_leaf(mark, v)).collect())),
        Value::Map(map) => {
            Value::map(map.snapshot().into_iter().map(|(key, value)| (key, mark_new_leaf(mark, &value))).collect())
        }
        _ => mark_value(mark),
    }
}

fn thaw_marks(marked: &Object) -> Map {
    fn thaw(value: &Json) -> Value {
        match value {
            Json::Number(mark) => mark_value(mark.as_u64().unwrap_or(u64::MAX)),
            Json::Array(items) => Value::list(items.iter().map(thaw).collect()),
            Json::Object(table) => Value::Map(thaw_marks(table)),
            Json::Null | Json::Bool(_) | Json::String(_) => Value::Nil,
        }
    }
    Map::any(marked.iter().map(|(key, value)| (Str::from(key.as_str()), thaw(value))).collect())
}

/// The marks in a value. Those of chart defaults were frozen on their way, and are floats.
fn marks_in(value: &Value, marks: &mut Vec<usize>) {
    match value {
        Value::Uint(_, mark) => marks.extend(usize::try_from(*mark)),
        Value::Float(mark) => marks.push(*mark as usize),
        Value::List(list) => list.as_slice().iter().for_each(|item| marks_in(item, marks)),
        Value::Map(map) => map.snapshot().iter().for_each(|(_, value)| marks_in(value, marks)),
        _ => {}
    }
}

fn value_at(values: &Map, path: &[String]) -> Option<Value> {
    path.iter().try_fold(Value::Map(values.clone()), |value, key| match value {
        Value::Map(map) => map.get(key.as_bytes()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::strvals::{self, Reading};
    use serde_json::json;

    fn object(json: Json) -> Object {
        json.as_object().unwrap().clone()
    }

    fn chart(name: &str, values: &str, wanted: Json, dependencies: Vec<Chart>) -> Chart {
        let mut chart = Chart { dependencies: dependencies.into_iter().map(Arc::new).collect(), ..Chart::default() };
        name.clone_into(&mut chart.metadata.name);
        "1.0.0".clone_into(&mut chart.metadata.version);
        chart.metadata.dependencies = serde_json::from_value(wanted).unwrap();
        chart.values = Some(Arc::new(values::read("values.yaml", values.as_bytes()).unwrap()));
        chart.values_text = values.to_owned().into();
        chart
    }

    /// One way to give values, in Helm's order of precedence.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Way {
        ChildDefault,
        ParentDefault,
        FirstFile,
        SecondFile,
        ConfigMap,
        Secret,
        Inline,
        SetJsonObject,
        SetJsonLine,
        Set,
        SetString,
        SetFile,
    }

    use Way::*;

    const WAYS: [Way; 12] = [
        ChildDefault,
        ParentDefault,
        FirstFile,
        SecondFile,
        ConfigMap,
        Secret,
        Inline,
        SetJsonObject,
        SetJsonLine,
        Set,
        SetString,
        SetFile,
    ];

    impl Way {
        fn source(self) -> Source {
            let flag = |flag, text: &str| Source::Flag { flag, text: text.to_owned() };
            let object = |kind| Source::Object { kind, name: "n".into(), key: "k".into() };
            match self {
                ChildDefault => Source::Chart("web/charts/kid".into()),
                ParentDefault => Source::Chart("web".into()),
                FirstFile => Source::File("first.yaml".into()),
                SecondFile => Source::File("second.yaml".into()),
                ConfigMap => object("ConfigMap"),
                Secret => object("Secret"),
                Inline => Source::Inline,
                SetJsonObject => flag("--set-json", "{…}"),
                SetJsonLine => flag("--set-json", r#"kid.x="SetJsonLine""#),
                Set => flag("--set", "kid.x=Set"),
                SetString => flag("--set-string", "kid.x=SetString"),
                SetFile => flag("--set-file", "kid.x=SetFile"),
            }
        }

        /// Gives the values to the layers, and to the values themselves as a render would.
        fn give(self, layers: &mut Layers, values: &Map) {
            let mut line = |line: &str, reading: &mut dyn FnMut(&Map) -> Result<(), strvals::Error>| {
                reading(values).unwrap();
                let source = self.source();
                assert!(matches!(&source, Source::Flag { text, .. } if text == line));
                layers.line(source, reading).unwrap();
            };
            match self {
                ChildDefault | ParentDefault => {}
                SetJsonLine => {
                    let text = r#"kid.x="SetJsonLine""#;
                    line(text, &mut |map| strvals::parse_into(text, map, Reading::Json));
                }
                Set => line("kid.x=Set", &mut |map| strvals::parse_into("kid.x=Set", map, Reading::Typed)),
                SetString => {
                    line("kid.x=SetString", &mut |map| strvals::parse_into("kid.x=SetString", map, Reading::Text));
                }
                SetFile => line("kid.x=SetFile", &mut |map| {
                    let mut content = |name: &str| Ok(name.to_owned());
                    strvals::parse_into("kid.x=SetFile", map, Reading::Content(&mut content))
                }),
                _ => {
                    let text = format!("# a line\nkid:\n  x: {self:?}\n");
                    let table = values::read("", text.as_bytes()).unwrap();
                    let mut base = coalesce::freeze_map(values);
                    values::merge(&mut base, table.clone());
                    for (key, value) in coalesce::thaw_object(&base).snapshot() {
                        values.set(key, value);
                    }
                    let lines = if self == SetJsonObject { HashMap::new() } else { lines_of(text.as_bytes()) };
                    layers.table(self.source(), &table, lines);
                }
            }
        }
    }

    fn given(ways: &[Way]) -> Origins {
        let default = |way: Way, text: &str| if ways.contains(&way) { text.to_owned() } else { String::new() };
        let kid = chart("kid", &default(ChildDefault, "x: ChildDefault\n"), Json::Null, vec![]);
        let web = chart("web", &default(ParentDefault, "kid:\n  x: ParentDefault\n"), Json::Null, vec![kid]);
        let (mut layers, values) = (Layers::default(), Map::any(Default::default()));
        ways.iter().for_each(|way| way.give(&mut layers, &values));
        layers.origins(&web, &values).unwrap()
    }

    fn path(dotted: &str) -> KeyPath {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn every_way_to_give_a_value_wins_over_those_before_it() {
        for (at, lower) in WAYS.iter().enumerate() {
            for higher in &WAYS[at + 1..] {
                let origins = given(&[*lower, *higher]);
                let origin = &origins[&path("kid.x")];
                assert_eq!(origin.value, Some(json!(format!("{higher:?}"))), "{higher:?} over {lower:?}");
                let sources: Vec<_> = origin.set_by.iter().map(|writer| writer.source.clone()).collect();
                assert_eq!(sources, [higher.source()], "{higher:?} over {lower:?}");
                let over: Vec<_> =
                    origin.overrode.iter().map(|(writer, value)| (writer.source.clone(), value)).collect();
                assert_eq!(over, [(lower.source(), &json!(format!("{lower:?}")))], "{higher:?} over {lower:?}");
            }
        }
    }

    #[test]
    fn what_was_overridden_is_told_from_the_nearest_on() {
        let origins = given(&WAYS);
        let origin = &origins[&path("kid.x")];
        let told: Vec<_> = origin.set_by.iter().chain(origin.overrode.iter().map(|(writer, _)| writer)).collect();
        let want: Vec<_> = WAYS.iter().rev().map(|way| way.source()).collect();
        assert_eq!(told.iter().map(|writer| writer.source.clone()).collect::<Vec<_>>(), want);
        let lines: Vec<_> = told.iter().map(|writer| writer.line).collect();
        let none = [None; 5];
        let files = [Some(3); 5];
        assert_eq!(lines, [&none[..], &files[..], &[Some(2), Some(1)][..]].concat());
        assert_eq!(origin.overrode[9].0.to_string(), "web/values.yaml:2");
        assert_eq!(origin.overrode[10].0.to_string(), "web/charts/kid/values.yaml:1");
        assert_eq!(origin.overrode[5].0.to_string(), "Secret n key k line 3");
    }

    /// The origins of a chart with values from one file, in words.
    fn told(chart: &Chart, text: &str) -> Vec<String> {
        let table = values::read("", text.as_bytes()).unwrap();
        let mut layers = Layers::default();
        layers.table(Source::File("f".into()), &table, lines_of(text.as_bytes()));
        let origins = layers.origins(chart, &coalesce::thaw_object(&table)).unwrap();
        let in_words = |(path, origin): (&KeyPath, &Origin)| {
            let set_by: Vec<_> = origin.set_by.iter().map(Writer::to_string).collect();
            let over: Vec<_> =
                origin.overrode.iter().map(|(writer, value)| format!(" over {writer}={value}")).collect();
            let value = origin.value.as_ref().map_or("deleted".to_owned(), Json::to_string);
            format!("{}={value} by {}{}", dotted(path), set_by.join("+"), over.concat())
        };
        origins.iter().map(in_words).collect()
    }

    #[test]
    fn null_deletes_and_what_it_deleted_is_told() {
        let web = chart("web", "a: {b: 1, c: 2}\nd: 3\ne: [1]\n", Json::Null, vec![]);
        assert_eq!(
            told(&web, "a: null\nd:\ne: []\nunknown: null\n"),
            [
                r#"a=deleted by f:1 over web/values.yaml:1={"b":1,"c":2}"#,
                "d=deleted by f:2 over web/values.yaml:2=3",
                "e=[] by f:3 over web/values.yaml:3=[1]",
                "unknown=null by f:4",
            ]
        );
    }

    #[test]
    fn globals_are_told_once_with_what_they_override_in_subcharts() {
        let kid = chart("kid", "global:\n  zone: kid\n  own: 1\n", Json::Null, vec![]);
        let web = chart("web", "global: {zone: web}\n", Json::Null, vec![kid]);
        assert_eq!(
            told(&web, "{}"),
            [
                "global.zone=\"web\" by web/values.yaml:1 over web/charts/kid/values.yaml:2 (from kid.global.zone)=\"kid\"",
                "kid.global.own=1 by web/charts/kid/values.yaml:3",
            ]
        );
        // The parent's wins even over what the user wrote for the subchart: Helm's order for globals.
        let rows = told(&web, "kid: {global: {zone: user}}\n");
        assert_eq!(
            rows[0],
            "global.zone=\"web\" by web/values.yaml:1 over f:1 (from kid.global.zone)=\"user\" over \
             web/charts/kid/values.yaml:2 (from kid.global.zone)=\"kid\""
        );
    }

    #[test]
    fn imported_values_are_told_with_where_they_were_exported() {
        let kid = chart("kid", "exports:\n  data:\n    x: 1\n    z: 2\n", Json::Null, vec![]);
        let wanted = json!([{"name": "kid", "version": "*", "import-values": ["data"]}]);
        let web = chart("web", "z: 3\n", wanted, vec![kid]);
        let rows = told(&web, "{}");
        assert!(rows.contains(&"x=1 by web/charts/kid/values.yaml:3 (from kid.exports.data.x)".to_owned()), "{rows:?}");
        assert!(rows.contains(&"z=3 by web/values.yaml:1".to_owned()), "{rows:?}");
    }

    #[test]
    fn elements_of_a_list_may_come_from_several_layers() {
        let web = chart("web", "l: []\n", Json::Null, vec![]);
        let (mut layers, values) = (Layers::default(), Map::any(Default::default()));
        for line in ["l[0].a=1,l[1].a=2", "l[1].b=3"] {
            let apply = |map: &Map| strvals::parse_into(line, map, Reading::Typed);
            apply(&values).unwrap();
            layers.line(Source::Flag { flag: "--set", text: line.to_owned() }, apply).unwrap();
        }
        let origins = layers.origins(&web, &values).unwrap();
        let origin = &origins[&path("l")];
        assert_eq!(origin.value, Some(json!([{"a": 1}, {"a": 2, "b": 3}])));
        let set_by: Vec<_> = origin.set_by.iter().map(Writer::to_string).collect();
        assert_eq!(set_by, ["--set l[1].b=3", "--set l[0].a=1,l[1].a=2"]);
    }

    #[test]
    fn every_effective_value_has_an_origin_and_no_other_has() {
        let kid = chart("kid", "a: 1\nm: {n: null, o: {}}\nlist: [{x: 1}]\n", Json::Null, vec![]);
        let web = chart("web", "kid: {a: 2}\nz: {}\n", Json::Null, vec![kid]);
        let user = object(json!({"kid": {"m": {"p": [], "q": null}}, "w": {"v": {}}}));
        let mut layers = Layers::default();
        layers.table(Source::Inline, &user, HashMap::new());
        let origins = layers.origins(&web, &coalesce::thaw_object(&user)).unwrap();
        let effective = coalesce::coalesce_values(&web, &coalesce::thaw_object(&user)).unwrap();
        let mut leaves = leaves_of(&coalesce::freeze_map(&effective));
        // Made by the merge, not by a layer.
        leaves.remove(&path("kid.global"));
        let told: BTreeMap<_, _> =
            origins.into_iter().filter_map(|(path, origin)| Some((path, origin.value?))).collect();
        assert_eq!(told, leaves);
    }
}
