//! Which values templates read, and where.
//!
//! A table of values is known by its identity, so that it is recognised under whatever name it was handed on: dots of
//! `with` and `range`, variables, arguments of `include`. A function that looks into a table in ways of its own
//! (`toYaml`, `merge`) is taken to read all of it: better no warning than a wrong one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use crate::chart::Chart;
use crate::template::Mentions;
use crate::template::func::{Spot, Watch};
use crate::value::{Entries, Map, Value};
use crate::yaml::KeyPath;

/// Where a value was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, from the root chart's name on.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// In bytes from the start of the file, as the parser tells it.
    pub(super) position: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

type Places = BTreeMap<KeyPath, BTreeSet<Place>>;

/// What templates read of the values.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Keys that were asked for, whether or not they were there.
    keys: Places,
    /// Tables that were read with everything in them.
    tables: Places,
    /// The places of subcharts in the values of the root chart.
    charts: Vec<KeyPath>,
}

impl Reads {
    /// Where a value was read, each line once, in order.
    pub fn of(&self, path: &[String]) -> Vec<Place> {
        let path = self.canonical(path);
        let whole = (0..=path.len()).filter_map(|end| self.tables.get(&path[..end]));
        let mut places: Vec<Place> = whole.chain(self.keys.get(&path)).flatten().cloned().collect();
        places.sort();
        places.dedup_by(|a, b| (&a.file, a.line) == (&b.file, b.line));
        places
    }

    /// Whether a table that holds the value was read whole, or is the value itself.
    pub(super) fn is_read_whole(&self, path: &[String]) -> bool {
        let path = self.canonical(path);
        (0..=path.len()).any(|end| self.tables.contains_key(&path[..end]))
    }

    /// Where a key was asked for; `None` where it never was.
    pub(super) fn asked_for(&self, path: &[String]) -> Option<&BTreeSet<Place>> {
        self.keys.get(&self.canonical(path))
    }

    /// The keys of a table that templates asked for.
    pub(super) fn keys_of(&self, path: &[String]) -> Vec<&str> {
        let path = self.canonical(path);
        let from = (Bound::Excluded(path.as_slice()), Bound::Unbounded);
        let below = self.keys.range::<[String], _>(from).map(|(below, _)| below);
        let of_table = below.take_while(|below| below.starts_with(&path)).filter(|below| below.len() == path.len() + 1);
        of_table.map(|below| below[path.len()].as_str()).collect()
    }

    /// The globals of a subchart are those of the root.
    fn canonical(&self, path: &[String]) -> KeyPath {
        let own = self.charts.iter().filter(|chart| path.starts_with(chart)).map(Vec::len).max().unwrap_or(0);
        match path.get(own) {
            Some(key) if key == "global" => path[own..].to_vec(),
            _ => path.to_vec(),
        }
    }
}

/// Listens to the engine during one render.
#[derive(Default)]
pub(super) struct Watcher {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The tables of the values by identity. They are held, so that no other table can take their address.
    tables: HashMap<Identity, (KeyPath, Map)>,
    reads: Reads,
    mentions: Mentions,
    /// Lines already counted.
    places: HashMap<(Vec<u8>, usize), Place>,
    /// Where the text that `tpl` runs was handed to it.
    tpl: Option<Place>,
}

type Identity = *const RefCell<Entries>;

fn identity(map: &Map) -> Option<Identity> {
    map.entries.as_ref().map(Rc::as_ptr)
}

/// The name under which `tpl` parses its text.
const TPL_SOURCE: &[u8] = b"gotpl";

impl Watcher {
    /// Follows the tables of a chart's values from now on.
    pub(super) fn follow(&self, chart: &Chart, values: &Map) {
        self.state.borrow_mut().follow_chart(chart, values, &mut Vec::new());
    }

    /// Notes what the templates that are about to run name.
    pub(super) fn note(&self, mentions: Mentions) {
        self.state.borrow_mut().mentions = mentions;
    }

    /// What was read, and what the templates name.
    pub(super) fn take(&self) -> (Reads, Mentions) {
        let mut state = self.state.borrow_mut();
        (std::mem::take(&mut state.reads), std::mem::take(&mut state.mentions))
    }
}

impl State {
    fn follow_chart(&mut self, chart: &Chart, values: &Map, path: &mut KeyPath) {
        if !path.is_empty() {
            self.reads.charts.push(path.clone());
        }
        for child in &chart.dependencies {
            if let Some(Value::Map(child_values)) = values.get(child.name().as_bytes()) {
                path.push(child.name().to_owned());
                self.follow_chart(child, &child_values, path);
                path.pop();
            }
        }
        self.follow(values, path);
    }

    fn follow(&mut self, table: &Map, path: &mut KeyPath) {
        let Some(identity) = identity(table) else { return };
        let canonical = self.reads.canonical(path);
        // The tables of subcharts are known already, by the same paths.
        if self.tables.insert(identity, (canonical, table.clone())).is_some() {
            return;
        }
        for (key, value) in table.snapshot() {
            if let Value::Map(inner) = value {
                path.push(key.to_text().into_owned());
                self.follow(&inner, path);
                path.pop();
            }
        }
    }

    fn place(&mut self, at: Spot<'_>) -> Place {
        if at.source_name == TPL_SOURCE
            && let Some(place) = &self.tpl
        {
            return place.clone();
        }
        let key = (at.source_name.to_vec(), at.position);
        let place = self.places.entry(key).or_insert_with(|| Place {
            file: String::from_utf8_lossy(at.source_name).into(),
            line: at.line(),
            position: at.position,
        });
        place.clone()
    }

    fn key(&mut self, map: &Map, key: &[u8], at: Spot<'_>) {
        let Some((table, _)) = identity(map).and_then(|identity| self.tables.get(&identity)) else { return };
        let mut path = [table.as_slice(), &[String::from_utf8_lossy(key).into_owned()]].concat();
        if key == b"global" {
            path = self.reads.canonical(&path);
        }
        let place = self.place(at);
        self.reads.keys.entry(path).or_default().insert(place);
    }

    /// All keys that a table has, but not what is in the tables below them.
    fn keys(&mut self, value: &Value, except: &[Value], at: Spot<'_>) {
        let Value::Map(map) = value else { return };
        for (key, _) in map.snapshot() {
            let is_excepted = |value: &Value| matches!(value, Value::Str(text) if *text == key);
            if !except.iter().any(is_excepted) {
                self.key(map, key.as_bytes(), at);
            }
        }
    }

    /// The tables that lie somewhere in these values, with everything in them.
    fn whole(&mut self, values: &[Value], at: Spot<'_>) {
        let mut left: Vec<Value> = values.to_vec();
        let mut seen = HashSet::new();
        while let Some(value) = left.pop() {
            match value {
                Value::List(list) => left.extend_from_slice(list.as_slice()),
                Value::Map(map) => {
                    let Some(identity) = identity(&map).filter(|identity| seen.insert(*identity)) else { continue };
                    match self.tables.get(&identity).map(|(path, _)| path.clone()) {
                        Some(path) => {
                            let place = self.place(at);
                            self.reads.tables.entry(path).or_default().insert(place);
                        }
                        None => left.extend(map.snapshot().into_iter().map(|(_, value)| value)),
                    }
                }
                _ => {}
            }
        }
    }

    /// A walk from a table along keys: `index`, `dig`.
    fn walk(&mut self, table: &Value, keys: &[Value], at: Spot<'_>) {
        let mut value = table.clone();
        for key in keys {
            value = match (&value, key) {
                (Value::Map(map), Value::Str(key)) => {
                    self.key(map, key.as_bytes(), at);
                    map.get(key.as_bytes()).unwrap_or(Value::Nil)
                }
                (Value::List(list), Value::Int(_, index)) => {
                    let index = usize::try_from(*index).unwrap_or(usize::MAX);
                    list.as_slice().get(index).cloned().unwrap_or(Value::Nil)
                }
                _ => return,
            };
        }
    }
}

impl Watch for Watcher {
    fn key(&self, map: &Map, key: &str, at: Spot<'_>) {
        self.state.borrow_mut().key(map, key.as_bytes(), at);
    }

    fn call(&self, name: &str, arguments: &[Value], at: Spot<'_>) {
        let mut state = self.state.borrow_mut();
        match (name, arguments) {
            // These hand tables on without a look at what is in them.
            (
                "include" | "dict" | "list" | "tuple" | "append" | "prepend" | "push" | "concat" | "first" | "last"
                | "initial" | "rest" | "default" | "coalesce" | "ternary" | "not" | "empty" | "required" | "kindIs"
                | "kindOf" | "typeIs" | "typeIsLike" | "typeOf" | "unset" | "compact",
                _,
            ) => {}
            ("tpl", _) => {
                if at.source_name != TPL_SOURCE {
                    state.tpl = Some(state.place(at));
                }
            }
            ("get" | "hasKey", [table, key]) => state.walk(table, std::slice::from_ref(key), at),
            ("index", [table, keys @ ..]) => state.walk(table, keys, at),
            ("dig", [keys @ .., _, table]) => state.walk(table, keys, at),
            ("pluck", [key, tables @ ..]) => {
                tables.iter().for_each(|table| state.walk(table, std::slice::from_ref(key), at));
            }
            ("pick", [table, keys @ ..]) => {
                keys.iter().for_each(|key| state.walk(table, std::slice::from_ref(key), at))
            }
            ("omit", [table, except @ ..]) => state.keys(table, except, at),
            ("range" | "keys" | "values" | "len", tables) => {
                tables.iter().for_each(|table| state.keys(table, &[], at));
            }
            // What is put into another table is read there, where nobody knows it any more.
            ("set", [_, _, value]) => state.whole(std::slice::from_ref(value), at),
            (_, values) => state.whole(values, at),
        }
    }
}
