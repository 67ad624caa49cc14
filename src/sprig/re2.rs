//! Reads the syntax of Go's regular expressions into the form that `regex-automata` compiles.
//!
//! Not Rust's syntax: `\d \w \s \b` are ASCII, `[a&&b]` and `[[a]` are plain sets, `a{,2}` is literal text, `\Q…\E`
//! quotes, `\123` is octal, `$` is the very end of the text, and no repetition exceeds 1000. Errors carry the words
//! of Go 1.26 `regexp/syntax`.

use std::fmt;

use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

use super::runes::{decode, is_invalid};

/// The most copies a repetition, or repetitions within each other, may ask for.
const REPEAT_MAX: u32 = 1000;
/// How deep an expression may nest. Go allows 1000; compiling takes more of the thread's stack here.
const HEIGHT_MAX: usize = 250;

/// A pattern that was read.
pub(super) struct Syntax {
    pub(super) hir: Hir,
    /// The names of the groups from number 0, the whole match, on. Go lets a name occur twice.
    pub(super) group_names: Vec<Option<String>>,
}

/// Why a pattern was not read; prints as Go's `*syntax.Error`.
#[derive(Debug, Clone)]
pub(super) struct SyntaxError {
    pub(super) code: ErrorCode,
    pub(super) excerpt: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ErrorCode {
    InvalidCharRange,
    InvalidEscape,
    InvalidNamedCapture,
    InvalidPerlOp,
    InvalidRepeatOp,
    InvalidRepeatSize,
    InvalidUtf8,
    MissingBracket,
    MissingParen,
    MissingRepeatArgument,
    TrailingBackslash,
    UnexpectedParen,
    NestingDepth,
    Large,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.code {
            ErrorCode::InvalidCharRange => "invalid character class range",
            ErrorCode::InvalidEscape => "invalid escape sequence",
            ErrorCode::InvalidNamedCapture => "invalid named capture",
            ErrorCode::InvalidPerlOp => "invalid or unsupported Perl syntax",
            ErrorCode::InvalidRepeatOp => "invalid nested repetition operator",
            ErrorCode::InvalidRepeatSize => "invalid repeat count",
            ErrorCode::InvalidUtf8 => "invalid UTF-8",
            ErrorCode::MissingBracket => "missing closing ]",
            ErrorCode::MissingParen => "missing closing )",
            ErrorCode::MissingRepeatArgument => "missing argument to repetition operator",
            ErrorCode::TrailingBackslash => "trailing backslash at end of expression",
            ErrorCode::UnexpectedParen => "unexpected )",
            ErrorCode::NestingDepth => "expression nests too deeply",
            ErrorCode::Large => "expression too large",
        };
        write!(f, "error parsing regexp: {code}: `{}`", String::from_utf8_lossy(&self.excerpt))
    }
}

type Parsed<T> = Result<T, SyntaxError>;

/// What `(?imsU)` sets.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
    swap_greed: bool,
}

/// A part of the expression with what the limits need to know of it.
struct Piece {
    hir: Hir,
    /// How many copies of its innermost part the repetitions in it ask for.
    copies: u32,
    height: usize,
}

/// An open group: the alternatives before the last bar, and what follows it.
struct Group {
    alternatives: Vec<Piece>,
    sequence: Vec<Piece>,
    /// The number of a capturing group.
    capture: Option<u32>,
    /// The flags to return to at its end.
    outer_flags: Flags,
}

struct Parser<'p> {
    pattern: &'p [u8],
    rest: &'p [u8],
    flags: Flags,
    group: Group,
    outer_groups: Vec<Group>,
    group_names: Vec<Option<String>>,
    /// Where the repetition began that ended just before `rest`.
    last_repeat: Option<&'p [u8]>,
}

/// Reads a pattern.
///
/// # Errors
/// As Go's `regexp.Compile`.
pub(super) fn parse(pattern: &[u8]) -> Parsed<Syntax> {
    let flags = Flags::default();
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags,
        group: Group::new(None, flags),
        outer_groups: Vec::new(),
        group_names: vec![None],
        last_repeat: None,
    };
    while !parser.rest.is_empty() {
        let repeated = parser.step()?;
        parser.last_repeat = repeated;
    }
    if !parser.outer_groups.is_empty() {
        return Err(error(ErrorCode::MissingParen, pattern));
    }
    let whole = parser.group.close();
    if whole.height > HEIGHT_MAX {
        return Err(error(ErrorCode::NestingDepth, pattern));
    }
    Ok(Syntax { hir: whole.hir, group_names: parser.group_names })
}

fn error(code: ErrorCode, excerpt: &[u8]) -> SyntaxError {
    SyntaxError { code, excerpt: excerpt.to_vec() }
}

impl Group {
    fn new(capture: Option<u32>, outer_flags: Flags) -> Group {
        Group { alternatives: Vec::new(), sequence: Vec::new(), capture, outer_flags }
    }

    /// Ends an alternative.
    fn bar(&mut self) {
        let sequence = std::mem::take(&mut self.sequence);
        self.alternatives.push(Piece::combine(sequence, Hir::concat));
    }

    /// The group's content.
    fn close(mut self) -> Piece {
        self.bar();
        Piece::combine(self.alternatives, Hir::alternation)
    }
}

impl Piece {
    fn leaf(hir: Hir) -> Piece {
        Piece { hir, copies: 1, height: 1 }
    }

    fn combine(mut pieces: Vec<Piece>, combine: fn(Vec<Hir>) -> Hir) -> Piece {
        if pieces.len() == 1 {
            return pieces.swap_remove(0);
        }
        let copies = pieces.iter().map(|piece| piece.copies).max().unwrap_or(1);
        let height = pieces.iter().map(|piece| piece.height).max().unwrap_or(0) + 1;
        Piece { hir: combine(pieces.into_iter().map(|piece| piece.hir).collect()), copies, height }
    }
}

impl<'p> Parser<'p> {
    /// Reads one item. Returns where it began if it was a repetition.
    fn step(&mut self) -> Parsed<Option<&'p [u8]>> {
        let start = self.rest;
        match start[0] {
            b'(' if start.get(1) == Some(&b'?') => self.perl_group()?,
            b'(' => {
                self.rest = &start[1..];
                self.open(None);
            }
            b'|' => {
                self.rest = &start[1..];
                self.group.bar();
            }
            b')' => self.close_group()?,
            b'^' => self.look(1, if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            b'$' => self.look(1, if self.flags.multi_line { Look::EndLF } else { Look::End }),
            b'.' => {
                self.rest = &start[1..];
                let mut class = ClassUnicode::empty();
                if !self.flags.dot_matches_newline {
                    class.push(ClassUnicodeRange::new('\n', '\n'));
                }
                class.negate();
                self.push_class(class);
            }
            b'[' => {
                let class = self.bracket_class()?;
                self.push_class(class);
            }
            b'*' | b'+' | b'?' => {
                let (min, max) = match start[0] {
                    b'*' => (0, None),
                    b'+' => (1, None),
                    _ => (0, Some(1)),
                };
                self.rest = &start[1..];
                self.repeat(start, min, max, false)?;
                return Ok(Some(start));
            }
            b'{' => {
                let Some((min, max, rest)) = counted_repeat(start) else {
                    self.rest = &start[1..];
                    self.push_literal('{');
                    return Ok(None);
                };
                self.rest = rest;
                let too_many = |count: u32| count > REPEAT_MAX;
                if too_many(min) || max.is_some_and(|max| too_many(max) || min > max) {
                    return Err(error(ErrorCode::InvalidRepeatSize, self.since(start)));
                }
                self.repeat(start, min, max, true)?;
                return Ok(Some(start));
            }
            b'\\' => self.escape()?,
            _ => {
                let rune = self.rune()?;
                self.push_literal(rune);
            }
        }
        Ok(None)
    }

    /// The text from an earlier position up to here.
    fn since(&self, start: &'p [u8]) -> &'p [u8] {
        &start[..start.len() - self.rest.len()]
    }

    /// The next character; at the end one that fits nothing, so that the reader of it complains in its own words.
    fn rune(&mut self) -> Parsed<char> {
        match decode(self.rest) {
            None => Ok(char::REPLACEMENT_CHARACTER),
            Some(decoded) if !is_invalid(decoded) => {
                self.rest = &self.rest[decoded.1..];
                Ok(decoded.0)
            }
            _ => Err(error(ErrorCode::InvalidUtf8, self.rest)),
        }
    }

    fn look(&mut self, width: usize, look: Look) {
        self.rest = &self.rest[width..];
        self.group.sequence.push(Piece::leaf(Hir::look(look)));
    }

    fn push_literal(&mut self, rune: char) {
        if self.flags.fold_case {
            let class = self.folded(ClassUnicode::new([ClassUnicodeRange::new(rune, rune)]));
            return self.push_class(class);
        }
        let literal = Hir::literal(rune.encode_utf8(&mut [0; 4]).as_bytes());
        self.group.sequence.push(Piece::leaf(literal));
    }

    fn push_class(&mut self, class: ClassUnicode) {
        self.group.sequence.push(Piece::leaf(Hir::class(Class::Unicode(class))));
    }

    fn folded(&self, mut class: ClassUnicode) -> ClassUnicode {
        if self.flags.fold_case {
            class.case_fold_simple();
        }
        class
    }

    fn open(&mut self, name: Option<String>) {
        let number = u32::try_from(self.group_names.len()).expect("a group takes two bytes of a short pattern");
        self.group_names.push(name);
        let group = Group::new(Some(number), self.flags);
        self.outer_groups.push(std::mem::replace(&mut self.group, group));
    }

    fn close_group(&mut self) -> Parsed<()> {
        let Some(outer) = self.outer_groups.pop() else {
            return Err(error(ErrorCode::UnexpectedParen, self.pattern));
        };
        self.rest = &self.rest[1..];
        let group = std::mem::replace(&mut self.group, outer);
        self.flags = group.outer_flags;
        let capture = group.capture;
        let mut piece = group.close();
        if let Some(index) = capture {
            piece.hir = Hir::capture(Capture { index, name: None, sub: Box::new(piece.hir) });
            piece.height += 1;
        }
        self.check_height(&piece)?;
        self.group.sequence.push(piece);
        Ok(())
    }

    fn check_height(&self, piece: &Piece) -> Parsed<()> {
        if piece.height > HEIGHT_MAX {
            return Err(error(ErrorCode::NestingDepth, self.pattern));
        }
        Ok(())
    }

    /// Repeats the last item of the sequence; `start` is where the operator began.
    fn repeat(&mut self, start: &'p [u8], min: u32, max: Option<u32>, counted: bool) -> Parsed<()> {
        let mut greedy = !self.flags.swap_greed;
        if let Some(rest) = self.rest.strip_prefix(b"?") {
            self.rest = rest;
            greedy = !greedy;
        }
        if let Some(last) = self.last_repeat {
            return Err(error(ErrorCode::InvalidRepeatOp, self.since(last)));
        }
        let Some(piece) = self.group.sequence.pop() else {
            return Err(error(ErrorCode::MissingRepeatArgument, self.since(start)));
        };
        let repeated = match max {
            _ if !counted => 1,
            Some(0) => 0,
            Some(max) => max,
            None => min.max(1),
        };
        let copies = if repeated == 0 { 1 } else { piece.copies.saturating_mul(repeated) };
        if counted && (min >= 2 || max.is_some_and(|max| max >= 2)) && copies > REPEAT_MAX {
            return Err(error(ErrorCode::InvalidRepeatSize, self.since(start)));
        }
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(piece.hir) });
        let piece = Piece { hir, copies, height: piece.height + 1 };
        self.check_height(&piece)?;
        self.group.sequence.push(piece);
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Parsed<()> {
        let start = self.rest;
        let name_start = match start {
            [_, _, b'P', b'<', _, ..] => Some(4),
            [_, _, b'<', _, ..] => Some(3),
            _ => None,
        };
        if let Some(name_start) = name_start {
            let Some(end) = start.iter().position(|b| *b == b'>') else {
                check_utf8(start)?;
                return Err(error(ErrorCode::InvalidNamedCapture, start));
            };
            let name = &start[name_start..end];
            check_utf8(name)?;
            if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                return Err(error(ErrorCode::InvalidNamedCapture, &start[..=end]));
            }
            self.rest = &start[end + 1..];
            self.open(Some(String::from_utf8_lossy(name).into_owned()));
            return Ok(());
        }
        self.rest = &start[2..];
        let mut flags = self.flags;
        let mut value = true;
        let mut saw_flag = false;
        while !self.rest.is_empty() {
            match self.rune()? {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_matches_newline = value,
                'U' => flags.swap_greed = value,
                '-' if value => {
                    value = false;
                    saw_flag = false;
                    continue;
                }
                end @ (':' | ')') if value || saw_flag => {
                    if end == ':' {
                        let group = Group::new(None, self.flags);
                        self.outer_groups.push(std::mem::replace(&mut self.group, group));
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(error(ErrorCode::InvalidPerlOp, self.since(start)))
    }

    fn escape(&mut self) -> Parsed<()> {
        let start = self.rest;
        match start.get(1) {
            Some(b'A') => self.look(2, Look::Start),
            Some(b'z') => self.look(2, Look::End),
            Some(b'b') => self.look(2, Look::WordAscii),
            Some(b'B') => self.look(2, Look::WordAsciiNegate),
            Some(b'C') => return Err(error(ErrorCode::InvalidEscape, &start[..2])),
            Some(b'Q') => {
                let quoted = &start[2..];
                let end = super::strings::find(quoted, b"\\E");
                let behind = end.map_or(&[][..], |end| &quoted[end + 2..]);
                self.rest = &quoted[..end.unwrap_or(quoted.len())];
                while !self.rest.is_empty() {
                    let rune = self.rune()?;
                    self.push_literal(rune);
                }
                self.rest = behind;
            }
            _ => {
                let mut class = ClassUnicode::empty();
                if self.class_escape(&mut class)? {
                    self.push_class(class);
                } else if let Some(rune) = self.character_escape()? {
                    self.push_literal(rune);
                } else {
                    self.group.sequence.push(Piece::leaf(Hir::fail()));
                }
            }
        }
        Ok(())
    }

    /// Adds `\d`, `\pL` and their like to the class, if one is here.
    fn class_escape(&mut self, class: &mut ClassUnicode) -> Parsed<bool> {
        let start = self.rest;
        let [b'\\', letter, ..] = start else { return Ok(false) };
        let ranges: &[(u8, u8)] = match letter.to_ascii_lowercase() {
            b'd' => &[(b'0', b'9')],
            b's' => &[(b'\t', b'\n'), (b'\x0c', b'\r'), (b' ', b' ')],
            b'w' => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
            b'p' => {
                self.unicode_class(class)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.rest = &start[2..];
        self.add(class, ascii_class(ranges), letter.is_ascii_uppercase());
        Ok(true)
    }

    /// Adds one class to another, folded and negated as asked.
    fn add(&self, class: &mut ClassUnicode, added: ClassUnicode, negated: bool) {
        let mut added = self.folded(added);
        if negated {
            added.negate();
        }
        class.union(&added);
    }

    /// `\pL`, `\p{Greek}`, `\P{^Lu}`.
    fn unicode_class(&mut self, class: &mut ClassUnicode) -> Parsed<()> {
        let start = self.rest;
        let mut negated = start[1] == b'P';
        self.rest = &start[2..];
        let mut name = if self.rune()? == '{' {
            let Some(end) = start.iter().position(|b| *b == b'}') else {
                check_utf8(start)?;
                return Err(error(ErrorCode::InvalidCharRange, start));
            };
            self.rest = &start[end + 1..];
            check_utf8(&start[3..end])?;
            &start[3..end]
        } else {
            &self.since(start)[2..]
        };
        if let Some(inner) = name.strip_prefix(b"^") {
            negated = !negated;
            name = inner;
        }
        let named = named_unicode_class(name).ok_or_else(|| error(ErrorCode::InvalidCharRange, self.since(start)))?;
        self.add(class, named, negated);
        Ok(())
    }

    /// `\n`, `\x41`, `\x{1F600}`, `\101`, `\.`. `None` is a surrogate, which no text contains.
    fn character_escape(&mut self) -> Parsed<Option<char>> {
        let start = self.rest;
        self.rest = &start[1..];
        if self.rest.is_empty() {
            return Err(error(ErrorCode::TrailingBackslash, b""));
        }
        let rune = self.rune()?;
        let code_point = match rune {
            '1'..='7' if !matches!(self.rest.first(), Some(b'0'..=b'7')) => None,
            '0'..='7' => {
                let mut code_point = rune as u32 - u32::from(b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.rest.first() else { break };
                    code_point = code_point * 8 + u32::from(digit - b'0');
                    self.rest = &self.rest[1..];
                }
                Some(code_point)
            }
            'x' => self.hexadecimal()?,
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ if rune.is_ascii() && !rune.is_ascii_alphanumeric() => Some(rune as u32),
            _ => None,
        };
        let code_point = code_point.ok_or_else(|| error(ErrorCode::InvalidEscape, self.since(start)))?;
        Ok(char::from_u32(code_point))
    }

    /// The digits after `\x`; `None` where they are wrong.
    fn hexadecimal(&mut self) -> Parsed<Option<u32>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let first = self.rune()?;
        if first != '{' {
            let second = self.rune()?;
            return Ok(first.to_digit(16).zip(second.to_digit(16)).map(|(high, low)| high * 16 + low));
        }
        let mut code_point = None;
        while !self.rest.is_empty() {
            let rune = self.rune()?;
            if rune == '}' {
                return Ok(code_point);
            }
            let Some(digit) = rune.to_digit(16) else { return Ok(None) };
            let sum = code_point.unwrap_or(0) * 16 + digit;
            if sum > u32::from(char::MAX) {
                return Ok(None);
            }
            code_point = Some(sum);
        }
        Ok(None)
    }

    /// `[a-z]`, `[^[:alpha:]\d]`.
    fn bracket_class(&mut self) -> Parsed<ClassUnicode> {
        let start = self.rest;
        self.rest = &start[1..];
        let mut class = ClassUnicode::empty();
        let negated = self.rest.first() == Some(&b'^');
        self.rest = &self.rest[usize::from(negated)..];
        let mut first = true;
        while first || self.rest.first() != Some(&b']') {
            first = false;
            if self.posix_class(&mut class)? || self.class_escape(&mut class)? {
                continue;
            }
            let range_start = self.rest;
            let low = self.class_character(start)?;
            let mut high = low;
            if let [b'-', next, ..] = self.rest
                && *next != b']'
            {
                self.rest = &self.rest[1..];
                high = self.class_character(start)?;
                if high < low {
                    return Err(error(ErrorCode::InvalidCharRange, self.since(range_start)));
                }
            }
            self.add(&mut class, code_point_range(low, high), false);
        }
        self.rest = &self.rest[1..];
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// A character of a class, as a code point: surrogates may bound a range.
    fn class_character(&mut self, class_start: &'p [u8]) -> Parsed<u32> {
        match self.rest.first() {
            None => Err(error(ErrorCode::MissingBracket, class_start)),
            Some(b'\\') => {
                let start = self.rest;
                match self.character_escape()? {
                    Some(rune) => Ok(rune as u32),
                    // A surrogate is only ever written as `\x{D800}`.
                    None => Ok(surrogate(self.since(start))),
                }
            }
            Some(_) => self.rune().map(u32::from),
        }
    }

    /// Adds `[:alpha:]` and its like to the class, if one is here.
    fn posix_class(&mut self, class: &mut ClassUnicode) -> Parsed<bool> {
        let start = self.rest;
        let Some(inner) = start.strip_prefix(b"[:") else { return Ok(false) };
        let Some(end) = super::strings::find(inner, b":]") else { return Ok(false) };
        self.rest = &inner[end + 2..];
        let name = &inner[..end];
        let (name, negated) = name.strip_prefix(b"^").map_or((name, false), |name| (name, true));
        let ranges: &[(u8, u8)] = match name {
            b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
            b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
            b"ascii" => &[(0, 0x7F)],
            b"blank" => &[(b'\t', b'\t'), (b' ', b' ')],
            b"cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
            b"digit" => &[(b'0', b'9')],
            b"graph" => &[(b'!', b'~')],
            b"lower" => &[(b'a', b'z')],
            b"print" => &[(b' ', b'~')],
            b"punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
            b"space" => &[(b'\t', b'\r'), (b' ', b' ')],
            b"upper" => &[(b'A', b'Z')],
            b"word" => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
            b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
            _ => return Err(error(ErrorCode::InvalidCharRange, self.since(start))),
        };
        self.add(class, ascii_class(ranges), negated);
        Ok(true)
    }
}

/// `{2}`, `{2,}` or `{2,3}`: the counts and what follows. A count too large to matter reads as more than the limit.
fn counted_repeat(text: &[u8]) -> Option<(u32, Option<u32>, &[u8])> {
    let (min, rest) = count(&text[1..])?;
    let (max, rest) = match rest {
        [b',', b'}', ..] => (None, &rest[1..]),
        [b',', rest @ ..] => count(rest).map(|(max, rest)| (Some(max), rest))?,
        _ => (Some(min), rest),
    };
    rest.strip_prefix(b"}").map(|rest| (min, max, rest))
}

fn count(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    let value = digits.iter().fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    Some((value, rest))
}

fn check_utf8(text: &[u8]) -> Parsed<()> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(invalid) => Err(error(ErrorCode::InvalidUtf8, &text[invalid.valid_up_to()..])),
    }
}

fn ascii_class(ranges: &[(u8, u8)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(char::from(*low), char::from(*high))))
}

/// The characters between two code points, surrogates left out.
fn code_point_range(low: u32, high: u32) -> ClassUnicode {
    let low = char::from_u32(low).unwrap_or('\u{E000}');
    let high = char::from_u32(high).unwrap_or('\u{D7FF}');
    if low > high { ClassUnicode::empty() } else { ClassUnicode::new([ClassUnicodeRange::new(low, high)]) }
}

/// The code point of `\x{D800}`.
fn surrogate(escape: &[u8]) -> u32 {
    let digits = escape.iter().filter_map(|byte| char::from(*byte).to_digit(16));
    digits.fold(0, |sum, digit| sum * 16 + digit)
}

/// A general category or script, by the names Go knows, written in any case and with or without underscores.
fn named_unicode_class(name: &[u8]) -> Option<ClassUnicode> {
    let name: String = name
        .iter()
        .filter(|byte| !matches!(byte, b'_' | b'-' | b' '))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let property = match name.as_str() {
        "any" | "ascii" | "assigned" => name.clone(),
        _ => format!("gc={name}"),
    };
    property_class(&property).or_else(|| {
        // Go has no four-letter codes of scripts; these are whole names.
        let is_code = name.len() == 4 && !matches!(&*name, "cham" | "kawi" | "lisu" | "newa" | "thai" | "toto");
        if is_code { None } else { property_class(&format!("sc={name}")) }
    })
}

fn property_class(property: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(&format!(r"\p{{{property}}}")).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of ASCII alone may come as bytes.
        HirKind::Class(Class::Bytes(class)) => class.to_unicode_class(),
        // One of a single character comes as that character.
        HirKind::Literal(literal) => {
            let character = decode(&literal.0)?.0;
            Some(ClassUnicode::new([ClassUnicodeRange::new(character, character)]))
        }
        _ => None,
    }
}
