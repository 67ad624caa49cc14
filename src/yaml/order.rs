//! The order in which go-yaml writes the keys of a map: letters after everything else, numbers by their size.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Dialect;
use crate::value::json::go_text;
use crate::value::unicode::{is_digit, is_letter};

/// A key of a map.
#[derive(Clone)]
pub(super) struct Key<'k> {
    /// With U+FFFD for each byte that is no part of UTF-8.
    pub(super) text: Cow<'k, str>,
    /// The key itself if it is not UTF-8.
    pub(super) binary: Option<&'k [u8]>,
}

impl<'k> Key<'k> {
    pub(super) fn new(bytes: &'k [u8]) -> Self {
        let text = go_text(bytes);
        let is_binary = matches!(text, Cow::Owned(_));
        Key { text, binary: is_binary.then_some(bytes) }
    }
}

impl<'k, T: Into<Cow<'k, str>>> From<T> for Key<'k> {
    fn from(text: T) -> Self {
        Key { text: text.into(), binary: None }
    }
}

/// Sorts entries by key.
///
/// Version 2's comparison is not transitive (`b1a` < `b2` < `b10` < `b1a`): what comes out depends on how one sorts,
/// and in Go also on the order in which a map happens to be walked. Up to [`INSERTION_MAX`] entries this sorts as Go
/// does, so that the result is one that Go can give. `slice::sort_by` may panic on such a comparison.
pub(super) fn sort_by_key<T: Copy>(entries: &mut Vec<(Key<'_>, T)>, dialect: Dialect) {
    let is_letters_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if entries.is_sorted_by(|a, b| a.0.text <= b.0.text) && entries.iter().all(|(key, _)| is_letters_only(&key.text)) {
        return;
    }
    let is_before = |a: &(Key<'_>, T), b: &(Key<'_>, T)| compare(&a.0.text, &b.0.text, dialect) == Ordering::Less;
    if entries.len() <= INSERTION_MAX {
        for end in 1..entries.len() {
            let mut at = end;
            while at > 0 && is_before(&entries[at], &entries[at - 1]) {
                entries.swap(at, at - 1);
                at -= 1;
            }
        }
        return;
    }
    let mut run = 1;
    while run < entries.len() {
        let mut merged = Vec::with_capacity(entries.len());
        for pair in entries.chunks(run * 2) {
            let (left, right) = pair.split_at(run.min(pair.len()));
            merge(left, right, &mut merged, is_before);
        }
        *entries = merged;
        run *= 2;
    }
}

/// Go's sort inserts one by one up to this many elements.
const INSERTION_MAX: usize = 12;

fn merge<E: Clone>(mut left: &[E], mut right: &[E], out: &mut Vec<E>, is_before: impl Fn(&E, &E) -> bool) {
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
        if is_before(b, a) {
            out.push(b.clone());
            right = right_rest;
        } else {
            out.push(a.clone());
            left = left_rest;
        }
    }
    out.extend_from_slice(left);
    out.extend_from_slice(right);
}

fn compare(a: &str, b: &str, dialect: Dialect) -> Ordering {
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let start = (0..=common).rev().find(|at| a.is_char_boundary(*at) && b.is_char_boundary(*at)).unwrap_or(0);
    let (Some(first_a), Some(first_b)) = (a[start..].chars().next(), b[start..].chars().next()) else {
        return a.len().cmp(&b.len());
    };
    match (is_letter(first_a), is_letter(first_b)) {
        (true, true) => return first_a.cmp(&first_b),
        (false, false) => {}
        (a_is_letter, _) => {
            let after_digits = a[..start].chars().next_back().is_some_and(is_digit);
            let letter_first = dialect == Dialect::V3 && after_digits;
            return if a_is_letter == letter_first { Ordering::Less } else { Ordering::Greater };
        }
    }
    // A zero inside a number counts, one at its start does not.
    let is_inside_number =
        (first_a == '0' || first_b == '0') && a[..start].chars().rev().take_while(|c| is_digit(*c)).any(|c| c != '0');
    let (number_a, digits_a) = leading_number(&a[start..], is_inside_number);
    let (number_b, digits_b) = leading_number(&b[start..], is_inside_number);
    number_a.cmp(&number_b).then(digits_a.cmp(&digits_b)).then(first_a.cmp(&first_b))
}

/// The number a text begins with, and how many digits it has. Too large a number wraps around, as Go's does.
fn leading_number(text: &str, is_inside_number: bool) -> (i64, usize) {
    text.chars().take_while(|c| is_digit(*c)).fold((i64::from(is_inside_number), 0), |(number, digits), c| {
        let digit = i64::from(u32::from(c)) - i64::from(b'0');
        (number.wrapping_mul(10).wrapping_add(digit), digits + 1)
    })
}
