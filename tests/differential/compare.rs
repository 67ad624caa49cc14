//! When two answers are the same. Nothing is normalised: bytes and error texts must be equal.
//!
//! The classes of [`CLASSES`] are the exception: there both sides refuse, and only that is compared.

use crate::ours::Answer;

/// What comparing two answers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Equal,
    /// Both refuse; the wording of this class is our own.
    BothRefuse(&'static str),
    /// A bound of ours, which Go does not have, ended the render.
    OverOurBounds,
    Differs,
}

/// Errors whose words are not compared: a piece of the oracle's text, and what the class is. Each is a line of
/// `src/DIFFERENCES.md`.
const CLASSES: &[(&str, &str)] = &[];

const OUR_BOUND: &[u8] = b"rendering was ended: ";

impl Verdict {
    /// Compares what the oracle says with what we say.
    pub(crate) fn of(oracle: &Answer, ours: &Answer) -> Verdict {
        match (oracle, ours) {
            (_, Answer::Panic(_)) => Verdict::Differs,
            (_, Answer::Error(text)) if text.0.starts_with(OUR_BOUND) => Verdict::OverOurBounds,
            (a, b) if a == b => Verdict::Equal,
            // A panic that Helm does not catch is an error here.
            (Answer::Panic(_), Answer::Error(_)) => Verdict::BothRefuse("Helm panics"),
            (Answer::Error(theirs), Answer::Error(_)) => {
                let theirs = String::from_utf8_lossy(&theirs.0);
                let class = CLASSES.iter().find(|(piece, _)| theirs.contains(piece));
                class.map_or(Verdict::Differs, |(_, class)| Verdict::BothRefuse(class))
            }
            _ => Verdict::Differs,
        }
    }
}
