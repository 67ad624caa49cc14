//! Text to tokens.
//!
//! YAML's tokens depend on where they stand: indentation opens and closes blocks, and whether a scalar is a key is
//! known only when a `:` follows it. So tokens wait in a queue while the first of them may still turn out to be a
//! key; [`Scanner::peek`] reads no further than that needs, which decides what error a reader sees first.
//! The dialect is that of go-yaml v2 (a YAML 1.1 scanner of libyaml's family).

use std::borrow::Cow;
use std::collections::VecDeque;

use super::error::Error;
use super::reader::Input;

/// A `:` must follow its key within this many characters on the same line.
const SIMPLE_KEY_CHARACTERS_MAX: usize = 1024;

/// How many characters go-yaml reads before it decides what token begins: `--- `.
const LOOKAHEAD: usize = 4;

/// Room for the tokens that wait until it is known whether the first of them is a key; more make more.
const TOKENS_WAITING: usize = 16;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    VersionDirective,
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// What a token carries beyond its kind.
#[derive(Debug)]
pub(super) enum Payload<'t> {
    None,
    /// Of an alias or anchor.
    Name(&'t str),
    Scalar {
        value: Cow<'t, str>,
        is_plain: bool,
    },
    /// Of a tag: handle and suffix; of a tag directive: handle and prefix.
    Tag {
        handle: &'t str,
        suffix: Vec<u8>,
    },
    Version(u8, u8),
}

#[derive(Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// The line of its first character, from 0.
    pub(super) line: usize,
    pub(super) payload: Payload<'t>,
}

/// A token that becomes a key if a `:` follows.
#[derive(Clone, Copy)]
struct SimpleKey {
    is_possible: bool,
    stage: Stage,
    /// It stands where only a key may stand.
    is_required: bool,
    token_number: usize,
    mark: Mark,
}

/// How far a slot for a simple key is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No token on this flow level could be a key yet.
    Unused,
    /// The token waits in the queue for a `:`.
    Awaited,
    /// The token no longer waits.
    Forgotten,
}

#[derive(Clone, Copy)]
struct Mark {
    /// In characters from the start of the stream.
    index: usize,
    line: usize,
    /// In characters.
    column: usize,
}

/// Indentation of a block in columns; -1 outside of any.
type Indent = isize;

pub(super) struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// What comes after the text if it was cut at a bad character.
    fault: Option<&'t Error>,
    /// In bytes.
    position: usize,
    mark: Mark,
    tokens: VecDeque<Token<'t>>,
    /// How many tokens were handed out.
    taken: usize,
    is_front_certain: bool,
    is_started: bool,
    flow_level: usize,
    indent: Indent,
    indents: Vec<Indent>,
    is_simple_key_allowed: bool,
    /// One for each flow level; token numbers grow towards the top.
    simple_keys: Vec<SimpleKey>,
}

/// How many bytes the line break at `at` takes; 0 if there is none.
pub(super) fn break_size(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'\n') => 1,
        Some(b'\r') => 1 + usize::from(bytes.get(at + 1) == Some(&b'\n')),
        Some(0xc2) => 2 * usize::from(bytes.get(at + 1) == Some(&0x85)),
        Some(0xe2) => match bytes.get(at + 1..at + 3) {
            Some([0x80, 0xa8 | 0xa9]) => 3,
            _ => 0,
        },
        _ => 0,
    }
}

/// Letters, digits, `_` and `-`: what anchors and tag handles are made of.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// How the lines of a scalar are joined: the breaks seen since its last character.
#[derive(Default)]
struct Fold {
    is_open: bool,
    /// None where it was escaped.
    first_break: Option<char>,
    further_breaks: String,
}

impl Fold {
    fn add(&mut self, line_break: char) {
        if std::mem::replace(&mut self.is_open, true) {
            self.further_breaks.push(line_break);
        } else {
            self.first_break = Some(line_break);
        }
    }

    /// Writes what the breaks stand for: one is a space, more are all but the first, and U+2028 and U+2029 stay.
    fn join(&mut self, out: &mut String) {
        match self.first_break.take() {
            Some('\n') if self.further_breaks.is_empty() => out.push(' '),
            Some('\n') | None => {}
            Some(separator) => out.push(separator),
        }
        out.push_str(&self.further_breaks);
        self.further_breaks.clear();
        self.is_open = false;
    }
}

impl<'t> Scanner<'t> {
    pub(super) fn new(input: &'t Input<'_>) -> Self {
        Scanner {
            text: &input.text,
            bytes: input.text.as_bytes(),
            fault: input.fault.as_ref(),
            position: 0,
            mark: Mark { index: 0, line: 0, column: 0 },
            tokens: VecDeque::with_capacity(TOKENS_WAITING),
            taken: 0,
            is_front_certain: false,
            is_started: false,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            is_simple_key_allowed: true,
            simple_keys: Vec::new(),
        }
    }

    /// The next token, left in place.
    pub(super) fn peek(&mut self) -> Result<&Token<'t>, Error> {
        while !self.is_front_certain {
            if !self.tokens.is_empty() && !self.front_may_become_key()? {
                self.is_front_certain = true;
            } else {
                self.fetch_checked()?;
            }
        }
        Ok(self.tokens.front().expect("a certain front is a front"))
    }

    /// Removes the token that [`Scanner::peek`] showed.
    pub(super) fn take(&mut self) -> Token<'t> {
        self.is_front_certain = false;
        self.taken += 1;
        self.tokens.pop_front().expect("peek was called before")
    }

    fn front_may_become_key(&mut self) -> Result<bool, Error> {
        match self.simple_keys.binary_search_by_key(&self.taken, |key| key.token_number) {
            Ok(level) if self.simple_keys[level].stage == Stage::Awaited => self.is_key_still_possible(level),
            _ => Ok(false),
        }
    }

    /// Reads one more token, unless that needs what comes after the readable text.
    fn fetch_checked(&mut self) -> Result<(), Error> {
        let fetched = self.fetch();
        match self.fault {
            Some(fault) if self.is_end() => Err(fault.clone()),
            _ => fetched,
        }
    }

    fn fetch(&mut self) -> Result<(), Error> {
        if !self.is_started {
            self.is_started = true;
            self.push_simple_key_slot();
            self.push(Kind::StreamStart, Payload::None);
            return Ok(());
        }
        self.skip_to_token();
        if let Some(fault) = self.fault
            && self.text[self.position..].chars().take(LOOKAHEAD).count() < LOOKAHEAD
        {
            return Err(fault.clone());
        }
        self.close_blocks(self.mark.column as Indent);
        if self.position == self.bytes.len() {
            return self.fetch_stream_end();
        }
        let first = self.at(0);
        if self.mark.column == 0 {
            if first == b'%' {
                return self.fetch_directive();
            }
            match self.document_indicator() {
                Some(b'-') => return self.fetch_document_indicator(Kind::DocumentStart),
                Some(_) => return self.fetch_document_indicator(Kind::DocumentEnd),
                None => {}
            }
        }
        let in_flow = self.flow_level > 0;
        let before_space = self.is_space_or_end(1);
        match first {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if before_space => self.fetch_block_entry(),
            b'?' if in_flow || before_space => self.fetch_key(),
            b':' if in_flow || before_space => self.fetch_value(),
            b'*' => self.fetch_anchor(Kind::Alias),
            b'&' => self.fetch_anchor(Kind::Anchor),
            b'!' => self.fetch_tag(),
            b'|' if !in_flow => self.fetch_block_scalar(true),
            b'>' if !in_flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_quoted_scalar(true),
            b'"' => self.fetch_quoted_scalar(false),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => self.refuse("found character that cannot start any token"),
            _ if self.is_space_or_end(0) => self.refuse("found character that cannot start any token"),
            _ => self.fetch_plain_scalar(),
        }
    }

    // The text under the cursor.

    fn at(&self, offset: usize) -> u8 {
        self.bytes.get(self.position + offset).copied().unwrap_or(0)
    }

    fn break_size(&self) -> usize {
        break_size(self.bytes, self.position)
    }

    fn is_blank(&self) -> bool {
        matches!(self.at(0), b' ' | b'\t')
    }

    fn is_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Whether a blank, a line break or the end is that many bytes ahead.
    fn is_space_or_end(&self, offset: usize) -> bool {
        self.is_space_or_end_at(self.position + offset)
    }

    fn is_space_or_end_at(&self, at: usize) -> bool {
        match self.bytes.get(at) {
            None | Some(b' ' | b'\t') => true,
            Some(_) => break_size(self.bytes, at) > 0,
        }
    }

    /// `-` or `.` if `---` or `...` stands here at the start of a line.
    fn document_indicator(&self) -> Option<u8> {
        let rest = &self.bytes[self.position.min(self.bytes.len())..];
        let is_indicator =
            self.mark.column == 0 && (rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_space_or_end(3);
        is_indicator.then(|| rest[0])
    }

    /// Passes that many ASCII characters, none of them a line break.
    fn skip(&mut self, count: usize) {
        self.position += count;
        self.mark.column += count;
        self.mark.index += count;
    }

    /// Passes everything up to a position on the same line.
    fn skip_to(&mut self, end: usize) {
        let characters = self.bytes[self.position..end].iter().filter(|byte| (**byte as i8) >= -0x40).count();
        self.position = end;
        self.mark.column += characters;
        self.mark.index += characters;
    }

    fn skip_blanks(&mut self) {
        self.skip(self.run(|byte| matches!(byte, b' ' | b'\t')));
    }

    /// How many bytes under the cursor are of that kind.
    fn run(&self, is_wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        rest.iter().position(|byte| !is_wanted(*byte)).unwrap_or(rest.len())
    }

    fn skip_comment(&mut self) {
        if self.at(0) == b'#' {
            self.skip_to(self.line_end());
        }
    }

    /// Passes a line break if there is one.
    fn skip_break(&mut self) {
        let size = self.break_size();
        if size > 0 {
            self.mark.index += if self.at(0) == b'\r' { size } else { 1 };
            self.position += size;
            self.mark.line += 1;
            self.mark.column = 0;
        }
    }

    /// Passes the line break under the cursor and gives it back: as `\n`, but U+2028 and U+2029 as they are.
    fn take_break(&mut self) -> Option<char> {
        let line_break = match self.break_size() {
            0 => return None,
            3 => self.text[self.position..].chars().next(),
            _ => Some('\n'),
        };
        self.skip_break();
        line_break
    }

    /// Where the line under the cursor ends: its break, or the end of the text.
    fn line_end(&self) -> usize {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let ascii_break = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        if rest[..ascii_break].is_ascii() {
            return self.position + ascii_break;
        }
        let is_break = |at: &usize| break_size(rest, *at) > 0;
        self.position + (0..ascii_break).find(is_break).unwrap_or(ascii_break)
    }

    fn skip_to_token(&mut self) {
        const BYTE_ORDER_MARK: &str = "\u{feff}";
        loop {
            // A second one, after the reader took the first. It takes no column.
            if self.position == 0 && self.text.starts_with(BYTE_ORDER_MARK) {
                self.position = BYTE_ORDER_MARK.len();
            }
            // Tabs do not indent: they may not stand where a block could begin.
            let may_be_tab = self.flow_level > 0 || !self.is_simple_key_allowed;
            self.skip(self.run(|byte| byte == b' ' || (byte == b'\t' && may_be_tab)));
            self.skip_comment();
            if self.break_size() == 0 {
                return;
            }
            self.skip_break();
            if self.flow_level == 0 {
                self.is_simple_key_allowed = true;
            }
        }
    }

    // Errors and tokens.

    fn error(&self, problem: &str) -> Error {
        Error::scanner(self.mark.line, problem)
    }

    fn refuse<T>(&self, problem: &str) -> Result<T, Error> {
        Err(self.error(problem))
    }

    fn push(&mut self, kind: Kind, payload: Payload<'t>) {
        self.push_from(self.mark.line, kind, payload);
    }

    fn push_from(&mut self, line: usize, kind: Kind, payload: Payload<'t>) {
        self.tokens.push_back(Token { kind, line, payload });
    }

    /// Puts a token before another, or at the end if that one is no longer in the queue.
    fn insert(&mut self, token_number: usize, line: usize, kind: Kind) {
        let at = token_number.checked_sub(self.taken).unwrap_or(self.tokens.len());
        self.tokens.insert(at, Token { kind, line, payload: Payload::None });
    }

    fn next_token_number(&self) -> usize {
        self.taken + self.tokens.len()
    }

    // Simple keys.

    /// The slot of a new flow level. Its number is that of the first token inside, so that numbers grow upwards.
    fn push_simple_key_slot(&mut self) {
        self.simple_keys.push(SimpleKey {
            is_possible: false,
            stage: Stage::Unused,
            is_required: false,
            token_number: self.next_token_number() + 1,
            mark: self.mark,
        });
    }

    /// Leaves a flow level. After an empty `[]` or `{}` go-yaml forgets to wait for a `:`, so that it does not take
    /// them for keys; nor do we.
    fn pop_simple_key_slot(&mut self) {
        let slot = self.simple_keys.pop().expect("each flow level pushed a slot");
        let outer = self.top_simple_key();
        if slot.stage == Stage::Unused && outer.token_number + 1 == slot.token_number {
            outer.stage = Stage::Forgotten;
        }
    }

    fn top_simple_key(&mut self) -> &mut SimpleKey {
        self.simple_keys.last_mut().expect("one simple key is pushed at the start and one for each flow level")
    }

    fn is_key_still_possible(&mut self, level: usize) -> Result<bool, Error> {
        let key = self.simple_keys[level];
        let is_out_of_reach =
            key.mark.line < self.mark.line || key.mark.index + SIMPLE_KEY_CHARACTERS_MAX < self.mark.index;
        if key.is_possible && is_out_of_reach {
            if key.is_required {
                return self.refuse("could not find expected ':'");
            }
            self.simple_keys[level].is_possible = false;
        }
        Ok(self.simple_keys[level].is_possible)
    }

    /// The token that is about to be read may be a key.
    fn save_simple_key(&mut self) -> Result<(), Error> {
        if self.is_simple_key_allowed {
            self.drop_simple_key()?;
            let is_required = self.flow_level == 0 && self.indent == self.mark.column as Indent;
            let (token_number, mark) = (self.next_token_number(), self.mark);
            *self.top_simple_key() =
                SimpleKey { is_possible: true, stage: Stage::Awaited, is_required, token_number, mark };
        }
        Ok(())
    }

    /// The token that could have become a key on this level cannot any more.
    fn drop_simple_key(&mut self) -> Result<(), Error> {
        let key = self.top_simple_key();
        if key.is_possible && key.is_required {
            return self.refuse("could not find expected ':'");
        }
        key.is_possible = false;
        Ok(())
    }

    // Blocks.

    /// Opens a block at a column if it is deeper than the one around it, before the token of that number.
    fn open_block(&mut self, mark: Mark, token_number: usize, kind: Kind) {
        if self.flow_level == 0 && self.indent < mark.column as Indent {
            self.indents.push(self.indent);
            self.indent = mark.column as Indent;
            self.insert(token_number, mark.line, kind);
        }
    }

    fn close_blocks(&mut self, column: Indent) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, Payload::None);
            self.indent = self.indents.pop().expect("each block pushed the indent around it");
        }
    }

    // Tokens other than scalars.

    fn fetch_stream_end(&mut self) -> Result<(), Error> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.close_blocks(-1);
        self.drop_simple_key()?;
        self.is_simple_key_allowed = false;
        self.push(Kind::StreamEnd, Payload::None);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: Kind) -> Result<(), Error> {
        self.close_blocks(-1);
        self.drop_simple_key()?;
        self.is_simple_key_allowed = false;
        self.push(kind, Payload::None);
        self.skip(3);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<(), Error> {
        self.save_simple_key()?;
        self.push_simple_key_slot();
        self.flow_level += 1;
        self.is_simple_key_allowed = true;
        self.push(kind, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<(), Error> {
        self.drop_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.pop_simple_key_slot();
        }
        self.is_simple_key_allowed = false;
        self.push(kind, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), Error> {
        self.drop_simple_key()?;
        self.is_simple_key_allowed = true;
        self.push(Kind::FlowEntry, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), Error> {
        // Inside a flow collection the parser refuses it.
        if self.flow_level == 0 {
            if !self.is_simple_key_allowed {
                return self.refuse("block sequence entries are not allowed in this context");
            }
            self.open_block(self.mark, self.next_token_number(), Kind::BlockSequenceStart);
        }
        self.drop_simple_key()?;
        self.is_simple_key_allowed = true;
        self.push(Kind::BlockEntry, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), Error> {
        if self.flow_level == 0 {
            if !self.is_simple_key_allowed {
                return self.refuse("mapping keys are not allowed in this context");
            }
            self.open_block(self.mark, self.next_token_number(), Kind::BlockMappingStart);
        }
        self.drop_simple_key()?;
        self.is_simple_key_allowed = self.flow_level == 0;
        self.push(Kind::Key, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), Error> {
        let level = self.simple_keys.len() - 1;
        if self.is_key_still_possible(level)? {
            let key = self.simple_keys[level];
            self.insert(key.token_number, key.mark.line, Kind::Key);
            self.open_block(key.mark, key.token_number, Kind::BlockMappingStart);
            self.simple_keys[level].is_possible = false;
            self.is_simple_key_allowed = false;
        } else {
            // The key was a complex one, begun with `?`.
            if self.flow_level == 0 {
                if !self.is_simple_key_allowed {
                    return self.refuse("mapping values are not allowed in this context");
                }
                self.open_block(self.mark, self.next_token_number(), Kind::BlockMappingStart);
            }
            self.is_simple_key_allowed = self.flow_level == 0;
        }
        self.push(Kind::Value, Payload::None);
        self.skip(1);
        Ok(())
    }

    fn read_word(&mut self) -> &'t str {
        let start = self.position;
        while is_word(self.at(0)) {
            self.skip(1);
        }
        &self.text[start..self.position]
    }

    fn fetch_anchor(&mut self, kind: Kind) -> Result<(), Error> {
        self.save_simple_key()?;
        self.is_simple_key_allowed = false;
        let line = self.mark.line;
        self.skip(1);
        let name = self.read_word();
        let is_ended =
            self.is_space_or_end(0) || matches!(self.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !is_ended {
            return self.refuse("did not find expected alphabetic or numeric character");
        }
        self.push_from(line, kind, Payload::Name(name));
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<(), Error> {
        self.save_simple_key()?;
        self.is_simple_key_allowed = false;
        let line = self.mark.line;
        let (handle, suffix) = if self.at(1) == b'<' {
            self.skip(2);
            let uri = self.read_tag_uri("")?;
            if self.at(0) != b'>' {
                return self.refuse("did not find the expected '>'");
            }
            self.skip(1);
            ("", uri)
        } else {
            let handle = self.read_tag_handle()?;
            if handle.len() > 1 && handle.ends_with('!') {
                (handle, self.read_tag_uri("")?)
            } else {
                match self.read_tag_uri(handle)? {
                    // The tag `!` alone.
                    suffix if suffix.is_empty() => ("", handle.into()),
                    suffix => ("!", suffix),
                }
            }
        };
        if !self.is_space_or_end(0) {
            return self.refuse("did not find expected whitespace or line break");
        }
        self.push_from(line, Kind::Tag, Payload::Tag { handle, suffix });
        Ok(())
    }

    /// Reads `!`, `!word!`, or `!word` which is no handle but the start of a tag.
    fn read_tag_handle(&mut self) -> Result<&'t str, Error> {
        if self.at(0) != b'!' {
            return self.refuse("did not find expected '!'");
        }
        let start = self.position;
        self.skip(1);
        self.read_word();
        if self.at(0) == b'!' {
            self.skip(1);
        }
        Ok(&self.text[start..self.position])
    }

    /// Reads the rest of a tag whose beginning, if any, was taken for a handle.
    fn read_tag_uri(&mut self, head: &str) -> Result<Vec<u8>, Error> {
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        let start = self.position;
        loop {
            match self.at(0) {
                b'%' => self.read_uri_escape(&mut uri)?,
                byte if is_word(byte) || b";/?:@&=+$,.!~*'()[]".contains(&byte) => {
                    uri.push(byte);
                    self.skip(1);
                }
                _ if head.is_empty() && self.position == start => return self.refuse("did not find expected tag URI"),
                _ => return Ok(uri),
            }
        }
    }

    /// Reads one character written as `%C3%A9`.
    fn read_uri_escape(&mut self, uri: &mut Vec<u8>) -> Result<(), Error> {
        let mut expected = None;
        while expected != Some(0) {
            let digits = self.bytes.get(self.position + 1..self.position + 3);
            let octet = digits
                .filter(|_| self.at(0) == b'%')
                .and_then(|pair| Some((hexadecimal(pair[0])? << 4 | hexadecimal(pair[1])?) as u8));
            let Some(octet) = octet else { return self.refuse("did not find URI escaped octet") };
            expected = Some(match (expected, octet) {
                (None, 0..=0x7f) => 0,
                (None, 0xc0..=0xdf) => 1,
                (None, 0xe0..=0xef) => 2,
                (None, 0xf0..=0xf7) => 3,
                (None, _) => return self.refuse("found an incorrect leading UTF-8 octet"),
                (Some(rest), 0x80..=0xbf) => rest - 1,
                (Some(_), _) => return self.refuse("found an incorrect trailing UTF-8 octet"),
            });
            uri.push(octet);
            self.skip(3);
        }
        Ok(())
    }

    // Directives.

    fn fetch_directive(&mut self) -> Result<(), Error> {
        self.close_blocks(-1);
        self.drop_simple_key()?;
        self.is_simple_key_allowed = false;
        let line = self.mark.line;
        self.skip(1);
        let name = self.read_word();
        if name.is_empty() {
            return self.refuse("could not find expected directive name");
        }
        if !self.is_space_or_end(0) {
            return self.refuse("found unexpected non-alphabetical character");
        }
        let (kind, payload) = match name {
            "YAML" => (Kind::VersionDirective, self.read_version()?),
            "TAG" => (Kind::TagDirective, self.read_tag_directive()?),
            _ => return self.refuse("found unknown directive name"),
        };
        self.skip_blanks();
        self.skip_comment();
        if !self.is_end() && self.break_size() == 0 {
            return self.refuse("did not find expected comment or line break");
        }
        self.skip_break();
        self.push_from(line, kind, payload);
        Ok(())
    }

    fn read_version(&mut self) -> Result<Payload<'t>, Error> {
        self.skip_blanks();
        let major = self.read_version_number()?;
        if self.at(0) != b'.' {
            return self.refuse("did not find expected digit or '.' character");
        }
        self.skip(1);
        Ok(Payload::Version(major, self.read_version_number()?))
    }

    fn read_version_number(&mut self) -> Result<u8, Error> {
        const DIGITS_MAX: usize = 2;
        let start = self.position;
        let mut number = 0;
        while self.at(0).is_ascii_digit() {
            if self.position - start == DIGITS_MAX {
                return self.refuse("found extremely long version number");
            }
            number = number * 10 + (self.at(0) - b'0');
            self.skip(1);
        }
        if self.position == start {
            return self.refuse("did not find expected version number");
        }
        Ok(number)
    }

    fn read_tag_directive(&mut self) -> Result<Payload<'t>, Error> {
        self.skip_blanks();
        let handle = self.read_tag_handle()?;
        if handle != "!" && !(handle.len() > 1 && handle.ends_with('!')) {
            return self.refuse("did not find expected '!'");
        }
        if !self.is_blank() {
            return self.refuse("did not find expected whitespace");
        }
        self.skip_blanks();
        let suffix = self.read_tag_uri("")?;
        if !self.is_space_or_end(0) {
            return self.refuse("did not find expected whitespace or line break");
        }
        Ok(Payload::Tag { handle, suffix })
    }

    // Scalars.

    fn push_scalar(&mut self, line: usize, value: Cow<'t, str>, is_plain: bool) {
        self.push_from(line, Kind::Scalar, Payload::Scalar { value, is_plain });
    }

    fn fetch_plain_scalar(&mut self) -> Result<(), Error> {
        self.save_simple_key()?;
        self.is_simple_key_allowed = false;
        let line = self.mark.line;
        let block_column = (self.indent + 1) as usize;
        let start = self.position;
        // The end of the last word; what was folded before it, if lines were.
        let mut end = start;
        let mut folded: Option<String> = None;
        let mut fold = Fold::default();
        while self.document_indicator().is_none() && self.at(0) != b'#' {
            let word_start = self.position;
            let word_end = self.plain_word_end();
            if word_end > word_start {
                if fold.is_open {
                    fold.join(folded.get_or_insert_with(|| self.text[start..end].to_owned()));
                } else if let Some(folded) = &mut folded {
                    folded.push_str(&self.text[end..word_start]);
                }
                if let Some(folded) = &mut folded {
                    folded.push_str(&self.text[word_start..word_end]);
                }
                self.skip_to(word_end);
                end = word_end;
            }
            if self.is_end() || !self.is_space_or_end(0) {
                break;
            }
            loop {
                self.skip(self.run(|byte| byte == b' '));
                if self.at(0) == b'\t' {
                    if fold.is_open && self.mark.column < block_column {
                        return self.refuse("found a tab character that violates indentation");
                    }
                    self.skip(1);
                } else if let Some(line_break) = self.take_break() {
                    fold.add(line_break);
                } else {
                    break;
                }
            }
            if self.flow_level == 0 && self.mark.column < block_column {
                break;
            }
        }
        // After a line break a key may follow.
        self.is_simple_key_allowed |= fold.is_open;
        let value = folded.map_or(Cow::Borrowed(&self.text[start..end]), Cow::Owned);
        self.push_scalar(line, value, true);
        Ok(())
    }

    fn plain_word_end(&self) -> usize {
        let in_flow = self.flow_level > 0;
        let mut end = self.position;
        while let Some(&byte) = self.bytes.get(end) {
            let is_end = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => true,
                b':' => self.is_space_or_end_at(end + 1),
                b',' | b'?' | b'[' | b']' | b'{' | b'}' => in_flow,
                0xc2 | 0xe2 => break_size(self.bytes, end) > 0,
                _ => false,
            };
            if is_end {
                break;
            }
            end += 1;
        }
        end
    }

    fn fetch_quoted_scalar(&mut self, is_single: bool) -> Result<(), Error> {
        self.save_simple_key()?;
        self.is_simple_key_allowed = false;
        let line = self.mark.line;
        let quote = self.at(0);
        self.skip(1);
        // What is already unescaped and folded; from `rest` on, the text stands as it is.
        let mut done: Option<String> = None;
        let mut rest = self.position;
        let mut fold = Fold::default();
        loop {
            if self.document_indicator().is_some() {
                return self.refuse("found unexpected document indicator");
            }
            if self.is_end() {
                return self.refuse("found unexpected end of stream");
            }
            loop {
                self.skip_to(self.quoted_word_end(quote));
                let here = self.position;
                if is_single && self.at(0) == b'\'' && self.at(1) == b'\'' {
                    done.get_or_insert_default().push_str(&self.text[rest..=here]);
                    self.skip(2);
                } else if !is_single && self.at(0) == b'\\' {
                    let done = done.get_or_insert_default();
                    done.push_str(&self.text[rest..here]);
                    if break_size(self.bytes, here + 1) > 0 {
                        // An escaped line break: it vanishes, and so do the blanks after it.
                        self.skip(1);
                        self.skip_break();
                        fold.is_open = true;
                        rest = self.position;
                        break;
                    }
                    done.push(self.read_escape()?);
                } else {
                    break;
                }
                rest = self.position;
            }
            if self.at(0) == quote {
                break;
            }
            let word_end = self.position;
            loop {
                self.skip_blanks();
                let was_open = fold.is_open;
                let Some(line_break) = self.take_break() else { break };
                if !was_open {
                    done.get_or_insert_default().push_str(&self.text[rest..word_end]);
                }
                fold.add(line_break);
            }
            if fold.is_open {
                fold.join(done.get_or_insert_default());
                rest = self.position;
            }
        }
        let tail = &self.text[rest..self.position];
        let value = match done {
            None => Cow::Borrowed(tail),
            Some(done) => Cow::Owned(done + tail),
        };
        self.skip(1);
        self.push_scalar(line, value, false);
        Ok(())
    }

    /// Where something begins that a quoted scalar does not hold as it is: space, a quote, an escape.
    fn quoted_word_end(&self, quote: u8) -> usize {
        let mut end = self.position;
        while let Some(&byte) = self.bytes.get(end) {
            let is_end = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => true,
                b'\\' => quote == b'"',
                _ if byte == quote => true,
                0xc2 | 0xe2 => break_size(self.bytes, end) > 0,
                _ => false,
            };
            if is_end {
                break;
            }
            end += 1;
        }
        end
    }

    /// Reads an escape of a double-quoted scalar, from its backslash on.
    fn read_escape(&mut self) -> Result<char, Error> {
        let code_size = match self.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            letter => {
                let Some(c) = simple_escape(letter) else {
                    return self.refuse_escape(2, "found unknown escape character");
                };
                self.skip(2);
                return Ok(c);
            }
        };
        self.skip(2);
        let mut code: u32 = 0;
        for offset in 0..code_size {
            let Some(digit) = hexadecimal(self.at(offset)) else {
                return self.refuse_escape(code_size, "did not find expected hexdecimal number");
            };
            code = code << 4 | digit;
        }
        let Some(c) = char::from_u32(code) else {
            return self.refuse("found invalid Unicode character escape code");
        };
        self.skip(code_size);
        Ok(c)
    }

    /// Refuses an escape, unless so many bytes were cut off that they may have completed it.
    fn refuse_escape<T>(&self, size: usize, problem: &str) -> Result<T, Error> {
        match self.fault {
            Some(fault) if self.position + size > self.bytes.len() => Err(fault.clone()),
            _ => self.refuse(problem),
        }
    }

    fn fetch_block_scalar(&mut self, is_literal: bool) -> Result<(), Error> {
        self.drop_simple_key()?;
        self.is_simple_key_allowed = true;
        let line = self.mark.line;
        self.skip(1);
        let (chomping, increment) = self.read_block_header()?;
        let block_indent = self.indent.max(0) as usize;
        let mut value = String::new();
        let mut line_break = String::new();
        let mut empty_lines = String::new();
        let mut was_blank = false;
        let given_indent = increment.map(|increment| block_indent + increment);
        let indent = self.read_empty_lines(given_indent, &mut empty_lines)?;
        while self.mark.column == indent && !self.is_end() {
            let is_blank = self.is_blank();
            // Folding joins two lines, unless one of them begins with a blank.
            if !is_literal && !was_blank && !is_blank && line_break.starts_with('\n') {
                if empty_lines.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(&line_break);
            }
            value.push_str(&empty_lines);
            line_break.clear();
            empty_lines.clear();
            was_blank = is_blank;
            let end = self.line_end();
            value.push_str(&self.text[self.position..end]);
            self.skip_to(end);
            line_break.extend(self.take_break());
            self.read_empty_lines(Some(indent), &mut empty_lines)?;
        }
        if chomping != Chomping::Strip {
            value.push_str(&line_break);
        }
        if chomping == Chomping::Keep {
            value.push_str(&empty_lines);
        }
        self.push_scalar(line, Cow::Owned(value), false);
        Ok(())
    }

    /// Reads what follows `|` or `>` on its line: how to chomp, and the indentation if it is given.
    fn read_block_header(&mut self) -> Result<(Chomping, Option<usize>), Error> {
        let mut chomping = self.read_chomping();
        let mut increment = None;
        if self.at(0).is_ascii_digit() {
            if self.at(0) == b'0' {
                return self.refuse("found an indentation indicator equal to 0");
            }
            increment = Some(usize::from(self.at(0) - b'0'));
            self.skip(1);
            chomping = chomping.or_else(|| self.read_chomping());
        }
        self.skip_blanks();
        self.skip_comment();
        if !self.is_end() && self.break_size() == 0 {
            return self.refuse("did not find expected comment or line break");
        }
        self.skip_break();
        Ok((chomping.unwrap_or(Chomping::Clip), increment))
    }

    fn read_chomping(&mut self) -> Option<Chomping> {
        let chomping = match self.at(0) {
            b'+' => Chomping::Keep,
            b'-' => Chomping::Strip,
            _ => return None,
        };
        self.skip(1);
        Some(chomping)
    }

    /// Passes indentation and empty lines. Returns the indentation, learnt from the first line that has text if it was
    /// not known.
    fn read_empty_lines(&mut self, indent: Option<usize>, breaks: &mut String) -> Result<usize, Error> {
        let mut deepest = 0;
        loop {
            let is_indentation = |column: usize| indent.is_none_or(|indent| column < indent);
            let spaces = self.run(|byte| byte == b' ');
            self.skip(indent.map_or(spaces, |indent| spaces.min(indent.saturating_sub(self.mark.column))));
            deepest = deepest.max(self.mark.column);
            if is_indentation(self.mark.column) && self.at(0) == b'\t' {
                return self.refuse("found a tab character where an indentation space is expected");
            }
            let Some(line_break) = self.take_break() else { break };
            breaks.push(line_break);
        }
        Ok(indent.unwrap_or(deepest.max((self.indent + 1) as usize).max(1)))
    }
}

/// What a block scalar does with the line breaks at its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomping {
    /// Keeps one.
    Clip,
    /// `-`: keeps none.
    Strip,
    /// `+`: keeps all.
    Keep,
}

fn hexadecimal(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

fn simple_escape(letter: u8) -> Option<char> {
    Some(match letter {
        b'0' => '\0',
        b'a' => '\x07',
        b'b' => '\x08',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\x0b',
        b'f' => '\x0c',
        b'r' => '\r',
        b'e' => '\x1b',
        b' ' | b'"' | b'\'' | b'\\' => letter.into(),
        b'N' => '\u{85}',
        b'_' => '\u{a0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    })
}
