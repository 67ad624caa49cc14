//! The shell: drives every HelmRelease through the nine steps, from left to right.
//!
//! | step | here | asks the cluster |
//! |---|---|---|
//! | wake | [`wake`], [`queue`] | watches |
//! | validate | `api::validate` | |
//! | resolve | [`resolve`] | sources, ConfigMaps and Secrets that changed |
//! | observe | [`observe`] | in the steady state nothing |
//! | decide | `plan::decide` | |
//! | prepare | [`prepare`] | charts; `lookup` of templates |
//! | execute | [`execute`] | writes |
//! | summarize | `api::summarize` | |
//! | record | [`record`] | one status patch where something changed, Events |
//!
//! A pass carries out one action at most and ends. Waiting for health holds no worker: the object is woken by what it
//! waits for or by its deadline. All of what is remembered here can be lost at any moment.

mod charts;
mod error;
mod execute;
mod groundwork;
mod hooks;
mod mask;
mod memory;
mod objects;
mod observe;
mod prepare;
mod queue;
mod record;
mod resolve;
mod wake;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error as log_error, info, info_span, warn};

use crate::api::helm_release::ValuesKind;
use crate::api::{FINALIZER, HelmRelease, validate};
use crate::cluster::discovery::Discovery;
use crate::cluster::error::Error as ClusterError;
use crate::cluster::events::Events;
use crate::cluster::identity::{Account, Clients, ServiceAccount, TenantClient};
use crate::cluster::live::{self, Live};
use crate::cluster::own::{self, Part};
use crate::cluster::references::is_namespace_going;
use crate::cluster::store::Store;
use crate::metrics::Metrics;
use crate::plan::outcome::Backoff;
use crate::plan::{self, Action, Claim, Decision, Desired, Failure, FailureClass, Outcome, Policy, Reason, Target};
use crate::release::{Release, ReleaseId};
use crate::source::Sources;

use error::of_cluster;
use execute::Execution;
use memory::{Memory, Resolved};
use objects::{Objects, Seen};
use observe::{Freshness, Observation, observe};
use queue::Queue;
use resolve::{Resolution, Resolver};

/// Which HelmRelease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    fn of(metadata: &ObjectMeta) -> Self {
        Key {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a deployment may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespaces whose HelmReleases are served; empty for all.
    pub namespaces: Vec<String>,
    /// Passes at once.
    pub concurrency: usize,
    /// The ServiceAccount of releases that name none, in their own namespace; without it they use the controller's
    /// rights.
    pub default_service_account: Option<String>,
    /// What tells this controller from others: the name of its Pod.
    pub instance: String,
    /// How long running passes may take to end when the controller is stopped.
    pub grace: Duration,
}

/// Everything that passes share.
pub struct Shell {
    options: Options,
    instance: String,
    clients: Clients,
    discovery: Arc<Discovery>,
    store: Arc<Store>,
    live: Live,
    sources: Sources,
    charts: charts::Charts,
    renderer: prepare::Renderer,
    events: Events,
    metrics: Metrics,
    objects: Objects,
    references: wake::References,
    queue: Queue,
    memories: Mutex<HashMap<Key, Memory>>,
}

/// Why a pass ended before anything was done.
enum Halt {
    Failed(Failure),
    /// The cluster has another spec than the one that was decided upon.
    Outdated,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Halt::Failed(failure)
    }
}

/// One look at one HelmRelease.
struct Pass<'a> {
    key: &'a Key,
    object: &'a HelmRelease,
    release: ReleaseId,
    /// What its records are found by.
    records: ReleaseId,
    tenant: TenantClient,
    policy: Policy,
    desired: Desired,
    resolution: Option<Resolution>,
}

impl Shell {
    /// The receiver is [`Shell::run`]'s.
    pub fn new(
        clients: Clients,
        sources: Sources,
        metrics: Metrics,
        options: Options,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<ReleaseId>) {
        let discovery = Arc::new(Discovery::new(clients.controller().clone()));
        let (live, changes) = Live::new(clients.controller().clone(), options.namespaces.clone(), metrics.clone());
        let shell = Shell {
            instance: options.instance.clone(),
            store: Arc::default(),
            live,
            sources,
            charts: charts::Charts::default(),
            renderer: prepare::Renderer::new(discovery.clone(), metrics.clone()),
            events: Events::new(options.instance.clone()),
            metrics,
            objects: Objects::default(),
            references: wake::References::default(),
            queue: Queue::default(),
            memories: Mutex::default(),
            discovery,
            clients,
            options,
        };
        (Arc::new(shell), changes)
    }

    /// Serves until `stop`, then lets running passes end.
    pub async fn run(self: Arc<Self>, changes: mpsc::UnboundedReceiver<ReleaseId>, stop: CancellationToken) {
        let mut streams = wake::spawn(&self, changes);
        // Without the histories every release would look as if it had never been installed.
        tokio::select! {
            () = self.store.synced() => {}
            () = stop.cancelled() => return,
        }
        let mut workers = JoinSet::new();
        for _ in 0..self.options.concurrency.max(1) {
            let (shell, stop) = (self.clone(), stop.clone());
            workers.spawn(async move {
                loop {
                    let key = tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        key = shell.queue.next() => key,
                    };
                    shell.clone().pass_alone(&key).await;
                    shell.queue.done(&key);
                }
            });
        }
        info!(concurrency = self.options.concurrency, "controller started");
        stop.cancelled().await;
        streams.abort_all();
        let ended = tokio::time::timeout(self.options.grace, async { while workers.join_next().await.is_some() {} });
        if ended.await.is_err() {
            // What they were doing is stored; whoever comes next goes on from there.
            warn!("passes still running after the grace period were cut off");
        }
        info!("controller stopped");
    }

    /// What the cluster serves, learned once for everybody.
    pub fn discovery(&self) -> Arc<Discovery> {
        self.discovery.clone()
    }

    /// Whether everything that decisions rest on has been seen once.
    pub fn is_ready(&self) -> bool {
        self.objects.is_synced() && self.store.is_synced()
    }

    /// One pass, with its panics kept to itself.
    async fn pass_alone(self: Arc<Self>, key: &Key) {
        let started = Instant::now();
        let span = info_span!("pass", object = %key);
        let (shell, of) = (self.clone(), key.clone());
        let pass = tokio::spawn(async move { shell.pass(&of).await }.instrument(span));
        match pass.await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                let problem = crate::text::chain(&problem);
                debug!(object = %key, error = problem, "pass ended early");
                self.back_off(key);
            }
            Err(problem) => {
                log_error!(object = %key, error = %problem, "pass panicked");
                self.metrics.failure("Panic");
                self.back_off(key);
            }
        }
        self.metrics.pass(started.elapsed());
    }

    fn back_off(&self, key: &Key) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = memories.entry(key.clone()).or_default();
        let after = memory.wait(Backoff::CLUSTER);
        memory.failures = memory.failures.saturating_add(1);
        drop(memories);
        self.queue.wake_in(key, after);
    }

    /// One look at one HelmRelease.
    ///
    /// # Errors
    /// Writes to the HelmRelease itself that failed; everything else is part of its status.
    async fn pass(&self, key: &Key) -> Result<(), ClusterError> {
        let Some(seen) = self.objects.get(key) else {
            self.forget(key);
            return Ok(());
        };
        let object = match &*seen {
            Seen::Valid(object) => object,
            Seen::Invalid { metadata, problem } => return self.record_unreadable(key, metadata, problem).await,
        };
        let ours = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
        let claimed;
        let object = match (object.metadata.deletion_timestamp.is_some(), ours) {
            (true, false) => {
                self.forget(key);
                return Ok(());
            }
            // Before anything is written for it: what is installed will be uninstalled.
            (false, false) => {
                claimed = self.add_finalizer(key, object).await?;
                &claimed
            }
            (_, true) => object,
        };
        let mut memory = self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default();
        let result = self.look(key, object, &mut memory).await;
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
        result
    }

    /// Steps two to nine.
    async fn look(&self, key: &Key, object: &HelmRelease, memory: &mut Memory) -> Result<(), ClusterError> {
        let now = Timestamp::now();
        let home = match validate::home(object) {
            Ok((home, _)) => home,
            Err(problem) => {
                let problem = validate::FieldErrors(vec![problem]);
                return self.record_unreadable(key, &object.metadata, &problem.to_string()).await;
            }
        };
        let tenant = match self.account(key, object) {
            Ok(account) => self.clients.tenant(&account),
            Err(problem) => return self.record_unreadable(key, &object.metadata, &problem).await,
        };
        if let Some(left) = memory.enter(&home) {
            self.live.unfollow(&left.release);
        }
        memory.note_ask(object);
        let (target, resolution) = self.resolve(key, object, &tenant, memory).await;
        let desired = match validate::desired(object, target) {
            Ok(desired) => desired,
            Err(problem) => return self.record_unreadable(key, &object.metadata, &problem.to_string()).await,
        };
        let policy = desired.policy.clone();
        let records = home.records();
        let pass = Pass { key, object, release: home.release, records, tenant, policy, desired, resolution };

        let (observation, decision, outcome) = match self.act(&pass, memory, now).await {
            Ok(acted) => acted,
            Err(Halt::Outdated) => {
                info!(generation = object.metadata.generation, "decided upon an outdated spec: nothing is done");
                self.queue.wake_in(key, memory.wait(Backoff::CLUSTER));
                memory.failures = memory.failures.saturating_add(1);
                return Ok(());
            }
            Err(Halt::Failed(failure)) if pass.is_moot(self, &failure).await => {
                let blind = Observation::blind();
                let outcome = Execution::new(self, &pass, memory, &blind, now).let_go().await;
                let decision = Action::RemoveFinalizer.because(Reason::Gone);
                return self.record(&pass, memory, &blind, &decision, &outcome, now).await;
            }
            Err(Halt::Failed(failure)) => return self.record_blind(&pass, memory, &failure, now).await,
        };
        self.record(&pass, memory, &observation, &decision, &outcome, now).await
    }

    /// Observe, decide, prepare, execute.
    async fn act(
        &self,
        pass: &Pass<'_>,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(Observation, Decision, Outcome), Halt> {
        let mut observation = observe(self, pass, memory, Freshness::Watched, now).await?;
        let mut decision = plan::decide(&observation.observed, &pass.desired, now);
        if needs_fresh_history(&decision.action, &pass.desired.claim) {
            observation = observe(self, pass, memory, Freshness::Stored, now).await?;
            decision = plan::decide(&observation.observed, &pass.desired, now);
        }
        if rests_on_the_spec(&decision.action) && !self.is_newest(pass).await? {
            return Err(Halt::Outdated);
        }
        // The reason's sentence may hold log lines of an application, which belong into the status only.
        let (action, reason) = (&decision.action, decision.reason.name());
        match action {
            Action::Nothing | Action::Wait { .. } => debug!(release = %pass.release, %action, reason, "decided"),
            _ => info!(release = %pass.release, %action, reason, "decided"),
        }
        self.add_log(pass, memory, &observation, &mut decision).await;
        let outcome = Execution::new(self, pass, memory, &observation, now).execute(&decision.action).await;
        Ok((observation, decision, outcome))
    }

    /// Whether the spec that was decided upon is the one that the cluster has now. A watch can lag behind what another
    /// controller has already deployed, or uninstalled. A newer one is kept for the next pass.
    async fn is_newest(&self, pass: &Pass<'_>) -> Result<bool, Failure> {
        let (controller, Key { namespace, name }) = (self.clients.controller(), pass.key);
        let newest = match own::get::<HelmRelease>(controller, namespace, name).await {
            Ok(newest) => newest,
            Err(problem) if problem.is_not_found() => return Ok(false),
            Err(problem) => return Err(of_cluster(&problem)),
        };
        let (known, now) = (&pass.object.metadata, &newest.metadata);
        let is_newest = (&known.uid, known.generation) == (&now.uid, now.generation);
        if !is_newest {
            self.note(newest);
        }
        Ok(is_newest)
    }

    /// What the failed container said last, for the record of the failure.
    async fn add_log(&self, pass: &Pass<'_>, memory: &mut Memory, observation: &Observation, decision: &mut Decision) {
        let (Some((object, pod, Some(container))), Some(record)) = (decision.log_wanted(), observation.records.last())
        else {
            return;
        };
        // What must not be shown is in the record; without it no line is shown.
        let Ok(release) = observe::body(self, pass, memory, record).await else { return };
        let Some(secrets) = pass.secrets(&release) else { return };
        let lines = i64::try_from(mask::LINES_MAX).unwrap_or(i64::MAX);
        let log = live::logs(&pass.tenant, &object.namespace, pod, container, lines).await;
        decision.add_log_lines(mask::lines(&log, &secrets));
    }

    /// What the spec's references mean, from memory where nothing changed.
    async fn resolve(
        &self,
        key: &Key,
        object: &HelmRelease,
        tenant: &TenantClient,
        memory: &mut Memory,
    ) -> (Result<Target, Failure>, Option<Resolution>) {
        if object.metadata.deletion_timestamp.is_some() || object.spec.suspend {
            let why = "nothing is desired while the HelmRelease is suspended or deleted";
            // What was known of Secrets still must not be shown.
            let known = memory.resolution.as_ref().map(|known| known.resolution.clone());
            return (Err(error::failure(FailureClass::Transient, "Suspended", why)), known);
        }
        let inputs = match validate::validate(object) {
            Ok(inputs) => inputs,
            Err(problem) => return (Err(problem.into()), None),
        };
        let generation = object.metadata.generation.unwrap_or_default();
        let interval = Duration::try_from(inputs.policy.interval).unwrap_or(Duration::from_secs(600));
        let asked = validate::asks(object).reconcile;
        let asked_now = asked != memory.reconciled_at && memory.resolution.is_some();
        let changed = self.references.take_changed(key);
        if let Some(known) = &memory.resolution
            && known.generation == generation
            && known.at.elapsed() < interval
            && !asked_now
            && !changed
        {
            return (Ok(known.resolution.target.clone()), Some(known.resolution.clone()));
        }
        memory.reconciled_at = asked;
        let resolver = Resolver {
            sources: &self.sources,
            charts: &self.charts,
            tenant,
            namespace: &key.namespace,
            // A little under the interval: the alarm that comes after exactly that time shall find the answer too old.
            max_age: if asked_now { Duration::ZERO } else { interval.mul_f64(0.9) },
        };
        memory.read.clear();
        let resolved = resolver.resolve(&inputs, &mut memory.read).await;
        self.references.set(key, &memory.read);
        match resolved {
            Ok(resolution) => {
                // An answer that only memory gave is asked for again soon.
                memory.resolution = match resolution.target.stale {
                    Some(_) => None,
                    None => Some(Resolved { generation, at: Instant::now(), resolution: resolution.clone() }),
                };
                (Ok(resolution.target.clone()), Some(resolution))
            }
            Err(failure) => {
                memory.resolution = None;
                (Err(failure), None)
            }
        }
    }

    fn account(&self, key: &Key, object: &HelmRelease) -> Result<Account, String> {
        let named = object.spec.service_account_name.as_ref().or(self.options.default_service_account.as_ref());
        match named {
            None => Ok(Account::Controller),
            Some(name) => ServiceAccount::parse(&key.namespace, name)
                .map(Account::ServiceAccount)
                .map_err(|problem| format!("spec.serviceAccountName: {problem}")),
        }
    }

    async fn add_finalizer(&self, key: &Key, object: &HelmRelease) -> Result<HelmRelease, ClusterError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let patch =
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.metadata.resource_version}});
        self.patch_object(key, &patch).await
    }

    /// Merges a patch into the HelmRelease, and remembers what came of it.
    async fn patch_object(&self, key: &Key, patch: &serde_json::Value) -> Result<HelmRelease, ClusterError> {
        let client = self.clients.controller();
        let changed: HelmRelease =
            own::patch::<HelmRelease, _>(client, &key.namespace, &key.name, Part::Object, patch).await?;
        self.note(changed.clone());
        Ok(changed)
    }

    /// Keeps the answer to a write; who owns by it what another one left is woken.
    fn note(&self, changed: HelmRelease) {
        for heir in self.objects.note(changed) {
            self.queue.wake(&heir);
        }
    }

    /// The HelmRelease is gone, and so is what was remembered of it.
    fn forget(&self, key: &Key) {
        let memory = self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.references.set(key, &Vec::new());
        if let Some(memory) = memory {
            self.metrics.ready_changed(memory.ready, None);
            if let Some(home) = memory.home
                && self.objects.owner(&home.release).is_none()
            {
                self.live.unfollow(&home.release);
            }
        }
    }
}

impl Pass<'_> {
    /// What must not be shown of what this release's containers say; `None` where that is not known, so that nothing may
    /// be.
    fn secrets(&self, release: &Release) -> Option<Vec<String>> {
        let mut secrets = observe::secrets_of(release);
        match &self.resolution {
            Some(resolution) => secrets.extend(resolution.secrets.iter().cloned()),
            None if self.object.spec.values_from.iter().any(|it| it.kind == ValuesKind::Secret) => return None,
            None => {}
        }
        Some(secrets)
    }

    /// Whether refused work does not matter any more: the HelmRelease is deleted together with the release's namespace,
    /// which takes the rights along before the objects.
    async fn is_moot(&self, shell: &Shell, failure: &Failure) -> bool {
        failure.class == FailureClass::Refused
            && self.object.metadata.deletion_timestamp.is_some()
            && is_namespace_going(shell.clients.controller(), &self.release.namespace).await
    }
}

/// Whether an action does what the spec asks, rather than bring to its end what a record tells: then an old spec would undo
/// a newer one.
fn rests_on_the_spec(action: &Action) -> bool {
    match action {
        Action::Install { .. }
        | Action::Upgrade { .. }
        | Action::Rollback { .. }
        // A revision is also given up because the spec asks for another one.
        | Action::MarkFailed { .. }
        | Action::Uninstall { .. } => true,
        Action::Nothing
        | Action::Wait { .. }
        | Action::Claim { .. }
        | Action::ContinueApply { .. }
        | Action::RunHook { .. }
        | Action::EndHook { .. }
        | Action::LeaveHooks { .. }
        | Action::MarkDeployed { .. }
        | Action::Supersede { .. }
        | Action::Relabel { .. }
        | Action::CleanUp { .. }
        | Action::Adopt { .. }
        | Action::Stamp { .. }
        | Action::PruneHistory { .. }
        | Action::RemoveFinalizer => false,
    }
}

/// Whether a decision must rest on storage as it is now. Changes of single records do not: they are guarded one by one.
fn needs_fresh_history(action: &Action, claim: &Claim) -> bool {
    match action {
        // What is left behind must be gone.
        Action::Claim { .. } => matches!(claim, Claim::Moving(_)),
        Action::RunHook { .. }
        | Action::LeaveHooks { .. }
        | Action::Install { .. }
        | Action::Upgrade { .. }
        | Action::Rollback { .. }
        | Action::ContinueApply { .. }
        | Action::Adopt { .. }
        | Action::CleanUp { .. }
        | Action::PruneHistory { .. }
        | Action::Uninstall { .. }
        | Action::RemoveFinalizer => true,
        Action::Nothing
        | Action::Wait { .. }
        | Action::EndHook { .. }
        | Action::MarkDeployed { .. }
        | Action::MarkFailed { .. }
        | Action::Supersede { .. }
        | Action::Relabel { .. }
        | Action::Stamp { .. } => false,
    }
}
