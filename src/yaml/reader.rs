//! Bytes to text: byte order marks, UTF-16, and the characters YAML does not allow.

use std::borrow::Cow;

use super::error::Error;

/// go-yaml reads this many bytes at a time and looks for bad characters only when it needs the next piece, so an
/// earlier grammar error is reported first. The same pieces are kept here.
const PIECE_BYTES: usize = 512;

const CONTROL: &str = "control characters are not allowed";

/// The readable part of a stream, and what stopped the reading if something did.
pub(super) struct Input<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) fault: Option<Error>,
}

/// Decodes a stream of UTF-8, or of UTF-16 where a byte order mark says so.
pub(super) fn read(bytes: &[u8]) -> Input<'_> {
    match bytes {
        [0xff, 0xfe, ..] => read_utf16(bytes, u16::from_le_bytes),
        [0xfe, 0xff, ..] => read_utf16(bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => read_utf8(bytes, 3),
        _ => read_utf8(bytes, 0),
    }
}

fn read_utf8(bytes: &[u8], mark_size: usize) -> Input<'_> {
    let body = &bytes[mark_size..];
    let (valid, is_whole) = match std::str::from_utf8(body) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = std::str::from_utf8(&body[..error.valid_up_to()]);
            (valid.expect("from_utf8 said that it is valid up to here"), false)
        }
    };
    let (offset, problem) = match first_control(valid.as_bytes()) {
        Some(offset) => (offset, CONTROL),
        None if is_whole => return Input { text: Cow::Borrowed(valid), fault: None },
        None => (valid.len(), utf8_problem(&body[valid.len()..])),
    };
    // A character cut off at the end of the stream is noticed only when nothing else is left to read.
    let readable = if problem == INCOMPLETE {
        offset
    } else {
        let end = mark_size + offset + width(body[offset]);
        piece_start(bytes, end).saturating_sub(mark_size)
    };
    let line = valid[..offset].bytes().filter(|byte| *byte == b'\n').count();
    Input { text: Cow::Borrowed(&valid[..readable]), fault: Some(Error::plain(Some(line), problem)) }
}

const INCOMPLETE: &str = "incomplete UTF-8 octet sequence";

/// How many bytes a character takes that begins with this one; 1 for a byte that begins none.
fn width(lead: u8) -> usize {
    match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

/// What is wrong with the first character of the rest.
fn utf8_problem(rest: &[u8]) -> &'static str {
    let (smallest, lead) = match (width(rest[0]), rest[0]) {
        (2, lead) => (0x80, lead & 0x1f),
        (3, lead) => (0x800, lead & 0x0f),
        (4, lead) => (0x10000, lead & 0x07),
        _ => return "invalid leading UTF-8 octet",
    };
    let Some(tail) = rest.get(1..width(rest[0])) else { return INCOMPLETE };
    if tail.iter().any(|byte| byte & 0xc0 != 0x80) {
        return "invalid trailing UTF-8 octet";
    }
    let code_point = tail.iter().fold(u32::from(lead), |n, byte| n << 6 | u32::from(byte & 0x3f));
    if code_point < smallest { "invalid length of a UTF-8 sequence" } else { "invalid Unicode character" }
}

/// Where the piece begins that holds the character that ends at `end`. A piece holds whole characters only: what is
/// left of the last one goes into the next piece.
fn piece_start(bytes: &[u8], end: usize) -> usize {
    let mut start = 0;
    while end > start + PIECE_BYTES {
        start += PIECE_BYTES;
        let is_cut = |back: usize| width(bytes[start - back]) > back;
        start -= (1..4).find(|back| is_cut(*back)).unwrap_or(0);
    }
    start
}

/// The offset of the first character that YAML does not allow, in valid UTF-8.
fn first_control(text: &[u8]) -> Option<usize> {
    // Nearly every text is fine as a whole, and this loop looks at many bytes at a time.
    let is_suspect =
        |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r') || matches!(byte, 0x7f | 0xc2 | 0xef);
    if !text.iter().fold(false, |is_found, byte| is_found | is_suspect(*byte)) {
        return None;
    }
    text.iter().enumerate().position(|(at, byte)| match byte {
        b' '..=b'~' | b'\t' | b'\n' | b'\r' => false,
        0..=0x1f | 0x7f => true,
        0xc2 => text[at + 1] < 0xa0 && text[at + 1] != 0x85,
        0xef => text[at + 1] == 0xbf && text[at + 2] >= 0xbe,
        _ => false,
    })
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

fn read_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Input<'static> {
    const MARK_SIZE: usize = 2;
    let mut text = String::with_capacity(bytes.len());
    let (mut piece_end, mut piece_text_start) = (PIECE_BYTES, 0);
    let mut offset = MARK_SIZE;
    let problem = loop {
        let unit_at = |at: usize| bytes.get(at..at + 2).map(|pair| unit([pair[0], pair[1]]));
        let Some(first) = unit_at(offset) else {
            break (offset < bytes.len()).then_some("incomplete UTF-16 character");
        };
        let width = if first & 0xfc00 == 0xd800 { 4 } else { 2 };
        if offset + width > piece_end {
            piece_end = offset + PIECE_BYTES;
            piece_text_start = text.len();
        }
        let mut units = [first, 0];
        if width == 4 {
            match unit_at(offset + 2) {
                None => break Some("incomplete UTF-16 surrogate pair"),
                Some(second) if second & 0xfc00 != 0xdc00 => break Some("expected low surrogate area"),
                Some(second) => units[1] = second,
            }
        }
        match char::decode_utf16(units[..width / 2].iter().copied()).next() {
            Some(Ok(c)) if is_allowed(c) => text.push(c),
            Some(Ok(_)) => break Some(CONTROL),
            _ => break Some("unexpected low surrogate area"),
        }
        offset += width;
    };
    let fault = problem.map(|problem| {
        let line = text.bytes().filter(|byte| *byte == b'\n').count();
        if !problem.starts_with("incomplete") {
            text.truncate(piece_text_start);
        }
        Error::plain(Some(line), problem)
    });
    Input { text: Cow::Owned(text), fault }
}
