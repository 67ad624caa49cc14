//! `reconcile`, `retry`, `suspend`, `resume`: what a person asks of the controller, as annotations and fields that
//! anybody could write with kubectl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::connect::{self, Connection, Kind, Named};
use super::read::NOT_READY;
use super::view::{condition, printable, text_at};
use crate::api::{HOLD, RECONCILE_AT, RETRY_AT};

#[derive(Args, Debug)]
pub struct AskArgs {
    /// NAME of a HelmRelease, or KIND/NAME
    name: Named,
    /// Why; kept as an Event on the object
    #[arg(short = 'm', long, value_name = "REASON")]
    message: Option<String>,
    /// Wait until it is ready again; exit code 2 if it ends otherwise
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = seconds, requires = "wait")]
    timeout: Duration,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A pass now.
    Reconcile,
    /// One more attempt at what is held.
    Retry,
    /// Nothing, until resumed.
    Suspend,
    /// The end of suspension and of a manual hold.
    Resume,
}

impl Ask {
    /// The reason of the Event, in the past tense.
    fn event_reason(self) -> &'static str {
        match self {
            Ask::Reconcile => "ReconcileRequested",
            Ask::Retry => "RetryRequested",
            Ask::Suspend => "Suspended",
            Ask::Resume => "Resumed",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Ask::Reconcile => "asked to reconcile",
            Ask::Retry => "asked to try again",
            Ask::Suspend => "suspended",
            Ask::Resume => "resumed",
        }
    }

    /// The merge patch that asks. `token` is new for each request.
    fn patch(self, token: &str) -> Value {
        match self {
            Ask::Reconcile => json!({"metadata": {"annotations": {RECONCILE_AT: token}}}),
            Ask::Retry => json!({"metadata": {"annotations": {RECONCILE_AT: token, RETRY_AT: token}}}),
            Ask::Suspend => json!({"spec": {"suspend": true}}),
            Ask::Resume => {
                json!({"metadata": {"annotations": {RECONCILE_AT: token, HOLD: null}}, "spec": {"suspend": false}})
            }
        }
    }
}

/// Asks, and waits for the end where that is wanted.
pub async fn ask(connection: &Connection, ask: Ask, args: AskArgs) -> Result<ExitCode> {
    if ask == Ask::Retry && args.name.kind != Kind::HelmRelease {
        bail!("only a HelmRelease can be tried again; for a GitSync take pintle reconcile {}", args.name);
    }
    if ask == Ask::Suspend && args.wait {
        bail!("there is nothing to wait for after suspend; leave --wait away");
    }
    let (client, namespace) = connection.client().await?;
    connect::get(&client, &namespace, &args.name).await?;
    let api = args.name.kind.api(&client, Some(&namespace));
    let token = Timestamp::now().to_string();
    let object = api
        .patch(&args.name.name, &PatchParams::default(), &Patch::Merge(ask.patch(&token)))
        .await
        .map_err(connect::explain)?;
    if let Some(message) = &args.message {
        record(&client, &namespace, &object, ask, message).await?;
    }
    println!("{} {}", args.name, ask.done());
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let ended = tokio::time::timeout(args.timeout, settled(api, &args.name.name, &token))
        .await
        .with_context(|| format!("{} did not settle within {}s", args.name, args.timeout.as_secs()))??;
    println!("{}", printable(&text_at(&ended.data, "/status/summary")));
    let ready = condition(&ended.data, "Ready") == Some("True");
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}

/// The object, once the controller has handled this request and is not at work on it.
async fn settled(api: Api<DynamicObject>, name: &str, token: &str) -> Result<DynamicObject> {
    let mut events = std::pin::pin!(kube::runtime::watcher::watch_object(api, name));
    while let Some(event) = events.next().await {
        let object = match event {
            Ok(Some(object)) => object,
            Ok(None) => bail!("it was deleted in the meantime"),
            Err(watcher::Error::InitialListFailed(error)) => return Err(connect::explain(error)),
            // The watch goes on by itself after any other error.
            Err(_) => continue,
        };
        let handled = text_at(&object.data, "/status/lastHandledReconcileAt") == token;
        let at_work = matches!(condition(&object.data, "Ready"), None | Some("Unknown"));
        let seen =
            object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == object.metadata.generation;
        if handled && seen && !at_work {
            return Ok(object);
        }
    }
    bail!("the watch ended")
}

/// Keeps the reason as an Event on the object.
async fn record(client: &Client, namespace: &str, object: &DynamicObject, ask: Ask, message: &str) -> Result<()> {
    let now = Time(Timestamp::now());
    let types = object.types.clone().unwrap_or_default();
    let event = Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", object.name_any())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(types.api_version),
            kind: Some(types.kind),
            name: object.meta().name.clone(),
            namespace: Some(namespace.to_owned()),
            uid: object.meta().uid.clone(),
            ..ObjectReference::default()
        },
        action: Some(ask.event_reason().to_owned()),
        reason: Some(ask.event_reason().to_owned()),
        message: Some(crate::text::truncate(message, crate::text::MESSAGE_BYTES_MAX)),
        type_: Some("Normal".to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        reporting_component: Some("pintle-cli".to_owned()),
        ..Event::default()
    };
    Api::<Event>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &event)
        .await
        .context("it was asked, but the reason could not be kept as an Event")?;
    Ok(())
}

/// A duration such as `90s`, `5m` or `1h30m`, as the API writes them.
fn seconds(text: &str) -> Result<Duration, String> {
    let (min, max) = (jiff::SignedDuration::from_secs(1), jiff::SignedDuration::from_hours(24));
    let duration = crate::api::Duration::from(text).parse(min, max).map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|error| error.to_string())
}
