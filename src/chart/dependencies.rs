//! Which subcharts take part, under which names, and which of their values they lend to their parent.
//!
//! Order and oddities follow Helm v4 (`pkg/chart/v2/util/dependencies.go`).

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::coalesce::{self, Nulls, freeze_map};
use super::metadata::scalar_text;
use super::{Chart, Dependency, Error};
use crate::value::semver::{Constraint, Version};
use crate::value::{Map, Value};
use crate::yaml::DEPTH_MAX;

impl Chart {
    /// The chart as it is rendered with these values: subcharts renamed to their aliases, those switched off by
    /// condition or tag removed, values of `import-values` taken over into the defaults.
    ///
    /// This is also the form that Helm keeps in its release record.
    ///
    /// # Errors
    /// The values under the name of a subchart are no table; there are too many charts, aliases counted.
    pub fn with_dependencies(&self, user_values: &Map) -> Result<Chart, Error> {
        self.with_enabled(user_values)?.with_imports()
    }

    /// The first half: subcharts renamed and removed, nothing imported yet.
    pub(super) fn with_enabled(&self, user_values: &Map) -> Result<Chart, Error> {
        let mut chart = self.clone();
        enable(&mut chart, user_values, "", &mut Family::default())?;
        Ok(chart)
    }

    /// The second half. Which values go where depends on where tables are, never on what else they hold.
    pub(super) fn with_imports(mut self) -> Result<Chart, Error> {
        import_values(&mut self)?;
        Ok(self)
    }

    /// Whether the chart may be installed on this version of Kubernetes.
    pub fn supports_kubernetes(&self, version: &str) -> bool {
        let range = &self.metadata.kube_version;
        range.is_empty() || is_in_range(range, version)
    }
}

/// What all charts together take: each alias makes one more of its subchart and of all that is below it, so that a few
/// lines in a few files ask for billions.
#[derive(Default)]
struct Family {
    charts: usize,
    bytes: usize,
}

impl Family {
    fn add(&mut self, chart: &Chart) -> Result<(), Error> {
        self.charts += 1;
        if self.charts > CHARTS_MAX {
            return Err(Error::TooLarge { limit: CHARTS_MAX as u64, unit: "charts with all aliases" });
        }
        let files: usize = chart.templates.iter().chain(chart.files.iter()).map(|file| file.data.len()).sum();
        let values = chart.values.iter().flat_map(|values| values.values()).map(value_bytes).sum::<usize>();
        self.bytes = self.bytes.saturating_add(files + values);
        if self.bytes > FAMILY_BYTES_MAX {
            return Err(Error::TooLarge {
                limit: FAMILY_BYTES_MAX as u64,
                unit: "bytes in all charts with all aliases",
            });
        }
        Ok(())
    }
}

/// How many charts may stand below one, those that aliases repeat included.
pub(super) const CHARTS_MAX: usize = 1_000;

/// Files and default values of all charts together, those that aliases repeat included.
const FAMILY_BYTES_MAX: usize = 128 << 20;

/// What frozen data takes in memory when it is thawed, in bytes, about.
fn value_bytes(value: &Json) -> usize {
    size_of::<Value>()
        + match value {
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(value_bytes).sum(),
            Json::Object(fields) => fields.iter().map(|(key, value)| key.len() + value_bytes(value)).sum(),
        }
}

fn enable(chart: &mut Chart, values: &Map, path: &str, family: &mut Family) -> Result<(), Error> {
    family.add(chart)?;
    let Some(mut wanted) = chart.metadata.dependencies.take() else { return Ok(()) };
    chart.dependencies = resolve(&chart.dependencies, &mut wanted);
    for dependency in &mut wanted {
        dependency.enabled = true;
    }
    let values = coalesce::coalesce_values(chart, values)?;
    apply_tags(&mut wanted, &values);
    apply_conditions(&mut wanted, &values, path);

    let disabled: HashSet<String> = wanted.iter().filter(|d| !d.enabled).map(|d| d.name.clone()).collect();
    chart.dependencies.retain(|child| !disabled.contains(child.name()));
    wanted.retain(|dependency| !disabled.contains(&dependency.name));
    for child in &mut chart.dependencies {
        let child_path = format!("{path}{}.", child.name());
        enable(Arc::make_mut(child), &values, &child_path, family)?;
    }
    chart.metadata.dependencies = (!wanted.is_empty()).then_some(wanted);
    Ok(())
}

/// The subcharts as their parent asks for them: first those it does not mention, then one for each mention, under its
/// alias. A mention whose range does not fit leaves the subchart as it is.
fn resolve(present: &[Arc<Chart>], wanted: &mut [Dependency]) -> Vec<Arc<Chart>> {
    let fits = |chart: &Chart, wanted: &Dependency| {
        chart.name() == wanted.name && is_in_range(&wanted.version, &chart.metadata.version)
    };
    let mut charts: Vec<Arc<Chart>> =
        present.iter().filter(|chart| !wanted.iter().any(|wanted| fits(chart, wanted))).cloned().collect();
    for wanted in wanted {
        if let Some(chart) = present.iter().find(|chart| fits(chart, wanted)) {
            let mut chart = Chart::clone(chart);
            if !wanted.alias.is_empty() {
                chart.metadata.name.clone_from(&wanted.alias);
            }
            charts.push(Arc::new(chart));
        }
        if !wanted.alias.is_empty() {
            wanted.name.clone_from(&wanted.alias);
        }
    }
    charts
}

/// Whether a version satisfies a range; never where either cannot be read.
fn is_in_range(range: &str, version: &str) -> bool {
    match (Constraint::parse(range), Version::parse_loose(version)) {
        (Ok(constraint), Ok(version)) => constraint.check(&version),
        _ => false,
    }
}

/// Switches dependencies by the top-level table `tags`: off where some tag is false and none is true.
fn apply_tags(dependencies: &mut [Dependency], values: &Map) {
    let Some(Value::Map(tags)) = values.get(b"tags") else { return };
    for dependency in dependencies {
        let switches = || dependency.tags.iter().filter_map(|tag| tags.get(tag.as_bytes()));
        let any = |state: bool| switches().any(|switch| matches!(switch, Value::Bool(b) if b == state));
        dependency.enabled = any(true) || !any(false);
    }
}

/// Switches dependencies by the first of their condition paths that holds a bool. Wins over tags.
fn apply_conditions(dependencies: &mut [Dependency], values: &Map, path: &str) {
    for dependency in dependencies {
        let paths = dependency.condition.trim().split(',').filter(|condition| !condition.is_empty());
        let switch = paths.filter_map(|condition| bool_at(values, &format!("{path}{condition}"))).next();
        if let Some(enabled) = switch {
            dependency.enabled = enabled;
        }
    }
}

fn bool_at(values: &Map, path: &str) -> Option<bool> {
    let (tables, key) = path.rsplit_once('.').map_or((None, path), |(tables, key)| (Some(tables), key));
    let table = match tables {
        Some(tables) => table_at(values, tables)?,
        None => values.clone(),
    };
    match table.get(key.as_bytes()) {
        Some(Value::Bool(switch)) => Some(switch),
        _ => None,
    }
}

/// The table at a path of keys with dots between them.
fn table_at(values: &Map, path: &str) -> Option<Map> {
    path.split('.').try_fold(values.clone(), |table, key| match table.get(key.as_bytes()) {
        Some(Value::Map(inner)) => Some(inner),
        _ => None,
    })
}

/// Takes over values that subcharts export, deepest charts first; the parent's own defaults win.
fn import_values(chart: &mut Chart) -> Result<(), Error> {
    for child in &mut chart.dependencies {
        import_values(Arc::make_mut(child))?;
    }
    if chart.metadata.dependencies.is_none() {
        return Ok(());
    }
    let values = coalesce::lay_over_chart(chart, &Map::any(Default::default()), Nulls::Keep)?;
    let imported = Map::any(Default::default());
    for dependency in chart.metadata.dependencies.iter_mut().flatten() {
        let mut imports = Vec::new();
        for import in &dependency.import_values {
            let Some((child, parent)) = import_paths(import) else { continue };
            if parent.split('.').count() > DEPTH_MAX {
                return Err(Error::TooLarge { limit: DEPTH_MAX as u64, unit: "keys in a path of import-values" });
            }
            if let Some(table) = table_at(&values, &format!("{}.{child}", dependency.name)) {
                coalesce::merge_tables(&imported, &table_below(&parent, table), Nulls::Keep);
            }
            imports.push(json!({"child": child, "parent": parent}));
        }
        dependency.import_values = imports;
    }
    let values = match imported.len() {
        0 => values,
        // What is imported shares tables with the values it comes from.
        _ => {
            let values = coalesce::deep_copy_map(&values);
            coalesce::merge_tables(&values, &imported, Nulls::Keep);
            values
        }
    };
    chart.values = Some(Arc::new(freeze_map(&values)));
    Ok(())
}

/// Where an import comes from in the subchart's values, and where it goes to in the parent's.
fn import_paths(import: &Json) -> Option<(String, String)> {
    match import {
        Json::String(name) => Some((format!("exports.{name}"), ".".to_owned())),
        Json::Object(paths) => {
            let text = |key: &str| paths.get(key).and_then(scalar_text).unwrap_or_else(|| "<nil>".to_owned());
            Some((text("child"), text("parent")))
        }
        _ => None,
    }
}

/// The table below the keys of a path; `.` is the root.
fn table_below(path: &str, table: Map) -> Map {
    if path == "." {
        return table;
    }
    path.rsplit('.').fold(table, |inner, key| Map::any([(key.into(), Value::Map(inner))].into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::coalesce::thaw_object;

    fn chart(name: &str, values: Json, wanted: Json, dependencies: Vec<Chart>) -> Chart {
        let mut chart = Chart { dependencies: dependencies.into_iter().map(Arc::new).collect(), ..Chart::default() };
        name.clone_into(&mut chart.metadata.name);
        "1.0.0".clone_into(&mut chart.metadata.version);
        chart.values = values.as_object().cloned().map(Arc::new);
        chart.metadata.dependencies = serde_json::from_value(wanted).unwrap();
        chart
    }

    fn enabled(chart: &Chart, user: Json) -> Vec<String> {
        let chart = chart.with_dependencies(&thaw_object(user.as_object().unwrap())).unwrap();
        chart.dependencies.iter().map(|child| child.name().to_owned()).collect()
    }

    #[test]
    fn conditions_win_over_tags() {
        let wanted = json!([
            {"name": "a", "version": "1.x", "condition": "a.enabled,a.on", "tags": ["front"]},
            {"name": "b", "version": "1.x", "tags": ["front", "back"]},
        ]);
        let charts = vec![chart("a", json!({}), json!(null), vec![]), chart("b", json!({}), json!(null), vec![])];
        let parent = chart("parent", json!({"a": {"on": true}}), wanted, charts);
        assert_eq!(enabled(&parent, json!({})), ["a", "b"]);
        assert_eq!(enabled(&parent, json!({"tags": {"front": false}})), ["a"]);
        assert_eq!(enabled(&parent, json!({"tags": {"front": false, "back": true}})), ["a", "b"]);
        assert_eq!(enabled(&parent, json!({"a": {"enabled": false}})), ["b"]);
        assert_eq!(enabled(&parent, json!({"a": {"enabled": "no"}})), ["a", "b"]);
    }

    #[test]
    fn aliases_of_aliases_are_counted() {
        let aliases: Vec<Json> =
            (0..10).map(|i| json!({"name": "below", "version": "*", "alias": format!("a{i}")})).collect();
        let family = |levels: usize| {
            let lowest = chart("below", json!({}), json!(null), vec![]);
            (0..levels).fold(lowest, |below, _| chart("below", json!({}), json!(aliases), vec![below]))
        };
        assert!(family(2).with_dependencies(&Map::any(Default::default())).is_ok());
        let error = family(12).with_dependencies(&Map::any(Default::default())).unwrap_err();
        assert_eq!(error.to_string(), "chart exceeds the limit of 1000 charts with all aliases");
    }

    #[test]
    fn values_that_aliases_repeat_are_counted() {
        let text = "x".repeat(1 << 20);
        let aliases: Vec<Json> =
            (0..200).map(|i| json!({"name": "a", "version": "*", "alias": format!("a{i}")})).collect();
        let below = chart("a", json!({"text": text}), json!(null), vec![]);
        let parent = chart("parent", json!({}), json!(aliases), vec![below]);
        let error = parent.with_dependencies(&Map::any(Default::default())).unwrap_err();
        assert_eq!(error.to_string(), "chart exceeds the limit of 134217728 bytes in all charts with all aliases");
    }

    #[test]
    fn import_paths_without_end_are_refused() {
        let child = json!({"exports": {"x": 1}});
        let deep = "a.".repeat(100_000) + "a";
        let wanted = json!([{"name": "a", "version": "*", "import-values": [{"child": "exports", "parent": deep}]}]);
        let parent = chart("parent", json!({}), wanted, vec![chart("a", child, json!(null), vec![])]);
        let error = parent.with_dependencies(&Map::any(Default::default())).unwrap_err();
        assert_eq!(error.to_string(), "chart exceeds the limit of 200 keys in a path of import-values");
    }

    #[test]
    fn one_subchart_under_two_aliases() {
        let wanted = json!([
            {"name": "a", "version": "^1.0.0", "alias": "one"},
            {"name": "a", "version": "^1.0.0", "alias": "two", "condition": "two.enabled"},
        ]);
        let parent = chart("parent", json!({}), wanted, vec![chart("a", json!({}), json!(null), vec![])]);
        assert_eq!(enabled(&parent, json!({})), ["one", "two"]);
        assert_eq!(enabled(&parent, json!({"two": {"enabled": false}})), ["one"]);
    }

    #[test]
    fn subchart_out_of_range_stays_as_it_is() {
        let wanted = json!([{"name": "a", "version": "^2.0.0", "alias": "b", "condition": "b.enabled"}]);
        let parent =
            chart("parent", json!({"b": {"enabled": false}}), wanted, vec![chart("a", json!({}), json!(null), vec![])]);
        assert_eq!(enabled(&parent, json!({})), ["a"]);
    }

    #[test]
    fn imported_values_lie_below_those_of_the_parent() {
        let child = json!({"exports": {"data": {"x": 1, "y": 1}}, "deep": {"z": [1]}});
        let wanted = json!([
            {"name": "a", "version": "*", "import-values": ["data", {"child": "deep", "parent": "from.a"}, "absent"]}
        ]);
        let parent = chart("parent", json!({"y": 2}), wanted, vec![chart("a", child, json!(null), vec![])]);
        let parent = parent.with_dependencies(&Map::any(Default::default())).unwrap();
        let values = Json::Object(Object::clone(parent.values.as_ref().unwrap()));
        assert_eq!(values["x"], 1);
        assert_eq!(values["y"], 2);
        assert_eq!(values["from"], json!({"a": {"z": [1]}}));
    }

    use crate::chart::Object;
}
