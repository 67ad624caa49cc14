//! `pintle template`: prints what a chart renders to, byte for byte as `helm template`.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use jiff::Timestamp;

use crate::chart::pattern::Pattern;
use crate::chart::strvals::{self, Reading};
use crate::chart::{self, Chart, File, Object, coalesce, values};
use crate::entropy::SystemEntropy;
use crate::manifest::hooks::Event;
use crate::manifest::split;
use crate::render::{
    self, Capabilities, KubeVersion, Limits, Offline, Operation, Options, ReleaseInfo, Rendered, framed,
};

/// Render a chart and print its manifests.
#[derive(Debug, clap::Args)]
pub struct TemplateArgs {
    /// Name of the release, and the folder or .tgz of the chart; without a name it is `release-name`
    #[arg(value_names = ["NAME", "CHART"], num_args = 1..=2, required = true)]
    name_and_chart: Vec<PathBuf>,
    #[command(flatten)]
    render: RenderArgs,
}

/// How a chart is rendered, whatever it is read from.
#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// Namespace of the release
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Values file, `-` for the standard input; may be repeated, later ones win
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    values: Vec<String>,
    /// Set values: key=value,key.key=value
    #[arg(long, value_name = "VALUES")]
    set: Vec<String>,
    /// Set values that are always strings
    #[arg(long, value_name = "VALUES")]
    set_string: Vec<String>,
    /// Set values from JSON: key={"json":1} or a JSON object
    #[arg(long, value_name = "VALUES")]
    set_json: Vec<String>,
    /// Set values to the content of files: key=path
    #[arg(long, value_name = "VALUES")]
    set_file: Vec<String>,
    /// Version of Kubernetes for .Capabilities
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// More API versions for .Capabilities, separated by commas
    #[arg(short, long, value_name = "API", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Print the chart's CRDs too
    #[arg(long)]
    include_crds: bool,
    /// Render as for an upgrade
    #[arg(long)]
    is_upgrade: bool,
    /// Do not print hooks
    #[arg(long)]
    no_hooks: bool,
    /// Do not print tests
    #[arg(long)]
    skip_tests: bool,
    /// Print only what these templates make; may be repeated
    #[arg(short, long, value_name = "FILE")]
    show_only: Vec<String>,
}

/// Renders and prints.
///
/// # Errors
/// The chart or the values cannot be read, or the chart does not render.
pub fn run(arguments: TemplateArgs) -> anyhow::Result<()> {
    let (name, path) = match arguments.name_and_chart.as_slice() {
        [name, path] => (name.to_string_lossy(), path),
        [path] => ("release-name".into(), path),
        _ => bail!("a chart is needed"),
    };
    render_and_print(&name, &read_chart(path)?, &arguments.render)
}

/// Renders a chart that was read elsewhere from the bytes of its archive, and prints it.
///
/// # Errors
/// As [`run`].
pub fn run_archive(name: &str, archive: &[u8], arguments: &RenderArgs) -> anyhow::Result<()> {
    render_and_print(name, &chart::load_archive(archive, &chart::Limits::default())?, arguments)
}

fn render_and_print(name: &str, chart: &Chart, arguments: &RenderArgs) -> anyhow::Result<()> {
    let release = ReleaseInfo {
        name: name.to_owned(),
        namespace: arguments.namespace.clone(),
        revision: 1,
        operation: if arguments.is_upgrade { Operation::Upgrade } else { Operation::Install },
    };
    let capabilities = capabilities(arguments)?;
    let options = Options {
        now: Timestamp::now(),
        local_zone: jiff::tz::TimeZone::system,
        lookup: Arc::new(Offline),
        entropy: Arc::new(SystemEntropy),
        limits: Limits::default(),
        stop: Arc::default(),
        parsed: Arc::default(),
    };
    let inputs = ValueInputs::read(arguments)?;
    let rendered = render::on_big_stack(|| {
        let values = inputs.apply().map_err(Failure::Values)?;
        render::render_live(chart, &values, &release, &capabilities, &options).map_err(Failure::Render)
    })?;
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(Failure::Values(error)) => return Err(error),
        Err(Failure::Render(error)) => return Err(with_excerpt(error)),
    };
    let text = select(&printed(&rendered, arguments), &arguments.show_only)?;
    std::io::stdout().write_all(text.as_bytes()).context("the output cannot be written")
}

enum Failure {
    Values(anyhow::Error),
    Render(render::Error),
}

fn with_excerpt(error: render::Error) -> anyhow::Error {
    match &error {
        render::Error::Template { message, spot: Some(spot) } => anyhow::anyhow!("{message}\n\n{}", spot.excerpt()),
        _ => error.into(),
    }
}

fn capabilities(arguments: &RenderArgs) -> anyhow::Result<Capabilities> {
    let mut capabilities = Capabilities::default();
    if let Some(version) = &arguments.kube_version {
        capabilities.kube_version = KubeVersion::parse(version)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("invalid kube version '{version}'"))?;
    }
    capabilities.api_versions = capabilities.api_versions.iter().chain(&arguments.api_versions).cloned().collect();
    Ok(capabilities)
}

/// The manifest, and after it the hooks, as Helm prints them.
fn printed(rendered: &Rendered, arguments: &RenderArgs) -> String {
    let mut manifest = String::new();
    if arguments.include_crds {
        for crd in &rendered.crds {
            manifest.push_str(&framed(&crd.path, &String::from_utf8_lossy(&crd.data)));
        }
    }
    manifest.push_str(&rendered.manifest);
    let mut text = format!("{}\n", manifest.trim());
    if !arguments.no_hooks {
        let is_shown = |events: &[Event]| !(arguments.skip_tests && events.contains(&Event::Test));
        for hook in rendered.hooks.iter().filter(|hook| is_shown(&hook.events)) {
            text.push_str(&framed(&hook.path, &hook.manifest));
        }
    }
    text
}

/// Only the documents made by the templates that the patterns name, pattern by pattern; everything without patterns.
fn select(text: &str, patterns: &[String]) -> anyhow::Result<String> {
    if patterns.is_empty() {
        return Ok(text.to_owned());
    }
    let mut selected = String::new();
    for pattern in patterns {
        let parsed = Pattern::parse(pattern);
        let is_wanted = |document: &&str| {
            let path = split::source_path(document).and_then(|path| path.split_once('/'));
            path.is_some_and(|(_, path)| parsed.as_ref().is_some_and(|pattern| pattern.matches(path)))
        };
        let mut documents = split::split(text).into_iter().filter(is_wanted).peekable();
        if documents.peek().is_none() {
            bail!("could not find template {pattern} in chart");
        }
        for document in documents {
            selected.push_str(&format!("---\n{document}\n"));
        }
    }
    Ok(selected)
}

/// What the user gives as values, with all files read: it is applied on the thread that renders.
struct ValueInputs {
    base: Object,
    json: Vec<JsonInput>,
    set: Vec<String>,
    set_string: Vec<String>,
    set_file: Vec<String>,
}

enum JsonInput {
    Object(Object),
    Line(String),
}

impl ValueInputs {
    fn read(arguments: &RenderArgs) -> anyhow::Result<Self> {
        let mut base = Object::new();
        for path in &arguments.values {
            let data = read_input(path).with_context(|| format!("cannot read values file {path}"))?;
            let document = values::read(path, &data).with_context(|| format!("failed to parse {path}"))?;
            values::merge(&mut base, document);
        }
        let json = arguments.set_json.iter().map(|text| JsonInput::parse(text)).collect::<Result<_, _>>()?;
        Ok(ValueInputs {
            base,
            json,
            set: arguments.set.clone(),
            set_string: arguments.set_string.clone(),
            set_file: arguments.set_file.clone(),
        })
    }

    /// Lays one over the other in Helm's order: files, `--set-json`, `--set`, `--set-string`, `--set-file`.
    fn apply(&self) -> anyhow::Result<crate::value::Map> {
        let mut base = self.base.clone();
        for input in &self.json {
            match input {
                JsonInput::Object(object) => values::merge(&mut base, object.clone()),
                JsonInput::Line(line) => {
                    let map = coalesce::thaw_object(&base);
                    strvals::parse_into(line, &map, Reading::Json)
                        .with_context(|| format!("failed parsing --set-json data {line}"))?;
                    base = coalesce::freeze_map(&map);
                }
            }
        }
        let map = coalesce::thaw_object(&base);
        for line in &self.set {
            strvals::parse_into(line, &map, Reading::Typed).context("failed parsing --set data")?;
        }
        for line in &self.set_string {
            strvals::parse_into(line, &map, Reading::Text).context("failed parsing --set-string data")?;
        }
        let mut content = |path: &str| match read_input(path) {
            Ok(data) => Ok(String::from_utf8_lossy(&data).into_owned()),
            Err(error) => Err(format!("cannot read {path}: {error}")),
        };
        for line in &self.set_file {
            strvals::parse_into(line, &map, Reading::Content(&mut content))
                .context("failed parsing --set-file data")?;
        }
        Ok(map)
    }
}

impl JsonInput {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Ok(JsonInput::Line(text.to_owned()));
        }
        let object =
            serde_json::from_str(text).with_context(|| format!("failed parsing --set-json data JSON: {text}"))?;
        Ok(JsonInput::Object(object))
    }
}

fn read_input(path: &str) -> std::io::Result<Vec<u8>> {
    if path.trim() == "-" {
        let mut data = Vec::new();
        std::io::stdin().read_to_end(&mut data)?;
        return Ok(data);
    }
    fs::read(path)
}

/// Reads a chart from a folder or from a `.tgz`.
fn read_chart(path: &Path) -> anyhow::Result<Chart> {
    let text = path.to_string_lossy();
    if text.contains("://") {
        bail!("cannot read {text}: charts are read from a folder or a .tgz file");
    }
    let limits = chart::Limits::default();
    let context = || format!("cannot load chart {text}");
    if fs::metadata(path).with_context(context)?.is_dir() {
        let mut files = Vec::new();
        collect_files(path, "", &limits, &mut files).with_context(context)?;
        return chart::load_files(files, &limits).with_context(context);
    }
    let archive = fs::read(path).with_context(context)?;
    chart::load_archive(&archive, &limits).with_context(context)
}

/// The files of a folder with their paths relative to it. Links are followed: the folder is the user's own.
fn collect_files(folder: &Path, prefix: &str, limits: &chart::Limits, files: &mut Vec<File>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            collect_files(&path, &format!("{name}/"), limits, files)?;
        } else if metadata.is_file() {
            let data = Bytes::from(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
            let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            files.push(File { name, data, modified });
        } else {
            bail!("cannot load irregular file {}", path.display());
        }
        // Folders linked into each other would be walked without end.
        if files.len() as u64 > limits.entries_max {
            return Err(chart::Error::TooLarge { limit: limits.entries_max, unit: "entries" }.into());
        }
    }
    Ok(())
}
