//! `pintle template`: prints what a chart renders to, byte for byte as `helm template`.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::chart::{ChartArgs, Network};
use super::helm_flags::{Foreign, GlobalArgs, Install, log_line};
use super::value_flags::{ValueArgs, ValueInputs};
use super::values::Trace;
use crate::chart::Chart;
use crate::chart::origins::{Layers, Origins};
use crate::chart::pattern::Pattern;
use crate::entropy::SystemEntropy;
use crate::manifest::hooks::{Event, Hook};
use crate::manifest::split;
use crate::release::ReleaseName;
use crate::render::{
    self, Account, Capabilities, KubeVersion, Limits, Offline, Operation, Options, ReleaseInfo, Rendered, Schema,
    framed,
};

/// Render a chart and print its manifests.
#[derive(Debug, clap::Args)]
pub struct TemplateArgs {
    /// Name of the release and the chart: a folder, a .tgz, an https:// or oci:// URL, or a name in --repo; without a
    /// name of the release it is `release-name`
    #[arg(value_names = ["NAME", "CHART"], num_args = 0..)]
    name_and_chart: Vec<String>,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    chart: ChartArgs,
    #[command(flatten)]
    values: ValueArgs,
    /// Make the release's name of a template
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,
    /// Leave the name out: it is `release-name`
    #[arg(short, long)]
    generate_name: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Print the chart's CRDs too
    #[arg(long)]
    include_crds: bool,
    /// Do not print hooks
    #[arg(long)]
    no_hooks: bool,
    /// Do not print tests
    #[arg(long)]
    skip_tests: bool,
    /// Print only what these templates make, as paths or globs; may be repeated
    #[arg(short, long, value_name = "FILE")]
    show_only: Vec<String>,
    /// Write each template's output to a file in this folder
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Put the release's name into the paths below --output-dir
    #[arg(long)]
    release_name: bool,
    /// `client`, which is what happens anyway
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "unset")]
    dry_run: Option<String>,
    /// Tell on standard error where each value comes from and which templates read it
    #[arg(long)]
    trace_values: bool,
    #[command(flatten)]
    foreign: Foreign<Install>,
}

/// What a chart is rendered for.
#[derive(Debug, Default, clap::Args)]
pub(super) struct TargetArgs {
    /// Version of Kubernetes for .Capabilities
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// More API versions for .Capabilities, separated by commas
    #[arg(short, long, value_name = "API", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Render as for an upgrade
    #[arg(long)]
    is_upgrade: bool,
    /// Take values that do not fit the chart's schema
    #[arg(long)]
    skip_schema_validation: bool,
}

/// Renders and prints.
///
/// # Errors
/// The chart or the values cannot be read, or the chart does not render.
pub fn run(arguments: &TemplateArgs) -> anyhow::Result<()> {
    if arguments.name_and_chart.is_empty() {
        bail!("\"pintle template\" requires at least 1 argument\n\nUsage:  pintle template [NAME] [CHART] [flags]");
    }
    let capabilities = capabilities(&arguments.target)?;
    check_dry_run(arguments.dry_run.as_deref())?;
    let options = options();
    let (name, reference) = name_and_chart(arguments, &options)?;
    let network = Network::new(&arguments.chart, &arguments.global);
    let input = network.locate(reference)?;
    let inputs = ValueInputs::read(&arguments.values, &network)?;
    // Faults of the lines are told before those of the chart.
    inputs.apply(None)?;
    let chart = input.load()?;
    chart.check_installable()?;
    if chart.metadata.deprecated {
        log_line("WARN", "this chart is deprecated", &[]);
    }
    check_name(&name)?;
    let setting = Setting::new(name, arguments.global.namespace(), &arguments.target, capabilities, options);
    let rendered = rendered(&chart, &inputs, &setting, arguments)?;
    for words in &rendered.unknown_hooks {
        log_line("INFO", "skipping unknown hooks", &[("hookTypes", words)]);
    }
    let text = match &arguments.output_dir {
        None => printed(&rendered, arguments),
        Some(folder) => {
            write_files(folder, &rendered, &setting.release.name, arguments)?;
            "\n".to_owned()
        }
    };
    let text = select(text, &arguments.show_only)?;
    std::io::stdout().write_all(text.as_bytes()).context("the output cannot be written")?;
    // The process ends here, and its memory with it: to free a large chart and its templates node by node takes longer
    // than to print it.
    std::mem::forget((chart, inputs, setting, rendered));
    Ok(())
}

/// What a render on the command line goes by.
pub(super) fn options() -> Options {
    Options {
        now: Timestamp::now(),
        local_zone: jiff::tz::TimeZone::system,
        lookup: Arc::new(Offline),
        entropy: Arc::new(SystemEntropy),
        limits: Limits::default(),
        stop: Arc::default(),
        parsed: Arc::default(),
    }
}

/// The version of `--kube-version`.
///
/// # Errors
/// It cannot be read.
pub(super) fn kube_version(text: Option<&str>) -> anyhow::Result<Option<KubeVersion>> {
    let read = |text: &str| {
        KubeVersion::parse(text).map_err(anyhow::Error::msg).with_context(|| format!("invalid kube version '{text}'"))
    };
    text.filter(|text| !text.is_empty()).map(read).transpose()
}

/// What `.Capabilities` says.
///
/// # Errors
/// The version cannot be read.
pub(super) fn capabilities(arguments: &TargetArgs) -> anyhow::Result<Capabilities> {
    let mut capabilities = Capabilities::default();
    if let Some(version) = kube_version(arguments.kube_version.as_deref())? {
        capabilities.kube_version = version;
    }
    capabilities.api_versions = capabilities.api_versions.iter().chain(&arguments.api_versions).cloned().collect();
    Ok(capabilities)
}

fn check_dry_run(how: Option<&str>) -> anyhow::Result<()> {
    match how {
        None | Some("client") => Ok(()),
        Some("unset") => {
            log_line("WARN", "--dry-run is deprecated and should be replaced with '--dry-run=client'", &[]);
            Ok(())
        }
        Some(yes @ ("1" | "t" | "T" | "TRUE" | "true" | "True")) => {
            let message =
                format!("boolean '--dry-run={yes}' flag is deprecated and must be replaced with '--dry-run=client'");
            log_line("WARN", &message, &[]);
            Ok(())
        }
        Some("server") => bail!("--dry-run=server is not supported: no cluster is asked"),
        Some(other) => bail!("invalid dry-run value ({other:?}). Must be \"client\""),
    }
}

fn name_and_chart<'a>(arguments: &'a TemplateArgs, options: &Options) -> anyhow::Result<(String, &'a str)> {
    match arguments.name_and_chart.as_slice() {
        [chart] => match arguments.name_template.as_deref().filter(|template| !template.is_empty()) {
            Some(template) => {
                let name = render::on_big_stack(|| render::name_of_template(template, options))??;
                Ok((name, chart))
            }
            None => Ok(("release-name".to_owned(), chart)),
        },
        [_, _] if arguments.generate_name => bail!("cannot set --generate-name and also specify a name"),
        [_, _] if arguments.name_template.as_deref().is_some_and(|template| !template.is_empty()) => {
            bail!("cannot set --name-template and also specify a name")
        }
        [name, chart] => Ok((name.clone(), chart)),
        [_, _, more @ ..] => {
            bail!("expected at most two arguments, unexpected arguments: {}", more.join(", "))
        }
        [] => bail!("a chart is needed"),
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    const RULE: &str = "invalid release name, must match regex \
                        ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be \
                        longer than 53";
    if ReleaseName::parse(name).is_ok() {
        return Ok(());
    }
    let problem = if name.is_empty() { "no name provided" } else { RULE };
    let problem = format!("release name {name:?}: {problem}");
    log_line("ERROR", "release name check failed", &[("error", &problem)]);
    bail!("release name check failed: {problem}")
}

/// What a chart is rendered with besides values.
pub(super) struct Setting {
    release: ReleaseInfo,
    capabilities: Capabilities,
    options: Options,
    schema: Schema,
}

enum Failure {
    Values(anyhow::Error),
    Render(render::Error),
}

impl Setting {
    pub(super) fn new(
        name: String,
        namespace: String,
        target: &TargetArgs,
        capabilities: Capabilities,
        options: Options,
    ) -> Self {
        let operation = if target.is_upgrade { Operation::Upgrade } else { Operation::Install };
        let release = ReleaseInfo { name, namespace, revision: 1, operation };
        let schema = if target.skip_schema_validation { Schema::Skip } else { Schema::Check };
        Setting { release, capabilities, options, schema }
    }

    fn render(&self, chart: &Chart, inputs: &ValueInputs<'_>) -> anyhow::Result<Rendered> {
        let rendered = render::on_big_stack(|| {
            let values = inputs.apply(None).map_err(Failure::Values)?;
            let render = match self.schema {
                Schema::Skip => render::render_without_schema,
                Schema::Check => render::render_live,
            };
            render(chart, &values, &self.release, &self.capabilities, &self.options).map_err(Failure::Render)
        })?;
        match rendered {
            Ok(rendered) => Ok(rendered),
            Err(Failure::Values(error)) => Err(error),
            Err(Failure::Render(error)) => Err(with_excerpt(error)),
        }
    }

    /// Renders, and tells where values come from and what became of them, even if the render fails.
    ///
    /// # Errors
    /// The values cannot be read. Why the render failed stands beside the trace.
    pub(super) fn trace(
        &self,
        chart: &Chart,
        inputs: &ValueInputs<'_>,
    ) -> anyhow::Result<(anyhow::Result<Rendered>, Trace)> {
        render::on_big_stack(|| {
            let mut layers = Layers::default();
            let values = inputs.apply(Some(&mut layers))?;
            let Setting { release, capabilities, options, schema } = self;
            let (rendered, Account { reads, unread }) =
                render::render_watched(chart, &values, release, capabilities, options, *schema);
            let origins = match (layers.origins(chart, &values), &rendered) {
                // What is wrong with the values is what the render says of them, in Helm's order.
                (Err(_), Err(_)) => Origins::default(),
                (origins, _) => origins?,
            };
            Ok((rendered.map_err(with_excerpt), Trace { origins, reads: Some(reads), unread }))
        })?
    }
}

fn rendered(
    chart: &Chart,
    inputs: &ValueInputs<'_>,
    setting: &Setting,
    arguments: &TemplateArgs,
) -> anyhow::Result<Rendered> {
    // Scripts compare what stands on standard error, so what Helm does not say is said to people only, or when asked
    // for.
    if !arguments.trace_values && !std::io::stderr().is_terminal() {
        return setting.render(chart, inputs);
    }
    let (rendered, trace) = setting.trace(chart, inputs)?;
    if arguments.trace_values {
        eprint!("{}", trace.table());
    }
    trace.warn();
    rendered
}

fn with_excerpt(error: render::Error) -> anyhow::Error {
    match &error {
        render::Error::Template { message, spot: Some(spot) } => anyhow::anyhow!("{message}\n\n{}", spot.excerpt()),
        _ => error.into(),
    }
}

/// The manifest, and after it the hooks, as Helm prints them.
fn printed(rendered: &Rendered, arguments: &TemplateArgs) -> String {
    let mut manifest = String::new();
    if arguments.include_crds {
        for crd in &rendered.crds {
            manifest.push_str(&framed(&crd.path, &String::from_utf8_lossy(&crd.data)));
        }
    }
    manifest.push_str(&rendered.manifest);
    let mut text = trimmed(manifest);
    text.push('\n');
    for hook in shown_hooks(rendered, arguments) {
        text.push_str(&framed(&hook.path, &hook.manifest));
    }
    text
}

/// The text without the white space around it, in the same memory.
fn trimmed(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    text.drain(..text.len() - text.trim_start().len());
    text
}

fn shown_hooks<'r>(rendered: &'r Rendered, arguments: &TemplateArgs) -> impl Iterator<Item = &'r Hook> {
    let (no_hooks, skip_tests) = (arguments.no_hooks, arguments.skip_tests);
    let is_left_out = move |hook: &Hook| no_hooks || skip_tests && hook.events.contains(&Event::Test);
    rendered.hooks.iter().filter(move |hook| !is_left_out(hook))
}

/// Writes each document to the file of its template, and says so. CRDs lie outside the folder of the release, and
/// hooks are added to files that are there, as in Helm.
fn write_files(folder: &Path, rendered: &Rendered, release: &str, arguments: &TemplateArgs) -> anyhow::Result<()> {
    let mut written = HashSet::new();
    if arguments.include_crds {
        for crd in &rendered.crds {
            let is_more = !written.insert(crd.path.as_str());
            write_file(folder, &crd.path, &String::from_utf8_lossy(&crd.data), is_more)?;
        }
    }
    let folder = if arguments.release_name { folder.join(release) } else { folder.to_owned() };
    for document in &rendered.documents {
        let is_more = !written.insert(document.path.as_str());
        write_file(&folder, &document.path, &rendered.manifest[document.text.clone()], is_more)?;
    }
    for hook in shown_hooks(rendered, arguments) {
        let is_more = folder.join(&hook.path).exists();
        write_file(&folder, &hook.path, &hook.manifest, is_more)?;
    }
    Ok(())
}

fn write_file(folder: &Path, path: &str, content: &str, is_more: bool) -> anyhow::Result<()> {
    // A chart names its templates, and a name must not lead out of the folder.
    if path.split('/').any(|part| part == "..") {
        bail!("{path} leads out of the folder of --output-dir");
    }
    // With the separator that Helm puts between them: the path is printed.
    let file = format!("{}/{path}", folder.display());
    let context = || format!("{file} cannot be written");
    if let Some(parent) = Path::new(&file).parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    let mut options = OpenOptions::new();
    let options = if is_more { options.append(true) } else { options.write(true).create(true).truncate(true) };
    let mut opened = options.open(&file).with_context(context)?;
    opened.write_all(framed(path, content).as_bytes()).with_context(context)?;
    println!("wrote {file}");
    Ok(())
}

/// Only the documents made by the templates that the patterns name, pattern by pattern; everything without patterns.
fn select(text: String, patterns: &[String]) -> anyhow::Result<String> {
    if patterns.is_empty() {
        return Ok(text);
    }
    let mut selected = String::new();
    for pattern in patterns {
        let parsed = Pattern::parse(pattern);
        let is_wanted = |document: &&str| {
            let path = split::source_path(document).and_then(|path| path.split_once('/'));
            path.is_some_and(|(_, path)| parsed.as_ref().is_some_and(|pattern| pattern.matches(path)))
        };
        let mut documents = split::split(&text).into_iter().filter(is_wanted).peekable();
        if documents.peek().is_none() {
            bail!("could not find template {pattern} in chart");
        }
        for document in documents {
            selected.push_str(&format!("---\n{document}\n"));
        }
    }
    Ok(selected)
}
