//! What the spec's references mean now: the chart's digest, the merged values, and the fingerprint of both.
//!
//! Equal sources are asked once for all who ask, and answers younger than the release's interval are not asked for
//! again; ConfigMaps and Secrets are read with the release's own rights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::charts::{Charts, LoadedChart};
use super::error::{failure, input, of_cluster};
use crate::api::helm_release::{ValuesKind, ValuesReference};
use crate::api::validate::{Inputs, OciPick, Source};
use crate::api::{GitReference as GitReferenceSpec, LocalReference};
use crate::chart::source_ref::{
    ChartName, Credentials, Digest, GitFiles, GitReference, GitUrl, HttpUrl, InvalidSource, OciReference, OciUrl,
    SourceRef, Tag, TreePath, VersionRange,
};
use crate::chart::values;
use crate::cluster::identity::TenantClient;
use crate::cluster::references::{self, Content, Reference, ReferenceKind};
use crate::plan::{Failure, FailureClass, Target};
use crate::postrender::PostRenderers;
use crate::release::digest::{Fingerprint, Inputs as FingerprintInputs};
use crate::release::{ChartVersion, JsonMap};
use crate::source::{Category, Resolved, Sources};
use crate::text;

/// What the references mean.
#[derive(Clone)]
pub(super) struct Resolution {
    pub(super) target: Target,
    pub(super) source: SourceRef,
    pub(super) credentials: Credentials,
    pub(super) resolved: Resolved,
    /// The user's values, merged.
    pub(super) values: Arc<JsonMap>,
    /// What is changed in the rendered objects.
    pub(super) post_renderers: Arc<PostRenderers>,
    /// Values that came from Secrets: never to be shown.
    pub(super) secrets: Vec<String>,
    /// What the Secrets gave, merged: not even its keys are to be shown.
    pub(super) secret_values: Arc<JsonMap>,
}

/// What was read on the way, with versions: a change of any of these is a reason to resolve again. Filled even where
/// resolving fails, because the cure may be in one of them.
pub(super) type Read = Vec<(Reference, String)>;

pub(super) struct Resolver<'a> {
    pub(super) sources: &'a Sources,
    pub(super) charts: &'a Charts,
    pub(super) tenant: &'a TenantClient,
    /// The namespace of the HelmRelease: references never leave it.
    pub(super) namespace: &'a str,
    /// Answers of sources up to this age are good.
    pub(super) max_age: Duration,
}

impl Resolver<'_> {
    pub(super) async fn resolve(&self, inputs: &Inputs, read: &mut Read) -> Result<Resolution, Failure> {
        let source = source_ref(&inputs.source).map_err(|problem| {
            let field = inputs.source.field();
            failure(FailureClass::Input, "InvalidSource", format!("{field}: {}", text::chain(&problem)))
        })?;
        let credentials = self.credentials(&inputs.source, &source, read).await?;
        let (mut secrets, mut secret_values) = (Vec::new(), JsonMap::new());
        let values = self.values(inputs, read, &mut secrets, &mut secret_values).await?;

        let (resolved, stale) = match self.sources.resolve(&source, &credentials, self.max_age).await {
            Ok(resolved) => (resolved, None),
            Err(problem) => match self.sources.last_known(&source, &credentials) {
                // A source that is down stops nothing: what is known stays desired.
                Some(known) if problem.category() == Category::Transient => (known, Some(text::chain(problem.cause()))),
                _ => return Err(of_source(&problem)),
            },
        };
        let chart = self.chart_version(&source, &credentials, &resolved).await?;
        let chart_digest = resolved.digest.to_string();
        let fingerprint = Fingerprint::of(FingerprintInputs {
            chart_digest: &chart_digest,
            values: &values,
            release: &inputs.release,
            post_rendering: &inputs.post_rendering.written,
            options: &inputs.policy.fingerprinted(),
        });
        let target = Target { fingerprint, chart, stale };
        Ok(Resolution {
            target,
            source,
            credentials,
            resolved,
            values: Arc::new(values),
            post_renderers: inputs.post_rendering.rules.clone(),
            secrets,
            secret_values: Arc::new(secret_values),
        })
    }

    /// The chart itself, from memory where it was read before.
    pub(super) async fn chart(
        &self,
        source: &SourceRef,
        credentials: &Credentials,
        resolved: &Resolved,
    ) -> Result<LoadedChart, Failure> {
        // The content is asked for with the release's own credentials first: a chart that another identity fetched is
        // not this one's to see.
        let artifact =
            self.sources.fetch(source, credentials, resolved).await.map_err(|problem| of_source(&problem))?;
        self.charts.load(artifact).await
    }

    async fn chart_version(
        &self,
        source: &SourceRef,
        credentials: &Credentials,
        resolved: &Resolved,
    ) -> Result<ChartVersion, Failure> {
        let named = match source {
            SourceRef::Oci { url, .. } => url.repository().rsplit('/').next(),
            SourceRef::Http { chart, .. } => Some(chart.as_str()),
            SourceRef::Git { .. } => None,
        };
        if let (Some(name), Some(version)) = (named, &resolved.version) {
            let name = name.to_owned();
            return Ok(ChartVersion { name, version: version.clone(), app_version: String::new() });
        }
        // Only the chart itself knows.
        let chart = self.chart(source, credentials, resolved).await?;
        let metadata = &chart.chart.metadata;
        Ok(ChartVersion {
            name: metadata.name.clone(),
            version: metadata.version.clone(),
            app_version: metadata.app_version.clone(),
        })
    }

    async fn credentials(&self, spec: &Source, source: &SourceRef, read: &mut Read) -> Result<Credentials, Failure> {
        let Some(LocalReference { name }) = spec.secret() else { return Ok(Credentials::Anonymous) };
        let reference = self.reference(ReferenceKind::Secret, name);
        let content = self.read(&reference, read).await?.ok_or_else(|| missing(&reference))?;
        Credentials::from_secret(&content.secret_type, &content.data, source.host())
            .map_err(|problem| failure(FailureClass::Input, "InvalidCredentials", format!("{reference}: {problem}")))
    }

    async fn values(
        &self,
        inputs: &Inputs,
        read: &mut Read,
        secrets: &mut Vec<String>,
        secret_values: &mut JsonMap,
    ) -> Result<JsonMap, Failure> {
        let (mut merged, mut placed) = (JsonMap::new(), Vec::new());
        for spec in &inputs.values_from {
            let Some(text) = self.text_of(spec, read).await? else { continue };
            let is_secret = spec.kind == ValuesKind::Secret;
            match &spec.target_path {
                None => {
                    let table = self.table(spec, &text)?;
                    if is_secret {
                        collect_strings(&table, secrets);
                        values::merge(secret_values, table.clone());
                    }
                    values::merge(&mut merged, table);
                }
                Some(path) => {
                    let value = self.value(spec, &text)?;
                    if is_secret {
                        collect_strings(&JsonMap::from_iter([(path.clone(), value.clone())]), secrets);
                    }
                    placed.push((spec, path, value));
                }
            }
        }
        values::merge(&mut merged, inputs.values.clone());
        for (spec, path, value) in placed {
            merged = values::with(&merged, path, &value).map_err(|problem| {
                let place = self.place(spec);
                let message = format!("targetPath {path:?} of {place} leads nowhere: {problem}");
                failure(FailureClass::Input, "InvalidValues", message)
            })?;
            // Where it leads among all values may not be where it would lead among those of Secrets alone.
            if spec.kind == ValuesKind::Secret
                && let Ok(with_it) = values::with(secret_values, path, &value)
            {
                *secret_values = with_it;
            }
        }
        Ok(merged)
    }

    /// What the key holds; `None` where it is optional and not there.
    async fn text_of(&self, spec: &ValuesReference, read: &mut Read) -> Result<Option<Vec<u8>>, Failure> {
        let reference = self.values_reference(spec);
        let content = match self.read(&reference, read).await? {
            Some(content) => content,
            None if spec.optional => return Ok(None),
            None => return Err(missing(&reference)),
        };
        let (mut data, key) = (content.data, &spec.values_key);
        match data.remove(key) {
            Some(text) => Ok(Some(text)),
            None if spec.optional => Ok(None),
            None => {
                let message = format!("{reference} has no key {key:?} for values");
                Err(failure(FailureClass::Refused, "ValuesMissing", message))
            }
        }
    }

    fn table(&self, spec: &ValuesReference, text: &[u8]) -> Result<JsonMap, Failure> {
        let place = self.place(spec);
        values::read(&place, text).map_err(|problem| match spec.kind {
            ValuesKind::ConfigMap => input("InvalidValues", &problem),
            // The reader's words may quote the text that it could not read.
            ValuesKind::Secret => {
                failure(FailureClass::Input, "InvalidValues", format!("{place} is no YAML table of values"))
            }
        })
    }

    fn value(&self, spec: &ValuesReference, text: &[u8]) -> Result<serde_json::Value, Failure> {
        values::single(text, spec.literal).map_err(|problem| {
            let message = format!("{} cannot go to its targetPath: {problem}", self.place(spec));
            failure(FailureClass::Input, "InvalidValues", message)
        })
    }

    /// `key "values.yaml" of ConfigMap apps/common`
    fn place(&self, spec: &ValuesReference) -> String {
        format!("key {:?} of {}", spec.values_key, self.values_reference(spec))
    }

    fn values_reference(&self, spec: &ValuesReference) -> Reference {
        let kind = match spec.kind {
            ValuesKind::ConfigMap => ReferenceKind::ConfigMap,
            ValuesKind::Secret => ReferenceKind::Secret,
        };
        self.reference(kind, &spec.name)
    }

    async fn read(&self, reference: &Reference, read: &mut Read) -> Result<Option<Content>, Failure> {
        let content = references::read(self.tenant, reference).await.map_err(|problem| {
            read.push((reference.clone(), String::new()));
            of_cluster(&problem)
        })?;
        let version = content.as_ref().map(|content| content.resource_version.clone()).unwrap_or_default();
        read.push((reference.clone(), version));
        Ok(content)
    }

    fn reference(&self, kind: ReferenceKind, name: &str) -> Reference {
        Reference { kind, namespace: self.namespace.to_owned(), name: name.to_owned() }
    }
}

fn missing(reference: &Reference) -> Failure {
    failure(
        FailureClass::Refused,
        "ReferenceMissing",
        format!("{reference} does not exist: create it, or correct the spec"),
    )
}

pub(super) fn of_source(problem: &crate::source::Error) -> Failure {
    let class = match problem.category() {
        Category::Transient => FailureClass::Transient,
        Category::Input => FailureClass::Input,
        Category::Refused => FailureClass::Refused,
    };
    failure(class, problem.reason(), text::chain(problem.cause()))
}

fn source_ref(source: &Source) -> Result<SourceRef, InvalidSource> {
    Ok(match source {
        Source::Oci { url, pick, insecure, .. } => SourceRef::Oci {
            url: OciUrl::parse(url)?,
            reference: match pick {
                OciPick::Range(range) => OciReference::Range(VersionRange::parse(range)?),
                OciPick::Tag(tag) => OciReference::Tag(Tag::parse(tag)?),
                OciPick::Digest(digest) => OciReference::Digest(Digest::parse(digest)?),
            },
            insecure: *insecure,
        },
        Source::Http { url, chart, version, pass_credentials, .. } => SourceRef::Http {
            url: HttpUrl::parse(url)?,
            chart: ChartName::parse(chart)?,
            version: VersionRange::parse(version)?,
            pass_credentials: *pass_credentials,
        },
        Source::Git { url, reference, path, .. } => SourceRef::Git {
            url: GitUrl::parse(url)?,
            reference: git_reference(reference)?,
            path: TreePath::parse(path)?,
            files: GitFiles::All,
        },
    })
}

fn git_reference(spec: &GitReferenceSpec) -> Result<GitReference, InvalidSource> {
    Ok(match (&spec.commit, &spec.tag, &spec.branch) {
        (Some(commit), ..) => GitReference::commit(commit)?,
        (None, Some(tag), _) => GitReference::tag(tag)?,
        (None, None, Some(branch)) => GitReference::branch(branch)?,
        (None, None, None) => GitReference::Default,
    })
}

/// All texts among values from a Secret. Short ones are left out: masking `1` or `true` would hide the whole log.
fn collect_strings(values: &JsonMap, into: &mut Vec<String>) {
    const LENGTH_MIN: usize = 4;
    let mut left: Vec<&serde_json::Value> = values.values().collect();
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::String(text) if text.len() >= LENGTH_MIN => into.push(text.clone()),
            serde_json::Value::Array(items) => left.extend(items),
            serde_json::Value::Object(map) => left.extend(map.values()),
            _ => {}
        }
    }
}

/// The texts of a rendered Secret, which may hold what no values did (generated passwords).
pub(super) fn secrets_of_object(object: &serde_json::Value, into: &mut Vec<String>) {
    use base64::Engine;
    if object.get("kind").and_then(serde_json::Value::as_str) != Some("Secret") {
        return;
    }
    let mut found = BTreeMap::new();
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some(map) = object.get(field).and_then(serde_json::Value::as_object) else { continue };
        for (key, value) in map {
            let Some(text) = value.as_str() else { continue };
            let decoded = match encoded {
                true => base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok()),
                false => Some(text.to_owned()),
            };
            found.extend(decoded.map(|text| (key.clone(), serde_json::Value::String(text))));
        }
    }
    collect_strings(&found.into_iter().collect(), into);
}
