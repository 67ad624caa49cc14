//! What stands between a controller and the real API server, and can get in the way.

use std::io;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Pass,
    /// This status instead of the server's answer, with `Retry-After: 1`.
    Refuse(StatusCode),
    /// The server does as asked, but its answer is lost with the connection.
    LoseAnswer,
}

type Rule = Box<dyn FnMut(&Parts) -> Fate + Send>;
type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A road to the API server with the rights of the one who runs the tests.
pub(crate) struct Proxy {
    pub(crate) config: kube::Config,
    rule: Arc<Mutex<Rule>>,
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
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = kube::Client::try_default().await.unwrap();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let held = watch::Sender::new(None);
        let road = Road { upstream, rule: rule.clone(), held: held.subscribe() };
        let task = tokio::spawn(serve(listener, road));
        Proxy { config: kube::Config::new(url.parse().unwrap()), rule, held, task }
    }

    /// From now on this decides over each request.
    pub(crate) fn rule(&self, rule: impl FnMut(&Parts) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
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
    rule: Arc<Mutex<Rule>>,
    held: watch::Receiver<Option<&'static str>>,
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
        let (parts, body) = request.into_parts();
        let fate = (self.rule.lock().unwrap())(&parts);
        if let Fate::Refuse(status) = fate {
            let answer = Response::builder().status(status).header("retry-after", "1");
            return answer.body(Empty::new().map_err(io::Error::other).boxed_unsync()).map_err(io::Error::other);
        }
        let path = parts.uri.path().to_owned();
        let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let answer = self.upstream.send(Request::from_parts(parts, body.into())).await.map_err(io::Error::other)?;
        match fate {
            Fate::LoseAnswer => Err(io::Error::other("the answer is lost")),
            _ if is_watch => Ok(answer.map(|body| self.holdable(path, body))),
            _ => Ok(answer.map(|body| body.map_err(io::Error::other).boxed_unsync())),
        }
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
