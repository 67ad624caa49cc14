//! What the controller counts, in OpenMetrics text.
//!
//! Labels carry only words of a closed set (verb, status class, action, reason): never a name of an object, so that
//! their number does not grow with the cluster, and never a text that a chart or a Secret could have written.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// One attempt of one request to the API server, by what was asked and what came back.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApiLabels {
    verb: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReadyLabels {
    ready: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchLabels {
    kind: String,
}

/// Every counter of the controller. Clones share the same counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    api_requests: Family<ApiLabels, Counter>,
    passes: Counter,
    pass_seconds: Histogram,
    actions: Family<ActionLabels, Counter>,
    failures: Family<ReasonLabels, Counter>,
    releases: Family<ReadyLabels, Gauge>,
    syncs: Family<ReadyLabels, Gauge>,
    sync_failures: Family<ReasonLabels, Counter>,
    watches: Family<WatchLabels, Gauge>,
    renders: Counter,
    render_seconds: Histogram,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a millisecond (a pass with nothing to do) to a minute (a slow registry).
        let buckets = || [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0].into_iter();
        let mut registry = Registry::with_prefix("pintle");
        let api_requests = Family::default();
        let passes = Counter::default();
        let pass_seconds = Histogram::new(buckets());
        let actions = Family::default();
        let failures = Family::default();
        let releases = Family::default();
        let syncs = Family::default();
        let sync_failures = Family::default();
        let watches = Family::default();
        let renders = Counter::default();
        let render_seconds = Histogram::new(buckets());
        let leader = Gauge::default();
        registry.register(
            "api_requests",
            "Requests sent to the Kubernetes API, retries included",
            api_requests.clone(),
        );
        registry.register("passes", "Passes over one HelmRelease", passes.clone());
        registry.register("pass_duration_seconds", "Duration of a pass", pass_seconds.clone());
        registry.register("actions", "Actions by outcome", actions.clone());
        registry.register("failures", "Failed passes by reason", failures.clone());
        registry.register("releases", "HelmReleases by the state of Ready", releases.clone());
        registry.register("gitsyncs", "GitSyncs by the state of Ready", syncs.clone());
        registry.register("sync_failures", "Failed passes over a GitSync by reason", sync_failures.clone());
        registry.register("watches", "Open watches by kind", watches.clone());
        registry.register("renders", "Charts rendered", renders.clone());
        registry.register("render_duration_seconds", "Duration of a render", render_seconds.clone());
        registry.register("leader", "Whether this process works (1) or stands by (0)", leader.clone());
        Metrics {
            registry: Arc::new(registry),
            api_requests,
            passes,
            pass_seconds,
            actions,
            failures,
            releases,
            syncs,
            sync_failures,
            watches,
            renders,
            render_seconds,
            leader,
        }
    }
}

impl Metrics {
    /// One attempt of a request; `code` is the HTTP status, 0 where no answer came.
    pub fn api_request(&self, verb: &'static str, code: u16) {
        self.api_requests.get_or_create(&ApiLabels { verb, code }).inc();
    }

    pub fn pass(&self, duration: Duration) {
        self.passes.inc();
        self.pass_seconds.observe(duration.as_secs_f64());
    }

    pub fn action(&self, action: &'static str, outcome: &'static str) {
        self.actions.get_or_create(&ActionLabels { action, outcome }).inc();
    }

    pub fn failure(&self, reason: &str) {
        self.failures.get_or_create(&ReasonLabels { reason: reason.to_owned() }).inc();
    }

    pub fn render(&self, duration: Duration) {
        self.renders.inc();
        self.render_seconds.observe(duration.as_secs_f64());
    }

    pub fn leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// A HelmRelease went from one state of Ready to another; `None` is an object that is not there.
    pub fn ready_changed(&self, from: Option<&'static str>, to: Option<&'static str>) {
        changed(&self.releases, from, to);
    }

    /// The same of a GitSync.
    pub fn sync_ready_changed(&self, from: Option<&'static str>, to: Option<&'static str>) {
        changed(&self.syncs, from, to);
    }

    pub fn sync_failure(&self, reason: &str) {
        self.sync_failures.get_or_create(&ReasonLabels { reason: reason.to_owned() }).inc();
    }

    pub fn watch_opened(&self, kind: &str) {
        self.watches.get_or_create(&WatchLabels { kind: kind.to_owned() }).inc();
    }

    pub fn watch_closed(&self, kind: &str) {
        self.watches.get_or_create(&WatchLabels { kind: kind.to_owned() }).dec();
    }

    /// The page that Prometheus reads.
    pub fn page(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String cannot fail");
        page
    }
}

/// An object went from one state to another.
fn changed(states: &Family<ReadyLabels, Gauge>, from: Option<&'static str>, to: Option<&'static str>) {
    if from == to {
        return;
    }
    if let Some(ready) = from {
        states.get_or_create(&ReadyLabels { ready }).dec();
    }
    if let Some(ready) = to {
        states.get_or_create(&ReadyLabels { ready }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_shows_what_was_counted() {
        let metrics = Metrics::default();
        metrics.api_request("get", 200);
        metrics.ready_changed(None, Some("True"));
        metrics.ready_changed(Some("True"), Some("False"));
        let page = metrics.page();
        assert!(page.contains(r#"pintle_api_requests_total{verb="get",code="200"} 1"#), "{page}");
        assert!(page.contains(r#"pintle_releases{ready="True"} 0"#), "{page}");
        assert!(page.contains(r#"pintle_releases{ready="False"} 1"#), "{page}");
    }
}
