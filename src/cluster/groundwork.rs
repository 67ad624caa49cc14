//! What comes before a release's objects: its namespace, and the definitions of a chart's `crds/` folder.
//!
//! Both outlive the release: they carry no marks of it, are never remediated and never removed. Semantics follow Helm v4
//! (`--create-namespace`, `crds/`) and Flux (`crds: Skip | Create | CreateReplace`).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::apply::{FIELD_MANAGER, Target, patch, path_of};
use super::discovery::Discovery;
use super::error::{Answer, Error};
use super::identity::{ControllerClient, TenantClient};
use super::wire::{self, Want};
use crate::manifest::id::{ObjectId, Scope};

/// Helm waits as long for the kinds of `crds/`.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the release's namespace with the release's own rights where it is missing; tells whether it did.
///
/// Whether it is missing is looked up as the controller: a release may well have no right to read namespaces. One that
/// exists is not touched, whoever made it.
pub async fn ensure_namespace(controller: &ControllerClient, tenant: &TenantClient, name: &str) -> Result<bool, Error> {
    let path = format!("/api/v1/namespaces/{name}");
    let known_missing = match wire::send(&controller.client(), Method::GET, &path, None, Want::Metadata).await {
        Ok(_) => return Ok(false),
        Err(source) => Error::of("read", format!("Namespace {name}"), "Namespace", source).is_not_found(),
    };
    // The label is Helm's.
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}});
    let body = Some(("application/json", serde_json::to_vec(&namespace).expect("a JSON value can be written")));
    let path = format!("/api/v1/namespaces?fieldManager={FIELD_MANAGER}");
    match wire::send(tenant.client(), Method::POST, &path, body, Want::Metadata).await {
        Ok(_) => Ok(true),
        Err(source) => match Error::of("create", format!("Namespace {name}"), "Namespace", source) {
            error if error.is_already_exists() => Ok(false),
            // It may well be there: what comes next will tell.
            error if !known_missing && matches!(error.answer, Answer::Refused { .. }) => Ok(false),
            error => Err(error),
        },
    }
}

/// Writes definitions and waits until the API server serves their kinds; tells which were written. Where `replace` is
/// false, those that exist stay as they are.
///
/// Nothing is written unless each may be: a definition that exists must go on knowing every version in which objects are
/// stored, and the API server must accept each as a dry run.
///
/// # Errors
/// [`Answer::Incompatible`] where a stored version would be dropped or the scope change, and whatever the API server
/// refuses.
pub async fn apply_crds(
    tenant: &TenantClient,
    discovery: &Discovery,
    objects: Vec<Value>,
    replace: bool,
) -> Result<Vec<ObjectId>, Error> {
    let mut targets = Vec::new();
    for body in objects {
        let Some(id) = ObjectId::of(&body) else { continue };
        let api_version = body.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let kind = discovery.kind(api_version, &id.kind).await?;
        let target = Target { id: id.with_scope(Scope::Cluster, ""), kind, body };
        match standing(tenant, discovery, &target).await? {
            Some(_) if !replace => {}
            Some(known) => {
                refuse_incompatible(&target, &known)?;
                targets.push(target);
            }
            None => targets.push(target),
        }
    }
    for target in &targets {
        patch(tenant, target, &target.body, true, true).await?;
    }
    for target in &targets {
        patch(tenant, target, &target.body, true, false).await?;
    }
    let deadline = Instant::now() + ESTABLISH_TIMEOUT;
    for target in &targets {
        await_established(tenant, target, deadline).await?;
    }
    if !targets.is_empty() {
        await_served(discovery, &targets, deadline).await?;
    }
    Ok(targets.into_iter().map(|target| target.id).collect())
}

/// The definition as it stands. One that the release may not read, but whose kind is served, is there all the same.
async fn standing(tenant: &TenantClient, discovery: &Discovery, target: &Target) -> Result<Option<Value>, Error> {
    match wire::send(tenant.client(), Method::GET, &path_of(target), None, Want::Object).await {
        Ok((_, bytes)) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default())),
        Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => Ok(None),
            error => match discovery.kinds().await?.preferred(text(&target.body, "/spec/group"), defined(target)) {
                Some(_) if matches!(error.answer, Answer::Refused { .. }) => Ok(Some(Value::Null)),
                _ => Err(error),
            },
        },
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn defined(target: &Target) -> &str {
    text(&target.body, "/spec/names/kind")
}

fn refuse_incompatible(target: &Target, known: &Value) -> Result<(), Error> {
    let refuse = |message: String| Err(Error::new("replace", &target.id, Answer::Incompatible(message)));
    let versions = target.body.pointer("/spec/versions").and_then(Value::as_array);
    let has = |version: &str| versions.into_iter().flatten().any(|known| text(known, "/name") == version);
    let stored = known.pointer("/status/storedVersions").and_then(Value::as_array);
    let dropped: Vec<_> =
        stored.into_iter().flatten().filter_map(Value::as_str).filter(|version| !has(version)).collect();
    if !dropped.is_empty() {
        return refuse(format!(
            "objects may be stored as {}, which the chart's definition no longer has; store them anew as another version \
             and take it out of status.storedVersions first",
            dropped.join(", ")
        ));
    }
    let (scope, wanted) = (text(known, "/spec/scope"), text(&target.body, "/spec/scope"));
    if !scope.is_empty() && scope != wanted {
        return refuse(format!("its scope is {scope}, the chart wants {wanted}, and a scope cannot change"));
    }
    Ok(())
}

async fn await_established(tenant: &TenantClient, target: &Target, deadline: Instant) -> Result<(), Error> {
    let mut pauses = Pauses::until(deadline);
    loop {
        let (_, bytes) = wire::send(tenant.client(), Method::GET, &path_of(target), None, Want::Object)
            .await
            .map_err(|source| Error::of("read", &target.id, "", source))?;
        let object: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let established = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
        if conditions.is_some_and(|conditions| conditions.iter().any(established)) {
            return Ok(());
        }
        pauses.next(target).await?;
    }
}

/// A kind is in the API server's discovery a moment after its definition is established.
async fn await_served(discovery: &Discovery, targets: &[Target], deadline: Instant) -> Result<(), Error> {
    let mut pauses = Pauses::until(deadline);
    loop {
        let kinds = discovery.refresh().await?;
        let missing = |target: &&Target| {
            let versions = target.body.pointer("/spec/versions").and_then(Value::as_array);
            let mut served = versions.into_iter().flatten().filter(|version| version["served"] != false);
            let group = text(&target.body, "/spec/group");
            served.any(|version| kinds.get(&format!("{group}/{}", text(version, "/name")), defined(target)).is_none())
        };
        let Some(missing) = targets.iter().find(missing) else { return Ok(()) };
        pauses.next(missing).await?;
    }
}

/// Pauses that grow, up to a deadline.
struct Pauses {
    pause: Duration,
    deadline: Instant,
}

impl Pauses {
    fn until(deadline: Instant) -> Self {
        Pauses { pause: Duration::from_millis(50), deadline }
    }

    async fn next(&mut self, target: &Target) -> Result<(), Error> {
        if Instant::now() + self.pause > self.deadline {
            let message = format!("its kind was not served within {} s", ESTABLISH_TIMEOUT.as_secs());
            return Err(Error::new("establish", &target.id, Answer::Transient { message, retry_after: None }));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::discovery::Kind;
    use super::*;
    use kube::core::ApiResource;

    fn target(versions: &[&str], scope: &str) -> Target {
        let versions: Vec<_> = versions.iter().map(|name| json!({"name": name})).collect();
        let body = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "ships.example.com"}, "spec": {"versions": versions, "scope": scope}});
        let resource = ApiResource {
            group: "apiextensions.k8s.io".into(),
            version: "v1".into(),
            api_version: "apiextensions.k8s.io/v1".into(),
            kind: "CustomResourceDefinition".into(),
            plural: "customresourcedefinitions".into(),
        };
        Target {
            id: ObjectId::of(&body).unwrap(),
            kind: Kind { resource, scope: Scope::Cluster, watchable: true },
            body,
        }
    }

    #[test]
    fn definition_must_keep_stored_versions_and_scope() {
        let known = json!({"spec": {"scope": "Namespaced"}, "status": {"storedVersions": ["v1alpha1", "v1"]}});
        for (versions, scope, want) in [
            (&["v1alpha1", "v1", "v2"][..], "Namespaced", ""),
            (&["v1", "v2"], "Namespaced", "objects may be stored as v1alpha1"),
            (&["v1alpha1", "v1"], "Cluster", "its scope is Namespaced, the chart wants Cluster"),
        ] {
            let answer = refuse_incompatible(&target(versions, scope), &known);
            let message = answer.map_err(|error| error.answer.to_string()).err().unwrap_or_default();
            assert!(message.starts_with(want) && message.is_empty() == want.is_empty(), "{message}");
        }
    }
}
