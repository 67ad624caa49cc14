//! Lasting marks of a revision: labels on its Secret that Helm's record has no field for.
//!
//! `helm` copies a release's labels to the next revision it makes, so each mark names the revision it speaks of
//! (`pintle.dev/verified: v7`) and is void on any other. All holds are read from these marks and the history: a lost
//! status loses none of them.

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use super::Revision;
use super::digest::Fingerprint;

/// Every label and annotation of ours begins so.
pub const PREFIX: &str = "pintle.dev/";

const VERIFIED: &str = "pintle.dev/verified";
const FINGERPRINT: &str = "pintle.dev/fingerprint";
const FAILURES: &str = "pintle.dev/failures";
const SETTLED: &str = "pintle.dev/settled";
const RETRY: &str = "pintle.dev/retry";
const TESTED: &str = "pintle.dev/tested";

/// What Pintle says of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What was desired when Pintle made (or took over) the revision. Without it the revision is somebody else's.
    pub fingerprint: Option<Fingerprint>,
    /// Its objects were seen healthy.
    pub verified: bool,
    /// How often this fingerprint has failed, this revision included; on failed revisions only.
    pub failures: Option<u32>,
    /// A rollback whose content the spec asked for afterwards: from then on it is a deployment like any other.
    pub settled: bool,
    /// The `pintle.dev/retry-at` request that stood when the revision was made, and which has acted thereby.
    pub retry: Option<RetryToken>,
    /// How its tests ended, where they were run.
    pub tested: Option<Tested>,
}

/// How the tests of a revision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tested {
    Passed,
    Failed,
}

impl Tested {
    fn as_str(self) -> &'static str {
        match self {
            Tested::Passed => "passed",
            Tested::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Tested::Passed, Tested::Failed].into_iter().find(|tested| tested.as_str() == word)
    }
}

/// The value of a `pintle.dev/retry-at` annotation, hashed short: people write anything into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetryToken(String);

impl RetryToken {
    /// The token of an annotation's value; none for an empty one.
    pub fn of(value: &str) -> Option<Self> {
        const BYTES: usize = 10;
        let digest = Sha256::digest(value.as_bytes());
        (!value.is_empty()).then(|| RetryToken(BASE32_NOPAD.encode(&digest[..BYTES]).to_ascii_lowercase()))
    }

    /// The form that marks and status keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what [`RetryToken::as_str`] gave.
    pub fn from_stored(text: &str) -> Self {
        RetryToken(text.to_owned())
    }
}

impl Marks {
    /// The marks among a Secret's labels that speak of this revision.
    pub fn read(labels: &BTreeMap<String, String>, revision: Revision) -> Self {
        let value = |key: &str| {
            let (of, rest) = match labels.get(key)?.split_once('.') {
                Some((of, rest)) => (of, rest),
                None => (labels.get(key)?.as_str(), ""),
            };
            (of == revision.tag()).then_some(rest)
        };
        Marks {
            fingerprint: value(FINGERPRINT).and_then(Fingerprint::decode),
            verified: value(VERIFIED).is_some(),
            failures: value(FAILURES).and_then(|count| count.parse().ok()),
            settled: value(SETTLED).is_some(),
            retry: value(RETRY).map(RetryToken::from_stored),
            tested: value(TESTED).and_then(Tested::parse),
        }
    }

    /// The labels that say this of the revision. A revision above 99,999,999 is too long for its fingerprint mark and
    /// goes without it.
    pub fn labels(&self, revision: Revision) -> BTreeMap<String, String> {
        const LABEL_LENGTH_MAX: usize = 63;
        let tag = revision.tag();
        let mut labels = BTreeMap::new();
        if let Some(fingerprint) = &self.fingerprint {
            labels.insert(FINGERPRINT.to_owned(), format!("{tag}.{}", fingerprint.encoded()));
        }
        if self.verified {
            labels.insert(VERIFIED.to_owned(), tag.clone());
        }
        if let Some(failures) = self.failures {
            labels.insert(FAILURES.to_owned(), format!("{tag}.{failures}"));
        }
        if self.settled {
            labels.insert(SETTLED.to_owned(), tag.clone());
        }
        if let Some(retry) = &self.retry {
            labels.insert(RETRY.to_owned(), format!("{tag}.{}", retry.as_str()));
        }
        if let Some(tested) = self.tested {
            labels.insert(TESTED.to_owned(), format!("{tag}.{}", tested.as_str()));
        }
        labels.retain(|_, value| value.len() <= LABEL_LENGTH_MAX);
        labels
    }

    /// Writes the marks over whatever marks the labels held, leaving the users' labels alone.
    pub fn write(&self, revision: Revision, labels: &mut BTreeMap<String, String>) {
        labels.retain(|key, _| !key.starts_with(PREFIX));
        labels.extend(self.labels(revision));
    }
}

/// The labels that are not ours: what goes on to the next revision.
pub fn without(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.iter().filter(|(key, _)| !key.starts_with(PREFIX)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Whether Pintle ever had a hand in the release, as far as these labels tell: also marks that Helm copied on.
pub fn any(labels: &BTreeMap<String, String>) -> bool {
    labels.keys().any(|key| key.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{ReleaseId, ReleaseName, digest};

    fn marks() -> Marks {
        let release = ReleaseId { namespace: "apps".into(), name: ReleaseName::parse("web").unwrap() };
        let values = serde_json::Map::new();
        Marks {
            fingerprint: Some(Fingerprint::of(digest::Inputs {
                chart_digest: "sha256:a",
                values: &values,
                release: &release,
                post_rendering: &serde_json::Value::Null,
                options: &values,
            })),
            verified: true,
            failures: Some(2),
            settled: true,
            retry: RetryToken::of("Mon Nov 23 17:14:54 UTC 2026"),
            tested: Some(Tested::Passed),
        }
    }

    #[test]
    fn marks_read_back_on_their_own_revision_only() {
        let labels = marks().labels(Revision(7));
        assert_eq!(Marks::read(&labels, Revision(7)), marks());
        assert_eq!(Marks::read(&labels, Revision(8)), Marks::default());
        assert_eq!(Marks::read(&labels, Revision(70)), Marks::default());
        assert!(any(&labels));
    }

    #[test]
    fn every_mark_fits_a_label_and_has_its_characters() {
        for (key, value) in marks().labels(Revision(99_999_999)) {
            assert!(value.len() <= 63, "{key}: {value}");
            assert!(value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.'), "{key}: {value}");
        }
        assert_eq!(marks().labels(Revision(99_999_999)).len(), 6);
        assert!(!marks().labels(Revision(100_000_000)).contains_key(FINGERPRINT));
    }

    #[test]
    fn writing_marks_leaves_the_labels_of_users() {
        let mut labels =
            BTreeMap::from([("team".to_owned(), "web".to_owned()), (VERIFIED.to_owned(), "v3".to_owned())]);
        Marks { settled: true, ..Marks::default() }.write(Revision(4), &mut labels);
        assert_eq!(labels.len(), 2);
        assert_eq!(without(&labels), BTreeMap::from([("team".to_owned(), "web".to_owned())]));
    }

    #[test]
    fn garbage_in_labels_is_no_mark() {
        let labels = BTreeMap::from([
            (FINGERPRINT.to_owned(), "v7.1zzz".to_owned()),
            (FAILURES.to_owned(), "v7.many".to_owned()),
            (VERIFIED.to_owned(), "yes".to_owned()),
        ]);
        assert_eq!(Marks::read(&labels, Revision(7)), Marks::default());
    }
}
