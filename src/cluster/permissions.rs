//! What the controller may do as itself, each with its reason. Everything else is done with a release's own rights.
//!
//! The install chart's ClusterRole is printed from this table (`pintle rbac`), and a test fails when it is stale.

use std::fmt::Write;

/// One rule of the ClusterRole.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    pub why: &'static str,
    pub groups: &'static [&'static str],
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const FOLLOW: &[&str] = &["list", "watch"];

/// All rules of the controller.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        why: "our own kinds: finalizers are written to the object, everything else to its status",
        groups: &["pintle.dev"],
        resources: &["helmreleases", "gitsyncs"],
        verbs: &["get", "list", "watch", "patch", "update"],
    },
    Permission {
        why: "the one writer of their status",
        groups: &["pintle.dev"],
        resources: &["helmreleases/status", "gitsyncs/status"],
        verbs: &["get", "patch", "update"],
    },
    Permission {
        why: "a finalizer on an object may only be set by who may set finalizers of its kind",
        groups: &["pintle.dev"],
        resources: &["helmreleases/finalizers", "gitsyncs/finalizers"],
        verbs: &["update"],
    },
    Permission {
        why: "a release with spec.serviceAccountName is read and written as that account",
        groups: &[""],
        resources: &["serviceaccounts"],
        verbs: &["impersonate"],
    },
    Permission {
        why: "release records and referenced values: followed by their metadata only, read as the release",
        groups: &[""],
        resources: &["secrets", "configmaps"],
        verbs: FOLLOW,
    },
    Permission {
        why: "whether a release's namespace is being deleted",
        groups: &[""],
        resources: &["namespaces"],
        verbs: READ,
    },
    Permission {
        why: "health of what runs, by one shared watch a kind; kinds not listed here are read as the release instead",
        groups: &[""],
        resources: &["pods", "services", "persistentvolumeclaims", "serviceaccounts", "replicationcontrollers"],
        verbs: FOLLOW,
    },
    Permission {
        why: "the same",
        groups: &["apps"],
        resources: &["deployments", "statefulsets", "daemonsets", "replicasets"],
        verbs: FOLLOW,
    },
    Permission { why: "the same", groups: &["batch"], resources: &["jobs", "cronjobs"], verbs: FOLLOW },
    Permission { why: "the same", groups: &["autoscaling"], resources: &["horizontalpodautoscalers"], verbs: FOLLOW },
    Permission { why: "the same", groups: &["policy"], resources: &["poddisruptionbudgets"], verbs: FOLLOW },
    Permission {
        why: "the same",
        groups: &["networking.k8s.io"],
        resources: &["ingresses", "networkpolicies", "ingressclasses"],
        verbs: FOLLOW,
    },
    Permission {
        why: "the same",
        groups: &["rbac.authorization.k8s.io"],
        resources: &["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
        verbs: FOLLOW,
    },
    Permission {
        why: "the same; and whether a definition is established",
        groups: &["apiextensions.k8s.io"],
        resources: &["customresourcedefinitions"],
        verbs: READ,
    },
    Permission {
        why: "another controller's claim on the same release is refused by name",
        groups: &["helm.toolkit.fluxcd.io"],
        resources: &["helmreleases"],
        verbs: READ,
    },
    Permission {
        why: "what happened, where `kubectl describe` looks for it",
        groups: &["events.k8s.io"],
        resources: &["events"],
        verbs: &["create", "patch"],
    },
];

/// The rules as the YAML list of a ClusterRole, each below its reason.
pub fn rules_yaml() -> String {
    let list = |words: &[&str]| {
        let quoted: Vec<_> = words.iter().map(|word| if word.is_empty() { "\"\"" } else { word }).collect();
        format!("[{}]", quoted.join(", "))
    };
    let mut text = String::new();
    for Permission { why, groups, resources, verbs } in PERMISSIONS {
        let _ = writeln!(text, "# {why}");
        let _ = writeln!(text, "- apiGroups: {}", list(groups));
        let _ = writeln!(text, "  resources: {}", list(resources));
        let _ = writeln!(text, "  verbs: {}", list(verbs));
    }
    text
}
