//! What is seen of one release: its history, and the health of its newest revision's objects.
//!
//! Nothing is written here. In the steady state nothing is asked either: histories and objects come from the shared
//! watches, and what a record says beyond its labels from memory or from the status we wrote.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::error::{failure, of_cluster};
use super::hooks;
use super::memory::{Memory, Pods};
use super::resolve::secrets_of_object;
use super::{Pass, Shell};
use crate::api::helm_release::{HelmReleaseStatus, RevisionStatus};
use crate::api::summarize;
use crate::cluster::apply::{self, Target};
use crate::cluster::error::Answer;
use crate::cluster::flux;
use crate::cluster::live::{self, View};
use crate::cluster::references;
use crate::cluster::store::Record;
use crate::manifest;
use crate::manifest::id::ObjectId;
use crate::plan::health::{self, Health, Live, Stage};
use crate::plan::rules::Wait;
use crate::plan::{Failure, FailureClass, Observed};
use crate::release::digest::Fingerprint;
use crate::release::history::{Entry, History};
use crate::release::progress::Phase;
use crate::release::{ChartVersion, Info, Release, ReleaseSummary, Revision, Status, codec, progress};

/// A look at Pods costs a request a workload, so the first waits for those that start at once.
const PODS_AFTER: Duration = Duration::from_secs(3);
/// An upgrade that crash-loops is to be rolled back soon; a first install waits crash loops out.
const PODS_OF_UPGRADE_AFTER: Duration = Duration::from_secs(1);
/// How long a pass waits for a watch that was just opened.
const IN_STEP_WITHIN: Duration = Duration::from_secs(5);

/// Whether a history known from the watch is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// For deciding whether there is something to do.
    Watched,
    /// For writing: read from storage now.
    Stored,
}

/// What is seen, with the records behind it.
pub(super) struct Observation {
    pub(super) observed: Observed,
    pub(super) records: Vec<Record>,
    /// The objects of the newest revision, where they could be told.
    pub(super) inventory: Option<Arc<Vec<Target>>>,
}

impl Observation {
    /// Nothing could be seen.
    pub(super) fn blind() -> Self {
        Observation { observed: Observed::nothing(), records: Vec::new(), inventory: None }
    }

    pub(super) fn record(&self, revision: Revision) -> Option<&Record> {
        self.records.iter().find(|record| record.revision == revision)
    }
}

/// Looks.
pub(super) async fn observe(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    freshness: Freshness,
    now: Timestamp,
) -> Result<Observation, Failure> {
    let records = match freshness {
        Freshness::Watched => shell.store.history(&pass.records),
        Freshness::Stored => {
            let fresh = shell.store.fresh_history(&pass.tenant, &pass.records).await;
            fresh.map_err(|problem| of_cluster(&problem))?
        }
    };
    memory.note_records(&records);
    let mut entries = Vec::with_capacity(records.len());
    let newest = records.last().map(|record| record.revision);
    for record in &records {
        entries.push(entry(shell, pass, memory, record, Some(record.revision) == newest).await?);
    }
    let mislabelled = mislabelled(&records, &entries);
    let history: History = entries.into_iter().collect();
    if let Some((revision, progress)) = history.newest().and_then(|it| Some((it.revision(), it.progress.as_ref()?))) {
        memory.taken = Some((revision, progress.taken.clone()));
        memory.hook_output = Some((revision, progress.hooks.output.clone()));
    }
    let owners = [&pass.release, &pass.records].into_iter().filter_map(|claimed| shell.objects.owner(claimed));
    let mut rival = owners.filter(|owner| owner != pass.key).map(|owner| format!("HelmRelease {owner}")).next();
    if rival.is_none() && freshness == Freshness::Stored {
        rival = rival_of_flux(shell, pass).await;
    }

    let failed_attempt = memory.failed_attempt.clone();
    let mut observed = Observed { history, rival, failed_attempt, mislabelled, ..Observed::nothing() };
    observed.comparison = memory.comparison;
    let mut inventory = None;
    let hook = match observed.rival {
        None => hooks::under_way(shell, &observed.history).await?,
        Some(_) => None,
    };
    if observed.rival.is_none() && runs(&observed.history) {
        let targets = inventory_of(shell, pass, memory, &records, &observed.history).await?;
        let followed: Vec<Target> = targets.iter().chain(&hook).cloned().collect();
        shell.live.follow(&pass.release, &followed);
        shell.live.in_step(&pass.release, IN_STEP_WITHIN).await;
        observed.health = health_of(shell, pass, memory, &targets, &observed.history, now).await;
        inventory = Some(targets);
    } else if let Some(hook) = &hook {
        shell.live.follow(&pass.release, std::slice::from_ref(hook));
        shell.live.in_step(&pass.release, IN_STEP_WITHIN).await;
    } else if !hooks::come_next(&observed.history) {
        shell.live.unfollow(&pass.release);
        memory.inventory = None;
    }
    if let Some(hook) = hook {
        observed.hook = hooks::state_of(shell, pass, memory, &hook, &observed.history, now).await?;
    }
    memory.unhealthy_since = match observed.health {
        Health::Healthy => None,
        Health::Progressing(_) | Health::Failed(_) => Some(memory.unhealthy_since.unwrap_or(now)),
    };
    observed.unhealthy_since = memory.unhealthy_since;
    Ok(Observation { observed, records, inventory })
}

/// Two controllers on one release would undo each other for ever.
async fn rival_of_flux(shell: &Shell, pass: &Pass<'_>) -> Option<String> {
    match flux::owner(shell.clients.controller(), &shell.discovery, &pass.records).await {
        Ok(owner) => owner.map(|owner| format!("the HelmRelease {owner} of Flux")),
        Err(problem) => {
            tracing::warn!(error = %crate::text::chain(&problem), "cannot tell whether Flux owns the release");
            None
        }
    }
}

/// Whether the newest revision has objects in the cluster to look at.
fn runs(history: &History) -> bool {
    history.newest().is_some_and(|newest| match newest.status() {
        // As long as its first hooks run, none of its objects is there.
        Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => {
            newest.progress.as_ref().is_none_or(|progress| progress.phase != Phase::Before)
        }
        Status::Deployed => true,
        // What a failed upgrade left is about to be rolled back; what a failed install left, deleted, or looked at.
        Status::Failed => {
            let left = newest.progress.as_ref().is_some_and(|progress| progress.phase == Phase::GivenUp);
            history.stands() || left
        }
        Status::Unknown | Status::Uninstalled | Status::Superseded | Status::Uninstalling => false,
    })
}

/// What a record says, from memory, from our own status, or from its body.
async fn entry(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    record: &Record,
    is_newest: bool,
) -> Result<Entry, Failure> {
    let annotations: BTreeMap<String, String> =
        record.progress.iter().map(|text| (progress::ANNOTATION.to_owned(), text.clone())).collect();
    if let Some(summary) = memory.summary(record) {
        return Ok(Entry::new(summary.clone(), &record.labels, &annotations));
    }
    let summary = match told_by_status(pass, record).filter(|_| !memory.was_changed(record)) {
        Some(summary) => summary,
        None => match body(shell, pass, memory, record).await {
            Ok(release) => release.summary(),
            // An old record that nobody can read harms nobody; the newest one decides everything.
            Err(problem) if !is_newest && problem.class != FailureClass::Transient => unreadable(pass, record),
            Err(problem) => return Err(problem),
        },
    };
    memory.remember_summary(record, summary.clone());
    Ok(Entry::new(summary, &record.labels, &annotations))
}

/// Revisions whose labels tell another status than their records: somebody edited one of the two, and Helm searches by
/// labels. A record that cannot be read tells nothing.
fn mislabelled(records: &[Record], entries: &[Entry]) -> Vec<Revision> {
    let pairs = records.iter().zip(entries);
    let wrong = pairs.filter(|(record, entry)| record.status != entry.status() && entry.status() != Status::Unknown);
    wrong.map(|(record, _)| record.revision).collect()
}

/// Our status lists the revisions as we saw them last; where labels say the same, the body need not be read.
fn told_by_status(pass: &Pass<'_>, record: &Record) -> Option<ReleaseSummary> {
    let status: &HelmReleaseStatus = pass.object.status.as_ref()?;
    let told = status.history.iter().find(|told| told.revision == record.revision.0)?;
    let entry = |summary| Entry::new(summary, &record.labels, &BTreeMap::new());
    let summary = summary_of(pass, record, told);
    let marks = entry(summary.clone()).marks;
    let fingerprint = told.fingerprint.as_deref().and_then(Fingerprint::decode);
    let same = told.status == record.status.as_str()
        && fingerprint == marks.fingerprint
        // A record of somebody else can change without its labels telling.
        && fingerprint.is_some()
        && !record.status.is_pending()
        // How a revision came to be deployed is told by this condition alone, and not while something else goes on.
        && (record.status != Status::Deployed || released(status).is_some());
    same.then_some(summary)
}

fn summary_of(pass: &Pass<'_>, record: &Record, told: &RevisionStatus) -> ReleaseSummary {
    ReleaseSummary {
        id: pass.release.clone(),
        revision: record.revision,
        info: Info {
            last_deployed: told.deployed_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok()).map(Into::into),
            description: told_description(pass, told),
            status: record.status,
            rollback_revision: told.rollback_of.map(Revision),
            ..Info::default()
        },
        chart: ChartVersion {
            name: told.chart.clone(),
            version: told.version.clone(),
            app_version: told.app_version.clone(),
        },
        apply_method: None,
    }
}

/// Of what Helm's history says of a revision the status repeats causes; of the rest it shows the first install.
fn told_description(pass: &Pass<'_>, told: &RevisionStatus) -> String {
    let installed = pass.object.status.as_ref().and_then(released) == Some(summarize::INSTALL_SUCCEEDED);
    match &told.cause {
        Some(cause) => cause.clone(),
        None if installed && told.revision == 1 => summarize::INSTALL_COMPLETE.to_owned(),
        None => String::new(),
    }
}

/// How what is deployed came to be, where the status tells.
fn released(status: &HelmReleaseStatus) -> Option<&str> {
    let condition = status.conditions.iter().find(|it| it.type_ == "Released" && it.status == "True");
    condition.map(|it| it.reason.as_str())
}

fn unreadable(pass: &Pass<'_>, record: &Record) -> ReleaseSummary {
    ReleaseSummary {
        id: pass.release.clone(),
        revision: record.revision,
        info: Info { description: "the record cannot be read".to_owned(), ..Info::default() },
        chart: ChartVersion::default(),
        apply_method: None,
    }
}

/// The whole record of a revision, from memory where it is the one under way.
pub(super) async fn body(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    record: &Record,
) -> Result<Release, Failure> {
    let unreadable = |problem: &(dyn std::error::Error + 'static)| {
        let secret = codec::secret_name(&pass.release.name, record.revision);
        let (namespace, problem) = (&pass.records.namespace, crate::text::chain(problem));
        let message = format!("Secret {namespace}/{secret} cannot be read: {problem}; restore or delete it");
        failure(FailureClass::Refused, "RecordUnreadable", message)
    };
    let bytes = match memory.body(record) {
        Some(bytes) => bytes,
        None => {
            let read = shell.store.body(&pass.tenant, &pass.records, record.revision).await;
            let bytes = read.map_err(|problem| match &problem.answer {
                answer @ Answer::Invalid { .. } => unreadable(answer),
                _ => of_cluster(&problem),
            })?;
            let bytes: Arc<[u8]> = bytes.1.into();
            if record.status.is_pending() {
                memory.remember_body(record, bytes.clone());
            }
            bytes
        }
    };
    let mut release = codec::decode(&bytes).map_err(|problem| unreadable(&problem))?;
    release.labels.clone_from(&record.labels);
    Ok(release)
}

/// The objects of the newest revision: from memory, from the status, or from the stored manifest.
async fn inventory_of(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    records: &[Record],
    history: &History,
) -> Result<Arc<Vec<Target>>, Failure> {
    let newest = history.newest().expect("a release that runs has a newest revision");
    if let Some((revision, targets)) = &memory.inventory
        && *revision == newest.revision()
    {
        return Ok(targets.clone());
    }
    let status = pass.object.status.as_ref();
    let told = status.filter(|status| {
        let same = status.history.first().is_some_and(|first| first.revision == newest.revision().0);
        same && newest.is_ours() && !newest.status().is_pending() && !status.inventory.is_empty()
    });
    let targets = match told {
        Some(status) => {
            let ids: Vec<ObjectId> = status.inventory.iter().map(Into::into).collect();
            let targets = apply::targets_of_ids(&shell.discovery, &ids).await;
            targets.map_err(|problem| of_cluster(&problem))?
        }
        None => {
            let record = records.last().expect("records and history have the same revisions");
            let release = body(shell, pass, memory, record).await?;
            targets_of(shell, pass, &release).await?
        }
    };
    let targets = Arc::new(without_bodies(targets));
    memory.inventory = Some((newest.revision(), targets.clone()));
    Ok(targets)
}

/// The objects of a stored manifest, ready to be written again.
pub(super) async fn targets_of(shell: &Shell, pass: &Pass<'_>, release: &Release) -> Result<Vec<Target>, Failure> {
    let objects = manifest::parse(&release.manifest)
        .map_err(|problem| failure(FailureClass::Refused, "RecordUnreadable", crate::text::chain(&problem)))?;
    let contents = objects.into_iter().map(|object| object.content).collect();
    apply::targets(&shell.discovery, &pass.release, contents).await.map_err(|problem| of_cluster(&problem))
}

/// Following objects takes their identity and kind only.
pub(super) fn without_bodies(targets: Vec<Target>) -> Vec<Target> {
    targets.into_iter().map(|target| Target { body: Value::Null, ..target }).collect()
}

async fn health_of(
    shell: &Shell,
    pass: &Pass<'_>,
    memory: &mut Memory,
    targets: &[Target],
    history: &History,
    now: Timestamp,
) -> Health {
    let newest = history.newest().expect("a release that runs has a newest revision");
    let stage = match (&newest.progress, newest.status()) {
        (Some(progress), status) if status.is_pending() => Stage::Rollout {
            started: progress.started,
            install: status == Status::PendingInstall,
            fail_fast: pass.policy.fail_fast,
        },
        _ => Stage::Running,
    };
    let is_overdue =
        newest.status().is_pending() && newest.progress.as_ref().is_some_and(|progress| progress.deadline <= now);
    let mut objects = HashMap::new();
    let ignores_jobs = pass.policy.rules.wait(newest.status()) == Wait::ExceptJobs;
    for target in targets {
        if ignores_jobs && target.id.kind == "Job" && target.id.group == "batch" {
            continue;
        }
        let object = match shell.live.view(&target.id) {
            View::Seen(Some(object)) if !is_overdue => Some(object),
            // Read with the release's own rights: where there is no watch, where somebody may only have taken the label
            // that the watch selects, and before an attempt is given up because nothing was heard.
            View::Seen(_) | View::NotYet | View::Unwatched => match live::read(&pass.tenant, target).await {
                Ok(object) => object.map(Arc::new),
                Err(problem) => {
                    // What cannot be seen is not called unwell.
                    tracing::debug!(object = %target.id, error = %crate::text::chain(&problem), "object not read");
                    continue;
                }
            },
        };
        objects.insert(target.id.clone(), object);
    }

    let judge = |id: &ObjectId, object: Option<&Value>, pods: &[Value], binds_at_first_use: bool| {
        health::health(Live { id, object, pods, binds_at_first_use }, stage, now)
    };
    let mut parts = Vec::with_capacity(targets.len());
    let mut unready = Vec::new();
    for target in targets {
        let Some(object) = objects.get(&target.id) else { continue };
        let part = judge(&target.id, object.as_deref(), &[], false);
        if part != Health::Healthy {
            unready.push(target);
        }
        parts.push((target, part));
    }
    if unready.is_empty() {
        memory.pods = Pods::default();
        return Health::Healthy;
    }
    look_at_pods(pass, memory, &unready, &objects, stage, now).await;
    let mut healths = Vec::with_capacity(parts.len());
    for (target, part) in parts {
        let object = objects.get(&target.id).and_then(|object| object.as_deref());
        let pods = memory.pods.of.get(&target.id).map(Vec::as_slice).unwrap_or_default();
        let claim = part != Health::Healthy && target.id.kind == "PersistentVolumeClaim";
        let binds_at_first_use = claim && binds_at_first_use(shell, pass, object).await;
        healths.push(match pods.is_empty() && !binds_at_first_use {
            true => part,
            false => judge(&target.id, object, pods, binds_at_first_use),
        });
    }
    health::overall(healths)
}

/// Reads the Pods of workloads that are not ready, once in a while.
async fn look_at_pods(
    pass: &Pass<'_>,
    memory: &mut Memory,
    unready: &[&Target],
    objects: &HashMap<ObjectId, Option<Arc<Value>>>,
    stage: Stage,
    now: Timestamp,
) {
    let (since, first_after) = match stage {
        Stage::Rollout { started, install: true, .. } => (Some(started), PODS_AFTER),
        Stage::Rollout { started, install: false, .. } => (Some(started), PODS_OF_UPGRADE_AFTER),
        Stage::Running => (memory.unhealthy_since, PODS_AFTER),
    };
    let waited = since.map_or(jiff::SignedDuration::ZERO, |since| now.duration_since(since));
    let waited = Duration::try_from(waited).unwrap_or_default();
    if waited < first_after || memory.pods.at.is_some_and(|at| at.elapsed() < look_again_after(waited)) {
        return;
    }
    memory.pods = Pods { at: Some(Instant::now()), of: HashMap::new() };
    for target in unready {
        let object = objects.get(&target.id).and_then(|object| object.as_deref());
        let Some(selector) = object.and_then(|object| object.pointer("/spec/selector")) else { continue };
        if !matches!((target.id.group.as_str(), target.id.kind.as_str()), ("apps" | "batch", _)) {
            continue;
        }
        match live::pods(&pass.tenant, &target.id.namespace, selector).await {
            Ok(pods) => {
                memory.pods.of.insert(target.id.clone(), pods);
            }
            Err(problem) => {
                tracing::debug!(object = %target.id, error = %crate::text::chain(&problem), "pods not read")
            }
        }
    }
}

/// The longer a rollout takes, the less often its Pods are news.
pub(super) fn look_again_after(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

async fn binds_at_first_use(shell: &Shell, pass: &Pass<'_>, claim: Option<&Value>) -> bool {
    let class = claim.and_then(|claim| claim.pointer("/spec/storageClassName")).and_then(Value::as_str);
    let Some(class) = class.filter(|class| !class.is_empty()) else { return false };
    let (version, kind) = ("storage.k8s.io/v1", "StorageClass");
    let read = references::lookup(&pass.tenant, &shell.discovery, version, kind, "", class).await;
    read.is_ok_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer")
}

/// The texts that a release's Secrets hold, from the values and from the rendered objects.
pub(super) fn secrets_of(release: &Release) -> Vec<String> {
    let mut secrets = Vec::new();
    let texts = release.hooks.iter().map(|hook| &hook.manifest).chain([&release.manifest]);
    for object in texts.flat_map(|text| manifest::parse(text).unwrap_or_default()) {
        secrets_of_object(&object.content, &mut secrets);
    }
    secrets
}
