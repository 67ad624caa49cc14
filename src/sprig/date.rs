//! Dates and durations. A date may be a `time.Time` or a number of seconds since 1970; anything else means now.
//!
//! Semantics follow Sprig `date.go`. The clock is the host's and stands still during a render.

use super::duration::{self, SECOND};
use super::layout;
use super::time::{Time, Zone};
use crate::template::func::Host;
use crate::value::strconv::{self, NumberReason};
use crate::value::{IntType, Value, fmt};

const HTML_DATE: &[u8] = b"2006-01-02";

/// The date as the layout shows it in a zone; an unknown zone is UTC.
pub(super) fn in_zone(host: &dyn Host, layout: &[u8], date: &Value, zone: &[u8]) -> Vec<u8> {
    let moment = match date {
        Value::Int(IntType::Int | IntType::Int32 | IntType::Int64, seconds) => Time::local(host, *seconds, 0),
        other => time_of(other).cloned().unwrap_or_else(|| Time::now(host)),
    };
    let zone = Zone::load(zone).unwrap_or(Zone::Utc);
    // A time made elsewhere may not know this host's zone.
    let local = Time::local(host, moment.unix_seconds(), moment.nanosecond());
    layout::format(layout, &local.in_zone(zone))
}

pub(super) fn in_local_zone(host: &dyn Host, layout: &[u8], date: &Value) -> Vec<u8> {
    in_zone(host, layout, date, b"Local")
}

pub(super) fn html(host: &dyn Host, date: &Value, zone: &[u8]) -> Vec<u8> {
    in_zone(host, HTML_DATE, date, zone)
}

fn time_of(value: &Value) -> Option<&Time> {
    match value {
        Value::Object(object) => object.as_any().downcast_ref(),
        _ => None,
    }
}

/// The date moved by a duration; as it is where the duration cannot be read.
pub(super) fn modify(by: &[u8], date: &Time) -> Value {
    duration::parse(by).map_or_else(|_| date.clone(), |duration| date.add(duration)).into()
}

pub(super) fn must_modify(by: &[u8], date: &Time) -> Result<Value, String> {
    Ok(date.add(duration::parse(by)?).into())
}

/// How long ago a date is, to the second.
pub(super) fn ago(host: &dyn Host, date: &Value) -> String {
    let now = Time::now(host);
    let then = match date {
        Value::Int(IntType::Int | IntType::Int64, seconds) => Time::local(host, *seconds, 0),
        other => time_of(other).unwrap_or(&now).clone(),
    };
    fmt::duration_text(duration::round(now.since(&then), SECOND))
}

/// Seconds, as a text or an `int64`, as a duration.
pub(super) fn seconds(value: &Value) -> String {
    let seconds = match value {
        Value::Str(text) => match strconv::parse_int(text.as_bytes(), 10, 64) {
            Ok(seconds) => seconds,
            Err(error) if error.reason == NumberReason::Syntax => 0,
            // Go hands on the nearest number along with the error.
            Err(_) if text.as_bytes().starts_with(b"-") => i64::MIN,
            Err(_) => i64::MAX,
        },
        Value::Int(IntType::Int64, seconds) => *seconds,
        _ => 0,
    };
    fmt::duration_text(seconds.wrapping_mul(SECOND))
}

/// A duration, or the time since a date, in its largest unit: `2h`, `3mo`.
pub(super) fn round(host: &dyn Host, value: &Value) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (365 * 24 * HOUR, "y"),
        (30 * 24 * HOUR, "mo"),
        (24 * HOUR, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3600, "s"),
    ];
    let duration = match value {
        Value::Str(text) => duration::parse(text.as_bytes()).unwrap_or(0),
        Value::Int(IntType::Int64, nanoseconds) => *nanoseconds,
        other => time_of(other).map_or(0, |date| Time::now(host).since(date)),
    };
    let magnitude = duration.unsigned_abs();
    let unit = UNITS.into_iter().find(|(unit, _)| magnitude > *unit);
    unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", magnitude / unit))
}

/// The date a text shows, in the local zone unless it tells another; Go's zero time where it cannot be read.
pub(super) fn parse(host: &dyn Host, layout: &[u8], text: &[u8]) -> Value {
    layout::parse(layout, text, host.local_zone()).unwrap_or_else(|_| Time::zero(host)).into()
}

pub(super) fn must_parse(host: &dyn Host, layout: &[u8], text: &[u8]) -> Result<Value, String> {
    layout::parse(layout, text, host.local_zone()).map(Value::from)
}

pub(super) fn now(host: &dyn Host) -> Value {
    Time::now(host).into()
}
