//! The one thing to do next.

use std::fmt;

use jiff::SignedDuration;

use super::reason::Reason;
use crate::manifest::hooks::Event;
use crate::manifest::id::ObjectId;
use crate::release::marks::Marks;
use crate::release::{Home, Revision};

/// An action with the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action: Action,
    pub reason: Reason,
    /// When to look again even if nothing happens. `None` is the interval.
    pub again_in: Option<SignedDuration>,
}

/// Everything Pintle can do to a release. Each is idempotent: doing it twice, or dying in the middle and doing it again,
/// ends the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing is to be done.
    Nothing,
    /// Render, check against the cluster without writing, store `revision` as pending-install with progress, write its
    /// objects, set the phase to wait.
    Install {
        revision: Revision,
        /// A failed install whose objects may still stand, because this one takes its place before they were cleaned
        /// up: the `existed` of its progress, where it is ours, is carried on, and what only its manifest holds is
        /// pruned.
        over: Option<Revision>,
    },
    /// As Install, as pending-upgrade; what revisions since the last deployed one hold and the new manifest does not is
    /// pruned ([`super::prune`]).
    Upgrade { revision: Revision, from: Revision },
    /// Write the objects of the stored pending revision again, then set the phase to wait.
    ContinueApply { revision: Revision },
    /// Begin a hook of an event: delete what an earlier run left where its policy says so, store the run, create the
    /// object, note its uid. Where the run is stored already, look for its object and create it only where there is
    /// none.
    RunHook { revision: Revision, event: Event, index: u32 },
    /// Store that the hook under way ended, well or with this failure.
    EndHook { revision: Revision, event: Event, failure: Option<String> },
    /// Delete the objects that the policies of an event's hooks give up, then set the next phase.
    LeaveHooks { revision: Revision, event: Event },
    /// Look at the objects' health until it is good, bad, or the time is over.
    Wait { revision: Revision, at_most: SignedDuration },
    /// Mark `superseded` the revisions named, then mark this one deployed, and verified where it was seen healthy, and
    /// end its progress, or set it to phase test where tests are asked for. In this order: there are never two deployed
    /// revisions.
    MarkDeployed { revision: Revision, supersede: Vec<Revision>, description: String, verified: bool },
    /// Mark revisions superseded: somebody left more than one deployed.
    Supersede { revisions: Vec<Revision> },
    /// Write the labels of revisions anew, as their records have it.
    Relabel { revisions: Vec<Revision> },
    /// Mark the revision failed, in one write: status, description, marks, and the phase of its progress (cleanup where
    /// `clean_up`, given up otherwise).
    MarkFailed {
        revision: Revision,
        /// Why, for people and for `helm history`.
        cause: String,
        /// How often this fingerprint has failed, this time included; `None` for revisions that are not ours.
        failures: Option<u32>,
        clean_up: bool,
    },
    /// Store `revision` as pending-rollback with the content of `to`, write its objects, set the phase to wait.
    Rollback { revision: Revision, from: Revision, to: Revision },
    /// Delete what a failed attempt created: the objects of its manifest that no older revision holds, except `keep`.
    /// The record stays.
    CleanUp { revision: Revision, keep: Vec<ObjectId> },
    /// Render what is desired and compare it with the stored manifest; the next decision stamps or upgrades.
    Adopt { revision: Revision },
    /// Write marks, nothing else; what its tests left of the progress ends.
    Stamp { revision: Revision, marks: Marks },
    /// Delete records.
    PruneHistory { revisions: Vec<Revision> },
    /// Mark the newest revision uninstalling, delete the objects except `keep`, wait until they are gone, then delete all
    /// records, or mark them uninstalled and superseded where `keep_history`.
    Uninstall { revision: Revision, keep_history: bool, keep: Vec<ObjectId> },
    /// Name the release in the status: nothing is written for one that is not named there.
    Claim { home: Home },
    /// Let the HelmRelease go.
    RemoveFinalizer,
}

impl Action {
    /// The action with its reason; looked at again at the interval.
    pub fn because(self, reason: Reason) -> Decision {
        Decision { action: self, reason, again_in: None }
    }

    /// The action's name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Nothing => "Nothing",
            Action::Install { .. } => "Install",
            Action::Upgrade { .. } => "Upgrade",
            Action::ContinueApply { .. } => "ContinueApply",
            Action::RunHook { .. } => "RunHook",
            Action::EndHook { .. } => "EndHook",
            Action::LeaveHooks { .. } => "LeaveHooks",
            Action::Wait { .. } => "Wait",
            Action::MarkDeployed { .. } => "MarkDeployed",
            Action::Supersede { .. } => "Supersede",
            Action::Relabel { .. } => "Relabel",
            Action::MarkFailed { .. } => "MarkFailed",
            Action::Rollback { .. } => "Rollback",
            Action::CleanUp { .. } => "CleanUp",
            Action::Adopt { .. } => "Adopt",
            Action::Stamp { .. } => "Stamp",
            Action::PruneHistory { .. } => "PruneHistory",
            Action::Uninstall { .. } => "Uninstall",
            Action::Claim { .. } => "Claim",
            Action::RemoveFinalizer => "RemoveFinalizer",
        }
    }
}

impl Decision {
    /// The container whose log says more about a failure that is about to be recorded: pod and container.
    pub fn log_wanted(&self) -> Option<(&ObjectId, &str, Option<&str>)> {
        let (Reason::HealthCheckFailed { cause, .. }
        | Reason::DeadlineExceeded { why: cause, .. }
        | Reason::HookFailed { cause, .. }) = &self.reason
        else {
            return None;
        };
        Some((&cause.object, cause.pod.as_deref()?, cause.container.as_deref()))
    }

    /// Adds masked log lines to the failure that is about to be recorded.
    pub fn add_log_lines(&mut self, lines: Vec<String>) {
        if let (
            Action::MarkFailed { cause: recorded, .. } | Action::EndHook { failure: Some(recorded), .. },
            Reason::HealthCheckFailed { cause, .. }
            | Reason::DeadlineExceeded { why: cause, .. }
            | Reason::HookFailed { cause, .. },
        ) = (&mut self.action, &mut self.reason)
        {
            let bare = cause.to_string();
            cause.log_lines = lines;
            *recorded = recorded.replace(&bare, &cause.with_log());
        }
    }

    pub fn again_in(self, time: SignedDuration) -> Self {
        Decision { again_in: Some(time), ..self }
    }
}

/// `Rollback { 17 -> 16 as 18 }`: the name, then what matters.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Action::Nothing | Action::RemoveFinalizer => f.write_str(name),
            Action::Install { revision, over: None }
            | Action::ContinueApply { revision }
            | Action::CleanUp { revision, .. }
            | Action::Adopt { revision }
            | Action::Stamp { revision, .. }
            | Action::Uninstall { revision, .. }
            | Action::MarkDeployed { revision, .. }
            | Action::MarkFailed { revision, .. } => write!(f, "{name} {{ {revision} }}"),
            Action::Install { revision, over: Some(over) } => write!(f, "{name} {{ {revision} over {over} }}"),
            Action::Upgrade { revision, from } => write!(f, "{name} {{ {from} -> {revision} }}"),
            Action::Claim { home } => write!(f, "{name} {{ {home} }}"),
            Action::RunHook { revision, event, index } => write!(f, "{name} {{ {revision}, {event} {} }}", index + 1),
            Action::EndHook { revision, event, .. } | Action::LeaveHooks { revision, event } => {
                write!(f, "{name} {{ {revision}, {event} }}")
            }
            Action::Wait { revision, at_most } => write!(f, "{name} {{ {revision}, at most {at_most:#} }}"),
            Action::Rollback { revision, from, to } => write!(f, "{name} {{ {from} -> {to} as {revision} }}"),
            Action::PruneHistory { revisions } | Action::Supersede { revisions } | Action::Relabel { revisions } => {
                let revisions: Vec<_> = revisions.iter().map(ToString::to_string).collect();
                write!(f, "{name} {{ {} }}", revisions.join(", "))
            }
        }
    }
}

/// `Rollback { 17 -> 16 as 18 } because UpgradeFailed: …`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} because {}: {}", self.action, self.reason.name(), self.reason)
    }
}
