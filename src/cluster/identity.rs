//! Who asks the API server: the controller itself, or a release's own service account.
//!
//! Everything written for a release goes through a [`TenantClient`]; its inside is open to this room only, so work for
//! a release cannot be done with the controller's rights by mistake. All clients share one connection pool: a tenant
//! differs only by the impersonation headers on its requests.
//!
//! Every request is counted, has a time limit (watches have their own, in `kube::runtime`), and waits for its turn, so
//! that a burst of releases becomes a queue here and not a thousand connections there. A write is sent only while this
//! process has the mandate for it ([`super::mandate`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::Semaphore;
use tower::{BoxError, Service};

use super::mandate::Mandate;
use crate::metrics::Metrics;

/// Requests in flight at once, watches not counted. More only lengthens the API server's queue, and each has a connection.
const REQUESTS_IN_FLIGHT_MAX: usize = 16;
/// One attempt of one request, from sending to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: u32 = 4;
/// A server that asks for more patience than this gets it from the queue of releases, not from a held worker.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// A service account that a release runs as, known to be a name that can stand in a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("`{0}` is no name of a service account: lower-case letters, digits, `-` and `.`, at most 253 of them")]
    InvalidName(String),
    #[error("cannot read the configuration of the cluster")]
    Config(#[source] kube::Error),
}

impl ServiceAccount {
    /// Checked here once, because an empty or odd name in the header would mean somebody else (or the controller).
    pub fn parse(namespace: &str, name: &str) -> Result<Self, IdentityError> {
        for word in [namespace, name] {
            if !is_dns_subdomain(word) {
                return Err(IdentityError::InvalidName(word.to_owned()));
            }
        }
        Ok(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let user = HeaderName::from_static("impersonate-user");
        let group = HeaderName::from_static("impersonate-group");
        let value = |text: String| HeaderValue::try_from(text).expect("parse allows only letters, digits, - and .");
        vec![
            (user, value(self.to_string())),
            // The groups that the API server itself gives to a service account's token.
            (group.clone(), value("system:serviceaccounts".to_owned())),
            (group.clone(), value(format!("system:serviceaccounts:{}", self.namespace))),
            (group, value("system:authenticated".to_owned())),
        ]
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

fn is_dns_subdomain(word: &str) -> bool {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let at_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    word.len() <= 253 && word.starts_with(at_edge) && word.ends_with(at_edge) && word.chars().all(of_name)
}

/// Whose rights a release's work uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// No service account is named: the controller's own rights.
    Controller,
    ServiceAccount(ServiceAccount),
}

/// The controller's own rights: our kinds, the metadata of release Secrets, the shared watches.
#[derive(Clone)]
pub struct ControllerClient(kube::Client);

impl ControllerClient {
    pub fn client(&self) -> kube::Client {
        self.0.clone()
    }
}

/// A release's own rights. Only this room can make a request with it.
#[derive(Clone)]
pub struct TenantClient {
    client: kube::Client,
    account: Account,
}

impl TenantClient {
    pub(super) fn client(&self) -> &kube::Client {
        &self.client
    }

    pub fn account(&self) -> &Account {
        &self.account
    }
}

/// Makes clients; one for the life of the program, whose clones share everything.
#[derive(Clone)]
pub struct Clients {
    wire: kube::Client,
    turns: Arc<Semaphore>,
    mandate: Mandate,
    metrics: Metrics,
    silent: Arc<AtomicBool>,
    namespace: String,
    controller: ControllerClient,
    tenants: Arc<Mutex<HashMap<Account, TenantClient>>>,
}

impl Clients {
    /// # Errors
    /// [`IdentityError::Config`] where the configuration's certificates or credentials cannot be used.
    pub fn new(config: kube::Config, metrics: Metrics) -> Result<Self, IdentityError> {
        Clients::with_mandate(config, metrics, Mandate::default())
    }

    /// Clients that write only while the mandate lasts.
    ///
    /// # Errors
    /// As [`Clients::new`].
    pub fn with_mandate(mut config: kube::Config, metrics: Metrics, mandate: Mandate) -> Result<Self, IdentityError> {
        config.default_retry = false; // the gate below retries, and honours Retry-After within its bound
        let namespace = config.default_namespace.clone();
        let wire = kube::Client::try_from(config).map_err(IdentityError::Config)?;
        let turns = Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX));
        let silent = Arc::<AtomicBool>::default();
        let gate = Gate {
            wire: wire.clone(),
            headers: Arc::default(),
            turns: turns.clone(),
            mandate: mandate.clone(),
            metrics: metrics.clone(),
            silent: silent.clone(),
        };
        let controller = ControllerClient(kube::Client::new(gate, &namespace));
        Ok(Clients { wire, turns, mandate, metrics, silent, namespace, controller, tenants: Arc::default() })
    }

    /// Whether the API server left the last request without any answer. Broken watches are tried again all the time, so
    /// that this is soon known also where nothing is going on.
    pub fn is_server_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    pub fn controller(&self) -> &ControllerClient {
        &self.controller
    }

    /// For the Lease, on which the mandate rests: its requests need none, and wait behind no others.
    pub(super) fn for_election(&self) -> kube::Client {
        let gate = Gate {
            wire: self.wire.clone(),
            headers: Arc::default(),
            turns: Arc::new(Semaphore::new(1)),
            mandate: Mandate::default(),
            metrics: self.metrics.clone(),
            silent: self.silent.clone(),
        };
        kube::Client::new(gate, &self.namespace)
    }

    /// The client for releases of this account; the same one for each call.
    pub fn tenant(&self, account: &Account) -> TenantClient {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(account) {
            return tenant.clone();
        }
        let client = match account {
            Account::Controller => self.controller.client(),
            Account::ServiceAccount(account) => kube::Client::new(
                Gate {
                    wire: self.wire.clone(),
                    headers: Arc::new(account.headers()),
                    turns: self.turns.clone(),
                    mandate: self.mandate.clone(),
                    metrics: self.metrics.clone(),
                    silent: self.silent.clone(),
                },
                &self.namespace,
            ),
        };
        let tenant = TenantClient { client, account: account.clone() };
        tenants.insert(account.clone(), tenant.clone());
        tenant
    }
}

/// Between a client and the wire: identity, turn, mandate, time limit, retry, count.
#[derive(Clone)]
struct Gate {
    wire: kube::Client,
    headers: Arc<Vec<(HeaderName, HeaderValue)>>,
    turns: Arc<Semaphore>,
    mandate: Mandate,
    metrics: Metrics,
    /// Whether the last request got no answer.
    silent: Arc<AtomicBool>,
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        for (name, value) in self.headers.iter() {
            request.headers_mut().append(name, value.clone());
        }
        let gate = self.clone();
        if is_watch(&request) { gate.stream(request).boxed() } else { gate.exchange(request).boxed() }
    }
}

impl Gate {
    /// A watch: counted, not limited.
    async fn stream(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let answer = self.wire.send(request).await;
        self.note("watch", code(&answer));
        Ok(answer?)
    }

    /// Everything else: the whole answer is read here, so that the time limit covers it.
    async fn exchange(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let verb = verb(&request);
        let is_write = !matches!(*request.method(), http::Method::GET | http::Method::HEAD);
        let repeatable = is_repeatable(&request);
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        for attempt in 1.. {
            let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
            let answer = {
                let _turn = self.turns.acquire().await?;
                if is_write {
                    // As late as can be: the wait for the turn, or for another attempt, may have been long.
                    self.mandate.check(Instant::now())?;
                }
                tokio::time::timeout(REQUEST_TIMEOUT, self.once(request)).await
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(elapsed) => {
                    self.note(verb, 0);
                    return Err(Box::new(elapsed));
                }
            };
            self.note(verb, code(&answer));
            let delay = match &answer {
                Ok(answer) => retry_delay(answer, attempt, repeatable),
                // Perhaps the server did as asked.
                Err(_) => repeatable.then(|| backoff(attempt)),
            };
            match delay {
                Some(delay) if attempt < ATTEMPTS_MAX => tokio::time::sleep(delay).await,
                _ => return Ok(answer?),
            }
        }
        unreachable!("the loop returns at the last attempt")
    }

    /// Counts an answer by its status; 0 where there was none.
    fn note(&self, verb: &'static str, code: u16) {
        self.metrics.api_request(verb, code);
        self.silent.store(code == 0, Ordering::Relaxed);
    }

    async fn once(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (parts, body) = self.wire.send(request).await?.into_parts();
        Ok(Response::from_parts(parts, Body::from(body.collect().await?.to_bytes())))
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// The verb as RBAC names it; kube marks its requests, so that a list is told from a get.
fn verb(request: &Request<Body>) -> &'static str {
    match request.extensions().get::<&'static str>() {
        Some(&"list" | &"list_metadata") => "list",
        _ => match *request.method() {
            http::Method::GET => "get",
            http::Method::POST => "create",
            http::Method::PUT => "update",
            http::Method::PATCH => "patch",
            http::Method::DELETE => "delete",
            _ => "other",
        },
    }
}

fn code(answer: &Result<Response<Body>, kube::Error>) -> u16 {
    answer.as_ref().map_or(0, |response| response.status().as_u16())
}

/// Whether asking twice is asking once: reads, and applies, which say what is wanted whole. A second creation meets the
/// first, and a second guarded change meets the version that the first one made: their callers decide.
fn is_repeatable(request: &Request<Body>) -> bool {
    let applies = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/apply-patch");
    match *request.method() {
        http::Method::GET => true,
        http::Method::PATCH => request.headers().get(CONTENT_TYPE).is_some_and(applies),
        _ => false,
    }
}

/// How long to wait before sending the same request again; `None` for an answer that stands.
fn retry_delay(answer: &Response<Body>, attempt: u32, repeatable: bool) -> Option<Duration> {
    match answer.status() {
        // Refused before anything was done.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {}
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if repeatable => {}
        _ => return None,
    }
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match asked.map(Duration::from_secs) {
        Some(asked) if asked > RETRY_AFTER_MAX => None,
        // Jitter on top: a server in trouble tells everybody the same second.
        Some(asked) => Some(asked + backoff(attempt)),
        None => Some(backoff(attempt)),
    }
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt).mul_f64(0.5 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::super::error::{Answer, Error};
    use super::super::wire::{self, Want};
    use super::*;

    #[tokio::test]
    async fn without_a_mandate_nothing_is_written_and_no_release_is_blamed() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let metrics = Metrics::default();
        // Nobody listens there.
        let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        let clients = Clients::with_mandate(config, metrics.clone(), Mandate::none()).unwrap();
        let deployer = Account::ServiceAccount(ServiceAccount::parse("apps", "deployer").unwrap());
        for client in [clients.controller().client(), clients.tenant(&deployer).client().clone()] {
            for (method, refused) in [(http::Method::PATCH, true), (http::Method::GET, false)] {
                let path = "/api/v1/namespaces/apps/configmaps/a";
                let problem = wire::send(&client, method, path, None, Want::Object).await.unwrap_err();
                let Answer::Transient { message, .. } = Error::of("change", "it", "ConfigMap", problem).answer else {
                    panic!("not transient")
                };
                assert_eq!(message.contains("does not hold the lease"), refused, "{message}");
            }
        }
        assert!(clients.is_server_silent());
        let page = metrics.page();
        assert!(page.contains(r#"verb="get""#) && !page.contains(r#"verb="patch""#), "{page}");
    }

    #[test]
    fn name_that_could_mean_somebody_else_is_refused() {
        for name in ["", " ", "system:masters", "a\nImpersonate-User: admin", "A", "-a", "a:b", "ä"] {
            assert!(ServiceAccount::parse("apps", name).is_err(), "{name:?}");
            assert!(ServiceAccount::parse(name, "deployer").is_err(), "{name:?}");
        }
    }

    #[test]
    fn service_account_carries_the_groups_of_its_token() {
        let account = ServiceAccount::parse("apps", "deployer").unwrap();
        let headers: Vec<_> =
            account.headers().into_iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(
            headers,
            [
                "impersonate-user: system:serviceaccount:apps:deployer",
                "impersonate-group: system:serviceaccounts",
                "impersonate-group: system:serviceaccounts:apps",
                "impersonate-group: system:authenticated",
            ]
        );
    }

    #[test]
    fn only_an_answer_that_says_later_is_asked_again() {
        let answer = |status: u16, after: Option<&str>, repeatable: bool| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(after) = after {
                response.headers_mut().insert(RETRY_AFTER, after.parse().unwrap());
            }
            retry_delay(&response, 1, repeatable)
        };
        assert!(answer(429, Some("1"), false).unwrap() >= Duration::from_secs(1));
        assert!(answer(503, None, false).unwrap() < Duration::from_secs(1));
        assert_eq!(answer(429, Some("600"), true), None);
        assert_eq!(answer(409, None, true), None);
        assert_eq!(answer(500, None, false), None);
        assert!(answer(500, None, true).is_some());
    }
}
