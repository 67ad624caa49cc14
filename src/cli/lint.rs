//! `pintle lint`: prints what is wrong with charts, as `helm lint`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use super::chart::{self, ChartArgs, Network, go_error};
use super::helm_flags::{GlobalArgs, log_line};
use super::template::{kube_version, options};
use super::value_flags::{ValueArgs, ValueInputs};
use crate::chart::{METADATA, archive_files};
use crate::lint::{self, Folder, Report, Settings, Severity};
use crate::render::{self, Remark};
use crate::value::shape::Reading;

/// Look for what is wrong with charts.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Folders or .tgz files of charts
    #[arg(value_name = "CHART", num_args = 0..)]
    charts: Vec<String>,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    values: ValueArgs,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Print only warnings and errors
    #[arg(long)]
    quiet: bool,
    /// Look at the subcharts too
    #[arg(long)]
    with_subcharts: bool,
    /// Version of Kubernetes for .Capabilities and for deprecated APIs
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// Take values that do not fit the chart's schema
    #[arg(long)]
    skip_schema_validation: bool,
}

/// Looks at each chart and prints what was found; the exit code is 1 where a chart failed.
///
/// # Errors
/// The values cannot be read, or a chart failed.
pub fn run(arguments: &LintArgs) -> Result<ExitCode> {
    if arguments.charts.is_empty() {
        bail!("\"pintle lint\" requires at least 1 argument\n\nUsage:  pintle lint PATH [flags]");
    }
    let kube_version = kube_version(arguments.kube_version.as_deref())?;
    let namespace = arguments.global.namespace();
    let network = Network::new(&ChartArgs::default(), &arguments.global);
    let inputs = ValueInputs::read(&arguments.values, &network)?;
    inputs.apply(None)?;
    let settings = Settings {
        namespace: &namespace,
        kube_version,
        skip_schema: arguments.skip_schema_validation,
        limits: crate::chart::Limits::default(),
        render: options(),
    };
    let charts = match arguments.with_subcharts {
        true => with_subcharts(&arguments.charts),
        false => arguments.charts.clone(),
    };
    let tolerated_below = if arguments.strict { Severity::Warning } else { Severity::Error };
    let (mut text, mut failed, mut has_something_to_say) = (String::new(), 0, false);
    for chart in &charts {
        let looked_at = look_at(chart, &inputs, &settings);
        let is_failed = match &looked_at {
            Ok(report) => report.findings.iter().any(|finding| finding.severity >= tolerated_below),
            Err(_) => true,
        };
        let is_clean = !is_failed
            && looked_at
                .as_ref()
                .is_ok_and(|report| report.findings.iter().all(|finding| finding.severity == Severity::Info));
        has_something_to_say |= !is_clean;
        failed += usize::from(is_failed);
        if !(arguments.quiet && is_clean) {
            text.push_str(&describe(chart, &looked_at, arguments.quiet));
        }
    }
    print!("{text}");
    let summary = format!("{} chart(s) linted, {failed} chart(s) failed", charts.len());
    if failed > 0 {
        bail!(summary);
    }
    if !arguments.quiet || has_something_to_say {
        println!("{summary}");
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(chart: &str, looked_at: &Result<Report>, is_quiet: bool) -> String {
    let mut text = format!("==> Linting {chart}\n");
    match looked_at {
        Ok(report) => {
            let shown = report.findings.iter().filter(|finding| !is_quiet || finding.severity > Severity::Info);
            shown.for_each(|finding| text.push_str(&format!("{finding}\n")));
        }
        Err(error) => text.push_str(&format!("Error {error:#}\n")),
    }
    text.push('\n');
    text
}

fn look_at(path: &str, inputs: &ValueInputs<'_>, settings: &Settings<'_>) -> Result<Report> {
    let folder = folder(path, settings)?;
    let report =
        render::on_big_stack(|| -> Result<Report> { Ok(lint::check(&folder, &inputs.apply(None)?, settings)) })??;
    for remark in &report.remarks {
        match remark {
            Remark::Missing(message) => log_line("WARN", "missing required value", &[("message", message)]),
            Remark::Empty(message) => log_line("WARN", "missing required values", &[("message", message)]),
            Remark::Fail(message) => log_line("INFO", "funcMap fail", &[("message", message)]),
        }
    }
    Ok(report)
}

fn folder(path: &str, settings: &Settings<'_>) -> Result<Folder> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let absolute = chart::clean(&absolute.to_string_lossy());
    if path.ends_with(".tgz") || path.ends_with(".tar.gz") {
        let packed = std::fs::read(path).map_err(|error| {
            let problem = go_error("open", path, &error);
            anyhow!("unable to open tarball: {problem}")
        })?;
        let refuse = |problem: String| anyhow!("unable to extract tarball: {problem}");
        let files = archive_files(&packed, &settings.limits).map_err(|error| refuse(crate::text::chain(&error)))?;
        let folder = Folder::of_files(absolute, files);
        check_name(&folder).map_err(refuse)?;
        return Ok(folder);
    }
    let chart_file = format!("{}/Chart.yaml", path.trim_end_matches('/'));
    std::fs::metadata(&chart_file).map_err(|error| {
        let problem = go_error("stat", &chart_file, &error);
        anyhow!("unable to check Chart.yaml file in chart: {problem}")
    })?;
    let (files, folders) = chart::read_folder(Path::new(path))?;
    Ok(Folder { path: absolute, files, folders })
}

/// Helm unpacks an archive into a folder of the chart's name, so there must be one.
fn check_name(folder: &Folder) -> Result<(), String> {
    let text = folder.file("Chart.yaml").unwrap_or_default();
    let document = crate::yaml::to_json(text).map_err(|error| error.to_string()).and_then(|document| {
        METADATA
            .check(&document, Reading::OfYaml)
            .map_err(|problem| format!("error unmarshaling JSON: while decoding JSON: {problem}"))?;
        Ok(document)
    });
    let document = document.map_err(|problem| format!("cannot load Chart.yaml: {problem}"))?;
    match document.get("name").and_then(|name| name.as_str()).unwrap_or_default() {
        "" => Err("chart name not specified".into()),
        name @ ("." | "..") => Err(format!("chart name {name:?} is not allowed")),
        name if name.contains('/') => Err(format!("chart name {name:?} must not contain path separators")),
        _ => Ok(()),
    }
}

/// The charts, and behind them those in their folders `charts`, however deep.
fn with_subcharts(charts: &[String]) -> Vec<String> {
    let mut all = charts.to_vec();
    for chart in charts {
        add_subcharts(&format!("{}/charts", chart.trim_end_matches('/')), &mut all);
    }
    all
}

fn add_subcharts(folder: &str, charts: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = chart::clean(&entry.path().to_string_lossy());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if entry.file_name() == "Chart.yaml" {
            charts.push(chart::clean(folder));
        } else if path.ends_with(".tgz") || path.ends_with(".tar.gz") {
            charts.push(path.clone());
        }
        if is_folder {
            add_subcharts(&path, charts);
        }
    }
}
