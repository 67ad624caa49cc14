//! Values that had no effect because nobody knows them: misspelt, or at the wrong place.
//!
//! A key is told only where all of this holds, because a warning that is wrong teaches people to overlook warnings:
//! no template read it, alone or with a table around it; the chart's defaults and schemas do not have it; templates
//! look into its table key by key, and no part of them that did not run this time could take the table whole or ask
//! for the key.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::reads::Reads;
use crate::chart::origins::dotted;
use crate::chart::{Chart, Error, Object, coalesce, values};
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
    let mut search = Search {
        reads,
        mentions: Index::of(mentions),
        schema_keys: HashSet::new(),
        globals: Object::new(),
        switches: HashSet::new(),
        found: Vec::new(),
    };
    search.add_chart(whole_chart);
    // The one has the subcharts under their aliases, the other those that are switched off.
    search.add_switches(chart, &mut Vec::new());
    search.add_switches(whole_chart, &mut Vec::new());
    search.table(Some((chart, whole_chart)), user_values, &defaults, &mut Vec::new());
    Ok(search.found)
}

struct Search<'a> {
    reads: &'a Reads,
    mentions: Index<'a>,
    /// The names of all properties in the schemas of the charts.
    schema_keys: HashSet<String>,
    /// The defaults of globals of all charts.
    globals: Object,
    /// The places that `condition` of some dependency names: what is there switches a subchart.
    switches: HashSet<KeyPath>,
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
    /// Adds what a chart and its subcharts know.
    fn add_chart(&mut self, chart: &Chart) {
        if let Some(Json::Object(globals)) = chart.values.as_ref().and_then(|values| values.get("global")) {
            values::merge(&mut self.globals, globals.clone());
        }
        if let Some(schema) = &chart.schema
            && let Ok(schema) = serde_json::from_slice::<Json>(&schema.data)
        {
            collect_properties(&schema, &mut self.schema_keys);
        }
        chart.dependencies.iter().for_each(|child| self.add_chart(child));
    }

    fn add_switches(&mut self, chart: &Chart, path: &mut KeyPath) {
        for dependency in chart.metadata.dependencies() {
            for condition in dependency.condition.split(',').map(str::trim).filter(|condition| !condition.is_empty()) {
                self.switches.insert(path.iter().cloned().chain(condition.split('.').map(str::to_owned)).collect());
            }
        }
        for child in &chart.dependencies {
            path.push(child.name().to_owned());
            self.add_switches(child, path);
            path.pop();
        }
    }

    /// Looks through a table of the user's. `charts` are given where it is the root of a chart's values.
    fn table(&mut self, charts: Option<Charts<'_>>, table: &Object, defaults: &Object, path: &mut KeyPath) {
        let is_judged = self.may_be_judged(charts.is_some(), path);
        for (key, value) in table {
            path.push(key.clone());
            self.key(charts, key, value, defaults, is_judged, path);
            path.pop();
        }
    }

    fn key(
        &mut self,
        charts: Option<Charts<'_>>,
        key: &str,
        value: &Json,
        defaults: &Object,
        is_judged: bool,
        path: &mut KeyPath,
    ) {
        if value.is_null() || is_for_anchors(key) || self.switches.contains(path) || self.reads.is_read_whole(path) {
            return;
        }
        let default = defaults.get(key);
        let default_table = default.and_then(Json::as_object);
        let nothing = Object::new();
        if let Some((rendered, whole)) = charts {
            let child = rendered.dependencies.iter().find(|child| child.name() == key);
            if let (Some(child), Json::Object(table)) = (child, value) {
                let whole_child = under_name(whole, key).unwrap_or(child);
                return self.table(Some((child, whole_child)), table, default_table.unwrap_or(&nothing), path);
            }
            if let ("global", Json::Object(table)) = (key, value) {
                // What one chart knows of the globals, all charts get.
                let globals = self.globals.clone();
                return self.table(None, table, &globals, path);
            }
            if is_known_to_dependencies(whole, key) {
                return;
            }
        }
        let is_known = default.is_some() || self.reads.asked_for(path).is_some();
        if is_known {
            // Below a default without keys of its own anything may stand, unless templates look for certain keys.
            if let Json::Object(table) = value {
                self.table(None, table, default_table.unwrap_or(&nothing), path);
            }
        } else if is_judged {
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
        let is_looked_into = !self.reads.keys_of(path).is_empty();
        let Some(name) = path.last() else { return true };
        let read_at = self.reads.asked_for(path);
        let has_run = |(file, position): &(&[u8], usize)| {
            read_at.is_some_and(|places| {
                places.iter().any(|place| place.position == *position && place.file.as_bytes() == *file)
            })
        };
        is_looked_into && self.mentions.last.get(name.as_str()).is_none_or(|places| places.iter().all(has_run))
    }

    /// The known key that is most like the one written, if it is like it at all.
    fn nearest(&self, path: &[String], defaults: &Object) -> Option<String> {
        let (written, table) = path.split_last()?;
        let known = defaults.keys().map(String::as_str).chain(self.reads.keys_of(table));
        let lower = written.to_lowercase();
        let distance_max = (written.chars().count() / 3).max(1);
        known
            .map(|key| (strsim::damerau_levenshtein(&key.to_lowercase(), &lower), key))
            .filter(|(distance, key)| *distance <= distance_max && key != written)
            .min()
            .map(|(_, key)| key.to_owned())
    }
}

/// Whether a key begins as those do that hold nothing but anchors for the rest of a file, by the habit of many.
fn is_for_anchors(key: &str) -> bool {
    key.starts_with("x-") || key.starts_with(['_', '.'])
}

/// The subchart that a chart as it was given will have under that name, or alias.
fn under_name<'c>(chart: &'c Chart, name: &str) -> Option<&'c Arc<Chart>> {
    let wanted = chart.metadata.dependencies().iter().find(|dependency| dependency.alias == name);
    let name = wanted.map_or(name, |wanted| wanted.name.as_str());
    chart.dependencies.iter().find(|child| child.name() == name)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chart::{File, Limits, load_files};
    use crate::render::tests::options;
    use crate::render::{Capabilities, Operation, ReleaseInfo, Schema, on_big_stack, render_watched};

    const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
    const KID: &str = "apiVersion: v2\nname: kid\nversion: 1.0.0\n";

    fn file(name: &str, data: &str) -> File {
        File { name: name.to_owned(), data: data.to_owned().into(), modified: None }
    }

    fn chart(defaults: &str, template: &str) -> Chart {
        let files = vec![
            file("Chart.yaml", CHART),
            file("values.yaml", defaults),
            file("templates/a.yaml", template),
            file("charts/kid/Chart.yaml", KID),
            file("charts/kid/values.yaml", "size: 1\nglobal: {zone: a}\n"),
            file("charts/kid/templates/b.yaml", "k: {{ .Values.size }} {{ .Values.global.zone }}"),
        ];
        load_files(files, &Limits::default()).unwrap()
    }

    fn account(chart: &Chart, user: Json) -> crate::render::Account {
        let release =
            ReleaseInfo { name: "rel".into(), namespace: "apps".into(), revision: 1, operation: Operation::Install };
        on_big_stack(|| {
            let user = coalesce::thaw_object(user.as_object().unwrap());
            let (rendered, account) =
                render_watched(chart, &user, &release, &Capabilities::default(), &options(), Schema::Check);
            rendered.unwrap();
            account
        })
        .unwrap()
    }

    fn told(defaults: &str, template: &str, user: Json) -> Vec<String> {
        let account = account(&chart(defaults, template), user);
        account.unread.iter().map(|unread| format!("{} {:?}", dotted(&unread.path), unread.nearest)).collect()
    }

    #[test]
    fn misspelt_values_are_told_with_the_nearest_name() {
        let defaults = "replicaCount: 1\nimage: {tag: x, pullPolicy: y}\n";
        let template = "a: {{ .Values.replicaCount }} {{ .Values.image.tag }} {{ .Values.image.pullPolicy }} {{ .Values.undocumented }}";
        let user = json!({
            "replicaCuont": 3, "image": {"tgg": "1", "pullPolicy": "z"}, "undocumentd": {"a": 1}, "kid": {"sise": 2, "x": {}},
            "global": {"zoen": "b"}, "nowhere": [1]
        });
        assert_eq!(
            told(defaults, template, user.clone()),
            [
                r#"global.zoen Some("zone")"#,
                r#"image.tgg Some("tag")"#,
                r#"kid.sise Some("size")"#,
                "kid.x None",
                "nowhere None",
                r#"replicaCuont Some("replicaCount")"#,
                r#"undocumentd Some("undocumented")"#,
            ]
        );
        let account = account(&chart(defaults, template), user);
        assert_eq!(
            account.unread[5].to_string(),
            "values.replicaCuont was read by no template and is unknown to the chart; did you mean replicaCount?"
        );
    }

    #[test]
    fn what_was_read_in_any_way_is_not_told() {
        for template in [
            "a: {{ .Values.t.new }}",
            "a: {{ toYaml .Values.t | quote }}",
            "a: {{ range $k, $v := .Values.t }}{{ $k }}{{ end }}",
            "a: {{ with .Values.t }}{{ .new }}{{ end }}",
            "{{ $t := .Values.t }}a: {{ $t.new }}",
            "a: {{ get .Values.t \"new\" }}",
            "a: {{ index .Values \"t\" (printf \"%s%s\" \"ne\" \"w\") }}",
            "a: {{ dig \"t\" \"new\" 1 .Values.AsMap }}",
            "a: {{ tpl \"{{ .Values.t.new }}\" . }}",
            "a: {{ (merge (dict) .Values.t).old }}",
            "{{ define \"h\" }}{{ .x.new }}{{ end }}a: {{ include \"h\" (dict \"x\" .Values.t) }}",
            "a: {{ .Values.t }}",
            "a: {{ .Values | toJson | quote }}",
            "a: {{ omit .Values.t \"old\" | len }}",
            "{{ $_ := set $ \"t2\" .Values.t }}a: {{ $.t2.new }}",
            "a: {{ if hasKey .Values.t \"new\" }}1{{ end }}",
        ] {
            let found = told("t: {old: 1}\n", template, json!({"t": {"new": 1}}));
            assert!(found.is_empty(), "{template}: {found:?}");
        }
    }

    #[test]
    fn what_a_part_that_did_not_run_may_read_is_not_told() {
        for template in [
            "a: {{ if .Values.t.on }}{{ .Values.t.new }}{{ end }}",
            "a: {{ if .Values.t.on }}{{ toYaml .Values.t }}{{ end }}",
            "a: {{ if .Values.t.on }}{{ with .Values.t }}{{ .new }}{{ end }}{{ end }}",
            "a: {{ if .Values.t.on }}{{ index .Values \"t\" \"new\" }}{{ end }}",
            // Nothing at all is known of a table that nobody looked into.
            "a: {{ if .Values.on }}{{ .Values.t.old }}{{ end }}",
        ] {
            let found = told("t: {old: 1, on: false}\n", template, json!({"t": {"new": 1}}));
            assert!(found.is_empty(), "{template}: {found:?}");
        }
        let template = "a: {{ .Values.t.on }}{{ if .Values.t.on }}{{ .Values.t.old }}{{ end }}";
        assert_eq!(told("t: {old: 1, on: false}\n", template, json!({"t": {"new": 1}})), ["t.new None"]);
    }

    #[test]
    fn what_the_chart_knows_is_not_told() {
        let defaults = "known: 1\nnothing: null\nfree: {}\n";
        let user = json!({"known": 2, "nothing": {"a": 1}, "free": {"a": {"b": 1}}, "gone": null, "kid": {"size": 2}});
        assert_eq!(told(defaults, "a: 1", user), [""; 0]);
        let mut schema = chart(defaults, "a: 1");
        schema.schema = Some(file("values.schema.json", r#"{"properties": {"a": {"properties": {"deep": {}}}}}"#));
        assert!(account(&schema, json!({"deep": 1, "a": 1})).unread.is_empty());
    }

    #[test]
    fn switched_off_subcharts_are_known() {
        let mut off = chart("", "a: 1");
        let dependency = json!([{"name": "kid", "version": "*", "condition": "kid.enabled,switch.kid", "tags": ["x"]}]);
        off.metadata.dependencies = serde_json::from_value(dependency).unwrap();
        let user = json!({"kid": {"enabled": false, "anything": 1}, "switch": {"kid": true}, "tags": {"x": true}});
        assert!(account(&off, user).unread.is_empty());
    }

    #[test]
    fn what_switches_a_subchart_is_known_also_where_it_has_an_alias() {
        let mut on = chart("", "a: 1");
        let dependency = json!([{"name": "kid", "alias": "son", "version": "*", "condition": "son.enabled"}]);
        on.metadata.dependencies = serde_json::from_value(dependency).unwrap();
        let user = json!({"son": {"enabled": true, "size": 3, "sise": 4}, "x-anchors": {"a": 1}, "_b": 1, ".c": 2});
        let unread = account(&on, user).unread;
        let told: Vec<String> = unread.iter().map(|unread| dotted(&unread.path)).collect();
        assert_eq!(told, ["son.sise"]);
    }

    #[test]
    fn readers_are_told_by_line_also_of_subcharts_and_of_globals() {
        let template =
            "a: 1\nb: {{ .Values.kid.size }}{{ .Values.kid.size }}\nc: {{ tpl \"{{ .Values.global.zone }}\" . }}\n";
        let reads = account(&chart("global: {zone: b}\n", template), json!({})).reads;
        let of = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            reads.of(&path).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let kid = "web/charts/kid/templates/b.yaml:1".to_owned();
        assert_eq!(of(&["kid", "size"]), [kid.clone(), "web/templates/a.yaml:2".to_owned()]);
        let zone = [kid, "web/templates/a.yaml:3".to_owned()];
        assert_eq!(of(&["global", "zone"]), zone);
        assert_eq!(of(&["kid", "global", "zone"]), zone);
        assert_eq!(of(&["kid", "other"]), [""; 0]);
    }

    #[test]
    fn watching_changes_nothing_that_is_rendered() {
        let web = chart("t: {a: 1}\n", "a: {{ merge .Values.t (dict \"b\" 2) | toYaml | quote }}");
        let release =
            ReleaseInfo { name: "rel".into(), namespace: "apps".into(), revision: 1, operation: Operation::Install };
        let (watched, plain) = on_big_stack(|| {
            let user = coalesce::thaw_object(&Object::new());
            let capabilities = Capabilities::default();
            let watched = render_watched(&web, &user, &release, &capabilities, &options(), Schema::Check).0.unwrap();
            let plain = crate::render::render_live(&web, &user, &release, &capabilities, &options()).unwrap();
            (watched.manifest, plain.manifest)
        })
        .unwrap();
        assert_eq!(watched, plain);
    }
}
