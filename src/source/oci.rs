//! Charts in OCI registries: a tag, digest or range becomes a manifest digest, and that the bytes of a chart archive.
//!
//! The words (manifests, error envelopes, media types) are those of `oci-client`. The requests are our own, because
//! bodies without a limit, credentials for any host that a registry names and unread `Retry-After` headers are not for
//! a controller that many tenants share. Meaning of tags, config and layer media types: Helm v4 `pkg/registry`.

use super::auth::{Challenge, Token, Tokens};
use super::error::Error;
use super::transport::{Request, Response, Transport, host_of};
use super::{ARCHIVE_BYTES_MAX, Artifact, Content, Resolved};
use crate::chart::source_ref::{Credentials, Digest, OciReference, OciUrl, Tag, newest_versions};
use bytes::Bytes;
use http::header::{ACCEPT, LINK, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OciDescriptor, OciImageManifest,
};
use reqwest::Url;
use tokio::time::Instant;

/// What Helm gives a chart's config blob.
const CONFIG_MEDIA_TYPE: &str = "application/vnd.cncf.helm.config.v1+json";
/// What Helm gives a chart archive, and what it gave it before version 3.7.
const CHART_MEDIA_TYPES: [&str; 2] = ["application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip"];

/// A chart's manifest has three short entries; registries stop at 4 MiB.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// All pages of a tag list together.
const TAGS_BYTES_MAX: u64 = 50 << 20;
const TAGS_PAGES_MAX: usize = 1000;
const TAGS_PER_PAGE: usize = 1000;
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// How many versions an error offers in place of the one that is missing.
const NEWEST_SHOWN: usize = 5;

/// A repository of a registry, seen with one identity during one operation.
pub(super) struct Repository<'a> {
    pub(super) transport: &'a Transport,
    pub(super) tokens: &'a Tokens,
    pub(super) url: &'a OciUrl,
    pub(super) insecure: bool,
    pub(super) credentials: &'a Credentials,
    pub(super) deadline: Instant,
}

impl Repository<'_> {
    /// What the reference means now.
    ///
    /// Costs one HEAD where a tag is named and still points to what `previous` says, and a tag list more for a range.
    ///
    /// # Errors
    /// See [`Error`]. A version that is not there is answered with the newest ones that are.
    pub(super) async fn resolve(
        &self,
        reference: &OciReference,
        previous: Option<&Resolved>,
    ) -> Result<Resolved, Error> {
        let manifest_digest = match reference {
            OciReference::Digest(digest) => *digest,
            OciReference::Tag(tag) => self.tag_digest(tag, reference).await?,
            OciReference::Range(range) => {
                let tags = self.tags().await?;
                match range.newest_of(tags.iter().map(String::as_str)) {
                    Some(tag) => return self.resolve_chosen(&tag, reference, previous).await,
                    None => return Err(self.version_not_found(reference, &tags)),
                }
            }
        };
        let tag = match reference {
            OciReference::Tag(tag) => Some(tag),
            OciReference::Digest(_) | OciReference::Range(_) => None,
        };
        self.resolve_digest(manifest_digest, tag, reference, previous).await
    }

    /// The chart archive that was resolved.
    ///
    /// # Errors
    /// See [`Error`]; bytes that do not have the digest of the manifest are never returned.
    pub(super) async fn fetch(&self, resolved: &Resolved) -> Result<Artifact, Error> {
        const WHAT: &str = "chart archive";
        let response = self.get(Method::GET, &format!("blobs/{}", resolved.digest), None).await?;
        let response = match response.status {
            StatusCode::OK => response,
            StatusCode::NOT_FOUND => {
                return Err(self.malformed("manifest", format!("its chart archive {} is not there", resolved.digest)));
            }
            _ => return Err(self.unexpected(&response, WHAT)),
        };
        let bytes = response.bytes(WHAT, ARCHIVE_BYTES_MAX).await?;
        self.check_digest(WHAT, resolved.digest, &bytes)?;
        Ok(Artifact { resolved: resolved.clone(), content: Content::Archive(bytes) })
    }

    async fn resolve_chosen(
        &self,
        tag: &Tag,
        reference: &OciReference,
        previous: Option<&Resolved>,
    ) -> Result<Resolved, Error> {
        let digest = self.tag_digest(tag, reference).await?;
        self.resolve_digest(digest, Some(tag), reference, previous).await
    }

    async fn resolve_digest(
        &self,
        manifest_digest: Digest,
        tag: Option<&Tag>,
        reference: &OciReference,
        previous: Option<&Resolved>,
    ) -> Result<Resolved, Error> {
        let version = tag.map(|tag| tag.version().unwrap_or_else(|| tag.to_string()));
        let revision = manifest_digest.to_string();
        if let Some(known) = previous.filter(|known| known.revision == revision) {
            // A pinned digest is asked for once more all the same: whoever may no longer read it must hear so.
            if matches!(reference, OciReference::Digest(_)) {
                self.manifest_digest(&revision, reference).await?;
            }
            return Ok(Resolved { version, ..known.clone() });
        }
        let manifest = self.manifest(manifest_digest, reference).await?;
        let layer = self.chart_layer(&manifest)?;
        let digest = Digest::parse(&layer.digest)
            .map_err(|error| self.malformed("manifest", format!("its chart layer: {error}")))?;
        let size_bytes = u64::try_from(layer.size).unwrap_or_default();
        if size_bytes > ARCHIVE_BYTES_MAX {
            return Err(Error::TooLarge { host: self.host(), what: "chart archive", limit_bytes: ARCHIVE_BYTES_MAX });
        }
        Ok(Resolved { version, revision, digest, size_bytes })
    }

    async fn tag_digest(&self, tag: &Tag, reference: &OciReference) -> Result<Digest, Error> {
        self.manifest_digest(tag.as_str(), reference).await
    }

    /// The digest of the manifest that a tag or digest names, by HEAD; by GET where the registry leaves out the header.
    async fn manifest_digest(&self, name: &str, reference: &OciReference) -> Result<Digest, Error> {
        let path = format!("manifests/{name}");
        let response = self.get(Method::HEAD, &path, Some(MANIFESTS_ACCEPTED)).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(self.missing(reference).await),
            _ => return Err(self.unexpected(&response, "manifest")),
        }
        let header = response.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
        if let Some(digest) = header.and_then(|text| Digest::parse(text).ok()) {
            return Ok(digest);
        }
        let response = self.get(Method::GET, &path, Some(MANIFESTS_ACCEPTED)).await?;
        match response.status {
            StatusCode::OK => Ok(Digest::of(&response.bytes("manifest", MANIFEST_BYTES_MAX).await?)),
            StatusCode::NOT_FOUND => Err(self.missing(reference).await),
            _ => Err(self.unexpected(&response, "manifest")),
        }
    }

    /// Reads a manifest by its digest, so that a tag moved meanwhile cannot slip in another one.
    async fn manifest(&self, digest: Digest, reference: &OciReference) -> Result<OciImageManifest, Error> {
        const WHAT: &str = "manifest";
        let response = self.get(Method::GET, &format!("manifests/{digest}"), Some(MANIFESTS_ACCEPTED)).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(self.missing(reference).await),
            _ => return Err(self.unexpected(&response, WHAT)),
        }
        let declared = response.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let declared = declared.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = response.bytes(WHAT, MANIFEST_BYTES_MAX).await?;
        self.check_digest(WHAT, digest, &bytes)?;
        if [OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE].contains(&declared.as_str()) {
            return Err(Error::WrongMediaType {
                host: self.host(),
                what: self.url.repository().to_owned(),
                found: declared,
                problem: "it is an index of images, not a Helm chart",
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| self.malformed(WHAT, error.to_string()))
    }

    fn chart_layer<'m>(&self, manifest: &'m OciImageManifest) -> Result<&'m OciDescriptor, Error> {
        let refuse = |found: &str, problem| {
            Err(Error::WrongMediaType {
                host: self.host(),
                what: self.url.repository().to_owned(),
                found: found.to_owned(),
                problem,
            })
        };
        if manifest.config.media_type != CONFIG_MEDIA_TYPE {
            return refuse(&manifest.config.media_type, "the artifact's config is not that of a Helm chart");
        }
        let layer = manifest.layers.iter().find(|layer| CHART_MEDIA_TYPES.contains(&layer.media_type.as_str()));
        match layer {
            Some(layer) => Ok(layer),
            None => {
                let found = manifest.layers.first().map_or("no layer", |layer| layer.media_type.as_str());
                refuse(found, "no layer of the artifact is a chart archive")
            }
        }
    }

    /// All tags of the repository, over as many pages as the registry makes of them.
    async fn tags(&self) -> Result<Vec<String>, Error> {
        const WHAT: &str = "tag list";
        #[derive(serde::Deserialize)]
        struct Page {
            /// Some registries say `null` where a repository has lost its last tag.
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut bytes_left = TAGS_BYTES_MAX;
        let mut next = Some(self.endpoint(&format!("tags/list?n={TAGS_PER_PAGE}"))?);
        for _ in 0..TAGS_PAGES_MAX {
            let Some(url) = next.take() else { return Ok(tags) };
            let response = self.send(Method::GET, url, None).await?;
            match response.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => {
                    return Err(Error::ChartNotFound { chart: self.url.repository().to_owned(), host: self.host() });
                }
                _ => return Err(self.unexpected(&response, WHAT)),
            }
            next = self.next_page(&response)?;
            let bytes = response.bytes(WHAT, bytes_left).await?;
            bytes_left -= bytes.len() as u64;
            let page: Page = serde_json::from_slice(&bytes).map_err(|error| self.malformed(WHAT, error.to_string()))?;
            tags.extend(page.tags.unwrap_or_default());
        }
        match next {
            None => Ok(tags),
            Some(_) => Err(self.malformed(WHAT, format!("it has more than {TAGS_PAGES_MAX} pages"))),
        }
    }

    /// The page that the `Link` header names. It must be on the registry itself.
    fn next_page(&self, response: &Response) -> Result<Option<Url>, Error> {
        let link = response.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|link| {
            let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            parameters.replace('"', "").split(';').any(|p| p.trim() == "rel=next").then_some(target)
        });
        let Some(target) = link else { return Ok(None) };
        match response.url.join(target) {
            Ok(url) if url.origin() == response.url.origin() => Ok(Some(url)),
            Ok(_) | Err(_) => Err(self.malformed("tag list", "its next page is on another server".into())),
        }
    }

    /// Why a tag or digest is not there: the whole repository may be missing, or just this one.
    async fn missing(&self, reference: &OciReference) -> Error {
        match self.tags().await {
            Ok(tags) => self.version_not_found(reference, &tags),
            Err(error) => error,
        }
    }

    fn version_not_found(&self, reference: &OciReference, tags: &[String]) -> Error {
        let wanted = match reference {
            OciReference::Tag(tag) => match tag.version() {
                Some(version) => format!("version {version}"),
                None => format!("tag {tag}"),
            },
            OciReference::Digest(digest) => format!("digest {digest}"),
            OciReference::Range(range) => format!("a version within {range}"),
        };
        Error::VersionNotFound {
            chart: self.url.repository().to_owned(),
            host: self.host(),
            wanted,
            newest: newest_versions(tags.iter().map(String::as_str), NEWEST_SHOWN),
        }
    }

    async fn get(&self, method: Method, path: &str, accept: Option<&'static str>) -> Result<Response, Error> {
        self.send(method, self.endpoint(path)?, accept).await
    }

    /// Sends with the token at hand; asks for one where the registry says so, once.
    async fn send(&self, method: Method, url: Url, accept: Option<&'static str>) -> Result<Response, Error> {
        let mut request = Request::new(method, url);
        if let Some(accept) = accept {
            request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let credential = self.credentials.id();
        let mut was_rejected = false;
        if let Some(token) = self.tokens.get(self.url, credential, Instant::now()) {
            request.authorization = Some(token);
            let response = self.transport.send(request.clone(), self.deadline).await?;
            if response.status != StatusCode::UNAUTHORIZED {
                return self.allowed(response).await;
            }
            // The token may have been revoked before its time.
            self.tokens.forget(self.url, credential);
            request.authorization = None;
            was_rejected = true;
        }
        let response = self.transport.send(request.clone(), self.deadline).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return self.allowed(response).await;
        }
        let token = self.authorize(&response.headers, was_rejected).await?;
        request.authorization = Some(token.header.clone());
        let response = self.transport.send(request, self.deadline).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            self.tokens.keep(self.url, credential, token, Instant::now());
        }
        self.allowed(response).await
    }

    async fn allowed(&self, response: Response) -> Result<Response, Error> {
        let (host, repository) = (self.host(), self.url.repository().to_owned());
        match response.status {
            StatusCode::UNAUTHORIZED => Err(self.unauthorized()),
            StatusCode::FORBIDDEN => {
                let body = response.bytes("error", ERROR_BYTES_MAX).await.unwrap_or_default();
                Err(match envelope_code(&body) {
                    Some(OciErrorCode::Toomanyrequests) => Error::Throttled { host, retry_after: None },
                    Some(OciErrorCode::Unauthorized) => self.unauthorized(),
                    Some(_) | None => Error::Forbidden { host, repository },
                })
            }
            _ => Ok(response),
        }
    }

    fn unauthorized(&self) -> Error {
        let (host, repository) = (self.host(), self.url.repository().to_owned());
        match self.credentials {
            Credentials::Anonymous => Error::CredentialsMissing { host, repository },
            Credentials::Basic { .. } | Credentials::Bearer { .. } => Error::CredentialsRefused { host, repository },
        }
    }

    /// Gets what the registry's challenge asks for.
    async fn authorize(&self, headers: &HeaderMap, was_rejected: bool) -> Result<Token, Error> {
        let challenges: Vec<&str> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let own = Token::of(self.credentials).map_err(|_| self.unauthorized())?;
        match (Challenge::choose(&challenges), self.credentials) {
            (None, _) => Err(self.malformed("challenge", "it names neither Bearer nor Basic".into())),
            (Some(Challenge::Bearer { realm, service }), Credentials::Anonymous | Credentials::Basic { .. }) => {
                self.bearer_token(&realm, service.as_deref(), own).await
            }
            (Some(Challenge::Bearer { .. }), Credentials::Bearer { .. }) | (Some(Challenge::Basic), _) => {
                own.filter(|_| !was_rejected).ok_or_else(|| self.unauthorized())
            }
        }
    }

    async fn bearer_token(&self, realm: &str, service: Option<&str>, own: Option<Token>) -> Result<Token, Error> {
        const WHAT: &str = "token";
        let mut realm_url =
            Url::parse(realm).map_err(|error| self.malformed("challenge", format!("its realm: {error}")))?;
        let registry = self.endpoint("")?;
        let credentials_may_go = self.tokens.may_receive_credentials(&registry, &realm_url);
        if own.is_some() && !credentials_may_go {
            return Err(Error::TokenHostRefused { host: self.host(), realm: host_of(&realm_url) });
        }
        if !matches!(realm_url.scheme(), "http" | "https") {
            return Err(self.malformed("challenge", "its realm is not http or https".into()));
        }
        {
            let mut query = realm_url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &format!("repository:{}:pull", self.url.repository()));
        }
        let mut request = Request::new(Method::GET, realm_url);
        request.authorization = own.map(|token| token.header);
        let response = self.transport.send(request, self.deadline).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.unauthorized()),
            _ => return Err(self.unexpected(&response, WHAT)),
        }
        let body = response.bytes(WHAT, ERROR_BYTES_MAX).await?;
        Token::read(&body).map_err(|problem| self.malformed(WHAT, problem))
    }

    fn endpoint(&self, path: &str) -> Result<Url, Error> {
        let scheme = if self.insecure { "http" } else { "https" };
        let (host, repository) = on_the_wire(self.url);
        Url::parse(&format!("{scheme}://{host}/v2/{repository}/{path}"))
            .map_err(|error| self.malformed("url", error.to_string()))
    }

    fn check_digest(&self, what: &'static str, expected: Digest, bytes: &Bytes) -> Result<(), Error> {
        let found = Digest::of(bytes);
        if found == expected { Ok(()) } else { Err(Error::WrongDigest { host: self.host(), what, expected, found }) }
    }

    fn unexpected(&self, response: &Response, what: &'static str) -> Error {
        Error::UnexpectedStatus { host: self.host(), what, status: response.status.as_u16() }
    }

    fn malformed(&self, what: &'static str, problem: String) -> Error {
        Error::Malformed { host: self.host(), what, problem }
    }

    fn host(&self) -> String {
        self.url.host().to_owned()
    }
}

/// Indexes and Docker's old manifests are asked for too, so that the error can say what is there instead of a chart.
const MANIFESTS_ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// Docker Hub has another name on the wire, and a folder for repositories without one.
fn on_the_wire(url: &OciUrl) -> (&str, String) {
    match url.host() {
        "docker.io" | "index.docker.io" if !url.repository().contains('/') => {
            ("registry-1.docker.io", format!("library/{}", url.repository()))
        }
        "docker.io" | "index.docker.io" => ("registry-1.docker.io", url.repository().to_owned()),
        host => (host, url.repository().to_owned()),
    }
}

fn envelope_code(body: &[u8]) -> Option<OciErrorCode> {
    let envelope: OciEnvelope = serde_json::from_slice(body).ok()?;
    envelope.errors.into_iter().next().map(|error| error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_its_own_name_on_the_wire() {
        let wire = |text: &str| {
            let url = OciUrl::parse(text).unwrap();
            let (host, repository) = on_the_wire(&url);
            format!("{host}/{repository}")
        };
        assert_eq!(wire("oci://docker.io/nginx"), "registry-1.docker.io/library/nginx");
        assert_eq!(wire("oci://docker.io/bitnamicharts/nginx"), "registry-1.docker.io/bitnamicharts/nginx");
        assert_eq!(wire("oci://ghcr.io/org/chart"), "ghcr.io/org/chart");
    }
}
