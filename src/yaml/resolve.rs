//! What a plain scalar is: null, a bool, a number, a timestamp or text.
//!
//! YAML 1.1 as go-yaml reads it, with the differences between its versions 2 and 3.

use super::Dialect;
use crate::value::strconv;

/// What a scalar without a tag stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that only a `uint64` can hold.
    Uint(u64),
    Float(f64),
    /// Looks like a date. It stays text, but text that looks so must be quoted.
    Timestamp,
    Text,
}

/// Finds what a plain scalar stands for. Timestamps are looked for unless a tag asks for another type.
pub(super) fn resolve(text: &str, dialect: Dialect, with_timestamps: bool) -> Scalar {
    let Some(&first) = text.as_bytes().first() else { return Scalar::Null };
    match first {
        b'+' | b'-' | b'0'..=b'9' => resolve_word(text, dialect).unwrap_or_else(|| {
            if with_timestamps && is_timestamp(text) { Scalar::Timestamp } else { resolve_number(text, dialect) }
        }),
        // Go's own syntax here, in which underscores may stand between digits.
        b'.' => resolve_word(text, dialect)
            .or_else(|| strconv::parse_float(text.as_bytes()).ok().map(Scalar::Float))
            .unwrap_or(Scalar::Text),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            resolve_word(text, dialect).unwrap_or(Scalar::Text)
        }
        _ => Scalar::Text,
    }
}

fn resolve_word(text: &str, dialect: Dialect) -> Option<Scalar> {
    const WORD_BYTES_MAX: usize = 5;
    if text.len() > WORD_BYTES_MAX {
        return None;
    }
    Some(match text {
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ if dialect == Dialect::V2 => Scalar::Bool(old_bool(text)?),
        _ => return None,
    })
}

/// The bools of YAML 1.1 beyond `true` and `false`.
pub(super) fn old_bool(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn resolve_number(text: &str, dialect: Dialect) -> Scalar {
    let without_underscores = text.contains('_').then(|| text.replace('_', ""));
    let plain = without_underscores.as_deref().unwrap_or(text);
    if let Some(number) = parse_integer(plain, None) {
        return number;
    }
    if let Some(number) = parse_float(plain) {
        return Scalar::Float(number);
    }
    // Go refuses a sign after the base; go-yaml tries the digits once more on their own.
    let signed_digits = |positive: &str, negative: &str, base: u32| match plain.strip_prefix(positive) {
        Some(digits) => parse_integer(digits, Some(base)),
        None => match parse_integer(plain.strip_prefix(negative)?, Some(base))? {
            Scalar::Int(number) if !plain[3..].starts_with(['+', '-']) => Some(Scalar::Int(-number)),
            Scalar::Uint(number) if number == 1 << 63 => Some(Scalar::Int(i64::MIN)),
            _ => None,
        },
    };
    let octal = || if dialect == Dialect::V3 { signed_digits("0o", "-0o", 8) } else { None };
    signed_digits("0b", "-0b", 2).or_else(octal).unwrap_or(Scalar::Text)
}

/// Reads an integer as Go's `ParseInt` and then `ParseUint` do. Without a base, a prefix tells it: `0x`, `0o`, `0b`, or
/// `0` for octal.
fn parse_integer(text: &str, base: Option<u32>) -> Option<Scalar> {
    let (is_signed, is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (true, false, &text[1..]),
        _ => (false, false, text),
    };
    let (base, digits) = match (base, unsigned.as_bytes()) {
        (Some(base), _) => (base, unsigned),
        (None, [b'0', b'x' | b'X', ..]) => (16, &unsigned[2..]),
        (None, [b'0', b'o' | b'O', ..]) => (8, &unsigned[2..]),
        (None, [b'0', b'b' | b'B', ..]) => (2, &unsigned[2..]),
        (None, [b'0', _, ..]) => (8, &unsigned[1..]),
        (None, _) => (10, unsigned),
    };
    if !digits.bytes().next()?.is_ascii_hexdigit() {
        // Rust would take a second sign.
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    match i64::try_from(magnitude) {
        Ok(number) if is_negative => Some(Scalar::Int(-number)),
        Ok(number) => Some(Scalar::Int(number)),
        Err(_) if is_negative => (magnitude == 1 << 63).then_some(Scalar::Int(i64::MIN)),
        // ParseUint takes no sign.
        Err(_) => (!is_signed).then_some(Scalar::Uint(magnitude)),
    }
}

/// Reads `[-+]? ( .digits | digits[.digits?] ) ( e [-+]? digits )?`, refusing what no finite float holds.
fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            !(whole.is_empty() && fraction.is_empty()) && is_digits(whole) && is_digits(fraction)
        }
        None => !mantissa.is_empty() && is_digits(mantissa),
    };
    if !is_number || exponent.is_some_and(|exponent| exponent.is_empty() || !is_digits(exponent)) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether go-yaml's timestamp formats, read by Go's `time.Parse`, accept the text: `2006-1-2`, alone or followed by
/// `T15:4:5` with a zone, or by a space and `15:4:5` without one.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let year_digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if year_digits != 4 || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let year = bytes[..4].iter().fold(0, |year, digit| year * 10 + u32::from(digit - b'0'));
    is_date_and_rest(year, &bytes[5..]).unwrap_or(false)
}

fn is_date_and_rest(year: u32, text: &[u8]) -> Option<bool> {
    let (month, rest) = one_or_two_digits(text)?;
    let (day, rest) = one_or_two_digits(rest.strip_prefix(b"-")?)?;
    if day < 1 || day > days_in(year, month)? {
        return None;
    }
    let (is_zoned, time) = match rest {
        [] => return Some(true),
        [b'T' | b't', time @ ..] => (true, time),
        [b' ', ..] => (false, rest.trim_ascii_start()),
        _ => return None,
    };
    let (hour, rest) = one_or_two_digits(time)?;
    let (minute, rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
    let (second, rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = match rest {
        [b'.' | b',', digit, ..] if digit.is_ascii_digit() => {
            let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            &rest[1 + digits..]
        }
        rest => rest,
    };
    Some(if is_zoned { is_zone(rest) } else { rest.is_empty() })
}

fn days_in(year: u32, month: u32) -> Option<u32> {
    Some(match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    })
}

/// `Z` or `+07:00`. Go lets hours up to 24 and minutes up to 60 pass.
fn is_zone(text: &[u8]) -> bool {
    match text {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            (h1 - b'0') * 10 + (h2 - b'0') <= 24 && (m1 - b'0') * 10 + (m2 - b'0') <= 60
        }
        _ => false,
    }
}

fn one_or_two_digits(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [a, b, rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
            Some((u32::from(a - b'0') * 10 + u32::from(b - b'0'), rest))
        }
        [a, rest @ ..] if a.is_ascii_digit() => Some((u32::from(a - b'0'), rest)),
        _ => None,
    }
}

/// Whether the text is a number in base 60 as YAML 1.1 has them (`12:30:45`). go-yaml reads none, but quotes them.
pub(super) fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let is_whole = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit()) && part.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    };
    let is_minute = |part: &str| matches!(part.as_bytes(), [b'0'..=b'5', b'0'..=b'9'] | [b'0'..=b'9']);
    if !parts.next().is_some_and(is_whole) {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else { return false };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    rest.iter().all(|part| is_minute(part))
        && is_minute(last)
        && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}
