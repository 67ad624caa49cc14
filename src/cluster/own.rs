//! Our own kinds, read and written as the controller.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures::{Stream, StreamExt};
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{Answer, Error};
use super::identity::ControllerClient;
use super::wire::{self, Want};

/// Which part of an object a patch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Object,
    Status,
}

/// Follows all objects of a kind, also those that cannot be read as it.
///
/// An object whose status alone is unreadable comes without it: the status is ours to write again.
pub fn follow<K>(
    client: &ControllerClient,
    namespace: Option<&str>,
) -> impl Stream<Item = Result<watcher::Event<DeserializeGuard<K>>, watcher::Error>> + Send + 'static
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<Guarded<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.client(), namespace),
        None => Api::all(client.client()),
    };
    watcher(api, watcher::Config::default()).default_backoff().map(|event| {
        Ok(match event? {
            watcher::Event::Init => watcher::Event::Init,
            watcher::Event::InitApply(Guarded(object)) => watcher::Event::InitApply(object),
            watcher::Event::InitDone => watcher::Event::InitDone,
            watcher::Event::Apply(Guarded(object)) => watcher::Event::Apply(object),
            watcher::Event::Delete(Guarded(object)) => watcher::Event::Delete(object),
        })
    })
}

/// A [`DeserializeGuard`] that also survives what no JSON reader of ours takes: the API server stores objects that are
/// nested deeper than serde_json goes, and one of them must not end the watch of all others.
#[derive(Clone, Debug)]
struct Guarded<K>(DeserializeGuard<K>);

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        read(text.get()).map(Guarded).map_err(serde::de::Error::custom)
    }
}

/// The object, or its metadata and why it is unreadable.
fn read<K: DeserializeOwned>(text: &str) -> serde_json::Result<DeserializeGuard<K>> {
    if let Ok(object) = serde_json::from_str(text) {
        return Ok(DeserializeGuard(Ok(object)));
    }
    let mut parts: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    parts.remove("status");
    let problem = match serde_json::from_str(&serde_json::to_string(&parts)?) {
        Ok(object) => return Ok(DeserializeGuard(Ok(object))),
        Err(problem) => problem,
    };
    let metadata = parts.get("metadata").map_or("{}", |metadata| metadata.get());
    let mut metadata: BTreeMap<String, &RawValue> = serde_json::from_str(metadata)?;
    // They are as deep as the object.
    metadata.remove("managedFields");
    let metadata: ObjectMeta = serde_json::from_str(&serde_json::to_string(&metadata)?)?;
    Ok(DeserializeGuard(Err(InvalidObject { error: describe(&problem), metadata })))
}

/// The place in the JSON tells people nothing.
fn describe(problem: &serde_json::Error) -> String {
    let text = problem.to_string();
    match text.split(" at line ").next().unwrap_or_default() {
        "recursion limit exceeded" => {
            "the spec is nested too deeply, at most about 120 levels are read; make spec.values flatter".to_owned()
        }
        problem => {
            format!("the spec cannot be read: {problem}; correct it, or apply the CustomResourceDefinitions anew")
        }
    }
}

impl<K: kube::Resource> kube::Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// An object as the cluster has it now, whatever the watch told.
pub async fn get<K>(client: &ControllerClient, namespace: &str, name: &str) -> Result<K, Error>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
{
    let describe = || format!("{} {namespace}/{name}", K::kind(&()));
    let path = format!("{}/{name}", K::url_path(&(), Some(namespace)));
    let (_, answer) = wire::send(&client.client(), Method::GET, &path, None, Want::Object)
        .await
        .map_err(|source| Error::of("read", describe(), "", source))?;
    serde_json::from_slice(&answer)
        .map_err(|problem| Error::new("read", describe(), Answer::Invalid { message: problem.to_string() }))
}

/// Merges a patch into an object; the answer is the object as it is then.
///
/// `A` is what the answer is read as: the kind itself, or [`serde::de::IgnoredAny`] for one that cannot be read.
pub async fn patch<K, A>(
    client: &ControllerClient,
    namespace: &str,
    name: &str,
    part: Part,
    patch: &Value,
) -> Result<A, Error>
where
    K: kube::Resource<DynamicType = ()>,
    A: DeserializeOwned,
{
    let describe = || format!("{} {namespace}/{name}", K::kind(&()));
    let mut path = format!("{}/{name}", K::url_path(&(), Some(namespace)));
    if part == Part::Status {
        path.push_str("/status");
    }
    path.push_str("?fieldManager=pintle");
    let action = match part {
        Part::Object => "change",
        Part::Status => "write the status of",
    };
    let bytes = serde_json::to_vec(patch).expect("a JSON value can be written");
    let body = Some(("application/merge-patch+json", bytes));
    let (_, answer) = wire::send(&client.client(), Method::PATCH, &path, body, Want::Object)
        .await
        .map_err(|source| Error::of(action, describe(), "", source))?;
    serde_json::from_slice(&answer).map_err(|problem| {
        let answer = Answer::Invalid { message: problem.to_string() };
        Error::new("read the answer about", describe(), answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use kube::ResourceExt;
    use serde_json::json;

    fn read_pod(object: &Value) -> DeserializeGuard<Pod> {
        read(&object.to_string()).unwrap()
    }

    #[test]
    fn object_that_is_nested_too_deeply_is_still_named() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let fields = deep.replace('[', "{\"f:a\":").replace(']', "}");
        let text = format!(
            r#"{{"metadata": {{"name": "deep", "managedFields": [{{"fieldsV1": {fields}}}]}}, "spec": {{"containers": {deep}}}}}"#
        );
        let Guarded(DeserializeGuard(Err(invalid))) = serde_json::from_str::<Guarded<Pod>>(&text).unwrap() else {
            panic!("it is readable");
        };
        assert_eq!(invalid.metadata.name.as_deref(), Some("deep"));
        assert!(invalid.error.contains("nested too deeply"), "{}", invalid.error);
    }

    #[test]
    fn object_with_a_broken_status_comes_without_it() {
        let pod = read_pod(&json!({"metadata": {"name": "a"}, "status": {"phase": 1}})).0.unwrap();
        assert_eq!((pod.name_any().as_str(), pod.status), ("a", None));
        let broken = read_pod(&json!({"metadata": {"name": "a"}, "spec": {"containers": "none"}})).0.unwrap_err();
        assert!(broken.error.starts_with("the spec cannot be read: invalid type"), "{}", broken.error);
    }
}
