//! Go's view of text: strings are bytes, read as runes where a function asks for characters.
//!
//! A byte that is not part of valid UTF-8 reads as U+FFFD of width one. Case mapping is one rune to one rune
//! (`ß` has no upper case here), as in Go's `unicode` package.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

use crate::value::unicode;

/// The runes of a Go string with their widths in bytes.
pub(super) fn runes(text: &[u8]) -> impl Iterator<Item = (char, usize)> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (rune, width) = decode(rest)?;
        rest = &rest[width..];
        Some((rune, width))
    })
}

/// The first rune and its width; `None` at the end of the text.
pub(super) fn decode(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let width = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Some((char::REPLACEMENT_CHARACTER, 1)),
    };
    let rune = text.get(..width).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|s| s.chars().next());
    Some(rune.map_or((char::REPLACEMENT_CHARACTER, 1), |rune| (rune, width)))
}

/// Whether the rune was an invalid byte.
pub(super) fn is_invalid((rune, width): (char, usize)) -> bool {
    rune == char::REPLACEMENT_CHARACTER && width == 1
}

/// Every rune replaced by another; invalid bytes become U+FFFD.
pub(super) fn map(text: &[u8], mapping: impl FnMut(char) -> char) -> Vec<u8> {
    encode(runes(text).map(|(rune, _)| rune).map(mapping))
}

/// The runes as UTF-8.
pub(super) fn encode(runes: impl Iterator<Item = char>) -> Vec<u8> {
    runes.collect::<String>().into_bytes()
}

/// `unicode.ToUpper`.
pub(super) fn to_upper(rune: char) -> char {
    known(
        rune,
        single(rune.to_uppercase()).unwrap_or(match rune {
            // Greek with iota subscript: full mapping spells the iota out, simple mapping takes the title form.
            '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => offset(rune, 8),
            '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => offset(rune, 9),
            _ => rune,
        }),
    )
}

/// `unicode.ToLower`.
pub(super) fn to_lower(rune: char) -> char {
    // The only rune whose full mapping is longer than the simple one.
    known(rune, single(rune.to_lowercase()).unwrap_or(if rune == '\u{130}' { 'i' } else { rune }))
}

/// `unicode.ToTitle`.
pub(super) fn to_title(rune: char) -> char {
    match rune {
        // Digraphs have a form with only the first letter capital.
        '\u{1C4}'..='\u{1C6}' => '\u{1C5}',
        '\u{1C7}'..='\u{1C9}' => '\u{1C8}',
        '\u{1CA}'..='\u{1CC}' => '\u{1CB}',
        '\u{1F1}'..='\u{1F3}' => '\u{1F2}',
        // Georgian has capitals but does not begin words with them.
        '\u{10D0}'..='\u{10FA}' | '\u{10FD}'..='\u{10FF}' => rune,
        _ => to_upper(rune),
    }
}

/// The mapped rune, or the rune itself where Go's Unicode, older than Rust's, does not have one of them yet.
fn known(rune: char, mapped: char) -> char {
    // What has case and is no letter: a combining iota, Roman numerals, circled letters.
    let is_letterlike = |rune| matches!(rune, '\u{345}' | '\u{2160}'..='\u{217F}' | '\u{24B6}'..='\u{24E9}');
    let is_known = |rune| is_letterlike(rune) || unicode::is_letter(rune);
    if is_known(rune) && is_known(mapped) { mapped } else { rune }
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next()?;
    mapped.next().is_none().then_some(first)
}

fn offset(rune: char, distance: u32) -> char {
    char::from_u32(rune as u32 + distance).unwrap_or(rune)
}

/// `unicode.IsSpace`.
pub(super) fn is_space(rune: char) -> bool {
    rune.is_whitespace()
}

/// A general category of Unicode.
pub(super) struct Category(LazyLock<ClassUnicode>);

pub(super) static NUMBER: Category = Category(LazyLock::new(|| class(r"\p{N}")));
pub(super) static PUNCTUATION: Category = Category(LazyLock::new(|| class(r"\p{P}")));
pub(super) static UPPER: Category = Category(LazyLock::new(|| class(r"\p{Lu}")));
pub(super) static LOWER: Category = Category(LazyLock::new(|| class(r"\p{Ll}")));
pub(super) static TITLE: Category = Category(LazyLock::new(|| class(r"\p{Lt}")));

impl Category {
    pub(super) fn contains(&self, rune: char) -> bool {
        self.0
            .ranges()
            .binary_search_by(|range| {
                if range.end() < rune {
                    std::cmp::Ordering::Less
                } else if range.start() > rune {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
    }
}

fn class(pattern: &str) -> ClassUnicode {
    let hir = regex_syntax::parse(pattern).expect("the categories named above exist");
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => class,
        kind => unreachable!("a category is a class of runes, not {kind:?}"),
    }
}
