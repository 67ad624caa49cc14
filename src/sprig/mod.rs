//! Sprig v3.3.0: the functions charts call, as Go templates see them.
//!
//! [`FUNCTIONS`] is the whole of it, in Sprig's order: names, Go parameter types, and how each one reaches the plain
//! function that does the work. `env` and `expandenv` are absent, as in Helm. The functions Helm adds or overrides
//! (`include`, `toYaml`, `fail` with its markers…) belong to `render`.
//!
//! Truth comes from Sprig v3.3.0 and the versions of its libraries that Helm v4.3.1 builds with. Errors and
//! recovered panics are worded as in Go. Clock, randomness, keys and budgets come from the host of the call.

mod argument;
mod casing;
mod certificates;
mod crypto;
mod date;
mod decimal;
mod defaults;
mod der;
mod dicts;
pub mod duration;
mod encoding;
mod json;
mod keys;
mod layout;
mod limits;
mod lists;
mod math;
mod path;
mod pem;
mod random;
mod re2;
mod reflect;
pub mod regex;
mod runes;
mod semver;
mod strings;
mod table;
#[cfg(test)]
mod tests;
pub mod time;
mod url;

pub use table::FUNCTIONS;
pub use url::{host_and_path, is_request_url};
