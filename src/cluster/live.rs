//! What runs: the live objects of applied releases, seen by shared watches.
//!
//! One watch per kind in use, opened when the first release with such an object is followed and closed after the last
//! one. It selects the label that Helm puts on its objects, keeps status and a digest of the spec where health needs
//! them and metadata otherwise, and answers only for objects of followed inventories. A change that matters wakes the
//! owning release. Where a watch is refused, the caller reads objects one by one with the release's own rights.
//!
//! Whether what is seen is healthy is `plan::health`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use http::Method;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::apply::Target;
use super::discovery::Kind;
use super::error::Error;
use super::identity::{ControllerClient, TenantClient};
use super::store::newer;
use super::wire::{self, Want};
use crate::manifest::id::{ObjectId, Scope};
use crate::metrics::Metrics;
use crate::release::ReleaseId;

const SELECTOR: &str = "app.kubernetes.io/managed-by=Helm";
/// Pods of one workload that are looked at; the failed ones show in the first of any rollout.
const PODS_MAX: u32 = 50;
/// A log line of an application can be a whole JSON document.
const LOG_BYTES_MAX: i64 = 16 * 1024;

/// What is known of one object.
#[derive(Clone, Debug)]
pub enum View {
    /// The watch is in step: the object as trimmed, or its absence.
    Seen(Option<Arc<Value>>),
    /// The first list is not in yet.
    NotYet,
    /// The watch is refused: ask with the release's own rights.
    Unwatched,
}

type KindKey = (String, String);

struct Watched {
    task: tokio::task::AbortHandle,
    state: State,
    /// By namespace and name.
    objects: HashMap<(String, String), Entry>,
    /// Objects told by [`Live::note`] since the list under way began: the list may be older.
    noted: HashSet<(String, String)>,
    /// Inventories that hold such an object.
    users: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Synced,
    Refused,
}

struct Entry {
    object: Arc<Value>,
    resource_version: String,
}

#[derive(Default)]
struct Inner {
    kinds: HashMap<KindKey, Watched>,
    inventories: HashMap<ReleaseId, Vec<ObjectId>>,
    owners: HashMap<ObjectId, Vec<ReleaseId>>,
}

/// The shared watches. Clones share them.
#[derive(Clone)]
pub struct Live {
    client: ControllerClient,
    /// Empty for all namespaces.
    namespaces: Arc<Vec<String>>,
    metrics: Metrics,
    inner: Arc<Mutex<Inner>>,
    changed: mpsc::UnboundedSender<ReleaseId>,
    /// Ticks whenever a watch comes into step or is refused.
    settled: Arc<watch::Sender<()>>,
}

impl Live {
    /// The receiver yields releases whose objects changed.
    pub fn new(
        client: ControllerClient,
        namespaces: Vec<String>,
        metrics: Metrics,
    ) -> (Self, mpsc::UnboundedReceiver<ReleaseId>) {
        let (changed, changes) = mpsc::unbounded_channel();
        let live = Live {
            client,
            namespaces: Arc::new(namespaces),
            metrics,
            inner: Arc::default(),
            changed,
            settled: Arc::new(watch::Sender::new(())),
        };
        (live, changes)
    }

    /// Follows the objects of an applied revision, in place of those followed for this release before.
    pub fn follow(&self, release: &ReleaseId, targets: &[Target]) {
        let ids: Vec<_> = targets.iter().map(|target| target.id.clone()).collect();
        let mut inner = self.lock();
        if inner.inventories.get(release) == Some(&ids) {
            return;
        }
        // New first, old afterwards: a kind that stays in use keeps its watch.
        let kinds: HashMap<KindKey, &Kind> =
            targets.iter().map(|target| (kind_key(&target.id), &target.kind)).collect();
        for (key, kind) in kinds {
            match inner.kinds.get_mut(&key) {
                Some(watched) => watched.users += 1,
                None => {
                    let watched = self.open(key.clone(), kind);
                    inner.kinds.insert(key, watched);
                }
            }
        }
        self.drop_inventory(&mut inner, release);
        for id in &ids {
            inner.owners.entry(id.clone()).or_default().push(release.clone());
        }
        inner.inventories.insert(release.clone(), ids);
    }

    /// Follows nothing of this release any more.
    pub fn unfollow(&self, release: &ReleaseId) {
        let mut inner = self.lock();
        self.drop_inventory(&mut inner, release);
    }

    /// What is known of an object of a followed inventory.
    pub fn view(&self, id: &ObjectId) -> View {
        let inner = self.lock();
        let reached = id.namespace.is_empty() || self.namespaces.is_empty() || self.namespaces.contains(&id.namespace);
        if !reached || !inner.owners.contains_key(id) {
            return View::Unwatched;
        }
        let Some(watched) = inner.kinds.get(&kind_key(id)) else { return View::Unwatched };
        match watched.state {
            State::Starting => View::NotYet,
            State::Refused => View::Unwatched,
            State::Synced => {
                let entry = watched.objects.get(&(id.namespace.clone(), id.name.clone()));
                View::Seen(entry.map(|entry| entry.object.clone()))
            }
        }
    }

    /// Tells what the API server answered to a write, so that health is never read from before it.
    pub fn note(&self, id: &ObjectId, object: &Value) {
        let mut inner = self.lock();
        let Some(watched) = inner.kinds.get_mut(&kind_key(id)) else { return };
        let place = (id.namespace.clone(), id.name.clone());
        watched.noted.insert(place.clone());
        let metadata_only = !wants_status(&id.group, &id.kind);
        let (object, resource_version) = trim(object.clone(), metadata_only);
        watched.remember(place, object, resource_version);
    }

    /// Waits until each kind of a release's inventory was listed or refused, at most this long.
    pub async fn in_step(&self, release: &ReleaseId, at_most: Duration) {
        let mut settled = self.settled.subscribe();
        let all = async {
            while self.is_starting(release) {
                if settled.changed().await.is_err() {
                    return;
                }
            }
        };
        // After the time is over the caller sees `NotYet` and comes back.
        let _ = tokio::time::timeout(at_most, all).await;
    }

    fn is_starting(&self, release: &ReleaseId) -> bool {
        let inner = self.lock();
        let ids = inner.inventories.get(release).map(Vec::as_slice).unwrap_or_default();
        ids.iter().any(|id| inner.kinds.get(&kind_key(id)).is_some_and(|watched| watched.state == State::Starting))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_inventory(&self, inner: &mut Inner, release: &ReleaseId) {
        let Some(ids) = inner.inventories.remove(release) else { return };
        let mut kinds = HashSet::new();
        for id in ids {
            kinds.insert(kind_key(&id));
            if let Some(owners) = inner.owners.get_mut(&id) {
                owners.retain(|owner| owner != release);
                if owners.is_empty() {
                    inner.owners.remove(&id);
                }
            }
        }
        for key in kinds {
            let Some(watched) = inner.kinds.get_mut(&key) else { continue };
            watched.users -= 1;
            if watched.users == 0 {
                watched.task.abort();
                self.metrics.watch_closed(&key.1);
                inner.kinds.remove(&key);
            }
        }
    }

    fn open(&self, key: KindKey, kind: &Kind) -> Watched {
        self.metrics.watch_opened(&key.1);
        debug!(kind = %key.1, "opening watch");
        let state = if kind.watchable { State::Starting } else { State::Refused };
        let live = self.clone();
        let kind = kind.clone();
        let task = match kind.watchable {
            true => tokio::spawn(async move { live.run(key, kind).await }),
            false => tokio::spawn(std::future::ready(())),
        };
        Watched { task: task.abort_handle(), state, objects: HashMap::new(), noted: HashSet::new(), users: 1 }
    }

    async fn run(self, key: KindKey, kind: Kind) {
        let namespaces: Vec<Option<String>> = match (kind.scope, self.namespaces.is_empty()) {
            (Scope::Namespaced, false) => self.namespaces.iter().cloned().map(Some).collect(),
            _ => vec![None],
        };
        // The state is that of the whole kind, so it is in step when the last of its namespaces is.
        let mut waiting: HashSet<Option<String>> = namespaces.iter().cloned().collect();
        let streams = namespaces.into_iter().map(|namespace| {
            let events = self.events(&key, &kind, namespace.as_deref());
            events.map(move |event| (namespace.clone(), event)).boxed()
        });
        let mut events = stream::select_all(streams);
        let mut listed: HashMap<Option<String>, HashSet<(String, String)>> = HashMap::new();
        while let Some((namespace, event)) = events.next().await {
            match event {
                Ok(event) => {
                    let done = matches!(event, watcher::Event::InitDone);
                    self.take(&key, namespace.as_deref(), event, listed.entry(namespace.clone()).or_default());
                    if done && waiting.remove(&namespace) && waiting.is_empty() {
                        self.set_state(&key, State::Synced);
                    }
                }
                Err(error) => {
                    if is_refusal(&error) {
                        warn!(kind = %key.1, error = %crate::text::chain(&error), "watch refused; reading objects one by one");
                        waiting.insert(namespace);
                        self.set_state(&key, State::Refused);
                    } else {
                        debug!(kind = %key.1, error = %crate::text::chain(&error), "watch interrupted");
                    }
                }
            }
        }
    }

    fn events(
        &self,
        key: &KindKey,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> stream::BoxStream<'static, Result<watcher::Event<(Value, String)>, watcher::Error>> {
        let config = watcher::Config::default().labels(SELECTOR);
        let client = self.client.client();
        let resource = &kind.resource;
        if wants_status(&key.0, &key.1) {
            let api: Api<DynamicObject> = match namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
                None => Api::all_with(client, resource),
            };
            map_events(watcher(api, config).default_backoff(), |object| {
                trim(serde_json::to_value(object).unwrap_or_default(), false)
            })
        } else {
            let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
                None => Api::all_with(client, resource),
            };
            map_events(watcher(api, config).default_backoff(), |object| {
                trim(serde_json::to_value(object).unwrap_or_default(), true)
            })
        }
    }

    fn set_state(&self, key: &KindKey, state: State) {
        let mut inner = self.lock();
        let Some(watched) = inner.kinds.get_mut(key) else { return };
        if watched.state == state {
            return;
        }
        watched.state = state;
        // Whoever waits for this kind looks again.
        let wake: HashSet<_> = inner
            .inventories
            .iter()
            .filter(|(_, ids)| ids.iter().any(|id| kind_key(id) == *key))
            .map(|(r, _)| r)
            .collect();
        for release in wake {
            let _ = self.changed.send(release.clone());
        }
        self.settled.send_replace(());
    }

    fn take(
        &self,
        key: &KindKey,
        namespace: Option<&str>,
        event: watcher::Event<(Value, String)>,
        listed: &mut HashSet<(String, String)>,
    ) {
        let mut inner = self.lock();
        let Some(watched) = inner.kinds.get_mut(key) else { return };
        let changed: Vec<(String, String)> = match event {
            watcher::Event::Init => {
                listed.clear();
                watched.noted.clear();
                Vec::new()
            }
            watcher::Event::InitApply((object, version)) => {
                let place = place_of(&object);
                listed.insert(place.clone());
                watched.remember(place.clone(), object, version).then_some(place).into_iter().collect()
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(listed);
                let here = |place: &(String, String)| namespace.is_none_or(|namespace| place.0 == namespace);
                let gone: Vec<_> = watched
                    .objects
                    .keys()
                    .filter(|place| here(place) && !listed.contains(place) && !watched.noted.contains(*place))
                    .cloned()
                    .collect();
                for place in &gone {
                    watched.objects.remove(place);
                }
                watched.noted = HashSet::new();
                gone
            }
            watcher::Event::Apply((object, version)) => {
                let place = place_of(&object);
                watched.remember(place.clone(), object, version).then_some(place).into_iter().collect()
            }
            watcher::Event::Delete((object, version)) => {
                let place = place_of(&object);
                let older = |entry: &Entry| !newer(&entry.resource_version, &version);
                let known = watched.objects.get(&place).is_some_and(older);
                if known {
                    watched.objects.remove(&place);
                }
                known.then_some(place).into_iter().collect()
            }
        };
        for (namespace, name) in changed {
            let id = ObjectId { group: key.0.clone(), kind: key.1.clone(), namespace, name };
            for release in inner.owners.get(&id).into_iter().flatten() {
                // The receiver ends with the program.
                let _ = self.changed.send(release.clone());
            }
        }
    }
}

impl Watched {
    /// Whether something but the version changed.
    fn remember(&mut self, place: (String, String), object: Value, resource_version: String) -> bool {
        if let Some(known) = self.objects.get_mut(&place) {
            if !newer(&resource_version, &known.resource_version) {
                return false;
            }
            if *known.object == object {
                known.resource_version = resource_version;
                return false;
            }
        }
        self.objects.insert(place, Entry { object: Arc::new(object), resource_version });
        true
    }
}

fn map_events<K: Send + 'static>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    trimmed: impl Fn(K) -> (Value, String) + Send + 'static,
) -> stream::BoxStream<'static, Result<watcher::Event<(Value, String)>, watcher::Error>> {
    events
        .map(move |event| {
            event.map(|event| match event {
                watcher::Event::Init => watcher::Event::Init,
                watcher::Event::InitDone => watcher::Event::InitDone,
                watcher::Event::InitApply(object) => watcher::Event::InitApply(trimmed(object)),
                watcher::Event::Apply(object) => watcher::Event::Apply(trimmed(object)),
                watcher::Event::Delete(object) => watcher::Event::Delete(trimmed(object)),
            })
        })
        .boxed()
}

fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status)
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => matches!(status.code, 401 | 403 | 404 | 405),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => false,
    }
}

fn kind_key(id: &ObjectId) -> KindKey {
    (id.group.clone(), id.kind.clone())
}

fn place_of(object: &Value) -> (String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

/// Whether the health of a kind is in its status. The others are well as soon as they exist.
fn wants_status(group: &str, kind: &str) -> bool {
    let by_existence = match group {
        "" => matches!(
            kind,
            "ConfigMap" | "Secret" | "ServiceAccount" | "Endpoints" | "LimitRange" | "ResourceQuota" | "PodTemplate"
        ),
        "rbac.authorization.k8s.io"
        | "admissionregistration.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io"
        | "coordination.k8s.io"
        | "discovery.k8s.io"
        | "node.k8s.io"
        | "events.k8s.io" => true,
        "networking.k8s.io" => matches!(kind, "NetworkPolicy" | "IngressClass"),
        _ => false,
    };
    !by_existence
}

/// The object with what health looks at, and its version apart.
///
/// Specs can be big (pod templates, dashboards in custom resources) and are what a release wrote itself.
pub fn trim(mut object: Value, metadata_only: bool) -> (Value, String) {
    const METADATA: [&str; 7] =
        ["name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp", "finalizers"];
    const SPEC: [&str; 17] = [
        "replicas",
        "selector",
        "strategy",
        "updateStrategy",
        "paused",
        "minReadySeconds",
        "progressDeadlineSeconds",
        "completions",
        "parallelism",
        "backoffLimit",
        "suspend",
        "type",
        "clusterIP",
        "externalName",
        "volumeName",
        "storageClassName",
        "podManagementPolicy",
    ];
    let pick = |from: Option<&mut Value>, fields: &[&str]| {
        let Some(Value::Object(map)) = from else { return Value::Null };
        let picked: Map<String, Value> =
            fields.iter().filter_map(|field| Some(((*field).to_owned(), map.remove(*field)?))).collect();
        Value::Object(picked)
    };
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut trimmed = Map::new();
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get_mut(field) {
            trimmed.insert(field.to_owned(), value.take());
        }
    }
    trimmed.insert("metadata".to_owned(), pick(object.get_mut("metadata"), &METADATA));
    if !metadata_only {
        let probes = probes(&object);
        let mut spec = pick(object.get_mut("spec"), &SPEC);
        if let (Some(containers), Some(spec)) = (probes, spec.as_object_mut()) {
            spec.insert("template".to_owned(), json!({"spec": {"containers": containers}}));
        }
        trimmed.insert("spec".to_owned(), spec);
        if let Some(status) = object.get_mut("status") {
            trimmed.insert("status".to_owned(), status.take());
        }
    }
    (Value::Object(trimmed), version)
}

/// Of a pod template only which containers have a readiness probe: without one, "available" says little.
fn probes(object: &Value) -> Option<Vec<Value>> {
    let containers = object.pointer("/spec/template/spec/containers")?.as_array()?;
    let probe = |container: &Value| match container.get("readinessProbe") {
        Some(_) => json!({"readinessProbe": {}}),
        None => json!({}),
    };
    Some(containers.iter().map(probe).collect())
}

/// Reads one object with the release's own rights, trimmed as the watches do. `None` where it does not exist.
pub async fn read(tenant: &TenantClient, target: &Target) -> Result<Option<Value>, Error> {
    let metadata_only = !wants_status(&target.id.group, &target.id.kind);
    let want = if metadata_only { Want::Metadata } else { Want::Object };
    let path = wire::path(&target.kind.resource, &target.id.namespace, &target.id.name);
    match wire::send(tenant.client(), Method::GET, &path, None, want).await {
        Ok((_, bytes)) => Ok(serde_json::from_slice(&bytes).ok().map(|object| trim(object, metadata_only).0)),
        Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => Ok(None),
            error => Err(error),
        },
    }
}

/// The Pods that a workload selects, with the release's own rights.
///
/// `selector` is the workload's `spec.selector`; without one there is nothing to list.
pub async fn pods(tenant: &TenantClient, namespace: &str, selector: &Value) -> Result<Vec<Value>, Error> {
    let Some(labels) = selector.get("matchLabels").and_then(Value::as_object).filter(|labels| !labels.is_empty())
    else {
        return Ok(Vec::new());
    };
    let selector: Vec<_> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let resource = kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(tenant.client().clone(), namespace, &resource);
    let params = ListParams::default().labels(&selector.join(",")).limit(PODS_MAX);
    let list = api
        .list(&params)
        .await
        .map_err(|source| Error::of("list", format!("the Pods of namespace {namespace}"), "Pod", source))?;
    Ok(list
        .items
        .into_iter()
        .map(|mut pod| {
            pod.metadata.managed_fields = None;
            serde_json::to_value(pod).unwrap_or_default()
        })
        .collect())
}

/// The last lines of a container's log, of its previous run where it restarted. Empty where there is none.
pub async fn logs(tenant: &TenantClient, namespace: &str, pod: &str, container: &str, lines: i64) -> String {
    let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(tenant.client().clone(), namespace);
    let params = |previous| LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(lines),
        limit_bytes: Some(LOG_BYTES_MAX),
        previous,
        ..LogParams::default()
    };
    // The run that crashed is the previous one once the container was started again. A log is a courtesy: where it
    // cannot be read (rights, a node that is gone), the cause is told without it.
    for previous in [true, false] {
        if let Ok(text) = api.logs(pod, &params(previous)).await
            && !text.trim().is_empty()
        {
            return text;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = runtime.spawn(std::future::ready(())).abort_handle();
        Watched { task, state: State::Synced, objects: HashMap::new(), noted: HashSet::new(), users: 1 }
    }

    #[test]
    fn news_older_than_what_is_known_is_dropped() {
        let mut watched = watched();
        let place = || ("apps".to_owned(), "web".to_owned());
        assert!(watched.remember(place(), json!({"status": 1}), "10".into()));
        assert!(!watched.remember(place(), json!({"status": 0}), "9".into()));
        assert!(!watched.remember(place(), json!({"status": 1}), "11".into()), "only the version changed");
        assert!(watched.remember(place(), json!({"status": 2}), "12".into()));
    }

    #[test]
    fn object_keeps_what_health_looks_at() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "resourceVersion": "7", "generation": 2, "managedFields": [], "labels": {"a": "b"}},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": "a", "readinessProbe": {"exec": {}}}]}}},
            "status": {"readyReplicas": 3}});
        let (trimmed, version) = trim(object.clone(), false);
        assert_eq!(version, "7");
        assert_eq!(
            trimmed,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "generation": 2},
                "spec": {"replicas": 3, "template": {"spec": {"containers": [{"readinessProbe": {}}]}}},
                "status": {"readyReplicas": 3}})
        );
        assert_eq!(trim(object, true).0.get("status"), None);
    }
}
