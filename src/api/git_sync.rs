//! GitSync: a folder of a Git repository, applied to the cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, GitReference, LocalReference, ObjectRef};

/// Which folder of which repository is applied, and how.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "pintle.dev",
    version = "v1",
    kind = "GitSync",
    namespaced,
    status = "GitSyncStatus",
    shortname = "gs",
    category = "pintle",
    derive = "PartialEq",
    doc = "GitSync applies the objects in a folder of a Git repository to the cluster: HelmReleases and anything else.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Commit","type":"string","jsonPath":".status.appliedCommit"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.summary"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.url.startsWith('https://') || self.insecure").message("url must begin with https:// unless insecure is true"))]
pub struct GitSyncSpec {
    /// How often the repository is asked for a new commit, and everything is applied again. A Go duration from 1s to
    /// 24h.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// Whether nothing is to be done for now.
    #[serde(default)]
    pub suspend: bool,
    /// How long fetching and applying one commit may take. A Go duration from 1s to 24h.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// The repository, `https://git.example.com/org/fleet.git`.
    #[schemars(length(max = 2048), regex(pattern = "^https?://.+$"))]
    pub url: String,
    /// The branch, tag or commit. Default: the repository's default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// The folder whose `.yaml`, `.yml` and `.json` files are applied, with those below it. Default: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub path: Option<String>,
    /// Files to skip, as globs relative to `path`: `*` within a folder, `**` across folders. Hidden files and folders
    /// with a Chart.yaml are skipped in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub ignore: Vec<String>,
    /// A Secret with `username` and `password`, or with `bearerToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Whether plain HTTP is allowed.
    #[serde(default)]
    pub insecure: bool,
    /// The ServiceAccount, in the namespace of the GitSync, with whose rights everything is read and written.
    /// Default: what the controller was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service_account_name: Option<String>,
    /// The namespace of objects that name none. Default: the namespace of the GitSync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub target_namespace: Option<String>,
    /// What happens to the objects when the GitSync is deleted: `orphan` leaves them, `prune` deletes them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to the objects of a GitSync when it is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletionPolicy {
    #[default]
    Orphan,
    Prune,
}

fn default_interval() -> Duration {
    "1m".into()
}

fn default_timeout() -> Duration {
    "5m".into()
}

/// What was seen and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSyncStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One sentence: what is going on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The commit that was worked on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_commit: Option<String>,
    /// The last commit of which every document was applied, and everything pruned that it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_commit: Option<String>,
    /// What is wrong, file by file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<SyncError>,
    /// How many errors there are; only the first ones are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_count: Option<u32>,
    /// The objects that were applied and are not yet gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<ObjectRef>,
    /// How many objects wait for `pintle.dev/confirm-prune` with the attempted commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_to_confirm: Option<u32>,
    /// The last `pintle.dev/reconcile-at` that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// Something wrong in a file, or with an object from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SyncError {
    /// The file's path in the repository; empty where no file is to blame.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The object, where the document could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// What is wrong, and what to do.
    pub message: String,
}
