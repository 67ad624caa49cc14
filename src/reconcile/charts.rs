//! Charts by the digest of their content: read once, frozen, shared by every release that uses them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::chart::source_ref::Digest;
use crate::chart::{self, Chart, File, Limits};
use crate::plan::{Failure, FailureClass};
use crate::render::ParsedTemplates;
use crate::source::{Artifact, Content};

use super::error;

/// Charts kept; the biggest public ones take some 10 MiB each, and once rendered their parsed templates a few more.
const CHARTS_MAX: usize = 32;

/// A chart, and of its templates what earlier renders have parsed.
#[derive(Clone)]
pub(super) struct LoadedChart {
    pub(super) chart: Arc<Chart>,
    pub(super) templates: Arc<ParsedTemplates>,
}

#[derive(Default)]
pub(super) struct Charts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    charts: HashMap<Digest, (u64, LoadedChart)>,
    /// Counts uses, so that the one unused for longest makes room.
    uses: u64,
}

impl Charts {
    pub(super) fn get(&self, digest: Digest) -> Option<LoadedChart> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let (used, chart) = kept.charts.get_mut(&digest)?;
        *used = now;
        Some(chart.clone())
    }

    /// The chart of fetched content. Reading happens away from the workers: archives are compressed.
    pub(super) async fn load(&self, artifact: Arc<Artifact>) -> Result<LoadedChart, Failure> {
        let digest = artifact.resolved.digest;
        if let Some(chart) = self.get(digest) {
            return Ok(chart);
        }
        let read = tokio::task::spawn_blocking(move || read(&artifact)).await;
        let stopped = |_| error::failure(FailureClass::Transient, "Internal", "reading the chart was interrupted");
        let chart = LoadedChart { chart: Arc::new(read.map_err(stopped)??), templates: Arc::default() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        kept.charts.insert(digest, (now, chart.clone()));
        if kept.charts.len() > CHARTS_MAX {
            let oldest = kept.charts.iter().min_by_key(|(_, (used, _))| *used).map(|(digest, _)| *digest);
            oldest.and_then(|digest| kept.charts.remove(&digest));
        }
        Ok(chart)
    }
}

fn read(artifact: &Artifact) -> Result<Chart, Failure> {
    let chart = match &artifact.content {
        Content::Archive(bytes) => chart::load_archive(bytes, &Limits::default()),
        Content::Tree(tree) => {
            // Helm would follow a link and find a file there: the chart would be another one.
            if let Some(entry) = tree.skipped.first() {
                let message = format!("{} is a {}, which a chart in Git may not hold", entry.path, entry.kind);
                return Err(error::failure(FailureClass::Input, "InvalidChart", message));
            }
            let file = |file: &crate::source::TreeFile| File {
                name: file.path.clone(),
                data: file.bytes.clone(),
                modified: None,
            };
            chart::load_files(tree.files.iter().map(file).collect(), &Limits::default())
        }
    };
    chart.map_err(|problem| error::input("InvalidChart", &problem))
}
