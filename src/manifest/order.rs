//! In which order kinds are installed and removed.

/// The kinds that are installed first, in order. All others come after them, by name.
const INSTALL: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The kinds that are removed first, in order. Not the reverse of the other list: see `Service`.
const UNINSTALL: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

/// A key that sorts kinds for installing. Sort stably: objects of one kind keep their order.
pub fn install_key(kind: &str) -> (usize, &str) {
    key(INSTALL, kind)
}

/// A key that sorts kinds for removing. Sort stably.
pub fn uninstall_key(kind: &str) -> (usize, &str) {
    key(UNINSTALL, kind)
}

fn key<'k>(order: &[&str], kind: &'k str) -> (usize, &'k str) {
    let position = order.iter().position(|known| *known == kind);
    (position.unwrap_or(order.len()), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kinds_come_last_by_name() {
        let mut kinds = ["Widget", "Deployment", "Gadget", "Namespace", "ValidatingWebhookConfiguration"];
        kinds.sort_by_key(|kind| install_key(kind));
        assert_eq!(kinds, ["Namespace", "Deployment", "ValidatingWebhookConfiguration", "Gadget", "Widget"]);
        kinds.sort_by_key(|kind| uninstall_key(kind));
        assert_eq!(kinds, ["ValidatingWebhookConfiguration", "Deployment", "Namespace", "Gadget", "Widget"]);
    }

    #[test]
    fn both_orders_hold_the_same_kinds() {
        let sorted = |order: &[&'static str]| {
            let mut kinds = order.to_vec();
            kinds.sort_unstable();
            kinds
        };
        assert_eq!(sorted(INSTALL), sorted(UNINSTALL));
    }
}
