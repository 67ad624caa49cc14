//! `fromToml`: TOML 1.1 as the Go library of Helm reads it.
//!
//! On what is defined twice the library is lenient in its own way: a table that a dotted key made may be written again, and
//! a value that is given for it is lost. A chart that leans on it must render the same here. The words of errors are ours.
//! Authority: BurntSushi/toml v1.6.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use crate::sprig::time::Time;
use crate::template::func::Host;
use crate::value::{ElementType, Entries, List, Map, Str, Value};

/// How deep tables and arrays may stand in each other; Go has no bound.
const DEPTH_MAX: usize = 500;

/// The forms of a date, and the zone of those that tell none: the library marks them by its name.
const DATES: [(&str, Option<&str>); 7] = [
    ("2006-01-02T15:04:05.999999999Z07:00", None),
    ("2006-01-02T15:04:05.999999999", Some(DATETIME_ZONE)),
    ("2006-01-02", Some(DATE_ZONE)),
    ("15:04:05.999999999", Some(TIME_ZONE)),
    ("2006-01-02T15:04Z07:00", None),
    ("2006-01-02T15:04", Some(DATETIME_ZONE)),
    ("15:04", Some(TIME_ZONE)),
];
pub(super) const DATETIME_ZONE: &str = "datetime-local";
pub(super) const DATE_ZONE: &str = "date-local";
pub(super) const TIME_ZONE: &str = "time-local";

/// Live values of a TOML document.
///
/// # Errors
/// The text is no TOML; its line is told.
pub(super) fn unmarshal(text: &[u8], host: &dyn Host) -> Result<Map, String> {
    let marks: [&[u8]; 3] = [b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"];
    let text = marks.iter().find_map(|mark| text.strip_prefix(*mark)).unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|error| format!("toml: {error}"))?;
    let root = Table::default();
    let mut reader = Reader { text, at: 0, host, document: Document::default() };
    let end = reader.check_characters().and_then(|()| reader.document(&root));
    end.map_err(|problem| {
        let line = text.as_bytes()[..reader.at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("toml: line {line}: {problem}")
    })?;
    Ok(thaw_table(&root))
}

/// A table while the document is read; a context and its parent hold the same one.
type Table = Rc<RefCell<BTreeMap<Str, Node>>>;

#[derive(Clone)]
enum Node {
    Table(Table),
    /// What `[[name]]` makes, and what stands for an array while its tables are read.
    Tables(Vec<Table>),
    List(Vec<Node>),
    Scalar(Value),
}

fn thaw_table(table: &Table) -> Map {
    Map::any(table.borrow().iter().map(|(key, node)| (key.clone(), thaw(node))).collect::<Entries>())
}

fn thaw(node: &Node) -> Value {
    match node {
        Node::Table(table) => Value::Map(thaw_table(table)),
        Node::Tables(tables) => {
            let tables = tables.iter().map(|table| Value::Map(thaw_table(table))).collect();
            Value::List(List::typed(ElementType::AnyMap, tables))
        }
        Node::List(nodes) => Value::list(nodes.iter().map(thaw).collect()),
        Node::Scalar(value) => value.clone(),
    }
}

/// The keys that lead to a place, as one number; the root's is 0.
type Path = usize;

/// The table that keys are set in.
#[derive(Clone)]
struct Context {
    path: Path,
    depth: usize,
    table: Table,
}

/// What the library remembers of the keys it has met.
#[derive(Default)]
struct Document {
    paths: HashMap<(Path, Str), Path>,
    /// Tables that were made on the way to a key; they may be given once more.
    implicit: HashSet<Path>,
    arrays: HashSet<Path>,
}

type Read<T> = Result<T, String>;

impl Document {
    fn path(&mut self, parent: Path, key: &Str) -> Path {
        let next = self.paths.len() + 1;
        *self.paths.entry((parent, key.clone())).or_insert(next)
    }

    fn note_type(&mut self, context: &Context, key: &Str, is_array: bool) {
        // An empty key counts as its table, but for those at the top.
        let path =
            if key.as_bytes().is_empty() && context.path != 0 { context.path } else { self.path(context.path, key) };
        if is_array {
            self.arrays.insert(path)
        } else {
            self.arrays.remove(&path)
        };
    }

    fn set(&mut self, context: &Context, key: &Str, node: Node) -> Read<()> {
        let path = self.path(context.path, key);
        let mut table = context.table.borrow_mut();
        if table.contains_key(key) {
            let is_implicit = self.implicit.remove(&path);
            return match (self.arrays.contains(&path), is_implicit) {
                (_, false) => Err(format!("{:?} is defined already", key.to_text())),
                (true, true) => {
                    table.insert(key.clone(), node);
                    Ok(())
                }
                // It was a table before, and stays what it is.
                (false, true) => Ok(()),
            };
        }
        table.insert(key.clone(), node);
        Ok(())
    }

    /// Makes the table below a key, or one more element of its array of tables, and goes into it.
    fn enter(&mut self, context: &Context, key: &Str, is_element: bool) -> Read<Context> {
        if is_element {
            let mut table = context.table.borrow_mut();
            match table.entry(key.clone()).or_insert_with(|| Node::Tables(Vec::new())) {
                Node::Tables(tables) => tables.push(Table::default()),
                _ => return Err(format!("{:?} is defined already, and is no array of tables", key.to_text())),
            }
        } else {
            self.set(context, key, Node::Table(Table::default()))?;
        }
        self.go_into(context, key)
    }

    /// The table below a key that is there: of an array of tables, the last.
    fn go_into(&mut self, context: &Context, key: &Str) -> Read<Context> {
        if context.depth >= DEPTH_MAX {
            return Err(format!("tables nested deeper than {DEPTH_MAX} levels"));
        }
        let table = match context.table.borrow().get(key) {
            Some(Node::Table(table)) => Some(table.clone()),
            Some(Node::Tables(tables)) => tables.last().cloned(),
            _ => None,
        };
        let table = table.ok_or_else(|| format!("{:?} is defined already, and is no table", key.to_text()))?;
        Ok(Context { path: self.path(context.path, key), depth: context.depth + 1, table })
    }

    /// The table of a dotted key's last part.
    fn enter_dotted(&mut self, context: &Context, parents: &[Str]) -> Read<Context> {
        let mut context = context.clone();
        for key in parents {
            let path = self.path(context.path, key);
            self.implicit.insert(path);
            context = self.enter(&context, key, false)?;
        }
        Ok(context)
    }

    /// The table of `[name]` or `[[name]]`.
    fn enter_header(&mut self, root: &Context, name: &[Str], is_element: bool) -> Read<Context> {
        let (last, parents) = name.split_last().expect("a name has a part at least");
        let mut context = root.clone();
        for key in parents {
            if !context.table.borrow().contains_key(key) {
                let path = self.path(context.path, key);
                self.implicit.insert(path);
                context.table.borrow_mut().insert(key.clone(), Node::Table(Table::default()));
            }
            context = self.go_into(&context, key)?;
        }
        let context = self.enter(&context, last, is_element)?;
        self.arrays.remove(&context.path);
        Ok(context)
    }
}

struct Reader<'a> {
    text: &'a str,
    /// How many bytes have been read.
    at: usize,
    host: &'a dyn Host,
    document: Document,
}

impl<'a> Reader<'a> {
    /// Control characters may stand nowhere, nor a carriage return without a line feed.
    fn check_characters(&mut self) -> Read<()> {
        let bytes = self.text.as_bytes();
        let is_bad = |(at, byte): (usize, &u8)| match byte {
            b'\t' | b'\n' => false,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            byte => byte.is_ascii_control(),
        };
        match bytes.iter().enumerate().position(is_bad) {
            Some(at) => {
                self.at = at;
                Err(format!("control character U+{:04X}", bytes[at]))
            }
            None => Ok(()),
        }
    }

    fn document(&mut self, root: &Table) -> Read<()> {
        let root = Context { path: 0, depth: 0, table: root.clone() };
        let mut context = root.clone();
        loop {
            self.skip_lines()?;
            if self.rest().is_empty() {
                return Ok(());
            }
            if self.accept("[") {
                let is_element = self.accept("[");
                let name = self.dotted(b']')?;
                if is_element && !self.accept("]") {
                    return Err(self.unexpected("]]"));
                }
                context = self.document.enter_header(&root, &name, is_element)?;
            } else {
                self.pair(&context, None, 0)?;
            }
            self.skip_blanks();
            if !self.rest().is_empty() && !matches!(self.peek(), Some(b'\n' | b'\r' | b'#')) {
                return Err(self.unexpected("the end of the line"));
            }
        }
    }

    /// `key = value`, set in the context and in the inline table that it stands in.
    fn pair(&mut self, context: &Context, inline: Option<&Table>, depth: usize) -> Read<()> {
        let name = self.dotted(b'=')?;
        let (key, parents) = name.split_last().expect("a name has a part at least");
        let context = self.document.enter_dotted(context, parents)?;
        let value = self.value(&context, key, false, depth)?;
        self.document.set(&context, key, value.clone())?;
        self.document.note_type(&context, key, matches!(value, Node::List(_)));
        let Some(inline) = inline else { return Ok(()) };
        let mut table = inline.clone();
        for parent in parents {
            let below =
                table.borrow_mut().entry(parent.clone()).or_insert_with(|| Node::Table(Table::default())).clone();
            let Node::Table(below) = below else {
                return Err(format!("{:?} is defined already, and is no table", parent.to_text()));
            };
            table = below;
        }
        table.borrow_mut().insert(key.clone(), value);
        Ok(())
    }

    /// The parts of a name, up to and with what ends it.
    fn dotted(&mut self, end: u8) -> Read<Vec<Str>> {
        let mut parts = Vec::new();
        loop {
            self.skip_blanks();
            parts.push(match self.peek() {
                Some(b'"') => self.basic_text()?,
                Some(b'\'') => self.literal_text()?,
                _ => {
                    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    match self.take_while(is_bare) {
                        "" => return Err(self.unexpected("a name")),
                        bare => Str::from(bare.to_owned()),
                    }
                }
            });
            self.skip_blanks();
            match self.peek() {
                Some(b'.') => self.at += 1,
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(parts);
                }
                _ => return Err(self.unexpected(&format!("'.' or '{}'", char::from(end)))),
            }
        }
    }

    fn value(&mut self, context: &Context, key: &Str, is_element: bool, depth: usize) -> Read<Node> {
        if depth + context.depth >= DEPTH_MAX {
            return Err(format!("values nested deeper than {DEPTH_MAX} levels"));
        }
        self.skip_blanks();
        Ok(Node::Scalar(match self.peek() {
            Some(b'[') => return self.array(context, key, depth + 1),
            Some(b'{') => return self.inline_table(context, key, is_element, depth),
            Some(b'"') if self.accept("\"\"\"") => Value::Str(self.long_text('"')?),
            Some(b'\'') if self.accept("'''") => Value::Str(self.long_text('\'')?),
            Some(b'"') => Value::Str(self.basic_text()?),
            Some(b'\'') => Value::Str(self.literal_text()?),
            Some(b'0'..=b'9') => self.number_or_date()?,
            Some(b'+' | b'-') => self.signed_number()?,
            _ => match self.take_while(|byte| byte.is_ascii_alphabetic()) {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                // What follows is not looked at here.
                word if word.starts_with("inf") || word.starts_with("nan") => {
                    self.at -= word.len() - 3;
                    Value::Float(if word.starts_with("inf") { f64::INFINITY } else { f64::NAN })
                }
                _ => return Err(self.unexpected("a value")),
            },
        }))
    }

    fn array(&mut self, context: &Context, key: &Str, depth: usize) -> Read<Node> {
        self.at += 1;
        self.document.note_type(context, key, true);
        let mut elements = Vec::new();
        loop {
            self.skip_lines()?;
            if self.accept("]") {
                return Ok(Node::List(elements));
            }
            elements.push(self.value(context, key, true, depth)?);
            self.skip_lines()?;
            if !self.accept(",") && self.peek() != Some(b']') {
                return Err(self.unexpected("',' or ']'"));
            }
        }
    }

    /// What is set goes into the document too, where it is looked at when keys are defined twice.
    fn inline_table(&mut self, context: &Context, key: &Str, is_element: bool, depth: usize) -> Read<Node> {
        self.at += 1;
        let path = self.document.path(context.path, key);
        self.document.implicit.insert(path);
        let context = self.document.enter(context, key, is_element)?;
        let table = Table::default();
        loop {
            self.skip_lines()?;
            if self.accept("}") {
                return Ok(Node::Table(table));
            }
            self.pair(&context, Some(&table), depth)?;
            self.skip_lines()?;
            if !self.accept(",") && self.peek() != Some(b'}') {
                return Err(self.unexpected("',' or '}'"));
            }
        }
    }

    // ---- numbers and dates ----

    fn number_or_date(&mut self) -> Read<Value> {
        let start = self.at;
        let text = self.text;
        let radix = match text.as_bytes()[start..] {
            [b'0', b'b', ..] => Some(2),
            [b'0', b'o', ..] => Some(8),
            [b'0', b'x', ..] => Some(16),
            _ => None,
        };
        if let Some(radix) = radix {
            self.at += 2;
            let digits = self.take_while(|byte| byte == b'_' || char::from(byte).is_digit(radix));
            if !digits.starts_with(|c: char| c.is_digit(radix)) {
                return Err(self.unexpected("a digit"));
            }
            return integer(&text[start..self.at], digits, radix);
        }
        self.take_while(|byte| byte.is_ascii_digit());
        if matches!(self.peek(), Some(b'-' | b':')) {
            let is_of_date = |byte: u8| byte.is_ascii_digit() || b"-:Tt .Zz+".contains(&byte);
            self.take_while(is_of_date);
            return self.date(text[start..self.at].trim_matches(' '));
        }
        self.decimal(start)
    }

    fn signed_number(&mut self) -> Read<Value> {
        let start = self.at;
        let is_negative = self.peek() == Some(b'-');
        self.at += 1;
        if self.accept("inf") {
            return Ok(Value::Float(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        if self.accept("nan") {
            return Ok(Value::Float(f64::NAN.copysign(if is_negative { -1.0 } else { 1.0 })));
        }
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        self.decimal(start)
    }

    /// A decimal number whose sign or first digits are read.
    fn decimal(&mut self, start: usize) -> Read<Value> {
        let text = self.text;
        self.take_while(|byte| byte.is_ascii_digit() || byte == b'_');
        let is_float = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if is_float {
            self.take_while(|byte| byte.is_ascii_digit() || b"_.-+eE".contains(&byte));
        }
        let number = &text[start..self.at];
        let unsigned = number.trim_start_matches(['+', '-']);
        let whole = unsigned.split(['.', 'e', 'E']).next().unwrap_or_default();
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(format!("{number} begins with a zero"));
        }
        if is_float { float(number) } else { integer(number, number, 10) }
    }

    fn date(&self, text: &str) -> Read<Value> {
        let text = text.replace('z', "Z").replace(['t', ' '], "T");
        for (layout, zone) in DATES {
            let Some(time) = Time::read(layout.as_bytes(), text.as_bytes(), zone, self.host) else { continue };
            // Go's layouts take a digit for two.
            let separators = layout.bytes().take_while(|byte| !matches!(byte, b'.' | b'Z')).enumerate();
            let mut separators = separators.filter(|(_, byte)| !byte.is_ascii_digit());
            if separators.any(|(at, byte)| text.as_bytes().get(at) != Some(&byte)) {
                break;
            }
            return Ok(time.into());
        }
        Err(format!("{text:?} is no date"))
    }

    // ---- texts ----

    /// A text in one pair of `"`.
    fn basic_text(&mut self) -> Read<Str> {
        self.at += 1;
        let mut out = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(out.into()),
                Some('\\') => out.push(self.escape()?),
                None | Some('\n' | '\r') => return Err("a text does not end".into()),
                Some(c) => out.push(c),
            }
        }
    }

    /// A text in one pair of `'`.
    fn literal_text(&mut self) -> Read<Str> {
        self.at += 1;
        let text = self.take_while(|byte| !matches!(byte, b'\'' | b'\n' | b'\r'));
        if !self.accept("'") {
            return Err("a text does not end".into());
        }
        Ok(text.to_owned().into())
    }

    /// A text in three of these quotes; those that open it are read.
    fn long_text(&mut self, quote: char) -> Read<Str> {
        const QUOTES_MAX: usize = 5;
        let mut out = String::new();
        if !self.accept("\n") {
            self.accept("\r\n");
        }
        loop {
            match self.next() {
                None => return Err("a text does not end".into()),
                Some(c) if c == quote => {
                    let count = 1 + self.take_while(|byte| char::from(byte) == quote).len();
                    if count > QUOTES_MAX {
                        return Err(format!("{count} quotes in a row"));
                    }
                    if count >= 3 {
                        out.extend(std::iter::repeat_n(quote, count - 3));
                        return Ok(out.into());
                    }
                    out.extend(std::iter::repeat_n(quote, count));
                }
                Some('\\') if quote == '"' => {
                    let start = self.at;
                    if self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).contains('\n') {
                        continue;
                    }
                    self.at = start;
                    out.push(self.escape()?);
                }
                Some(c) => out.push(c),
            }
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Read<char> {
        let digits = match self.next() {
            Some('b') => return Ok('\u{8}'),
            Some('t') => return Ok('\t'),
            Some('n') => return Ok('\n'),
            Some('f') => return Ok('\u{c}'),
            Some('r') => return Ok('\r'),
            Some('e') => return Ok('\u{1b}'),
            Some(c @ ('"' | '\\')) => return Ok(c),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => return Err("an unknown escape in a text".into()),
        };
        let code = self.rest().get(..digits).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = code.ok_or_else(|| format!("an escape of less than {digits} digits"))?;
        self.at += digits;
        let code = u32::from_str_radix(code, 16).map_err(|error| error.to_string())?;
        char::from_u32(code).ok_or_else(|| format!("{code:X} is no character"))
    }

    // ---- the text ----

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, piece: &str) -> bool {
        let is_there = self.rest().starts_with(piece);
        if is_there {
            self.at += piece.len();
        }
        is_there
    }

    /// The bytes up to the first that is not wanted. Characters of several bytes are wanted whole or not at all.
    fn take_while(&mut self, is_wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !is_wanted(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Passes over blanks, ends of lines and comments.
    fn skip_lines(&mut self) -> Read<()> {
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            if self.peek() != Some(b'#') {
                return Ok(());
            }
            self.take_while(|byte| byte != b'\n');
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("{found:?} instead of {wanted}"),
            None => format!("the end of the text instead of {wanted}"),
        }
    }
}

/// A whole number; `digits` may begin with a sign.
fn integer(number: &str, digits: &str, radix: u32) -> Read<Value> {
    check_underscores(number)?;
    let parsed = i64::from_str_radix(&digits.replace('_', ""), radix);
    parsed.map(Value::int64).map_err(|error| format!("{number}: {error}"))
}

fn float(number: &str) -> Read<Value> {
    for part in number.split(['.', 'e', 'E']).filter(|part| !part.is_empty()) {
        check_underscores(part)?;
    }
    if number.split('.').skip(1).any(|after| !after.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(format!("{number} has no digit after its point"));
    }
    let parsed = number.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
    parsed.map(Value::Float).ok_or_else(|| format!("{number} is no number of 64 bits"))
}

/// An underscore stands between digits, which are those of base 16.
fn check_underscores(number: &str) -> Read<()> {
    let mut after_digit = false;
    for byte in number.bytes() {
        if byte == b'_' && !after_digit {
            return Err(format!("{number} has an underscore that does not stand between digits"));
        }
        after_digit = byte.is_ascii_hexdigit();
    }
    if after_digit { Ok(()) } else { Err(format!("{number} has no digit at its end")) }
}
