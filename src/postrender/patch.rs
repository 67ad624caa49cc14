//! A patch: which kind its text is, and which objects it changes.

use serde_json::Value as Json;

use super::Problem;
use super::json_patch::Operation;
use super::merge;
use super::resource::{Id, Resource};
use super::select::Selector;
use crate::{text, yaml};

/// The directives of strategic merge patches that Kustomize does not follow: it would leave them in the object.
const UNKNOWN_DIRECTIVES: [&str; 3] = ["$retainKeys", "$setElementOrder", "$deleteFromPrimitiveList"];

/// A patch, and the objects it is for.
#[derive(Clone, Debug)]
pub struct Patch(Change);

#[derive(Clone, Debug)]
enum Change {
    /// Partial objects, each merged into the one object of its own kind and name.
    MergeEach(Vec<Json>),
    /// A partial object, merged into every object of a target.
    Merge(Json, Selector),
    /// A JSON patch.
    Operations(Vec<Operation>, Selector),
}

impl Patch {
    /// Reads a patch as YAML or JSON. A list is a JSON patch; tables are strategic merge patches.
    ///
    /// # Errors
    /// What is wrong with the text, and where in it.
    pub fn parse(patch: &str, target: Option<Selector>) -> Result<Self, String> {
        let documents = yaml::documents(patch.as_bytes()).map_err(|problem| text::chain(&problem))?;
        let mut documents: Vec<Json> = documents.into_iter().map(|document| document.value).collect();
        documents.retain(|document| !document.is_null());
        let change = match (documents.as_slice(), target) {
            ([], _) => return Err("it is empty".into()),
            ([Json::Array(_)], None) => return Err("a JSON patch names no object; give a target".into()),
            ([Json::Array(operations)], Some(target)) => Change::Operations(operations_of(operations)?, target),
            ([patch], Some(target)) => {
                check(patch)?;
                Change::Merge(with_texts(patch.clone())?, target)
            }
            (_, Some(_)) => return Err("a text of several patches has no target; make each a patch of its own".into()),
            (patches, None) => {
                patches.iter().try_for_each(check)?;
                Change::MergeEach(documents)
            }
        };
        Ok(Patch(change))
    }

    /// Whether anything changed.
    pub(super) fn apply(&self, resources: &mut [&mut Resource]) -> Result<bool, Problem> {
        match &self.0 {
            Change::MergeEach(patches) => patches.iter().try_fold(false, |changed, patch| {
                let meant = Id::of(patch);
                let is_meant = |object: &Json| Id::of(object).is_meant_by(&meant);
                match change(resources, is_meant, |object| merge::apply(object, patch))? {
                    Changed { objects: 0, .. } => Err(Problem::NoObject(meant.to_string())),
                    Changed { differ, .. } => Ok(changed | differ),
                }
            }),
            Change::Merge(patch, target) => {
                let changed = change(resources, |object| target.selects(object), |object| merge::apply(object, patch))?;
                Ok(changed.differ)
            }
            Change::Operations(operations, target) => {
                let changed = change(resources, |object| target.selects(object), |object| operate(object, operations))?;
                Ok(changed.differ)
            }
        }
    }
}

/// What a patch did.
struct Changed {
    /// How many objects it is for.
    objects: usize,
    /// Whether any of them is another now.
    differ: bool,
}

fn change(
    resources: &mut [&mut Resource],
    is_meant: impl Fn(&Json) -> bool,
    patched: impl Fn(&Json) -> Result<Option<Json>, Problem>,
) -> Result<Changed, Problem> {
    let mut changed = Changed { objects: 0, differ: false };
    for now in resources.iter_mut().map(|resource| &mut resource.now) {
        let Some(object) = now.as_ref().filter(|object| is_meant(object)) else { continue };
        let after = patched(object)?;
        changed.objects += 1;
        changed.differ |= after.as_ref() != Some(object);
        *now = after;
    }
    Ok(changed)
}

/// The object after a JSON patch; `None` where nothing is left of it.
fn operate(object: &Json, operations: &[Operation]) -> Result<Option<Json>, Problem> {
    let id = Id::of(object);
    let mut patched = object.clone();
    for (index, operation) in operations.iter().enumerate() {
        operation.apply(&mut patched).map_err(|why| {
            let (object, operation) = (id.to_string(), operation.to_string());
            Problem::Operation { object, index, operation, why }
        })?;
    }
    match &patched {
        Json::Object(fields) if fields.is_empty() => return Ok(None),
        Json::Object(_) => {}
        _ => {
            let (object, field) = (id.to_string(), "the whole".into());
            return Err(Problem::NotA { object, field, wanted: "a table after the patch" });
        }
    }
    let after = Id::of(&patched);
    for (field, before, after) in [("name", &id.name, &after.name), ("namespace", &id.namespace, &after.namespace)] {
        if before != after {
            return Err(Problem::Identity { object: id.to_string(), field });
        }
    }
    if let Some(annotations) = patched.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) {
        // Kustomize makes them texts again: `value: 8080` is a text among annotations.
        annotations
            .values_mut()
            .filter(|value| !value.is_string() && !value.is_array() && !value.is_object())
            .for_each(|value| *value = value.to_string().into());
    }
    Ok(Some(patched))
}

fn operations_of(operations: &[Json]) -> Result<Vec<Operation>, String> {
    if operations.is_empty() {
        return Err("it is empty".into());
    }
    let operation = |(index, json)| Operation::parse(json).map_err(|wrong| format!("operation {index}: {wrong}"));
    operations.iter().enumerate().map(operation).collect()
}

/// Whether a document is a strategic merge patch.
fn check(patch: &Json) -> Result<(), String> {
    if !patch.is_object() {
        return Err("it is neither a list of operations nor a partial object".into());
    }
    let id = Id::of(patch);
    if id.kind.is_empty() || id.name.is_empty() {
        let field = if id.kind.is_empty() { "kind" } else { "metadata.name" };
        return Err(format!("it has no {field}; with a target, any will do"));
    }
    if patch.get("$patch").and_then(Json::as_str) == Some("replace") {
        return Err("Kustomize replaces no whole object; use a JSON patch".into());
    }
    check_directives(patch)
}

/// A patch with a target as Kustomize reads it: every label and annotation is a text.
///
/// It makes the text `null` of a null, and passes over labels that are null as a whole: neither is what somebody meant
/// who wrote it, so both are refused.
fn with_texts(mut patch: Json) -> Result<Json, String> {
    for field in ["labels", "annotations"] {
        let Some(metadata) = patch.get_mut("metadata").and_then(Json::as_object_mut) else { continue };
        let refused = |key: &str| {
            format!(
                "metadata.{field}{key}: with a target, Kustomize removes nothing for a null; use a JSON patch with remove"
            )
        };
        match metadata.get_mut(field) {
            Some(Json::Null) => return Err(refused("")),
            Some(Json::Object(table)) if table.is_empty() => drop(metadata.remove(field)),
            Some(Json::Object(table)) => {
                for (key, value) in table {
                    match value {
                        Json::Null => return Err(refused(&format!(".{key}"))),
                        Json::Bool(_) | Json::Number(_) => *value = value.to_string().into(),
                        Json::String(_) | Json::Array(_) | Json::Object(_) => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(patch)
}

fn check_directives(patch: &Json) -> Result<(), String> {
    match patch {
        Json::Object(table) => table.iter().try_for_each(|(key, value)| {
            if UNKNOWN_DIRECTIVES.iter().any(|directive| key.split('/').next() == Some(directive)) {
                return Err(format!("Kustomize does not know {key}; use a JSON patch, or $patch: replace or delete"));
            }
            if key == "$patch" && !matches!(value.as_str(), Some("merge" | "replace" | "delete")) {
                return Err(format!("$patch: {value} is none of merge, replace and delete"));
            }
            check_directives(value)
        }),
        Json::Array(items) => items.iter().try_for_each(check_directives),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}
