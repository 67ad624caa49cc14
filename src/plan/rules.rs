//! What a spec may choose about each phase of a release's life. The defaults are the API's.

use serde_json::json;

use super::desired::Policy;
use super::hooks::HookRules;
use crate::release::history::Entry;
use crate::release::{JsonMap, Status};

/// The rules of every phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub install: InstallRules,
    pub upgrade: UpgradeRules,
    pub rollback: RollbackRules,
    pub uninstall: UninstallRules,
    /// What becomes of the release when its HelmRelease is deleted. Unset, it is uninstalled, but left alone where the
    /// HelmRelease is suspended.
    pub deletion: Option<Deletion>,
}

/// What becomes of a release whose HelmRelease is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Uninstall,
    /// Objects and records stay.
    Orphan,
}

/// What a rollout waits for before it counts as deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    #[default]
    Everything,
    ExceptJobs,
    /// Written is deployed.
    Nothing,
}

/// Which definitions of a chart's `crds/` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crds {
    Skip,
    /// Those that do not exist.
    Create,
    /// All of them.
    CreateReplace,
}

/// How a failed upgrade is mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    #[default]
    Rollback,
    /// Delete the release's objects, then install what is desired afresh.
    Uninstall,
}

/// Whether a deletion takes dependents along at once, waits for them, or leaves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallRules {
    pub wait: Wait,
    pub create_namespace: bool,
    pub crds: Crds,
    /// Whether a release that was uninstalled with its records kept may be installed over.
    pub replace: bool,
    /// Whether objects of others are taken over instead of refused.
    pub take_ownership: bool,
    /// Whether the failure that spends the retries is cleaned up too.
    pub remediate_last_failure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRules {
    pub wait: Wait,
    pub crds: Crds,
    /// Whether objects whose immutable fields change are deleted and created again.
    pub force: bool,
    /// Whether what a failed upgrade created is deleted before anything else is done about it.
    pub cleanup_on_fail: bool,
    pub take_ownership: bool,
    pub remedy: Remedy,
    pub remediate_last_failure: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollbackRules {
    pub wait: Wait,
    pub force: bool,
    pub cleanup_on_fail: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UninstallRules {
    /// Whether the records go before the objects are gone for good.
    pub disable_wait: bool,
    pub keep_history: bool,
    pub propagation: Propagation,
}

impl Default for InstallRules {
    fn default() -> Self {
        InstallRules {
            wait: Wait::default(),
            create_namespace: false,
            crds: Crds::Create,
            replace: true,
            take_ownership: false,
            remediate_last_failure: true,
        }
    }
}

impl Default for UpgradeRules {
    fn default() -> Self {
        UpgradeRules {
            wait: Wait::default(),
            crds: Crds::Skip,
            force: false,
            cleanup_on_fail: false,
            take_ownership: false,
            remedy: Remedy::default(),
            remediate_last_failure: true,
        }
    }
}

impl Rules {
    /// What is waited for while a revision of this status is on its way.
    pub fn wait(&self, pending: Status) -> Wait {
        match pending {
            Status::PendingInstall => self.install.wait,
            Status::PendingUpgrade => self.upgrade.wait,
            Status::PendingRollback => self.rollback.wait,
            Status::Unknown
            | Status::Deployed
            | Status::Uninstalled
            | Status::Superseded
            | Status::Failed
            | Status::Uninstalling => Wait::Everything,
        }
    }
}

impl Policy {
    /// The options that are part of the fingerprint, each only where it is not the default: a change of one of them is a
    /// reason to roll out, and to try again what failed without it.
    ///
    /// They are those that decide which objects an install or upgrade writes. Of the others, those that decide whether it
    /// may begin (`force`, `takeOwnership`, `createNamespace`, `replace`, `conflicts`, `install.crds`) act because a changed
    /// spec is judged anew, and the rest act when their time comes: how long is waited, what is done about a failure, how
    /// much is kept.
    pub fn fingerprinted(&self) -> JsonMap {
        // All are named, so that a new one has to be decided upon.
        let HookRules { disable_install, disable_upgrade, disable_rollback: _, disable_uninstall: _, tests: _ } =
            &self.hooks;
        let InstallRules {
            wait: _,
            create_namespace: _,
            crds: _,
            replace: _,
            take_ownership: _,
            remediate_last_failure: _,
        } = &self.rules.install;
        let UpgradeRules {
            crds,
            wait: _,
            force: _,
            cleanup_on_fail: _,
            take_ownership: _,
            remedy: _,
            remediate_last_failure: _,
        } = &self.rules.upgrade;
        let mut options = JsonMap::new();
        match crds {
            Crds::Skip => {}
            Crds::Create => drop(options.insert("crds".to_owned(), json!("Create"))),
            Crds::CreateReplace => drop(options.insert("crds".to_owned(), json!("CreateReplace"))),
        }
        let disabled: Vec<_> = [("install", disable_install), ("upgrade", disable_upgrade)]
            .into_iter()
            .filter_map(|(phase, disabled)| disabled.then_some(phase))
            .collect();
        if !disabled.is_empty() {
            options.insert("disableHooks".to_owned(), json!(disabled));
        }
        options
    }

    /// Whether something is done about a failed attempt: always while there are retries left, and after the last one
    /// unless the spec wants it left for a person to look at. `stands` tells upgrades from first installs.
    pub fn remediates(&self, failures: u32, stands: bool) -> bool {
        let rules = &self.rules;
        let (retries, last) = match stands {
            true => (self.upgrade_retries, rules.upgrade.remediate_last_failure),
            false => (self.install_retries, rules.install.remediate_last_failure),
        };
        last || failures <= retries
    }

    /// Whether what this revision created is deleted once it has failed for the `failures`th time. One that is deployed
    /// already fails by its tests: `is_first` tells whether nothing was deployed before it.
    pub(crate) fn cleans_up(&self, failing: &Entry, is_first: bool, failures: u32) -> bool {
        match failing.status() {
            Status::PendingInstall => self.remediates(failures, false),
            Status::Deployed if is_first => self.remediates(failures, false),
            Status::PendingUpgrade | Status::Deployed => self.rules.upgrade.cleanup_on_fail,
            Status::PendingRollback => self.rules.rollback.cleanup_on_fail,
            Status::Unknown | Status::Uninstalled | Status::Superseded | Status::Failed | Status::Uninstalling => false,
        }
    }
}
