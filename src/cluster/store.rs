//! Release Secrets: Helm's own storage, read by metadata and written with guards.
//!
//! A history is the labels of its Secrets; a body is fetched only when something in it is needed. Creating revision
//! `vN+1` succeeds for exactly one writer, and each later change names the `resourceVersion` it was decided on, so that
//! a decision on stale facts cannot be written. What a body means is `release::codec`.
//!
//! One shared watch of the metadata keeps every history here, so a pass with nothing to do asks the cluster nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{Stream, StreamExt};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::error::{Answer, Error};
use super::identity::{ControllerClient, TenantClient};
use super::wire::{self, Want};
use crate::release::codec::{DATA_BYTES_MAX, SECRET_TYPE, secret_name, selector};
use crate::release::{ReleaseId, ReleaseName, Revision, Status, progress};

/// One stored revision, as its metadata tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub revision: Revision,
    pub status: Status,
    /// All labels, Helm's own and ours.
    pub labels: BTreeMap<String, String>,
    pub progress: Option<String>,
    pub created: Option<Timestamp>,
    pub uid: String,
    pub resource_version: String,
}

/// A change of a stored revision; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A label with `None` is removed.
    pub labels: BTreeMap<String, Option<String>>,
    /// `Some(None)` removes the annotation.
    pub progress: Option<Option<String>>,
    /// The whole new body, as `release::codec` writes it.
    pub body: Option<Vec<u8>>,
}

type Histories = HashMap<ReleaseId, BTreeMap<Revision, Record>>;

/// All histories, kept by the shared watch and by our own writes.
pub struct Store {
    histories: RwLock<Histories>,
    synced: watch::Sender<bool>,
}

impl Default for Store {
    fn default() -> Self {
        Store { histories: RwLock::default(), synced: watch::Sender::new(false) }
    }
}

impl Store {
    /// The history as the shared watch knows it, oldest revision first. Good for deciding whether there is something to
    /// do; what is then written is guarded.
    pub fn history(&self, key: &ReleaseId) -> Vec<Record> {
        let histories = self.histories.read().unwrap_or_else(PoisonError::into_inner);
        histories.get(key).map(|revisions| revisions.values().cloned().collect()).unwrap_or_default()
    }

    /// The history as the cluster has it now.
    pub async fn fresh_history(&self, tenant: &TenantClient, key: &ReleaseId) -> Result<Vec<Record>, Error> {
        let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(tenant.client().clone(), &key.namespace);
        let list = api
            .list(&ListParams::default().labels(&selector(&key.name)))
            .await
            .map_err(|source| Error::of("list", format!("the history of release {key}"), "Secret", source))?;
        let records: BTreeMap<Revision, Record> = list
            .items
            .into_iter()
            .filter_map(|item| record_of(item.metadata))
            .map(|(_, record)| (record.revision, record))
            .collect();
        let history: Vec<_> = records.values().cloned().collect();
        let mut histories = self.histories.write().unwrap_or_else(PoisonError::into_inner);
        match records.is_empty() {
            true => histories.remove(key),
            false => histories.insert(key.clone(), records),
        };
        Ok(history)
    }

    /// The body of a stored revision, as `release::codec` reads it, and the record it belongs to.
    ///
    /// # Errors
    /// [`Answer::NotFound`] where it is gone, [`Answer::Invalid`] where the Secret holds no release.
    pub async fn body(
        &self,
        tenant: &TenantClient,
        key: &ReleaseId,
        revision: Revision,
    ) -> Result<(Record, Vec<u8>), Error> {
        let path = secret_path(key, &secret_name(&key.name, revision));
        let describe = || self::describe(key, revision);
        let (_, bytes) = wire::send(tenant.client(), Method::GET, &path, None, Want::Object)
            .await
            .map_err(|source| Error::of("read", describe(), "Secret", source))?;
        let invalid = || Answer::Invalid { message: "it holds no base64 under the key release".to_owned() };
        let secret: StoredSecret =
            serde_json::from_slice(&bytes).map_err(|_| Error::new("read", describe(), invalid()))?;
        let body = STANDARD.decode(secret.data.release).map_err(|_| Error::new("read", describe(), invalid()))?;
        let (_, record) = record_of(secret.metadata).ok_or_else(|| Error::new("read", describe(), invalid()))?;
        Ok((record, body))
    }

    /// Stores a new revision. Exactly one writer succeeds for a revision.
    ///
    /// # Errors
    /// [`Answer::AlreadyExists`] where somebody else was first, [`Answer::Invalid`] where the body is too big.
    pub async fn create(
        &self,
        tenant: &TenantClient,
        key: &ReleaseId,
        revision: Revision,
        labels: &BTreeMap<String, String>,
        progress: &str,
        body: &[u8],
    ) -> Result<Record, Error> {
        let describe = || self::describe(key, revision);
        check_size(body).map_err(|answer| Error::new("store", describe(), answer))?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": {
                "name": secret_name(&key.name, revision),
                "labels": labels,
                "annotations": { progress::ANNOTATION: progress },
            },
            "data": { "release": STANDARD.encode(body) },
        });
        let path = format!("{}?fieldManager=helm", secret_path(key, ""));
        let bytes = serde_json::to_vec(&secret).expect("a JSON value can be written");
        let sent =
            wire::send(tenant.client(), Method::POST, &path, Some(("application/json", bytes)), Want::Metadata).await;
        match sent {
            Ok((_, answer)) => self.note(key, &answer, describe),
            Err(source) => {
                let error = Error::of("store", describe(), "Secret", source);
                if error.is_already_exists() {
                    // The answer to our own first attempt may have been lost: then what stands there is ours.
                    if let Ok((record, _)) = self.body(tenant, key, revision).await
                        && record.progress.as_deref() == Some(progress)
                    {
                        self.remember(key, record.clone());
                        return Ok(record);
                    }
                }
                Err(error)
            }
        }
    }

    /// Changes a stored revision, provided it is still as `record` says.
    ///
    /// # Errors
    /// [`Answer::Stale`] where it was changed in between, [`Answer::NotFound`] where it is gone.
    pub async fn change(
        &self,
        tenant: &TenantClient,
        key: &ReleaseId,
        record: &Record,
        change: Change,
    ) -> Result<Record, Error> {
        let describe = || self::describe(key, record.revision);
        let mut patch = json!({"metadata": {"resourceVersion": record.resource_version, "labels": change.labels}});
        if let Some(progress) = change.progress {
            patch["metadata"]["annotations"] = json!({ progress::ANNOTATION: progress });
        }
        if let Some(body) = change.body {
            check_size(&body).map_err(|answer| Error::new("update", describe(), answer))?;
            patch["data"] = json!({ "release": STANDARD.encode(body) });
        }
        let path = format!("{}?fieldManager=helm", secret_path(key, &secret_name(&key.name, record.revision)));
        let bytes = serde_json::to_vec(&patch).expect("a JSON value can be written");
        let body = Some(("application/merge-patch+json", bytes));
        let (_, answer) = wire::send(tenant.client(), Method::PATCH, &path, body, Want::Metadata)
            .await
            .map_err(|source| Error::of("update", describe(), "Secret", source))?;
        self.note(key, &answer, describe)
    }

    /// Removes a stored revision; one that is gone already is fine.
    pub async fn delete(&self, tenant: &TenantClient, key: &ReleaseId, record: &Record) -> Result<(), Error> {
        let path = secret_path(key, &secret_name(&key.name, record.revision));
        let preconditions = json!({"preconditions": {"uid": record.uid}});
        let bytes = serde_json::to_vec(&preconditions).expect("a JSON value can be written");
        let sent =
            wire::send(tenant.client(), Method::DELETE, &path, Some(("application/json", bytes)), Want::Object).await;
        match sent.map_err(|source| Error::of("delete", describe(key, record.revision), "Secret", source)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => {
                self.forget(key, record.revision, &record.resource_version);
                Ok(())
            }
        }
    }

    /// Follows the metadata of all release Secrets of a namespace (of all namespaces for `None`); each item is a release
    /// whose history changed. Ends never; each error is told and followed by a pause of its own.
    pub fn follow(
        self: Arc<Self>,
        client: &ControllerClient,
        namespace: Option<&str>,
    ) -> impl Stream<Item = Result<ReleaseId, watcher::Error>> + Send + use<> {
        let api: Api<PartialObjectMeta<Secret>> = match namespace {
            Some(namespace) => Api::namespaced(client.client(), namespace),
            None => Api::all(client.client()),
        };
        let config = watcher::Config::default().labels("owner=helm").fields(&format!("type={SECRET_TYPE}"));
        let namespace = namespace.map(str::to_owned);
        let mut listed: Histories = HashMap::new();
        watcher(api, config).default_backoff().flat_map(move |event| {
            let changed = match event {
                Ok(event) => self.take(event, namespace.as_deref(), &mut listed).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            futures::stream::iter(changed)
        })
    }

    /// Waits until the first list of the shared watch is in.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Whether the first list of the shared watch is in.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn take(
        &self,
        event: watcher::Event<PartialObjectMeta<Secret>>,
        namespace: Option<&str>,
        listed: &mut Histories,
    ) -> Vec<ReleaseId> {
        match event {
            watcher::Event::Init => {
                listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(secret) => {
                if let Some((key, record)) = record_of(secret.metadata) {
                    listed.entry(key).or_default().insert(record.revision, record);
                }
                Vec::new()
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(listed);
                let mut histories = self.histories.write().unwrap_or_else(PoisonError::into_inner);
                let mut changed: Vec<_> = histories
                    .iter()
                    .filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
                    .filter(|(key, known)| listed.get(key) != Some(known))
                    .map(|(key, _)| key.clone())
                    .collect();
                changed.extend(listed.keys().filter(|key| !histories.contains_key(key)).cloned());
                histories.retain(|key, _| namespace.is_some_and(|namespace| key.namespace != namespace));
                histories.extend(listed);
                drop(histories);
                self.synced.send_replace(true);
                changed
            }
            watcher::Event::Apply(secret) => record_of(secret.metadata)
                .filter(|(key, record)| self.remember(key, record.clone()))
                .map(|(key, _)| key)
                .into_iter()
                .collect(),
            watcher::Event::Delete(secret) => record_of(secret.metadata)
                .filter(|(key, record)| self.forget(key, record.revision, &record.resource_version))
                .map(|(key, _)| key)
                .into_iter()
                .collect(),
        }
    }

    /// Keeps the answer to our own write, so that the next decision sees it before the watch tells it.
    fn note(&self, key: &ReleaseId, answer: &[u8], describe: impl Fn() -> String) -> Result<Record, Error> {
        let unreadable = || Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
        let answer: MetadataOnly = serde_json::from_slice(answer)
            .map_err(|_| Error::new("read the answer about", describe(), unreadable()))?;
        let (_, record) =
            record_of(answer.metadata).ok_or_else(|| Error::new("read the answer about", describe(), unreadable()))?;
        self.remember(key, record.clone());
        Ok(record)
    }

    /// Whether something new was learnt.
    fn remember(&self, key: &ReleaseId, record: Record) -> bool {
        let mut histories = self.histories.write().unwrap_or_else(PoisonError::into_inner);
        let revisions = histories.entry(key.clone()).or_default();
        match revisions.get(&record.revision) {
            Some(known) if known.uid == record.uid && !newer(&record.resource_version, &known.resource_version) => {
                false
            }
            _ => {
                revisions.insert(record.revision, record);
                true
            }
        }
    }

    fn forget(&self, key: &ReleaseId, revision: Revision, resource_version: &str) -> bool {
        let mut histories = self.histories.write().unwrap_or_else(PoisonError::into_inner);
        let Some(revisions) = histories.get_mut(key) else { return false };
        let known = revisions.get(&revision).is_some_and(|known| !newer(&known.resource_version, resource_version));
        if known {
            revisions.remove(&revision);
            if revisions.is_empty() {
                histories.remove(key);
            }
        }
        known
    }
}

/// Whether one version of an object is newer than another. Kubernetes orders them as numbers (KEP-5504).
pub(super) fn newer(version: &str, than: &str) -> bool {
    match (version.parse::<u128>(), than.parse::<u128>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}

fn describe(key: &ReleaseId, revision: Revision) -> String {
    format!("Secret {}/{}", key.namespace, secret_name(&key.name, revision))
}

fn check_size(body: &[u8]) -> Result<(), Answer> {
    let size = body.len();
    if size <= DATA_BYTES_MAX {
        return Ok(());
    }
    Err(Answer::Invalid {
        message: format!(
            "the release record has {size} bytes, at most {DATA_BYTES_MAX} fit into a Secret; \
             remove files from the chart that templates do not read"
        ),
    })
}

fn secret_path(key: &ReleaseId, name: &str) -> String {
    let collection = format!("/api/v1/namespaces/{}/secrets", key.namespace);
    match name {
        "" => collection,
        name => format!("{collection}/{name}"),
    }
}

fn record_of(metadata: ObjectMeta) -> Option<(ReleaseId, Record)> {
    let labels = metadata.labels?;
    let key = ReleaseId { namespace: metadata.namespace?, name: ReleaseName::parse(labels.get("name")?).ok()? };
    let revision = Revision(labels.get("version")?.parse().ok()?);
    // A Secret of that shape under another name is not what Helm would find.
    if metadata.name? != secret_name(&key.name, revision) {
        return None;
    }
    let record = Record {
        revision,
        status: labels.get("status").and_then(|word| word.parse().ok()).unwrap_or_default(),
        progress: metadata.annotations.and_then(|mut annotations| annotations.remove(progress::ANNOTATION)),
        created: metadata.creation_timestamp.map(|time| time.0),
        uid: metadata.uid.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        labels,
    };
    Some((key, record))
}

#[derive(Deserialize)]
struct MetadataOnly {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct StoredSecret {
    metadata: ObjectMeta,
    data: StoredData,
}

#[derive(Deserialize)]
struct StoredData {
    release: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, revision: &str, version: &str) -> PartialObjectMeta<Secret> {
        serde_json::from_value(json!({"metadata": {
            "name": name, "namespace": "apps", "uid": "u", "resourceVersion": version,
            "labels": {"owner": "helm", "name": "podinfo", "version": revision, "status": "deployed"},
            "annotations": {progress::ANNOTATION: "{}"},
        }}))
        .unwrap()
    }

    fn key() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: ReleaseName::parse("podinfo").unwrap() }
    }

    #[test]
    fn history_is_read_from_labels_in_order_of_revision() {
        let store = Store::default();
        let mut listed = Histories::new();
        store.take(watcher::Event::Init, None, &mut listed);
        for (name, revision) in [("sh.helm.release.v1.podinfo.v10", "10"), ("sh.helm.release.v1.podinfo.v9", "9")] {
            store.take(watcher::Event::InitApply(secret(name, revision, "1")), None, &mut listed);
        }
        assert_eq!(store.take(watcher::Event::InitDone, None, &mut listed), [key()]);
        let revisions: Vec<_> = store.history(&key()).iter().map(|record| record.revision).collect();
        assert_eq!(revisions, [Revision(9), Revision(10)]);
    }

    #[test]
    fn older_news_changes_nothing() {
        let store = Store::default();
        let name = "sh.helm.release.v1.podinfo.v1";
        let tell = |event| store.take(event, None, &mut Histories::new()).len();
        assert_eq!(tell(watcher::Event::Apply(secret(name, "1", "10"))), 1);
        assert_eq!(tell(watcher::Event::Apply(secret(name, "1", "9"))), 0);
        assert_eq!(tell(watcher::Event::Delete(secret(name, "1", "11"))), 1);
        assert_eq!(store.history(&key()), []);
    }

    #[test]
    fn secret_under_a_name_that_helm_does_not_read_is_no_revision() {
        assert_eq!(record_of(secret("copy-of-podinfo", "1", "1").metadata), None);
        assert_eq!(record_of(secret("sh.helm.release.v1.podinfo.v1", "x", "1").metadata), None);
    }
}
