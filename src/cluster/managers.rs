//! Whose fields are whose: the managers of an object's fields, and how those of older tools become ours.
//!
//! A field that another manager owns stays when a chart drops it. What Helm 3, client-side apply or Flux wrote for this
//! release would so never go away; it is moved to the applying manager before the first apply, as Helm v4 does when it
//! goes over to server-side apply (client-go `util/csaupgrade`). Fields that people and controllers set stay theirs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use super::apply::FIELD_MANAGER;

/// Who wrote for the release by update: Helm under its names, Flux, and all that was there before the first apply.
const BY_UPDATE: &[&str] = &[FIELD_MANAGER, "Helm", "helm-controller", "before-first-apply"];
/// Who wrote for the release by server-side apply under another name: Flux.
const BY_APPLY: &[&str] = &["helm-controller"];
/// Who wrote an object before the release took it over: what stands there is the release's from then on.
const BEFORE_US: &[&str] = &["kubectl-client-side-apply", "kubectl-create"];

/// The managers of one object, as of one version of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Managers {
    resource_version: String,
    entries: Vec<ManagedFieldsEntry>,
}

/// The managers as they shall be, provided the object is as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Migration {
    pub(super) resource_version: String,
    pub(super) managed_fields: Value,
}

impl Managers {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        Managers {
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            entries: metadata.managed_fields.clone().unwrap_or_default(),
        }
    }

    /// What to write so that the fields of older tools become ours; `None` where there are none.
    ///
    /// `newcomer` is an object that no revision of the release held before.
    pub(super) fn migration(&self, newcomer: bool) -> Option<Migration> {
        let (moved, mut others): (Vec<_>, Vec<_>) =
            self.entries.iter().cloned().partition(|entry| is_ours(entry, newcomer));
        if moved.is_empty() {
            return None;
        }
        let applies = |entry: &ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
        };
        let existing = others.iter().position(applies).map(|index| others.remove(index));
        let mut fields = Value::Object(Map::new());
        for source in existing.iter().chain(&moved).filter_map(|entry| entry.fields_v1.as_ref()) {
            union(&mut fields, &source.0);
        }
        let mut entry = existing.or_else(|| moved.into_iter().next())?;
        entry.manager = Some(FIELD_MANAGER.to_owned());
        entry.operation = Some("Apply".to_owned());
        entry.fields_v1 = Some(FieldsV1(fields));
        others.push(entry);
        Some(Migration {
            resource_version: self.resource_version.clone(),
            managed_fields: serde_json::to_value(others).expect("managed fields can be written as JSON"),
        })
    }

    /// Whether the fields of this manager are about to become ours: no conflict with anybody.
    pub(super) fn gives_up(&self, manager: &str, newcomer: bool) -> bool {
        let mut entries = self.entries.iter().filter(|entry| entry.manager.as_deref() == Some(manager));
        entries.any(|entry| is_ours(entry, newcomer))
    }

    /// Who wrote the object, each once; statuses aside.
    pub(super) fn writers(&self) -> Vec<&str> {
        let mut writers: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
            .filter_map(|entry| entry.manager.as_deref())
            .collect();
        writers.sort_unstable();
        writers.dedup();
        writers
    }
}

fn is_ours(entry: &ManagedFieldsEntry, newcomer: bool) -> bool {
    let Some(manager) = entry.manager.as_deref() else { return false };
    if !entry.subresource.as_deref().unwrap_or_default().is_empty() {
        return false;
    }
    match entry.operation.as_deref() {
        Some("Update") => BY_UPDATE.contains(&manager) || newcomer && BEFORE_US.contains(&manager),
        Some("Apply") => BY_APPLY.contains(&manager),
        _ => false,
    }
}

fn union(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        for (key, value) in from {
            union(into.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn managers(entries: Value) -> Managers {
        Managers::of(&serde_json::from_value(json!({"resourceVersion": "7", "managedFields": entries})).unwrap())
    }

    fn entry(manager: &str, operation: &str, field: &str) -> Value {
        json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {format!("f:{field}"): {}}}})
    }

    #[test]
    fn fields_that_helm_wrote_by_update_move_to_the_applying_manager() {
        let moved = managers(json!([
            entry("helm", "Update", "a"),
            entry("helm", "Apply", "b"),
            {"manager": "kcm", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ]))
        .migration(false)
        .unwrap();
        let fields = &moved.managed_fields;
        assert_eq!(fields.as_array().unwrap().len(), 2);
        assert_eq!(fields[0]["manager"], "kcm");
        assert_eq!(fields[1]["operation"], "Apply");
        assert_eq!(fields[1]["fieldsV1"], json!({"f:spec": {"f:a": {}, "f:b": {}}}));
        assert_eq!(moved.resource_version, "7");
    }

    #[test]
    fn fields_of_older_tools_move_and_those_of_people_stay() {
        for (manager, operation, newcomer, want) in [
            ("Helm", "Update", false, true),
            ("helm-controller", "Update", false, true),
            ("helm-controller", "Apply", false, true),
            ("before-first-apply", "Update", false, true),
            ("helm", "Apply", false, false),
            ("kubectl-client-side-apply", "Update", false, false),
            ("kubectl-client-side-apply", "Update", true, true),
            ("kubectl-create", "Update", true, true),
            ("kubectl-edit", "Update", true, false),
            ("argocd-controller", "Apply", true, false),
        ] {
            let moved = managers(json!([entry(manager, operation, "a")])).migration(newcomer);
            assert_eq!(moved.is_some(), want, "{manager} {operation} {newcomer}");
            if let Some(moved) = moved {
                assert_eq!(moved.managed_fields[0]["manager"], "helm");
                assert_eq!(moved.managed_fields[0]["operation"], "Apply");
            }
        }
    }
}
