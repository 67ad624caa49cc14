//! PEM as Go's `encoding/pem` writes and reads it.

use super::encoding::{b64enc, decode_base64};
use super::strings::{find, trim};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Base64 characters in a line.
const LINE: usize = 64;

/// A block that was read.
pub(super) struct Block {
    /// `CERTIFICATE`, `RSA PRIVATE KEY`…
    pub(super) label: String,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn encode(label: &str, bytes: &[u8]) -> String {
    let encoded = b64enc(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The first whole block of a text. Blocks that are broken are passed over.
pub(super) fn decode(text: &[u8]) -> Option<Block> {
    let mut rest = text;
    loop {
        let end = find(rest, END)?;
        let behind = &rest[end + END.len()..];
        // The last beginning before this end: earlier ones lack theirs.
        let begin = rest[..end].windows(BEGIN.len()).rposition(|window| window == BEGIN);
        let at_line_start = |begin: &usize| *begin == 0 || rest[begin - 1] == b'\n';
        if let Some(begin) = begin.filter(at_line_start)
            && let Some(block) = block(&rest[begin + BEGIN.len()..end], behind)
        {
            return Some(block);
        }
        rest = behind;
    }
}

/// A block of what stands between `BEGIN` and `END`, and of what follows the latter.
fn block(inner: &[u8], trailer: &[u8]) -> Option<Block> {
    let (first_line, mut body) = split_line(inner)?;
    let label = first_line.strip_suffix(DASHES)?;
    let behind = trailer.strip_prefix(label)?.strip_prefix(DASHES)?;
    let end_of_line = behind.iter().position(|b| *b == b'\n').unwrap_or(behind.len());
    if !trim(&behind[..end_of_line]).is_empty() {
        return None;
    }
    while let Some((_, next)) = split_line(body).filter(|(line, _)| line.contains(&b':')) {
        body = next;
    }
    // The end must begin a line of its own.
    if !body.is_empty() && !body.ends_with(b"\n") {
        return None;
    }
    let data: Vec<u8> = body.iter().copied().filter(|b| !matches!(b, b' ' | b'\t')).collect();
    let label = String::from_utf8_lossy(label).into_owned();
    decode_base64(&data).ok().map(|bytes| Block { label, bytes })
}

/// The first line without what ends it, and the rest.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|b| *b == b'\n')?;
    Some((text[..end].trim_ascii_end(), &text[end + 1..]))
}
