//! Which object of the cluster is meant: group, kind, namespace and name.
//!
//! The version is not part of the identity: an object whose `apiVersion` goes from `v1beta1` to `v1` stays the same
//! object, and is never pruned because of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of an object. `namespace` is empty for objects without one.
///
/// Whether a kind has namespaces is known to the cluster only; until [`ObjectId::with_scope`] was told, the
/// namespace is what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

impl ObjectId {
    /// The identity of a Kubernetes object, or `None` where `kind` or `metadata.name` is missing.
    pub fn of(object: &serde_json::Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        let id = ObjectId {
            group: group.to_owned(),
            kind: text("/kind").to_owned(),
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
        };
        (!id.kind.is_empty() && !id.name.is_empty()).then_some(id)
    }

    /// The identity with the namespace that the cluster will use: the release's where a namespaced object names none,
    /// nothing for an object without namespaces.
    pub fn with_scope(mut self, scope: Scope, release_namespace: &str) -> Self {
        match scope {
            Scope::Cluster => self.namespace.clear(),
            Scope::Namespaced if self.namespace.is_empty() => self.namespace = release_namespace.to_owned(),
            Scope::Namespaced => {}
        }
        self
    }
}

/// `Deployment apps/podinfo`, `Namespace apps`: kind, then namespace and name.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn version_of_an_api_is_no_part_of_the_identity() {
        let old = json!({"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}});
        let new = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}});
        assert_eq!(ObjectId::of(&old), ObjectId::of(&new));
    }

    #[test]
    fn namespace_follows_the_scope_of_the_kind() {
        let id = ObjectId::of(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}})).unwrap();
        assert_eq!(id.group, "");
        assert_eq!(id.clone().with_scope(Scope::Namespaced, "apps").to_string(), "Pod apps/web");
        assert_eq!(id.with_scope(Scope::Cluster, "apps").to_string(), "Pod web");
    }

    #[test]
    fn object_without_a_name_has_no_identity() {
        assert_eq!(ObjectId::of(&json!({"kind": "Pod", "metadata": {}})), None);
    }
}
