//! One pass over one GitSync: fetch, read, apply, prune, write down.
//!
//! Decisions are [`super::order`]'s and words [`super::status`]'s; here is what asks and changes the cluster, always with
//! the rights of the GitSync's own ServiceAccount, except for the GitSync object itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use super::files::{self, Document, Reading, error_about};
use super::order::{Fate, Ownership, Permission, Prune, Stage};
use super::spec::{self, Wanted};
use super::status::{self, Report, Verdict};
use super::{Context, FIELD_MANAGER, Key, Memory, Next, Round, order};
use crate::api::git_sync::{DeletionPolicy, SyncError};
use crate::api::{FINALIZER, GitSync, GitSyncStatus, conditions};
use crate::chart::source_ref::Credentials;
use crate::cluster::apply::Target;
use crate::cluster::error::{Answer, Error as ClusterError};
use crate::cluster::events::News;
use crate::cluster::identity::{Account, ServiceAccount, TenantClient};
use crate::cluster::objects::{self, Written};
use crate::cluster::own::{self, Part};
use crate::cluster::references::{self, Reference, ReferenceKind};
use crate::manifest::id::{ObjectId, Scope};
use crate::source::{Category, Content, Error as SourceError, Resolved, Tree};
use crate::text::chain;

/// Requests of one GitSync in flight; the gate of the clients bounds those of all.
const CONCURRENCY: usize = 8;
/// How long new kinds may take to be served.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);
const ESTABLISH_POLL: Duration = Duration::from_millis(200);
/// How long one pass watches objects go before it leaves the rest to the next.
const PRUNE_PATIENCE: Duration = Duration::from_secs(3);
const PRUNE_POLL: Duration = Duration::from_millis(250);
/// The pause after a failure that passes by itself; doubled with each in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// The pause while objects are waited for; doubled with each pass in a row.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(15);
/// An answer this much of the interval old is new enough: the alarm rings a little before and after it.
const FRESH_PART: f64 = 0.9;

/// Brings the cluster to what a GitSync asks for, as far as one pass can, and writes its status.
///
/// `is_alive` says of another GitSync's mark (`namespace/name`) whether that GitSync still exists: what a deleted one left
/// behind may be taken over.
///
/// # Errors
/// Writes to the GitSync itself that failed; everything else is part of its status.
pub async fn reconcile_git_sync(
    context: &Context,
    object: &GitSync,
    memory: &mut Memory,
    is_alive: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Next, ClusterError> {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    if memory.uid != uid {
        *memory = Memory { uid, ..Memory::default() };
    }
    let previous = match &memory.written {
        // Newer than what the watch has shown: nobody else writes it.
        Some(written) => written.clone(),
        None => object.status.clone().unwrap_or_default(),
    };
    let pass = Pass { context, key: Key::of(object), object, previous, is_alive };
    if object.metadata.deletion_timestamp.is_some() {
        return pass.end(memory).await;
    }
    pass.claim().await?;
    let report = pass.report(memory).await?;
    pass.record(memory, &report).await?;
    Ok(pass.next(memory, &report.verdict))
}

struct Pass<'a> {
    context: &'a Context,
    key: Key,
    object: &'a GitSync,
    /// The status as it is before this pass.
    previous: GitSyncStatus,
    is_alive: &'a (dyn Fn(&str) -> bool + Sync),
}

/// A document with the identity that the cluster knows it by.
struct Planned<'r> {
    document: &'r Document,
    id: ObjectId,
}

/// What became of one document.
enum Fared {
    Applied,
    /// It is still going from an earlier time.
    Going,
    Failed {
        error: SyncError,
        passes: bool,
        foreign: bool,
    },
}

/// How far applying came.
#[derive(Default)]
struct Applied {
    written: Vec<ObjectId>,
    going: Vec<ObjectId>,
    foreign: BTreeSet<ObjectId>,
    errors: Vec<SyncError>,
    passes: bool,
}

impl Pass<'_> {
    async fn report(&self, memory: &mut Memory) -> Result<Report, ClusterError> {
        if self.object.spec.suspend {
            return Ok(self.about(None, Verdict::Suspended));
        }
        let wanted = match spec::wanted(self.object) {
            Ok(wanted) => wanted,
            Err(errors) => return Ok(self.unusable("InvalidSpec", errors.to_string())),
        };
        match tokio::time::timeout(wanted.timeout, self.work(&wanted, memory)).await {
            Ok(report) => report,
            Err(_) => {
                let message =
                    format!("not finished within {}s (spec.timeout); it goes on soon", wanted.timeout.as_secs());
                Ok(self.about(None, Verdict::TimedOut { message }))
            }
        }
    }

    async fn work(&self, wanted: &Wanted, memory: &mut Memory) -> Result<Report, ClusterError> {
        let tenant = match self.tenant() {
            Ok(tenant) => tenant,
            Err(message) => return Ok(self.unusable("InvalidSpec", message)),
        };
        let credentials = match self.credentials(wanted, &tenant).await {
            Ok(credentials) => credentials,
            Err(verdict) => return Ok(self.about(None, verdict)),
        };
        let generation = self.generation();
        let is_asked = spec::is_asked(self.object);
        let is_new = self.previous.observed_generation != Some(generation);
        let fresh = wanted.interval.mul_f64(FRESH_PART);
        let max_age = if is_asked || is_new { Duration::ZERO } else { fresh };
        let resolved = match self.context.sources.resolve(&wanted.source, &credentials, max_age).await {
            Ok(resolved) => resolved,
            Err(error) => return Ok(self.source_failed(&error)),
        };
        let commit = resolved.revision.clone();

        let mut inventory: Vec<ObjectId> = self.previous.inventory.iter().map(ObjectId::from).collect();
        let is_applied = memory.round.as_ref().is_some_and(|round| {
            round.generation == generation && round.commit == commit && round.at.elapsed() < fresh && !is_asked
        });
        if !is_applied {
            memory.round = None;
            let reading = match self.read(wanted, &credentials, &resolved).await {
                Ok(reading) => reading,
                Err(error) => return Ok(self.source_failed(&error)),
            };
            let objects = match self.apply_commit(wanted, memory, &tenant, &commit, &reading, &mut inventory).await? {
                Ok(objects) => objects,
                Err(verdict) => {
                    return Ok(Report { inventory: Some(inventory), ..self.about(Some(commit), verdict) });
                }
            };
            memory.round = Some(Round { generation, commit: commit.clone(), at: Instant::now(), objects });
        }
        let objects = memory.round.as_ref().map(|round| round.objects.clone()).unwrap_or_default();
        let permission = match spec::confirms(self.object, &commit) {
            true => Permission::Given,
            false => Permission::UpToHalfOf(inventory.len()),
        };
        let verdict = match self.prune(&tenant, &objects, &mut inventory, permission).await {
            Some(verdict) => verdict,
            None => Verdict::Complete { applied: objects.len() },
        };
        Ok(Report { inventory: Some(inventory), ..self.about(Some(commit), verdict) })
    }

    /// Reads the commit's files.
    async fn read(
        &self,
        wanted: &Wanted,
        credentials: &Credentials,
        resolved: &Resolved,
    ) -> Result<Reading, SourceError> {
        let artifact = self.context.sources.fetch(&wanted.source, credentials, resolved).await?;
        let none = Tree::default();
        let tree = match &artifact.content {
            Content::Tree(tree) => tree,
            Content::Archive(_) => &none,
        };
        Ok(files::read(tree, &wanted.path, &wanted.ignore))
    }

    /// Applies what can be applied of a commit; gives what the commit wants to be there, or why it is not all there.
    async fn apply_commit(
        &self,
        wanted: &Wanted,
        memory: &mut Memory,
        tenant: &TenantClient,
        commit: &str,
        reading: &Reading,
        inventory: &mut Vec<ObjectId>,
    ) -> Result<Result<BTreeSet<ObjectId>, Verdict>, ClusterError> {
        let Reading { documents, errors, charts } = reading;
        if documents.is_empty() && errors.is_empty() {
            let message = match charts.first() {
                Some(chart) => format!("what is there belongs to a chart ({chart}), which only a HelmRelease applies"),
                None => "no .yaml, .yml or .json file is there that is not hidden or ignored".into(),
            };
            return Ok(Err(Verdict::Empty { message }));
        }
        let (planned, mut errors) = match self.plan(wanted, documents).await {
            Ok((planned, doubled)) => (planned, [errors.as_slice(), &doubled].concat()),
            Err(error) => {
                let error = SyncError { message: chain(&error), ..SyncError::default() };
                return Ok(Err(Verdict::Incomplete { errors: vec![error], applied: 0, passes: true }));
            }
        };
        let objects: BTreeSet<ObjectId> = planned.iter().map(|planned| planned.id.clone()).collect();
        self.intend(memory, commit, &objects, inventory).await?;
        let applied = self.apply(tenant, planned).await;

        let known: BTreeSet<ObjectId> =
            inventory.iter().chain(&applied.written).chain(&applied.going).cloned().collect();
        *inventory = known.difference(&applied.foreign).cloned().collect();
        errors.extend(applied.errors);
        errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if !errors.is_empty() {
            let verdict = Verdict::Incomplete { errors, applied: applied.written.len(), passes: applied.passes };
            return Ok(Err(verdict));
        }
        if !applied.going.is_empty() {
            return Ok(Err(Verdict::Returning { going: applied.going }));
        }
        Ok(Ok(objects))
    }

    /// Finds the identity of each document, and takes out those that stand for the same object as another.
    async fn plan<'r>(
        &self,
        wanted: &Wanted,
        documents: &'r [Document],
    ) -> Result<(Vec<Planned<'r>>, Vec<SyncError>), ClusterError> {
        let kinds = self.context.discovery.kinds().await?;
        let defined = scopes_defined(documents);
        let scope_of = |document: &Document| {
            let api_version = document.object["apiVersion"].as_str().unwrap_or_default();
            let served = kinds.get(api_version, &document.id.kind).map(|kind| kind.scope);
            let defined = defined.get(&(document.id.group.as_str(), document.id.kind.as_str())).copied();
            served.or(defined).unwrap_or(Scope::Namespaced)
        };
        let planned: Vec<Planned<'r>> = documents
            .iter()
            .map(|document| Planned {
                document,
                id: document.id.clone().with_scope(scope_of(document), &wanted.namespace),
            })
            .collect();
        let doubled = order::duplicates(planned.iter().map(|planned| &planned.id));
        let errors = doubled.iter().map(|(index, other)| {
            let Planned { document, id } = &planned[*index];
            let Document { file, line, .. } = planned[*other].document;
            error_about(document, id, format!("{id} is in {file}:{line} as well; neither is applied"))
        });
        let errors = errors.collect();
        let single = planned.into_iter().enumerate().filter(|(index, _)| !doubled.contains_key(index));
        Ok((single.map(|(_, planned)| planned).collect(), errors))
    }

    /// Writes down what is about to be applied, so that nothing is ever applied and forgotten.
    async fn intend(
        &self,
        memory: &mut Memory,
        commit: &str,
        objects: &BTreeSet<ObjectId>,
        inventory: &[ObjectId],
    ) -> Result<(), ClusterError> {
        let known: BTreeSet<ObjectId> = inventory.iter().cloned().collect();
        let is_another = self.previous.attempted_commit.as_deref() != Some(commit)
            || self.previous.observed_generation != Some(self.generation());
        if !is_another && objects.is_subset(&known) {
            return Ok(());
        }
        let report = Report {
            inventory: Some(known.union(objects).cloned().collect()),
            ..self.about(Some(commit.to_owned()), Verdict::Applying)
        };
        self.write(memory, &report).await.map(|_| ())
    }

    async fn apply(&self, tenant: &TenantClient, planned: Vec<Planned<'_>>) -> Applied {
        let mut applied = Applied::default();
        for part in order::install_order(planned, |planned| &planned.id) {
            let stage = Stage::of(&part[0].id);
            let writes: Vec<_> = part.iter().map(|planned| self.apply_one(tenant, planned, stage)).collect();
            let fared: Vec<Fared> = stream::iter(writes).buffered(CONCURRENCY).collect().await;
            for (planned, fared) in part.iter().zip(fared) {
                let id = planned.id.clone();
                match fared {
                    Fared::Applied => applied.written.push(id),
                    Fared::Going => applied.going.push(id),
                    Fared::Failed { error, passes, foreign } => {
                        applied.errors.push(error);
                        applied.passes |= passes;
                        if foreign {
                            applied.foreign.insert(id);
                        }
                    }
                }
            }
            // A server in trouble is not asked for each of a thousand objects.
            if applied.passes {
                break;
            }
        }
        applied
    }

    async fn apply_one(&self, tenant: &TenantClient, planned: &Planned<'_>, stage: Stage) -> Fared {
        let Planned { document, id } = planned;
        let failed = |message: String, passes, foreign| Fared::Failed {
            error: error_about(document, id, message),
            passes,
            foreign,
        };
        match self.try_apply(tenant, document, id, stage).await {
            Ok(Ok(fared)) => fared,
            Ok(Err(owner)) => failed(format!("{id} belongs to GitSync {owner}"), false, true),
            Err(error) => failed(chain(&error), passes(&error), false),
        }
    }

    /// Applies a document unless another GitSync, which is returned, owns the object.
    async fn try_apply(
        &self,
        tenant: &TenantClient,
        document: &Document,
        id: &ObjectId,
        stage: Stage,
    ) -> Result<Result<Fared, String>, ClusterError> {
        let api_version = document.object["apiVersion"].as_str().unwrap_or_default();
        let kind = self.context.discovery.kind(api_version, &id.kind).await?;
        let mut body = document.object.clone();
        order::mark(&mut body, id, &self.key);
        let target = Target { id: id.clone(), kind, body };
        if let Some(seen) = objects::look(tenant, &target).await? {
            match order::ownership(&seen, &self.key) {
                Ownership::Other(owner) if (self.is_alive)(&owner) => return Ok(Err(owner)),
                Ownership::Other(_) | Ownership::Ours | Ownership::Nobody => {}
            }
            if seen.terminating {
                return Ok(Ok(Fared::Going));
            }
        }
        let written = objects::apply(tenant, &target, FIELD_MANAGER).await?;
        if stage == Stage::Definitions {
            self.establish(tenant, &target, written).await?;
        }
        Ok(Ok(Fared::Applied))
    }

    /// Waits until the kinds of a definition are served: what comes next may be of them.
    async fn establish(&self, tenant: &TenantClient, target: &Target, written: Written) -> Result<(), ClusterError> {
        let missing = kinds_defined(&target.body);
        let discovery = &self.context.discovery;
        let mut kinds = discovery.kinds().await?;
        let is_served = |kinds: &crate::cluster::discovery::Kinds| {
            missing.iter().all(|(api_version, kind)| kinds.get(api_version, kind).is_some())
        };
        if written == Written::Present && is_served(&kinds) {
            return Ok(());
        }
        let began = Instant::now();
        while !(objects::has_condition(tenant, target, "Established").await? && is_served(&kinds)) {
            if began.elapsed() > ESTABLISH_TIMEOUT {
                let message = format!("its kind is not served after {}s", ESTABLISH_TIMEOUT.as_secs());
                return Err(ClusterError {
                    action: "establish",
                    object: target.id.to_string(),
                    answer: Answer::Transient { message, retry_after: None },
                });
            }
            tokio::time::sleep(ESTABLISH_POLL).await;
            kinds = discovery.refresh().await?;
        }
        Ok(())
    }

    /// Deletes what is in the inventory and not wanted. `None` when nothing of it is left.
    async fn prune(
        &self,
        tenant: &TenantClient,
        objects: &BTreeSet<ObjectId>,
        inventory: &mut Vec<ObjectId>,
        permission: Permission,
    ) -> Option<Verdict> {
        let began = Instant::now();
        loop {
            match self.prune_once(tenant, objects, inventory, permission).await {
                Ok(None) => return None,
                Ok(Some(Verdict::Pruning { .. })) if began.elapsed() < PRUNE_PATIENCE => {
                    tokio::time::sleep(PRUNE_POLL).await;
                }
                Ok(Some(verdict)) => return Some(verdict),
                Err(error) => return Some(Verdict::PruneFailed { message: chain(&error), passes: passes(&error) }),
            }
        }
    }

    async fn prune_once(
        &self,
        tenant: &TenantClient,
        objects: &BTreeSet<ObjectId>,
        inventory: &mut Vec<ObjectId>,
        permission: Permission,
    ) -> Result<Option<Verdict>, ClusterError> {
        let unwanted: Vec<ObjectId> = inventory.iter().filter(|id| !objects.contains(id)).cloned().collect();
        let candidates = self.fates(tenant, &unwanted).await?;
        for (id, fate, target) in &candidates {
            if let (Fate::Kept, Some(target)) = (fate, target) {
                info!(object = %id, "left in the cluster: pruning is disabled for it");
                objects::merge(tenant, target, &order::unmark(), FIELD_MANAGER).await?;
            }
        }
        let leaves = |fate: &Fate| matches!(fate, Fate::Gone | Fate::Foreign | Fate::Kept);
        let left: BTreeSet<&ObjectId> =
            candidates.iter().filter(|(_, fate, _)| leaves(fate)).map(|(id, _, _)| id).collect();
        inventory.retain(|id| !left.contains(id));
        let fates: Vec<(ObjectId, Fate)> = candidates.iter().map(|(id, fate, _)| (id.clone(), fate.clone())).collect();
        let (delete, wait) = match order::prune(&fates, permission) {
            Prune::Done => return Ok(None),
            Prune::Unconfirmed { count } => {
                return Ok(Some(Verdict::PruneToConfirm { count, of: inventory.len() }));
            }
            Prune::Step { delete, wait } => (delete, wait),
        };
        let deletes = delete.iter().filter_map(|index| match &candidates[*index] {
            (id, Fate::Standing { uid }, Some(target)) => Some(async move {
                info!(object = %id, "prunes");
                objects::delete(tenant, target, uid).await
            }),
            _ => None,
        });
        let deletes: Vec<_> = deletes.collect();
        let results: Vec<Result<(), ClusterError>> = stream::iter(deletes).buffered(CONCURRENCY).collect().await;
        results.into_iter().collect::<Result<(), ClusterError>>()?;
        let going = wait.iter().chain(&delete).map(|index| match &fates[*index] {
            (id, Fate::Terminating { finalizers }) => (id.clone(), finalizers.clone()),
            (id, _) => (id.clone(), Vec::new()),
        });
        Ok(Some(Verdict::Pruning { going: going.collect() }))
    }

    /// Looks at objects that may be pruned. One whose kind the cluster no longer serves went with its kind.
    async fn fates(
        &self,
        tenant: &TenantClient,
        ids: &[ObjectId],
    ) -> Result<Vec<(ObjectId, Fate, Option<Target>)>, ClusterError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let discovery = &self.context.discovery;
        let mut kinds = discovery.kinds().await?;
        if ids.iter().any(|id| kinds.preferred(&id.group, &id.kind).is_none()) {
            kinds = discovery.refresh().await?;
        }
        let looks = ids.iter().map(|id| {
            let kind = kinds.preferred(&id.group, &id.kind).cloned();
            async move {
                let Some(kind) = kind else { return Ok((id.clone(), Fate::Gone, None)) };
                let target = Target { id: id.clone(), kind, body: Value::Null };
                let seen = objects::look(tenant, &target).await?;
                Ok((id.clone(), order::fate(seen.as_ref(), &self.key), Some(target)))
            }
        });
        let looks: Vec<_> = looks.collect();
        let found: Vec<Result<_, ClusterError>> = stream::iter(looks).buffered(CONCURRENCY).collect().await;
        found.into_iter().collect()
    }

    /// The end of a GitSync that is being deleted.
    async fn end(&self, memory: &mut Memory) -> Result<Next, ClusterError> {
        if !self.has_finalizer() {
            return Ok(Next::WhenChanged);
        }
        if self.object.spec.deletion_policy == DeletionPolicy::Orphan || self.object.spec.suspend {
            info!(objects = self.previous.inventory.len(), "deleted; its objects stay");
            self.let_go().await?;
            return Ok(Next::WhenChanged);
        }
        let mut inventory: Vec<ObjectId> = self.previous.inventory.iter().map(ObjectId::from).collect();
        let verdict = match self.tenant() {
            Ok(tenant) => self.prune(&tenant, &BTreeSet::new(), &mut inventory, Permission::Given).await,
            Err(message) => Some(Verdict::PruneFailed { message, passes: false }),
        };
        let Some(verdict) = verdict else {
            info!("deleted, and its objects with it");
            self.let_go().await?;
            return Ok(Next::WhenChanged);
        };
        if matches!(verdict, Verdict::PruneFailed { passes: false, .. })
            && references::is_namespace_going(self.context.clients.controller(), &self.key.namespace).await
        {
            // The ServiceAccount goes with the namespace: nobody is left who could delete the rest.
            let left: Vec<String> = inventory.iter().map(ToString::to_string).collect();
            warn!(left = left.join(", "), "namespace deleted; objects stay");
            self.let_go().await?;
            return Ok(Next::WhenChanged);
        }
        let report =
            Report { inventory: Some(inventory), ..self.about(self.previous.attempted_commit.clone(), verdict) };
        self.record(memory, &report).await?;
        Ok(self.next(memory, &report.verdict))
    }

    /// Holds the GitSync back from being deleted before its objects, where they are to go with it.
    async fn claim(&self) -> Result<(), ClusterError> {
        let wants = self.object.spec.deletion_policy == DeletionPolicy::Prune;
        match (wants, self.has_finalizer()) {
            (true, false) => {
                let mut finalizers = self.object.finalizers().to_vec();
                finalizers.push(FINALIZER.to_owned());
                self.set_finalizers(finalizers).await
            }
            (false, true) => self.let_go().await,
            (true, true) | (false, false) => Ok(()),
        }
    }

    async fn let_go(&self) -> Result<(), ClusterError> {
        let others = self.object.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER);
        match self.set_finalizers(others.cloned().collect()).await {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        }
    }

    async fn set_finalizers(&self, finalizers: Vec<String>) -> Result<(), ClusterError> {
        // Guarded: another controller's finalizer that came meanwhile must not get lost.
        let version = &self.object.metadata.resource_version;
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
        self.patch(Part::Object, &patch).await
    }

    fn has_finalizer(&self) -> bool {
        self.object.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
    }

    async fn credentials(&self, wanted: &Wanted, tenant: &TenantClient) -> Result<Credentials, Verdict> {
        let Some(secret) = &self.object.spec.secret_ref else { return Ok(Credentials::Anonymous) };
        let reference =
            Reference { kind: ReferenceKind::Secret, namespace: self.key.namespace.clone(), name: secret.name.clone() };
        match references::read(tenant, &reference).await {
            Ok(Some(content)) => {
                Credentials::from_secret(&content.secret_type, &content.data, wanted.source.host()).map_err(|problem| {
                    Verdict::Unusable { reason: "InvalidSecret", message: format!("{reference}: {problem}") }
                })
            }
            Ok(None) => {
                let message = format!("{reference} does not exist");
                Err(Verdict::Unusable { reason: "SecretNotFound", message })
            }
            Err(error) => Err(Verdict::SourceFailed {
                reason: "SecretUnreadable",
                message: chain(&error),
                passes: passes(&error),
            }),
        }
    }

    fn tenant(&self) -> Result<TenantClient, String> {
        let spec = &self.object.spec;
        let named = spec.service_account_name.as_ref().or(self.context.options.default_service_account.as_ref());
        let account = match named {
            None => Account::Controller,
            Some(name) => ServiceAccount::parse(&self.key.namespace, name)
                .map(Account::ServiceAccount)
                .map_err(|problem| format!("spec.serviceAccountName: {problem}"))?,
        };
        Ok(self.context.clients.tenant(&account))
    }

    /// Writes the status and tells what is new.
    async fn record(&self, memory: &mut Memory, report: &Report) -> Result<(), ClusterError> {
        if report.verdict.is_failure() {
            self.context.metrics.sync_failure(report.verdict.reason());
        }
        let next = self.write(memory, report).await?;
        match report.verdict.passes() {
            true => memory.failures = memory.failures.saturating_add(1),
            false => memory.failures = 0,
        }
        match report.verdict.waits() {
            true => memory.waits = memory.waits.saturating_add(1),
            false => memory.waits = 0,
        }
        let Some(told) = status::told(&self.previous, &next, &report.verdict) else { return Ok(()) };
        info!(reason = told.reason, "{}", told.note);
        let Ok(tenant) = self.tenant() else { return Ok(()) };
        let news = News { warning: told.warning, reason: told.reason, action: "Sync".into(), note: told.note };
        self.context.events.publish(&tenant, &super::regarding(&self.key, &memory.uid), &news).await;
        Ok(())
    }

    /// Writes the status where it says something else than the last one written.
    async fn write(&self, memory: &mut Memory, report: &Report) -> Result<GitSyncStatus, ClusterError> {
        let last = memory.written.as_ref().unwrap_or(&self.previous);
        let next = status::status(&self.key, self.generation(), last, report, Timestamp::now());
        if next != *last {
            self.patch(Part::Status, &json!({"status": status::whole(&next)})).await?;
        }
        memory.ready = Some(conditions::ready(&next.conditions));
        memory.written = Some(next.clone());
        Ok(next)
    }

    async fn patch(&self, part: Part, patch: &Value) -> Result<(), ClusterError> {
        let client = self.context.clients.controller();
        own::patch::<GitSync, IgnoredAny>(client, &self.key.namespace, &self.key.name, part, patch).await.map(|_| ())
    }

    fn next(&self, memory: &Memory, verdict: &Verdict) -> Next {
        let interval = spec::wanted(self.object).map_or(BACKOFF_MAX, |wanted| wanted.interval);
        let after = if verdict.passes() {
            doubled(BACKOFF_FIRST, memory.failures, BACKOFF_MAX.min(interval.max(BACKOFF_FIRST)))
        } else if verdict.waits() {
            doubled(WAIT_FIRST, memory.waits, WAIT_MAX)
        } else if matches!(verdict, Verdict::Suspended) {
            return Next::WhenChanged;
        } else {
            interval
        };
        // A little chance, so that what began together does not stay together.
        Next::After(after.mul_f64(0.95 + 0.1 * fastrand::f64()))
    }

    fn unusable(&self, reason: &'static str, message: String) -> Report {
        self.about(None, Verdict::Unusable { reason, message })
    }

    fn source_failed(&self, error: &SourceError) -> Report {
        let passes = error.category() == Category::Transient;
        self.about(None, Verdict::SourceFailed { reason: error.reason(), message: chain(error), passes })
    }

    fn about(&self, commit: Option<String>, verdict: Verdict) -> Report {
        Report { commit, verdict, inventory: None, asked_at: spec::asked_at(self.object).map(str::to_owned) }
    }

    fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }
}

/// The pause before the `count`th attempt in a row, from 1.
fn doubled(first: Duration, count: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << count.saturating_sub(1).min(10)).min(max)
}

/// Whether a failure passes by itself.
fn passes(error: &ClusterError) -> bool {
    matches!(error.answer, Answer::Transient { .. } | Answer::Stale { .. } | Answer::Gone { .. })
}

/// The scopes of the kinds that the documents themselves define.
fn scopes_defined(documents: &[Document]) -> BTreeMap<(&str, &str), Scope> {
    let definitions = documents.iter().filter(|document| Stage::of(&document.id) == Stage::Definitions);
    definitions
        .filter_map(|document| {
            let spec = &document.object["spec"];
            let scope = match spec["scope"].as_str()? {
                "Cluster" => Scope::Cluster,
                _ => Scope::Namespaced,
            };
            Some(((spec["group"].as_str()?, spec["names"]["kind"].as_str()?), scope))
        })
        .collect()
}

/// The kinds that a definition brings, as apiVersion and kind.
fn kinds_defined(definition: &Value) -> Vec<(String, String)> {
    let spec = &definition["spec"];
    let (Some(group), Some(kind)) = (spec["group"].as_str(), spec["names"]["kind"].as_str()) else { return Vec::new() };
    let versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true).filter_map(|version| version["name"].as_str());
    served.map(|version| (format!("{group}/{version}"), kind.to_owned())).collect()
}
