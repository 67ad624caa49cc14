//! Where a chart or a folder of manifests comes from, and with which name and password.
//!
//! Pure words: parsing, validation and the choice of a version among tags. Asking servers is `source`. Whatever is
//! refused here is refused before any connection is opened, so that no text of a user ever becomes an option, a header
//! or a path that leaves its repository. Version choice follows Helm v4 `pkg/registry` (tags that are strict semantic
//! versions, `_` standing for `+`, newest first); ranges follow Masterminds.

use crate::value::semver::{Constraint, Version};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// The longest URL read, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// The longest reference name or path read, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// One source: a chart in a registry, or a folder of a Git repository at a reference.
///
/// Equal sources asked for with equal credentials are fetched once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceRef {
    Oci {
        url: OciUrl,
        reference: OciReference,
        /// Plain HTTP instead of HTTPS.
        insecure: bool,
    },
    Git {
        url: GitUrl,
        reference: GitReference,
        /// The folder wanted.
        path: TreePath,
        files: GitFiles,
    },
    /// A chart of a Helm repository: a server with an `index.yaml`.
    Http {
        url: HttpUrl,
        chart: ChartName,
        /// A version that is there word for word, else the newest within the range.
        version: VersionRange,
        /// Credentials go to other servers too, where the index leads to them.
        pass_credentials: bool,
    },
}

/// A Helm repository behind HTTP or HTTPS: the URL that `index.yaml` lies below.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpUrl(String);

/// The name of a chart within a repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChartName(String);

/// A repository of a registry, written `oci://HOST[:PORT]/REPOSITORY`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OciUrl {
    host: String,
    repository: String,
}

/// Which chart of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OciReference {
    Tag(Tag),
    /// The digest of the manifest.
    Digest(Digest),
    /// The newest version within a range.
    Range(VersionRange),
}

/// A tag of a registry. A version's `+` is written `_` in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

/// A range of versions as Masterminds reads it, kept as its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VersionRange(String);

/// A SHA-256 digest, printed `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A Git repository behind HTTP or HTTPS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitUrl(String);

/// Which commit of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GitReference {
    /// The branch that the server calls its default.
    Default,
    Branch(GitName),
    Tag(GitName),
    Commit(CommitId),
}

/// The short name of a branch or tag: `main`, `release/1.x`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitName(String);

/// A whole commit id, 40 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CommitId(String);

/// A folder within a Git tree, without leading or trailing slash; empty for the whole tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// Which files below the path are read. The others cost no memory and are not part of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GitFiles {
    /// All of them: a chart.
    All,
    /// `.yaml`, `.yml` and `.json`, unless hidden: what a GitSync applies; and kustomize's `Kustomization`, which it
    /// refuses.
    Manifests,
}

/// What is shown to one server, or nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
    /// A token that the server takes as it is.
    Bearer {
        token: String,
    },
}

/// Tells credentials apart without holding them: what one identity fetched is never served to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialId([u8; 32]);

/// Why a source was refused before anything was asked of a server.
///
/// The sentences never repeat what stands before an `@` in a URL: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidSource {
    #[error("url {shown:?} {problem}")]
    Url { shown: String, problem: &'static str },
    #[error("tag {shown:?} is not a tag: letters, digits, '.', '_' and '-', at most 128")]
    Tag { shown: String },
    #[error("digest {shown:?} is not sha256: followed by 64 hexadecimal digits")]
    Digest { shown: String },
    #[error("version {shown:?} is neither a version nor a range: {problem}")]
    Range { shown: String, problem: String },
    #[error("{kind} {shown:?} is not a Git reference name: it {problem}")]
    GitName { kind: &'static str, shown: String, problem: &'static str },
    #[error("commit {shown:?} is not a whole commit id of 40 hexadecimal digits")]
    Commit { shown: String },
    #[error("chart name {shown:?} is not one: it is empty, too long, or holds a slash or a control character")]
    ChartName { shown: String },
    #[error("path {shown:?} {problem}")]
    Path { shown: String, problem: &'static str },
}

/// Why a Secret gave no credentials. Nothing of its content is in the sentences.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidCredentials {
    #[error(
        "it has type {found}, which is not one of Opaque, kubernetes.io/basic-auth, kubernetes.io/dockerconfigjson"
    )]
    Type { found: String },
    #[error("it has no key {key:?}")]
    KeyMissing { key: &'static str },
    #[error("its key {key:?} is not readable: {problem}")]
    KeyUnreadable { key: &'static str, problem: &'static str },
    #[error("it has no entry for {host}")]
    NoEntry { host: String },
    #[error("its entry for {host} holds an identity token, which is not supported: use a name and a password")]
    IdentityToken { host: String },
}

impl SourceRef {
    /// The server that is asked, with the port where the URL names one.
    pub fn host(&self) -> &str {
        match self {
            SourceRef::Oci { url, .. } => url.host(),
            SourceRef::Git { url, .. } => url.host(),
            SourceRef::Http { url, .. } => url.host(),
        }
    }
}

impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceRef::Oci { url, reference, .. } => match reference {
                OciReference::Tag(tag) => write!(f, "{url}:{tag}"),
                OciReference::Digest(digest) => write!(f, "{url}@{digest}"),
                OciReference::Range(range) => write!(f, "{url} {range}"),
            },
            SourceRef::Git { url, reference, path, .. } => {
                write!(f, "{url} at {reference}")?;
                if !path.is_root() {
                    write!(f, " in {path}")?;
                }
                Ok(())
            }
            SourceRef::Http { url, chart, version, .. } => write!(f, "{chart} {version} of {url}"),
        }
    }
}

impl OciUrl {
    /// Reads `oci://HOST[:PORT]/REPOSITORY`.
    ///
    /// # Errors
    /// Another scheme, a name or password, a tag or digest within the URL, or a repository name that the
    /// distribution specification does not allow.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let parts = UrlParts::parse(text)?;
        let refuse = |problem| InvalidSource::Url { shown: without_userinfo(text), problem };
        if parts.scheme != "oci" {
            return Err(refuse("does not begin with oci://"));
        }
        let repository = parts.path.trim_matches('/');
        if repository.is_empty() {
            return Err(refuse("names no repository after the host"));
        }
        if repository.contains([':', '@']) {
            return Err(refuse("holds a tag or digest: give it in its own field"));
        }
        if !repository.split('/').all(is_repository_component) {
            return Err(refuse("holds a repository name that registries do not allow"));
        }
        Ok(OciUrl { host: parts.authority, repository: repository.to_owned() })
    }

    /// `registry.example.com:5000`
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `charts/podinfo`
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl fmt::Display for OciUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.host, self.repository)
    }
}

impl fmt::Debug for OciUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl OciReference {
    /// What a chart's `version` field means: a whole version is that tag, anything else a range.
    ///
    /// The empty text is the newest version that is not a prerelease, as in Helm.
    ///
    /// # Errors
    /// Text that is neither.
    pub fn from_version(text: &str) -> Result<Self, InvalidSource> {
        if Version::parse(text).is_ok() {
            return Tag::parse(&text.replace('+', "_")).map(OciReference::Tag);
        }
        VersionRange::parse(text).map(OciReference::Range)
    }
}

impl Tag {
    /// Reads a tag as it stands in a registry.
    ///
    /// # Errors
    /// Characters or a length that the distribution specification does not allow.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let first_is_word = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let rest_is_allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first_is_word && rest_is_allowed && text.len() <= 128 {
            Ok(Tag(text.to_owned()))
        } else {
            Err(InvalidSource::Tag { shown: shorten(text) })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The chart version this tag stands for, where it is one.
    pub fn version(&self) -> Option<String> {
        strict_version(&self.0).map(|version| version.to_string())
    }
}

impl VersionRange {
    /// Reads a Masterminds range; the empty text is `*`.
    ///
    /// # Errors
    /// Text that is no range, with the reader's reason.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let text = if text.trim().is_empty() { "*" } else { text };
        match Constraint::parse(text) {
            Ok(_) => Ok(VersionRange(text.to_owned())),
            Err(problem) => Err(InvalidSource::Range { shown: shorten(text), problem }),
        }
    }

    /// The version of a Helm repository that is meant: the one whose text is the range's own, else the newest within it.
    /// Versions are read leniently, as `1.2` for `1.2.0`; what is no version does not count.
    pub fn choose<'a>(&self, versions: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
        if let Some(exact) = versions.clone().into_iter().find(|version| *version == self.0) {
            return Some(exact);
        }
        let constraint = Constraint::parse(&self.0).expect("a range is made by parse only, which has read it");
        let read = versions.into_iter().filter_map(|text| Some((Version::parse_loose(text).ok()?, text)));
        let within = read.filter(|(version, _)| constraint.check(version));
        within.max_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1))).map(|(_, text)| text)
    }

    /// The tag of the newest version within the range. Tags that are not strict semantic versions do not count.
    ///
    /// Among versions that differ in build metadata only, the one whose text sorts last.
    pub fn newest_of<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<Tag> {
        let constraint = Constraint::parse(&self.0).expect("a range is made by parse only, which has read it");
        tags.into_iter()
            .filter_map(|tag| Some((strict_version(tag)?, tag)))
            .filter(|(version, _)| constraint.check(version))
            .max_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
            .and_then(|(_, tag)| Tag::parse(tag).ok())
    }
}

/// The newest versions among tags, newest first: what an error offers in place of a version that is not there.
pub fn newest_versions<'a>(tags: impl IntoIterator<Item = &'a str>, count_max: usize) -> Vec<String> {
    let mut versions: Vec<Version> = tags.into_iter().filter_map(strict_version).collect();
    versions.sort_by(|a, b| b.cmp(a).then_with(|| b.metadata.cmp(&a.metadata)));
    versions.truncate(count_max);
    versions.iter().map(Version::to_string).collect()
}

fn strict_version(tag: &str) -> Option<Version> {
    Version::parse(&tag.replace('_', "+")).ok()
}

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest that a hasher has come to.
    pub fn finish(hasher: Sha256) -> Self {
        Digest(hasher.finalize().into())
    }

    /// Reads `sha256:<64 hexadecimal digits>`.
    ///
    /// # Errors
    /// Anything else, other algorithms too.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let refuse = || InvalidSource::Digest { shown: shorten(text) };
        let hex = text.strip_prefix("sha256:").ok_or_else(refuse)?;
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).map_err(|_| refuse())?;
        bytes.try_into().map(Digest).map_err(|_| refuse())
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// `sha256:` and the first 12 digits: enough for people.
    pub fn short(&self) -> String {
        format!("sha256:{}", &self.hex()[..12])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl GitUrl {
    /// Reads `https://HOST[:PORT]/PATH` or the same with `http`.
    ///
    /// # Errors
    /// Another scheme (SSH and local paths are not supported), a name or password, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let refuse = |problem| InvalidSource::Url { shown: without_userinfo(text), problem };
        let is_scp_like = !text.contains("://") && text.contains('@') && text.contains(':');
        if is_scp_like || ["ssh://", "git+ssh://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(refuse("is an SSH address, which is not supported: use https://"));
        }
        let parts = UrlParts::parse(text)?;
        if !matches!(parts.scheme.as_str(), "https" | "http") {
            return Err(refuse("does not begin with https:// or http://"));
        }
        let path = parts.path.trim_end_matches('/');
        if path.is_empty() {
            return Err(refuse("names no repository after the host"));
        }
        if path.split('/').any(|segment| is_dot_segment(&segment.replace("%2e", ".").replace("%2E", "."))) {
            return Err(refuse("holds a '.' or '..' segment"));
        }
        Ok(GitUrl(format!("{}://{}{path}", parts.scheme, parts.authority)))
    }

    /// The URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `git.example.com:8443`
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

impl HttpUrl {
    /// Reads `https://HOST[:PORT][/PATH]` or the same with `http`.
    ///
    /// # Errors
    /// Another scheme, a name or password, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let parts = UrlParts::parse(text)?;
        if !matches!(parts.scheme.as_str(), "https" | "http") {
            let problem = "does not begin with https:// or http://";
            return Err(InvalidSource::Url { shown: without_userinfo(text), problem });
        }
        let path = parts.path.trim_end_matches('/');
        Ok(HttpUrl(format!("{}://{}{path}", parts.scheme, parts.authority)))
    }

    /// The URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `charts.example.com:8443`
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

impl ChartName {
    /// Reads the name of a chart.
    ///
    /// # Errors
    /// The empty text, and what no chart can be called.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let is_wrong = text.is_empty() || text.len() > NAME_BYTES_MAX;
        match is_wrong || text.contains('/') || text.chars().any(char::is_control) {
            true => Err(InvalidSource::ChartName { shown: shorten(text) }),
            false => Ok(ChartName(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GitReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GitReference::Default => write!(f, "the default branch"),
            GitReference::Branch(name) => write!(f, "branch {name}"),
            GitReference::Tag(name) => write!(f, "tag {name}"),
            GitReference::Commit(id) => write!(f, "commit {id}"),
        }
    }
}

impl GitReference {
    /// A branch by its short name.
    ///
    /// # Errors
    /// A name that Git does not allow.
    pub fn branch(name: &str) -> Result<Self, InvalidSource> {
        GitName::parse("branch", name).map(GitReference::Branch)
    }

    /// A tag by its short name.
    ///
    /// # Errors
    /// A name that Git does not allow.
    pub fn tag(name: &str) -> Result<Self, InvalidSource> {
        GitName::parse("tag", name).map(GitReference::Tag)
    }

    /// A commit by its whole id.
    ///
    /// # Errors
    /// Anything but 40 hexadecimal digits.
    pub fn commit(id: &str) -> Result<Self, InvalidSource> {
        CommitId::parse(id).map(GitReference::Commit)
    }
}

impl GitName {
    /// Reads a branch or tag name by the rules of `git check-ref-format`, and none that begins with `-`.
    fn parse(kind: &'static str, name: &str) -> Result<Self, InvalidSource> {
        let problem = if name.is_empty() {
            Some("is empty")
        } else if name.len() > NAME_BYTES_MAX {
            Some("is too long")
        } else if name.starts_with('-') {
            Some("begins with '-'")
        } else if name.bytes().any(|b| b <= b' ' || b == 0x7f || b"~^:?*[\\'\"".contains(&b)) {
            Some("holds a space, a quote, a control character or one of ~ ^ : ? * [ \\")
        } else if name.contains("..") || name.contains("@{") || name == "@" {
            Some("holds '..' or '@{'")
        } else if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
            Some("holds an empty part, one that begins with '.' or one that ends in .lock")
        } else if name.ends_with('.') {
            Some("ends in '.'")
        } else {
            None
        };
        match problem {
            None => Ok(GitName(name.to_owned())),
            Some(problem) => Err(InvalidSource::GitName { kind, shown: shorten(name), problem }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CommitId {
    /// Reads 40 hexadecimal digits.
    ///
    /// # Errors
    /// Abbreviated ids too: they may mean another commit tomorrow.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(CommitId(text.to_ascii_lowercase()))
        } else {
            Err(InvalidSource::Commit { shown: shorten(text) })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TreePath {
    /// Reads a folder within a repository: `./apps/prod/`, `apps/prod` and `/apps/prod` are the same.
    ///
    /// # Errors
    /// A `..` segment, a backslash or a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let refuse = |problem| InvalidSource::Path { shown: shorten(text), problem };
        if text.len() > NAME_BYTES_MAX {
            return Err(refuse("is too long"));
        }
        if text.contains('\\') || text.chars().any(char::is_control) {
            return Err(refuse("holds a backslash or a control character"));
        }
        let segments: Vec<&str> = text.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        if segments.contains(&"..") {
            return Err(refuse("leaves the repository by '..'"));
        }
        Ok(TreePath(segments.join("/")))
    }

    /// Whether the whole tree is meant.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder names from the top down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GitFiles {
    /// Whether a file of this name is read.
    pub fn wants(self, name: &str) -> bool {
        match self {
            GitFiles::All => true,
            GitFiles::Manifests => {
                let extension = name.rsplit_once('.').map(|(_, extension)| extension);
                !name.starts_with('.')
                    && (matches!(extension, Some("yaml" | "yml" | "json")) || name == "Kustomization")
            }
        }
    }
}

/// Newtypes over checked text print as that text.
macro_rules! prints_its_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
prints_its_text!(Tag, VersionRange, GitUrl, HttpUrl, ChartName, GitName, CommitId, TreePath);

impl Credentials {
    /// Reads a Secret: `kubernetes.io/basic-auth` or `Opaque` with the keys `username` and `password`, or with the key
    /// `bearerToken`; or `kubernetes.io/dockerconfigjson`, of which only the entry for `host` is taken.
    ///
    /// # Errors
    /// Another type, a key that is missing or unreadable, no entry for the host.
    pub fn from_secret(
        secret_type: &str,
        data: &BTreeMap<String, Vec<u8>>,
        host: &str,
    ) -> Result<Self, InvalidCredentials> {
        match secret_type {
            "kubernetes.io/dockerconfigjson" => from_docker_config(data, host),
            "kubernetes.io/basic-auth" | "Opaque" | "" if data.contains_key("bearerToken") => {
                Ok(Credentials::Bearer { token: text_key(data, "bearerToken")? })
            }
            "kubernetes.io/basic-auth" | "Opaque" | "" => {
                Ok(Credentials::Basic { username: text_key(data, "username")?, password: text_key(data, "password")? })
            }
            found => Err(InvalidCredentials::Type { found: found.to_owned() }),
        }
    }

    /// Tells these credentials apart from others.
    pub fn id(&self) -> CredentialId {
        match self {
            Credentials::Anonymous => CredentialId([0; 32]),
            Credentials::Basic { username, password } => {
                let mut hasher = Sha256::new();
                hasher.update(b"basic");
                hasher.update((username.len() as u64).to_be_bytes());
                hasher.update(username);
                hasher.update(password);
                CredentialId(hasher.finalize().into())
            }
            Credentials::Bearer { token } => {
                let mut hasher = Sha256::new();
                hasher.update(b"bearer");
                hasher.update(token);
                CredentialId(hasher.finalize().into())
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "Anonymous",
            Credentials::Basic { .. } => "Basic(hidden)",
            Credentials::Bearer { .. } => "Bearer(hidden)",
        })
    }
}

/// A plain digest of a weak password could be guessed from a log, so it is not printed.
impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialId(hidden)")
    }
}

fn text_key(data: &BTreeMap<String, Vec<u8>>, key: &'static str) -> Result<String, InvalidCredentials> {
    let bytes = data.get(key).ok_or(InvalidCredentials::KeyMissing { key })?;
    let text = std::str::from_utf8(bytes)
        .map_err(|_| InvalidCredentials::KeyUnreadable { key, problem: "it is not UTF-8" })?;
    // `kubectl create secret --from-file` and editors leave a newline that no password ends in.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn from_docker_config(data: &BTreeMap<String, Vec<u8>>, host: &str) -> Result<Credentials, InvalidCredentials> {
    const KEY: &str = ".dockerconfigjson";
    let unreadable = |problem| InvalidCredentials::KeyUnreadable { key: KEY, problem };
    let bytes = data.get(KEY).ok_or(InvalidCredentials::KeyMissing { key: KEY })?;
    let config: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| unreadable("it is not JSON"))?;
    let entry = config
        .get("auths")
        .and_then(|auths| auths.as_object())
        .ok_or_else(|| unreadable("it has no map \"auths\""))?
        .iter()
        .find(|(name, _)| canonical_registry(name) == canonical_registry(host))
        .map(|(_, entry)| entry)
        .ok_or_else(|| InvalidCredentials::NoEntry { host: host.to_owned() })?;

    let field = |name: &str| entry.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    if field("identitytoken").is_some() || field("registrytoken").is_some() {
        return Err(InvalidCredentials::IdentityToken { host: host.to_owned() });
    }
    if let (Some(username), Some(password)) = (field("username"), field("password")) {
        return Ok(Credentials::Basic { username: username.to_owned(), password: password.to_owned() });
    }
    let auth = field("auth").ok_or_else(|| unreadable("the entry has neither username and password nor auth"))?;
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| unreadable("the entry's auth is not base64 of text"))?;
    let (username, password) = decoded
        .split_once(':')
        .ok_or_else(|| unreadable("the entry's auth holds no colon between name and password"))?;
    // Docker pads what it encodes with NUL bytes in old versions.
    let password = password.trim_end_matches('\0');
    Ok(Credentials::Basic { username: username.to_owned(), password: password.to_owned() })
}

/// The host of a registry as Docker's configuration may write it: with a scheme, a path, or Docker Hub's old names.
fn canonical_registry(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = name.split('/').next().unwrap_or(name);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// The pieces of a URL that all our URLs have; anything more is refused.
struct UrlParts {
    scheme: String,
    authority: String,
    path: String,
}

impl UrlParts {
    fn parse(text: &str) -> Result<Self, InvalidSource> {
        let refuse = |problem| InvalidSource::Url { shown: without_userinfo(text), problem };
        if text.len() > URL_BYTES_MAX {
            return Err(refuse("is longer than 2048 bytes"));
        }
        if text.bytes().any(|b| !(0x21..=0x7e).contains(&b) || b"\\\"'`<>^{|}".contains(&b)) {
            return Err(refuse("holds a character that URLs do not have"));
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| refuse("has no scheme such as oci:// or https://"))?;
        if rest.contains(['?', '#']) {
            return Err(refuse("holds a query or a fragment"));
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(refuse("holds a name or password: put them in a Secret and name it in secretRef"));
        }
        if !is_authority(authority) {
            return Err(refuse("names no valid host"));
        }
        Ok(UrlParts {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host_is_valid = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty()
            && host.len() <= 253
            && host.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            })
    };
    host_is_valid && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number != 0))
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`, as the distribution specification has it.
fn is_repository_component(text: &str) -> bool {
    let is_word = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let separators_are_allowed = || {
        text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
    };
    is_word(text.bytes().next()) && is_word(text.bytes().last()) && separators_are_allowed()
}

fn is_dot_segment(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// The URL for an error: what stands before an `@` may be a password.
fn without_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        None => shorten(text),
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            let separator = if scheme.is_empty() { "" } else { "://" };
            shorten(&format!("{scheme}{separator}***@{after}"))
        }
    }
}

/// The beginning of a text for an error.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oci_urls_are_host_and_repository() {
        let url = OciUrl::parse("oci://Registry.example.com:5000/charts/pod-info/").unwrap();
        assert_eq!((url.host(), url.repository()), ("registry.example.com:5000", "charts/pod-info"));
        assert_eq!(url.to_string(), "oci://registry.example.com:5000/charts/pod-info");
        assert_eq!(OciUrl::parse("oci://[::1]:5000/a").unwrap().host(), "[::1]:5000");
    }

    #[test]
    fn unusable_urls_are_refused_with_one_sentence() {
        let refused = |text: &str| match OciUrl::parse(text) {
            Err(error) => error.to_string(),
            Ok(url) => panic!("{text} was read as {url}"),
        };
        assert_eq!(refused("https://r.io/a"), "url \"https://r.io/a\" does not begin with oci://");
        assert_eq!(refused("r.io/a"), "url \"r.io/a\" has no scheme such as oci:// or https://");
        assert_eq!(refused("oci://r.io"), "url \"oci://r.io\" names no repository after the host");
        assert_eq!(
            refused("oci://bob:hunter2@r.io/a"),
            "url \"oci://***@r.io/a\" holds a name or password: put them in a Secret and name it in secretRef"
        );
        assert!(refused("oci://r.io/a:1.0").contains("tag or digest"));
        assert!(refused("oci://r.io/A").contains("registries do not allow"));
        assert!(refused("oci://r.io/a/../b").contains("registries do not allow"));
        assert!(refused("oci://r.io/a?x=y").contains("query"));
        assert!(refused("oci://r.io/a\r\nX-Evil: 1").contains("character"));
        assert!(refused("oci://-r.io/a").contains("host"));
        assert!(refused("oci://r.io:99999/a").contains("host"));
        assert!(refused("oci:///a").contains("host"));
    }

    #[test]
    fn git_urls_are_http_only() {
        for url in ["https://git.example.com/org/charts.git", "http://127.0.0.1:8080/a"] {
            assert_eq!(GitUrl::parse(url).unwrap().as_str(), url);
        }
        assert_eq!(GitUrl::parse("https://git.example.com:8443/a/").unwrap().host(), "git.example.com:8443");
        for (url, word) in [
            ("ssh://git@example.com/a", "SSH"),
            ("git@example.com:org/a.git", "SSH"),
            ("ssh://-oProxyCommand=touch%20x/a", "SSH"),
            ("file:///etc", "host"),
            ("gopher://h/a", "https://"),
            ("ext::sh -c x", "character"),
            ("https://user:canary@example.com/a", "Secret"),
            ("https://example.com/a/%2E%2e/b", "segment"),
        ] {
            let error = GitUrl::parse(url).expect_err(url).to_string();
            assert!(error.contains(word), "{url}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn reference_names_that_could_be_options_are_refused() {
        for name in ["main", "release/1.x", "v1.2.3", "feature/ü", "a@b"] {
            assert!(GitReference::branch(name).is_ok(), "{name}");
        }
        for name in
            ["", "--upload-pack=x", "a..b", "a b", "a\nb", "a\0", "a'b", "a.lock", "a//b", "/a", "a/", ".a", "a:b"]
        {
            assert!(GitReference::branch(name).is_err(), "{name:?}");
        }
        assert!(GitReference::commit("deadbeef").is_err());
        assert!(GitReference::commit(&"AB".repeat(20)).is_ok());
    }

    #[test]
    fn paths_stay_within_the_tree() {
        for (text, path) in [("", ""), (".", ""), ("/", ""), ("./apps/prod/", "apps/prod"), ("/apps", "apps")] {
            assert_eq!(TreePath::parse(text).unwrap().as_str(), path);
        }
        for text in ["..", "a/../b", "a\\b", "a\nb"] {
            assert!(TreePath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_whole_version_is_a_tag_and_anything_else_a_range() {
        assert_eq!(OciReference::from_version("6.5.0"), Ok(OciReference::Tag(Tag("6.5.0".into()))));
        assert_eq!(OciReference::from_version("1.0.0+b1"), Ok(OciReference::Tag(Tag("1.0.0_b1".into()))));
        for range in ["6.x", ">=6.0.0 <7.0.0", "^1.2", "v6.5.0", ""] {
            assert!(matches!(OciReference::from_version(range), Ok(OciReference::Range(_))), "{range}");
        }
        let error = OciReference::from_version("latest please").expect_err("no version").to_string();
        assert!(error.starts_with("version \"latest please\" is neither a version nor a range: "), "{error}");
    }

    #[test]
    fn the_newest_tag_within_a_range_is_chosen() {
        let tags = ["6.4.0", "6.5.0", "7.0.0-rc.1", "latest", "v6.9.0", "6.5.0_build.2", "6.10.1", "5.9.9"];
        let newest = |range: &str| VersionRange::parse(range).unwrap().newest_of(tags).map(|tag| tag.to_string());
        assert_eq!(newest("6.x").as_deref(), Some("6.10.1"));
        assert_eq!(newest("~6.5.0").as_deref(), Some("6.5.0_build.2"));
        assert_eq!(newest(">=6.0.0").as_deref(), Some("6.10.1"));
        assert_eq!(newest(">=7.0.0-0").as_deref(), Some("7.0.0-rc.1"));
        assert_eq!(newest("").as_deref(), Some("6.10.1"));
        assert_eq!(newest("8.x"), None);
        assert_eq!(newest_versions(tags, 3), ["7.0.0-rc.1", "6.10.1", "6.5.0+build.2"]);
        assert_eq!(Tag::parse("6.5.0_build.2").unwrap().version().as_deref(), Some("6.5.0+build.2"));
    }

    #[test]
    fn digests_are_sha256_only() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(Digest::parse(&text).unwrap().to_string(), text);
        for text in ["sha512:00", "sha256:00", "latest", &text.to_uppercase()] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    fn secret(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn credentials_come_from_basic_auth_secrets() {
        let data = secret(&[("username", "bob"), ("password", "hunter2\n")]);
        let credentials = Credentials::from_secret("kubernetes.io/basic-auth", &data, "r.io").unwrap();
        assert_eq!(credentials, Credentials::Basic { username: "bob".into(), password: "hunter2".into() });
        assert_eq!(format!("{credentials:?} {:?}", credentials.id()), "Basic(hidden) CredentialId(hidden)");
        assert_eq!(
            Credentials::from_secret("Opaque", &secret(&[("username", "bob")]), "r.io").unwrap_err().to_string(),
            "it has no key \"password\""
        );
        assert!(Credentials::from_secret("kubernetes.io/tls", &data, "r.io").is_err());
        let bearer = Credentials::from_secret("Opaque", &secret(&[("bearerToken", "t0k3n\n")]), "r.io").unwrap();
        assert_eq!(bearer, Credentials::Bearer { token: "t0k3n".into() });
    }

    #[test]
    fn only_the_entry_of_the_registry_is_taken_from_a_docker_config() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHVi OmJhZA=="},
            "ghcr.io": {"auth": "Ym9iOmh1bnRlcjI="},
            "r.io:5000": {"username": "eve", "password": "a:b"},
            "acr.io": {"identitytoken": "canary"}
        }}"#;
        let data = secret(&[(".dockerconfigjson", config)]);
        let read = |host: &str| Credentials::from_secret("kubernetes.io/dockerconfigjson", &data, host);
        let basic = |username: &str, password: &str| Credentials::Basic {
            username: username.into(),
            password: password.into(),
        };
        assert_eq!(read("ghcr.io"), Ok(basic("bob", "hunter2")));
        assert_eq!(read("r.io:5000"), Ok(basic("eve", "a:b")));
        assert_eq!(read("r.io").unwrap_err().to_string(), "it has no entry for r.io");
        assert!(read("docker.io").unwrap_err().to_string().contains("not base64"));
        let error = read("acr.io").unwrap_err().to_string();
        assert!(error.contains("identity token") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn credential_ids_differ_where_credentials_do() {
        let basic = |username: &str, password: &str| {
            Credentials::Basic { username: username.into(), password: password.into() }.id()
        };
        assert_eq!(basic("a", "b"), basic("a", "b"));
        assert_ne!(basic("a", "bc"), basic("ab", "c"));
        assert_ne!(basic("", ""), Credentials::Anonymous.id());
        assert_ne!(basic("", "t"), Credentials::Bearer { token: "t".into() }.id());
    }
}
