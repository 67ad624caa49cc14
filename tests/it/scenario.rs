//! Worlds in plain commands, and the transcript of decisions.
//!
//! Each file in `scenario/` is its own golden file: lines that begin with `> ` are commands, `#` are comments, and the
//! indented lines below a command are what it gave. `UPDATE=1 cargo test --test it scenario` writes them anew;
//! read the difference before you believe it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use jiff::SignedDuration;
use pintle::api::HelmReleaseStatus;
use pintle::api::summarize::{Facts, Wake, failed_attempt, summarize};
use pintle::plan::outcome::Done;
use pintle::plan::rules::{Deletion, Remedy, Wait};
use pintle::plan::{Action, Cause, Failure, FailureClass, Health, HookState, Outcome, TestRules};
use pintle::release::marks::RetryToken;
use pintle::release::{Revision, Status};

use crate::world::{World, cause, hook_id};

/// A world with the status that its HelmRelease shows.
struct Stage {
    world: World,
    status: HelmReleaseStatus,
    generation: i64,
    /// How the next install or upgrade fails before anything is stored.
    reject: Option<Failure>,
}

#[test]
fn scenarios_tell_what_they_told_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenario");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty());
    let mut stale = String::new();
    for path in files {
        let golden = fs::read_to_string(&path).unwrap();
        let told = play(&golden);
        if golden == told {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, told).unwrap();
        } else {
            let differing = golden.lines().zip(told.lines()).find(|(golden, told)| golden != told);
            let _ = writeln!(stale, "{}: {differing:#?}", path.display());
        }
    }
    assert!(stale.is_empty(), "these scenarios tell something else now:\n{stale}");
}

/// The rows of Flux's own table test are our acceptance list, and so is the table of conditions.
#[test]
fn rows_of_the_tables_are_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/it/scenario");
    let rows = fs::read_to_string(folder.join("FLUX")).unwrap();
    let rows: Vec<_> = rows.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows.len(), 76);
    let tells = |file: &str, row: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("# ") == Some(row))
    };
    let digest = fs::read_to_string(root.join("src/release/digest.rs")).unwrap();
    for line in rows {
        let (row, place) = line.split_once('\t').unwrap();
        let is_told = match place.split_once(": ") {
            Some(("no", reason)) => !reason.is_empty(),
            Some(("test", name)) => digest.contains(&format!("fn {name}()")),
            _ => tells(place, row),
        };
        assert!(is_told, "{row}: {place}");
    }
    let summarize = fs::read_to_string(root.join("src/api/summarize.rs")).unwrap();
    let table = summarize.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next());
    let situations: Vec<_> = table.skip(1).collect();
    assert_eq!(situations.len(), 7);
    for situation in situations {
        assert!(tells("conditions.txt", situation), "{situation}");
    }
}

/// Runs the commands of a file; gives the file as it should be.
fn play(golden: &str) -> String {
    let mut stage = Stage { world: World::empty(), status: HelmReleaseStatus::default(), generation: 1, reject: None };
    let mut told = String::new();
    for line in golden.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            let _ = writeln!(told, "{line}");
            for answer in stage.run(command).lines() {
                let _ = writeln!(told, "  {answer}");
            }
        } else if !line.starts_with("  ") {
            let _ = writeln!(told, "{line}");
        }
    }
    told
}

impl Stage {
    fn run(&mut self, command: &str) -> String {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let world = &mut self.world;
        match (word, rest) {
            // The beginning.
            ("empty", _) => (*world, self.status) = (World::empty(), HelmReleaseStatus::default()),
            ("running", _) => {
                *world = World::running_a();
                let _ = self.pass();
                self.world.pass(SignedDuration::from_hours(1));
            }
            // What people do.
            ("want", content) => {
                world.want = content.chars().next().unwrap();
                self.generation += 1;
            }
            ("retries", count) => {
                world.policy.upgrade_retries = count.parse().unwrap();
                world.policy.install_retries = count.parse().unwrap();
            }
            ("keep", count) => world.policy.history_max = count.parse().unwrap(),
            ("rule", rule) => {
                let rules = &mut world.policy.rules;
                match rule {
                    "upgrade.disableWait" => rules.upgrade.wait = Wait::Nothing,
                    "upgrade.disableWait=false" => rules.upgrade.wait = Wait::Everything,
                    "upgrade.cleanupOnFail" => rules.upgrade.cleanup_on_fail = true,
                    "upgrade.remediateLastFailure=false" => rules.upgrade.remediate_last_failure = false,
                    "upgrade.strategy=uninstall" => rules.upgrade.remedy = Remedy::Uninstall,
                    "install.remediateLastFailure=false" => rules.install.remediate_last_failure = false,
                    "install.replace=false" => rules.install.replace = false,
                    "uninstall.keepHistory" => rules.uninstall.keep_history = true,
                    "deletionPolicy=orphan" => rules.deletion = Some(Deletion::Orphan),
                    "deletionPolicy=uninstall" => rules.deletion = Some(Deletion::Uninstall),
                    _ => panic!("unknown rule {rule:?}"),
                }
            }
            // The spec means another release.
            ("move", _) => {
                world.home += 1;
                self.generation += 1;
            }
            ("suspend", _) => world.asks.suspend = true,
            ("resume", _) => (world.asks.suspend, world.asks.hold) = (false, None),
            ("hold", reason) => world.asks.hold = Some(reason.to_owned()),
            ("retry", value) => world.asks.retry = RetryToken::of(value),
            ("delete", _) => world.asks.deleted_at = Some(world.now),
            // The HelmRelease is made anew.
            ("create", _) => {
                (world.asks.deleted_at, world.finalizer, world.claimed) = (None, true, None);
                self.status = HelmReleaseStatus::default();
            }
            ("lose-progress", _) => {
                let newest = world.newest().unwrap().release.revision;
                world.record(newest).progress = None;
            }
            ("delete-record", revision) => {
                let revision = Revision(revision.parse().unwrap());
                world.records.retain(|record| record.release.revision != revision);
            }
            ("edit-status", rest) => {
                let (revision, status) = rest.split_once(' ').unwrap();
                let revision = Revision(revision.parse().unwrap());
                world.record(revision).release.info.status = status.parse().unwrap();
            }
            ("helm", "uninstall") => {
                world.records.clear();
                world.objects.clear();
                world.live = None;
            }
            ("helm", rest) => {
                let (status, content) = rest.split_once(' ').unwrap();
                world.by_helm(status.parse::<Status>().unwrap(), content.chars().next().unwrap());
            }
            // What the cluster and the sources do.
            ("healthy", _) => (world.health, world.unhealthy_since) = (Health::Healthy, None),
            ("progressing", words) => {
                world.health = Health::Progressing(cause(words));
                world.unhealthy_since = world.unhealthy_since.or(Some(world.now));
            }
            ("failed", words) => {
                world.health = Health::Failed(cause(words));
                world.unhealthy_since = world.unhealthy_since.or(Some(world.now));
            }
            ("hooks", counts) => {
                let counts: Vec<u32> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
                (world.hooks.before, world.hooks.after) = (counts[0], counts[1]);
            }
            ("tests", count) => {
                world.hooks.tests = count.parse().unwrap();
                world.policy.hooks.tests = Some(TestRules {
                    timeout: SignedDuration::from_mins(5),
                    ignore_after_install: false,
                    ignore_after_upgrade: false,
                    filters: Vec::new(),
                });
            }
            ("ignore-test-failures", _) => {
                let tests = world.policy.hooks.tests.as_mut().unwrap();
                (tests.ignore_after_install, tests.ignore_after_upgrade) = (true, true);
            }
            ("hook-running", words) => world.hook = HookState::Running(cause_of_hook(words)),
            ("hook-succeeded", _) => world.hook = HookState::Succeeded,
            ("hook-failed", words) => world.hook = HookState::Failed(cause_of_hook(words)),
            ("hook-lost", _) => world.hook_object = None,
            ("no-rollback-hooks", _) => world.policy.hooks.disable_rollback = true,
            ("only-once", _) => world.hooks.only_once = true,
            ("pass", time) => world.pass(time.parse::<SignedDuration>().unwrap()),
            ("rejected-as", rest) => self.reject = (rest != "nothing").then(|| failure(rest)),
            ("unresolved-as", rest) => world.target_failure = (rest != "nothing").then(|| failure(rest)),
            ("source-down", words) => world.stale = Some(words.to_owned()).filter(|words| !words.is_empty()),
            ("rival", owner) => world.rival = Some(owner.to_owned()).filter(|owner| !owner.is_empty()),
            ("crash-after", writes) => world.writes_left = Some(writes.parse().unwrap()),
            ("lose-status", _) => self.status = HelmReleaseStatus::default(),
            // What is asked of us.
            ("pass-by", _) => return self.pass(),
            ("history", _) => return world.history_line(),
            ("status", _) => return self.show(),
            _ => panic!("unknown command {command:?}"),
        }
        String::new()
    }

    /// Decides and acts until there is nothing to do but wait.
    fn pass(&mut self) -> String {
        let mut told = String::new();
        for _ in 0..50 {
            let world = &mut self.world;
            let again_at = world.failed_attempt.as_ref().and_then(|failed| failed.again_at);
            world.failed_attempt = failed_attempt(&self.status);
            if let Some(failed) = &mut world.failed_attempt {
                failed.again_at = again_at;
            }
            let (observed, desired) = (world.observed(), world.desired());
            let decision = world.decide();
            let _ = writeln!(told, "{decision}");
            let outcome = match (&self.reject, &decision.action) {
                (Some(failure), Action::Install { .. } | Action::Upgrade { .. }) => {
                    Outcome::failed(Done::Nothing, failure.clone())
                }
                (_, action) => match world.execute(action) {
                    Ok(outcome) => outcome,
                    Err(crash) => {
                        world.writes_left = None;
                        let _ = writeln!(told, "{crash:?}");
                        return told;
                    }
                },
            };
            match (&decision.action, &outcome.done) {
                // What was just written is on its way until the scenario says more.
                (_, Done::Stored { .. }) => world.health = Health::Progressing(cause("0/1 ready")),
                (Action::CleanUp { .. }, _) => world.health = Health::Healthy,
                _ => {}
            }
            let facts = Facts {
                generation: self.generation,
                observed: &observed,
                desired: &desired,
                inventory: None,
                taken: None,
                hook_output: None,
            };
            let summary = summarize(&self.status, &facts, &decision, &outcome, world.now);
            let same =
                summarize(&summary.status, &facts, &decision, &outcome, world.now + SignedDuration::from_secs(1));
            assert_eq!(same.status, summary.status, "a status that says the same is the same");
            self.status = summary.status;
            for event in summary.events {
                let _ = writeln!(told, "  event {:?} {}: {}", event.kind, event.reason, event.note);
            }
            if let (Some(failed), Some(_)) = (failed_attempt(&self.status), &outcome.failure) {
                let again_at = Some(world.now + world.policy.interval);
                world.failed_attempt = Some(pintle::plan::FailedAttempt { again_at, ..failed });
            }
            if !world.finalizer {
                return told;
            }
            match summary.wake {
                Wake::Now => {}
                Wake::After(time) if time.is_zero() => {}
                Wake::After(time) => {
                    let _ = writeln!(told, "look again in {}", pintle::text::duration(time));
                    return told;
                }
                Wake::Backoff(backoff) => {
                    let [first, longest] = [backoff.first, backoff.longest].map(pintle::text::duration);
                    let _ = writeln!(told, "look again after {first}, later each time, {longest} at most");
                    return told;
                }
            }
        }
        panic!("no end:\n{told}");
    }

    fn show(&self) -> String {
        let mut told = format!("{}\n", self.status.summary);
        for it in &self.status.conditions {
            let _ = writeln!(
                told,
                "{}={} {} since {}: {}",
                it.type_, it.status, it.reason, it.last_transition_time.0, it.message
            );
        }
        told
    }
}

fn cause_of_hook(words: &str) -> Box<Cause> {
    Box::new(Cause::plain(hook_id(), words))
}

/// `input bad values`: class, then the message.
fn failure(text: &str) -> Failure {
    let (class, message) = text.split_once(' ').unwrap();
    let (class, reason) = match class {
        "transient" => (FailureClass::Transient, "RegistryUnreachable"),
        "input" => (FailureClass::Input, "InvalidValues"),
        "refused" => (FailureClass::Refused, "Forbidden"),
        other => panic!("unknown class {other:?}"),
    };
    Failure { class, reason: reason.into(), message: message.to_owned() }
}
