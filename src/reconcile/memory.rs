//! What the shell remembers of one HelmRelease between passes. All of it can be lost: it saves requests, decides nothing
//! that the cluster's records do not say as well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::resolve::{Read, Resolution};
use crate::api::{HelmRelease, summarize, validate};
use crate::cluster::apply::Target;
use crate::cluster::store::Record;
use crate::manifest::id::ObjectId;
use crate::plan::outcome::Backoff;
use crate::plan::{Comparison, FailedAttempt};
use crate::release::progress::{HookOutput, Taken};
use crate::release::{Home, ReleaseSummary, Revision};

#[derive(Default)]
pub(super) struct Memory {
    pub(super) resolution: Option<Resolved>,
    /// What was read while resolving last.
    pub(super) read: Read,
    /// The history that was seen last.
    records: Vec<(Revision, String)>,
    summaries: HashMap<Revision, (String, ReleaseSummary)>,
    /// The stored record of the revision under way, so that its end costs no read. Packed: hundreds may be under way.
    body: Option<(Revision, String, Arc<[u8]>)>,
    pub(super) inventory: Option<(Revision, Arc<Vec<Target>>)>,
    pub(super) comparison: Option<Comparison>,
    /// What the newest revision took over from others, as its progress told.
    pub(super) taken: Option<(Revision, Vec<Taken>)>,
    /// What the hooks of the newest revision said, as its progress told.
    pub(super) hook_output: Option<(Revision, Vec<HookOutput>)>,
    pub(super) failed_attempt: Option<FailedAttempt>,
    /// What the last pass was asked for: the generation of the spec, and `pintle.dev/reconcile-at`.
    ask: Option<(Option<i64>, Option<String>)>,
    pub(super) unhealthy_since: Option<Timestamp>,
    /// Passes in a row that ended in a failure that may pass.
    pub(super) failures: u32,
    pub(super) pods: Pods,
    /// The release that all this is about.
    pub(super) home: Option<Home>,
    pub(super) ready: Option<&'static str>,
    /// When the status was written last.
    pub(super) status_at: Option<Instant>,
    /// Since when a rollout is waited for.
    pub(super) waiting_since: Option<Instant>,
    /// The value of `pintle.dev/reconcile-at` that was acted upon.
    pub(super) reconciled_at: Option<String>,
}

/// A resolution, and what it is good for.
pub(super) struct Resolved {
    pub(super) generation: i64,
    pub(super) at: Instant,
    pub(super) resolution: Resolution,
}

/// The Pods of workloads that are not ready, as of a moment.
#[derive(Default)]
pub(super) struct Pods {
    pub(super) at: Option<Instant>,
    pub(super) of: HashMap<ObjectId, Vec<Value>>,
}

impl Memory {
    /// Goes on with a release; where it is another one than before, what is known of that is forgotten, and it is the
    /// answer.
    pub(super) fn enter(&mut self, home: &Home) -> Option<Home> {
        if self.home.as_ref() == Some(home) {
            return None;
        }
        let left = self.home.take();
        if left.is_some() {
            *self = Memory { ready: self.ready, resolution: self.resolution.take(), ..Memory::default() };
        }
        self.home = Some(home.clone());
        left
    }

    /// A changed spec is tried although the one before failed: what stood in the way may be in a field that is no part of
    /// the fingerprint. Who asks for a pass wants to know whether a refusal still stands.
    pub(super) fn note_ask(&mut self, object: &HelmRelease) {
        let ask = (object.metadata.generation, validate::asks(object).reconcile);
        match &self.ask {
            None => {
                let status = object.status.as_ref().filter(|status| status.observed_generation == ask.0);
                self.failed_attempt = status.and_then(summarize::failed_attempt);
            }
            Some((generation, _)) if *generation != ask.0 => self.failed_attempt = None,
            Some((_, reconcile)) if *reconcile != ask.1 => {
                self.failed_attempt.iter_mut().for_each(|failed| failed.again_at = None);
            }
            Some(_) => {}
        }
        self.ask = Some(ask);
    }

    /// Whether a record is known under another version: somebody wrote it, and not this controller.
    pub(super) fn was_changed(&self, record: &Record) -> bool {
        self.summaries.get(&record.revision).is_some_and(|(version, _)| *version != record.resource_version)
    }

    pub(super) fn summary(&self, record: &Record) -> Option<&ReleaseSummary> {
        let (version, summary) = self.summaries.get(&record.revision)?;
        (*version == record.resource_version).then_some(summary)
    }

    pub(super) fn remember_summary(&mut self, record: &Record, mut summary: ReleaseSummary) {
        summary.info.notes = String::new(); // read by people, from the record itself
        self.summaries.insert(record.revision, (record.resource_version.clone(), summary));
    }

    /// Forgets revisions that are not stored any more. What was refused may have been so because of a record: a refusal
    /// ends with the history it was made upon.
    pub(super) fn note_records(&mut self, records: &[Record]) {
        let versions: Vec<_> =
            records.iter().map(|record| (record.revision, record.resource_version.clone())).collect();
        if self.records != versions {
            self.records = versions;
            self.failed_attempt.iter_mut().for_each(|failed| failed.again_at = None);
        }
        self.summaries.retain(|revision, _| records.iter().any(|record| record.revision == *revision));
    }

    pub(super) fn body(&self, record: &Record) -> Option<Arc<[u8]>> {
        let (revision, version, body) = self.body.as_ref()?;
        (*revision == record.revision && *version == record.resource_version).then(|| body.clone())
    }

    pub(super) fn remember_body(&mut self, record: &Record, body: Arc<[u8]>) {
        self.body = Some((record.revision, record.resource_version.clone(), body));
    }

    pub(super) fn drop_body(&mut self) {
        self.body = None;
    }

    /// How long to wait after another failure that may pass, with jitter.
    pub(super) fn wait(&self, backoff: Backoff) -> Duration {
        let wait = Duration::try_from(backoff.after(self.failures)).unwrap_or_default();
        wait.mul_f64(0.75 + 0.5 * fastrand::f64())
    }
}
