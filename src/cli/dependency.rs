//! `pintle dependency list`: prints the subcharts a chart asks for and whether they are there, as `helm dependency list`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::chart::{self, Input};
use super::helm_flags::GlobalArgs;
use crate::chart::{Chart, Dependency};
use crate::value::semver::{Constraint, Version};

/// What about the dependencies.
#[derive(Debug, Subcommand)]
pub enum DependencyCommand {
    /// List the subcharts a chart asks for
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

/// Of which chart.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// The folder or .tgz of the chart
    #[arg(value_name = "CHART", default_value = ".")]
    chart: String,
    /// The widest a column may be, in characters
    #[arg(long, value_name = "COUNT", default_value_t = 80)]
    max_col_width: usize,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Prints the list.
///
/// # Errors
/// The chart cannot be read.
pub fn run(command: &DependencyCommand) -> Result<()> {
    let DependencyCommand::List(arguments) = command;
    let path = chart::clean(&arguments.chart);
    let chart = Input::at(Path::new(&path))?.load()?;
    let charts = match path.as_str() {
        "." => "charts".to_owned(),
        path => format!("{path}/charts"),
    };
    let Some(dependencies) = &chart.metadata.dependencies else {
        println!("WARNING: no dependencies at {charts}");
        return Ok(());
    };
    let beside = Beside::read(&charts);
    let mut rows = vec![["NAME", "VERSION", "REPOSITORY", "STATUS"].map(str::to_owned)];
    rows.extend(dependencies.iter().map(|wanted| {
        let status = beside.status(wanted, &chart).to_owned();
        [wanted.name.clone(), wanted.version.clone(), wanted.repository.clone(), status]
    }));
    println!("{}\n", table(&rows, arguments.max_col_width));
    for (path, found) in &beside.charts {
        match found {
            None => println!("WARNING: {path:?} is not a chart."),
            Some(found) if !dependencies.iter().any(|wanted| wanted.name == found.name()) => {
                println!("WARNING: {path:?} is not in Chart.yaml.");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What lies in the folder `charts`, by path: `None` for what cannot be read as a chart.
struct Beside {
    charts: Vec<(String, Option<Chart>)>,
}

impl Beside {
    fn read(folder: &str) -> Self {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let is_chart_like = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|ending| ending == "tgz");
        let read = |path: PathBuf| {
            let chart = Input::at(&path).and_then(|input| input.load()).ok();
            (path.to_string_lossy().into_owned(), chart)
        };
        Beside { charts: paths.into_iter().filter(is_chart_like).map(read).collect() }
    }

    /// One word or two about a dependency. Archives in the folder are looked at before what the chart was loaded with.
    fn status(&self, wanted: &Dependency, chart: &Chart) -> &'static str {
        let prefix = format!("{}-", wanted.name);
        let mut archives: Vec<(&str, &Option<Chart>)> = Vec::new();
        for (path, found) in &self.charts {
            let file = path.rsplit('/').next().unwrap_or(path);
            if let Some(version) = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".tgz")) {
                archives.push((version, found));
            }
        }
        if archives.len() > 1 {
            archives.retain(|(version, _)| Version::parse(version).is_ok());
            if archives.len() > 1 {
                return "too many matches";
            }
        }
        if let [(_, found)] = archives[..] {
            return match found {
                None => "corrupt",
                Some(found) if found.name() != wanted.name => "misnamed",
                Some(found) => version_status(wanted, found).unwrap_or("ok"),
            };
        }
        match chart.dependencies.iter().rfind(|child| child.name() == wanted.name) {
            None => "missing",
            Some(found) => version_status(wanted, found).unwrap_or("unpacked"),
        }
    }
}

/// What is wrong with the version that is there.
fn version_status(wanted: &Dependency, found: &Chart) -> Option<&'static str> {
    let version = &found.metadata.version;
    if *version == wanted.version {
        return None;
    }
    match (Constraint::parse(&wanted.version), Version::parse_loose(version)) {
        (Ok(constraint), Ok(version)) if constraint.check(&version) => None,
        (Ok(_), Ok(_)) => Some("wrong version"),
        _ => Some("invalid version"),
    }
}

/// Columns as wide as their widest cell, a tab between them.
fn table(rows: &[[String; 4]], width_max: usize) -> String {
    let width = |text: &String| text.chars().count();
    let limited = |width: usize| if width_max == 0 { width } else { width.min(width_max) };
    let widths: [usize; 4] =
        std::array::from_fn(|column| limited(rows.iter().map(|row| width(&row[column])).max().unwrap_or(0)));
    let line = |row: &[String; 4]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| resized(cell, width)).collect();
        cells.join("\t")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text filled up with blanks, or cut with dots behind it.
fn resized(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(3).max(1)).collect();
    format!("{kept}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_cells_are_cut() {
        assert_eq!(resized("abcdefgh", 6), "abc...");
        assert_eq!(resized("abc", 6), "abc   ");
        assert_eq!(resized("abc", 3), "abc");
    }
}
