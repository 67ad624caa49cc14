//! Helm repositories: an `index.yaml` behind HTTP, and the archives it leads to.
//!
//! The index is read once for all charts of a repository and kept as little more than names, versions and URLs. Asked for
//! again, it comes only where it has changed (RFC 9110, conditional requests), if the server knows how to tell.
//! Meaning of entries, relative URLs and versions: Helm v4 `pkg/repo/v1`. Unlike Helm, an archive must have the digest
//! that the index gives it, and credentials stay with the server they are for: scheme, host and port.

use super::auth;
use super::error::Error;
use super::transport::{Request, Response, Transport, host_of};
use super::{ARCHIVE_BYTES_MAX, Artifact, Content, Resolved};
use crate::chart::source_ref::{
    ChartName, Credentials, Digest, HttpUrl, OciReference, OciUrl, SourceRef, Tag, VersionRange, newest_versions,
};
use crate::yaml;
use bytes::Bytes;
use http::header::{ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// The largest index read. The largest public ones have some 30 MiB.
const INDEX_BYTES_MAX: u64 = 50 << 20;
/// How many versions an error offers in place of the one that is missing.
const NEWEST_SHOWN: usize = 5;

/// A repository, seen with one identity during one operation.
pub(super) struct HelmRepository<'a> {
    pub(super) transport: &'a Transport,
    pub(super) url: &'a HttpUrl,
    pub(super) credentials: &'a Credentials,
    pub(super) deadline: Instant,
}

/// What an index says, by chart.
#[derive(Debug, Default)]
pub(super) struct Index {
    charts: HashMap<String, Vec<Version>>,
    unless: Option<Validator>,
}

/// The header that asks for a newer one only, `If-None-Match` or `If-Modified-Since`, with its value.
type Validator = (HeaderName, HeaderValue);

/// One version of a chart, as the index has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
    urls: Vec<String>,
    digest: Option<String>,
}

/// The version that was meant.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) version: String,
    pub(super) place: Place,
    /// Of the archive, where the index says it.
    pub(super) digest: Option<Digest>,
}

/// Where an archive lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Url(Url),
    /// Some repositories only lead to a registry.
    Registry(SourceRef),
}

impl HelmRepository<'_> {
    /// Reads the index; `known` is what it said before, and stays it where the server says so.
    ///
    /// # Errors
    /// See [`Error`]: there is none, it is too large, or it is no index.
    pub(super) async fn index(&self, known: Option<Arc<Index>>) -> Result<Arc<Index>, Error> {
        const WHAT: &str = "index of charts";
        let url = self.parse(&format!("{}/index.yaml", self.url))?;
        let unless = known.as_ref().and_then(|index| index.unless.clone());
        let response = self.get(url, true, unless).await?;
        match (response.status, known) {
            (StatusCode::OK, _) => {}
            (StatusCode::NOT_MODIFIED, Some(index)) => return Ok(index),
            (StatusCode::NOT_FOUND, _) => return Err(Error::RepositoryNotFound { url: self.url.to_string() }),
            _ => return Err(self.unexpected(&response, WHAT)),
        }
        let unless = validator(&response.headers);
        let bytes = response.bytes(WHAT, INDEX_BYTES_MAX).await?;
        // Reading megabytes of YAML takes its time.
        let read = tokio::task::spawn_blocking(move || Index::read(&bytes)).await;
        let read = read.unwrap_or_else(|error| Err(format!("reading it ended: {error}")));
        match read {
            Ok(charts) => Ok(Arc::new(Index { charts, unless })),
            Err(problem) => Err(Error::Malformed { host: self.url.host().to_owned(), what: WHAT, problem }),
        }
    }

    /// The archive of an entry.
    ///
    /// # Errors
    /// See [`Error`]; bytes that do not have the digest of the index are never returned.
    pub(super) async fn fetch(&self, entry: &Entry, pass_credentials: bool) -> Result<Artifact, Error> {
        const WHAT: &str = "chart archive";
        let Place::Url(url) = &entry.place else {
            let problem = "a registry is asked in another way".to_owned();
            return Err(Error::Internal { host: entry.host(), problem });
        };
        let own = self.parse(self.url.as_str())?;
        if own.scheme() == "https" && url.scheme() != "https" && entry.digest.is_none() {
            let problem = "the index leads from https to http and gives no digest".to_owned();
            return Err(Error::Malformed { host: entry.host(), what: WHAT, problem });
        }
        let response = self.get(url.clone(), pass_credentials || own.origin() == url.origin(), None).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let problem = format!("the archive of version {} is not there", entry.version);
                return Err(Error::Malformed { host: entry.host(), what: "index of charts", problem });
            }
            _ => return Err(self.unexpected(&response, WHAT)),
        }
        let bytes = response.bytes(WHAT, ARCHIVE_BYTES_MAX).await?;
        let found = Digest::of(&bytes);
        match entry.digest.filter(|expected| *expected != found) {
            Some(expected) => Err(Error::WrongDigest { host: entry.host(), what: WHAT, expected, found }),
            None => {
                let resolved = entry.resolved(found, bytes.len() as u64);
                Ok(Artifact { resolved, content: Content::Archive(bytes) })
            }
        }
    }

    async fn get(&self, url: Url, with_credentials: bool, unless: Option<Validator>) -> Result<Response, Error> {
        let credentials = if with_credentials { self.credentials } else { &Credentials::Anonymous };
        get(self.transport, url, credentials, unless, self.url.as_str(), self.deadline).await
    }

    fn parse(&self, url: &str) -> Result<Url, Error> {
        Url::parse(url).map_err(|error| Error::Malformed {
            host: self.url.host().to_owned(),
            what: "url",
            problem: error.to_string(),
        })
    }

    fn unexpected(&self, response: &Response, what: &'static str) -> Error {
        Error::UnexpectedStatus { host: host_of(&response.url), what, status: response.status.as_u16() }
    }
}

/// A file behind a URL. A name and password within the URL count where none are given.
///
/// # Errors
/// See [`Error`].
pub(super) async fn file(
    transport: &Transport,
    text: &str,
    credentials: &Credentials,
    what: &'static str,
    bytes_max: u64,
) -> Result<Bytes, Error> {
    let malformed = |problem: String| Error::Malformed { host: "the server".into(), what: "url", problem };
    let mut url = Url::parse(text).map_err(|error| malformed(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(malformed("it does not begin with https:// or http://".into()));
    }
    let credentials = match credentials {
        Credentials::Anonymous => userinfo(&url),
        given => given.clone(),
    };
    // Neither can fail: there is a host.
    let _ = (url.set_username(""), url.set_password(None));
    let host = host_of(&url);
    let shown = format!("{}://{host}{}", url.scheme(), url.path());
    let response = get(transport, url, &credentials, None, &shown, transport.deadline()).await?;
    match response.status {
        StatusCode::OK => response.bytes(what, bytes_max).await,
        status => Err(Error::UnexpectedStatus { host, what, status: status.as_u16() }),
    }
}

fn userinfo(url: &Url) -> Credentials {
    let plain = |text: &str| percent_decoded(text);
    match (url.username(), url.password()) {
        ("", None) => Credentials::Anonymous,
        (username, password) => {
            Credentials::Basic { username: plain(username), password: plain(password.unwrap_or_default()) }
        }
    }
}

/// `%41` is `A`; what is no such escape stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok())).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The entity tag of an answer, else its date.
fn validator(headers: &HeaderMap) -> Option<Validator> {
    let tag = headers.get(ETAG).map(|tag| (IF_NONE_MATCH, tag.clone()));
    tag.or_else(|| headers.get(LAST_MODIFIED).map(|date| (IF_MODIFIED_SINCE, date.clone())))
}

/// Sends a GET; `asked` is what errors call the thing behind the URL.
async fn get(
    transport: &Transport,
    url: Url,
    credentials: &Credentials,
    unless: Option<Validator>,
    asked: &str,
    deadline: Instant,
) -> Result<Response, Error> {
    let (host, repository) = (host_of(&url), asked.to_owned());
    let refused = || Error::CredentialsRefused { host: host.clone(), repository: repository.clone() };
    let mut request = Request::new(Method::GET, url);
    request.authorization = auth::authorization(credentials).map_err(|_| refused())?;
    request.headers.extend(unless);
    let response = transport.send(request, deadline).await?;
    match (response.status, credentials) {
        (StatusCode::UNAUTHORIZED, Credentials::Anonymous) => Err(Error::CredentialsMissing { host, repository }),
        (StatusCode::UNAUTHORIZED, Credentials::Basic { .. } | Credentials::Bearer { .. }) => Err(refused()),
        (StatusCode::FORBIDDEN, _) => Err(Error::Forbidden { host, repository }),
        _ => Ok(response),
    }
}

impl Index {
    /// Reads the charts of an index: JSON where it is, else YAML. Entries that are no versions are passed over, as in Helm.
    fn read(bytes: &[u8]) -> Result<HashMap<String, Vec<Version>>, String> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "apiVersion", default)]
            api_version: String,
            #[serde(default)]
            entries: Option<HashMap<String, Option<Vec<Json>>>>,
        }
        if bytes.is_empty() {
            return Err("it is empty".into());
        }
        let as_json = bytes.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(bytes));
        let document: Document = match as_json {
            Some(Ok(document)) => document,
            Some(Err(_)) | None => match yaml::to_json(bytes).map_err(|error| error.to_string())? {
                // A list would be taken for the fields in their order.
                table @ Json::Object(_) => serde_json::from_value(table).map_err(|error| error.to_string())?,
                _ => return Err("it is no table".into()),
            },
        };
        if document.api_version.is_empty() {
            return Err("it has no apiVersion".into());
        }
        let read = |versions: Option<Vec<Json>>| -> Vec<Version> {
            let versions = versions.unwrap_or_default().into_iter();
            versions.filter_map(|version| serde_json::from_value::<Version>(version).ok()).collect()
        };
        let entries = document.entries.unwrap_or_default();
        Ok(entries.into_iter().map(|(chart, versions)| (chart, read(versions))).collect())
    }

    /// The version that is meant, with its URL made whole.
    ///
    /// # Errors
    /// The chart or the version is not there, or its URL leads nowhere.
    pub(super) fn entry(&self, url: &HttpUrl, chart: &ChartName, range: &VersionRange) -> Result<Entry, Error> {
        let host = url.host().to_owned();
        let not_found = || Error::ChartNotFound { chart: chart.to_string(), host: url.as_str().to_owned() };
        let versions = self.charts.get(chart.as_str()).ok_or_else(not_found)?;
        let texts = versions.iter().map(|version| version.version.as_str());
        let Some(chosen) = range.choose(texts.clone()) else {
            return Err(Error::VersionNotFound {
                chart: chart.to_string(),
                host: url.as_str().to_owned(),
                wanted: format!("a version within {range}"),
                newest: newest_versions(texts, NEWEST_SHOWN),
            });
        };
        let version = versions.iter().find(|version| version.version == chosen).ok_or_else(not_found)?;
        let place = place(url, version).map_err(|problem| Error::Malformed {
            host,
            what: "index of charts",
            problem: format!("version {chosen} of {chart} {problem}"),
        })?;
        let digest = version.digest.as_deref().map(|text| text.strip_prefix("sha256:").unwrap_or(text));
        let digest = digest.and_then(|hex| Digest::parse(&format!("sha256:{}", hex.to_ascii_lowercase())).ok());
        Ok(Entry { version: chosen.to_owned(), place, digest })
    }
}

/// Where the first URL of a version leads, relative to the repository.
fn place(repository: &HttpUrl, version: &Version) -> Result<Place, String> {
    let first = version.urls.first().ok_or("has no URL")?;
    if first.starts_with("oci://") {
        let (url, tag) =
            first.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or("has a URL without a tag")?;
        let url = OciUrl::parse(url).map_err(|error| error.to_string())?;
        let reference = OciReference::Tag(Tag::parse(tag).map_err(|error| error.to_string())?);
        return Ok(Place::Registry(SourceRef::Oci { url, reference, insecure: false }));
    }
    let base = Url::parse(&format!("{repository}/")).map_err(|error| error.to_string())?;
    let url = base.join(first).map_err(|error| format!("has a URL that is none: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("has a URL that is not http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a URL with a name or password".into());
    }
    Ok(Place::Url(url))
}

impl Entry {
    /// The server that has the archive.
    pub(super) fn host(&self) -> String {
        match &self.place {
            Place::Url(url) => host_of(url),
            Place::Registry(source) => source.host().to_owned(),
        }
    }

    /// What the entry means, once its digest is known.
    pub(super) fn resolved(&self, digest: Digest, size_bytes: u64) -> Resolved {
        Resolved { version: Some(self.version.clone()), revision: self.version.clone(), digest, size_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1
entries:
  web:
    - {version: 1.2.0, urls: [charts/web-1.2.0.tgz, https://elsewhere.io/x], digest: sha256:zz}
    - null
    - {version: 1.10.0-rc1, urls: [/abs/web.tgz]}
    - {version: v1.9, urls: ['https://cdn.io/web.tgz?sig=1']}
    - {version: [1], urls: []}
    - {version: '2.0', urls: []}
  registry:
    - {version: 1.0.0, urls: ['oci://r.io/charts/web:1.0.0']}
  bad:
    - {version: 1.0.0, urls: ['ftp://r.io/a']}
    - {version: 2.0.0, urls: ['https://u:p@r.io/a']}
  none:
";

    fn find(chart: &str, range: &str) -> String {
        let index = Index { charts: Index::read(INDEX.as_bytes()).unwrap(), unless: None };
        let url = HttpUrl::parse("https://charts.io/stable/").unwrap();
        let range = VersionRange::parse(range).unwrap();
        match index.entry(&url, &ChartName::parse(chart).unwrap(), &range) {
            Ok(Entry { version, place: Place::Url(url), digest: None }) => format!("{version} {url}"),
            Ok(Entry { version, place: Place::Registry(source), .. }) => format!("{version} {source}"),
            Ok(Entry { digest: Some(digest), .. }) => digest.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn versions_and_urls_are_found_as_in_helm() {
        for (chart, range, found) in [
            ("web", "1.x", "v1.9 https://cdn.io/web.tgz?sig=1"),
            ("web", "1.2.0", "1.2.0 https://charts.io/stable/charts/web-1.2.0.tgz"),
            ("web", ">1.9.0-0 <1.11", "1.10.0-rc1 https://charts.io/abs/web.tgz"),
            ("web", "", "index of charts from charts.io is not readable: version 2.0 of web has no URL"),
            (
                "web",
                "9.x",
                "a version within 9.x of chart web not found in https://charts.io/stable; newest there: 1.10.0-rc1, 1.2.0",
            ),
            ("registry", "", "1.0.0 oci://r.io/charts/web:1.0.0"),
            ("absent", "", "chart absent not found in https://charts.io/stable"),
            (
                "none",
                "",
                "a version within * of chart none not found in https://charts.io/stable; it holds no version at all",
            ),
            (
                "bad",
                "1",
                "index of charts from charts.io is not readable: version 1.0.0 of bad has a URL that is not http:// or https://",
            ),
            (
                "bad",
                "2",
                "index of charts from charts.io is not readable: version 2.0.0 of bad has a URL with a name or password",
            ),
        ] {
            assert_eq!(find(chart, range), found, "{chart} {range}");
        }
    }

    #[test]
    fn a6_what_is_no_index_is_refused() {
        for text in ["", "entries: {}", "- a", "a: [", "<html></html>", "{\"apiVersion\": \"v1\", \"entries\": []}"] {
            assert!(Index::read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Index::read(b"{\"apiVersion\": \"v1\", \"entries\": null}").is_ok());
    }

    #[test]
    fn names_within_urls_are_decoded() {
        assert_eq!(percent_decoded("a%40b%zz%4"), "a@b%zz%4");
    }
}
