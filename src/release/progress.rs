//! How far work on a revision has come: one annotation on its Secret.
//!
//! Waiting for health is stored state with a deadline, not a held task: after a restart whoever claims the progress
//! (a metadata patch guarded by resourceVersion) goes on from here. `helm` drops annotations when it rewrites a
//! record, so a pending revision without progress is somebody else's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::manifest::hooks::Event;
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
    /// The hooks of the attempt, and the one under way.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

/// How far the hooks of an attempt have come.
///
/// A hook is begun by writing its [`HookRun`]; only then its object is created, and only then the object's uid is noted.
/// So a crash leaves either nothing, or a run whose object is found by its name and its stamp.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// How many run before the objects are written, or deleted.
    #[serde(skip_serializing_if = "is_zero")]
    pub before: u32,
    /// How many run after its objects; in phase test, how many tests there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub after: u32,
    /// How many of the present phase ended well.
    #[serde(skip_serializing_if = "is_zero")]
    pub done: u32,
    /// The one under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<HookRun>,
    /// Why one failed; what its event leaves behind is still to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What those said that ended, where their output-log policy asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<HookOutput>,
}

/// The last lines of a hook that ended, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookOutput {
    pub event: Event,
    pub object: ObjectId,
    pub lines: Vec<String>,
}

/// A hook that was begun and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    pub object: ObjectId,
    pub started: Timestamp,
    /// The object that was created, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Whether its delete policy is `before-hook-creation`: Helm makes such an object anew each time, so it may run again
    /// where its object is lost.
    #[serde(default)]
    pub repeatable: bool,
    /// Whether its object deletes itself (a Job with `ttlSecondsAfterFinished`), so that its absence proves nothing.
    #[serde(default)]
    pub fleeting: bool,
}

impl Hooks {
    fn is_empty(&self) -> bool {
        *self == Hooks::default()
    }

    /// How many hooks a phase has.
    pub fn of(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Before => self.before,
            Phase::After | Phase::Test => self.after,
            Phase::Apply | Phase::Wait | Phase::Ended | Phase::Cleanup | Phase::GivenUp | Phase::Uninstall => 0,
        }
    }

    /// The same hooks, with those of no phase begun; what others said stays.
    #[must_use]
    pub fn rewound(&self) -> Self {
        Hooks { before: self.before, after: self.after, output: self.output.clone(), ..Hooks::default() }
    }

    /// Adds what a hook said; of very many hooks the last ones are kept.
    pub fn tell(&mut self, output: HookOutput) {
        const HOOKS_MAX: usize = 10;
        self.output.push(output);
        let more = self.output.len().saturating_sub(HOOKS_MAX);
        self.output.drain(..more);
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
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
    /// Hooks run before the first object is written, or deleted.
    Before,
    /// Objects are being written; some may not be yet.
    Apply,
    /// All objects are written; they are watched until healthy.
    Wait,
    /// Hooks run after all objects are healthy, or gone; or written, where nothing is waited for.
    After,
    /// The revision is deployed and its tests run.
    Test,
    /// The hooks of the last phase are through; the record is to say so.
    Ended,
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
            hooks: Hooks::default(),
        };
        let text = progress.encode();
        insta::assert_snapshot!(text, @r#"{"owner":"pintle-0","phase":"wait","started":"2026-11-23T12:00:00Z","deadline":"2026-11-23T12:05:00Z"}"#);
        assert_eq!(Progress::decode(&text), Some(progress));
    }

    #[test]
    fn hook_under_way_reads_back() {
        let run = HookRun {
            object: ObjectId::of(
                &serde_json::json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}),
            )
            .unwrap(),
            started: "2026-11-23T12:00:00Z".parse().unwrap(),
            uid: Some("u-1".to_owned()),
            repeatable: true,
            fleeting: false,
        };
        let hooks = Hooks { before: 2, done: 1, run: Some(run), ..Hooks::default() };
        assert_eq!((hooks.of(Phase::Before), hooks.of(Phase::After)), (2, 0));
        let text = serde_json::to_string(&hooks).unwrap();
        insta::assert_snapshot!(text, @r#"{"before":2,"done":1,"run":{"object":{"group":"batch","kind":"Job","name":"a"},"started":"2026-11-23T12:00:00Z","uid":"u-1","repeatable":true,"fleeting":false}}"#);
        assert_eq!(serde_json::from_str::<Hooks>(&text).unwrap(), hooks);
        assert_eq!(hooks.rewound(), Hooks { before: 2, ..Hooks::default() });
    }

    #[test]
    fn unreadable_progress_is_none() {
        assert_eq!(Progress::decode(""), None);
        assert_eq!(Progress::decode("{}"), None);
    }
}
