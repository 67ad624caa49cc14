//! What an action really did.

use std::borrow::Cow;

use jiff::SignedDuration;

use crate::manifest::id::ObjectId;
use crate::release::Revision;

use super::observed::Comparison;

/// What carrying out one action gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was written or learnt before the action ended, well or not.
    pub done: Done,
    /// Why it ended early. The next decision sees what was stored and goes on from there.
    pub failure: Option<Failure>,
    /// Fields taken over from other managers.
    pub forced: Vec<ForcedField>,
    /// What else people should hear of it.
    pub notices: Vec<Notice>,
    /// Values of the spec that had no effect, a sentence each.
    pub unread: Vec<String>,
}

/// What was written or learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Done {
    /// Nothing was written.
    #[default]
    Nothing,
    /// A revision was stored as pending, and objects of it written: all of them, unless there is a failure or a hook comes
    /// first.
    Stored { revision: Revision },
    /// A revision's record changed: its status, its marks.
    Recorded { revision: Revision },
    /// An adopted revision was compared.
    Compared(Comparison),
    /// Objects were deleted; these are still there.
    Deleting { left: Vec<ObjectId> },
    /// Everything was deleted, records included.
    Deleted,
    /// The finalizer was removed.
    Released,
    /// Old records were deleted.
    Pruned { revisions: Vec<Revision> },
}

/// What went wrong, and which kind of wrong it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: FailureClass,
    /// A CamelCase word for conditions, Events and metrics: the name of the error's variant.
    pub reason: Cow<'static, str>,
    /// What happened, to which object, and what to do.
    pub message: String,
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// May pass by itself: timeouts, 429, 5xx, write conflicts, webhooks that do not answer. Tried again with backoff;
    /// no budget is used.
    Transient,
    /// The inputs are wrong: values, schema, rendering, versions, immutable fields. Stalled until an input changes.
    Input,
    /// The cluster says no: rights, missing namespace or kind, admission, quota, somebody else's object. Stalled; tried
    /// again after 5 s, then twice as late each time up to the interval, and when the missing thing appears.
    Refused,
    /// What was written does not become healthy: remediated, then held.
    Unhealthy,
}

impl Failure {
    /// When it is tried again where nothing tells that it has passed; `None` where time does not help. What is refused is
    /// tried again soon at first, since rights often come with the same commit a moment later; where something is missing
    /// that may appear at any moment, never much later.
    pub fn backoff(&self, interval: SignedDuration) -> Option<Backoff> {
        const REFUSED: SignedDuration = SignedDuration::from_secs(5);
        const MISSING_MAX: SignedDuration = SignedDuration::from_secs(15);
        let refused = |longest| Some(Backoff { first: REFUSED, longest });
        match (self.class, self.reason.as_ref()) {
            (FailureClass::Transient, "ApiUnavailable" | "EtcdFull" | "WriteConflict") => Some(Backoff::CLUSTER),
            (FailureClass::Transient, _) => Some(Backoff::SOURCE),
            (FailureClass::Refused, "NamespaceMissing" | "KindMissing") => refused(interval.min(MISSING_MAX)),
            (FailureClass::Refused, _) => refused(interval),
            (FailureClass::Input | FailureClass::Unhealthy, _) => None,
        }
    }
}

/// Waits that are doubled with each failure in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: SignedDuration,
    pub longest: SignedDuration,
}

impl Backoff {
    /// For the API server and what stands behind it. A cluster that is back shall not be waited for: with jitter and the
    /// work, all is right within a minute.
    pub const CLUSTER: Backoff =
        Backoff { first: SignedDuration::from_millis(500), longest: SignedDuration::from_secs(40) };
    /// For registries and repositories.
    pub const SOURCE: Backoff =
        Backoff { first: SignedDuration::from_millis(500), longest: SignedDuration::from_mins(5) };

    /// The wait after as many failures, this one not counted.
    pub fn after(self, failures: u32) -> SignedDuration {
        self.first.saturating_mul(1 << failures.min(16)).min(self.longest)
    }
}

impl FailureClass {
    /// The word in conditions, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureClass::Transient => "transient",
            FailureClass::Input => "input",
            FailureClass::Refused => "refused",
            FailureClass::Unhealthy => "unhealthy",
        }
    }
}

/// Something that was done on the way and that people should hear of: it becomes an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub warning: bool,
    /// The Event's reason.
    pub reason: &'static str,
    pub text: String,
}

/// A field that another manager owned and that was taken over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForcedField {
    pub object: ObjectId,
    /// The field's path as the API server names it, `.spec.replicas`.
    pub field: String,
    pub previous_manager: String,
}

impl Outcome {
    pub fn nothing() -> Self {
        Outcome::default()
    }

    pub fn done(done: Done) -> Self {
        Outcome { done, ..Outcome::default() }
    }

    pub fn failed(done: Done, failure: Failure) -> Self {
        Outcome { done, failure: Some(failure), ..Outcome::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_later_each_time() {
        let wait = |class, reason, failures| {
            let failure = Failure { class, reason: Cow::Borrowed(reason), message: String::new() };
            failure.backoff(SignedDuration::from_hours(1)).map(|backoff| backoff.after(failures).as_millis())
        };
        let (transient, refused) = (FailureClass::Transient, FailureClass::Refused);
        for (class, reason, waits) in [
            (transient, "ApiUnavailable", [500, 1_000, 4_000, 40_000]),
            (transient, "SourceUnavailable", [500, 1_000, 4_000, 300_000]),
            (refused, "Forbidden", [5_000, 10_000, 40_000, 3_600_000]),
            (refused, "KindMissing", [5_000, 10_000, 15_000, 15_000]),
        ] {
            assert_eq!([0, 1, 3, u32::MAX].map(|failures| wait(class, reason, failures)), waits.map(Some), "{reason}");
        }
        assert_eq!(wait(FailureClass::Input, "InvalidValues", 0), None);
        assert_eq!(wait(FailureClass::Unhealthy, "Unhealthy", 0), None);
    }
}
