//! From files to a chart: which file is what, subcharts, and the faults on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;

use super::archive::{self, Budget, Limits};
use super::dependencies::CHARTS_MAX;
use super::{Chart, Error, File, Lock, Metadata, ignore, values};
use crate::yaml;

/// Reads a chart from the files of a folder or of a Git tree, with paths relative to the chart's folder, in any order.
///
/// What `.helmignore` names is left out. Links must have been refused or followed by whoever collected the files.
///
/// # Errors
/// The files go past a limit or are no valid chart.
pub fn load_files(files: Vec<File>, limits: &Limits) -> Result<Chart, Error> {
    let mut budget = Budget::new(limits);
    let kept = keep(files, &mut budget)?;
    from_files(kept, &mut budget, 0)
}

/// The files of a folder that belong to its chart, in the order of a walk through the folders: those that `.helmignore`
/// does not name.
///
/// # Errors
/// The files go past a limit, or a rule is not valid.
pub fn kept_files(files: Vec<File>, limits: &Limits) -> Result<Vec<File>, Error> {
    keep(files, &mut Budget::new(limits))
}

fn keep(files: Vec<File>, budget: &mut Budget<'_>) -> Result<Vec<File>, Error> {
    let rules = files.iter().find(|file| file.name == ignore::FILE_NAME);
    let rules = ignore::Rules::parse(&rules.map_or_else(Default::default, |file| String::from_utf8_lossy(&file.data)))?;
    let mut kept = Vec::with_capacity(files.len());
    for mut file in files {
        if rules.ignores(&file.name) {
            continue;
        }
        budget.take_file(file.data.len() as u64)?;
        file.data = archive::without_byte_order_mark(file.data);
        kept.push(file);
    }
    // Name by name.
    kept.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
    Ok(kept)
}

/// A chart of files that are already filtered and counted.
pub(super) fn from_files(files: Vec<File>, budget: &mut Budget<'_>, depth: u64) -> Result<Chart, Error> {
    budget.check_depth(depth)?;
    let mut metadata = None;
    let mut chart = Chart::default();
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        let metadata = metadata.get_or_insert_with(Metadata::default);
        read_metadata(file, metadata)?;
        if metadata.api_version.is_empty() {
            "v1".clone_into(&mut metadata.api_version);
        }
        chart.modified = file.modified;
    }
    let mut templates = Vec::new();
    let mut others = Vec::new();
    let mut subcharts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for mut file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => chart.lock = Some(read_lock(&file)?),
            "values.yaml" => {
                chart.values = Some(Arc::new(values::read("values.yaml", &file.data)?));
                chart.values_text = file.data;
            }
            "values.schema.json" => chart.schema = Some(file),
            "requirements.yaml" => {
                let metadata = metadata.get_or_insert_with(Metadata::default);
                read_metadata(&file, metadata)?;
                if metadata.api_version == "v1" {
                    others.push(file);
                }
            }
            "requirements.lock" => {
                chart.lock = Some(read_lock(&file)?);
                if metadata.get_or_insert_with(Metadata::default).api_version == "v1" {
                    others.push(file);
                }
            }
            name if name.starts_with("templates/") => templates.push(file),
            name if name.starts_with("charts/") && !name.ends_with(".prov") => {
                file.name.drain(.."charts/".len());
                let folder = file.name.split('/').next().unwrap_or_default().to_owned();
                subcharts.entry(folder).or_default().push(file);
            }
            _ => others.push(file),
        }
    }
    chart.metadata = metadata.ok_or(Error::NoChartYaml)?;
    chart.metadata.validate()?;
    if depth == 0 && !matches!(chart.metadata.api_version.as_str(), "v1" | "v2") {
        return Err(Error::UnsupportedApiVersion(chart.metadata.api_version));
    }
    if chart.metadata.dependencies().len().max(subcharts.len()) > CHARTS_MAX {
        return Err(Error::TooLarge { limit: CHARTS_MAX as u64, unit: "dependencies" });
    }
    chart.templates = templates.into();
    chart.files = others.into();
    for (folder, files) in subcharts {
        if folder.starts_with(['_', '.']) {
            continue;
        }
        let subchart = load_subchart(&folder, files, budget, depth + 1).map_err(|error| Error::Subchart {
            folder,
            parent: chart.metadata.name.clone(),
            source: Box::new(error),
        })?;
        chart.dependencies.push(Arc::new(subchart));
    }
    Ok(chart)
}

fn load_subchart(folder: &str, mut files: Vec<File>, budget: &mut Budget<'_>, depth: u64) -> Result<Chart, Error> {
    if folder.ends_with(".tgz") {
        budget.check_depth(depth)?;
        let packed = files.iter().find(|file| file.name == folder).ok_or(Error::EmptyArchive)?;
        let files = archive::unpack(&packed.data, budget)?;
        return from_files(files, budget, depth);
    }
    files.retain_mut(|file| match file.name.split_once('/') {
        Some((_, rest)) => {
            file.name = rest.to_owned();
            true
        }
        None => false,
    });
    from_files(files, budget, depth)
}

fn read_metadata(file: &File, metadata: &mut Metadata) -> Result<(), Error> {
    let document = read_yaml(&file.name, &file.data)?;
    metadata.read(&document).map_err(|problem| Error::WrongShape { file: file.name.clone(), problem })
}

fn read_lock(file: &File) -> Result<Lock, Error> {
    let document = read_yaml(&file.name, &file.data)?;
    Lock::read(&document).map_err(|problem| Error::WrongShape { file: file.name.clone(), problem })
}

fn read_yaml(name: &str, data: &Bytes) -> Result<Json, Error> {
    yaml::to_json(data).map_err(|source| Error::UnreadableFile { file: name.to_owned(), source })
}
