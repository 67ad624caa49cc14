//! `pintle controller`: serves HelmReleases and GitSyncs until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connect::Connection;
use crate::cluster::events::Events;
use crate::cluster::identity::Clients;
use crate::metrics::Metrics;
use crate::reconcile::{Options, Shell};
use crate::source::{self, Reach, Sources};
use crate::sync;
use crate::telemetry::{self, LogFormat, Pages};

/// GitSyncs worked on at once. Each writes eight objects at a time.
const SYNCS_AT_ONCE: usize = 4;

/// Run the controller, in the cluster or with a kubeconfig
#[derive(Clone, Debug, clap::Args)]
pub struct ControllerArgs {
    /// The kubeconfig to use; without it $KUBECONFIG, ~/.kube/config or the Pod's own service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Serve only HelmReleases and GitSyncs in these namespaces; all namespaces without it
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// The service account of releases that name none, in their own namespace; without it they use the controller's
    /// rights
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
    /// Let charts come from this machine itself: for development and tests
    #[arg(long)]
    allow_loopback_sources: bool,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    metrics_addr: SocketAddr,
    /// How many releases are worked on at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    /// How long running work may take to end when the controller is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    grace_seconds: u64,
    /// A level (error, warn, info, debug) or a filter such as pintle=debug,kube=warn
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "PINTLE_LOG")]
    log_level: String,
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// The cluster's configuration cannot be used, or the address not be listened on.
pub async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    telemetry::start_logs(&args.log_level, args.log_format).context("cannot read --log-level")?;
    let connection =
        Connection { kubeconfig: args.kubeconfig.clone(), context: args.context.clone(), ..Connection::default() };
    let config = connection.config().await?;
    let metrics = Metrics::default();
    let reach = reach(&args, &config);
    let clients = Clients::new(config, metrics.clone())?;
    tokio::spawn(warn_of_an_old_cluster(clients.controller().client()));
    let sources = Sources::new(source::Options { reach, ..source::Options::default() })?;
    let options = Options {
        namespaces: args.watch_namespaces,
        concurrency: args.concurrency,
        default_service_account: args.default_service_account,
        instance: instance(),
        grace: Duration::from_secs(args.grace_seconds),
    };
    let sync_options = sync::Options {
        namespaces: options.namespaces.clone(),
        concurrency: SYNCS_AT_ONCE,
        default_service_account: options.default_service_account.clone(),
        grace: options.grace,
    };
    let events = Arc::new(Events::new(options.instance.clone()));
    let (shell, changes) = Shell::new(clients.clone(), sources.clone(), metrics.clone(), options);
    let syncs = Arc::new(sync::Context {
        clients,
        discovery: shell.discovery(),
        sources,
        events,
        metrics: metrics.clone(),
        listed: AtomicBool::default(),
        options: sync_options,
    });

    let listener = telemetry::listen(args.metrics_addr)
        .await
        .with_context(|| format!("cannot listen on {}", args.metrics_addr))?;
    info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
    let (releases, git) = (shell.clone(), syncs.clone());
    let is_ready = Box::new(move || releases.is_ready() && git.listed.load(Ordering::Relaxed));
    let pages = tokio::spawn(telemetry::serve(listener, Pages { metrics, is_ready }));

    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        asked.cancel();
    });
    tokio::join!(shell.run(changes, stop.clone()), sync::run(syncs, stop));
    pages.abort();
    Ok(())
}

/// The oldest Kubernetes we promise to work with; the install chart asks for the same.
const KUBERNETES_MIN: semver::Version = semver::Version::new(1, 33, 0);

/// Says so once where the API server is older than we promise to work with. Nothing depends on it.
async fn warn_of_an_old_cluster(client: kube::Client) {
    let Ok(server) = client.apiserver_version().await else { return };
    let Ok(version) = semver::Version::parse(server.git_version.trim_start_matches('v')) else { return };
    if (version.major, version.minor) < (KUBERNETES_MIN.major, KUBERNETES_MIN.minor) {
        warn!(%version, oldest_supported = %KUBERNETES_MIN, "this Kubernetes is older than Pintle promises to work with");
    }
}

/// No chart comes from the cluster's own API server: a spec must not make the controller speak to it.
fn reach(args: &ControllerArgs, config: &kube::Config) -> Reach {
    let server = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']).parse::<IpAddr>().ok();
    Reach {
        loopback: args.allow_loopback_sources,
        refused_addresses: server.filter(|address| !address.is_loopback()).into_iter().collect(),
        ..Reach::default()
    }
}

/// The name of the Pod, or of the machine.
fn instance() -> String {
    let name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).ok();
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("pintle-{}", std::process::id()))
}
