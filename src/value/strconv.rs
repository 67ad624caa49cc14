//! Go's `strconv`: numbers and quoted strings to text and back, with Go's bytes and Go's error words.
//!
//! Strings are byte strings, as Go's are. Digits come from Rust's own correctly rounded conversions; what is here is
//! Go's syntax around them.

use std::borrow::Cow;

use memchr::{memchr2, memchr3};

use super::unicode;

/// Which of Go's notations `FormatFloat` uses. Upper-case verbs are these, upper-cased by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatFormat {
    /// `'b'`: `4503599627370496p-52`
    Binary,
    /// `'e'`: `1.5e+06`
    Exponent,
    /// `'f'`: `1500000`
    Decimal,
    /// `'g'`: as `Exponent` for large exponents, as `Decimal` otherwise.
    General,
    /// `'x'`: `0x1.8p+20`
    Hexadecimal,
}

/// A number's text was refused. Prints as Go's `*strconv.NumError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("strconv.{function}: parsing {}: {reason}", String::from_utf8_lossy(&quote(input)))]
pub struct NumberError {
    pub function: &'static str,
    pub input: Vec<u8>,
    pub reason: NumberReason,
}

/// Why a number's text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberReason {
    #[error("invalid syntax")]
    Syntax,
    #[error("value out of range")]
    Range,
    #[error("invalid base {0}")]
    Base(u32),
}

/// No `f64` has more significant decimal digits than this; further ones are zeros.
const FLOAT_DIGITS_MAX: usize = 1100;

/// `FormatFloat(number, format, precision, 64)`; a precision of `None` is Go's -1, the shortest text that reads back
/// as the same number.
pub fn format_float(number: f64, format: FloatFormat, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let mut text = String::new();
    if number.is_sign_negative() {
        text.push('-');
    }
    let magnitude = number.abs();
    match format {
        FloatFormat::Binary => push_binary(&mut text, magnitude),
        FloatFormat::Hexadecimal => push_hexadecimal(&mut text, magnitude, precision),
        FloatFormat::Exponent => {
            let digits = Digits::of(magnitude, precision.map(|p| p + 1));
            digits.push_exponent(&mut text, precision.unwrap_or(digits.text.len().saturating_sub(1)));
        }
        FloatFormat::Decimal => match precision {
            Some(precision) => push_decimal(&mut text, magnitude, precision),
            None => {
                let digits = Digits::of(magnitude, None);
                digits.push_decimal(&mut text);
            }
        },
        FloatFormat::General => push_general(&mut text, magnitude, precision),
    }
    text
}

fn push_decimal(text: &mut String, magnitude: f64, precision: usize) {
    let known = precision.min(FLOAT_DIGITS_MAX);
    text.push_str(&format!("{magnitude:.known$}"));
    text.extend(std::iter::repeat_n('0', precision - known));
}

fn push_general(text: &mut String, magnitude: f64, precision: Option<usize>) {
    let Some(precision) = precision.map(|p| p.max(1)) else {
        return push_shortest(text, &Digits::of(magnitude, None));
    };
    let mut digits = Digits::of(magnitude, Some(precision));
    while digits.text.ends_with('0') {
        digits.text.pop();
    }
    let count = digits.text.len();
    let threshold = if precision > count && count as i32 >= digits.point { count } else { precision };
    let exponent = digits.point - 1;
    if exponent < -4 || exponent >= i32::try_from(threshold).unwrap_or(i32::MAX) {
        digits.push_exponent(text, precision.min(count).saturating_sub(1));
    } else {
        digits.push_decimal(text);
    }
}

/// All of the digits, in the notation `'g'` chooses for the shortest ones.
fn push_shortest(text: &mut String, digits: &Digits) {
    if (-4..6).contains(&(digits.point - 1)) {
        digits.push_decimal(text);
    } else {
        digits.push_exponent(text, digits.text.len().saturating_sub(1));
    }
}

/// Significant decimal digits: the number is 0.DIGITS times ten to the power of `point`. Zero has no digits.
struct Digits {
    text: String,
    point: i32,
}

impl Digits {
    /// The shortest digits that read back as the number, or that many, correctly rounded.
    fn of(magnitude: f64, count: Option<usize>) -> Self {
        if magnitude == 0.0 {
            return Digits { text: String::new(), point: 0 };
        }
        let scientific = match count {
            None => shortest(magnitude),
            Some(count) => format!("{magnitude:.*e}", count.clamp(1, FLOAT_DIGITS_MAX) - 1),
        };
        Digits::scientific(&scientific)
    }

    /// The digits of `d.ddde-d`; none of zero.
    fn scientific(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        if mantissa == "0" {
            return Digits { text: String::new(), point: 0 };
        }
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Digits { text: mantissa.chars().filter(char::is_ascii_digit).collect(), point: exponent + 1 }
    }

    /// `d.ddde±dd` with `precision` digits after the point.
    fn push_exponent(&self, text: &mut String, precision: usize) {
        text.push_str(self.text.get(..1).unwrap_or("0"));
        if precision > 0 {
            let known = self.text.get(1..).unwrap_or("");
            let known = known.get(..precision).unwrap_or(known);
            text.push('.');
            text.push_str(known);
            text.extend(std::iter::repeat_n('0', precision - known.len()));
        }
        let exponent = if self.text.is_empty() { 0 } else { self.point - 1 };
        text.push_str(&format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    }

    /// All digits, with zeros up to the point on either side.
    fn push_decimal(&self, text: &mut String) {
        let count = self.text.len() as i32;
        if self.point <= 0 {
            text.push('0');
            if count > 0 {
                text.push('.');
                text.extend(std::iter::repeat_n('0', self.point.unsigned_abs() as usize));
                text.push_str(&self.text);
            }
        } else if count <= self.point {
            text.push_str(&self.text);
            text.extend(std::iter::repeat_n('0', (self.point - count) as usize));
        } else {
            let (whole, fraction) = self.text.split_at(self.point as usize);
            text.push_str(whole);
            text.push('.');
            text.push_str(fraction);
        }
    }
}

/// `FormatFloat(number, 'g', -1, 32)` of a finite number: the shortest digits that tell a `float32`.
pub fn format_float32(number: f32) -> String {
    let mut text = String::new();
    if number.is_sign_negative() {
        text.push('-');
    }
    let magnitude = number.abs();
    let reads_back = |text: &str| text.parse() == Ok(magnitude);
    push_shortest(&mut text, &Digits::scientific(&even(format!("{magnitude:e}"), magnitude.into(), reads_back)));
    text
}

/// The shortest digits that read back as the number, as `d.ddde-d`.
fn shortest(magnitude: f64) -> String {
    even(format!("{magnitude:e}"), magnitude, |text| text.parse() == Ok(magnitude))
}

/// Of two shortest texts the one Go takes.
///
/// A number may lie exactly between two such texts: of 3167206772731.28125 both …2812 and …2813 are right. Go takes
/// the even one, Rust the greater.
fn even(greater: String, magnitude: f64, reads_back: impl Fn(&str) -> bool) -> String {
    let Some((mantissa, exponent)) = greater.split_once('e') else { return greater };
    let Some((rest, last)) = mantissa.len().checked_sub(1).and_then(|at| mantissa.split_at_checked(at)) else {
        return greater;
    };
    let Some(lesser_last) = last.parse::<u32>().ok().filter(|digit| digit % 2 == 1).map(|digit| digit - 1) else {
        return greater;
    };
    let lesser = format!("{rest}{lesser_last}");
    let decimals = rest.len().saturating_sub(1);
    let lies_between = |text: String| {
        let tail = text.split_once('e').and_then(|(digits, _)| digits.strip_prefix(&lesser));
        tail.is_some_and(|tail| tail.trim_start_matches('.').trim_end_matches('0') == "5")
    };
    let is_tie = lies_between(format!("{magnitude:.*e}", decimals + 1))
        && lies_between(format!("{magnitude:.FLOAT_DIGITS_MAX$e}"))
        && reads_back(&format!("{lesser}e{exponent}"));
    if is_tie { format!("{lesser}e{exponent}") } else { greater }
}

/// Bits of the mantissa of an `f64` after its leading one.
const MANTISSA_BITS: i32 = 52;
/// What is added to the exponent of an `f64` to store it.
const EXPONENT_BIAS: i32 = 1023;

/// Mantissa and power of two with `magnitude = mantissa * 2^(power - 52)`.
fn binary_parts(magnitude: f64) -> (u64, i32) {
    let bits = magnitude.to_bits();
    let fraction = bits & ((1 << MANTISSA_BITS) - 1);
    match (bits >> MANTISSA_BITS) as i32 {
        0 => (fraction, 1 - EXPONENT_BIAS),
        exponent => (fraction | 1 << MANTISSA_BITS, exponent - EXPONENT_BIAS),
    }
}

fn push_binary(text: &mut String, magnitude: f64) {
    let (mantissa, power) = binary_parts(magnitude);
    text.push_str(&format!("{mantissa}p{:+}", power - MANTISSA_BITS));
}

fn push_hexadecimal(text: &mut String, magnitude: f64, precision: Option<usize>) {
    // The leading one goes to bit 60, so that fifteen hexadecimal digits follow it.
    const LEADING: u32 = 60;
    let (mut mantissa, mut power) = binary_parts(magnitude);
    if mantissa == 0 {
        power = 0;
    } else {
        let shift = mantissa.leading_zeros() - (63 - LEADING);
        mantissa <<= shift;
        power -= shift as i32 - (LEADING as i32 - MANTISSA_BITS);
    }
    if let Some(precision @ 0..15) = precision {
        let kept = precision as u32 * 4;
        let cut = (mantissa << kept) & ((1 << LEADING) - 1);
        mantissa >>= LEADING - kept;
        if cut | (mantissa & 1) > 1 << (LEADING - 1) {
            mantissa += 1;
        }
        mantissa <<= LEADING - kept;
        if mantissa >> (LEADING + 1) != 0 {
            mantissa >>= 1;
            power += 1;
        }
    }
    text.push_str(if mantissa >> LEADING == 0 { "0x0" } else { "0x1" });
    let fraction = format!("{:015x}", mantissa & ((1 << LEADING) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(precision) => format!("{fraction:0<precision$.precision$}", precision = precision.min(FLOAT_DIGITS_MAX)),
    };
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(&fraction);
        let missing = precision.unwrap_or(0).saturating_sub(FLOAT_DIGITS_MAX);
        text.extend(std::iter::repeat_n('0', missing));
    }
    text.push_str(&format!("p{}{:02}", if power < 0 { '-' } else { '+' }, power.abs()));
}

/// `ParseFloat(text, 64)`: decimal and hexadecimal floats, underscores between digits, `inf`, `infinity`, `nan`.
///
/// # Errors
/// The text is no such number, or the number is larger than any finite `f64`.
pub fn parse_float(text: &[u8]) -> Result<f64, NumberError> {
    let refuse = |reason| NumberError { function: "ParseFloat", input: text.to_vec(), reason };
    if let Some(special) = parse_special(text) {
        return Ok(special);
    }
    let number = read_float(text).ok_or_else(|| refuse(NumberReason::Syntax))?;
    if number.is_infinite() { Err(refuse(NumberReason::Range)) } else { Ok(number) }
}

fn parse_special(text: &[u8]) -> Option<f64> {
    let (sign, word) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        _ if text.eq_ignore_ascii_case(b"nan") => return Some(f64::NAN),
        _ => (1.0, text),
    };
    let is_infinity = word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity");
    is_infinity.then_some(sign * f64::INFINITY)
}

fn read_float(text: &[u8]) -> Option<f64> {
    let has_underscore = text.contains(&b'_');
    if has_underscore && !underscores_stand_between_digits(text) {
        return None;
    }
    let plain: Vec<u8> = text.iter().copied().filter(|b| *b != b'_').collect();
    let (is_negative, body) = match plain.as_slice() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = match body {
        [b'0', b'x' | b'X', hexadecimal @ ..] if !hexadecimal.is_empty() => read_hexadecimal_float(hexadecimal)?,
        decimal => read_decimal_float(decimal)?,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

fn read_decimal_float(body: &[u8]) -> Option<f64> {
    // Rust reads the same decimal numbers and, beyond them, the words of parse_special.
    let first = *body.first()?;
    if !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    std::str::from_utf8(body).ok()?.parse().ok()
}

fn read_hexadecimal_float(body: &[u8]) -> Option<f64> {
    const MANTISSA_DIGITS_MAX: u32 = 16;
    // Past this power every mantissa is infinite or zero.
    const POWER_MAX: i64 = 1 << 20;
    let (mut mantissa, mut digits, mut power) = (0_u64, 0_u32, 0_i64);
    let (mut is_cut, mut saw_digit, mut saw_point) = (false, false, false);
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        if *first == b'.' && !saw_point {
            saw_point = true;
        } else if let Some(digit) = char::from(*first).to_digit(16) {
            saw_digit = true;
            if mantissa == 0 && digit == 0 {
                // Leading zeros take no place in the mantissa.
            } else if digits < MANTISSA_DIGITS_MAX {
                mantissa = mantissa << 4 | u64::from(digit);
                digits += 1;
            } else {
                is_cut |= digit != 0;
                power += 4;
            }
            power -= if saw_point { 4 } else { 0 };
        } else {
            break;
        }
        rest = tail;
    }
    let [b'p' | b'P', exponent @ ..] = rest else { return None };
    let exponent_digits = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
    if !saw_digit || exponent_digits.is_empty() || !exponent_digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent_size = exponent_digits.iter().fold(0, |n, d| (n * 10 + i64::from(d - b'0')).min(POWER_MAX));
    power += if exponent.starts_with(b"-") { -exponent_size } else { exponent_size };
    Some(scale(mantissa, is_cut, power.clamp(-POWER_MAX, POWER_MAX) as i32))
}

/// `mantissa * 2^power`, rounded half to even; `is_cut` tells of further non-zero bits below the mantissa.
fn scale(mantissa: u64, is_cut: bool, power: i32) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let top = mantissa << shift;
    // The value lies in [2^exponent, 2^(exponent+1)).
    let exponent = power + 63 - shift as i32;
    if exponent > EXPONENT_BIAS {
        return f64::INFINITY;
    }
    // Subnormal numbers keep fewer bits than 53.
    let kept = (MANTISSA_BITS + 1 - (1 - EXPONENT_BIAS - exponent).max(0)).max(-1);
    if kept < 0 {
        return 0.0;
    }
    let dropped = 64 - kept as u32;
    let (mut fraction, remainder, half) = if dropped == 64 {
        (0, top, 1 << 63)
    } else {
        (top >> dropped, top & ((1 << dropped) - 1), 1 << (dropped - 1))
    };
    if remainder > half || (remainder == half && (is_cut || fraction & 1 == 1)) {
        fraction += 1;
    }
    // Adding the fraction to the biased exponent lets a carry move into the exponent, up to infinity.
    let biased = (exponent + EXPONENT_BIAS).max(1) as u64;
    f64::from_bits(((biased - 1) << MANTISSA_BITS) + fraction)
}

/// `ParseInt(text, base, bits)`; base 0 takes the base from the prefix and allows underscores. Bits are 1 to 64, or
/// 0 for an `int`.
///
/// # Errors
/// The text is no such number, or the number does not fit, or the base is not 0 or 2 to 36.
pub fn parse_int(text: &[u8], base: u32, bits: u32) -> Result<i64, NumberError> {
    let refuse = |reason| NumberError { function: "ParseInt", input: text.to_vec(), reason };
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = read_uint(digits, base, 64).map_err(refuse)?;
    let limit = 1_u64 << (bits_or_all(bits) - 1);
    match is_negative {
        true if magnitude <= limit => Ok((magnitude as i64).wrapping_neg()),
        false if magnitude < limit => Ok(magnitude as i64),
        _ => Err(refuse(NumberReason::Range)),
    }
}

/// `ParseUint(text, base, bits)`, with base and bits as for [`parse_int`].
///
/// # Errors
/// As of [`parse_int`].
pub fn parse_uint(text: &[u8], base: u32, bits: u32) -> Result<u64, NumberError> {
    read_uint(text, base, bits).map_err(|reason| NumberError { function: "ParseUint", input: text.to_vec(), reason })
}

/// `Atoi(text)`: a decimal `int`.
///
/// # Errors
/// The text is no such number, or the number does not fit.
pub fn atoi(text: &[u8]) -> Result<i64, NumberError> {
    parse_int(text, 10, 64).map_err(|error| NumberError { function: "Atoi", ..error })
}

fn bits_or_all(bits: u32) -> u32 {
    if (1..=64).contains(&bits) { bits } else { 64 }
}

fn read_uint(text: &[u8], base: u32, bits: u32) -> Result<u64, NumberReason> {
    if text.is_empty() {
        return Err(NumberReason::Syntax);
    }
    if !matches!(base, 0 | 2..=36) {
        return Err(NumberReason::Base(base));
    }
    let (actual_base, digits) = match text {
        _ if base != 0 => (base, text),
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, text),
    };
    let number_max = u64::MAX >> (64 - bits_or_all(bits));
    let mut number = 0_u64;
    for &byte in digits {
        if byte == b'_' && base == 0 {
            continue;
        }
        let digit = char::from(byte).to_digit(actual_base).ok_or(NumberReason::Syntax)?;
        number = number
            .checked_mul(actual_base.into())
            .and_then(|n| n.checked_add(digit.into()))
            .filter(|n| *n <= number_max)
            .ok_or(NumberReason::Range)?;
    }
    if digits.contains(&b'_') && !underscores_stand_between_digits(text) {
        return Err(NumberReason::Syntax);
    }
    Ok(number)
}

/// Whether each underscore stands between two digits; a base prefix counts as a digit.
fn underscores_stand_between_digits(text: &[u8]) -> bool {
    #[derive(PartialEq)]
    enum Last {
        Digit,
        Underscore,
        Other,
    }
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let (mut last, rest, is_hexadecimal) = match unsigned {
        [b'0', b'x' | b'X', rest @ ..] => (Last::Digit, rest, true),
        [b'0', b'b' | b'B' | b'o' | b'O', rest @ ..] => (Last::Digit, rest, false),
        rest => (Last::Other, rest, false),
    };
    for byte in rest {
        last = match byte {
            b'0'..=b'9' => Last::Digit,
            b'a'..=b'f' | b'A'..=b'F' if is_hexadecimal => Last::Digit,
            b'_' if last != Last::Digit => return false,
            b'_' => Last::Underscore,
            _ if last == Last::Underscore => return false,
            _ => Last::Other,
        };
    }
    last != Last::Underscore
}

/// `Quote`: a double-quoted Go string.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    quoted(bytes, false)
}

/// `QuoteToASCII`: a double-quoted Go string of ASCII characters only.
pub fn quote_to_ascii(bytes: &[u8]) -> Vec<u8> {
    quoted(bytes, true)
}

/// `QuoteRune`: a single-quoted Go character; a code point that is no character becomes U+FFFD.
pub fn quote_rune(code_point: u32) -> Vec<u8> {
    quoted_rune(code_point, false)
}

/// `QuoteRuneToASCII`.
pub fn quote_rune_to_ascii(code_point: u32) -> Vec<u8> {
    quoted_rune(code_point, true)
}

fn quoted(bytes: &[u8], ascii_only: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    out.push(b'"');
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let (c, width) = unicode::decode(rest);
        if width == 1 && c == char::REPLACEMENT_CHARACTER {
            push_hexadecimal_escape(&mut out, "\\x", first.into(), 2);
        } else {
            push_escaped(&mut out, c, b'"', ascii_only);
        }
        rest = &rest[width..];
    }
    out.push(b'"');
    out
}

fn quoted_rune(code_point: u32, ascii_only: bool) -> Vec<u8> {
    let mut out = vec![b'\''];
    let c = char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
    push_escaped(&mut out, c, b'\'', ascii_only);
    out.push(b'\'');
    out
}

fn push_escaped(out: &mut Vec<u8>, c: char, quote: u8, ascii_only: bool) {
    if c == char::from(quote) || c == '\\' {
        out.extend([b'\\', c as u8]);
    } else if unicode::is_print(c.into()) && (c.is_ascii() || !ascii_only) {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        match c {
            '\x07' => out.extend(b"\\a"),
            '\x08' => out.extend(b"\\b"),
            '\x0c' => out.extend(b"\\f"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\x0b' => out.extend(b"\\v"),
            '\0'..=' ' | '\x7f' => push_hexadecimal_escape(out, "\\x", c.into(), 2),
            '\u{80}'..='\u{ffff}' => push_hexadecimal_escape(out, "\\u", c.into(), 4),
            _ => push_hexadecimal_escape(out, "\\U", c.into(), 8),
        }
    }
}

fn push_hexadecimal_escape(out: &mut Vec<u8>, prefix: &str, number: u32, digits: usize) {
    out.extend(format!("{prefix}{number:0digits$x}").into_bytes());
}

/// `CanBackquote`: whether the bytes can stand between backquotes on one line.
pub fn can_backquote(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    text.chars().all(|c| c != '\u{feff}' && c != '`' && c != '\x7f' && (c >= ' ' || c == '\t'))
}

/// `Unquote`: the bytes a Go literal stands for, in double quotes, backquotes or, for one character, single quotes.
/// `None` is Go's `invalid syntax`.
pub fn unquote(literal: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [quote, body @ ..] = literal else { return None };
    match quote {
        b'`' => {
            let (b'`', body) = body.split_last().map(|(last, body)| (*last, body))? else { return None };
            // Carriage returns are not part of a raw string.
            match memchr2(b'`', b'\r', body) {
                None => Some(body.into()),
                Some(_) => (!body.contains(&b'`')).then(|| body.iter().copied().filter(|b| *b != b'\r').collect()),
            }
        }
        b'"' => {
            // Most have no escapes.
            let plain = memchr3(b'"', b'\\', b'\n', body).filter(|end| body[..*end].is_ascii()).unwrap_or(0);
            let (plain, mut rest) = body.split_at(plain);
            if rest == b"\"" {
                return Some(plain.into());
            }
            let mut out = Vec::with_capacity(body.len());
            out.extend_from_slice(plain);
            while rest.first()? != &b'"' {
                rest = unquote_into(&mut out, rest, b'"')?;
            }
            (rest.len() == 1).then_some(out.into())
        }
        b'\'' => {
            let mut out = Vec::new();
            let rest = if body == b"'" { body } else { unquote_into(&mut out, body, b'\'')? };
            (rest == b"'").then_some(out.into())
        }
        _ => None,
    }
}

fn unquote_into<'t>(out: &mut Vec<u8>, text: &'t [u8], quote: u8) -> Option<&'t [u8]> {
    if text.first() == Some(&b'\n') {
        return None;
    }
    let (code_point, is_character, rest) = unquote_char(text, quote)?;
    match char::from_u32(code_point) {
        Some(c) if is_character => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => out.push(code_point as u8),
    }
    Some(rest)
}

/// `UnquoteChar`: the first character or byte of an escaped text, whether it is a character to be written as UTF-8
/// (and not a single byte), and the rest. `None` is Go's `invalid syntax`.
pub fn unquote_char(text: &[u8], quote: u8) -> Option<(u32, bool, &[u8])> {
    match text {
        [] => None,
        [first, ..] if *first == quote => None,
        [b'\\', escape, rest @ ..] => unquote_escape(*escape, rest, quote),
        [b'\\'] => None,
        [first, rest @ ..] if first.is_ascii() => Some(((*first).into(), false, rest)),
        _ => {
            let (c, width) = unicode::decode(text);
            Some((c.into(), true, &text[width..]))
        }
    }
}

fn unquote_escape(escape: u8, rest: &[u8], quote: u8) -> Option<(u32, bool, &[u8])> {
    let byte = |b: u8| Some((b.into(), false, rest));
    match escape {
        b'a' => byte(0x07),
        b'b' => byte(0x08),
        b'f' => byte(0x0c),
        b'n' => byte(b'\n'),
        b'r' => byte(b'\r'),
        b't' => byte(b'\t'),
        b'v' => byte(0x0b),
        b'\\' => byte(b'\\'),
        b'\'' | b'"' if escape == quote => byte(escape),
        b'x' => read_digits(rest, 2, 16).map(|(number, rest)| (number, false, rest)),
        b'u' | b'U' => {
            let (number, rest) = read_digits(rest, if escape == b'u' { 4 } else { 8 }, 16)?;
            char::from_u32(number).map(|c| (c.into(), true, rest))
        }
        b'0'..=b'7' => {
            let (tail, rest) = read_digits(rest, 2, 8)?;
            let number = u32::from(escape - b'0') * 64 + tail;
            (number <= 0xff).then_some((number, false, rest))
        }
        _ => None,
    }
}

fn read_digits(text: &[u8], count: usize, base: u32) -> Option<(u32, &[u8])> {
    let digits = text.get(..count)?;
    let number = digits.iter().try_fold(0_u32, |number, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        Some(number.wrapping_mul(base).wrapping_add(digit))
    })?;
    Some((number, &text[count..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn format_float_prints_what_go_prints() {
        use FloatFormat::{Binary, Decimal, Exponent, General, Hexadecimal};
        // Run with Go 1.26.8.
        let cases = [
            (1_000_000.0, General, None, "1e+06"),
            (999_999.0, General, None, "999999"),
            (0.0001, General, None, "0.0001"),
            (0.00001, General, None, "1e-05"),
            (1e21, Decimal, None, "1000000000000000000000"),
            (-0.0, General, None, "-0"),
            (f64::NEG_INFINITY, General, None, "-Inf"),
            (f64::NAN, Decimal, Some(2), "NaN"),
            // Two shortest texts are equally near: Go takes the even digit.
            (679_804_946_786_371.2, General, None, "6.798049467863712e+14"),
            (2.5, Decimal, Some(0), "2"),
            (0.125, Exponent, Some(1), "1.2e-01"),
            (100.0, General, Some(3), "100"),
            (1.5, Hexadecimal, None, "0x1.8p+00"),
            (1.5, Binary, None, "6755399441055744p-52"),
        ];
        for (number, format, precision, want) in cases {
            assert_eq!(format_float(number, format, precision), want);
        }
        assert_eq!(format_float(1.0, Decimal, Some(5000)).len(), 5002);
    }

    proptest! {
        #[test]
        fn a_float_reads_back_from_its_text(bits in any::<u64>()) {
            let float = f64::from_bits(bits);
            prop_assume!(!float.is_nan());
            for format in
                [FloatFormat::General, FloatFormat::Exponent, FloatFormat::Decimal, FloatFormat::Hexadecimal]
            {
                let text = format_float(float, format, None);
                let read = parse_float(text.as_bytes()).expect("it is a number");
                prop_assert_eq!(read.to_bits(), bits, "{}", text);
            }
        }

        #[test]
        fn quoted_bytes_read_back(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            prop_assert_eq!(unquote(&quote(&bytes)).map(Cow::into_owned), Some(bytes.clone()));
            prop_assert_eq!(unquote(&quote_to_ascii(&bytes)).map(Cow::into_owned), Some(bytes));
        }
    }
}
