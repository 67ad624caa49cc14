//! Regular expressions with the behaviour of Go's `regexp`: leftmost-first, on bytes, an invalid byte is U+FFFD.
//!
//! The syntax is read by [`super::re2`]; the search is `regex-automata`, linear in the text like Go's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::util::captures::Captures;

use super::limits::{TEXT_BYTES_MAX, spend_on_text};
use super::re2::{self, ErrorCode, SyntaxError};
use super::runes::{decode, is_invalid, runes};
use crate::template::func::{Fault, Host};
use crate::value::{ElementType, List, Value, strconv, unicode};

/// The size of a compiled pattern, in bytes; Go allows some 128 MiB.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// How many compiled patterns a thread keeps, and how large they may be together; charts use few, over and over. A
/// pattern that is searched with takes up to 4 MiB more.
const CACHED_PATTERNS_MAX: usize = 64;
const CACHED_BYTES_MAX: usize = 32 << 20;
/// A search may try every state of the pattern at every byte of the text. So many bytes of a compiled pattern cost as
/// much as one more reading of the text.
const COMPILED_BYTES_PER_READING: usize = 4 << 10;

/// So many bytes that are searched through cost one step.
const SEARCHED_BYTES_PER_STEP: usize = 256;

/// A compiled pattern.
struct Pattern {
    regex: meta::Regex,
    group_names: Vec<Option<String>>,
    is_empty: bool,
}

#[derive(Default)]
struct Cache {
    patterns: HashMap<Vec<u8>, Rc<Pattern>>,
    bytes: usize,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// A pattern to search this text with: the cost of both is taken.
fn compile(host: &dyn Host, pattern: &[u8], text: &[u8]) -> Result<Rc<Pattern>, CompileFailure> {
    let compiled = compiled(host, pattern)?;
    let readings = 1 + compiled.regex.memory_usage() / COMPILED_BYTES_PER_READING;
    spend_on_text(host, "a regular expression", Some(text.len()))?;
    host.spend((text.len().saturating_mul(readings) / SEARCHED_BYTES_PER_STEP) as u64)?;
    Ok(compiled)
}

fn compiled(host: &dyn Host, pattern: &[u8]) -> Result<Rc<Pattern>, CompileFailure> {
    if let Some(known) = CACHE.with_borrow(|cache| cache.patterns.get(pattern).cloned()) {
        return Ok(known);
    }
    // Compiling costs far more than reading.
    spend_on_text(host, "a regular expression", pattern.len().checked_mul(256))?;
    let syntax = re2::parse(pattern)?;
    let regex = build(&syntax, pattern)?;
    let compiled = Rc::new(Pattern { regex, group_names: syntax.group_names, is_empty: pattern.is_empty() });
    let bytes = pattern.len() + compiled.regex.memory_usage();
    CACHE.with_borrow_mut(|cache| {
        if cache.patterns.len() >= CACHED_PATTERNS_MAX || cache.bytes + bytes > CACHED_BYTES_MAX {
            *cache = Cache::default();
        }
        cache.bytes += bytes;
        cache.patterns.insert(pattern.to_vec(), compiled.clone());
    });
    Ok(compiled)
}

/// A pattern for other rooms, which match a few texts and have no budget to keep.
#[derive(Clone, Debug)]
pub struct Matcher(meta::Regex);

impl Matcher {
    /// # Errors
    /// What is wrong with the pattern, in Go's words.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let syntax = re2::parse(pattern.as_bytes()).map_err(|error| error.to_string())?;
        build(&syntax, pattern.as_bytes()).map(Matcher).map_err(|error| error.to_string())
    }

    /// Whether the pattern is found in a text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn build(syntax: &re2::Syntax, pattern: &[u8]) -> Result<meta::Regex, SyntaxError> {
    meta::Builder::new()
        .configure(meta::Config::new().nfa_size_limit(Some(COMPILED_BYTES_MAX)))
        .build_from_hir(&syntax.hir)
        .map_err(|_| SyntaxError { code: ErrorCode::Large, excerpt: pattern.to_vec() })
}

/// Why there is no compiled pattern.
enum CompileFailure {
    Syntax(SyntaxError),
    Fault(Fault),
}

impl From<SyntaxError> for CompileFailure {
    fn from(error: SyntaxError) -> Self {
        CompileFailure::Syntax(error)
    }
}

impl From<Fault> for CompileFailure {
    fn from(fault: Fault) -> Self {
        CompileFailure::Fault(fault)
    }
}

/// What a function does with a bad pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnBadPattern {
    /// `regexp.MustCompile`: the functions without `must` in their name panic.
    Panic,
    /// The functions with `must` return the error.
    Return,
}

impl OnBadPattern {
    fn fault(self, failure: CompileFailure, pattern: &[u8]) -> Fault {
        match (failure, self) {
            (CompileFailure::Fault(fault), _) => fault,
            (CompileFailure::Syntax(error), OnBadPattern::Return) => Fault::Failed(error.to_string()),
            (CompileFailure::Syntax(error), OnBadPattern::Panic) => {
                let quoted = if strconv::can_backquote(pattern) {
                    [b"`", pattern, b"`"].concat()
                } else {
                    strconv::quote(pattern)
                };
                Fault::Failed(format!("regexp: Compile({}): {error}", String::from_utf8_lossy(&quoted)))
            }
        }
    }
}

/// `regexMatch`: a bad pattern matches nothing.
pub(super) fn matches_or_false(host: &dyn Host, pattern: &[u8], text: &[u8]) -> Result<bool, Fault> {
    match compile(host, pattern, text) {
        Ok(pattern) => Ok(pattern.is_match(text)),
        Err(CompileFailure::Syntax(_)) => Ok(false),
        Err(CompileFailure::Fault(fault)) => Err(fault),
    }
}

/// `mustRegexMatch`
pub(super) fn matches(host: &dyn Host, pattern: &[u8], text: &[u8]) -> Result<bool, Fault> {
    let compiled = compile(host, pattern, text).map_err(|failure| OnBadPattern::Return.fault(failure, pattern))?;
    Ok(compiled.is_match(text))
}

/// The first match; empty if there is none.
pub(super) fn find(host: &dyn Host, on_bad: OnBadPattern, pattern: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
    let pattern = compile(host, pattern, text).map_err(|failure| on_bad.fault(failure, pattern))?;
    let found = pattern.find_all(host, text, 1)?;
    Ok(found.first().map_or(&[][..], |range| &text[range.clone()]).to_vec())
}

/// Up to `count` matches, all of them if negative; the nil list if there are none.
pub(super) fn find_all(
    host: &dyn Host,
    on_bad: OnBadPattern,
    pattern: &[u8],
    text: &[u8],
    count: i64,
) -> Result<List, Fault> {
    let pattern = compile(host, pattern, text).map_err(|failure| on_bad.fault(failure, pattern))?;
    let found = pattern.find_all(host, text, usize::try_from(count).unwrap_or(usize::MAX))?;
    if found.is_empty() {
        return Ok(List { element: ElementType::String, items: None });
    }
    Ok(string_list(found.into_iter().map(|range| &text[range])))
}

/// The text between matches, in at most `count` pieces, or any number if negative.
pub(super) fn split(
    host: &dyn Host,
    on_bad: OnBadPattern,
    pattern: &[u8],
    text: &[u8],
    count: i64,
) -> Result<List, Fault> {
    let pattern = compile(host, pattern, text).map_err(|failure| on_bad.fault(failure, pattern))?;
    let pieces_max = usize::try_from(count).unwrap_or(usize::MAX);
    if pieces_max == 0 {
        return Ok(List { element: ElementType::String, items: None });
    }
    if !pattern.is_empty && text.is_empty() {
        return Ok(string_list([text].into_iter()));
    }
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in pattern.find_all(host, text, pieces_max)? {
        if pieces.len() + 1 == pieces_max {
            break;
        }
        end = found.start;
        if found.end != 0 {
            pieces.push(&text[start..end]);
        }
        start = found.end;
    }
    if end != text.len() {
        pieces.push(&text[start..]);
    }
    Ok(string_list(pieces.into_iter()))
}

/// Replaces every match. In the replacement `$1`, `$name`, `${1}` stand for groups and `$$` for a dollar sign.
pub(super) fn replace_all(
    host: &dyn Host,
    on_bad: OnBadPattern,
    pattern: &[u8],
    text: &[u8],
    replacement: &[u8],
) -> Result<Vec<u8>, Fault> {
    let pattern = compile(host, pattern, text).map_err(|failure| on_bad.fault(failure, pattern))?;
    pattern.replace(host, text, |out, groups| pattern.expand(out, replacement, text, groups))
}

/// Replaces every match by the text as it is.
pub(super) fn replace_all_literal(
    host: &dyn Host,
    on_bad: OnBadPattern,
    pattern: &[u8],
    text: &[u8],
    replacement: &[u8],
) -> Result<Vec<u8>, Fault> {
    let pattern = compile(host, pattern, text).map_err(|failure| on_bad.fault(failure, pattern))?;
    pattern.replace(host, text, |out, _| out.extend_from_slice(replacement))
}

/// The text with everything escaped that means something in a pattern.
pub(super) fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    for byte in text {
        if b"\\.+*?()|[]{}^$".contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted
}

/// Takes the cost of the search for one match. It may look as far as the end of the text, each time.
fn spend_on_search(host: &dyn Host, bytes_ahead: usize) -> Result<(), Fault> {
    host.spend((bytes_ahead / SEARCHED_BYTES_PER_STEP) as u64)
}

fn string_list<'t>(texts: impl Iterator<Item = &'t [u8]>) -> List {
    List::typed(ElementType::String, texts.map(Value::string).collect())
}

/// The places of a match and of its groups; `None` for a group that took no part.
type Groups = Vec<Option<Range<usize>>>;

impl Pattern {
    fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(&Haystack::new(text).bytes)
    }

    /// Up to `count` matches. An empty one is left out right behind another.
    fn find_all(&self, host: &dyn Host, text: &[u8], count: usize) -> Result<Vec<Range<usize>>, Fault> {
        let haystack = Haystack::new(text);
        let mut found = Vec::new();
        let mut position = 0;
        let mut previous_end = None;
        while found.len() < count && position <= haystack.bytes.len() {
            spend_on_search(host, haystack.bytes.len() - position)?;
            let Some(range) = self.regex.search(&Input::new(&haystack.bytes).range(position..)) else { break };
            let range = range.range();
            let is_accepted = range.end != position || previous_end != Some(range.start);
            position = if range.end == position { haystack.next(position) } else { range.end };
            previous_end = Some(range.end);
            if is_accepted {
                found.push(haystack.origin(range));
            }
        }
        Ok(found)
    }

    fn replace(
        &self,
        host: &dyn Host,
        text: &[u8],
        mut replace: impl FnMut(&mut Vec<u8>, &Groups),
    ) -> Result<Vec<u8>, Fault> {
        let haystack = Haystack::new(text);
        let mut captures = self.regex.create_captures();
        let mut out = Vec::new();
        let (mut position, mut last_end) = (0, 0);
        while position <= haystack.bytes.len() {
            spend_on_search(host, haystack.bytes.len() - position)?;
            self.regex.search_captures(&Input::new(&haystack.bytes).range(position..), &mut captures);
            let Some(range) = captures.get_match().map(|found| found.range()) else { break };
            out.extend_from_slice(&text[haystack.origin(last_end..range.start)]);
            if range.end > last_end || range.start == 0 {
                replace(&mut out, &haystack.groups(&captures));
            }
            last_end = range.end;
            position = haystack.next(position).max(range.end);
            if out.len() > TEXT_BYTES_MAX {
                spend_on_text(host, "regexReplaceAll", Some(out.len()))?;
            }
        }
        out.extend_from_slice(&text[haystack.origin(last_end..haystack.bytes.len())]);
        spend_on_text(host, "regexReplaceAll", Some(out.len()))?;
        Ok(out)
    }

    /// Writes the replacement with the groups put in.
    fn expand(&self, out: &mut Vec<u8>, replacement: &[u8], text: &[u8], groups: &Groups) {
        let mut rest = replacement;
        while let Some(dollar) = rest.iter().position(|b| *b == b'$') {
            if out.len() > TEXT_BYTES_MAX {
                // The caller refuses what is longer.
                return;
            }
            out.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(behind) = rest.strip_prefix(b"$") {
                out.push(b'$');
                rest = behind;
                continue;
            }
            let Some((name, behind)) = group_name(rest) else {
                out.push(b'$');
                continue;
            };
            rest = behind;
            let group = match group_number(name) {
                Some(number) => groups.get(number).cloned().flatten(),
                None => self.group_names.iter().zip(groups).find_map(|(known, group)| {
                    let is_meant = known.as_ref().is_some_and(|known| known.as_bytes() == name);
                    group.clone().filter(|_| is_meant)
                }),
            };
            out.extend_from_slice(group.map_or(&[][..], |range| &text[range]));
        }
        out.extend_from_slice(rest);
    }
}

/// The name after a dollar sign, as long as it can be or within braces, and what follows.
fn group_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let in_braces = text.strip_prefix(b"{");
    let text = in_braces.unwrap_or(text);
    let is_name = |rune: char| rune == '_' || unicode::is_letter(rune) || unicode::is_digit(rune);
    let length = runes(text).take_while(|(rune, _)| is_name(*rune)).map(|(_, width)| width).sum();
    let (name, rest) = text.split_at(length);
    let rest = if in_braces.is_some() { rest.strip_prefix(b"}")? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// The number of a group, if the name is one.
fn group_number(name: &[u8]) -> Option<usize> {
    let is_number = name.iter().all(u8::is_ascii_digit) && (name.len() == 1 || name[0] != b'0') && name.len() <= 9;
    if is_number { std::str::from_utf8(name).ok()?.parse().ok() } else { None }
}

/// A text made valid UTF-8 for the search, with the way back to the places in the original.
struct Haystack<'t> {
    bytes: std::borrow::Cow<'t, [u8]>,
    /// For each place in `bytes` the place in the original; `None` when both are the same.
    places: Option<Vec<usize>>,
}

impl<'t> Haystack<'t> {
    fn new(text: &'t [u8]) -> Self {
        if std::str::from_utf8(text).is_ok() {
            return Haystack { bytes: text.into(), places: None };
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len());
        let mut place = 0;
        for decoded in runes(text) {
            let before = bytes.len();
            if is_invalid(decoded) {
                bytes.extend_from_slice(char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                bytes.extend_from_slice(&text[place..place + decoded.1]);
            }
            places.resize(places.len() + bytes.len() - before, place);
            place += decoded.1;
        }
        places.push(place);
        Haystack { bytes: bytes.into(), places: Some(places) }
    }

    fn origin(&self, range: Range<usize>) -> Range<usize> {
        match &self.places {
            Some(places) => places[range.start]..places[range.end],
            None => range,
        }
    }

    fn groups(&self, captures: &Captures) -> Groups {
        captures.iter().map(|group| group.map(|span| self.origin(span.range()))).collect()
    }

    /// The place behind the character here; behind the end, one more.
    fn next(&self, position: usize) -> usize {
        position + decode(&self.bytes[position..]).map_or(1, |(_, width)| width)
    }
}
