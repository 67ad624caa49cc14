//! What templates see as `.`: one map a chart, shared by all its templates, and the templates that see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value as Json;

use super::{Operation, ReleaseInfo, files};
use crate::chart::{Chart, Dependency, Maintainer, Metadata};
use crate::value::{Entries, Map, MapType, Str, Value};

/// A template with what it sees.
pub(super) struct Renderable {
    pub(super) text: Bytes,
    /// The map that all templates of the chart share. What one sets the next ones see.
    pub(super) scope: Map,
    /// The folder of the chart's templates, for `.Template.BasePath`.
    base_path: String,
}

impl Renderable {
    /// Tells the scope which template runs now.
    pub(super) fn announce(&self, path: &str) {
        let template =
            [(Str::from("Name"), Value::string(path)), (Str::from("BasePath"), Value::string(self.base_path.as_str()))];
        self.scope.set("Template", Value::Map(Map::typed(MapType::Values, template.into())));
    }
}

/// The templates of a chart and its subcharts by path, with their scopes made of `values`.
pub(super) fn templates(
    chart: &Chart,
    values: Map,
    release: Value,
    capabilities: Value,
) -> BTreeMap<String, Renderable> {
    let mut builder = Builder { release, capabilities, templates: BTreeMap::new() };
    builder.add(chart, chart.name(), true, values);
    builder.templates
}

struct Builder {
    release: Value,
    capabilities: Value,
    templates: BTreeMap<String, Renderable>,
}

impl Builder {
    fn add(&mut self, chart: &Chart, path: &str, is_root: bool, values: Map) -> Map {
        let mut metadata = metadata_entries(&chart.metadata);
        metadata.insert("IsRoot".into(), Value::Bool(is_root));
        let subcharts = Map::any(Entries::new());
        let scope = Map::any(Entries::from([
            ("Chart".into(), Value::map(metadata)),
            ("Files".into(), files::of(&chart.files)),
            ("Release".into(), self.release.clone()),
            ("Capabilities".into(), self.capabilities.clone()),
            ("Values".into(), Value::Map(values.with_type(MapType::Values))),
            ("Subcharts".into(), Value::Map(subcharts.clone())),
        ]));
        for child in &chart.dependencies {
            let child_values = table_of(&values, child.name());
            let child_path = format!("{path}/charts/{}", child.name());
            let child_scope = self.add(child, &child_path, false, child_values);
            subcharts.set(child.name(), Value::Map(child_scope));
        }
        for template in chart.templates.iter() {
            let base_name = template.name.rsplit('/').next().unwrap_or_default();
            if chart.is_library() && !base_name.starts_with('_') {
                continue;
            }
            let renderable = Renderable {
                text: template.data.clone(),
                scope: scope.clone(),
                base_path: format!("{path}/templates"),
            };
            self.templates.insert(format!("{path}/{}", template.name), renderable);
        }
        scope
    }
}

/// The values of a subchart: the table under its name, where dots lead into tables. Empty where there is none.
fn table_of(values: &Map, name: &str) -> Map {
    let found = name.split('.').try_fold(values.clone(), |table, key| match table.get(key.as_bytes()) {
        Some(Value::Map(inner)) => Some(inner),
        _ => None,
    });
    found.unwrap_or_else(|| Map::any(Entries::new()))
}

/// `.Release` of a render.
pub(super) fn release_map(release: &ReleaseInfo) -> Value {
    release_entries(&release.name, &release.namespace, release.revision, Some(release.operation))
}

/// `.Release` where a chart is only looked at: neither an install nor an upgrade.
pub(super) fn release_of_lint(namespace: &str) -> Value {
    release_entries("test-release", namespace, 0, None)
}

fn release_entries(name: &str, namespace: &str, revision: i64, operation: Option<Operation>) -> Value {
    Value::map(Entries::from([
        ("Name".into(), Value::string(name)),
        ("Namespace".into(), Value::string(namespace)),
        ("IsUpgrade".into(), Value::Bool(operation == Some(Operation::Upgrade))),
        ("IsInstall".into(), Value::Bool(operation == Some(Operation::Install))),
        ("Revision".into(), Value::int(revision)),
        ("Service".into(), Value::string("Helm")),
    ]))
}

/// `.Chart`: the fields by their Go names, absent ones empty.
fn metadata_entries(metadata: &Metadata) -> Entries {
    let annotations = match &metadata.annotations {
        Some(annotations) => {
            let entries =
                annotations.iter().map(|(key, value)| (Str::from(key.as_str()), Value::string(value.as_str())));
            Map::typed(MapType::String, entries.collect())
        }
        None => Map { map_type: MapType::String, entries: None },
    };
    Entries::from([
        ("Name".into(), text(&metadata.name)),
        ("Home".into(), text(&metadata.home)),
        ("Sources".into(), texts(&metadata.sources)),
        ("Version".into(), text(&metadata.version)),
        ("Description".into(), text(&metadata.description)),
        ("Keywords".into(), texts(&metadata.keywords)),
        ("Maintainers".into(), Value::list(metadata.maintainers.iter().map(maintainer).collect())),
        ("Icon".into(), text(&metadata.icon)),
        ("APIVersion".into(), text(&metadata.api_version)),
        ("Condition".into(), text(&metadata.condition)),
        ("Tags".into(), text(&metadata.tags)),
        ("AppVersion".into(), text(&metadata.app_version)),
        ("Deprecated".into(), Value::Bool(metadata.deprecated)),
        ("Annotations".into(), Value::Map(annotations)),
        ("KubeVersion".into(), text(&metadata.kube_version)),
        ("Dependencies".into(), Value::list(metadata.dependencies().iter().map(dependency).collect())),
        ("Type".into(), text(&metadata.chart_type)),
    ])
}

fn maintainer(maintainer: &Maintainer) -> Value {
    Value::map(Entries::from([
        ("Name".into(), text(&maintainer.name)),
        ("Email".into(), text(&maintainer.email)),
        ("URL".into(), text(&maintainer.url)),
    ]))
}

fn dependency(dependency: &Dependency) -> Value {
    Value::map(Entries::from([
        ("Name".into(), text(&dependency.name)),
        ("Version".into(), text(&dependency.version)),
        ("Repository".into(), text(&dependency.repository)),
        ("Condition".into(), text(&dependency.condition)),
        ("Tags".into(), texts(&dependency.tags)),
        ("Enabled".into(), Value::Bool(dependency.enabled)),
        ("ImportValues".into(), Value::list(dependency.import_values.iter().map(import).collect())),
        ("Alias".into(), text(&dependency.alias)),
    ]))
}

/// An import as dependency processing leaves it: a `map[string]string`.
fn import(import: &Json) -> Value {
    match Value::thaw(import) {
        Value::Map(map) => Value::Map(map.with_type(MapType::String)),
        other => other,
    }
}

fn text(text: &str) -> Value {
    Value::string(text)
}

fn texts(texts: &[String]) -> Value {
    Value::list(texts.iter().map(|item| text(item)).collect())
}
