//! Durations as Go and Kubernetes write them: `10m`, `1h30m`, `500ms`.

use std::borrow::Cow;
use std::fmt;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::text::duration as short;

/// A duration as it was written; [`Duration::parse`] reads it.
///
/// It is a text in the types of the API, so that one object with a wrong duration can still be read, and blamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// What the API server lets through.
const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": PATTERN})
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    #[error("{0:?} is not a duration; write it as 90s, 10m or 1h30m")]
    Syntax(String),
    #[error("{text:?} is out of bounds; allowed is {min} to {max}")]
    OutOfBounds { text: String, min: String, max: String },
}

impl Duration {
    /// The duration, where it lies within the bounds.
    pub fn parse(&self, min: SignedDuration, max: SignedDuration) -> Result<SignedDuration, InvalidDuration> {
        let duration = parse(&self.0).ok_or_else(|| InvalidDuration::Syntax(self.0.clone()))?;
        if duration < min || duration > max {
            let (text, min, max) = (self.0.clone(), short(min), short(max));
            return Err(InvalidDuration::OutOfBounds { text, min, max });
        }
        Ok(duration)
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Duration(text.to_owned())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads numbers with units until the text ends; a number too large saturates, so that bounds can name it.
fn parse(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let number = &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())];
        rest = &rest[number.len()..];
        let (unit, in_seconds) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        let well_formed = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
        seconds += number.parse::<f64>().ok().filter(|_| well_formed)? * in_seconds;
    }
    if text.is_empty() {
        return None;
    }
    Some(SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        let (min, max) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
        Duration::from(text).parse(min, max).map(short).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, want) in [("10m", "10m"), ("1h30m", "1h30m"), ("90s", "1m30s"), ("1.5h", "1h30m"), ("1500ms", "1s")]
        {
            assert_eq!(parsed(text), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_durations_are_named() {
        for text in ["", "10", "m", "1.5.5m", "-1m", "1 m", "1.m", ".5m", "1d", "ä"] {
            assert!(parsed(text).unwrap_err().contains("is not a duration"), "{text}");
        }
        for text in ["10ms", "25h", "99999999999999999999999h"] {
            assert_eq!(parsed(text).unwrap_err(), format!("{text:?} is out of bounds; allowed is 1s to 24h"));
        }
    }
}
