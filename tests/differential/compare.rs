//! When two answers are the same. Nothing is normalised: bytes and error texts must be equal.
//!
//! The classes of [`CLASSES`] are the exception: there both sides refuse, and only that is compared.

use crate::ours::Answer;

/// What comparing two answers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Equal,
    /// Equal but for the place in memory where Go keeps a pointer.
    EqualButAddresses,
    /// Asked twice, Go gave two answers: an address that was counted, hashed or encoded.
    NotFixed,
    /// Helm's process ends: its stack runs over, which Go cannot catch.
    EndsHelm,
    /// Both refuse; the wording of this class is our own.
    BothRefuse(&'static str),
    /// We refuse what Helm takes, on purpose.
    RefusedByUs(&'static str),
    /// A bound of ours, which Go does not have, ended the render.
    OverOurBounds,
    Differs,
}

/// Refusals whose words are not compared: a piece of the oracle's text, a piece of ours, and what the class is. Each is a
/// line of `src/DIFFERENCES.md`.
const CLASSES: &[(&str, &str, &str)] = &[
    ("toml: ", "toml: ", "reading TOML"),
    ("x509: malformed", "x509: malformed", "malformed certificates"),
    ("asn1: ", "x509: ", "malformed certificates"),
    ("type mismatch on", "values of subchart", "values of a subchart that are no table"),
    ("cannot unmarshal yaml document", "cannot load values", "values files"),
    ("error reading yaml document", "cannot load values", "values files"),
    ("", "complex numbers are not supported", "complex numbers"),
    ("unable to parse key: interface conversion", "unable to parse key", "--set into another type"),
    ("error parsing index: strconv", "error parsing index", "--set with a bad index"),
    ("unexpected data at end of array index", "", "--set with a bad index"),
    ("", "has no closing bracket", "--set with an open index"),
    ("util.SimpleHead", "document is not a table", "documents that are no table"),
    ("", "invalid JSON: ", "--set-json of malformed JSON"),
];

/// What we refuse and Helm does not, by a piece of our words. Each is a line of `src/DIFFERENCES.md`.
const REFUSED_BY_US: &[(&str, &str)] = &[
    ("has no closing bracket", "--set with an open index"),
    ("key \\\"[", "--set with an index and no value"),
    ("greater than maximum supported index", "--set with an index and no value"),
    ("complex numbers are not supported", "complex numbers"),
    ("slice index out of bounds", "slicing past the length of a list"),
];

/// The oracle's answer where its process ended.
pub(crate) const PROCESS_ENDED: &[u8] = b"the process ended";

const OUR_BOUND: &[u8] = b"rendering was ended: ";

impl Verdict {
    /// Compares what the oracle says with what we say.
    pub(crate) fn of(oracle: &Answer, ours: &Answer) -> Verdict {
        match (oracle, ours) {
            (_, Answer::Panic(_)) => return Verdict::Differs,
            (Answer::Panic(text), _) if text.0 == PROCESS_ENDED => return Verdict::EndsHelm,
            (_, Answer::Error(text)) if text.0.starts_with(OUR_BOUND) => return Verdict::OverOurBounds,
            (a, b) if a == b => return Verdict::Equal,
            // A panic that Helm does not catch is an error here.
            (Answer::Panic(_), Answer::Error(_)) => return Verdict::BothRefuse("Helm panics"),
            _ => {}
        }
        let (theirs, mine) = (all_text(oracle), all_text(ours));
        let is_same_kind = std::mem::discriminant(oracle) == std::mem::discriminant(ours);
        if is_same_kind && holds_address(&mine) && without_addresses(&theirs) == without_addresses(&mine) {
            return Verdict::EqualButAddresses;
        }
        if matches!(ours, Answer::Error(_)) && !is_same_kind {
            let class = REFUSED_BY_US.iter().find(|(piece, _)| mine.contains(piece));
            return class.map_or(Verdict::Differs, |(_, class)| Verdict::RefusedByUs(class));
        }
        let is_error = matches!(ours, Answer::Error(_)) && is_same_kind;
        if is_error && mine.contains("\\xef\\xbf\\xbd") && without_invalid(&theirs) == without_invalid(&mine) {
            return Verdict::BothRefuse("bytes that are no UTF-8, in error texts");
        }
        if !is_same_kind {
            return Verdict::Differs;
        }
        let is_of = |(piece, our_piece, _): &&(&str, &str, &str)| theirs.contains(piece) && mine.contains(our_piece);
        if let Some((_, _, class)) = CLASSES.iter().find(is_of) {
            return Verdict::BothRefuse(class);
        }
        // What we alone refuse may stand before what Helm refuses too.
        let is_ours = |(piece, _): &&(&str, &str)| is_error && mine.contains(piece);
        REFUSED_BY_US.iter().find(is_ours).map_or(Verdict::Differs, |(_, class)| Verdict::BothRefuse(class))
    }
}

fn all_text(answer: &Answer) -> String {
    let texts: Vec<&[u8]> = match answer {
        Answer::Files(files) => files.values().map(|text| text.0.as_slice()).collect(),
        Answer::Text(text) | Answer::Error(text) | Answer::Panic(text) => vec![text.0.as_slice()],
    };
    texts.into_iter().map(|text| text.escape_ascii().to_string()).collect::<Vec<_>>().join("\n")
}

/// Whether the place where our pointers stand is in the text, in some base.
fn holds_address(text: &str) -> bool {
    ["300000000000", "52776558133248", "6000000000000000"].iter().any(|address| text.contains(address))
}

/// The text without long numbers.
fn without_addresses(text: &str) -> String {
    const DIGITS_MIN: usize = 9;
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        out.push_str(if digits.len() >= DIGITS_MIN { "<long number>" } else { &digits });
        digits.clear();
        out.push(c);
    }
    out
}

/// The text with one mark for each run of bytes that are no UTF-8, as `escape_ascii` writes them or as Go quotes them, and
/// for each U+FFFD that stands for them.
fn without_invalid(text: &str) -> String {
    let text = text.replace("\\xef\\xbf\\xbd", "\u{fffd}").replace("\\\\x", "\\x");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let size = match c {
            '\u{fffd}' => c.len_utf8(),
            '\\' if rest.len() >= 4 && rest.as_bytes()[1] == b'x' => 4,
            _ => 0,
        };
        if size == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            if !out.ends_with('\u{fffd}') {
                out.push('\u{fffd}');
            }
            rest = rest.get(size..).unwrap_or_default();
        }
    }
    out
}
