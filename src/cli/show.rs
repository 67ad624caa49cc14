//! `pintle show`: prints a part of a chart, as `helm show`.

use std::io::Write;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::chart::{ChartArgs, Input, Network};
use super::helm_flags::{Foreign, GlobalArgs, JsonPath};
use crate::chart::Chart;
use crate::yaml;

/// Which part.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// Everything: chart, values, readme, CRDs
    All(ShowArgs),
    /// The definition of the chart
    Chart(ShowArgs),
    /// The CustomResourceDefinitions
    Crds(ShowArgs),
    /// The text for readers
    Readme(ShowArgs),
    /// The values
    Values(ShowValuesArgs),
}

/// Of which chart.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The chart: a folder, a .tgz, an https:// or oci:// URL, or a name in --repo
    #[arg(value_name = "CHART")]
    chart: String,
    #[command(flatten)]
    source: ChartArgs,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Of which chart, and Helm's filter.
#[derive(Args, Debug)]
pub struct ShowValuesArgs {
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    foreign: Foreign<JsonPath>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Chart,
    Crds,
    Readme,
    Values,
}

/// Prints a part of a chart.
///
/// # Errors
/// The chart cannot be read.
pub fn run(show: &Show) -> Result<()> {
    let (part, arguments) = match show {
        Show::All(arguments) => (Part::All, arguments),
        Show::Chart(arguments) => (Part::Chart, arguments),
        Show::Crds(arguments) => (Part::Crds, arguments),
        Show::Readme(arguments) => (Part::Readme, arguments),
        Show::Values(arguments) => (Part::Values, &arguments.show),
    };
    let network = Network::new(&arguments.source, &arguments.global);
    let input = network.locate(&arguments.chart)?;
    let chart = input.load()?;
    let text = text(&chart, &input, part)?;
    std::io::stdout().write_all(&text).context("the output cannot be written")
}

fn text(chart: &Chart, input: &Input, part: Part) -> Result<Vec<u8>> {
    let is_shown = |wanted: Part| part == wanted || part == Part::All;
    let mark: &[u8] = if part == Part::All { b"---\n" } else { b"" };
    let mut out = Vec::new();
    if is_shown(Part::Chart) {
        let metadata = serde_json::to_value(&chart.metadata).context("the chart's definition cannot be written")?;
        out.extend([yaml::marshal_json(&metadata).as_bytes(), b"\n"].concat());
    }
    if is_shown(Part::Values) && chart.values.is_some() {
        out.extend(mark);
        for file in input.files()?.iter().filter(|file| file.name == "values.yaml") {
            out.extend([&file.data[..], b"\n"].concat());
        }
    }
    if is_shown(Part::Readme)
        && let Some(readme) = chart.files.iter().find(|file| is_readme(&file.name))
    {
        out.extend([mark, &readme.data[..], b"\n"].concat());
    }
    if is_shown(Part::Crds) {
        for crd in chart.crds() {
            let mark: &[u8] = if crd.data.starts_with(b"---") { b"" } else { b"---\n" };
            out.extend([mark, &crd.data[..], b"\n"].concat());
        }
    }
    Ok(out)
}

fn is_readme(name: &str) -> bool {
    ["readme.md", "readme.txt", "readme"].iter().any(|readme| name.eq_ignore_ascii_case(readme))
}
