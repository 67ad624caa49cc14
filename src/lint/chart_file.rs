//! The rules of `Chart.yaml`.

use serde_json::Value as Json;

use super::addresses::{is_email, is_url};
use super::{Entry, Folder, Report, Severity, go_type, read_into};
use crate::chart::METADATA;
use crate::sprig::is_request_url;
use crate::value::semver::{Constraint, Version};
use crate::value::shape::Reading;
use crate::{value, yaml};

const FILE: &str = "Chart.yaml";

/// Adds what is wrong with the file to the report.
pub(super) fn check(folder: &Folder, report: &mut Report) {
    if folder.entry(FILE) == Entry::Folder {
        report.add(Severity::Error, FILE, "should be a file, not a directory");
        let problem = format!("unable to parse YAML\n\tread {}/{FILE}: is a directory", folder.path);
        report.add(Severity::Error, FILE, problem);
        return;
    }
    let text = folder.file(FILE).unwrap_or_default();
    let read = read_into(&METADATA, yaml::to_json(text), Reading::OfYaml)
        .map_err(|problem| format!("unable to parse YAML\n\t{problem}"));
    let Some(document) = report.rule(Severity::Error, FILE, read) else { return };
    let strict = read_into(&METADATA, yaml::to_json_strictly(text), Reading::OfYamlStrictly)
        .map_err(|problem| format!("failed to strictly parse chart metadata file\n\t{problem}"));
    report.rule(Severity::Warning, FILE, strict);

    let chart = ChartFile(&document);
    let mut rule = |severity, outcome| report.rule(severity, FILE, outcome);
    rule(Severity::Error, chart.name());
    rule(Severity::Error, chart.api_version());
    rule(Severity::Error, chart.is_text("version"));
    rule(Severity::Error, chart.version());
    rule(Severity::Error, chart.is_text("appVersion"));
    rule(Severity::Error, chart.maintainers());
    rule(Severity::Error, chart.sources());
    let icon = chart.text("icon");
    rule(Severity::Info, if icon.is_empty() { Err("icon is recommended".to_owned()) } else { Ok(()) });
    let is_icon_wrong = !icon.is_empty() && !is_request_url(&icon);
    rule(Severity::Error, if is_icon_wrong { Err(format!("invalid icon URL '{icon}'")) } else { Ok(()) });
    rule(Severity::Error, chart.chart_type());
    rule(Severity::Error, chart.dependencies());
    let version = chart.text("version");
    let strict = Version::parse(&version).map(|_| ());
    rule(Severity::Warning, strict.map_err(|_| format!("version '{version}' is not a valid SemVerV2")));
}

/// The document, whose fields have the types they must have.
struct ChartFile<'d>(&'d Json);

type Outcome = Result<(), String>;

impl ChartFile<'_> {
    /// The value of a field; null and absent are the same.
    fn get(&self, name: &str) -> Option<&Json> {
        field(self.0, name)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).map(text_of).unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Json] {
        self.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    fn name(&self) -> Outcome {
        let name = self.text("name");
        if name.is_empty() {
            return Err("name is required".into());
        }
        match base_name(&name) == name {
            true => Ok(()),
            false => Err(format!("chart name {} is invalid", quoted(&name))),
        }
    }

    fn api_version(&self) -> Outcome {
        match self.text("apiVersion").as_str() {
            "v1" | "v2" => Ok(()),
            "" => Err(r#"apiVersion is required. The value must be either "v1" or "v2""#.into()),
            other => Err(format!(r#"apiVersion '{other}' is not valid. The value must be either "v1" or "v2""#)),
        }
    }

    /// The YAML says a text: `version: 1.10` would be read as `1.1`. Looked for by the exact name only.
    fn is_text(&self, name: &str) -> Outcome {
        match self.0.get(name) {
            None | Some(Json::String(_)) => Ok(()),
            Some(other) => Err(format!("{name} should be of type string but it's of type {}", go_type(other))),
        }
    }

    fn version(&self) -> Outcome {
        let text = self.text("version");
        if text.is_empty() {
            return Err("version is required".into());
        }
        let version = Version::parse_loose(&text).map_err(|_| format!("version '{text}' is not a valid SemVer"))?;
        let above_zero = Constraint::parse(">0.0.0-0")?;
        match above_zero.validate(&version).first() {
            Some(refusal) => Err(format!("version {refusal}")),
            None => Ok(()),
        }
    }

    fn maintainers(&self) -> Outcome {
        for maintainer in self.list("maintainers") {
            let text = |name| field(maintainer, name).map(text_of).unwrap_or_default();
            let (name, email, url) = (text("name"), text("email"), text("url"));
            if maintainer.is_null() {
                return Err("a maintainer entry is empty".into());
            }
            if name.is_empty() {
                return Err("each maintainer requires a name".into());
            }
            if !email.is_empty() && !is_email(&email) {
                return Err(format!("invalid email '{email}' for maintainer '{name}'"));
            }
            if !url.is_empty() && !is_url(&url) {
                return Err(format!("invalid url '{url}' for maintainer '{name}'"));
            }
        }
        Ok(())
    }

    fn sources(&self) -> Outcome {
        let sources = self.list("sources").iter().map(text_of);
        match sources.into_iter().find(|source| !is_request_url(source)) {
            Some(wrong) => Err(format!("invalid source URL '{wrong}'")),
            None => Ok(()),
        }
    }

    fn chart_type(&self) -> Outcome {
        let api_version = self.text("apiVersion");
        if self.text("type").is_empty() || api_version == "v2" {
            return Ok(());
        }
        Err(format!("chart type is not valid in apiVersion '{api_version}'. It is valid in apiVersion 'v2'"))
    }

    fn dependencies(&self) -> Outcome {
        let api_version = self.text("apiVersion");
        if self.list("dependencies").is_empty() || api_version == "v2" {
            return Ok(());
        }
        Err(format!(
            "dependencies are not valid in the Chart file with apiVersion '{api_version}'. They are valid in \
             apiVersion 'v2'"
        ))
    }
}

fn field<'j>(document: &'j Json, name: &str) -> Option<&'j Json> {
    let object = document.as_object()?;
    let found = object.get(name);
    let found = found.or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// What Go reads into a field of type string.
fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => yaml::as_string_field(other).unwrap_or_default(),
    }
}

/// The last part of a path, as Go's `filepath.Base`.
fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path.rsplit('/').next().unwrap_or(path) }
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&value::strconv::quote(text.as_bytes())).into_owned()
}
