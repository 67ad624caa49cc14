//! From rendered files to objects: splitting, identity, order, hooks.
//!
//! Pure text and data; rendering is before it, the cluster after it. Rules follow Helm v4 (`pkg/release/v1/util`).

pub mod hooks;
pub mod id;
pub mod order;
pub mod split;

mod object;

pub use object::{Object, parse};

/// Why rendered text is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("YAML parse error on {file}")]
    Yaml { file: String, source: crate::yaml::Error },
    #[error("YAML parse error on {file}: {problem}")]
    Shape { file: String, problem: String },
    #[error("object in {file} has no {missing}")]
    Incomplete { file: String, missing: &'static str },
}
