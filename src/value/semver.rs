//! Semantic versions and version ranges as charts know them.
//!
//! Pure text semantics, nothing of charts or registries. The authority is Masterminds/semver v3.5.0, which reads
//! `kubeVersion`, dependency ranges and Sprig's `semverCompare`; Cargo's ranges mean other things (`1.2` is `~1.2`
//! here, and a prerelease satisfies a range only where the range names a prerelease itself).

use std::cmp::Ordering;
use std::fmt;

use super::strconv;

/// The longest text read as a version, in bytes.
const VERSION_BYTES_MAX: usize = 256;
/// The longest text read as a range, in bytes.
const CONSTRAINT_BYTES_MAX: usize = 512;
/// How many alternatives joined by `||` a range may have.
const CONSTRAINT_GROUPS_MAX: usize = 32;

/// A semantic version. Prints without the leading `v` that [`Version::original`] keeps.
///
/// Equality and order are those of precedence: build metadata does not count.
#[derive(Clone, Debug)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    /// Without the leading `-`; empty for a release.
    pub prerelease: String,
    /// Without the leading `+`.
    pub metadata: String,
    original: String,
}

/// A range: alternatives joined by `||`, each a list of comparisons that must all hold.
#[derive(Clone, Debug)]
pub struct Constraint {
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    comparisons: Vec<Comparison>,
    /// Whether a comparison names a prerelease: only then may a prerelease satisfy the group.
    names_prerelease: bool,
}

#[derive(Clone, Debug)]
struct Comparison {
    operator: Operator,
    operator_text: String,
    version: Version,
    version_text: String,
    given: Given,
}

/// How much of the version was written out; the rest was left off or a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Nothing,
    Major,
    Minor,
    Patch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

impl Version {
    /// Reads a version with all three numbers and no leading `v`.
    ///
    /// # Errors
    /// What is wrong with the text, in the words of Masterminds/semver.
    pub fn parse(text: &str) -> Result<Version, String> {
        if text.is_empty() {
            return Err("version string empty".into());
        }
        check_version_length(text)?;
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("invalid semantic version".into());
        };
        let (rest, metadata) = split_once_or_empty(rest, '+');
        if let Some(metadata) = metadata {
            check_metadata(metadata)?;
        }
        let (patch, prerelease) = split_once_or_empty(rest, '-');
        if let Some(prerelease) = prerelease {
            check_prerelease(prerelease)?;
        }
        for number in [major, minor, patch] {
            if !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err("invalid characters in version".into());
            }
            if number.len() > 1 && number.starts_with('0') {
                return Err("version segment starts with 0".into());
            }
        }
        Ok(Version {
            major: parse_number(major)?,
            minor: parse_number(minor)?,
            patch: parse_number(patch)?,
            prerelease: prerelease.unwrap_or_default().to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// Reads a version as charts write it: a leading `v`, missing minor and patch, and leading zeros are accepted.
    ///
    /// # Errors
    /// What is wrong with the text, in the words of Masterminds/semver.
    pub fn parse_loose(text: &str) -> Result<Version, String> {
        check_version_length(text)?;
        let mut rest = Scanner { text, position: 0 };
        let Some(shape) = rest.version(|b| b.is_ascii_digit()) else {
            return Err("invalid semantic version".into());
        };
        if rest.position != text.len() {
            return Err("invalid semantic version".into());
        }
        let number = |digits: Option<&str>| {
            digits.map_or(Ok(0), parse_number).map_err(|error| format!("error parsing version segment: {error}"))
        };
        let version = Version {
            major: number(Some(shape.major))?,
            minor: number(shape.minor)?,
            patch: number(shape.patch)?,
            prerelease: shape.prerelease.to_owned(),
            metadata: shape.metadata.to_owned(),
            original: text.to_owned(),
        };
        if !version.prerelease.is_empty() {
            check_prerelease(&version.prerelease)?;
        }
        Ok(version)
    }

    /// The text this version was read from.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The next patch version. The release of a prerelease counts as next.
    ///
    /// # Errors
    /// The number would not fit 64 bits.
    pub fn next_patch(&self) -> Result<Version, String> {
        let patch = if self.prerelease.is_empty() { increment(self.patch, "patch")? } else { self.patch };
        Ok(self.successor(self.major, self.minor, patch))
    }

    /// The next minor version.
    ///
    /// # Errors
    /// The number would not fit 64 bits.
    pub fn next_minor(&self) -> Result<Version, String> {
        Ok(self.successor(self.major, increment(self.minor, "minor")?, 0))
    }

    /// The next major version.
    ///
    /// # Errors
    /// The number would not fit 64 bits.
    pub fn next_major(&self) -> Result<Version, String> {
        Ok(self.successor(increment(self.major, "major")?, 0, 0))
    }

    /// This version with another prerelease; an empty text removes it.
    ///
    /// # Errors
    /// The text is not a prerelease.
    pub fn with_prerelease(&self, prerelease: &str) -> Result<Version, String> {
        if !prerelease.is_empty() {
            check_prerelease(prerelease)?;
        }
        Ok(Version { prerelease: prerelease.to_owned(), ..self.clone() }.renamed())
    }

    /// This version with other build metadata; an empty text removes it.
    ///
    /// # Errors
    /// The text is not build metadata.
    pub fn with_metadata(&self, metadata: &str) -> Result<Version, String> {
        if !metadata.is_empty() {
            check_metadata(metadata)?;
        }
        Ok(Version { metadata: metadata.to_owned(), ..self.clone() }.renamed())
    }

    fn successor(&self, major: u64, minor: u64, patch: u64) -> Version {
        let original = self.original.clone();
        Version { major, minor, patch, prerelease: String::new(), metadata: String::new(), original }.renamed()
    }

    /// Makes the original text that of the numbers, with the `v` it had.
    fn renamed(mut self) -> Version {
        let v = if self.original.starts_with('v') { "v" } else { "" };
        self.original = format!("{v}{self}");
        self
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// A release is newer than its prereleases; these go by their identifiers, numbers before words.
fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(l), Some(r)) => match (l.parse::<u64>(), r.parse::<u64>()) {
                (Ok(l), Ok(r)) => l.cmp(&r),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => l.cmp(r),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl Constraint {
    /// Reads a range: comparisons by `= != > < >= => <= =< ~ ~> ^`, wildcards `x X *`, hyphen ranges `1.2 - 2.3`,
    /// joined by comma or space (all must hold) and by `||` (one must hold).
    ///
    /// # Errors
    /// What is wrong with the text, in the words of Masterminds/semver.
    pub fn parse(text: &str) -> Result<Constraint, String> {
        if text.len() > CONSTRAINT_BYTES_MAX {
            return Err(format!("constraint string is too long (max {CONSTRAINT_BYTES_MAX} bytes)"));
        }
        let text = rewrite_hyphen_ranges(text);
        if text.split("||").count() > CONSTRAINT_GROUPS_MAX {
            return Err(format!("too many constraint groups (max {CONSTRAINT_GROUPS_MAX})"));
        }
        let groups = text.split("||").map(Group::parse).collect::<Result<_, _>>()?;
        Ok(Constraint { groups })
    }

    /// Whether the version is in the range.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            group.comparisons.iter().all(|comparison| comparison.refusal(version, group.names_prerelease).is_none())
        })
    }

    /// Why the version is not in the range: one message for each comparison that refuses it; none if it is.
    pub fn validate(&self, version: &Version) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut prerelease_reported = false;
        for group in &self.groups {
            let known = refusals.len();
            if !group.names_prerelease && !version.prerelease.is_empty() {
                // Said once, however many comparisons refuse it.
                if !prerelease_reported {
                    refusals.push(refuses_prereleases(version));
                    prerelease_reported = true;
                }
                continue;
            }
            refusals.extend(group.comparisons.iter().filter_map(|comparison| comparison.refusal(version, true)));
            if refusals.len() == known {
                return Vec::new();
            }
        }
        refusals
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.groups.iter().enumerate() {
            f.write_str(if i > 0 { " || " } else { "" })?;
            for (k, comparison) in group.comparisons.iter().enumerate() {
                let space = if k > 0 { " " } else { "" };
                write!(f, "{space}{}{}", comparison.operator_text, comparison.version_text)?;
            }
        }
        Ok(())
    }
}

impl Group {
    fn parse(text: &str) -> Result<Group, String> {
        let improper = || format!("improper constraint: {}", String::from_utf8_lossy(&strconv::quote(text.as_bytes())));
        let mut parts = Vec::new();
        let mut scanner = Scanner { text, position: 0 };
        scanner.spaces();
        loop {
            let operator_text = scanner.operator();
            scanner.spaces();
            let start = scanner.position;
            let shape = scanner.version(is_wildcard_or_digit).ok_or_else(improper)?;
            parts.push((operator_text, &text[start..scanner.position], shape));
            let spaces = scanner.spaces();
            if scanner.position == text.len() {
                break;
            }
            if scanner.eat(b',') {
                scanner.spaces();
            } else if spaces == 0 {
                return Err(improper());
            }
        }
        let comparisons = parts
            .into_iter()
            .map(|(operator, version, shape)| Comparison::new(operator, version, shape))
            .collect::<Result<Vec<_>, _>>()?;
        let names_prerelease = comparisons.iter().any(|comparison| !comparison.version.prerelease.is_empty());
        Ok(Group { comparisons, names_prerelease })
    }
}

impl Comparison {
    fn new(operator_text: &str, version_text: &str, shape: Shape<'_>) -> Result<Comparison, String> {
        let is_open = |number: Option<&str>| matches!(number, None | Some("x" | "X" | "*"));
        let prerelease = if shape.prerelease.is_empty() { String::new() } else { format!("-{}", shape.prerelease) };
        let (given, concrete) = if is_open(Some(shape.major)) {
            (Given::Nothing, format!("0.0.0{prerelease}"))
        } else if is_open(shape.minor) {
            (Given::Major, format!("{}.0.0{prerelease}", shape.major))
        } else if is_open(shape.patch) {
            (Given::Minor, format!("{}.{}.0{prerelease}", shape.major, shape.minor.unwrap_or_default()))
        } else {
            (Given::Patch, version_text.to_owned())
        };
        // `[0-9xX*]+` lets through what no version is, such as `1x.2`.
        let version = Version::parse_loose(&concrete).map_err(|_| "constraint parser error")?;
        Ok(Comparison {
            operator: Operator::parse(operator_text),
            operator_text: operator_text.to_owned(),
            version,
            version_text: version_text.to_owned(),
            given,
        })
    }

    /// Why this comparison refuses the version; `None` if it does not.
    fn refusal(&self, version: &Version, prereleases_allowed: bool) -> Option<String> {
        if !version.prerelease.is_empty() && !prereleases_allowed {
            return Some(refuses_prereleases(version));
        }
        match self.operator {
            Operator::Equal if self.given == Given::Patch => {
                (version != &self.version).then(|| self.say(version, "is not equal to"))
            }
            Operator::Equal | Operator::Tilde => self.refusal_by_tilde(version),
            Operator::NotEqual => self.is_excluded(version).then(|| self.say(version, "is equal to")),
            Operator::Greater => (!self.is_exceeded_by(version)).then(|| self.say(version, "is less than or equal to")),
            Operator::Less => (version >= &self.version).then(|| self.say(version, "is greater than or equal to")),
            Operator::GreaterOrEqual => (version < &self.version).then(|| self.say(version, "is less than")),
            Operator::LessOrEqual => (!self.bounds(version)).then(|| self.say(version, "is greater than")),
            Operator::Caret => self.refusal_by_caret(version),
        }
    }

    /// `"1.3.0" <relation> "1.2"`.
    fn say(&self, version: &Version, relation: &str) -> String {
        format!("{:?} {relation} {:?}", version.to_string(), self.version_text)
    }

    /// Whether `!=` refuses the version: `!= 1.2` refuses all of 1.2.x, `!= 1` all of 1.x.
    fn is_excluded(&self, version: &Version) -> bool {
        let con = &self.version;
        match self.given {
            Given::Patch => version == con,
            // `!= *` is read as `!= 0.0.0`.
            Given::Nothing => version == con,
            Given::Major => version.major == con.major,
            Given::Minor => {
                let same_numbers = (version.major, version.minor) == (con.major, con.minor);
                let any_prerelease = !version.prerelease.is_empty() || !con.prerelease.is_empty();
                same_numbers && (!any_prerelease || version.prerelease == con.prerelease)
            }
        }
    }

    /// Whether the version satisfies `>`: `> 11` asks for 12, `> 11.1` for 11.2.
    fn is_exceeded_by(&self, version: &Version) -> bool {
        let con = &self.version;
        match self.given {
            Given::Nothing | Given::Patch => version > con,
            Given::Major => version.major > con.major,
            Given::Minor => (version.major, version.minor) > (con.major, con.minor),
        }
    }

    /// Whether the version satisfies `<=`: `<= 11` lets all of 11.x in.
    fn bounds(&self, version: &Version) -> bool {
        let con = &self.version;
        match self.given {
            Given::Patch => version <= con,
            Given::Major => version.major <= con.major,
            Given::Nothing | Given::Minor => (version.major, version.minor) <= (con.major, con.minor),
        }
    }

    fn refusal_by_tilde(&self, version: &Version) -> Option<String> {
        let con = &self.version;
        if version < con {
            return Some(self.say(version, "is less than"));
        }
        // `~0.0.0` and `*` let everything in.
        if (con.major, con.minor, con.patch) == (0, 0, 0) && matches!(self.given, Given::Nothing | Given::Patch) {
            return None;
        }
        if version.major != con.major {
            return Some(self.say(version, "does not have same major version as"));
        }
        if version.minor != con.minor && self.given != Given::Major {
            return Some(self.say(version, "does not have same major and minor version as"));
        }
        None
    }

    fn refusal_by_caret(&self, version: &Version) -> Option<String> {
        let con = &self.version;
        if version < con {
            return Some(self.say(version, "is less than"));
        }
        if con.major > 0 || self.given == Given::Major {
            return (version.major != con.major).then(|| self.say(version, "does not have same major version as"));
        }
        if version.major > 0 {
            return Some(self.say(version, "does not have same major version as"));
        }
        if con.minor > 0 || self.given == Given::Minor {
            return (version.minor != con.minor).then(|| {
                self.say(version, "does not have same minor version as")
                    + ". Expected minor versions to match when constraint major version is 0"
            });
        }
        if version.minor > 0 {
            return Some(self.say(version, "does not have same minor version as"));
        }
        (version.patch != con.patch).then(|| {
            self.say(version, "does not equal")
                + ". Expect version and constraint to equal when major and minor versions are 0"
        })
    }
}

impl Operator {
    /// The operator of a text that [`Scanner::operator`] found.
    fn parse(text: &str) -> Operator {
        match text {
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterOrEqual,
            "<=" | "=<" => Operator::LessOrEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => Operator::Equal,
        }
    }
}

/// The pieces of a version text, unchecked.
struct Shape<'t> {
    major: &'t str,
    minor: Option<&'t str>,
    patch: Option<&'t str>,
    prerelease: &'t str,
    metadata: &'t str,
}

struct Scanner<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Scanner<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// Passes the bytes that belong; the text passed.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'t str {
        let start = self.position;
        while self.peek().is_some_and(&belongs) {
            self.position += 1;
        }
        &self.text[start..self.position]
    }

    /// Passes white space; how much there was.
    fn spaces(&mut self) -> usize {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')).len()
    }

    fn operator(&mut self) -> &'t str {
        const LONGEST_FIRST: [&str; 11] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];
        let rest = &self.text[self.position..];
        let length = LONGEST_FIRST.iter().find(|operator| rest.starts_with(**operator)).map_or(0, |o| o.len());
        self.position += length;
        &rest[..length]
    }

    /// The longest version here, its numbers made of the given bytes.
    fn version(&mut self, is_number: fn(u8) -> bool) -> Option<Shape<'t>> {
        self.eat(b'v');
        let major = self.take_while(is_number);
        if major.is_empty() {
            return None;
        }
        let minor = self.after(b'.', |scanner| scanner.take_while(is_number));
        let patch = minor.and_then(|_| self.after(b'.', |scanner| scanner.take_while(is_number)));
        let prerelease = self.after(b'-', Scanner::identifiers).unwrap_or_default();
        let metadata = self.after(b'+', Scanner::identifiers).unwrap_or_default();
        Some(Shape { major, minor, patch, prerelease, metadata })
    }

    /// What is read after a mark; the mark is left alone where nothing follows it.
    fn after(&mut self, mark: u8, read: impl Fn(&mut Self) -> &'t str) -> Option<&'t str> {
        let start = self.position;
        if self.eat(mark) {
            let found = read(self);
            if !found.is_empty() {
                return Some(found);
            }
        }
        self.position = start;
        None
    }

    /// Identifiers joined by single dots.
    fn identifiers(&mut self) -> &'t str {
        let start = self.position;
        self.take_while(is_identifier);
        while self.position > start && self.after(b'.', |scanner| scanner.take_while(is_identifier)).is_some() {}
        &self.text[start..self.position]
    }
}

/// The original's class is written `[0-9|x|X|\*]`, so a bar counts too.
fn is_wildcard_or_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*' | b'|')
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Makes `1.2 - 2.3` into `>= 1.2, <= 2.3 `.
fn rewrite_hyphen_ranges(text: &str) -> String {
    let mut rewritten = text.to_owned();
    let mut start = 0;
    while start < text.len() {
        match hyphen_range(text, start) {
            Some((end, low, high)) => {
                rewritten = rewritten.replacen(&text[start..end], &format!(">= {low}, <= {high} "), 1);
                start = end;
            }
            None => start += text[start..].chars().next().map_or(1, char::len_utf8),
        }
    }
    rewritten
}

/// The hyphen range that starts here, with the spaces around it: its end and its bounds.
fn hyphen_range(text: &str, start: usize) -> Option<(usize, &str, &str)> {
    let mut scanner = Scanner { text, position: start };
    scanner.spaces();
    let low_start = scanner.position;
    scanner.version(is_wildcard_or_digit)?;
    let low = &text[low_start..scanner.position];
    if scanner.spaces() == 0 || !scanner.eat(b'-') || scanner.spaces() == 0 {
        return None;
    }
    let high_start = scanner.position;
    scanner.version(is_wildcard_or_digit)?;
    let high = &text[high_start..scanner.position];
    scanner.spaces();
    Some((scanner.position, low, high))
}

fn refuses_prereleases(version: &Version) -> String {
    let text = version.to_string();
    format!("{text:?} is a prerelease version and the constraint is only looking for release versions")
}

fn check_version_length(text: &str) -> Result<(), String> {
    if text.len() > VERSION_BYTES_MAX {
        return Err(format!("version string is too long (max {VERSION_BYTES_MAX} bytes)"));
    }
    Ok(())
}

fn check_prerelease(prerelease: &str) -> Result<(), String> {
    for identifier in prerelease.split('.') {
        if identifier.is_empty() || !identifier.bytes().all(is_identifier) {
            return Err("invalid prerelease string".into());
        }
        let is_number = identifier.bytes().all(|b| b.is_ascii_digit());
        if is_number && identifier.len() > 1 && identifier.starts_with('0') {
            return Err("version segment starts with 0".into());
        }
    }
    Ok(())
}

fn check_metadata(metadata: &str) -> Result<(), String> {
    let is_valid = |identifier: &str| !identifier.is_empty() && identifier.bytes().all(is_identifier);
    if metadata.split('.').all(is_valid) { Ok(()) } else { Err("invalid metadata string".into()) }
}

/// A number as Go's `strconv.ParseUint` reads it, with its errors.
fn parse_number(digits: &str) -> Result<u64, String> {
    digits.parse().map_err(|_| {
        let cause = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
        format!("strconv.ParseUint: parsing {digits:?}: {cause}")
    })
}

fn increment(number: u64, name: &str) -> Result<u64, String> {
    number.checked_add(1).ok_or_else(|| format!("{name} version increment would overflow uint64"))
}

fn split_once_or_empty(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    //! Expected values are what Masterminds/semver v3.5.0 gives.

    use super::*;

    fn shown(parsed: Result<Version, String>) -> String {
        parsed.map_or_else(|error| format!("error: {error}"), |version| version.to_string())
    }

    #[test]
    fn strict_versions_have_three_numbers_and_nothing_else() {
        let cases = [
            ("1.2.3", "1.2.3"),
            ("1.2.3-alpha.1+build.5", "1.2.3-alpha.1+build.5"),
            ("", "error: version string empty"),
            ("1.2", "error: invalid semantic version"),
            ("v1.2.3", "error: invalid characters in version"),
            ("1.02.3", "error: version segment starts with 0"),
            ("1.2.3-", "error: invalid prerelease string"),
            ("1.2.3-01", "error: version segment starts with 0"),
            ("1.2.3-a..b", "error: invalid prerelease string"),
            ("1.2.3+", "error: invalid metadata string"),
            ("1.2.x", "error: invalid characters in version"),
            ("1..3", "error: strconv.ParseUint: parsing \"\": invalid syntax"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(Version::parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn loose_versions_are_completed() {
        let cases = [
            ("1", "1.0.0"),
            ("v1.2", "1.2.0"),
            ("1.2.3-alpha", "1.2.3-alpha"),
            ("01.2", "1.2.0"),
            ("1.2.3.4", "error: invalid semantic version"),
            ("x", "error: invalid semantic version"),
            ("1.2.3-01", "error: version segment starts with 0"),
            ("1.2.3+", "error: invalid semantic version"),
            (
                "99999999999999999999",
                "error: error parsing version segment: strconv.ParseUint: parsing \"99999999999999999999\": \
                 value out of range",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(Version::parse_loose(text)), expected, "{text}");
        }
    }

    #[test]
    fn order_is_that_of_precedence() {
        let ascending =
            ["1.0.0-1", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0", "1.0.1"];
        for pair in ascending.windows(2) {
            let parse = |text| Version::parse(text).unwrap();
            assert!(parse(pair[0]) < parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::parse("1.0.0+a").unwrap(), Version::parse("1.0.0+b").unwrap());
    }

    #[test]
    fn next_patch_of_a_prerelease_is_its_release() {
        let next = |text| Version::parse_loose(text).unwrap().next_patch().unwrap();
        assert_eq!(next("v1.2.3-rc.1").to_string(), "1.2.3");
        assert_eq!(next("v1.2.3").original(), "v1.2.4");
    }

    #[test]
    fn ranges_say_why_they_refuse() {
        let prerelease =
            "\"1.20.1-gke.1\" is a prerelease version and the constraint is only looking for release versions";
        let cases: [(&str, &str, &[&str]); 15] = [
            (">=1.19", "1.20.1-gke.1", &[prerelease]),
            (">=1.19-0", "1.20.1-gke.1", &[]),
            ("^1.2", "2.0.0", &["\"2.0.0\" does not have same major version as \"1.2\""]),
            ("~1.2.3", "1.3.0", &["\"1.3.0\" does not have same major and minor version as \"1.2.3\""]),
            ("1.2", "1.3.0", &["\"1.3.0\" does not have same major and minor version as \"1.2\""]),
            ("1.2", "1.2.9", &[]),
            ("!=1.2.x", "1.2.9", &["\"1.2.9\" is equal to \"1.2.x\""]),
            (">11", "11.5.0", &["\"11.5.0\" is less than or equal to \"11\""]),
            ("<=11", "11.9.0", &[]),
            ("<=11", "12.0.0", &["\"12.0.0\" is greater than \"11\""]),
            (
                "^0.2.3",
                "0.3.0",
                &["\"0.3.0\" does not have same minor version as \"0.2.3\". Expected minor versions to match when \
                   constraint major version is 0"],
            ),
            (
                "^0.0.3",
                "0.0.4",
                &["\"0.0.4\" does not equal \"0.0.3\". Expect version and constraint to equal when major and minor \
                   versions are 0"],
            ),
            ("1.2 - 2.3", "2.4.0", &["\"2.4.0\" is greater than \"2.3\""]),
            (
                ">1 <2 || >=3, !=3.1.0",
                "3.1.0",
                &["\"3.1.0\" is greater than or equal to \"2\"", "\"3.1.0\" is equal to \"3.1.0\""],
            ),
            ("=1.2.3", "1.2.4", &["\"1.2.4\" is not equal to \"1.2.3\""]),
        ];
        for (range, version, refusals) in cases {
            let constraint = Constraint::parse(range).unwrap();
            let version = Version::parse_loose(version).unwrap();
            assert_eq!(constraint.validate(&version), refusals, "{range} {version}");
            assert_eq!(constraint.check(&version), refusals.is_empty(), "{range} {version}");
        }
    }

    #[test]
    fn bad_ranges_are_refused() {
        let cases = [
            ("", "improper constraint: \"\""),
            (">=1 ||", "improper constraint: \"\""),
            ("==1", "improper constraint: \"==1\""),
            ("1|2", "constraint parser error"),
            ("1.2.3.4", "improper constraint: \"1.2.3.4\""),
            ("é", "improper constraint: \"é\""),
            ("1x", "constraint parser error"),
        ];
        for (range, error) in cases {
            assert_eq!(Constraint::parse(range).unwrap_err(), error, "{range}");
        }
        assert!(Constraint::parse(&"1 ".repeat(300)).unwrap_err().contains("too long"));
        assert!(Constraint::parse(&vec!["1"; 33].join("||")).unwrap_err().contains("too many constraint groups"));
    }

    #[test]
    fn range_prints_its_comparisons() {
        assert_eq!(Constraint::parse(">1 <2 || >=3, !=3.1.0").unwrap().to_string(), ">1 <2 || >=3 !=3.1.0");
    }
}
