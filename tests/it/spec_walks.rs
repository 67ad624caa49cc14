//! Random walks over specs: whatever is desired in between and whatever happens, a release that comes back to a spec ends
//! as one that was just installed with it.
//!
//! A failure names its seed; `PINTLE_SEED=7 cargo test --test it spec_walks` walks it again.

use fastrand::Rng;
use jiff::SignedDuration;
use pintle::plan::rules::{Remedy, Wait};
use pintle::plan::{Action, Health, HookState, Reason, TestRules};
use pintle::release::Status;
use pintle::release::marks::RetryToken;

use crate::world::{Counts, World, cause};

const WALKS: u64 = 3_000;
const STEPS_MAX: usize = 200;

/// How well things go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Mixed,
}

#[test]
fn spec_that_comes_back_ends_as_a_fresh_one() {
    let seeds = match std::env::var("PINTLE_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (0..WALKS).collect(),
    };
    for seed in seeds {
        let _seed = Seed(seed);
        walk(&mut Rng::with_seed(seed));
    }
}

/// Tells its number when its walk fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the walk of PINTLE_SEED={} failed", self.0);
        }
    }
}

fn walk(rng: &mut Rng) {
    let mut world = World { claimed: None, ..World::empty() };
    choose_rules(&mut world, rng);
    let spec = content(rng);
    world.want = spec;
    settle(&mut world, rng, Luck::Good);
    for _ in 0..rng.usize(1..6) {
        disturb(&mut world, rng);
        settle(&mut world, rng, Luck::Mixed);
    }
    world.want = spec;
    (world.asks.suspend, world.asks.hold) = (false, None);
    // What was held, or left by others, goes on when a person asks; each request acts once.
    for attempt in 0..5 {
        world.pass(SignedDuration::from_hours(1));
        if settle(&mut world, rng, Luck::Good) {
            break;
        }
        world.asks.retry = RetryToken::of(&format!("at last {attempt}"));
    }
    let mut fresh = World { claimed: None, want: spec, policy: world.policy.clone(), ..World::empty() };
    fresh.hooks = world.hooks;
    settle(&mut fresh, rng, Luck::Good);
    let end = |world: &World| {
        let newest = world.newest().expect("it is installed");
        (world.live, world.objects.clone(), newest.content, newest.release.info.status, newest.progress.clone())
    };
    assert_eq!(end(&world), end(&fresh), "{}: {}", world.decide(), world.history_line());
    assert_eq!((end(&fresh).0, end(&fresh).3), (Some(spec), Status::Deployed));
}

fn content(rng: &mut Rng) -> char {
    rng.char('a'..='h')
}

fn choose_rules(world: &mut World, rng: &mut Rng) {
    let policy = &mut world.policy;
    (policy.install_retries, policy.upgrade_retries) = (rng.u32(0..3), rng.u32(0..3));
    policy.history_max = rng.u32(0..4);
    policy.uninstall_timeout = SignedDuration::from_secs(20);
    policy.rules.upgrade.remedy = if rng.u8(0..4) == 0 { Remedy::Uninstall } else { Remedy::Rollback };
    policy.rules.upgrade.cleanup_on_fail = rng.bool();
    policy.rules.upgrade.remediate_last_failure = rng.u8(0..4) > 0;
    policy.rules.install.remediate_last_failure = rng.u8(0..4) > 0;
    policy.rules.upgrade.wait = if rng.u8(0..4) == 0 { Wait::Nothing } else { Wait::Everything };
    policy.rules.uninstall.keep_history = rng.bool();
    world.hooks = Counts { before: rng.u32(0..2), after: rng.u32(0..2), tests: rng.u32(0..2), only_once: rng.bool() };
    let tests = || TestRules {
        timeout: SignedDuration::from_mins(5),
        ignore_after_install: false,
        ignore_after_upgrade: false,
        filters: Vec::new(),
    };
    policy.hooks.tests = rng.bool().then(tests);
}

/// Something that people do.
fn disturb(world: &mut World, rng: &mut Rng) {
    match rng.u8(0..10) {
        0 => world.by_helm(Status::Deployed, 'x'),
        1 => world.by_helm(Status::Failed, 'x'),
        2 => world.home += 1,
        3 => world.asks.suspend = !world.asks.suspend,
        4 => world.asks.retry = RetryToken::of(&format!("retry {}", rng.u32(..))),
        _ => world.want = content(rng),
    }
}

/// Decides and acts until there is nothing to do, or it is interrupted; whether what is desired runs then.
fn settle(world: &mut World, rng: &mut Rng, luck: Luck) -> bool {
    let mut steps = if luck == Luck::Mixed { rng.usize(1..40) } else { STEPS_MAX };
    while steps > 0 {
        steps -= 1;
        let fortune = if luck == Luck::Good { 0 } else { rng.u8(0..4) };
        (world.health, world.hook) = match fortune {
            0 | 1 => (Health::Healthy, HookState::Succeeded),
            2 => (Health::Failed(cause("0/1 ready")), HookState::Failed(cause("has failed"))),
            _ => (Health::Progressing(cause("0/1 ready")), HookState::Running(cause("is not complete"))),
        };
        if !world.is_waiting() {
            world.health = Health::Healthy;
        }
        let decision = world.decide();
        match (&decision.action, decision.again_in) {
            (Action::Nothing, None) => return matches!(decision.reason, Reason::InSync { .. }),
            (Action::Nothing, Some(time)) => world.pass(time),
            (Action::Wait { .. }, _) => world.pass(SignedDuration::from_mins(2)),
            (action, _) => {
                world.writes_left = (luck == Luck::Mixed && rng.u8(0..4) == 0).then(|| rng.usize(0..4));
                if world.execute(action).is_err() {
                    world.comparison = None;
                }
                world.writes_left = None;
            }
        }
    }
    assert!(luck == Luck::Mixed, "no rest: {}: {}", world.decide(), world.history_line());
    false
}
