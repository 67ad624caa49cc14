//! Errors of templates, with the words and places Go gives them.

use std::fmt;

use crate::value::{Str, strconv};

/// Parsing or executing a template failed. Prints as Go's error does, causes included.
#[derive(Debug)]
pub enum Error {
    /// The text is no template.
    Parse {
        /// The name it was parsed under.
        source_name: String,
        /// From 1.
        line: usize,
        message: String,
    },
    /// Something in a template failed.
    Execute(Box<ExecuteError>),
    /// There is no template of that name.
    NotFound { name: String, set: String },
    /// A budget of the render is spent. No template sees this error.
    Budget { place: Box<Place>, message: String },
}

/// What failed in a template, and where.
#[derive(Debug)]
pub struct ExecuteError {
    pub place: Place,
    pub message: String,
    pub cause: Option<Cause>,
}

/// A place in a running template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the text: the file, for a template defined in one.
    pub source_name: String,
    /// From 1.
    pub line: usize,
    /// In bytes, from 0.
    pub column: usize,
    /// The name of the template that was running.
    pub template: String,
    /// The piece of the template that failed, as Go prints it.
    pub node: String,
}

/// Why a function failed.
#[derive(Debug)]
pub enum Cause {
    /// With this error text.
    Text(String),
    /// A template it ran failed. The text, empty for `include`, says what the function adds to the error; the source is
    /// the text of the template where it was none of the set's (`tpl`).
    Template { text: String, source: Option<Str>, error: Box<Error> },
}

impl Error {
    /// The error that this one wraps, as Go's `errors.Unwrap` gives it, if it is a template's.
    pub fn cause(&self) -> Option<&Error> {
        match self {
            Error::Execute(error) => match &error.cause {
                Some(Cause::Template { error, .. }) => Some(error),
                Some(Cause::Text(_)) | None => None,
            },
            Error::Parse { .. } | Error::NotFound { .. } | Error::Budget { .. } => None,
        }
    }

    /// The place in the template where it happened; the innermost is that of the last [`Error::cause`].
    pub fn place(&self) -> Option<&Place> {
        match self {
            Error::Execute(error) => Some(&error.place),
            Error::Budget { place, .. } => Some(place),
            Error::Parse { .. } | Error::NotFound { .. } => None,
        }
    }

    /// Writes this step, and what leads over to its cause.
    fn write_step(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Parse { source_name, line, message } => write!(f, "template: {source_name}:{line}: {message}"),
            Error::NotFound { name, set } => {
                write!(f, "template: no template {} associated with template {}", quote(name), quote(set))
            }
            Error::Budget { place, message } => write!(f, "{place}: {message}"),
            Error::Execute(error) => {
                write!(f, "{}: {}", error.place, error.message)?;
                match &error.cause {
                    None => Ok(()),
                    Some(Cause::Text(text)) => write!(f, ": {text}"),
                    Some(Cause::Template { text, .. }) if text.is_empty() => write!(f, ": "),
                    Some(Cause::Template { text, .. }) => write!(f, ": {text}: "),
                }
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut step = Some(self);
        while let Some(error) = step {
            error.write_step(f)?;
            step = error.cause();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { source_name, line, column, template, node } = self;
        write!(f, "template: {source_name}:{line}:{column}: executing {} at <{node}>", quote(template))
    }
}

/// The text in double quotes, as `%q` prints it.
pub(super) fn quote(text: &str) -> String {
    String::from_utf8_lossy(&strconv::quote(text.as_bytes())).into_owned()
}
