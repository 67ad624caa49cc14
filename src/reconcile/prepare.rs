//! From resolved references to what would be written: chart, values and cluster become a release record and objects.
//!
//! Rendering runs on a thread of its own with a big stack, as many at once as there are cores, and is stopped when its
//! time is over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use super::charts::LoadedChart;
use super::error::{failure, input, of_cluster};
use super::groundwork;
use crate::chart::{Chart, File, coalesce};
use crate::cluster::discovery::{Discovery, Kinds};
use crate::cluster::identity::TenantClient;
use crate::cluster::references;
use crate::entropy::SystemEntropy;
use crate::manifest::{self, Object};
use crate::metrics::Metrics;
use crate::plan::rules::Crds;
use crate::plan::{Failure, FailureClass};
use crate::postrender::PostRenderers;
use crate::release::marks::Marks;
use crate::release::{ApplyMethod, Hook, Info, JsonMap, Release, ReleaseId, Revision, Status, StoredChart, StoredFile};
use crate::render::{
    self, Capabilities, HelmVersion, KubeVersion, Lookup, Operation, Options, ReleaseInfo, Rendered, Schema,
};
use crate::text;

/// One render, lookups included.
const RENDER_TIMEOUT: Duration = Duration::from_secs(30);

/// What would be written.
pub(super) struct Prepared {
    /// The record, pending.
    pub(super) release: Release,
    pub(super) objects: Vec<Object>,
    /// The definitions below the chart's `crds/`, as far as the rules want them written.
    pub(super) crds: Vec<serde_json::Value>,
    /// What lies in `crds/` and is no definition: it is left alone.
    pub(super) ignored: Vec<String>,
    /// The values that had no effect, a sentence each.
    pub(super) unread: Vec<String>,
}

/// What to prepare.
pub(super) struct Order {
    pub(super) release: ReleaseId,
    pub(super) revision: Revision,
    pub(super) operation: Operation,
    pub(super) chart: LoadedChart,
    pub(super) values: Arc<JsonMap>,
    pub(super) post_renderers: Arc<PostRenderers>,
    /// What of the values Secrets gave.
    pub(super) secret_values: Arc<JsonMap>,
    pub(super) marks: Marks,
    pub(super) crds: Crds,
    /// When the release was first installed, where it was.
    pub(super) first_deployed: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// Renders, a few at a time.
pub(super) struct Renderer {
    turns: Arc<Semaphore>,
    discovery: Arc<Discovery>,
    metrics: Metrics,
}

impl Renderer {
    pub(super) fn new(discovery: Arc<Discovery>, metrics: Metrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Renderer { turns: Arc::new(Semaphore::new(cores)), discovery, metrics }
    }

    /// Renders the chart and makes the record of the revision.
    ///
    /// # Errors
    /// Whatever is wrong with chart or values.
    pub(super) async fn prepare(&self, tenant: &TenantClient, order: Order) -> Result<Prepared, Failure> {
        let kinds = self.discovery.kinds().await.map_err(|problem| of_cluster(&problem))?;
        let (crds, ignored) = groundwork::definitions(&order.chart.chart, order.crds)?;
        let coming = groundwork::coming(&crds, order.crds, &kinds);
        let capabilities = capabilities(&kinds, &coming)?;
        let stop = Arc::new(AtomicBool::new(false));
        let options = Options {
            now: order.now,
            local_zone: || jiff::tz::TimeZone::UTC,
            lookup: Arc::new(ClusterLookup {
                tenant: tenant.clone(),
                discovery: self.discovery.clone(),
                runtime: Handle::current(),
                stop: stop.clone(),
                coming,
                answers: Mutex::default(),
            }),
            entropy: Arc::new(SystemEntropy),
            limits: render::Limits::default(),
            stop: stop.clone(),
            parsed: order.chart.templates.clone(),
        };
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let started = std::time::Instant::now();
        let work = tokio::task::spawn_blocking(move || prepare(order, &capabilities, &options));
        let abort = work.abort_handle();
        tokio::pin!(work);
        let result = tokio::select! {
            result = &mut work => result,
            () = tokio::time::sleep(RENDER_TIMEOUT) => {
                // The thread sees the flag at its next step and comes back with the error of a spent budget.
                stop.store(true, Ordering::Relaxed);
                work.await
            }
        };
        drop(abort);
        self.metrics.render(started.elapsed());
        let (release, objects, unread) = result.unwrap_or_else(|problem| {
            Err(failure(FailureClass::Input, "RenderFailed", format!("rendering stopped: {problem}")))
        })?;
        Ok(Prepared { release, objects, crds, ignored, unread })
    }
}

/// The record, its objects, and the values that had no effect.
fn prepare(
    order: Order,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<(Release, Vec<Object>, Vec<String>), Failure> {
    let info = ReleaseInfo {
        name: order.release.name.to_string(),
        namespace: order.release.namespace.clone(),
        revision: i64::from(order.revision.0),
        operation: order.operation,
    };
    let rendered = render::on_big_stack(|| {
        let values = coalesce::thaw_object(&order.values);
        let (rendered, account) =
            render::render_watched(&order.chart.chart, &values, &info, capabilities, options, Schema::Check);
        Ok((rendered?, account))
    });
    let (rendered, account) = rendered.flatten().map_err(|problem| of_render(&problem))?;
    let render::Used { steps, made_bytes, output_bytes } = rendered.used;
    debug!(release = %order.release, steps, made_bytes, output_bytes, "rendered");
    let rendered = post_render(&order, rendered)?;
    // The keys of a Secret's values are content of the Secret too.
    let is_shown = |path: &[String]| {
        let (first, rest) = path.split_first().expect("a value has a key");
        let table = order.secret_values.get(first);
        table.and_then(|table| rest.iter().try_fold(table, |table, key| table.get(key))).is_none()
    };
    let unread = account.unread.iter().filter(|unread| is_shown(&unread.path)).map(ToString::to_string).collect();
    let objects = manifest::parse(&rendered.manifest).map_err(|problem| input("InvalidManifest", &problem))?;
    Ok((record(order, rendered), objects, unread))
}

/// The objects as the spec's post-renderers leave them.
fn post_render(order: &Order, rendered: Rendered) -> Result<Rendered, Failure> {
    if order.post_renderers.is_empty() {
        return Ok(rendered);
    }
    let changed = order
        .post_renderers
        .apply(&rendered.manifest, &rendered.hooks)
        .map_err(|problem| input("PostRenderFailed", &problem))?;
    for place in &changed.idle {
        info!(release = %order.release, revision = %order.revision, %place, "changes no object");
    }
    let manifest = changed.manifests.iter().map(|it| render::framed(&it.path, &it.content)).collect();
    Ok(Rendered { manifest, hooks: changed.hooks, ..rendered })
}

fn of_render(problem: &render::Error) -> Failure {
    let reason = match problem {
        render::Error::Chart(crate::chart::Error::Schema(_)) => "InvalidValues",
        render::Error::Chart(_) => "InvalidChart",
        render::Error::KubeVersion { .. } => "KubeVersionMismatch",
        render::Error::Template { .. } => "RenderFailed",
        render::Error::Manifest(_) => "InvalidManifest",
        render::Error::Budget(_) => "RenderBudget",
        render::Error::Thread(_) => "Internal",
    };
    let failure = input(reason, problem);
    // Helm's words stand on several lines. One sentence, then the place as compilers show it.
    let words: Vec<_> = failure.message.split_whitespace().collect();
    let message = match problem {
        render::Error::Template { spot: Some(spot), .. } => format!("{}\n{}", words.join(" "), spot.excerpt()),
        _ => words.join(" "),
    };
    Failure { message, ..failure }
}

fn record(order: Order, rendered: Rendered) -> Release {
    let status = match order.operation {
        Operation::Install => Status::PendingInstall,
        Operation::Upgrade => Status::PendingUpgrade,
    };
    let description = match order.operation {
        Operation::Install => "Initial install underway",
        Operation::Upgrade => "Preparing upgrade",
    };
    Release {
        revision: order.revision,
        info: Info {
            first_deployed: Some(order.first_deployed.unwrap_or(order.now).into()),
            last_deployed: Some(order.now.into()),
            description: description.to_owned(),
            status,
            notes: rendered.notes,
            ..Info::default()
        },
        chart: stored_chart(&rendered.chart),
        config: Some(JsonMap::clone(&order.values)),
        manifest: rendered.manifest,
        hooks: rendered.hooks.iter().map(stored_hook).collect(),
        apply_method: Some(ApplyMethod::ServerSide),
        labels: order.marks.labels(order.revision),
        id: order.release,
    }
}

fn stored_chart(chart: &Chart) -> StoredChart {
    let file = |file: &File| StoredFile {
        name: file.name.clone(),
        data: file.data.to_vec(),
        modified: file.modified.map(Into::into),
    };
    let metadata = match serde_json::to_value(&chart.metadata) {
        Ok(serde_json::Value::Object(metadata)) => metadata,
        _ => JsonMap::new(),
    };
    StoredChart {
        metadata,
        lock: chart.lock.as_ref().and_then(|lock| serde_json::to_value(lock).ok()),
        templates: chart.templates.iter().map(file).collect(),
        values: chart.values.as_deref().cloned(),
        schema: chart.schema.as_ref().map(|schema| schema.data.to_vec()),
        schema_modified: chart.schema.as_ref().and_then(|schema| schema.modified).map(Into::into),
        files: chart.files.iter().map(file).collect(),
        modified: chart.modified.map(Into::into),
    }
}

fn stored_hook(hook: &manifest::hooks::Hook) -> Hook {
    let events = serde_json::to_value(&hook.events).and_then(serde_json::from_value);
    Hook {
        name: hook.name.clone(),
        kind: hook.kind.clone(),
        path: hook.path.clone(),
        manifest: hook.manifest.clone(),
        events: events.unwrap_or_default(),
        weight: hook.weight,
        delete_policies: hook.delete_policies.clone(),
        output_log_policies: hook.output_log_policies.clone(),
        ..Hook::default()
    }
}

fn capabilities(kinds: &Kinds, coming: &[String]) -> Result<Capabilities, Failure> {
    let mut kube_version = KubeVersion::parse(&kinds.git_version)
        .map_err(|problem| failure(FailureClass::Transient, "ApiUnavailable", problem))?;
    // As Helm on a real cluster: the version in full is what a chart's range is compared with.
    kube_version.normalized = String::new();
    Ok(Capabilities {
        kube_version,
        api_versions: kinds.api_versions.iter().chain(coming).cloned().collect(),
        helm_version: HelmVersion::default(),
    })
}

/// `lookup` of a chart: asks the cluster as the release while the render's thread waits; each question once a render.
struct ClusterLookup {
    tenant: TenantClient,
    discovery: Arc<Discovery>,
    runtime: Handle,
    stop: Arc<AtomicBool>,
    /// Kinds that the release itself brings: there are none of them yet.
    coming: Vec<String>,
    answers: Mutex<HashMap<Question, serde_json::Value>>,
}

type Question = (String, String, String, String);

impl Lookup for ClusterLookup {
    fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<serde_json::Value, String> {
        if self.stop.load(Ordering::Relaxed) {
            return Err("the time for rendering is over".to_owned());
        }
        if self
            .coming
            .iter()
            .any(|it| it.strip_prefix(api_version).is_some_and(|it| it.strip_prefix('/') == Some(kind)))
        {
            return Ok(serde_json::json!({}));
        }
        let question = (api_version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return Ok(answer.clone());
        }
        let asked = references::lookup(&self.tenant, &self.discovery, api_version, kind, namespace, name);
        let answer = self.runtime.block_on(asked).map_err(|problem| text::chain(&problem))?;
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer.clone());
        Ok(answer)
    }
}
