//! Which kinds the cluster serves, and what charts see of it as `.Capabilities`.
//!
//! Two requests (aggregated discovery) learn everything; the answer is kept until a kind is asked for that is not in it,
//! or until CustomResourceDefinitions were applied.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use kube::client::{APIGroupDiscovery, APIResourceDiscovery, APIVersionDiscovery};
use kube::core::{ApiResource, GroupVersionKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{Answer, Error};
use super::identity::ControllerClient;
use crate::manifest::id::Scope;

/// A cluster is asked again for an unknown kind at most this often.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// One kind in one version, and how to reach it.
#[derive(Clone, Debug)]
pub struct Kind {
    pub resource: ApiResource,
    pub scope: Scope,
    pub watchable: bool,
}

/// What the cluster serves, as of one moment.
#[derive(Debug, Default)]
pub struct Kinds {
    by_kind: HashMap<GroupVersionKind, Kind>,
    /// For a group and kind, the version that the cluster prefers.
    preferred: HashMap<(String, String), Kind>,
    /// `v1`, `apps/v1`, `apps/v1/Deployment`, as Helm lists them in `.Capabilities.APIVersions`.
    pub api_versions: Vec<String>,
    /// As the server says it, with a distribution's suffix: `v1.36.2-gke.1`.
    pub git_version: String,
}

impl Kinds {
    pub fn get(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.by_kind.get(&GroupVersionKind::gvk(group, version, kind))
    }

    /// The kind in the version that the cluster prefers: for objects of which only the identity is known.
    pub fn preferred(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.preferred.get(&(group.to_owned(), kind.to_owned()))
    }

    fn read(core: Vec<APIGroupDiscovery>, named: Vec<APIGroupDiscovery>, git_version: String) -> Self {
        let mut kinds = Kinds { git_version, ..Kinds::default() };
        for group in core.into_iter().chain(named) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in group.versions {
                kinds.read_version(&name, version);
            }
        }
        kinds.api_versions.sort_unstable();
        kinds.api_versions.dedup();
        kinds.api_versions.shrink_to_fit();
        kinds
    }

    fn read_version(&mut self, group: &str, version: APIVersionDiscovery) {
        let Some(name) = version.version else { return };
        let api_version = match group {
            "" => name.clone(),
            group => format!("{group}/{name}"),
        };
        self.api_versions.push(api_version.clone());
        for resource in version.resources {
            // Subresources show their kinds as well: Helm's list has `v1/Eviction` and `apps/v1/Scale`.
            let subresources = resource.subresources.iter().map(|subresource| &subresource.response_kind);
            for kind in subresources.chain([&resource.response_kind]).flatten() {
                if let Some(kind) = kind.kind.as_deref().filter(|kind| !kind.is_empty()) {
                    self.api_versions.push(format!("{api_version}/{kind}"));
                }
            }
            if let Some(kind) = kind_of(group, &name, &api_version, resource) {
                let ApiResource { group, version, kind: word, .. } = kind.resource.clone();
                // Versions come in the cluster's order of preference, so the first one stays.
                self.preferred.entry((group.clone(), word.clone())).or_insert_with(|| kind.clone());
                self.by_kind.insert(GroupVersionKind { group, version, kind: word }, kind);
            }
        }
    }
}

fn kind_of(group: &str, version: &str, api_version: &str, resource: APIResourceDiscovery) -> Option<Kind> {
    let kind = resource.response_kind?.kind.filter(|kind| !kind.is_empty())?;
    let scope = match resource.scope.as_deref() {
        Some("Namespaced") => Scope::Namespaced,
        _ => Scope::Cluster,
    };
    let can = |verb: &str| resource.verbs.iter().any(|word| word == verb);
    let watchable = can("list") && can("watch");
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind,
        plural: resource.resource?,
    };
    Some(Kind { resource, scope, watchable })
}

/// The cluster's kinds, learnt once and refreshed when they are found wanting.
pub struct Discovery {
    client: ControllerClient,
    kinds: RwLock<Arc<Kinds>>,
    refreshed: Mutex<Option<Instant>>,
}

impl Discovery {
    pub fn new(client: ControllerClient) -> Self {
        Discovery { client, kinds: RwLock::default(), refreshed: Mutex::default() }
    }

    /// What is known, asking the cluster only the first time.
    pub async fn kinds(&self) -> Result<Arc<Kinds>, Error> {
        let kinds = self.known();
        if !kinds.git_version.is_empty() {
            return Ok(kinds);
        }
        self.refresh_if_older(Duration::MAX).await
    }

    /// The kind of an object; asks the cluster again where it is unknown, at most every few seconds.
    pub async fn kind(&self, api_version: &str, kind: &str) -> Result<Kind, Error> {
        if let Some(known) = self.kinds().await?.get(api_version, kind) {
            return Ok(known.clone());
        }
        let kinds = self.refresh_if_older(REFRESH_INTERVAL).await?;
        kinds.get(api_version, kind).cloned().ok_or_else(|| {
            let answer = Answer::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
            Error::new("find", kind, answer)
        })
    }

    /// Asks the cluster now: CustomResourceDefinitions were applied.
    pub async fn refresh(&self) -> Result<Arc<Kinds>, Error> {
        self.refresh_if_older(Duration::ZERO).await
    }

    fn known(&self) -> Arc<Kinds> {
        self.kinds.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn refresh_if_older(&self, age: Duration) -> Result<Arc<Kinds>, Error> {
        let mut refreshed = self.refreshed.lock().await; // one asks, the others wait for its answer
        if refreshed.is_some_and(|at| at.elapsed() < age) {
            return Ok(self.known());
        }
        let client = self.client.client();
        let error = |source| Error::of("read", "the kinds of the cluster", "", source);
        let (core, named, version) = tokio::try_join!(
            client.list_core_api_versions_aggregated(),
            client.list_api_groups_aggregated(),
            client.apiserver_version(),
        )
        .map_err(error)?;
        let kinds = Arc::new(Kinds::read(core.items, named.items, version.git_version));
        *self.kinds.write().unwrap_or_else(std::sync::PoisonError::into_inner) = kinds.clone();
        *refreshed = Some(Instant::now());
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(value: serde_json::Value) -> APIGroupDiscovery {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn capabilities_list_versions_kinds_and_kinds_of_subresources() {
        let pods = json!({"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced",
            "verbs": ["list", "watch"], "subresources": [{"subresource": "eviction", "responseKind": {"kind": "Eviction"}}]});
        let core = group(json!({"versions": [{"version": "v1", "resources": [pods]}]}));
        let scale = json!({"resource": "deployments", "responseKind": {"kind": "Deployment"}, "scope": "Namespaced",
            "verbs": ["get"], "subresources": [{"subresource": "scale", "responseKind": {"kind": "Scale"}}]});
        let apps = group(json!({"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [scale]}]}));
        let kinds = Kinds::read(vec![core], vec![apps], "v1.36.2".into());
        assert_eq!(
            kinds.api_versions,
            ["apps/v1", "apps/v1/Deployment", "apps/v1/Scale", "v1", "v1/Eviction", "v1/Pod"]
        );
        assert!(kinds.get("v1", "Pod").unwrap().watchable);
        assert!(!kinds.preferred("apps", "Deployment").unwrap().watchable);
    }

    #[test]
    fn preferred_version_is_the_first_one() {
        let versions: Vec<_> = ["v2", "v1"]
            .iter()
            .map(|version| {
                json!({"version": version, "resources": [{"resource": "horizontalpodautoscalers",
                "responseKind": {"kind": "HorizontalPodAutoscaler"}, "scope": "Namespaced", "verbs": []}]})
            })
            .collect();
        let kinds = Kinds::read(
            vec![],
            vec![group(json!({"metadata": {"name": "autoscaling"}, "versions": versions}))],
            "".into(),
        );
        assert_eq!(kinds.preferred("autoscaling", "HorizontalPodAutoscaler").unwrap().resource.version, "v2");
    }
}
