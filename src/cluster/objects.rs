//! Single objects of any kind, written and deleted as a field manager of the caller's choice: what a GitSync applies.
//!
//! No marks, no order, no decisions: who owns an object and what becomes of it is `sync`'s to say. A release's objects
//! are [`super::apply`]'s.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apply::Target;
use super::error::{Answer, Error};
use super::identity::TenantClient;
use super::wire::{self, Want};

/// What is seen of an object that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub finalizers: Vec<String>,
    pub terminating: bool,
}

/// Whether an object was there before it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    Present,
}

/// Looks at an object's metadata; `None` where it does not exist.
pub async fn look(tenant: &TenantClient, target: &Target) -> Result<Option<Seen>, Error> {
    #[derive(Deserialize)]
    struct Answered {
        metadata: ObjectMeta,
    }
    let bytes = match wire::send(tenant.client(), Method::GET, &path(target), None, Want::Metadata).await {
        Ok((_, bytes)) => bytes,
        Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => return Ok(None),
            error => return Err(error),
        },
    };
    let Answered { metadata } = serde_json::from_slice(&bytes).map_err(|_| unreadable(target))?;
    Ok(Some(Seen {
        uid: metadata.uid.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        finalizers: metadata.finalizers.unwrap_or_default(),
        terminating: metadata.deletion_timestamp.is_some(),
    }))
}

/// Applies an object on the server's side. Fields that other managers own become this one's.
pub async fn apply(tenant: &TenantClient, target: &Target, manager: &str) -> Result<Written, Error> {
    // A misspelt field is an error and not a silence.
    let path = format!("{}?fieldManager={manager}&fieldValidation=Strict&force=true", path(target));
    let body = Some(("application/apply-patch+yaml", bytes_of(&target.body)));
    let (status, _) = wire::send(tenant.client(), Method::PATCH, &path, body, Want::Metadata)
        .await
        .map_err(|source| Error::of("apply", &target.id, &target.id.kind, source))?;
    Ok(if status == StatusCode::CREATED { Written::Created } else { Written::Present })
}

/// Deletes the object of this uid; a newcomer of the same name stays. Gone already is fine.
pub async fn delete(tenant: &TenantClient, target: &Target, uid: &str) -> Result<(), Error> {
    let options = json!({"propagationPolicy": "Background", "preconditions": {"uid": uid}});
    let body = Some(("application/json", bytes_of(&options)));
    match wire::send(tenant.client(), Method::DELETE, &path(target), body, Want::Metadata).await {
        Ok(_) => Ok(()),
        Err(source) => match Error::of("delete", &target.id, &target.id.kind, source) {
            error if error.is_not_found() || error.is_stale() => Ok(()),
            error => Err(error),
        },
    }
}

/// Merges a patch into an object. Gone already is fine.
pub async fn merge(tenant: &TenantClient, target: &Target, patch: &Value, manager: &str) -> Result<(), Error> {
    let path = format!("{}?fieldManager={manager}", path(target));
    let body = Some(("application/merge-patch+json", bytes_of(patch)));
    match wire::send(tenant.client(), Method::PATCH, &path, body, Want::Metadata).await {
        Ok(_) => Ok(()),
        Err(source) => match Error::of("change", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => Ok(()),
            error => Err(error),
        },
    }
}

/// Whether a condition of an object is `True`: `Established` of a CustomResourceDefinition.
pub async fn has_condition(tenant: &TenantClient, target: &Target, condition: &str) -> Result<bool, Error> {
    let (_, bytes) = wire::send(tenant.client(), Method::GET, &path(target), None, Want::Object)
        .await
        .map_err(|source| Error::of("read", &target.id, &target.id.kind, source))?;
    let object: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable(target))?;
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    Ok(conditions.into_iter().flatten().any(|found| found["type"] == condition && found["status"] == "True"))
}

fn path(target: &Target) -> String {
    wire::path(&target.kind.resource, &target.id.namespace, &target.id.name)
}

fn bytes_of(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value can be written")
}

fn unreadable(target: &Target) -> Error {
    let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
    Error::new("read the answer about", &target.id, answer)
}
