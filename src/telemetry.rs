//! What the program says about itself: logs, and the pages `/metrics`, `/healthz` and `/readyz`.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tracing::debug;
use tracing_subscriber::EnvFilter;

use crate::metrics::Metrics;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts logging to standard error. `level` is a level (`info`) or a filter (`pintle=debug,kube=info`).
///
/// # Errors
/// The filter cannot be read.
pub fn start_logs(level: &str, format: LogFormat) -> Result<(), tracing_subscriber::filter::ParseError> {
    // It quotes whole answers that it cannot read, values and all.
    let quiet = "kube_client::client=error".parse().expect("a directive of our own");
    let filter = EnvFilter::try_new(level)?.add_directive(quiet);
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start (tests of one process) keeps the first.
    let _ = match format {
        LogFormat::Text => logs.try_init().is_ok(),
        LogFormat::Json => logs.json().flatten_event(true).try_init().is_ok(),
    };
    Ok(())
}

/// What the pages show.
pub struct Pages {
    pub metrics: Metrics,
    /// What is missing for work to go on, in a line; `None` where nothing is.
    pub missing: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

/// Serves the pages until the task is dropped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers requests until the future is dropped.
pub async fn serve(listener: TcpListener, pages: Pages) {
    let pages = Arc::new(pages);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&pages, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            // A client that sends its request byte by byte must not hold a connection for ever.
            server
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(10))
                .max_buf_size(16 * 1024);
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                debug!(error = %crate::text::chain(&error), "connection ended");
            }
        });
    }
}

fn answer(pages: &Pages, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    page(pages, request.method(), request.uri().path())
}

fn page(pages: &Pages, method: &Method, path: &str) -> Response<Full<Bytes>> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    if method != Method::GET && method != Method::HEAD {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
    }
    match path {
        "/metrics" => response(StatusCode::OK, OPENMETRICS, pages.metrics.page()),
        "/healthz" => response(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => match (pages.missing)() {
            None => response(StatusCode::OK, TEXT, "ok\n".into()),
            Some(missing) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{missing}\n")),
        },
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz and /readyz\n".into()),
    }
}

fn response(status: StatusCode, content_type: &str, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::new(Bytes::from(body)))
        .expect("status and header are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_tells_whether_something_is_missing() {
        let pages = |missing| Pages { metrics: Metrics::default(), missing: Box::new(move || missing) };
        let status = |missing, path: &str| page(&pages(missing), &Method::GET, path).status();
        assert_eq!(status(Some("the first lists"), "/readyz"), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(None, "/readyz"), StatusCode::OK);
        assert_eq!(status(Some("the first lists"), "/healthz"), StatusCode::OK);
        assert_eq!(status(None, "/"), StatusCode::NOT_FOUND);
        assert_eq!(page(&pages(None), &Method::POST, "/metrics").status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
