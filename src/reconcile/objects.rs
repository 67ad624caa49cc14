//! The HelmReleases as the watch and our own writes tell them, and which of them owns which release.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;

use super::Key;
use crate::api::{HelmRelease, validate};
use crate::release::ReleaseId;

/// One object as it stands in the cluster.
#[derive(Debug)]
pub(super) enum Seen {
    Valid(Box<HelmRelease>),
    /// Stored under another schema, so unreadable: it stops only itself.
    Invalid {
        metadata: Box<ObjectMeta>,
        problem: String,
    },
}

impl Seen {
    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Seen::Valid(release) => &release.metadata,
            Seen::Invalid { metadata, .. } => metadata,
        }
    }
}

/// The oldest claim on a release is the valid one. Among claims of the same second, one that has deployed something comes
/// before one that has not; then names decide.
type Claim = (Option<Timestamp>, bool, Key);

#[derive(Default)]
pub(super) struct Objects(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    objects: HashMap<Key, Arc<Seen>>,
    claims: HashMap<ReleaseId, BTreeSet<Claim>>,
    /// Of the list under way.
    listed: HashMap<Key, Arc<Seen>>,
    /// First lists that are not in yet.
    lists_missing: Option<usize>,
}

impl Objects {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Seen>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).objects.get(key).cloned()
    }

    /// How many watches will bring a first list.
    pub(super) fn expect_lists(&self, lists: usize) {
        self.write().lists_missing = Some(lists);
    }

    /// Whether every watch has brought its first list.
    pub(super) fn is_synced(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).lists_missing == Some(0)
    }

    /// The HelmRelease that owns a release.
    pub(super) fn owner(&self, release: &ReleaseId) -> Option<Key> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.claims.get(release)?.first().map(|(_, _, key)| key.clone())
    }

    /// Keeps the answer to a write of ours, unless something newer is known. The answer is who owns now what the
    /// HelmRelease does not stand for any more.
    pub(super) fn note(&self, release: HelmRelease) -> Vec<Key> {
        let key = Key::of(&release.metadata);
        let mut inner = self.write();
        let older = |known: &Arc<Seen>| version(known.metadata()) < version(&release.metadata);
        if !inner.objects.get(&key).is_some_and(older) {
            return Vec::new();
        }
        let heirs = inner.put(key.clone(), Seen::Valid(Box::new(release)));
        heirs.into_iter().filter(|heir| *heir != key).collect()
    }

    /// Takes an event of the watch; the answer are the keys to wake. Changes of the status wake nobody.
    pub(super) fn take(
        &self,
        namespace: Option<&str>,
        event: watcher::Event<DeserializeGuard<HelmRelease>>,
    ) -> Vec<Key> {
        let mut inner = self.write();
        match event {
            watcher::Event::Init => {
                inner.listed.retain(|key, _| namespace.is_some_and(|namespace| key.namespace != namespace));
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                let (key, seen) = read(object);
                inner.listed.insert(key, Arc::new(seen));
                Vec::new()
            }
            watcher::Event::InitDone => {
                inner.lists_missing = inner.lists_missing.map(|missing| missing.saturating_sub(1));
                let here = |key: &Key| namespace.is_none_or(|namespace| key.namespace == namespace);
                let listed: Vec<_> = inner.listed.extract_if(|key, _| here(key)).collect();
                let gone: Vec<_> = inner
                    .objects
                    .keys()
                    .filter(|key| here(key) && !listed.iter().any(|(known, _)| known == *key))
                    .cloned()
                    .collect();
                let mut wake: Vec<Key> = gone.into_iter().flat_map(|key| inner.remove(&key)).collect();
                for (key, seen) in listed {
                    wake.push(key.clone());
                    wake.extend(inner.put_shared(key, seen));
                }
                wake
            }
            watcher::Event::Apply(object) => {
                let (key, seen) = read(object);
                let news = inner.objects.get(&key).is_none_or(|known| asks_differ(known.metadata(), seen.metadata()));
                let known = inner.objects.get(&key).map(|known| version(known.metadata()));
                let mut wake = Vec::new();
                if known.is_none_or(|known| known <= version(seen.metadata())) {
                    wake = inner.put(key.clone(), seen);
                }
                wake.extend(news.then_some(key));
                wake
            }
            watcher::Event::Delete(object) => inner.remove(&read(object).0),
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, key: Key, seen: Seen) -> Vec<Key> {
        self.put_shared(key, Arc::new(seen))
    }

    /// The answer is who owns what this object stood for before and does not stand for any more.
    fn put_shared(&mut self, key: Key, seen: Arc<Seen>) -> Vec<Key> {
        let mut left = self.unclaim(&key);
        if let Seen::Valid(release) = &*seen {
            for id in claimed(release) {
                left.retain(|(of, _)| *of != id);
                self.claims.entry(id).or_default().insert(claim(release, &key));
            }
        }
        self.objects.insert(key, seen);
        left.into_iter().map(|(_, heir)| heir).collect()
    }

    /// The keys to wake: the object itself, and who owns its release now.
    fn remove(&mut self, key: &Key) -> Vec<Key> {
        let heirs = self.unclaim(key);
        self.objects.remove(key);
        heirs.into_iter().map(|(_, heir)| heir).chain([key.clone()]).collect()
    }

    /// What an object claimed, with those who own it then.
    fn unclaim(&mut self, key: &Key) -> Vec<(ReleaseId, Key)> {
        let Some(Seen::Valid(release)) = self.objects.get(key).map(|known| &**known) else { return Vec::new() };
        let (claim, ids) = (claim(release, key), claimed(release));
        let mut heirs = Vec::new();
        for id in ids {
            let Some(claims) = self.claims.get_mut(&id) else { continue };
            claims.remove(&claim);
            match claims.first() {
                Some((_, _, heir)) => heirs.push((id, heir.clone())),
                None => drop(self.claims.remove(&id)),
            }
        }
        heirs
    }
}

/// What a HelmRelease claims: its release, and the name of its records where they are elsewhere. Two releases whose
/// objects or whose records meet would undo each other.
fn claimed(release: &HelmRelease) -> Vec<ReleaseId> {
    let Ok((home, _)) = validate::home(release) else { return Vec::new() };
    let records = home.records();
    if records == home.release { vec![records] } else { vec![home.release, records] }
}

fn read(DeserializeGuard(object): DeserializeGuard<HelmRelease>) -> (Key, Seen) {
    match object {
        Ok(mut release) => {
            release.managed_fields_mut().clear();
            release.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
            (Key::of(&release.metadata), Seen::Valid(Box::new(release)))
        }
        Err(mut invalid) => {
            invalid.metadata.managed_fields = None;
            let key = Key::of(&invalid.metadata);
            let problem = invalid.error.to_string();
            (key, Seen::Invalid { metadata: Box::new(invalid.metadata), problem })
        }
    }
}

fn claim(release: &HelmRelease, key: &Key) -> Claim {
    let created = release.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let has_deployed = release.status.as_ref().is_some_and(|status| !status.history.is_empty());
    (created, !has_deployed, key.clone())
}

fn version(metadata: &ObjectMeta) -> u128 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Whether anything but the status differs.
fn asks_differ(old: &ObjectMeta, new: &ObjectMeta) -> bool {
    old.uid != new.uid
        || old.generation != new.generation
        || old.deletion_timestamp != new.deletion_timestamp
        || old.annotations != new.annotations
        || old.finalizers != new.finalizers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(name: &str, created: &str, version: u32, spec: Value) -> DeserializeGuard<HelmRelease> {
        serde_json::from_value(json!({
            "apiVersion": "pintle.dev/v1", "kind": "HelmRelease",
            "metadata": {"name": name, "namespace": "apps", "uid": name, "generation": 1,
                "creationTimestamp": created, "resourceVersion": version.to_string()},
            "spec": spec,
        }))
        .unwrap()
    }

    fn spec() -> Value {
        json!({"chart": {"oci": {"url": "oci://registry/podinfo", "tag": "6"}}, "releaseName": "podinfo"})
    }

    fn key(name: &str) -> Key {
        Key { namespace: "apps".into(), name: name.into() }
    }

    fn release() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: crate::release::ReleaseName::parse("podinfo").unwrap() }
    }

    #[test]
    fn older_of_two_claims_owns_and_the_younger_inherits() {
        let objects = Objects::default();
        objects.take(None, watcher::Event::Apply(object("b", "2026-01-01T00:00:00Z", 1, spec())));
        objects.take(None, watcher::Event::Apply(object("a", "2026-01-02T00:00:00Z", 2, spec())));
        assert_eq!(objects.owner(&release()), Some(key("b")));
        let wake = objects.take(None, watcher::Event::Delete(object("b", "2026-01-01T00:00:00Z", 3, spec())));
        assert_eq!(wake, [key("a"), key("b")]);
        assert_eq!(objects.owner(&release()), Some(key("a")));
    }

    #[test]
    fn release_is_claimed_as_long_as_the_status_names_it() {
        let objects = Objects::default();
        let named = |name: &str| json!({"release": {"name": name, "namespace": "apps", "storageNamespace": "ops"}});
        let object = |name: &str, version: u32, status: Value| {
            let DeserializeGuard(object) = object(name, "2026-01-01T00:00:00Z", version, spec());
            let mut object = object.unwrap();
            object.status = serde_json::from_value(status).unwrap();
            object
        };
        let take = |object: HelmRelease| {
            objects.take(None, watcher::Event::Apply(DeserializeGuard(Ok(object))));
        };
        // Its spec means podinfo already; what it stands for is still the old one.
        take(object("a", 1, named("old")));
        take(object("b", 2, json!({})));
        let of = |namespace: &str, name: &str| ReleaseId {
            namespace: namespace.into(),
            name: crate::release::ReleaseName::parse(name).unwrap(),
        };
        assert_eq!(objects.owner(&release()), Some(key("b")));
        assert_eq!(objects.owner(&of("apps", "old")), Some(key("a")));
        assert_eq!(objects.owner(&of("ops", "old")), Some(key("a")), "by the name of its records too");
        take(object("c", 3, named("old")));
        assert_eq!(objects.note(object("a", 4, named("podinfo"))), [key("c"), key("c")]);
        assert_eq!(objects.owner(&of("apps", "old")), Some(key("c")));
    }

    #[test]
    fn change_of_the_status_wakes_nobody() {
        let objects = Objects::default();
        let event = |version| watcher::Event::Apply(object("a", "2026-01-01T00:00:00Z", version, spec()));
        assert_eq!(objects.take(None, event(1)), [key("a")]);
        assert_eq!(objects.take(None, event(2)), [] as [Key; 0]);
    }

    #[test]
    fn unreadable_object_stops_only_itself() {
        let objects = Objects::default();
        let bad = object("bad", "2026-01-01T00:00:00Z", 1, json!({"chart": "podinfo"}));
        assert_eq!(objects.take(None, watcher::Event::Apply(bad)), [key("bad")]);
        assert!(matches!(&*objects.get(&key("bad")).unwrap(), Seen::Invalid { .. }));
    }
}
