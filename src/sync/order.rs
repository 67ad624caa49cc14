//! What comes first, what belongs to whom, and what may be deleted. Pure.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::Key;
use crate::api::PRUNE;
use crate::cluster::objects::Seen;
use crate::manifest::id::ObjectId;
use crate::manifest::order::{install_key, uninstall_key};

/// The annotation that names the GitSync of an object, as `namespace/name`; the label of the same name has the name
/// alone, for `kubectl get -l`.
pub const OWNER: &str = "pintle.dev/gitsync";

/// As many objects may always be pruned, whatever part of the inventory they are.
pub const PRUNE_FREE_MAX: usize = 3;

/// The longest value that a label may have.
const LABEL_BYTES_MAX: usize = 63;

/// The steps of applying, each finished before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Namespaces,
    /// New kinds: the objects of later steps may be of them.
    Definitions,
    Others,
    /// HelmReleases and our other kinds: what they refer to is there by then.
    Ours,
}

impl Stage {
    pub(super) fn of(id: &ObjectId) -> Stage {
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Namespace") => Stage::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Stage::Definitions,
            ("pintle.dev", _) => Stage::Ours,
            _ => Stage::Others,
        }
    }
}

/// Sorts what is to be applied, and cuts it into parts that are applied one after the other.
pub(super) fn install_order<T>(mut items: Vec<T>, id: impl Fn(&T) -> &ObjectId) -> Vec<Vec<T>> {
    items.sort_by_key(|item| sort_key(id(item)));
    let mut parts: Vec<Vec<T>> = Vec::new();
    for item in items {
        match parts.last_mut() {
            Some(part) if sort_key(id(&part[0])) == sort_key(id(&item)) => part.push(item),
            _ => parts.push(vec![item]),
        }
    }
    parts
}

fn sort_key(id: &ObjectId) -> (Stage, usize) {
    (Stage::of(id), install_key(&id.kind).0)
}

/// Writes the marks of a GitSync and the namespace into an object, and takes out what only the API server may write.
pub(super) fn mark(object: &mut Value, id: &ObjectId, owner: &Key) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"] {
        metadata.remove(field);
    }
    match id.namespace.as_str() {
        "" => metadata.remove("namespace"),
        namespace => metadata.insert("namespace".into(), namespace.into()),
    };
    set(metadata, "annotations", &owner.to_string());
    if owner.name.len() <= LABEL_BYTES_MAX {
        set(metadata, "labels", &owner.name);
    }
}

fn set(metadata: &mut Map<String, Value>, field: &str, value: &str) {
    let map = metadata.entry(field).or_insert(Value::Null);
    if map.is_null() {
        *map = json!({});
    }
    map[OWNER] = value.into();
}

/// The patch that takes the marks off an object that is let go.
pub(super) fn unmark() -> Value {
    json!({"metadata": {"annotations": {OWNER: null}, "labels": {OWNER: null}}})
}

/// Whose an object is, by its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Ours,
    /// Of another GitSync, as `namespace/name`.
    Other(String),
    Nobody,
}

pub(super) fn ownership(seen: &Seen, owner: &Key) -> Ownership {
    match seen.annotations.get(OWNER) {
        None => Ownership::Nobody,
        Some(name) if *name == owner.to_string() => Ownership::Ours,
        Some(name) => Ownership::Other(name.clone()),
    }
}

/// Which items stand for the same object as another one, by their index, with the index of that one.
pub(super) fn duplicates<'a>(ids: impl Iterator<Item = &'a ObjectId>) -> BTreeMap<usize, usize> {
    let mut first: HashMap<&ObjectId, usize> = HashMap::new();
    let mut doubled = BTreeMap::new();
    for (index, id) in ids.enumerate() {
        match first.get(id) {
            None => {
                first.insert(id, index);
            }
            Some(earlier) => {
                doubled.insert(index, *earlier);
                doubled.entry(*earlier).or_insert(index);
            }
        }
    }
    doubled
}

/// What is known of an object that the commit no longer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Gone,
    /// Not ours any more: its marks name somebody else, or nobody.
    Foreign,
    /// `pintle.dev/prune: disabled`.
    Kept,
    /// Its deletion was accepted; finalizers hold it.
    Terminating {
        finalizers: Vec<String>,
    },
    Standing {
        uid: String,
    },
}

pub(super) fn fate(seen: Option<&Seen>, owner: &Key) -> Fate {
    let Some(seen) = seen else { return Fate::Gone };
    match ownership(seen, owner) {
        Ownership::Other(_) | Ownership::Nobody => Fate::Foreign,
        Ownership::Ours if seen.terminating => Fate::Terminating { finalizers: seen.finalizers.clone() },
        Ownership::Ours if seen.annotations.get(PRUNE).is_some_and(|value| value == "disabled") => Fate::Kept,
        Ownership::Ours => Fate::Standing { uid: seen.uid.clone() },
    }
}

/// Whether a large prune may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Somebody confirmed it, or the GitSync itself is being deleted.
    Given,
    /// It may not exceed half of an inventory of this size.
    UpToHalfOf(usize),
}

/// The next step of a prune.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prune {
    /// Nothing is left to be pruned.
    Done,
    /// So many objects would go, and nobody has confirmed it.
    Unconfirmed { count: usize },
    /// Delete these, by their place in the list; wait for those that are going; then look again.
    Step { delete: Vec<usize>, wait: Vec<usize> },
}

/// Says what to do about objects that the commit no longer holds.
///
/// HelmReleases go first, since uninstalling one may need what else is there; then the others; then Namespaces and
/// definitions. No step begins before everything of the one before is gone.
pub(super) fn prune(candidates: &[(ObjectId, Fate)], permission: Permission) -> Prune {
    let is_standing = |index: &usize| matches!(candidates[*index].1, Fate::Standing { .. });
    let is_going = |index: &usize| matches!(candidates[*index].1, Fate::Terminating { .. });
    let count = (0..candidates.len()).filter(is_standing).count();
    match permission {
        Permission::UpToHalfOf(inventory) if count > PRUNE_FREE_MAX && count * 2 > inventory => {
            return Prune::Unconfirmed { count };
        }
        Permission::UpToHalfOf(_) | Permission::Given => {}
    }
    for wave in 0..WAVES {
        let here: Vec<usize> = (0..candidates.len()).filter(|index| wave_of(&candidates[*index].0) == wave).collect();
        let mut delete: Vec<usize> = here.iter().copied().filter(is_standing).collect();
        let wait: Vec<usize> = here.into_iter().filter(is_going).collect();
        if !delete.is_empty() || !wait.is_empty() {
            delete.sort_by_key(|index| uninstall_key(&candidates[*index].0.kind));
            return Prune::Step { delete, wait };
        }
    }
    Prune::Done
}

const WAVES: u8 = 3;

fn wave_of(id: &ObjectId) -> u8 {
    match (id.group.as_str(), id.kind.as_str()) {
        ("pintle.dev", "HelmRelease") => 0,
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ObjectId {
        let (kind, name) = text.split_once(' ').unwrap();
        let group = match kind {
            "HelmRelease" | "GitSync" => "pintle.dev",
            "CustomResourceDefinition" => "apiextensions.k8s.io",
            "Deployment" => "apps",
            "Widget" => "example.com",
            _ => "",
        };
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        ObjectId { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    fn us() -> Key {
        Key { namespace: "ops".into(), name: "fleet".into() }
    }

    fn seen(annotations: &[(&str, &str)]) -> Seen {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Seen { uid: "u".into(), annotations, ..Seen::default() }
    }

    #[test]
    fn namespaces_and_definitions_come_first_and_releases_last() {
        let ids = [
            "HelmRelease a/x",
            "Widget w",
            "Deployment a/d",
            "CustomResourceDefinition widgets.example.com",
            "ConfigMap a/c",
            "Namespace a",
            "Namespace b",
            "ServiceAccount a/s",
        ];
        let parts = install_order(ids.iter().map(|text| id(text)).collect(), |id| id);
        let parts: Vec<String> =
            parts.iter().map(|part| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")).collect();
        assert_eq!(
            parts,
            [
                "Namespace a, Namespace b",
                "CustomResourceDefinition widgets.example.com",
                "ServiceAccount a/s",
                "ConfigMap a/c",
                "Deployment a/d",
                "Widget w",
                "HelmRelease a/x"
            ]
        );
    }

    #[test]
    fn marks_name_the_gitsync_and_nothing_of_the_server_is_sent_back() {
        let mut object = json!({"kind": "Pod", "metadata": {
            "name": "p", "uid": "1", "resourceVersion": "2", "creationTimestamp": null, "managedFields": [],
            "annotations": null, "labels": {"app": "x"}}});
        mark(&mut object, &id("Pod apps/p"), &us());
        assert_eq!(
            object["metadata"],
            json!({"name": "p", "namespace": "apps", "annotations": {OWNER: "ops/fleet"},
                "labels": {"app": "x", OWNER: "fleet"}})
        );
        let mut cluster_wide = json!({"metadata": {"name": "n", "namespace": "x"}});
        let long = Key { name: "n".repeat(64), ..us() };
        mark(&mut cluster_wide, &id("Namespace n"), &long);
        assert_eq!(cluster_wide["metadata"]["namespace"], Value::Null);
        assert_eq!(cluster_wide["metadata"]["labels"], Value::Null, "the name is too long for a label");
        assert_eq!(cluster_wide["metadata"]["annotations"][OWNER], long.to_string());
    }

    #[test]
    fn ownership_is_what_the_annotation_says() {
        assert_eq!(ownership(&seen(&[]), &us()), Ownership::Nobody);
        assert_eq!(ownership(&seen(&[(OWNER, "ops/fleet")]), &us()), Ownership::Ours);
        assert_eq!(ownership(&seen(&[(OWNER, "dev/fleet")]), &us()), Ownership::Other("dev/fleet".into()));
    }

    #[test]
    fn each_of_several_equal_objects_is_told_of_another() {
        let ids = ["Pod a", "Pod b", "Pod a", "Pod c", "Pod a"].map(id);
        assert_eq!(duplicates(ids.iter()), BTreeMap::from([(0, 2), (2, 0), (4, 0)]));
        assert!(duplicates(ids[..2].iter()).is_empty());
    }

    #[test]
    fn fate_follows_presence_marks_and_wishes() {
        let ours = [(OWNER, "ops/fleet")];
        assert_eq!(fate(None, &us()), Fate::Gone);
        assert_eq!(fate(Some(&seen(&[])), &us()), Fate::Foreign);
        assert_eq!(fate(Some(&seen(&[(OWNER, "dev/other")])), &us()), Fate::Foreign);
        assert_eq!(fate(Some(&seen(&ours)), &us()), Fate::Standing { uid: "u".into() });
        assert_eq!(fate(Some(&seen(&[ours[0], (PRUNE, "disabled")])), &us()), Fate::Kept);
        assert_eq!(fate(Some(&seen(&[ours[0], (PRUNE, "enabled")])), &us()), Fate::Standing { uid: "u".into() });
        let going = Seen { terminating: true, finalizers: vec!["f".into()], ..seen(&ours) };
        assert_eq!(fate(Some(&going), &us()), Fate::Terminating { finalizers: vec!["f".into()] });
    }

    /// `Kind name` with its fate: `+` stands, `-` is going, nothing: gone.
    fn candidates(texts: &[&str]) -> Vec<(ObjectId, Fate)> {
        texts
            .iter()
            .map(|text| match (text.strip_suffix(" +"), text.strip_suffix(" -")) {
                (Some(text), _) => (id(text), Fate::Standing { uid: "u".into() }),
                (_, Some(text)) => (id(text), Fate::Terminating { finalizers: vec![] }),
                (None, None) => (id(text), Fate::Gone),
            })
            .collect()
    }

    #[test]
    fn releases_go_first_then_the_rest_then_namespaces_and_definitions() {
        let step = |texts: &[&str]| prune(&candidates(texts), Permission::Given);
        let (namespace, definition) = ("Namespace a", "CustomResourceDefinition w");
        let delete = |delete: &[usize], wait: &[usize]| Prune::Step { delete: delete.into(), wait: wait.into() };
        assert_eq!(
            step(&["Namespace a +", "ConfigMap a/c +", "HelmRelease a/x +", "HelmRelease a/y -", "Deployment a/d +"]),
            delete(&[2], &[3])
        );
        assert_eq!(step(&["Namespace a +", "ConfigMap a/c +", "HelmRelease a/x -"]), delete(&[], &[2]));
        assert_eq!(
            step(&["Namespace a +", "ConfigMap a/c +", "HelmRelease a/x", "Deployment a/d +"]),
            delete(&[3, 1], &[])
        );
        assert_eq!(step(&[&format!("{namespace} +"), "Widget a/w -", &format!("{definition} +")]), delete(&[], &[1]));
        assert_eq!(step(&[&format!("{namespace} +"), "Widget a/w", &format!("{definition} +")]), delete(&[2, 0], &[]));
        assert_eq!(step(&[namespace, definition]), Prune::Done);
        assert_eq!(step(&[]), Prune::Done);
    }

    #[test]
    fn more_than_half_and_more_than_three_waits_for_a_word() {
        let some = |count: usize| -> Vec<(ObjectId, Fate)> {
            candidates(
                &(0..count)
                    .map(|n| format!("ConfigMap a/c{n} +"))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            )
        };
        let is_refused = |count, inventory| match prune(&some(count), Permission::UpToHalfOf(inventory)) {
            Prune::Unconfirmed { count: said } => said == count,
            Prune::Step { .. } | Prune::Done => false,
        };
        assert!(is_refused(4, 7) && is_refused(4, 4) && is_refused(51, 100));
        assert!(!is_refused(4, 8) && !is_refused(3, 3) && !is_refused(50, 100));
        assert!(matches!(prune(&some(100), Permission::Given), Prune::Step { .. }));
        // What is already going, gone or kept needs no word.
        let mut going = some(4);
        going[0].1 = Fate::Terminating { finalizers: vec![] };
        assert!(matches!(prune(&going, Permission::UpToHalfOf(4)), Prune::Step { .. }));
    }
}
