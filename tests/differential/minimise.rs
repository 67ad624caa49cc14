//! A smaller case that still differs.

use crate::compare::Verdict;
use crate::oracle::Oracle;
use crate::ours::{self, Case, Text};

/// How many smaller cases are tried at most.
const TRIALS_MAX: usize = 400;

/// Takes pieces out of a case as long as the two sides still differ about it.
pub(crate) fn minimise(oracle: &mut Oracle, case: &Case) -> Case {
    let mut best = case.clone();
    let mut trials_left = TRIALS_MAX;
    let mut still_differs = |oracle: &mut Oracle, smaller: &Case| {
        if trials_left == 0 {
            return false;
        }
        trials_left -= 1;
        Verdict::of(&oracle.ask(smaller), &ours::answer(smaller)) == Verdict::Differs
    };
    for path in best.files.keys().cloned().collect::<Vec<_>>() {
        let mut smaller = best.clone();
        smaller.files.remove(&path);
        if still_differs(oracle, &smaller) {
            best = smaller;
        }
    }
    let smaller = Case { values: Text::default(), ..best.clone() };
    if still_differs(oracle, &smaller) {
        best = smaller;
    }
    for place in places(&best) {
        let mut size = text_at(&best, &place).len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < text_at(&best, &place).len() {
                let mut smaller = best.clone();
                let mut text = text_at(&best, &place);
                text.drain(from..(from + size).min(text.len()));
                put_at(&mut smaller, &place, text);
                if still_differs(oracle, &smaller) {
                    best = smaller;
                } else {
                    from += size;
                }
            }
            size /= 2;
        }
    }
    best
}

/// A text within a case.
enum Place {
    File(String),
    Values,
    Set(usize),
}

fn places(case: &Case) -> Vec<Place> {
    let files = case.files.keys().cloned().map(Place::File);
    files.chain([Place::Values]).chain((0..case.set.len()).map(Place::Set)).collect()
}

fn text_at(case: &Case, place: &Place) -> Vec<u8> {
    match place {
        Place::File(path) => case.files.get(path).map(|text| text.0.clone()).unwrap_or_default(),
        Place::Values => case.values.0.clone(),
        Place::Set(number) => case.set[*number].1.clone().into_bytes(),
    }
}

fn put_at(case: &mut Case, place: &Place, text: Vec<u8>) {
    match place {
        Place::File(path) => {
            case.files.insert(path.clone(), Text(text));
        }
        Place::Values => case.values = Text(text),
        Place::Set(number) => case.set[*number].1 = String::from_utf8_lossy(&text).into_owned(),
    }
}
