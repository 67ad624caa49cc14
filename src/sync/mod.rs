//! GitSync: the objects in a folder of a Git repository, applied to the cluster and pruned when they leave it.
//!
//! A pass over one GitSync goes from left to right: [`spec`] (what is wanted) → `source` (which commit, which files) →
//! [`files`] (which objects, or what is wrong with them) → [`order`] (what comes first, what belongs to whom, what may be
//! deleted) → the cluster → [`status`]. The first, third, fourth and last are pure. [`pass`] does what they say, and
//! [`run`] says when.
//!
//! Nothing is kept between passes that cannot be lost: what was applied is in the status, written there before the first
//! object is, and each object carries the name of its GitSync.

mod files;
mod order;
mod pass;
mod run;
mod spec;
mod status;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::{GitSync, GitSyncStatus};
use crate::cluster::discovery::Discovery;
use crate::cluster::events::{Events, Regarding};
use crate::cluster::identity::Clients;
use crate::manifest::id::ObjectId;
use crate::metrics::Metrics;
use crate::source::Sources;

pub use files::OBJECTS_MAX;
pub use order::{OWNER, PRUNE_FREE_MAX};
pub use pass::reconcile_git_sync;
pub use run::run;

/// The field manager of everything that a GitSync applies.
pub const FIELD_MANAGER: &str = "pintle-gitsync";

/// Which GitSync.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn of(object: &GitSync) -> Self {
        let metadata = &object.metadata;
        Key {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// `fleet-system/prod`, as the mark on its objects says it too.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What an Event of this GitSync is about.
fn regarding(key: &Key, uid: &str) -> Regarding {
    Regarding {
        api_version: "pintle.dev/v1".into(),
        kind: "GitSync".into(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: uid.to_owned(),
    }
}

/// What a deployment may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespaces whose GitSyncs are served; empty for all.
    pub namespaces: Vec<String>,
    /// GitSyncs worked on at once.
    pub concurrency: usize,
    /// The ServiceAccount of GitSyncs that name none, in their own namespace; without it they use the controller's
    /// rights.
    pub default_service_account: Option<String>,
    /// How long running passes may take to end when the controller is stopped.
    pub grace: Duration,
}

/// Everything that passes share.
pub struct Context {
    pub clients: Clients,
    pub discovery: Arc<Discovery>,
    pub sources: Sources,
    pub events: Arc<Events>,
    pub metrics: Metrics,
    /// Set for good once every GitSync has been listed.
    pub listed: AtomicBool,
    pub options: Options,
}

/// What one pass leaves for the next. All of it may be lost: the next pass then does a little more.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of which object: one that was made anew under the same name is another one.
    uid: String,
    /// The state of its condition Ready, for the figures.
    ready: Option<&'static str>,
    /// The status as it was last written.
    written: Option<GitSyncStatus>,
    /// The last commit of which every document was applied.
    round: Option<Round>,
    /// Passes in a row that ended in something that passes by itself.
    failures: u32,
    /// Passes in a row that waited for the same thing.
    waits: u32,
}

#[derive(Debug)]
struct Round {
    generation: i64,
    commit: String,
    at: Instant,
    /// What the commit wants to be there.
    objects: BTreeSet<ObjectId>,
}

/// When a GitSync is to be looked at again, unless something wakes it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    After(Duration),
    /// When it changes.
    WhenChanged,
}
