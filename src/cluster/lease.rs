//! The Lease that says which controller works: taken, kept, given back. What to do about it is decided in `election`.
//!
//! One who waits is told of each change by a watch, so that a lease that is given back is taken at once; where the watch
//! fails, it asks. Whether a lease may be taken is decided on a fresh read, and the write is guarded by what was read.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::error::{Answer, Error};
use super::identity::Clients;
use super::mandate::Mandate;
use crate::election::{Candidate, Decision, Record, Terms};
use crate::metrics::Metrics;
use crate::text;

/// Giving the lease back is a courtesy; the end of the process does not wait longer for it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a process stands in the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The lease has not been seen yet.
    Unknown,
    /// Somebody else works; this process waits.
    StandBy,
    Leader,
}

/// Which Lease, and under which name this process holds it.
#[derive(Clone, Debug)]
pub struct Options {
    pub namespace: String,
    pub name: String,
    pub identity: String,
    pub terms: Terms,
}

/// How a lease was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    #[error("{lease} was taken by {holder}")]
    Taken { lease: String, holder: String },
    #[error("{lease} could not be renewed in time: {problem}")]
    NotRenewed { lease: String, problem: String },
}

/// The part of one process in the election.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    /// For people: `Lease pintle-system/pintle`.
    place: String,
    terms: Terms,
    candidate: Candidate,
    mandate: Mandate,
    standing: watch::Sender<Standing>,
    metrics: Metrics,
    held: Option<Held>,
    /// For whom this process stands by, as far as it was told.
    leader: String,
}

/// The lease as it was written last, and when that was asked for.
struct Held {
    lease: Lease,
    sent: Instant,
}

/// What came of asking for the lease.
enum Asked {
    Held,
    StandBy { holder: String, until: Instant },
}

impl Election {
    /// The mandate is extended with each renewal, and ends with the lease.
    pub fn new(clients: &Clients, options: Options, mandate: Mandate, metrics: Metrics) -> Self {
        metrics.leader(false);
        Election {
            leases: Api::namespaced(clients.for_election(), &options.namespace),
            place: format!("Lease {}/{}", options.namespace, options.name),
            name: options.name,
            terms: options.terms,
            candidate: Candidate::new(options.identity, options.terms),
            mandate,
            standing: watch::Sender::new(Standing::Unknown),
            metrics,
            held: None,
            leader: String::new(),
        }
    }

    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Waits until the lease is held; `false` where `stop` came first.
    pub async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        info!(lease = self.place, identity = self.candidate.identity(), "waiting for leadership");
        let mut changes = pin!(watcher::watch_object(self.leases.clone(), &self.name).default_backoff());
        loop {
            let mut wake = match timeout(self.terms.renew_deadline() / 2, self.ask()).await {
                Ok(Ok(Asked::Held)) => {
                    info!(lease = self.place, "became leader");
                    return true;
                }
                Ok(Ok(Asked::StandBy { holder, until })) => {
                    self.stand_by(holder);
                    until
                }
                Ok(Err(problem)) if problem.is_stale() => self.retry(), // somebody else was quicker
                Ok(Err(problem)) => {
                    warn!(lease = self.place, error = text::chain(&problem), "asking for leadership failed");
                    self.retry()
                }
                Err(_) => {
                    warn!(lease = self.place, "asking for leadership took too long");
                    self.retry()
                }
            };
            loop {
                let change = tokio::select! {
                    biased;
                    () = stop.cancelled() => return false,
                    () = sleep_until(wake.into()) => break,
                    Some(change) = changes.next() => change,
                };
                match change.map(|lease| lease.map(|lease| self.read(&lease))) {
                    Ok(record) => match self.candidate.observe(record.as_ref(), Instant::now(), Timestamp::now()) {
                        Decision::StandBy { until } => {
                            self.stand_by(record.map(|record| record.holder).unwrap_or_default());
                            wake = until;
                        }
                        Decision::Write(_) => break,
                    },
                    Err(problem) => {
                        debug!(lease = self.place, error = text::chain(&problem), "watch interrupted");
                        wake = wake.min(self.retry());
                    }
                }
            }
        }
    }

    /// Renews the lease until it is lost; from then on nothing is written.
    pub async fn keep(&mut self) -> Lost {
        let lost = self.renew_while_possible().await;
        self.mandate.end();
        self.stand(Standing::StandBy);
        lost
    }

    async fn renew_while_possible(&mut self) -> Lost {
        let mut problem = "the process stood still".to_owned();
        let mut asked = Instant::now();
        loop {
            let deadline = match &self.held {
                Some(held) => held.sent + self.terms.renew_deadline(),
                None => Instant::now(),
            };
            sleep_until((asked + self.terms.retry_period()).min(deadline).into()).await;
            asked = Instant::now();
            if asked >= deadline {
                return Lost::NotRenewed { lease: self.place.clone(), problem };
            }
            // One request that hangs must leave time for another.
            let patience = deadline.min(asked + self.terms.renew_deadline() / 2);
            match timeout_at(patience.into(), self.renew()).await {
                Ok(Ok(Asked::Held)) => continue,
                Ok(Ok(Asked::StandBy { holder, .. })) => return Lost::Taken { lease: self.place.clone(), holder },
                Ok(Err(error)) => problem = text::chain(&error),
                Err(_) => problem = "the API server did not answer".to_owned(),
            }
            warn!(lease = self.place, error = problem, "renewing the lease failed");
        }
    }

    /// Gives the lease back, where it is ours, so that others need not wait for its end.
    ///
    /// It is read first: the answer to the last write may have been lost.
    pub async fn release(self) {
        self.mandate.end();
        self.stand(Standing::StandBy);
        match timeout(RELEASE_TIMEOUT, self.give_back()).await {
            Ok(Ok(true)) => info!(lease = self.place, "gave leadership back"),
            Ok(Ok(false)) => {}
            Ok(Err(problem)) => {
                warn!(lease = self.place, error = text::chain(&problem), "leadership not given back");
            }
            Err(_) => warn!(lease = self.place, "giving leadership back took too long"),
        }
    }

    async fn give_back(&self) -> Result<bool, Error> {
        loop {
            let Some(mut lease) = self.get().await? else { return Ok(false) };
            let record = self.read(&lease);
            if record.holder != self.candidate.identity() {
                return Ok(false);
            }
            write_into(&mut lease, record.released(Timestamp::now()));
            match self.leases.replace(&self.name, &PostParams::default(), &lease).await {
                Ok(_) => return Ok(true),
                Err(source) => {
                    let problem = self.error("give back", source);
                    if !problem.is_stale() {
                        return Err(problem);
                    }
                }
            }
        }
    }

    /// Writes over what was written last, without reading: one request.
    async fn renew(&mut self) -> Result<Asked, Error> {
        if let Some(held) = &self.held {
            let lease = held.lease.clone();
            let record = self.read(&lease);
            if let Decision::Write(record) = self.candidate.observe(Some(&record), Instant::now(), Timestamp::now()) {
                match self.write(Some(lease), record).await {
                    Ok(()) => return Ok(Asked::Held),
                    Err(problem) => debug!(lease = self.place, error = text::chain(&problem), "lease read again"),
                }
            }
        }
        self.ask().await
    }

    /// Looks at the lease, and takes it where that is right.
    async fn ask(&mut self) -> Result<Asked, Error> {
        let lease = self.get().await?;
        let record = lease.as_ref().map(|lease| self.read(lease));
        match self.candidate.observe(record.as_ref(), Instant::now(), Timestamp::now()) {
            Decision::Write(record) => self.write(lease, record).await.map(|()| Asked::Held),
            Decision::StandBy { until } => {
                let holder = record.map(|record| record.holder).unwrap_or_default();
                Ok(Asked::StandBy { holder, until })
            }
        }
    }

    async fn get(&self) -> Result<Option<Lease>, Error> {
        self.leases.get_opt(&self.name).await.map_err(|source| self.error("read", source))
    }

    /// Guarded by the resourceVersion of what was read, or by the name where there was nothing.
    async fn write(&mut self, lease: Option<Lease>, record: Record) -> Result<(), Error> {
        let exists = lease.is_some();
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let mut lease = lease.unwrap_or(Lease { metadata, spec: None });
        write_into(&mut lease, record);
        let sent = Instant::now();
        let written = match exists {
            true => self.leases.replace(&self.name, &PostParams::default(), &lease).await,
            false => self.leases.create(&PostParams::default(), &lease).await,
        };
        let lease = written.map_err(|source| self.error("write", source))?;
        self.mandate.extend(sent + self.terms.renew_deadline());
        self.held = Some(Held { lease, sent });
        self.stand(Standing::Leader);
        Ok(())
    }

    fn read(&self, lease: &Lease) -> Record {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Record {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map_or(self.terms.lease_duration(), Duration::from_secs),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    fn error(&self, action: &'static str, source: kube::Error) -> Error {
        match source {
            // Between its read and its write it was deleted: as good as changed.
            kube::Error::Api(status) if status.code == 404 && action != "read" => {
                Error::new(action, &self.place, Answer::Stale { message: status.message.clone() })
            }
            source => Error::of(action, &self.place, "Lease", source),
        }
    }

    fn retry(&self) -> Instant {
        Instant::now() + self.terms.retry_after(fastrand::f64())
    }

    fn stand_by(&mut self, leader: String) {
        self.stand(Standing::StandBy);
        if leader != self.leader {
            info!(lease = self.place, leader, "standing by");
            self.leader = leader;
        }
    }

    fn stand(&self, standing: Standing) {
        self.metrics.leader(standing == Standing::Leader);
        self.standing.send_if_modified(|known| std::mem::replace(known, standing) != standing);
    }
}

/// Other fields of the Lease stay as they are.
fn write_into(lease: &mut Lease, record: Record) {
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.holder_identity = Some(record.holder);
    spec.lease_duration_seconds = Some(i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX));
    spec.acquire_time = record.acquired.map(MicroTime);
    spec.renew_time = record.renewed.map(MicroTime);
    spec.lease_transitions = Some(record.transitions);
}
