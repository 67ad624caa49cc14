//! One function per action. Each does what its name says, in an order that a crash can cut anywhere, and tells what was
//! really written.
//!
//! A revision is stored as pending before the first object of its manifest is written; each later change of a record
//! names the version it was decided on. Doing an action again ends the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tracing::info;

use super::charts::LoadedChart;
use super::error::{failure, of_cluster};
use super::hooks;
use super::mask;
use super::memory::Memory;
use super::observe::{self, Observation, targets_of, without_bodies};
use super::prepare::{Order, Prepared};
use super::resolve::{Resolution, Resolver};
use super::{Pass, Shell};
use crate::api::FINALIZER;
use crate::cluster::apply::{self, Propagation, Standing, Target, Terms};
use crate::cluster::error::Error as ClusterError;
use crate::cluster::groundwork;
use crate::cluster::store::{Change, Record};
use crate::manifest::hooks::Event;
use crate::manifest::id::ObjectId;
use crate::manifest::{self, order};
use crate::plan::desired::Conflicts;
use crate::plan::hooks::wrote_nothing;
use crate::plan::outcome::Done;
use crate::plan::prune::{Held, to_prune};
use crate::plan::rules::{self, Crds};
use crate::plan::{Action, Comparison, Failure, FailureClass, ForcedField, Notice, Outcome};
use crate::release::history::Entry;
use crate::release::marks::{Marks, Tested};
use crate::release::progress::{Phase, Progress, Recreated, Taken};
use crate::release::{Release, Revision, Status, Time, codec};
use crate::render::Operation;

/// Everything an action needs.
pub(super) struct Execution<'a> {
    pub(super) shell: &'a Shell,
    pub(super) pass: &'a Pass<'a>,
    pub(super) memory: &'a mut Memory,
    pub(super) observation: &'a Observation,
    pub(super) now: Timestamp,
    forced: Vec<ForcedField>,
    notices: Vec<Notice>,
    unread: Vec<String>,
}

/// How a revision is begun.
struct Attempt {
    /// The revision before it.
    before: Option<Revision>,
    timeout: SignedDuration,
    take_ownership: bool,
    /// Whether objects may be deleted and created again.
    force: bool,
}

/// An action that ended early, and what it had written.
pub(super) struct Stopped {
    pub(super) done: Done,
    pub(super) failure: Failure,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped { done: Done::Nothing, failure }
    }
}

impl From<ClusterError> for Stopped {
    fn from(error: ClusterError) -> Self {
        of_cluster(&error).into()
    }
}

pub(super) type Step = Result<Done, Stopped>;

impl<'a> Execution<'a> {
    pub(super) fn new(
        shell: &'a Shell,
        pass: &'a Pass<'a>,
        memory: &'a mut Memory,
        observation: &'a Observation,
        now: Timestamp,
    ) -> Self {
        Execution { shell, pass, memory, observation, now, forced: Vec::new(), notices: Vec::new(), unread: Vec::new() }
    }

    /// Carries out one action.
    pub(super) async fn execute(mut self, action: &Action) -> Outcome {
        let step = match action {
            Action::Nothing | Action::Wait { .. } => Ok(Done::Nothing),
            Action::Install { revision, over } => self.install(*revision, *over).await,
            Action::Upgrade { revision, from } => self.upgrade(*revision, *from).await,
            Action::ContinueApply { revision } => self.continue_apply(*revision).await,
            Action::RunHook { revision, event, index } => self.run_hook(*revision, *event, *index).await,
            Action::EndHook { revision, event, failure } => self.end_hook(*revision, *event, failure.as_deref()).await,
            Action::LeaveHooks { revision, event } => self.leave_hooks(*revision, *event).await,
            Action::MarkDeployed { revision, supersede, description, verified } => {
                self.mark_deployed(*revision, supersede, description, *verified).await
            }
            Action::Supersede { revisions } => self.supersede(revisions).await,
            Action::Relabel { revisions } => self.relabel(revisions).await,
            Action::MarkFailed { revision, cause, failures, clean_up } => {
                let step = self.mark_failed(*revision, cause, *failures, *clean_up).await;
                self.or_leave(step).await
            }
            Action::Rollback { revision, from, to } => self.rollback(*revision, *from, *to).await,
            Action::CleanUp { revision, keep } => self.clean_up(*revision, keep).await,
            Action::Adopt { revision } => self.adopt(*revision).await,
            Action::Stamp { revision, marks } => {
                let step = self.stamp(*revision, marks).await;
                self.or_leave(step).await
            }
            Action::PruneHistory { revisions } => self.prune_history(revisions).await,
            Action::Uninstall { revision, keep_history, keep } => self.uninstall(*revision, *keep_history, keep).await,
            // The status says it, which is written last.
            Action::Claim { .. } => Ok(Done::Nothing),
            Action::RemoveFinalizer => self.remove_finalizer().await,
        };
        let (forced, notices, unread) = (self.forced, self.notices, self.unread);
        match step {
            Ok(done) => Outcome { done, failure: None, forced, notices, unread },
            Err(Stopped { done, failure }) => {
                Outcome { done, failure: Some(masked(self.pass, failure)), forced, notices, unread }
            }
        }
    }

    /// A release that is left behind holds nobody up: what cannot be ended stays as it is.
    async fn or_leave(&mut self, step: Step) -> Step {
        match step {
            Err(Stopped { failure, .. }) if self.pass.desired.leaves_release() && !is_transient(&failure) => {
                self.remove_finalizer().await
            }
            step => step,
        }
    }

    async fn install(&mut self, revision: Revision, over: Option<Revision>) -> Step {
        let policy = &self.pass.policy;
        let rules = &policy.rules.install;
        let prepared = self.prepare(revision, Operation::Install, rules.crds).await?;
        let attempt = Attempt {
            before: over,
            timeout: policy.install_timeout,
            take_ownership: rules.take_ownership,
            force: false,
        };
        self.start(prepared, attempt, rules.crds, rules.create_namespace).await
    }

    async fn upgrade(&mut self, revision: Revision, from: Revision) -> Step {
        let policy = &self.pass.policy;
        let rules = &policy.rules.upgrade;
        let prepared = self.prepare(revision, Operation::Upgrade, rules.crds).await?;
        let attempt = Attempt {
            before: Some(from),
            timeout: policy.upgrade_timeout,
            take_ownership: rules.take_ownership,
            force: rules.force,
        };
        self.start(prepared, attempt, rules.crds, false).await
    }

    async fn rollback(&mut self, revision: Revision, from: Revision, to: Revision) -> Step {
        let source = self.body(to).await?;
        let mut newest = self.entry(from)?.release.clone();
        newest.info.first_deployed = self.first_deployed().await?;
        let mut release = source.rolled_back_over(&newest, self.now);
        release.revision = revision;
        let marks = Marks { fingerprint: self.entry(to)?.marks.fingerprint, ..Marks::default() };
        marks.write(revision, &mut release.labels);
        let targets = targets_of(self.shell, self.pass, &release).await?;
        let policy = &self.pass.policy;
        // What was created again on the way there can be had back in no other way.
        let was_forced = self.entry(from)?.progress.as_ref().is_some_and(|progress| !progress.recreate.is_empty());
        let attempt = Attempt {
            before: Some(from),
            timeout: policy.rollback_timeout,
            take_ownership: false,
            force: policy.rules.rollback.force || was_forced,
        };
        self.begin(release, targets, attempt).await
    }

    /// When the release was first installed; nothing for one that is not. Every record repeats it, but a history read
    /// from our status does not know it.
    async fn first_deployed(&mut self) -> Result<Option<Time>, Stopped> {
        let Some(newest) = self.observation.observed.history.newest() else { return Ok(None) };
        match newest.release.info.first_deployed {
            Some(time) => Ok(Some(time)),
            None => Ok(self.body(newest.revision()).await?.info.first_deployed),
        }
    }

    /// Chart, values and cluster to what would be written.
    async fn prepare(&mut self, revision: Revision, operation: Operation, crds: Crds) -> Result<Prepared, Stopped> {
        let resolution = self.resolution()?;
        let chart = self.chart(resolution).await?;
        let first_deployed = match operation {
            Operation::Install => None,
            Operation::Upgrade => self.first_deployed().await?.map(|time| time.at),
        };
        let marks = Marks {
            fingerprint: Some(resolution.target.fingerprint),
            retry: self.pass.desired.asks.retry.clone(),
            ..Marks::default()
        };
        let order = Order {
            release: self.pass.release.clone(),
            revision,
            operation,
            chart,
            values: resolution.values.clone(),
            post_renderers: resolution.post_renderers.clone(),
            secret_values: resolution.secret_values.clone(),
            marks,
            crds,
            first_deployed,
            now: self.now,
        };
        Ok(self.shell.renderer.prepare(&self.pass.tenant, order).await?)
    }

    fn resolution(&self) -> Result<&'a Resolution, Stopped> {
        let missing =
            || failure(FailureClass::Transient, "Internal", "nothing is resolved although something is desired");
        self.pass.resolution.as_ref().ok_or_else(|| missing().into())
    }

    async fn chart(&self, resolution: &Resolution) -> Result<LoadedChart, Stopped> {
        let resolver = Resolver {
            sources: &self.shell.sources,
            charts: &self.shell.charts,
            tenant: &self.pass.tenant,
            namespace: &self.pass.key.namespace,
            max_age: std::time::Duration::MAX,
        };
        Ok(resolver.chart(&resolution.source, &resolution.credentials, &resolution.resolved).await?)
    }

    /// The first half of an install or upgrade: the namespace and the definitions of kinds come before the record, as in
    /// Helm.
    async fn start(&mut self, prepared: Prepared, attempt: Attempt, crds: Crds, create_namespace: bool) -> Step {
        let Prepared { release, objects, crds: definitions, ignored, unread } = prepared;
        self.unread = unread;
        let (tenant, id) = (&self.pass.tenant, &self.pass.release);
        if !ignored.is_empty() {
            let text =
                format!("crds/ holds what is no CustomResourceDefinition and is left alone: {}", ignored.join(", "));
            self.notices.push(Notice { warning: true, reason: "CrdsIgnored", text });
        }
        if create_namespace || !definitions.is_empty() {
            // What cannot be stored is refused before anything is written.
            encode(&release, GROWTH_BYTES)?;
        }
        if create_namespace
            && groundwork::ensure_namespace(self.shell.clients.controller(), tenant, &id.namespace).await?
        {
            let text = format!("Namespace {} did not exist and was created", id.namespace);
            self.notices.push(Notice { warning: false, reason: "NamespaceCreated", text });
        }
        if !definitions.is_empty() {
            let replace = crds == Crds::CreateReplace;
            let written = groundwork::apply_crds(tenant, &self.shell.discovery, definitions, replace).await?;
            if !written.is_empty() {
                let text = format!("wrote {}", names(written.iter().map(ToString::to_string)));
                self.notices.push(Notice { warning: false, reason: "CrdsApplied", text });
            }
        }
        let contents = objects.into_iter().map(|object| object.content).collect();
        let targets = apply::targets(&self.shell.discovery, id, contents).await?;
        self.begin(release, targets, attempt).await
    }

    /// Checks against the cluster without writing, stores the revision as pending, writes its objects.
    async fn begin(&mut self, release: Release, targets: Vec<Target>, attempt: Attempt) -> Step {
        let (tenant, id, revision) = (&self.pass.tenant, &self.pass.release, release.revision);
        let held = self.held_before(attempt.before).await?;
        let known: HashSet<ObjectId> = held.iter().flatten().map(|held| held.id.clone()).collect();
        let carried = attempt.before.and_then(|before| self.entry(before).ok()?.progress.clone());
        let mut existed = carried.map(|progress| progress.existed).unwrap_or_default();
        let standings = apply::survey(tenant, id, &targets).await?;
        let taken = match attempt.take_ownership {
            true => apply::taken_over(&targets, &standings, &known),
            false => {
                apply::refuse_foreign(id, &targets, &standings, &known)?;
                Vec::new()
            }
        };
        let mut adopted = Vec::new();
        for (target, standing) in targets.iter().zip(&standings) {
            if *standing != Standing::Absent && !known.contains(&target.id) && !existed.contains(&target.id) {
                existed.push(target.id.clone());
                if !taken.iter().any(|taken| taken.object == target.id) {
                    adopted.push(target.id.to_string());
                }
            }
        }
        let recreate = self.rehearse(&release, &targets, &standings, &existed, attempt.force).await?;
        if release.info.status != Status::PendingRollback || self.pass.policy.conflicts == Conflicts::Fail {
            self.rehearse_hooks(&release, &targets).await?;
        }
        let hooks = hooks::of_attempt(&self.pass.policy, &release, release.info.status);
        let progress = Progress {
            owner: self.shell.instance.clone(),
            phase: if hooks.before > 0 { Phase::Before } else { Phase::Apply },
            started: self.now,
            deadline: self.now.saturating_add(attempt.timeout).unwrap_or(Timestamp::MAX),
            existed,
            taken,
            recreate: recreate.iter().map(|(recreated, _)| recreated.clone()).collect(),
            failure: None,
            hooks,
        };
        let labels = codec::secret_labels(&release, codec::WrittenAt::Created(self.now));
        let bytes = encode(&release, GROWTH_BYTES)?;
        let stored =
            self.shell.store.create(tenant, &self.pass.records, revision, &labels, &progress.encode(), &bytes).await?;
        info!(release = %id, revision = revision.0, status = %release.info.status, "revision stored");
        self.tell_of_objects(&progress.taken, adopted, &recreate);
        self.memory.failed_attempt = None;
        self.memory.remember_summary(&stored, release.summary());
        self.memory.remember_body(&stored, bytes.into());
        drop(release);
        if progress.phase == Phase::Before {
            return Ok(Done::Stored { revision });
        }
        self.write_objects(stored, progress, targets, &standings, &held).await
    }

    /// Whose objects become this release's, and which are deleted on the way.
    fn tell_of_objects(&mut self, taken: &[Taken], adopted: Vec<String>, recreate: &[(Recreated, Vec<String>)]) {
        if !taken.is_empty() {
            let list = taken.iter().map(|taken| format!("{} from {}", taken.object, taken.from));
            let text = format!("took over {}", names(list));
            self.notices.push(Notice { warning: true, reason: "OwnershipTaken", text });
        }
        if !adopted.is_empty() {
            let text = format!(
                "{} bear the marks of this release although no record of it names them: they become part of it, and are \
                 not deleted should this fail",
                names(adopted)
            );
            self.notices.push(Notice { warning: false, reason: "ObjectsAdopted", text });
        }
        if !recreate.is_empty() {
            let list = recreate.iter().map(|(it, fields)| format!("{} ({})", it.object, fields.join(", ")));
            let text = format!("deleting and creating again, for fields that cannot be changed: {}", names(list));
            self.notices.push(Notice { warning: true, reason: "ObjectsRecreated", text });
        }
    }

    async fn continue_apply(&mut self, revision: Revision) -> Step {
        let record = self.record(revision)?.clone();
        let mut progress = self.progress(revision)?;
        let mut record = record;
        if progress.owner != self.shell.instance {
            // The fence: whoever wins this write goes on, the other one learns of it here.
            progress.owner.clone_from(&self.shell.instance);
            record = self.set_progress(&record, Some(&progress)).await?;
        }
        let release = self.body_of(&record).await?;
        let targets = targets_of(self.shell, self.pass, &release).await?;
        let standings = apply::survey(&self.pass.tenant, &self.pass.release, &targets).await?;
        let held = self.held_before(self.before(revision)).await?;
        self.write_objects(record, progress, targets, &standings, &held).await
    }

    /// The second half: objects, then what older revisions had and this one has not, then the phase of waiting.
    async fn write_objects(
        &mut self,
        record: Record,
        mut progress: Progress,
        targets: Vec<Target>,
        standings: &[Standing],
        held: &[Vec<Held>],
    ) -> Step {
        let (tenant, id, revision) = (&self.pass.tenant, &self.pass.release, record.revision);
        // Followed before it is written, so that no change is missed.
        let followed = Arc::new(without_bodies(targets.clone()));
        self.shell.live.follow(id, &followed);
        self.memory.inventory = Some((revision, followed));
        self.memory.pods = super::memory::Pods::default();

        let terms = Terms { conflicts: self.conflicts(), newcomers: &progress.existed, recreate: &progress.recreate };
        let report = apply::apply(tenant, &targets, standings, terms).await;
        for applied in report.applied {
            self.shell.live.note(&applied.id, &applied.object);
            self.forced.extend(applied.forced.into_iter().map(|taken| ForcedField {
                object: taken.object,
                field: taken.field,
                previous_manager: taken.manager,
            }));
        }
        if let Some(error) = report.failed {
            return self.give_up_applying(&record, progress, of_cluster(&error)).await;
        }

        let new: Vec<ObjectId> = targets.iter().map(|target| target.id.clone()).collect();
        let mut gone = to_prune(held.iter().map(Vec::as_slice), &new);
        // What a failed attempt took over stays, although the revision that takes its place has no use for it.
        gone.retain(|id| !progress.existed.contains(id));
        if !gone.is_empty() {
            let gone = uninstall_order(apply::targets_of_ids(&self.shell.discovery, &gone).await?);
            let deletion = apply::delete(tenant, id, &gone, Propagation::Background).await;
            if let Some(error) = deletion.failed.first() {
                return self.give_up_applying(&record, progress, of_cluster(error)).await;
            }
        }
        progress.phase = Phase::Wait;
        let stored = |failure| Stopped { done: Done::Stored { revision }, failure };
        self.set_progress(&record, Some(&progress)).await.map_err(|error| stored(of_cluster(&error)))?;
        Ok(Done::Stored { revision })
    }

    /// What may pass is tried again from the stored record; what will not is written down, and the next decision gives
    /// the revision up.
    async fn give_up_applying(&mut self, record: &Record, mut progress: Progress, failure: Failure) -> Step {
        let done = Done::Stored { revision: record.revision };
        if failure.class != FailureClass::Transient {
            progress.failure = Some(masked(self.pass, failure.clone()).message);
            if let Err(error) = self.set_progress(record, Some(&progress)).await {
                return Err(Stopped { done, failure: of_cluster(&error) });
            }
        }
        Err(Stopped { done, failure })
    }

    async fn supersede(&mut self, revisions: &[Revision]) -> Step {
        for revision in revisions {
            // One whose tests were still running is not tested any more.
            self.rewrite(*revision, Some(None), |release| release.info.status = Status::Superseded).await?;
        }
        Ok(revisions.last().map_or(Done::Nothing, |revision| Done::Recorded { revision: *revision }))
    }

    async fn relabel(&mut self, revisions: &[Revision]) -> Step {
        for revision in revisions {
            // What the record says is written over what its labels say.
            self.rewrite(*revision, None, |_| {}).await?;
        }
        Ok(revisions.last().map_or(Done::Nothing, |revision| Done::Recorded { revision: *revision }))
    }

    async fn mark_deployed(
        &mut self,
        revision: Revision,
        supersede: &[Revision],
        description: &str,
        verified: bool,
    ) -> Step {
        // First the old ones: there are never two deployed revisions.
        self.supersede(supersede).await?;
        let entry = self.entry(revision)?;
        let mut marks = Marks { verified, ..entry.marks.clone() };
        let mut tests = None;
        if self.pass.policy.hooks.tests.is_some() && entry.rollback_of().is_none() {
            let (release, progress) = (self.body(revision).await?, self.progress(revision)?);
            tests = hooks::of_tests(&self.pass.policy, &release, progress, self.now);
            marks.tested = tests.is_none().then_some(Tested::Passed);
        }
        self.rewrite(revision, Some(tests.as_ref().map(Progress::encode)), |release| {
            release.info.status = Status::Deployed;
            description.clone_into(&mut release.info.description);
            marks.write(revision, &mut release.labels);
        })
        .await?;
        self.memory.drop_body();
        info!(release = %self.pass.release, revision = revision.0, "revision deployed");
        Ok(Done::Recorded { revision })
    }

    async fn mark_failed(&mut self, revision: Revision, cause: &str, failures: Option<u32>, clean_up: bool) -> Step {
        let entry = self.entry(revision)?;
        // What was deployed fails by its tests only.
        let tested = (entry.status() == Status::Deployed).then_some(Tested::Failed);
        let marks = Marks { failures, tested, ..entry.marks.clone() };
        let phase = if clean_up { Phase::Cleanup } else { Phase::GivenUp };
        let progress = entry.progress.clone().map(|progress| Progress { phase, ..progress }.encode());
        self.rewrite(revision, Some(progress), |release| {
            release.info.status = Status::Failed;
            cause.clone_into(&mut release.info.description);
            marks.write(revision, &mut release.labels);
        })
        .await?;
        self.memory.drop_body();
        self.memory.pods = super::memory::Pods::default();
        info!(release = %self.pass.release, revision = revision.0, "revision failed");
        Ok(Done::Recorded { revision })
    }

    async fn clean_up(&mut self, revision: Revision, keep: &[ObjectId]) -> Step {
        let record = self.record(revision)?.clone();
        let release = self.body_of(&record).await?;
        let targets = match wrote_nothing(&release) {
            true => Vec::new(),
            false => targets_of(self.shell, self.pass, &release).await?,
        };
        let stands = self.observation.observed.history.stands();
        let older = if stands { self.held_before(self.before(revision)).await? } else { Vec::new() };
        let is_older = |id: &ObjectId| older.iter().flatten().any(|held| held.id == *id);
        let targets = targets.into_iter().filter(|target| !keep.contains(&target.id) && !is_older(&target.id));
        let left = self.delete(uninstall_order(targets.collect()), Propagation::Background).await?;
        // What runs is not kept waiting for its mending.
        if !left.is_empty() && !stands {
            return Ok(Done::Deleting { left });
        }
        let progress = self.progress(revision).ok().filter(|_| stands);
        let progress = progress.map(|progress| Progress { phase: Phase::GivenUp, ..progress });
        self.set_progress(&record, progress.as_ref()).await?;
        Ok(Done::Recorded { revision })
    }

    async fn adopt(&mut self, revision: Revision) -> Step {
        let resolution = self.resolution()?;
        let stored = self.body(revision).await?;
        // Rendered as the revision it is compared with: only then can the two be equal.
        let operation = if revision == Revision::FIRST { Operation::Install } else { Operation::Upgrade };
        let prepared = self.prepare(revision, operation, Crds::Skip).await?;
        let equal = same_objects(&stored.manifest, &prepared.release.manifest);
        let comparison = Comparison { revision, fingerprint: resolution.target.fingerprint, equal };
        self.memory.comparison = Some(comparison);
        Ok(Done::Compared(comparison))
    }

    async fn stamp(&mut self, revision: Revision, marks: &Marks) -> Step {
        let record = self.record(revision)?.clone();
        let mut labels = record.labels.clone();
        marks.write(revision, &mut labels);
        let tests_end = record.progress.is_some() && record.status == Status::Deployed;
        let progress = tests_end.then_some(None);
        let change = Change { labels: label_changes(&record.labels, &labels), progress, ..Change::default() };
        let summary = self.entry(revision)?.release.clone();
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.records, &record, change).await?;
        self.memory.remember_summary(&changed, summary);
        Ok(Done::Recorded { revision })
    }

    async fn prune_history(&mut self, revisions: &[Revision]) -> Step {
        for revision in revisions {
            let record = self.record(*revision)?;
            self.shell.store.delete(&self.pass.tenant, &self.pass.records, record).await?;
        }
        Ok(Done::Pruned { revisions: revisions.to_vec() })
    }

    async fn uninstall(&mut self, revision: Revision, keep_history: bool, keep: &[ObjectId]) -> Step {
        match self.uninstall_objects(revision, keep_history, keep).await {
            Err(stopped) if self.pass.is_moot(self.shell, &stopped.failure).await => self.remove_finalizer().await,
            step => step,
        }
    }

    async fn uninstall_objects(&mut self, revision: Revision, keep_history: bool, keep: &[ObjectId]) -> Step {
        let mut record = self.record(revision)?.clone();
        let mut progress = self.entry(revision)?.progress.clone();
        if record.status != Status::Uninstalling {
            let hooks = hooks::of_attempt(&self.pass.policy, &self.body_of(&record).await?, Status::Uninstalling);
            let begun = Progress {
                owner: self.shell.instance.clone(),
                phase: if hooks.before > 0 { Phase::Before } else { Phase::Uninstall },
                started: self.now,
                deadline: self.now.saturating_add(self.pass.policy.uninstall_timeout).unwrap_or(Timestamp::MAX),
                existed: keep.to_vec(),
                taken: Vec::new(),
                recreate: Vec::new(),
                failure: None,
                hooks,
            };
            let now = self.now;
            record = self
                .rewrite_record(&record, Some(Some(begun.encode())), |release| {
                    // Why it failed is told by its record for ever.
                    if release.info.status != Status::Failed {
                        DELETION_UNDERWAY.clone_into(&mut release.info.description);
                    }
                    release.info.status = Status::Uninstalling;
                    release.info.deleted = Some(now.into());
                })
                .await?;
            if begun.hooks.before > 0 || begun.hooks.after > 0 {
                return Ok(Done::Recorded { revision });
            }
            progress = Some(begun);
        }
        let is_over = progress.as_ref().is_some_and(|it| matches!(it.phase, Phase::After | Phase::Ended));
        if !is_over {
            let left = self.delete_all(&record, keep).await?;
            if !left.is_empty() {
                return Ok(Done::Deleting { left });
            }
            if progress.is_some_and(|progress| progress.hooks.after > 0) {
                return self.run_hook(revision, Event::PostDelete, 0).await;
            }
        }
        self.shell.live.unfollow(&self.pass.release);
        match keep_history {
            true => self.close_history(&record).await?,
            // The newest last: what a crash leaves is still recognised as being uninstalled.
            false => {
                for record in self.shell.store.fresh_history(&self.pass.tenant, &self.pass.records).await? {
                    self.shell.store.delete(&self.pass.tenant, &self.pass.records, &record).await?;
                }
            }
        }
        info!(release = %self.pass.release, "release uninstalled");
        Ok(Done::Deleted)
    }

    /// Deletes the objects of all revisions that may stand; the answer are those that are still there and waited for.
    async fn delete_all(&mut self, newest: &Record, keep: &[ObjectId]) -> Result<Vec<ObjectId>, Stopped> {
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        let entries = self.observation.observed.history.since_last_deployed();
        let revisions: Vec<_> = entries.iter().map(Entry::revision).rev().collect();
        for of in revisions {
            let release = if of == newest.revision { self.body_of(newest).await? } else { self.body(of).await? };
            for target in targets_of(self.shell, self.pass, &release).await? {
                if !keep.contains(&target.id) && seen.insert(target.id.clone()) {
                    targets.push(target);
                }
            }
        }
        let rules = &self.pass.policy.rules.uninstall;
        let left = self.delete(uninstall_order(targets), propagation(rules.propagation)).await?;
        // What is installed again must find its names free.
        let waits = !rules.disable_wait || self.pass.desired.asks.deleted_at.is_none();
        Ok(if waits { left } else { Vec::new() })
    }

    /// The records stay: those that were deployed are superseded, then the newest is uninstalled, as in Helm.
    async fn close_history(&mut self, newest: &Record) -> Result<(), Stopped> {
        let deployed = self.observation.observed.history.deployed_besides(newest.revision);
        self.supersede(&deployed).await?;
        self.rewrite_record(newest, Some(None), |release| {
            if release.info.description == DELETION_UNDERWAY {
                "Uninstallation complete".clone_into(&mut release.info.description);
            }
            release.info.status = Status::Uninstalled;
        })
        .await?;
        Ok(())
    }

    /// Deletes objects; the answer are those that are still there.
    pub(super) async fn delete(
        &self,
        targets: Vec<Target>,
        propagation: Propagation,
    ) -> Result<Vec<ObjectId>, Stopped> {
        let (tenant, id) = (&self.pass.tenant, &self.pass.release);
        let deletion = apply::delete(tenant, id, &targets, propagation).await;
        if let Some(error) = deletion.failed.into_iter().next() {
            return Err(error.into());
        }
        let deleted: Vec<_> = targets.into_iter().filter(|target| deletion.deleted.contains(&target.id)).collect();
        let remaining = apply::remaining(tenant, id, &deleted).await?;
        Ok(remaining.into_iter().map(|remaining| remaining.id).collect())
    }

    pub(super) async fn let_go(mut self) -> Outcome {
        match self.remove_finalizer().await {
            Ok(done) => Outcome::done(done),
            Err(Stopped { done, failure }) => Outcome::failed(done, failure),
        }
    }

    async fn remove_finalizer(&mut self) -> Step {
        let metadata = &self.pass.object.metadata;
        let finalizers: Vec<_> =
            metadata.finalizers.iter().flatten().filter(|finalizer| *finalizer != FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": metadata.resource_version}});
        self.shell.patch_object(self.pass.key, &patch).await?;
        self.shell.live.unfollow(&self.pass.release);
        Ok(Done::Released)
    }

    /// Writes a record again with a change, provided it is as it was seen.
    async fn rewrite(
        &mut self,
        revision: Revision,
        progress: Option<Option<String>>,
        edit: impl FnOnce(&mut Release),
    ) -> Result<(), Stopped> {
        let record = self.record(revision)?.clone();
        self.rewrite_record(&record, progress, edit).await?;
        Ok(())
    }

    async fn rewrite_record(
        &mut self,
        record: &Record,
        progress: Option<Option<String>>,
        edit: impl FnOnce(&mut Release),
    ) -> Result<Record, Stopped> {
        let mut release = self.body_of(record).await?;
        edit(&mut release);
        let labels = codec::secret_labels(&release, codec::WrittenAt::Modified(self.now));
        let change =
            Change { labels: label_changes(&record.labels, &labels), progress, body: Some(encode(&release, 0)?) };
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.records, record, change).await?;
        self.memory.remember_summary(&changed, release.summary());
        Ok(changed)
    }

    pub(super) async fn set_progress(
        &mut self,
        record: &Record,
        progress: Option<&Progress>,
    ) -> Result<Record, ClusterError> {
        let change = Change { progress: Some(progress.map(Progress::encode)), ..Change::default() };
        let body = self.memory.body(record);
        let summary = self.memory.summary(record).cloned();
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.records, record, change).await?;
        if let Some(body) = body {
            self.memory.remember_body(&changed, body);
        }
        if let Some(summary) = summary {
            self.memory.remember_summary(&changed, summary);
        }
        Ok(changed)
    }

    /// The objects of the revisions that may stand in the cluster, newest first: those before a new revision, from
    /// `before` back to the last deployed one.
    async fn held_before(&mut self, before: Option<Revision>) -> Result<Vec<Vec<Held>>, Stopped> {
        let Some(before) = before else { return Ok(Vec::new()) };
        let history = &self.observation.observed.history;
        let mut revisions: Vec<Revision> = history.since_last_deployed().iter().map(Entry::revision).collect();
        revisions.retain(|revision| *revision <= before);
        if revisions.is_empty() {
            revisions.push(before);
        }
        let mut held = Vec::new();
        for revision in revisions.into_iter().rev() {
            let release = self.body(revision).await?;
            if wrote_nothing(&release) {
                continue;
            }
            let objects = match targets_of(self.shell, self.pass, &release).await {
                Ok(targets) => targets,
                // A kind that is gone took its objects along.
                Err(failure) if failure.reason == "KindMissing" => Vec::new(),
                Err(failure) => return Err(failure.into()),
            };
            held.push(objects.iter().map(|target| Held::new(target.id.clone(), &target.body)).collect());
        }
        Ok(held)
    }

    /// Lets the API server judge every object before the first one is written; the answer are the objects to create again,
    /// and for which fields. A rollback is judged only where the spec asks for it: otherwise as much of it is written as
    /// can be.
    async fn rehearse(
        &self,
        release: &Release,
        targets: &[Target],
        standings: &[Standing],
        newcomers: &[ObjectId],
        force: bool,
    ) -> Result<Vec<(Recreated, Vec<String>)>, Stopped> {
        let rolls_back = release.info.status == Status::PendingRollback;
        if rolls_back && !force && self.pass.policy.conflicts == Conflicts::Force {
            return Ok(Vec::new());
        }
        let conflicts = self.conflicts();
        let judged = apply::rehearse(&self.pass.tenant, targets, standings, conflicts, newcomers, force).await;
        let rehearsal = match judged.map_err(|error| of_cluster(&error)) {
            Ok(rehearsal) => rehearsal,
            Err(failure) if rolls_back && conflicts == apply::Conflicts::Force && !is_transient(&failure) => {
                return Ok(Vec::new());
            }
            Err(failure) => return Err(failure.into()),
        };
        if rehearsal.owned.is_empty() {
            return Ok(rehearsal.recreate);
        }
        let list = rehearsal.owned.iter();
        let list: Vec<_> =
            list.map(|taken| format!("{} of {} by {}", taken.field, taken.object, taken.manager)).collect();
        let message = format!(
            "fields are owned by others: {}; give them up there, or set conflicts: force to take them over",
            list.join(", ")
        );
        Err(failure(FailureClass::Refused, "FieldConflict", message).into())
    }

    pub(super) fn conflicts(&self) -> apply::Conflicts {
        match self.pass.policy.conflicts {
            Conflicts::Force => apply::Conflicts::Force,
            Conflicts::Fail => apply::Conflicts::Fail,
        }
    }

    async fn body(&mut self, revision: Revision) -> Result<Release, Stopped> {
        let record = self.record(revision)?.clone();
        self.body_of(&record).await
    }

    pub(super) async fn body_of(&mut self, record: &Record) -> Result<Release, Stopped> {
        Ok(observe::body(self.shell, self.pass, self.memory, record).await?)
    }

    /// The stored revision before this one.
    fn before(&self, revision: Revision) -> Option<Revision> {
        let revisions = self.observation.observed.history.entries().iter().map(Entry::revision);
        revisions.filter(|known| *known < revision).max()
    }

    pub(super) fn record(&self, revision: Revision) -> Result<&'a Record, Stopped> {
        self.observation.record(revision).ok_or_else(|| gone(revision))
    }

    fn entry(&self, revision: Revision) -> Result<&'a Entry, Stopped> {
        self.observation.observed.history.get(revision).ok_or_else(|| gone(revision))
    }

    pub(super) fn progress(&self, revision: Revision) -> Result<Progress, Stopped> {
        self.entry(revision)?.progress.clone().ok_or_else(|| gone(revision))
    }
}

/// Templates and the API server quote what they do not like, and that may be a value from a Secret.
pub(super) fn masked(pass: &Pass<'_>, failure: Failure) -> Failure {
    match &pass.resolution {
        Some(resolution) => Failure { message: mask::text(&failure.message, &resolution.secrets), ..failure },
        None => failure,
    }
}

fn gone(revision: Revision) -> Stopped {
    failure(FailureClass::Transient, "WriteConflict", format!("revision {revision} is not what it was")).into()
}

fn is_transient(failure: &Failure) -> bool {
    failure.class == FailureClass::Transient
}

/// What Helm writes while it deletes.
const DELETION_UNDERWAY: &str = "Deletion in progress (or silently failed)";

fn propagation(rule: rules::Propagation) -> Propagation {
    match rule {
        rules::Propagation::Background => Propagation::Background,
        rules::Propagation::Foreground => Propagation::Foreground,
        rules::Propagation::Orphan => Propagation::Orphan,
    }
}

/// A list for people: the first ones, and how many more.
fn names(list: impl IntoIterator<Item = String>) -> String {
    const SHOWN_MAX: usize = 10;
    let mut list: Vec<_> = list.into_iter().collect();
    let more = list.len().saturating_sub(SHOWN_MAX);
    list.truncate(SHOWN_MAX);
    match more {
        0 => list.join(", "),
        more => format!("{} and {more} more", list.join(", ")),
    }
}

/// A record grows when its revision fails, by the cause and its log lines. One that had no room for them could never be
/// marked failed, so it is not begun.
const GROWTH_BYTES: usize = 8 * 1024;

pub(super) fn encode(release: &Release, room_bytes: usize) -> Result<Vec<u8>, Stopped> {
    let bytes = codec::encode(release);
    codec::check_size(release, bytes.len() + room_bytes)
        .map_err(|problem| super::error::input("RecordTooLarge", &problem))?;
    Ok(bytes)
}

/// What to send so that one set of labels becomes the other.
pub(super) fn label_changes(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let removed = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), None));
    let set = to.iter().filter(|(key, value)| from.get(*key) != Some(*value));
    removed.chain(set.map(|(key, value)| (key.clone(), Some(value.clone())))).collect()
}

fn uninstall_order(mut targets: Vec<Target>) -> Vec<Target> {
    targets.sort_by(|a, b| order::uninstall_key(&a.id.kind).cmp(&order::uninstall_key(&b.id.kind)));
    targets
}

/// Whether two manifests mean the same objects: comments, order and spacing aside.
fn same_objects(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let objects = |text: &str| -> Option<BTreeMap<String, Value>> {
        let parsed = manifest::parse(text).ok()?;
        Some(parsed.into_iter().map(|object| (format!("{:?}", object.id), object.content)).collect())
    };
    match (objects(one), objects(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The smallest merge patch that makes one JSON of another; `None` where they are equal.
pub(super) fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        let change = match from.get(key) {
            Some(known) => merge_patch(known, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patch_says_only_what_changed() {
        let from = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1]});
        let to = json!({"a": 1, "b": {"c": 1}, "e": [2]});
        assert_eq!(merge_patch(&from, &to), Some(json!({"b": {"d": null}, "e": [2]})));
        assert_eq!(merge_patch(&from, &from), None);
    }

    #[test]
    fn labels_that_go_are_removed_by_name() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let changes = label_changes(&labels(&[("a", "1"), ("b", "2")]), &labels(&[("b", "3")]));
        assert_eq!(changes, BTreeMap::from([("a".into(), None), ("b".into(), Some("3".into()))]));
    }

    #[test]
    fn manifests_are_the_same_whatever_their_comments_and_order() {
        let one = "---\n# Source: a\nkind: A\napiVersion: v1\nmetadata: {name: first}\n---\nkind: B\napiVersion: v1\nmetadata: {name: second}\n";
        let other = "---\napiVersion: v1\nkind: B\nmetadata:\n  name: second\n---\nkind: A\napiVersion: v1\nmetadata: {name: first}\n";
        assert!(same_objects(one, other));
        assert!(!same_objects(one, "---\nkind: A\napiVersion: v1\nmetadata: {name: third}\n"));
    }
}
