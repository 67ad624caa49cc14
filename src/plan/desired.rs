//! What is asked of a release: the target, the rules, and what people asked by annotation.

use jiff::{SignedDuration, Timestamp};

use super::hooks::HookRules;
use super::outcome::Failure;
use super::rules::{Deletion, Rules};
use crate::release::digest::Fingerprint;
use crate::release::marks::RetryToken;
use crate::release::{ChartVersion, Home};

/// Everything a decision looks at in the spec and its sources.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The release that is looked at: the one that the status names, else the one that the spec means.
    pub home: Home,
    pub claim: Claim,
    /// What shall run, or why that cannot be told: the spec is wrong, a source is down, values are missing.
    pub target: Result<Target, Failure>,
    pub policy: Policy,
    pub asks: Asks,
}

impl Desired {
    /// Whether the release stays although its HelmRelease was deleted. Where the spec says nothing, a suspended one does.
    pub fn leaves_release(&self) -> bool {
        let orphan = match self.policy.rules.deletion {
            Some(deletion) => deletion == Deletion::Orphan,
            None => self.asks.suspend,
        };
        self.asks.deleted_at.is_some() && orphan
    }
}

/// Whether the status names the release that the spec means. It is written there before anything is written for the
/// release, so that a spec that changes its mind, and a controller that dies, leave none behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It does.
    Made,
    /// It names none yet.
    Missing,
    /// It names another one, which is uninstalled first; the spec means this one.
    Moving(Home),
}

/// What shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub fingerprint: Fingerprint,
    pub chart: ChartVersion,
    /// Why the source cannot be asked right now, where the target is the last known one.
    pub stale: Option<String>,
}

/// The rules of a release; the defaults are the API's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub interval: SignedDuration,
    pub install_timeout: SignedDuration,
    pub upgrade_timeout: SignedDuration,
    pub rollback_timeout: SignedDuration,
    pub uninstall_timeout: SignedDuration,
    /// How often a failed first install is tried again with the same fingerprint.
    pub install_retries: u32,
    /// How often a failed upgrade is tried again with the same fingerprint, after rolling back.
    pub upgrade_retries: u32,
    /// Revisions to keep; 0 keeps all.
    pub history_max: u32,
    pub fail_fast: FailFast,
    pub conflicts: Conflicts,
    pub rules: Rules,
    pub hooks: HookRules,
}

/// When a rollout is given up before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailFast {
    /// A container that crashed so often in this attempt is crash-looping.
    pub crash_restarts: u32,
    /// An image that cannot be pulled, or a configuration that is missing, is final after this.
    pub image_pull: SignedDuration,
    /// Whether crash loops end a first install early too: apps often restart until their database is up.
    pub on_install: bool,
}

/// What happens to fields that another manager owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflicts {
    /// Take them over and report each.
    #[default]
    Force,
    /// Refuse before the first write and list all.
    Fail,
}

/// What people asked for beside the spec: annotations, suspension, deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    pub suspend: bool,
    /// When the HelmRelease was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The reason in `pintle.dev/hold`; may be empty.
    pub hold: Option<String>,
    /// The request in `pintle.dev/retry-at`.
    pub retry: Option<RetryToken>,
    /// The request in `pintle.dev/reconcile-at`, as written.
    pub reconcile: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let timeout = SignedDuration::from_mins(5);
        Policy {
            interval: SignedDuration::from_mins(10),
            install_timeout: timeout,
            upgrade_timeout: timeout,
            rollback_timeout: timeout,
            uninstall_timeout: timeout,
            install_retries: 0,
            upgrade_retries: 0,
            history_max: 10,
            fail_fast: FailFast::default(),
            conflicts: Conflicts::default(),
            rules: Rules::default(),
            hooks: HookRules::default(),
        }
    }
}

impl Default for FailFast {
    fn default() -> Self {
        FailFast { crash_restarts: 3, image_pull: SignedDuration::from_secs(60), on_install: false }
    }
}
