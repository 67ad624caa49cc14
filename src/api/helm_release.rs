//! HelmRelease: one chart with its values, kept running in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, GitReference, LocalReference, ObjectRef, any_object};
use crate::release::progress::{HookOutput, Taken};
use crate::release::{Home, JsonMap, ReleaseId, ReleaseName};

/// What shall run: a chart, its values, and the rules of its deployment.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "pintle.dev",
    version = "v1",
    kind = "HelmRelease",
    namespaced,
    status = "HelmReleaseStatus",
    shortname = "hr",
    category = "pintle",
    derive = "PartialEq",
    doc = "HelmRelease keeps one chart with its values running in the cluster, and rolls back by itself when an upgrade does not become healthy.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Chart","type":"string","jsonPath":".status.history[0].chart"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.history[0].version"}"#,
    printcolumn = r#"{"name":"Revision","type":"integer","jsonPath":".status.history[0].revision"}"#,
    printcolumn = r#"{"name":"Health","type":"string","jsonPath":".status.conditions[?(@.type==\"Healthy\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.summary"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseSpec {
    /// How often everything is checked, besides at every change that is seen: the chart's source, and what was refused.
    /// A Go duration from 1s to 24h.
    #[serde(default = "default_interval")]
    pub interval: Duration,
    /// Whether nothing is to be done for now. Health goes on being reported. What becomes of the release when the
    /// HelmRelease is deleted while suspended says `deletionPolicy`; without it the release stays, as with Flux.
    #[serde(default)]
    pub suspend: bool,
    /// How long an install, upgrade, rollback or uninstall may take until everything is healthy, or gone. A Go
    /// duration from 1s to 24h.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Where the chart comes from.
    pub chart: ChartSpec,
    /// Values for the chart. They win over those of `valuesFrom` and over the chart's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub values: Option<JsonMap>,
    /// ConfigMaps and Secrets that hold values, in the namespace of the HelmRelease. Later ones win over earlier ones;
    /// lists are replaced, not joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub values_from: Vec<ValuesReference>,
    /// What is changed in the objects that the chart renders, hooks too, before they are stored and applied: one
    /// post-renderer after the other. Files below `crds/` of a chart stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub post_renderers: Vec<PostRendererSpec>,
    /// Labels and annotations that every object of the release gets, after `postRenderers` and over its own. Pod
    /// templates and selectors stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadataSpec>,
    /// The name of the Helm release, at most 53 characters. Default: the name of the HelmRelease, with
    /// `targetNamespace` and a dash before it where that is set; shortened where it is too long. Where it changes, the
    /// release of the old name is uninstalled with its objects, whatever `deletionPolicy` says, then the new one installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 53),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub release_name: Option<String>,
    /// The namespace of the release. It must exist, unless `install.createNamespace` is set. Default: the namespace of
    /// the HelmRelease. Where it changes, the release is uninstalled in the old one, then installed in the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub target_namespace: Option<String>,
    /// The namespace of the release's records, where `helm` finds them with `-n`. It must exist. Default: the namespace
    /// of the release. Where it changes, the release is uninstalled, then installed with its records in the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub storage_namespace: Option<String>,
    /// The ServiceAccount, in the namespace of the HelmRelease, with whose rights everything is read and written.
    /// Default: what the controller was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service_account_name: Option<String>,
    /// How many revisions are kept; 0 keeps all. The deployed one, the last one that was verified healthy and the last
    /// failure are kept in any case.
    #[serde(default = "default_history_max")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_history: u32,
    /// Rules for the first install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallSpec>,
    /// Rules for upgrades.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeSpec>,
    /// Rules for rollbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
    /// Rules for uninstalling: when the HelmRelease is deleted, when its release moves to another name or namespace, or
    /// where `upgrade.remediation.strategy` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<UninstallSpec>,
    /// What happens when the HelmRelease is deleted: `uninstall` deletes the release with its objects and records,
    /// `orphan` leaves all of them for helm or another owner. Default: `uninstall`, but `orphan` while suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["uninstall", "orphan"]))] // without null, which kubectl cannot read there
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the tests of the chart run after each install and upgrade, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestSpec>,
    /// What happens to fields that another manager owns: `force` takes them over and reports each, `fail` refuses
    /// before the first write and lists all.
    #[serde(default)]
    pub conflicts: ConflictsSpec,
    /// When a rollout is given up before its timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<FailFastSpec>,
}

/// Where a chart comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.oci), has(self.http), has(self.git)].filter(x, x).size() == 1").message("give exactly one of oci, http and git"))]
pub struct ChartSpec {
    /// A chart in an OCI registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciChart>,
    /// A chart in a Helm repository: a server with an `index.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpChart>,
    /// A chart in a Git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitChart>,
}

/// A chart in an OCI registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.version), has(self.tag), has(self.digest)].filter(x, x).size() == 1").message("give exactly one of version, tag and digest"))]
pub struct OciChart {
    /// The repository of the chart, `oci://registry.example.com/charts/podinfo`, without tag or digest.
    #[schemars(length(max = 2048), regex(pattern = "^oci://[^@]+$"))]
    pub url: String,
    /// A range of versions, `>=6.0.0 <7.0.0` or `6.x`: the newest tag within it is taken. Pre-releases are taken only
    /// where the range names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub version: Option<String>,
    /// A tag. When it moves, the release is upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// The digest of the chart's manifest, `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// A Secret with `username` and `password`, or of type `kubernetes.io/dockerconfigjson`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Whether the registry is spoken to over plain HTTP.
    #[serde(default)]
    pub insecure: bool,
}

/// A chart in a Helm repository, as `helm repo add` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.url.startsWith('https://') || self.insecure").message("url must begin with https:// unless insecure is true"))]
pub struct HttpChart {
    /// The repository, `https://charts.example.com/stable`: the URL that its `index.yaml` lies below.
    #[schemars(length(max = 2048), regex(pattern = "^https?://.+$"))]
    pub url: String,
    /// The name of the chart in the repository.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// A version that is there word for word, or a range, `>=6.0.0 <7.0.0` or `6.x`: the newest version within it is
    /// taken. Pre-releases are taken only where the range names one.
    #[schemars(length(min = 1, max = 256))]
    pub version: String,
    /// A Secret with `username` and `password`, or with `bearerToken`. It is shown to the scheme, host and port of `url`
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Whether the Secret is shown also to other servers that the index leads to.
    #[serde(default)]
    pub pass_credentials: bool,
    /// Whether plain HTTP is allowed.
    #[serde(default)]
    pub insecure: bool,
}

/// A chart in a Git repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.url.startsWith('https://') || self.insecure").message("url must begin with https:// unless insecure is true"))]
pub struct GitChart {
    /// The repository, `https://git.example.com/org/charts.git`.
    #[schemars(length(max = 2048), regex(pattern = "^https?://.+$"))]
    pub url: String,
    /// The branch, tag or commit. Default: the repository's default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// The folder of the chart in the repository. Default: its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub path: Option<String>,
    /// A Secret with `username` and `password`, or with `bearerToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
    /// Whether plain HTTP is allowed.
    #[serde(default)]
    pub insecure: bool,
}

/// A ConfigMap or Secret that holds values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.literal || has(self.targetPath)").message("literal goes with targetPath"))]
pub struct ValuesReference {
    pub kind: ValuesKind,
    /// The name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The key that holds the values as YAML; with `targetPath`, the text of one value.
    #[serde(default = "default_values_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[\-._a-zA-Z0-9]+$"))]
    pub values_key: String,
    /// Where the one value goes that the key holds: `db.password` or `hosts[0].name`, as `--set` names it. Such entries
    /// come last, in their order: they win over the other entries and over `values`. A value is read as by `--set`, but
    /// a comma is part of it: a whole number, a bool, `null`, a list in braces, else a string; in quotes, a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250), regex(pattern = r"^([a-zA-Z0-9_\-.\\/]|\[[0-9]{1,5}\])+$"))]
    pub target_path: Option<String>,
    /// Whether the value at `targetPath` is a string, whatever it looks like.
    #[serde(default)]
    pub literal: bool,
    /// Whether the object or the key may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// The kinds of objects that hold values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValuesKind {
    ConfigMap,
    Secret,
}

/// Fields by name that were given and are not declared.
pub type UnknownFields = BTreeMap<String, serde_json::Value>;

/// Something that changes rendered objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PostRendererSpec {
    /// Changes that have the meaning Kustomize gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizeSpec>,
    /// Fields that no post-renderer has. They are kept so that they can be refused: the API server would drop them, and the
    /// release would go on without what was asked for.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Changes that have the meaning Kustomize gives them: first all patches in order, then all images in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct KustomizeSpec {
    /// Patches, strategic merge or JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub patches: Vec<PatchSpec>,
    /// Other names, tags or digests for the images of containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<ImageSpec>,
    /// Fields that no post-renderer of this kind has. They are kept so that they can be refused: the API server would drop them, and the
    /// release would go on without what was asked for.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A patch, and which objects it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PatchSpec {
    /// YAML or JSON: a part of an object that is merged into it (`$patch: delete` removes), or a list of the operations
    /// of RFC 6902, each with `op`, `path` and `value` or `from`.
    #[schemars(length(min = 1, max = 262144))]
    pub patch: String,
    /// Which objects are patched. Without it, the one with the patch's own apiVersion, kind, name and namespace, which
    /// must be there; a list of operations needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SelectorSpec>,
    /// Fields that no patch has. They are kept so that they can be refused: the API server would drop them, and the
    /// release would go on without what was asked for.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Which objects are meant: those that fit all fields that are given. `group` to `namespace` are regular expressions
/// that must fit the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorSpec {
    /// The group of the object's API, `apps`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub group: String,
    /// The version of the object's API, `v1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub version: String,
    /// The kind, `Deployment|StatefulSet`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub kind: String,
    /// The name, `web-.*`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub name: String,
    /// The namespace that the chart wrote into the object; `default` for one that names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub namespace: String,
    /// Labels, as `kubectl get -l` takes them: `app=web,tier in (a, b),!canary`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub label_selector: String,
    /// Annotations, in the same form.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub annotation_selector: String,
    /// Fields that no target has. They are kept so that they can be refused: the API server would drop them, and the
    /// release would go on without what was asked for.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Another name, tag or digest for the images of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// The name of the image as the chart has it, without tag and digest. Read as a regular expression, as in Kustomize.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
    /// Another name. Tag and digest stay unless they are given too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub new_name: Option<String>,
    /// Another tag. A digest that the chart gave is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub new_tag: Option<String>,
    /// Another digest. A tag that the chart gave is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub digest: Option<String>,
    /// Fields that no image has. They are kept so that they can be refused: the API server would drop them, and the
    /// release would go on without what was asked for.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Labels and annotations for every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct CommonMetadataSpec {
    /// Labels for `metadata.labels` of every object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for `metadata.annotations` of every object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Rules for the first install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallSpec {
    /// How long the install may take, and each of its hooks besides. Default: the release's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether the chart's hooks at `pre-install` and `post-install` do not run.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Whether the release counts as installed once everything is written, without waiting until it is healthy. Health
    /// is reported then, and nothing is remediated because of it.
    #[serde(default)]
    pub disable_wait: bool,
    /// Whether Jobs are not waited for.
    #[serde(default)]
    pub disable_wait_for_jobs: bool,
    /// Whether the namespace of the release is created where it is missing, with the release's own rights. One that
    /// exists stays untouched; uninstalling leaves it.
    #[serde(default)]
    pub create_namespace: bool,
    /// Which CustomResourceDefinitions of the chart's `crds/` folder are written before the install: `Skip` none,
    /// `Create` those that do not exist, `CreateReplace` all. Default: `Create`. They stay when the release goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Skip", "Create", "CreateReplace"]))]
    // without null, which kubectl cannot read there
    pub crds: Option<CrdsSpec>,
    /// Whether a release that was uninstalled with its records kept may be installed over. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// Whether objects that exist and belong to nobody, or to another release, are taken over. What is taken from whom
    /// is told in an Event and in `status.takenOver`. Default: false, they are refused before the first write.
    #[serde(default)]
    pub take_ownership: bool,
    /// What happens when it fails: what it created is deleted, then it is tried again or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<InstallRemediation>,
}

/// Rules for upgrades.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeSpec {
    /// How long the upgrade may take, and each of its hooks besides. Default: the release's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether the chart's hooks at `pre-upgrade` and `post-upgrade` do not run.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Whether the upgrade counts as done once everything is written, without waiting until it is healthy. Health is
    /// reported then, and nothing is rolled back because of it.
    #[serde(default)]
    pub disable_wait: bool,
    /// Whether Jobs are not waited for.
    #[serde(default)]
    pub disable_wait_for_jobs: bool,
    /// Which CustomResourceDefinitions of the chart's `crds/` folder are written before an upgrade: `Skip` none,
    /// `Create` those that do not exist, `CreateReplace` all; a version that objects are stored in cannot be dropped.
    /// Default: `Skip`. A rollback does not bring older ones back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Skip", "Create", "CreateReplace"]))]
    // without null, which kubectl cannot read there
    pub crds: Option<CrdsSpec>,
    /// Whether an object is deleted and created again where the upgrade changes a field of it that cannot be changed.
    /// Its Pods are restarted all at once. Objects whose deletion would take data along (PersistentVolumeClaim,
    /// PersistentVolume, Namespace, CustomResourceDefinition) and those that ask to be kept are refused still. Default:
    /// false, such an upgrade is refused before the first write.
    #[serde(default)]
    pub force: bool,
    /// Whether what a failed upgrade created is deleted at once. A rollback deletes it in any case; this is for failures
    /// that are not rolled back.
    #[serde(default)]
    pub cleanup_on_fail: bool,
    /// Whether objects that exist and belong to nobody, or to another release, are taken over. What is taken from whom
    /// is told in an Event and in `status.takenOver`; a rollback leaves them in place. Default: false, they are refused
    /// before the first write.
    #[serde(default)]
    pub take_ownership: bool,
    /// What happens when it fails: it is rolled back, then tried again or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<UpgradeRemediation>,
}

/// What happens when an install fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallRemediation {
    /// How often the same chart and values are tried again after they failed. Then they are held until they change.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// Whether what the last attempt created is deleted too. Default: true; false leaves it for a person to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// Whether a failed test is no failure. Default: `test.ignoreFailures`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
}

/// What happens when an upgrade fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRemediation {
    /// How often the same chart and values are tried again after they failed. Then they are held until they change.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// `rollback` returns to the last revision that was healthy. `uninstall` deletes the release's objects and installs
    /// what is desired afresh, within the retries of `install`.
    #[serde(default)]
    pub strategy: RemediationStrategy,
    /// Whether the last attempt is remediated too. Default: true; false leaves it for a person to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// Whether a failed test is no failure. Default: `test.ignoreFailures`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
}

/// How a failed upgrade is mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemediationStrategy {
    #[default]
    Rollback,
    Uninstall,
}

/// Which CustomResourceDefinitions of a chart are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CrdsSpec {
    Skip,
    Create,
    CreateReplace,
}

/// Rules for the tests of a chart, which are its hooks at `test`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestSpec {
    /// Whether the tests run after each install and upgrade, once it is healthy, or written where nothing is waited
    /// for. A failed test is a failure of the release: it is remediated as any other. Rollbacks are not tested.
    #[serde(default)]
    pub enable: bool,
    /// How long each test may take. Default: the release's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether failed tests are reported only.
    #[serde(default)]
    pub ignore_failures: bool,
    /// Which tests run. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub filters: Vec<TestFilterSpec>,
}

/// A test that is to run, or not to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct TestFilterSpec {
    /// The name of the test's object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether this test does not run, instead of only those that are named.
    #[serde(default)]
    pub exclude: bool,
}

/// Rules for rollbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSpec {
    /// How long it may take, and each of its hooks besides. Default: the release's `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether the chart's hooks at `pre-rollback` and `post-rollback` do not run.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Whether the rollback counts as done once everything is written.
    #[serde(default)]
    pub disable_wait: bool,
    /// Whether Jobs are not waited for.
    #[serde(default)]
    pub disable_wait_for_jobs: bool,
    /// Whether an object is deleted and created again where the rollback changes a field of it that cannot be changed.
    /// What a forced upgrade created again is rolled back so in any case.
    #[serde(default)]
    pub force: bool,
    /// Whether what a failed rollback created is deleted at once.
    #[serde(default)]
    pub cleanup_on_fail: bool,
}

/// Rules for uninstalling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UninstallSpec {
    /// After how long it is reported as overdue, and how long each of its hooks may take. Default: the release's
    /// `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether the chart's hooks at `pre-delete` and `post-delete` do not run.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Whether the HelmRelease goes once the deletion of every object was accepted, without waiting until they are gone.
    #[serde(default)]
    pub disable_wait: bool,
    /// Whether the records stay, marked as uninstalled.
    #[serde(default)]
    pub keep_history: bool,
    /// Whether dependents (the Pods of a Deployment) go after their owner (`background`), before it (`foreground`), or
    /// stay (`orphan`).
    #[serde(default)]
    pub deletion_propagation: DeletionPropagation,
}

/// What happens to the dependents of deleted objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletionPropagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// What happens to a release whose HelmRelease is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeletionPolicy {
    Uninstall,
    Orphan,
}

/// What happens to fields that another manager owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConflictsSpec {
    #[default]
    Force,
    Fail,
}

/// When a rollout is given up before its timeout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailFastSpec {
    /// How often a container may crash in one attempt before the attempt has failed.
    #[serde(default = "default_crash_restarts")]
    #[schemars(range(min = 1, max = 1000))]
    pub crash_restarts: u32,
    /// How long an image may fail to be pulled, or a container's configuration be missing. A Go duration up to 24h.
    #[serde(default = "default_image_pull")]
    pub image_pull: Duration,
    /// Whether crashes end a first install early too. By default it waits for its timeout: applications restart until
    /// their database is up.
    #[serde(default)]
    pub on_install: bool,
}

impl Default for FailFastSpec {
    fn default() -> Self {
        let (crash_restarts, image_pull) = (default_crash_restarts(), default_image_pull());
        FailFastSpec { crash_restarts, image_pull, on_install: false }
    }
}

fn default_interval() -> Duration {
    "10m".into()
}

fn default_timeout() -> Duration {
    "5m".into()
}

fn default_history_max() -> u32 {
    10
}

fn default_values_key() -> String {
    "values.yaml".to_owned()
}

fn default_crash_restarts() -> u32 {
    3
}

fn default_image_pull() -> Duration {
    "60s".into()
}

/// What was seen and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One sentence: what is going on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The release that the HelmRelease stands for. Named before anything is written for it; where the spec means
    /// another one, this one is uninstalled first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseReference>,
    /// `Ready`, `Released`, `TestSuccess`, `Healthy`, `Remediated`, `Held`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The stored revisions, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RevisionStatus>,
    /// The last attempt that failed before anything was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_attempt: Option<FailedAttemptStatus>,
    /// The objects of the newest revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<ObjectRef>,
    /// What the newest revision took over from others, where `takeOwnership` allowed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_over: Vec<TakenObject>,
    /// What the hooks and tests of the newest revision said last, where `helm.sh/hook-output-log-policy` asks for it.
    /// Values of Secrets are masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hook_output: Vec<HookOutputStatus>,
    /// Since when the release is suspended, as far as it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<String>,
    /// The last `pintle.dev/reconcile-at` that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// A Helm release, and where its records are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReference {
    /// The name of the release.
    pub name: String,
    /// The namespace of the release.
    pub namespace: String,
    /// The namespace of its records.
    pub storage_namespace: String,
}

impl From<&Home> for ReleaseReference {
    fn from(home: &Home) -> Self {
        let Home { release, storage_namespace } = home.clone();
        ReleaseReference { name: release.name.to_string(), namespace: release.namespace, storage_namespace }
    }
}

impl ReleaseReference {
    /// The release; `None` where somebody wrote what is no name of a release.
    pub fn home(&self) -> Option<Home> {
        let ReleaseReference { name, namespace, storage_namespace } = self.clone();
        let release = ReleaseId { namespace, name: ReleaseName::parse(&name).ok()? };
        Some(Home { release, storage_namespace })
    }
}

/// A stored revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// The number of the revision.
    pub revision: u32,
    /// The name of the chart.
    pub chart: String,
    /// The version of the chart.
    pub version: String,
    /// The version of the application inside the chart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    /// Helm's status: `deployed`, `superseded`, `failed`, `pending-upgrade`…
    pub status: String,
    /// When work on the revision began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<String>,
    /// The digest of chart, values and options; absent on revisions that somebody else made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Whether its objects were seen healthy.
    #[serde(default)]
    pub verified: bool,
    /// The revision whose content this one repeats, where it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<u32>,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a hook or test said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookOutputStatus {
    /// The event it ran at: `pre-upgrade`, `test`…
    pub event: String,
    /// Its object.
    pub object: ObjectRef,
    /// The last lines of each of its containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

impl From<&HookOutput> for HookOutputStatus {
    fn from(output: &HookOutput) -> Self {
        let HookOutput { event, object, lines } = output;
        HookOutputStatus { event: event.to_string(), object: object.into(), lines: lines.clone() }
    }
}

/// An object that belonged to somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenObject {
    /// The object.
    pub object: ObjectRef,
    /// Whose it was: a release, or the field managers that wrote it.
    pub from: String,
}

impl From<&Taken> for TakenObject {
    fn from(taken: &Taken) -> Self {
        TakenObject { object: (&taken.object).into(), from: taken.from.clone() }
    }
}

/// An attempt that failed before anything was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedAttemptStatus {
    /// The digest of chart, values and options.
    pub fingerprint: String,
    /// The name of the chart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub chart: String,
    /// The version of the chart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `transient`, `input` or `refused`.
    pub class: String,
    /// What went wrong, in one word.
    pub reason: String,
    /// What went wrong, and what to do.
    pub message: String,
    /// Which retry request stood then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}
