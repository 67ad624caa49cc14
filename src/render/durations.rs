//! The duration functions that Helm v4.3 adds to Sprig's.

use crate::sprig::duration as go_duration;
use crate::template::func::{Call, Fault};
use crate::value::strconv::parse_float;
use crate::value::{IntType, Value, strconv};

const SECOND: i64 = go_duration::SECOND;

type Outcome = Result<Value, Fault>;

pub(super) fn must_to_duration(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(duration(nanoseconds(&arguments[0])?))
}

pub(super) fn seconds(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::Float(nanoseconds(&arguments[0]).map_or(0.0, |d| in_units(d, SECOND))))
}

pub(super) fn milliseconds(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::int64(nanoseconds(&arguments[0]).unwrap_or(0) / 1_000_000))
}

pub(super) fn microseconds(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::int64(nanoseconds(&arguments[0]).unwrap_or(0) / 1_000))
}

pub(super) fn whole_nanoseconds(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::int64(nanoseconds(&arguments[0]).unwrap_or(0)))
}

pub(super) fn minutes(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::Float(nanoseconds(&arguments[0]).map_or(0.0, |d| in_units(d, 60 * SECOND))))
}

pub(super) fn hours(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::Float(nanoseconds(&arguments[0]).map_or(0.0, in_hours)))
}

pub(super) fn days(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::Float(nanoseconds(&arguments[0]).map_or(0.0, |d| in_hours(d) / 24.0)))
}

pub(super) fn weeks(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(Value::Float(nanoseconds(&arguments[0]).map_or(0.0, |d| in_hours(d) / 24.0 / 7.0)))
}

pub(super) fn round_to(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(duration(with_multiple(arguments, go_duration::round)))
}

pub(super) fn truncate_to(_: &mut Call<'_>, arguments: &[Value]) -> Outcome {
    Ok(duration(with_multiple(arguments, go_duration::truncate)))
}

fn duration(nanoseconds: i64) -> Value {
    Value::Int(IntType::Duration, nanoseconds)
}

/// 0 where the duration cannot be read, the duration itself where the multiple cannot.
fn with_multiple(arguments: &[Value], apply: fn(i64, i64) -> i64) -> i64 {
    match (nanoseconds(&arguments[0]), nanoseconds(&arguments[1])) {
        (Err(_), _) => 0,
        (Ok(d), Ok(multiple)) => apply(d, multiple),
        (Ok(d), Err(_)) => d,
    }
}

/// Whole units and the rest apart, so that the sum is rounded as Go rounds it.
fn in_units(nanoseconds: i64, unit: i64) -> f64 {
    (nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64
}

fn in_hours(nanoseconds: i64) -> f64 {
    in_units(nanoseconds, 3600 * SECOND)
}

/// The nanoseconds of a duration, of text such as `1h2m` or `2.5`, or of a number of seconds.
fn nanoseconds(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(IntType::Duration, nanoseconds) => Ok(*nanoseconds),
        Value::Int(_, seconds) => whole_seconds(i128::from(*seconds)),
        Value::Uint(_, seconds) => whole_seconds(i128::from(*seconds)),
        Value::Float(seconds) => float_seconds(*seconds),
        Value::Str(text) => {
            let trimmed = text.to_text().trim().to_owned();
            if trimmed.is_empty() {
                return Err("empty duration".into());
            }
            if let Ok(nanoseconds) = go_duration::parse(trimmed.as_bytes()) {
                return Ok(nanoseconds);
            }
            match parse_float(trimmed.as_bytes()) {
                Ok(seconds) => float_seconds(seconds),
                Err(_) => {
                    let quoted = strconv::quote(text.as_bytes());
                    Err(format!("could not parse duration {}", String::from_utf8_lossy(&quoted)))
                }
            }
        }
        Value::Nil => Err("invalid duration".into()),
        other => Err(format!("unsupported duration type {}", other.type_name())),
    }
}

fn whole_seconds(seconds: i128) -> Result<i64, String> {
    i64::try_from(seconds * i128::from(SECOND)).map_err(|_| format!("duration seconds overflow: {seconds}"))
}

fn float_seconds(seconds: f64) -> Result<i64, String> {
    let text = || strconv::format_float(seconds, strconv::FloatFormat::General, None);
    if !seconds.is_finite() {
        return Err(format!("invalid duration seconds: {}", text()));
    }
    let nanoseconds = seconds * SECOND as f64;
    if nanoseconds.abs() > i64::MAX as f64 {
        return Err(format!("duration seconds overflow: {}", text()));
    }
    Ok(nanoseconds as i64)
}
