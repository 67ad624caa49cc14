//! Whether texts are addresses of people and pages. As lenient as govalidator, which Helm's linter asks: these rules
//! find slips of the pen, not every wrong address.

use std::sync::LazyLock;

use regex_automata::meta::Regex;

use crate::sprig::host_and_path;

/// The longest URL, in characters.
const URL_CHARS_MAX: usize = 2083;
/// The shortest URL, in bytes.
const URL_BYTES_MIN: usize = 4;

/// A name (words with dots between them), `@`, and a domain of two parts or more, the last of which neither begins nor
/// ends with a digit. Quoted names are as good as never taken.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    const WIDE: &str = r"\x{A0}-\x{D7FF}\x{F900}-\x{FDCF}\x{FDF0}-\x{FFEF}";
    let word = format!(r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{{|}}~{WIDE}]+");
    let (edge, inner) = (format!("[a-zA-Z0-9{WIDE}]"), format!("[a-zA-Z0-9._~{WIDE}-]"));
    let (last_edge, last_inner) = (format!("[a-zA-Z{WIDE}]"), format!("[a-zA-Z0-9_~{WIDE}-]"));
    pattern(&format!(
        r"{word}(?:\.{word})*@(?:{edge}(?:{inner}*{edge})?\.)+{last_edge}(?:{last_inner}*{last_edge})?\.?"
    ))
});

/// A scheme and a user, both of which may be missing, a host, a port, and whatever follows.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    let label = r"[a-zA-Z0-9\x{A1}-\x{FFFF}]+";
    let host = format!(r"(?:{label}(?:[-_]+{label}|\.{label})*|\[[0-9a-fA-F:.]+\])");
    pattern(&format!(r"(?:(?:ftp|tcp|udp|wss?|https?)://)?(?:\S+(?::\S*)?@)?{host}\.?(?::[0-9]{{1,5}})?(?:[/?#]\S*)?"))
});

/// A pattern that must match the whole text.
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("^(?:{text})$")).expect("the pattern is ours")
}

pub(super) fn is_email(text: &str) -> bool {
    EMAIL.is_match(text)
}

pub(super) fn is_url(text: &str) -> bool {
    if text.len() < URL_BYTES_MIN || text.chars().count() >= URL_CHARS_MAX || text.starts_with('.') {
        return false;
    }
    // `example.com:80` has a port, not a scheme.
    let with_scheme = match text.contains(':') && !text.contains("://") {
        true => format!("http://{text}"),
        false => text.to_owned(),
    };
    let Some((host, path)) = host_and_path(&with_scheme) else { return false };
    let is_named = !host.is_empty() || path.is_empty() || path.contains(&b'.');
    !host.starts_with(b".") && is_named && URL.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_as_by_govalidator() {
        // Each row is what govalidator (of Helm v4.3.1) says.
        for (text, email, url) in [
            ("ada@example.com", true, true),
            ("ada.l+x@mail.example.co.uk.", true, true),
            ("\"ada l\"@example.com", false, false),
            ("ada@example", false, false),
            ("ada@example.c0m1", false, true),
            ("@example.com", false, false),
            ("ada@@example.com", false, true),
            ("https://example.com", false, true),
            ("https://example.com:443/a?b#c", false, true),
            ("example.com", false, true),
            ("example", false, false),
            ("http:// not one", false, false),
            ("http://", false, false),
            ("http://a b", false, false),
            ("mailto:ada@example.com", false, true),
            ("ssh://example.com", false, false),
            ("http://[::1]:80/", false, true),
            ("http://192.168.1.1", false, true),
            ("https://github.com/ada-l", false, true),
            ("https://a..b", false, false),
            ("//example.com", false, false),
            ("www", false, false),
            ("", false, false),
            ("https://a_b.com", false, true),
            ("a--b.com", false, true),
            ("foo_bar-.com", false, false),
            ("https://-a.com", false, false),
            ("https://example.com.", false, true),
            ("https://x.y-", false, false),
            ("http://user:pw@h.io", false, true),
            ("localhost:80", false, true),
            ("https://exämple.com/ü", false, true),
            ("a@b.c", true, true),
            ("a..b@c.de", false, true),
            ("https://github.com/foo bar", false, false),
        ] {
            assert_eq!((is_email(text), is_url(text)), (email, url), "{text:?}");
        }
    }
}
