//! Writing a release's objects: server-side apply as field manager `helm`, and deletion.
//!
//! Each object is looked at before the first write, so that an object of somebody else refuses the whole release and
//! not its second half. Fields are another matter: those that other managers own are taken (and reported) or refuse the
//! release, as the spec says; a number of replicas that was set through the scale subresource is left to its owner.
//!
//! Semantics follow Helm v4 `pkg/kube/client.go` (server-side apply, strict field validation, ownership marks).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::discovery::{Discovery, Kind};
use super::error::{Answer, Error, FieldConflict};
use super::identity::TenantClient;
use super::managers::{Managers, Migration};
use super::wire::{self, Want};
use crate::manifest::id::ObjectId;
use crate::release::ReleaseId;
use crate::release::progress::{self, Recreated};

/// The field manager of Helm's own command line, so that either may go on where the other stopped.
pub const FIELD_MANAGER: &str = "helm";
/// Requests of one release in flight; the gate bounds those of all.
const CONCURRENCY: usize = 8;
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";
/// How long an object that is deleted to be created again may take to go.
const GO_TIMEOUT: Duration = Duration::from_secs(20);

/// An object as it will be sent, its kind found and its namespace known.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: ObjectId,
    pub kind: Kind,
    pub body: Value,
}

/// What stands in the cluster where a target would go.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Absent,
    Present(Present),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    pub uid: String,
    pub owner: Owner,
    managers: Managers,
    keep: bool,
    finalizers: Vec<String>,
    pub terminating: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The marks name this release.
    Us,
    /// The marks name another release, as `namespace/name`.
    Release(String),
    /// No marks of Helm.
    Nobody,
}

/// What to do about fields that other managers own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    Force,
    Fail,
}

/// How objects are written.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub conflicts: Conflicts,
    /// Objects that no revision of the release held before: what created them gives up its fields.
    pub newcomers: &'a [ObjectId],
    /// Objects to delete and create again.
    pub recreate: &'a [Recreated],
}

/// What a dry run of all objects tells.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// Fields of others that would be taken, where that is not allowed.
    pub owned: Vec<Taken>,
    /// Objects that have to be created again, and the fields for which.
    pub recreate: Vec<(Recreated, Vec<String>)>,
}

/// A field that was taken from another manager, or left to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub object: ObjectId,
    pub field: String,
    pub manager: String,
}

/// An object that was written.
#[derive(Clone, Debug)]
pub struct Applied {
    pub id: ObjectId,
    pub uid: String,
    pub created: bool,
    /// The object as the API server answered; only its metadata for Secrets and ConfigMaps.
    pub object: Value,
    pub forced: Vec<Taken>,
    pub left: Vec<Taken>,
}

/// How far an apply came.
#[derive(Debug, Default)]
pub struct Report {
    pub applied: Vec<Applied>,
    /// The first error; objects after it were not tried.
    pub failed: Option<Error>,
}

/// How far a deletion came.
#[derive(Debug, Default)]
pub struct Deletion {
    /// The API server accepted the request; the object may still have finalizers.
    pub deleted: Vec<ObjectId>,
    /// Kept by `helm.sh/resource-policy: keep`.
    pub kept: Vec<ObjectId>,
    /// Not ours any more, so not touched.
    pub foreign: Vec<ObjectId>,
    pub failed: Vec<Error>,
}

/// An object that is still there after its deletion, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    pub id: ObjectId,
    pub finalizers: Vec<String>,
}

/// Whether a deletion takes dependents along at once or waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Finds the kind of each object and gives it the release's marks and its namespace. Lists become their items.
///
/// # Errors
/// [`Answer::UnknownKind`] where the cluster serves no such kind and no object of `objects` defines it;
/// [`Answer::Invalid`] where an object has no kind or name.
pub async fn targets(discovery: &Discovery, release: &ReleaseId, objects: Vec<Value>) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::with_capacity(objects.len());
    for object in flatten(objects) {
        targets.push(target(discovery, release, object).await?);
    }
    Ok(targets)
}

/// Objects of which only the identity is known (an inventory), in the version that the cluster prefers. Kinds that the
/// cluster no longer serves are left out: their objects went with them.
pub async fn targets_of_ids(discovery: &Discovery, ids: &[ObjectId]) -> Result<Vec<Target>, Error> {
    let kinds = discovery.kinds().await?;
    Ok(ids
        .iter()
        .filter_map(|id| {
            let kind = kinds.preferred(&id.group, &id.kind)?.clone();
            Some(Target { id: id.clone(), kind, body: Value::Null })
        })
        .collect())
}

async fn target(discovery: &Discovery, release: &ReleaseId, mut body: Value) -> Result<Target, Error> {
    let invalid = || {
        let message = "an object of the manifest has no kind or no metadata.name".to_owned();
        Error::new("apply", "the manifest", Answer::Invalid { message })
    };
    let id = ObjectId::of(&body).ok_or_else(invalid)?;
    let api_version = body.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = discovery.kind(&api_version, &id.kind).await;
    let kind = kind.map_err(|error| Error { object: id.to_string(), ..error })?;
    let id = id.with_scope(kind.scope, &release.namespace);
    mark(&mut body, &id, release).ok_or_else(invalid)?;
    Ok(Target { id, kind, body })
}

fn flatten(objects: Vec<Value>) -> Vec<Value> {
    objects
        .into_iter()
        .flat_map(|mut object| {
            let list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match object.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) if list => items,
                Some(other) => {
                    object["items"] = other;
                    vec![object]
                }
                None => vec![object],
            }
        })
        .collect()
}

/// The marks by which Helm knows its own objects.
fn mark(body: &mut Value, id: &ObjectId, release: &ReleaseId) -> Option<()> {
    let metadata = body.get_mut("metadata")?.as_object_mut()?;
    match id.namespace.as_str() {
        "" => metadata.remove("namespace"),
        namespace => metadata.insert("namespace".to_owned(), namespace.into()),
    };
    // The API server refuses what only it may write.
    metadata.remove("managedFields");
    metadata.remove("resourceVersion");
    insert(metadata, "labels", &[(MANAGED_BY, "Helm")])?;
    insert(metadata, "annotations", &[(RELEASE_NAME, release.name.as_str()), (RELEASE_NAMESPACE, &release.namespace)])?;
    body.as_object_mut()?.remove("status");
    Some(())
}

fn insert(metadata: &mut Map<String, Value>, field: &str, pairs: &[(&str, &str)]) -> Option<()> {
    let entry = metadata.entry(field).or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    let map = entry.as_object_mut()?;
    for (key, value) in pairs {
        map.insert((*key).to_owned(), (*value).into());
    }
    Some(())
}

/// Looks at what stands where the targets would go, in the order of the targets. Writes nothing.
pub async fn survey(tenant: &TenantClient, release: &ReleaseId, targets: &[Target]) -> Result<Vec<Standing>, Error> {
    let looks: Vec<_> = targets.iter().map(|target| standing(tenant, release, target)).collect();
    stream::iter(looks).buffered(CONCURRENCY).try_collect().await
}

async fn standing(tenant: &TenantClient, release: &ReleaseId, target: &Target) -> Result<Standing, Error> {
    let path = path_of(target);
    match wire::send(tenant.client(), Method::GET, &path, None, Want::Metadata).await {
        Ok((_, bytes)) => Ok(Standing::Present(present(&metadata_of(&bytes, &target.id)?, release))),
        Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => Ok(Standing::Absent),
            error => Err(error),
        },
    }
}

pub(super) fn present(metadata: &ObjectMeta, release: &ReleaseId) -> Present {
    let none = BTreeMap::new();
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    let labels = metadata.labels.as_ref().unwrap_or(&none);
    let mark = |key: &str| annotations.get(key).map(String::as_str);
    let owner = match (mark(RELEASE_NAMESPACE), mark(RELEASE_NAME)) {
        (Some(namespace), Some(name)) if (namespace, name) != (release.namespace.as_str(), release.name.as_str()) => {
            Owner::Release(format!("{namespace}/{name}"))
        }
        (Some(_), Some(_)) if labels.get(MANAGED_BY).is_some_and(|value| value == "Helm") => Owner::Us,
        _ => Owner::Nobody,
    };
    Present {
        uid: metadata.uid.clone().unwrap_or_default(),
        owner,
        managers: Managers::of(metadata),
        keep: mark(RESOURCE_POLICY) == Some("keep"),
        finalizers: metadata.finalizers.clone().unwrap_or_default(),
        terminating: metadata.deletion_timestamp.is_some(),
    }
}

/// Refuses objects of others, all of them in one message.
///
/// `known` are the objects of this release's last revision: those may have lost their marks by hand.
///
/// # Errors
/// [`Answer::Foreign`] with every object that stands in the way.
pub fn refuse_foreign(
    release: &ReleaseId,
    targets: &[Target],
    standings: &[Standing],
    known: &HashSet<ObjectId>,
) -> Result<(), Error> {
    let foreign: Vec<_> = foreign(targets, standings, known)
        .map(|(target, present)| match &present.owner {
            Owner::Release(other) => format!("{} belongs to release {other}", target.id),
            Owner::Nobody | Owner::Us => format!("{} exists and belongs to no release", target.id),
        })
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{}; rename or delete one of the two, or hand it over with label {MANAGED_BY}=Helm and annotations \
         {RELEASE_NAME}={} and {RELEASE_NAMESPACE}={}, or set takeOwnership",
        foreign.join(", "),
        release.name,
        release.namespace
    );
    Err(Error::new("take over", "objects of others", Answer::Foreign(message)))
}

/// The objects of others that the targets would take over, and whose they are.
pub fn taken_over(targets: &[Target], standings: &[Standing], known: &HashSet<ObjectId>) -> Vec<progress::Taken> {
    let from = |present: &Present| match &present.owner {
        Owner::Release(other) => format!("release {other}"),
        Owner::Nobody | Owner::Us => match present.managers.writers() {
            writers if writers.is_empty() => "nobody".to_owned(),
            writers => writers.join(", "),
        },
    };
    foreign(targets, standings, known)
        .map(|(target, present)| progress::Taken { object: target.id.clone(), from: from(present) })
        .collect()
}

fn foreign<'a>(
    targets: &'a [Target],
    standings: &'a [Standing],
    known: &'a HashSet<ObjectId>,
) -> impl Iterator<Item = (&'a Target, &'a Present)> {
    targets.iter().zip(standings).filter_map(|(target, standing)| match standing {
        Standing::Present(present) => match &present.owner {
            Owner::Release(_) => Some((target, present)),
            Owner::Nobody if !known.contains(&target.id) => Some((target, present)),
            Owner::Nobody | Owner::Us => None,
        },
        Standing::Absent => None,
    })
}

/// Asks the API server about every target without writing, before the first write: one object that it refuses shall not
/// leave the others behind. With [`Conflicts::Fail`] the answer names the fields that other managers own; with `recreate`
/// the objects that can be had by creating them again only.
///
/// # Errors
/// The refusals, all of them in one error of the first one's kind.
pub async fn rehearse(
    tenant: &TenantClient,
    targets: &[Target],
    standings: &[Standing],
    conflicts: Conflicts,
    newcomers: &[ObjectId],
    recreate: bool,
) -> Result<Rehearsal, Error> {
    let dry_runs: Vec<_> =
        targets.iter().map(|target| patch(tenant, target, &target.body, conflicts == Conflicts::Force, true)).collect();
    let answers: Vec<_> = stream::iter(dry_runs).buffered(CONCURRENCY).collect().await;
    let coming = Coming::of(targets, standings);
    let mut rehearsal = Rehearsal::default();
    let mut refusals = Vec::new();
    for ((target, standing), answer) in targets.iter().zip(standings).zip(answers) {
        match (answer, standing) {
            (Ok(_), _) => {}
            (Err(Error { answer: Answer::Fields(fields), .. }), standing) => {
                let newcomer = newcomers.contains(&target.id);
                let is_ours = |field: &FieldConflict| match standing {
                    Standing::Present(present) => present.managers.gives_up(&field.manager, newcomer),
                    Standing::Absent => false,
                };
                let fields = fields.into_iter().filter(|field| !is_scaled(field) && !is_ours(field));
                rehearsal.owned.extend(fields.map(|field| taken(&target.id, field)));
            }
            (
                Err(Error { answer: Answer::Immutable { fields, except }, action, object }),
                Standing::Present(present),
            ) => {
                let fields = changed_fields(tenant, target, fields, &except).await;
                if recreate && may_recreate(&target.id, present) {
                    let recreated = Recreated { object: target.id.clone(), uid: present.uid.clone() };
                    rehearsal.recreate.push((recreated, fields));
                } else {
                    let answer = Answer::Immutable { fields, except };
                    refusals.push(Error { answer, action, object });
                }
            }
            (Err(error), _) if coming.may_cure(&target.id, &error.answer) => {}
            (Err(error), _) => refusals.push(error),
        }
    }
    let mut refusals = refusals.into_iter();
    let Some(mut first) = refusals.next() else { return Ok(rehearsal) };
    let others: Vec<_> = refusals.collect();
    if let Answer::Immutable { fields, .. } = &mut first.answer {
        let more = others.iter().filter_map(|error| match &error.answer {
            Answer::Immutable { fields, .. } => Some(format!("{} of {}", fields.join(", "), error.object)),
            _ => None,
        });
        fields.extend(more);
    }
    let others: Vec<_> = others.iter().map(|error| crate::text::chain(error)).collect();
    if let (false, Answer::Invalid { message } | Answer::Refused { message } | Answer::NotFound { message }) =
        (others.is_empty(), &mut first.answer)
    {
        *message = format!("{message}; {}", others.join("; "));
    }
    Err(first)
}

/// Whether an object may be deleted to be created again: not where data, or everything else in it, would go along.
fn may_recreate(id: &ObjectId, present: &Present) -> bool {
    const PRECIOUS: &[&str] = &["PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition"];
    !present.keep && !PRECIOUS.contains(&id.kind.as_str())
}

/// For a refusal that names a whole part of an object (`spec`), the fields of it that differ. Where the object cannot be
/// read, what the API server said.
async fn changed_fields(tenant: &TenantClient, target: &Target, fields: Vec<String>, except: &[String]) -> Vec<String> {
    if !fields.iter().any(|field| field == "spec") {
        return fields;
    }
    let read = wire::send(tenant.client(), Method::GET, &path_of(target), None, Want::Object).await;
    let live: Value = read.ok().and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let (Some(wanted), Some(known)) = (target.body["spec"].as_object(), live["spec"].as_object()) else {
        return fields;
    };
    let differs = |key: &str, value: &Value| !except.iter().any(|it| it == key) && !says(known.get(key), value);
    let differing: Vec<_> =
        wanted.iter().filter(|(key, value)| differs(key, value)).map(|(key, _)| format!("spec.{key}")).collect();
    let named = fields.into_iter().filter(|field| field != "spec" || differing.is_empty());
    named.chain(differing.iter().cloned()).collect()
}

/// Whether a live value says at least what is wanted: the API server adds defaults.
fn says(live: Option<&Value>, wanted: &Value) -> bool {
    match (live, wanted) {
        (Some(Value::Object(live)), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| says(live.get(key), value))
        }
        (Some(Value::Array(live)), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| says(Some(live), wanted))
        }
        (Some(live), wanted) => live == wanted,
        (None, wanted) => wanted.is_null(),
    }
}

/// What the targets themselves bring along, and a dry run of each alone cannot know.
struct Coming {
    namespaces: HashSet<String>,
    /// Group and kind of definitions.
    kinds: HashSet<(String, String)>,
    quotas: bool,
    /// How the API server names, in its complaint, the webhooks that are part of this: by their name, or by the Service
    /// that is called.
    webhooks: Vec<String>,
}

impl Coming {
    fn of(targets: &[Target], standings: &[Standing]) -> Self {
        let text = |target: &Target, pointer: &str| {
            target.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let of_kind = |kind: &'static str| targets.iter().filter(move |target| target.id.kind == kind);
        let configurations = targets.iter().filter(|target| target.id.kind.ends_with("WebhookConfiguration"));
        let webhooks = configurations.filter_map(|target| target.body["webhooks"].as_array()).flatten();
        let names = webhooks.filter_map(|webhook| webhook["name"].as_str()).map(|name| format!("webhook \"{name}\""));
        let services = of_kind("Service").map(|it| format!("https://{}.{}.svc", it.id.name, it.id.namespace));
        let webhooks = names.chain(services).collect();
        let absent = targets.iter().zip(standings).filter(|(_, standing)| **standing == Standing::Absent);
        Coming {
            namespaces: absent.filter(|(it, _)| it.id.kind == "Namespace").map(|(it, _)| it.id.name.clone()).collect(),
            kinds: of_kind("CustomResourceDefinition")
                .map(|it| (text(it, "/spec/group"), text(it, "/spec/names/kind")))
                .collect(),
            quotas: of_kind("ResourceQuota").next().is_some(),
            webhooks,
        }
    }

    /// Whether a refusal of a dry run may be gone once the objects before this one are written, or says nothing about
    /// the object. What then fails for real is remediated as every failure.
    fn may_cure(&self, id: &ObjectId, answer: &Answer) -> bool {
        match answer {
            // Somebody else's webhook is awaited before anything is begun; one of this very release never comes so.
            Answer::Transient { message, .. } => {
                message.contains("failed calling webhook")
                    && self.webhooks.iter().any(|name| message.contains(name.as_str()))
            }
            Answer::Invalid { message } => {
                message.contains("does not support dry run")
                    || self.kinds.contains(&(id.group.clone(), id.kind.clone()))
            }
            // Of all that may be missing (a Role, a kind's new version), only the namespace is surely needed.
            Answer::NotFound { message } => {
                !message.starts_with("namespaces ") || self.namespaces.contains(&id.namespace)
            }
            Answer::Refused { message } => {
                let of_quota = self.quotas && message.contains("exceeded quota");
                // A bare Pod names its ServiceAccount and PriorityClass.
                of_quota
                    || id.kind == "Pod" && (message.contains("service account") || message.contains("PriorityClass"))
            }
            Answer::Stale { .. }
            | Answer::Fields(_)
            | Answer::AlreadyExists { .. }
            | Answer::Gone { .. }
            | Answer::UnknownKind { .. }
            | Answer::Incompatible(_)
            | Answer::Immutable { .. }
            | Answer::Foreign(_) => false,
        }
    }
}

/// Writes the targets in the order of their phases; those of one phase side by side.
///
/// `standings` is what [`survey`] saw. Stops at the first error, after the requests in flight.
pub async fn apply(tenant: &TenantClient, targets: &[Target], standings: &[Standing], terms: Terms<'_>) -> Report {
    let mut report = Report::default();
    let pairs: Vec<_> = targets.iter().zip(standings).collect();
    // Helm's order within a phase is of no consequence to the API server, so only borders between phases are kept.
    for phase in pairs.chunk_by(|(a, _), (b, _)| phase(&a.id) == phase(&b.id)) {
        let writes: Vec<_> =
            phase.iter().map(|(target, standing)| apply_one(tenant, target, standing, terms)).collect();
        let mut answers = stream::iter(writes).buffer_unordered(CONCURRENCY);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(applied) => report.applied.push(applied),
                Err(error) => {
                    report.failed.get_or_insert(error);
                }
            }
        }
        if report.failed.is_some() {
            break;
        }
    }
    report
}

/// Objects of a lower phase are there before those of a higher one are sent. Follows the groups of Helm's install order;
/// kinds it does not know come last, as there.
fn phase(id: &ObjectId) -> u8 {
    match (id.group.as_str(), id.kind.as_str()) {
        ("scheduling.k8s.io", "PriorityClass") | ("", "Namespace") => 0,
        ("", "ResourceQuota" | "LimitRange" | "ServiceAccount" | "Secret" | "ConfigMap" | "PersistentVolume")
        | ("networking.k8s.io", "NetworkPolicy")
        | ("policy", "PodDisruptionBudget" | "PodSecurityPolicy")
        | ("storage.k8s.io", "StorageClass") => 1,
        ("", "PersistentVolumeClaim") | ("apiextensions.k8s.io", "CustomResourceDefinition") => 2,
        ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => 3,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => 4,
        // Before the Pods: kubelet hands a Service's address to containers that start after it.
        ("", "Service") => 5,
        ("", "Pod" | "ReplicationController") | ("apps", _) | ("batch", _) | ("autoscaling", _) => 6,
        ("networking.k8s.io", "IngressClass" | "Ingress") => 6,
        ("apiregistration.k8s.io", "APIService") => 7,
        // A webhook that stands before its Pods would refuse them.
        ("admissionregistration.k8s.io", _) => 8,
        _ => 9,
    }
}

async fn apply_one(
    tenant: &TenantClient,
    target: &Target,
    standing: &Standing,
    terms: Terms<'_>,
) -> Result<Applied, Error> {
    if let Standing::Present(present) = standing {
        let is_this = |it: &Recreated| it.object == target.id && it.uid == present.uid;
        if terms.recreate.iter().any(is_this) {
            make_way(tenant, target, &present.uid).await?;
        } else if let Some(migration) = present.managers.migration(terms.newcomers.contains(&target.id)) {
            migrate(tenant, target, &migration).await?;
        }
    }
    let mut forced = Vec::new();
    let mut left = Vec::new();
    // Without force first: the refusal is what tells whose fields they are.
    let answer = match patch(tenant, target, &target.body, false, false).await {
        Err(Error { answer: Answer::Fields(fields), action, object }) => {
            let (scaled, others): (Vec<_>, Vec<_>) = fields.into_iter().partition(is_scaled);
            if terms.conflicts == Conflicts::Fail && !others.is_empty() {
                return Err(Error { action, object, answer: Answer::Fields(others) });
            }
            let mut body = target.body.clone();
            for field in &scaled {
                remove_field(&mut body, &field.field);
            }
            left.extend(scaled.into_iter().map(|field| taken(&target.id, field)));
            let force = !others.is_empty();
            forced.extend(others.into_iter().map(|field| taken(&target.id, field)));
            patch(tenant, target, &body, force, false).await?
        }
        answer => answer?,
    };
    let (status, bytes) = answer;
    let unreadable = |_| {
        let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
        Error::new("read the answer about", &target.id, answer)
    };
    let object: Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Applied { id: target.id.clone(), uid, created: status == StatusCode::CREATED, object, forced, left })
}

/// Deletes an object and waits until it is gone, so that another one may take its name.
async fn make_way(tenant: &TenantClient, target: &Target, uid: &str) -> Result<(), Error> {
    delete_uid(tenant, target, Propagation::Background, uid).await?;
    let deadline = Instant::now() + GO_TIMEOUT;
    let mut pause = Duration::from_millis(20);
    loop {
        let metadata = match wire::send(tenant.client(), Method::GET, &path_of(target), None, Want::Metadata).await {
            Ok((_, bytes)) => metadata_of(&bytes, &target.id)?,
            Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
                error if error.is_not_found() => return Ok(()),
                error => return Err(error),
            },
        };
        if metadata.uid.as_deref() != Some(uid) {
            return Ok(());
        }
        if Instant::now() + pause > deadline {
            let held_by = metadata.finalizers.unwrap_or_default().join(", ");
            let message = format!("it is still there {} s after its deletion, held by {held_by}", GO_TIMEOUT.as_secs());
            return Err(Error::new("create again", &target.id, Answer::Transient { message, retry_after: None }));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

pub(super) async fn patch(
    tenant: &TenantClient,
    target: &Target,
    body: &Value,
    force: bool,
    dry_run: bool,
) -> Result<(StatusCode, bytes::Bytes), Error> {
    let mut path = path_of(target);
    // Strict, as Helm v4: a misspelt field is an error and not a silence.
    path.push_str("?fieldManager=");
    path.push_str(FIELD_MANAGER);
    path.push_str("&fieldValidation=Strict");
    if force {
        path.push_str("&force=true");
    }
    if dry_run {
        path.push_str("&dryRun=All");
    }
    let want = match (target.id.group.as_str(), target.id.kind.as_str()) {
        ("", "Secret" | "ConfigMap") => Want::Metadata,
        _ => Want::Object,
    };
    let bytes = serde_json::to_vec(body).expect("a JSON value can be written");
    wire::send(tenant.client(), Method::PATCH, &path, Some(("application/apply-patch+yaml", bytes)), want)
        .await
        .map_err(|source| Error::of("apply", &target.id, &target.id.kind, source))
}

/// `kubectl scale` and every autoscaler write the replicas through the scale subresource: that number is meant.
fn is_scaled(conflict: &FieldConflict) -> bool {
    conflict.field == ".spec.replicas" && conflict.subresource.as_deref() == Some("scale")
}

fn remove_field(body: &mut Value, field: &str) {
    let pointer = field.replace('.', "/");
    if let Some((parent, name)) = pointer.rsplit_once('/')
        && let Some(parent) = body.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        parent.remove(name);
    }
}

fn taken(id: &ObjectId, conflict: FieldConflict) -> Taken {
    Taken { object: id.clone(), field: conflict.field, manager: conflict.manager }
}

async fn migrate(tenant: &TenantClient, target: &Target, migration: &Migration) -> Result<(), Error> {
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": migration.managed_fields},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": migration.resource_version},
    ]);
    let bytes = serde_json::to_vec(&patch).expect("a JSON value can be written");
    let body = Some(("application/json-patch+json", bytes));
    wire::send(tenant.client(), Method::PATCH, &path_of(target), body, Want::Metadata)
        .await
        .map(|_| ())
        .map_err(|source| Error::of("take the fields of", &target.id, &target.id.kind, source))
}

/// Deletes objects of this release, in the order given, those of one kind side by side. Objects that are gone, kept by
/// policy or marked as another release's are told apart; each is deleted by its uid, so a newcomer of the same name stays.
pub async fn delete(
    tenant: &TenantClient,
    release: &ReleaseId,
    targets: &[Target],
    propagation: Propagation,
) -> Deletion {
    let mut deletion = Deletion::default();
    for kind in targets.chunk_by(|a, b| a.id.kind == b.id.kind) {
        let deletes: Vec<_> = kind.iter().map(|target| delete_one(tenant, release, target, propagation)).collect();
        let mut answers = stream::iter(deletes).buffered(CONCURRENCY);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((id, Deleted::Yes)) => deletion.deleted.push(id),
                Ok((_, Deleted::Absent)) => {}
                Ok((id, Deleted::Kept)) => deletion.kept.push(id),
                Ok((id, Deleted::Foreign)) => deletion.foreign.push(id),
                Err(error) => deletion.failed.push(error),
            }
        }
    }
    deletion
}

enum Deleted {
    Yes,
    Absent,
    Kept,
    Foreign,
}

async fn delete_one(
    tenant: &TenantClient,
    release: &ReleaseId,
    target: &Target,
    propagation: Propagation,
) -> Result<(ObjectId, Deleted), Error> {
    let id = target.id.clone();
    let present = match standing(tenant, release, target).await? {
        Standing::Absent => return Ok((id, Deleted::Absent)),
        Standing::Present(present) => present,
    };
    match present.owner {
        Owner::Release(_) => return Ok((id, Deleted::Foreign)),
        Owner::Us | Owner::Nobody if present.keep => return Ok((id, Deleted::Kept)),
        Owner::Us | Owner::Nobody => {}
    }
    if present.terminating {
        return Ok((id, Deleted::Yes));
    }
    Ok((id, delete_uid(tenant, target, propagation, &present.uid).await?))
}

async fn delete_uid(
    tenant: &TenantClient,
    target: &Target,
    propagation: Propagation,
    uid: &str,
) -> Result<Deleted, Error> {
    let policy = match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    let options = json!({"propagationPolicy": policy, "preconditions": {"uid": uid}});
    let body = Some(("application/json", serde_json::to_vec(&options).expect("a JSON value can be written")));
    match wire::send(tenant.client(), Method::DELETE, &path_of(target), body, Want::Metadata).await {
        Ok(_) => Ok(Deleted::Yes),
        Err(source) => match Error::of("delete", &target.id, &target.id.kind, source) {
            // Gone, or replaced by a newcomer with another uid: what was ours is gone.
            error if error.is_not_found() || error.is_stale() => Ok(Deleted::Absent),
            error => Err(error),
        },
    }
}

/// Which of the objects are still there; those kept by policy or owned by others do not count.
pub async fn remaining(
    tenant: &TenantClient,
    release: &ReleaseId,
    targets: &[Target],
) -> Result<Vec<Remaining>, Error> {
    let standings = survey(tenant, release, targets).await?;
    Ok(targets
        .iter()
        .zip(standings)
        .filter_map(|(target, standing)| match standing {
            Standing::Present(present) if present.terminating => {
                Some(Remaining { id: target.id.clone(), finalizers: present.finalizers })
            }
            Standing::Present(_) | Standing::Absent => None,
        })
        .collect())
}

pub(super) fn path_of(target: &Target) -> String {
    wire::path(&target.kind.resource, &target.id.namespace, &target.id.name)
}

pub(super) fn metadata_of(bytes: &[u8], id: &ObjectId) -> Result<ObjectMeta, Error> {
    #[derive(Deserialize)]
    struct MetadataOnly {
        metadata: ObjectMeta,
    }
    let read: Result<MetadataOnly, _> = serde_json::from_slice(bytes);
    read.map(|read| read.metadata).map_err(|_| {
        let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
        Error::new("read", id, answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::id::Scope;

    fn release() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: crate::release::ReleaseName::parse("podinfo").unwrap() }
    }

    fn metadata(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn object_gets_the_marks_of_helm_and_its_namespace() {
        let mut body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": null},
            "status": {}});
        let id = ObjectId::of(&body).unwrap().with_scope(Scope::Namespaced, "apps");
        mark(&mut body, &id, &release()).unwrap();
        assert_eq!(
            body,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "apps",
                "labels": {MANAGED_BY: "Helm"},
                "annotations": {RELEASE_NAME: "podinfo", RELEASE_NAMESPACE: "apps"}}})
        );
    }

    #[test]
    fn webhook_that_cannot_be_called_is_passed_over_only_where_it_is_part_of_the_release() {
        let target = |body: Value| {
            let id = ObjectId::of(&body).unwrap().with_scope(Scope::Namespaced, "apps");
            let resource = kube::core::ApiResource {
                group: id.group.clone(),
                version: "v1".into(),
                api_version: "v1".into(),
                kind: id.kind.clone(),
                plural: "any".into(),
            };
            Target { id, kind: Kind { resource, scope: Scope::Namespaced, watchable: true }, body }
        };
        let service = target(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "policy"}}));
        let configuration = target(json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "policy"}, "webhooks": [{"name": "a.example.com"}]}));
        let message = |webhook: &str, url: &str| Answer::Transient {
            message: format!(
                "Internal error occurred: failed calling webhook \"{webhook}\": failed to call webhook: Post \"{url}/x\": refused"
            ),
            retry_after: None,
        };
        let of_apps = message("a.example.com", "https://policy.apps.svc:443");
        let of_others = message("b.example.com", "https://policy.other.svc:443");
        for (targets, answer, cured) in [
            (vec![service.clone()], &of_apps, true),
            (vec![configuration.clone()], &of_apps, true),
            (vec![service, configuration], &of_others, false),
            (vec![], &of_apps, false),
        ] {
            let standings = vec![Standing::Absent; targets.len()];
            let id =
                ObjectId::of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})).unwrap();
            assert_eq!(Coming::of(&targets, &standings).may_cure(&id, answer), cured, "{answer:?}");
        }
    }

    #[test]
    fn list_of_a_manifest_becomes_its_items() {
        let list = json!({"kind": "List", "items": [{"kind": "A"}, {"kind": "B"}]});
        let odd = json!({"kind": "Playlist", "items": "songs"});
        let kinds: Vec<_> = flatten(vec![list, odd]).iter().map(|o| o["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "Playlist"]);
    }

    #[test]
    fn marks_tell_whose_an_object_is() {
        let owner = |labels: Value, annotations: Value| {
            present(&metadata(json!({"labels": labels, "annotations": annotations})), &release()).owner
        };
        let ours = json!({RELEASE_NAME: "podinfo", RELEASE_NAMESPACE: "apps"});
        assert_eq!(owner(json!({MANAGED_BY: "Helm"}), ours.clone()), Owner::Us);
        assert_eq!(owner(json!({}), ours), Owner::Nobody);
        let other = json!({RELEASE_NAME: "other", RELEASE_NAMESPACE: "apps"});
        assert_eq!(owner(json!({MANAGED_BY: "Helm"}), other), Owner::Release("apps/other".into()));
    }

    #[test]
    fn live_object_says_what_is_wanted_beside_its_defaults() {
        let live = json!({"a": 1, "b": [{"name": "x", "default": true}]});
        for (wanted, want) in [
            (json!({"a": 1}), true),
            (json!({"b": [{"name": "x"}], "c": null}), true),
            (json!({"a": 2}), false),
            (json!({"b": []}), false),
            (json!({"c": 1}), false),
        ] {
            assert_eq!(says(Some(&live), &wanted), want, "{wanted}");
        }
    }

    #[test]
    fn replicas_that_were_scaled_are_left_to_their_owner() {
        let conflict = |field: &str, subresource: Option<&str>| FieldConflict {
            field: field.into(),
            manager: "kubectl".into(),
            subresource: subresource.map(str::to_owned),
        };
        assert!(is_scaled(&conflict(".spec.replicas", Some("scale"))));
        assert!(!is_scaled(&conflict(".spec.replicas", None)));
        let mut body = json!({"spec": {"replicas": 3, "paused": true}});
        remove_field(&mut body, ".spec.replicas");
        assert_eq!(body, json!({"spec": {"paused": true}}));
    }
}
