//! What a pass came to, as the status of the GitSync and as Events. Pure.
//!
//! | situation | Ready | also |
//! |---|---|---|
//! | every document applied, everything pruned | True | |
//! | applying, waiting for objects to be gone | Unknown | Reconciling |
//! | files unreadable, documents refused, prune unconfirmed | False | Stalled |
//! | something that passes by itself | False | Reconciling |
//! | source down, a commit is applied | as before | summary names the source |
//! | suspended | as before | summary says so |

use jiff::Timestamp;
use serde_json::Value;

use super::Key;
use crate::api::conditions::Conditions;
use crate::api::git_sync::SyncError;
use crate::api::{CONFIRM_PRUNE, GitSyncStatus, ObjectRef};
use crate::manifest::id::ObjectId;
use crate::text::{MESSAGE_BYTES_MAX, truncate};

/// How many errors the status lists.
const ERRORS_SHOWN_MAX: usize = 20;
/// How many objects a sentence names.
const NAMES_SHOWN_MAX: usize = 3;

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    /// The commit that was worked on, where it is known.
    pub(super) commit: Option<String>,
    pub(super) verdict: Verdict,
    /// What was applied and is not gone; `None` where the pass did not come so far.
    pub(super) inventory: Option<Vec<ObjectId>>,
    /// The annotation that asked for this pass.
    pub(super) asked_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Suspended,
    /// The spec, the secret or the ServiceAccount cannot be used.
    Unusable {
        reason: &'static str,
        message: String,
    },
    /// The repository gave no commit or no files.
    SourceFailed {
        reason: &'static str,
        message: String,
        passes: bool,
    },
    /// The commit holds no document at all.
    Empty {
        message: String,
    },
    /// Work on a commit begins.
    Applying,
    /// Not every file could be read or not every document applied. Nothing was pruned.
    Incomplete {
        errors: Vec<SyncError>,
        applied: usize,
        passes: bool,
    },
    /// Objects of the commit are still going from an earlier time; they are made again afterwards.
    Returning {
        going: Vec<ObjectId>,
    },
    PruneToConfirm {
        count: usize,
        of: usize,
    },
    /// Everything is applied; these are on their way out.
    Pruning {
        going: Vec<(ObjectId, Vec<String>)>,
    },
    PruneFailed {
        message: String,
        passes: bool,
    },
    TimedOut {
        message: String,
    },
    Complete {
        applied: usize,
    },
}

/// Something to tell as an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) warning: bool,
    pub(super) reason: String,
    pub(super) note: String,
}

impl Verdict {
    /// Whether it passes by itself, so that it is tried again soon.
    pub(super) fn passes(&self) -> bool {
        match self {
            Verdict::SourceFailed { passes, .. }
            | Verdict::Incomplete { passes, .. }
            | Verdict::PruneFailed { passes, .. } => *passes,
            Verdict::TimedOut { .. } => true,
            Verdict::Suspended
            | Verdict::Unusable { .. }
            | Verdict::Empty { .. }
            | Verdict::Applying
            | Verdict::Returning { .. }
            | Verdict::PruneToConfirm { .. }
            | Verdict::Pruning { .. }
            | Verdict::Complete { .. } => false,
        }
    }

    /// Whether it waits for objects to be gone.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Verdict::Returning { .. } | Verdict::Pruning { .. })
    }

    /// Whether what is in Git is not in the cluster, and no waiting of ours changes that.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Verdict::Unusable { .. }
            | Verdict::SourceFailed { .. }
            | Verdict::Empty { .. }
            | Verdict::Incomplete { .. }
            | Verdict::PruneToConfirm { .. }
            | Verdict::PruneFailed { .. }
            | Verdict::TimedOut { .. } => true,
            Verdict::Suspended
            | Verdict::Applying
            | Verdict::Returning { .. }
            | Verdict::Pruning { .. }
            | Verdict::Complete { .. } => false,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Verdict::Suspended => "Suspended",
            Verdict::Unusable { reason, .. } | Verdict::SourceFailed { reason, .. } => reason,
            Verdict::Empty { .. } => "NoDocuments",
            Verdict::Applying => "Applying",
            Verdict::Incomplete { .. } => "Incomplete",
            Verdict::Returning { .. } => "WaitingForDeletion",
            Verdict::PruneToConfirm { .. } => "PruneToConfirm",
            Verdict::Pruning { .. } => "Pruning",
            Verdict::PruneFailed { .. } => "PruneFailed",
            Verdict::TimedOut { .. } => "TimedOut",
            Verdict::Complete { .. } => "Applied",
        }
    }
}

/// How the GitSync stands: a row of the table above.
enum Standing {
    Ready,
    Busy,
    Failed,
    Stalled,
    AsBefore,
}

/// The new status, from the one before and what the pass came to.
pub(super) fn status(
    key: &Key,
    generation: i64,
    previous: &GitSyncStatus,
    report: &Report,
    now: Timestamp,
) -> GitSyncStatus {
    let verdict = &report.verdict;
    let sentence = truncate(&sentence(key, report), MESSAGE_BYTES_MAX);
    let standing = standing(previous, verdict);
    let mut conditions = Conditions::new(&previous.conditions, generation, now);
    let reason = verdict.reason();
    match standing {
        Standing::Ready => conditions.add("Ready", "True", reason, &sentence),
        Standing::Busy => {
            conditions.add("Ready", "Unknown", reason, &sentence);
            conditions.add("Reconciling", "True", reason, &sentence);
        }
        Standing::Failed => {
            conditions.add("Ready", "False", reason, &sentence);
            conditions.add("Reconciling", "True", reason, &sentence);
        }
        Standing::Stalled => {
            conditions.add("Ready", "False", reason, &sentence);
            conditions.add("Stalled", "True", reason, &sentence);
        }
        Standing::AsBefore => conditions.keep_all(),
    }
    let errors = match verdict {
        Verdict::Incomplete { errors, .. } => errors.as_slice(),
        // What was found in the commit stays true while it is only being looked at again.
        Verdict::Applying | Verdict::Suspended | Verdict::SourceFailed { .. } => previous.errors.as_slice(),
        _ => &[],
    };
    let error_count = match verdict {
        Verdict::Applying | Verdict::Suspended | Verdict::SourceFailed { .. } => previous.error_count,
        _ => Some(errors.len()).filter(|count| *count > 0).map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
    };
    GitSyncStatus {
        observed_generation: Some(generation),
        summary: sentence,
        conditions: conditions.into_vec(),
        attempted_commit: report.commit.clone().or_else(|| previous.attempted_commit.clone()),
        applied_commit: match verdict {
            Verdict::Complete { .. } => report.commit.clone(),
            _ => previous.applied_commit.clone(),
        },
        errors: errors.iter().take(ERRORS_SHOWN_MAX).map(shortened).collect(),
        error_count,
        inventory: match &report.inventory {
            Some(objects) => objects.iter().map(ObjectRef::from).collect(),
            None => previous.inventory.clone(),
        },
        prune_to_confirm: match verdict {
            Verdict::PruneToConfirm { count, .. } => Some(u32::try_from(*count).unwrap_or(u32::MAX)),
            Verdict::Applying | Verdict::Suspended | Verdict::SourceFailed { .. } => previous.prune_to_confirm,
            _ => None,
        },
        last_handled_reconcile_at: match verdict {
            // The pass that was asked for has only begun.
            Verdict::Applying => previous.last_handled_reconcile_at.clone(),
            _ => report.asked_at.clone().or_else(|| previous.last_handled_reconcile_at.clone()),
        },
    }
}

/// A status with every field, those that say nothing as null: as a merge patch it leaves nothing of the one before.
pub(super) fn whole(status: &GitSyncStatus) -> Value {
    let mut whole = serde_json::to_value(status).expect("a status is plain data");
    for field in [
        "observedGeneration",
        "summary",
        "conditions",
        "attemptedCommit",
        "appliedCommit",
        "errors",
        "errorCount",
        "inventory",
        "pruneToConfirm",
        "lastHandledReconcileAt",
    ] {
        if whole.get(field).is_none() {
            whole[field] = Value::Null;
        }
    }
    whole
}

/// What is worth an Event: a commit that was completed, and each new trouble.
pub(super) fn told(previous: &GitSyncStatus, next: &GitSyncStatus, verdict: &Verdict) -> Option<Told> {
    let is_new = match verdict {
        Verdict::Complete { .. } => previous.applied_commit != next.applied_commit,
        Verdict::Applying | Verdict::Suspended | Verdict::Returning { .. } => false,
        Verdict::Pruning { .. }
        | Verdict::Unusable { .. }
        | Verdict::SourceFailed { .. }
        | Verdict::Empty { .. }
        | Verdict::Incomplete { .. }
        | Verdict::PruneToConfirm { .. }
        | Verdict::PruneFailed { .. }
        | Verdict::TimedOut { .. } => previous.summary != next.summary,
    };
    let warning = !matches!(verdict, Verdict::Complete { .. } | Verdict::Pruning { .. });
    is_new.then(|| Told { warning, reason: verdict.reason().to_owned(), note: next.summary.clone() })
}

fn standing(previous: &GitSyncStatus, verdict: &Verdict) -> Standing {
    match verdict {
        Verdict::Suspended => Standing::AsBefore,
        // What is applied goes on being applied; only what comes next is unknown.
        Verdict::SourceFailed { passes: true, .. } if previous.applied_commit.is_some() => Standing::AsBefore,
        Verdict::Complete { .. } => Standing::Ready,
        Verdict::Applying | Verdict::Returning { .. } | Verdict::Pruning { .. } => Standing::Busy,
        verdict if verdict.passes() => Standing::Failed,
        Verdict::Unusable { .. }
        | Verdict::SourceFailed { .. }
        | Verdict::Empty { .. }
        | Verdict::Incomplete { .. }
        | Verdict::PruneToConfirm { .. }
        | Verdict::PruneFailed { .. }
        | Verdict::TimedOut { .. } => Standing::Stalled,
    }
}

fn sentence(key: &Key, report: &Report) -> String {
    let commit =
        report.commit.as_deref().map_or_else(|| "the commit".to_owned(), |commit| format!("commit {}", short(commit)));
    match &report.verdict {
        Verdict::Suspended => "suspended: nothing is fetched, applied or pruned".into(),
        Verdict::Unusable { message, .. } => message.clone(),
        Verdict::SourceFailed { message, .. } => message.clone(),
        Verdict::Empty { message } => format!("{commit} holds nothing to apply: {message}; nothing was pruned"),
        Verdict::Applying => format!("applying {commit}"),
        Verdict::Incomplete { errors, applied, .. } => {
            let first = errors.first().map(place_and_message).unwrap_or_default();
            let more = match errors.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            format!("{commit} is incomplete: {first}{more}; applied {}, pruned nothing", objects(*applied))
        }
        Verdict::Returning { going } => {
            let names = names(going.iter());
            format!(
                "{commit} waits for {names} to be gone: {} made again then",
                if going.len() == 1 { "it is" } else { "they are" }
            )
        }
        Verdict::PruneToConfirm { count, of } => format!(
            "{commit} is applied and drops {count} of {of} objects, more than half; to prune them: \
             kubectl annotate gitsync/{} -n {} --overwrite {CONFIRM_PRUNE}={}",
            key.name,
            key.namespace,
            report.commit.as_deref().unwrap_or_default()
        ),
        Verdict::Pruning { going } => {
            let held = going.first().map(|(_, finalizers)| finalizers.join(", ")).filter(|held| !held.is_empty());
            let held = held.map(|held| format!(" (held by {held})")).unwrap_or_default();
            format!("{commit} is applied; waiting for {} to be gone{held}", names(going.iter().map(|(id, _)| id)))
        }
        Verdict::PruneFailed { message, .. } => format!("{commit} is applied, but not everything pruned: {message}"),
        Verdict::TimedOut { message } => format!("{commit}: {message}"),
        Verdict::Complete { applied } => format!("applied {} of {commit}", objects(*applied)),
    }
}

/// An error of a file as compilers print it.
fn place_and_message(error: &SyncError) -> String {
    let place = match (&*error.file, error.line) {
        ("", _) => String::new(),
        (file, None) => format!("{file}: "),
        (file, Some(line)) => format!("{file}:{line}: "),
    };
    format!("{place}{}", error.message)
}

fn shortened(error: &SyncError) -> SyncError {
    SyncError { message: truncate(&error.message, MESSAGE_BYTES_MAX), ..error.clone() }
}

fn objects(count: usize) -> String {
    match count {
        1 => "1 object".into(),
        count => format!("{count} objects"),
    }
}

fn names<'a>(mut ids: impl ExactSizeIterator<Item = &'a ObjectId>) -> String {
    let count = ids.len();
    let shown: Vec<String> = ids.by_ref().take(NAMES_SHOWN_MAX).map(ToString::to_string).collect();
    match count.saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn key() -> Key {
        Key { namespace: "ops".into(), name: "fleet".into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(kind: &str, name: &str) -> ObjectId {
        ObjectId { group: String::new(), kind: kind.into(), namespace: "apps".into(), name: name.into() }
    }

    fn after(previous: &GitSyncStatus, verdict: Verdict) -> GitSyncStatus {
        let inventory = Some(vec![id("ConfigMap", "a")]);
        let report = Report { commit: Some(COMMIT.into()), verdict, inventory, asked_at: Some("7".into()) };
        status(&key(), 3, previous, &report, at(100))
    }

    fn complete() -> GitSyncStatus {
        after(&GitSyncStatus::default(), Verdict::Complete { applied: 1 })
    }

    /// `Ready=True Reconciling=True`, in order.
    fn conditions(status: &GitSyncStatus) -> String {
        let words: Vec<_> = status.conditions.iter().map(|c| format!("{}={}", c.type_, c.status)).collect();
        words.join(" ")
    }

    fn unreadable() -> Verdict {
        let error =
            |file: &str, line| SyncError { file: file.into(), line, message: "did not find".into(), object: None };
        let errors = vec![error("apps/a.yaml", Some(7)), error("apps/b.yaml", None)];
        Verdict::Incomplete { errors, applied: 12, passes: false }
    }

    #[test]
    fn a_complete_commit_is_ready_and_remembered() {
        let status = complete();
        assert_eq!(conditions(&status), "Ready=True");
        assert_eq!(status.summary, "applied 1 object of commit 0123456789ab");
        assert_eq!(
            (status.applied_commit.as_deref(), status.attempted_commit.as_deref()),
            (Some(COMMIT), Some(COMMIT))
        );
        assert_eq!((status.observed_generation, status.last_handled_reconcile_at.as_deref()), (Some(3), Some("7")));
        assert_eq!(status.inventory.len(), 1);
    }

    #[test]
    fn an_equal_pass_gives_an_equal_status() {
        let report = Report {
            commit: Some(COMMIT.into()),
            verdict: Verdict::Complete { applied: 1 },
            inventory: Some(vec![id("ConfigMap", "a")]),
            asked_at: Some("7".into()),
        };
        assert_eq!(status(&key(), 3, &complete(), &report, at(5000)), complete());
    }

    #[test]
    fn unreadable_files_are_listed_and_the_last_complete_commit_stays() {
        let before = GitSyncStatus { applied_commit: Some("old".into()), ..complete() };
        let status = after(&before, unreadable());
        assert_eq!(conditions(&status), "Ready=False Stalled=True");
        assert_eq!(
            status.summary,
            "commit 0123456789ab is incomplete: apps/a.yaml:7: did not find (and 1 more); applied 12 objects, pruned nothing"
        );
        assert_eq!((status.errors.len(), status.error_count), (2, Some(2)));
        assert_eq!((status.applied_commit.as_deref(), status.attempted_commit.as_deref()), (Some("old"), Some(COMMIT)));
        let cured = after(&status, Verdict::Complete { applied: 1 });
        assert_eq!((cured.errors.len(), cured.error_count), (0, None));
    }

    #[test]
    fn of_many_errors_the_first_are_listed_and_all_counted() {
        let errors = vec![SyncError { message: "x".into(), ..SyncError::default() }; 50];
        let status = after(&GitSyncStatus::default(), Verdict::Incomplete { errors, applied: 0, passes: true });
        assert_eq!((status.errors.len(), status.error_count), (ERRORS_SHOWN_MAX, Some(50)));
        assert_eq!(conditions(&status), "Ready=False Reconciling=True");
    }

    #[test]
    fn a_source_that_is_down_leaves_what_is_applied_ready() {
        let down = |passes| Verdict::SourceFailed {
            reason: "Unreachable",
            message: "git could not be reached".into(),
            passes,
        };
        let status = after(&complete(), down(true));
        assert_eq!((conditions(&status).as_str(), status.summary.as_str()), ("Ready=True", "git could not be reached"));
        assert_eq!(conditions(&after(&GitSyncStatus::default(), down(true))), "Ready=False Reconciling=True");
        assert_eq!(conditions(&after(&complete(), down(false))), "Ready=False Stalled=True");
    }

    #[test]
    fn a_large_prune_says_how_to_confirm_it() {
        let status = after(&complete(), Verdict::PruneToConfirm { count: 8, of: 10 });
        assert_eq!(conditions(&status), "Ready=False Stalled=True");
        assert_eq!(status.prune_to_confirm, Some(8));
        assert!(
            status.summary.ends_with(&format!(
                "kubectl annotate gitsync/fleet -n ops --overwrite pintle.dev/confirm-prune={COMMIT}"
            )),
            "{}",
            status.summary
        );
        assert_eq!(after(&status, Verdict::Complete { applied: 1 }).prune_to_confirm, None);
    }

    #[test]
    fn waiting_names_who_holds_what() {
        let going =
            (0..5).map(|n| (id("HelmRelease", &format!("x{n}")), vec!["pintle.dev/finalizer".into()])).collect();
        let status = after(&complete(), Verdict::Pruning { going });
        assert_eq!(
            status.summary,
            "commit 0123456789ab is applied; waiting for HelmRelease apps/x0, HelmRelease apps/x1, HelmRelease apps/x2 \
             and 2 more to be gone (held by pintle.dev/finalizer)"
        );
        assert_eq!(conditions(&status), "Ready=Unknown Reconciling=True");
        let status = after(&complete(), Verdict::Returning { going: vec![id("HelmRelease", "x")] });
        assert_eq!(
            status.summary,
            "commit 0123456789ab waits for HelmRelease apps/x to be gone: it is made again then"
        );
    }

    #[test]
    fn a_whole_status_has_every_field_of_the_kind() {
        let full = after(&complete(), Verdict::PruneToConfirm { count: 8, of: 10 });
        let full = GitSyncStatus { errors: vec![SyncError::default()], error_count: Some(1), ..full };
        let Value::Object(filled) = serde_json::to_value(&full).unwrap() else { panic!("no object") };
        let Value::Object(empty) = whole(&GitSyncStatus::default()) else { panic!("no object") };
        assert_eq!(empty.keys().collect::<Vec<_>>(), filled.keys().collect::<Vec<_>>());
        assert!(empty.values().all(Value::is_null));
    }

    #[test]
    fn suspension_changes_the_summary_only() {
        let status = after(&complete(), Verdict::Suspended);
        assert_eq!(status.conditions, complete().conditions);
        assert!(status.summary.starts_with("suspended"));
    }

    #[test]
    fn news_is_told_once() {
        let is_told = |previous: &GitSyncStatus, verdict: Verdict| {
            let next = after(previous, verdict.clone());
            (told(previous, &next, &verdict).map(|told| (told.warning, told.reason)), next)
        };
        let (first, done) = is_told(&GitSyncStatus::default(), Verdict::Complete { applied: 1 });
        assert_eq!(first, Some((false, "Applied".into())));
        assert_eq!(is_told(&done, Verdict::Complete { applied: 1 }).0, None);
        let (trouble, stalled) = is_told(&done, unreadable());
        assert_eq!(trouble, Some((true, "Incomplete".into())));
        assert_eq!(is_told(&stalled, unreadable()).0, None);
        assert_eq!(is_told(&done, Verdict::Applying).0, None);
    }
}
