//! When each GitSync is looked at: one loop that owns everything and waits for watches, passes and alarms.
//!
//! One entry per object however often it is woken; an object that is being worked on is looked at again afterwards and
//! never twice at once. A panic or a broken object stops nobody but itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::pass::reconcile_git_sync;
use super::status::{self, Report, Verdict};
use super::{Context, Key, Memory, Next};
use crate::api::{CONFIRM_PRUNE, GitSync, GitSyncStatus, RECONCILE_AT};
use crate::cluster::error::Error as ClusterError;
use crate::cluster::events::News;
use crate::cluster::identity::Account;
use crate::cluster::own::{self, Part};
use crate::text::chain;

/// The pause after a pass whose status could not be written; doubled with each in a row.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Serves until `stop`, then lets running passes end.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut changes = watch(&context);
    let mut desk = Desk::new(context);
    loop {
        desk.start_due();
        let alarm = desk.alarm();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(finished) = desk.passes.join_next_with_id(), if !desk.passes.is_empty() => desk.finish(finished),
            Some((stream, change)) = changes.next() => desk.change(stream, change),
            () = sleep_until(alarm) => {}
        }
    }
    let grace = desk.context.options.grace;
    let ended = tokio::time::timeout(grace, async { while desk.passes.join_next().await.is_some() {} });
    if ended.await.is_err() {
        // Applying is idempotent and the inventory is written first; whoever comes next goes on from there.
        warn!("GitSync passes still running after the grace period were cut off");
    }
}

type Change = Result<watcher::Event<DeserializeGuard<GitSync>>, watcher::Error>;

/// The watches, one for each namespace served, each with a backoff of its own.
fn watch(context: &Context) -> stream::SelectAll<BoxStream<'static, (usize, Change)>> {
    let client = context.clients.controller();
    let namespaces: Vec<Option<&str>> = match context.options.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
    };
    let streams = namespaces.into_iter().enumerate().map(|(stream, namespace)| {
        own::follow::<GitSync>(client, namespace).map(move |change| (stream, change)).boxed()
    });
    stream::select_all(streams.collect::<Vec<_>>())
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A GitSync, or what is left of one that cannot be read.
enum Seen {
    Valid(Box<GitSync>),
    Invalid { metadata: Box<ObjectMeta>, problem: String },
}

impl Seen {
    fn metadata(&self) -> &ObjectMeta {
        match self {
            Seen::Valid(object) => &object.metadata,
            Seen::Invalid { metadata, .. } => metadata,
        }
    }

    /// What wakes the object when it changes. The status, which we write ourselves, does not.
    fn wakes(&self) -> impl PartialEq + use<> {
        let metadata = self.metadata();
        let annotation = |name: &str| metadata.annotations.as_ref().and_then(|all| all.get(name).cloned());
        (
            metadata.uid.clone(),
            metadata.generation,
            metadata.deletion_timestamp.is_some(),
            annotation(RECONCILE_AT),
            annotation(CONFIRM_PRUNE),
        )
    }
}

/// Everything the loop knows.
struct Desk {
    context: Arc<Context>,
    objects: HashMap<Key, Arc<Seen>>,
    /// Names of all GitSyncs, shared with passes.
    alive: Arc<HashSet<String>>,
    /// What each watch listed since it began anew, while it is listing.
    listing: HashMap<usize, HashSet<Key>>,
    /// Watches that have not listed everything once.
    unlisted: HashSet<usize>,
    due: HashMap<Key, Instant>,
    running: HashMap<Id, Key>,
    memories: HashMap<Key, (Memory, u32)>,
    /// The state of each that is counted.
    ready: HashMap<Key, &'static str>,
    passes: JoinSet<Finished>,
}

struct Finished {
    memory: Memory,
    result: Result<Next, ClusterError>,
}

impl Desk {
    fn new(context: Arc<Context>) -> Self {
        Desk {
            unlisted: (0..context.options.namespaces.len().max(1)).collect(),
            context,
            objects: HashMap::new(),
            alive: Arc::default(),
            listing: HashMap::new(),
            due: HashMap::new(),
            running: HashMap::new(),
            memories: HashMap::new(),
            ready: HashMap::new(),
            passes: JoinSet::new(),
        }
    }

    fn change(&mut self, stream: usize, change: Change) {
        match change {
            Ok(watcher::Event::Init) => {
                self.listing.insert(stream, HashSet::new());
            }
            Ok(watcher::Event::InitApply(object)) => {
                let key = self.note(object);
                self.listing.entry(stream).or_default().insert(key);
            }
            Ok(watcher::Event::InitDone) => {
                let listed = self.listing.remove(&stream).unwrap_or_default();
                let namespace = self.context.options.namespaces.get(stream).cloned();
                let is_here = |key: &Key| namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace);
                let gone: Vec<Key> =
                    self.objects.keys().filter(|key| is_here(key) && !listed.contains(key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key));
                self.unlisted.remove(&stream);
                if self.unlisted.is_empty() {
                    self.context.listed.store(true, Ordering::Relaxed);
                }
            }
            Ok(watcher::Event::Apply(object)) => {
                self.note(object);
            }
            Ok(watcher::Event::Delete(object)) => self.forget(&key_of(object.meta())),
            Err(problem) => warn!(error = chain(&problem), "watch of GitSyncs broke; it is tried again"),
        }
    }

    fn note(&mut self, object: DeserializeGuard<GitSync>) -> Key {
        let seen = match object.0 {
            Ok(object) => Seen::Valid(Box::new(object)),
            Err(invalid) => Seen::Invalid { metadata: Box::new(invalid.metadata), problem: invalid.error.to_string() },
        };
        let key = key_of(seen.metadata());
        let before = self.objects.get(&key);
        if before.is_none_or(|before| before.wakes() != seen.wakes()) {
            self.due.insert(key.clone(), Instant::now());
        }
        if before.is_none() {
            Arc::make_mut(&mut self.alive).insert(key.to_string());
        }
        self.objects.insert(key.clone(), Arc::new(seen));
        key
    }

    fn forget(&mut self, key: &Key) {
        self.objects.remove(key);
        self.due.remove(key);
        self.memories.remove(key);
        self.context.metrics.sync_ready_changed(self.ready.remove(key), None);
        Arc::make_mut(&mut self.alive).remove(&key.to_string());
    }

    /// Starts passes over what is due, as many as may run at once.
    fn start_due(&mut self) {
        // Who owns what is known only when all GitSyncs are.
        if !self.unlisted.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.running.len() < self.context.options.concurrency.max(1) {
            let Some(key) = self.first_due().filter(|(_, at)| *at <= now).map(|(key, _)| key) else { return };
            self.due.remove(&key);
            if let Some(seen) = self.objects.get(&key).cloned() {
                self.start(key, seen);
            }
        }
    }

    fn start(&mut self, key: Key, seen: Arc<Seen>) {
        let memory = self.memories.get_mut(&key).map(|(memory, _)| std::mem::take(memory)).unwrap_or_default();
        let (context, alive) = (self.context.clone(), self.alive.clone());
        let span = info_span!("sync", gitsync = %key);
        let task = self.passes.spawn(pass(context, seen, memory, alive).instrument(span));
        self.running.insert(task.id(), key);
    }

    fn finish(&mut self, finished: Result<(Id, Finished), tokio::task::JoinError>) {
        let (id, outcome) = match finished {
            Ok((id, finished)) => (id, Some(finished)),
            Err(stopped) => {
                error!(error = %stopped, "pass over a GitSync panicked");
                self.context.metrics.sync_failure("Panic");
                (stopped.id(), None)
            }
        };
        let Some(key) = self.running.remove(&id) else { return };
        if !self.objects.contains_key(&key) {
            self.memories.remove(&key);
            return;
        }
        let failures = self.memories.get(&key).map_or(0, |(_, failures)| *failures).saturating_add(1);
        let (memory, failures, next) = match outcome {
            Some(Finished { memory, result: Ok(next) }) => (memory, 0, next),
            Some(Finished { memory, result: Err(problem) }) => {
                debug!(gitsync = %key, error = chain(&problem), "pass ended early");
                (memory, failures, Next::After(backoff(failures)))
            }
            None => (Memory::default(), failures, Next::After(backoff(failures))),
        };
        if let Some(ready) = memory.ready {
            let before = self.ready.insert(key.clone(), ready);
            self.context.metrics.sync_ready_changed(before, Some(ready));
        }
        self.memories.insert(key.clone(), (memory, failures));
        if let Next::After(after) = next {
            // Woken meanwhile: the earlier time counts.
            self.due.entry(key).or_insert_with(|| Instant::now() + after);
        }
    }

    /// When the next pass is due that could start then.
    fn alarm(&self) -> Option<Instant> {
        let has_room = self.running.len() < self.context.options.concurrency.max(1) && self.unlisted.is_empty();
        has_room.then(|| self.first_due()).flatten().map(|(_, at)| at)
    }

    fn first_due(&self) -> Option<(Key, Instant)> {
        let running: HashSet<&Key> = self.running.values().collect();
        let waiting = self.due.iter().filter(|(key, _)| !running.contains(key));
        waiting.min_by_key(|(_, at)| **at).map(|(key, at)| (key.clone(), *at))
    }
}

async fn pass(context: Arc<Context>, seen: Arc<Seen>, mut memory: Memory, alive: Arc<HashSet<String>>) -> Finished {
    let result = match &*seen {
        Seen::Valid(object) => {
            let served = &context.options.namespaces;
            let is_served = |name: &str| {
                let namespace = name.split('/').next().unwrap_or_default();
                served.is_empty() || served.iter().any(|served| served == namespace)
            };
            // Of namespaces that are not watched nothing is known, so their GitSyncs are taken to be alive.
            let is_alive = |name: &str| alive.contains(name) || !is_served(name);
            reconcile_git_sync(&context, object, &mut memory, &is_alive).await
        }
        Seen::Invalid { metadata, problem } => {
            memory.ready = Some("False");
            record_unreadable(&context, metadata, problem).await
        }
    };
    Finished { memory, result }
}

/// Says of a GitSync that it cannot be read. Nothing is done about it until it changes.
async fn record_unreadable(context: &Context, metadata: &ObjectMeta, problem: &str) -> Result<Next, ClusterError> {
    let key = key_of(metadata);
    let verdict = Verdict::Unusable { reason: "InvalidSpec", message: format!("it cannot be read: {problem}") };
    context.metrics.sync_failure(verdict.reason());
    let report = Report { commit: None, verdict, inventory: None, asked_at: None };
    let generation = metadata.generation.unwrap_or_default();
    let status = status::status(&key, generation, &GitSyncStatus::default(), &report, Timestamp::now());
    info!(gitsync = %key, "{}", status.summary);
    // Only these: what was applied stays written down.
    let patch = json!({"status": {
        "observedGeneration": status.observed_generation,
        "summary": status.summary,
        "conditions": status.conditions,
    }});
    let client = context.clients.controller();
    own::patch::<GitSync, IgnoredAny>(client, &key.namespace, &key.name, Part::Status, &patch).await?;
    let tenant = context.clients.tenant(&Account::Controller);
    let uid = metadata.uid.clone().unwrap_or_default();
    let news = News { warning: true, reason: "InvalidSpec".into(), action: "Sync".into(), note: status.summary };
    context.events.publish(&tenant, &super::regarding(&key, &uid), &news).await;
    Ok(Next::WhenChanged)
}

fn key_of(metadata: &ObjectMeta) -> Key {
    Key { namespace: metadata.namespace.clone().unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
}

fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    doubled.mul_f64(0.8 + 0.4 * fastrand::f64())
}
