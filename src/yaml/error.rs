//! Why YAML could not be read or written, in go-yaml's words.

use std::fmt;

/// A failure of reading or writing, printed exactly as Go prints it.
///
/// go-yaml counts the lines of grammar errors from zero and names no line for anything on the first one, so the line
/// inside the text is sometimes one too small. [`Error::line`] is the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where in the input the problem is, counted from 1; `None` where there is no single place.
    pub line: Option<usize>,
    text: Box<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    step: Step,
    said_line: Option<usize>,
    /// With what says it in front: `yaml: ` or `json: `.
    problem: String,
}

/// Which conversion failed: sigs.k8s.io/yaml names it in front of go-yaml's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Yaml,
    YamlToJson,
    ToJson,
}

impl Error {
    /// A character or token that cannot stand where it is; `line` counts from 0.
    pub(super) fn scanner(line: usize, problem: impl Into<String>) -> Self {
        Error::new(Some(line), (line > 0).then_some(line + 1), problem)
    }

    /// Tokens that do not form a document; `line` counts from 0.
    pub(super) fn parser(line: usize, problem: impl Into<String>) -> Self {
        Error::new(Some(line), (line > 0).then_some(line), problem)
    }

    /// A problem whose text names no line; `line` counts from 0.
    pub(super) fn plain(line: Option<usize>, problem: impl Into<String>) -> Self {
        Error::new(line, None, problem)
    }

    /// A document that is good YAML but cannot be JSON; the text is complete.
    pub(super) fn json(problem: impl Into<String>) -> Self {
        Error { line: None, text: Box::new(Text { step: Step::Yaml, said_line: None, problem: problem.into() }) }
    }

    fn new(line: Option<usize>, said_line: Option<usize>, problem: impl Into<String>) -> Self {
        let problem = format!("yaml: {}", problem.into());
        Error { line: line.map(|line| line + 1), text: Box::new(Text { step: Step::Yaml, said_line, problem }) }
    }

    pub(super) fn in_step(mut self, step: Step) -> Self {
        self.text.step = step;
        self
    }

    /// What is wrong, without the conversion that failed and without a line.
    pub fn problem(&self) -> &str {
        self.text.problem.strip_prefix("yaml: ").unwrap_or(&self.text.problem)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.text.step {
            Step::Yaml => "",
            Step::YamlToJson => "error converting YAML to JSON: ",
            Step::ToJson => "error marshaling into JSON: ",
        })?;
        match self.text.said_line {
            Some(line) => write!(f, "yaml: line {line}: {}", self.problem()),
            None => f.write_str(&self.text.problem),
        }
    }
}

impl std::error::Error for Error {}
