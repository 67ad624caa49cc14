//! A decision and its outcome to the new status, and the Events that tell of it.
//!
//! Pure; `now` serves `lastTransitionTime` only. A status that says the same is the same, byte for byte, so that
//! nothing is written where nothing changed. `Ready` follows one table, which is also in the documentation:
//!
//! | situation | Ready | Released | Healthy | also |
//! |---|---|---|---|---|
//! | desired fingerprint deployed, healthy | True | True | True | |
//! | applying or waiting | Unknown | Unknown | of what runs | Reconciling |
//! | rolled back | False | False | of what runs | Remediated, Held, Stalled |
//! | input or refused, old revision runs | False | False | of what runs | Stalled |
//! | pods fail later (beyond 30 s) | False | True | False | |
//! | source down, last digest known | True | True | of what runs | summary names the source |
//! | suspended | as before | as before | goes on | summary says since when |

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::ObjectRef;
use super::conditions::Conditions;
use super::helm_release::{FailedAttemptStatus, HelmReleaseStatus, HookOutputStatus, RevisionStatus, TakenObject};
use crate::manifest::id::ObjectId;
use crate::plan::decide::{UNHEALTHY_AFTER, unwell_for};
use crate::plan::hooks::describe;
use crate::plan::outcome::{Backoff, Done};
use crate::plan::reason::Hold;
use crate::plan::{
    Action, Claim, Decision, Desired, FailedAttempt, Failure, FailureClass, Health, Observed, Outcome, Reason,
};
use crate::release::digest::Fingerprint;
use crate::release::history::{Entry, History};
use crate::release::marks::{RetryToken, Tested};
use crate::release::progress::{HookOutput, Phase, Taken};
use crate::release::{Revision, Status};
use crate::text::{MESSAGE_BYTES_MAX, truncate};

/// How many revisions the status lists at most; `maxHistory` may keep more.
const HISTORY_SHOWN_MAX: usize = 20;

/// What was decided upon.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The generation of the HelmRelease.
    pub generation: i64,
    pub observed: &'a Observed,
    pub desired: &'a Desired,
    /// The objects of the newest revision, where this pass knows them; `None` leaves the inventory as it was.
    pub inventory: Option<&'a [ObjectId]>,
    /// What the newest revision took over from others, where this pass knows; `None` leaves the report as it was.
    pub taken: Option<&'a [Taken]>,
    /// What its hooks said, where this pass knows; `None` leaves it as it was.
    pub hook_output: Option<&'a [HookOutput]>,
}

/// What to write down and what to do then.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub status: HelmReleaseStatus,
    pub events: Vec<Event>,
    pub wake: Wake,
}

/// When to look again, besides when something is seen to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: something was done, and the next decision follows from it. The status in between need not be written.
    Now,
    After(SignedDuration),
    /// Later with each failure in a row.
    Backoff(Backoff),
}

/// An Event to publish on the HelmRelease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub reason: String,
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

/// The new status of a HelmRelease, from the one before, what was decided and what came of it.
pub fn summarize(
    previous: &HelmReleaseStatus,
    facts: &Facts<'_>,
    decision: &Decision,
    outcome: &Outcome,
    now: Timestamp,
) -> Summary {
    let moved = match (&decision.action, outcome.failure.is_some()) {
        (Action::Claim { home }, false) => Some(home),
        _ => None,
    };
    let story = Story { previous, facts, decision, outcome };
    let standing = story.standing();
    let suspended_at = facts.desired.asks.suspend.then(|| {
        let since = previous.suspended_at.clone();
        since.unwrap_or_else(|| Timestamp::from_second(now.as_second()).unwrap_or(now).to_string())
    });
    let sentence = truncate(&story.sentence(suspended_at.as_deref()), MESSAGE_BYTES_MAX);
    let conditions = Conditions::new(&previous.conditions, facts.generation, now);
    // The revisions and objects of a release that somebody else owns are told by its owner, and decide who that is.
    let is_owner = facts.observed.rival.is_none() && moved.is_none_or(|home| *home == facts.desired.home);
    let status = HelmReleaseStatus {
        observed_generation: Some(facts.generation),
        conditions: story.conditions(conditions, &standing, &sentence),
        summary: sentence,
        release: match moved {
            Some(home) => Some(home.into()),
            None if is_owner && !is_moving(facts.desired) => Some((&facts.desired.home).into()),
            None => previous.release.clone(),
        },
        history: if is_owner { history_status(&facts.observed.history) } else { Vec::new() },
        failed_attempt: story.failed_attempt(),
        inventory: match facts.inventory {
            _ if !is_owner => Vec::new(),
            Some(objects) => objects.iter().map(ObjectRef::from).collect(),
            None => previous.inventory.clone(),
        },
        taken_over: match facts.taken {
            _ if !is_owner => Vec::new(),
            Some(taken) => taken.iter().map(TakenObject::from).collect(),
            None => previous.taken_over.clone(),
        },
        hook_output: match facts.hook_output {
            _ if !is_owner => Vec::new(),
            Some(output) => output.iter().map(HookOutputStatus::from).collect(),
            None => previous.hook_output.clone(),
        },
        suspended_at,
        last_handled_reconcile_at: facts.desired.asks.reconcile.clone(),
    };
    Summary { events: story.events(&status), wake: story.wake(), status }
}

/// The failed attempt that a status remembers, for the next decision. When to try again is the shell's to add.
pub fn failed_attempt(status: &HelmReleaseStatus) -> Option<FailedAttempt> {
    let failed = status.failed_attempt.as_ref()?;
    let classes = [FailureClass::Transient, FailureClass::Input, FailureClass::Refused, FailureClass::Unhealthy];
    Some(FailedAttempt {
        fingerprint: Fingerprint::decode(&failed.fingerprint)?,
        class: classes.into_iter().find(|class| class.as_str() == failed.class)?,
        reason: failed.reason.clone().into(),
        message: failed.message.clone(),
        retry: failed.retry.as_deref().map(RetryToken::from_stored),
        again_at: None,
    })
}

/// Where a release stands: each row of the table above.
enum Standing {
    /// What is desired is deployed.
    Ready,
    /// What is desired is deployed, and its objects are not well.
    Unhealthy,
    /// Something is under way.
    Busy { reason: String },
    /// Nothing will happen until somebody changes something.
    Stalled { reason: String },
    /// Everything is as it was before.
    AsBefore,
}

struct Story<'a> {
    previous: &'a HelmReleaseStatus,
    facts: &'a Facts<'a>,
    decision: &'a Decision,
    outcome: &'a Outcome,
}

impl Story<'_> {
    fn standing(&self) -> Standing {
        let busy = |reason: &str| Standing::Busy { reason: reason.to_owned() };
        let stalled = |reason: &str| Standing::Stalled { reason: reason.to_owned() };
        if let Some(failure) = &self.outcome.failure {
            // What failed after a revision was stored is for the next decision: it gives the revision up.
            let is_final =
                failure.class != FailureClass::Transient && !matches!(self.outcome.done, Done::Stored { .. });
            return if is_final { stalled(&failure.reason) } else { busy(&failure.reason) };
        }
        let reason = &self.decision.reason;
        match reason {
            Reason::InSync { .. }
            | Reason::Verified { .. }
            | Reason::Settled { .. }
            | Reason::RetryNotNeeded { .. } => Standing::Ready,
            Reason::Unhealthy { .. } => Standing::Unhealthy,
            Reason::Suspended if self.has_come_to_rest() => match self.is_as_asked() {
                true => Standing::Ready,
                false => stalled(reason.name()),
            },
            Reason::Suspended | Reason::HistoryTooLong { .. } => Standing::AsBefore,
            Reason::Rejected(failure) if failure.class == FailureClass::Transient => busy(reason.name()),
            Reason::Rejected(_)
            | Reason::Held(_)
            | Reason::RollbackFailed { .. }
            | Reason::Rival { .. }
            | Reason::ForeignPendingStale { .. }
            | Reason::UninstallOverdue => stalled(reason.name()),
            // A revision is about to be given up; a release that is deleted waits for its hook.
            Reason::HooksFailed { .. } => match self.decision.action {
                Action::Nothing => stalled(reason.name()),
                _ => busy(PROGRESSING),
            },
            Reason::ForeignPending { .. } => busy(reason.name()),
            Reason::NotInstalled { .. }
            | Reason::FingerprintChanged { .. }
            | Reason::RetryRequested { .. }
            | Reason::RetryAfterFailure { .. }
            | Reason::ApplyUnfinished { .. }
            | Reason::WaitingForHealth { .. }
            | Reason::HealthCheckPassed { .. }
            | Reason::NotWaitedFor { .. }
            | Reason::HealthCheckFailed { .. }
            | Reason::DeadlineExceeded { .. }
            | Reason::ApplyFailed { .. }
            | Reason::HookDue { .. }
            | Reason::WaitingForHook { .. }
            | Reason::HookSucceeded { .. }
            | Reason::HookFailed { .. }
            | Reason::HooksEnded { .. }
            | Reason::TestsPassed { .. }
            | Reason::TestsIgnored { .. }
            | Reason::Interrupted { .. }
            | Reason::Abandoned { .. }
            | Reason::ProgressLost { .. }
            | Reason::SeveralDeployed { .. }
            | Reason::Mislabelled { .. }
            | Reason::UpgradeFailed { .. }
            | Reason::InstallFailed { .. }
            | Reason::AdoptionUndecided { .. }
            | Reason::AdoptionDiffers { .. }
            | Reason::Deleted
            | Reason::Moved { .. }
            | Reason::Unclaimed
            | Reason::Gone
            | Reason::DeletedWhileSuspended
            | Reason::Orphaned
            | Reason::NeverOurs => busy(PROGRESSING),
        }
    }

    fn conditions(&self, mut set: Conditions<'_>, standing: &Standing, sentence: &str) -> Vec<Condition> {
        match standing {
            Standing::Ready => {
                set.add("Ready", "True", self.success(), sentence);
                set.add("Released", "True", self.success(), sentence);
            }
            Standing::Unhealthy => {
                set.add("Ready", "False", "Unhealthy", sentence);
                set.add("Released", "True", self.success(), &self.deployed().unwrap_or_default());
            }
            Standing::Busy { reason } => {
                set.add("Ready", "Unknown", reason, sentence);
                set.add("Released", "Unknown", reason, sentence);
            }
            Standing::Stalled { reason } => {
                set.add("Ready", "False", reason, sentence);
                set.add("Released", "False", reason, sentence);
            }
            Standing::AsBefore => {
                set.keep("Ready");
                set.keep("Released");
            }
        }
        self.add_tested(&mut set);
        self.add_health(&mut set);
        self.add_remediated(&mut set);
        self.add_held(&mut set, sentence);
        match standing {
            Standing::Busy { reason } => set.add("Reconciling", "True", reason, sentence),
            Standing::Stalled { reason } => set.add("Stalled", "True", reason, sentence),
            Standing::AsBefore => {
                set.keep("Stalled");
            }
            Standing::Ready | Standing::Unhealthy => {}
        }
        set.into_vec()
    }

    /// How the tests of the newest revision ended. A rollback is not tested: what made it necessary goes on being told.
    fn add_tested(&self, set: &mut Conditions<'_>) {
        let Some(newest) = self.facts.observed.history.newest() else { return };
        let revision = newest.revision();
        let marked = match (&self.decision.action, self.outcome.failure.is_some()) {
            (Action::Stamp { marks, .. }, false) => marks.tested,
            _ => newest.marks.tested,
        };
        match (marked, &self.decision.reason) {
            (Some(Tested::Passed), _) => {
                set.add("TestSuccess", "True", "TestSucceeded", &Reason::TestsPassed { revision }.to_string());
            }
            (Some(Tested::Failed), Reason::TestsIgnored { message, .. }) => {
                set.add("TestSuccess", "False", "TestFailed", message);
            }
            (Some(Tested::Failed), _) if newest.status() == Status::Failed => {
                set.add("TestSuccess", "False", "TestFailed", &newest.release.info.description);
            }
            (Some(Tested::Failed), _) => {
                if !set.keep("TestSuccess") {
                    set.add("TestSuccess", "False", "TestFailed", &format!("a test of revision {revision} failed"));
                }
            }
            (None, _) if newest.status() == Status::Deployed && newest.progress.is_some() => {
                set.add("TestSuccess", "Unknown", "AwaitingTests", &format!("revision {revision} is being tested"));
            }
            (None, _) => {
                let failed = self.facts.observed.history.newest_failure();
                let failed = failed.filter(|it| newest.rollback_of().is_some() && it.marks.tested.is_some());
                if let Some(failed) = failed {
                    set.add("TestSuccess", "False", "TestFailed", &failed.release.info.description);
                }
            }
        }
    }

    /// The health of what runs, whatever else is going on.
    fn add_health(&self, set: &mut Conditions<'_>) {
        let observed = self.facts.observed;
        let phase = |it: &Entry| it.progress.as_ref().map(|progress| progress.phase);
        if observed.history.newest().and_then(phase) == Some(Phase::Before) {
            // Nothing of the newest revision is there yet, and of the one before nothing is asked.
            set.keep("Healthy");
            return;
        }
        let is_there =
            |it: &&Entry| it.progress.is_some() && phase(it) != Some(Phase::Cleanup) || observed.history.stands();
        let Some(newest) = observed.history.newest().filter(is_there) else {
            return;
        };
        match &observed.health {
            Health::Healthy => set.add("Healthy", "True", "Healthy", "all objects are healthy"),
            Health::Progressing(cause) | Health::Failed(cause) if !newest.status().is_pending() => {
                let time = unwell_for(observed, set.now()).map_or(SignedDuration::ZERO, |(_, time)| time);
                if time >= UNHEALTHY_AFTER {
                    set.add("Healthy", "False", "Unhealthy", &cause.to_string());
                } else if !set.keep("Healthy") {
                    set.add("Healthy", "Unknown", "Progressing", &cause.to_string());
                }
            }
            Health::Progressing(cause) => set.add("Healthy", "Unknown", "Progressing", &cause.to_string()),
            Health::Failed(cause) => set.add("Healthy", "False", "Unhealthy", &cause.to_string()),
        }
    }

    /// What was done about the last failure, as long as what is desired is not deployed.
    fn add_remediated(&self, set: &mut Conditions<'_>) {
        let history = &self.facts.observed.history;
        let Some(newest) = history.newest().filter(|it| it.is_ours()) else {
            return;
        };
        let is_desired = newest.marks.fingerprint == self.target_fingerprint();
        match (newest.status(), newest.rollback_of()) {
            (Status::Deployed, Some(to)) if !newest.marks.settled && !is_desired => {
                let message = format!("rolled back to revision {to} as revision {}", newest.revision());
                set.add("Remediated", "True", "RollbackSucceeded", &message);
            }
            (Status::Failed, Some(to)) => {
                let cause = &newest.release.info.description;
                set.add("Remediated", "False", "RollbackFailed", &format!("rollback to revision {to} failed: {cause}"));
            }
            (Status::Failed, None) if newest.progress.is_none() && !history.stands() => {
                set.add("Remediated", "True", "UninstallSucceeded", "what the failed install created was deleted");
            }
            _ => {}
        }
    }

    fn add_held(&self, set: &mut Conditions<'_>, sentence: &str) {
        let asks = &self.facts.desired.asks;
        if let Some(reason) = &asks.hold {
            let hold = Hold::Manual { reason: reason.clone() };
            return set.add("Held", "True", hold.name(), &hold.to_string());
        }
        match &self.decision.reason {
            Reason::Held(hold) => set.add("Held", "True", hold.name(), &hold.to_string()),
            Reason::RollbackFailed { .. } => set.add("Held", "True", "FailedFingerprint", sentence),
            Reason::Suspended | Reason::HistoryTooLong { .. } => {
                set.keep("Held");
            }
            _ => {}
        }
    }

    /// The reason of success: how the deployed revision came to be.
    fn success(&self) -> &'static str {
        let newest = self.facts.observed.history.newest();
        match newest {
            Some(entry) if entry.rollback_of().is_some() => "RollbackSucceeded",
            Some(entry) if entry.release.info.description == INSTALL_COMPLETE => INSTALL_SUCCEEDED,
            _ => "UpgradeSucceeded",
        }
    }

    /// One sentence: what is going on.
    fn sentence(&self, suspended_at: Option<&str>) -> String {
        let history = &self.facts.observed.history;
        let newest = history.newest();
        if let Some(failure) = &self.outcome.failure {
            return self.sentence_of_failure(failure);
        }
        let deployed = || self.deployed().unwrap_or_else(|| "nothing is deployed".to_owned());
        let of_attempt = |entry: Option<&Entry>| entry.map(describe_attempt).unwrap_or_default();
        let reason = &self.decision.reason;
        match (&self.decision.action, reason) {
            (_, Reason::Suspended) => match suspended_at {
                Some(since) => format!("suspended since {since}; {}", deployed()),
                None => format!("suspended; {}", deployed()),
            },
            (_, Reason::HistoryTooLong { .. }) => self.previous.summary.clone(),
            (
                _,
                Reason::InSync { .. }
                | Reason::Verified { .. }
                | Reason::Settled { .. }
                | Reason::RetryNotNeeded { .. },
            ) => {
                let mut sentence = deployed();
                if let Some(reason) = &self.facts.desired.asks.hold {
                    sentence = format!("{sentence}; {}", Hold::Manual { reason: reason.clone() });
                }
                match self.facts.desired.target.as_ref().ok().and_then(|target| target.stale.as_deref()) {
                    Some(stale) => format!("{sentence}; {stale}"),
                    None => sentence,
                }
            }
            (_, Reason::Unhealthy { why, .. }) => format!("{} but not healthy: {why}", deployed()),
            (_, Reason::Held(Hold::FailedFingerprint { failed, failures, cause, .. })) => {
                let times = if *failures > 1 { format!(" {failures} times, last") } else { String::new() };
                let attempt = of_attempt(history.get(*failed));
                format!("{attempt} failed{times}: {cause}{}", self.remedy())
            }
            (_, Reason::Held(hold)) => match self.deployed() {
                Some(deployed) if matches!(hold, Hold::Manual { .. }) => format!("{hold}; {deployed}"),
                _ => hold.to_string(),
            },
            (_, Reason::RollbackFailed { cause, failed_cause, failed, .. }) => {
                let attempt = of_attempt(failed.and_then(|failed| history.get(failed)));
                let to = newest.and_then(Entry::rollback_of).map(|to| format!(" to revision {to}")).unwrap_or_default();
                match failed {
                    Some(_) => format!("{attempt} failed: {failed_cause}; rollback{to} failed too: {cause}"),
                    None => format!("rollback{to} failed: {cause}"),
                }
            }
            (_, Reason::Rejected(failure)) => self.sentence_of_failure(failure),
            (Action::Rollback { from, to, .. }, Reason::UpgradeFailed { cause, .. }) => {
                format!("{} failed: {cause}; rolling back to revision {to}", of_attempt(history.get(*from)))
            }
            (Action::CleanUp { .. }, Reason::InstallFailed { cause, .. } | Reason::UpgradeFailed { cause, .. }) => {
                format!("{} failed: {cause}; deleting what it created", of_attempt(newest))
            }
            (Action::MarkFailed { cause, .. }, _) => format!("{} failed: {cause}", of_attempt(newest)),
            (Action::Install { revision, .. }, _) => {
                format!("installing {} as revision {revision}", self.target_chart())
            }
            (Action::Upgrade { revision, .. }, _) => {
                format!("upgrading to {} as revision {revision}", self.target_chart())
            }
            (Action::Wait { .. }, Reason::WaitingForHealth { why, .. }) => {
                format!("{}: {why}", newest.map(describe_work).unwrap_or_default())
            }
            (Action::Nothing, Reason::HooksFailed { message, .. }) => {
                format!("uninstalling: {message}; trying again")
            }
            (Action::Uninstall { .. }, Reason::HooksFailed { message, .. }) => {
                format!("uninstalling without waiting any longer: {message}")
            }
            (
                Action::RunHook { .. }
                | Action::EndHook { .. }
                | Action::LeaveHooks { .. }
                | Action::Wait { .. }
                | Action::ContinueApply { .. }
                | Action::MarkDeployed { .. },
                reason,
            ) => {
                format!("{}: {reason}", newest.map(describe_work).unwrap_or_default())
            }
            (Action::Uninstall { .. }, reason) => match &self.outcome.done {
                Done::Deleting { left } if !left.is_empty() => {
                    let names: Vec<_> = left.iter().map(ToString::to_string).collect();
                    format!("uninstalling: {} still there: {}", objects(left.len()), names.join(", "))
                }
                _ => format!("uninstalling: {reason}"),
            },
            (Action::Supersede { .. } | Action::Relabel { .. }, reason) => format!("{}; {reason}", deployed()),
            (_, reason) => reason.to_string(),
        }
    }

    /// A failure of this pass, with what runs on.
    fn sentence_of_failure(&self, failure: &Failure) -> String {
        let again = if failure.class == FailureClass::Transient { "; trying again" } else { "" };
        let stays = self.running().map(|it| format!("; {it} stays")).unwrap_or_default();
        // Where the history could not be seen, it is not known what is tried.
        let unseen = self.facts.observed.history.newest().is_none() && !self.previous.history.is_empty();
        let tries = match (&self.facts.desired.target, &self.decision.action) {
            (Ok(target), Action::Upgrade { .. } | Action::Nothing) if self.facts.observed.history.stands() => {
                format!("upgrade to {}: ", target.chart)
            }
            (Ok(_), Action::Nothing) if unseen => String::new(),
            (Ok(target), Action::Install { .. } | Action::Nothing) => format!("install of {}: ", target.chart),
            _ => String::new(),
        };
        // What follows the first line is an excerpt of the file that is to blame.
        match failure.message.split_once('\n') {
            Some((sentence, excerpt)) => format!("{tries}{sentence}{again}{stays}\n{excerpt}"),
            None => format!("{tries}{}{again}{stays}", failure.message),
        }
    }

    /// What was done about the failure that is held, as the end of a sentence.
    fn remedy(&self) -> String {
        let history = &self.facts.observed.history;
        match history.newest() {
            Some(newest) if newest.status() == Status::Deployed => match newest.rollback_of() {
                Some(to) => format!("; rolled back to revision {to}"),
                None => format!("; revision {} stays", newest.revision()),
            },
            Some(newest) if is_left(newest) => "; it is left as it is, for a person to look at".to_owned(),
            Some(newest) if newest.is_ours() && !history.stands() => "; what it created was deleted".to_owned(),
            _ => String::new(),
        }
    }

    /// `podinfo 6.5.0 is deployed as revision 18`.
    fn deployed(&self) -> Option<String> {
        let entry = self.facts.observed.history.last_deployed()?;
        Some(format!("{} is deployed as revision {}", entry.release.chart, entry.revision()))
    }

    /// `revision 18 (podinfo 6.5.0)`.
    fn running(&self) -> Option<String> {
        let history = &self.facts.observed.history;
        if history.newest().is_none() {
            let told = self.previous.history.iter().find(|told| told.status == Status::Deployed.as_str())?;
            return Some(format!("revision {} ({} {})", told.revision, told.chart, told.version));
        }
        let entry = history.last_deployed()?;
        Some(format!("revision {} ({})", entry.revision(), entry.release.chart))
    }

    fn target_fingerprint(&self) -> Option<Fingerprint> {
        self.facts.desired.target.as_ref().ok().map(|target| target.fingerprint)
    }

    fn target_chart(&self) -> String {
        self.facts.desired.target.as_ref().map(|target| target.chart.to_string()).unwrap_or_default()
    }

    /// The failed attempt to remember: this pass's, or the one before as long as nothing was deployed since.
    fn failed_attempt(&self) -> Option<FailedAttemptStatus> {
        if !self.starts() {
            let over = matches!(self.standing(), Standing::Ready | Standing::Unhealthy);
            return self.previous.failed_attempt.clone().filter(|_| !over);
        }
        let (failure, target) = (self.outcome.failure.as_ref()?, self.facts.desired.target.as_ref().ok()?);
        (self.outcome.done == Done::Nothing).then(|| FailedAttemptStatus {
            fingerprint: target.fingerprint.encoded(),
            chart: target.chart.name.clone(),
            version: target.chart.version.clone(),
            class: failure.class.as_str().to_owned(),
            reason: failure.reason.clone().into_owned(),
            message: truncate(&failure.message, MESSAGE_BYTES_MAX),
            retry: self.facts.desired.asks.retry.as_ref().map(|retry| retry.as_str().to_owned()),
        })
    }

    /// Whether the newest revision was under way when the status was written last, and has reached its end while the
    /// release was suspended.
    fn has_come_to_rest(&self) -> bool {
        let told = self.previous.history.first().map(|told| told.revision);
        let newest = self.facts.observed.history.newest();
        let ended = newest.is_some_and(|it| it.is_ours() && it.progress.is_none() && Some(it.revision().0) == told);
        ended && self.previous.conditions.iter().any(|it| it.type_ == "Reconciling" && it.reason == PROGRESSING)
    }

    /// Whether the newest revision is deployed because the spec asked for it.
    fn is_as_asked(&self) -> bool {
        let newest = self.facts.observed.history.newest();
        newest.is_some_and(|it| it.status() == Status::Deployed && it.rollback_of().is_none())
    }

    /// Whether the action prepares something new, which can fail before anything is stored.
    fn starts(&self) -> bool {
        matches!(self.decision.action, Action::Install { .. } | Action::Upgrade { .. } | Action::Adopt { .. })
    }

    fn wake(&self) -> Wake {
        let interval = self.facts.desired.policy.interval;
        if let Some(failure) = &self.outcome.failure {
            let newest = self.facts.observed.history.newest();
            let mends = newest.is_some_and(|newest| newest.is_ours() && newest.status() == Status::Failed);
            return match (failure.class, &self.outcome.done) {
                // The attempt was to replace a failed revision: now that one is rolled back.
                (_, Done::Nothing) if mends && self.starts() => Wake::Now,
                (class, Done::Stored { .. }) if class != FailureClass::Transient => Wake::Now,
                _ => failure.backoff(interval).map_or(Wake::After(interval), Wake::Backoff),
            };
        }
        let after = Wake::After(self.decision.again_in.unwrap_or(interval));
        match &self.decision.action {
            Action::Nothing if self.decision.again_in.is_none() => match &self.decision.reason {
                Reason::Rejected(failure) => failure.backoff(interval).map_or(after, Wake::Backoff),
                _ => after,
            },
            Action::Nothing | Action::Wait { .. } | Action::RemoveFinalizer => after,
            Action::Uninstall { .. } | Action::CleanUp { .. } | Action::RunHook { .. } | Action::LeaveHooks { .. }
                if matches!(self.outcome.done, Done::Deleting { .. }) =>
            {
                after
            }
            // The status is where the failure, or the name of the release, is kept.
            Action::Claim { .. } => Wake::After(SignedDuration::ZERO),
            Action::Stamp { .. } if matches!(self.decision.reason, Reason::TestsIgnored { .. }) => {
                Wake::After(SignedDuration::ZERO)
            }
            _ => Wake::Now,
        }
    }

    fn events(&self, status: &HelmReleaseStatus) -> Vec<Event> {
        let mut events = Vec::new();
        self.add_events_of_outcome(&mut events);
        self.add_events_of_changes(status, &mut events);
        events
    }

    /// What was done.
    fn add_events_of_outcome(&self, events: &mut Vec<Event>) {
        let newest = self.facts.observed.history.newest();
        let mut tell = |kind, reason: &str, note: String| {
            events.push(Event { kind, reason: reason.to_owned(), note: truncate(&note, MESSAGE_BYTES_MAX) });
        };
        if !self.outcome.forced.is_empty() {
            let forced = self.outcome.forced.iter();
            let forced: Vec<_> =
                forced.map(|it| format!("{} {} from {}", it.object, it.field, it.previous_manager)).collect();
            tell(EventKind::Normal, "FieldsForced", format!("took over {}", forced.join(", ")));
        }
        for notice in &self.outcome.notices {
            let kind = if notice.warning { EventKind::Warning } else { EventKind::Normal };
            tell(kind, notice.reason, notice.text.clone());
        }
        // Told when the revision is stored, so once for each time that something new is tried.
        if !self.outcome.unread.is_empty() && matches!(self.outcome.done, Done::Stored { .. }) {
            tell(EventKind::Warning, "UnreadValues", self.outcome.unread.join("; "));
        }
        if self.outcome.failure.is_some() {
            return;
        }
        match (&self.decision.action, newest) {
            (Action::MarkDeployed { revision, .. }, Some(entry)) => {
                let note = match entry.rollback_of() {
                    Some(to) => format!("rolled back to revision {to} as revision {revision}"),
                    None => format!("{} is deployed as revision {revision}", entry.release.chart),
                };
                tell(EventKind::Normal, &format!("{}Succeeded", action_word(entry)), note);
            }
            (Action::MarkFailed { .. }, Some(entry)) if matches!(self.decision.reason, Reason::Interrupted { .. }) => {
                tell(
                    EventKind::Normal,
                    "Interrupted",
                    format!("{}: {}", describe_attempt(entry), self.decision.reason),
                );
            }
            (Action::MarkFailed { .. }, Some(entry)) => {
                // The reason, not the recorded cause: application logs stay out of Events. A hook was told as it failed.
                let note = match &self.decision.reason {
                    Reason::HooksFailed { event, .. } => {
                        format!("{} failed: a {}", describe_attempt(entry), describe(*event, "failed"))
                    }
                    reason => format!("{} failed: {reason}", describe_attempt(entry)),
                };
                tell(EventKind::Warning, &format!("{}Failed", action_word(entry)), note);
            }
            (Action::EndHook { failure: Some(_), .. }, _) => {
                tell(EventKind::Warning, self.decision.reason.name(), self.decision.reason.to_string());
            }
            (Action::Stamp { .. }, _) if matches!(self.decision.reason, Reason::TestsPassed { .. }) => {
                tell(EventKind::Normal, self.decision.reason.name(), self.decision.reason.to_string());
            }
            (Action::Uninstall { .. }, _) if self.outcome.done == Done::Deleted => {
                tell(EventKind::Normal, "UninstallSucceeded", "all objects of the release are gone".to_owned());
            }
            (Action::Supersede { .. } | Action::Relabel { .. }, _) => {
                tell(EventKind::Warning, self.decision.reason.name(), self.decision.reason.to_string());
            }
            (Action::RemoveFinalizer, Some(_)) if is_leaving(&self.decision.reason) => {
                tell(EventKind::Warning, self.decision.reason.name(), self.decision.reason.to_string());
            }
            (Action::Adopt { revision }, _) => {
                if let Done::Compared(comparison) = &self.outcome.done
                    && comparison.equal
                {
                    let note = format!("revision {revision} of Helm is what is desired; it is taken over as it is");
                    tell(EventKind::Normal, "Adopted", note);
                }
            }
            _ => {}
        }
    }

    /// What turned: told once, when a condition changes its status or its reason.
    fn add_events_of_changes(&self, status: &HelmReleaseStatus, events: &mut Vec<Event>) {
        for condition in &status.conditions {
            let before = self.previous.conditions.iter().find(|it| it.type_ == condition.type_);
            let is_new =
                before.is_none_or(|before| (&before.status, &before.reason) != (&condition.status, &condition.reason));
            let news = match (condition.type_.as_str(), condition.status.as_str()) {
                ("Held", "True") => Some((EventKind::Warning, held_note(&self.decision.reason, condition))),
                ("Healthy", "False") if condition.reason == "Unhealthy" && self.is_running() => {
                    Some((EventKind::Warning, condition.message.clone()))
                }
                ("Healthy", "True") if before.is_some_and(|before| before.status == "False") && self.is_running() => {
                    Some((EventKind::Normal, condition.message.clone()))
                }
                // Holds and failed rollbacks have been told already, as what they are.
                ("Stalled", "True")
                    if !matches!(
                        self.decision.reason,
                        Reason::Held(_) | Reason::RollbackFailed { .. } | Reason::HooksFailed { .. }
                    ) =>
                {
                    Some((EventKind::Warning, condition.message.clone()))
                }
                ("Reconciling", "True")
                    if self.outcome.failure.is_some() || matches!(self.decision.reason, Reason::Rejected(_)) =>
                {
                    Some((EventKind::Warning, condition.message.clone()))
                }
                _ => None,
            };
            if let Some((kind, note)) = news.filter(|_| is_new) {
                events.push(Event { kind, reason: condition.reason.clone(), note });
            }
        }
    }

    fn is_running(&self) -> bool {
        self.facts.observed.history.newest().is_some_and(|newest| newest.status() == Status::Deployed)
    }
}

/// The reason of `Reconciling` while something is done, not merely waited for.
const PROGRESSING: &str = "Progressing";

/// What Helm and we write of a first install that succeeded.
pub const INSTALL_COMPLETE: &str = "Install complete";

/// The reason of `Released` after a first install.
pub const INSTALL_SUCCEEDED: &str = "InstallSucceeded";

/// Why it is held, without recorded causes: those may carry application logs, which stay out of Events.
fn held_note(reason: &Reason, condition: &Condition) -> String {
    match reason {
        Reason::Held(Hold::FailedFingerprint { failed, .. }) => {
            format!("what is desired failed as revision {failed}; change it, or ask for a retry")
        }
        Reason::RollbackFailed { rollback, .. } => {
            format!("the upgrade and its rollback, revision {rollback}, both failed; change it, or ask for a retry")
        }
        _ => condition.message.clone(),
    }
}

/// Whether the status names another release than the spec means.
fn is_moving(desired: &Desired) -> bool {
    matches!(desired.claim, Claim::Moving(_))
}

/// A failed attempt about which nothing is done: its objects stand.
fn is_left(entry: &Entry) -> bool {
    let phase = entry.progress.as_ref().map(|progress| progress.phase);
    entry.status() == Status::Failed && entry.rollback_of().is_none() && phase == Some(Phase::GivenUp)
}

/// The HelmRelease goes, the release stays: somebody has to hear of it.
fn is_leaving(reason: &Reason) -> bool {
    matches!(reason, Reason::DeletedWhileSuspended | Reason::Orphaned)
}

/// `Install`, `Upgrade`, `Rollback`: what a revision is, or was when it was pending.
fn action_word(entry: &Entry) -> &'static str {
    match entry.rollback_of() {
        Some(_) => "Rollback",
        None if is_install(entry) => "Install",
        None => "Upgrade",
    }
}

/// `upgrade to podinfo 6.5.0`.
fn describe_attempt(entry: &Entry) -> String {
    let chart = &entry.release.chart;
    match entry.rollback_of() {
        Some(to) => format!("rollback to revision {to}"),
        None if is_install(entry) => format!("install of {chart}"),
        None => format!("upgrade to {chart}"),
    }
}

/// Whether a revision is an install, or was one when it was pending.
fn is_install(entry: &Entry) -> bool {
    let info = &entry.release.info;
    match entry.status() {
        Status::PendingInstall => true,
        Status::Failed | Status::Deployed => {
            entry.revision() == Revision::FIRST || info.first_deployed == info.last_deployed
        }
        Status::Unknown
        | Status::Uninstalled
        | Status::Superseded
        | Status::Uninstalling
        | Status::PendingUpgrade
        | Status::PendingRollback => false,
    }
}

/// `upgrading to podinfo 6.5.0 as revision 18`.
fn describe_work(entry: &Entry) -> String {
    let (chart, revision) = (&entry.release.chart, entry.revision());
    match entry.rollback_of() {
        _ if entry.status() == Status::Uninstalling => "uninstalling".to_owned(),
        _ if entry.status() == Status::Deployed => format!("testing {chart} as revision {revision}"),
        Some(to) => format!("rolling back to revision {to} as revision {revision}"),
        None if entry.status() == Status::PendingInstall => format!("installing {chart} as revision {revision}"),
        None => format!("upgrading to {chart} as revision {revision}"),
    }
}

fn objects(count: usize) -> String {
    if count == 1 { "1 object is".to_owned() } else { format!("{count} objects are") }
}

fn history_status(history: &History) -> Vec<RevisionStatus> {
    history.entries().iter().rev().take(HISTORY_SHOWN_MAX).map(revision_status).collect()
}

fn revision_status(entry: &Entry) -> RevisionStatus {
    let release = &entry.release;
    RevisionStatus {
        revision: release.revision.0,
        chart: release.chart.name.clone(),
        version: release.chart.version.clone(),
        app_version: release.chart.app_version.clone(),
        status: release.info.status.to_string(),
        deployed_at: release.info.last_deployed.map(|time| time.to_string()),
        fingerprint: entry.marks.fingerprint.map(|fingerprint| fingerprint.encoded()),
        verified: entry.marks.verified,
        rollback_of: entry.rollback_of().map(|revision| revision.0),
        cause: (entry.status() == Status::Failed).then(|| truncate(&release.info.description, MESSAGE_BYTES_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Asks, Policy, Target};
    use crate::release::{ChartVersion, Home, JsonMap, ReleaseId, ReleaseName, digest};

    #[test]
    fn values_without_effect_are_told_once_when_their_revision_is_stored() {
        let release = ReleaseId { namespace: "apps".into(), name: ReleaseName::parse("web").expect("is a name") };
        let values = JsonMap::new();
        let fingerprint = Fingerprint::of(digest::Inputs {
            chart_digest: "",
            values: &values,
            release: &release,
            post_rendering: &serde_json::Value::Null,
            options: &values,
        });
        let chart = ChartVersion { name: "web".into(), version: "1.0.0".into(), app_version: String::new() };
        let target = Ok(Target { fingerprint, chart, stale: None });
        let home = Home { storage_namespace: release.namespace.clone(), release };
        let (policy, asks) = (Policy::default(), Asks::default());
        let desired = Desired { home, claim: Claim::Made, target, policy, asks };
        let facts = Facts {
            generation: 1,
            observed: &Observed::nothing(),
            desired: &desired,
            inventory: None,
            taken: None,
            hook_output: None,
        };
        let revision = Revision::FIRST;
        let action = Action::Install { revision, over: None };
        let decision = Decision { action, reason: Reason::Suspended, again_in: None };
        let told = |done: Done| {
            let outcome = Outcome { unread: vec!["values.a".into(), "values.b".into()], ..Outcome::done(done) };
            let now = Timestamp::from_second(0).expect("is a time");
            summarize(&HelmReleaseStatus::default(), &facts, &decision, &outcome, now).events
        };
        let event =
            Event { kind: EventKind::Warning, reason: "UnreadValues".into(), note: "values.a; values.b".into() };
        assert_eq!(told(Done::Stored { revision }), [event]);
        // It did not come to anything: the next attempt tells it.
        assert_eq!(told(Done::Nothing), []);
    }
}
