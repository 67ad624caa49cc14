//! Releases: what was deployed under a name, revision by revision. Words only, no I/O.
//!
//! The record of a revision is Helm's own (`pkg/release/v1` of Helm v4), kept in a Secret in Helm's own format
//! ([`codec`]), so `helm history`, `helm get` and `helm rollback` work on everything that stands here.
//! What Helm's record cannot say rides on the Secret: lasting [`marks`] as labels, [`progress`] as an annotation.
//! Reading and writing Secrets is `cluster::store`; choosing what to do is `plan::decide`.

mod name;
pub mod codec;
pub mod digest;
pub mod history;
pub mod marks;
pub mod progress;
mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::manifest::hooks::{DeletePolicy, Event};

pub use name::{InvalidReleaseName, ReleaseName};
pub use time::Time;

/// A JSON object: values, metadata.
pub type JsonMap = serde_json::Map<String, serde_json::Value>;

/// Which release is meant: Helm knows it by name within a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId {
    pub namespace: String,
    pub name: ReleaseName,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where a release lives: its name in its namespace, and the namespace of its records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    pub release: ReleaseId,
    /// The release's own namespace, unless the spec says another.
    pub storage_namespace: String,
}

impl Home {
    /// What its records are found by: the name, in their namespace.
    pub fn records(&self) -> ReleaseId {
        ReleaseId { namespace: self.storage_namespace.clone(), name: self.release.name.clone() }
    }
}

/// `apps/web`, or `apps/web with its records in ops`.
impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.release.fmt(f)?;
        match self.storage_namespace == self.release.namespace {
            true => Ok(()),
            false => write!(f, " with its records in {}", self.storage_namespace),
        }
    }
}

/// The counter of a release's records, starting at 1. Helm's struct calls it `Version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u32);

impl Revision {
    pub const FIRST: Revision = Revision(1);

    pub fn next(self) -> Self {
        Revision(self.0.saturating_add(1))
    }

    /// The revision as it stands in names and marks: `v7`.
    pub fn tag(self) -> String {
        format!("v{}", self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a revision is in its life: Helm's statuses, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// What Helm writes of a record whose state it cannot tell.
    #[default]
    Unknown,
    Deployed,
    Uninstalled,
    /// It was deployed, and another revision took its place.
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
}

impl Status {
    /// Helm's word, as in the `status` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Deployed => "deployed",
            Status::Uninstalled => "uninstalled",
            Status::Superseded => "superseded",
            Status::Failed => "failed",
            Status::Uninstalling => "uninstalling",
            Status::PendingInstall => "pending-install",
            Status::PendingUpgrade => "pending-upgrade",
            Status::PendingRollback => "pending-rollback",
        }
    }

    /// Whether an install, upgrade or rollback is under way, or was left half done.
    pub fn is_pending(self) -> bool {
        match self {
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => true,
            Status::Unknown
            | Status::Deployed
            | Status::Uninstalled
            | Status::Superseded
            | Status::Failed
            | Status::Uninstalling => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        const ALL: [Status; 9] = [
            Status::Unknown,
            Status::Deployed,
            Status::Uninstalled,
            Status::Superseded,
            Status::Failed,
            Status::Uninstalling,
            Status::PendingInstall,
            Status::PendingUpgrade,
            Status::PendingRollback,
        ];
        ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// A word that is none of Helm's statuses.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a release status")]
pub struct UnknownStatus(String);

/// One revision of a release, whole: what Helm keeps in its Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    pub id: ReleaseId,
    pub revision: Revision,
    pub info: Info,
    pub chart: StoredChart,
    /// The values the user gave, without the chart's own. `None` is Helm's nil map.
    pub config: Option<JsonMap>,
    /// The rendered objects without hooks, as one YAML text.
    pub manifest: String,
    pub hooks: Vec<Hook>,
    /// `None` where Helm 3 wrote the record: client-side.
    pub apply_method: Option<ApplyMethod>,
    /// Labels of the Secret besides Helm's own six: the users' and our [`marks`].
    pub labels: BTreeMap<String, String>,
}

/// When and how a revision came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// When the release was first installed; the same in all its revisions.
    pub first_deployed: Option<Time>,
    /// When work on this revision began.
    pub last_deployed: Option<Time>,
    /// When the release was uninstalled.
    pub deleted: Option<Time>,
    /// One sentence for `helm history`: `Upgrade complete`, `Rollback to 3`, or why it failed.
    pub description: String,
    pub status: Status,
    /// The revision whose content this one repeats, where it is a rollback.
    pub rollback_revision: Option<Revision>,
    /// The rendered NOTES.txt.
    pub notes: String,
}

/// How the objects of a revision were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplyMethod {
    #[serde(rename = "csa")]
    ClientSide,
    #[serde(rename = "ssa")]
    ServerSide,
}

/// A hook as the record keeps it, with its last run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template it came from, `podinfo/templates/job.yaml`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// `pre-install`, `post-upgrade`, `test`…
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub events: Vec<String>,
    pub last_run: HookExecution,
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub delete_policies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub output_log_policies: Vec<String>,
}

impl Hook {
    /// Whether the hook runs at this event.
    pub fn runs_at(&self, event: Event) -> bool {
        self.events.iter().any(|word| word == event.as_str())
    }

    /// Whether its object is deleted at this point. A hook that names no policy has the first one, as in Helm;
    /// definitions of kinds are never deleted: all objects of their kinds would go along.
    pub fn is_deleted(&self, policy: DeletePolicy) -> bool {
        let named = match self.delete_policies.as_slice() {
            [] => policy == DeletePolicy::BeforeHookCreation,
            words => words.iter().any(|word| word == policy.as_str()),
        };
        named && self.kind != "CustomResourceDefinition"
    }

    /// Whether what it says is kept once it ended, well or not.
    pub fn is_told(&self, failed: bool) -> bool {
        let policy = if failed { "hook-failed" } else { "hook-succeeded" };
        self.output_log_policies.iter().any(|word| word == policy)
    }
}

/// The last run of a hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookExecution {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time::empty_is_none")]
    pub started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "time::empty_is_none")]
    pub completed_at: Option<Time>,
    /// `Running`, `Succeeded`, `Failed`, `Unknown`; empty before the first run.
    pub phase: String,
}

impl HookExecution {
    pub const RUNNING: &str = "Running";
    pub const SUCCEEDED: &str = "Succeeded";
    pub const FAILED: &str = "Failed";
}

/// The chart inside a record: enough to render it again, without its subcharts (Helm stores none).
///
/// Built from raw parts, so this module needs no chart loader. Empty lists and a missing lock are Helm's nil: `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredChart {
    /// Chart.yaml as Helm's JSON of it.
    pub metadata: JsonMap,
    /// Chart.lock as Helm's JSON of it.
    pub lock: Option<serde_json::Value>,
    pub templates: Vec<StoredFile>,
    /// values.yaml, after imports from subcharts.
    pub values: Option<JsonMap>,
    /// The bytes of values.schema.json.
    pub schema: Option<Vec<u8>>,
    /// Helm writes year 1 where the chart has no schema.
    pub schema_modified: Option<Time>,
    pub files: Vec<StoredFile>,
    pub modified: Option<Time>,
}

/// A file of a stored chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The path below the chart's folder, `templates/deployment.yaml`.
    pub name: String,
    pub data: Vec<u8>,
    pub modified: Option<Time>,
}

/// What people and decisions need to know of a revision: a record without chart files, values and manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseSummary {
    pub id: ReleaseId,
    pub revision: Revision,
    pub info: Info,
    pub chart: ChartVersion,
    pub apply_method: Option<ApplyMethod>,
}

/// A chart by name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartVersion {
    pub name: String,
    pub version: String,
    /// The version of the application inside; empty where the chart tells none.
    pub app_version: String,
}

/// `podinfo 6.5.0`.
impl fmt::Display for ChartVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl StoredChart {
    pub fn version(&self) -> ChartVersion {
        let text =
            |key: &str| self.metadata.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        ChartVersion { name: text("name"), version: text("version"), app_version: text("appVersion") }
    }
}

impl Release {
    pub fn summary(&self) -> ReleaseSummary {
        ReleaseSummary {
            id: self.id.clone(),
            revision: self.revision,
            info: self.info.clone(),
            chart: self.chart.version(),
            apply_method: self.apply_method,
        }
    }

    /// The record of a rollback: a *new* revision with the content of this one, pending.
    ///
    /// `newest` is the release's newest revision, whose place it takes (Helm: `pkg/action/rollback.go`). Users' labels
    /// come with it, our marks do not: they speak of the revision they stand on.
    pub fn rolled_back_over(&self, newest: &ReleaseSummary, now: jiff::Timestamp) -> Release {
        Release {
            revision: newest.revision.next(),
            info: Info {
                first_deployed: newest.info.first_deployed,
                last_deployed: Some(now.into()),
                deleted: None,
                description: format!("Rollback to {}", self.revision),
                status: Status::PendingRollback,
                rollback_revision: Some(self.revision),
                notes: self.info.notes.clone(),
            },
            apply_method: Some(ApplyMethod::ServerSide),
            labels: marks::without(&self.labels),
            ..self.clone()
        }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes a nil slice as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_its_own_word() {
        for word in "unknown deployed uninstalled superseded failed uninstalling pending-install pending-upgrade \
                     pending-rollback"
            .split_whitespace()
        {
            assert_eq!(word.parse::<Status>().unwrap().as_str(), word);
            assert_eq!(serde_json::to_value(word.parse::<Status>().unwrap()).unwrap(), word);
        }
        assert_eq!("gone".parse::<Status>().unwrap_err().to_string(), r#""gone" is not a release status"#);
    }
}
