//! HTTP to registries and Git servers: time, size, redirects and reachable addresses are ours to limit.
//!
//! One connection pool for all sources. It knows nothing of registries or Git; it never sends an `Authorization`
//! header to another origin than the one it was meant for, and never reads more than it was told to.

use super::error::{Cause, Error};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent within an answer.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long resolving or fetching one source may take in all.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(300);
/// How many redirects are followed for one request.
const REDIRECTS_MAX: usize = 5;
/// The longest `Retry-After` honoured: a server's slip of the pen does not stop a source for a week.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What a deployment may change about reaching sources.
///
/// The proxy variables of the environment (`HTTPS_PROXY`, `NO_PROXY`) are honoured. A proxy resolves names itself, so what
/// it may reach is its own rules' to say.
#[derive(Clone, Debug)]
pub struct Reach {
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub operation_timeout: Duration,
    /// Sources on 127.0.0.0/8 and ::1: for development machines and tests.
    pub loopback: bool,
    /// Addresses no source may have, beside those that never may: the cluster's API server.
    pub refused_addresses: Vec<IpAddr>,
    pub tls: Tls,
}

/// Whom we trust, and how we show ourselves.
#[derive(Clone, Default)]
pub struct Tls {
    /// Certificates of authorities that are trusted besides the machine's own, as PEM.
    pub authorities_pem: Option<Vec<u8>>,
    /// Our own certificate and its key, one behind the other, as PEM.
    pub identity_pem: Option<Vec<u8>>,
    /// Trust any certificate: for development machines.
    pub trust_anyone: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tls { authorities_pem, identity_pem, trust_anyone } = self;
        let (has_authorities, has_identity) = (authorities_pem.is_some(), identity_pem.is_some());
        write!(f, "Tls(authorities: {has_authorities}, identity: {has_identity}, trust_anyone: {trust_anyone})")
    }
}

impl Default for Reach {
    fn default() -> Self {
        Reach {
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
            loopback: false,
            refused_addresses: Vec::new(),
            tls: Tls::default(),
        }
    }
}

pub(super) struct Transport {
    client: reqwest::Client,
    egress: Arc<Egress>,
    reach: Reach,
}

/// One request. `authorization` is for the origin of `url` alone.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Bytes,
}

/// An answer whose head has arrived.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from after redirects.
    pub(super) url: Url,
    /// Whether a redirect led to another origin.
    pub(super) left_origin: bool,
    body: reqwest::Response,
    deadline: Instant,
    host: String,
    limits: Reach,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Request { method, url, headers: HeaderMap::new(), authorization: None, body: Bytes::new() }
    }
}

impl Transport {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// TLS could not be set up: no provider was chosen for the process, or its root certificates are unreadable.
    pub(super) fn new(reach: Reach) -> Result<Self, Error> {
        let egress = Arc::new(Egress { loopback: reach.loopback, refused: reach.refused_addresses.clone() });
        let internal = |problem: String| Error::Internal { host: "sources".into(), problem };
        let mut builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(reach.tls.trust_anyone);
        if let Some(pem) = &reach.tls.authorities_pem {
            let authorities = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| internal(format!("the authorities to trust: {}", crate::text::chain(&error))))?;
            builder = builder.tls_certs_merge(authorities);
        }
        if let Some(pem) = &reach.tls.identity_pem {
            let identity = reqwest::Identity::from_pem(pem)
                .map_err(|error| internal(format!("our own certificate: {}", crate::text::chain(&error))))?;
            builder = builder.identity(identity);
        }
        let client = builder
            .user_agent(concat!("pintle/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(reach.connect_timeout)
            .read_timeout(reach.idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::clone(&egress))
            .build()
            .map_err(|error| internal(format!("the HTTP client could not be built: {}", crate::text::chain(&error))))?;
        Ok(Transport { client, egress, reach })
    }

    /// The moment an operation that begins now must be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.reach.operation_timeout
    }

    /// Sends a request and follows redirects of GET and HEAD.
    ///
    /// # Errors
    /// No answer, an address or redirect that is refused, or an answer that says the server is in trouble (429, 5xx).
    /// Every other status is the caller's to judge.
    pub(super) async fn send(&self, request: Request, deadline: Instant) -> Result<Response, Error> {
        let origin = request.url.clone();
        let mut request = request;
        let mut left_origin = false;
        for _ in 0..=REDIRECTS_MAX {
            let host = host_of(&request.url);
            self.egress.check_url(&request.url, &host)?;
            let mut headers = request.headers.clone();
            if let Some(authorization) = request.authorization.as_ref().filter(|_| !left_origin) {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let sent = self
                .client
                .request(request.method.clone(), request.url.clone())
                .headers(headers)
                .body(request.body.clone());
            let body = match tokio::time::timeout_at(deadline, sent.send()).await {
                Err(_) => return Err(Error::TimedOut { host, limit: self.reach.operation_timeout }),
                Ok(Err(error)) => return Err(self.failure(host, error)),
                Ok(Ok(body)) => body,
            };
            let status = body.status();
            if let Some(target) = redirect_target(&request, status, body.headers(), &host)? {
                left_origin |= target.origin() != origin.origin();
                request.url = target;
                continue;
            }
            in_trouble(status, body.headers(), &host)?;
            return Ok(Response {
                status,
                headers: body.headers().clone(),
                url: request.url,
                left_origin,
                body,
                deadline,
                host,
                limits: self.reach.clone(),
            });
        }
        Err(Error::RedirectRefused {
            host: host_of(&origin),
            target: host_of(&request.url),
            why: "it was the sixth redirect in a row",
        })
    }

    fn failure(&self, host: String, error: reqwest::Error) -> Error {
        if let Some(refused) = refusal_within(&error) {
            return refused;
        }
        if error.is_connect() {
            let limit = self.reach.connect_timeout;
            return if error.is_timeout() {
                Error::TimedOut { host, limit }
            } else {
                Error::Unreachable { host, source: cause(error) }
            };
        }
        broken(host, &self.reach, error)
    }
}

impl Response {
    /// The whole body.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as soon as it is known, `what` naming the thing; an answer that breaks off or stalls.
    pub(super) async fn bytes(mut self, what: &'static str, limit_bytes: u64) -> Result<Bytes, Error> {
        self.check_length(what, limit_bytes)?;
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() as u64 + chunk.len() as u64 > limit_bytes {
                return Err(self.too_large(what, limit_bytes));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Refuses an answer that announces more than the limit.
    pub(super) fn check_length(&self, what: &'static str, limit_bytes: u64) -> Result<(), Error> {
        let announced = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        match announced {
            Some(length) if length > limit_bytes => Err(self.too_large(what, limit_bytes)),
            Some(_) | None => Ok(()),
        }
    }

    /// The next piece of the body, or `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let timed_out = || Error::TimedOut { host: self.host.clone(), limit: self.limits.operation_timeout };
        match tokio::time::timeout_at(self.deadline, self.body.chunk()).await {
            Err(_) => Err(timed_out()),
            Ok(Err(error)) => Err(broken(self.host.clone(), &self.limits, error)),
            Ok(Ok(chunk)) => Ok(chunk),
        }
    }

    fn too_large(&self, what: &'static str, limit_bytes: u64) -> Error {
        Error::TooLarge { host: self.host.clone(), what, limit_bytes }
    }
}

/// An answer that did not come, or not whole.
fn broken(host: String, reach: &Reach, error: reqwest::Error) -> Error {
    if error.is_timeout() {
        Error::TimedOut { host, limit: reach.idle_timeout }
    } else {
        Error::Interrupted { host, source: cause(error) }
    }
}

/// The URL may carry a signature in its query, so it goes.
fn cause(error: reqwest::Error) -> Cause {
    Arc::new(error.without_url())
}

/// The server as an error names it: host, and port where it is not the scheme's own.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn in_trouble(status: StatusCode, headers: &HeaderMap, host: &str) -> Result<(), Error> {
    let retry_after = || headers.get(RETRY_AFTER).and_then(|value| read_retry_after(value.to_str().ok()?));
    if status == StatusCode::TOO_MANY_REQUESTS {
        Err(Error::Throttled { host: host.to_owned(), retry_after: retry_after() })
    } else if status.is_server_error() {
        Err(Error::ServerError { host: host.to_owned(), status: status.as_u16(), retry_after: retry_after() })
    } else {
        Ok(())
    }
}

/// Seconds, or a date in the form of HTTP.
fn read_retry_after(text: &str) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
            Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Where a redirect leads, if the answer is one that is followed.
fn redirect_target(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    host: &str,
) -> Result<Option<Url>, Error> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| request.url.join(location).ok());
    let refuse = |target: Option<&Url>, why| {
        let target = target.map_or_else(|| "nowhere".to_owned(), host_of);
        Err(Error::RedirectRefused { host: host.to_owned(), target, why })
    };
    match &target {
        None => refuse(None, "its Location is not a URL"),
        Some(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            refuse(target.as_ref(), "its scheme is not http or https")
        }
        Some(url) if request.url.scheme() == "https" && url.scheme() != "https" => {
            refuse(target.as_ref(), "it leads from https to http")
        }
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            refuse(target.as_ref(), "it holds a name or password")
        }
        Some(_) if !matches!(request.method, Method::GET | Method::HEAD) => {
            refuse(target.as_ref(), "only GET and HEAD are redirected")
        }
        Some(_) => Ok(target),
    }
}

/// Which addresses a source may have: everything but this machine, link-local (cloud metadata), multicast and the
/// cluster's API. Private ranges are allowed, since registries and Git servers often run in the cluster.
struct Egress {
    loopback: bool,
    refused: Vec<IpAddr>,
}

/// Travels through the HTTP client as the cause of a failed connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(Error);

impl Egress {
    /// Checks what a resolver never sees: literal addresses and the API's own names.
    fn check_url(&self, url: &Url, host: &str) -> Result<(), Error> {
        let name = url.host_str().unwrap_or_default().trim_end_matches('.');
        let is_the_api = matches!(name, "kubernetes" | "kubernetes.default" | "kubernetes.default.svc")
            || name.starts_with("kubernetes.default.svc.");
        if is_the_api {
            return Err(Error::HostRefused { host: host.to_owned() });
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => self.check(address, host),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, address: IpAddr, host: &str) -> Result<(), Error> {
        match self.why_refused(address) {
            Some(why) => Err(Error::AddressRefused { host: host.to_owned(), address, why }),
            None => Ok(()),
        }
    }

    fn why_refused(&self, address: IpAddr) -> Option<&'static str> {
        let address = canonical(address);
        if self.refused.iter().any(|refused| canonical(*refused) == address) {
            return Some("it is the cluster's own API");
        }
        if address.is_loopback() {
            return (!self.loopback).then_some("it is this machine");
        }
        if address.is_unspecified() || address.is_multicast() {
            return Some("it is no server's address");
        }
        let is_link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4 == Ipv4Addr::new(100, 100, 100, 200),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        };
        is_link_local.then_some("it is link-local, as cloud metadata services are")
    }
}

/// IPv4 in an IPv6 coat is IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_canonical(),
        IpAddr::V4(_) => address,
    }
}

/// Names are judged by what they resolve to at the moment of connecting, so that a second answer cannot differ.
impl reqwest::dns::Resolve for Egress {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let rules = Egress { loopback: self.loopback, refused: self.refused.clone() };
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            for address in &found {
                rules.check(address.ip(), &host).map_err(Refusal)?;
            }
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

fn refusal_within(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(Refusal(refused)) = error.downcast_ref::<Refusal>() {
            return Some(refused.clone());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_metadata_and_the_api_are_refused() {
        let egress = Egress { loopback: false, refused: vec!["10.96.0.1".parse().unwrap()] };
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "224.0.0.1",
            "10.96.0.1",
            "::ffff:10.96.0.1",
        ] {
            assert!(egress.why_refused(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in ["10.0.0.7", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1"] {
            assert_eq!(egress.why_refused(address.parse().unwrap()), None, "{address}");
        }
        let with_loopback = Egress { loopback: true, refused: vec![] };
        assert_eq!(with_loopback.why_refused("127.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn the_apis_names_and_literal_addresses_are_refused_before_connecting() {
        let egress = Egress { loopback: false, refused: vec![] };
        for url in [
            "https://kubernetes.default/api",
            "https://kubernetes.default.svc.cluster.local./",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]:6443/",
            "http://2130706433/",
            "http://0x7f.1/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(egress.check_url(&url, &host_of(&url)).is_err(), "{url}");
        }
        let url = Url::parse("https://kubernetes.example.com/").unwrap();
        assert!(egress.check_url(&url, "kubernetes.example.com").is_ok());
    }

    #[test]
    fn redirects_never_lead_from_https_to_http() {
        let redirect = |method: Method, from: &str, to: &str| {
            let request = Request::new(method, Url::parse(from).unwrap());
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(to).unwrap())]);
            redirect_target(&request, StatusCode::FOUND, &headers, "r.io").map(|url| url.map(String::from))
        };
        assert_eq!(redirect(Method::GET, "https://r.io/a", "/b").unwrap().as_deref(), Some("https://r.io/b"));
        assert!(redirect(Method::GET, "http://r.io/a", "https://r.io/a").is_ok());
        assert!(redirect(Method::GET, "https://r.io/a", "http://r.io/a").is_err());
        assert!(redirect(Method::POST, "https://r.io/a", "https://r.io/b").is_err());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(read_retry_after("30"), Some(Duration::from_secs(30)));
        assert_eq!(read_retry_after("999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read_retry_after("soon"), None);
    }
}
