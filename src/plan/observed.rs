//! What is seen of a release before a decision.

use std::borrow::Cow;

use jiff::Timestamp;

use super::health::Health;
use super::hooks::HookState;
use super::outcome::FailureClass;
use crate::release::Revision;
use crate::release::digest::Fingerprint;
use crate::release::history::History;
use crate::release::marks::RetryToken;

/// Everything a decision looks at in the cluster.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The stored revisions; the truth about what was deployed.
    pub history: History,
    /// The health of the newest revision's objects: under rollout rules while it is pending, under running rules
    /// otherwise ([`super::health::Stage`]). `Healthy` where nothing is stored.
    pub health: Health,
    /// How the hook under way is doing; `Absent` where there is none.
    pub hook: HookState,
    /// Since when the running objects have not been healthy without a break, as far as the shell remembers.
    pub unhealthy_since: Option<Timestamp>,
    /// Who else claims the release: `HelmRelease other/podinfo`.
    pub rival: Option<String>,
    /// What comparing an adopted release with the desired manifest gave, once that was done.
    pub comparison: Option<Comparison>,
    /// Revisions whose labels tell another status than their records.
    pub mislabelled: Vec<Revision>,
    /// The last attempt that failed before a revision was stored; such failures leave no record in history.
    pub failed_attempt: Option<FailedAttempt>,
}

impl Observed {
    /// What is seen where nothing was ever installed.
    pub fn nothing() -> Self {
        Observed {
            history: History::default(),
            health: Health::Healthy,
            hook: HookState::Absent,
            unhealthy_since: None,
            rival: None,
            comparison: None,
            mislabelled: Vec::new(),
            failed_attempt: None,
        }
    }
}

/// Whether an adopted revision's manifest is what Pintle would have rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub revision: Revision,
    /// What was desired when they were compared.
    pub fingerprint: Fingerprint,
    pub equal: bool,
}

/// An attempt that failed before anything was stored or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    pub fingerprint: Fingerprint,
    pub class: FailureClass,
    /// [`super::Failure::reason`].
    pub reason: Cow<'static, str>,
    pub message: String,
    /// The retry request that stood then.
    pub retry: Option<RetryToken>,
    /// When to try again without being asked: after a backoff. `None` is now.
    pub again_at: Option<Timestamp>,
}
