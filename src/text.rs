//! Words for people: error chains in one line, texts cut to the limits of Kubernetes, short durations.

use std::error::Error;
use std::fmt::Write;

use jiff::SignedDuration;

/// Kubernetes keeps at most 1024 bytes of an Event's note and of a condition's message we write.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// The error and all its sources in one line: `step: cause: cause of the cause`.
///
/// A source whose text already stands at the end of the line is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            let _ = write!(line, ": {text}");
        }
        source = cause.source();
    }
    line
}

/// The text cut to at most `bytes_max` bytes at a character's border, with `…` where something was cut.
pub fn truncate(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max.saturating_sub(ELLIPSIS.len());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{ELLIPSIS}", &text[..end])
}

/// A duration for people: `5m`, `1h30m`, `12s`, without parts that are zero; parts of a second only below a second.
pub fn duration(duration: SignedDuration) -> String {
    let total = duration.as_secs().max(0);
    if total == 0 {
        return match duration.as_millis() {
            millis @ 1.. => format!("{millis}ms"),
            _ => "0s".to_owned(),
        };
    }
    let mut text = String::new();
    for (amount, unit) in [(total / 3600, 'h'), (total / 60 % 60, 'm'), (total % 60, 's')] {
        if amount > 0 {
            let _ = write!(text, "{amount}{unit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer step")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_prints_every_step_once() {
        let error = Outer(std::io::Error::other("disk is full"));
        assert_eq!(chain(&error), "outer step: disk is full");
    }

    #[test]
    fn truncate_cuts_at_a_character_border() {
        assert_eq!(truncate("short", 10), "short");
        assert_eq!(truncate("ääääää", 8), "ää…");
        assert_eq!(truncate("ääääää", 8).len(), 7);
    }
}
