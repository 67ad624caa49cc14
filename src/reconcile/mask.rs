//! Text for messages without a value of the release's Secrets; of logs a few short lines.

use std::collections::HashSet;

use crate::value::strconv;

/// Lines that are shown.
pub(super) const LINES_MAX: usize = 5;
const LINE_BYTES_MAX: usize = 200;

/// The last lines of a log, each secret text replaced.
pub(super) fn lines(log: &str, secrets: &[String]) -> Vec<String> {
    let text = text(log, secrets);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let shown = lines.len().saturating_sub(LINES_MAX);
    lines[shown..].iter().map(|line| crate::text::truncate(&printable(line), LINE_BYTES_MAX)).collect()
}

/// A line of a secret shorter than this is not looked for by itself: it would hide half of any text.
const SECRET_LINE_BYTES_MIN: usize = 4;

/// The text, each secret in it replaced: whole, quoted as Go and JSON quote it, with its blanks made one, and line by line,
/// because errors of templates show single lines of what `tpl` was given.
pub(super) fn text(text: &str, secrets: &[String]) -> String {
    let mut forms = HashSet::new();
    for secret in secrets.iter().map(|secret| secret.trim()).filter(|secret| !secret.is_empty()) {
        let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SECRET_LINE_BYTES_MIN);
        for form in lines.chain([secret]) {
            let quoted = String::from_utf8_lossy(&strconv::quote(form.as_bytes())).into_owned();
            forms.insert(quoted[1..quoted.len() - 1].to_owned());
            forms.insert(form.split_whitespace().collect::<Vec<_>>().join(" "));
            forms.insert(form.to_owned());
        }
    }
    let mut forms: Vec<String> = forms.into_iter().collect();
    // The longest first: a secret may be part of another one.
    forms.sort_by(|a, b| (b.len(), b).cmp(&(a.len(), a)));
    forms.into_iter().fold(text.to_owned(), |text, secret| text.replace(&secret, "***"))
}

/// Terminal escapes of an application must not reach a terminal of ours.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_only_the_last_lines_shown() {
        let log = "1\n2\n3\nlogin hunter2-long with hunter2\n\u{1b}[31mred\nlast\n";
        let secrets = ["hunter2".to_owned(), "hunter2-long".to_owned()];
        assert_eq!(lines(log, &secrets), ["2", "3", "login *** with ***", " [31mred", "last"]);
    }

    #[test]
    fn secrets_are_masked_in_the_forms_that_errors_show_them_in() {
        let secrets = ["first \"line\"\n\tsecond  line\nab".to_owned()];
        for shown in [
            r#"tpl "first \"line\"\n\tsecond  line\nab" failed"#,
            "1 | first \"line\"",
            "2 | \tsecond  line",
            "it says second line here",
        ] {
            let masked = text(shown, &secrets);
            assert!(masked.contains("***") && !masked.contains("line"), "{shown} became {masked}");
        }
        assert_eq!(text("cabs", &secrets), "cabs");
    }

    #[test]
    fn long_line_is_cut() {
        assert!(lines(&"x".repeat(1000), &[])[0].len() <= LINE_BYTES_MAX);
    }
}
