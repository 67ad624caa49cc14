//! What can go wrong between us and a source, in sentences that name the server, the repository and what was asked.

use crate::chart::source_ref::{Digest, GitReference, TreePath};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why a source could not be resolved or fetched.
///
/// Cheap to clone: one failed fetch is reported to everybody who waited for it. Nothing here holds a credential, a
/// header or the query of a URL, which may be signed.
#[derive(Debug, Clone, Error)]
pub enum Error {
    #[error("chart {chart} not found in {host}")]
    ChartNotFound { chart: String, host: String },
    /// `wanted` says which: `version 1.2.3`, `a version within 1.x`.
    #[error("{wanted} of chart {chart} not found in {host}{}", Newest(.newest))]
    VersionNotFound { chart: String, host: String, wanted: String, newest: Vec<String> },
    #[error("repository {url} not found")]
    RepositoryNotFound { url: String },
    #[error("repository {url} is empty: it has no commit yet")]
    RepositoryEmpty { url: String },
    #[error("{reference} not found in {url}{}", Branches(.branches))]
    ReferenceNotFound { url: String, reference: GitReference, branches: Vec<String> },
    #[error("path {path} not found in {url} at commit {commit}")]
    PathNotFound { url: String, path: TreePath, commit: String },

    #[error("{host} asks for a name and password for {repository}, and none are given: name a Secret in secretRef")]
    CredentialsMissing { host: String, repository: String },
    #[error("{host} refused the name and password given for {repository}: correct them in the Secret of secretRef")]
    CredentialsRefused { host: String, repository: String },
    #[error("{host} denied access to {repository}: let its account read there, or name another Secret in secretRef")]
    Forbidden { host: String, repository: String },
    #[error("{host} sends its clients to {realm} for a token, and credentials for {host} are not given to that host")]
    TokenHostRefused { host: String, realm: String },
    #[error("{host} has the address {address}, which sources may not use ({why})")]
    AddressRefused { host: String, address: IpAddr, why: &'static str },
    #[error("{host} is the cluster's own API, which sources may not use")]
    HostRefused { host: String },
    #[error("{host} redirected to {target}, which was not followed: {why}")]
    RedirectRefused { host: String, target: String, why: &'static str },

    #[error("{host} answered that there are too many requests{}", Later(.retry_after))]
    Throttled { host: String, retry_after: Option<Duration> },
    #[error("{host} answered with status {status}{}", Later(.retry_after))]
    ServerError { host: String, status: u16, retry_after: Option<Duration> },
    #[error("{host} could not be reached")]
    Unreachable {
        host: String,
        #[source]
        source: Cause,
    },
    #[error("{host} did not answer within {}s", .limit.as_secs())]
    TimedOut { host: String, limit: Duration },
    #[error("the answer of {host} broke off")]
    Interrupted {
        host: String,
        #[source]
        source: Cause,
    },

    #[error("{what} from {host} has digest {found}, not {expected}")]
    WrongDigest { host: String, what: &'static str, expected: Digest, found: Digest },
    #[error("{what} from {host} has media type {found:?}: {problem}")]
    WrongMediaType { host: String, what: String, found: String, problem: &'static str },
    #[error("{what} from {host} is larger than {limit_bytes} bytes")]
    TooLarge { host: String, what: &'static str, limit_bytes: u64 },
    #[error("{what} in {url} is more than the limit of {limit}")]
    TreeTooLarge { url: String, what: String, limit: String },
    #[error("{path} in {url} is a {kind}, which is not followed")]
    EntryRefused { url: String, path: String, kind: &'static str },
    #[error("{what} from {host} is not readable: {problem}")]
    Malformed { host: String, what: &'static str, problem: String },
    #[error("{host} answered {what} with status {status}")]
    UnexpectedStatus { host: String, what: &'static str, status: u16 },

    /// An earlier failure stands, and the server is left alone for a while.
    #[error("{host} is asked again in {}s", .wait.as_secs().max(1))]
    BackingOff {
        host: String,
        wait: Duration,
        #[source]
        source: Box<Error>,
    },
    /// An invariant of ours broke.
    #[error("fetching from {host} stopped: {problem}")]
    Internal { host: String, problem: String },
}

/// The error beneath ours, shared.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// What a caller does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Passes by itself: try again with backoff, keep what is known.
    Transient,
    /// What was fetched is unusable: nothing changes until the source or the reference does.
    Input,
    /// Not there or not allowed: look again at each interval.
    Refused,
}

impl Error {
    /// What to do about it.
    pub fn category(&self) -> Category {
        match self {
            Error::Throttled { .. }
            | Error::ServerError { .. }
            | Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::Interrupted { .. }
            | Error::WrongDigest { .. }
            | Error::Internal { .. } => Category::Transient,
            Error::WrongMediaType { .. }
            | Error::TooLarge { .. }
            | Error::TreeTooLarge { .. }
            | Error::EntryRefused { .. }
            | Error::Malformed { .. } => Category::Input,
            Error::ChartNotFound { .. }
            | Error::VersionNotFound { .. }
            | Error::RepositoryNotFound { .. }
            | Error::RepositoryEmpty { .. }
            | Error::ReferenceNotFound { .. }
            | Error::PathNotFound { .. }
            | Error::CredentialsMissing { .. }
            | Error::CredentialsRefused { .. }
            | Error::Forbidden { .. }
            | Error::TokenHostRefused { .. }
            | Error::AddressRefused { .. }
            | Error::HostRefused { .. }
            | Error::RedirectRefused { .. }
            | Error::UnexpectedStatus { .. } => Category::Refused,
            Error::BackingOff { source, .. } => source.category(),
        }
    }

    /// The variant's name: condition reason, Event reason and metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::ChartNotFound { .. } => "ChartNotFound",
            Error::VersionNotFound { .. } => "VersionNotFound",
            Error::RepositoryNotFound { .. } => "RepositoryNotFound",
            Error::RepositoryEmpty { .. } => "RepositoryEmpty",
            Error::ReferenceNotFound { .. } => "ReferenceNotFound",
            Error::PathNotFound { .. } => "PathNotFound",
            Error::CredentialsMissing { .. } => "CredentialsMissing",
            Error::CredentialsRefused { .. } => "CredentialsRefused",
            Error::Forbidden { .. } => "Forbidden",
            Error::TokenHostRefused { .. } => "TokenHostRefused",
            Error::AddressRefused { .. } => "AddressRefused",
            Error::HostRefused { .. } => "HostRefused",
            Error::RedirectRefused { .. } => "RedirectRefused",
            Error::Throttled { .. } => "Throttled",
            Error::ServerError { .. } => "ServerError",
            Error::Unreachable { .. } => "Unreachable",
            Error::TimedOut { .. } => "TimedOut",
            Error::Interrupted { .. } => "Interrupted",
            Error::WrongDigest { .. } => "WrongDigest",
            Error::WrongMediaType { .. } => "WrongMediaType",
            Error::TooLarge { .. } => "TooLarge",
            Error::TreeTooLarge { .. } => "TreeTooLarge",
            Error::EntryRefused { .. } => "EntryRefused",
            Error::Malformed { .. } => "Malformed",
            Error::UnexpectedStatus { .. } => "UnexpectedStatus",
            Error::BackingOff { source, .. } => source.reason(),
            Error::Internal { .. } => "Internal",
        }
    }

    /// How long the server itself asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Throttled { retry_after, .. } | Error::ServerError { retry_after, .. } => *retry_after,
            Error::BackingOff { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// What the server said last, also while it is left alone: the same words as long as it is the same trouble.
    pub fn cause(&self) -> &Error {
        match self {
            Error::BackingOff { source, .. } => source.cause(),
            error => error,
        }
    }

    /// Whether the server as a whole is in trouble, so that other repositories on it need not be tried either.
    pub(super) fn is_of_the_host(&self) -> bool {
        matches!(
            self,
            Error::Throttled { .. }
                | Error::ServerError { .. }
                | Error::Unreachable { .. }
                | Error::TimedOut { .. }
                | Error::BackingOff { .. }
        )
    }
}

struct Newest<'a>(&'a [String]);

impl fmt::Display for Newest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => write!(f, "; it holds no version at all"),
            versions => write!(f, "; newest there: {}", versions.join(", ")),
        }
    }
}

struct Branches<'a>(&'a [String]);

impl fmt::Display for Branches<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, "; it has {}", names.join(", ")),
        }
    }
}

struct Later<'a>(&'a Option<Duration>);

impl fmt::Display for Later<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, ", and to try again in {}s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_server_repository_and_version() {
        let missing = |wanted: &str, newest: &[&str]| {
            let newest = newest.iter().map(|v| (*v).to_owned()).collect();
            let (chart, host) = ("charts/podinfo".into(), "r.io".into());
            Error::VersionNotFound { chart, host, wanted: wanted.into(), newest }.to_string()
        };
        assert_eq!(
            missing("version 9.9.9", &["6.5.0", "6.4.0"]),
            "version 9.9.9 of chart charts/podinfo not found in r.io; newest there: 6.5.0, 6.4.0"
        );
        assert_eq!(
            missing("a version within 9.x", &[]),
            "a version within 9.x of chart charts/podinfo not found in r.io; it holds no version at all"
        );
        let throttled = Error::Throttled { host: "r.io".into(), retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(throttled.to_string(), "r.io answered that there are too many requests, and to try again in 30s");
    }

    #[test]
    fn waiting_keeps_the_category_of_its_cause() {
        let cause = Error::ChartNotFound { chart: "charts/podinfo".into(), host: "r.io".into() };
        let waiting =
            Error::BackingOff { host: "r.io".into(), wait: Duration::from_millis(200), source: Box::new(cause) };
        assert_eq!(waiting.category(), Category::Refused);
        assert_eq!(waiting.reason(), "ChartNotFound");
        assert_eq!(waiting.to_string(), "r.io is asked again in 1s");
    }
}
