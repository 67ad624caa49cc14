//! One question to a server for all who ask the same: single flight, freshness, backoff by host.
//!
//! A question about a Git folder is made of two that others ask too: what a reference means, whatever the path, and what
//! a commit holds. So a hundred releases from one repository cost it one question and one download.

use super::auth::Tokens;
use super::cache::Cache;
use super::error::Error;
use super::git::{self, Head, Remote};
use super::http::{Entry, HelmRepository, Index, Place};
use super::oci::Repository;
use super::pack::Pack;
use super::transport::{Reach, Transport};
use super::{Artifact, Resolved};
use crate::chart::source_ref::{
    ChartName, CommitId, CredentialId, Credentials, Digest, GitFiles, GitReference, GitUrl, HttpUrl, OciReference,
    OciUrl, SourceRef, TreePath, VersionRange,
};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use gix::ObjectId;
use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Chart archives and Git folders kept in memory.
const CACHE_BYTES_MAX: u64 = 128 << 20;
/// Commits kept for other folders of theirs. A larger one is fetched again for each.
const PACKS_BYTES_MAX: u64 = 64 << 20;
/// Questions to one host at a time. Hosts do not wait for each other.
const FLIGHTS_PER_HOST: usize = 4;
/// How long an answer such as "not found" stands before it is asked for again.
const REFUSAL_REST: Duration = Duration::from_secs(10);
/// How long a host in trouble is left alone at first; doubled with each failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// What nobody asked for in this time is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What a deployment may choose.
#[derive(Clone, Debug)]
pub struct Options {
    pub reach: Reach,
    pub cache_bytes_max: u64,
    /// Token servers that may see registry passwords although they are no relatives of the registry.
    pub token_hosts: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options { reach: Reach::default(), cache_bytes_max: CACHE_BYTES_MAX, token_hosts: Vec::new() }
    }
}

/// All sources of a controller. Clones share everything.
#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<Transport>,
    tokens: Tokens,
    state: Mutex<State>,
}

struct State {
    /// What each source meant when it was last resolved.
    last: HashMap<Key, Last>,
    charts: Desk<Key, Resolved>,
    archives: Desk<(Key, Digest), Arc<Artifact>>,
    heads: Desk<HeadKey, Head>,
    packs: Desk<PackKey, Arc<Pack>>,
    trees: Desk<TreeKey, Arc<Artifact>>,
    indexes: Desk<IndexKey, Arc<Index>>,
    downloads: Desk<DownloadKey, Arc<Artifact>>,
    kept_artifacts: Cache<(CredentialId, Digest), Arc<Artifact>>,
    kept_packs: Cache<PackKey, Arc<Pack>>,
    hosts: HashMap<String, Host>,
    swept: Instant,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    source: SourceRef,
    credential: CredentialId,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct HeadKey {
    url: GitUrl,
    reference: GitReference,
    credential: CredentialId,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PackKey {
    url: GitUrl,
    commit: ObjectId,
    credential: CredentialId,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct TreeKey {
    pack: PackKey,
    path: TreePath,
    files: GitFiles,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct IndexKey {
    url: HttpUrl,
    credential: CredentialId,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct DownloadKey {
    source: Key,
    version: String,
}

struct Last {
    resolved: Resolved,
    asked: Instant,
}

/// Questions of one kind: the answers they had, and those that are on their way.
struct Desk<K, T> {
    questions: HashMap<K, Question<T>>,
}

struct Question<T> {
    answer: Option<(Instant, T)>,
    /// The last failure, and until when it stands.
    failed: Option<(Instant, Error)>,
    flight: Option<Flight<T>>,
    asked: Instant,
}

type Flight<T> = Shared<BoxFuture<'static, Result<T, Error>>>;

struct Host {
    permits: Arc<Semaphore>,
    trouble: Option<Trouble>,
}

struct Trouble {
    failures: u32,
    until: Instant,
    error: Error,
}

/// Which answers serve.
#[derive(Clone, Copy)]
enum Age {
    /// At most so old. Zero asks even though a refusal stands.
    AtMost(Duration),
    /// None is kept: the thing itself is, elsewhere.
    Never,
}

impl Sources {
    /// Opens no connection yet. The process must have chosen its TLS provider.
    ///
    /// # Errors
    /// [`Error::Internal`] where TLS could not be set up.
    pub fn new(options: Options) -> Result<Self, Error> {
        let state = State {
            last: HashMap::new(),
            charts: Desk::default(),
            archives: Desk::default(),
            heads: Desk::default(),
            packs: Desk::default(),
            trees: Desk::default(),
            indexes: Desk::default(),
            downloads: Desk::default(),
            kept_artifacts: Cache::new(options.cache_bytes_max),
            kept_packs: Cache::new(PACKS_BYTES_MAX.min(options.cache_bytes_max)),
            hosts: HashMap::new(),
            swept: Instant::now(),
        };
        Ok(Sources {
            inner: Arc::new(Inner {
                transport: Arc::new(Transport::new(options.reach)?),
                tokens: Tokens::new(options.token_hosts),
                state: Mutex::new(state),
            }),
        })
    }

    /// What a source means now: an answer at most `max_age` old, or a new one.
    ///
    /// Whoever asks the same with the same credentials while an answer is on its way waits for that one. A failure
    /// stands for a moment, and a host in trouble is left alone with growing patience, at least as long as it asked
    /// for. A `max_age` of zero asks even though a refusal stands, yet leaves a host in trouble alone.
    ///
    /// # Errors
    /// See [`Error`]. What was known before stays in [`Sources::last_known`].
    pub async fn resolve(
        &self,
        source: &SourceRef,
        credentials: &Credentials,
        max_age: Duration,
    ) -> Result<Resolved, Error> {
        let key = Key { source: source.clone(), credential: credentials.id() };
        let previous = self.inner.lock().previous(&key);
        let resolved = match source {
            SourceRef::Oci { url, reference, insecure } => {
                let (url, reference, insecure) = (url.clone(), reference.clone(), *insecure);
                self.resolve_chart(&key, url, reference, insecure, credentials, max_age, previous).await?
            }
            SourceRef::Git { url, reference, path, files } => {
                let head = self.head(url, reference, credentials, Age::AtMost(max_age)).await?;
                let revision = head.commit.to_string();
                match previous.filter(|known| known.revision == revision) {
                    Some(known) => known,
                    None => self.tree(url, head.commit, path, *files, credentials).await?.resolved.clone(),
                }
            }
            SourceRef::Http { url, chart, version, pass_credentials } => {
                let entry = self.entry(url, chart, version, credentials, Age::AtMost(max_age)).await?;
                match (&entry.place, entry.digest) {
                    (Place::Registry(source), _) => {
                        let credentials = if *pass_credentials { credentials } else { &Credentials::Anonymous };
                        Box::pin(self.resolve(source, credentials, max_age)).await?
                    }
                    (Place::Url(_), Some(digest)) => entry.resolved(digest, 0),
                    // Only the archive itself tells its digest.
                    (Place::Url(_), None) => self.download(&key, entry, credentials).await?.resolved.clone(),
                }
            }
        };
        self.inner.lock().last.insert(key, Last { resolved: resolved.clone(), asked: Instant::now() });
        Ok(resolved)
    }

    /// What the source meant when it was last resolved with these credentials: for when it cannot be asked.
    pub fn last_known(&self, source: &SourceRef, credentials: &Credentials) -> Option<Resolved> {
        self.inner.lock().previous(&Key { source: source.clone(), credential: credentials.id() })
    }

    /// The content that was resolved, from memory where these credentials have fetched it before.
    ///
    /// # Errors
    /// See [`Error`]. Content with another digest than the resolved one is an error, never a result.
    pub async fn fetch(
        &self,
        source: &SourceRef,
        credentials: &Credentials,
        resolved: &Resolved,
    ) -> Result<Arc<Artifact>, Error> {
        let key = Key { source: source.clone(), credential: credentials.id() };
        if let Some(artifact) = self.inner.lock().kept_artifacts.get(&(key.credential, resolved.digest)) {
            return Ok(artifact);
        }
        match source {
            SourceRef::Oci { url, insecure, .. } => {
                self.archive(key, url.clone(), *insecure, credentials, resolved.clone()).await
            }
            SourceRef::Git { url, path, files, .. } => {
                let internal = |problem: String| Error::Internal { host: url.host().to_owned(), problem };
                let commit = CommitId::parse(&resolved.revision).map_err(|error| internal(error.to_string()))?;
                let artifact = self.tree(url, git::object_id(&commit), path, *files, credentials).await?;
                let (expected, found) = (resolved.digest, artifact.resolved.digest);
                match found == expected {
                    true => Ok(artifact),
                    false => Err(Error::WrongDigest { host: url.host().to_owned(), what: "tree", expected, found }),
                }
            }
            SourceRef::Http { url, chart, pass_credentials, .. } => {
                let exact = resolved.version.as_deref().unwrap_or_default();
                let internal = |problem: String| Error::Internal { host: url.host().to_owned(), problem };
                let version = VersionRange::parse(exact).map_err(|error| internal(error.to_string()))?;
                let entry = self.entry(url, chart, &version, credentials, Age::AtMost(FORGOTTEN_AFTER)).await?;
                if let Place::Registry(source) = &entry.place {
                    let credentials = if *pass_credentials { credentials } else { &Credentials::Anonymous };
                    return Box::pin(self.fetch(source, credentials, resolved)).await;
                }
                let artifact = self.download(&key, entry, credentials).await?;
                let (expected, found) = (resolved.digest, artifact.resolved.digest);
                let what = "chart archive";
                match found == expected {
                    true => Ok(artifact),
                    false => Err(Error::WrongDigest { host: url.host().to_owned(), what, expected, found }),
                }
            }
        }
    }

    /// A file behind a URL, which may have a query.
    ///
    /// # Errors
    /// See [`Error`]; `what` names the file in them.
    pub async fn file(
        &self,
        url: &str,
        credentials: &Credentials,
        what: &'static str,
        bytes_max: u64,
    ) -> Result<bytes::Bytes, Error> {
        super::http::file(&self.inner.transport, url, credentials, what, bytes_max).await
    }

    /// What a Helm repository says of the chart and version that are meant.
    async fn entry(
        &self,
        url: &HttpUrl,
        chart: &ChartName,
        version: &VersionRange,
        credentials: &Credentials,
        age: Age,
    ) -> Result<Entry, Error> {
        let key = IndexKey { url: url.clone(), credential: credentials.id() };
        let (inner, asked, credentials) = (Arc::clone(&self.inner), url.clone(), credentials.clone());
        let known =
            inner.lock().indexes.questions.get(&key).and_then(|question| Some(question.answer.as_ref()?.1.clone()));
        let work = async move { inner.helm_repository(&asked, &credentials).index(known).await };
        let index = self.ask(|state| &mut state.indexes, key, Some(url.host()), age, work).await?;
        index.entry(url, chart, version)
    }

    /// The archive that an entry of a Helm repository leads to.
    async fn download(&self, source: &Key, entry: Entry, credentials: &Credentials) -> Result<Arc<Artifact>, Error> {
        let SourceRef::Http { url, pass_credentials, .. } = source.source.clone() else {
            let problem = "only Helm repositories have entries".to_owned();
            return Err(Error::Internal { host: source.source.host().to_owned(), problem });
        };
        let key = DownloadKey { source: source.clone(), version: entry.version.clone() };
        let (inner, credentials, credential) = (Arc::clone(&self.inner), credentials.clone(), source.credential);
        let host = entry.host();
        let work = async move {
            let repository = inner.helm_repository(&url, &credentials);
            let artifact = Arc::new(repository.fetch(&entry, pass_credentials).await?);
            inner.keep(credential, &artifact);
            Ok(artifact)
        };
        self.ask(|state| &mut state.downloads, key, Some(&host), Age::Never, work).await
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of an OCI source, and how it is asked for")]
    async fn resolve_chart(
        &self,
        key: &Key,
        url: OciUrl,
        reference: OciReference,
        insecure: bool,
        credentials: &Credentials,
        max_age: Duration,
        previous: Option<Resolved>,
    ) -> Result<Resolved, Error> {
        let (inner, credentials) = (Arc::clone(&self.inner), credentials.clone());
        let host = url.host().to_owned();
        let work =
            async move { inner.repository(&url, insecure, &credentials).resolve(&reference, previous.as_ref()).await };
        self.ask(|state| &mut state.charts, key.clone(), Some(&host), Age::AtMost(max_age), work).await
    }

    async fn archive(
        &self,
        key: Key,
        url: OciUrl,
        insecure: bool,
        credentials: &Credentials,
        resolved: Resolved,
    ) -> Result<Arc<Artifact>, Error> {
        let (inner, credentials) = (Arc::clone(&self.inner), credentials.clone());
        let (credential, digest) = (key.credential, resolved.digest);
        let host = url.host().to_owned();
        let work = async move {
            let artifact = Arc::new(inner.repository(&url, insecure, &credentials).fetch(&resolved).await?);
            inner.keep(credential, &artifact);
            Ok(artifact)
        };
        self.ask(|state| &mut state.archives, (key, digest), Some(&host), Age::Never, work).await
    }

    /// What a reference of a repository means.
    async fn head(
        &self,
        url: &GitUrl,
        reference: &GitReference,
        credentials: &Credentials,
        age: Age,
    ) -> Result<Head, Error> {
        let key = HeadKey { url: url.clone(), reference: reference.clone(), credential: credentials.id() };
        let advertisement = self.inner.lock().heads.questions.get(&key).and_then(Question::advertisement);
        let remote = self.inner.remote(url, credentials, advertisement);
        let reference = reference.clone();
        let work = async move { git::find(remote(), reference).await };
        self.ask(|state| &mut state.heads, key, Some(url.host()), age, work).await
    }

    /// A commit with all its files.
    async fn pack(&self, key: PackKey, credentials: &Credentials) -> Result<Arc<Pack>, Error> {
        let advertisement = {
            let mut state = self.inner.lock();
            if let Some(pack) = state.kept_packs.get(&key) {
                return Ok(pack);
            }
            let is_same = |head: &HeadKey| head.url == key.url && head.credential == key.credential;
            let mut questions = state.heads.questions.iter().filter(|(head, _)| is_same(head));
            questions.find_map(|(_, question)| question.advertisement())
        };
        let remote = self.inner.remote(&key.url, credentials, advertisement);
        let (inner, kept_as) = (Arc::clone(&self.inner), key.clone());
        let host = key.url.host().to_owned();
        let work = async move {
            let pack = Arc::new(git::download(remote(), kept_as.commit).await?);
            inner.lock().kept_packs.insert(kept_as, Arc::clone(&pack), pack.size_bytes());
            Ok(pack)
        };
        self.ask(|state| &mut state.packs, key, Some(&host), Age::Never, work).await
    }

    /// The files below a path of a commit.
    async fn tree(
        &self,
        url: &GitUrl,
        commit: ObjectId,
        path: &TreePath,
        files: GitFiles,
        credentials: &Credentials,
    ) -> Result<Arc<Artifact>, Error> {
        let pack = PackKey { url: url.clone(), commit, credential: credentials.id() };
        let key = TreeKey { pack: pack.clone(), path: path.clone(), files };
        let (sources, credentials, path) = (self.clone(), credentials.clone(), path.clone());
        let work = async move {
            let read = sources.pack(pack.clone(), &credentials).await?;
            let artifact = Arc::new(git::read(read, pack.url, commit, path, files).await?);
            sources.inner.keep(pack.credential, &artifact);
            Ok(artifact)
        };
        self.ask(|state| &mut state.trees, key, None, Age::Never, work).await
    }

    /// Has a question answered: from what is known, by the flight that is under way, or by a new one.
    ///
    /// `host` is who will be asked; `None` for work that only asks others, which then do this themselves.
    async fn ask<K, T>(
        &self,
        desk: fn(&mut State) -> &mut Desk<K, T>,
        key: K,
        host: Option<&str>,
        age: Age,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error>
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        T: Clone + Send + Sync + 'static,
    {
        let flight = {
            let mut state = self.inner.lock();
            let now = Instant::now();
            state.forget_unused(now);
            let trouble = host.and_then(|host| state.standing_trouble(host, now));
            let question = desk(&mut state).questions.entry(key.clone()).or_insert_with(|| Question::new(now));
            question.asked = now;
            if let Some(answer) = question.fresh(age, now) {
                return answer;
            }
            match (&question.flight, trouble) {
                (Some(flight), _) => flight.clone(),
                (None, Some(error)) => return Err(error),
                (None, None) => {
                    let flight = take_off(Arc::clone(&self.inner), desk, key, host.map(str::to_owned), age, work);
                    question.flight = Some(flight.clone());
                    flight
                }
            }
        };
        flight.await
    }
}

/// Runs a question's work to its end, even when all who wait for it leave, and takes note of how it went.
fn take_off<K, T>(
    inner: Arc<Inner>,
    desk: fn(&mut State) -> &mut Desk<K, T>,
    key: K,
    host: Option<String>,
    age: Age,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Flight<T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    let name = host.clone().unwrap_or_else(|| "sources".to_owned());
    let internal = |name: &str, problem: String| Error::Internal { host: name.to_owned(), problem };
    let of_task = name.clone();
    let task = tokio::spawn(async move {
        let _permit = match &host {
            Some(host) => Some(inner.permit(host).await),
            None => None,
        };
        // A panic within one flight stays there, and the flight is over.
        let result = AssertUnwindSafe(work).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(internal(&of_task, "it panicked".into())));
        inner.landed(desk, &key, host.as_deref(), age, &result);
        result
    });
    async move { task.await.unwrap_or_else(|error| Err(internal(&name, format!("the {error}")))) }.boxed().shared()
}

impl Inner {
    fn repository<'a>(&'a self, url: &'a OciUrl, insecure: bool, credentials: &'a Credentials) -> Repository<'a> {
        Repository {
            transport: &self.transport,
            tokens: &self.tokens,
            url,
            insecure,
            credentials,
            deadline: self.transport.deadline(),
        }
    }

    fn helm_repository<'a>(&'a self, url: &'a HttpUrl, credentials: &'a Credentials) -> HelmRepository<'a> {
        HelmRepository { transport: &self.transport, url, credentials, deadline: self.transport.deadline() }
    }

    /// A repository to be asked later: its time begins when it is.
    fn remote(
        &self,
        url: &GitUrl,
        credentials: &Credentials,
        advertisement: Option<git::Advertisement>,
    ) -> impl FnOnce() -> Remote + Send + 'static {
        let (transport, url, credentials) = (Arc::clone(&self.transport), url.clone(), credentials.clone());
        move || {
            let deadline = transport.deadline();
            Remote { transport, url, credentials, deadline, advertisement }
        }
    }

    fn keep(&self, credential: CredentialId, artifact: &Arc<Artifact>) {
        let key = (credential, artifact.resolved.digest);
        self.lock().kept_artifacts.insert(key, Arc::clone(artifact), artifact.size_bytes());
    }

    async fn permit(&self, host: &str) -> tokio::sync::OwnedSemaphorePermit {
        let permits = Arc::clone(&self.lock().host(host).permits);
        permits.acquire_owned().await.expect("the semaphore of a host is never closed")
    }

    fn landed<K: Eq + Hash, T: Clone>(
        &self,
        desk: fn(&mut State) -> &mut Desk<K, T>,
        key: &K,
        host: Option<&str>,
        age: Age,
        result: &Result<T, Error>,
    ) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(host) = host {
            state.note(host, result.as_ref().err(), now);
        }
        let Some(question) = desk(&mut state).questions.get_mut(key) else { return };
        question.flight = None;
        match (result, age) {
            (Ok(answer), Age::AtMost(_)) => {
                question.answer = Some((now, answer.clone()));
                question.failed = None;
            }
            (Ok(_), Age::Never) => {
                desk(&mut state).questions.remove(key);
            }
            (Err(error), _) => {
                // A host in trouble is left alone as a whole; anything else rests by itself.
                question.failed = (!error.is_of_the_host()).then(|| (now + REFUSAL_REST, error.clone()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No statement under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Default for Desk<K, T> {
    fn default() -> Self {
        Desk { questions: HashMap::new() }
    }
}

impl<K: Eq + Hash, T> Desk<K, T> {
    fn forget_unused(&mut self, now: Instant) {
        let is_due = |question: &Question<T>| now.duration_since(question.asked) > FORGOTTEN_AFTER;
        self.questions.retain(|_, question| question.flight.is_some() || !is_due(question));
    }
}

impl<T: Clone> Question<T> {
    fn new(now: Instant) -> Self {
        Question { answer: None, failed: None, flight: None, asked: now }
    }

    /// The answer or the refusal that still stands.
    fn fresh(&self, age: Age, now: Instant) -> Option<Result<T, Error>> {
        let refusals_stand = match age {
            Age::AtMost(max_age) => {
                if let Some((at, answer)) = &self.answer
                    && now.duration_since(*at) < max_age
                {
                    return Some(Ok(answer.clone()));
                }
                !max_age.is_zero()
            }
            Age::Never => true,
        };
        let (_, error) = self.failed.as_ref().filter(|(until, _)| refusals_stand && now < *until)?;
        Some(Err(error.clone()))
    }
}

impl Question<Head> {
    /// What the server said of itself, unless something went wrong since: that may have been the cause.
    fn advertisement(&self) -> Option<git::Advertisement> {
        let (_, head) = self.answer.as_ref().filter(|_| self.failed.is_none())?;
        head.advertisement.clone()
    }
}

impl State {
    fn previous(&self, key: &Key) -> Option<Resolved> {
        self.last.get(key).map(|last| last.resolved.clone())
    }

    fn host(&mut self, name: &str) -> &mut Host {
        self.hosts
            .entry(name.to_owned())
            .or_insert_with(|| Host { permits: Arc::new(Semaphore::new(FLIGHTS_PER_HOST)), trouble: None })
    }

    /// The error for whoever asks a host that is to be left alone.
    fn standing_trouble(&self, host: &str, now: Instant) -> Option<Error> {
        let trouble = self.hosts.get(host)?.trouble.as_ref()?;
        let wait = trouble.until.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        Some(Error::BackingOff { host: host.to_owned(), wait, source: Box::new(trouble.error.clone()) })
    }

    /// Takes note of whether a host is in trouble. Any answer that is its own, also a refusal, ends it.
    fn note(&mut self, host: &str, error: Option<&Error>, now: Instant) {
        let host = self.host(host);
        match error.filter(|error| error.is_of_the_host()) {
            None => host.trouble = None,
            Some(error) => {
                let failures = host.trouble.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1);
                let wait = backoff(failures).max(error.retry_after().unwrap_or_default());
                host.trouble = Some(Trouble { failures, until: now + wait, error: error.clone() });
            }
        }
    }

    fn forget_unused(&mut self, now: Instant) {
        if now.duration_since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        self.last.retain(|_, last| now.duration_since(last.asked) <= FORGOTTEN_AFTER);
        self.charts.forget_unused(now);
        self.archives.forget_unused(now);
        self.heads.forget_unused(now);
        self.packs.forget_unused(now);
        self.trees.forget_unused(now);
        self.indexes.forget_unused(now);
        self.downloads.forget_unused(now);
        let State { last, hosts, .. } = self;
        hosts.retain(|name, host| {
            let is_asked = host.permits.available_permits() < FLIGHTS_PER_HOST;
            is_asked
                || host.trouble.as_ref().is_some_and(|trouble| trouble.until > now)
                || last.keys().any(|key| key.source.host() == name)
        });
    }
}

/// Doubling, with a fifth of chance so that many controllers do not come back at once.
fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    doubled.mul_f64(0.8 + 0.4 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_to_a_minute() {
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (1000, 60.0)] {
            let wait = backoff(failures).as_secs_f64();
            assert!((0.8 * seconds..=1.2 * seconds).contains(&wait), "{failures}: {wait}");
        }
    }
}
