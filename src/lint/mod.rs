//! What is wrong with a chart, without a release: the findings of `helm lint`, in its words and its order.
//!
//! Pure: a folder comes in as files in memory, findings come out. Reading disks and printing is `cli`'s. Rules, their
//! order and their gaps follow Helm v4.3.1 (`pkg/chart/v2/lint`): each rule that finds something is one finding, and a
//! chart that cannot be read ends the rules that need it.

mod addresses;
mod chart_file;
mod deprecations;
mod documents;
mod names;
mod templates;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value as Json;

use crate::chart::{self, Chart, File, coalesce, schema};
use crate::render::{Capabilities, KubeVersion, Options, Remark};
use crate::value::shape::Reading;
use crate::value::{Map, Value};
use crate::yaml;
use documents::{Head, Stream};

/// A chart's folder as it lies on the disk, `.helmignore` not yet looked at.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// How the folder is named in findings that concern it as a whole: its absolute path.
    pub path: String,
    /// With paths relative to the folder.
    pub files: Vec<File>,
    /// The folders within it, also empty ones, with paths relative to it.
    pub folders: BTreeSet<String>,
}

/// How a chart is looked at.
pub struct Settings<'s> {
    /// What `.Release.Namespace` says.
    pub namespace: &'s str,
    /// For `.Capabilities` and for deprecated APIs.
    pub kube_version: Option<KubeVersion>,
    pub skip_schema: bool,
    pub limits: chart::Limits,
    pub render: Options,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    /// Against the rules, but it will probably work.
    Warning,
    /// It will probably not work.
    Error,
}

/// Something found. Printed as Helm prints it: `[WARNING] Chart.yaml: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// The file or folder it is about, relative to the chart's folder; empty for the chart as a whole.
    pub path: String,
    pub message: String,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// What `required` and `fail` said while the templates were rendered. They are no findings.
    pub remarks: Vec<Remark>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{severity}] {}: {}", self.path, self.message)
    }
}

impl Folder {
    /// The files of a chart archive, as they would lie in a folder.
    pub fn of_files(path: String, files: Vec<File>) -> Self {
        let parents = |file: &File| {
            let ends: Vec<usize> = file.name.match_indices('/').map(|(end, _)| end).collect();
            ends.into_iter().map(|end| file.name[..end].to_owned()).collect::<Vec<_>>()
        };
        let folders = files.iter().flat_map(parents).collect();
        Folder { path, files, folders }
    }

    /// A file's content.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|file| file.name == name).map(|file| &file.data[..])
    }

    fn entry(&self, name: &str) -> Entry {
        if self.folders.contains(name) {
            Entry::Folder
        } else if self.file(name).is_some() {
            Entry::File
        } else {
            Entry::Absent
        }
    }

    fn load(&self, limits: &chart::Limits) -> Result<Chart, String> {
        chart::load_files(self.files.clone(), limits).map_err(|error| crate::text::chain(&error))
    }
}

/// What stands in a folder under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Absent,
    File,
    Folder,
}

impl Report {
    fn add(&mut self, severity: Severity, path: &str, message: impl Into<String>) {
        self.findings.push(Finding { severity, path: path.to_owned(), message: message.into() });
    }

    /// Adds what a rule refused; tells whether it refused nothing.
    fn rule<T>(&mut self, severity: Severity, path: &str, outcome: Result<T, String>) -> Option<T> {
        match outcome {
            Ok(passed) => Some(passed),
            Err(message) => {
                self.add(severity, path, message);
                None
            }
        }
    }
}

/// Looks at a chart with the user's values over its own. The calling thread needs a large stack: see
/// [`crate::render::on_big_stack`].
pub fn check(folder: &Folder, user_values: &Map, settings: &Settings<'_>) -> Report {
    let mut report = Report::default();
    chart_file::check(folder, &mut report);
    check_values(folder, user_values, settings, &mut report);
    templates::check(folder, user_values, settings, &mut report);
    check_dependencies(folder, settings, &mut report);
    check_crds(folder, settings, &mut report);
    report
}

/// `values.yaml` is a table and fits the chart's own schema.
fn check_values(folder: &Folder, user_values: &Map, settings: &Settings<'_>, report: &mut Report) {
    const FILE: &str = "values.yaml";
    let Some(text) = folder.file(FILE) else {
        report.add(Severity::Info, FILE, "file does not exist");
        return;
    };
    let checked = read_values(text).and_then(|values| {
        let over = coalesce::thaw_object(&coalesce::freeze_map(user_values));
        coalesce::coalesce_tables(&over, &values);
        match folder.file("values.schema.json") {
            Some(schema) if !schema.is_empty() && !settings.skip_schema => {
                schema::validate_one(schema, &Json::Object(coalesce::freeze_map(&over)))
                    .map_err(|problems| problems + "\n")
            }
            Some(_) | None => Ok(()),
        }
    });
    report.rule(Severity::Error, FILE, checked);
}

/// Only the first document, as Helm reads it here.
fn read_values(text: &[u8]) -> Result<Map, String> {
    let refuse = |problem: String| format!("unable to parse YAML: {problem}");
    match yaml::to_json(text).map_err(|error| refuse(error.to_string()))? {
        Json::Null => Ok(Map::any(Default::default())),
        Json::Object(values) => Ok(coalesce::thaw_object(&values)),
        other => {
            let found = match other {
                Json::Array(_) => "array",
                Json::String(_) => "string",
                Json::Bool(_) => "bool",
                Json::Number(_) | Json::Null | Json::Object(_) => "number",
            };
            let target = "Go value of type map[string]interface {}";
            let sentence = format!("json: cannot unmarshal {found} into {target}");
            Err(refuse(format!("error unmarshaling JSON: while decoding JSON: {sentence}")))
        }
    }
}

/// What `Chart.yaml` names and what lies in `charts/` are the same.
fn check_dependencies(folder: &Folder, settings: &Settings<'_>, report: &mut Report) {
    let loaded = folder.load(&settings.limits).map_err(|problem| format!("unable to load chart\n\t{problem}"));
    let Some(chart) = report.rule(Severity::Error, "", loaded) else { return };
    let named = chart.metadata.dependencies();
    let is_named = |chart: &Chart| named.iter().any(|dependency| dependency.name == chart.name());
    let is_there = |name: &str| chart.dependencies.iter().any(|child| child.name() == name);

    let unnamed: Vec<&str> =
        chart.dependencies.iter().filter(|child| !is_named(child)).map(|child| child.name()).collect();
    if !unnamed.is_empty() {
        let message = format!("chart metadata is missing these dependencies: {}", unnamed.join(","));
        report.add(Severity::Error, &folder.path, message);
    }
    // Names that come twice are refused when the chart is loaded.
    let absent: Vec<&str> =
        named.iter().map(|dependency| dependency.name.as_str()).filter(|name| !is_there(name)).collect();
    if !absent.is_empty() {
        let message = format!("chart directory is missing these dependencies: {}", absent.join(","));
        report.add(Severity::Warning, &folder.path, message);
    }
}

/// What lies in `crds/` is CustomResourceDefinitions and no template.
fn check_crds(folder: &Folder, settings: &Settings<'_>, report: &mut Report) {
    const FOLDER: &str = "crds/";
    match folder.entry("crds") {
        Entry::Absent => return,
        Entry::File => {
            report.add(Severity::Error, FOLDER, "not a directory");
            return;
        }
        Entry::Folder => {}
    }
    let Some(chart) = report.rule(Severity::Error, FOLDER, folder.load(&settings.limits)) else { return };
    for crd in chart.crds() {
        let name = crd.name.as_str();
        for document in Stream::new(&crd.data) {
            let Some(head) = report.rule(Severity::Error, name, document.map_err(unreadable)) else { return };
            let Some(Head { api_version, kind, .. }) = head else { continue };
            if !api_version.starts_with("apiextensions.k8s.io") {
                report.add(Severity::Error, name, "apiVersion is not in 'apiextensions.k8s.io'");
            }
            if kind != "CustomResourceDefinition" {
                report.add(Severity::Error, name, "object kind is not 'CustomResourceDefinition'");
            }
        }
    }
}

fn unreadable(problem: String) -> String {
    format!("unable to parse YAML: {problem}")
}

fn capabilities(settings: &Settings<'_>) -> Capabilities {
    let mut capabilities = Capabilities::default();
    if let Some(version) = &settings.kube_version {
        capabilities.kube_version = version.clone();
    }
    capabilities
}

/// The Go name of a value's type, as `%T` prints it for what YAML is read into.
fn go_type(json: &Json) -> String {
    match json {
        Json::Null => "<nil>".to_owned(),
        other => Value::thaw(other).type_name(),
    }
}

/// YAML made JSON and read into a struct, with Go's sentence where it does not fit.
fn read_into(
    shape: &'static crate::value::shape::Struct,
    json: Result<Json, yaml::Error>,
    reading: Reading,
) -> Result<Json, String> {
    let json = json.map_err(|error| error.to_string())?;
    match shape.check(&json, reading) {
        Ok(()) => Ok(json),
        Err(problem) => Err(format!("error unmarshaling JSON: while decoding JSON: {problem}")),
    }
}
