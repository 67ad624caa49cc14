//! Whether Flux still owns a release: its HelmReleases, read as the controller.
//!
//! On a cluster without Flux's kind nothing is asked.

use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::discovery::Discovery;
use super::error::Error;
use super::identity::ControllerClient;
use crate::release::ReleaseId;

const GROUP: &str = "helm.toolkit.fluxcd.io";
const KIND: &str = "HelmRelease";
const PAGE: u32 = 500;

/// The Flux HelmRelease that is active on this release: `apps/podinfo`.
///
/// # Errors
/// The list was refused or did not come.
pub async fn owner(
    client: &ControllerClient,
    discovery: &Discovery,
    release: &ReleaseId,
) -> Result<Option<String>, Error> {
    let kinds = discovery.kinds().await?;
    let Some(kind) = kinds.preferred(GROUP, KIND) else { return Ok(None) };
    let api: Api<DynamicObject> = Api::all_with(client.client(), &kind.resource);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let list =
            api.list(&params).await.map_err(|source| Error::of("list", "the HelmReleases of Flux", KIND, source))?;
        let found = list.items.iter().find(|object| {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            let name = object.metadata.name.as_deref().unwrap_or_default();
            owns(namespace, name, &object.data, release)
        });
        if let Some(object) = found {
            let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            return Ok(Some(format!("{}/{}", text(namespace), text(name))));
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => params.continue_token = Some(token),
            _ => return Ok(None),
        }
    }
}

/// Flux composes the name of the release as we do, but for long names, which it shortens in the same way.
fn owns(namespace: &str, name: &str, object: &Value, release: &ReleaseId) -> bool {
    let spec = |field: &str| object.pointer(&format!("/spec/{field}")).and_then(Value::as_str);
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return false;
    }
    let target = spec("targetNamespace");
    let release_name = match (spec("releaseName"), target) {
        (Some(name), _) => name.to_owned(),
        (None, Some(target)) => format!("{target}-{name}"),
        (None, None) => name.to_owned(),
    };
    release_name == release.name.as_str() && spec("storageNamespace").unwrap_or(namespace) == release.namespace
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::ReleaseName;
    use serde_json::json;

    #[test]
    fn active_helm_release_of_flux_owns_what_it_stores() {
        let release = ReleaseId { namespace: "apps".into(), name: ReleaseName::parse("podinfo").unwrap() };
        let owns =
            |namespace: &str, name: &str, spec: Value| super::owns(namespace, name, &json!({ "spec": spec }), &release);
        assert!(owns("apps", "podinfo", json!({})));
        assert!(owns("flux-system", "x", json!({"releaseName": "podinfo", "storageNamespace": "apps"})));
        assert!(!owns("apps", "podinfo", json!({"suspend": true})));
        assert!(!owns("apps", "podinfo", json!({"targetNamespace": "web"})));
        assert!(!owns("other", "podinfo", json!({})));
    }
}
