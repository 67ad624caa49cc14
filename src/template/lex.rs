//! Cuts a template's text into tokens: plain text, and the words inside `{{` and `}}`.
//!
//! Trimming (`{{-`, `-}}`) and comments end here; the parser never sees them.

use memchr::{memchr, memchr_iter, memchr3};

use crate::value::{strconv, unicode};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is wrong is told by [`Lexer::fault`].
    Error,
    Bool,
    /// A printable ASCII character with no meaning of its own, such as a comma.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token with its place. Its line is counted when an error asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Byte offset in the text.
    pub(super) pos: usize,
    pub(super) text: &'t [u8],
}

const LEFT_DELIM: &[u8; 2] = b"{{";
const RIGHT_DELIM: &[u8; 2] = b"}}";
const LEFT_COMMENT: &[u8; 2] = b"/*";
const RIGHT_COMMENT: &[u8; 2] = b"*/";
/// The `-` and the space beside it.
const TRIM_MARKER_LENGTH: usize = 2;

impl Kind {
    fn is_keyword(self) -> bool {
        matches!(
            self,
            Kind::Dot
                | Kind::Block
                | Kind::Break
                | Kind::Continue
                | Kind::Define
                | Kind::Else
                | Kind::End
                | Kind::If
                | Kind::Nil
                | Kind::Range
                | Kind::Template
                | Kind::With
        )
    }

    fn of_word(word: &[u8]) -> Option<Kind> {
        Some(match word {
            b"block" => Kind::Block,
            b"break" => Kind::Break,
            b"continue" => Kind::Continue,
            b"define" => Kind::Define,
            b"else" => Kind::Else,
            b"end" => Kind::End,
            b"if" => Kind::If,
            b"nil" => Kind::Nil,
            b"range" => Kind::Range,
            b"template" => Kind::Template,
            b"with" => Kind::With,
            b"true" | b"false" => Kind::Bool,
            _ => return None,
        })
    }
}

impl Token<'_> {
    /// The token as error texts name it.
    pub(super) fn describe(&self) -> String {
        let shorten = |text: &[u8]| {
            let mut end = 0;
            for _ in 0..10 {
                end += unicode::decode(&text[end..]).1;
            }
            text[..end].to_vec()
        };
        let bytes = match self.kind {
            Kind::Eof => b"EOF".to_vec(),
            kind if kind.is_keyword() => [b"<", self.text, b">"].concat(),
            _ if self.text.len() > 10 => [strconv::quote(&shorten(self.text)), b"...".to_vec()].concat(),
            _ => strconv::quote(self.text),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Gives one token after the other.
pub(super) struct Lexer<'t> {
    input: &'t [u8],
    pos: usize,
    /// Where the token being read starts.
    start: usize,
    paren_depth: usize,
    is_inside_action: bool,
    /// What is wrong with the text, once a token of [`Kind::Error`] was given: nothing follows it.
    pub(super) fault: Option<String>,
    /// `break` and `continue` are functions of these names, not keywords.
    pub(super) break_is_function: bool,
    pub(super) continue_is_function: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(input: &'t [u8]) -> Self {
        Lexer {
            input,
            pos: 0,
            start: 0,
            paren_depth: 0,
            is_inside_action: false,
            fault: None,
            break_is_function: false,
            continue_is_function: false,
        }
    }

    /// The next token; after an error or the end, the end again.
    pub(super) fn next_token(&mut self) -> Token<'t> {
        if self.fault.is_some() {
            return Token { kind: Kind::Eof, pos: self.start, text: b"EOF" };
        }
        if self.is_inside_action { self.inside_action() } else { self.text() }
    }

    fn rest(&self) -> &'t [u8] {
        &self.input[self.pos..]
    }

    fn byte(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    fn peek(&self) -> Option<char> {
        let (c, width) = unicode::decode(self.rest());
        (width > 0).then_some(c)
    }

    fn accept(&mut self, is_valid: impl Fn(char) -> bool) -> bool {
        let (c, width) = unicode::decode(self.rest());
        let is_accepted = width > 0 && is_valid(c);
        if is_accepted {
            self.pos += width;
        }
        is_accepted
    }

    fn accept_run(&mut self, is_valid: impl Fn(char) -> bool) {
        while self.accept(&is_valid) {}
    }

    /// Takes letters, digits and underscores of any script; nearly all are ASCII.
    fn accept_word(&mut self) {
        loop {
            let rest = self.rest();
            self.pos += rest.iter().position(|b| !IS_ASCII_WORD[usize::from(*b)]).unwrap_or(rest.len());
            if self.byte().is_none_or(|b| b.is_ascii()) || !self.accept(is_alphanumeric) {
                return;
            }
        }
    }

    fn emit(&mut self, kind: Kind) -> Token<'t> {
        let text = match kind {
            Kind::Eof => b"EOF",
            _ => &self.input[self.start..self.pos],
        };
        let token = Token { kind, pos: self.start, text };
        self.start = self.pos;
        token
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'t> {
        self.fault = Some(message.into());
        Token { kind: Kind::Error, pos: self.start, text: b"" }
    }

    /// Drops what was read since the last token.
    fn ignore(&mut self) {
        self.start = self.pos;
    }

    /// Outside of actions.
    fn text(&mut self) -> Token<'t> {
        loop {
            let Some(length) = find_pair(self.rest(), LEFT_DELIM) else {
                self.pos += self.rest().len();
                return self.emit(if self.pos > self.start { Kind::Text } else { Kind::Eof });
            };
            let text = &self.rest()[..length];
            let trimmed = if has_left_trim_marker(&self.rest()[length + LEFT_DELIM.len()..]) {
                text.trim_suffix_spaces()
            } else {
                text
            };
            if !trimmed.is_empty() {
                self.pos += trimmed.len();
                let token = self.emit(Kind::Text);
                self.pos += length - trimmed.len();
                self.ignore();
                return token;
            }
            self.pos += length;
            self.ignore();
            match self.left_delim() {
                Some(token) => return token,
                None => continue,
            }
        }
    }

    /// At `{{`. Nothing is given back for a comment.
    fn left_delim(&mut self) -> Option<Token<'t>> {
        let after_delim = &self.rest()[LEFT_DELIM.len()..];
        let marker = if has_left_trim_marker(after_delim) { TRIM_MARKER_LENGTH } else { 0 };
        if after_delim[marker..].starts_with(LEFT_COMMENT) {
            self.pos += LEFT_DELIM.len() + marker;
            self.ignore();
            return self.comment();
        }
        self.pos += LEFT_DELIM.len();
        let token = self.emit(Kind::LeftDelim);
        self.is_inside_action = true;
        self.pos += marker;
        self.ignore();
        self.paren_depth = 0;
        Some(token)
    }

    /// At `/*`.
    fn comment(&mut self) -> Option<Token<'t>> {
        let body = &self.rest()[LEFT_COMMENT.len()..];
        let Some(length) = find_pair(body, RIGHT_COMMENT) else {
            return Some(self.error("unclosed comment"));
        };
        let after = LEFT_COMMENT.len() + length + RIGHT_COMMENT.len();
        let Some(trims) = right_delim_at(&self.rest()[after..]) else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        self.pos += after;
        self.skip_right_delim(trims);
        None
    }

    fn skip_right_delim(&mut self, trims: bool) {
        if trims {
            self.pos += TRIM_MARKER_LENGTH;
        }
        self.pos += RIGHT_DELIM.len();
        if trims {
            self.pos += self.rest().len() - self.rest().trim_prefix_spaces().len();
        }
        self.ignore();
    }

    /// At `}}` or ` -}}`.
    fn right_delim(&mut self, trims: bool) -> Token<'t> {
        if trims {
            self.pos += TRIM_MARKER_LENGTH;
            self.ignore();
        }
        self.pos += RIGHT_DELIM.len();
        let token = self.emit(Kind::RightDelim);
        if trims {
            self.pos += self.rest().len() - self.rest().trim_prefix_spaces().len();
            self.ignore();
        }
        self.is_inside_action = false;
        token
    }

    fn inside_action(&mut self) -> Token<'t> {
        if let Some(trims) = right_delim_at(self.rest()) {
            return match self.paren_depth {
                0 => self.right_delim(trims),
                _ => self.error("unclosed left paren"),
            };
        }
        let Some(byte) = self.byte() else { return self.error("unclosed action") };
        self.pos += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.space(),
            b'=' => self.emit(Kind::Assign),
            b':' if self.byte() == Some(b'=') => {
                self.pos += 1;
                self.emit(Kind::Declare)
            }
            b':' => self.error("expected :="),
            b'|' => self.emit(Kind::Pipe),
            b'"' => self.quote(b'"', Kind::String, "unterminated quoted string"),
            b'`' => self.raw_quote(),
            b'$' => self.field_or_variable(Kind::Variable),
            b'\'' => self.quote(b'\'', Kind::CharConstant, "unterminated character constant"),
            b'.' if !self.byte().is_none_or(|b| b.is_ascii_digit()) => self.field_or_variable(Kind::Field),
            b'.' | b'+' | b'-' | b'0'..=b'9' => self.number(),
            b'(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            b')' if self.paren_depth == 0 => self.error("unexpected right paren"),
            b')' => {
                self.paren_depth -= 1;
                self.emit(Kind::RightParen)
            }
            _ => self.word_or_other(),
        }
    }

    /// At a character with no meaning of its own, the first byte of which is past.
    fn word_or_other(&mut self) -> Token<'t> {
        if IS_ASCII_WORD[usize::from(self.input[self.start])] {
            return self.identifier();
        }
        self.pos = self.start;
        let (c, width) = unicode::decode(self.rest());
        self.pos += width;
        match c {
            c if is_alphanumeric(c) => self.identifier(),
            '!'..='~' => self.emit(Kind::Char),
            _ => self.error(format!("unrecognized character in action: {}", describe_char(c))),
        }
    }

    /// A run of spaces, the first of which is past. The last one may belong to ` -}}`.
    fn space(&mut self) -> Token<'t> {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_prefix_spaces().len();
        let from_last = &self.input[self.pos - 1..];
        if has_right_trim_marker(from_last) && from_last[TRIM_MARKER_LENGTH..].starts_with(RIGHT_DELIM) {
            self.pos -= 1;
            if self.pos == self.start {
                return self.right_delim(true);
            }
        }
        self.emit(Kind::Space)
    }

    /// A word, whose first character is past.
    fn identifier(&mut self) -> Token<'t> {
        self.accept_word();
        if !self.is_at_terminator() {
            return self.bad_character();
        }
        let kind = match Kind::of_word(&self.input[self.start..self.pos]) {
            Some(Kind::Break) if self.break_is_function => Kind::Identifier,
            Some(Kind::Continue) if self.continue_is_function => Kind::Identifier,
            Some(kind) => kind,
            None => Kind::Identifier,
        };
        self.emit(kind)
    }

    /// `.name` or `$name`, whose first character is past.
    fn field_or_variable(&mut self, kind: Kind) -> Token<'t> {
        if self.is_at_terminator() {
            return self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
        }
        self.accept_word();
        if self.is_at_terminator() { self.emit(kind) } else { self.bad_character() }
    }

    fn bad_character(&mut self) -> Token<'t> {
        let c = self.peek().unwrap_or(char::REPLACEMENT_CHARACTER);
        self.error(format!("bad character {}", describe_char(c)))
    }

    /// Whether a name may end here.
    fn is_at_terminator(&self) -> bool {
        match self.byte() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => true,
            Some(_) => self.rest().starts_with(RIGHT_DELIM),
        }
    }

    /// A quoted string or character, whose first quote is past.
    fn quote(&mut self, quote: u8, kind: Kind, unterminated: &str) -> Token<'t> {
        while let Some(length) = memchr3(quote, b'\\', b'\n', self.rest()) {
            self.pos += length;
            match self.rest() {
                [b'\n', ..] | [b'\\', b'\n', ..] | [b'\\'] => break,
                [b'\\', ..] => self.pos += 2,
                _ => {
                    self.pos += 1;
                    return self.emit(kind);
                }
            }
        }
        self.error(unterminated)
    }

    fn raw_quote(&mut self) -> Token<'t> {
        match memchr(b'`', self.rest()) {
            Some(length) => {
                self.pos += length + 1;
                self.emit(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    /// A number, whose first character is past. What is no number in the end is found by the parser.
    fn number(&mut self) -> Token<'t> {
        self.pos = self.start;
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.pos - 1] != b'i' {
                return self.bad_number();
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    fn bad_number(&mut self) -> Token<'t> {
        let text = strconv::quote(&self.input[self.start..self.pos]);
        self.error(format!("bad number syntax: {}", String::from_utf8_lossy(&text)))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(|c| matches!(c, '+' | '-'));
        let mut base = 10;
        if self.accept(|c| c == '0') {
            if self.accept(|c| matches!(c, 'x' | 'X')) {
                base = 16;
            } else if self.accept(|c| matches!(c, 'o' | 'O')) {
                base = 8;
            } else if self.accept(|c| matches!(c, 'b' | 'B')) {
                base = 2;
            }
        }
        let is_digit = |c: char| c == '_' || c.is_digit(base);
        self.accept_run(is_digit);
        if self.accept(|c| c == '.') {
            self.accept_run(is_digit);
        }
        let has_exponent = match base {
            10 => self.accept(|c| matches!(c, 'e' | 'E')),
            16 => self.accept(|c| matches!(c, 'p' | 'P')),
            _ => false,
        };
        if has_exponent {
            self.accept(|c| matches!(c, '+' | '-'));
            self.accept_run(|c| c == '_' || c.is_ascii_digit());
        }
        self.accept(|c| c == 'i');
        !self.accept(is_alphanumeric)
    }
}

trait Spaces {
    fn trim_prefix_spaces(&self) -> &[u8];
    fn trim_suffix_spaces(&self) -> &[u8];
}

impl Spaces for [u8] {
    fn trim_prefix_spaces(&self) -> &[u8] {
        let start = self.iter().position(|b| !is_space((*b).into())).unwrap_or(self.len());
        &self[start..]
    }

    fn trim_suffix_spaces(&self) -> &[u8] {
        let end = self.iter().rposition(|b| !is_space((*b).into())).map_or(0, |last| last + 1);
        &self[..end]
    }
}

/// Where the two bytes stand side by side first.
fn find_pair(text: &[u8], [first, second]: &[u8; 2]) -> Option<usize> {
    memchr_iter(*first, text).find(|at| text.get(at + 1) == Some(second))
}

/// Whether a byte is an ASCII letter, a digit or an underscore, by its value: names make up most of what is in actions.
const IS_ASCII_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = byte as u8 == b'_' || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || unicode::is_letter(c) || unicode::is_digit(c)
}

fn has_left_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space((*space).into()))
}

fn has_right_trim_marker(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space((*space).into()))
}

/// Whether the right delimiter stands here, and whether it trims what follows.
fn right_delim_at(text: &[u8]) -> Option<bool> {
    if has_right_trim_marker(text) && text[TRIM_MARKER_LENGTH..].starts_with(RIGHT_DELIM) {
        Some(true)
    } else {
        text.starts_with(RIGHT_DELIM).then_some(false)
    }
}

/// `U+002D '-'`, without the character where it does not print.
fn describe_char(c: char) -> String {
    let number = u32::from(c);
    if unicode::is_print(number) { format!("U+{number:04X} '{c}'") } else { format!("U+{number:04X}") }
}
