//! The values a person gives on the command line: `-f` and the `--set` family, laid over each other as Helm does.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::chart::{Network, go_error};
use crate::chart::origins::{self, Layers, Source};
use crate::chart::strvals::{self, Reading};
use crate::chart::{Object, coalesce, values};
use crate::value::Map;

/// Where values come from.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ValueArgs {
    /// Values file or its http:// or https:// URL, `-` for the standard input; may be repeated, later ones win
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    files: Vec<String>,
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
    /// Set one value to everything behind the first `=`
    #[arg(long, value_name = "VALUE")]
    set_literal: Vec<String>,
}

impl ValueArgs {
    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        let ValueArgs { files, set, set_string, set_json, set_file, set_literal } = self;
        [files, set, set_string, set_json, set_file, set_literal].iter().all(|given| given.is_empty())
    }
}

/// What the user gives as values, with all files read: it is applied on the thread that renders.
pub struct ValueInputs<'n> {
    /// What may be a whole table: files, then `--set-json`.
    tables: Vec<Input>,
    /// The other flags of the `--set` family.
    lines: Vec<Line>,
    network: &'n Network,
    /// What the files of `--set-file` hold: the standard input can be read only once.
    contents: Mutex<HashMap<String, Result<String, String>>>,
}

enum Input {
    /// A file, or an object given to `--set-json`; with its text where that has lines.
    Table {
        source: Source,
        table: Object,
        text: Vec<u8>,
    },
    Line(Line),
}

struct Line {
    flag: Flag,
    text: String,
}

/// The `--set` family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Json,
    Typed,
    Text,
    Content,
    Literal,
}

impl<'n> ValueInputs<'n> {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or holds no values; JSON is malformed.
    pub fn read(arguments: &ValueArgs, network: &'n Network) -> anyhow::Result<Self> {
        let mut tables = Vec::new();
        for path in &arguments.files {
            let text = read_input(path, network)?;
            let table = values::read(path, &text).with_context(|| format!("failed to parse {path}"))?;
            let name = if path.trim() == "-" { "standard input" } else { path };
            tables.push(Input::Table { source: Source::File(name.to_owned()), table, text });
        }
        for text in &arguments.set_json {
            tables.push(Input::of_json(text)?);
        }
        let flags = [
            (Flag::Typed, &arguments.set),
            (Flag::Text, &arguments.set_string),
            (Flag::Content, &arguments.set_file),
            (Flag::Literal, &arguments.set_literal),
        ];
        let lines = flags.into_iter().flat_map(|(flag, texts)| texts.iter().map(move |text| Line::new(flag, text)));
        Ok(ValueInputs { tables, lines: lines.collect(), network, contents: Mutex::default() })
    }

    /// Lays one over the other in Helm's order: files, `--set-json`, `--set`, `--set-string`, `--set-file`,
    /// `--set-literal`. Where layers are given, each is laid over them too.
    ///
    /// # Errors
    /// A line is malformed, or a file of `--set-file` cannot be read.
    pub fn apply(&self, mut layers: Option<&mut Layers>) -> anyhow::Result<Map> {
        let mut base = Object::new();
        for input in &self.tables {
            match input {
                Input::Table { source, table, text } => {
                    values::merge(&mut base, table.clone());
                    if let Some(layers) = layers.as_deref_mut() {
                        layers.table(source.clone(), table, origins::lines_of(text));
                    }
                }
                Input::Line(line) => {
                    let map = coalesce::thaw_object(&base);
                    self.apply_line(line, &map, layers.as_deref_mut())?;
                    base = coalesce::freeze_map(&map);
                }
            }
        }
        let map = coalesce::thaw_object(&base);
        for line in &self.lines {
            self.apply_line(line, &map, layers.as_deref_mut())?;
        }
        Ok(map)
    }

    fn apply_line(&self, line: &Line, map: &Map, layers: Option<&mut Layers>) -> anyhow::Result<()> {
        let flag = line.flag.name();
        let parse_into = |map: &Map| {
            let mut content = |path: &str| self.content(path);
            let reading = match line.flag {
                Flag::Json => Reading::Json,
                Flag::Typed => Reading::Typed,
                Flag::Text => Reading::Text,
                Flag::Content => Reading::Content(&mut content),
                Flag::Literal => Reading::Literal,
            };
            strvals::parse_into(&line.text, map, reading)
        };
        parse_into(map).with_context(|| match line.flag {
            Flag::Json => format!("failed parsing {flag} data {}", line.text),
            Flag::Typed | Flag::Text | Flag::Content | Flag::Literal => format!("failed parsing {flag} data"),
        })?;
        match layers {
            Some(layers) => Ok(layers.line(Source::Flag { flag, text: line.text.clone() }, parse_into)?),
            None => Ok(()),
        }
    }

    fn content(&self, path: &str) -> Result<String, String> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || match read_input(path, self.network) {
            Ok(data) => Ok(String::from_utf8_lossy(&data).into_owned()),
            Err(error) => Err(format!("{error:#}")),
        };
        contents.entry(path.to_owned()).or_insert_with(read).clone()
    }
}

impl Input {
    fn of_json(text: &str) -> anyhow::Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Ok(Input::Line(Line::new(Flag::Json, text)));
        }
        let table =
            serde_json::from_str(text).with_context(|| format!("failed parsing --set-json data JSON: {text}"))?;
        let source = Source::Flag { flag: Flag::Json.name(), text: text.to_owned() };
        Ok(Input::Table { source, table, text: Vec::new() })
    }
}

impl Line {
    fn new(flag: Flag, text: &str) -> Self {
        Line { flag, text: text.to_owned() }
    }
}

impl Flag {
    fn name(self) -> &'static str {
        match self {
            Flag::Json => "--set-json",
            Flag::Typed => "--set",
            Flag::Text => "--set-string",
            Flag::Content => "--set-file",
            Flag::Literal => "--set-literal",
        }
    }
}

/// A file, the standard input (`-`), or what an HTTP server says.
fn read_input(path: &str, network: &Network) -> anyhow::Result<Vec<u8>> {
    if path.trim() == "-" {
        let mut data = Vec::new();
        std::io::stdin().read_to_end(&mut data).context("the standard input cannot be read")?;
        return Ok(data);
    }
    match path.split_once("://") {
        Some(("http" | "https", _)) => network.values(path),
        Some(("oci", _)) => {
            anyhow::bail!("cannot read {path}: values are read from files and http:// or https:// URLs")
        }
        Some(_) | None => std::fs::read(path).map_err(|error| go_error("open", path, &error)),
    }
}
