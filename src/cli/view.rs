//! How objects are shown: tables, JSON, YAML, names.

use std::io::{self, Write};

use anyhow::Result;
use clap::ValueEnum;
use kube::api::DynamicObject;
use serde_json::Value;

use super::connect::Kind;
use crate::yaml;

/// The forms of output, by kubectl's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// Rows under a header, in columns just wide enough, as kubectl prints them.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Table { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into())).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                match column == last {
                    true => writeln!(f, "{cell}")?,
                    false => write!(f, "{cell:width$}   ", width = widths[column])?,
                }
            }
        }
        Ok(())
    }
}

/// Text from the cluster without the control characters that would steer a terminal, on one line.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints objects of one kind.
pub fn objects(
    form: Form,
    kind: Kind,
    objects: &[DynamicObject],
    with_namespace: bool,
    now: jiff::Timestamp,
) -> Result<()> {
    let mut out = io::stdout().lock();
    match form {
        Form::Name => {
            for object in objects {
                writeln!(out, "{}.pintle.dev/{}", kind.word(), object.metadata.name.as_deref().unwrap_or_default())?;
            }
        }
        Form::Json => writeln!(out, "{}", serde_json::to_string_pretty(&listed(objects)?)?)?,
        Form::Yaml => write!(out, "{}", yaml::marshal_json(&listed(objects)?))?,
        Form::Table | Form::Wide => write!(out, "{}", table(form, kind, objects, with_namespace, now))?,
    }
    Ok(())
}

/// One object as it is, several as a `List`, as kubectl does.
fn listed(objects: &[DynamicObject]) -> Result<Value> {
    let mut items = objects.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    Ok(match items.len() {
        1 => items.remove(0),
        _ => serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
    })
}

fn table(form: Form, kind: Kind, objects: &[DynamicObject], with_namespace: bool, now: jiff::Timestamp) -> Table {
    let mut header = if with_namespace { vec!["NAMESPACE"] } else { Vec::new() };
    header.extend(match kind {
        Kind::HelmRelease => ["NAME", "READY", "CHART", "VERSION", "REVISION", "HEALTH"].as_slice(),
        Kind::GitSync => ["NAME", "READY", "COMMIT"].as_slice(),
    });
    header.push("AGE");
    header.push("STATUS");
    let mut table = Table::new(header);
    for object in objects {
        let text = |pointer: &str| text_at(&object.data, pointer);
        let mut row = Vec::new();
        if with_namespace {
            row.push(object.metadata.namespace.clone().unwrap_or_default());
        }
        row.push(object.metadata.name.clone().unwrap_or_default());
        row.push(condition(&object.data, "Ready").unwrap_or("Unknown").to_owned());
        match kind {
            Kind::HelmRelease => {
                row.extend(["chart", "version", "revision"].map(|field| text(&format!("/status/history/0/{field}"))));
                row.push(condition(&object.data, "Healthy").unwrap_or_default().to_owned());
            }
            Kind::GitSync => row.push(text("/status/appliedCommit").chars().take(12).collect()),
        }
        row.push(age(object.metadata.creation_timestamp.as_ref().map(|time| time.0), now));
        let summary = text("/status/summary");
        row.push(match form {
            Form::Table => crate::text::truncate(&summary, 100),
            Form::Wide | Form::Json | Form::Yaml | Form::Name => summary,
        });
        table.row(row);
    }
    table
}

/// The status of a condition.
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == name)?.get("status")?.as_str()
}

/// The text or number at a place, empty where there is none.
pub fn text_at(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

/// How long ago, in kubectl's short form: `45s`, `12m`, `3h`, `9d`.
pub fn age(since: Option<jiff::Timestamp>, now: jiff::Timestamp) -> String {
    let Some(since) = since else { return "<unknown>".to_owned() };
    match now.duration_since(since).as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_just_wide_enough_and_control_characters_are_gone() {
        let mut table = Table::new(["NAME", "STATUS"]);
        table.row(["podinfo", "fine\u{1b}[2J"]);
        table.row(["x", "two\nlines"]);
        assert_eq!(table.to_string(), "NAME      STATUS\npodinfo   fine [2J\nx         two lines\n");
    }

    #[test]
    fn age_has_the_units_of_kubectl() {
        let now = jiff::Timestamp::from_second(1_000_000).unwrap();
        let before = |seconds: i64| Some(jiff::Timestamp::from_second(1_000_000 - seconds).unwrap());
        assert_eq!(age(before(59), now), "59s");
        assert_eq!(age(before(180), now), "3m");
        assert_eq!(age(before(7_200), now), "2h");
        assert_eq!(age(before(900_000), now), "10d");
        assert_eq!(age(None, now), "<unknown>");
    }
}
