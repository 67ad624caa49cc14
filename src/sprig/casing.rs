//! `snakecase`, `kebabcase` and `camelcase`: words found in identifiers.
//!
//! What counts as a word follows huandu/xstrings v1.5.0: `HTTPServer` is `HTTP` and `Server`, a number belongs to
//! the word before it (`bld4_floor`) unless lower-case letters follow it (`http_2xx`).

use super::runes::{self, NUMBER, PUNCTUATION, UPPER, decode, is_space, to_lower, to_upper};
use crate::value::unicode::is_letter;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The end of the text, or nothing but invalid bytes up to it.
    Nothing,
    Number,
    /// Letters that start in upper case.
    Capital,
    /// Letters that start in lower case.
    Lower,
    Connector,
    Punctuation,
    Other,
}

/// A piece of the text and what it is made of.
#[derive(Clone, Copy)]
struct Word<'t> {
    kind: Kind,
    text: &'t [u8],
}

/// The words in lower case, joined by the connector.
pub(super) fn connected(connector: char, text: &[u8]) -> Vec<u8> {
    let mut writer = Writer { connector, out: Vec::with_capacity(text.len() + 8) };
    let mut words = Words { rest: text };
    let mut word = words.next_word();
    while !words.rest.is_empty() {
        if word.kind != Kind::Connector {
            writer.word(word);
        }
        let previous = word;
        word = words.next_word();
        match previous.kind {
            Kind::Punctuation => {}
            Kind::Connector => writer.word(previous),
            Kind::Number => word = writer.rest_of_numbered(word, &mut words),
            Kind::Nothing | Kind::Capital | Kind::Lower | Kind::Other => {
                word = writer.after_letters(word, &mut words);
            }
        }
    }
    writer.word(word);
    writer.out
}

struct Writer {
    connector: char,
    out: Vec<u8>,
}

impl Writer {
    fn push(&mut self, rune: char) {
        self.out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn word(&mut self, word: Word<'_>) {
        if !matches!(word.kind, Kind::Capital | Kind::Connector) {
            self.out.extend_from_slice(word.text);
            return;
        }
        for (rune, _) in runes::runes(word.text) {
            self.push(if is_connector(rune) {
                self.connector
            } else if UPPER.contains(rune) {
                to_lower(rune)
            } else {
                rune
            });
        }
    }

    /// Connects with the word that follows, where one does.
    fn connect_to(&mut self, next: Word<'_>) {
        if !matches!(next.kind, Kind::Connector | Kind::Punctuation) {
            self.push(self.connector);
        }
    }

    /// After a number: lower-case letters and numbers belong to it. The word after those.
    fn rest_of_numbered<'t>(&mut self, mut word: Word<'t>, words: &mut Words<'t>) -> Word<'t> {
        while matches!(word.kind, Kind::Lower | Kind::Number) {
            self.word(word);
            word = words.next_word();
        }
        if word.kind != Kind::Nothing {
            self.connect_to(word);
        }
        word
    }

    /// After a word of letters. The word that is to be written next.
    fn after_letters<'t>(&mut self, word: Word<'t>, words: &mut Words<'t>) -> Word<'t> {
        if word.kind != Kind::Number {
            self.connect_to(word);
            return word;
        }
        if words.rest.is_empty() {
            return word;
        }
        let number = word;
        let word = words.next_word();
        if word.kind == Kind::Lower {
            // `HTTP2xx` is `http_2xx`.
            self.push(self.connector);
            self.word(number);
            return self.rest_of_numbered(word, words);
        }
        // `Bld4Floor` is `bld4_floor`.
        self.word(number);
        self.connect_to(word);
        word
    }
}

struct Words<'t> {
    rest: &'t [u8],
}

impl<'t> Words<'t> {
    fn next_word(&mut self) -> Word<'t> {
        let mut end = 0;
        let kind = match self.valid_rune(0) {
            None => {
                end = self.rest.len();
                Kind::Nothing
            }
            Some((rune, width)) => {
                end += width;
                self.word_from(rune, &mut end)
            }
        };
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Word { kind, text }
    }

    /// The first valid rune at or after the position, and the width up to its end.
    fn valid_rune(&self, position: usize) -> Option<(char, usize)> {
        let mut passed = 0;
        for (rune, width) in runes::runes(&self.rest[position..]) {
            passed += width;
            if rune != char::REPLACEMENT_CHARACTER {
                return Some((rune, passed));
            }
        }
        None
    }

    /// The kind of the word that begins with this rune; moves `end` behind it.
    fn word_from(&self, first: char, end: &mut usize) -> Kind {
        if is_connector(first) {
            self.extend(end, first, is_connector);
            Kind::Connector
        } else if PUNCTUATION.contains(first) {
            self.extend(end, first, |rune| PUNCTUATION.contains(rune));
            Kind::Punctuation
        } else if UPPER.contains(first) {
            self.extend_capital(end, first);
            Kind::Capital
        } else if is_alphabet(first) {
            self.extend(end, first, is_lower_alphabet);
            Kind::Lower
        } else if NUMBER.contains(first) {
            self.extend(end, first, |rune| NUMBER.contains(rune));
            Kind::Number
        } else {
            let is_other = |rune: char| {
                !is_connector(rune) && !is_alphabet(rune) && !NUMBER.contains(rune) && !PUNCTUATION.contains(rune)
            };
            self.extend(end, first, is_other);
            Kind::Other
        }
    }

    /// `Server` is one word, so is `HTTP`; in `HTTPServer` the `S` begins the next one.
    fn extend_capital(&self, end: &mut usize, first: char) {
        let Some((second, _)) = self.rune_or(*end, first) else { return };
        if !UPPER.contains(second) {
            self.extend(end, first, is_lower_alphabet);
            return;
        }
        let mut before_last = *end;
        let mut last = first;
        while let Some((rune, width)) = self.rune_or(*end, last) {
            if !UPPER.contains(rune) {
                if is_alphabet(rune) {
                    *end = before_last;
                }
                return;
            }
            before_last = *end;
            *end += width;
            last = rune;
        }
    }

    /// Moves `end` behind the runes that belong.
    fn extend(&self, end: &mut usize, first: char, belongs: impl Fn(char) -> bool) {
        let mut last = first;
        while let Some((rune, width)) = self.rune_or(*end, last).filter(|(rune, _)| belongs(*rune)) {
            *end += width;
            last = rune;
        }
    }

    /// The rune at a position; invalid bytes at the end of the text count as one more of the last rune.
    fn rune_or(&self, position: usize, last: char) -> Option<(char, usize)> {
        let left = self.rest.len() - position;
        (left > 0).then(|| self.valid_rune(position).unwrap_or((last, left)))
    }
}

/// Words in title case without connectors (`FooBar`); connectors at both ends and doubled ones stay.
pub(super) fn pascal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut push = |rune: char| out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
    let mut rest = text;
    let mut previous = None;
    // Lowers the tail of a word that began in upper case, until its first other rune.
    let mut in_capitals = false;
    while let Some((rune, width)) = decode(rest) {
        rest = &rest[width..];
        if !is_connector(rune) {
            in_capitals = UPPER.contains(rune);
            previous = Some(to_upper(rune));
            break;
        }
        push(rune);
    }
    let Some(mut previous) = previous else {
        // Nothing but connectors: the original writes the last one twice.
        out.extend_from_slice(&text[text.len() - runes::runes(text).last().map_or(0, |(_, width)| width)..]);
        return out;
    };
    for (rune, _) in runes::runes(rest) {
        let mut current = rune;
        if is_connector(previous) && is_connector(rune) {
            push(previous);
        } else if is_connector(previous) {
            in_capitals = UPPER.contains(rune);
            current = to_upper(rune);
        } else {
            if in_capitals {
                in_capitals = UPPER.contains(rune);
                current = if in_capitals { to_lower(rune) } else { rune };
            }
            push(previous);
        }
        previous = current;
    }
    push(previous);
    out
}

fn is_connector(rune: char) -> bool {
    rune == '-' || rune == '_' || is_space(rune)
}

/// Letters, without Chinese characters: these have no case and make no words.
fn is_alphabet(rune: char) -> bool {
    const CHINESE: [std::ops::RangeInclusive<char>; 3] =
        ['\u{4E00}'..='\u{9FCC}', '\u{3400}'..='\u{4D85}', '\u{20000}'..='\u{2B81D}'];
    is_letter(rune) && !CHINESE.iter().any(|range| range.contains(&rune))
}

fn is_lower_alphabet(rune: char) -> bool {
    is_alphabet(rune) && !UPPER.contains(rune)
}
