//! The patterns of `.Files.Glob`: `*` stops at a slash, `**` does not, `{a,b}` are alternatives, `[!a-z]` is a class.
//!
//! Rules of gobwas/glob with `/` as separator. Patterns become regular expressions, which match in linear time
//! whatever a chart writes.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::meta::Regex;

/// A parsed pattern. It must match the whole path.
pub(super) struct Glob(Regex);

impl Glob {
    /// Reads a pattern; `None` where it is malformed or too large.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        // The original cannot tell this character from bytes that are no UTF-8, which it refuses.
        if pattern.contains(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        let mut regex = String::from("(?s)^(?:");
        let mut depth = 0_usize;
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '*' if rest.next_if_eq(&'*').is_some() => regex.push_str(".*"),
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                '[' => class(&mut rest, &mut regex)?,
                '{' => {
                    depth += 1;
                    regex.push_str("(?:");
                }
                ',' if depth > 0 => regex.push('|'),
                '}' if depth > 0 => {
                    depth -= 1;
                    regex.push(')');
                }
                '\\' => regex.extend(rest.next().map(escape)),
                other => regex.push_str(&escape(other)),
            }
        }
        // Alternatives left open end with the pattern.
        regex.extend(std::iter::repeat_n(')', depth));
        regex.push_str(")$");
        Regex::new(&regex).ok().map(Glob)
    }

    /// Whether the whole path matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// The rest of a class, after its `[`: one range, or a list of characters.
fn class(rest: &mut Peekable<Chars<'_>>, regex: &mut String) -> Option<()> {
    regex.push('[');
    if rest.next_if_eq(&'!').is_some() {
        regex.push('^');
    }
    let first = rest.next()?;
    if rest.next_if_eq(&'-').is_some() {
        let last = rest.next()?;
        rest.next_if_eq(&']')?;
        if last < first {
            return None;
        }
        regex.push_str(&format!("{}-{}]", escape(first), escape(last)));
        return Some(());
    }
    let mut next = Some(first);
    let mut any = false;
    loop {
        match next? {
            ']' => break,
            '\\' => regex.push_str(&escape(rest.next()?)),
            other => regex.push_str(&escape(other)),
        }
        any = true;
        next = rest.next();
    }
    regex.push(']');
    any.then_some(())
}

fn escape(c: char) -> String {
    regex_syntax::escape(c.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_are_no_utf8_are_malformed() {
        assert!(Glob::parse("a\u{fffd}").is_none());
    }

    #[test]
    fn patterns_match_as_in_gobwas_glob() {
        // Rows of the behaviour of gobwas/glob v0.2.3 with '/' as separator.
        for (pattern, path, matches) in [
            ("abc", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ab/c", false),
            ("a**c", "ab/c", true),
            ("foo/**", "foo", false),
            ("**.yaml", "a/b.yaml", true),
            ("*.yaml", "a/b.yaml", false),
            ("?at", "cat", true),
            ("?at", "/at", false),
            ("[a-c].x", "b.x", true),
            ("[!a-c].x", "b.x", false),
            ("[!a-c].x", "d.x", true),
            ("[abc].x", "c.x", true),
            ("{a,b*}/c", "bxx/c", true),
            ("{a,b*}/c", "b/x/c", false),
            ("{a,{b,c}}.y", "c.y", true),
            ("a\\*b", "a*b", true),
            ("a.c", "abc", false),
            ("a,b", "a,b", true),
            ("{a,b", "b", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[a", "[c-a]", "[a-bc]", "[]"] {
            assert!(Glob::parse(pattern).is_none(), "{pattern}");
        }
    }
}
