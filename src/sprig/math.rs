//! Numbers. Arguments of any type are converted as spf13/cast v1.7 does; what is no number counts as 0.
//!
//! Semantics follow Sprig `numeric.go`. Integer arithmetic wraps as Go's does; `addf` and its kin reckon in decimals
//! ([`super::decimal`]).

use super::decimal::Decimal;
use super::limits::spend_on_items;
use super::strings::printed;
use crate::template::func::{Fault, Host};
use crate::value::strconv::{self, NumberReason};
use crate::value::{ElementType, IntType, List, Value};

/// `cast.ToInt64`, and `cast.ToInt`, which is the same on 64 bits.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        // A duration is a named type that cast does not know.
        Value::Int(IntType::Duration, _) => 0,
        Value::Int(_, number) => *number,
        Value::Uint(_, number) => number.cast_signed(),
        Value::Float(number) => truncated(*number),
        Value::Str(text) => strconv::parse_int(without_zero_decimals(text.as_bytes()), 0, 64).unwrap_or(0),
        Value::Bool(truth) => i64::from(*truth),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Object(_) => 0,
    }
}

/// The number a text spells in decimal; 0 where it is none. Out of range it is the nearest number, as in Go.
pub(super) fn atoi(text: &[u8]) -> Value {
    Value::int(strconv::atoi(text).unwrap_or_else(|error| match error.reason {
        NumberReason::Syntax | NumberReason::Base(_) => 0,
        NumberReason::Range if text.starts_with(b"-") => i64::MIN,
        NumberReason::Range => i64::MAX,
    }))
}

/// `cast.ToFloat64`.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(IntType::Duration, _) => 0.0,
        Value::Int(_, number) => *number as f64,
        Value::Uint(_, number) => *number as f64,
        Value::Float(number) => *number,
        Value::Str(text) => strconv::parse_float(text.as_bytes()).unwrap_or(0.0),
        Value::Bool(truth) => f64::from(*truth),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Object(_) => 0.0,
    }
}

/// Go's `int64(float)` on amd64: what does not fit becomes the smallest number.
fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// `1.00` without its `.00`; other texts as they are.
fn without_zero_decimals(text: &[u8]) -> &[u8] {
    let significant = text.len() - text.iter().rev().take_while(|b| **b == b'0').count();
    match text[..significant].strip_suffix(b".") {
        Some(integer) if significant < text.len() => integer,
        _ => text,
    }
}

pub(super) fn add(numbers: &[Value]) -> i64 {
    numbers.iter().map(to_int).fold(0, i64::wrapping_add)
}

pub(super) fn sub(left: &Value, right: &Value) -> i64 {
    to_int(left).wrapping_sub(to_int(right))
}

pub(super) fn mul(numbers: &[Value]) -> i64 {
    numbers.iter().map(to_int).fold(1, i64::wrapping_mul)
}

const DIVISION_BY_ZERO: &str = "runtime error: integer divide by zero";

pub(super) fn div(left: &Value, right: &Value) -> Result<i64, &'static str> {
    match to_int(right) {
        0 => Err(DIVISION_BY_ZERO),
        divisor => Ok(to_int(left).wrapping_div(divisor)),
    }
}

pub(super) fn modulo(left: &Value, right: &Value) -> Result<i64, &'static str> {
    match to_int(right) {
        0 => Err(DIVISION_BY_ZERO),
        divisor => Ok(to_int(left).wrapping_rem(divisor)),
    }
}

/// The largest of at least one number.
pub(super) fn max(numbers: &[Value]) -> i64 {
    numbers.iter().map(to_int).max().unwrap_or_default()
}

/// The smallest of at least one number.
pub(super) fn min(numbers: &[Value]) -> i64 {
    numbers.iter().map(to_int).min().unwrap_or_default()
}

/// `math.Max` over at least one number: infinity wins over NaN, NaN over all else.
pub(super) fn maxf(numbers: &[Value]) -> f64 {
    fold_floats(numbers, f64::INFINITY, |left, right| {
        if left > right || left == right && left.is_sign_positive() { left } else { right }
    })
}

/// `math.Min` over at least one number: negative infinity wins over NaN, NaN over all else.
pub(super) fn minf(numbers: &[Value]) -> f64 {
    fold_floats(numbers, f64::NEG_INFINITY, |left, right| {
        if left < right || left == right && left.is_sign_negative() { left } else { right }
    })
}

fn fold_floats(numbers: &[Value], strongest: f64, choose: impl Fn(f64, f64) -> f64) -> f64 {
    let choose = |left: f64, right: f64| {
        if left == strongest || right == strongest {
            strongest
        } else if left.is_nan() || right.is_nan() {
            f64::NAN
        } else {
            choose(left, right)
        }
    };
    numbers.iter().map(to_float).reduce(choose).unwrap_or_default()
}

/// Rounds at a decimal place, up from `round_on` (one half unless given).
///
/// Negative numbers are rounded down whatever their fraction, as in the original.
pub(super) fn round(number: &Value, places: i64, round_on: Option<f64>) -> f64 {
    let scale = power_of_ten(places);
    let scaled = scale * to_float(number);
    let fraction = if scaled.is_infinite() { f64::NAN } else { scaled.fract() };
    let rounded = if fraction >= round_on.unwrap_or(0.5) { scaled.ceil() } else { scaled.floor() };
    rounded / scale
}

/// `math.Pow(10, exponent)`, multiplying in the order Go does so that the last bit agrees.
fn power_of_ten(exponent: i64) -> f64 {
    let mut rest = exponent.unsigned_abs();
    let (mut power, mut square) = (1.0, 10.0);
    while rest > 0 && power != f64::INFINITY {
        if rest & 1 == 1 {
            power *= square;
        }
        square *= square;
        rest >>= 1;
    }
    if exponent < 0 { 1.0 / power } else { power }
}

/// The number whose octal digits the value prints.
pub(super) fn to_decimal(value: &Value) -> i64 {
    strconv::parse_int(printed(value).as_bytes(), 8, 64).unwrap_or(0)
}

pub(super) fn until(host: &dyn Host, count: i64) -> Result<List, Fault> {
    Ok(int_list(steps(host, "until", 0, count, if count < 0 { -1 } else { 1 })?))
}

pub(super) fn until_step(host: &dyn Host, start: i64, stop: i64, step: i64) -> Result<List, Fault> {
    Ok(int_list(steps(host, "untilStep", start, stop, step)?))
}

/// The numbers from `start` towards `stop`, which is left out.
fn steps(host: &dyn Host, function: &str, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Fault> {
    let distance = i128::from(stop) - i128::from(start);
    let step = i128::from(step);
    // Going nowhere, or the other way, yields nothing; so does a step down from equal bounds.
    if step == 0 || (distance < 0) != (step < 0) {
        return Ok(Vec::new());
    }
    let count = distance.unsigned_abs().div_ceil(step.unsigned_abs());
    spend_on_items(host, function, count)?;
    let number = |i: u128| i64::try_from(i128::from(start) + step * i as i128).expect("between two i64 numbers");
    Ok((0..count).map(number).collect())
}

fn int_list(numbers: Vec<i64>) -> List {
    List::typed(ElementType::Int, numbers.into_iter().map(Value::int).collect())
}

/// As the command `seq`: `seq LAST`, `seq FIRST LAST`, `seq FIRST STEP LAST`, as text.
pub(super) fn seq(host: &dyn Host, bounds: &[i64]) -> Result<String, Fault> {
    let (start, step, end) = match *bounds {
        [end] => (1, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Ok(String::new()),
    };
    let direction = if end < start { -1 } else { 1 };
    let step = step.unwrap_or(direction);
    if direction < 0 && step > 0 {
        return Ok(String::new());
    }
    let numbers = steps(host, "seq", start, end.wrapping_add(direction), step)?;
    Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
}

/// Reckons in decimals from the first number over the others.
pub(super) fn decimals(
    host: &dyn Host,
    first: f64,
    others: &[Value],
    combine: fn(&Decimal, &Decimal) -> Result<Decimal, String>,
) -> Result<f64, Fault> {
    let mut sum = Decimal::from_float(first)?;
    for number in others {
        // Products grow with every factor.
        spend_on_items(host, "decimals", sum.limbs() as u128 * 16)?;
        sum = combine(&sum, &Decimal::from_float(to_float(number))?)?;
    }
    Ok(sum.to_float())
}
