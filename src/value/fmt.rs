//! Go's `fmt` on values: `Sprint`, `Sprintf` and the default form that template actions print.
//!
//! Never fails, as Go's does not: a wrong verb or a missing operand is told inside the text (`%!d(string=x)`).
//! Unlike Go's it also ends on a map that holds itself and on output past [`PRINT_BYTES_MAX`].

use super::strconv::{self, FloatFormat};
use super::{ElementType, IntType, Kind, List, Map, Object, UintType, Value, unicode};

/// Printing stops here: shared maps could otherwise be unfolded to any size. Far above what a cluster accepts.
pub const PRINT_BYTES_MAX: usize = 64 << 20;

/// Values nested deeper than this print as `%!v(DEPTH)`.
const DEPTH_MAX: usize = 1000;

/// Widths and precisions past this are refused, as in Go.
const WIDTH_MAX: i64 = 1_000_000;

/// What a template prints for nil.
const NO_VALUE: &[u8] = b"<no value>";

/// Where Go prints a memory address, which differs from run to run, this is printed.
const POINTER: u64 = 0x3000_0000_0000;

/// `fmt.Sprint`: operands in their default form, with a space between two that are both no strings.
pub fn sprint(operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new());
    let mut was_string = false;
    for (i, operand) in operands.iter().enumerate() {
        let is_string = operand.kind() == Kind::String;
        printer.separate_operands(i, was_string || is_string);
        printer.print_operand(operand, 'v');
        was_string = is_string;
    }
    printer.out
}

/// As [`sprint`], but with operands as [`write_value`] prints them: what the template functions `html`, `js` and
/// `urlquery` escape.
pub fn sprint_values(operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new());
    let mut was_string = false;
    for (i, operand) in operands.iter().enumerate() {
        let is_string = matches!(operand.kind(), Kind::String | Kind::Invalid);
        printer.separate_operands(i, was_string || is_string);
        match operand {
            Value::Nil => printer.out.extend_from_slice(NO_VALUE),
            Value::Object(object) => printer.print_indirect(object.as_ref(), operand),
            _ => printer.print_operand(operand, 'v'),
        }
        was_string = is_string;
    }
    printer.out
}

/// `fmt.Sprintln`: operands in their default form, with spaces between them and a newline at the end.
pub fn sprintln(operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::new());
    for (i, operand) in operands.iter().enumerate() {
        if i > 0 {
            printer.out.push(b' ');
        }
        printer.print_operand(operand, 'v');
    }
    printer.out.push(b'\n');
    printer.out
}

/// `fmt.Sprintf`.
pub fn sprintf(format: &[u8], operands: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new(Vec::with_capacity(format.len()));
    Directives { printer: &mut printer, format, operands, at: 0, next_operand: 0, was_reordered: false }.print();
    printer.out
}

/// Appends what a template action prints for a value: `%v`, with `<no value>` for nil, and the `String()` method of
/// a value reached through a pointer.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => out.extend_from_slice(NO_VALUE),
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Object(object) => {
            let mut printer = Printer::new(std::mem::take(out));
            match object.pointer_stringer() {
                Some(text) => printer.out.extend_from_slice(text.as_bytes()),
                None => printer.print_indirect(object.as_ref(), value),
            }
            *out = printer.out;
        }
        _ => {
            let mut printer = Printer::new(std::mem::take(out));
            printer.print_operand(value, 'v');
            *out = printer.out;
        }
    }
}

/// Flags, width and precision of one directive.
#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`
    plus_v: bool,
    /// `%#v`
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Reads a format string.
struct Directives<'f> {
    printer: &'f mut Printer,
    format: &'f [u8],
    operands: &'f [Value],
    at: usize,
    next_operand: usize,
    was_reordered: bool,
}

impl Directives<'_> {
    fn print(&mut self) {
        while self.at < self.format.len() {
            let rest = &self.format[self.at..];
            let plain = rest.iter().position(|b| *b == b'%').unwrap_or(rest.len());
            self.printer.out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            if self.at < self.format.len() {
                self.at += 1;
                self.directive();
            }
        }
        if !self.was_reordered && self.next_operand < self.operands.len() {
            self.extra_operands();
        }
    }

    fn extra_operands(&mut self) {
        let printer = &mut *self.printer;
        printer.flags = Flags::default();
        printer.out.extend_from_slice(b"%!(EXTRA ");
        for (i, operand) in self.operands[self.next_operand..].iter().enumerate() {
            if i > 0 {
                printer.out.extend_from_slice(b", ");
            }
            if !matches!(operand, Value::Nil) {
                printer.out.extend_from_slice(operand.type_name().as_bytes());
                printer.out.push(b'=');
            }
            printer.print_operand(operand, 'v');
        }
        printer.out.push(b')');
    }

    /// One directive; its `%` is past.
    fn directive(&mut self) {
        self.printer.flags = Flags::default();
        self.read_flags();
        let mut is_index_good = true;
        let mut after_index = self.read_index(&mut is_index_good);
        if self.accept(b'*') {
            self.width_from_operand();
            after_index = false;
        } else {
            self.printer.flags.width = self.read_number();
            if after_index && self.printer.flags.width.is_some() {
                is_index_good = false;
            }
        }
        // A point that ends the format is read as the verb.
        if self.at + 1 < self.format.len() && self.accept(b'.') {
            if after_index {
                is_index_good = false;
            }
            after_index = self.read_index(&mut is_index_good);
            if self.accept(b'*') {
                self.precision_from_operand();
                after_index = false;
            } else {
                self.printer.flags.precision = Some(self.read_number().unwrap_or(0));
            }
        }
        if !after_index {
            self.read_index(&mut is_index_good);
        }
        if self.at >= self.format.len() {
            self.printer.out.extend_from_slice(b"%!(NOVERB)");
            return;
        }
        let (verb, width) = unicode::decode(&self.format[self.at..]);
        self.at += width;
        self.verb(verb, is_index_good);
    }

    fn verb(&mut self, verb: char, is_index_good: bool) {
        if verb == '%' {
            self.printer.out.push(b'%');
        } else if !is_index_good {
            self.printer.push_fault(verb, "(BADINDEX)");
        } else if let Some(operand) = self.operands.get(self.next_operand) {
            if verb == 'v' || verb == 'w' {
                let flags = &mut self.printer.flags;
                flags.sharp_v = std::mem::take(&mut flags.sharp);
                flags.plus_v = std::mem::take(&mut flags.plus);
            }
            self.printer.print_operand(operand, verb);
            self.next_operand += 1;
        } else {
            self.printer.push_fault(verb, "(MISSING)");
        }
    }

    fn read_flags(&mut self) {
        while let Some(byte) = self.format.get(self.at) {
            let flags = &mut self.printer.flags;
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        let is_there = self.format.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// A number; one past [`WIDTH_MAX`] swallows the rest of the format, as in Go.
    fn read_number(&mut self) -> Option<usize> {
        let mut number: Option<i64> = None;
        while let Some(digit) = self.format.get(self.at).filter(|b| b.is_ascii_digit()) {
            let so_far = number.unwrap_or(0);
            if so_far > WIDTH_MAX {
                self.at = self.format.len();
                return None;
            }
            number = Some(so_far * 10 + i64::from(digit - b'0'));
            self.at += 1;
        }
        number.map(|n| n as usize)
    }

    /// `[n]`: sets the operand the next verb or star takes. Says whether an index was there.
    fn read_index(&mut self, is_good: &mut bool) -> bool {
        if self.format.get(self.at) != Some(&b'[') {
            return false;
        }
        self.was_reordered = true;
        let rest = &self.format[self.at..];
        let close = rest.iter().position(|b| *b == b']');
        let Some(close) = close.filter(|_| rest.len() >= 3) else {
            self.at += 1;
            *is_good = false;
            return false;
        };
        self.at += close + 1;
        let number = Self::index_number(&rest[1..close]);
        match number.and_then(|n| n.checked_sub(1)).filter(|index| *index < self.operands.len()) {
            Some(index) => self.next_operand = index,
            None => *is_good = false,
        }
        number.is_some()
    }

    fn index_number(digits: &[u8]) -> Option<usize> {
        let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<usize>().ok().filter(|number| number / 10 <= WIDTH_MAX as usize)
    }

    fn width_from_operand(&mut self) {
        let width = self.integer_operand();
        let flags = &mut self.printer.flags;
        flags.width = width.map(|w| w.unsigned_abs() as usize);
        if width.is_some_and(|w| w < 0) {
            flags.minus = true;
            flags.zero = false;
        }
        if width.is_none() {
            self.printer.out.extend_from_slice(b"%!(BADWIDTH)");
        }
    }

    fn precision_from_operand(&mut self) {
        let precision = self.integer_operand().and_then(|p| usize::try_from(p).ok());
        self.printer.flags.precision = precision;
        if precision.is_none() {
            self.printer.out.extend_from_slice(b"%!(BADPREC)");
        }
    }

    fn integer_operand(&mut self) -> Option<i64> {
        let operand = self.operands.get(self.next_operand)?;
        self.next_operand += 1;
        let number = match operand {
            Value::Int(_, n) => Some(*n),
            Value::Uint(_, n) => i64::try_from(*n).ok(),
            _ => None,
        };
        number.filter(|n| (-WIDTH_MAX..=WIDTH_MAX).contains(n))
    }
}

/// Prints one operand at a time.
struct Printer {
    out: Vec<u8>,
    flags: Flags,
    /// Inside the text of a bad verb, where `String()` methods are not used.
    is_erroring: bool,
    /// The maps being printed, outermost first: one that holds itself is not entered again.
    path: Vec<Map>,
}

impl Printer {
    fn new(out: Vec<u8>) -> Self {
        Printer { out, flags: Flags::default(), is_erroring: false, path: Vec::new() }
    }

    fn separate_operands(&mut self, index: usize, beside_string: bool) {
        if index > 0 && !beside_string {
            self.out.push(b' ');
        }
    }

    /// An object as a template prints it: what a pointer without `String()` points to, without `&`.
    fn print_indirect(&mut self, object: &dyn Object, value: &Value) {
        match object.kind() {
            Kind::Ptr if object.stringer().is_none() => self.print_struct(object, 'v', 0),
            _ => self.print_operand(value, 'v'),
        }
    }

    fn push_fault(&mut self, verb: char, text: &str) {
        self.out.extend_from_slice(b"%!");
        self.push_char(verb);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn push_char(&mut self, c: char) {
        self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// An operand of its own, not inside a container.
    fn print_operand(&mut self, value: &Value, verb: char) {
        match (verb, value) {
            ('T' | 'v', Value::Nil) => self.pad(b"<nil>"),
            (_, Value::Nil) => self.push_fault(verb, "(<nil>)"),
            ('T', _) => self.print_string(value.type_name().as_bytes()),
            ('p', Value::Map(_) | Value::List(_) | Value::Bytes(_)) => self.print_pointer('p', value),
            ('p', Value::Object(object)) if matches!(object.kind(), Kind::Ptr | Kind::Func) => {
                self.print_pointer('p', value);
            }
            ('p', _) => self.bad_verb(value, verb),
            ('v' | 'd', Value::Bytes(bytes)) => self.print_byte_list("[]byte", bytes, verb),
            _ => self.print_value(value, verb, 0),
        }
    }

    /// `%!verb(type=value)`
    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.is_erroring = true;
        self.push_fault(verb, "(");
        self.out.extend_from_slice(value.type_name().as_bytes());
        self.out.push(b'=');
        self.print_value(value, 'v', 0);
        self.out.push(b')');
        self.is_erroring = false;
    }

    fn print_value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.out.len() > PRINT_BYTES_MAX || depth > DEPTH_MAX {
            return self.push_fault(verb, if depth > DEPTH_MAX { "(DEPTH)" } else { "(SIZE)" });
        }
        if verb == 'w' && !(depth == 0 && matches!(value, Value::Bytes(_))) {
            return self.bad_verb(value, verb);
        }
        if let Some(text) = self.method_text(value, verb) {
            return self.print_text(text.as_bytes(), value, verb);
        }
        match value {
            Value::Nil if self.flags.sharp_v => self.out.extend_from_slice(b"interface {}(nil)"),
            Value::Nil => self.out.extend_from_slice(b"<nil>"),
            Value::Bool(b) if matches!(verb, 't' | 'v') => self.pad(if *b { b"true" } else { b"false" }),
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(_, n) => self.print_integer(value, n.unsigned_abs(), Sign::of(*n), verb),
            Value::Uint(_, n) => self.print_integer(value, *n, Sign::Unsigned, verb),
            Value::Float(f) => self.print_float(value, *f, verb),
            Value::Str(text) => self.print_text(text.as_bytes(), value, verb),
            Value::Bytes(bytes) => match verb {
                's' | 'q' | 'x' | 'X' => self.print_text(bytes, value, verb),
                _ => self.print_byte_list("[]uint8", bytes, verb),
            },
            Value::List(list) => self.print_list(list, verb, depth),
            Value::Map(map) => self.print_map(map, verb, depth),
            Value::Object(object) => self.print_object(object.as_ref(), value, verb, depth),
        }
    }

    /// The text of a `String()` method, where the verb takes one.
    fn method_text(&self, value: &Value, verb: char) -> Option<String> {
        if self.is_erroring || self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return None;
        }
        match value {
            Value::Int(IntType::Duration, nanoseconds) => Some(duration_text(*nanoseconds)),
            Value::Int(IntType::Month, number) => Some(named(&MONTHS, number - 1, *number, "Month")),
            Value::Int(IntType::Weekday, number) => Some(named(&WEEKDAYS, *number, *number, "Weekday")),
            Value::Object(object) => object.stringer(),
            _ => None,
        }
    }

    fn print_list(&mut self, list: &List, verb: char, depth: usize) {
        self.open(list.items.is_none(), || Value::List(list.clone()).type_name(), b"[");
        if self.flags.sharp_v && list.items.is_none() {
            return;
        }
        for (i, item) in list.as_slice().iter().enumerate() {
            if self.is_full() {
                break;
            }
            self.separate(i);
            self.print_element(item, list.element == ElementType::Any, verb, depth + 1);
        }
        self.close(b']');
    }

    fn print_map(&mut self, map: &Map, verb: char, depth: usize) {
        if self.path.iter().any(|outer| outer.is_same(map) && outer.entries.is_some()) {
            return self.push_fault(verb, "(CYCLE)");
        }
        self.open(map.entries.is_none(), || Value::Map(map.clone()).type_name(), b"map[");
        let Some(entries) = &map.entries else {
            return if !self.flags.sharp_v {
                self.close(b']')
            };
        };
        self.path.push(map.clone());
        for (i, (key, value)) in entries.borrow().iter().enumerate() {
            if self.is_full() {
                break;
            }
            self.separate(i);
            self.print_value(&Value::Str(key.clone()), verb, depth + 1);
            self.out.push(b':');
            self.print_element(value, true, verb, depth + 1);
        }
        self.path.pop();
        self.close(b']');
    }

    fn print_element(&mut self, value: &Value, is_interface: bool, verb: char, depth: usize) {
        // A nil inside an interface is told without regard to the verb.
        if is_interface && matches!(value, Value::Nil) {
            let text: &[u8] = if self.flags.sharp_v { b"interface {}(nil)" } else { b"<nil>" };
            self.out.extend_from_slice(text);
        } else {
            self.print_value(value, verb, depth);
        }
    }

    fn print_byte_list(&mut self, type_name: &str, bytes: &[u8], verb: char) {
        self.open(false, || type_name.to_owned(), b"[");
        for (i, byte) in bytes.iter().enumerate() {
            if self.is_full() {
                break;
            }
            self.separate(i);
            self.print_value(&Value::Uint(UintType::Uint8, (*byte).into()), verb, 1);
        }
        self.close(b']');
    }

    fn is_full(&mut self) -> bool {
        let is_full = self.out.len() > PRINT_BYTES_MAX;
        if is_full {
            self.push_fault('v', "(SIZE)");
        }
        is_full
    }

    /// The start of a container: its type in Go syntax, `map[` or `[` otherwise.
    fn open(&mut self, is_nil: bool, type_name: impl Fn() -> String, bracket: &[u8]) {
        if self.flags.sharp_v {
            self.out.extend_from_slice(type_name().as_bytes());
            self.out.extend_from_slice(if is_nil { b"(nil)" } else { b"{" });
        } else {
            self.out.extend_from_slice(bracket);
        }
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.extend_from_slice(if self.flags.sharp_v { b", " } else { b" " });
        }
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(if self.flags.sharp_v { b'}' } else { bracket });
    }

    fn print_object(&mut self, object: &dyn Object, value: &Value, verb: char, depth: usize) {
        if self.flags.sharp_v
            && !self.is_erroring
            && let Some(text) = object.go_string()
        {
            return self.print_string(text.as_bytes());
        }
        match object.kind() {
            Kind::Struct => self.print_struct(object, verb, depth),
            Kind::Ptr if depth == 0 => {
                self.out.push(b'&');
                self.print_struct(object, verb, depth + 1);
            }
            _ => self.print_pointer(verb, value),
        }
    }

    fn print_struct(&mut self, object: &dyn Object, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.out.extend_from_slice(object.type_name().trim_start_matches('*').as_bytes());
        }
        self.out.push(b'{');
        for (i, (name, value)) in object.fields().iter().enumerate() {
            self.separate(i);
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b':');
            }
            self.print_element(value, true, verb, depth + 1);
        }
        self.out.push(b'}');
    }

    fn print_pointer(&mut self, verb: char, value: &Value) {
        match verb {
            'v' if self.flags.sharp_v => {
                let text = format!("({})({POINTER:#x})", value.type_name());
                self.out.extend_from_slice(text.as_bytes());
            }
            'v' | 'p' => {
                self.flags.sharp = !self.flags.sharp;
                self.push_integer(POINTER, Sign::Unsigned, 16, 'v', false);
                self.flags.sharp = !self.flags.sharp;
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.print_integer(value, POINTER, Sign::Unsigned, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    fn print_integer(&mut self, value: &Value, magnitude: u64, sign: Sign, verb: char) {
        let code_point = || match sign {
            Sign::Negative => u32::from(char::REPLACEMENT_CHARACTER),
            Sign::Positive | Sign::Unsigned => {
                u32::try_from(magnitude).ok().filter(|c| char::from_u32(*c).is_some()).unwrap_or(0xfffd)
            }
        };
        match verb {
            'v' if self.flags.sharp_v && sign == Sign::Unsigned => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.push_integer(magnitude, sign, 16, 'v', false);
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.push_integer(magnitude, sign, 10, verb, false),
            'b' => self.push_integer(magnitude, sign, 2, verb, false),
            'o' | 'O' => self.push_integer(magnitude, sign, 8, verb, false),
            'x' => self.push_integer(magnitude, sign, 16, verb, false),
            'X' => self.push_integer(magnitude, sign, 16, verb, true),
            'c' => {
                let c = char::from_u32(code_point()).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' if self.flags.plus => self.pad(&strconv::quote_rune_to_ascii(code_point())),
            'q' => self.pad(&strconv::quote_rune(code_point())),
            'U' => self.print_unicode(if sign == Sign::Negative { magnitude.wrapping_neg() } else { magnitude }),
            _ => self.bad_verb(value, verb),
        }
    }

    fn push_integer(&mut self, magnitude: u64, sign: Sign, base: u32, verb: char, is_upper: bool) {
        let flags = self.flags;
        if flags.precision == Some(0) && magnitude == 0 {
            // Nothing but padding.
            return self.push_padding(flags.width.unwrap_or(0), b' ');
        }
        let has_sign = sign == Sign::Negative || flags.plus || flags.space;
        let digits_min = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(has_sign)),
            _ => 0,
        };
        let digits = match base {
            2 => format!("{magnitude:b}"),
            8 => format!("{magnitude:o}"),
            16 if is_upper => format!("{magnitude:X}"),
            16 => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let mut text = String::with_capacity(digits.len().max(digits_min) + 3);
        text.push_str(match sign {
            Sign::Negative => "-",
            _ if flags.plus => "+",
            _ if flags.space => " ",
            _ => "",
        });
        let zeros = digits_min.saturating_sub(digits.len());
        if verb == 'O' {
            text.push_str("0o");
        }
        text.push_str(match base {
            2 if flags.sharp => "0b",
            8 if flags.sharp && zeros == 0 && !digits.starts_with('0') => "0",
            16 if flags.sharp && is_upper => "0X",
            16 if flags.sharp => "0x",
            _ => "",
        });
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(&digits);
        self.pad_with(text.as_bytes(), b' ');
    }

    fn print_unicode(&mut self, number: u64) {
        let digits_min = self.flags.precision.unwrap_or(0).max(4);
        let mut text = String::from("U+");
        let digits = format!("{number:X}");
        text.extend(std::iter::repeat_n('0', digits_min.saturating_sub(digits.len())));
        text.push_str(&digits);
        if let Some(c) = u32::try_from(number).ok().filter(|n| unicode::is_print(*n)).and_then(char::from_u32)
            && self.flags.sharp
        {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_with(text.as_bytes(), b' ');
    }

    fn print_float(&mut self, value: &Value, number: f64, verb: char) {
        let (format, precision) = match verb {
            'v' | 'g' | 'G' => (FloatFormat::General, None),
            'b' => (FloatFormat::Binary, None),
            'x' | 'X' => (FloatFormat::Hexadecimal, None),
            'f' | 'F' => (FloatFormat::Decimal, Some(6)),
            'e' | 'E' => (FloatFormat::Exponent, Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(precision);
        let mut text = strconv::format_float(number, format, precision);
        if !number.is_finite() {
            return self.print_infinite(text);
        }
        if matches!(verb, 'G' | 'E' | 'X') {
            text.make_ascii_uppercase();
        }
        let (is_negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude.to_owned()),
            None => (false, text),
        };
        let magnitude =
            if self.flags.sharp && verb != 'b' { with_point(&magnitude, verb, precision) } else { magnitude };
        let sign = match is_negative {
            true => "-",
            false if self.flags.plus => "+",
            false if self.flags.space => " ",
            false => "",
        };
        let width = self.flags.width.unwrap_or(0);
        if self.flags.zero && !self.flags.minus && !sign.is_empty() && width > magnitude.len() + 1 {
            // The sign comes before the zeros.
            self.out.extend_from_slice(sign.as_bytes());
            self.push_padding(width - magnitude.len() - 1, b'0');
            self.out.extend_from_slice(magnitude.as_bytes());
        } else {
            self.pad(format!("{sign}{magnitude}").as_bytes());
        }
    }

    /// NaN and the infinities: no zeros before them, and `+Inf` keeps its sign only where a sign was asked for.
    fn print_infinite(&mut self, text: String) {
        let text = match text.strip_prefix('+').unwrap_or(&text) {
            unsigned if unsigned.starts_with('-') => unsigned.to_owned(),
            unsigned if self.flags.plus => format!("+{unsigned}"),
            unsigned if self.flags.space => format!(" {unsigned}"),
            "Inf" => "+Inf".to_owned(),
            unsigned => unsigned.to_owned(),
        };
        self.pad_with(text.as_bytes(), b' ');
    }

    fn print_text(&mut self, text: &[u8], value: &Value, verb: char) {
        match verb {
            'v' if self.flags.sharp_v => self.print_quoted(text),
            'v' | 's' => self.print_string(text),
            'q' => self.print_quoted(text),
            'x' | 'X' => self.print_hexadecimal(text, verb == 'X'),
            _ => self.bad_verb(value, verb),
        }
    }

    fn print_string(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        self.pad(text);
    }

    /// As many characters as the precision says.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else { return text };
        let mut end = 0;
        for _ in 0..precision {
            if end >= text.len() {
                break;
            }
            end += unicode::decode(&text[end..]).1;
        }
        &text[..end]
    }

    fn print_quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        let quoted = if self.flags.sharp && strconv::can_backquote(text) {
            [b"`", text, b"`"].concat()
        } else if self.flags.plus {
            strconv::quote_to_ascii(text)
        } else {
            strconv::quote(text)
        };
        self.pad(&quoted);
    }

    fn print_hexadecimal(&mut self, text: &[u8], is_upper: bool) {
        let flags = self.flags;
        let text = &text[..flags.precision.unwrap_or(text.len()).min(text.len())];
        let prefix = match (flags.sharp && !text.is_empty(), is_upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut encoded = String::with_capacity(text.len() * 2);
        encoded.push_str(prefix);
        for (i, byte) in text.iter().enumerate() {
            if flags.space && i > 0 {
                encoded.push(' ');
                encoded.push_str(prefix);
            }
            encoded.push_str(&if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(encoded.as_bytes());
    }

    fn pad(&mut self, text: &[u8]) {
        let fill = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        self.pad_with(text, fill);
    }

    fn pad_with(&mut self, text: &[u8], fill: u8) {
        let Some(width) = self.flags.width else { return self.out.extend_from_slice(text) };
        let missing = width.saturating_sub(unicode::count(text));
        if !self.flags.minus {
            self.push_padding(missing, fill);
        }
        self.out.extend_from_slice(text);
        if self.flags.minus {
            self.push_padding(missing, fill);
        }
    }

    fn push_padding(&mut self, count: usize, fill: u8) {
        self.out.resize(self.out.len() + count, fill);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Negative,
    Positive,
    Unsigned,
}

impl Sign {
    fn of(number: i64) -> Self {
        if number < 0 { Sign::Negative } else { Sign::Positive }
    }
}

/// The `#` flag: the point is always there, and with `g` the trailing zeros are.
fn with_point(magnitude: &str, verb: char, precision: Option<usize>) -> String {
    let is_hexadecimal = matches!(verb, 'x' | 'X');
    let tail_at = magnitude.find(|c| matches!(c, 'p' | 'P') || (matches!(c, 'e' | 'E') && !is_hexadecimal));
    let (number, tail) = magnitude.split_at(tail_at.unwrap_or(magnitude.len()));
    let digits_wanted = match verb {
        'v' | 'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let significant = number.chars().filter(|c| *c != '.').skip_while(|c| *c == '0').count();
    let mut missing = digits_wanted.saturating_sub(significant);
    let mut text = number.to_owned();
    if !number.contains('.') {
        // A single zero counts as a digit.
        missing = missing.saturating_sub(usize::from(number == "0"));
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', missing));
    text.push_str(tail);
    text
}

/// The names of `time.Month`, in Go's English.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The names of `time.Weekday`, in Go's English.
pub const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn named(names: &[&str], index: i64, number: i64, type_name: &str) -> String {
    match usize::try_from(index).ok().and_then(|index| names.get(index)) {
        Some(name) => (*name).to_owned(),
        None => format!("%!{type_name}({})", number as u64),
    }
}

/// `time.Duration.String`: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn duration_text(nanoseconds: i64) -> String {
    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let with_fraction = |amount: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", amount / unit, amount % unit);
        if digits == 0 {
            (amount / unit).to_string()
        } else {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    match magnitude {
        0 => "0s".to_owned(),
        1..MICROSECOND => format!("{sign}{magnitude}ns"),
        MICROSECOND..MILLISECOND => format!("{sign}{}µs", with_fraction(magnitude, MICROSECOND)),
        MILLISECOND..SECOND => format!("{sign}{}ms", with_fraction(magnitude, MILLISECOND)),
        _ => {
            let (hours, minutes) = (magnitude / SECOND / 3600, magnitude / SECOND / 60 % 60);
            let seconds = with_fraction(magnitude % (60 * SECOND), SECOND);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Entries;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("the text is UTF-8")
    }

    // What Go prints for the verbs is in template/go.golden.
    #[test]
    fn sprint_puts_spaces_between_operands_that_are_no_strings() {
        // Run with Go 1.26.8.
        let operands =
            [Value::int(1), Value::int(2), Value::string("a"), Value::string("b"), Value::int(3), Value::Nil];
        assert_eq!(text(sprint(&operands)), "1 2ab3 <nil>");
        assert_eq!(text(sprintln(&operands)), "1 2 a b 3 <nil>\n");
    }

    #[test]
    fn nil_prints_no_value_only_at_the_top_of_an_action() {
        let mut out = b"-".to_vec();
        write_value(&mut out, &Value::Nil);
        write_value(&mut out, &Value::list(vec![Value::Nil]));
        assert_eq!(text(out), "-<no value>[<nil>]");
        assert_eq!(text(sprint_values(&[Value::Nil, Value::int(1)])), "<no value>1");
    }

    #[test]
    fn printing_ends_where_values_do_not() {
        let mut value = Value::string("x".repeat(1 << 20));
        for _ in 0..10 {
            value = Value::list(vec![value.clone(), value]);
        }
        let out = sprint(&[value]);
        assert!((PRINT_BYTES_MAX..PRINT_BYTES_MAX + (2 << 20)).contains(&out.len()), "{}", out.len());

        let (mut deep, depth) = (Value::int(0), DEPTH_MAX + 10);
        for _ in 0..depth {
            deep = Value::list(vec![deep]);
        }
        assert!(text(sprint(&[deep])).contains("[%!v(DEPTH)]"));

        let cycle = Map::any(Entries::new());
        cycle.set("self", Value::list(vec![Value::Map(cycle.clone())]));
        assert_eq!(text(sprint(&[Value::Map(cycle.clone())])), "map[self:[%!v(CYCLE)]]");
        cycle.set("self", Value::Nil);
    }

    proptest! {
        #[test]
        fn no_format_makes_printing_panic(
            format in "(%[-+# 0]{0,2}(\\[[0-9x]?\\])?[0-9*]{0,2}(\\.[0-9*]{0,2})?.?){0,4}",
        ) {
            let values = [Value::int(-5), Value::Float(2.5), Value::string("é\"x"), Value::Nil, Value::list(vec![])];
            sprintf(format.as_bytes(), &values);
        }
    }
}
