//! A spec to what the rest of the program works with, or the fields that are wrong and the way out.
//!
//! The CRD's schema and rules refuse most of this at `kubectl apply`. Objects stored under an older schema come here
//! unchecked, so everything is checked again.

use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use kube::ResourceExt;

use super::duration::Duration;
use super::helm_release::{
    ConflictsSpec, HelmRelease, HelmReleaseSpec, ImageSpec, PatchSpec, PostRendererSpec, UnknownFields, ValuesReference,
};
use super::rules;
use super::{GitReference, HOLD, LocalReference, RECONCILE_AT, RETRY_AT};
use crate::plan::desired::Conflicts;
use crate::plan::{
    Asks, Claim, Desired, FailFast, Failure, FailureClass, HookRules, Policy, Target, TestFilter, TestRules,
};
use crate::postrender::{CommonMetadata, Image, Kustomize, Patch, PostRenderers, Selector, SelectorFields};
use crate::release::marks::RetryToken;
use crate::release::{Home, JsonMap, ReleaseId, ReleaseName, digest};

/// What a valid HelmRelease asks for, before its sources are resolved.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub release: ReleaseId,
    pub source: Source,
    /// The inline values.
    pub values: JsonMap,
    pub values_from: Vec<ValuesReference>,
    /// The ServiceAccount to act as, where the spec names one.
    pub service_account: Option<String>,
    pub post_rendering: PostRendering,
    pub policy: Policy,
}

/// What is changed in the rendered objects.
#[derive(Clone, Debug)]
pub struct PostRendering {
    pub rules: Arc<PostRenderers>,
    /// The same as the spec says it, for the fingerprint; null where nothing is changed.
    pub written: serde_json::Value,
}

/// Where the chart comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Oci { url: String, pick: OciPick, secret: Option<LocalReference>, insecure: bool },
    Http { url: String, chart: String, version: String, secret: Option<LocalReference>, pass_credentials: bool },
    Git { url: String, reference: GitReference, path: String, secret: Option<LocalReference> },
}

impl Source {
    /// The field that it stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Source::Oci { .. } => "spec.chart.oci",
            Source::Http { .. } => "spec.chart.http",
            Source::Git { .. } => "spec.chart.git",
        }
    }

    /// The Secret whose credentials its server is shown.
    pub fn secret(&self) -> Option<&LocalReference> {
        match self {
            Source::Oci { secret, .. } | Source::Http { secret, .. } | Source::Git { secret, .. } => secret.as_ref(),
        }
    }
}

/// Which chart of an OCI repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OciPick {
    /// The newest version within a range.
    Range(String),
    Tag(String),
    Digest(String),
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field, `spec.chart.oci.version`.
    pub field: String,
    /// What is wrong and the way out.
    pub message: String,
}

/// All fields that are wrong; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FieldErrors(pub Vec<FieldError>);

/// `spec.interval: "x" is not a duration; …; spec.chart: …`.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl From<FieldErrors> for Failure {
    fn from(errors: FieldErrors) -> Self {
        Failure { class: FailureClass::Input, reason: "InvalidSpec".into(), message: errors.to_string() }
    }
}

/// The longest `targetPath`, in bytes.
const TARGET_PATH_BYTES_MAX: usize = 250;

/// Checks the whole spec.
pub fn validate(release: &HelmRelease) -> Result<Inputs, FieldErrors> {
    let mut errors = Vec::new();
    let spec = &release.spec;
    let id = release_id(release).map_err(|error| errors.push(error));
    let policy = policy(spec, &mut errors);
    let source = source(spec, &mut errors);
    for (index, reference) in spec.values_from.iter().enumerate() {
        if reference.name.is_empty() {
            errors.push(wrong(format!("spec.valuesFrom[{index}].name"), "name the ConfigMap or Secret"));
        }
        // A comma or an equals sign would set more than the path names.
        let is_of_path = |c: u8| c.is_ascii_alphanumeric() || b"_-.\\/[]".contains(&c);
        let is_path =
            |path: &str| !path.is_empty() && path.len() <= TARGET_PATH_BYTES_MAX && path.bytes().all(is_of_path);
        match reference.target_path.as_deref() {
            Some(path) if !is_path(path) => {
                let message = "it is not a path such as db.password or hosts[0].name";
                errors.push(wrong(format!("spec.valuesFrom[{index}].targetPath"), message));
            }
            None if reference.literal => {
                errors.push(wrong(format!("spec.valuesFrom[{index}].literal"), "it goes with targetPath"));
            }
            _ => {}
        }
    }
    let post_rendering = post_rendering(spec, &mut errors);
    let service_account = spec.service_account_name.clone();
    // The name becomes part of a user name that is impersonated: nothing else may hide in it.
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c));
    if service_account.as_deref().is_some_and(|name| !is_name(name)) {
        errors.push(wrong("spec.serviceAccountName", "it is not the name of a ServiceAccount"));
    }
    match (id, source) {
        (Ok(release), Some(source)) if errors.is_empty() => Ok(Inputs {
            release,
            source,
            values: spec.values.clone().unwrap_or_default(),
            values_from: spec.values_from.clone(),
            service_account,
            post_rendering,
            policy,
        }),
        _ => Err(FieldErrors(errors)),
    }
}

/// What is asked of the release, once its sources are resolved, or why they cannot be.
///
/// Works for a spec that [`validate`] refused too (its error is the target then): what was begun is brought to its end
/// under the default rules for those fields that are wrong. Only a release without a valid name gives an error.
pub fn desired(release: &HelmRelease, target: Result<Target, Failure>) -> Result<Desired, FieldErrors> {
    let (home, claim) = home(release).map_err(|error| FieldErrors(vec![error]))?;
    let policy = policy(&release.spec, &mut Vec::new());
    Ok(Desired { home, claim, target, policy, asks: asks(release) })
}

/// The release to look at, the one that the status names or else the one that the spec means, and whether the two are
/// one.
///
/// # Errors
/// The spec gives no valid name.
pub fn home(release: &HelmRelease) -> Result<(Home, Claim), FieldError> {
    let id = release_id(release)?;
    let storage = release.spec.storage_namespace.clone();
    let meant = Home { storage_namespace: storage.unwrap_or_else(|| id.namespace.clone()), release: id };
    let named = release.status.as_ref().and_then(|status| status.release.as_ref()?.home());
    Ok(match named {
        None => (meant, Claim::Missing),
        Some(named) if named == meant => (named, Claim::Made),
        Some(named) => (named, Claim::Moving(meant)),
    })
}

/// What people asked for beside the spec.
pub fn asks(release: &HelmRelease) -> Asks {
    let annotation = |key: &str| release.annotations().get(key).cloned();
    Asks {
        suspend: release.spec.suspend,
        deleted_at: release.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        hold: annotation(HOLD),
        retry: annotation(RETRY_AT).and_then(|value| RetryToken::of(&value)),
        reconcile: annotation(RECONCILE_AT),
    }
}

/// Which release the spec of a HelmRelease means: `releaseName`, else its own name after `targetNamespace`, as Flux composes it.
pub fn release_id(release: &HelmRelease) -> Result<ReleaseId, FieldError> {
    const LENGTH_MAX: usize = 53;
    const HEAD: usize = 40;
    const HASH: usize = 12;
    let spec = &release.spec;
    let namespace = spec.target_namespace.clone().or_else(|| release.namespace()).unwrap_or_default();
    let name = match (&spec.release_name, &spec.target_namespace) {
        (Some(name), _) => name.clone(),
        (None, Some(target)) => format!("{target}-{}", release.name_any()),
        (None, None) => release.name_any(),
    };
    let name = if spec.release_name.is_none() && name.len() > LENGTH_MAX {
        let hash = digest::sha256(name.as_bytes());
        let hash = hash.trim_start_matches("sha256:");
        format!("{}-{}", name.get(..HEAD).unwrap_or_default(), &hash[..HASH])
    } else {
        name
    };
    match ReleaseName::parse(&name) {
        Ok(name) => Ok(ReleaseId { namespace, name }),
        Err(error) => Err(wrong("spec.releaseName", format!("{error}; give a valid releaseName"))),
    }
}

fn policy(spec: &HelmReleaseSpec, errors: &mut Vec<FieldError>) -> Policy {
    let default = Policy::default();
    let mut limited = |field: &str, text: Option<&Duration>, default, min_seconds| {
        let (min, max) = (SignedDuration::from_secs(min_seconds), SignedDuration::from_hours(24));
        match text.map(|text| text.parse(min, max)) {
            Some(Ok(duration)) => duration,
            Some(Err(error)) => {
                errors.push(wrong(format!("spec.{field}"), error));
                default
            }
            None => default,
        }
    };
    let timeout = limited("timeout", Some(&spec.timeout), default.upgrade_timeout, 1);
    let install = spec.install.clone().unwrap_or_default();
    let upgrade = spec.upgrade.clone().unwrap_or_default();
    let rollback = spec.rollback.clone().unwrap_or_default();
    let uninstall = spec.uninstall.clone().unwrap_or_default();
    let fail_fast = spec.fail_fast.clone().unwrap_or_default();
    let test = spec.test.clone().unwrap_or_default();
    let after_install = install.remediation.as_ref().and_then(|it| it.ignore_test_failures);
    let after_upgrade = upgrade.remediation.as_ref().and_then(|it| it.ignore_test_failures);
    let tests = TestRules {
        timeout: limited("test.timeout", test.timeout.as_ref(), timeout, 1),
        ignore_after_install: after_install.unwrap_or(test.ignore_failures),
        ignore_after_upgrade: after_upgrade.unwrap_or(test.ignore_failures),
        filters: test.filters.into_iter().map(|it| TestFilter { name: it.name, exclude: it.exclude }).collect(),
    };
    let hooks = HookRules {
        disable_install: install.disable_hooks,
        disable_upgrade: upgrade.disable_hooks,
        disable_rollback: rollback.disable_hooks,
        disable_uninstall: uninstall.disable_hooks,
        tests: test.enable.then_some(tests),
    };
    Policy {
        interval: limited("interval", Some(&spec.interval), default.interval, 1),
        install_timeout: limited("install.timeout", install.timeout.as_ref(), timeout, 1),
        upgrade_timeout: limited("upgrade.timeout", upgrade.timeout.as_ref(), timeout, 1),
        rollback_timeout: limited("rollback.timeout", rollback.timeout.as_ref(), timeout, 1),
        uninstall_timeout: limited("uninstall.timeout", uninstall.timeout.as_ref(), timeout, 1),
        install_retries: install.remediation.unwrap_or_default().retries,
        upgrade_retries: upgrade.remediation.unwrap_or_default().retries,
        history_max: spec.max_history,
        fail_fast: FailFast {
            crash_restarts: fail_fast.crash_restarts.max(1),
            image_pull: limited("failFast.imagePull", Some(&fail_fast.image_pull), default.fail_fast.image_pull, 0),
            on_install: fail_fast.on_install,
        },
        rules: rules::rules(spec),
        conflicts: match spec.conflicts {
            ConflictsSpec::Force => Conflicts::Force,
            ConflictsSpec::Fail => Conflicts::Fail,
        },
        hooks,
    }
}

fn source(spec: &HelmReleaseSpec, errors: &mut Vec<FieldError>) -> Option<Source> {
    let before = errors.len();
    let source = match (&spec.chart.oci, &spec.chart.http, &spec.chart.git) {
        (Some(oci), None, None) => {
            if !oci.url.strip_prefix("oci://").is_some_and(|rest| !rest.is_empty() && !rest.contains('@')) {
                let message =
                    format!("{:?} must be oci:// with registry and repository, without tag or digest", oci.url);
                errors.push(wrong("spec.chart.oci.url", message));
            }
            let pick = match (oci.version.clone(), oci.tag.clone(), oci.digest.clone()) {
                (Some(range), None, None) => Some(OciPick::Range(range)),
                (None, Some(tag), None) => Some(OciPick::Tag(tag)),
                (None, None, Some(digest)) => Some(OciPick::Digest(digest)),
                _ => {
                    errors.push(wrong("spec.chart.oci", "give exactly one of version, tag and digest"));
                    None
                }
            };
            let (url, secret, insecure) = (oci.url.clone(), oci.secret_ref.clone(), oci.insecure);
            pick.map(|pick| Source::Oci { url, pick, secret, insecure })
        }
        (None, Some(http), None) => {
            check_url("spec.chart.http", &http.url, http.insecure, errors);
            Some(Source::Http {
                url: http.url.clone(),
                chart: http.name.clone(),
                version: http.version.clone(),
                secret: http.secret_ref.clone(),
                pass_credentials: http.pass_credentials,
            })
        }
        (None, None, Some(git)) => {
            let reference = git.reference.clone().unwrap_or_default();
            check_git("spec.chart.git", &git.url, git.insecure, &reference, git.path.as_deref(), errors);
            Some(Source::Git {
                url: git.url.clone(),
                reference,
                path: git.path.clone().unwrap_or_default(),
                secret: git.secret_ref.clone(),
            })
        }
        _ => {
            errors.push(wrong("spec.chart", "give exactly one of oci, http and git"));
            None
        }
    };
    source.filter(|_| errors.len() == before)
}

fn post_rendering(spec: &HelmReleaseSpec, errors: &mut Vec<FieldError>) -> PostRendering {
    let mut rules = PostRenderers::default();
    for (index, post_renderer) in spec.post_renderers.iter().enumerate() {
        // An empty one stays, so that what is said of those after it names their own index.
        let kustomize = post_renderer.kustomize.clone().unwrap_or_default();
        refuse_unknown_fields(post_renderer, &format!("spec.postRenderers[{index}]"), errors);
        let field = format!("spec.postRenderers[{index}].kustomize");
        rules.kustomize.push(Kustomize {
            patches: each(&kustomize.patches, &format!("{field}.patches"), patch, errors),
            images: each(&kustomize.images, &format!("{field}.images"), image, errors),
        });
    }
    let common = spec.common_metadata.clone().unwrap_or_default();
    let mut written = serde_json::json!({});
    if rules.kustomize.iter().any(|it| !it.patches.is_empty() || !it.images.is_empty()) {
        written["postRenderers"] = serde_json::json!(spec.post_renderers);
    }
    if !common.labels.is_empty() || !common.annotations.is_empty() {
        written["commonMetadata"] = serde_json::json!(common);
    }
    rules.common = CommonMetadata { labels: common.labels, annotations: common.annotations };
    let written = if rules.is_empty() { serde_json::Value::Null } else { written };
    PostRendering { rules: Arc::new(rules), written }
}

/// Refuses fields that are not declared: Kustomize has bases from elsewhere, charts within charts, plugins and programs,
/// and a release without what they were to do is not the one that was asked for.
fn refuse_unknown_fields(post_renderer: &PostRendererSpec, field: &str, errors: &mut Vec<FieldError>) {
    let mut check = |unknown: &UnknownFields, field: &str, declared: &str| {
        errors.extend(unknown.keys().map(|name| {
            let message = format!("a post-renderer fetches and runs nothing; what may be written here is {declared}");
            wrong(format!("{field}.{}", name.escape_debug()), message)
        }));
    };
    check(&post_renderer.unknown, field, "kustomize");
    let Some(kustomize) = &post_renderer.kustomize else { return };
    let field = format!("{field}.kustomize");
    check(&kustomize.unknown, &field, "patches and images");
    for (index, patch) in kustomize.patches.iter().enumerate() {
        let field = format!("{field}.patches[{index}]");
        check(&patch.unknown, &field, "patch and target");
        let Some(target) = &patch.target else { continue };
        let declared = "group, version, kind, name, namespace, labelSelector and annotationSelector";
        check(&target.unknown, &format!("{field}.target"), declared);
    }
    for (index, image) in kustomize.images.iter().enumerate() {
        check(&image.unknown, &format!("{field}.images[{index}]"), "name, newName, newTag and digest");
    }
}

/// Reads the elements of a list; what is wrong is told with the index.
fn each<S, T>(
    specs: &[S],
    field: &str,
    read: impl Fn(&S) -> Result<T, FieldError>,
    errors: &mut Vec<FieldError>,
) -> Vec<T> {
    let mut all = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        match read(spec) {
            Ok(one) => all.push(one),
            Err(FieldError { field: within, message }) => {
                errors.push(wrong(format!("{field}[{index}]{within}"), message))
            }
        }
    }
    all
}

fn patch(spec: &PatchSpec) -> Result<Patch, FieldError> {
    let fields = |target: &super::helm_release::SelectorSpec| SelectorFields {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
        name: target.name.clone(),
        namespace: target.namespace.clone(),
        label_selector: target.label_selector.clone(),
        annotation_selector: target.annotation_selector.clone(),
    };
    let target = spec.target.as_ref().map(|target| Selector::parse(&fields(target))).transpose();
    let target = target.map_err(|bad| wrong(format!(".target.{}", bad.field), bad.message))?;
    Patch::parse(&spec.patch, target).map_err(|message| wrong(".patch", message))
}

fn image(spec: &ImageSpec) -> Result<Image, FieldError> {
    Image::new(&spec.name, spec.new_name.clone(), spec.new_tag.clone(), spec.digest.clone())
        .map_err(|message| wrong(".name", message))
}

/// Checks what a Git source of any kind has in common; `field` is its path.
pub fn check_git(
    field: &str,
    url: &str,
    insecure: bool,
    reference: &GitReference,
    path: Option<&str>,
    errors: &mut Vec<FieldError>,
) {
    check_url(field, url, insecure, errors);
    let picks = [&reference.branch, &reference.tag, &reference.commit];
    if picks.iter().filter(|pick| pick.is_some()).count() > 1 {
        errors.push(wrong(format!("{field}.ref"), "give at most one of branch, tag and commit"));
    }
    let is_sha1 = |commit: &String| commit.len() == 40 && commit.bytes().all(|c| c.is_ascii_hexdigit());
    if reference.commit.as_ref().is_some_and(|commit| !is_sha1(commit)) {
        errors.push(wrong(format!("{field}.ref.commit"), "give the whole SHA-1 of the commit, 40 hex digits"));
    }
    if path.is_some_and(|path| path.split('/').any(|part| part == "..")) {
        errors.push(wrong(format!("{field}.path"), "the path must stay inside the repository"));
    }
}

fn check_url(field: &str, url: &str, insecure: bool, errors: &mut Vec<FieldError>) {
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        errors.push(wrong(format!("{field}.url"), format!("{url:?} must begin with https://")));
    } else if url.starts_with("http://") && !insecure {
        let message = "plain HTTP shows credentials and content to the network; use https://, or set insecure";
        errors.push(wrong(format!("{field}.url"), message));
    }
}

fn wrong(field: impl Into<String>, message: impl fmt::Display) -> FieldError {
    FieldError { field: field.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HelmReleaseStatus;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "apiVersion": "pintle.dev/v1", "kind": "HelmRelease",
            "metadata": {"name": "podinfo", "namespace": "apps"},
            "spec": {"chart": {"oci": {"url": "oci://registry.example.com/charts/podinfo", "version": "6.x"}}}
        })
    }

    /// The good HelmRelease with one field changed; null takes it away.
    fn with(pointer: &str, value: Value) -> HelmRelease {
        let mut object = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut at = &mut object;
        for part in parent.split('/').skip(1) {
            if at.get(part).is_none() {
                at[part] = json!({});
            }
            at = at.get_mut(part).unwrap();
        }
        match value {
            Value::Null => drop(at.as_object_mut().unwrap().remove(key)),
            value => at[key] = value,
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_short_spec_gets_the_defaults() {
        let inputs = validate(&serde_json::from_value(good()).unwrap()).unwrap();
        assert_eq!(inputs.policy, Policy::default());
        assert_eq!(inputs.release.to_string(), "apps/podinfo");
        assert_eq!(inputs.values, JsonMap::new());
        let Source::Oci { pick, insecure, .. } = inputs.source else { panic!("{:?}", inputs.source) };
        assert_eq!((pick, insecure), (OciPick::Range("6.x".to_owned()), false));
    }

    #[test]
    fn wrong_fields_are_named_with_the_way_out() {
        for (pointer, value, want) in [
            (
                "/spec/interval",
                json!("soon"),
                r#"spec.interval: "soon" is not a duration; write it as 90s, 10m or 1h30m"#,
            ),
            ("/spec/interval", json!("1ms"), r#"spec.interval: "1ms" is out of bounds; allowed is 1s to 24h"#),
            (
                "/spec/upgrade/timeout",
                json!("0s"),
                r#"spec.upgrade.timeout: "0s" is out of bounds; allowed is 1s to 24h"#,
            ),
            ("/spec/chart", json!({}), "spec.chart: give exactly one of oci, http and git"),
            ("/spec/chart/git", json!({"url": "https://g"}), "spec.chart: give exactly one of oci, http and git"),
            ("/spec/chart/oci/tag", json!("v1"), "spec.chart.oci: give exactly one of version, tag and digest"),
            ("/spec/chart/oci/version", json!(null), "spec.chart.oci: give exactly one of version, tag and digest"),
            (
                "/spec/chart/oci/url",
                json!("https://r/c"),
                r#"spec.chart.oci.url: "https://r/c" must be oci:// with registry and repository, without tag or digest"#,
            ),
            (
                "/spec/chart",
                json!({"git": {"url": "http://g/r"}}),
                "spec.chart.git.url: plain HTTP shows credentials and content to the network; use https://, or set insecure",
            ),
            (
                "/spec/chart",
                json!({"http": {"url": "http://h/stable", "name": "web", "version": "1.x"}}),
                "spec.chart.http.url: plain HTTP shows credentials and content to the network; use https://, or set insecure",
            ),
            (
                "/spec/chart",
                json!({"http": {"url": "oci://h/stable", "name": "web", "version": "1.x"}}),
                "spec.chart.http.url: \"oci://h/stable\" must begin with https://",
            ),
            (
                "/spec/chart",
                json!({"git": {"url": "https://g/r", "ref": {"branch": "a", "tag": "b"}, "path": "a/../../b"}}),
                "spec.chart.git.ref: give at most one of branch, tag and commit; \
                 spec.chart.git.path: the path must stay inside the repository",
            ),
            (
                "/spec/releaseName",
                json!("A"),
                "spec.releaseName: release name \"A\" may hold only lower case letters, digits, '-' and '.', and must \
                 begin and end with a letter or digit; give a valid releaseName",
            ),
            (
                "/spec/valuesFrom",
                json!([
                    {"kind": "Secret", "name": "db", "targetPath": "a=1,b"},
                    {"kind": "Secret", "name": "db", "targetPath": "a.".repeat(200)},
                    {"kind": "Secret", "name": "db", "literal": true},
                ]),
                "spec.valuesFrom[0].targetPath: it is not a path such as db.password or hosts[0].name; \
                 spec.valuesFrom[1].targetPath: it is not a path such as db.password or hosts[0].name; \
                 spec.valuesFrom[2].literal: it goes with targetPath",
            ),
            (
                "/spec/serviceAccountName",
                json!("x:system:masters"),
                "spec.serviceAccountName: it is not the name of a ServiceAccount",
            ),
            (
                "/spec/postRenderers",
                json!([{}, {"kustomize": {"patches": [
                    {"patch": "- {op: add, path: /a, value: 1}"},
                    {"patch": "- {op: put, path: /a}", "target": {}},
                    {"patch": "a: [", "target": {}},
                    {"patch": "kind: Pod"},
                    {"patch": "kind: Pod", "target": {"name": "web-("}},
                ], "images": [{"name": "[", "newTag": "1"}]}}]),
                "spec.postRenderers[1].kustomize.patches[0].patch: a JSON patch names no object; give a target; \
                 spec.postRenderers[1].kustomize.patches[1].patch: operation 0: its op \"put\" is none of add, remove, \
                 replace, move, copy and test; \
                 spec.postRenderers[1].kustomize.patches[2].patch: yaml: line 1: did not find expected node content; \
                 spec.postRenderers[1].kustomize.patches[3].patch: it has no metadata.name; with a target, any will do; \
                 spec.postRenderers[1].kustomize.patches[4].target.name: error parsing regexp: missing closing ): \
                 `^(?:web-()$`; \
                 spec.postRenderers[1].kustomize.images[0].name: error parsing regexp: missing closing ]: `[`",
            ),
        ] {
            let error = validate(&with(pointer, value)).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn post_rendering_that_does_nothing_is_no_input() {
        let written = |pointer: &str, value: Value| validate(&with(pointer, value)).unwrap().post_rendering.written;
        assert_eq!(written("/spec/suspend", json!(false)), Value::Null);
        assert_eq!(written("/spec/postRenderers", json!([{}, {"kustomize": {"patches": []}}])), Value::Null);
        assert_eq!(written("/spec/commonMetadata", json!({"labels": {}})), Value::Null);
        let common = json!({"labels": {"team": "a"}});
        assert_eq!(written("/spec/commonMetadata", common.clone()), json!({"commonMetadata": common}));
        let images = json!([{"kustomize": {"images": [{"name": "nginx", "newTag": "1.27"}]}}]);
        assert_eq!(written("/spec/postRenderers", images.clone()), json!({"postRenderers": images}));
    }

    /// Which options change what is desired is decided for each of them.
    #[test]
    fn options_that_change_what_is_written_are_part_of_the_fingerprint() {
        let of = |pointer: &str, value: Value| {
            let inputs = validate(&with(pointer, value)).unwrap();
            Value::Object(inputs.policy.fingerprinted())
        };
        for (pointer, value, want) in [
            ("/spec/upgrade/crds", json!("Create"), json!({"crds": "Create"})),
            ("/spec/upgrade/crds", json!("CreateReplace"), json!({"crds": "CreateReplace"})),
            ("/spec/install/disableHooks", json!(true), json!({"disableHooks": ["install"]})),
            ("/spec/upgrade/disableHooks", json!(true), json!({"disableHooks": ["upgrade"]})),
        ] {
            assert_eq!(of(pointer, value), want, "{pointer}");
        }
        // A spec of today keeps its fingerprint when a default is written down.
        for (pointer, value) in [
            ("/spec/upgrade/crds", json!("Skip")),
            ("/spec/install/disableHooks", json!(false)),
            // What may begin, and what is tried: judged anew with each change of the spec.
            ("/spec/install/crds", json!("Skip")),
            ("/spec/install/createNamespace", json!(true)),
            ("/spec/install/replace", json!(false)),
            ("/spec/install/takeOwnership", json!(true)),
            ("/spec/upgrade/takeOwnership", json!(true)),
            ("/spec/upgrade/force", json!(true)),
            ("/spec/conflicts", json!("fail")),
            // What is waited for, and how long.
            ("/spec/interval", json!("1m")),
            ("/spec/timeout", json!("1m")),
            ("/spec/install/timeout", json!("1m")),
            ("/spec/upgrade/timeout", json!("1m")),
            ("/spec/install/disableWait", json!(true)),
            ("/spec/upgrade/disableWait", json!(true)),
            ("/spec/upgrade/disableWaitForJobs", json!(true)),
            ("/spec/failFast", json!({"crashRestarts": 9})),
            ("/spec/test", json!({"enable": true, "filters": [{"name": "a"}]})),
            // What is done afterwards.
            ("/spec/install/remediation", json!({"retries": 3})),
            ("/spec/upgrade/remediation", json!({"retries": 3, "strategy": "uninstall"})),
            ("/spec/upgrade/cleanupOnFail", json!(true)),
            ("/spec/rollback", json!({"disableHooks": true, "force": true, "cleanupOnFail": true})),
            ("/spec/uninstall", json!({"disableHooks": true, "keepHistory": true, "deletionPropagation": "orphan"})),
            ("/spec/deletionPolicy", json!("orphan")),
            ("/spec/maxHistory", json!(3)),
            ("/spec/suspend", json!(true)),
            ("/spec/serviceAccountName", json!("deployer")),
        ] {
            assert_eq!(of(pointer, value), json!({}), "{pointer}");
        }
    }

    #[test]
    fn what_was_begun_goes_on_under_a_wrong_spec() {
        let release = with("/spec/interval", json!("soon"));
        let failure = Failure::from(validate(&release).unwrap_err());
        let desired = desired(&release, Err(failure.clone())).unwrap();
        assert_eq!(desired.policy, Policy::default());
        assert_eq!(desired.target, Err(failure));
    }

    #[test]
    fn release_names_are_composed_as_flux_composes_them() {
        let name = |release: &HelmRelease| release_id(release).unwrap().to_string();
        assert_eq!(name(&with("/spec/targetNamespace", json!("prod"))), "prod/prod-podinfo");
        assert_eq!(name(&with("/spec/releaseName", json!("web"))), "apps/web");
        let long = name(&with("/metadata/name", json!("a".repeat(60))));
        // sha256 of sixty letters a
        assert_eq!(long, format!("apps/{}-11ee391211c6", "a".repeat(40)));
    }

    #[test]
    fn release_that_the_status_names_goes_before_the_one_that_the_spec_means() {
        let told = |release: &HelmRelease| {
            let (home, claim) = home(release).unwrap();
            match claim {
                Claim::Made => home.to_string(),
                Claim::Missing => format!("{home} is not named yet"),
                Claim::Moving(to) => format!("{home} moves to {to}"),
            }
        };
        let mut release = with("/spec/storageNamespace", json!("ops"));
        assert_eq!(told(&release), "apps/podinfo with its records in ops is not named yet");
        let (home, _) = home(&release).unwrap();
        assert_eq!(home.records().to_string(), "ops/podinfo");
        release.status = Some(HelmReleaseStatus { release: Some((&home).into()), ..HelmReleaseStatus::default() });
        assert_eq!(told(&release), "apps/podinfo with its records in ops");
        for (field, want) in [
            ("releaseName", "apps/other with its records in ops"),
            ("targetNamespace", "other/other-podinfo with its records in ops"),
            ("storageNamespace", "apps/podinfo with its records in other"),
        ] {
            let mut changed = with(&format!("/spec/{field}"), json!("other"));
            changed.spec.storage_namespace.get_or_insert("ops".to_owned());
            changed.status.clone_from(&release.status);
            assert_eq!(told(&changed), format!("apps/podinfo with its records in ops moves to {want}"));
        }
    }

    #[test]
    fn annotations_are_asks() {
        let annotations = json!({HOLD: "Black Friday", RETRY_AT: "1", RECONCILE_AT: "2"});
        let asks = asks(&with("/metadata/annotations", annotations));
        assert_eq!(asks.hold.as_deref(), Some("Black Friday"));
        assert_eq!((asks.retry, asks.reconcile.as_deref()), (RetryToken::of("1"), Some("2")));
    }

    #[test]
    fn unknown_fields_are_let_through() {
        assert!(validate(&with("/spec/fromTheFuture", json!(true))).is_ok());
    }
}
