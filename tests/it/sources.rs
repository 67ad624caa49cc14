//! Sources against servers that misbehave: small ones of our own on loopback, one answer each.
//!
//! The real registry and Git server are in `tests/cluster/sources.rs`.

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use pintle::chart::source_ref::{
    ChartName, Credentials, Digest, GitFiles, GitReference, GitUrl, HttpUrl, OciReference, OciUrl, SourceRef, TreePath,
    VersionRange,
};
use pintle::source::{Category, Content, Error, Options, Reach, Sources};
use pintle::text::chain;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CANARY: &str = "canary-password";
const POLL: Duration = Duration::from_secs(600);
const NOW: Duration = Duration::ZERO;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What a server was asked.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    /// With the query.
    path: String,
    headers: HeaderMap,
}

impl Seen {
    fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(|value| value.to_str().unwrap())
    }
}

/// A server on loopback that answers by a function and remembers what it was asked.
#[derive(Clone)]
struct Server {
    host: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { host: listener.local_addr().unwrap().to_string(), log: Arc::default() };
        let (log, answer) = (Arc::clone(&server.log), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let seen = Seen {
                        method: request.method().clone(),
                        path: request.uri().to_string(),
                        headers: request.headers().clone(),
                    };
                    log.lock().unwrap().push(seen.clone());
                    let answer = answer(&seen);
                    async move {
                        let _ = request.into_body().collect().await;
                        Ok::<_, Infallible>(answer)
                    }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
            }
        });
        server
    }

    /// A server that writes the same bytes to everybody and then closes, or keeps silent for ever.
    async fn start_raw(bytes: &'static str, then_close: bool) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { host: listener.local_addr().unwrap().to_string(), log: Arc::default() };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(bytes.as_bytes()).await;
                    if !then_close {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        server
    }

    fn chart(&self) -> OciUrl {
        OciUrl::parse(&format!("oci://{}/charts/app", self.host)).unwrap()
    }

    fn version(&self, version: &str) -> SourceRef {
        let reference = OciReference::from_version(version).unwrap();
        SourceRef::Oci { url: self.chart(), reference, insecure: true }
    }

    fn branch(&self, name: &str) -> SourceRef {
        SourceRef::Git {
            url: GitUrl::parse(&format!("http://{}/repo.git", self.host)).unwrap(),
            reference: GitReference::branch(name).unwrap(),
            path: TreePath::parse("").unwrap(),
            files: GitFiles::All,
        }
    }

    /// A chart of the Helm repository at `/stable`.
    fn listed(&self, version: &str, pass_credentials: bool) -> SourceRef {
        SourceRef::Http {
            url: HttpUrl::parse(&format!("http://{}/stable/", self.host)).unwrap(),
            chart: ChartName::parse("web").unwrap(),
            version: VersionRange::parse(version).unwrap(),
            pass_credentials,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// `GET /v2/…` of all requests since the last call.
    fn requests(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.log.lock().unwrap());
        seen.iter().map(|seen| format!("{} {}", seen.method, seen.path.replace("/v2/charts/app/", ""))).collect()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into()).boxed()).unwrap()
}

/// A body that never ends, announced by nothing.
fn endless(pause: Option<Duration>) -> Answer {
    let body = futures::stream::unfold((), move |()| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let chunk = if pause.is_some() { Bytes::from_static(b"x") } else { Bytes::from(vec![b'x'; 1 << 20]) };
        Some((Ok(Frame::data(chunk)), ()))
    });
    Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(body)))))
}

/// `BoxBody` asks for `Sync`; a stream is polled by one task only.
struct SyncStream(std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>>);

impl futures::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// What a registry holds of one chart: paths below `/v2/charts/app/` and their bodies.
#[derive(Clone, Default)]
struct Shelf {
    bodies: HashMap<String, (String, Bytes)>,
    tags: Vec<String>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

impl Shelf {
    fn with(versions: &[&str]) -> Shelf {
        versions.iter().fold(Shelf::default(), |shelf, version| {
            let archive = format!("archive of {version}");
            let manifest = manifest_of(CONFIG, LAYER, Digest::of(archive.as_bytes()), archive.len() as u64);
            shelf.holding(version, &manifest, &archive)
        })
    }

    fn holding(mut self, tag: &str, manifest: &str, archive: &str) -> Shelf {
        let digest = Digest::of(manifest.as_bytes());
        for path in [format!("manifests/{tag}"), format!("manifests/{digest}")] {
            self.bodies.insert(path, (MANIFEST.into(), Bytes::from(manifest.to_owned())));
        }
        let blob = format!("blobs/{}", Digest::of(archive.as_bytes()));
        self.bodies.insert(blob, ("application/octet-stream".into(), Bytes::from(archive.to_owned())));
        self.tags.push(tag.to_owned());
        self
    }

    fn answer(&self, seen: &Seen) -> Answer {
        let Some(path) = seen.path.strip_prefix("/v2/charts/app/") else {
            return answer(404, &[], r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
        };
        if path.starts_with("tags/list") {
            return answer(200, &[], serde_json::json!({ "name": "charts/app", "tags": self.tags }).to_string());
        }
        match self.bodies.get(path) {
            None => answer(404, &[], r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            Some((media_type, body)) => {
                let digest = Digest::of(body).to_string();
                let headers = [("content-type", media_type.as_str()), ("docker-content-digest", &digest)];
                answer(200, &headers, if seen.method == Method::HEAD { Bytes::new() } else { body.clone() })
            }
        }
    }
}

fn manifest_of(config: &str, layer: &str, digest: Digest, size: u64) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": config, "digest": Digest::of(b"{}").to_string(), "size": 2 },
        "layers": [{ "mediaType": layer, "digest": digest.to_string(), "size": size }],
    })
    .to_string()
}

fn reach() -> Reach {
    Reach {
        loopback: true,
        connect_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(300),
        operation_timeout: Duration::from_secs(5),
        ..Reach::default()
    }
}

fn sources() -> Sources {
    sources_with(reach())
}

fn sources_with(reach: Reach) -> Sources {
    // A second test in the same process finds it installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Sources::new(Options { reach, ..Options::default() }).unwrap()
}

fn bob() -> Credentials {
    Credentials::Basic { username: "bob".into(), password: CANARY.into() }
}

async fn failure(sources: &Sources, source: &SourceRef) -> Error {
    failure_as(sources, source, &Credentials::Anonymous).await
}

/// The error of resolving and then fetching; its text must never hold the password.
async fn failure_as(sources: &Sources, source: &SourceRef, credentials: &Credentials) -> Error {
    let error = match sources.resolve(source, credentials, NOW).await {
        Err(error) => error,
        Ok(resolved) => sources.fetch(source, credentials, &resolved).await.expect_err("it fails"),
    };
    let text = format!("{} {error:?}", chain(&error));
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("bob:{CANARY}"));
    assert!(!text.contains(CANARY) && !text.contains(&encoded), "{text}");
    error
}

#[tokio::test]
async fn an_unchanged_tag_costs_one_head() {
    let shelf = Shelf::with(&["1.0.0"]);
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));

    let first = sources.resolve(&source, &Credentials::Anonymous, POLL).await.unwrap();
    assert_eq!(first.version.as_deref(), Some("1.0.0"));
    assert_eq!(first.digest, Digest::of(b"archive of 1.0.0"));
    let artifact = sources.fetch(&source, &Credentials::Anonymous, &first).await.unwrap();
    assert!(matches!(&artifact.content, Content::Archive(bytes) if bytes == "archive of 1.0.0"));
    assert_eq!(server.requests().len(), 3, "HEAD, manifest, archive");

    assert_eq!(sources.resolve(&source, &Credentials::Anonymous, POLL).await.unwrap(), first);
    sources.fetch(&source, &Credentials::Anonymous, &first).await.unwrap();
    assert_eq!(server.requests(), [""; 0], "the answer is fresh and the archive is here");

    assert_eq!(sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap(), first);
    sources.fetch(&source, &Credentials::Anonymous, &first).await.unwrap();
    assert_eq!(server.requests(), ["HEAD manifests/1.0.0"]);
}

#[tokio::test]
async fn a_moved_tag_shows_its_new_digest() {
    let (old, new) = (Shelf::with(&["1.0.0"]), Shelf::default());
    let archive = "rebuilt";
    let manifest = manifest_of(CONFIG, LAYER, Digest::of(archive.as_bytes()), archive.len() as u64);
    let new = new.holding("1.0.0", &manifest, archive);
    let is_moved = Arc::new(Mutex::new(false));
    let moved = Arc::clone(&is_moved);
    let server = Server::start(move |seen| if *moved.lock().unwrap() { &new } else { &old }.answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let before = sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap();
    *is_moved.lock().unwrap() = true;
    let after = sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap();
    assert_eq!(before.version, after.version);
    assert_ne!(before.digest, after.digest);
    assert_eq!(after.digest, Digest::of(b"rebuilt"));
}

#[tokio::test]
async fn a_range_is_chosen_over_all_pages_of_tags() {
    let shelf = Shelf::with(&["1.2.0", "1.10.0", "2.0.0", "1.9.0+build.1".replace('+', "_").as_str()]);
    let server = Server::start(move |seen| match seen.path.strip_prefix("/v2/charts/app/tags/list?") {
        None => shelf.answer(seen),
        Some("n=1000") => {
            let link = [("link", r#"</v2/charts/app/tags/list?n=1000&last=b>; rel="next""#)];
            answer(200, &link, r#"{"tags": ["1.2.0", "latest", "1.9.0_build.1"]}"#)
        }
        Some(_) => answer(200, &[], r#"{"tags": ["1.10.0", "2.0.0"]}"#),
    })
    .await;
    let sources = sources();
    for (range, version) in [("1.x", "1.10.0"), ("<1.10.0", "1.9.0+build.1"), ("", "2.0.0")] {
        let resolved = sources.resolve(&server.version(range), &Credentials::Anonymous, NOW).await.unwrap();
        assert_eq!(resolved.version.as_deref(), Some(version), "{range}");
    }
    let error = failure(&sources, &server.version(">=3.0.0")).await;
    assert_eq!(
        error.to_string(),
        format!(
            "a version within >=3.0.0 of chart charts/app not found in {}; newest there: \
             2.0.0, 1.10.0, 1.9.0+build.1, 1.2.0",
            server.host
        )
    );
    assert_eq!(error.category(), Category::Refused);
}

#[tokio::test]
async fn a_next_page_on_another_server_is_not_asked() {
    let other = Server::start(|_| answer(200, &[], r#"{"tags": ["9.9.9"]}"#)).await;
    let link = format!(r#"<http://{}/v2/charts/app/tags/list>; rel="next""#, other.host);
    let server = Server::start(move |_| answer(200, &[("link", &link)], r#"{"tags": ["1.0.0"]}"#)).await;
    assert!(matches!(failure(&sources(), &server.version("1.x")).await, Error::Malformed { .. }));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_is_there() {
    let shelf = Shelf::with(&["1.0.0", "1.1.0"]);
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let sources = sources();
    let host = &server.host;
    assert_eq!(
        failure(&sources, &server.version("9.9.9")).await.to_string(),
        format!("version 9.9.9 of chart charts/app not found in {host}; newest there: 1.1.0, 1.0.0")
    );
    let url = OciUrl::parse(&format!("oci://{host}/charts/nothing")).unwrap();
    let reference = OciReference::from_version("1.0.0").unwrap();
    let source = SourceRef::Oci { url, reference, insecure: true };
    assert_eq!(failure(&sources, &source).await.to_string(), format!("chart charts/nothing not found in {host}"));
}

#[tokio::test]
async fn a_refusal_stands_for_a_moment_unless_asked_anew() {
    let server = Server::start(|seen| Shelf::default().answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    failure(&sources, &source).await;
    assert_eq!(server.requests().len(), 2);
    assert!(sources.resolve(&source, &Credentials::Anonymous, POLL).await.is_err());
    assert_eq!(server.requests(), [""; 0]);
    failure(&sources, &source).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn equal_questions_share_one_flight() {
    let shelf = Shelf::with(&["1.0.0"]);
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let all = (0..50).map(|_| async {
        let resolved = sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap();
        sources.fetch(&source, &Credentials::Anonymous, &resolved).await.unwrap()
    });
    futures::future::join_all(all).await;
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.starts_with("HEAD")).count(), 1, "{requests:?}");
    assert_eq!(requests.iter().filter(|request| request.contains("blobs/")).count(), 1, "{requests:?}");
}

#[tokio::test]
async fn a_flight_goes_on_when_the_one_who_started_it_leaves() {
    let shelf = Shelf::with(&["1.0.0"]);
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    {
        let mut asking = Box::pin(sources.resolve(&source, &Credentials::Anonymous, POLL));
        assert!(futures::poll!(&mut asking).is_pending());
    }
    sources.resolve(&source, &Credentials::Anonymous, POLL).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_login_is_asked_of_the_registrys_token_server() {
    let shelf = Shelf::with(&["1.0.0"]);
    let host = Arc::new(Mutex::new(String::new()));
    let realm_host = Arc::clone(&host);
    let server = Server::start(move |seen| {
        let realm = format!(r#"Bearer realm="http://{}/token",service="reg""#, realm_host.lock().unwrap());
        match seen.authorization() {
            Some("Bearer good") => shelf.answer(seen),
            Some(basic) if seen.path.starts_with("/token") && basic.starts_with("Basic Ym9iOmNhbmFyeS") => {
                answer(200, &[], r#"{"token": "good", "expires_in": 300}"#)
            }
            _ if seen.path.starts_with("/token") => answer(401, &[], ""),
            _ => answer(401, &[("www-authenticate", &realm)], ""),
        }
    })
    .await;
    *host.lock().unwrap() = server.host.clone();
    let (sources, source) = (sources(), server.version("1.0.0"));

    let resolved = sources.resolve(&source, &bob(), NOW).await.unwrap();
    let paths: Vec<String> = server.seen().iter().map(|seen| seen.path.clone()).collect();
    assert_eq!(paths[1], "/token?service=reg&scope=repository%3Acharts%2Fapp%3Apull");
    assert_eq!(paths.len(), 4, "asked, token, asked again, manifest: {paths:?}");

    let eve = Credentials::Basic { username: "eve".into(), password: "guess".into() };
    let refused = failure_as(&sources, &source, &eve).await;
    assert_eq!(
        refused.to_string(),
        format!(
            "{} refused the name and password given for charts/app: correct them in the Secret of secretRef",
            server.host
        )
    );
    let missing = failure(&sources, &source).await;
    assert!(matches!(missing, Error::CredentialsMissing { .. }), "{missing}");
    assert_eq!(missing.category(), Category::Refused);

    // Knowing what bob fetched helps nobody else to it.
    sources.fetch(&source, &bob(), &resolved).await.unwrap();
    let pinned = SourceRef::Oci {
        url: server.chart(),
        reference: OciReference::Digest(Digest::parse(&resolved.revision).unwrap()),
        insecure: true,
    };
    assert!(matches!(failure(&sources, &pinned).await, Error::CredentialsMissing { .. }));
    let stolen = sources.fetch(&source, &Credentials::Anonymous, &resolved).await;
    assert!(matches!(stolen, Err(Error::CredentialsMissing { .. })), "{stolen:?}");
}

#[tokio::test]
async fn a_bearer_token_is_shown_as_it_is_and_to_no_token_server() {
    let shelf = Shelf::with(&["1.0.0"]);
    let server = Server::start(move |seen| match seen.authorization() {
        Some("Bearer t0k3n") => shelf.answer(seen),
        _ => answer(401, &[("www-authenticate", r#"Bearer realm="https://example.com/token""#)], ""),
    })
    .await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let bearer = |token: &str| Credentials::Bearer { token: token.into() };
    sources.resolve(&source, &bearer("t0k3n"), NOW).await.unwrap();
    for token in ["stale", "with\nnewline"] {
        let error = failure_as(&sources, &source, &bearer(token)).await;
        assert!(matches!(error, Error::CredentialsRefused { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_server_of_strangers_sees_no_password() {
    let thief = Server::start(|_| answer(200, &[], r#"{"token": "x"}"#)).await;
    // The same machine by another name is another host.
    let realm = format!(r#"Bearer realm="http://{}/token""#, thief.host.replace("127.0.0.1", "localhost"));
    let server = Server::start(move |_| answer(401, &[("www-authenticate", &realm)], "")).await;
    let error = failure_as(&sources(), &server.version("1.0.0"), &bob()).await;
    assert!(matches!(error, Error::TokenHostRefused { .. }), "{error}");
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn redirects_to_other_servers_carry_no_authorization() {
    let store = Server::start(|_| answer(200, &[], "archive of 1.0.0")).await;
    let shelf = Shelf::with(&["1.0.0"]);
    let target = format!("http://{}/signed?X-Signature=secret", store.host);
    let server = Server::start(move |seen| match seen.authorization() {
        None => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
        Some(_) if seen.path.contains("blobs/") => answer(307, &[("location", &target)], ""),
        Some(_) => shelf.answer(seen),
    })
    .await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let resolved = sources.resolve(&source, &bob(), NOW).await.unwrap();
    sources.fetch(&source, &bob(), &resolved).await.unwrap();
    let seen = store.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/signed?X-Signature=secret");
    assert_eq!((seen[0].authorization(), seen[0].headers.get("cookie")), (None, None));
    assert_eq!(seen[0].headers.get("referer"), None);
}

#[tokio::test]
async fn a_refused_redirect_says_where_it_led() {
    for (location, word) in [
        ("ftp://example.com/x", "scheme"),
        ("http://user:pw@example.com/x", "name or password"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("https://kubernetes.default.svc/api", "cluster's own API"),
        ("/v2/charts/app/again", "sixth redirect"),
    ] {
        let server = Server::start(move |_| answer(302, &[("location", location)], "")).await;
        let error = failure(&sources(), &server.version("1.0.0")).await;
        assert!(chain(&error).contains(word), "{location}: {}", chain(&error));
        assert_eq!(error.category(), Category::Refused);
    }
}

#[tokio::test]
async fn this_machine_and_cloud_metadata_are_no_sources() {
    let server = Server::start(|_| answer(200, &[], "")).await;
    let strict = sources_with(Reach { loopback: false, ..reach() });
    let host = server.host.replace("127.0.0.1", "localhost");
    for host in [server.host.as_str(), &host, "169.254.169.254", "[::1]:6443"] {
        let url = OciUrl::parse(&format!("oci://{host}/charts/app")).unwrap();
        let reference = OciReference::from_version("1.0.0").unwrap();
        let source = SourceRef::Oci { url, reference, insecure: true };
        let error = failure(&strict, &source).await;
        assert!(matches!(error, Error::AddressRefused { .. }), "{host}: {error}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_throttling_registry_is_left_alone_as_long_as_it_asks() {
    let server = Server::start(|_| answer(429, &[("retry-after", "120")], "")).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let error = failure(&sources, &source).await;
    assert_eq!(
        error.to_string(),
        format!("{} answered that there are too many requests, and to try again in 120s", server.host)
    );
    assert_eq!(error.category(), Category::Transient);
    assert_eq!(server.requests().len(), 1);

    let error = failure(&sources, &server.version("2.0.0")).await;
    assert!(chain(&error).ends_with("too many requests, and to try again in 120s"), "{}", chain(&error));
    assert!(matches!(&error, Error::BackingOff { wait, .. } if wait.as_secs() > 100), "{error}");
    assert_eq!(error.category(), Category::Transient);
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn a_host_in_trouble_does_not_stop_the_others_and_is_asked_again() {
    let is_broken = Arc::new(Mutex::new(true));
    let (shelf, broken) = (Shelf::with(&["1.0.0"]), Arc::clone(&is_broken));
    let healthy_shelf = shelf.clone();
    let server = Server::start(move |seen| match *broken.lock().unwrap() {
        true => answer(503, &[], "maintenance"),
        false => shelf.answer(seen),
    })
    .await;
    let healthy = Server::start(move |seen| healthy_shelf.answer(seen)).await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let error = failure(&sources, &source).await;
    assert_eq!(error.to_string(), format!("{} answered with status 503", server.host));
    assert!(sources.resolve(&healthy.version("1.0.0"), &Credentials::Anonymous, NOW).await.is_ok());

    *is_broken.lock().unwrap() = false;
    let wait = failure(&sources, &source).await.retry_after().expect("it says when");
    assert!(wait <= Duration::from_millis(1200), "{wait:?}");
    tokio::time::sleep(wait + Duration::from_millis(20)).await;
    assert!(sources.resolve(&source, &Credentials::Anonymous, NOW).await.is_ok());
}

#[tokio::test]
async fn what_was_known_stays_known_while_the_source_is_down() {
    let is_broken = Arc::new(Mutex::new(false));
    let (shelf, broken) = (Shelf::with(&["1.0.0"]), Arc::clone(&is_broken));
    let server = Server::start(move |seen| match *broken.lock().unwrap() {
        true => answer(500, &[], ""),
        false => shelf.answer(seen),
    })
    .await;
    let (sources, source) = (sources(), server.version("1.0.0"));
    let resolved = sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap();
    *is_broken.lock().unwrap() = true;
    failure(&sources, &source).await;
    assert_eq!(sources.last_known(&source, &Credentials::Anonymous), Some(resolved));
    assert_eq!(sources.last_known(&source, &bob()), None);
}

#[tokio::test]
async fn servers_that_do_not_answer_are_named() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let unreachable = Server { host: closed, log: Arc::default() };
    let error = failure(&sources(), &unreachable.version("1.0.0")).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(chain(&error).to_lowercase().contains("refused"), "{}", chain(&error));
    assert_eq!(error.category(), Category::Transient);

    let silent = Server::start_raw("", false).await;
    let error = failure(&sources(), &silent.version("1.0.0")).await;
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");

    let cut = Server::start_raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"tags\":", true).await;
    let error = failure(&sources(), &cut.version("1.x")).await;
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert_eq!(error.category(), Category::Transient);

    let babble = Server::start_raw("SSH-2.0-OpenSSH_9.6\r\n", true).await;
    let error = failure(&sources(), &babble.version("1.0.0")).await;
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_drips_is_given_up_and_others_go_on_meanwhile() {
    let dripping = Server::start(|_| endless(Some(Duration::from_millis(50)))).await;
    let shelf = Shelf::with(&["1.0.0"]);
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let sources = sources_with(Reach { operation_timeout: Duration::from_millis(600), ..reach() });
    let slow = sources.clone();
    let dripped = dripping.version("1.x");
    let waiting = tokio::spawn(async move { slow.resolve(&dripped, &Credentials::Anonymous, NOW).await });
    for version in ["1.0.0", "1.x"] {
        sources.resolve(&server.version(version), &Credentials::Anonymous, NOW).await.unwrap();
    }
    assert!(!waiting.is_finished());
    assert!(matches!(waiting.await.unwrap(), Err(Error::TimedOut { .. })));
}

#[tokio::test]
async fn oversize_answers_are_cut_off() {
    // Tag list, manifest and archive, each without end.
    for (version, part) in [("1.x", "tags/list"), ("1.0.0", "manifests/sha256"), ("1.0.0", "blobs/")] {
        let shelf = Shelf::with(&["1.0.0"]);
        let server = Server::start(move |seen| match seen.path.contains(part) {
            true => endless(None),
            false => shelf.answer(seen),
        })
        .await;
        let error = failure(&sources(), &server.version(version)).await;
        assert!(matches!(error, Error::TooLarge { .. }), "{part}: {error}");
        assert_eq!(error.category(), Category::Input);
    }
    let announced = Server::start_raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", false).await;
    assert!(matches!(failure(&sources(), &announced.version("1.x")).await, Error::TooLarge { .. }));

    let manifest = manifest_of(CONFIG, LAYER, Digest::of(b""), 11 << 20);
    let shelf = Shelf::default().holding("1.0.0", &manifest, "");
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    let error = failure(&sources(), &server.version("1.0.0")).await;
    assert_eq!(error.to_string(), format!("chart archive from {} is larger than 10485760 bytes", server.host));
    assert!(!server.requests().iter().any(|request| request.contains("blobs")));
}

#[tokio::test]
async fn bytes_of_another_digest_are_never_returned() {
    for part in ["manifests/sha256", "blobs/"] {
        let shelf = Shelf::with(&["1.0.0"]);
        let server = Server::start(move |seen| match seen.path.contains(part) {
            true => answer(200, &[], "something else"),
            false => shelf.answer(seen),
        })
        .await;
        let error = failure(&sources(), &server.version("1.0.0")).await;
        assert!(matches!(error, Error::WrongDigest { .. }), "{part}: {error}");
    }
}

#[tokio::test]
async fn artifacts_that_are_no_charts_are_refused_by_their_media_type() {
    let digest = Digest::of(b"x");
    for (manifest, word) in [
        (manifest_of("application/vnd.oci.image.config.v1+json", LAYER, digest, 1), "config"),
        (manifest_of(CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip", digest, 1), "chart archive"),
    ] {
        let shelf = Shelf::default().holding("1.0.0", &manifest, "x");
        let server = Server::start(move |seen| shelf.answer(seen)).await;
        let error = failure(&sources(), &server.version("1.0.0")).await;
        assert!(matches!(error, Error::WrongMediaType { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let legacy = manifest_of(CONFIG, "application/tar+gzip", digest, 1);
    let shelf = Shelf::default().holding("1.0.0", &legacy, "x");
    let server = Server::start(move |seen| shelf.answer(seen)).await;
    assert!(sources().resolve(&server.version("1.0.0"), &Credentials::Anonymous, NOW).await.is_ok());

    let server = Server::start(move |seen| {
        let index = r#"{"schemaVersion": 2, "manifests": []}"#;
        let headers = [("content-type", "application/vnd.oci.image.index.v1+json")];
        answer(200, &headers, if seen.method == Method::HEAD { "" } else { index })
    })
    .await;
    let error = failure(&sources(), &server.version("1.0.0")).await;
    assert!(error.to_string().contains("index of images"), "{error}");
}

#[tokio::test]
async fn unreadable_answers_are_input_errors() {
    let server = Server::start(|_| answer(200, &[], "<html>")).await;
    for version in ["1.0.0", "1.x"] {
        let error = failure(&sources(), &server.version(version)).await;
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    let forbidden = Server::start(|_| answer(403, &[], r#"{"errors":[{"code":"DENIED"}]}"#)).await;
    assert!(matches!(failure(&sources(), &forbidden.version("1.x")).await, Error::Forbidden { .. }));
    let limited = Server::start(|_| answer(403, &[], r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#)).await;
    assert!(matches!(failure(&sources(), &limited.version("1.x")).await, Error::Throttled { .. }));
    let teapot = Server::start(|_| answer(418, &[], "")).await;
    assert_eq!(
        failure(&sources(), &teapot.version("1.x")).await.to_string(),
        format!("{} answered tag list with status 418", teapot.host)
    );
}

#[tokio::test]
async fn git_servers_that_misbehave_are_named() {
    let sources = sources();
    let answers = |status: u16, body: &'static str| Server::start(move |_| answer(status, &[], body));
    let missing = answers(404, "").await;
    assert_eq!(
        failure(&sources, &missing.branch("main")).await.to_string(),
        format!("repository http://{}/repo.git not found", missing.host)
    );
    let private = answers(401, "").await;
    assert!(matches!(failure(&sources, &private.branch("main")).await, Error::CredentialsMissing { .. }));
    let refused = failure_as(&sources, &private.branch("main"), &bob()).await;
    assert!(matches!(refused, Error::CredentialsRefused { .. }), "{refused}");
    let page = answers(200, "<html>").await;
    assert!(matches!(failure(&sources, &page.branch("main")).await, Error::Malformed { what: "greeting", .. }));
    let down = answers(502, "").await;
    assert_eq!(failure(&sources, &down.branch("main")).await.category(), Category::Transient);
    let endless_refs = Server::start(|_| endless(None)).await;
    assert!(matches!(failure(&sources, &endless_refs.branch("main")).await, Error::TooLarge { .. }));
    let cut = Server::start_raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n001e# service", true).await;
    assert!(matches!(failure(&sources, &cut.branch("main")).await, Error::Interrupted { .. }));
}

#[tokio::test]
async fn a_git_redirect_to_another_server_carries_no_password() {
    let thief = Server::start(|_| answer(404, &[], "")).await;
    let target = format!("http://{}", thief.host);
    let server = Server::start(move |seen| {
        let location = format!("{target}{}", seen.path);
        answer(301, &[("location", &location)], "")
    })
    .await;
    let error = failure_as(&sources(), &server.branch("main"), &bob()).await;
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error}");
    assert_eq!(server.seen()[0].authorization(), Some("Basic Ym9iOmNhbmFyeS1wYXNzd29yZA=="));
    let seen = thief.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].authorization(), None);
}

/// An index with versions of the chart `web`: version, URL, digest.
fn index(versions: &[(&str, &str, &str)]) -> String {
    let line = |(version, url, digest): &(&str, &str, &str)| {
        format!("    - {{version: '{version}', urls: ['{url}'], digest: '{digest}'}}\n")
    };
    format!("apiVersion: v1\nentries:\n  web:\n{}", versions.iter().map(line).collect::<String>())
}

#[tokio::test]
async fn a_helm_repository_costs_one_index_for_all_who_ask() {
    let digest = Digest::of(b"archive of 1.1.0").hex();
    let index = index(&[("1.1.0", "charts/web-1.1.0.tgz", &digest), ("1.0.0", "/web.tgz", ""), ("2.0.0-rc1", "x", "")]);
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/stable/index.yaml" => answer(200, &[], index.clone()),
        "/stable/charts/web-1.1.0.tgz" => answer(200, &[], "archive of 1.1.0"),
        "/web.tgz" => answer(200, &[], "archive of 1.0.0"),
        _ => answer(404, &[], ""),
    })
    .await;
    let sources = sources();
    let nobody = Credentials::Anonymous;
    let newest = sources.resolve(&server.listed("", false), &nobody, POLL).await.unwrap();
    assert_eq!(newest.version.as_deref(), Some("1.1.0"));
    assert_eq!(newest.digest, Digest::of(b"archive of 1.1.0"));
    let artifact = sources.fetch(&server.listed("", false), &nobody, &newest).await.unwrap();
    assert!(matches!(&artifact.content, Content::Archive(bytes) if bytes == "archive of 1.1.0"));

    // Without a digest in the index the archive itself tells it.
    let source = server.listed("~1.0", false);
    let older = sources.resolve(&source, &nobody, POLL).await.unwrap();
    assert_eq!(older.digest, Digest::of(b"archive of 1.0.0"));
    sources.fetch(&source, &nobody, &older).await.unwrap();
    assert_eq!(
        server.requests(),
        ["GET /stable/index.yaml", "GET /stable/charts/web-1.1.0.tgz", "GET /web.tgz"],
        "one index, and each archive once"
    );
    let error = failure(&sources, &server.listed("9.x", false)).await;
    let sentence = format!(
        "a version within 9.x of chart web not found in http://{}/stable; newest there: 2.0.0-rc1, 1.1.0, 1.0.0",
        server.host
    );
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.category(), Category::Refused);
}

#[tokio::test]
async fn an_unchanged_index_is_not_sent_again() {
    let first = index(&[("1.0.0", "/1.tgz", &Digest::of(b"1").hex())]);
    let second = index(&[("1.1.0", "/2.tgz", &Digest::of(b"2").hex())]);
    for (validator, condition) in [
        (("etag", "\"one\""), "if-none-match"),
        (("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT"), "if-modified-since"),
    ] {
        let is_new = Arc::new(AtomicBool::new(false));
        let (changed, first, second) = (Arc::clone(&is_new), first.clone(), second.clone());
        let server = Server::start(move |seen| {
            let is_known = seen.headers.get(condition).is_some_and(|value| value == validator.1);
            match (changed.load(Ordering::Relaxed), is_known) {
                (true, _) => answer(200, &[], second.clone()),
                (false, true) => answer(304, &[], ""),
                (false, false) => answer(200, &[validator], first.clone()),
            }
        })
        .await;
        let sources = sources();
        let ask = async || {
            let source = server.listed("1.x", false);
            sources.resolve(&source, &Credentials::Anonymous, NOW).await.unwrap().version.unwrap()
        };
        assert_eq!((ask().await, ask().await, ask().await), ("1.0.0".into(), "1.0.0".into(), "1.0.0".into()));
        is_new.store(true, Ordering::Relaxed);
        assert_eq!((ask().await, ask().await), ("1.1.0".into(), "1.1.0".into()));
        let seen = server.seen();
        let conditional = seen.iter().map(|seen| seen.headers.contains_key(condition));
        assert_eq!(conditional.collect::<Vec<_>>(), [false, true, true, true, false], "{condition}");
    }
}

#[tokio::test]
async fn passwords_stay_with_the_repositorys_own_server() {
    let other = Server::start(|_| answer(200, &[], "archive")).await;
    let there = format!("http://{}/web.tgz", other.host);
    let index = index(&[("1.0.0", "web.tgz", ""), ("2.0.0", &there, "")]);
    let server = Server::start(move |seen| match (seen.authorization(), seen.path.as_str()) {
        (None, _) => answer(401, &[], ""),
        (Some(_), "/stable/index.yaml") => answer(200, &[], index.clone()),
        (Some(_), _) => answer(200, &[], "archive"),
    })
    .await;
    let sources = sources();
    let error = failure(&sources, &server.listed("1.0.0", false)).await;
    assert!(matches!(error, Error::CredentialsMissing { .. }), "{error}");

    sources.resolve(&server.listed("1.0.0", false), &bob(), NOW).await.unwrap();
    assert!(server.seen().iter().skip(1).all(|seen| seen.authorization().is_some_and(|it| it.starts_with("Basic "))));
    sources.resolve(&server.listed("2.0.0", false), &bob(), NOW).await.unwrap();
    assert!(other.seen().iter().all(|seen| seen.authorization().is_none()));
    other.requests();
    sources.resolve(&server.listed("2.0.0", true), &bob(), NOW).await.unwrap();
    assert!(other.seen().iter().all(|seen| seen.authorization().is_some()));
}

#[tokio::test]
async fn helm_repositories_that_misbehave_are_named() {
    let wrong = index(&[("1.0.0", "web.tgz", &Digest::of(b"another").hex()), ("2.0.0", "gone.tgz", "")]);
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/stable/index.yaml" => answer(200, &[], wrong.clone()),
        "/stable/web.tgz" => answer(200, &[], "archive"),
        _ => answer(404, &[], ""),
    })
    .await;
    let sources = sources();
    let error = failure(&sources, &server.listed("1.0.0", false)).await;
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    let error = failure(&sources, &server.listed("2.0.0", false)).await;
    assert!(error.to_string().ends_with("the archive of version 2.0.0 is not there"), "{error}");

    for (status, body, says) in [
        (404, "", "repository http://HOST/stable not found"),
        (
            403,
            "",
            "HOST denied access to http://HOST/stable: let its account read there, or name another Secret in secretRef",
        ),
        (503, "", "HOST answered with status 503"),
        (418, "", "HOST answered index of charts with status 418"),
        (200, "", "index of charts from HOST is not readable: it is empty"),
        (200, "<html>", "index of charts from HOST is not readable: "),
    ] {
        let server = Server::start(move |_| answer(status, &[], body)).await;
        let error = failure(&sources, &server.listed("", false)).await;
        let says = says.replace("HOST", &server.host);
        assert!(error.to_string().starts_with(&says), "{status} {body:?}: {error}");
    }
    let large = Server::start_raw("HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n", false).await;
    assert!(failure(&sources, &large.listed("", false)).await.to_string().contains("is larger than 52428800 bytes"));
    let endless = Server::start(|_| endless(None)).await;
    let error = failure(&sources, &endless.listed("", false)).await;
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_file_behind_a_url_is_read_with_the_name_and_password_in_it() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/values.yaml?token=1" => answer(200, &[], "a: 1"),
        _ => answer(404, &[], ""),
    })
    .await;
    let sources = sources();
    let nobody = Credentials::Anonymous;
    let url = format!("http://bob:p%40@{}/values.yaml?token=1", server.host);
    assert_eq!(sources.file(&url, &nobody, "values file", 100).await.unwrap(), "a: 1");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "bob:p@");
    assert_eq!(server.seen()[0].authorization(), Some(format!("Basic {encoded}").as_str()));
    assert!(matches!(sources.file(&url, &nobody, "values file", 3).await, Err(Error::TooLarge { .. })));
    for url in ["ftp://r.io/a", "values.yaml", "http://"] {
        assert!(matches!(sources.file(url, &nobody, "values file", 3).await, Err(Error::Malformed { .. })), "{url}");
    }
}
