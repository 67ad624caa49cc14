//! The name of a release.

use std::fmt;

/// The name of a release: a DNS-1123 subdomain of at most 53 characters, as Helm asks, so that charts may append to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseName(String);

/// Helm's limit: 63 characters of a label, less ten for what charts append.
const LENGTH_MAX: usize = 53;

impl ReleaseName {
    /// Checks the name. Helm: `pkg/chart/v2/util/validate_name.go`.
    pub fn parse(text: &str) -> Result<Self, InvalidReleaseName> {
        if text.is_empty() {
            return Err(InvalidReleaseName::Empty);
        }
        if text.len() > LENGTH_MAX {
            return Err(InvalidReleaseName::TooLong { name: text.to_owned(), length: text.len() });
        }
        if !text.split('.').all(is_dns_label) {
            return Err(InvalidReleaseName::NotDns { name: text.to_owned() });
        }
        Ok(ReleaseName(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_dns_label(label: &str) -> bool {
    let inside = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
}

/// Why a text cannot name a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReleaseName {
    #[error("the release name is empty")]
    Empty,
    #[error("release name {name:?} has {length} characters, at most {LENGTH_MAX} are allowed")]
    TooLong { name: String, length: usize },
    #[error(
        "release name {name:?} may hold only lower case letters, digits, '-' and '.', and must begin and end with a letter or digit"
    )]
    NotDns { name: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_helm_allows() {
        for name in ["podinfo", "a", "pod-info.v2", "0", &"x".repeat(53)] {
            assert_eq!(ReleaseName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "Podinfo", "-a", "a-", "a..b", ".a", "a_b", "ä", "a\n", &"x".repeat(54)] {
            assert!(ReleaseName::parse(name).is_err(), "{name:?}");
        }
    }
}
