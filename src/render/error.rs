//! Why a chart did not render, in Helm's words and with the place in the template.

use std::fmt::Write;

use crate::template::{self, Cause};
use crate::value::Str;
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

/// The place in a template where it failed, and how it was come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The innermost place first, each called from the next one. Never empty.
    frames: Vec<Frame>,
}

/// A place in the text of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    /// Relative to the chart's folder, with the folders of subcharts; `None` for a text that was given to `tpl`.
    file: Option<String>,
    /// From 1.
    line: usize,
    /// In bytes, from 0, as Helm counts; `None` where only the line is known.
    column: Option<usize>,
    /// The line of the template.
    text: String,
}

/// How many places on the way are told; a helper that includes itself has hundreds.
const CALLERS_MAX: usize = 8;
/// How much of a long line is shown around the place.
const TEXT_CHARS_MAX: usize = 160;

impl Spot {
    /// The place, the line, and a caret below the piece that failed, in lines; then where it was called from.
    ///
    /// A text that was given to `tpl` is in no file, so the line that gave it is shown too.
    pub fn excerpt(&self) -> String {
        let in_file = self.frames.iter().position(|frame| frame.file.is_some());
        let shown = in_file.map_or(self.frames.len(), |in_file| in_file + 1);
        let width = self.frames[..shown].iter().map(|frame| frame.line.to_string().len()).max().unwrap_or(1);
        let mut excerpt = String::new();
        for frame in &self.frames[..shown] {
            frame.write_with_line(width, &mut excerpt);
        }
        let gutter = " ".repeat(width);
        for frame in self.frames[shown..].iter().take(CALLERS_MAX) {
            let _ = write!(excerpt, "\n{gutter} = called from {}", frame.place());
        }
        if self.frames.len() > shown + CALLERS_MAX {
            let _ = write!(excerpt, "\n{gutter} = and from {} more places", self.frames.len() - shown - CALLERS_MAX);
        }
        excerpt
    }
}

impl Frame {
    fn place(&self) -> String {
        let file = self.file.as_deref().unwrap_or("a text given to tpl");
        match self.column {
            Some(column) => format!("{file}:{}:{column}", self.line),
            None => format!("{file}:{}", self.line),
        }
    }

    fn write_with_line(&self, width: usize, excerpt: &mut String) {
        if !excerpt.is_empty() {
            excerpt.push('\n');
        }
        let gutter = " ".repeat(width);
        let (text, before) = self.window();
        let _ = write!(excerpt, "{gutter}--> {}\n{gutter} |\n{:>width$} | {text}", self.place(), self.line);
        if let Some(before) = before {
            // Tabs stay tabs, so that the caret stands right at any tab width.
            let blank: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = write!(excerpt, "\n{gutter} | {blank}^");
        }
    }

    /// The line, or of a long one what is around the place, and what of it stands before the place.
    fn window(&self) -> (String, Option<String>) {
        let before = self.column.and_then(|column| self.text.get(..column));
        if self.text.chars().count() <= TEXT_CHARS_MAX {
            return (self.text.clone(), before.map(str::to_owned));
        }
        let place = before.map_or(0, |before| before.chars().count());
        let skipped = place.saturating_sub(TEXT_CHARS_MAX / 2);
        let mut text: String = self.text.chars().skip(skipped).take(TEXT_CHARS_MAX).collect();
        let mut before = before.map(|before| before.chars().skip(skipped).collect::<String>());
        if skipped > 0 {
            text.insert(0, '…');
            before = before.map(|before| format!("…{before}"));
        }
        if self.text.chars().nth(skipped + TEXT_CHARS_MAX).is_some() {
            text.push('…');
        }
        (text, before)
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
        template::Error::Parse { source_name, line, .. } => frame_in_file(source_name, *line, None, source),
        _ => None,
    };
    let spot = spot.map(|frame| Box::new(Spot { frames: vec![frame] }));
    Error::Template { message, spot }
}

/// An error of executing a file, as Helm words it.
pub(super) fn of_executing(error: &template::Error, source: impl Fn(&str) -> Option<String>) -> Error {
    if let Some(message) = budget_message(error) {
        return Error::Budget(message);
    }
    Error::Template { message: shortened(executing_message(error)), spot: spot(error, source) }
}

/// The places that an error tells, from the file that was rendered to the template that failed.
fn spot(error: &template::Error, source: impl Fn(&str) -> Option<String>) -> Option<Box<Spot>> {
    let mut frames = Vec::new();
    // The text that `tpl` runs, while it is the template that runs.
    let mut given: Option<&Str> = None;
    for step in std::iter::successors(Some(error), |error| error.cause()) {
        let (name, line, column) = match step {
            template::Error::Execute(step) => (&step.place.source_name, step.place.line, Some(step.place.column)),
            template::Error::Parse { source_name, line, .. } => (source_name, *line, None),
            template::Error::NotFound { .. } | template::Error::Budget { .. } => continue,
        };
        let in_file = frame_in_file(name, line, column, &source);
        let in_given = || {
            let text = line_of(&given?.to_text(), line)?;
            Some(Frame { file: None, line, column, text })
        };
        frames.extend(in_file.or_else(in_given));
        if let template::Error::Execute(step) = step
            && let Some(Cause::Template { source: Some(source), .. }) = &step.cause
        {
            given = Some(source);
        }
    }
    frames.reverse();
    (!frames.is_empty()).then(|| Box::new(Spot { frames }))
}

fn frame_in_file(
    file: &str,
    line: usize,
    column: Option<usize>,
    source: impl Fn(&str) -> Option<String>,
) -> Option<Frame> {
    let text = line_of(&source(file)?, line)?;
    Some(Frame { file: Some(file.to_owned()), line, column, text })
}

fn line_of(text: &str, line: usize) -> Option<String> {
    text.lines().nth(line.checked_sub(1)?).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: Option<&str>, line: usize, column: usize, text: &str) -> Frame {
        Frame { file: file.map(str::to_owned), line, column: Some(column), text: text.to_owned() }
    }

    #[test]
    fn caret_stands_below_the_piece_that_failed() {
        let spot = Spot { frames: vec![frame(Some("web/templates/a.yaml"), 12, 11, "\t{{ .Values.a.b }}")] };
        assert_eq!(
            spot.excerpt(),
            "  --> web/templates/a.yaml:12:11\n   |\n12 | \t{{ .Values.a.b }}\n   | \t          ^"
        );
    }

    #[test]
    fn long_line_is_shown_around_the_place() {
        let text = format!("{}{{{{ .x.y }}}}{}", "ä".repeat(300), "z".repeat(300));
        let spot = Spot { frames: vec![frame(Some("a"), 1, 2 * 300 + 3, &text)] };
        let excerpt = spot.excerpt();
        let lines: Vec<&str> = excerpt.lines().collect();
        assert!(lines[2].chars().count() < 180 && lines[2].contains("{{ .x.y }}"), "{excerpt}");
        let caret = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().nth(caret), Some('.'), "{excerpt}");
    }

    #[test]
    fn callers_are_told_from_the_innermost_on_and_not_without_end() {
        let mut frames = vec![frame(Some("web/_h.tpl"), 3, 4, "{{ fail \"x\" }}")];
        frames.extend((0..20).map(|line| frame(Some("web/a.yaml"), line, 0, "")));
        let excerpt = Spot { frames }.excerpt();
        assert!(excerpt.contains("\n  = called from web/a.yaml:0:0\n  = called from web/a.yaml:1:0\n"), "{excerpt}");
        assert!(excerpt.ends_with("\n  = and from 12 more places"), "{excerpt}");
    }
}
