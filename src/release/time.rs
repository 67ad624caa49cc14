//! Points in time as Helm writes them: RFC 3339 with nanoseconds and the writer's offset.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time that remembers the offset it was written with, so a record reads back as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub at: Timestamp,
    offset: Offset,
}

impl From<Timestamp> for Time {
    /// A time in UTC.
    fn from(at: Timestamp) -> Self {
        Time { at, offset: Offset::UTC }
    }
}

impl Time {
    /// Reads RFC 3339. Year 1, Go's zero time, is no time at all, and neither is the empty text of old records.
    fn parse(text: &str) -> Result<Option<Self>, jiff::Error> {
        if text.is_empty() || text.starts_with("0001-01-01T00:00:00Z") {
            return Ok(None);
        }
        let pieces = jiff::fmt::temporal::Pieces::parse(text)?;
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        Ok(Some(Time { at: text.parse()?, offset }))
    }
}

/// As Go's `time.RFC3339Nano`: fractions without trailing zeros, `Z` for UTC.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.offset == Offset::UTC { "%Y-%m-%dT%H:%M:%S%.fZ" } else { "%Y-%m-%dT%H:%M:%S%.f%:z" };
        self.at.to_zoned(TimeZone::fixed(self.offset)).strftime(format).fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A field that Go leaves out when zero, and that old records hold as `""`.
pub(super) fn empty_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) => Time::parse(&text).map_err(D::Error::custom),
        None => Ok(None),
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        empty_is_none(deserializer)?.ok_or_else(|| D::Error::custom("the time is empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_as_go_wrote_them() {
        for text in [
            "2026-11-23T17:14:54Z",
            "2026-11-23T17:14:54.5Z",
            "2026-11-23T17:14:54.123456789+02:00",
            "2026-11-23T17:14:54.12-07:30",
        ] {
            assert_eq!(Time::parse(text).unwrap().unwrap().to_string(), text);
        }
    }

    #[test]
    fn zero_time_and_empty_text_are_no_time() {
        assert_eq!(Time::parse("").unwrap(), None);
        assert_eq!(Time::parse("0001-01-01T00:00:00Z").unwrap(), None);
        assert!(Time::parse("yesterday").is_err());
    }
}
