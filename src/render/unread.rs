//! Values that had no effect because nobody knows them: misspelt, or at the wrong place.
//!
//! A key is told only where all of this holds, because a warning that is wrong teaches people to overlook warnings:
//! no template read it, alone or with a table around it; the chart's defaults and schemas do not have it; templates
//! look into its table key by key, and no part of them that did not run this time could take the table whole or ask
//! for the key.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value as Json;

use super::reads::Reads;
use crate::chart::origins::dotted;
use crate::chart::{Chart, Error, Object, coalesce};
use crate::template::Mentions;
use crate::yaml::KeyPath;

/// A value that no template read and that the chart does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub path: KeyPath,
    /// The key that may have been meant, beside the one that was written.
    pub nearest: Option<String>,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "values.{} was read by no template and is unknown to the chart", dotted(&self.path))?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {}?", nearest.replace('.', "\\.")),
            None => Ok(()),
        }
    }
}

/// The values of a user that had no effect. `chart` is as it was rendered, `whole_chart` as it was given, with the
/// subcharts that are switched off.
pub(super) fn find(
    chart: &Chart,
    whole_chart: &Chart,
    user_values: &Object,
    reads: &Reads,
    mentions: &Mentions,
) -> Result<Vec<Unread>, Error> {
    let defaults = coalesce::defaults(chart)?;
    let mut search = Search { reads, mentions: Index::of(mentions), schema_keys: HashSet::new(), found: Vec::new() };
    search.add_schemas(whole_chart);
    search.chart(Some((chart, whole_chart)), user_values, &defaults, &mut Vec::new());
    Ok(search.found)
}

struct Search<'a> {
    reads: &'a Reads,
    mentions: Index<'a>,
    /// The names of all properties in the schemas of the charts.
    schema_keys: HashSet<String>,
    found: Vec<Unread>,
}

/// The mentions by what is asked of them.
struct Index<'a> {
    /// Each name with those before it; empty where it is the first of its chain.
    before: BTreeMap<&'a str, HashSet<&'a str>>,
    /// The last name of each chain, with the places of the chains.
    last: BTreeMap<&'a str, Vec<(&'a [u8], usize)>>,
    /// Everything between quotes, cut into words.
    words: HashSet<String>,
}

impl<'a> Index<'a> {
    fn of(mentions: &'a Mentions) -> Self {
        let mut index = Index { before: BTreeMap::new(), last: BTreeMap::new(), words: HashSet::new() };
        for chain in &mentions.chains {
            let mut before = "";
            for name in &chain.names {
                index.before.entry(name).or_default().insert(before);
                before = name;
            }
            index.last.entry(before).or_default().push((chain.source_name.as_bytes(), chain.position));
        }
        for text in &mentions.words {
            let text = text.to_text();
            index.words.insert(text.clone().into_owned());
            index.words.extend(text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
        }
        index
    }

    /// Whether some template names a key of that table, be it in a part that did not run. `None` is the root.
    fn names(&self, table: Option<&str>, key: &str) -> bool {
        let is_before = |before: &&str| match table {
            _ if before.is_empty() => true,
            Some(table) => before == &table,
            None => before.eq_ignore_ascii_case("values"),
        };
        self.words.contains(key) || self.before.get(key).is_some_and(|names| names.iter().any(is_before))
    }
}

/// A chart as it was rendered and as it was given.
type Charts<'a> = (&'a Chart, &'a Chart);

impl Search<'_> {
    fn add_schemas(&mut self, chart: &Chart) {
        if let Some(schema) = &chart.schema
            && let Ok(schema) = serde_json::from_slice::<Json>(&schema.data)
        {
            collect_properties(&schema, &mut self.schema_keys);
        }
        chart.dependencies.iter().for_each(|child| self.add_schemas(child));
    }

    /// Looks through a table of the user's. `charts` are given where it is the root of a chart's values.
    fn chart(&mut self, charts: Option<Charts<'_>>, table: &Object, defaults: &Object, path: &mut KeyPath) {
        let suspects = self.may_be_judged(charts.is_some(), path);
        for (key, value) in table {
            path.push(key.clone());
            self.key(charts, key, value, defaults, suspects, path);
            path.pop();
        }
    }

    fn key(
        &mut self,
        charts: Option<Charts<'_>>,
        key: &str,
        value: &Json,
        defaults: &Object,
        suspects: bool,
        path: &mut KeyPath,
    ) {
        if value.is_null() || self.reads.is_read_whole(path) {
            return;
        }
        let default = defaults.get(key);
        let default_table = default.and_then(Json::as_object);
        let nothing = Object::new();
        if let Some((rendered, whole)) = charts {
            let child = rendered.dependencies.iter().find(|child| child.name() == key);
            if let (Some(child), Json::Object(table)) = (child, value) {
                let whole_child = whole.dependencies.iter().find(|whole| whole.name() == key).unwrap_or(child);
                return self.chart(Some((child, whole_child)), table, default_table.unwrap_or(&nothing), path);
            }
            if is_known_to_dependencies(whole, key) {
                return;
            }
        }
        let is_known = default.is_some() || self.reads.keys.contains_key(path.as_slice());
        if is_known {
            // Below a default without keys of its own anything may stand, unless templates look for certain keys.
            if let Json::Object(table) = value {
                self.chart(None, table, default_table.unwrap_or(&nothing), path);
            }
        } else if suspects {
            let table = path.len().checked_sub(2).map(|parent| path[parent].as_str()).filter(|_| charts.is_none());
            if !self.mentions.names(table, key) && !self.schema_keys.contains(key) {
                let nearest = self.nearest(path, defaults);
                self.found.push(Unread { path: path.clone(), nearest });
            }
        }
    }

    /// Whether a key of this table that nobody read is read by nobody: templates look into the table by key, and there
    /// is no place that hands the table on and did not run.
    fn may_be_judged(&self, is_root: bool, path: &[String]) -> bool {
        if is_root {
            return true;
        }
        let is_looked_into = self.keys_read(path).next().is_some();
        let Some(name) = path.last() else { return true };
        let read_at = self.reads.keys.get(path);
        let has_run = |(file, position): &(&[u8], usize)| {
            read_at.is_some_and(|places| {
                places.iter().any(|place| place.position == *position && place.file.as_bytes() == *file)
            })
        };
        is_looked_into && self.mentions.last.get(name.as_str()).is_none_or(|places| places.iter().all(has_run))
    }

    /// The keys of a table that templates asked for.
    fn keys_read<'s>(&'s self, path: &'s [String]) -> impl Iterator<Item = &'s str> {
        let from = (std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded);
        let below = self.reads.keys.range::<[String], _>(from).map(|(below, _)| below);
        below
            .take_while(move |below| below.starts_with(path))
            .filter(move |below| below.len() == path.len() + 1)
            .map(move |below| below[path.len()].as_str())
    }

    /// The known key that is most like the one written, if it is like it at all.
    fn nearest(&self, path: &[String], defaults: &Object) -> Option<String> {
        let (written, table) = path.split_last()?;
        let known = defaults.keys().map(String::as_str).chain(self.keys_read(table));
        let lower = written.to_lowercase();
        let distance_max = (written.chars().count() / 3).max(1);
        known
            .map(|key| (strsim::damerau_levenshtein(&key.to_lowercase(), &lower), key))
            .filter(|(distance, key)| *distance <= distance_max && key != written)
            .min()
            .map(|(_, key)| key.to_owned())
    }
}

/// Whether the key belongs to a subchart that is switched off, or to what switches subcharts, or is for all charts.
fn is_known_to_dependencies(chart: &Chart, key: &str) -> bool {
    let first_key = |path: &str| path.trim().split('.').next().is_some_and(|first| first == key);
    chart.dependencies.iter().any(|child| child.name() == key)
        || chart.metadata.dependencies().iter().any(|dependency| {
            dependency.name == key
                || dependency.alias == key
                || dependency.condition.split(',').any(first_key)
                || key == "tags" && !dependency.tags.is_empty()
        })
}

fn collect_properties(schema: &Json, names: &mut HashSet<String>) {
    match schema {
        Json::Object(fields) => {
            if let Some(Json::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| collect_properties(field, names));
        }
        Json::Array(items) => items.iter().for_each(|item| collect_properties(item, names)),
        _ => {}
    }
}
