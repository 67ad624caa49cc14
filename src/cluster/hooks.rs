//! The objects of hooks: stamped with revision and event, looked at by that stamp, created by server-side apply.
//!
//! A hook's object carries the marks of its release as every object does, and besides them which run it belongs to. The
//! stored manifest stays as Helm has it. The name and the stamp together make creating it idempotent: a controller that
//! died between creating and noting it finds it here.

use http::Method;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::apply::{Conflicts, Owner, Target, metadata_of, patch, path_of, present};
use super::error::{Answer, Error};
use super::identity::TenantClient;
use super::wire::{self, Want};
use crate::manifest::hooks::{Event, HOOK_ANNOTATION};
use crate::release::marks::PREFIX;
use crate::release::{ReleaseId, Revision};

/// Which run of a hook made an object, `v7.pre-upgrade`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    pub fn of(revision: Revision, event: Event) -> Self {
        Stamp(format!("{}.{event}", revision.tag()))
    }

    /// Writes the stamp into an object that is about to be created.
    pub fn write(&self, target: &mut Target) {
        // `apply::targets` has put the release's annotations there.
        target.body["metadata"]["annotations"][key()] = json!(self.0);
    }
}

fn key() -> String {
    format!("{PREFIX}hook")
}

/// What stands where a hook's object would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Free,
    /// The object of this very run.
    Ours {
        uid: String,
    },
    /// What an earlier run left, of Pintle or of Helm.
    Left,
}

/// Looks at the place of a hook's object. Writes nothing.
///
/// # Errors
/// [`Answer::Foreign`] where an object of somebody else stands there: of another release, or no hook at all.
pub async fn look(tenant: &TenantClient, release: &ReleaseId, target: &Target, stamp: &Stamp) -> Result<Place, Error> {
    match wire::send(tenant.client(), Method::GET, &path_of(target), None, Want::Metadata).await {
        Ok((_, bytes)) => place(&metadata_of(&bytes, &target.id)?, release, stamp)
            .map_err(|foreign| Error::new("create the hook", &target.id, Answer::Foreign(foreign))),
        Err(source) => match Error::of("read", &target.id, &target.id.kind, source) {
            error if error.is_not_found() => Ok(Place::Free),
            error => Err(error),
        },
    }
}

fn place(metadata: &ObjectMeta, release: &ReleaseId, stamp: &Stamp) -> Result<Place, String> {
    let present = present(metadata, release);
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key);
    match present.owner {
        Owner::Release(other) => Err(format!("an object of release {other} has its name")),
        // Helm puts no marks on hooks.
        Owner::Nobody if annotation(HOOK_ANNOTATION).is_none() => {
            Err("an object that is no hook and belongs to no release has its name; rename or delete it".to_owned())
        }
        Owner::Us | Owner::Nobody if annotation(&key()) == Some(&stamp.0) && !present.terminating => {
            Ok(Place::Ours { uid: present.uid })
        }
        Owner::Us | Owner::Nobody => Ok(Place::Left),
    }
}

/// Creates the object of a hook, or writes over what an earlier run left; the answer is the object.
pub async fn create(tenant: &TenantClient, target: &Target, conflicts: Conflicts) -> Result<Value, Error> {
    let (_, bytes) = patch(tenant, target, &target.body, conflicts == Conflicts::Force, false).await?;
    serde_json::from_slice(&bytes).map_err(|_| {
        let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
        Error::new("read the answer about", &target.id, answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(annotations: Value, deleted: Option<&str>) -> Result<Place, String> {
        let release = ReleaseId {
            namespace: "apps".into(),
            name: crate::release::ReleaseName::parse("web").expect("it is a valid name"),
        };
        let metadata = json!({"uid": "u", "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": annotations, "deletionTimestamp": deleted});
        place(
            &serde_json::from_value(metadata).expect("it is metadata"),
            &release,
            &Stamp::of(Revision(7), Event::PreUpgrade),
        )
    }

    #[test]
    fn stamp_tells_a_run_from_what_earlier_ones_left() {
        let marks = |name: &str, stamp: &str| {
            json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "apps",
                "pintle.dev/hook": stamp})
        };
        assert_eq!(at(marks("web", "v7.pre-upgrade"), None), Ok(Place::Ours { uid: "u".into() }));
        assert_eq!(at(marks("web", "v7.pre-upgrade"), Some("2026-11-23T12:00:00Z")), Ok(Place::Left));
        assert_eq!(at(marks("web", "v6.pre-upgrade"), None), Ok(Place::Left));
        assert_eq!(at(json!({"helm.sh/hook": "pre-upgrade"}), None), Ok(Place::Left));
        assert!(at(marks("other", "v7.pre-upgrade"), None).is_err());
        assert!(at(json!({}), None).is_err());
    }
}
