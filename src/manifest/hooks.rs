//! Hooks: objects that run at an event of a release instead of belonging to it.
//!
//! Here are their words and how they are told apart from plain objects; running them is the cluster's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Error, order, split};
use crate::yaml;

pub const HOOK_ANNOTATION: &str = "helm.sh/hook";
pub const WEIGHT_ANNOTATION: &str = "helm.sh/hook-weight";
pub const DELETE_POLICY_ANNOTATION: &str = "helm.sh/hook-delete-policy";
pub const OUTPUT_LOG_POLICY_ANNOTATION: &str = "helm.sh/hook-output-log-policy";

/// A hook. Serialised with the names of Helm's release record, without `last_run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template that made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Hooks of one event run by weight, then by name.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// As written; what is no [`DeletePolicy`] is kept for the record and does nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<String>,
}

fn is_zero(weight: &i64) -> bool {
    *weight == 0
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
}

/// When the object of a hook is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    BeforeHookCreation,
    HookSucceeded,
    HookFailed,
}

impl Event {
    /// The event of a word of the annotation, in any case; `test-success` is the old word for `test`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.trim().to_lowercase().as_str() {
            "pre-install" => Event::PreInstall,
            "post-install" => Event::PostInstall,
            "pre-delete" => Event::PreDelete,
            "post-delete" => Event::PostDelete,
            "pre-upgrade" => Event::PreUpgrade,
            "post-upgrade" => Event::PostUpgrade,
            "pre-rollback" => Event::PreRollback,
            "post-rollback" => Event::PostRollback,
            "test" | "test-success" => Event::Test,
            _ => return None,
        })
    }

    /// The word of the annotation and of Helm's record.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::PreInstall => "pre-install",
            Event::PostInstall => "post-install",
            Event::PreDelete => "pre-delete",
            Event::PostDelete => "post-delete",
            Event::PreUpgrade => "pre-upgrade",
            Event::PostUpgrade => "post-upgrade",
            Event::PreRollback => "pre-rollback",
            Event::PostRollback => "post-rollback",
            Event::Test => "test",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl DeletePolicy {
    /// The word of the annotation and of Helm's record.
    pub fn as_str(self) -> &'static str {
        match self {
            DeletePolicy::BeforeHookCreation => "before-hook-creation",
            DeletePolicy::HookSucceeded => "hook-succeeded",
            DeletePolicy::HookFailed => "hook-failed",
        }
    }
}

/// A document that belongs to the release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The template that made it.
    pub path: String,
    pub content: String,
    pub kind: String,
}

/// Rendered files, told apart and in the order of installing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    pub hooks: Vec<Hook>,
    pub manifests: Vec<Manifest>,
    /// What the dropped documents said in place of hook events.
    pub unknown_hooks: Vec<String>,
}

/// Splits rendered files into documents, hooks and plain ones, each ordered by kind and then by file.
///
/// A document that names an unknown hook event is dropped, as Helm does.
///
/// # Errors
/// A document is no YAML, or its head has a wrong shape; the file is named.
pub fn sort(files: &BTreeMap<String, String>) -> Result<Sorted, Error> {
    let documents = files.iter().filter(|(path, content)| {
        let base = path.rsplit('/').next().unwrap_or(path);
        !base.starts_with('_') && !content.trim().is_empty()
    });
    sort_documents(
        documents
            .flat_map(|(path, content)| split::split(content).into_iter().map(|document| (path.as_str(), document))),
    )
}

/// [`sort`] for documents that were split before; each comes with its file, and files come in their order.
///
/// # Errors
/// As [`sort`].
pub fn sort_documents<'d>(documents: impl Iterator<Item = (&'d str, &'d str)>) -> Result<Sorted, Error> {
    let mut sorted = Sorted::default();
    for (path, document) in documents {
        let head = Head::read(path, document)?;
        match head.hook_words() {
            None => {
                sorted.manifests.push(Manifest { path: path.to_owned(), content: document.to_owned(), kind: head.kind })
            }
            Some(words) => {
                let events: Option<Vec<Event>> = words.split(',').map(Event::parse).collect();
                match events {
                    Some(events) => sorted.hooks.push(head.into_hook(events, path, document)),
                    None => sorted.unknown_hooks.push(words),
                }
            }
        }
    }
    sorted.hooks.sort_by(|a, b| order::install_key(&a.kind).cmp(&order::install_key(&b.kind)));
    sorted.manifests.sort_by(|a, b| order::install_key(&a.kind).cmp(&order::install_key(&b.kind)));
    Ok(sorted)
}

/// What must be known of a document to place it.
#[derive(Debug, Default)]
struct Head {
    kind: String,
    name: String,
    annotations: BTreeMap<String, String>,
}

impl Head {
    fn read(file: &str, document: &str) -> Result<Self, Error> {
        let json = yaml::fields_to_json(document.as_bytes(), Head::is_field)
            .map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
        Head::of(&json).map_err(|problem| Error::Shape { file: file.to_owned(), problem })
    }

    /// Whether a head is made of that field of a document, under any of the names by which [`field`] finds it.
    fn is_field(name: &str) -> bool {
        ["kind", "apiVersion", "metadata"].iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn of(json: &Json) -> Result<Self, String> {
        let mut head = Head::default();
        let Some(fields) = table(json, "document")? else { return Ok(head) };
        head.kind = text(field(fields, "kind"), "kind")?;
        text(field(fields, "apiVersion"), "apiVersion")?;
        let metadata = field(fields, "metadata");
        let Some(metadata) = table(metadata, "metadata")? else { return Ok(head) };
        head.name = text(field(metadata, "name"), "metadata.name")?;
        if let Some(annotations) = table(field(metadata, "annotations"), "metadata.annotations")? {
            for (key, value) in annotations {
                head.annotations.insert(key.clone(), text(value, "metadata.annotations")?);
            }
        }
        Ok(head)
    }

    fn hook_words(&self) -> Option<String> {
        self.annotations.get(HOOK_ANNOTATION).cloned()
    }

    fn into_hook(self, events: Vec<Event>, path: &str, document: &str) -> Hook {
        let words = |annotation: &str| match self.annotations.get(annotation) {
            Some(words) => words.split(',').map(|word| word.trim().to_lowercase()).collect(),
            None => Vec::new(),
        };
        Hook {
            delete_policies: words(DELETE_POLICY_ANNOTATION),
            output_log_policies: words(OUTPUT_LOG_POLICY_ANNOTATION),
            weight: self.annotations.get(WEIGHT_ANNOTATION).and_then(|weight| weight.parse().ok()).unwrap_or(0),
            name: self.name,
            kind: self.kind,
            path: path.to_owned(),
            manifest: document.to_owned(),
            events,
        }
    }
}

/// A field by its exact name, else regardless of case, as Go's JSON reader finds it.
fn field<'j>(table: &'j serde_json::Map<String, Json>, name: &str) -> &'j Json {
    let inexact = || table.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    table.get(name).or_else(inexact).unwrap_or(&Json::Null)
}

fn table<'j>(json: &'j Json, place: &str) -> Result<Option<&'j serde_json::Map<String, Json>>, String> {
    match json {
        Json::Null => Ok(None),
        Json::Object(table) => Ok(Some(table)),
        _ => Err(format!("{place} is not a table")),
    }
}

/// A scalar as text: where text is wanted, numbers and bools are taken as text.
fn text(json: &Json, place: &str) -> Result<String, String> {
    match json {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        other => yaml::as_string_field(other).ok_or_else(|| format!("{place} is not a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(files: &[(&str, &str)]) -> Result<Sorted, Error> {
        sort(&files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect())
    }

    #[test]
    fn hooks_are_told_apart_and_read() {
        let hook = "kind: Job\nmetadata:\n  name: migrate\n  annotations:\n    helm.sh/hook: Pre-Install, pre-upgrade\n    \
                    helm.sh/hook-weight: \"-5\"\n    helm.sh/hook-delete-policy: hook-succeeded,before-hook-creation\n";
        let sorted = sorted(&[("a/templates/a.yaml", hook), ("a/templates/b.yaml", "kind: Pod\n")]).unwrap();
        assert_eq!(sorted.manifests.len(), 1);
        let hook = &sorted.hooks[0];
        assert_eq!((hook.name.as_str(), hook.kind.as_str(), hook.weight), ("migrate", "Job", -5));
        assert_eq!(hook.events, [Event::PreInstall, Event::PreUpgrade]);
        assert_eq!(hook.delete_policies, ["hook-succeeded", "before-hook-creation"]);
        let json = serde_json::to_value(hook).unwrap();
        assert_eq!(json["events"], serde_json::json!(["pre-install", "pre-upgrade"]));
    }

    #[test]
    fn unknown_hook_event_drops_the_document() {
        let text = "kind: Job\nmetadata: {annotations: {helm.sh/hook: \"pre-install,crd-install\"}}\n";
        let dropped = Sorted { unknown_hooks: vec!["pre-install,crd-install".into()], ..Sorted::default() };
        assert_eq!(sorted(&[("a.yaml", text)]).unwrap(), dropped);
    }

    #[test]
    fn kinds_are_ordered_and_files_keep_theirs() {
        let sorted = sorted(&[
            ("b.yaml", "kind: Deployment\n---\nkind: Zebra\n---\nkind: Ant\n"),
            ("a.yaml", "kind: Deployment\n---\n# nothing but a comment\n---\nkind: Secret\n"),
        ])
        .unwrap();
        let order: Vec<(&str, &str)> = sorted.manifests.iter().map(|m| (m.path.as_str(), m.kind.as_str())).collect();
        let want = [
            ("a.yaml", "Secret"),
            ("a.yaml", "Deployment"),
            ("b.yaml", "Deployment"),
            ("a.yaml", ""),
            ("b.yaml", "Ant"),
            ("b.yaml", "Zebra"),
        ];
        assert_eq!(order, want);
    }

    #[test]
    fn error_names_the_file() {
        let error = sorted(&[("web/templates/a.yaml", "a: b: c\n")]).unwrap_err();
        assert!(crate::text::chain(&error).starts_with("YAML parse error on web/templates/a.yaml: "), "{error}");
        let error = sorted(&[("a.yaml", "kind: Pod\nmetadata: x\n")]).unwrap_err().to_string();
        assert_eq!(error, "YAML parse error on a.yaml: metadata is not a table");
    }
}
