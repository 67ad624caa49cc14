//! By which fields the elements of a list are told apart when a patch is merged, and which kinds have no namespace.
//!
//! `merge_keys.txt` is the part of Kubernetes' OpenAPI document that matters for it (`x-kubernetes-patch-strategy`,
//! `x-kubernetes-patch-merge-key`, `x-kubernetes-list-map-keys`), of the version that Kustomize was built with, so that
//! a patch does here what it does there. `hack/oracle-kustomize` writes it:
//!
//! ```text
//! kind apps/v1 Deployment apps.v1.Deployment      an object of this kind is of this type; `cluster`: has no namespace
//! type core.v1.PodSpec                            the fields of a type below which lists are merged
//!   containers [name] core.v1.Container           a list whose elements are merged by `name`, each of that type
//!   hostAliases [ip]                              elements below which nothing is merged
//!   finalizers []                                 a list of texts: the union of both
//! type core.v1.Pod
//!   spec core.v1.PodSpec                          a field of a type
//! ```

use std::collections::HashMap;
use std::sync::LazyLock;

/// What is known of the fields below a place of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// A table of this type.
    Table(&'static Type),
    /// A list that is merged by these keys; by its values where there are none. The rule is that of each element.
    List(&'static [&'static str], Option<&'static Type>),
}

/// The fields of a type below which something is merged.
#[derive(Debug, Default)]
pub(super) struct Type(HashMap<&'static str, Field>);

#[derive(Debug)]
struct Field {
    /// `None` for a table.
    keys: Option<Vec<&'static str>>,
    type_name: Option<&'static str>,
}

struct Known {
    /// By apiVersion and kind.
    kinds: HashMap<(&'static str, &'static str), Kind>,
    types: HashMap<&'static str, Type>,
}

struct Kind {
    type_name: &'static str,
    is_cluster_scoped: bool,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| read(include_str!("merge_keys.txt")));

impl Rule {
    /// The rule for an object; `None` for kinds that Kustomize does not know, whose lists are replaced as a whole.
    pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<Self> {
        KNOWN.types.get(KNOWN.kinds.get(&(api_version, kind))?.type_name).map(Rule::Table)
    }

    /// The rule for a field of a table.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        let Rule::Table(table) = self else { return None };
        let field = table.0.get(name)?;
        let below = field.type_name.and_then(|name| KNOWN.types.get(name));
        match &field.keys {
            Some(keys) => Some(Rule::List(keys, below)),
            None => below.map(Rule::Table),
        }
    }
}

/// Whether objects of a kind surely have no namespace.
pub(super) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    KNOWN.kinds.get(&(api_version, kind)).is_some_and(|kind| kind.is_cluster_scoped)
}

fn read(text: &'static str) -> Known {
    let mut known = Known { kinds: HashMap::new(), types: HashMap::new() };
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["kind", api_version, kind, type_name, scope @ ..] => {
                let kind_found = Kind { type_name, is_cluster_scoped: scope == ["cluster"] };
                known.kinds.insert((api_version, kind), kind_found);
            }
            ["type", name] => current = name,
            [field, rest @ ..] => {
                let keys = rest.first().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
                let type_name = rest.get(usize::from(keys.is_some())).copied();
                let keys = keys.map(|keys| keys.split(',').filter(|key| !key.is_empty()).collect());
                known.types.entry(current).or_default().0.insert(field, Field { keys, type_name });
            }
            [] => {}
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(api_version: &str, kind: &str, path: &str) -> Option<Vec<&'static str>> {
        let mut rule = Rule::of_kind(api_version, kind)?;
        for name in path.split('.') {
            rule = match rule {
                Rule::List(_, element) => Rule::Table(element?).field(name)?,
                Rule::Table(_) => rule.field(name)?,
            };
        }
        match rule {
            Rule::List(keys, _) => Some(keys.to_vec()),
            Rule::Table(_) => None,
        }
    }

    #[test]
    fn lists_have_the_keys_of_kubernetes() {
        let pod = "spec.template.spec";
        for (path, want) in [
            (format!("{pod}.containers"), Some(vec!["name"])),
            (format!("{pod}.containers.ports"), Some(vec!["containerPort", "protocol"])),
            (format!("{pod}.initContainers.env"), Some(vec!["name"])),
            (format!("{pod}.containers.volumeMounts"), Some(vec!["mountPath"])),
            (format!("{pod}.volumes"), Some(vec!["name"])),
            (format!("{pod}.tolerations"), None),
            (format!("{pod}.containers.args"), None),
            ("metadata.finalizers".to_owned(), Some(vec![])),
        ] {
            assert_eq!(keys("apps/v1", "Deployment", &path), want, "{path}");
        }
        assert_eq!(keys("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec.volumes"), Some(vec!["name"]));
        assert_eq!(keys("v1", "Service", "spec.ports"), Some(vec!["port", "protocol"]));
        assert_eq!(keys("example.com/v1", "Deployment", "spec.template.spec.containers"), None);
    }

    #[test]
    fn kinds_without_a_namespace_are_known() {
        assert!(is_cluster_scoped("v1", "Namespace"));
        assert!(is_cluster_scoped("rbac.authorization.k8s.io/v1", "ClusterRole"));
        assert!(!is_cluster_scoped("v1", "ConfigMap"));
        assert!(!is_cluster_scoped("example.com/v1", "Namespace"));
    }
}
