//! Why a chart did not render, in Helm's words and with the place in the template.

use std::fmt::Write;

use crate::template::{self, Cause};
use crate::{chart, manifest};

/// Why a chart did not render.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Chart(#[from] chart::Error),
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    KubeVersion { wanted: String, found: String },
    /// The text is Helm's, which already tells the whole chain.
    #[error("{message}")]
    Template { message: String, spot: Option<Box<Spot>> },
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The chart asks for more than one render may use.
    #[error("rendering was ended: {0}")]
    Budget(String),
    #[error("the thread for rendering could not be started")]
    Thread(#[source] std::io::Error),
}

/// The place in a template where it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Relative to the chart's folder; with the folders of subcharts.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In bytes, from 0, as Helm counts; `None` where only the line is known.
    pub column: Option<usize>,
    /// The line of the template.
    pub text: String,
}

impl Spot {
    /// The place, the line, and a caret below the piece that failed, in lines.
    pub fn excerpt(&self) -> String {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let mut excerpt = format!("{gutter}--> {}:{number}", self.file);
        if let Some(column) = self.column {
            let _ = write!(excerpt, ":{column}");
        }
        let _ = write!(excerpt, "\n{gutter} |\n{number} | {}", self.text);
        if let Some(before) = self.column.and_then(|column| self.text.get(..column)) {
            // Tabs stay tabs, so that the caret stands right at any tab width.
            let blank: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = write!(excerpt, "\n{gutter} | {blank}^");
        }
        excerpt
    }
}

/// An error of parsing a file, as Helm words it.
pub(super) fn of_parsing(error: &template::Error, source: impl Fn(&str) -> Option<String>) -> Error {
    let message = match error {
        template::Error::Parse { source_name, line, message } => {
            // Helm keeps only what follows the last colon.
            let problem = message.rsplit(": ").next().unwrap_or(message);
            format!("parse error at ({source_name}:{line}): {problem}")
        }
        other => other.to_string(),
    };
    let spot = match error {
        template::Error::Parse { source_name, line, .. } => spot(source_name, *line, None, source),
        _ => None,
    };
    Error::Template { message, spot }
}

/// An error of executing a file, as Helm words it.
pub(super) fn of_executing(error: &template::Error, source: impl Fn(&str) -> Option<String>) -> Error {
    if let Some(message) = budget_message(error) {
        return Error::Budget(message);
    }
    // The innermost place in a file: the text of a `tpl` has no lines to show.
    let places = std::iter::successors(Some(error), |error| error.cause()).filter_map(template::Error::place);
    let spot = places.filter_map(|place| spot(&place.source_name, place.line, Some(place.column), &source)).last();
    Error::Template { message: shortened(executing_message(error)), spot }
}

/// The longest message of a template's error: a thousand `tpl` within one another tell a thousand texts. A thousand
/// `include` alone, where Helm stops, take some 130 KiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The message without its middle where it is too long: who called is at its start, the cause at its end.
fn shortened(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let start = message.floor_char_boundary(MESSAGE_BYTES_MAX / 2);
    let end = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX / 2);
    format!("{} … {}", &message[..start], &message[end..])
}

/// What `required` and `fail` put around their message, so that it is found again in the chain of errors.
pub(super) const MESSAGE_START: &str = "HELM_ERR_START";
pub(super) const MESSAGE_END: &str = "HELM_ERR_END";

fn executing_message(error: &template::Error) -> String {
    let whole = error.to_string();
    let Some(place) = error.place() else { return whole };
    if let Some((_, rest)) = whole.split_once(MESSAGE_START)
        && let Some((message, _)) = rest.rsplit_once(MESSAGE_END)
    {
        return format!("execution error at ({}:{}:{}): {message}", place.source_name, place.line, place.column);
    }
    trace(error).unwrap_or(whole)
}

/// One step a line, where every step is a template's; `None` where the innermost cause is a function's.
fn trace(error: &template::Error) -> Option<String> {
    let mut lines = String::new();
    for step in std::iter::successors(Some(error), |error| error.cause()) {
        match step {
            template::Error::Execute(step) => {
                let is_include = match &step.cause {
                    None => true,
                    Some(Cause::Template { text, .. }) => text.is_empty(),
                    Some(Cause::Text(_)) => false,
                };
                if !is_include {
                    return None;
                }
                let place = &step.place;
                let colon = if step.cause.is_some() { ":" } else { "" };
                let _ = write!(
                    lines,
                    "{}:{}:{}\n  executing {:?} at <{}>:\n    {}{colon}\n",
                    place.source_name, place.line, place.column, place.template, place.node, step.message
                );
            }
            not_found @ template::Error::NotFound { .. } => {
                let _ = writeln!(lines, "{not_found}");
            }
            template::Error::Parse { .. } | template::Error::Budget { .. } => return None,
        }
    }
    Some(lines.trim().to_owned())
}

fn budget_message(error: &template::Error) -> Option<String> {
    std::iter::successors(Some(error), |error| error.cause()).find_map(|step| match step {
        budget @ template::Error::Budget { .. } => Some(budget.to_string()),
        _ => None,
    })
}

fn spot(file: &str, line: usize, column: Option<usize>, source: impl Fn(&str) -> Option<String>) -> Option<Box<Spot>> {
    let text = source(file)?;
    let text = text.lines().nth(line.checked_sub(1)?)?.to_owned();
    Some(Box::new(Spot { file: file.to_owned(), line, column, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caret_stands_below_the_piece_that_failed() {
        let text = "\t{{ .Values.a.b }}".to_owned();
        let spot = Spot { file: "web/templates/a.yaml".into(), line: 12, column: Some(11), text };
        assert_eq!(
            spot.excerpt(),
            "  --> web/templates/a.yaml:12:11\n   |\n12 | \t{{ .Values.a.b }}\n   | \t          ^"
        );
    }
}
