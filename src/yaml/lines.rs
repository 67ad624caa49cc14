//! On which line each key of a document stands, for telling a person where a value was written.

use super::decode;
use super::error::Error;
use super::parser::{Content, Node, Parser};
use super::reader;

/// A key of a table, by the keys that lead to it. Lists are not entered: what is in one belongs to its key.
pub type KeyPath = Vec<String>;

/// The keys of all documents of a stream in the order they are written, with their lines from 1.
///
/// What an alias or a merge (`<<`) brings in has no line of its own.
///
/// # Errors
/// The text is no YAML.
pub fn key_lines(bytes: &[u8]) -> Result<Vec<(KeyPath, usize)>, Error> {
    let input = reader::read(bytes);
    let mut parser = Parser::new(&input);
    let mut lines = Vec::new();
    while let Some(document) = parser.next_document()? {
        collect(&document.nodes, 0, &mut Vec::new(), &mut lines);
    }
    Ok(lines)
}

fn collect(nodes: &[Node<'_>], at: usize, path: &mut KeyPath, lines: &mut Vec<(KeyPath, usize)>) {
    if !matches!(nodes[at].content, Content::Mapping) {
        return;
    }
    let mut key_at = at + 1;
    while key_at < nodes[at].end {
        let value_at = nodes[key_at].end;
        if let Some(key) = decode::scalar_key(&nodes[key_at]) {
            path.push(key);
            lines.push((path.clone(), nodes[key_at].line + 1));
            collect(nodes, value_at, path, lines);
            path.pop();
        }
        key_at = nodes[value_at].end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_on_their_lines_in_every_document() {
        let text =
            b"# head\na: 1\nb:\n  c: {d: x,\n    e: y}\n  yes: [1]\nf: &f\n  g: 1\nh:\n  <<: *f\n---\na: 2\n\"q.r\": |\n  a: 1\n";
        let lines: Vec<_> = key_lines(text).unwrap().into_iter().map(|(path, line)| (path.join("/"), line)).collect();
        let want = [
            ("a", 2),
            ("b", 3),
            ("b/c", 4),
            ("b/c/d", 4),
            ("b/c/e", 5),
            ("b/true", 6),
            ("f", 7),
            ("f/g", 8),
            ("h", 9),
            ("a", 12),
            ("q.r", 13),
        ];
        assert_eq!(lines, want.map(|(path, line)| (path.to_owned(), line)));
    }
}
