//! `pintle values`: the values of a chart or of a release, where each comes from, and which templates read it.
//!
//! Of a release a value is shown only where it is known not to come from a Secret.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Value as Json, json};

use super::chart::{ChartArgs, Network};
use super::connect::{self, Connection, Kind, Named};
use super::helm_flags::GlobalArgs;
use super::template::{self, Setting, TargetArgs};
use super::value_flags::{ValueArgs, ValueInputs};
use super::view::{Table, printable};
use crate::api::HelmRelease;
use crate::api::helm_release::{ValuesKind, ValuesReference};
use crate::api::validate;
use crate::chart::origins::{self, Layers, Origin, Origins, Source, Writer, dotted};
use crate::chart::{Chart, Object, coalesce, values};
use crate::release::{JsonMap, Release, ReleaseId, codec};
use crate::render::{self, Place, Reads, Unread};
use crate::text;
use crate::yaml::{self, KeyPath};

#[derive(Args, Debug)]
pub struct ValuesArgs {
    /// NAME of a HelmRelease; or a CHART: its folder or .tgz, where there is one by that path, an https:// or oci://
    /// URL, or a name in --repo
    #[arg(value_name = "NAME|CHART")]
    what: String,
    /// Tell which layer set each value, what that overrode, and for a chart which templates read it
    #[arg(long)]
    origin: bool,
    /// Default: table with --origin, yaml without
    #[arg(short, long, value_enum)]
    output: Option<Form>,
    #[command(flatten)]
    chart: ChartArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    target: TargetArgs,
}

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Yaml,
    Json,
}

impl ValuesArgs {
    /// Whether a chart is meant, not a release.
    pub fn is_of_chart(&self) -> bool {
        let (what, path) = (self.what.as_str(), Path::new(&self.what));
        let is_there = path.is_file() || path.join("Chart.yaml").is_file();
        let is_named = what.ends_with(".tgz") || what.starts_with(['.', '/']) || what.contains("://");
        is_there || is_named || self.chart.is_in_repository()
    }

    fn print(&self, trace: &Trace, effective: &Object) -> Result<()> {
        let form = self.output.unwrap_or(if self.origin { Form::Table } else { Form::Yaml });
        let json = if self.origin { trace.to_json() } else { Json::Object(effective.clone()) };
        let text = match form {
            Form::Table if self.origin => trace.table().to_string(),
            Form::Table => bail!("-o table goes with --origin; values alone are printed as yaml or json"),
            Form::Yaml => yaml::marshal_json(&json),
            Form::Json => format!("{}\n", serde_json::to_string_pretty(&json)?),
        };
        std::io::stdout().write_all(text.as_bytes()).context("the output cannot be written")
    }
}

/// Prints the values a chart gets.
///
/// # Errors
/// The chart or the values cannot be read. A render that fails is told on stderr only: values have their origins all
/// the same.
pub fn of_chart(connection: &Connection, arguments: &ValuesArgs) -> Result<()> {
    let capabilities = template::capabilities(&arguments.target)?;
    let global = GlobalArgs::of_connection(connection);
    let network = Network::new(&arguments.chart, &global);
    let chart = network.locate(&arguments.what)?.load()?;
    let inputs = ValueInputs::read(&arguments.values, &network)?;
    let effective = render::on_big_stack(|| {
        let values = inputs.apply(None)?;
        let chart = chart.with_dependencies(&values)?;
        anyhow::Ok(coalesce::freeze_map(&coalesce::coalesce_values(&chart, &values)?))
    })??;
    let mut trace = Trace::default();
    if arguments.origin {
        let (name, options) = ("release-name".to_owned(), template::options());
        let setting = Setting::new(name, global.namespace(), &arguments.target, capabilities, options);
        let (rendered, found) = setting.trace(&chart, &inputs)?;
        if let Err(error) = rendered {
            eprintln!("the chart does not render, so some templates may be missing below: {error:#}\n");
        }
        trace = found;
    }
    arguments.print(&trace, &effective)?;
    trace.warn();
    Ok(())
}

/// Prints the values of the newest revision of a release.
///
/// # Errors
/// There is no such HelmRelease or no revision of it, or what its values come from cannot be read.
pub async fn of_release(connection: &Connection, arguments: &ValuesArgs) -> Result<ExitCode> {
    if !arguments.values.is_empty() {
        bail!("-f and --set are for charts, and there is no chart {0:?}; for a chart write ./{0}", arguments.what);
    }
    let named: Named = arguments.what.parse().map_err(anyhow::Error::msg)?;
    if named.kind != Kind::HelmRelease {
        bail!("{named} has no values; name a HelmRelease");
    }
    let (client, namespace) = connection.client().await?;
    let object = connect::get(&client, &namespace, &named).await?;
    let release: HelmRelease = serde_json::from_value(serde_json::to_value(&object)?)?;
    let (home, _) = validate::home(&release).map_err(|error| anyhow::anyhow!("{}: {}", error.field, error.message))?;
    let stored = newest_record(&client, &home.records()).await?;

    let mut given = Vec::new();
    for reference in &release.spec.values_from {
        given.extend(read_reference(&client, &release.namespace().unwrap_or_default(), reference).await?);
    }
    let inline = release.spec.values.clone().unwrap_or_default();
    given.push(Given { source: Source::Inline, values: GivenValues::Table { table: inline, text: Vec::new() } });
    // Single values win over all tables.
    given.sort_by_key(|given| matches!(given.values, GivenValues::Single { .. }));
    let told = render::on_big_stack(|| Told::of(&stored, &given))??;
    if told.is_outdated {
        eprintln!(
            "the spec asks for other values than revision {} was made with; shown are those of the revision",
            stored.revision
        );
    }
    arguments.print(&Trace { origins: told.origins, ..Trace::default() }, &told.effective)?;
    Ok(ExitCode::SUCCESS)
}

async fn newest_record(client: &Client, id: &ReleaseId) -> Result<Release> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &id.namespace);
    let labels = codec::selector(&id.name);
    let list = api.list_metadata(&ListParams::default().labels(&labels)).await.map_err(connect::explain)?;
    let revision = |labels: &BTreeMap<String, String>| labels.get("version").and_then(|text| text.parse::<u32>().ok());
    let newest = list.items.iter().max_by_key(|secret| revision(secret.labels()));
    let Some(newest) = newest else { bail!("release {id} has no revision yet") };
    let secret = api.get(&newest.name_any()).await.context("the revision's record cannot be read")?;
    codec::from_secret(&secret).with_context(|| format!("Secret {} holds no release", newest.name_any()))
}

/// Values that a spec gives.
struct Given {
    source: Source,
    values: GivenValues,
}

enum GivenValues {
    /// With the text they were read from.
    Table { table: JsonMap, text: Vec<u8> },
    /// One value for one place.
    Single { path: String, value: Json },
}

/// The values behind an entry of `valuesFrom`; `None` where it is optional and not there.
async fn read_reference(client: &Client, namespace: &str, reference: &ValuesReference) -> Result<Option<Given>> {
    let ValuesReference { kind, name, values_key: key, optional, target_path, literal } = reference;
    let (kind, data) = match kind {
        ValuesKind::ConfigMap => {
            let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await;
            let found = found.with_context(|| format!("ConfigMap {namespace}/{name} cannot be read"))?;
            ("ConfigMap", found.and_then(|map| map.data?.remove(key)).map(String::into_bytes))
        }
        ValuesKind::Secret => {
            let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await;
            let found = found.with_context(|| format!("Secret {namespace}/{name} cannot be read"))?;
            ("Secret", found.and_then(|secret| secret.data?.remove(key)).map(|data| data.0))
        }
    };
    let Some(text) = data else {
        if *optional {
            return Ok(None);
        }
        bail!("{kind} {namespace}/{name} with key {key:?}, which spec.valuesFrom names, does not exist");
    };
    let source = Source::Object { kind, name: name.clone(), key: key.clone() };
    let values = match target_path {
        Some(path) => {
            let value = values::single(&text, *literal).map_err(|problem| {
                anyhow::anyhow!("key {key:?} of {kind} {namespace}/{name} cannot go to its targetPath: {problem}")
            })?;
            GivenValues::Single { path: path.clone(), value }
        }
        None => {
            // The reader's words may quote what it could not read.
            let table = values::read(name, &text)
                .map_err(|_| anyhow::anyhow!("key {key:?} of {kind} {namespace}/{name} is no YAML table of values"))?;
            GivenValues::Table { table, text }
        }
    };
    Ok(Some(Given { source, values }))
}

/// What can be told of a stored revision.
struct Told {
    origins: Origins,
    /// Values that may come from Secrets are masked.
    effective: Object,
    /// The spec gives other values by now.
    is_outdated: bool,
}

/// What stands in the place of a value that may be secret.
const MASK: &str = "***";

impl Told {
    /// The record is what runs; what the spec gives now tells where it comes from, value by value, as far as the two
    /// agree.
    fn of(stored: &Release, given: &[Given]) -> Result<Self> {
        let mut chart = Chart::default();
        chart.metadata.name = stored.chart.version().name;
        chart.values = stored.chart.values.clone().map(std::sync::Arc::new);
        let config = stored.config.clone().unwrap_or_default();
        let (mut layers, mut asked) = (Layers::default(), Object::new());
        for Given { source, values } in given {
            match values {
                GivenValues::Table { table, text } => {
                    layers.table(source.clone(), table, origins::lines_of(text));
                    values::merge(&mut asked, table.clone());
                }
                GivenValues::Single { path, value } => {
                    layers.line(source.clone(), |map| values::place(map, path, value))?;
                    asked = values::with(&asked, path, value)?;
                }
            }
        }
        let known = layers.origins(&chart, &coalesce::thaw_object(&asked))?;

        let mut layers = Layers::default();
        layers.table(Source::Record { revision: stored.revision.0 }, &config, Default::default());
        let config = coalesce::thaw_object(&config);
        let mut origins = layers.origins(&chart, &config)?;
        let mut effective = Json::Object(coalesce::freeze_map(&coalesce::coalesce_values(&chart, &config)?));
        let mut is_outdated = known.iter().any(|(path, origin)| !origins.contains_key(path) && origin.value.is_some());
        for (path, origin) in &mut origins {
            match known.get(path) {
                Some(known) if known.value == origin.value => *origin = known.clone(),
                // A null over a default that is not there any more, in the record and in the spec, is no difference.
                None if origin.value.is_none() => {}
                _ => is_outdated = true,
            }
            if mask(origin)
                && let Some(place) = path.iter().try_fold(&mut effective, |table, key| table.get_mut(key))
            {
                *place = MASK.into();
            }
        }
        let Json::Object(effective) = effective else { bail!("the values of a release are a table") };
        Ok(Told { origins, effective, is_outdated })
    }
}

/// Masks what comes from a Secret, or from a record that does not say; tells whether the value itself was.
fn mask(origin: &mut Origin) -> bool {
    let is_hidden = |source: &Source| source.is_secret() || matches!(source, Source::Record { .. });
    for (writer, value) in &mut origin.overrode {
        if is_hidden(&writer.source) {
            *value = MASK.into();
        }
    }
    let is_masked = origin.value.is_some() && origin.set_by.iter().any(|writer| is_hidden(&writer.source));
    if is_masked {
        origin.value = Some(MASK.into());
    }
    is_masked
}

/// Where values come from and what became of them.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) origins: Origins,
    /// `None` where nothing was rendered.
    pub(super) reads: Option<Reads>,
    pub(super) unread: Vec<Unread>,
}

/// How many places that read a value are shown; a helper used everywhere has hundreds.
const PLACES_SHOWN_MAX: usize = 3;
/// How many are told to programs.
const PLACES_TOLD_MAX: usize = 50;
/// How much of a value is shown.
const VALUE_BYTES_MAX: usize = 40;

impl Trace {
    /// One row a value.
    pub(super) fn table(&self) -> Table {
        let mut header = vec!["VALUE", "IS", "SET BY", "OVER"];
        if self.reads.is_some() {
            header.push("READ BY");
        }
        let mut table = Table::new(header);
        for (path, origin) in &self.origins {
            let value = origin.value.as_ref().map_or("(deleted)".to_owned(), shown);
            let over = origin.overrode.iter().map(|(writer, value)| format!("{writer} ({})", shown(value)));
            let mut row = vec![dotted(path), value, joined(&origin.set_by), over.collect::<Vec<_>>().join(", ")];
            if let Some(reads) = &self.reads {
                let places = reads.of(path);
                let mut text = joined(&places[..places.len().min(PLACES_SHOWN_MAX)]);
                if places.len() > PLACES_SHOWN_MAX {
                    let _ = write!(text, " and {} more", places.len() - PLACES_SHOWN_MAX);
                }
                row.push(text);
            }
            table.row(row);
        }
        table
    }

    fn to_json(&self) -> Json {
        let values: Vec<Json> = self.origins.iter().map(|(path, origin)| self.entry(path, origin)).collect();
        let unread: Vec<Json> = self
            .unread
            .iter()
            .map(|unread| json!({"path": dotted(&unread.path), "didYouMean": unread.nearest}))
            .collect();
        json!({"values": values, "unread": unread})
    }

    fn entry(&self, path: &KeyPath, origin: &Origin) -> Json {
        let mut entry = json!({"path": dotted(path)});
        match &origin.value {
            Some(value) => entry["value"] = value.clone(),
            None => entry["deleted"] = true.into(),
        }
        entry["setBy"] = origin.set_by.iter().map(|writer| writer_json(writer, None)).collect();
        entry["overrode"] = origin.overrode.iter().map(|(writer, value)| writer_json(writer, Some(value))).collect();
        if let Some(reads) = &self.reads {
            let places = reads.of(path);
            entry["readBy"] = places.iter().take(PLACES_TOLD_MAX).map(Place::to_string).collect();
            if places.len() > PLACES_TOLD_MAX {
                entry["readByMore"] = (places.len() - PLACES_TOLD_MAX).into();
            }
        }
        entry
    }

    /// Tells on stderr which values nobody knows.
    pub(super) fn warn(&self) {
        for unread in &self.unread {
            eprintln!("warning: {}", printable(&unread.to_string()));
        }
    }
}

fn joined(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(value: &Json) -> String {
    text::truncate(&value.to_string(), VALUE_BYTES_MAX)
}

fn writer_json(writer: &Writer, value: Option<&Json>) -> Json {
    let mut entry = match &writer.source {
        Source::Chart(path) => json!({"kind": "chart", "name": path}),
        Source::File(name) => json!({"kind": "file", "name": name}),
        Source::Flag { flag, text } => json!({"kind": "flag", "flag": flag, "text": text}),
        Source::Object { kind, name, key } => json!({"kind": kind, "name": name, "key": key}),
        Source::Inline => json!({"kind": "inline"}),
        Source::Record { revision } => json!({"kind": "record", "revision": revision}),
    };
    if let Some(line) = writer.line {
        entry["line"] = line.into();
    }
    if let Some(path) = &writer.written_at {
        entry["from"] = dotted(path).into();
    }
    if let Some(value) = value {
        entry["value"] = value.clone();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{Info, ReleaseName, Revision, StoredChart};

    fn object(json: Json) -> Object {
        json.as_object().unwrap().clone()
    }

    fn stored(config: Json) -> Release {
        Release {
            id: ReleaseId { namespace: "apps".into(), name: ReleaseName::parse("web").unwrap() },
            revision: Revision(7),
            info: Info::default(),
            chart: StoredChart {
                metadata: object(json!({"name": "web"})),
                values: Some(object(json!({"size": 1, "password": "default", "zone": "a"}))),
                ..StoredChart::default()
            },
            config: Some(object(config)),
            manifest: String::new(),
            hooks: Vec::new(),
            apply_method: None,
            labels: BTreeMap::new(),
        }
    }

    fn given(secret: &str, inline: Json) -> Vec<Given> {
        let key = || "values.yaml".to_owned();
        vec![
            Given {
                source: Source::Object { kind: "Secret", name: "db".into(), key: key() },
                values: GivenValues::Table {
                    table: values::read("", secret.as_bytes()).unwrap(),
                    text: secret.as_bytes().to_vec(),
                },
            },
            Given { source: Source::Inline, values: GivenValues::Table { table: object(inline), text: Vec::new() } },
        ]
    }

    fn told(stored: &Release, given: &[Given]) -> (Vec<String>, Json, bool) {
        let told = Told::of(stored, given).unwrap();
        let rows = told.origins.iter().map(|(path, origin)| {
            let value = origin.value.as_ref().map_or("deleted".to_owned(), Json::to_string);
            let over: Vec<_> =
                origin.overrode.iter().map(|(writer, value)| format!(" over {writer}={value}")).collect();
            format!("{}={value} by {}{}", dotted(path), joined(&origin.set_by), over.concat())
        });
        (rows.collect(), Json::Object(told.effective), told.is_outdated)
    }

    #[test]
    fn values_from_secrets_are_masked() {
        let given = given("password: hunter2\nsize: 5\n", json!({"size": 2}));
        let (rows, effective, is_outdated) = told(&stored(json!({"password": "hunter2", "size": 2})), &given);
        assert_eq!(
            rows,
            [
                r#"password="***" by Secret db key values.yaml line 1 over web/values.yaml="default""#,
                r#"size=2 by spec.values over Secret db key values.yaml line 2="***" over web/values.yaml=1"#,
                r#"zone="a" by web/values.yaml"#,
            ]
        );
        assert_eq!(effective, json!({"password": "***", "size": 2, "zone": "a"}));
        assert!(!is_outdated);
    }

    #[test]
    fn single_value_from_a_secret_is_masked_too() {
        let mut given = given("size: 5\n", json!({"db": {"password": "inline", "user": "me"}}));
        given.push(Given {
            source: Source::Object { kind: "Secret", name: "db".into(), key: "password".into() },
            values: GivenValues::Single { path: "db.password".into(), value: "hunter2".into() },
        });
        let config = json!({"db": {"password": "hunter2", "user": "me"}, "size": 5});
        let (rows, effective, is_outdated) = told(&stored(config), &given);
        assert_eq!(
            rows[..2],
            [
                r#"db.password="***" by Secret db key password over spec.values="inline""#,
                r#"db.user="me" by spec.values"#,
            ]
        );
        assert_eq!(effective["db"], json!({"password": "***", "user": "me"}));
        assert!(!is_outdated);
    }

    #[test]
    fn value_that_the_spec_does_not_give_any_more_is_not_shown() {
        let given = given("password: new-one\n", json!({}));
        let (rows, effective, is_outdated) = told(&stored(json!({"password": "old-one", "size": 2})), &given);
        assert_eq!(
            rows[..2],
            [
                r#"password="***" by revision 7 as it was made over web/values.yaml="default""#,
                r#"size="***" by revision 7 as it was made over web/values.yaml=1"#,
            ]
        );
        assert_eq!(effective, json!({"password": "***", "size": "***", "zone": "a"}));
        assert!(is_outdated);
    }

    #[test]
    fn paths_are_charts_and_names_are_releases() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: ValuesArgs,
        }
        let of = |line: &str| {
            let words = line.split(' ');
            <Line as clap::Parser>::try_parse_from(["values"].into_iter().chain(words)).unwrap().arguments.is_of_chart()
        };
        assert!(of("charts/hello") && of("./podinfo") && of("podinfo-6.5.0.tgz"));
        assert!(of("oci://r.io/podinfo") && of("https://r.io/podinfo.tar.gz") && of("podinfo --repo https://r.io"));
        assert!(!of("podinfo") && !of("hr/podinfo") && !of("charts"));
    }
}
