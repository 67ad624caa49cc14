//! Cutting rendered text into documents.

/// The documents of a text, in order, each without the white space before it; the end of each is kept as it is.
///
/// A document ends at a line that *starts* with `---`: what follows on that line belongs to the next one, so that
/// `---apiVersion: v1` splits too. Documents of white space alone are dropped.
pub fn split(text: &str) -> Vec<&str> {
    let text = text.trim_start();
    let mut documents = Vec::new();
    let (mut start, mut line_start) = (0, 0);
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("---") {
            documents.push(&text[start..line_start]);
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            start = line_start + 3 + blanks;
        }
        line_start += line.len();
    }
    documents.push(&text[start..]);
    documents.into_iter().map(str::trim_start).filter(|document| !document.is_empty()).collect()
}

/// The path named by the comment `# Source: path` at the top of a document of a release's manifest.
pub fn source_path(document: &str) -> Option<&str> {
    document.trim_start().lines().next()?.strip_prefix("# Source: ")
}

/// Path and text of a document of a release's manifest, without the frame Helm put around the text.
pub fn unframe(document: &str) -> (&str, &str) {
    match source_path(document) {
        Some(path) => {
            let text = document.split_once('\n').map_or("", |(_, text)| text);
            (path, text.strip_suffix('\n').unwrap_or(text))
        }
        None => ("", document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_ends() {
        // Results of Helm v4's separator, `(?m)^---[ \t]*`.
        for (text, documents) in [
            ("a: 1\n", vec!["a: 1\n"]),
            ("\n---\na: 1\n\n---\nb: 2\n", vec!["a: 1\n\n", "b: 2\n"]),
            ("---apiVersion: v1\n---\t \n# c\n", vec!["apiVersion: v1\n", "# c\n"]),
            ("a: |\n  ---\nb: 1", vec!["a: |\n  ---\nb: 1"]),
            ("----\na: 1", vec!["-\na: 1"]),
            ("---\n---\n  \n---", vec![]),
            ("a: 1\r\n---\r\nb: 2\r\n", vec!["a: 1\r\n", "b: 2\r\n"]),
            ("", vec![]),
        ] {
            assert_eq!(split(text), documents, "{text:?}");
        }
    }

    #[test]
    fn source_is_read_from_the_first_line() {
        assert_eq!(source_path("# Source: web/templates/a.yaml\na: 1\n"), Some("web/templates/a.yaml"));
        assert_eq!(source_path("a: 1\n# Source: web/templates/a.yaml\n"), None);
    }
}
