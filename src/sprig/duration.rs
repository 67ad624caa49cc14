//! `time.Duration`: nanoseconds, their text (`1h30m`) and rounding.

/// A second, in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// Reads `1h30m`, `-1.5s`, `300ms`: numbers with the units `ns us µs ms s m h`. The result is in nanoseconds.
///
/// # Errors
/// As Go's `time.ParseDuration`.
pub fn parse(text: &[u8]) -> Result<i64, String> {
    // Go's limit for either sign; the smallest duration is one more than the largest.
    const MAGNITUDE_MAX: u64 = 1 << 63;
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, digits) = leading_integer(rest).ok_or_else(invalid)?;
        rest = &rest[digits..];
        let mut fraction = Fraction::default();
        if let Some(behind) = rest.strip_prefix(b".") {
            fraction = Fraction::leading(behind);
            rest = &behind[fraction.digits..];
        }
        if digits == 0 && fraction.digits == 0 {
            return Err(invalid());
        }
        let unit_length = rest.iter().take_while(|b| **b != b'.' && !b.is_ascii_digit()).count();
        let (unit, behind) = rest.split_at(unit_length);
        rest = behind;
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let unit = nanoseconds_of(unit)
            .ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(unit), quote(text)))?;
        if whole > MAGNITUDE_MAX / unit {
            return Err(invalid());
        }
        // At most 2^63 and 2^63 of an hour: the sums fit.
        let amount = whole * unit + fraction.of(unit);
        total = total.checked_add(amount).filter(|sum| *sum <= MAGNITUDE_MAX).ok_or_else(invalid)?;
    }
    match (negative, i64::try_from(total)) {
        (true, _) => Ok(0_i64.wrapping_sub_unsigned(total)),
        (false, Ok(total)) => Ok(total),
        (false, Err(_)) => Err(invalid()),
    }
}

fn nanoseconds_of(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        // The micro sign and the Greek letter.
        b"us" | b"\xC2\xB5s" | b"\xCE\xBCs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The digits at the start as a number, and how many they are; `None` if it exceeds 2^63.
fn leading_integer(text: &[u8]) -> Option<(u64, usize)> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = text[..digits].iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|sum| *sum <= 1 << 63)
    })?;
    Some((number, digits))
}

/// Digits behind a decimal point: `value / scale`.
struct Fraction {
    value: u64,
    scale: f64,
    digits: usize,
}

impl Default for Fraction {
    fn default() -> Self {
        Fraction { value: 0, scale: 1.0, digits: 0 }
    }
}

impl Fraction {
    /// The digits at the start. Those that do not fit are passed over.
    fn leading(text: &[u8]) -> Fraction {
        let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
        let mut fraction = Fraction { digits, ..Fraction::default() };
        for digit in &text[..fraction.digits] {
            let Some(value) = fraction
                .value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                .filter(|value| *value <= 1 << 63)
            else {
                break;
            };
            fraction.value = value;
            fraction.scale *= 10.0;
        }
        fraction
    }

    fn of(&self, unit: u64) -> u64 {
        (self.value as f64 * (unit as f64 / self.scale)) as u64
    }
}

/// Rounds half away from zero to a multiple; as it is for a multiple of 0 or less.
pub fn round(duration: i64, multiple: i64) -> i64 {
    if multiple <= 0 {
        return duration;
    }
    let rest = (duration % multiple).unsigned_abs();
    let down = truncate(duration, multiple);
    if rest < multiple.unsigned_abs() - rest {
        down
    } else if duration < 0 {
        down.saturating_sub(multiple)
    } else {
        down.saturating_add(multiple)
    }
}

/// Rounds towards zero to a multiple; as it is for a multiple of 0 or less.
pub fn truncate(duration: i64, multiple: i64) -> i64 {
    if multiple <= 0 { duration } else { duration - duration % multiple }
}

/// A text in an error of Go's package `time`: bytes beyond printable ASCII are written in hexadecimal.
pub(super) fn quote(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            b' '..=0x7F => quoted.push(char::from(*byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}
