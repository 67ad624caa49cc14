//! Release history: which revision is current, which may be rolled back to, which may be forgotten.
//!
//! Pure. Reading and writing Secrets is `cluster::store`; choosing an action is `plan::decide`.
//! Semantics follow Helm v4 `pkg/storage` (history, last deployed); what goes beyond it rests on the marks.

use std::collections::BTreeMap;

use super::digest::Fingerprint;
use super::marks::{self, Marks, RetryToken};
use super::progress::{self, Progress};
use super::{ReleaseSummary, Revision, Status};

/// One revision with everything its Secret says, but for chart, values and manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub release: ReleaseSummary,
    /// Our marks on this revision; all empty on somebody else's.
    pub marks: Marks,
    /// Work of ours under way on it.
    pub progress: Option<Progress>,
    /// Whether the labels hold any mark, also one that Helm copied from an older revision.
    touched: bool,
}

impl Entry {
    /// An entry of a decoded record and its Secret's labels and annotations.
    pub fn new(
        release: ReleaseSummary,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Self {
        let progress = annotations.get(progress::ANNOTATION).and_then(|text| Progress::decode(text));
        Entry { marks: Marks::read(labels, release.revision), progress, touched: marks::any(labels), release }
    }

    pub fn revision(&self) -> Revision {
        self.release.revision
    }

    pub fn status(&self) -> Status {
        self.release.info.status
    }

    /// Whether Pintle made this revision or took it over.
    pub fn is_ours(&self) -> bool {
        self.marks.fingerprint.is_some() || self.progress.is_some()
    }

    /// The revision whose content this one repeats, where it is a rollback.
    pub fn rollback_of(&self) -> Option<Revision> {
        self.release.info.rollback_revision
    }

    /// Whether objects of this revision may be in the cluster, as far as it tells itself: what a failed attempt of ours
    /// created is deleted once its progress is gone.
    fn may_stand(&self) -> bool {
        self.status() != Status::Failed || self.progress.is_some() || !self.is_ours()
    }

    /// Whether this revision took effect at some time.
    fn was_deployed(&self) -> bool {
        matches!(self.status(), Status::Deployed | Status::Superseded)
    }

    /// Whether this revision was deployed because the spec asked for it: not a mere rollback, nor one whose tests may
    /// still fail.
    fn was_asked_for(&self) -> bool {
        let is_over = self.was_deployed() && self.progress.is_none();
        self.marks.fingerprint.is_some() && is_over && (self.rollback_of().is_none() || self.marks.settled)
    }
}

/// The stored revisions of one release, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Entry>);

impl FromIterator<Entry> for History {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(Entry::revision);
        History(entries)
    }
}

impl History {
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, revision: Revision) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.revision() == revision)
    }

    /// The revision that was made last, whatever became of it.
    pub fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// The number of the revision to make next.
    pub fn next_revision(&self) -> Revision {
        self.newest().map_or(Revision::FIRST, |entry| entry.revision().next())
    }

    /// The newest revision with status `deployed`.
    pub fn last_deployed(&self) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.status() == Status::Deployed)
    }

    /// All revisions with status `deployed` but this one: they are superseded when it is deployed. One at most, unless
    /// a crash of Helm left more.
    pub fn deployed_besides(&self, revision: Revision) -> Vec<Revision> {
        let deployed = self.0.iter().filter(|entry| entry.status() == Status::Deployed);
        deployed.map(Entry::revision).filter(|other| *other != revision).collect()
    }

    /// Whether Pintle had a hand in any revision that is still stored.
    pub fn ever_ours(&self) -> bool {
        self.0.iter().any(|entry| entry.touched || entry.is_ours())
    }

    /// The newest revision that Pintle made or took over.
    pub fn newest_ours(&self) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.is_ours())
    }

    /// The revision to return to when `failed` did not hold: the newest one before it that was verified healthy, else
    /// the newest that was deployed at all.
    ///
    /// Returns `None` when the history holds no such revision: then there is nothing safe to return to. A rollback
    /// creates a *new* revision; the one named here stays as it is (Helm: `pkg/action/rollback.go`).
    pub fn rollback_target(&self, failed: Revision) -> Option<Revision> {
        let before = || self.0.iter().rev().filter(|entry| entry.revision() < failed && entry.was_deployed());
        // What ran before an uninstall is gone for good.
        let before = || before().take_while(|entry| Some(entry.revision()) > self.last_uninstalled());
        before().find(|entry| entry.marks.verified).or_else(|| before().next()).map(Entry::revision)
    }

    /// How often attempts of this fingerprint failed since the spec last got what it asked for.
    ///
    /// The newest failed attempt carries the count, so that forgetting older records forgets no failure.
    pub fn failures(&self, fingerprint: &Fingerprint) -> u32 {
        self.open_failures()
            .filter(|entry| entry.marks.fingerprint.as_ref() == Some(fingerprint))
            .map(|entry| entry.marks.failures.unwrap_or(1))
            .max()
            .unwrap_or(0)
    }

    /// The newest attempt of this fingerprint that failed since the spec last got what it asked for.
    pub fn newest_failure_of(&self, fingerprint: &Fingerprint) -> Option<&Entry> {
        self.open_failures().find(|entry| entry.marks.fingerprint.as_ref() == Some(fingerprint))
    }

    /// Whether some revision took effect and was not uninstalled since: then the next one is an upgrade.
    pub fn stands(&self) -> bool {
        self.0.iter().any(|entry| entry.was_deployed() && Some(entry.revision()) > self.last_uninstalled())
    }

    /// The newest attempt that failed since the spec last got what it asked for.
    pub fn newest_failure(&self) -> Option<&Entry> {
        self.open_failures().find(|entry| entry.marks.failures != Some(0))
    }

    /// Failed attempts since the spec last got what it asked for, or since an uninstall; newest first.
    fn open_failures(&self) -> impl Iterator<Item = &Entry> {
        self.0
            .iter()
            .rev()
            .take_while(|entry| !entry.was_asked_for() && entry.status() != Status::Uninstalled)
            .filter(|entry| entry.status() == Status::Failed && entry.rollback_of().is_none() && entry.is_ours())
    }

    /// Whether a retry request has acted already: some revision was made under it.
    pub fn has_acted(&self, retry: &RetryToken) -> bool {
        self.0.iter().any(|entry| entry.marks.retry.as_ref() == Some(retry))
    }

    /// The revisions whose objects may stand in the cluster: the last deployed one and all after it.
    ///
    /// What they hold and a new manifest does not is pruned.
    pub fn since_last_deployed(&self) -> &[Entry] {
        let from = self.0.iter().rposition(|entry| entry.status() == Status::Deployed);
        let from = from.or_else(|| self.0.iter().rposition(Entry::was_deployed)).unwrap_or(0);
        &self.0[from..]
    }

    /// The oldest revisions beyond `max`, which may be forgotten; 0 keeps all, as in Helm.
    ///
    /// Never among them: the newest, the last deployed, the one a rollback would return to, the newest failure, which
    /// holds its fingerprint, and those that alone know of objects that may stand.
    pub fn prunable(&self, max: u32) -> Vec<Revision> {
        let excess = match usize::try_from(max) {
            Ok(0) | Err(_) => 0,
            Ok(max) => self.0.len().saturating_sub(max),
        };
        let next = self.next_revision();
        let mut pinned = vec![
            self.newest().map(Entry::revision),
            self.last_deployed().map(Entry::revision),
            self.rollback_target(next),
            self.newest().and_then(|newest| self.rollback_target(newest.revision())),
            self.newest_failure().map(Entry::revision),
        ];
        let after = self.last_uninstalled();
        let stand = self.since_last_deployed().iter().filter(|it| Some(it.revision()) > after && it.may_stand());
        pinned.extend(stand.map(|entry| Some(entry.revision())));
        self.0.iter().map(Entry::revision).filter(|revision| !pinned.contains(&Some(*revision))).take(excess).collect()
    }

    fn last_uninstalled(&self) -> Option<Revision> {
        self.0.iter().rev().find(|entry| entry.status() == Status::Uninstalled).map(Entry::revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::digest::Inputs;
    use crate::release::{ChartVersion, Info, ReleaseId, ReleaseName};

    fn fingerprint(content: &str) -> Fingerprint {
        let release = ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse("web").unwrap() };
        let (values, post_rendering) = (serde_json::Map::new(), serde_json::Value::Null);
        let inputs = Inputs {
            chart_digest: content,
            values: &values,
            release: &release,
            post_rendering: &post_rendering,
            options: &values,
        };
        Fingerprint::of(inputs)
    }

    /// `1 superseded a verified, 2 failed b, 3 deployed a of-1`: revision, status, content (`-` for somebody else's),
    /// then what is special.
    fn history(text: &str) -> History {
        let entry = |text: &str| {
            let mut words = text.split_whitespace();
            let revision = Revision(words.next().unwrap().parse().unwrap());
            let status = words.next().unwrap().parse().unwrap();
            let content = words.next().unwrap();
            let mut marks = Marks { fingerprint: (content != "-").then(|| fingerprint(content)), ..Marks::default() };
            let mut rollback_revision = None;
            for word in words {
                match word.split_once('-') {
                    Some(("of", of)) => rollback_revision = Some(Revision(of.parse().unwrap())),
                    Some(("failures", count)) => marks.failures = Some(count.parse().unwrap()),
                    Some(("retry", value)) => marks.retry = RetryToken::of(value),
                    _ if word == "verified" => marks.verified = true,
                    _ if word == "settled" => marks.settled = true,
                    _ => panic!("{word}"),
                }
            }
            let release = ReleaseSummary {
                id: ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse("web").unwrap() },
                revision,
                info: Info { status, rollback_revision, ..Info::default() },
                chart: ChartVersion::default(),
                apply_method: None,
            };
            Entry::new(release, &marks.labels(revision), &BTreeMap::new())
        };
        text.split(", ").filter(|text| !text.is_empty()).map(entry).collect()
    }

    #[test]
    fn rollback_goes_to_the_newest_verified_revision() {
        for (text, failed, want) in [
            ("1 superseded a verified, 2 deployed b, 3 failed c", 3, Some(1)),
            ("1 superseded a verified, 2 deployed b verified, 3 failed c", 3, Some(2)),
            ("1 superseded a, 2 deployed b, 3 failed c", 3, Some(2)),
            ("1 deployed a verified, 2 failed b, 3 failed c", 3, Some(1)),
            ("1 failed a, 2 failed b", 2, None),
            ("1 superseded a verified, 2 uninstalled b, 3 failed c", 3, None),
            ("1 deployed -, 2 failed b", 2, Some(1)),
        ] {
            assert_eq!(history(text).rollback_target(Revision(failed)), want.map(Revision), "{text}");
        }
    }

    #[test]
    fn failures_count_until_the_spec_gets_what_it_asks_for() {
        for (text, want) in [
            ("1 deployed a", 0),
            ("1 deployed a, 2 failed b", 1),
            ("1 superseded a, 2 failed b, 3 deployed a of-1", 1),
            ("1 superseded a, 2 failed b, 3 deployed a of-1 settled", 0),
            ("1 superseded a, 2 failed b failures-1, 3 superseded a of-1, 4 failed b failures-2, 5 deployed a of-3", 2),
            // The older record was deleted: its failure is in the count of the newer.
            ("4 failed b failures-2, 5 deployed a of-3", 2),
            ("1 superseded a, 2 failed b, 3 superseded a of-1, 4 deployed c", 0),
            ("1 superseded a, 2 failed b, 3 superseded a of-1, 4 deployed -", 1),
            // Cut short, not failed.
            ("1 superseded a, 2 failed b failures-0, 3 failed c", 0),
            ("1 superseded a, 2 failed b, 3 uninstalled a of-1", 0),
            // A rollback to b that failed is no failed attempt at b.
            ("1 superseded b, 2 failed a, 3 failed b of-1", 0),
        ] {
            assert_eq!(history(text).failures(&fingerprint("b")), want, "{text}");
        }
    }

    #[test]
    fn pruning_keeps_what_is_still_needed() {
        let many = "1 superseded a verified, 2 superseded b, 3 superseded c, 4 failed d, 5 deployed e";
        for (text, max, want) in [
            (many, 5, &[][..]),
            (many, 4, &[2]),
            (many, 2, &[2, 3, 4]),
            (many, 0, &[]),
            ("1 superseded a verified, 2 failed b, 3 failed b, 4 deployed a of-1 verified", 1, &[2]),
            ("1 deployed a verified", 1, &[]),
            // What another hand left half done may hold objects that nobody else knows of.
            ("1 deployed a verified, 2 failed -, 3 failed b", 1, &[]),
            ("1 failed a, 2 failed b, 3 failed c", 1, &[1, 2]),
            ("1 deployed a, 2 failed -, 3 uninstalled b, 4 failed c", 1, &[2, 3]),
            ("", 1, &[]),
        ] {
            let pruned: Vec<_> = history(text).prunable(max).into_iter().map(|revision| revision.0).collect();
            assert_eq!(pruned, want, "{text} to {max}");
        }
    }

    #[test]
    fn objects_may_stand_from_the_last_deployed_revision_on() {
        for (text, want) in [
            ("1 superseded a, 2 deployed b, 3 failed c", &[2, 3][..]),
            ("1 superseded a, 2 superseded b, 3 pending-upgrade c", &[2, 3]),
            ("1 failed a, 2 failed b", &[1, 2]),
        ] {
            let history = history(text);
            let since: Vec<_> = history.since_last_deployed().iter().map(|entry| entry.revision().0).collect();
            assert_eq!(since, want, "{text}");
        }
    }

    #[test]
    fn marks_that_helm_copied_tell_that_we_were_here() {
        let mut entry = history("1 deployed a").0.remove(0);
        let labels = entry.marks.labels(Revision(1));
        entry.release.revision = Revision(2);
        let copied = Entry::new(entry.release, &labels, &BTreeMap::new());
        assert!(!copied.is_ours());
        assert!(History::from_iter([copied]).ever_ours());
        assert!(!history("1 deployed -").ever_ours());
    }
}
