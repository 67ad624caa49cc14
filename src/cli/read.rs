//! `get`, `status`, `history`: what is there, in the words of the field. Reading only.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::connect::{self, Connection, Kind, Named};
use super::view::{self, Form, Table, condition, printable, text_at};
use crate::api::{HelmRelease, HelmReleaseStatus};

/// Exit code of a command that found something not ready, or different.
pub const NOT_READY: u8 = 2;

#[derive(Args, Debug)]
pub struct GetArgs {
    /// helmreleases (default) or gitsyncs, then names; all without names
    what: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Lists HelmReleases or GitSyncs.
pub async fn get(connection: &Connection, args: GetArgs) -> Result<ExitCode> {
    let (kind, names) = match args.what.split_first() {
        Some((first, rest)) if Kind::parse(first).is_some() => (Kind::parse(first).unwrap_or(Kind::HelmRelease), rest),
        _ => (Kind::HelmRelease, args.what.as_slice()),
    };
    let (client, namespace) = connection.client().await?;
    let scope = (!args.all_namespaces).then_some(namespace.as_str());
    let mut objects = Vec::new();
    if names.is_empty() {
        objects = connect::list(&client, kind, scope, args.selector.as_deref()).await?;
    }
    for name in names {
        objects.push(connect::get(&client, &namespace, &Named { kind, name: name.clone() }).await?);
    }
    if objects.is_empty() && matches!(args.output, Form::Table | Form::Wide) {
        let place = scope.map_or("any namespace".to_owned(), |namespace| format!("namespace {namespace}"));
        eprintln!("no {}s in {place}", kind.word());
        return Ok(ExitCode::SUCCESS);
    }
    view::objects(args.output, kind, &objects, args.all_namespaces, Timestamp::now())?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Args, Debug)]
pub struct StatusArgs {
    /// NAME of a HelmRelease, or KIND/NAME
    name: Named,
}

/// Tells how an object is; exit code 2 when it is not ready.
pub async fn status(connection: &Connection, args: StatusArgs) -> Result<ExitCode> {
    let (client, namespace) = connection.client().await?;
    let object = connect::get(&client, &namespace, &args.name).await?;
    print!("{}", describe(&args.name, &namespace, &object.data));
    let current = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let is_current = current == object.metadata.generation;
    if !is_current {
        println!("\nThe last change of the spec has not been looked at yet.");
    }
    let ready = condition(&object.data, "Ready") == Some("True") && is_current;
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}

/// What `status` prints of an object.
fn describe(named: &Named, namespace: &str, object: &Value) -> String {
    let mut text = format!("{named} in {namespace}: {}\n", printable(&text_at(object, "/status/summary")));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12} {}\n", printable(&value)));
        }
    };
    line(
        "chart",
        ["chart", "version"]
            .map(|field| text_at(object, &format!("/status/history/0/{field}")))
            .join(" ")
            .trim()
            .to_owned(),
    );
    line("revision", text_at(object, "/status/history/0/revision"));
    line("commit", text_at(object, "/status/appliedCommit"));
    line("attempted", text_at(object, "/status/attemptedCommit"));
    line("interval", text_at(object, "/spec/interval"));
    line("failed try", text_at(object, "/status/failedAttempt/message"));

    let array = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut conditions = Table::new(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for item in array("/status/conditions") {
        conditions.row(
            ["type", "status", "reason", "lastTransitionTime", "message"]
                .map(|field| text_at(&item, &format!("/{field}"))),
        );
    }
    text.push_str(&format!("\n{conditions}"));
    let errors = array("/status/errors");
    if !errors.is_empty() {
        let mut table = Table::new(["FILE", "LINE", "ERROR"]);
        for error in errors {
            table.row(["file", "line", "message"].map(|field| text_at(&error, &format!("/{field}"))));
        }
        text.push_str(&format!("\n{table}"));
    }
    let inventory = array("/status/inventory");
    if !inventory.is_empty() {
        let mut table = Table::new(["KIND", "NAMESPACE", "NAME"]);
        for item in inventory {
            table.row(["kind", "namespace", "name"].map(|field| text_at(&item, &format!("/{field}"))));
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// NAME of a HelmRelease
    name: String,
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Lists the revisions of a release, newest first, with why the failed ones failed.
pub async fn history(connection: &Connection, args: HistoryArgs) -> Result<ExitCode> {
    let (client, namespace) = connection.client().await?;
    let named = Named { kind: Kind::HelmRelease, name: args.name };
    let object = connect::get(&client, &namespace, &named).await?;
    let release: HelmRelease = serde_json::from_value(serde_json::to_value(&object)?)?;
    let status = release.status.unwrap_or_default();
    match args.output {
        Form::Json => println!("{}", serde_json::to_string_pretty(&status.history)?),
        Form::Yaml => print!("{}", crate::yaml::marshal_json(&serde_json::to_value(&status.history)?)),
        Form::Name => status.history.iter().for_each(|item| println!("{}", item.revision)),
        Form::Table | Form::Wide => print!("{}", revisions(&status)),
    }
    Ok(ExitCode::SUCCESS)
}

fn revisions(status: &HelmReleaseStatus) -> Table {
    let mut table = Table::new(["REVISION", "DEPLOYED", "STATUS", "CHART", "APP VERSION", "HEALTHY", "WHY"]);
    for item in &status.history {
        let why = match (&item.cause, item.rollback_of) {
            (Some(cause), _) => cause.clone(),
            (None, Some(to)) => format!("rolled back to {to}"),
            (None, None) => String::new(),
        };
        table.row([
            item.revision.to_string(),
            item.deployed_at.clone().unwrap_or_default(),
            item.status.clone(),
            format!("{}-{}", item.chart, item.version),
            item.app_version.clone(),
            if item.verified { "yes" } else { "" }.to_owned(),
            why,
        ]);
    }
    table
}
