//! The values a person gives on the command line: `-f` and the `--set` family, laid over each other as Helm does.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::chart::{Network, go_error};
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

/// What the user gives as values, with all files read: it is applied on the thread that renders.
pub struct ValueInputs<'n> {
    base: Object,
    json: Vec<JsonInput>,
    set: Vec<String>,
    set_string: Vec<String>,
    set_file: Vec<String>,
    set_literal: Vec<String>,
    network: &'n Network,
    /// What the files of `--set-file` hold: the standard input can be read only once.
    contents: Mutex<HashMap<String, Result<String, String>>>,
}

enum JsonInput {
    Object(Object),
    Line(String),
}

impl<'n> ValueInputs<'n> {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or holds no values; JSON is malformed.
    pub fn read(arguments: &ValueArgs, network: &'n Network) -> anyhow::Result<Self> {
        let mut base = Object::new();
        for path in &arguments.files {
            let data = read_input(path, network)?;
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
            set_literal: arguments.set_literal.clone(),
            network,
            contents: Mutex::default(),
        })
    }

    /// Lays one over the other in Helm's order: files, `--set-json`, `--set`, `--set-string`, `--set-file`,
    /// `--set-literal`.
    ///
    /// # Errors
    /// A line is malformed, or a file of `--set-file` cannot be read.
    pub fn apply(&self) -> anyhow::Result<Map> {
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
        let mut content = |path: &str| self.content(path);
        for line in &self.set_file {
            strvals::parse_into(line, &map, Reading::Content(&mut content))
                .context("failed parsing --set-file data")?;
        }
        for line in &self.set_literal {
            strvals::parse_into(line, &map, Reading::Literal).context("failed parsing --set-literal data")?;
        }
        Ok(map)
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
