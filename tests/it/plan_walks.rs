//! Walks of `decide` through every sequence of health answers, crashes and changes of mind.
//!
//! Of each walk is asked: it settles; it never tries a fingerprint more often than its budget; there are never two
//! deployed revisions; what stands in the cluster at the end is what the records say; a crash changes nothing but time.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::SignedDuration;
use pintle::manifest::hooks::Event;
use pintle::manifest::id::ObjectId;
use pintle::plan::rules::{Remedy, UpgradeRules, Wait};
use pintle::plan::{Action, Decision, Health, HookState, Reason, TestRules};
use pintle::release::Status;
use pintle::release::marks::RetryToken;
use pintle::release::progress::Phase;

use crate::world::{Counts, Record, World, cause, fingerprint, objects_of};

/// More steps than any walk needs: a walk that takes so many turns in a circle.
const STEPS_MAX: usize = 100;

/// Takes every way through a function that asks it to choose, one after the other.
#[derive(Default)]
struct Chooser {
    /// The choices of this walk: which was taken, of how many.
    taken: Vec<(usize, usize)>,
    at: usize,
    /// Where this walk was, before which choice: the next one goes on from the last of these that it shares.
    milestones: Vec<(usize, Milestone)>,
    /// The states that this walk went through, before which choice.
    path: Vec<(usize, u64)>,
    /// The states that any walk went through: all ways from there are walked, or being walked.
    known: HashSet<u64>,
}

/// How far a walk has come.
#[derive(Clone)]
struct Milestone {
    world: World,
    luck: Luck,
    attempts: BTreeMap<char, usize>,
    at_rest: bool,
    steps: usize,
}

impl Milestone {
    /// Everything that what follows depends on, and that is judged at the end.
    fn state(&self) -> u64 {
        let Milestone { world, luck, attempts, at_rest, steps: _ } = self;
        let mut state = DefaultHasher::new();
        world.hash(&mut state);
        (luck, attempts, at_rest).hash(&mut state);
        state.finish()
    }
}

impl Chooser {
    fn choose(&mut self, options: usize) -> usize {
        if options == 1 {
            return 0;
        }
        if self.at == self.taken.len() {
            self.taken.push((0, options));
        }
        let (choice, known) = self.taken[self.at];
        assert_eq!(known, options, "the walk is not deterministic");
        self.at += 1;
        choice
    }

    /// Goes to the next walk; false when there is none.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.taken.pop() {
            if choice + 1 < options {
                self.milestones.retain(|(at, _)| *at <= self.taken.len());
                self.path.retain(|(at, _)| *at <= self.taken.len());
                self.taken.push((choice + 1, options));
                return true;
            }
        }
        false
    }

    /// Where the walk begins: at the start, or where it parts from the one before.
    fn begin(&mut self, start: Milestone) -> Milestone {
        match self.milestones.last() {
            Some((at, milestone)) => {
                self.at = *at;
                milestone.clone()
            }
            None => start,
        }
    }

    /// Whether there is something new to see from here.
    fn pass(&mut self, milestone: &Milestone) -> bool {
        // The choices that are not made anew lead where the walk before has been.
        if self.at == self.taken.len() {
            let state = milestone.state();
            let is_circle = self.path.iter().any(|(_, passed)| *passed == state);
            assert!(!is_circle, "the walk turns in a circle: {}", milestone.world.history_line());
            if !self.known.insert(state) {
                return false;
            }
            self.path.push((self.at, state));
        }
        if self.milestones.last().is_none_or(|(at, _)| *at < self.at) {
            self.milestones.push((self.at, milestone.clone()));
        }
        true
    }
}

/// Runs a walk along every way; returns how many there are.
fn all_walks(mut walk: impl FnMut(&mut Chooser)) -> usize {
    let mut chooser = Chooser::default();
    let mut walks = 0;
    loop {
        walk(&mut chooser);
        walks += 1;
        if !chooser.next() {
            return walks;
        }
    }
}

/// What may happen to a walk besides health answers, each so many times.
#[derive(Clone, Copy, Default, Hash)]
struct Luck {
    crashes: usize,
    changes: usize,
    retries: usize,
    helm: usize,
    deletions: usize,
    /// Objects of hooks that go while they are waited for.
    losses: usize,
    /// Changes of the release's name.
    moves: usize,
    suspensions: usize,
    /// HelmReleases that are made anew after they were deleted.
    recreations: usize,
}

/// Something that happens in the world outside.
#[derive(Clone, Copy)]
enum Happening {
    Change(char),
    Retry,
    Helm(Status),
    Deletion,
    Move,
    Suspension,
}

/// Walks until nothing is to be done and nothing more happens. Returns the attempts of each content.
///
/// A walk goes on from where it parts from the one before, and ends with `None` where it comes to a state that an earlier
/// one has gone on from in every way: each step is taken once.
fn walk(start: &mut World, chooser: &mut Chooser, luck: Luck) -> Option<BTreeMap<char, usize>> {
    let here = Milestone { world: start.clone(), luck, attempts: BTreeMap::new(), at_rest: false, steps: 0 };
    let mut here = chooser.begin(here);
    let has_ended = walk_on(&mut here, chooser);
    *start = here.world;
    has_ended.then_some(here.attempts)
}

/// Whether the walk came to its end.
fn walk_on(here: &mut Milestone, chooser: &mut Chooser) -> bool {
    while here.steps < STEPS_MAX {
        if !chooser.pass(here) {
            return false;
        }
        let Milestone { world, luck, attempts, at_rest, steps } = &mut *here;
        *steps += 1;
        let possible = happenings(world, *luck);
        let quiet = usize::from(!*at_rest);
        if let Some(index) = chooser.choose(possible.len() + quiet).checked_sub(quiet) {
            happen(world, luck, possible[index]);
        }
        answer_health(world, chooser);
        answer_hook(world, chooser, luck);
        let decision = world.decide();
        assert_sane(world);
        if let (Reason::HooksFailed { .. }, Some(time)) = (&decision.reason, decision.again_in) {
            // A release that is deleted waits with its failed hook.
            world.pass(time);
            continue;
        }
        *at_rest = decision.action == Action::Nothing;
        if *at_rest && world.asks.suspend {
            // What was under way has come to its end; who resumes finds nothing half done.
            let pending = world.newest().is_some_and(|newest| newest.release.info.status.is_pending());
            assert!(!pending, "suspended in the middle: {}", world.history_line());
            world.asks.suspend = false;
            *at_rest = false;
            continue;
        }
        if *at_rest {
            // Either nothing ever happens again, or something happens now.
            if happenings(world, *luck).is_empty() || chooser.choose(2) == 0 {
                assert_settled(world, &decision);
                return true;
            }
            continue;
        }
        if let Action::Install { .. } | Action::Upgrade { .. } = decision.action {
            *attempts.entry(world.want).or_default() += 1;
        }
        act(world, chooser, luck, &decision);
        if !world.finalizer {
            assert_gone(world);
            if luck.recreations == 0 {
                return true;
            }
            luck.recreations -= 1;
            (world.asks.deleted_at, world.finalizer, world.claimed) = (None, true, None);
        }
    }
    panic!("the walk does not settle: {}", here.world.history_line());
}

fn happenings(world: &World, luck: Luck) -> Vec<Happening> {
    let mut all = Vec::new();
    if luck.changes > 0 {
        all.extend(['a', 'b', 'c'].into_iter().filter(|content| *content != world.want).map(Happening::Change));
    }
    if luck.retries > 0 {
        all.push(Happening::Retry);
    }
    if luck.helm > 0 {
        all.extend([Status::Deployed, Status::Failed, Status::PendingUpgrade].map(Happening::Helm));
    }
    if luck.deletions > 0 {
        all.push(Happening::Deletion);
    }
    if luck.moves > 0 {
        all.push(Happening::Move);
    }
    if luck.suspensions > 0 {
        all.push(Happening::Suspension);
    }
    all
}

fn happen(world: &mut World, luck: &mut Luck, happening: Happening) {
    match happening {
        Happening::Change(content) => {
            luck.changes -= 1;
            world.want = content;
        }
        Happening::Retry => {
            luck.retries -= 1;
            world.asks.retry = RetryToken::of(&format!("retry {}", luck.retries));
        }
        Happening::Helm(status) => {
            luck.helm -= 1;
            world.by_helm(status, 'x');
        }
        Happening::Deletion => {
            luck.deletions -= 1;
            world.asks.deleted_at = Some(world.now);
        }
        Happening::Move => {
            luck.moves -= 1;
            world.home += 1;
        }
        Happening::Suspension => {
            luck.suspensions -= 1;
            world.asks.suspend = true;
        }
    }
}

/// A revision that is watched turns out well, badly, or takes its time.
fn answer_health(world: &mut World, chooser: &mut Chooser) {
    world.health = Health::Healthy;
    if world.is_waiting() {
        match chooser.choose(3) {
            0 => {}
            1 => world.health = Health::Failed(cause("0/1 ready")),
            _ => {
                world.health = Health::Progressing(cause("0/1 ready"));
                world.pass(SignedDuration::from_mins(3));
            }
        }
    }
}

/// The object of a hook ends well, badly, takes its time, or is gone.
fn answer_hook(world: &mut World, chooser: &mut Chooser, luck: &mut Luck) {
    if !world.is_at_hook() {
        return;
    }
    match chooser.choose(3 + usize::from(luck.losses > 0)) {
        0 => world.hook = HookState::Succeeded,
        1 => world.hook = HookState::Failed(cause("has failed")),
        2 => {
            world.hook = HookState::Running(cause("is not complete"));
            world.pass(SignedDuration::from_mins(3));
        }
        _ => {
            luck.losses -= 1;
            world.hook_object = None;
        }
    }
}

/// Carries the action out, perhaps dying after some of its writes.
fn act(world: &mut World, chooser: &mut Chooser, luck: &mut Luck, decision: &Decision) {
    if luck.crashes > 0 {
        let mut probe = world.clone();
        probe.execute(&decision.action).expect("no limit of writes is set");
        let writes = probe.writes - world.writes;
        let survives = chooser.choose(writes + 1);
        if survives == writes {
            *world = probe;
        } else {
            luck.crashes -= 1;
            world.writes_left = Some(survives);
            world.execute(&decision.action).expect_err("the limit is below the writes needed");
            world.writes_left = None;
            world.comparison = None;
        }
        return;
    }
    world.execute(&decision.action).expect("no limit of writes is set");
}

/// What holds at every moment.
fn assert_sane(world: &World) {
    let deployed = world.records.iter().filter(|record| record.release.info.status == Status::Deployed).count();
    assert!(deployed <= 1, "{deployed} revisions are deployed: {}", world.history_line());
}

/// What holds when the HelmRelease is gone: its objects are, and its records unless they were to stay.
fn assert_gone(world: &World) {
    let (line, rules) = (world.history_line(), &world.policy.rules);
    assert_eq!((world.live, world.objects.len()), (None, 0), "{line}");
    let stays = rules.uninstall.keep_history;
    let is_over = |it: &Record| it.release.info.status == Status::Uninstalled && it.progress.is_none();
    assert!(world.newest().is_none_or(|newest| stays && is_over(newest)), "{line}");
}

/// Each hook of each revision ran once, whatever crashed; a `pre-delete` hook that failed is tried again.
fn assert_no_hook_ran_twice(world: &World) {
    let mut seen = std::collections::BTreeMap::new();
    for (revision, event, index) in &world.hook_runs {
        if *event != Event::PreDelete {
            *seen.entry((revision.0, event.as_str(), index)).or_insert(0) += 1;
        }
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}: {}", world.history_line());
}

/// What holds when nothing is left to do.
fn assert_settled(world: &World, decision: &Decision) {
    let line = world.history_line();
    let newest = world.newest();
    let status = newest.map(|record| record.release.info.status);
    match &decision.reason {
        Reason::InSync { .. } => {
            assert_eq!((status, world.live), (Some(Status::Deployed), Some(world.want)), "{line}");
            assert_eq!(world.objects, fresh(world.want), "{line}");
            assert_eq!(world.claimed, Some(world.home), "{line}");
        }
        Reason::Held(_) => match status {
            Some(Status::Deployed) => assert_eq!(world.live, newest.map(|record| record.content), "{line}"),
            Some(Status::Failed) if newest.is_some_and(|record| record.content == 'x') => {}
            // Left for a person to look at.
            Some(Status::Failed) if newest.is_some_and(|record| is_given_up(record) && !record.written) => {}
            Some(Status::Failed) if newest.is_some_and(is_given_up) => {
                assert_eq!(world.live, newest.map(|record| record.content), "{line}");
            }
            _ => assert_eq!(world.live, None, "{line}"),
        },
        Reason::RollbackFailed { .. } | Reason::ForeignPending { .. } => {}
        reason => panic!("a walk ends with {reason:?}: {line}"),
    }
}

/// The objects of a release that was just installed.
fn fresh(content: char) -> BTreeMap<ObjectId, char> {
    objects_of(content).into_iter().map(|id| (id, content)).collect()
}

fn is_given_up(record: &Record) -> bool {
    record.progress.as_ref().is_some_and(|progress| progress.phase == Phase::GivenUp)
}

#[test]
fn every_remedy_settles_within_its_budget() {
    let default = UpgradeRules::default;
    for (upgrade, attempts_max) in [
        (UpgradeRules { remedy: Remedy::Uninstall, ..default() }, 2),
        (UpgradeRules { remediate_last_failure: false, ..default() }, 1),
        (UpgradeRules { cleanup_on_fail: true, ..default() }, 1),
        (UpgradeRules { wait: Wait::Nothing, ..default() }, 1),
    ] {
        for crashes in [0, 1] {
            all_walks(|chooser| {
                let mut world = World::running_a();
                world.want = 'b';
                world.policy.rules.upgrade = upgrade.clone();
                let Some(attempts) = walk(&mut world, chooser, Luck { crashes, ..Luck::default() }) else { return };
                // An attempt that died before its record was stored is none.
                assert!(attempts[&'b'] <= attempts_max + crashes, "{attempts:?}: {}", world.history_line());
            });
        }
    }
}

#[test]
fn an_install_that_is_left_gives_way_to_the_next_one() {
    all_walks(|chooser| {
        let mut world = World::empty();
        world.policy.rules.install.remediate_last_failure = false;
        walk(&mut world, chooser, Luck { changes: 1, crashes: 1, ..Luck::default() });
    });
}

#[test]
fn every_upgrade_settles_within_its_budget() {
    for retries in 0..3 {
        let walks = all_walks(|chooser| {
            let mut world = World::running_a();
            world.want = 'b';
            world.policy.upgrade_retries = retries;
            let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
            assert!(attempts[&'b'] <= retries as usize + 1, "{attempts:?}: {}", world.history_line());
        });
        assert!(walks >= 5usize.pow(retries + 1), "{walks}");
    }
}

#[test]
fn every_install_settles_within_its_budget() {
    for retries in 0..3 {
        all_walks(|chooser| {
            let mut world = World::empty();
            world.policy.install_retries = retries;
            let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
            assert!(attempts[&'a'] <= retries as usize + 1, "{attempts:?}: {}", world.history_line());
        });
    }
}

/// `a` runs and `b` is desired, with so many hooks before and after its objects; rollbacks run none, so that there are
/// not more walks than can be walked.
fn hooked(start: World, before: u32, after: u32) -> World {
    let mut world = start;
    (world.want, world.hooks) = ('b', Counts { before, after, ..Counts::default() });
    world.policy.hooks.disable_rollback = true;
    world.policy.uninstall_timeout = SignedDuration::from_secs(20);
    world
}

fn tests(ignored: bool) -> TestRules {
    TestRules {
        timeout: SignedDuration::from_mins(5),
        ignore_after_install: ignored,
        ignore_after_upgrade: ignored,
        filters: Vec::new(),
    }
}

#[test]
fn hooks_of_every_upgrade_run_once_and_settle_within_the_budget() {
    for (before, after, retries) in [(2, 0, 0), (0, 2, 0), (1, 0, 1), (0, 1, 1)] {
        all_walks(|chooser| {
            let mut world = hooked(World::running_a(), before, after);
            world.policy.upgrade_retries = retries;
            let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
            assert!(attempts[&'b'] <= retries as usize + 1, "{attempts:?}: {}", world.history_line());
            assert_no_hook_ran_twice(&world);
        });
    }
}

#[test]
fn hooks_of_rollbacks_run_once_and_settle() {
    let walks = all_walks(|chooser| {
        let mut world = hooked(World::running_a(), 1, 1);
        world.policy.hooks.disable_rollback = false;
        if walk(&mut world, chooser, Luck::default()).is_none() {
            return;
        }
        assert_no_hook_ran_twice(&world);
    });
    assert!(walks > 500, "{walks}");
}

#[test]
fn hooks_with_a_crash_between_any_two_writes_run_once() {
    for start in [World::empty(), World::running_a()] {
        for only_once in [false, true] {
            let walks = all_walks(|chooser| {
                let mut world = hooked(start.clone(), 1, 1);
                world.hooks.only_once = only_once;
                if walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() }).is_none() {
                    return;
                }
                assert_no_hook_ran_twice(&world);
            });
            assert!(walks > 100, "{walks}");
        }
    }
}

#[test]
fn hook_whose_object_is_lost_runs_again_only_where_its_policy_says_so() {
    for only_once in [false, true] {
        all_walks(|chooser| {
            let mut world = hooked(World::running_a(), 1, 1);
            world.hooks.only_once = only_once;
            if walk(&mut world, chooser, Luck { losses: 1, ..Luck::default() }).is_none() {
                return;
            }
            if only_once {
                assert_no_hook_ran_twice(&world);
            }
        });
    }
}

#[test]
fn changes_of_mind_while_hooks_run_settle_on_the_last_one() {
    for (before, after) in [(1, 0), (0, 1)] {
        all_walks(|chooser| {
            let mut world = hooked(World::running_a(), before, after);
            if walk(&mut world, chooser, Luck { changes: 1, ..Luck::default() }).is_none() {
                return;
            }
            assert_no_hook_ran_twice(&world);
        });
    }
}

#[test]
fn tests_of_every_revision_settle_within_the_budget() {
    let chances = [Luck { crashes: 1, ..Luck::default() }, Luck { changes: 1, ..Luck::default() }];
    for (start, luck) in [World::empty(), World::running_a()].into_iter().zip(chances) {
        for ignored in [false, true] {
            let walks = all_walks(|chooser| {
                let mut world = hooked(start.clone(), 0, 0);
                world.hooks.tests = 1;
                world.policy.hooks.tests = Some(tests(ignored));
                let Some(attempts) = walk(&mut world, chooser, luck) else { return };
                assert!(attempts.values().all(|count| *count <= 2), "{attempts:?}: {}", world.history_line());
                assert_no_hook_ran_twice(&world);
            });
            assert!(walks > 100, "{walks}");
        }
    }
}

/// A failed test counts as a failure of what it tests, also while the next attempt at the same is deployed already.
#[test]
fn failed_tests_are_remedied_by_every_rule_within_the_budget() {
    let default = UpgradeRules::default;
    for (upgrade, attempts_max) in [
        (default(), 2),
        (UpgradeRules { remedy: Remedy::Uninstall, ..default() }, 3),
        (UpgradeRules { remediate_last_failure: false, ..default() }, 2),
        (UpgradeRules { cleanup_on_fail: true, wait: Wait::Nothing, ..default() }, 2),
    ] {
        for start in [World::empty(), World::running_a()] {
            all_walks(|chooser| {
                let mut world = hooked(start.clone(), 0, 0);
                world.hooks.tests = 1;
                (world.policy.install_retries, world.policy.upgrade_retries) = (1, 1);
                world.policy.rules.upgrade = upgrade.clone();
                world.policy.rules.install.remediate_last_failure = upgrade.remediate_last_failure;
                world.policy.rules.install.wait = upgrade.wait;
                world.policy.hooks.tests = Some(tests(false));
                let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
                assert!(attempts[&'b'] <= attempts_max, "{attempts:?}: {}", world.history_line());
                assert_no_hook_ran_twice(&world);
            });
        }
    }
}

#[test]
fn hooks_beside_every_remedy_settle_within_the_budget() {
    let default = UpgradeRules::default;
    for (upgrade, attempts_max) in [
        (UpgradeRules { remedy: Remedy::Uninstall, ..default() }, 2),
        (UpgradeRules { remediate_last_failure: false, ..default() }, 1),
        (UpgradeRules { cleanup_on_fail: true, ..default() }, 1),
        (UpgradeRules { wait: Wait::Nothing, ..default() }, 1),
    ] {
        for (before, after) in [(1, 0), (0, 1)] {
            all_walks(|chooser| {
                let mut world = hooked(World::running_a(), before, after);
                // Of installs hooks are walked elsewhere.
                world.policy.hooks.disable_install = true;
                world.policy.rules.upgrade = upgrade.clone();
                let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
                assert!(attempts[&'b'] <= attempts_max, "{attempts:?}: {}", world.history_line());
                assert_no_hook_ran_twice(&world);
            });
        }
    }
}

#[test]
fn hooks_beside_every_remedy_survive_a_crash_between_any_two_writes() {
    let default = UpgradeRules::default;
    for upgrade in [
        UpgradeRules { remedy: Remedy::Uninstall, ..default() },
        UpgradeRules { remediate_last_failure: false, ..default() },
        UpgradeRules { cleanup_on_fail: true, wait: Wait::Nothing, ..default() },
    ] {
        let walks = all_walks(|chooser| {
            let mut world = hooked(World::running_a(), 1, 1);
            // Those of the remedy where it is an uninstall, else those of the upgrade.
            world.policy.hooks.disable_install = true;
            world.policy.hooks.disable_upgrade = upgrade.remedy == Remedy::Uninstall;
            world.policy.rules.upgrade = upgrade.clone();
            if walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() }).is_none() {
                return;
            }
            assert_no_hook_ran_twice(&world);
        });
        assert!(walks > 100, "{walks}");
    }
}

#[test]
fn uninstall_that_keeps_the_records_runs_its_hooks_and_survives_a_crash() {
    all_walks(|chooser| {
        let mut world = hooked(World::running_a(), 1, 1);
        world.asks.deleted_at = Some(world.now);
        world.policy.rules.uninstall.keep_history = true;
        if walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() }).is_none() {
            return;
        }
        let events = [Event::PreDelete, Event::PostDelete];
        assert!(events.iter().all(|event| world.hook_runs.iter().any(|(_, of, _)| of == event)));
        assert!(!world.records.is_empty());
        assert_no_hook_ran_twice(&world);
    });
}

#[test]
fn deletion_while_a_remedy_uninstalls_leaves_no_object() {
    all_walks(|chooser| {
        let mut world = hooked(World::running_a(), 1, 1);
        (world.policy.hooks.disable_install, world.policy.hooks.disable_upgrade) = (true, true);
        world.policy.rules.upgrade.remedy = Remedy::Uninstall;
        walk(&mut world, chooser, Luck { deletions: 1, ..Luck::default() });
    });
}

#[test]
fn deletion_at_any_moment_of_a_hook_leaves_nothing() {
    for (before, after) in [(1, 0), (0, 1)] {
        all_walks(|chooser| {
            let mut world = hooked(World::running_a(), before, after);
            walk(&mut world, chooser, Luck { deletions: 1, ..Luck::default() });
        });
    }
}

#[test]
fn uninstall_with_hooks_and_a_crash_between_any_two_writes_leaves_nothing() {
    all_walks(|chooser| {
        let mut world = hooked(World::running_a(), 1, 1);
        world.asks.deleted_at = Some(world.now);
        if walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() }).is_none() {
            return;
        }
        assert!(world.records.is_empty() && world.live.is_none());
    });
}

#[test]
fn small_history_forgets_no_failure() {
    for retries in 0..3 {
        all_walks(|chooser| {
            let mut world = World::running_a();
            world.want = 'b';
            world.policy.upgrade_retries = retries;
            world.policy.history_max = 1;
            let Some(attempts) = walk(&mut world, chooser, Luck::default()) else { return };
            assert!(attempts[&'b'] <= retries as usize + 1, "{attempts:?}: {}", world.history_line());
        });
    }
}

#[test]
fn walks_with_a_crash_between_any_two_writes_settle_within_the_budget() {
    let walks = all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        world.policy.upgrade_retries = 1;
        let Some(attempts) = walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() }) else { return };
        // An attempt that died before its record was stored is none.
        let stored = world.records.iter().filter(|it| it.content == 'b' && it.release.info.rollback_revision.is_none());
        assert!(stored.count() <= 2, "{attempts:?}: {}", world.history_line());
    });
    assert!(walks > 1_000, "{walks}");
}

#[test]
fn two_crashes_are_no_worse_than_one() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { crashes: 2, ..Luck::default() });
    });
}

#[test]
fn installs_with_a_crash_between_any_two_writes_settle() {
    all_walks(|chooser| {
        let mut world = World::empty();
        walk(&mut world, chooser, Luck { crashes: 2, ..Luck::default() });
    });
}

#[test]
fn changes_of_mind_at_any_moment_settle_on_the_last_one() {
    let walks = all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { changes: 2, ..Luck::default() });
    });
    assert!(walks > 1_000, "{walks}");
}

#[test]
fn changes_of_mind_during_the_first_install_settle() {
    all_walks(|chooser| {
        let mut world = World::empty();
        walk(&mut world, chooser, Luck { changes: 2, ..Luck::default() });
    });
}

#[test]
fn each_retry_request_grants_one_attempt() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        let Some(attempts) = walk(&mut world, chooser, Luck { retries: 1, ..Luck::default() }) else { return };
        assert!(attempts[&'b'] <= 2, "{attempts:?}: {}", world.history_line());
    });
}

#[test]
fn helm_beside_us_settles() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { helm: 1, changes: 1, ..Luck::default() });
    });
}

#[test]
fn deletion_at_any_moment_leaves_nothing() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { deletions: 1, crashes: 1, ..Luck::default() });
    });
}

#[test]
fn another_name_at_any_moment_uninstalls_what_the_old_one_left() {
    for (start, hooks) in [(World::running_a(), 0), (World::running_a(), 1), (unclaimed(), 0)] {
        let walks = all_walks(|chooser| {
            let mut world = start.clone();
            (world.want, world.hooks) = ('b', Counts { before: hooks, ..Counts::default() });
            world.policy.hooks.disable_install = true;
            (world.policy.hooks.disable_rollback, world.policy.hooks.disable_upgrade) = (true, true);
            world.policy.uninstall_timeout = SignedDuration::from_secs(20);
            walk(&mut world, chooser, Luck { moves: 1, crashes: 1 - hooks as usize, ..Luck::default() });
        });
        assert!(walks > 50, "{walks}");
    }
}

#[test]
fn two_names_in_a_row_end_at_the_last_one() {
    all_walks(|chooser| {
        let mut world = unclaimed();
        walk(&mut world, chooser, Luck { moves: 2, ..Luck::default() });
    });
}

#[test]
fn deletion_while_the_name_changes_leaves_nothing() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        walk(&mut world, chooser, Luck { moves: 1, deletions: 1, crashes: 1, ..Luck::default() });
    });
}

#[test]
fn records_that_are_kept_stay_behind_when_the_name_changes() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        (world.home, world.policy.rules.uninstall.keep_history) = (1, true);
        walk(&mut world, chooser, Luck { crashes: 1, ..Luck::default() });
    });
}

/// Nothing is installed, and the status names no release yet.
fn unclaimed() -> World {
    World { claimed: None, ..World::empty() }
}

#[test]
fn suspension_at_any_moment_lets_what_is_under_way_reach_its_end() {
    for (before, tests_of) in [(0, 0), (1, 0), (0, 1)] {
        all_walks(|chooser| {
            let mut world = hooked(World::running_a(), before, 0);
            world.hooks.tests = tests_of;
            world.policy.hooks.tests = (tests_of > 0).then(|| tests(false));
            if walk(&mut world, chooser, Luck { suspensions: 1, ..Luck::default() }).is_none() {
                return;
            }
            assert_no_hook_ran_twice(&world);
        });
    }
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { suspensions: 1, crashes: 1, ..Luck::default() });
    });
}

#[test]
fn helm_release_that_is_deleted_and_made_anew_at_any_moment_is_installed_afresh() {
    all_walks(|chooser| {
        let mut world = World::running_a();
        world.want = 'b';
        walk(&mut world, chooser, Luck { deletions: 1, recreations: 1, crashes: 1, ..Luck::default() });
    });
}

/// Every ending of a test is waited for, whatever is desired by then.
#[test]
fn tests_that_began_are_never_cut_short() {
    all_walks(|chooser| {
        let mut world = hooked(World::running_a(), 0, 0);
        world.hooks.tests = 2;
        world.policy.hooks.tests = Some(tests(false));
        if walk(&mut world, chooser, Luck { changes: 1, ..Luck::default() }).is_none() {
            return;
        }
        let begun = world.hook_runs.iter().filter(|(_, event, _)| *event == Event::Test).count();
        assert_eq!(world.hook_ends, begun, "{:?}: {}", world.hook_runs, world.history_line());
    });
}

/// How each content behaves, always the same.
fn run_to_rest(mut world: World, health_of: impl Fn(char) -> Health, crash_after: Option<usize>) -> World {
    world.writes_left = crash_after;
    for _ in 0..STEPS_MAX {
        world.health = world.live.map_or(Health::Healthy, &health_of);
        let decision = world.decide();
        match decision.action {
            Action::Nothing => return world,
            Action::Wait { at_most, .. } => world.pass(at_most),
            action => {
                if world.execute(&action).is_err() {
                    world.writes_left = None;
                    world.comparison = None;
                }
            }
        }
    }
    panic!("no rest: {}", world.history_line());
}

#[test]
fn a_crash_changes_no_answer() {
    let kinds = || [Health::Healthy, Health::Failed(cause("0/1 ready")), Health::Progressing(cause("0/1 ready"))];
    for of_a in kinds() {
        for of_b in kinds() {
            for mut start in [World::empty(), World::running_a()] {
                start.want = 'b';
                start.policy.upgrade_retries = 1;
                start.policy.install_retries = 1;
                let health_of = |content| if content == 'a' { of_a.clone() } else { of_b.clone() };
                let straight = run_to_rest(start.clone(), health_of, None);
                for crash_after in 0..straight.writes - start.writes {
                    let crashed = run_to_rest(start.clone(), health_of, Some(crash_after));
                    assert_eq!(crashed.history_line(), straight.history_line(), "after {crash_after} writes");
                    assert_eq!(crashed.live, straight.live, "after {crash_after} writes");
                    assert_eq!(crashed.decide().to_string(), straight.decide().to_string());
                }
            }
        }
    }
}

#[test]
fn a_lost_comparison_is_made_again() {
    let mut world = World::empty();
    world.by_helm(Status::Deployed, 'a');
    assert!(matches!(world.step().unwrap().action, Action::Adopt { .. }));
    world.comparison = None;
    assert!(matches!(world.step().unwrap().action, Action::Adopt { .. }));
    assert!(matches!(world.step().unwrap().action, Action::Stamp { .. }));
    assert_eq!(
        pintle::release::marks::Marks::read(&world.records[0].labels, pintle::release::Revision(1)).fingerprint,
        Some(fingerprint('a'))
    );
}
