//! ConfigMaps and Secrets that specs refer to, and single objects for `lookup`: read with the release's own rights.
//!
//! Their metadata is followed by one shared watch a kind, so that a change of values wakes the releases that use them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{Stream, StreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::discovery::Discovery;
use super::error::{Answer, Error};
use super::identity::{ControllerClient, TenantClient};
use super::wire::{self, Want};
use crate::manifest::id::Scope;

/// Which of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    ConfigMap,
    Secret,
}

/// An object that a spec refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    pub kind: ReferenceKind,
    pub namespace: String,
    pub name: String,
}

/// What is in it. Not `Debug`: it may be a Secret.
pub struct Content {
    pub resource_version: String,
    /// The type of a Secret; empty for a ConfigMap.
    pub secret_type: String,
    pub data: BTreeMap<String, Vec<u8>>,
}

impl ReferenceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ReferenceKind::ConfigMap => "ConfigMap",
            ReferenceKind::Secret => "Secret",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            ReferenceKind::ConfigMap => "configmaps",
            ReferenceKind::Secret => "secrets",
        }
    }
}

/// `Secret apps/db`.
impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Reads a reference; `None` where the object does not exist.
pub async fn read(tenant: &TenantClient, reference: &Reference) -> Result<Option<Content>, Error> {
    let name = wire::percent_encode(&reference.name);
    let path = format!("/api/v1/namespaces/{}/{}/{name}", reference.namespace, reference.kind.plural());
    let bytes = match wire::send(tenant.client(), Method::GET, &path, None, Want::Object).await {
        Ok((_, bytes)) => bytes,
        Err(source) => match Error::of("read", reference, reference.kind.as_str(), source) {
            error if error.is_not_found() => return Ok(None),
            error => return Err(error),
        },
    };
    let unreadable = || {
        let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
        Error::new("read", reference, answer)
    };
    let object: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).map_err(|_| unreadable());
    let mut data = BTreeMap::new();
    for (key, value) in fields(&object, "data") {
        let bytes = match reference.kind {
            ReferenceKind::ConfigMap => value.as_str().unwrap_or_default().as_bytes().to_vec(),
            ReferenceKind::Secret => decode(value)?,
        };
        data.insert(key.clone(), bytes);
    }
    for (key, value) in fields(&object, "binaryData") {
        data.insert(key.clone(), decode(value)?);
    }
    Ok(Some(Content {
        resource_version: text("/metadata/resourceVersion").to_owned(),
        secret_type: text("/type").to_owned(),
        data,
    }))
}

fn fields<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// Follows the metadata of all objects of a kind; each item is one that was listed, changed or removed, with its version
/// (empty for a removed one). Release Secrets are left out: they have a watch of their own.
pub fn follow(
    client: &ControllerClient,
    kind: ReferenceKind,
    namespace: Option<&str>,
) -> stream::BoxStream<'static, Result<(Reference, String), watcher::Error>> {
    match kind {
        ReferenceKind::ConfigMap => {
            changes(api::<ConfigMap>(client, namespace), kind, watcher::Config::default()).boxed()
        }
        ReferenceKind::Secret => {
            let config = watcher::Config::default().fields("type!=helm.sh/release.v1");
            changes(api::<Secret>(client, namespace), kind, config).boxed()
        }
    }
}

fn api<K>(client: &ControllerClient, namespace: Option<&str>) -> Api<PartialObjectMeta<K>>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.client(), namespace),
        None => Api::all(client.client()),
    }
}

fn changes<K>(
    api: Api<PartialObjectMeta<K>>,
    kind: ReferenceKind,
    config: watcher::Config,
) -> impl Stream<Item = Result<(Reference, String), watcher::Error>> + Send
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    watcher(api, config).default_backoff().filter_map(move |event| {
        let change = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let metadata = object.metadata;
                let version = metadata.resource_version.unwrap_or_default();
                Some(Ok((reference(kind, metadata.namespace, metadata.name), version)))
            }
            Ok(watcher::Event::Delete(object)) => {
                Some(Ok((reference(kind, object.metadata.namespace, object.metadata.name), String::new())))
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(change)
    })
}

fn reference(kind: ReferenceKind, namespace: Option<String>, name: Option<String>) -> Reference {
    Reference { kind, namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default() }
}

/// What a chart's `lookup` asks for: the object, or the list of all of that kind where `name` is empty; an empty object
/// where there is none. `namespace` is empty for all namespaces.
pub async fn lookup(
    tenant: &TenantClient,
    discovery: &Discovery,
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Value, Error> {
    let found = discovery.kind(api_version, kind).await?;
    let namespace = match found.scope {
        Scope::Namespaced => namespace,
        Scope::Cluster => "",
    };
    let path = wire::path(&found.resource, namespace, name);
    match wire::send(tenant.client(), Method::GET, &path, None, Want::Object).await {
        Ok((_, bytes)) => serde_json::from_slice(&bytes).map_err(|_| {
            let answer = Answer::Transient { message: "unreadable answer".to_owned(), retry_after: None };
            Error::new("look up", kind, answer)
        }),
        Err(source) => match Error::of("look up", format!("{kind} {name}"), kind, source) {
            error if error.is_not_found() => Ok(json!({})),
            error => Err(error),
        },
    }
}

/// Whether a namespace is on its way out, as the controller sees it.
pub async fn is_namespace_going(client: &ControllerClient, namespace: &str) -> bool {
    let path = format!("/api/v1/namespaces/{namespace}");
    match wire::send(&client.client(), Method::GET, &path, None, Want::Metadata).await {
        Ok((_, bytes)) => serde_json::from_slice::<Value>(&bytes)
            .is_ok_and(|object| object.pointer("/metadata/deletionTimestamp").is_some()),
        Err(kube::Error::Api(status)) => status.code == 404,
        Err(_) => false,
    }
}
