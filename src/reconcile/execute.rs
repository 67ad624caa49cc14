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
use super::mask;
use super::memory::Memory;
use super::observe::{self, Observation, targets_of, without_bodies};
use super::prepare::{Order, Prepared};
use super::resolve::{Resolution, Resolver};
use super::{Pass, Shell};
use crate::api::FINALIZER;
use crate::cluster::apply::{self, Propagation, Standing, Target};
use crate::cluster::error::Error as ClusterError;
use crate::cluster::store::{Change, Record};
use crate::manifest::id::ObjectId;
use crate::manifest::{self, order};
use crate::plan::desired::Conflicts;
use crate::plan::outcome::Done;
use crate::plan::prune::{Held, to_prune};
use crate::plan::{Action, Comparison, Failure, FailureClass, ForcedField, Outcome};
use crate::release::history::Entry;
use crate::release::marks::Marks;
use crate::release::progress::{Phase, Progress};
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
}

/// An action that ended early, and what it had written.
struct Stopped {
    done: Done,
    failure: Failure,
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

type Step = Result<Done, Stopped>;

impl<'a> Execution<'a> {
    pub(super) fn new(
        shell: &'a Shell,
        pass: &'a Pass<'a>,
        memory: &'a mut Memory,
        observation: &'a Observation,
        now: Timestamp,
    ) -> Self {
        Execution { shell, pass, memory, observation, now, forced: Vec::new() }
    }

    /// Carries out one action.
    pub(super) async fn execute(mut self, action: &Action) -> Outcome {
        let step = match action {
            Action::Nothing | Action::Wait { .. } => Ok(Done::Nothing),
            Action::Install { revision, over } => self.install(*revision, *over).await,
            Action::Upgrade { revision, from } => self.upgrade(*revision, *from).await,
            Action::ContinueApply { revision } => self.continue_apply(*revision).await,
            Action::MarkDeployed { revision, supersede, description } => {
                self.mark_deployed(*revision, supersede, description).await
            }
            Action::MarkFailed { revision, cause, failures, clean_up } => {
                self.mark_failed(*revision, cause, *failures, *clean_up).await
            }
            Action::Rollback { revision, from, to } => self.rollback(*revision, *from, *to).await,
            Action::CleanUp { revision, keep } => self.clean_up(*revision, keep).await,
            Action::Adopt { revision } => self.adopt(*revision).await,
            Action::Stamp { revision, marks } => self.stamp(*revision, marks).await,
            Action::PruneHistory { revisions } => self.prune_history(revisions).await,
            Action::Uninstall { revision } => self.uninstall(*revision).await,
            Action::RemoveFinalizer => self.remove_finalizer().await,
        };
        let forced = self.forced;
        match step {
            Ok(done) => Outcome { done, failure: None, forced },
            Err(Stopped { done, failure }) => Outcome { done, failure: Some(masked(self.pass, failure)), forced },
        }
    }

    async fn install(&mut self, revision: Revision, over: Option<Revision>) -> Step {
        let prepared = self.prepare(revision, Operation::Install).await?;
        let timeout = self.pass.policy.install_timeout;
        self.start(prepared, over, timeout).await
    }

    async fn upgrade(&mut self, revision: Revision, from: Revision) -> Step {
        let prepared = self.prepare(revision, Operation::Upgrade).await?;
        let timeout = self.pass.policy.upgrade_timeout;
        self.start(prepared, Some(from), timeout).await
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
        let timeout = self.pass.policy.rollback_timeout;
        self.begin(release, targets, Vec::new(), Some(from), timeout).await
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
    async fn prepare(&mut self, revision: Revision, operation: Operation) -> Result<Prepared, Stopped> {
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
            marks,
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

    /// The first half of an install or upgrade, up to the definitions of kinds, which come before the record as in Helm.
    async fn start(&mut self, prepared: Prepared, before: Option<Revision>, timeout: SignedDuration) -> Step {
        let Prepared { release, objects, crds } = prepared;
        if !crds.is_empty() && release.info.status == Status::PendingInstall {
            apply::apply_crds(&self.pass.tenant, &self.shell.discovery, crds, false).await?;
        }
        let contents = objects.into_iter().map(|object| object.content).collect();
        let targets = apply::targets(&self.shell.discovery, &self.pass.release, contents).await?;
        let carried = before.and_then(|before| self.entry(before).ok()?.progress.clone());
        let existed = carried.map(|progress| progress.existed).unwrap_or_default();
        self.begin(release, targets, existed, before, timeout).await
    }

    /// Checks against the cluster without writing, stores the revision as pending, writes its objects.
    async fn begin(
        &mut self,
        release: Release,
        targets: Vec<Target>,
        mut existed: Vec<ObjectId>,
        before: Option<Revision>,
        timeout: SignedDuration,
    ) -> Step {
        let (tenant, id, revision) = (&self.pass.tenant, &self.pass.release, release.revision);
        let held = self.held_before(before).await?;
        let known: HashSet<ObjectId> = held.iter().flatten().map(|held| held.id.clone()).collect();
        let standings = apply::survey(tenant, id, &targets).await?;
        apply::refuse_foreign(id, &targets, &standings, &known)?;
        if release.info.status != Status::PendingRollback || self.pass.policy.conflicts == Conflicts::Fail {
            self.rehearse(&targets, &standings).await?;
        }
        for (target, standing) in targets.iter().zip(&standings) {
            if *standing != Standing::Absent && !known.contains(&target.id) && !existed.contains(&target.id) {
                existed.push(target.id.clone());
            }
        }
        let progress = Progress {
            owner: self.shell.instance.clone(),
            phase: Phase::Apply,
            started: self.now,
            deadline: self.now.saturating_add(timeout).unwrap_or(Timestamp::MAX),
            existed,
            failure: None,
        };
        let labels = codec::secret_labels(&release, codec::WrittenAt::Created(self.now));
        let bytes = encode(&release, GROWTH_BYTES)?;
        let stored = self.shell.store.create(tenant, id, revision, &labels, &progress.encode(), &bytes).await?;
        info!(release = %id, revision = revision.0, status = %release.info.status, "revision stored");
        self.memory.failed_attempt = None;
        self.memory.remember_summary(&stored, release.summary());
        self.memory.remember_body(&stored, bytes.into());
        drop(release);
        self.write_objects(stored, progress, targets, &standings, &held).await
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
        let before = self.observation.observed.history.entries().iter().rev().map(Entry::revision);
        let before = before.filter(|known| *known < revision).max();
        let held = self.held_before(before).await?;
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

        let report = apply::apply(tenant, &targets, standings, self.conflicts()).await;
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
        let gone = to_prune(held.iter().map(Vec::as_slice), &new);
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

    async fn mark_deployed(&mut self, revision: Revision, supersede: &[Revision], description: &str) -> Step {
        // First the old ones: there are never two deployed revisions.
        for old in supersede {
            self.rewrite(*old, None, |release| release.info.status = Status::Superseded).await?;
        }
        let marks = Marks { verified: true, ..self.entry(revision)?.marks.clone() };
        self.rewrite(revision, Some(None), |release| {
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
        let marks = Marks { failures, ..entry.marks.clone() };
        let progress = match (clean_up, entry.progress.clone()) {
            (true, Some(progress)) => Some(Progress { phase: Phase::Cleanup, ..progress }.encode()),
            (true, None) | (false, _) => None,
        };
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
        let targets = targets_of(self.shell, self.pass, &release).await?;
        let targets: Vec<_> = targets.into_iter().filter(|target| !keep.contains(&target.id)).collect();
        let left = self.delete(uninstall_order(targets)).await?;
        if left.is_empty() {
            self.set_progress(&record, None).await?;
            return Ok(Done::Recorded { revision });
        }
        Ok(Done::Deleting { left })
    }

    async fn adopt(&mut self, revision: Revision) -> Step {
        let resolution = self.resolution()?;
        let stored = self.body(revision).await?;
        // Rendered as the revision it is compared with: only then can the two be equal.
        let operation = if revision == Revision::FIRST { Operation::Install } else { Operation::Upgrade };
        let prepared = self.prepare(revision, operation).await?;
        let equal = same_objects(&stored.manifest, &prepared.release.manifest);
        let comparison = Comparison { revision, fingerprint: resolution.target.fingerprint, equal };
        self.memory.comparison = Some(comparison);
        Ok(Done::Compared(comparison))
    }

    async fn stamp(&mut self, revision: Revision, marks: &Marks) -> Step {
        let record = self.record(revision)?.clone();
        let mut labels = record.labels.clone();
        marks.write(revision, &mut labels);
        let change = Change { labels: label_changes(&record.labels, &labels), ..Change::default() };
        let summary = self.entry(revision)?.release.clone();
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.release, &record, change).await?;
        self.memory.remember_summary(&changed, summary);
        Ok(Done::Recorded { revision })
    }

    async fn prune_history(&mut self, revisions: &[Revision]) -> Step {
        for revision in revisions {
            let record = self.record(*revision)?;
            self.shell.store.delete(&self.pass.tenant, &self.pass.release, record).await?;
        }
        Ok(Done::Pruned { revisions: revisions.to_vec() })
    }

    async fn uninstall(&mut self, revision: Revision) -> Step {
        match self.uninstall_objects(revision).await {
            Err(stopped) if self.pass.is_moot(self.shell, &stopped.failure).await => self.remove_finalizer().await,
            step => step,
        }
    }

    async fn uninstall_objects(&mut self, revision: Revision) -> Step {
        let record = self.record(revision)?.clone();
        if record.status != Status::Uninstalling {
            let progress = Progress {
                owner: self.shell.instance.clone(),
                phase: Phase::Uninstall,
                started: self.now,
                deadline: self.now.saturating_add(self.pass.policy.uninstall_timeout).unwrap_or(Timestamp::MAX),
                existed: Vec::new(),
                failure: None,
            };
            let now = self.now;
            self.rewrite(revision, Some(Some(progress.encode())), |release| {
                release.info.status = Status::Uninstalling;
                release.info.deleted = Some(now.into());
                "Deletion in progress (or silently failed)".clone_into(&mut release.info.description);
            })
            .await?;
        }
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        let entries = self.observation.observed.history.since_last_deployed();
        let revisions: Vec<_> = entries.iter().map(Entry::revision).rev().collect();
        for revision in revisions {
            let release = self.body(revision).await?;
            for target in targets_of(self.shell, self.pass, &release).await? {
                if seen.insert(target.id.clone()) {
                    targets.push(target);
                }
            }
        }
        let left = self.delete(uninstall_order(targets)).await?;
        if !left.is_empty() {
            return Ok(Done::Deleting { left });
        }
        self.shell.live.unfollow(&self.pass.release);
        // The newest last: what a crash leaves is still recognised as being uninstalled.
        for record in self.shell.store.fresh_history(&self.pass.tenant, &self.pass.release).await? {
            self.shell.store.delete(&self.pass.tenant, &self.pass.release, &record).await?;
        }
        info!(release = %self.pass.release, "release uninstalled");
        Ok(Done::Deleted)
    }

    /// Deletes objects; the answer are those that are still there.
    async fn delete(&self, targets: Vec<Target>) -> Result<Vec<ObjectId>, Stopped> {
        let (tenant, id) = (&self.pass.tenant, &self.pass.release);
        let deletion = apply::delete(tenant, id, &targets, Propagation::Background).await;
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
        let mut release = self.body_of(&record).await?;
        edit(&mut release);
        let labels = codec::secret_labels(&release, codec::WrittenAt::Modified(self.now));
        let change =
            Change { labels: label_changes(&record.labels, &labels), progress, body: Some(encode(&release, 0)?) };
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.release, &record, change).await?;
        self.memory.remember_summary(&changed, release.summary());
        Ok(())
    }

    async fn set_progress(&mut self, record: &Record, progress: Option<&Progress>) -> Result<Record, ClusterError> {
        let change = Change { progress: Some(progress.map(Progress::encode)), ..Change::default() };
        let body = self.memory.body(record);
        let summary = self.memory.summary(record).cloned();
        let changed = self.shell.store.change(&self.pass.tenant, &self.pass.release, record, change).await?;
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

    /// Lets the API server judge every object before the first one is written. A rollback is judged only where the spec
    /// asks for it: otherwise as much of it is written as can be.
    async fn rehearse(&self, targets: &[Target], standings: &[Standing]) -> Result<(), Stopped> {
        let taken = apply::rehearse(&self.pass.tenant, targets, standings, self.conflicts()).await?;
        if taken.is_empty() {
            return Ok(());
        }
        let list: Vec<_> =
            taken.iter().map(|taken| format!("{} of {} by {}", taken.field, taken.object, taken.manager)).collect();
        let message = format!(
            "fields are owned by others: {}; give them up there, or set conflicts: force to take them over",
            list.join(", ")
        );
        Err(failure(FailureClass::Refused, "FieldConflict", message).into())
    }

    fn conflicts(&self) -> apply::Conflicts {
        match self.pass.policy.conflicts {
            Conflicts::Force => apply::Conflicts::Force,
            Conflicts::Fail => apply::Conflicts::Fail,
        }
    }

    async fn body(&mut self, revision: Revision) -> Result<Release, Stopped> {
        let record = self.record(revision)?.clone();
        self.body_of(&record).await
    }

    async fn body_of(&mut self, record: &Record) -> Result<Release, Stopped> {
        Ok(observe::body(self.shell, self.pass, self.memory, record).await?)
    }

    fn record(&self, revision: Revision) -> Result<&'a Record, Stopped> {
        self.observation.record(revision).ok_or_else(|| gone(revision))
    }

    fn entry(&self, revision: Revision) -> Result<&'a Entry, Stopped> {
        self.observation.observed.history.get(revision).ok_or_else(|| gone(revision))
    }

    fn progress(&self, revision: Revision) -> Result<Progress, Stopped> {
        self.entry(revision)?.progress.clone().ok_or_else(|| gone(revision))
    }
}

/// Templates and the API server quote what they do not like, and that may be a value from a Secret.
fn masked(pass: &Pass<'_>, failure: Failure) -> Failure {
    match &pass.resolution {
        Some(resolution) => Failure { message: mask::text(&failure.message, &resolution.secrets), ..failure },
        None => failure,
    }
}

fn gone(revision: Revision) -> Stopped {
    failure(FailureClass::Transient, "WriteConflict", format!("revision {revision} is not what it was")).into()
}

/// A record grows when its revision fails, by the cause and its log lines. One that had no room for them could never be
/// marked failed, so it is not begun.
const GROWTH_BYTES: usize = 8 * 1024;

fn encode(release: &Release, room_bytes: usize) -> Result<Vec<u8>, Stopped> {
    let bytes = codec::encode(release);
    codec::check_size(release, bytes.len() + room_bytes)
        .map_err(|problem| super::error::input("RecordTooLarge", &problem))?;
    Ok(bytes)
}

/// What to send so that one set of labels becomes the other.
fn label_changes(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
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
