//! Text for messages without a value of the release's Secrets; of logs a few short lines.

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

/// The text, each secret in it replaced.
pub(super) fn text(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<&str> =
        secrets.iter().map(|secret| secret.trim()).filter(|secret| !secret.is_empty()).collect();
    // The longest first: a secret may be part of another one.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
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
    fn long_line_is_cut() {
        assert!(lines(&"x".repeat(1000), &[])[0].len() <= LINE_BYTES_MAX);
    }
}
