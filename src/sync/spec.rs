//! What a GitSync asks for, checked. Pure.

use std::time::Duration;

use jiff::SignedDuration;

use super::files::Ignore;
use crate::api::validate::{FieldError, FieldErrors, check_git};
use crate::api::{CONFIRM_PRUNE, GitSync, RECONCILE_AT};
use crate::chart::source_ref::{GitFiles, GitReference, GitUrl, InvalidSource, SourceRef, TreePath};

const INTERVAL: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
const TIMEOUT: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));

/// A spec that can be worked with.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) source: SourceRef,
    /// The folder within the repository, without slashes around it.
    pub(super) path: String,
    pub(super) ignore: Ignore,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// Of objects that name none.
    pub(super) namespace: String,
}

/// Checks the whole spec.
///
/// # Errors
/// All fields that are wrong.
pub(super) fn wanted(object: &GitSync) -> Result<Wanted, FieldErrors> {
    let spec = &object.spec;
    let mut errors = Vec::new();
    let reference = spec.reference.clone().unwrap_or_default();
    check_git("spec", &spec.url, spec.insecure, &reference, spec.path.as_deref(), &mut errors);
    let mut duration = |field: &str, value: &crate::api::Duration, (min, max)| {
        let parsed = value.parse(min, max).map_err(|problem| error(field, &problem));
        parsed.map(|duration| Duration::try_from(duration).unwrap_or_default()).map_err(|e| errors.push(e)).ok()
    };
    let interval = duration("spec.interval", &spec.interval, INTERVAL);
    let timeout = duration("spec.timeout", &spec.timeout, TIMEOUT);
    let mut read = |field: &str, result: Result<SourcePart, InvalidSource>| {
        result.map_err(|problem| errors.push(error(field, &problem))).ok()
    };
    let url = read("spec.url", GitUrl::parse(&spec.url).map(SourcePart::Url));
    let picked = read("spec.ref", pick(&reference).map(SourcePart::Reference));
    let path = read("spec.path", TreePath::parse(spec.path.as_deref().unwrap_or_default()).map(SourcePart::Path));
    match (url, picked, path, interval, timeout) {
        (
            Some(SourcePart::Url(url)),
            Some(SourcePart::Reference(reference)),
            Some(SourcePart::Path(path)),
            Some(interval),
            Some(timeout),
        ) if errors.is_empty() => Ok(Wanted {
            path: path.to_string(),
            source: SourceRef::Git { url, reference, path, files: GitFiles::Manifests },
            ignore: Ignore::new(&spec.ignore),
            interval,
            timeout,
            namespace: spec.target_namespace.clone().or_else(|| object.metadata.namespace.clone()).unwrap_or_default(),
        }),
        _ => {
            // Both readers see some mistakes; one sentence for each field is enough.
            errors.dedup_by(|later, first| later.field == first.field);
            Err(FieldErrors(errors))
        }
    }
}

enum SourcePart {
    Url(GitUrl),
    Reference(GitReference),
    Path(TreePath),
}

fn pick(reference: &crate::api::GitReference) -> Result<GitReference, InvalidSource> {
    match (&reference.branch, &reference.tag, &reference.commit) {
        (_, _, Some(commit)) => GitReference::commit(commit),
        (_, Some(tag), None) => GitReference::tag(tag),
        (Some(branch), None, None) => GitReference::branch(branch),
        (None, None, None) => Ok(GitReference::Default),
    }
}

fn error(field: &str, problem: &dyn std::fmt::Display) -> FieldError {
    FieldError { field: field.to_owned(), message: problem.to_string() }
}

/// The last pass that was asked for by annotation.
pub(super) fn asked_at(object: &GitSync) -> Option<&str> {
    annotation(object, RECONCILE_AT)
}

/// Whether a pass is asked for that has not been made.
pub(super) fn is_asked(object: &GitSync) -> bool {
    let handled = object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
    asked_at(object).is_some_and(|asked| Some(asked) != handled)
}

/// Whether a large prune of this commit is allowed.
pub(super) fn confirms(object: &GitSync, commit: &str) -> bool {
    annotation(object, CONFIRM_PRUNE) == Some(commit)
}

fn annotation<'a>(object: &'a GitSync, name: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GitSyncSpec;
    use serde_json::{Value, json};

    fn sync(change: &Value) -> GitSync {
        let mut spec = json!({"url": "https://git.example.com/org/fleet.git", "path": "./prod/"});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let mut object = GitSync::new("fleet", serde_json::from_value::<GitSyncSpec>(spec).unwrap());
        object.metadata.namespace = Some("ops".into());
        object
    }

    #[test]
    fn a_good_spec_is_a_source_with_its_times() {
        let wanted = wanted(&sync(&json!({"ref": {"branch": "main"}, "interval": "2m"}))).unwrap();
        assert_eq!(wanted.source.to_string(), "https://git.example.com/org/fleet.git at branch main in prod");
        assert_eq!((wanted.interval.as_secs(), wanted.timeout.as_secs()), (120, 300));
        assert_eq!((wanted.namespace.as_str(), wanted.path.as_str()), ("ops", "prod"));
        let elsewhere = super::wanted(&sync(&json!({"targetNamespace": "apps"}))).unwrap();
        assert_eq!(elsewhere.namespace, "apps");
    }

    #[test]
    fn every_wrong_field_is_named_once() {
        for (change, expected) in [
            (json!({"interval": "1ms"}), "spec.interval: \"1ms\" is out of bounds; allowed is 1s to 24h"),
            (json!({"path": "a/../b"}), "spec.path: the path must stay inside the repository"),
            (json!({"ref": {"branch": "--upload-pack=x"}}), "spec.ref: branch \"--upload-pack=x\" is not a Git"),
            (json!({"url": "http://h/a"}), "spec.url: plain HTTP shows credentials"),
            (json!({"url": "https://u:canary@h/a"}), "spec.url: url \"https://***@h/a\" holds a name or password"),
        ] {
            let text = wanted(&sync(&change)).expect_err("it is wrong").to_string();
            assert!(text.starts_with(expected) && !text.contains("canary"), "{text}");
            assert_eq!(text.matches("spec.").count(), 1, "{text}");
        }
        assert!(wanted(&sync(&json!({"url": "http://h/a", "insecure": true}))).is_ok());
    }

    #[test]
    fn each_request_for_a_pass_counts_once() {
        let mut object = sync(&json!({}));
        assert!(!is_asked(&object));
        object.metadata.annotations = Some([(RECONCILE_AT.to_owned(), "1".to_owned())].into());
        assert!(is_asked(&object));
        let status = json!({"lastHandledReconcileAt": "1"});
        object.status = Some(serde_json::from_value(status).unwrap());
        assert!(!is_asked(&object));
    }
}
