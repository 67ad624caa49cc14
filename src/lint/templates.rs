//! The rules of `templates/`: they render, each file has an ending that Helm knows, and each document is an object.

use serde_json::Value as Json;

use super::documents::{Head, Stream};
use super::{Entry, Folder, Report, Settings, Severity, capabilities, deprecations, names, unreadable};
use crate::chart::{Chart, coalesce, schema};
use crate::render::{self, KubeVersion, Linted};
use crate::value::{Map, strconv};
use crate::yaml;

const FOLDER: &str = "templates/";

/// Adds what is wrong with the templates to the report.
pub(super) fn check(folder: &Folder, user_values: &Map, settings: &Settings<'_>, report: &mut Report) {
    match folder.entry("templates") {
        Entry::Absent => return report.add(Severity::Warning, FOLDER, "directory does not exist"),
        Entry::File => return report.add(Severity::Error, FOLDER, "not a directory"),
        Entry::Folder => {}
    }
    let Some(chart) = report.rule(Severity::Error, FOLDER, folder.load(&settings.limits)) else { return };
    // What is wrong with dependencies is found elsewhere.
    let Ok(chart) = chart.with_dependencies(user_values) else { return };
    let rendered = match values(&chart, user_values, settings) {
        Ok(Some(values)) => render(&chart, values, settings),
        Ok(None) => return,
        Err(problem) => Err(problem),
    };
    let Some(rendered) = report.rule(Severity::Error, FOLDER, rendered) else { return };
    report.remarks = rendered.remarks;
    let kube_version = capabilities(settings).kube_version;
    for template in chart.templates.iter() {
        check_extension(&template.name, report);
        if !matches!(extension(&template.name).to_lowercase().as_str(), ".yaml" | ".yml") {
            continue;
        }
        let path = format!("{}/{}", chart.name(), template.name);
        let output = rendered.files.get(&path).map_or(&b""[..], Vec::as_slice);
        if !String::from_utf8_lossy(output).trim().is_empty()
            && !check_output(&template.name, output, &kube_version, report)
        {
            return;
        }
    }
}

/// The values of a render, or `None` where they cannot be made. They are coalesced twice, as Helm does here: a null
/// of the user removes a default, and then the default comes back.
fn values(chart: &Chart, user_values: &Map, settings: &Settings<'_>) -> Result<Option<Map>, String> {
    let Ok(values) = coalesce::coalesce_values(chart, user_values) else { return Ok(None) };
    let values = coalesce::coalesce_values(chart, &values).map_err(|error| crate::text::chain(&error))?;
    if !settings.skip_schema && schema::is_present(chart) {
        schema::validate(chart, &Json::Object(coalesce::freeze_map(&values))).map_err(|error| format!("{error}\n"))?;
    }
    Ok(Some(values))
}

fn render(chart: &Chart, values: Map, settings: &Settings<'_>) -> Result<Linted, String> {
    render::lint(chart, values, settings.namespace, &capabilities(settings), &settings.render)
        .map_err(|error| crate::text::chain(&error))
}

fn extension(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.rfind('.').map_or("", |dot| &base[dot..])
}

fn check_extension(path: &str, report: &mut Report) {
    let extension = extension(path);
    if !matches!(extension, ".yaml" | ".yml" | ".tpl" | ".txt") {
        let message =
            format!("file extension '{extension}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt");
        report.add(Severity::Error, path, message);
    }
}

/// The rules of one file's output; `false` where it cannot be read, which ends the rules of all templates.
fn check_output(path: &str, output: &[u8], kube_version: &KubeVersion, report: &mut Report) -> bool {
    let text = String::from_utf8_lossy(output);
    let first_line = text.lines().find(|line| !line.trim().is_empty());
    if let Some(line) = first_line.filter(|line| line.starts_with([' ', '\t'])) {
        let line = quoted(line);
        let message = format!("document starts with an illegal indent: {line}, which may cause parsing problems");
        report.add(Severity::Warning, path, message);
    }
    for document in Stream::new(output) {
        let Some(head) = report.rule(Severity::Error, path, document.map_err(unreadable)) else { return false };
        if let Some(head) = head {
            check_object(path, &head, &text, kube_version, report);
        }
    }
    true
}

fn check_object(path: &str, head: &Head, file: &str, kube_version: &KubeVersion, report: &mut Report) {
    let Head { api_version, kind, name } = head;
    report.rule(Severity::Warning, path, check_name(kind, name));
    if let Some(warning) = deprecations::warning(api_version, kind, kube_version) {
        report.add(Severity::Warning, path, warning);
    }
    let has_selector = file.contains("matchLabels") || file.contains("matchExpressions");
    if matches!(kind.as_str(), "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") && !has_selector {
        let name = quoted(name);
        let message = format!("a {kind} must contain matchLabels or matchExpressions, and {name} does not");
        report.add(Severity::Error, path, message);
    }
    if kind == "List" && has_kept_item(file) {
        let message = "annotation 'helm.sh/resource-policy' within List objects are ignored";
        report.add(Severity::Error, path, message);
    }
}

fn check_name(kind: &str, name: &str) -> Result<(), String> {
    let name_text = quoted(name);
    let problems: Vec<String> = names::problems(kind, name)
        .into_iter()
        .map(|problem| format!("metadata.name: Invalid value: {name_text}: {problem}"))
        .collect();
    let problems = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    Err(format!("object name does not conform to Kubernetes naming requirements: {name_text}: {problems}"))
}

/// Whether an item of the list that is the file's first document asks to be kept.
fn has_kept_item(file: &str) -> bool {
    let Ok(list) = yaml::to_json(file.as_bytes()) else { return false };
    let items = list.get("items").and_then(Json::as_array);
    items.into_iter().flatten().any(|item| item.pointer("/metadata/annotations/helm.sh~1resource-policy").is_some())
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&strconv::quote(text.as_bytes())).into_owned()
}
