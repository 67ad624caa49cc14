//! Go's way to write dates: the layout shows how the reference time, Mon Jan 2 15:04:05 MST 2006, would look.

use super::duration::quote;
use super::time::{Civil, Time, Zone, days_since_1970, offset_by_abbreviation, offset_in};
use crate::value::fmt::{MONTHS, WEEKDAYS};
use jiff::tz::TimeZone;

/// How many letters the short names of months and days have.
const SHORT_NAME: usize = 3;

/// A piece of a layout that stands for a part of the time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    /// `2006`
    LongYear,
    /// `06`
    Year,
    /// `January`, or `Jan` if short.
    MonthName { short: bool },
    /// `1`, or `01` if padded.
    Month { padded: bool },
    /// `Monday`, or `Mon` if short.
    Weekday { short: bool },
    /// `2`, `02` or `_2`.
    Day(Padding),
    /// `002` or `__2`.
    YearDay(Padding),
    /// `15`
    Hour,
    /// `3` or `03`
    Hour12 { padded: bool },
    /// `4` or `04`
    Minute { padded: bool },
    /// `5` or `05`
    Second { padded: bool },
    /// `PM` or `pm`
    HalfDay { upper: bool },
    /// `MST`
    ZoneName,
    /// `-0700`, `Z07:00` and their kin.
    ZoneOffset { z_for_utc: bool, colons: bool, parts: OffsetParts },
    /// `.000` or `,999`: digits, the mark before them, and whether trailing zeros are left out.
    Fraction { digits: usize, mark: u8, trimmed: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Zero,
    Space,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OffsetParts {
    Hours,
    Minutes,
    Seconds,
}

/// The first element of a layout: what stands before it, the element with its length, and the rest.
struct Chunk<'l> {
    prefix: &'l [u8],
    element: Option<(Element, &'l [u8])>,
    rest: &'l [u8],
}

fn next_chunk(layout: &[u8]) -> Chunk<'_> {
    for start in 0..layout.len() {
        if let Some((skipped, length, element)) = element_at(&layout[start..]) {
            let (prefix, rest) = layout.split_at(start + skipped);
            let (text, rest) = rest.split_at(length);
            return Chunk { prefix, element: Some((element, text)), rest };
        }
    }
    Chunk { prefix: layout, element: None, rest: &[] }
}

/// The element a layout starts with: bytes to pass over before it, its length, and what it is.
fn element_at(text: &[u8]) -> Option<(usize, usize, Element)> {
    use Element::*;
    let starts = |with: &str| text.starts_with(with.as_bytes());
    let lower_follows = || text.get(SHORT_NAME).is_some_and(u8::is_ascii_lowercase);
    let found = |length: usize, element: Element| Some((0, length, element));
    match text[0] {
        b'J' if starts("January") => found(7, MonthName { short: false }),
        b'J' if starts("Jan") && !lower_follows() => found(3, MonthName { short: true }),
        b'M' if starts("Monday") => found(6, Weekday { short: false }),
        b'M' if starts("Mon") && !lower_follows() => found(3, Weekday { short: true }),
        b'M' if starts("MST") => found(3, ZoneName),
        b'0' if starts("002") => found(3, YearDay(Padding::Zero)),
        b'0' => match text.get(1)? {
            b'1' => found(2, Month { padded: true }),
            b'2' => found(2, Day(Padding::Zero)),
            b'3' => found(2, Hour12 { padded: true }),
            b'4' => found(2, Minute { padded: true }),
            b'5' => found(2, Second { padded: true }),
            b'6' => found(2, Year),
            _ => None,
        },
        b'1' if starts("15") => found(2, Hour),
        b'1' => found(1, Month { padded: false }),
        b'2' if starts("2006") => found(4, LongYear),
        b'2' => found(1, Day(Padding::None)),
        // The underscore belongs to the text, not to the year.
        b'_' if starts("_2006") => Some((1, 4, LongYear)),
        b'_' if starts("_2") => found(2, Day(Padding::Space)),
        b'_' if starts("__2") => found(3, YearDay(Padding::Space)),
        b'3' => found(1, Hour12 { padded: false }),
        b'4' => found(1, Minute { padded: false }),
        b'5' => found(1, Second { padded: false }),
        b'P' if starts("PM") => found(2, HalfDay { upper: true }),
        b'p' if starts("pm") => found(2, HalfDay { upper: false }),
        b'-' | b'Z' => zone_offset(text),
        b'.' | b',' => fraction(text),
        _ => None,
    }
}

fn zone_offset(text: &[u8]) -> Option<(usize, usize, Element)> {
    const SHAPES: [(&[u8], bool, OffsetParts); 5] = [
        (b"070000", false, OffsetParts::Seconds),
        (b"07:00:00", true, OffsetParts::Seconds),
        (b"0700", false, OffsetParts::Minutes),
        (b"07:00", true, OffsetParts::Minutes),
        (b"07", false, OffsetParts::Hours),
    ];
    let (shape, colons, parts) = SHAPES.into_iter().find(|(shape, ..)| text[1..].starts_with(shape))?;
    Some((0, shape.len() + 1, Element::ZoneOffset { z_for_utc: text[0] == b'Z', colons, parts }))
}

/// A fraction ends where the digits do: `.00` and `.99` are ones, `.002` is not.
fn fraction(text: &[u8]) -> Option<(usize, usize, Element)> {
    let digit = *text.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
    let digits = text[1..].iter().take_while(|b| **b == digit).count();
    if text.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some((0, 1 + digits, Element::Fraction { digits, mark: text[0], trimmed: digit == b'9' }))
}

/// `Time.Format`
pub(super) fn format(layout: &[u8], time: &Time) -> Vec<u8> {
    let civil = time.civil();
    let mut out = Vec::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while !rest.is_empty() {
        let chunk = next_chunk(rest);
        out.extend_from_slice(chunk.prefix);
        if let Some((element, _)) = chunk.element {
            push(&mut out, element, time, civil);
        }
        rest = chunk.rest;
    }
    out
}

fn push(out: &mut Vec<u8>, element: Element, time: &Time, civil: Civil) {
    let name = |name: &'static str, short: bool| if short { &name[..SHORT_NAME] } else { name };
    let number = |number: i64, padded: bool| if padded { format!("{number:02}") } else { number.to_string() };
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    let text = match element {
        Element::LongYear if civil.year < 0 => format!("-{:04}", -civil.year),
        Element::LongYear => format!("{:04}", civil.year),
        Element::Year => number(civil.year.abs() % 100, true),
        Element::MonthName { short } => name(MONTHS[civil.month as usize - 1], short).to_owned(),
        Element::Month { padded } => number(civil.month, padded),
        Element::Weekday { short } => name(WEEKDAYS[time.weekday() as usize], short).to_owned(),
        Element::Day(Padding::Space) => format!("{:2}", civil.day),
        Element::Day(padding) => number(civil.day, padding == Padding::Zero),
        Element::YearDay(Padding::Space) => format!("{:3}", time.year_day()),
        Element::YearDay(_) => format!("{:03}", time.year_day()),
        Element::Hour => number(civil.hour, true),
        Element::Hour12 { padded } => number(hour12, padded),
        Element::Minute { padded } => number(civil.minute, padded),
        Element::Second { padded } => number(civil.second, padded),
        Element::HalfDay { upper } => match (civil.hour >= 12, upper) {
            (true, true) => "PM".to_owned(),
            (true, false) => "pm".to_owned(),
            (false, true) => "AM".to_owned(),
            (false, false) => "am".to_owned(),
        },
        Element::ZoneName => {
            let offset = time.offset();
            if offset.abbreviation.is_empty() {
                offset_text(offset.seconds, false, OffsetParts::Minutes)
            } else {
                offset.abbreviation
            }
        }
        Element::ZoneOffset { z_for_utc, colons, parts } => match time.offset().seconds {
            0 if z_for_utc => "Z".to_owned(),
            seconds => offset_text(seconds, colons, parts),
        },
        Element::Fraction { digits, mark, trimmed } => fraction_text(time.nanosecond(), digits, mark, trimmed),
    };
    out.extend_from_slice(text.as_bytes());
}

/// `+01:00`. The sign is that of the whole minutes.
fn offset_text(seconds: i64, colons: bool, parts: OffsetParts) -> String {
    let minutes = seconds / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let colon = if colons { ":" } else { "" };
    let (hour, minute, second) = (minutes.abs() / 60, minutes.abs() % 60, seconds.abs() % 60);
    match parts {
        OffsetParts::Hours => format!("{sign}{hour:02}"),
        OffsetParts::Minutes => format!("{sign}{hour:02}{colon}{minute:02}"),
        OffsetParts::Seconds => format!("{sign}{hour:02}{colon}{minute:02}{colon}{second:02}"),
    }
}

fn fraction_text(nanoseconds: u32, digits: usize, mark: u8, trimmed: bool) -> String {
    let all = format!("{nanoseconds:09}");
    let shown = &all[..digits.min(all.len())];
    let shown = if trimmed { shown.trim_end_matches('0') } else { shown };
    if shown.is_empty() { String::new() } else { format!("{}{shown}", char::from(mark)) }
}

/// Why a text was not read, before it is put into words.
enum Refusal {
    /// It does not have the shape of the layout.
    Shape,
    /// A number is too large: which one.
    Range(&'static str),
}

type Read<T> = Result<T, Refusal>;

/// What was read so far.
#[derive(Default)]
struct Reading {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    is_pm: bool,
    is_am: bool,
    is_utc: bool,
    offset: Option<i64>,
    zone_name: String,
}

/// `time.ParseInLocation` with the local zone.
///
/// # Errors
/// The text does not fit the layout; in Go's words.
pub(super) fn parse(layout: &[u8], text: &[u8], local: TimeZone) -> Result<Time, String> {
    let words = |element: &[u8], rest: &[u8], message: &str| {
        if message.is_empty() {
            let (text, layout, rest, element) = (quote(text), quote(layout), quote(rest), quote(element));
            format!("parsing time {text} as {layout}: cannot parse {rest} as {element}")
        } else {
            format!("parsing time {}{message}", quote(text))
        }
    };
    let mut reading = Reading::default();
    let (mut layout_rest, mut rest) = (layout, text);
    loop {
        let chunk = next_chunk(layout_rest);
        rest = pass(rest, chunk.prefix).map_err(|at| words(chunk.prefix, at, ""))?;
        let Some((element, element_text)) = chunk.element else {
            if !rest.is_empty() {
                return Err(words(b"", rest, &format!(": extra text: {}", quote(rest))));
            }
            break;
        };
        layout_rest = chunk.rest;
        let mut value = rest;
        match reading.read(element, &mut value, layout_rest) {
            Ok(()) => rest = value,
            Err(Refusal::Shape) => return Err(words(element_text, rest, "")),
            Err(Refusal::Range(what)) => return Err(words(element_text, value, &format!(": {what} out of range"))),
        }
    }
    reading.time(local).map_err(|problem| words(b"", rest, &format!(": {problem}")))
}

/// Passes the literal text of a layout. A run of spaces matches any run. Otherwise, where it went wrong.
fn pass<'t>(text: &'t [u8], literal: &[u8]) -> Result<&'t [u8], &'t [u8]> {
    let (mut text, mut literal) = (text, literal);
    while let Some(expected) = literal.first() {
        if *expected == b' ' {
            if text.first().is_some_and(|b| *b != b' ') {
                return Err(text);
            }
            literal = without_leading_spaces(literal);
            text = without_leading_spaces(text);
        } else if text.first() == Some(expected) {
            literal = &literal[1..];
            text = &text[1..];
        } else {
            return Err(text);
        }
    }
    Ok(text)
}

fn without_leading_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| **b == b' ').count()..]
}

/// Takes bytes off the front.
fn take<'t>(text: &mut &'t [u8], count: usize) -> Read<&'t [u8]> {
    let (taken, rest) = text.split_at_checked(count).ok_or(Refusal::Shape)?;
    *text = rest;
    Ok(taken)
}

fn digit_at(text: &[u8], index: usize) -> Option<i64> {
    text.get(index).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0'))
}

/// One or two digits, or exactly two.
fn number(text: &mut &[u8], exactly_two: bool) -> Read<i64> {
    let first = digit_at(text, 0).ok_or(Refusal::Shape)?;
    match digit_at(text, 1) {
        Some(second) => take(text, 2).map(|_| first * 10 + second),
        None if exactly_two => Err(Refusal::Shape),
        None => take(text, 1).map(|_| first),
    }
}

/// Go's `Atoi` of a few bytes, which may begin with a sign.
fn signed(text: &[u8]) -> Read<i64> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Refusal::Shape)
}

fn in_range(number: i64, range: std::ops::Range<i64>, what: &'static str) -> Read<i64> {
    if range.contains(&number) { Ok(number) } else { Err(Refusal::Range(what)) }
}

/// A name of the table, in any case; its index.
fn name(text: &mut &[u8], names: &[&str], short: bool) -> Read<usize> {
    for (index, name) in names.iter().enumerate() {
        let name = if short { &name[..SHORT_NAME] } else { name };
        if text.len() >= name.len() && text[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            *text = &text[name.len()..];
            return Ok(index);
        }
    }
    Err(Refusal::Shape)
}

/// The nanoseconds of a mark and digits.
fn nanoseconds(text: &[u8]) -> Read<i64> {
    if !matches!(text.first(), Some(b'.' | b',')) {
        return Err(Refusal::Shape);
    }
    let digits = &text[1..text.len().min(10)];
    let number = signed(digits)?;
    if number < 0 {
        return Err(Refusal::Range("fractional second"));
    }
    Ok(number * 10_i64.pow(9 - digits.len() as u32))
}

/// Whether a fraction of a second is here.
fn is_fraction(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'.' | b',')) && digit_at(text, 1).is_some()
}

fn fraction_length(text: &[u8]) -> usize {
    1 + text[1..].iter().take_while(|b| b.is_ascii_digit()).count()
}

impl Reading {
    /// Reads one element off the front of the text.
    fn read(&mut self, element: Element, text: &mut &[u8], layout_rest: &[u8]) -> Read<()> {
        match element {
            Element::Year => {
                let year = signed(take(text, 2)?)?;
                // Unix time starts on Dec 31 1969 in some zones.
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            Element::LongYear => {
                digit_at(text, 0).ok_or(Refusal::Shape)?;
                self.year = signed(take(text, 4)?)?;
            }
            Element::MonthName { short } => self.month = Some(name(text, &MONTHS, short)? as i64 + 1),
            Element::Month { padded } => self.month = Some(in_range(number(text, padded)?, 1..13, "month")?),
            Element::Weekday { short } => {
                name(text, &WEEKDAYS, short)?;
            }
            Element::Day(padding) => {
                if padding == Padding::Space {
                    *text = text.strip_prefix(b" ").unwrap_or(text);
                }
                self.day = Some(number(text, padding == Padding::Zero)?);
            }
            Element::YearDay(padding) => self.year_day = Some(year_day(text, padding)?),
            Element::Hour => self.hour = in_range(number(text, false)?, 0..24, "hour")?,
            Element::Hour12 { padded } => self.hour = in_range(number(text, padded)?, 0..13, "hour")?,
            Element::Minute { padded } => self.minute = in_range(number(text, padded)?, 0..60, "minute")?,
            Element::Second { padded } => {
                self.second = in_range(number(text, padded)?, 0..60, "second")?;
                let in_layout = next_chunk(layout_rest).element;
                let is_expected = matches!(in_layout, Some((Element::Fraction { .. }, _)));
                if is_fraction(text) && !is_expected {
                    let fraction = take(text, fraction_length(text))?;
                    self.nanosecond = nanoseconds(fraction)?;
                }
            }
            Element::HalfDay { upper } => match (take(text, 2)?, upper) {
                (b"PM", true) | (b"pm", false) => self.is_pm = true,
                (b"AM", true) | (b"am", false) => self.is_am = true,
                _ => return Err(Refusal::Shape),
            },
            Element::ZoneOffset { z_for_utc: true, .. } if text.first() == Some(&b'Z') => {
                take(text, 1)?;
                self.is_utc = true;
            }
            Element::ZoneOffset { colons, parts, .. } => self.offset = Some(offset(text, colons, parts)?),
            Element::ZoneName if text.starts_with(b"UTC") => {
                take(text, 3)?;
                self.is_utc = true;
            }
            Element::ZoneName => {
                let length = zone_name_length(text).ok_or(Refusal::Shape)?;
                self.zone_name = String::from_utf8_lossy(take(text, length)?).into_owned();
            }
            Element::Fraction { digits, trimmed: false, .. } => {
                let fraction = take(text, 1 + digits)?;
                self.nanosecond = nanoseconds(fraction)?;
            }
            Element::Fraction { .. } => {
                if is_fraction(text) {
                    self.nanosecond = nanoseconds(take(text, fraction_length(text))?)?;
                }
            }
        }
        Ok(())
    }

    fn time(mut self, local: TimeZone) -> Result<Time, String> {
        if self.is_pm && self.hour < 12 {
            self.hour += 12;
        } else if self.is_am && self.hour == 12 {
            self.hour = 0;
        }
        let (month, day) = self.month_and_day()?;
        let days_in_month = days_since_1970(self.year, month + 1, 1) - days_since_1970(self.year, month, 1);
        if !(1..=days_in_month).contains(&day) {
            return Err("day out of range".into());
        }
        let civil = Civil {
            year: self.year,
            month,
            day,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            nanosecond: self.nanosecond,
        };
        if self.is_utc {
            return Ok(Time::from_civil(civil, Zone::Utc, local));
        }
        let shown = Time::from_civil(civil, Zone::Utc, local.clone());
        if let Some(offset) = self.offset {
            let moment = shown.later_by_seconds(-offset);
            let local_offset = offset_in(&local, moment.unix_seconds());
            let is_local = local_offset.seconds == offset
                && (self.zone_name.is_empty() || local_offset.abbreviation == self.zone_name);
            let fixed = Zone::Fixed { name: self.zone_name, offset: offset as i32 };
            return Ok(moment.in_zone(if is_local { Zone::Local } else { fixed }));
        }
        if !self.zone_name.is_empty() {
            if let Some(offset) = offset_by_abbreviation(&local, &self.zone_name, shown.unix_seconds()) {
                return Ok(shown.later_by_seconds(-offset).in_zone(Zone::Local));
            }
            // The offset of an unknown zone is taken as 0, except that `GMT+3` tells it.
            let hours = self.zone_name.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok()).unwrap_or(0);
            return Ok(shown.in_zone(Zone::Fixed { name: self.zone_name, offset: hours * 3600 }));
        }
        Ok(Time::from_civil(civil, Zone::Local, local))
    }

    /// The date, by the day of the year where one was given.
    fn month_and_day(&self) -> Result<(i64, i64), String> {
        let Some(year_day) = self.year_day else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        let days_in_year = days_since_1970(self.year + 1, 1, 1) - days_since_1970(self.year, 1, 1);
        if !(1..=days_in_year).contains(&year_day) {
            return Err("day-of-year out of range".into());
        }
        let days_before = |month: i64| days_since_1970(self.year, month, 1) - days_since_1970(self.year, 1, 1);
        let month = (1..=12).rev().find(|month| days_before(*month) < year_day).unwrap_or(1);
        let day = year_day - days_before(month);
        if self.month.is_some_and(|given| given != month) {
            return Err("day-of-year does not match month".into());
        }
        if self.day.is_some_and(|given| given != day) {
            return Err("day-of-year does not match day".into());
        }
        Ok((month, day))
    }
}

fn year_day(text: &mut &[u8], padding: Padding) -> Read<i64> {
    if padding == Padding::Space {
        for _ in 0..2 {
            *text = text.strip_prefix(b" ").unwrap_or(text);
        }
    }
    let digits = text.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || padding == Padding::Zero && digits != 3 {
        return Err(Refusal::Shape);
    }
    signed(take(text, digits)?)
}

/// The seconds of `+01:00` in the shape the layout has.
fn offset(text: &mut &[u8], colons: bool, parts: OffsetParts) -> Read<i64> {
    let colon = usize::from(colons);
    let fields = match parts {
        OffsetParts::Hours => 1,
        OffsetParts::Minutes => 2,
        OffsetParts::Seconds => 3,
    };
    let whole = take(text, 1 + 2 * fields + colon * (fields - 1))?;
    if colons && (1..fields).any(|field| whole[3 * field] != b':') {
        return Err(Refusal::Shape);
    }
    let mut values = [0; 3];
    let mut rest = &whole[1..];
    let mut read = || {
        for (field, value) in values.iter_mut().enumerate().take(fields) {
            if field > 0 && colons {
                take(&mut rest, 1)?;
            }
            let mut two = take(&mut rest, 2)?;
            *value = number(&mut two, true)?;
        }
        Ok(())
    };
    let is_read = read();
    // A number out of its range is told even if the next one cannot be read; of several, the last.
    let [hours, minutes, seconds] = values;
    in_range(seconds, 0..61, "time zone offset second")?;
    in_range(minutes, 0..61, "time zone offset minute")?;
    in_range(hours, 0..25, "time zone offset hour")?;
    is_read?;
    let offset = (hours * 60 + minutes) * 60 + seconds;
    match whole[0] {
        b'+' => Ok(offset),
        b'-' => Ok(-offset),
        _ => Err(Refusal::Shape),
    }
}

/// How long the abbreviation of a zone is that the text begins with.
fn zone_name_length(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    // The only ones with a lower-case letter.
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(behind) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours_length(behind));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_hours_length(text)).filter(|length| *length > 0);
    }
    match text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count() {
        5 if text[4] == b'T' => Some(5),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// The length of `+3`; 0 where no such offset is.
fn signed_hours_length(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let digits = text[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    match signed(&text[1..1 + digits]) {
        Ok(0..=23) => 1 + digits,
        _ => 0,
    }
}
