//! What wakes a HelmRelease: its own changes, its records, its objects, and what its spec refers to.
//!
//! Each stream stands for itself: one that fails backs off alone and the others go on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt};
use kube::runtime::watcher;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::resolve::Read;
use super::{Key, Shell};
use crate::api::HelmRelease;
use crate::cluster::own;
use crate::cluster::references::{self, Reference, ReferenceKind};
use crate::release::ReleaseId;
use crate::text;

/// Who refers to which ConfigMap or Secret, and in which version it was read.
pub(super) struct References {
    state: Mutex<State>,
    /// Whether anybody refers to a kind: only then it is watched.
    wanted: [watch::Sender<bool>; 2],
}

impl Default for References {
    fn default() -> Self {
        References { state: Mutex::default(), wanted: [watch::Sender::new(false), watch::Sender::new(false)] }
    }
}

#[derive(Default)]
struct State {
    users: HashMap<Reference, HashMap<Key, String>>,
    of: HashMap<Key, Vec<Reference>>,
    changed: HashSet<Key>,
}

impl References {
    /// What a HelmRelease refers to now, with the versions that were read (empty for what does not exist).
    pub(super) fn set(&self, key: &Key, read: &Read) {
        let mut state = self.lock();
        for reference in state.of.remove(key).unwrap_or_default() {
            if let Some(users) = state.users.get_mut(&reference) {
                users.remove(key);
                if users.is_empty() {
                    state.users.remove(&reference);
                }
            }
        }
        if read.is_empty() {
            state.changed.remove(key);
            return;
        }
        for (reference, version) in read {
            state.users.entry(reference.clone()).or_default().insert(key.clone(), version.clone());
            self.wanted[slot(reference.kind)].send_if_modified(|wanted| !std::mem::replace(wanted, true));
        }
        state.of.insert(key.clone(), read.iter().map(|(reference, _)| reference.clone()).collect());
    }

    /// Whether something that this HelmRelease refers to changed since it was read; told once.
    pub(super) fn take_changed(&self, key: &Key) -> bool {
        self.lock().changed.remove(key)
    }

    /// An object is in this version now; the answer are those who read another one.
    fn changed(&self, reference: &Reference, version: &str) -> Vec<Key> {
        let mut state = self.lock();
        let Some(users) = state.users.get(reference) else { return Vec::new() };
        let outdated: Vec<Key> =
            users.iter().filter(|(_, read)| read.as_str() != version).map(|(key, _)| key.clone()).collect();
        state.changed.extend(outdated.iter().cloned());
        outdated
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(kind: ReferenceKind) -> usize {
    match kind {
        ReferenceKind::ConfigMap => 0,
        ReferenceKind::Secret => 1,
    }
}

/// Starts all streams.
pub(super) fn spawn(shell: &Arc<Shell>, mut changes: mpsc::UnboundedReceiver<ReleaseId>) -> JoinSet<()> {
    let mut streams = JoinSet::new();
    let namespaces: Vec<Option<String>> = match shell.options.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    shell.objects.expect_lists(namespaces.len());
    for namespace in namespaces {
        streams.spawn(follow_objects(shell.clone(), namespace.clone()));
        streams.spawn(follow_histories(shell.clone(), namespace.clone()));
        for kind in [ReferenceKind::ConfigMap, ReferenceKind::Secret] {
            streams.spawn(follow_references(shell.clone(), kind, namespace.clone()));
        }
    }
    let of_live = shell.clone();
    streams.spawn(async move {
        while let Some(release) = changes.recv().await {
            of_live.wake_owner(&release);
        }
    });
    streams
}

async fn follow_objects(shell: Arc<Shell>, namespace: Option<String>) {
    let events = own::follow::<HelmRelease>(shell.clients.controller(), namespace.as_deref());
    each(events, "HelmRelease", |event| {
        for key in shell.objects.take(namespace.as_deref(), event) {
            shell.queue.wake(&key);
        }
    })
    .await;
}

async fn follow_histories(shell: Arc<Shell>, namespace: Option<String>) {
    let releases = shell.store.clone().follow(shell.clients.controller(), namespace.as_deref());
    each(releases, "release Secret", |release| shell.wake_owner(&release)).await;
}

async fn follow_references(shell: Arc<Shell>, kind: ReferenceKind, namespace: Option<String>) {
    let mut wanted = shell.references.wanted[slot(kind)].subscribe();
    if wanted.wait_for(|wanted| *wanted).await.is_err() {
        return;
    }
    let changes = references::follow(shell.clients.controller(), kind, namespace.as_deref());
    each(changes, kind.as_str(), |(reference, version)| {
        for key in shell.references.changed(&reference, &version) {
            shell.queue.wake(&key);
        }
    })
    .await;
}

impl Shell {
    fn wake_owner(&self, release: &ReleaseId) {
        if let Some(key) = self.objects.owner(release) {
            self.queue.wake(&key);
        }
    }
}

/// Takes each item; the first error in a row is a warning, the others are the same news.
async fn each<T>(items: impl Stream<Item = Result<T, watcher::Error>>, what: &str, mut take: impl FnMut(T)) {
    let mut items = std::pin::pin!(items);
    let mut broken = false;
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => {
                if std::mem::take(&mut broken) {
                    debug!(kind = what, "watch works again");
                }
                take(item);
            }
            Err(error) => {
                let text = text::chain(&error);
                match std::mem::replace(&mut broken, true) {
                    false => warn!(kind = what, error = text, "watch interrupted"),
                    true => debug!(kind = what, error = text, "watch still interrupted"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "apps".into(), name: name.into() }
    }

    fn secret(name: &str) -> Reference {
        Reference { kind: ReferenceKind::Secret, namespace: "apps".into(), name: name.into() }
    }

    #[test]
    fn change_of_a_reference_wakes_those_who_read_another_version() {
        let references = References::default();
        references.set(&key("a"), &vec![(secret("db"), "1".into())]);
        references.set(&key("b"), &vec![(secret("db"), "2".into())]);
        assert_eq!(references.changed(&secret("db"), "2"), [key("a")]);
        assert!(references.take_changed(&key("a")));
        assert!(!references.take_changed(&key("a")));
        assert_eq!(references.changed(&secret("other"), "2"), [] as [Key; 0]);
    }

    #[test]
    fn missing_object_that_appears_is_a_change() {
        let references = References::default();
        references.set(&key("a"), &vec![(secret("db"), String::new())]);
        assert_eq!(references.changed(&secret("db"), "7"), [key("a")]);
        references.set(&key("a"), &Vec::new());
        assert_eq!(references.changed(&secret("db"), "8"), [] as [Key; 0]);
    }
}
