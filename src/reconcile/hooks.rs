//! Running hooks: what is seen of the one under way, and the three actions that begin it, end it and clear up after its
//! event.
//!
//! Which hook is next is `plan::hooks`. The order of writes makes each step safe to die in: the run is stored, then its
//! object is created under a name that is its own, then the object's uid is noted.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::info;

use super::error::{failure, of_cluster};
use super::execute::{Execution, Step, Stopped, encode, label_changes, masked};
use super::mask;
use super::memory::{Memory, Pods};
use super::observe::look_again_after;
use super::{Pass, Shell};
use crate::cluster::apply::{self, Propagation, Standing, Target};
use crate::cluster::hooks::{self as objects, Place, Stamp};
use crate::cluster::live::{self, View};
use crate::cluster::store::{Change, Record};
use crate::manifest;
use crate::manifest::hooks::{DeletePolicy, Event};
use crate::manifest::id::ObjectId;
use crate::plan::health::{Live, Stage};
use crate::plan::hooks::{self, HookState};
use crate::plan::outcome::Done;
use crate::plan::{Failure, FailureClass, Policy};
use crate::release::history::{Entry, History};
use crate::release::progress::{HookOutput, HookRun, Hooks, Phase, Progress};
use crate::release::{Hook, HookExecution, Release, Revision, Status, codec};

/// Pods of a hook that takes its time are looked at from then on.
const PODS_AFTER: Duration = Duration::from_secs(3);

fn progress_of(history: &History) -> Option<(&Entry, &Progress, Event)> {
    let newest = history.newest()?;
    let progress = newest.progress.as_ref()?;
    Some((newest, progress, hooks::event(newest.status(), progress.phase)?))
}

/// Whether the newest revision is at its hooks.
pub(super) fn come_next(history: &History) -> bool {
    progress_of(history).is_some()
}

/// The object of the hook under way; without its body. `None` where there is no such hook, or no such kind any more.
pub(super) async fn under_way(shell: &Shell, history: &History) -> Result<Option<Target>, Failure> {
    let run = progress_of(history).and_then(|(_, progress, _)| progress.hooks.run.as_ref());
    let Some(run) = run else { return Ok(None) };
    let targets = apply::targets_of_ids(&shell.discovery, std::slice::from_ref(&run.object)).await;
    Ok(targets.map_err(|problem| of_cluster(&problem))?.pop())
}

/// How the hook under way is doing.
pub(super) async fn state_of(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    target: &Target,
    history: &History,
    now: Timestamp,
) -> Result<HookState, Failure> {
    let Some((_, progress, _)) = progress_of(history) else { return Ok(HookState::Absent) };
    let Some((run, uid)) = progress.hooks.run.as_ref().and_then(|run| Some((run, run.uid.as_deref()?))) else {
        return Ok(HookState::Absent);
    };
    let is_run = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid);
    let object = match shell.live.view(&target.id) {
        View::Seen(Some(object)) if is_run(&object) && progress.deadline > now => Some(object),
        // Before a hook is called lost or late, the cluster is asked.
        View::Seen(_) | View::NotYet | View::Unwatched => {
            let read = live::read(&pass.tenant, target).await.map_err(|problem| of_cluster(&problem))?;
            read.filter(is_run).map(Arc::new)
        }
    };
    let stage = Stage::Rollout { started: run.started, install: false, fail_fast: pass.policy.fail_fast };
    let judge = |pods: &[Value]| {
        let live = Live { id: &target.id, object: object.as_deref(), pods, binds_at_first_use: false };
        hooks::state(live, stage, now)
    };
    let state = judge(&[]);
    let selector = object.as_deref().and_then(|object| object.pointer("/spec/selector"));
    let (Some(selector), "Job") = (selector, target.id.kind.as_str()) else { return Ok(state) };
    let waited = Duration::try_from(now.duration_since(run.started)).unwrap_or_default();
    let is_news = match &state {
        HookState::Absent | HookState::Succeeded => return Ok(state),
        HookState::Failed(_) => true,
        HookState::Running(_) => {
            waited >= PODS_AFTER && memory.pods.at.is_none_or(|at| at.elapsed() >= look_again_after(waited))
        }
    };
    if is_news {
        // Pods only say more: where they cannot be read, the Job says enough.
        let pods = live::pods(&pass.tenant, &target.id.namespace, selector).await.unwrap_or_default();
        memory.pods = Pods { at: Some(Instant::now()), of: [(target.id.clone(), pods)].into() };
    }
    Ok(judge(memory.pods.of.get(&target.id).map(Vec::as_slice).unwrap_or_default()))
}

/// How long one hook of an event may take.
fn timeout(policy: &Policy, event: Event) -> SignedDuration {
    match event {
        Event::PreInstall | Event::PostInstall => policy.install_timeout,
        Event::PreUpgrade | Event::PostUpgrade => policy.upgrade_timeout,
        Event::PreRollback | Event::PostRollback => policy.rollback_timeout,
        Event::PreDelete | Event::PostDelete => policy.uninstall_timeout,
        Event::Test => policy.hooks.tests.as_ref().map_or(policy.upgrade_timeout, |tests| tests.timeout),
    }
}

/// An object of a hook in its turn. A hook is one object, or a `List`, whose items run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// The hook's place in the record.
    place: usize,
    item: usize,
    is_last: bool,
}

/// The objects of an event's hooks in the order they run.
fn queue(policy: &Policy, hooks: &[Hook], event: Event) -> Vec<Turn> {
    let queue = policy.hooks.queue(hooks, event);
    let places = queue.iter().filter_map(|hook| hooks.iter().position(|other| std::ptr::eq(other, *hook)));
    let turns = places.flat_map(|place| {
        // What cannot be read is one object too: it is told when its turn comes.
        let count = items(&hooks[place]).map_or(1, |items| items.len());
        (0..count).map(move |item| Turn { place, item, is_last: item + 1 == count })
    });
    turns.collect()
}

/// The objects of a hook. Those that are done once they are there come first: what runs may need them.
fn items(hook: &Hook) -> Result<Vec<Value>, manifest::Error> {
    let mut objects = manifest::parse(&hook.manifest)?;
    objects.sort_by_key(|object| matches!(object.id.kind.as_str(), "Job" | "Pod"));
    Ok(objects.into_iter().map(|object| object.content).collect())
}

/// Definitions of kinds are never deleted: all objects of their kinds would go along.
fn may_go(target: &Target) -> bool {
    target.id.kind != "CustomResourceDefinition"
}

/// How many hooks a revision of this status runs, before and after its objects.
pub(super) fn of_attempt(policy: &Policy, release: &Release, status: Status) -> Hooks {
    let count = |phase| {
        let event = hooks::event(status, phase);
        let count = event.map_or(0, |event| queue(policy, &release.hooks, event).len());
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    Hooks { before: count(Phase::Before), after: count(Phase::After), ..Hooks::default() }
}

/// The progress of a revision that was just deployed and has tests to run.
pub(super) fn of_tests(policy: &Policy, release: &Release, progress: Progress, now: Timestamp) -> Option<Progress> {
    let tests = u32::try_from(queue(policy, &release.hooks, Event::Test).len()).unwrap_or(u32::MAX);
    (tests > 0).then(|| Progress {
        phase: Phase::Test,
        started: now,
        deadline: later(now, timeout(policy, Event::Test)),
        hooks: Hooks { before: 0, after: tests, ..progress.hooks.rewound() },
        ..progress
    })
}

fn is_namespace_of(target: &Target, other: &Target) -> bool {
    target.id.kind == "Namespace" && target.id.name == other.id.namespace
}

fn later(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.saturating_add(time).unwrap_or(Timestamp::MAX)
}

impl Execution<'_> {
    /// Begins a hook, or finds the one that was begun.
    pub(super) async fn run_hook(&mut self, revision: Revision, event: Event, index: u32) -> Step {
        let mut record = self.record(revision)?.clone();
        let mut progress = self.progress(revision)?;
        let mut release = self.body_of(&record).await?;
        let timeout = timeout(&self.pass.policy, event);
        if progress.phase != hooks::phase(event) || progress.failure.is_some() {
            progress.phase = hooks::phase(event);
            progress.failure = None;
            progress.hooks = progress.hooks.rewound();
            progress.deadline = later(self.now, timeout);
            record = self.set_progress(&record, Some(&progress)).await?;
        }
        let turn =
            usize::try_from(index).ok().and_then(|at| queue(&self.pass.policy, &release.hooks, event).get(at).copied());
        let Some(turn) = turn else {
            // The spec turned hooks off on the way.
            return self.skip_hooks(&record, progress).await;
        };
        let stamp = Stamp::of(revision, event);
        let target = match self.hook_target(&release.hooks[turn.place], turn.item, &stamp).await {
            Ok(target) => target,
            Err(failure) => return self.break_hook(&record, release, progress, turn.place, event, failure).await,
        };
        match self.begin_hook(&mut record, &mut release, &mut progress, turn, &target, &stamp, timeout).await {
            Ok(done) => Ok(done),
            // In a namespace that goes, nothing can be created any more; the objects are to go all the same.
            Err(Stopped { failure, .. }) if self.pass.is_moot(self.shell, &failure).await => {
                self.skip_hooks(&record, progress).await
            }
            Err(Stopped { failure, .. }) if failure.class != FailureClass::Transient => {
                self.break_hook(&record, release, progress, turn.place, event, failure).await
            }
            Err(stopped) => Err(stopped),
        }
    }

    /// Counts the hooks of the present phase as through.
    async fn skip_hooks(&mut self, record: &Record, mut progress: Progress) -> Step {
        progress.hooks = Hooks { done: progress.hooks.of(progress.phase), ..progress.hooks.rewound() };
        self.set_progress(record, Some(&progress)).await?;
        Ok(Done::Recorded { revision: record.revision })
    }

    #[expect(clippy::too_many_arguments, reason = "record, release and progress are one thing in three forms")]
    async fn begin_hook(
        &mut self,
        record: &mut Record,
        release: &mut Release,
        progress: &mut Progress,
        Turn { place, item, .. }: Turn,
        target: &Target,
        stamp: &Stamp,
        timeout: SignedDuration,
    ) -> Step {
        let revision = record.revision;
        let (tenant, id) = (&self.pass.tenant, &self.pass.release);
        let standing = objects::look(tenant, id, target, stamp).await?;
        let was_begun = progress.hooks.run.as_ref().is_some_and(|run| run.uid.is_none());
        let uid = match standing {
            Place::Ours { uid } if was_begun => Some(uid),
            Place::Ours { .. } | Place::Left
                if may_go(target) && release.hooks[place].is_deleted(DeletePolicy::BeforeHookCreation) =>
            {
                let left = self.delete(vec![target.clone()], Propagation::Background).await?;
                if !left.is_empty() {
                    return Ok(Done::Deleting { left });
                }
                None
            }
            Place::Free | Place::Ours { .. } | Place::Left => None,
        };
        if !was_begun {
            let started = self.now;
            let hook = &mut release.hooks[place];
            if hook.delete_policies.is_empty() {
                // Helm's record says which policy was followed.
                hook.delete_policies = vec![DeletePolicy::BeforeHookCreation.as_str().to_owned()];
            }
            // The items of a list are one run of their hook.
            if item == 0 {
                hook.last_run = HookExecution {
                    started_at: Some(started.into()),
                    completed_at: None,
                    phase: HookExecution::RUNNING.to_owned(),
                };
            }
            let run = HookRun {
                object: target.id.clone(),
                started,
                uid: None,
                repeatable: hook.is_deleted(DeletePolicy::BeforeHookCreation),
                fleeting: target.body.pointer("/spec/ttlSecondsAfterFinished").is_some(),
            };
            // A lost one that is run again has the time that is left.
            if progress.hooks.run.replace(run).is_none() {
                progress.deadline = later(self.now, timeout);
            }
            progress.owner.clone_from(&self.shell.instance);
            *record = self.store_hooks(record, release, progress).await?;
        }
        let uid = match uid {
            Some(uid) => uid,
            None => {
                let object = objects::create(&self.pass.tenant, target, self.conflicts()).await?;
                self.shell.live.note(&target.id, &object);
                info!(release = %self.pass.release, hook = %target.id, "hook begun");
                object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
        };
        if let Some(run) = &mut progress.hooks.run {
            run.uid = Some(uid);
        }
        *record = self.set_progress(record, Some(progress)).await?;
        self.memory.pods = Pods::default();
        Ok(Done::Recorded { revision })
    }

    /// The hook cannot be run at all: nothing that was done is cleared away, as in Helm.
    async fn break_hook(
        &mut self,
        record: &Record,
        mut release: Release,
        mut progress: Progress,
        place: usize,
        event: Event,
        failure: Failure,
    ) -> Step {
        let hook = &mut release.hooks[place];
        let message = hooks::describe(event, &format!("{} {}: {}", hook.kind, hook.name, failure.message));
        if progress.hooks.run.take().is_some() {
            hook.last_run.completed_at = Some(self.now.into());
            HookExecution::FAILED.clone_into(&mut hook.last_run.phase);
        }
        progress.failure = Some(masked(self.pass, Failure { message, ..failure }).message);
        progress.deadline = later(self.now, hooks::DELETE_RETRY);
        self.store_hooks(record, &release, &progress).await?;
        Ok(Done::Recorded { revision: record.revision })
    }

    /// Stores how a hook ended.
    pub(super) async fn end_hook(&mut self, revision: Revision, event: Event, failure: Option<&str>) -> Step {
        let record = self.record(revision)?.clone();
        let mut progress = self.progress(revision)?;
        let mut release = self.body_of(&record).await?;
        let turn = usize::try_from(progress.hooks.done)
            .ok()
            .and_then(|at| queue(&self.pass.policy, &release.hooks, event).get(at).copied());
        if let (Some(Turn { place, is_last, .. }), Some(run)) = (turn, progress.hooks.run.take()) {
            if release.hooks[place].is_told(failure.is_some()) {
                let lines = self.said_by(&run.object, &release).await;
                progress.hooks.tell(HookOutput { event, object: run.object, lines });
            }
            if is_last || failure.is_some() {
                let last_run = &mut release.hooks[place].last_run;
                last_run.completed_at = Some(self.now.into());
                let phase = if failure.is_some() { HookExecution::FAILED } else { HookExecution::SUCCEEDED };
                phase.clone_into(&mut last_run.phase);
            }
        }
        match failure {
            Some(failure) => progress.hooks.failure = Some(failure.to_owned()),
            None => progress.hooks.done = progress.hooks.done.saturating_add(1),
        }
        progress.deadline = later(self.now, timeout(&self.pass.policy, event));
        self.store_hooks(&record, &release, &progress).await?;
        self.memory.pods = Pods::default();
        info!(release = %self.pass.release, %event, failed = failure.is_some(), "hook ended");
        Ok(Done::Recorded { revision })
    }

    /// The last lines of the containers of a hook, masked. A courtesy: where they cannot be read, there are none.
    async fn said_by(&self, object: &ObjectId, release: &Release) -> Vec<String> {
        const LINES_MAX: usize = 20;
        let tenant = &self.pass.tenant;
        let Some(secrets) = self.pass.secrets(release) else { return Vec::new() };
        let pods = match object.kind.as_str() {
            "Job" => {
                let selector = json!({"matchLabels": {"job-name": object.name}});
                live::pods(tenant, &object.namespace, &selector).await.unwrap_or_default()
            }
            "Pod" => {
                match apply::targets_of_ids(&self.shell.discovery, std::slice::from_ref(object)).await.as_deref() {
                    Ok([target]) => live::read(tenant, target).await.ok().flatten().into_iter().collect(),
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let mut lines = Vec::new();
        for pod in &pods {
            let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
            for container in containers.filter_map(|container| container["name"].as_str()) {
                let count = i64::try_from(mask::LINES_MAX).unwrap_or(i64::MAX);
                let log = live::logs(tenant, &object.namespace, name, container, count).await;
                lines.extend(mask::lines(&log, &secrets));
            }
        }
        lines.truncate(LINES_MAX);
        lines
    }

    /// Deletes what the policies of an event's hooks give up, and goes on to the next phase.
    pub(super) async fn leave_hooks(&mut self, revision: Revision, event: Event) -> Step {
        let record = self.record(revision)?.clone();
        let mut progress = self.progress(revision)?;
        let release = self.body_of(&record).await?;
        let failed = progress.hooks.failure.take();
        match self.clear_hooks(&release, &progress, event, failed.is_some()).await {
            Ok(left) if !left.is_empty() && progress.deadline > self.now => return Ok(Done::Deleting { left }),
            Ok(_) => {}
            Err(stopped) if stopped.failure.class == FailureClass::Transient => return Err(stopped),
            Err(Stopped { failure, .. }) => {
                let message = hooks::describe(event, &format!("cannot be cleared away: {}", failure.message));
                progress.failure = Some(masked(self.pass, Failure { message, ..failure }).message);
            }
        }
        progress.failure = failed.or(progress.failure);
        if progress.failure.is_some() {
            progress.deadline = later(self.now, hooks::DELETE_RETRY);
        } else {
            progress.hooks = progress.hooks.rewound();
            progress.phase = hooks::phase_after(event);
        }
        if progress.phase == Phase::Apply {
            // The Pods of this attempt, and its time, begin now.
            progress.started = self.now;
            progress.deadline = later(self.now, timeout(&self.pass.policy, event));
        }
        self.set_progress(&record, Some(&progress)).await?;
        Ok(Done::Recorded { revision })
    }

    async fn clear_hooks(
        &mut self,
        release: &Release,
        progress: &Progress,
        event: Event,
        failed: bool,
    ) -> Result<Vec<ObjectId>, Stopped> {
        let queue = queue(&self.pass.policy, &release.hooks, event);
        let done = usize::try_from(progress.hooks.done).unwrap_or(usize::MAX).min(queue.len());
        // Helm goes back through those that succeeded; after a failure, forward, and the failed one first.
        let mut turns: Vec<(Turn, DeletePolicy)> = Vec::new();
        let failed_at = queue.get(done).filter(|_| failed).map(|turn| turn.place);
        // All items of a list go by how the list ended.
        turns.extend(queue.iter().filter(|it| Some(it.place) == failed_at).map(|it| (*it, DeletePolicy::HookFailed)));
        let succeeded = queue[..done].iter().filter(|it| Some(it.place) != failed_at);
        let succeeded = succeeded.map(|turn| (*turn, DeletePolicy::HookSucceeded));
        match failed {
            true => turns.extend(succeeded),
            false => turns.extend(succeeded.rev()),
        }
        let stamp = Stamp::of(release.revision, event);
        let mut targets = Vec::new();
        for (Turn { place, item, .. }, policy) in turns {
            let hook = &release.hooks[place];
            if hook.is_deleted(policy) {
                targets.push(self.hook_target(hook, item, &stamp).await?);
            }
        }
        targets.retain(may_go);
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        self.delete(targets, Propagation::Background).await
    }

    /// An object of a hook, ready to be created.
    async fn hook_target(&self, hook: &Hook, item: usize, stamp: &Stamp) -> Result<Target, Failure> {
        let invalid = |message| failure(FailureClass::Input, "InvalidManifest", message);
        let mut items = items(hook).map_err(|problem| invalid(crate::text::chain(&problem)))?;
        if item >= items.len() {
            return Err(invalid(format!("{} holds no object", hook.path)));
        }
        let contents = vec![items.swap_remove(item)];
        let targets = apply::targets(&self.shell.discovery, &self.pass.release, contents).await;
        let targets = targets.map_err(|problem| of_cluster(&problem))?;
        match <[Target; 1]>::try_from(targets) {
            Ok([mut target]) => {
                stamp.write(&mut target);
                Ok(target)
            }
            Err(_) => Err(invalid(format!("{} holds a list within its list", hook.path))),
        }
    }

    /// Lets the API server judge the hooks of an attempt before anything is written, as far as that can be known now:
    /// what an earlier run left is in their way, and kinds, accounts and namespaces may come with the release.
    pub(super) async fn rehearse_hooks(&self, release: &Release, manifest: &[Target]) -> Result<(), Stopped> {
        let status = release.info.status;
        let stamp = Stamp::of(release.revision, Event::Test);
        let mut targets = Vec::new();
        for event in [Phase::Before, Phase::After].into_iter().filter_map(|phase| hooks::event(status, phase)) {
            for Turn { place, item, .. } in queue(&self.pass.policy, &release.hooks, event) {
                match self.hook_target(&release.hooks[place], item, &stamp).await {
                    Ok(target) if manifest.iter().any(|it| is_namespace_of(it, &target)) => {}
                    Ok(target) => targets.push(target),
                    Err(failure) if failure.reason == "KindMissing" => {}
                    Err(failure) => return Err(failure.into()),
                }
            }
        }
        let standings = apply::survey(&self.pass.tenant, &self.pass.release, &targets).await?;
        let (targets, standings): (Vec<_>, Vec<_>) =
            targets.into_iter().zip(standings).filter(|(_, standing)| *standing == Standing::Absent).unzip();
        apply::rehearse(&self.pass.tenant, &targets, &standings, apply::Conflicts::Force, &[], false).await?;
        Ok(())
    }

    /// Writes record and progress at once, provided the record is as it was seen.
    async fn store_hooks(
        &mut self,
        record: &Record,
        release: &Release,
        progress: &Progress,
    ) -> Result<Record, Stopped> {
        let labels = codec::secret_labels(release, codec::WrittenAt::Modified(self.now));
        let body = encode(release, 0)?;
        let change = Change {
            labels: label_changes(&record.labels, &labels),
            progress: Some(Some(progress.encode())),
            body: Some(body.clone()),
        };
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.records, record, change).await?;
        self.memory.remember_summary(&changed, release.summary());
        self.memory.remember_body(&changed, body.into());
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(kind: &str, manifest: &str) -> Hook {
        let events = vec!["pre-install".to_owned()];
        Hook { name: "a".into(), kind: kind.into(), manifest: manifest.into(), events, ..Hook::default() }
    }

    #[test]
    fn items_of_a_list_are_objects_of_one_hook_and_those_that_run_come_last() {
        const LIST: &str = "apiVersion: v1\nkind: List\nmetadata:\n  annotations: {helm.sh/hook: pre-install}\nitems:\n\
                            - {apiVersion: batch/v1, kind: Job, metadata: {name: job}}\n\
                            - {apiVersion: v1, kind: ConfigMap, metadata: {name: config}}\n\
                            - {apiVersion: v1, kind: Secret, metadata: {name: secret}}\n";
        let names = |hook: &Hook| -> Vec<String> {
            items(hook).unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        let list = hook("List", LIST);
        assert_eq!(names(&list), ["config", "secret", "job"]);
        let pod = hook("Pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\n");
        let hooks = [list, pod, hook("Pod", "a: [")];
        let turns = queue(&Policy::default(), &hooks, Event::PreInstall);
        let turns: Vec<_> = turns.iter().map(|turn| (turn.place, turn.item, turn.is_last)).collect();
        assert_eq!(turns, [(0, 0, false), (0, 1, false), (0, 2, true), (1, 0, true), (2, 0, true)]);
    }
}
