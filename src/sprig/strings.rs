//! Text functions. Go strings are bytes: `trunc`, `substr` and lengths count bytes and may cut a character in two.
//!
//! Semantics follow Sprig `strings.go`, Masterminds/goutils and Go's package `strings`.

use std::collections::HashSet;

use memchr::memmem;

use super::limits::{spend_on_items, spend_on_text};
use super::runes::{self, LOWER, TITLE, UPPER, decode, is_space, to_lower, to_title, to_upper};
use crate::template::func::{Fault, Host, spend_on_printing};
use crate::value::{ElementType, Entries, List, Map, MapType, Str, Value, fmt, strconv, unicode};

/// The text of a value: strings and bytes as they are, all else as `fmt` prints it.
pub(super) fn strval(value: &Value) -> Str {
    match value {
        Value::Str(text) => text.clone(),
        Value::Bytes(bytes) => Str::from(&bytes[..]),
        other => printed(other),
    }
}

/// The value as `%v` prints it.
pub(super) fn printed(value: &Value) -> Str {
    match value {
        Value::Str(text) => text.clone(),
        other => Str::from(fmt::sprint(std::slice::from_ref(other))),
    }
}

pub(super) fn quote(values: &[Value]) -> Vec<u8> {
    let present = values.iter().filter(|value| !matches!(value, Value::Nil));
    let quoted: Vec<_> = present.map(|value| strconv::quote(strval(value).as_bytes())).collect();
    quoted.join(&b' ')
}

pub(super) fn squote(values: &[Value]) -> Vec<u8> {
    let present = values.iter().filter(|value| !matches!(value, Value::Nil));
    let quoted: Vec<_> = present.map(|value| [b"'", printed(value).as_bytes(), b"'"].concat()).collect();
    quoted.join(&b' ')
}

/// The values one after the other; spaces at both ends of the whole format are trimmed, those of the values stay.
pub(super) fn cat(values: &[Value]) -> Vec<u8> {
    let present = values.iter().filter(|value| !matches!(value, Value::Nil));
    let texts: Vec<_> = present.map(printed).collect();
    texts.iter().map(Str::as_bytes).collect::<Vec<_>>().join(&b' ')
}

pub(super) fn indent(host: &dyn Host, spaces: i64, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let spaces = usize::try_from(spaces).map_err(|_| "strings: negative Repeat count")?;
    let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
    let length = spaces.checked_mul(lines).and_then(|padding| padding.checked_add(text.len()));
    spend_on_text(host, "indent", length)?;
    let mut indented = Vec::with_capacity(length.unwrap_or_default());
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            indented.push(b'\n');
        }
        indented.resize(indented.len() + spaces, b' ');
        indented.extend_from_slice(line);
    }
    Ok(indented)
}

pub(super) fn nindent(host: &dyn Host, spaces: i64, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut indented = indent(host, spaces, text)?;
    indented.insert(0, b'\n');
    Ok(indented)
}

pub(super) fn repeat(host: &dyn Host, count: i64, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count")?;
    spend_on_text(host, "repeat", text.len().checked_mul(count))?;
    Ok(text.repeat(count))
}

/// Replaces every occurrence. An empty `old` stands before each rune and at the end.
pub(super) fn replace(host: &dyn Host, old: &[u8], new: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
    let occurrences = match old {
        [] => runes::runes(text).count() + 1,
        _ => memmem::find_iter(text, old).count(),
    };
    let length = occurrences.checked_mul(new.len()).and_then(|added| added.checked_add(text.len()));
    spend_on_text(host, "replace", length)?;
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    if old.is_empty() {
        replaced.extend_from_slice(new);
        while let Some((_, width)) = decode(rest) {
            replaced.extend_from_slice(&rest[..width]);
            replaced.extend_from_slice(new);
            rest = &rest[width..];
        }
        return Ok(replaced);
    }
    for at in memmem::find_iter(text, old) {
        let passed = text.len() - rest.len();
        replaced.extend_from_slice(&text[passed..at]);
        replaced.extend_from_slice(new);
        rest = &text[at + old.len()..];
    }
    replaced.extend_from_slice(rest);
    Ok(replaced)
}

/// `strings.Split`: an empty separator cuts between runes.
fn split_all<'t>(host: &dyn Host, separator: &[u8], text: &'t [u8]) -> Result<Vec<&'t [u8]>, Fault> {
    split_at_most(host, separator, usize::MAX, text)
}

/// `strings.SplitN`: the last piece is the rest.
fn split_at_most<'t>(
    host: &dyn Host,
    separator: &[u8],
    pieces_max: usize,
    text: &'t [u8],
) -> Result<Vec<&'t [u8]>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = text;
    if pieces_max == 0 {
        return Ok(pieces);
    }
    let separators = if separator.is_empty() { text.len() } else { memmem::find_iter(text, separator).count() };
    spend_on_items(host, "split", (separators + 1).min(pieces_max) as u128)?;
    while pieces.len() + 1 < pieces_max {
        let cut = if separator.is_empty() {
            decode(rest).map(|(_, width)| width).filter(|width| *width < rest.len())
        } else {
            find(rest, separator)
        };
        let Some(cut) = cut else { break };
        pieces.push(&rest[..cut]);
        rest = &rest[cut + separator.len()..];
    }
    if !(separator.is_empty() && rest.is_empty()) {
        pieces.push(rest);
    }
    Ok(pieces)
}

/// Where a needle that is not empty first occurs.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() { None } else { memmem::find(haystack, needle) }
}

pub(super) fn contains(needle: &[u8], haystack: &[u8]) -> bool {
    needle.is_empty() || find(haystack, needle).is_some()
}

/// `map[_0:a _1:b]`
pub(super) fn split(host: &dyn Host, separator: &[u8], text: &[u8]) -> Result<Map, Fault> {
    split_all(host, separator, text).map(numbered)
}

/// `strings.Split` as a list.
pub(super) fn split_list(host: &dyn Host, separator: &[u8], text: &[u8]) -> Result<Vec<Str>, Fault> {
    Ok(split_all(host, separator, text)?.into_iter().map(Str::from).collect())
}

pub(super) fn splitn(host: &dyn Host, separator: &[u8], pieces_max: i64, text: &[u8]) -> Result<Map, Fault> {
    // A negative count means all of them.
    split_at_most(host, separator, usize::try_from(pieces_max).unwrap_or(usize::MAX), text).map(numbered)
}

fn numbered(pieces: Vec<&[u8]>) -> Map {
    let entry = |(i, piece): (usize, &[u8])| (Str::from(format!("_{i}")), Value::string(piece));
    Map::typed(MapType::String, pieces.into_iter().enumerate().map(entry).collect::<Entries>())
}

/// The text of every element that is not nil. What is no list becomes a list of one, nil a list of none.
pub(super) fn to_strings(value: &Value) -> Vec<Str> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(list) => list.as_slice().iter().filter(|v| !matches!(v, Value::Nil)).map(strval).collect(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| Str::from(byte.to_string())).collect(),
        other => vec![strval(other)],
    }
}

/// `toStrings`: a `[]string` stays the list it is, nil too.
pub(super) fn string_list(value: &Value) -> List {
    match value {
        Value::List(list) if list.element == ElementType::String => list.clone(),
        other => List::typed(ElementType::String, to_strings(other).into_iter().map(Value::Str).collect()),
    }
}

pub(super) fn join(host: &dyn Host, separator: &[u8], value: &Value) -> Result<Vec<u8>, Fault> {
    spend_on_printing(host, "join", std::slice::from_ref(value))?;
    let texts = to_strings(value);
    let length = texts.len().checked_mul(separator.len());
    spend_on_text(host, "join", length.and_then(|n| n.checked_add(texts.iter().map(|t| t.as_bytes().len()).sum())))?;
    Ok(texts.iter().map(Str::as_bytes).collect::<Vec<_>>().join(separator))
}

pub(super) fn sort_alpha(value: &Value) -> Value {
    match value {
        // A nil slice of texts stays nil, which JSON tells.
        Value::List(List { element: ElementType::String, items: None }) => value.clone(),
        Value::List(_) | Value::Bytes(_) => {
            let mut texts = to_strings(value);
            texts.sort();
            Value::strings(texts)
        }
        other => Value::strings([strval(other)]),
    }
}

/// The first `count` bytes, or the last `-count`.
pub(super) fn trunc(count: i64, text: &[u8]) -> &[u8] {
    match usize::try_from(count) {
        Ok(count) => &text[..count.min(text.len())],
        Err(_) => {
            let from_end = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            &text[text.len().saturating_sub(from_end)..]
        }
    }
}

/// Bytes `start..end`. A negative start means from the beginning, a negative or too large end up to the end.
pub(super) fn substr(start: i64, end: i64, text: &[u8]) -> Result<&[u8], String> {
    let length = text.len();
    let end_index = usize::try_from(end).ok().filter(|end| *end <= length);
    let Ok(start_index) = usize::try_from(start) else {
        return end_index.map(|end| &text[..end]).ok_or_else(|| match end {
            ..0 => format!("runtime error: slice bounds out of range [:{end}]"),
            _ => format!("runtime error: slice bounds out of range [:{end}] with length {length}"),
        });
    };
    let end_index = end_index.unwrap_or(length);
    text.get(start_index..end_index)
        .ok_or_else(|| format!("runtime error: slice bounds out of range [{start}:{end_index}]"))
}

pub(super) fn abbrev(width: i64, text: &[u8]) -> Vec<u8> {
    if width < 4 { text.to_vec() } else { abbreviate(text, 0, width) }
}

pub(super) fn abbrevboth(left: i64, right: i64, text: &[u8]) -> Vec<u8> {
    if right < 4 || left > 0 && right < 7 { text.to_vec() } else { abbreviate(text, left, right) }
}

/// The text cut to `width` bytes with `...` for what was cut, such that the byte at `offset` stays visible.
fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let Ok(width) = usize::try_from(width) else { return text.to_vec() };
    if text.len() <= width {
        return text.to_vec();
    }
    let kept = width - 3;
    let offset = match (text.len() as i64).checked_sub(offset) {
        Some(_) => usize::try_from(offset).unwrap_or(0).min(text.len() - kept),
        // The original overflows here, and takes the offset for one beyond the end.
        None => text.len() - kept,
    };
    if offset <= 4 {
        return [&text[..kept], b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + kept < text.len() {
        // The middle of the text: both ends are cut. `width` is at least 7, so the inner width is at least 4.
        return [b"...", &abbreviate(&text[offset..], 0, kept as i64)[..]].concat();
    }
    [b"...", &text[text.len() - kept..]].concat()
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_runes(text, is_space)
}

/// Trims the runes of a set at both ends.
pub(super) fn trim_all<'t>(set: &[u8], text: &'t [u8]) -> &'t [u8] {
    let set: HashSet<char> = runes::runes(set).map(|(rune, _)| rune).collect();
    trim_runes(text, |rune| set.contains(&rune))
}

fn trim_runes(text: &[u8], is_trimmed: impl Fn(char) -> bool) -> &[u8] {
    let mut rest = text;
    while let Some((_, width)) = decode(rest).filter(|(rune, _)| is_trimmed(*rune)) {
        rest = &rest[width..];
    }
    while let Some((_, width)) = decode_last(rest).filter(|(rune, _)| is_trimmed(*rune)) {
        rest = &rest[..rest.len() - width];
    }
    rest
}

fn decode_last(text: &[u8]) -> Option<(char, usize)> {
    let last = |width: usize| decode(&text[text.len().checked_sub(width)?..]).filter(|(_, found)| *found == width);
    (2..=4)
        .find_map(last)
        .or_else(|| last(1))
        .or_else(|| (!text.is_empty()).then_some((char::REPLACEMENT_CHARACTER, 1)))
}

pub(super) fn trim_prefix<'t>(prefix: &[u8], text: &'t [u8]) -> &'t [u8] {
    text.strip_prefix(prefix).unwrap_or(text)
}

pub(super) fn trim_suffix<'t>(suffix: &[u8], text: &'t [u8]) -> &'t [u8] {
    text.strip_suffix(suffix).unwrap_or(text)
}

pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    runes::map(text, to_upper)
}

pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    runes::map(text, to_lower)
}

/// The first letter of each word in title case, the others as they are.
pub(super) fn title(text: &[u8]) -> Vec<u8> {
    let mut previous = ' ';
    runes::map(text, |rune| {
        let mapped = if separates_words(previous) { to_title(rune) } else { rune };
        previous = rune;
        mapped
    })
}

fn separates_words(rune: char) -> bool {
    if rune.is_ascii() {
        return !rune.is_ascii_alphanumeric() && rune != '_';
    }
    !unicode::is_letter(rune) && !unicode::is_digit(rune) && is_space(rune)
}

/// The first letter of each word in lower case.
pub(super) fn untitle(text: &[u8]) -> Vec<u8> {
    let mut at_word_start = true;
    runes::map(text, |rune| {
        if is_space(rune) {
            at_word_start = true;
            rune
        } else if std::mem::take(&mut at_word_start) {
            to_lower(rune)
        } else {
            rune
        }
    })
}

/// Upper to lower; lower to title at the start of a word, to upper elsewhere.
pub(super) fn swapcase(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    runes::map(text, |rune| {
        if UPPER.contains(rune) || TITLE.contains(rune) {
            after_space = false;
            to_lower(rune)
        } else if LOWER.contains(rune) {
            if std::mem::take(&mut after_space) { to_title(rune) } else { to_upper(rune) }
        } else {
            after_space = is_space(rune);
            rune
        }
    })
}

/// The text without white space. The original reads bytes as runes, so a text that has both white space and
/// characters beyond ASCII comes out as if it had been Latin-1.
pub(super) fn nospace(text: &[u8]) -> Vec<u8> {
    let kept: Vec<char> = latin1(text).filter(|rune| !is_space(*rune)).collect();
    if kept.len() == text.len() { text.to_vec() } else { runes::encode(kept.into_iter()) }
}

/// The first byte of each word, read as Latin-1 like the original.
pub(super) fn initials(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    runes::encode(latin1(text).filter(|rune| {
        let starts_word = after_space && !is_space(*rune);
        after_space = is_space(*rune);
        starts_word
    }))
}

fn latin1(text: &[u8]) -> impl Iterator<Item = char> + '_ {
    text.iter().map(|byte| char::from(*byte))
}

pub(super) fn plural<'t>(one: &'t [u8], many: &'t [u8], count: i64) -> &'t [u8] {
    if count == 1 { one } else { many }
}

/// Breaks at spaces into lines of at most `width` bytes; longer words stay whole.
pub(super) fn wrap(width: i64, text: &[u8]) -> Vec<u8> {
    wrap_words(width, b"", false, text)
}

/// As [`wrap`] with another line break; longer words are cut.
pub(super) fn wrap_with(host: &dyn Host, width: i64, line_break: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
    let lines_max = text.len() / usize::try_from(width).unwrap_or(1).max(1) + text.len().min(1);
    let breaks = text.iter().filter(|b| **b == b' ').count() + lines_max;
    spend_on_text(host, "wrapWith", breaks.checked_mul(line_break.len()).and_then(|n| n.checked_add(text.len())))?;
    Ok(wrap_words(width, line_break, true, text))
}

fn wrap_words(width: i64, line_break: &[u8], cut_long_words: bool, text: &[u8]) -> Vec<u8> {
    let line_break = if line_break.is_empty() { b"\n" } else { line_break };
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut wrapped = Vec::with_capacity(text.len());
    let mut rest = text;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let space_within = rest[..=width].iter().rposition(|b| *b == b' ');
        let space_after = || rest[width..].iter().position(|b| *b == b' ').map(|at| at + width);
        let (line, next) = match space_within {
            Some(space) => (space, space + 1),
            None if cut_long_words => (width, width),
            None => match space_after() {
                Some(space) => (space, space + 1),
                None => break,
            },
        };
        wrapped.extend_from_slice(&rest[..line]);
        wrapped.extend_from_slice(line_break);
        rest = &rest[next..];
    }
    wrapped.extend_from_slice(rest);
    wrapped
}
