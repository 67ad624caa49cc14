//! What stands between a controller and the real API server, and can get in the way.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Pass,
    /// The other API server answers.
    Elsewhere,
    /// This status instead of the server's answer, with `Retry-After: 1`.
    Refuse(StatusCode),
    /// The server does as asked, but its answer is lost with the connection.
    LoseAnswer,
    /// The connection ends before the server hears of it.
    Break,
    /// The server only tries a creation out; it is made right before the next request for that object. So would it look
    /// if the object were written too late.
    KeepBack,
}

type Rule = Box<dyn FnMut(&Parts) -> Fate + Send>;
type Witness = Box<dyn FnMut(&Parts, StatusCode) + Send>;
type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A road to the API server with the rights of the one who runs the tests.
pub(crate) struct Proxy {
    pub(crate) config: kube::Config,
    address: SocketAddr,
    road: Road,
    rule: Arc<Mutex<Rule>>,
    witness: Arc<Mutex<Witness>>,
    held: watch::Sender<Option<&'static str>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start() -> Proxy {
        let upstream = kube::Client::try_default().await.unwrap();
        Proxy::start_between(upstream.clone(), upstream).await
    }

    /// A road to two API servers of one cluster, as a balancer gives.
    pub(crate) async fn start_between(upstream: kube::Client, other: kube::Client) -> Proxy {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let witness: Arc<Mutex<Witness>> = Arc::new(Mutex::new(Box::new(|_, _| ())));
        let held = watch::Sender::new(None);
        let kept = Arc::default();
        let road = Road { upstream, other, rule: rule.clone(), witness: witness.clone(), held: held.subscribe(), kept };
        let task = tokio::spawn(serve(listener, road.clone()));
        Proxy { config: kube::Config::new(url.parse().unwrap()), address, road, rule, witness, held, task }
    }

    /// As if the API server were killed: connections end, new ones are refused.
    pub(crate) async fn go_down(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// As if it were started again.
    pub(crate) async fn come_up(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        self.task = tokio::spawn(serve(listener, self.road.clone()));
    }

    /// From now on this decides over each request.
    pub(crate) fn rule(&self, rule: impl FnMut(&Parts) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// From now on this is told of each answer before the one who asked.
    pub(crate) fn witness(&self, witness: impl FnMut(&Parts, StatusCode) + Send + 'static) {
        *self.witness.lock().unwrap() = Box::new(witness);
    }

    /// Watches whose path contains this stand still, like connections that died without a word; `None` lets all go on,
    /// and what was held arrives.
    pub(crate) fn hold_watches(&self, path: Option<&'static str>) {
        self.held.send_replace(path);
    }
}

#[derive(Clone)]
struct Road {
    upstream: kube::Client,
    other: kube::Client,
    rule: Arc<Mutex<Rule>>,
    witness: Arc<Mutex<Witness>>,
    held: watch::Receiver<Option<&'static str>>,
    /// Creations that were kept back: the path of the object, where it is created, and its content.
    kept: Arc<Mutex<HashMap<String, (String, Bytes)>>>,
}

async fn serve(listener: tokio::net::TcpListener, road: Road) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let road = road.clone();
        connections.spawn(async move {
            let service = service_fn(|request| road.clone().forward(request));
            // A connection that breaks is the client's to notice.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Road {
    async fn forward(self, request: Request<Incoming>) -> io::Result<Response<Answer>> {
        let (mut parts, body) = request.into_parts();
        let fate = (self.rule.lock().unwrap())(&parts);
        match fate {
            Fate::Pass | Fate::Elsewhere | Fate::LoseAnswer | Fate::KeepBack => {}
            Fate::Break => return Err(io::Error::other("the request is lost")),
            Fate::Refuse(status) => {
                let answer = Response::builder().status(status).header("retry-after", "1");
                return answer.body(Empty::new().map_err(io::Error::other).boxed_unsync()).map_err(io::Error::other);
            }
        }
        let path = parts.uri.path().to_owned();
        let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if let Fate::KeepBack = fate {
            let object: Value = serde_json::from_slice(&body)?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            self.kept.lock().unwrap().insert(format!("{path}/{name}"), (parts.uri.to_string(), body.clone()));
            parts.uri = format!("{}&dryRun=All", parts.uri).parse().map_err(io::Error::other)?;
        } else if let Some(late) = self.create_late(&path, &body).await? {
            parts.headers.remove(CONTENT_LENGTH);
            body = late;
        }
        let asked = parts.clone();
        let server = if let Fate::Elsewhere = fate { &self.other } else { &self.upstream };
        let answer = server.send(Request::from_parts(parts, body.into())).await.map_err(io::Error::other)?;
        (self.witness.lock().unwrap())(&asked, answer.status());
        match fate {
            Fate::LoseAnswer => Err(io::Error::other("the answer is lost")),
            _ if is_watch => Ok(answer.map(|body| self.holdable(path, body))),
            _ => Ok(answer.map(|body| body.map_err(io::Error::other).boxed_unsync())),
        }
    }

    /// Creates what was kept back at this path. What is asked next cannot know the version it has now.
    async fn create_late(&self, path: &str, body: &Bytes) -> io::Result<Option<Bytes>> {
        let kept = self.kept.lock().unwrap().remove(path);
        let Some((collection, object)) = kept else { return Ok(None) };
        let creation =
            Request::builder().method(Method::POST).uri(collection).header("content-type", "application/json");
        let creation = creation.body(Body::from(object)).map_err(io::Error::other)?;
        self.upstream.send(creation).await.map_err(io::Error::other)?;
        let Ok(mut change) = serde_json::from_slice::<Value>(body) else { return Ok(None) };
        if let Some(metadata) = change["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        Ok(Some(change.to_string().into()))
    }

    fn holdable(self, path: String, body: Body) -> Answer {
        let frames = body.into_data_stream().then(move |frame| {
            let (mut held, path) = (self.held.clone(), path.clone());
            async move {
                let _ = held.wait_for(|held| !held.is_some_and(|part| path.contains(part))).await;
                frame.map(Frame::data).map_err(io::Error::other)
            }
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    }
}
