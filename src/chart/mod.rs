//! Charts: what an archive or a folder holds, and which values a release of it gets.
//!
//! A [`Chart`] is frozen: plain data behind `Arc`, shared between threads and renders. Nothing here knows templates,
//! releases or the cluster, and nothing touches a disk: files come in as bytes. Meanings follow Helm v4
//! (`pkg/chart`, `pkg/ignore`, `pkg/strvals`).

mod archive;
pub mod coalesce;
mod dependencies;
mod effort;
pub mod ignore;
mod load;
mod metadata;
pub mod origins;
pub mod pattern;
pub mod schema;
pub mod source_ref;
pub mod strvals;
pub mod values;

pub use archive::{Limits, archive_files, load_archive};
pub use load::{kept_files, load_files};
pub use metadata::{ChartType, Dependency, Lock, METADATA, Maintainer, Metadata};

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

/// A JSON object: frozen values.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// A chart with its subcharts.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    pub metadata: Metadata,
    pub lock: Option<Lock>,
    /// Files below `templates/`, in the order of the archive.
    pub templates: Arc<[File]>,
    /// The defaults of `values.yaml`; `None` where there is no such file.
    pub values: Option<Arc<Object>>,
    /// The text of `values.yaml`, for telling on which line a default stands; empty where it is not known.
    pub values_text: Bytes,
    /// `values.schema.json`.
    pub schema: Option<File>,
    /// All other files: what `.Files` sees, and `crds/`.
    pub files: Arc<[File]>,
    /// When `Chart.yaml` was last changed, where the source knows.
    pub modified: Option<Timestamp>,
    /// The subcharts of `charts/`, by the name of their folder or archive.
    pub dependencies: Vec<Arc<Chart>>,
}

/// A file of a chart. Cloning shares the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path relative to the chart's folder, with slashes.
    pub name: String,
    pub data: Bytes,
    pub modified: Option<Timestamp>,
}

/// A file below `crds/` of a chart or of one of its subcharts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    /// The path with the names of the charts before it: `parent/charts/child/crds/a.yaml`.
    pub path: String,
    /// The path within its own chart: `crds/a.yaml`.
    pub name: String,
    pub data: Bytes,
}

/// Why a chart cannot be used, or its values not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("chart is not a gzipped tar archive")]
    NotAnArchive(#[source] std::io::Error),
    #[error("chart archive is damaged")]
    DamagedArchive(#[source] std::io::Error),
    #[error("chart archive entry {path:?} {problem}")]
    IllegalEntry { path: String, problem: &'static str },
    #[error("chart exceeds the limit of {limit} {unit}")]
    TooLarge { limit: u64, unit: &'static str },
    #[error("no files in chart archive")]
    EmptyArchive,
    #[error("unsupported chart version: apiVersion {0:?} in Chart.yaml is neither v1 nor v2")]
    UnsupportedApiVersion(String),
    #[error("Chart.yaml file is missing")]
    NoChartYaml,
    #[error("cannot load {file}")]
    UnreadableFile { file: String, source: crate::yaml::Error },
    #[error("cannot load {file}: {problem}")]
    WrongShape { file: String, problem: String },
    #[error("validation: {0}")]
    Invalid(String),
    #[error(transparent)]
    BadIgnoreRule(#[from] ignore::BadRule),
    #[error("error unpacking subchart {folder} in {parent}")]
    Subchart { folder: String, parent: String, source: Box<Error> },
    #[error("{} charts are not installable", .0.as_str())]
    NotInstallable(ChartType),
    #[error(
        "an error occurred while checking for chart dependencies. You may need to run `helm dependency build` to \
         fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
        .0.join(", ")
    )]
    MissingDependencies(Vec<String>),
    #[error("values of subchart {subchart} are a {found}, not a table")]
    SubchartValues { subchart: String, found: String },
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
}

impl Chart {
    /// The name; for a subchart under an alias, the alias.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether the chart only offers definitions to others.
    pub fn is_library(&self) -> bool {
        self.metadata.chart_type.eq_ignore_ascii_case(ChartType::Library.as_str())
    }

    /// Checks that a release can be made of this chart: an application, with every subchart that it names.
    ///
    /// # Errors
    /// [`Error::NotInstallable`] for a library, [`Error::MissingDependencies`] by name.
    pub fn check_installable(&self) -> Result<(), Error> {
        if self.is_library() {
            return Err(Error::NotInstallable(ChartType::Library));
        }
        let missing: Vec<String> = self
            .metadata
            .dependencies()
            .iter()
            .filter(|wanted| !self.dependencies.iter().any(|chart| chart.name() == wanted.name))
            .map(|wanted| wanted.name.clone())
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::MissingDependencies(missing)) }
    }

    /// The manifests below `crds/` of this chart and then of its subcharts.
    pub fn crds(&self) -> Vec<Crd> {
        let mut crds = Vec::new();
        self.collect_crds(self.name(), &mut crds);
        crds
    }

    fn collect_crds(&self, chart_path: &str, crds: &mut Vec<Crd>) {
        let own = self.files.iter().filter(|file| file.name.starts_with("crds/") && is_manifest_name(&file.name));
        crds.extend(own.map(|file| Crd {
            path: format!("{chart_path}/{}", file.name),
            name: file.name.clone(),
            data: file.data.clone(),
        }));
        for child in &self.dependencies {
            child.collect_crds(&format!("{chart_path}/charts/{}", child.name()), crds);
        }
    }
}

/// Whether the name ends as manifests do: `.yaml`, `.yml` or `.json`, in any case.
fn is_manifest_name(name: &str) -> bool {
    name.rsplit('/')
        .next()
        .and_then(|base| base.rsplit_once('.'))
        .is_some_and(|(_, extension)| ["yaml", "yml", "json"].iter().any(|e| extension.eq_ignore_ascii_case(e)))
}
