//! The dialect of `.helmignore`: which files of a chart's folder are not part of the chart.
//!
//! It looks like `.gitignore` and differs: no `**`, the first rule that decides wins, and a negated rule that does
//! *not* match ignores the file at once. Archives are not filtered: they were when they were packed.

use super::pattern::Pattern;

/// The file the rules are read from, at the top of the chart's folder.
pub const FILE_NAME: &str = ".helmignore";

/// Dot files below `templates/` are ignored in every chart.
const BUILT_IN_RULE: &str = "templates/.?*";

/// Rules in the order of the file, then the built-in one.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    /// Matched against the last element of the path only: the rule holds no slash.
    base_name_only: bool,
    negated: bool,
    folders_only: bool,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{FILE_NAME} line {line}: {problem}: {rule}")]
pub struct BadRule {
    line: usize,
    rule: String,
    problem: &'static str,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathKind {
    File,
    Folder,
}

impl Rules {
    /// Reads the rules of a chart; `text` is empty where the chart has no `.helmignore`.
    ///
    /// # Errors
    /// A rule uses `**` or is no valid pattern.
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().chain([BUILT_IN_RULE]).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |problem| BadRule { line: index + 1, rule: line.to_owned(), problem };
            if line.contains("**") {
                return Err(refuse("double-star (**) syntax is not supported"));
            }
            rules.push(Rule::parse(line).ok_or_else(|| refuse("syntax error in pattern"))?);
        }
        Ok(Rules(rules))
    }

    /// Whether the file at this path, relative to the chart's folder, is left out: by itself or with one of its
    /// folders.
    pub fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(end, _)| (&path[..end], PathKind::Folder));
        folders.chain([(path, PathKind::File)]).any(|(path, kind)| self.ignores_exactly(path, kind))
    }

    fn ignores_exactly(&self, path: &str, kind: PathKind) -> bool {
        for rule in &self.0 {
            if rule.negated {
                if !rule.matches(path, kind) {
                    return true;
                }
            } else if rule.matches(path, kind) {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let (negated, line) = strip(line, |line| line.strip_prefix('!'));
        let (folders_only, line) = strip(line, |line| line.strip_suffix('/'));
        let (rooted, line) = strip(line, |line| line.strip_prefix('/'));
        let base_name_only = !rooted && !line.contains('/');
        Some(Rule { pattern: Pattern::parse(line)?, base_name_only, negated, folders_only })
    }

    fn matches(&self, path: &str, kind: PathKind) -> bool {
        if self.folders_only && kind == PathKind::File {
            return false;
        }
        let name = if self.base_name_only { path.rsplit('/').next().unwrap_or(path) } else { path };
        self.pattern.matches(name)
    }
}

fn strip(line: &str, strip: impl Fn(&str) -> Option<&str>) -> (bool, &str) {
    strip(line).map_or((false, line), |rest| (true, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_ignore_what_helm_ignores() {
        // Expectations are those of Helm's own documentation and of its `pkg/ignore` tests.
        for (rule, path, ignored) in [
            ("helm.txt", "helm.txt", true),
            ("helm.*", "helm.txt", true),
            ("helm.*", "rudder.txt", false),
            ("*.txt", "cargo/a.txt", true),
            ("cargo/*.txt", "cargo/a.txt", true),
            ("cargo/*.*", "cargo/a.txt", true),
            ("cargo/*.txt", "mast/a.txt", false),
            ("ru[c-e]?er.txt", "rudder.txt", true),
            ("templates/.?*", "templates/.dotfile", true),
            ("cargo/", "cargo/a.txt", true),
            ("cargo/", "mast/cargo", false),
            ("helm.txt/", "helm.txt", false),
            ("!helm.txt", "helm.txt", false),
            ("!helm.txt", "tiller.txt", true),
            ("!*.txt", "cargo", true),
            ("!cargo/", "mast/", true),
            ("/a.txt", "a.txt", true),
            ("/a.txt", "cargo/a.txt", false),
            ("/cargo/a.txt", "cargo/a.txt", true),
            ("# a.txt", "a.txt", false),
        ] {
            assert_eq!(Rules::parse(rule).unwrap().ignores(path), ignored, "rule {rule:?}, path {path:?}");
        }
    }

    #[test]
    fn dot_files_of_templates_are_always_ignored() {
        assert!(Rules::parse("").unwrap().ignores("templates/.swp"));
        assert!(!Rules::parse("").unwrap().ignores("templates/a.yaml"));
    }

    #[test]
    fn double_star_is_refused_by_line() {
        let error = Rules::parse("a\nfoo/**/bar\n").unwrap_err().to_string();
        assert_eq!(error, ".helmignore line 2: double-star (**) syntax is not supported: foo/**/bar");
    }
}
