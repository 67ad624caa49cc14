//! The state machine: what is seen and what is asked, to one action.
//!
//! Read [`decide`] from top to bottom: deletion, suspension and foreign claims come first; then whatever was begun is
//! brought to an end (pending revisions, remediation); only then something new may start, if nothing holds it.

use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Decision};
use super::desired::{Claim, Desired, Target};
use super::health::Health;
use super::hooks;
use super::observed::Observed;
use super::outcome::{Failure, FailureClass};
use super::reason::{Hold, Reason};
use super::rules::{Remedy, Wait};
use crate::manifest::hooks::Event;
use crate::release::history::Entry;
use crate::release::marks::{Marks, Tested};
use crate::release::progress::{Phase, Progress};
use crate::release::{Home, Status};
use crate::text;

/// How long running objects may be unwell before the release is called so: a pod that moves is no news.
pub const UNHEALTHY_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// How often health is looked at while waiting, besides at every change: some verdicts need only time to pass.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// How long a pending revision of somebody else is believed to be under way: Helm's own timeout is five minutes.
pub const FOREIGN_PENDING_PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// Decides the next action for one release. Pure: the same arguments give the same answer.
pub fn decide(observed: &Observed, desired: &Desired, now: Timestamp) -> Decision {
    if desired.asks.deleted_at.is_some() {
        return remove(observed, desired, now);
    }
    if desired.asks.suspend {
        return come_to_rest(observed, desired, now);
    }
    match &desired.claim {
        Claim::Made => keep(observed, desired, now),
        Claim::Missing => match keep(observed, desired, now) {
            decision if decision.action == Action::Nothing => decision,
            _ => Action::Claim { home: desired.home.clone() }.because(Reason::Unclaimed),
        },
        Claim::Moving(to) => leave_for(observed, desired, to, now),
    }
}

/// A suspended release: what was begun reaches its end, deployed or rolled back, and nothing else is done.
fn come_to_rest(observed: &Observed, desired: &Desired, now: Timestamp) -> Decision {
    let newest = observed.history.newest();
    let under_way = newest.is_some_and(|it| it.progress.is_some()) && desired.claim == Claim::Made;
    let at_rest = |decision: &Decision| decision.action == Action::Nothing && decision.again_in.is_none();
    match keep(observed, desired, now) {
        decision if under_way && !at_rest(&decision) => decision,
        _ => Action::Nothing.because(Reason::Suspended),
    }
}

/// The release becomes and stays what is desired.
fn keep(observed: &Observed, desired: &Desired, now: Timestamp) -> Decision {
    if let Some(owner) = &observed.rival {
        return Action::Nothing.because(Reason::Rival { owner: owner.clone() });
    }
    let Some(newest) = observed.history.newest() else {
        return start(observed, desired, now).into_decision();
    };
    match newest.status() {
        Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => match &newest.progress {
            Some(progress) => resume(observed, desired, newest, progress, now),
            None => yield_to_other(observed, desired, newest, now),
        },
        Status::Uninstalling => match &newest.progress {
            Some(progress) => {
                delete_hooks(observed, desired, newest, progress, now).unwrap_or_else(|| uninstall_failed(newest))
            }
            None => yield_to_other(observed, desired, newest, now),
        },
        Status::Failed => after_failure(observed, desired, newest, now),
        Status::Deployed => match &newest.progress {
            Some(progress) => test(observed, desired, newest, progress, now),
            None => deployed(observed, desired, newest, now),
        },
        Status::Uninstalled | Status::Superseded | Status::Unknown => start(observed, desired, now).into_decision(),
    }
}

/// A pending revision of ours is brought to its end.
fn resume(observed: &Observed, desired: &Desired, newest: &Entry, progress: &Progress, now: Timestamp) -> Decision {
    let revision = newest.revision();
    let event = hooks::event(newest.status(), progress.phase);
    if let Some(message) = progress.failure.clone() {
        let reason = match event {
            Some(event) => Reason::HooksFailed { event, message },
            None => Reason::ApplyFailed { revision, message },
        };
        return give_up(observed, desired, newest, reason);
    }
    if let Some(event) = event {
        return hooks::next(observed, newest, progress, event, now);
    }
    let time_left = progress.deadline.duration_since(now);
    match progress.phase {
        Phase::Ended => {
            // What was waited for was healthy before its last hooks ran.
            let waits = desired.policy.rules.wait(newest.status()) != Wait::Nothing;
            let verified = waits || observed.health == Health::Healthy;
            let reason =
                if verified { Reason::HealthCheckPassed { revision } } else { Reason::NotWaitedFor { revision } };
            succeed(observed, newest, verified, reason)
        }
        Phase::Apply if time_left.is_positive() => {
            Action::ContinueApply { revision }.because(Reason::ApplyUnfinished { revision })
        }
        Phase::Apply => {
            let allowed = text::duration(progress.deadline.duration_since(progress.started));
            let message = format!("its objects could not all be written within {allowed}");
            give_up(observed, desired, newest, Reason::ApplyFailed { revision, message })
        }
        Phase::Before
        | Phase::Wait
        | Phase::After
        | Phase::Test
        | Phase::Cleanup
        | Phase::GivenUp
        | Phase::Uninstall => match &observed.health {
            Health::Healthy => finish(observed, newest, progress, true, Reason::HealthCheckPassed { revision }),
            _ if desired.policy.rules.wait(newest.status()) == Wait::Nothing => {
                finish(observed, newest, progress, false, Reason::NotWaitedFor { revision })
            }
            Health::Failed(cause) => {
                give_up(observed, desired, newest, Reason::HealthCheckFailed { revision, cause: cause.clone() })
            }
            _ if is_outdated(observed, desired, newest, now) => {
                give_up(observed, desired, newest, Reason::Interrupted { revision })
            }
            Health::Progressing(why) if time_left.is_positive() => Action::Wait { revision, at_most: time_left }
                .because(Reason::WaitingForHealth { revision, why: why.clone() })
                .again_in(time_left.min(LOOK_EVERY)),
            Health::Progressing(why) => {
                let allowed = progress.deadline.duration_since(progress.started);
                give_up(observed, desired, newest, Reason::DeadlineExceeded { revision, allowed, why: why.clone() })
            }
        },
    }
}

/// The objects are as they shall be: the hooks that come after them run, then the revision is deployed.
fn finish(observed: &Observed, newest: &Entry, progress: &Progress, verified: bool, reason: Reason) -> Decision {
    let revision = newest.revision();
    match hooks::event(newest.status(), Phase::After) {
        Some(event) if progress.hooks.after > 0 => {
            let (number, count) = (1, progress.hooks.after);
            let reason = Reason::HookDue { revision, event, number, count };
            Action::RunHook { revision, event, index: 0 }.because(reason)
        }
        Some(_) | None => succeed(observed, newest, verified, reason),
    }
}

fn succeed(observed: &Observed, newest: &Entry, verified: bool, reason: Reason) -> Decision {
    let revision = newest.revision();
    let supersede = observed.history.deployed_besides(revision);
    Action::MarkDeployed { revision, supersede, description: description_of_success(newest), verified }.because(reason)
}

/// A deployed revision is tested: its tests end it well, or as any other failure would.
fn test(observed: &Observed, desired: &Desired, newest: &Entry, progress: &Progress, now: Timestamp) -> Decision {
    let revision = newest.revision();
    let next = start(observed, desired, now);
    // Tests that began are brought to their end, each within its time: what they left would be nobody's.
    let hooks = &progress.hooks;
    let begun = progress.phase == Phase::Test && (hooks.run.is_some() || hooks.done > 0 || hooks.failure.is_some());
    if !begun && replaces(&next, observed, desired, newest) {
        return next.into_decision();
    }
    let rules = desired.policy.hooks.tests.as_ref();
    // Whoever turns the tests off while one runs does not want to be judged by it.
    let ignored = rules.is_none_or(|it| match observed.history.rollback_target(revision) {
        Some(_) => it.ignore_after_upgrade,
        None => it.ignore_after_install,
    });
    let stamp = |tested| Action::Stamp { revision, marks: Marks { tested, ..newest.marks.clone() } };
    match (&progress.failure, progress.phase) {
        (Some(message), _) if ignored => {
            stamp(Some(Tested::Failed)).because(Reason::TestsIgnored { revision, message: message.clone() })
        }
        (Some(message), _) => {
            let reason = Reason::HooksFailed { event: Event::Test, message: message.clone() };
            give_up(observed, desired, newest, reason)
        }
        (None, Phase::Test) => hooks::next(observed, newest, progress, Event::Test, now),
        (
            None,
            Phase::Ended
            | Phase::Before
            | Phase::Apply
            | Phase::Wait
            | Phase::After
            | Phase::Cleanup
            | Phase::GivenUp
            | Phase::Uninstall,
        ) => stamp(Some(Tested::Passed)).because(Reason::TestsPassed { revision }),
    }
}

/// Whether something else is desired by now and may start at once: a fix need not wait for the old revision's timeout.
/// A rollback is never cut short.
fn is_outdated(observed: &Observed, desired: &Desired, newest: &Entry, now: Timestamp) -> bool {
    newest.status() != Status::PendingRollback && replaces(&start(observed, desired, now), observed, desired, newest)
}

/// Whether an attempt may start, at something else than this revision, that was not found impossible before: then what
/// is broken is mended first.
fn replaces(start: &Start, observed: &Observed, desired: &Desired, newest: &Entry) -> bool {
    let target = desired.target.as_ref().ok().map(|target| target.fingerprint);
    let tried = observed.failed_attempt.as_ref().map(|failed| failed.fingerprint);
    matches!(start, Start::Now(_))
        && newest.marks.fingerprint.is_some()
        && newest.marks.fingerprint != target
        && tried != target
}

/// What Helm writes into its history when all went well.
fn description_of_success(entry: &Entry) -> String {
    match (entry.status(), entry.rollback_of()) {
        (_, Some(to)) => format!("Rollback to {to}"),
        (Status::PendingInstall, None) => "Install complete".to_owned(),
        _ => "Upgrade complete".to_owned(),
    }
}

/// Marks a pending revision of ours failed, counting it unless it was cut short.
fn give_up(observed: &Observed, desired: &Desired, newest: &Entry, reason: Reason) -> Decision {
    let before = newest.marks.fingerprint.map_or(0, |fingerprint| observed.history.failures(&fingerprint));
    let failures = match (&reason, newest.rollback_of()) {
        (_, Some(_)) => None,
        (Reason::Interrupted { .. } | Reason::ProgressLost { .. }, None) => Some(before),
        (Reason::Orphaned | Reason::DeletedWhileSuspended, None) => Some(before),
        _ => Some(before.saturating_add(1)),
    };
    let is_first = observed.history.rollback_target(newest.revision()).is_none();
    let clean_up = !desired.leaves_release() && desired.policy.cleans_up(newest, is_first, failures.unwrap_or(0));
    let cause = reason.to_string();
    Action::MarkFailed { revision: newest.revision(), cause, failures, clean_up }.because(reason)
}

/// Somebody else's pending revision: wait while it is fresh, then report, and take over only when asked.
fn yield_to_other(observed: &Observed, desired: &Desired, newest: &Entry, now: Timestamp) -> Decision {
    let (revision, status) = (newest.revision(), newest.status());
    if status.is_pending() && newest.is_ours() {
        // The mark names this very revision, so it is no copy: nobody else works on it, and nobody knows how far it is.
        return give_up(observed, desired, newest, Reason::ProgressLost { revision, status });
    }
    if asks_for_retry(observed, desired) {
        let reason = Reason::Abandoned { revision, status };
        return Action::MarkFailed { revision, cause: reason.to_string(), failures: None, clean_up: false }
            .because(reason);
    }
    let since = newest.release.info.last_deployed.map(|time| time.at);
    let patience = since.map_or(SignedDuration::ZERO, |since| FOREIGN_PENDING_PATIENCE - now.duration_since(since));
    if patience.is_positive() {
        return Action::Nothing.because(Reason::ForeignPending { revision, status }).again_in(patience);
    }
    Action::Nothing.because(Reason::ForeignPendingStale { revision, status, since })
}

/// The newest revision failed: something newer replaces it, or what it broke is mended.
fn after_failure(observed: &Observed, desired: &Desired, newest: &Entry, now: Timestamp) -> Decision {
    let next = start(observed, desired, now);
    if !newest.is_ours() || replaces(&next, observed, desired, newest) {
        return next.into_decision();
    }
    let failed = newest.revision();
    let cause = newest.release.info.description.clone();
    if let Some(Progress { phase: Phase::Cleanup, existed, .. }) = &newest.progress {
        let clean_up = Action::CleanUp { revision: failed, keep: existed.clone() };
        return clean_up.because(match observed.history.stands() {
            true => Reason::UpgradeFailed { failed, cause },
            false => Reason::InstallFailed { failed, cause },
        });
    }
    if newest.rollback_of().is_some() {
        return match next {
            Start::Now(decision) => decision,
            Start::Blocked(_) => tidy(Action::Nothing.because(rollback_failed(observed, newest)), observed, desired),
        };
    }
    let target = observed.history.rollback_target(failed);
    let remediates = desired.policy.remediates(newest.marks.failures.unwrap_or(1), observed.history.stands());
    match (target.filter(|_| remediates), desired.policy.rules.upgrade.remedy) {
        (Some(_), Remedy::Uninstall) => uninstall_failed(newest),
        (Some(to), Remedy::Rollback) => {
            Action::Rollback { revision: observed.history.next_revision(), from: failed, to }
                .because(Reason::UpgradeFailed { failed, cause })
        }
        (None, _) => tidy(next.into_decision(), observed, desired),
    }
}

/// A failed upgrade whose objects are deleted instead of rolled back. Its record stays, as uninstalled: the next attempt
/// is an install, and what failed before counts no more.
fn uninstall_failed(newest: &Entry) -> Decision {
    let keep = newest.progress.as_ref().map(|progress| progress.existed.clone()).unwrap_or_default();
    let cause = newest.release.info.description.clone();
    Action::Uninstall { revision: newest.revision(), keep_history: true, keep }
        .because(Reason::UpgradeFailed { failed: newest.revision(), cause })
}

fn rollback_failed(observed: &Observed, newest: &Entry) -> Reason {
    let upgrade = observed.history.newest_failure();
    Reason::RollbackFailed {
        rollback: newest.revision(),
        cause: newest.release.info.description.clone(),
        failed: upgrade.map(Entry::revision),
        failed_cause: upgrade.map(|entry| entry.release.info.description.clone()).unwrap_or_default(),
    }
}

/// The newest revision is deployed: adopt it, keep it, or replace it.
fn deployed(observed: &Observed, desired: &Desired, newest: &Entry, now: Timestamp) -> Decision {
    let others = observed.history.deployed_besides(newest.revision());
    if !others.is_empty() && observed.history.ever_ours() {
        let reason = Reason::SeveralDeployed { newest: newest.revision(), others: others.clone() };
        return Action::Supersede { revisions: others }.because(reason);
    }
    let target = desired.target.as_ref().ok();
    let decision = match (newest.marks.fingerprint, target) {
        (None, Some(target)) if !observed.history.ever_ours() => adopt(observed, desired, newest, target, now),
        (Some(fingerprint), Some(target)) if fingerprint == target.fingerprint => {
            in_sync(observed, desired, newest, now)
        }
        _ => start(observed, desired, now).into_decision(),
    };
    tidy(decision, observed, desired)
}

/// A release that Helm made and Pintle never touched is compared once; equal costs no rollout.
fn adopt(observed: &Observed, desired: &Desired, newest: &Entry, target: &Target, now: Timestamp) -> Decision {
    let revision = newest.revision();
    let start = match start(observed, desired, now) {
        Start::Now(decision) => decision,
        Start::Blocked(decision) => return decision,
    };
    let known = observed.comparison.filter(|it| it.revision == revision && it.fingerprint == target.fingerprint);
    match known {
        None => Action::Adopt { revision }.because(Reason::AdoptionUndecided { revision }),
        Some(comparison) if comparison.equal => {
            let verified = observed.health == Health::Healthy;
            let marks = Marks { fingerprint: Some(target.fingerprint), verified, ..newest.marks.clone() };
            Action::Stamp { revision, marks }.because(Reason::AdoptionUndecided { revision })
        }
        Some(_) => start.action.because(Reason::AdoptionDiffers { revision, chart: target.chart.clone() }),
    }
}

/// What is desired is deployed: what is known about it is written down, and its health is reported.
fn in_sync(observed: &Observed, desired: &Desired, newest: &Entry, now: Timestamp) -> Decision {
    let revision = newest.revision();
    let healthy = observed.health == Health::Healthy;
    let mut marks = newest.marks.clone();
    let mut reason = Reason::InSync { revision };
    if asks_for_retry(observed, desired) {
        marks.retry.clone_from(&desired.asks.retry);
        reason = Reason::RetryNotNeeded { revision };
    }
    if healthy && !marks.verified {
        marks.verified = true;
        reason = Reason::Verified { revision };
    }
    if newest.rollback_of().is_some() && !marks.settled {
        marks.settled = true;
        reason = Reason::Settled { revision };
    }
    if marks != newest.marks {
        return Action::Stamp { revision, marks }.because(reason);
    }
    match unwell_for(observed, now) {
        None => Action::Nothing.because(reason),
        Some((why, time)) if time >= UNHEALTHY_AFTER => Action::Nothing.because(Reason::Unhealthy { revision, why }),
        Some((_, time)) => Action::Nothing.because(reason).again_in(UNHEALTHY_AFTER - time),
    }
}

/// Why the running objects are not healthy, and for how long that is known.
pub(crate) fn unwell_for(observed: &Observed, now: Timestamp) -> Option<(String, SignedDuration)> {
    let why = match &observed.health {
        Health::Healthy => return None,
        Health::Progressing(cause) | Health::Failed(cause) => cause.to_string(),
    };
    Some((why, observed.unhealthy_since.map_or(SignedDuration::ZERO, |since| now.duration_since(since))))
}

/// Where nothing else is to be done, labels that somebody changed are put right and records beyond the limit deleted.
fn tidy(decision: Decision, observed: &Observed, desired: &Desired) -> Decision {
    if decision.action != Action::Nothing || desired.asks.suspend {
        return decision;
    }
    if !observed.mislabelled.is_empty() && observed.history.ever_ours() {
        let revisions = observed.mislabelled.clone();
        return Action::Relabel { revisions: revisions.clone() }.because(Reason::Mislabelled { revisions });
    }
    let max = desired.policy.history_max;
    let revisions = observed.history.prunable(max);
    if revisions.is_empty() {
        return decision;
    }
    let stored = observed.history.entries().len();
    Action::PruneHistory { revisions }.because(Reason::HistoryTooLong { stored, max })
}

/// Whether a new attempt may begin.
enum Start {
    Now(Decision),
    /// Nothing, and why.
    Blocked(Decision),
}

impl Start {
    fn into_decision(self) -> Decision {
        match self {
            Start::Now(decision) | Start::Blocked(decision) => decision,
        }
    }
}

/// The install or upgrade to what is desired, unless something holds it.
fn start(observed: &Observed, desired: &Desired, now: Timestamp) -> Start {
    if desired.asks.suspend {
        return Start::Blocked(Action::Nothing.because(Reason::Suspended));
    }
    let target = match &desired.target {
        Ok(target) => target,
        Err(failure) => return Start::Blocked(Action::Nothing.because(Reason::Rejected(failure.clone()))),
    };
    if let Some(reason) = &desired.asks.hold {
        let hold = Hold::Manual { reason: reason.clone() };
        return Start::Blocked(Action::Nothing.because(Reason::Held(hold)));
    }
    if let Some(decision) = rejected_before(observed, desired, target, now) {
        return Start::Blocked(decision);
    }
    let retry = asks_for_retry(observed, desired);
    let history = &observed.history;
    if let Some(failure) = name_in_use(observed, desired) {
        return Start::Blocked(Action::Nothing.because(Reason::Rejected(failure)));
    }
    let stands = history.stands();
    let failures = history.failures(&target.fingerprint);
    let retries = if stands { desired.policy.upgrade_retries } else { desired.policy.install_retries };
    let hold = hold(observed, target, failures, retries);
    let lifted = retry && hold.is_some();
    if let Some(hold) = hold.filter(|_| !retry) {
        return Start::Blocked(Action::Nothing.because(Reason::Held(hold)));
    }

    let chart = target.chart.clone();
    let reason = match history.newest() {
        _ if lifted => Reason::RetryRequested { chart },
        _ if failures > 0 => Reason::RetryAfterFailure { chart, failures, retries },
        Some(newest) if stands => {
            let from = newest.marks.fingerprint.filter(|_| newest.status() != Status::Unknown);
            Reason::FingerprintChanged { chart, from, to: target.fingerprint }
        }
        _ => Reason::NotInstalled { chart },
    };
    let revision = history.next_revision();
    let action = match history.newest() {
        Some(newest) if stands => Action::Upgrade { revision, from: newest.revision() },
        newest => Action::Install { revision, over: newest.filter(|it| may_stand(it)).map(Entry::revision) },
    };
    Start::Now(action.because(reason))
}

/// Whether objects of a failed install may still be in the cluster.
fn may_stand(entry: &Entry) -> bool {
    let left_by_other = entry.status() != Status::Uninstalled && !entry.is_ours();
    let not_cleaned_up = |phase| matches!(phase, Phase::Cleanup | Phase::GivenUp);
    left_by_other || entry.progress.as_ref().is_some_and(|progress| not_cleaned_up(progress.phase))
}

/// A release that was uninstalled with its records kept, where the spec wants none installed over. One that was
/// uninstalled because it failed is no such release: it carries its failures.
fn name_in_use(observed: &Observed, desired: &Desired) -> Option<Failure> {
    let newest = observed.history.newest().filter(|newest| newest.status() == Status::Uninstalled)?;
    if desired.policy.rules.install.replace || newest.marks.failures.is_some() {
        return None;
    }
    let message = format!(
        "the release was uninstalled and its records are kept (revision {}); delete them, or set install.replace to \
         install over them",
        newest.revision()
    );
    Some(Failure { class: FailureClass::Refused, reason: "NameInUse".into(), message })
}

/// The same inputs failed before anything was stored: wrong inputs stay wrong, the rest has its time.
fn rejected_before(observed: &Observed, desired: &Desired, target: &Target, now: Timestamp) -> Option<Decision> {
    let failed = observed.failed_attempt.as_ref()?;
    if failed.fingerprint != target.fingerprint || failed.retry != desired.asks.retry {
        return None;
    }
    let rejected = || {
        let failure = Failure { class: failed.class, reason: failed.reason.clone(), message: failed.message.clone() };
        Action::Nothing.because(Reason::Rejected(failure))
    };
    match failed.class {
        FailureClass::Input | FailureClass::Unhealthy => Some(rejected()),
        FailureClass::Transient | FailureClass::Refused => {
            let time_left = failed.again_at?.duration_since(now);
            time_left.is_positive().then(|| rejected().again_in(time_left))
        }
    }
}

/// What history says against trying this target.
fn hold(observed: &Observed, target: &Target, failures: u32, retries: u32) -> Option<Hold> {
    let history = &observed.history;
    let newest = history.newest()?;
    if failures > retries {
        let failed = history.newest_failure_of(&target.fingerprint)?;
        return Some(Hold::FailedFingerprint {
            fingerprint: target.fingerprint,
            failed: failed.revision(),
            failures,
            cause: failed.release.info.description.clone(),
        });
    }
    let ours = history.newest_ours()?;
    let foreign = !newest.is_ours() && newest.status() != Status::Uninstalled;
    (foreign && ours.marks.fingerprint == Some(target.fingerprint))
        .then(|| Hold::ForeignRevision { revision: newest.revision(), chart: newest.release.chart.clone() })
}

/// Whether `pintle.dev/retry-at` asks for something that was not done yet: each value acts once.
fn asks_for_retry(observed: &Observed, desired: &Desired) -> bool {
    desired.asks.retry.as_ref().is_some_and(|retry| !observed.history.has_acted(retry))
}

/// The HelmRelease was deleted: the release goes, step by step, then the finalizer.
fn remove(observed: &Observed, desired: &Desired, now: Timestamp) -> Decision {
    if let Some(owner) = &observed.rival {
        return Action::RemoveFinalizer.because(Reason::Rival { owner: owner.clone() });
    }
    if desired.leaves_release() {
        return leave(observed, desired);
    }
    let overdue = desired.asks.deleted_at.is_some_and(|at| now.duration_since(at) > desired.policy.uninstall_timeout);
    clear(observed, desired, now, Reason::Deleted, overdue).unwrap_or_else(|| {
        let stays = observed.history.newest().is_some_and(|newest| newest.status() != Status::Uninstalled);
        Action::RemoveFinalizer.because(if stays { Reason::NeverOurs } else { Reason::Gone })
    })
}

/// The spec means another release: this one goes first, as soon as it is known what takes its place.
fn leave_for(observed: &Observed, desired: &Desired, to: &Home, now: Timestamp) -> Decision {
    let move_on = || Action::Claim { home: to.clone() }.because(Reason::Moved { to: to.clone() });
    if observed.rival.is_some() {
        return move_on();
    }
    let newest = observed.history.newest();
    let begun = newest.and_then(|it| (it.status() == Status::Uninstalling).then_some(it.progress.as_ref()?.started));
    if begun.is_none() {
        if let Err(failure) = &desired.target {
            return Action::Nothing.because(Reason::Rejected(failure.clone()));
        }
        if let Some(reason) = &desired.asks.hold {
            let hold = Hold::Manual { reason: reason.clone() };
            return Action::Nothing.because(Reason::Held(hold));
        }
    }
    let overdue = begun.is_some_and(|at| now.duration_since(at) > desired.policy.uninstall_timeout);
    clear(observed, desired, now, Reason::Moved { to: to.clone() }, overdue).unwrap_or_else(move_on)
}

/// Deletes the release, step by step: its hooks, its objects, its records. `None` once it is gone, and where it is Helm's
/// and stays.
fn clear(observed: &Observed, desired: &Desired, now: Timestamp, why: Reason, overdue: bool) -> Option<Decision> {
    let keep_history = desired.policy.rules.uninstall.keep_history;
    let newest = match observed.history.newest() {
        Some(newest) if newest.status() != Status::Uninstalled => newest,
        // Its objects went because it failed, and its records stayed for the next attempt, which will not come.
        Some(newest) if newest.marks.failures.is_some() && !keep_history => {
            let revisions = observed.history.entries().iter().map(Entry::revision).collect();
            return Some(Action::PruneHistory { revisions }.because(why));
        }
        Some(_) | None => return None,
    };
    if !observed.history.ever_ours() {
        return None;
    }
    if newest.status().is_pending() && newest.progress.is_none() {
        let yielding = yield_to_other(observed, desired, newest, now);
        if matches!(yielding.reason, Reason::ForeignPending { .. }) {
            return Some(yielding);
        }
    }
    let uninstall = Action::Uninstall { revision: newest.revision(), keep_history, keep: Vec::new() };
    if let (Status::Uninstalling, Some(progress)) = (newest.status(), &newest.progress) {
        if let Some(decision) = delete_hooks(observed, desired, newest, progress, now) {
            return Some(decision);
        }
        if let (Phase::Before, Some(message)) = (progress.phase, progress.failure.clone()) {
            let reason = Reason::HooksFailed { event: Event::PreDelete, message };
            return Some(uninstall.because(reason));
        }
    }
    let is_gone = newest.progress.as_ref().is_some_and(|it| matches!(it.phase, Phase::After | Phase::Ended));
    Some(uninstall.because(if overdue && !is_gone { Reason::UninstallOverdue } else { why }))
}

/// The HelmRelease goes and the release stays. What is under way is ended first: helm waits for a pending revision.
fn leave(observed: &Observed, desired: &Desired) -> Decision {
    let reason = match desired.policy.rules.deletion {
        Some(_) => Reason::Orphaned,
        None => Reason::DeletedWhileSuspended,
    };
    match observed.history.newest() {
        Some(newest) if newest.status().is_pending() && newest.progress.is_some() => {
            give_up(observed, desired, newest, reason)
        }
        // Tests that nobody would end.
        Some(newest) if newest.status() == Status::Deployed && newest.progress.is_some() => {
            Action::Stamp { revision: newest.revision(), marks: newest.marks.clone() }.because(reason)
        }
        Some(_) | None => Action::RemoveFinalizer.because(reason),
    }
}

/// Hooks before and after the objects of a release are deleted; `None` where no hook is to run.
///
/// A failed `pre-delete` hook is tried again until the time for uninstalling is over, then the release goes without it; a
/// failed `post-delete` hook keeps nothing, as in Helm. Both are told.
fn delete_hooks(
    observed: &Observed,
    desired: &Desired,
    newest: &Entry,
    progress: &Progress,
    now: Timestamp,
) -> Option<Decision> {
    let overdue = now.duration_since(progress.started) >= desired.policy.uninstall_timeout;
    let revision = newest.revision();
    let event = hooks::event(newest.status(), progress.phase)?;
    let Some(message) = &progress.failure else { return Some(hooks::next(observed, newest, progress, event, now)) };
    if event == Event::PostDelete || overdue {
        return None;
    }
    let time_left = progress.deadline.duration_since(now);
    let (number, count) = (1, progress.hooks.before);
    Some(if time_left.is_positive() {
        Action::Nothing.because(Reason::HooksFailed { event, message: message.clone() }).again_in(time_left)
    } else {
        Action::RunHook { revision, event, index: 0 }.because(Reason::HookDue { revision, event, number, count })
    })
}
