//! `pintle controller`: serves HelmReleases and GitSyncs until it is told to stop, or does not lead any more.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connect::Connection;
use crate::api;
use crate::cluster::events::Events;
use crate::cluster::identity::Clients;
use crate::cluster::lease::{self, Election, Standing};
use crate::cluster::mandate::Mandate;
use crate::election::Terms;
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
    #[command(flatten)]
    election: ElectionArgs,
    /// A level (error, warn, info, debug) or a filter such as pintle=debug,kube=warn
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "PINTLE_LOG")]
    log_level: String,
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

/// Names are those of Kubernetes' own components, figures those of Flux.
#[derive(Clone, Debug, clap::Args)]
struct ElectionArgs {
    /// Work only while this process holds the Lease; several of them stand by for one another
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
        action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// The namespace of the Lease; default is the Pod's, or the context's
    #[arg(long, value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// The name of the Lease
    #[arg(long, value_name = "NAME", default_value = "pintle")]
    leader_elect_resource_name: String,
    /// How long others wait after the last renewal they saw
    #[arg(long, value_name = "DURATION", default_value = "35s", value_parser = duration)]
    leader_elect_lease_duration: Duration,
    /// How long the leader goes on without a renewal
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    leader_elect_renew_deadline: Duration,
    /// How long between renewals
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    leader_elect_retry_period: Duration,
}

impl ElectionArgs {
    /// `None` where there is no election: then this process always leads.
    fn options(&self, namespace: &str) -> anyhow::Result<Option<lease::Options>> {
        if !self.leader_elect {
            return Ok(None);
        }
        let terms = Terms::new(
            self.leader_elect_lease_duration,
            self.leader_elect_renew_deadline,
            self.leader_elect_retry_period,
        );
        Ok(Some(lease::Options {
            namespace: self.leader_elect_resource_namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            name: self.leader_elect_resource_name.clone(),
            identity: identity(),
            terms: terms.context("cannot use the flags --leader-elect-…")?,
        }))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (min, max) = (SignedDuration::from_millis(1), SignedDuration::from_hours(1));
    let duration = api::Duration::from(text).parse(min, max).map_err(|problem| problem.to_string())?;
    Duration::try_from(duration).map_err(|problem| problem.to_string())
}

/// Runs until SIGTERM or SIGINT, or until another process leads.
///
/// # Errors
/// The cluster's configuration cannot be used, the address not be listened on, or leadership was lost.
pub async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    telemetry::start_logs(&args.log_level, args.log_format).context("cannot read --log-level")?;
    let connection =
        Connection { kubeconfig: args.kubeconfig.clone(), context: args.context.clone(), ..Connection::default() };
    let config = connection.config().await?;
    let metrics = Metrics::default();
    let reach = reach(&args, &config);
    let election = args.election.options(&config.default_namespace)?;
    let mandate = if election.is_some() { Mandate::none() } else { Mandate::default() };
    let clients = Clients::with_mandate(config, metrics.clone(), mandate.clone())?;
    let mut election = election.map(|options| Election::new(&clients, options, mandate, metrics.clone()));
    metrics.leader(election.is_none());
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
    let (releases, git, wire) = (shell.clone(), syncs.clone(), syncs.clients.clone());
    let standing = election.as_ref().map(Election::standing);
    let missing = Box::new(move || match standing.as_ref().map(|standing| *standing.borrow()) {
        _ if wire.is_server_silent() => Some("the API server does not answer"),
        Some(Standing::Unknown) => Some("waiting for the lease"),
        // It is all it can be; a rollout of a newer version must not wait for more.
        Some(Standing::StandBy) => None,
        Some(Standing::Leader) | None if releases.is_ready() && git.listed.load(Ordering::Relaxed) => None,
        Some(Standing::Leader) | None => Some("waiting for the first lists"),
    });
    let pages = tokio::spawn(telemetry::serve(listener, Pages { metrics, missing }));

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
    let work = async { tokio::join!(shell.run(changes, stop.clone()), sync::run(syncs, stop.clone())) };
    match &mut election {
        None => {
            work.await;
        }
        Some(election) => {
            if election.acquire(&stop).await {
                tokio::select! {
                    _ = work => {}
                    // What is under way is cut off, as by a crash: what it did is stored, and the new leader goes on.
                    lost = election.keep() => bail!(lost),
                }
            }
        }
    }
    // Only now: everything is stored.
    if let Some(election) = election {
        election.release().await;
    }
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

/// In a Pod its name: a container that is started again goes on with the lease of the one before it, which is certainly
/// gone. Elsewhere two processes may bear one name, so this one gets a word of its own.
fn identity() -> String {
    match std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()) {
        Some(pod) => pod,
        None => format!("{}_{}", instance(), uuid::Uuid::new_v4()),
    }
}

/// The name of the Pod, or of the machine.
fn instance() -> String {
    let name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).ok();
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("pintle-{}", std::process::id()))
}
