//! A cluster in memory, as far as decisions see it: stored revisions, what is live, a clock.
//!
//! Actions are carried out write by write, and may be cut off after any of them, as a crash would.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use pintle::manifest::hooks::Event;
use pintle::manifest::id::ObjectId;
use pintle::plan::hooks::{self, HookState};
use pintle::plan::outcome::Done;
use pintle::plan::prune::{Held, to_prune};
use pintle::plan::{
    Action, Asks, Cause, Claim, Comparison, Decision, Desired, FailedAttempt, Failure, Health, Observed, Outcome,
    Policy, Target, decide,
};
use pintle::release::digest::{Fingerprint, Inputs};
use pintle::release::history::{Entry, History};
use pintle::release::marks::{self, Marks, RetryToken, Tested};
use pintle::release::progress::{ANNOTATION, HookRun, Hooks, Phase, Progress};
use pintle::release::{ChartVersion, Home, Info, ReleaseId, ReleaseName, ReleaseSummary, Revision, Status};

/// One stored revision, and which content it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) release: ReleaseSummary,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) progress: Option<Progress>,
    /// The one-letter name of its content.
    pub(crate) content: char,
    /// Whether its objects were written, or some of them.
    pub(crate) written: bool,
    /// The same as a decision sees it, read from what is stored; forgotten with each change.
    seen: OnceLock<Entry>,
    state: OnceLock<u64>,
}

impl Record {
    /// All of it in a number.
    fn state(&self) -> u64 {
        *self.state.get_or_init(|| {
            let mut state = DefaultHasher::new();
            let info = &self.release.info;
            let times = [info.first_deployed, info.last_deployed].map(|time| time.map(|time| time.at));
            (self.release.revision, info.status, &info.description, info.rollback_revision, times).hash(&mut state);
            (&self.labels, self.progress.as_ref().map(Progress::encode), self.content, self.written).hash(&mut state);
            state.finish()
        })
    }

    fn entry(&self) -> &Entry {
        self.seen.get_or_init(|| {
            let progress = self.progress.iter().map(|it| (ANNOTATION.to_owned(), it.encode())).collect();
            Entry::new(self.release.clone(), &self.labels, &progress)
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    /// Shared between the worlds of all walks until they change.
    pub(crate) records: Vec<Arc<Record>>,
    /// Which content's objects stand in the cluster.
    pub(crate) live: Option<char>,
    /// The same object by object: which content wrote each.
    pub(crate) objects: BTreeMap<ObjectId, char>,
    /// Which release the spec means, and which one the status names. Records and objects are those of the latter.
    pub(crate) home: u8,
    pub(crate) claimed: Option<u8>,
    /// What is desired.
    pub(crate) want: char,
    pub(crate) policy: Policy,
    pub(crate) asks: Asks,
    pub(crate) target_failure: Option<Failure>,
    pub(crate) stale: Option<String>,
    pub(crate) rival: Option<String>,
    pub(crate) health: Health,
    pub(crate) unhealthy_since: Option<Timestamp>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) failed_attempt: Option<FailedAttempt>,
    pub(crate) finalizer: bool,
    /// How many hooks and tests every content has.
    pub(crate) hooks: Counts,
    /// How the hook that is looked at is doing, as long as its object stands.
    pub(crate) hook: HookState,
    /// The object of a hook, and which run it is of.
    pub(crate) hook_object: Option<(Revision, Event, u32)>,
    /// Every object of a hook that was ever created.
    pub(crate) hook_runs: Vec<(Revision, Event, u32)>,
    /// How many of them were waited for until they ended.
    pub(crate) hook_ends: usize,
    /// Writes until the controller dies.
    pub(crate) writes_left: Option<usize>,
    /// All writes so far.
    pub(crate) writes: usize,
}

/// How many hooks run at each turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) tests: u32,
    /// Whether their delete policy is not `before-hook-creation`.
    pub(crate) only_once: bool,
}

/// The controller died in the middle of an action.
#[derive(Debug)]
pub(crate) struct Crash;

pub(crate) fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub(crate) fn release_id() -> ReleaseId {
    ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse("web").unwrap() }
}

/// The release that the spec means after so many changes of its name.
pub(crate) fn home_of(changes: u8) -> Home {
    let name = if changes == 0 { "web".to_owned() } else { format!("web-{changes}") };
    let release = ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse(&name).unwrap() };
    Home { storage_namespace: release.namespace.clone(), release }
}

/// Every content has its own objects; some of them others have too.
pub(crate) fn objects_of(content: char) -> Vec<ObjectId> {
    let bits = u32::from(content) - u32::from('a') + 1;
    let all = (0..5).filter(|bit| bits & (1 << bit) != 0);
    all.map(|bit| ObjectId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: "apps".to_owned(),
        name: format!("part-{bit}"),
    })
    .collect()
}

pub(crate) fn fingerprint(content: char) -> Fingerprint {
    static ALL: OnceLock<BTreeMap<char, Fingerprint>> = OnceLock::new();
    let of = |content: char| {
        let (digest, values) = (content.to_string(), serde_json::Map::new());
        let post_rendering = &serde_json::Value::Null;
        Fingerprint::of(Inputs {
            chart_digest: &digest,
            values: &values,
            release: &release_id(),
            post_rendering,
            options: &values,
        })
    };
    ALL.get_or_init(|| ('a'..='z').map(|content| (content, of(content))).collect())[&content]
}

/// Content `b` is `web 2.0.0`.
pub(crate) fn chart(content: char) -> ChartVersion {
    let version = format!("{}.0.0", u32::from(content) - u32::from('a') + 1);
    ChartVersion { name: "web".to_owned(), version, app_version: String::new() }
}

pub(crate) fn cause(words: &str) -> Box<Cause> {
    let [group, kind, namespace, name] = ["apps", "Deployment", "apps", "web"].map(str::to_owned);
    Box::new(Cause::plain(ObjectId { group, kind, namespace, name }, words))
}

/// Every hook is this Job.
pub(crate) fn hook_id() -> ObjectId {
    let [group, kind, namespace, name] = ["batch", "Job", "apps", "migrate"].map(str::to_owned);
    ObjectId { group, kind, namespace, name }
}

/// All that differs between the worlds of one test, but for answers that are given anew at each step.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.now, &self.objects, self.live, self.home, self.claimed, self.want, self.finalizer).hash(state);
        (self.hook_object, &self.hook_runs, self.hook_ends).hash(state);
        (self.asks.suspend, self.asks.deleted_at, self.asks.retry.as_ref().map(RetryToken::as_str)).hash(state);
        self.comparison.map(|it| (it.revision, it.fingerprint, it.equal)).hash(state);
        for record in &self.records {
            record.state().hash(state);
        }
    }
}

impl World {
    pub(crate) fn empty() -> Self {
        World {
            now: noon(),
            records: Vec::new(),
            live: None,
            objects: BTreeMap::new(),
            home: 0,
            claimed: Some(0),
            want: 'a',
            policy: Policy::default(),
            asks: Asks::default(),
            target_failure: None,
            stale: None,
            rival: None,
            health: Health::Healthy,
            unhealthy_since: None,
            comparison: None,
            failed_attempt: None,
            finalizer: true,
            hooks: Counts::default(),
            hook: HookState::Succeeded,
            hook_object: None,
            hook_runs: Vec::new(),
            hook_ends: 0,
            writes_left: None,
            writes: 0,
        }
    }

    /// Content `a` was installed by Pintle and is healthy.
    pub(crate) fn running_a() -> Self {
        let mut world = World::empty();
        while world.step().unwrap().action != Action::Nothing {}
        world
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed {
            history: self.records.iter().map(|record| record.entry().clone()).collect::<History>(),
            health: self.health.clone(),
            hook: if self.is_at_hook() { self.hook.clone() } else { HookState::Absent },
            unhealthy_since: self.unhealthy_since,
            rival: self.rival.clone(),
            comparison: self.comparison,
            mislabelled: Vec::new(),
            failed_attempt: self.failed_attempt.clone(),
        }
    }

    pub(crate) fn desired(&self) -> Desired {
        let target = Target { fingerprint: fingerprint(self.want), chart: chart(self.want), stale: self.stale.clone() };
        let meant = home_of(self.home);
        let (home, claim) = match self.claimed {
            None => (meant, Claim::Missing),
            Some(named) if named == self.home => (meant, Claim::Made),
            Some(named) => (home_of(named), Claim::Moving(meant)),
        };
        Desired {
            home,
            claim,
            target: match &self.target_failure {
                Some(failure) => Err(failure.clone()),
                None => Ok(target),
            },
            policy: self.policy.clone(),
            asks: self.asks.clone(),
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.observed(), &self.desired(), self.now)
    }

    /// Decides and acts.
    pub(crate) fn step(&mut self) -> Result<Decision, Crash> {
        let decision = self.decide();
        self.execute(&decision.action)?;
        Ok(decision)
    }

    pub(crate) fn newest(&self) -> Option<&Record> {
        self.records.last().map(|record| &**record)
    }

    /// Whether the newest revision is being watched, so that health matters.
    pub(crate) fn is_waiting(&self) -> bool {
        let newest = self.newest().and_then(|record| record.progress.as_ref());
        newest.is_some_and(|progress| progress.phase == Phase::Wait)
    }

    /// The run that the progress names, where its object was seen.
    pub(crate) fn hook_begun(&self) -> Option<(Revision, Event, u32)> {
        let newest = self.newest()?;
        let progress = newest.progress.as_ref()?;
        progress.hooks.run.as_ref()?.uid.as_ref()?;
        let event = hooks::event(newest.release.info.status, progress.phase)?;
        Some((newest.release.revision, event, progress.hooks.done))
    }

    /// Whether the object of the hook under way stands, so that it matters how it is doing.
    pub(crate) fn is_at_hook(&self) -> bool {
        self.hook_begun().is_some_and(|begun| self.hook_object == Some(begun))
    }

    /// Writes the newest revision's progress.
    fn write_progress(&mut self, revision: Revision, change: impl FnOnce(&mut Progress)) -> Result<(), Crash> {
        self.write()?;
        change(self.record(revision).progress.as_mut().expect("work is under way on it"));
        Ok(())
    }

    /// The hooks that a revision of this status runs.
    fn hooks_of(&self, status: Status) -> Counts {
        let allows = |phase| hooks::event(status, phase).is_some_and(|event| self.policy.hooks.allow(event));
        let count = |phase, count| if allows(phase) { count } else { 0 };
        Counts {
            before: count(Phase::Before, self.hooks.before),
            after: count(Phase::After, self.hooks.after),
            ..self.hooks
        }
    }

    fn run_hook(&mut self, revision: Revision, event: Event, index: u32) -> Result<Done, Crash> {
        let (now, only_once) = (self.now, self.hooks.only_once);
        let progress = self.record(revision).progress.clone().expect("work is under way on it");
        if progress.phase != hooks::phase(event) || progress.failure.is_some() {
            self.write_progress(revision, |progress| {
                progress.phase = hooks::phase(event);
                progress.failure = None;
                progress.hooks = progress.hooks.rewound();
                progress.deadline = now + TIMEOUT;
            })?;
        }
        let run = self.record(revision).progress.as_ref().and_then(|progress| progress.hooks.run.clone());
        let this = (revision, event, index);
        let was_begun = run.as_ref().is_some_and(|run| run.uid.is_none());
        if !was_begun {
            if self.hook_object.is_some() && !only_once {
                self.write()?;
                self.hook_object = None;
            }
            self.write_progress(revision, |progress| {
                let run =
                    HookRun { object: hook_id(), started: now, uid: None, repeatable: !only_once, fleeting: false };
                if progress.hooks.run.replace(run).is_none() {
                    progress.deadline = now + TIMEOUT;
                }
            })?;
        }
        if self.hook_object != Some(this) {
            self.write()?;
            self.hook_object = Some(this);
            self.hook_runs.push(this);
        }
        self.write_progress(revision, |progress| {
            progress.hooks.run.as_mut().expect("it was begun above").uid = Some("u".to_owned());
        })?;
        Ok(Done::Recorded { revision })
    }

    fn leave_hooks(&mut self, revision: Revision, event: Event) -> Result<Done, Crash> {
        let now = self.now;
        self.write_progress(revision, |progress| match progress.hooks.failure.take() {
            Some(failure) => {
                progress.failure = Some(failure);
                progress.deadline = now + hooks::DELETE_RETRY;
            }
            None => {
                progress.hooks = progress.hooks.rewound();
                progress.phase = hooks::phase_after(event);
                if progress.phase == Phase::Apply {
                    (progress.started, progress.deadline) = (now, now + TIMEOUT);
                }
            }
        })?;
        Ok(Done::Recorded { revision })
    }

    fn uninstall(&mut self, revision: Revision, keep_history: bool, keep: &[ObjectId]) -> Result<Done, Crash> {
        let (now, counts) = (self.now, self.hooks_of(Status::Uninstalling));
        if self.record(revision).release.info.status != Status::Uninstalling {
            self.write()?;
            let record = self.record(revision);
            record.release.info.status = Status::Uninstalling;
            let phase = if counts.before > 0 { Phase::Before } else { Phase::Uninstall };
            record.progress = Some(progress(now, phase, keep.to_vec(), counts));
            if counts.before > 0 || counts.after > 0 {
                return Ok(Done::Recorded { revision });
            }
        }
        let progress = self.record(revision).progress.clone().expect("it was begun above, or before");
        if !matches!(progress.phase, Phase::After | Phase::Ended) {
            self.write()?;
            self.live = None;
            self.objects.clear();
            if progress.hooks.after > 0 {
                return self.run_hook(revision, Event::PostDelete, 0);
            }
        }
        if keep_history {
            for deployed in self.observed().history.deployed_besides(revision) {
                self.write()?;
                self.record(deployed).release.info.status = Status::Superseded;
            }
            self.write()?;
            let record = self.record(revision);
            record.release.info.status = Status::Uninstalled;
            record.progress = None;
            return Ok(Done::Deleted);
        }
        while !self.records.is_empty() {
            self.write()?;
            self.records.remove(0);
        }
        Ok(Done::Deleted)
    }

    fn write(&mut self) -> Result<(), Crash> {
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or(Crash)?;
        }
        self.writes += 1;
        Ok(())
    }

    pub(crate) fn record(&mut self, revision: Revision) -> &mut Record {
        let record = self.records.iter_mut().find(|record| record.release.revision == revision);
        let record = Arc::make_mut(record.expect("a stored revision is meant"));
        record.seen.take();
        record.state.take();
        record
    }

    pub(crate) fn execute(&mut self, action: &Action) -> Result<Outcome, Crash> {
        let done = match action {
            Action::Nothing | Action::Wait { .. } => Done::Nothing,
            Action::Install { revision, over } => {
                let existed = over.and_then(|over| Some(self.record(over).progress.clone()?.existed));
                self.store(*revision, Status::PendingInstall, self.want, None, existed.unwrap_or_default())?;
                self.apply(*revision)?
            }
            Action::Upgrade { revision, .. } => {
                self.store(*revision, Status::PendingUpgrade, self.want, None, Vec::new())?;
                self.apply(*revision)?
            }
            Action::Rollback { revision, to, .. } => {
                let content = self.record(*to).content;
                self.store(*revision, Status::PendingRollback, content, Some(*to), Vec::new())?;
                self.apply(*revision)?
            }
            Action::ContinueApply { revision } => self.apply(*revision)?,
            Action::RunHook { revision, event, index } => self.run_hook(*revision, *event, *index)?,
            Action::EndHook { revision, failure, .. } => {
                let now = self.now;
                self.hook_ends += 1;
                self.write_progress(*revision, |progress| {
                    progress.hooks.run = None;
                    progress.hooks.failure.clone_from(failure);
                    progress.hooks.done += u32::from(failure.is_none());
                    progress.deadline = now + TIMEOUT;
                })?;
                Done::Recorded { revision: *revision }
            }
            Action::LeaveHooks { revision, event } => self.leave_hooks(*revision, *event)?,
            Action::MarkDeployed { revision, supersede, description, verified } => {
                for other in supersede {
                    self.write()?;
                    let other = self.record(*other);
                    other.release.info.status = Status::Superseded;
                    other.progress = None;
                }
                self.write()?;
                let (now, tests) = (self.now, self.hooks.tests);
                let asks_for_tests = self.policy.hooks.tests.is_some();
                let record = self.record(*revision);
                let is_tested = asks_for_tests && record.release.info.rollback_revision.is_none();
                let under_way = record.progress.take().filter(|_| is_tested && tests > 0);
                record.release.info.status = Status::Deployed;
                record.release.info.description = description.clone();
                let tested = (is_tested && tests == 0).then_some(Tested::Passed);
                record.progress = under_way.map(|under_way| {
                    let counts = Counts { after: tests, ..Counts::default() };
                    progress(now, Phase::Test, under_way.existed, counts)
                });
                let marks = Marks { verified: *verified, tested, ..Marks::read(&record.labels, *revision) };
                marks.write(*revision, &mut record.labels);
                Done::Recorded { revision: *revision }
            }
            Action::MarkFailed { revision, cause, failures, clean_up } => {
                self.write()?;
                let record = self.record(*revision);
                let tested = (record.release.info.status == Status::Deployed).then_some(Tested::Failed);
                record.release.info.status = Status::Failed;
                record.release.info.description = cause.clone();
                if let Some(progress) = &mut record.progress {
                    progress.phase = if *clean_up { Phase::Cleanup } else { Phase::GivenUp };
                }
                if let Some(failures) = failures {
                    let marks = Marks { failures: Some(*failures), tested, ..Marks::read(&record.labels, *revision) };
                    marks.write(*revision, &mut record.labels);
                }
                Done::Recorded { revision: *revision }
            }
            Action::CleanUp { revision, .. } => {
                let stands = self.observed().history.stands();
                self.write()?;
                // Of an upgrade only what it created goes; what it changed stands until it is rolled back.
                self.live = self.live.filter(|_| stands);
                let older: Vec<ObjectId> =
                    self.held_before(*revision).into_iter().flatten().map(|held| held.id).filter(|_| stands).collect();
                for id in objects_of(self.record(*revision).content) {
                    if !older.contains(&id) {
                        self.objects.remove(&id);
                    }
                }
                self.write()?;
                let record = self.record(*revision);
                record.progress = record.progress.take().filter(|_| stands);
                if let Some(progress) = &mut record.progress {
                    progress.phase = Phase::GivenUp;
                }
                Done::Recorded { revision: *revision }
            }
            Action::Relabel { .. } => unreachable!("labels and records of this world are one"),
            Action::Supersede { revisions } => {
                for revision in revisions {
                    self.write()?;
                    let record = self.record(*revision);
                    record.release.info.status = Status::Superseded;
                    record.progress = None;
                }
                Done::Nothing
            }
            Action::Adopt { revision } => {
                let comparison = Comparison {
                    revision: *revision,
                    fingerprint: fingerprint(self.want),
                    equal: self.record(*revision).content == self.want,
                };
                self.comparison = Some(comparison);
                Done::Compared(comparison)
            }
            Action::Stamp { revision, marks } => {
                self.write()?;
                let record = self.record(*revision);
                marks.write(*revision, &mut record.labels);
                record.progress = None;
                Done::Recorded { revision: *revision }
            }
            Action::PruneHistory { revisions } => {
                for revision in revisions {
                    self.write()?;
                    self.records.retain(|record| record.release.revision != *revision);
                }
                Done::Pruned { revisions: revisions.clone() }
            }
            Action::Uninstall { revision, keep_history, keep } => self.uninstall(*revision, *keep_history, keep)?,
            Action::Claim { home } => {
                assert_eq!(*home, home_of(self.home), "what the spec means is claimed");
                self.write()?;
                if self.claimed.replace(self.home).is_some() {
                    // What Helm made, and we never touched, stays where it is.
                    if !self.observed().history.ever_ours() {
                        (self.live, self.objects) = (None, BTreeMap::new());
                        self.records.clear();
                    }
                    let is_over = |it: &Record| it.release.info.status == Status::Uninstalled && it.progress.is_none();
                    assert_eq!((self.live, self.objects.len()), (None, 0), "{}", self.history_line());
                    assert!(self.newest().is_none_or(is_over), "{}", self.history_line());
                    // Nothing is at the new place, and what stays at the old one is not looked at any more.
                    self.records.clear();
                    (self.comparison, self.failed_attempt) = (None, None);
                }
                Done::Nothing
            }
            Action::RemoveFinalizer => {
                self.write()?;
                self.finalizer = false;
                Done::Released
            }
        };
        Ok(Outcome::done(done))
    }

    fn store(
        &mut self,
        revision: Revision,
        status: Status,
        content: char,
        rollback_of: Option<Revision>,
        existed: Vec<ObjectId>,
    ) -> Result<(), Crash> {
        self.write()?;
        assert!(self.claimed.is_some(), "the status names the release before anything of it is written");
        // Creating a Secret that exists is refused: the fence between two controllers.
        assert!(self.records.iter().all(|record| record.release.revision != revision), "{revision} exists");
        let mut labels = self.newest().map(|newest| marks::without(&newest.labels)).unwrap_or_default();
        let hooks = self.hooks_of(status);
        let phase = if hooks.before > 0 { Phase::Before } else { Phase::Apply };
        let retry = self.asks.retry.clone().filter(|_| rollback_of.is_none());
        Marks { fingerprint: Some(fingerprint(content)), retry, ..Marks::default() }.write(revision, &mut labels);
        self.records.push(Arc::new(Record {
            release: self.summary(revision, status, content, rollback_of),
            labels,
            progress: Some(progress(self.now, phase, existed, hooks)),
            content,
            written: false,
            seen: OnceLock::new(),
            state: OnceLock::new(),
        }));
        Ok(())
    }

    fn summary(
        &self,
        revision: Revision,
        status: Status,
        content: char,
        rollback_revision: Option<Revision>,
    ) -> ReleaseSummary {
        let first = self.records.first().and_then(|record| record.release.info.first_deployed);
        let first = first.filter(|_| status != Status::PendingInstall);
        ReleaseSummary {
            id: release_id(),
            revision,
            info: Info {
                first_deployed: first.or(Some(self.now.into())),
                last_deployed: Some(self.now.into()),
                status,
                rollback_revision,
                ..Info::default()
            },
            chart: chart(content),
            apply_method: None,
        }
    }

    fn apply(&mut self, revision: Revision) -> Result<Done, Crash> {
        if self.record(revision).progress.as_ref().is_some_and(|progress| progress.phase == Phase::Before) {
            return Ok(Done::Stored { revision });
        }
        self.write()?;
        let content = self.record(revision).content;
        self.record(revision).written = true;
        self.live = Some(content);
        let new = objects_of(content);
        self.objects.extend(new.iter().map(|id| (id.clone(), content)));
        self.write()?;
        let held = self.held_before(revision);
        for gone in to_prune(held.iter().map(Vec::as_slice), &new) {
            self.objects.remove(&gone);
        }
        let now = self.now;
        let record = self.record(revision);
        let Progress { existed, hooks, .. } = record.progress.take().expect("work is under way on it");
        record.progress = Some(Progress { hooks, ..progress(now, Phase::Wait, existed, Counts::default()) });
        Ok(Done::Stored { revision })
    }

    /// The objects of the revisions before this one that may stand, newest first.
    fn held_before(&self, revision: Revision) -> Vec<Vec<Held>> {
        let history = self.observed().history;
        let before = history.since_last_deployed().iter().map(Entry::revision).filter(|it| *it < revision);
        let mut revisions: Vec<_> = before.collect();
        if revisions.is_empty() {
            revisions.extend(history.entries().iter().map(Entry::revision).filter(|it| *it < revision).max());
        }
        let held = |revision: Revision| {
            let record = self.records.iter().find(|record| record.release.revision == revision)?;
            let objects = objects_of(record.content).into_iter();
            Some(objects.map(|id| Held { id, keep: false }).collect())
        };
        revisions.into_iter().rev().filter_map(held).collect()
    }

    /// What `helm upgrade`, or `helm rollback`, does: a new revision with the labels of another, copied.
    pub(crate) fn by_helm(&mut self, status: Status, content: char) {
        let revision = self.newest().map_or(Revision::FIRST, |newest| newest.release.revision.next());
        let labels = self.newest().map(|newest| newest.labels.clone()).unwrap_or_default();
        let release = self.summary(revision, status, content, None);
        if status == Status::Deployed {
            for deployed in self.observed().history.deployed_besides(revision) {
                self.record(deployed).release.info.status = Status::Superseded;
            }
        }
        self.live = Some(content);
        self.objects = objects_of(content).into_iter().map(|id| (id, content)).collect();
        let (seen, state) = (OnceLock::new(), OnceLock::new());
        let record = Record { release, labels, progress: None, content, written: true, seen, state };
        self.records.push(Arc::new(record));
    }

    /// The history in one line: `1 superseded a, 2 failed b, 3 deployed a (of 1)`.
    pub(crate) fn history_line(&self) -> String {
        let one = |record: &Record| {
            let release = &record.release;
            let of = release.info.rollback_revision.map(|of| format!(" (of {of})")).unwrap_or_default();
            format!("{} {} {}{of}", release.revision, release.info.status, record.content)
        };
        self.records.iter().map(|record| one(record)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.now += time;
    }
}

const TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

fn progress(now: Timestamp, phase: Phase, existed: Vec<ObjectId>, counts: Counts) -> Progress {
    let hooks = Hooks { before: counts.before, after: counts.after, ..Hooks::default() };
    Progress {
        owner: "pintle-0".to_owned(),
        phase,
        started: now,
        deadline: now + TIMEOUT,
        existed,
        taken: Vec::new(),
        recreate: Vec::new(),
        failure: None,
        hooks,
    }
}
