//! Which objects an upgrade removes.

use std::collections::BTreeSet;

use crate::manifest::id::ObjectId;

/// An object of an older manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: ObjectId,
    /// Whether it is annotated `helm.sh/resource-policy: keep`.
    pub keep: bool,
}

impl Held {
    /// The object as an older manifest holds it; `id` carries the scope's namespace already.
    pub fn new(id: ObjectId, object: &serde_json::Value) -> Self {
        let policy = object.pointer("/metadata/annotations/helm.sh~1resource-policy");
        // Helm reads the policy without regard to case and spaces.
        let policy = policy.and_then(serde_json::Value::as_str).unwrap_or_default().trim().to_lowercase();
        Held { id, keep: policy == "keep" }
    }
}

/// The objects that manifests since the last deployed revision hold and the new manifest does not, each once, in the
/// order they were given, newest manifest first. Objects that any of those manifests asks to keep stay.
pub fn to_prune<'a>(manifests: impl IntoIterator<Item = &'a [Held]>, new: &[ObjectId]) -> Vec<ObjectId> {
    let new: BTreeSet<_> = new.iter().collect();
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    let mut kept = BTreeSet::new();
    for held in manifests.into_iter().flatten() {
        if held.keep {
            kept.insert(&held.id);
        }
        if !new.contains(&held.id) && seen.insert(&held.id) {
            order.push(&held.id);
        }
    }
    order.into_iter().filter(|id| !kept.contains(id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn held(name: &str, policy: Option<&str>) -> Held {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        if let Some(policy) = policy {
            object["metadata"]["annotations"] = json!({"helm.sh/resource-policy": policy});
        }
        Held::new(ObjectId::of(&object).unwrap(), &object)
    }

    #[test]
    fn objects_of_every_manifest_since_the_last_deployed_one_are_pruned() {
        let deployed = [held("a", None), held("b", None), held("secret", Some("Keep ")), held("d", None)];
        let failed = [held("a", None), held("c", None), held("d", Some("keep"))];
        let new = [held("a", None).id];
        let pruned = to_prune([&failed[..], &deployed[..]], &new);
        assert_eq!(pruned.iter().map(|id| id.name.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    }
}
