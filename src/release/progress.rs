//! How far work on a revision has come: one annotation on its Secret.
//!
//! Waiting for health is stored state with a deadline, not a held task: after a restart whoever claims the progress
//! (a metadata patch guarded by resourceVersion) goes on from here. `helm` drops annotations when it rewrites a
//! record, so a pending revision without progress is somebody else's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::manifest::id::ObjectId;

/// The annotation's key.
pub const ANNOTATION: &str = "pintle.dev/progress";

/// Work under way on one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Which controller claimed the work: its pod's name, or whatever tells two of them apart.
    pub owner: String,
    pub phase: Phase,
    /// When the attempt began: restarts of containers count from here.
    pub started: Timestamp,
    /// When the phase has taken too long.
    pub deadline: Timestamp,
    /// Objects of the manifest that stood in the cluster before the attempt: remediation never deletes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub existed: Vec<ObjectId>,
    /// Objects of others that the attempt takes over, and from whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Taken>,
    /// Objects to delete and create again, because fields change that cannot be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recreate: Vec<Recreated>,
    /// Why applying can never succeed, once that is known; the next decision gives the revision up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// An object that belonged to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub object: ObjectId,
    /// `release apps/other`, or the field managers that wrote it.
    pub from: String,
}

/// An object to delete and create again. Only the one of this uid is deleted: after a crash its successor stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreated {
    pub object: ObjectId,
    pub uid: String,
}

/// The stages of an attempt, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Objects are being written; some may not be yet.
    Apply,
    /// All objects are written; they are watched until healthy.
    Wait,
    /// The attempt failed: what it created is being deleted.
    Cleanup,
    /// The attempt failed, and its objects stand until something is done about them. Kept for what stood before it.
    GivenUp,
    /// The release is being deleted.
    Uninstall,
}

impl Progress {
    /// The annotation's value.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("plain data serializes")
    }

    /// Reads the annotation. `None` for what another writer or a broken hand left there: it counts as no progress.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_back() {
        let progress = Progress {
            owner: "pintle-0".to_owned(),
            phase: Phase::Wait,
            started: "2026-11-23T12:00:00Z".parse().unwrap(),
            deadline: "2026-11-23T12:05:00Z".parse().unwrap(),
            existed: vec![],
            taken: vec![],
            recreate: vec![],
            failure: None,
        };
        let text = progress.encode();
        insta::assert_snapshot!(text, @r#"{"owner":"pintle-0","phase":"wait","started":"2026-11-23T12:00:00Z","deadline":"2026-11-23T12:05:00Z"}"#);
        assert_eq!(Progress::decode(&text), Some(progress));
    }

    #[test]
    fn unreadable_progress_is_none() {
        assert_eq!(Progress::decode(""), None);
        assert_eq!(Progress::decode("{}"), None);
    }
}
