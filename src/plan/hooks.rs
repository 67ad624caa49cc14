//! Hooks of a release: which run at an event, how one under way is doing, and what to do next about it.
//!
//! Pure. A hook is a step of the revision's stored progress like any other: one decision a pass begins it, waits for it
//! or ends it, so that waiting holds no worker and a crash loses nothing. Creating and deleting the objects is
//! `reconcile::hooks`. Order, waiting and delete policies follow Helm v4 (`pkg/action/hooks.go`); what goes beyond it
//! (early failure, a hook whose object is lost) is in DIFFERENCES.md.

use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Decision};
use super::decide::LOOK_EVERY;
use super::health::{self, Cause, Health, Live, Stage};
use super::observed::Observed;
use super::reason::Reason;
use crate::manifest::hooks::Event;
use crate::manifest::id::ObjectId;
use crate::release::history::Entry;
use crate::release::progress::{HookRun, Phase, Progress};
use crate::release::{Hook, HookExecution, Release, Revision, Status};
use crate::text;

/// How soon a failed `pre-delete` hook is tried again, as long as the time for uninstalling is not over.
pub const DELETE_RETRY: SignedDuration = SignedDuration::from_secs(15);

/// The rules of hooks and tests; the defaults are the API's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookRules {
    pub disable_install: bool,
    pub disable_upgrade: bool,
    pub disable_rollback: bool,
    pub disable_uninstall: bool,
    /// Where tests are asked for.
    pub tests: Option<TestRules>,
}

/// The rules of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRules {
    /// How long one test may take.
    pub timeout: SignedDuration,
    /// Whether a failed test leaves a first install, or an upgrade, as it is.
    pub ignore_after_install: bool,
    pub ignore_after_upgrade: bool,
    pub filters: Vec<TestFilter>,
}

/// A test that is to run, or not to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFilter {
    pub name: String,
    pub exclude: bool,
}

/// How the hook under way is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookState {
    /// No object of this run is there.
    Absent,
    Running(Box<Cause>),
    Succeeded,
    Failed(Box<Cause>),
}

impl HookRules {
    /// Whether the hooks of an event are to run.
    pub fn allow(&self, event: Event) -> bool {
        !match event {
            Event::PreInstall | Event::PostInstall => self.disable_install,
            Event::PreUpgrade | Event::PostUpgrade => self.disable_upgrade,
            Event::PreRollback | Event::PostRollback => self.disable_rollback,
            Event::PreDelete | Event::PostDelete => self.disable_uninstall,
            Event::Test => self.tests.is_none(),
        }
    }

    /// The hooks of an event in the order they run: by weight, then by name, then as the record has them, which is by
    /// kind. Nothing where they are disabled.
    pub fn queue<'h>(&self, hooks: &'h [Hook], event: Event) -> Vec<&'h Hook> {
        if !self.allow(event) {
            return Vec::new();
        }
        let mut queue: Vec<_> =
            hooks.iter().filter(|hook| hook.runs_at(event) && (event != Event::Test || self.tests_it(hook))).collect();
        queue.sort_by(|a, b| (a.weight, &a.name).cmp(&(b.weight, &b.name)));
        queue
    }

    /// Names that are excluded never run; where names are included, no others do.
    fn tests_it(&self, hook: &Hook) -> bool {
        let filters = || self.tests.iter().flat_map(|tests| &tests.filters);
        let names = |exclude: bool| filters().any(|it| it.exclude == exclude && it.name == hook.name);
        !names(true) && (names(false) || filters().all(|filter| filter.exclude))
    }
}

/// The event whose hooks a revision runs in a phase; `None` where it runs none.
pub fn event(status: Status, phase: Phase) -> Option<Event> {
    let (before, after) = match status {
        Status::PendingInstall => (Event::PreInstall, Event::PostInstall),
        Status::PendingUpgrade => (Event::PreUpgrade, Event::PostUpgrade),
        Status::PendingRollback => (Event::PreRollback, Event::PostRollback),
        Status::Uninstalling => (Event::PreDelete, Event::PostDelete),
        Status::Deployed => return (phase == Phase::Test).then_some(Event::Test),
        Status::Unknown | Status::Uninstalled | Status::Superseded | Status::Failed => return None,
    };
    match phase {
        Phase::Before => Some(before),
        Phase::After => Some(after),
        Phase::Apply
        | Phase::Wait
        | Phase::Test
        | Phase::Ended
        | Phase::Cleanup
        | Phase::GivenUp
        | Phase::Uninstall => None,
    }
}

/// The phase in which a revision runs the hooks of an event.
pub fn phase(event: Event) -> Phase {
    match event {
        Event::PreInstall | Event::PreUpgrade | Event::PreRollback | Event::PreDelete => Phase::Before,
        Event::PostInstall | Event::PostUpgrade | Event::PostRollback | Event::PostDelete => Phase::After,
        Event::Test => Phase::Test,
    }
}

/// Whether a failed revision wrote none of its objects: a hook that comes before them failed in this very attempt, and the
/// same hook does not come after them too.
pub fn wrote_nothing(release: &Release) -> bool {
    const BEFORE: [Event; 3] = [Event::PreInstall, Event::PreUpgrade, Event::PreRollback];
    const AFTER: [Event; 4] = [Event::PostInstall, Event::PostUpgrade, Event::PostRollback, Event::Test];
    let comes = |hook: &Hook, events: &[Event]| events.iter().any(|event| hook.runs_at(*event));
    let begun = release.info.last_deployed.map(|time| time.at);
    // A rollback repeats the runs of the revision it returns to.
    let failed = |hook: &&Hook| {
        let started = hook.last_run.started_at.map(|time| time.at);
        hook.last_run.phase == HookExecution::FAILED && started.is_some() && started >= begun
    };
    let stopped = || release.hooks.iter().find(failed).is_some_and(|it| comes(it, &BEFORE) && !comes(it, &AFTER));
    release.info.status == Status::Failed && stopped()
}

/// How a hook is doing: a Job until it is complete, a Pod until it succeeded; any other object is done once it is there.
pub fn state(live: Live<'_>, stage: Stage, now: Timestamp) -> HookState {
    let Some(object) = live.object else { return HookState::Absent };
    let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let is_over = match (live.id.group.as_str(), live.id.kind.as_str()) {
        ("batch", "Job") => {
            let conditions = object.pointer("/status/conditions").and_then(serde_json::Value::as_array);
            conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Complete" && it["status"] == "True"))
        }
        ("", "Pod") => text("/status/phase") == "Succeeded",
        _ => true,
    };
    if is_over {
        return HookState::Succeeded;
    }
    match health::health(live, stage, now) {
        Health::Failed(cause) => HookState::Failed(in_pod(cause)),
        Health::Progressing(cause) => HookState::Running(in_pod(cause)),
        // A Pod that is ready, or a Job that is suspended: well, but not at its end.
        Health::Healthy => HookState::Running(Box::new(Cause::plain(live.id.clone(), "is not complete"))),
    }
}

/// Names the Pod that tells most, where that is another object.
fn in_pod(mut cause: Box<Cause>) -> Box<Cause> {
    if let Some(pod) = cause.pod.as_deref().filter(|pod| *pod != cause.object.name) {
        cause.state = format!("{} in Pod {pod}", cause.state);
    }
    cause
}

/// What to do next about the hooks of a phase.
pub(super) fn next(observed: &Observed, newest: &Entry, progress: &Progress, event: Event, now: Timestamp) -> Decision {
    let (revision, hooks) = (newest.revision(), &progress.hooks);
    let time_left = progress.deadline.duration_since(now);
    let allowed = || {
        text::duration(
            progress.deadline.duration_since(progress.hooks.run.as_ref().map_or(progress.started, |run| run.started)),
        )
    };
    if hooks.failure.is_some() || hooks.done >= hooks.of(progress.phase) {
        return Action::LeaveHooks { revision, event }.because(Reason::HooksEnded { revision, event });
    }
    let index = hooks.done;
    let begin = || {
        let (number, count) = (index + 1, hooks.of(progress.phase));
        Action::RunHook { revision, event, index }.because(Reason::HookDue { revision, event, number, count })
    };
    let Some(run) = &hooks.run else {
        return if time_left.is_positive() { begin() } else { give_up_beginning(revision, event, &allowed()) };
    };
    match &observed.hook {
        HookState::Succeeded => {
            let reason = Reason::HookSucceeded { revision, event, object: run.object.clone() };
            Action::EndHook { revision, event, failure: None }.because(reason)
        }
        HookState::Failed(cause) => fail(revision, event, cause.clone()),
        HookState::Absent if may_run_again(run) && time_left.is_positive() => begin(),
        HookState::Absent if may_run_again(run) => {
            fail(revision, event, of_run(run, format!("could not be created within {}", allowed())))
        }
        HookState::Absent => fail(
            revision,
            event,
            of_run(
                run,
                "was begun and is gone: whether it ended well is not known, and its delete policy does not let it run \
                 again",
            ),
        ),
        HookState::Running(why) if time_left.is_positive() => Action::Wait { revision, at_most: time_left }
            .because(Reason::WaitingForHook { revision, event, why: why.clone() })
            .again_in(time_left.min(LOOK_EVERY)),
        HookState::Running(why) => {
            let state = format!("did not end within {}: {}", allowed(), why.state);
            fail(revision, event, Box::new(Cause { state, ..(**why).clone() }))
        }
    }
}

/// An object that was never seen can be created again, since it has one name; unless it may have come, ended and deleted
/// itself. One that was seen is run again only where its delete policy says that it is made anew each time.
fn may_run_again(run: &HookRun) -> bool {
    run.repeatable || (run.uid.is_none() && !run.fleeting)
}

fn of_run(run: &HookRun, state: impl Into<String>) -> Box<Cause> {
    Box::new(Cause::plain(run.object.clone(), state))
}

fn fail(revision: Revision, event: Event, cause: Box<Cause>) -> Decision {
    let failure = describe(event, &cause.to_string());
    Action::EndHook { revision, event, failure: Some(failure) }.because(Reason::HookFailed { revision, event, cause })
}

/// The object of an earlier run is in the way and does not go.
fn give_up_beginning(revision: Revision, event: Event, allowed: &str) -> Decision {
    let message =
        format!("a {event} hook could not be begun within {allowed}: the object of an earlier run is still there");
    let failure = Some(message.clone());
    Action::EndHook { revision, event, failure }.because(Reason::HooksFailed { event, message })
}

/// What follows once the hooks of an event are through and cleared away.
pub fn phase_after(event: Event) -> Phase {
    match event {
        Event::PreInstall | Event::PreUpgrade | Event::PreRollback => Phase::Apply,
        Event::PreDelete => Phase::Uninstall,
        Event::PostInstall | Event::PostUpgrade | Event::PostRollback | Event::PostDelete | Event::Test => Phase::Ended,
    }
}

/// `pre-upgrade hook Job apps/migrate has failed after 3s`; a test is no hook to people.
pub fn describe(event: Event, what: &str) -> String {
    match event {
        Event::Test => format!("test {what}"),
        _ => format!("{event} hook {what}"),
    }
}

impl Cause {
    /// A cause in a few words.
    pub fn plain(object: ObjectId, state: impl Into<String>) -> Self {
        Cause {
            object,
            state: state.into(),
            pod: None,
            container: None,
            reason: String::new(),
            exit_code: None,
            message: String::new(),
            log_lines: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::desired::FailFast;
    use serde_json::{Value, json};

    fn hook(name: &str, weight: i64, events: &[&str]) -> Hook {
        Hook { name: name.into(), weight, events: events.iter().map(|it| (*it).into()).collect(), ..Hook::default() }
    }

    fn names(queue: &[&Hook]) -> Vec<String> {
        queue.iter().map(|hook| hook.name.clone()).collect()
    }

    fn tests(filters: &[(&str, bool)]) -> HookRules {
        let filter = |(name, exclude): &(&str, bool)| TestFilter { name: (*name).into(), exclude: *exclude };
        let tests = TestRules {
            timeout: SignedDuration::from_mins(5),
            ignore_after_install: false,
            ignore_after_upgrade: false,
            filters: filters.iter().map(filter).collect(),
        };
        HookRules { tests: Some(tests), ..HookRules::default() }
    }

    #[test]
    fn hooks_run_by_weight_then_by_name_then_as_stored() {
        let mut hooks = [
            hook("b", 0, &["pre-upgrade"]),
            hook("a", 5, &["pre-upgrade", "test"]),
            hook("b", -5, &["post-upgrade", "pre-upgrade"]),
            hook("a", 0, &["pre-upgrade"]),
            hook("a", 0, &["pre-upgrade"]),
        ];
        hooks[3].kind = "ConfigMap".into();
        hooks[4].kind = "Job".into();
        let rules = HookRules::default();
        let queue = rules.queue(&hooks, Event::PreUpgrade);
        assert_eq!(names(&queue), ["b", "a", "a", "b", "a"]);
        assert_eq!([queue[1].kind.as_str(), queue[2].kind.as_str()], ["ConfigMap", "Job"]);
        let disabled = HookRules { disable_upgrade: true, ..HookRules::default() };
        assert!(disabled.queue(&hooks, Event::PreUpgrade).is_empty());
        assert!(rules.queue(&hooks, Event::Test).is_empty(), "tests run where they are asked for");
    }

    #[test]
    fn filters_choose_tests_as_helm_does() {
        let hooks = [hook("a", 0, &["test"]), hook("b", 0, &["test"]), hook("c", 0, &["test"])];
        let chosen = |filters: &[(&str, bool)]| names(&tests(filters).queue(&hooks, Event::Test));
        assert_eq!(chosen(&[]), ["a", "b", "c"]);
        assert_eq!(chosen(&[("b", true)]), ["a", "c"]);
        assert_eq!(chosen(&[("b", false)]), ["b"]);
        assert_eq!(chosen(&[("a", false), ("b", false), ("a", true)]), ["b"]);
    }

    fn judged(object: Value) -> HookState {
        let id = ObjectId::of(&object).unwrap();
        let started = "2026-11-23T12:00:00Z".parse().unwrap();
        let stage = Stage::Rollout { started, install: false, fail_fast: FailFast::default() };
        let live = Live { id: &id, object: Some(&object), pods: &[], binds_at_first_use: false };
        state(live, stage, started + SignedDuration::from_secs(3))
    }

    fn words(state: HookState) -> String {
        match state {
            HookState::Absent => "absent".into(),
            HookState::Succeeded => "succeeded".into(),
            HookState::Running(cause) => format!("running: {cause}"),
            HookState::Failed(cause) => format!("failed: {cause}"),
        }
    }

    #[test]
    fn jobs_and_pods_run_to_their_end_and_the_rest_is_done_at_once() {
        let job = |conditions: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "status": {"conditions": conditions}});
        let pod =
            |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": status});
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let table = [
            (job(json!([])), "running: Job a is not complete"),
            (job(json!([{"type": "SuccessCriteriaMet", "status": "True"}])), "running: Job a is not complete"),
            (job(json!([{"type": "Complete", "status": "True"}])), "succeeded"),
            (
                job(json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])),
                "failed: Job a has failed after 3s: BackoffLimitExceeded",
            ),
            (pod(ready), "running: Pod a is not complete"),
            (pod(json!({"phase": "Succeeded"})), "succeeded"),
            (
                pod(json!({"phase": "Failed", "containerStatuses": [
                    {"name": "main", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]})),
                "failed: Pod a has failed after 3s: container main Error, exit 3",
            ),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}), "succeeded"),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 3}}),
                "succeeded",
            ),
        ];
        for (object, want) in table {
            assert_eq!(words(judged(object.clone())), want, "{object}");
        }
    }
}
