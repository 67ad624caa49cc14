//! Why a decision was taken: one variant for each, a CamelCase name for machines, a sentence for people.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::health::Cause;
use super::hooks::describe;
use super::outcome::Failure;
use crate::manifest::hooks::Event;
use crate::manifest::id::ObjectId;
use crate::release::digest::Fingerprint;
use crate::release::{ChartVersion, Home, Revision, Status};
use crate::text;

/// The reason of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is stored, or what was stored was uninstalled.
    NotInstalled {
        chart: ChartVersion,
    },
    /// What is desired is not what was deployed last.
    FingerprintChanged {
        chart: ChartVersion,
        from: Option<Fingerprint>,
        to: Fingerprint,
    },
    /// A hold was lifted for one attempt.
    RetryRequested {
        chart: ChartVersion,
    },
    /// An attempt failed before, and its budget allows another.
    RetryAfterFailure {
        chart: ChartVersion,
        failures: u32,
        retries: u32,
    },
    /// A pending revision has objects that may not be written yet.
    ApplyUnfinished {
        revision: Revision,
    },
    WaitingForHealth {
        revision: Revision,
        why: Box<Cause>,
    },
    HealthCheckPassed {
        revision: Revision,
    },
    /// The spec wants nothing waited for.
    NotWaitedFor {
        revision: Revision,
    },
    HealthCheckFailed {
        revision: Revision,
        cause: Box<Cause>,
    },
    DeadlineExceeded {
        revision: Revision,
        allowed: SignedDuration,
        why: Box<Cause>,
    },
    ApplyFailed {
        revision: Revision,
        message: String,
    },
    /// A hook is next.
    HookDue {
        revision: Revision,
        event: Event,
        /// Counted from 1, of so many.
        number: u32,
        count: u32,
    },
    WaitingForHook {
        revision: Revision,
        event: Event,
        why: Box<Cause>,
    },
    HookSucceeded {
        revision: Revision,
        event: Event,
        object: ObjectId,
    },
    HookFailed {
        revision: Revision,
        event: Event,
        cause: Box<Cause>,
    },
    /// All hooks of an event ended, or one failed: some of their objects may have to go.
    HooksEnded {
        revision: Revision,
        event: Event,
    },
    /// A hook failed, as the stored sentence says.
    HooksFailed {
        event: Event,
        message: String,
    },
    TestsPassed {
        revision: Revision,
    },
    /// A test failed, and the spec wants nothing done about it.
    TestsIgnored {
        revision: Revision,
        message: String,
    },
    /// The spec asks for something else before this revision came to an end.
    Interrupted {
        revision: Revision,
    },
    /// A pending revision of somebody else was given up because a person asked for a retry.
    Abandoned {
        revision: Revision,
        status: Status,
    },
    /// A pending revision of ours whose progress somebody took away.
    ProgressLost {
        revision: Revision,
        status: Status,
    },
    /// Labels tell another status than the records that carry them.
    Mislabelled {
        revisions: Vec<Revision>,
    },
    /// More than one revision says that it is deployed; the newest one is.
    SeveralDeployed {
        newest: Revision,
        others: Vec<Revision>,
    },
    UpgradeFailed {
        failed: Revision,
        cause: String,
    },
    InstallFailed {
        failed: Revision,
        cause: String,
    },
    RollbackFailed {
        rollback: Revision,
        cause: String,
        failed: Option<Revision>,
        failed_cause: String,
    },
    Held(Hold),
    InSync {
        revision: Revision,
    },
    /// Desired and deployed are the same, but the objects are not well for longer than a moment.
    Unhealthy {
        revision: Revision,
        why: String,
    },
    Suspended,
    /// The release was made by Helm; whether it is what is desired is not known yet.
    AdoptionUndecided {
        revision: Revision,
    },
    AdoptionDiffers {
        revision: Revision,
        chart: ChartVersion,
    },
    /// The running objects are healthy and the record does not say so yet.
    Verified {
        revision: Revision,
    },
    /// The spec asks for what a rollback brought back.
    Settled {
        revision: Revision,
    },
    /// A retry was asked for while there was nothing to retry.
    RetryNotNeeded {
        revision: Revision,
    },
    HistoryTooLong {
        stored: usize,
        max: u32,
    },
    /// What is desired cannot be told or was refused; nothing was written.
    Rejected(Failure),
    /// Another owner claims the release.
    Rival {
        owner: String,
    },
    /// Somebody else is working on the release.
    ForeignPending {
        revision: Revision,
        status: Status,
    },
    /// Somebody else left the release half done.
    ForeignPendingStale {
        revision: Revision,
        status: Status,
        since: Option<Timestamp>,
    },
    Deleted,
    /// The spec means another release than the one that runs.
    Moved {
        to: Home,
    },
    /// The status does not name the release yet.
    Unclaimed,
    /// Objects are still there although the time for deleting them is over.
    UninstallOverdue,
    /// The HelmRelease was deleted and nothing of it is left.
    Gone,
    /// The HelmRelease was deleted while suspended: everything stays.
    DeletedWhileSuspended,
    /// The HelmRelease was deleted, and its policy leaves everything.
    Orphaned,
    /// The HelmRelease was deleted, but the release was never ours.
    NeverOurs,
}

/// Why nothing new is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The fingerprint failed and spent its budget.
    FailedFingerprint { fingerprint: Fingerprint, failed: Revision, failures: u32, cause: String },
    /// Somebody else made the newest revision.
    ForeignRevision { revision: Revision, chart: ChartVersion },
    /// A person asked for it.
    Manual { reason: String },
}

impl Hold {
    /// The reason of condition `Held`.
    pub fn name(&self) -> &'static str {
        match self {
            Hold::FailedFingerprint { .. } => "FailedFingerprint",
            Hold::ForeignRevision { .. } => "ForeignRevision",
            Hold::Manual { .. } => "Manual",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::FailedFingerprint { failed, failures, cause, .. } => {
                let times = if *failures == 1 { String::new() } else { format!(" {failures} times") };
                write!(f, "what is desired failed{times} (revision {failed}: {cause}); change it, or ask for a retry")
            }
            Hold::ForeignRevision { revision, chart } => write!(
                f,
                "revision {revision} ({chart}) was made by somebody else and stays; the next change of what is desired \
                 takes over, or ask for a retry"
            ),
            Hold::Manual { reason } if reason.is_empty() => f.write_str("held by hand; resume to go on"),
            Hold::Manual { reason } => write!(f, "held by hand: {reason}; resume to go on"),
        }
    }
}

impl Reason {
    /// The word for condition reasons, Events, metrics and logs.
    pub fn name(&self) -> &str {
        match self {
            Reason::NotInstalled { .. } => "NotInstalled",
            Reason::FingerprintChanged { .. } => "FingerprintChanged",
            Reason::RetryRequested { .. } => "RetryRequested",
            Reason::RetryAfterFailure { .. } => "RetryAfterFailure",
            Reason::ApplyUnfinished { .. } => "ApplyUnfinished",
            Reason::WaitingForHealth { .. } => "WaitingForHealth",
            Reason::HealthCheckPassed { .. } => "HealthCheckPassed",
            Reason::NotWaitedFor { .. } => "NotWaitedFor",
            Reason::ProgressLost { .. } => "ProgressLost",
            Reason::Mislabelled { .. } => "Mislabelled",
            Reason::SeveralDeployed { .. } => "SeveralDeployed",
            Reason::HealthCheckFailed { .. } => "HealthCheckFailed",
            Reason::DeadlineExceeded { .. } => "DeadlineExceeded",
            Reason::ApplyFailed { .. } => "ApplyFailed",
            Reason::HookDue { .. } => "HookDue",
            Reason::WaitingForHook { .. } => "WaitingForHook",
            Reason::HookSucceeded { .. } => "HookSucceeded",
            Reason::HookFailed { event: Event::Test, .. } | Reason::HooksFailed { event: Event::Test, .. } => {
                "TestFailed"
            }
            Reason::HookFailed { .. } | Reason::HooksFailed { .. } => "HookFailed",
            Reason::HooksEnded { .. } => "HooksEnded",
            Reason::TestsPassed { .. } => "TestSucceeded",
            Reason::TestsIgnored { .. } => "TestFailed",
            Reason::Interrupted { .. } => "Interrupted",
            Reason::Abandoned { .. } => "Abandoned",
            Reason::UpgradeFailed { .. } => "UpgradeFailed",
            Reason::InstallFailed { .. } => "InstallFailed",
            Reason::RollbackFailed { .. } => "RollbackFailed",
            Reason::Held(hold) => hold.name(),
            Reason::InSync { .. } => "InSync",
            Reason::Unhealthy { .. } => "Unhealthy",
            Reason::Suspended => "Suspended",
            Reason::AdoptionUndecided { .. } => "AdoptionUndecided",
            Reason::AdoptionDiffers { .. } => "AdoptionDiffers",
            Reason::Verified { .. } => "Verified",
            Reason::Settled { .. } => "Settled",
            Reason::RetryNotNeeded { .. } => "RetryNotNeeded",
            Reason::HistoryTooLong { .. } => "HistoryTooLong",
            Reason::Rejected(failure) => &failure.reason,
            Reason::Rival { .. } => "Rival",
            Reason::ForeignPending { .. } => "ForeignPending",
            Reason::ForeignPendingStale { .. } => "ForeignPendingStale",
            Reason::Deleted => "Deleted",
            Reason::Moved { .. } => "Moved",
            Reason::Unclaimed => "Unclaimed",
            Reason::UninstallOverdue => "UninstallOverdue",
            Reason::Gone => "Gone",
            Reason::DeletedWhileSuspended => "DeletedWhileSuspended",
            Reason::Orphaned => "Orphaned",
            Reason::NeverOurs => "NeverOurs",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotInstalled { chart } => write!(f, "{chart} is not installed"),
            Reason::FingerprintChanged { chart, from: Some(from), to } => {
                write!(f, "{chart} with fingerprint {to} is desired, {from} is deployed")
            }
            Reason::FingerprintChanged { chart, from: None, to } => {
                write!(f, "{chart} with fingerprint {to} is desired")
            }
            Reason::RetryRequested { chart } => write!(f, "a retry of {chart} was asked for"),
            Reason::RetryAfterFailure { chart, failures, retries } => {
                write!(f, "{chart} failed before, this is retry {failures} of {retries}")
            }
            Reason::ApplyUnfinished { revision } => write!(f, "objects of revision {revision} may be missing"),
            Reason::WaitingForHealth { revision, why } => write!(f, "revision {revision} is not ready yet: {why}"),
            Reason::HealthCheckPassed { revision } => write!(f, "all objects of revision {revision} are healthy"),
            Reason::NotWaitedFor { revision } => {
                write!(f, "all objects of revision {revision} are written, and nothing is waited for")
            }
            Reason::ProgressLost { revision, status } => {
                write!(f, "revision {revision} was left {status}, and how far it came is not recorded any more")
            }
            Reason::Mislabelled { revisions } => {
                let revisions: Vec<_> = revisions.iter().map(ToString::to_string).collect();
                write!(f, "somebody changed the status label of revision {}", revisions.join(", "))
            }
            Reason::SeveralDeployed { newest, others } => {
                let others: Vec<_> = others.iter().map(ToString::to_string).collect();
                let (revisions, say) = if others.len() == 1 { ("revision", "says") } else { ("revisions", "say") };
                write!(f, "{revisions} {} {say} deployed beside revision {newest}", others.join(", "))
            }
            Reason::HealthCheckFailed { cause, .. } => cause.fmt(f),
            Reason::DeadlineExceeded { allowed, why, .. } => {
                write!(f, "not ready within {}: {why}", text::duration(*allowed))
            }
            Reason::ApplyFailed { message, .. } => f.write_str(message),
            Reason::HookDue { revision, event, number, count } => {
                write!(f, "{} of revision {revision} is next", describe(*event, &format!("{number} of {count}")))
            }
            Reason::WaitingForHook { event, why, .. } => f.write_str(&describe(*event, &why.to_string())),
            Reason::HookSucceeded { event, object, .. } => {
                f.write_str(&describe(*event, &format!("{object} succeeded")))
            }
            Reason::HookFailed { event, cause, .. } => f.write_str(&describe(*event, &cause.to_string())),
            Reason::HooksEnded { revision, event } => {
                write!(f, "no more {event} hooks of revision {revision} are to run")
            }
            Reason::HooksFailed { message, .. } => f.write_str(message),
            Reason::TestsPassed { revision } => write!(f, "the tests of revision {revision} passed"),
            Reason::TestsIgnored { revision, message } => {
                write!(f, "revision {revision} stays although a test failed: {message}")
            }
            Reason::Interrupted { revision } => {
                write!(f, "replaced by revision {} before it became healthy", revision.next())
            }
            Reason::Abandoned { revision, status } => {
                write!(f, "revision {revision} was left {status} by somebody else, and a retry was asked for")
            }
            Reason::UpgradeFailed { failed, cause } => write!(f, "revision {failed} failed: {cause}"),
            Reason::InstallFailed { failed, cause } => write!(f, "the install of revision {failed} failed: {cause}"),
            Reason::RollbackFailed { rollback, cause, failed: Some(failed), failed_cause } => {
                write!(f, "revision {failed} failed: {failed_cause}; rollback {rollback} failed too: {cause}")
            }
            Reason::RollbackFailed { rollback, cause, failed: None, .. } => {
                write!(f, "rollback {rollback} failed: {cause}")
            }
            Reason::Held(hold) => hold.fmt(f),
            Reason::InSync { revision } => write!(f, "revision {revision} is what is desired"),
            Reason::Unhealthy { revision, why } => write!(f, "revision {revision} is not healthy: {why}"),
            Reason::Suspended => f.write_str("the release is suspended"),
            Reason::AdoptionUndecided { revision } => {
                write!(f, "revision {revision} was made by Helm and is compared with what is desired")
            }
            Reason::AdoptionDiffers { revision, chart } => {
                write!(f, "revision {revision} was made by Helm and differs from {chart} as desired")
            }
            Reason::Verified { revision } => write!(f, "revision {revision} was seen healthy"),
            Reason::Settled { revision } => write!(f, "what revision {revision} returned to is desired now"),
            Reason::RetryNotNeeded { revision } => {
                write!(f, "a retry was asked for, but revision {revision} is what is desired")
            }
            Reason::HistoryTooLong { stored, max } => write!(f, "{stored} revisions are stored, {max} are kept"),
            Reason::Rejected(failure) => f.write_str(&failure.message),
            Reason::Rival { owner } => write!(f, "the release belongs to {owner}; remove one of the two"),
            Reason::ForeignPending { revision, status } => {
                write!(f, "somebody else is working on revision {revision} ({status})")
            }
            Reason::ForeignPendingStale { revision, status, since } => {
                write!(f, "revision {revision} was left {status} by somebody else")?;
                if let Some(since) = since {
                    write!(f, " at {since:.0}")?;
                }
                f.write_str("; finish it with helm, or ask for a retry to take over")
            }
            Reason::Deleted => f.write_str("the HelmRelease was deleted"),
            Reason::Moved { to } => write!(f, "the spec asks for release {to} in its place"),
            Reason::Unclaimed => f.write_str("the release is about to be installed or taken over"),
            Reason::UninstallOverdue => f.write_str("the release is being uninstalled, but some objects do not go"),
            Reason::Gone => f.write_str("the HelmRelease was deleted and nothing of the release is left"),
            Reason::DeletedWhileSuspended => {
                f.write_str("the HelmRelease was deleted while suspended: the release stays as it is")
            }
            Reason::Orphaned => f.write_str(
                "the HelmRelease was deleted with deletionPolicy orphan: objects and records stay, helm may go on",
            ),
            Reason::NeverOurs => f.write_str("the HelmRelease was deleted, but the release is Helm's: it stays"),
        }
    }
}
