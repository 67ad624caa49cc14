//! What failed, as the plan and people see it: a class that says what to do about it, a word, a sentence.

use std::borrow::Cow;

use crate::cluster::error::{Answer, Error as ClusterError};
use crate::plan::{Failure, FailureClass};
use crate::text;

/// The failure of a request to the cluster.
pub(super) fn of_cluster(error: &ClusterError) -> Failure {
    let (class, reason) = match &error.answer {
        Answer::Transient { message, .. } if message.contains("database space exceeded") => {
            (FailureClass::Transient, "EtcdFull")
        }
        Answer::Transient { .. } => (FailureClass::Transient, "ApiUnavailable"),
        Answer::Stale { .. } | Answer::AlreadyExists { .. } => (FailureClass::Transient, "WriteConflict"),
        Answer::Gone { .. } => (FailureClass::Transient, "ApiUnavailable"),
        Answer::Fields(_) => (FailureClass::Refused, "FieldConflict"),
        Answer::NotFound { message } if message.starts_with("namespaces ") => {
            (FailureClass::Refused, "NamespaceMissing")
        }
        Answer::NotFound { .. } => (FailureClass::Refused, "NotFound"),
        Answer::Refused { message } => (FailureClass::Refused, refusal(message)),
        Answer::Immutable { .. } => (FailureClass::Input, "ImmutableField"),
        Answer::Incompatible(_) => (FailureClass::Refused, "DefinitionIncompatible"),
        Answer::Invalid { .. } => (FailureClass::Input, "InvalidObject"),
        Answer::UnknownKind { .. } => (FailureClass::Refused, "KindMissing"),
        Answer::Foreign(_) => (FailureClass::Refused, "ForeignObject"),
    };
    let way_out = match reason {
        "EtcdFull" => {
            "; the cluster takes no writes until its etcd has space again: compact and defragment it, then disarm the alarm"
        }
        "NamespaceMissing" => "; create the Namespace, or set install.createNamespace",
        "ImmutableField" => "; change it back, or set upgrade.force to have the object deleted and created again",
        _ => "",
    };
    Failure { class, reason: Cow::Borrowed(reason), message: format!("{}{way_out}", text::chain(error)) }
}

/// Admission, quota and RBAC all answer 403.
fn refusal(message: &str) -> &'static str {
    if message.contains("exceeded quota") {
        "QuotaExceeded"
    } else if message.contains("admission webhook") || message.contains("violates PodSecurity") {
        "AdmissionDenied"
    } else if message.contains("is being terminated") {
        "NamespaceTerminating"
    } else {
        "Forbidden"
    }
}

/// A failure of the inputs: nothing changes until they do.
pub(super) fn input(reason: &'static str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure { class: FailureClass::Input, reason: Cow::Borrowed(reason), message: text::chain(error) }
}

/// A failure in words.
pub(super) fn failure(class: FailureClass, reason: &'static str, message: impl Into<String>) -> Failure {
    Failure { class, reason: Cow::Borrowed(reason), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_etcd_is_named_with_the_way_out_and_blames_no_release() {
        // As kube-apiserver 1.36 answers a write then, with status 500.
        let message = "etcdserver: mvcc: database space exceeded".to_owned();
        let answer = Answer::Transient { message, retry_after: None };
        let failure = of_cluster(&ClusterError { action: "store", object: "Secret apps/web".to_owned(), answer });
        assert_eq!((failure.class, failure.reason.as_ref()), (FailureClass::Transient, "EtcdFull"));
        assert_eq!(
            failure.message,
            "cannot store Secret apps/web: etcdserver: mvcc: database space exceeded; the cluster takes no writes until \
             its etcd has space again: compact and defragment it, then disarm the alarm"
        );
    }
}
