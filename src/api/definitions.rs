//! The definitions of our kinds; `pintle crd` prints them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use super::{GitSync, HelmRelease};

/// The definitions of all our kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![HelmRelease::crd(), GitSync::crd()];
    let versions = crds.iter_mut().flat_map(|crd| &mut crd.spec.versions);
    let schemas = versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(drop_unsigned_formats);
    crds
}

/// The API server knows no `uint32` and warns of it at each `kubectl apply`; the bounds say as much.
fn drop_unsigned_formats(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    schema.properties.iter_mut().flat_map(|all| all.values_mut()).for_each(drop_unsigned_formats);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => drop_unsigned_formats(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(drop_unsigned_formats),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Calls `look` with the path and schema of each field of all kinds.
    fn each_field(mut look: impl FnMut(&str, &Value)) {
        fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                look(&path, field);
                walk(&path, field, look);
                walk(&format!("{path}[]"), &field["items"], look);
            }
        }
        for crd in crds() {
            let crd = serde_json::to_value(crd).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
            walk(&format!("{kind}.spec"), &schema["spec"], &mut look);
            walk(&format!("{kind}.status"), &schema["status"], &mut look);
        }
    }

    #[test]
    fn every_field_has_a_description() {
        let mut bare = Vec::new();
        each_field(|path, field| {
            if field["description"].as_str().is_none_or(str::is_empty) {
                bare.push(path.to_owned());
            }
        });
        assert_eq!(bare, Vec::<String>::new());
    }

    /// The API server drops fields that are not declared, and only a client that asks for it is told. A post-renderer keeps
    /// them, so that `validate` refuses what would otherwise be lost.
    #[test]
    fn post_renderers_keep_unknown_fields() {
        let crds = serde_json::to_value(crds()).unwrap();
        let schema = &crds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let post_renderer = &schema["properties"]["spec"]["properties"]["postRenderers"]["items"];
        let kustomize = &post_renderer["properties"]["kustomize"];
        let patch = &kustomize["properties"]["patches"]["items"];
        let target = &patch["properties"]["target"];
        let image = &kustomize["properties"]["images"]["items"];
        for object in [post_renderer, kustomize, patch, target, image] {
            assert_eq!(object["type"], "object");
            assert_eq!(object["x-kubernetes-preserve-unknown-fields"], true, "{object}");
        }
    }

    /// What a release reads lies in its own namespace: there is no field that could name another one.
    #[test]
    fn references_never_leave_their_namespace() {
        let mut named = Vec::new();
        each_field(|path, _| {
            let is_reference = |part: &str| part.ends_with("Ref") || part == "valuesFrom[]";
            let (parent, field) = path.rsplit_once('.').unwrap_or_default();
            if field == "namespace" && path.contains(".spec.") && parent.split('.').any(is_reference) {
                named.push(path.to_owned());
            }
        });
        assert_eq!(named, Vec::<String>::new());
    }

    #[test]
    fn only_formats_that_the_api_server_knows() {
        each_field(|path, field| {
            let format = field["format"].as_str();
            assert!(matches!(format, None | Some("int64" | "int32" | "date-time")), "{path}: {format:?}");
        });
    }
}
