//! The phases of a spec to the rules of the plan. Pure words: nothing here can be wrong that the schema let through.

use super::helm_release::{
    CrdsSpec, DeletionPolicy, DeletionPropagation, HelmReleaseSpec, InstallSpec, RemediationStrategy, RollbackSpec,
    UninstallSpec, UpgradeSpec,
};
use crate::plan::rules::{
    Crds, Deletion, InstallRules, Propagation, Remedy, RollbackRules, Rules, UninstallRules, UpgradeRules, Wait,
};

/// The rules that a spec gives for the phases of its release.
pub(super) fn rules(spec: &HelmReleaseSpec) -> Rules {
    Rules {
        install: spec.install.as_ref().map(install).unwrap_or_default(),
        upgrade: spec.upgrade.as_ref().map(upgrade).unwrap_or_default(),
        rollback: spec.rollback.as_ref().map(rollback).unwrap_or_default(),
        uninstall: spec.uninstall.as_ref().map(uninstall).unwrap_or_default(),
        deletion: spec.deletion_policy.map(|policy| match policy {
            DeletionPolicy::Uninstall => Deletion::Uninstall,
            DeletionPolicy::Orphan => Deletion::Orphan,
        }),
    }
}

fn install(spec: &InstallSpec) -> InstallRules {
    let default = InstallRules::default();
    let last = spec.remediation.as_ref().and_then(|remediation| remediation.remediate_last_failure);
    InstallRules {
        wait: wait(spec.disable_wait, spec.disable_wait_for_jobs),
        create_namespace: spec.create_namespace,
        crds: spec.crds.map_or(default.crds, crds),
        replace: spec.replace.unwrap_or(default.replace),
        take_ownership: spec.take_ownership,
        remediate_last_failure: last.unwrap_or(default.remediate_last_failure),
    }
}

fn upgrade(spec: &UpgradeSpec) -> UpgradeRules {
    let default = UpgradeRules::default();
    let remediation = spec.remediation.clone().unwrap_or_default();
    UpgradeRules {
        wait: wait(spec.disable_wait, spec.disable_wait_for_jobs),
        crds: spec.crds.map_or(default.crds, crds),
        force: spec.force,
        cleanup_on_fail: spec.cleanup_on_fail,
        take_ownership: spec.take_ownership,
        remedy: match remediation.strategy {
            RemediationStrategy::Rollback => Remedy::Rollback,
            RemediationStrategy::Uninstall => Remedy::Uninstall,
        },
        remediate_last_failure: remediation.remediate_last_failure.unwrap_or(default.remediate_last_failure),
    }
}

fn rollback(spec: &RollbackSpec) -> RollbackRules {
    RollbackRules {
        wait: wait(spec.disable_wait, spec.disable_wait_for_jobs),
        force: spec.force,
        cleanup_on_fail: spec.cleanup_on_fail,
    }
}

fn uninstall(spec: &UninstallSpec) -> UninstallRules {
    UninstallRules {
        disable_wait: spec.disable_wait,
        keep_history: spec.keep_history,
        propagation: match spec.deletion_propagation {
            DeletionPropagation::Background => Propagation::Background,
            DeletionPropagation::Foreground => Propagation::Foreground,
            DeletionPropagation::Orphan => Propagation::Orphan,
        },
    }
}

fn wait(disabled: bool, disabled_for_jobs: bool) -> Wait {
    match (disabled, disabled_for_jobs) {
        (true, _) => Wait::Nothing,
        (false, true) => Wait::ExceptJobs,
        (false, false) => Wait::Everything,
    }
}

fn crds(spec: CrdsSpec) -> Crds {
    match spec {
        CrdsSpec::Skip => Crds::Skip,
        CrdsSpec::Create => Crds::Create,
        CrdsSpec::CreateReplace => Crds::CreateReplace,
    }
}
