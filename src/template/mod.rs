//! Go's `text/template`: the language of charts. Knows nothing of charts or Kubernetes.
//!
//! The stages are the files: `lex`, `parse` (to the tree of `ast`), `exec`. The authority on meaning is Go 1.26.

mod ast;
mod builtin;
mod error;
pub mod exec;
pub mod func;
mod lex;
mod mentions;
mod methods;
mod parse;
mod set;
mod stack;
#[cfg(test)]
mod tests;

pub use ast::Template;
pub use error::{Cause, Error, ExecuteError, Place};
pub use exec::{MissingKey, execute};
pub use mentions::{Chain, Mentions};
pub use set::{Parsed, Set};
