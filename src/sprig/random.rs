//! Random texts and numbers. All randomness comes from the host, so that a test can fix it.

use super::limits::{RANDOM_BYTES_MAX, spend_on_text};
use super::runes;
use crate::template::func::{Fault, Host};

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";

pub(super) fn alphanumeric(host: &dyn Host, count: i64) -> Result<Vec<u8>, Fault> {
    text(host, "randAlphaNum", count, &[LETTERS, DIGITS].concat())
}

pub(super) fn alpha(host: &dyn Host, count: i64) -> Result<Vec<u8>, Fault> {
    text(host, "randAlpha", count, LETTERS)
}

pub(super) fn numeric(host: &dyn Host, count: i64) -> Result<Vec<u8>, Fault> {
    text(host, "randNumeric", count, DIGITS)
}

/// Printable ASCII, the space included.
pub(super) fn ascii(host: &dyn Host, count: i64) -> Result<Vec<u8>, Fault> {
    text(host, "randAscii", count, &(b' '..=b'~').collect::<Vec<_>>())
}

/// Characters of an alphabet, each as likely as any other; none for a negative count.
fn text(host: &dyn Host, function: &str, count: i64, alphabet: &[u8]) -> Result<Vec<u8>, Fault> {
    let count = length(host, function, count.max(0))?;
    Ok((0..count).map(|_| alphabet[below(host, alphabet.len() as u64) as usize]).collect())
}

/// That many random bytes, as base64.
pub(super) fn bytes(host: &dyn Host, count: i64) -> Result<String, Fault> {
    if count < 0 {
        return Err("runtime error: makeslice: len out of range".into());
    }
    let mut bytes = vec![0; length(host, "randBytes", count)?];
    host.random(&mut bytes);
    Ok(super::encoding::b64enc(&bytes))
}

fn length(host: &dyn Host, function: &str, count: i64) -> Result<usize, Fault> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > RANDOM_BYTES_MAX {
        return Err(Fault::Budget(format!("{function} of more than {RANDOM_BYTES_MAX} characters")));
    }
    // Every character costs a draw.
    spend_on_text(host, function, Some(count * 16))?;
    Ok(count)
}

/// A number from `min` up to but not including `max`.
pub(super) fn int(host: &dyn Host, min: i64, max: i64) -> Result<i64, &'static str> {
    match u64::try_from(max.wrapping_sub(min)) {
        Ok(range) if range > 0 => Ok(min.wrapping_add_unsigned(below(host, range))),
        _ => Err("invalid argument to Intn"),
    }
}

/// The characters in random order.
pub(super) fn shuffle(host: &dyn Host, text: &[u8]) -> Result<Vec<u8>, Fault> {
    spend_on_text(host, "shuffle", text.len().checked_mul(16))?;
    let mut characters: Vec<char> = runes::runes(text).map(|(rune, _)| rune).collect();
    for last in (1..characters.len()).rev() {
        characters.swap(last, below(host, last as u64 + 1) as usize);
    }
    Ok(runes::encode(characters.into_iter()))
}

pub(super) fn uuid(host: &dyn Host) -> String {
    let mut bytes = [0; 16];
    host.random(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A number below the bound, all equally likely.
fn below(host: &dyn Host, bound: u64) -> u64 {
    // Draws from the last, incomplete round of the bound would favour the small numbers.
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let mut bytes = [0; 8];
        host.random(&mut bytes);
        let drawn = u64::from_le_bytes(bytes);
        if drawn < fair {
            return drawn % bound;
        }
    }
}
