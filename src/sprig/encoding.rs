//! Base64 and base32, checksums. A decoder's error is its result, as in Sprig.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use sha2::Digest;

pub(super) fn b64enc(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn b64dec(text: &[u8]) -> Vec<u8> {
    decode_base64(text).unwrap_or_else(String::into_bytes)
}

pub(super) fn b32enc(bytes: &[u8]) -> String {
    data_encoding::BASE32.encode(bytes)
}

pub(super) fn b32dec(text: &[u8]) -> Vec<u8> {
    decode_base32(text).unwrap_or_else(String::into_bytes)
}

/// `base64.StdEncoding.DecodeString`: line breaks are skipped, bits left over before the padding are ignored.
///
/// # Errors
/// Go's text, with the place of the first bad byte.
pub(super) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let corrupt = |place: usize| format!("illegal base64 data at input byte {place}");
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let mut bytes = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'));
    let mut digits = [0; 4];
    let mut count = 0;
    while let Some((place, byte)) = bytes.next() {
        match base64_digit(*byte) {
            Some(digit) => {
                digits[count] = digit;
                count += 1;
            }
            None if *byte == b'=' && count >= 2 => {
                if count == 2 {
                    match bytes.next() {
                        None => return Err(corrupt(text.len())),
                        Some((_, b'=')) => {}
                        Some((next, _)) => return Err(corrupt(next - 1)),
                    }
                }
                if let Some((garbage, _)) = bytes.next() {
                    return Err(corrupt(garbage));
                }
                decoded.extend_from_slice(&join_digits(digits)[..count - 1]);
                return Ok(decoded);
            }
            None => return Err(corrupt(place)),
        }
        if count == 4 {
            decoded.extend_from_slice(&join_digits(digits));
            (digits, count) = ([0; 4], 0);
        }
    }
    // Padding is missing; Go counts back from the end, over line breaks too.
    if count > 0 { Err(corrupt(text.len() - count)) } else { Ok(decoded) }
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn join_digits(digits: [u8; 4]) -> [u8; 3] {
    let [a, b, c, d] = digits;
    [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]
}

/// `base32.StdEncoding.DecodeString`, as lenient as Go's.
fn decode_base32(text: &[u8]) -> Result<Vec<u8>, String> {
    let corrupt = |place: usize| format!("illegal base32 data at input byte {place}");
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let mut decoded = Vec::with_capacity(text.len() / 8 * 5);
    for (index, group) in text.chunks(8).enumerate() {
        let start = index * 8;
        let mut bits = 0_u64;
        let mut digits = 0;
        for byte in group {
            // Padding ends the text, whatever follows it; so it must begin among the last eight bytes.
            let may_pad = digits >= 2 && text.len() - start - digits <= 8;
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'2'..=b'7' => byte - b'2' + 26,
                b'=' if may_pad => break,
                _ => return Err(corrupt(start + digits)),
            };
            bits = bits << 5 | u64::from(digit);
            digits += 1;
        }
        if digits < 8 {
            match group[digits..].iter().position(|byte| *byte != b'=') {
                _ if group.len() == digits => return Err(corrupt(start)),
                _ if group.len() < 8 => return Err(corrupt(text.len())),
                Some(bad) => return Err(corrupt(start + digits + bad - 1)),
                None if matches!(digits, 3 | 6) => return Err(corrupt(start + digits)),
                None => {}
            }
        }
        bits <<= 5 * (8 - digits);
        decoded.extend_from_slice(&bits.to_be_bytes()[3..3 + digits * 5 / 8]);
        if digits < 8 {
            break;
        }
    }
    Ok(decoded)
}

pub(super) fn sha1sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha1::Sha1::digest(bytes))
}

pub(super) fn sha256sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

pub(super) fn sha512sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha2::Sha512::digest(bytes))
}

pub(super) fn adler32sum(bytes: &[u8]) -> String {
    adler2::adler32_slice(bytes).to_string()
}
