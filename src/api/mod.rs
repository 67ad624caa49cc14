//! The API `pintle.dev/v1`: the only types that are read from and written to custom resources.
//!
//! [`validate`] makes of a spec what the rest of the program works with, or names the fields that are wrong;
//! [`summarize`] makes of a decision and its outcome the new status. Both are pure. Nothing changes an object in place.
//! Field names and meaning follow Flux's HelmRelease v2 wherever Flux has the field.

#![allow(unreachable_pub, reason = "derive(KubeSchema) repeats its struct, pub and all, inside a function")]

pub(crate) mod conditions;
pub mod definitions;
pub mod duration;
pub mod git_sync;
pub mod helm_release;
mod rules;
pub mod summarize;
pub mod validate;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::manifest::id::ObjectId;

pub use definitions::crds;
pub use duration::Duration;
pub use git_sync::{GitSync, GitSyncSpec, GitSyncStatus};
pub use helm_release::{HelmRelease, HelmReleaseSpec, HelmReleaseStatus};

/// The annotation that asks for a pass now; any new value does.
pub const RECONCILE_AT: &str = "pintle.dev/reconcile-at";
/// The annotation that lifts a hold for one attempt; each value acts once.
pub const RETRY_AT: &str = "pintle.dev/retry-at";
/// The annotation that blocks everything until it is removed; its value is the reason.
pub const HOLD: &str = "pintle.dev/hold";
/// The annotation on a GitSync that allows a large prune; its value is the commit.
pub const CONFIRM_PRUNE: &str = "pintle.dev/confirm-prune";
/// The annotation on an object that keeps a GitSync from pruning it, where its value is `disabled`.
pub const PRUNE: &str = "pintle.dev/prune";
/// The finalizer on our objects.
pub const FINALIZER: &str = "pintle.dev/finalizer";

/// A Secret or ServiceAccount of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
pub struct LocalReference {
    /// The name of the object, in the namespace of the one that refers to it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Which commit of a Git repository is meant. Without any field it is the repository's default branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.commit)].filter(x, x).size() <= 1").message("give at most one of branch, tag and commit"))]
pub struct GitReference {
    /// A branch to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// A tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tag: Option<String>,
    /// A commit by its whole SHA-1 in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
}

/// An object in an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
pub struct ObjectRef {
    /// The API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// Empty for objects without namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

impl From<&ObjectId> for ObjectRef {
    fn from(id: &ObjectId) -> Self {
        let ObjectId { group, kind, namespace, name } = id.clone();
        ObjectRef { group, kind, namespace, name }
    }
}

impl From<&ObjectRef> for ObjectId {
    fn from(object: &ObjectRef) -> Self {
        let ObjectRef { group, kind, namespace, name } = object.clone();
        ObjectId { group, kind, namespace, name }
    }
}

/// A JSON object of any shape.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
