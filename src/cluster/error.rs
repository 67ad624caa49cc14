//! What the API server answered, sorted by what the asker may do about it.
//!
//! The text of an answer can quote fields of the object that was sent. [`Error::of`] therefore takes the object's kind:
//! for a Secret only the names of the fields are kept, never the text.

use std::time::Duration;

use kube::core::Status;

/// A request that failed: what was asked, of which object, and the answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {object}")]
pub struct Error {
    /// A verb in the infinitive: `apply`, `delete`, `list`.
    pub action: &'static str,
    /// As people name it: `Deployment apps/podinfo`.
    pub object: String,
    #[source]
    pub answer: Answer,
}

/// The answer, one variant for each thing a caller treats differently.
#[derive(Debug, thiserror::Error)]
pub enum Answer {
    /// No answer, or one that says "later": 429, 5xx, a webhook that could not be called, a leader change in etcd.
    #[error("{message}")]
    Transient { message: String, retry_after: Option<Duration> },
    /// Somebody wrote the object in between: read it again, decide again.
    #[error("{message}")]
    Stale { message: String },
    /// Other field managers own fields that were sent (server-side apply without force).
    #[error("{}", list_fields(.0))]
    Fields(Vec<FieldConflict>),
    #[error("{message}")]
    NotFound { message: String },
    #[error("{message}")]
    AlreadyExists { message: String },
    /// RBAC, admission or quota said no.
    #[error("{message}")]
    Refused { message: String },
    /// The object itself is wrong: schema, unknown field, immutable field.
    #[error("{message}")]
    Invalid { message: String },
    /// Fields that cannot change once they are set: only deleting the object and creating it again does.
    #[error("{} cannot be changed", fields.join(", "))]
    Immutable {
        fields: Vec<String>,
        /// Where a whole part of the object is meant: its fields that may change nevertheless.
        except: Vec<String>,
    },
    /// A definition that exists cannot become this one.
    #[error("{0}")]
    Incompatible(String),
    /// The watch or the list continues too late; start again.
    #[error("{message}")]
    Gone { message: String },
    /// The cluster serves no such kind.
    #[error("the cluster serves no kind {kind} in {api_version}; install its CustomResourceDefinition")]
    UnknownKind { api_version: String, kind: String },
    /// An object of somebody else stands where one of ours would go.
    #[error("{0}")]
    Foreign(String),
}

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    /// As the API server writes it: `.spec.replicas`.
    pub field: String,
    /// The other manager; `kube-controller-manager`, `kubectl`.
    pub manager: String,
    /// Through which subresource it was set; `scale` for `kubectl scale` and for an autoscaler.
    pub subresource: Option<String>,
}

impl Error {
    pub(super) fn of(action: &'static str, object: impl ToString, kind: &str, source: kube::Error) -> Self {
        Error { action, object: object.to_string(), answer: Answer::of(source, kind == "Secret") }
    }

    pub(super) fn new(action: &'static str, object: impl ToString, answer: Answer) -> Self {
        Error { action, object: object.to_string(), answer }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self.answer, Answer::NotFound { .. })
    }

    pub fn is_already_exists(&self) -> bool {
        matches!(self.answer, Answer::AlreadyExists { .. })
    }

    /// Whether the fence was lost: somebody else wrote first.
    pub fn is_stale(&self) -> bool {
        matches!(self.answer, Answer::Stale { .. } | Answer::AlreadyExists { .. })
    }
}

impl Answer {
    fn of(source: kube::Error, secret: bool) -> Self {
        match source {
            kube::Error::Api(status) => Answer::of_status(&status, secret),
            // Everything else is the way to the server, not the server: it may work next time.
            other => Answer::Transient { message: crate::text::chain(&other), retry_after: None },
        }
    }

    fn of_status(status: &Status, secret: bool) -> Self {
        if let Some(problem) = wrong_type(&status.message, secret) {
            return Answer::Invalid { message: problem };
        }
        if let Some(answer) = immutable(status) {
            return answer;
        }
        let message = match secret && status.code == 422 {
            true => fields_only(status),
            false => status.message.clone(),
        };
        let webhook_down = status.message.contains("failed calling webhook");
        // Server-side apply of a field that the schema does not have is a 500, although it never gets better.
        if status.message.starts_with("failed to create typed patch object") {
            return Answer::Invalid { message };
        }
        match (status.code, status.reason.as_str()) {
            (409, "AlreadyExists") => Answer::AlreadyExists { message },
            (409, _) => match field_conflicts(status) {
                fields if fields.is_empty() => Answer::Stale { message },
                fields => Answer::Fields(fields),
            },
            (404, _) => Answer::NotFound { message },
            (410, _) => Answer::Gone { message },
            (400 | 413 | 415 | 422, _) if !webhook_down => Answer::Invalid { message },
            (401 | 403 | 405, _) if !webhook_down => Answer::Refused { message },
            _ => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                Answer::Transient { message, retry_after }
            }
        }
    }
}

/// Whether a refusal is only about fields that cannot change; their names, never their values.
fn immutable(status: &Status) -> Option<Answer> {
    let causes = &status.details.as_ref().filter(|_| status.code == 422)?.causes;
    if causes.is_empty() || !causes.iter().all(|cause| is_about_immutability(&cause.message)) {
        return None;
    }
    let mut fields: Vec<_> = causes.iter().map(|cause| cause.field.clone()).collect();
    fields.dedup();
    // `updates to statefulset spec for fields other than 'replicas', 'ordinals', … are forbidden`
    let words = causes.iter().filter(|cause| cause.message.contains("other than"));
    let except = words.flat_map(|cause| cause.message.split('\'').skip(1).step_by(2)).map(str::to_owned).collect();
    Some(Answer::Immutable { fields, except })
}

/// Kubernetes has no code for it, only these words (`pkg/apis/*/validation`); authors of definitions write "immutable".
fn is_about_immutability(message: &str) -> bool {
    const WORDS: &[&str] = &[
        "immutable",
        "may not change once set",
        "may not be changed in an update",
        "cannot change roleRef",
        "updates to statefulset spec",
        "pod updates may not change",
    ];
    WORDS.iter().any(|words| message.contains(words) || message.to_lowercase().contains(words))
}

/// A field that server-side apply cannot fit into the kind's schema: `.data.port: expected string, got 80`.
///
/// The API server answers 500 there, as if it might work the next time.
fn wrong_type(message: &str, secret: bool) -> Option<String> {
    let (_, problem) = message.strip_prefix("failed to create typed patch object ")?.split_once("): ")?;
    // It quotes what it got, for a Secret the secret.
    let (field, rest) = problem.split_once(": ").unwrap_or((problem, ""));
    let (problem, got) = rest.split_once(", got ").unwrap_or((rest, ""));
    let got = got.strip_prefix("&value.valueUnstructured{Value:").and_then(|got| got.strip_suffix('}')).unwrap_or(got);
    let got = if secret || got.is_empty() { String::new() } else { format!(", got {got}") };
    let way_out = if problem == "expected string" { "; numbers and booleans need quotes there" } else { "" };
    Some(format!("{field}: {problem}{got}{way_out}"))
}

fn fields_only(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<_> = causes.map(|cause| format!("{} ({})", cause.field, cause.reason)).collect();
    format!("the API server calls these fields invalid: {}", fields.join(", "))
}

fn field_conflicts(status: &Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            let mut quoted = cause.message.split('"').skip(1).step_by(2);
            FieldConflict {
                field: cause.field.clone(),
                manager: quoted.next().unwrap_or("unknown").to_owned(),
                subresource: quoted.next().map(str::to_owned),
            }
        })
        .collect()
}

fn list_fields(conflicts: &[FieldConflict]) -> String {
    let fields: Vec<_> = conflicts.iter().map(|c| format!("{} is owned by {}", c.field, c.manager)).collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: serde_json::Value, kind: &str) -> Answer {
        let status: Status = serde_json::from_value(status).unwrap();
        Error::of("apply", "it", kind, kube::Error::Api(Box::new(status))).answer
    }

    #[test]
    fn fields_of_other_managers_are_named_with_their_subresource() {
        // As kube-apiserver 1.36 answers a server-side apply after `kubectl scale`.
        let conflict = json!({"code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict", "details": {"causes": [{
            "reason": "FieldManagerConflict",
            "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1",
            "field": ".spec.replicas",
        }]}});
        let Answer::Fields(fields) = answer(conflict, "Deployment") else { panic!("not a field conflict") };
        assert_eq!(
            fields,
            [FieldConflict {
                field: ".spec.replicas".into(),
                manager: "kubectl".into(),
                subresource: Some("scale".into())
            }]
        );
    }

    #[test]
    fn answers_are_sorted_by_what_may_be_done_about_them() {
        let status =
            |code: u16, reason: &str, message: &str| json!({"code": code, "reason": reason, "message": message});
        assert!(matches!(answer(status(429, "TooManyRequests", ""), ""), Answer::Transient { .. }));
        assert!(matches!(answer(status(403, "Forbidden", "exceeded quota"), ""), Answer::Refused { .. }));
        assert!(matches!(answer(status(409, "Conflict", "object has been modified"), ""), Answer::Stale { .. }));
        assert!(matches!(answer(status(422, "Invalid", "must be a name"), ""), Answer::Invalid { .. }));
        let webhook = status(400, "BadRequest", "failed calling webhook \"x\": connection refused");
        assert!(matches!(answer(webhook, ""), Answer::Transient { .. }));
    }

    #[test]
    fn field_of_the_wrong_type_is_invalid_although_the_server_calls_it_its_own_error() {
        // As kube-apiserver 1.36 answers.
        let status = |text: &str| {
            let message = format!("failed to create typed patch object (apps/x; /v1, Kind=Secret): {text}");
            json!({"code": 500, "reason": "InternalError", "message": message})
        };
        let number = ".data.a: expected string, got &value.valueUnstructured{Value:8080}";
        for (text, kind, want) in [
            (number, "ConfigMap", ".data.a: expected string, got 8080; numbers and booleans need quotes there"),
            (number, "Secret", ".data.a: expected string; numbers and booleans need quotes there"),
            (".spec.foo: field not declared in schema", "Service", ".spec.foo: field not declared in schema"),
            (".spec.a: expected numeric, got string", "Service", ".spec.a: expected numeric, got string"),
        ] {
            let answer = answer(status(text), kind);
            assert!(matches!(answer, Answer::Invalid { .. }), "{answer:?}");
            assert_eq!(answer.to_string(), want);
        }
    }

    #[test]
    fn fields_that_cannot_change_are_named_without_their_values() {
        // As kube-apiserver 1.36 answers.
        let forbidden =
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden";
        let selector = "Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable";
        for (causes, want) in [
            (json!([{"field": "spec.selector", "message": selector}]), "spec.selector cannot be changed"),
            (json!([{"field": "spec", "message": forbidden}]), "spec cannot be changed"),
            (
                json!([{"field": "type", "message": "Invalid value: \"x\": field is immutable"},
                {"field": "metadata.name", "message": "Required value"}]),
                "",
            ),
        ] {
            let status = json!({"code": 422, "reason": "Invalid", "message": "no", "details": {"causes": causes}});
            let found = answer(status, "StatefulSet");
            match found {
                Answer::Immutable { ref except, .. } => {
                    assert_eq!(found.to_string(), want);
                    assert_eq!(except.len(), if want.starts_with("spec ") { 2 } else { 0 });
                }
                other => assert_eq!(want, "", "{other:?}"),
            }
        }
    }

    #[test]
    fn refusal_of_a_secret_quotes_no_value() {
        let invalid = json!({"code": 422, "reason": "Invalid", "message": "data[x]: Invalid value: \"hunter2\"", "details": {
            "causes": [{"reason": "FieldValueInvalid", "message": "Invalid value: \"hunter2\"", "field": "data[x]"}]}});
        let text = answer(invalid, "Secret").to_string();
        assert!(!text.contains("hunter2") && text.contains("data[x]"), "{text}");
    }
}
