//! `.Capabilities`: what the cluster offers, or what Helm assumes where no cluster is asked.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::value::{ElementType, Kind, List, Object, Signature, Value};

/// What a cluster offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub kube_version: KubeVersion,
    /// `v1`, `apps/v1`, and on a real cluster `apps/v1/Deployment` too.
    pub api_versions: Arc<[String]>,
    /// Of the Helm we equal: charts ask for it.
    pub helm_version: HelmVersion,
}

/// A version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// In full, as the cluster says it: `v1.33.4-gke.1245000`.
    pub version: String,
    /// Without what follows the numbers: `v1.33.4`. This is what `kubeVersion` of a chart is compared with, except
    /// on a real cluster, where it is empty and the full version is compared.
    pub normalized: String,
    pub major: String,
    pub minor: String,
}

/// What `.Capabilities.HelmVersion` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmVersion {
    pub version: String,
    pub git_commit: String,
    pub git_tree_state: String,
    pub go_version: String,
    pub kube_client_version: String,
}

impl Default for HelmVersion {
    fn default() -> Self {
        HelmVersion {
            version: "v4.3".into(),
            git_commit: String::new(),
            git_tree_state: String::new(),
            go_version: "go1.26.8".into(),
            kube_client_version: "v1.37".into(),
        }
    }
}

impl Default for Capabilities {
    /// What Helm v4.3.1 assumes without a cluster.
    fn default() -> Self {
        Capabilities {
            kube_version: KubeVersion::parse("v1.37.0").expect("is a version"),
            api_versions: OFFLINE_API_VERSIONS.iter().map(|version| (*version).to_owned()).collect(),
            helm_version: HelmVersion::default(),
        }
    }
}

impl KubeVersion {
    /// Reads a version as `--kube-version` takes it: `1.34`, `v1.33.4-gke.1`.
    ///
    /// # Errors
    /// What is wrong with it: there must be two numbers or more, the first without leading zeros.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim_start();
        let digits = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let mut numbers: Vec<u64> = Vec::new();
        for part in digits.split('.') {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let Ok(number) = part[..end].parse() else { break };
            if numbers.is_empty() && end > 1 && part.starts_with('0') {
                return Err(format!("illegal zero-prefixed version component {:?} in {text:?}", &part[..end]));
            }
            numbers.push(number);
            if end < part.len() {
                break;
            }
        }
        let (major, minor) = match numbers.as_slice() {
            [major, minor, ..] => (major, minor),
            [_] => return Err(format!("illegal version string {text:?}")),
            [] => return Err(format!("could not parse {text:?} as version")),
        };
        let normalized: Vec<String> = numbers.iter().map(u64::to_string).collect();
        Ok(KubeVersion {
            version: if text.starts_with('v') { text.to_owned() } else { format!("v{text}") },
            normalized: format!("v{}", normalized.join(".")),
            major: major.to_string(),
            minor: minor.to_string(),
        })
    }

    /// What a chart's `kubeVersion` is compared with.
    pub fn comparable(&self) -> &str {
        if self.normalized.is_empty() { &self.version } else { &self.normalized }
    }
}

/// The value of `.Capabilities`.
pub(super) fn value(capabilities: &Capabilities) -> Value {
    let versions = capabilities.api_versions.iter().map(|version| Value::string(version.as_str())).collect();
    Value::Object(Rc::new(CapabilitiesObject {
        kube_version: Value::Object(Rc::new(capabilities.kube_version.clone())),
        api_versions: Value::List(List::typed(ElementType::Versions, versions)),
        helm_version: Value::Object(Rc::new(capabilities.helm_version.clone())),
    }))
}

/// `*common.Capabilities`
#[derive(Debug)]
struct CapabilitiesObject {
    kube_version: Value,
    api_versions: Value,
    helm_version: Value,
}

impl Object for CapabilitiesObject {
    fn type_name(&self) -> &str {
        "*common.Capabilities"
    }

    fn kind(&self) -> Kind {
        Kind::Ptr
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("KubeVersion", self.kube_version.clone()),
            ("APIVersions", self.api_versions.clone()),
            ("HelmVersion", self.helm_version.clone()),
        ]
    }

    fn to_json(&self) -> Json {
        self.fields().into_iter().map(|(name, value)| (name.to_owned(), value.freeze())).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A `common.KubeVersion` that is no longer in its place, so that Go does not find the methods of its pointer.
#[derive(Debug)]
struct CopiedVersion(KubeVersion);

impl Object for CopiedVersion {
    fn type_name(&self) -> &str {
        self.0.type_name()
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.0.field(name)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.0.fields()
    }

    fn to_json(&self) -> Json {
        self.0.to_json()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const NO_PARAMETERS: Signature = Signature { parameters: &[], variadic: false };

impl Object for KubeVersion {
    fn type_name(&self) -> &str {
        "common.KubeVersion"
    }

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(Value::string(self.version.as_str())),
            "Major" => Some(Value::string(self.major.as_str())),
            "Minor" => Some(Value::string(self.minor.as_str())),
            _ => None,
        }
    }

    fn method(&self, name: &str) -> Option<Signature> {
        matches!(name, "String" | "GitVersion").then_some(NO_PARAMETERS)
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, String> {
        Ok(Value::string(if name == "String" { self.comparable() } else { self.version.as_str() }))
    }

    fn pointer_stringer(&self) -> Option<String> {
        Some(self.comparable().to_owned())
    }

    fn copied(&self) -> Option<Value> {
        Some(Value::Object(Rc::new(CopiedVersion(self.clone()))))
    }

    /// With the field that Go does not export but prints.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::string(self.version.as_str())),
            ("normalizedVersion", Value::string(self.normalized.as_str())),
            ("Major", Value::string(self.major.as_str())),
            ("Minor", Value::string(self.minor.as_str())),
        ]
    }

    fn to_json(&self) -> Json {
        json!({"Version": self.version, "Major": self.major, "Minor": self.minor})
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for HelmVersion {
    fn type_name(&self) -> &str {
        "version.BuildInfo"
    }

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::string(self.version.as_str())),
            ("GitCommit", Value::string(self.git_commit.as_str())),
            ("GitTreeState", Value::string(self.git_tree_state.as_str())),
            ("GoVersion", Value::string(self.go_version.as_str())),
            ("KubeClientVersion", Value::string(self.kube_client_version.as_str())),
        ]
    }

    fn to_json(&self) -> Json {
        let mut json = json!({"kube_client_version": self.kube_client_version});
        let optional = [
            ("version", &self.version),
            ("git_commit", &self.git_commit),
            ("git_tree_state", &self.git_tree_state),
            ("go_version", &self.go_version),
        ];
        for (name, text) in optional {
            if !text.is_empty() {
                json[name] = text.as_str().into();
            }
        }
        json
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The API versions that Helm v4.3.1 knows without a cluster: those of its Kubernetes client, in its order.
const OFFLINE_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_versions_are_read_leniently() {
        for (text, version, normalized, minor) in [
            ("1.34.0", "v1.34.0", "v1.34.0", "34"),
            ("v1.33.4-gke.1245000", "v1.33.4-gke.1245000", "v1.33.4", "33"),
            ("1.20", "v1.20", "v1.20", "20"),
            ("1.02+k3s1", "v1.02+k3s1", "v1.2", "2"),
        ] {
            let parsed = KubeVersion::parse(text).unwrap();
            assert_eq!((parsed.version.as_str(), parsed.normalized.as_str()), (version, normalized));
            assert_eq!(parsed.minor, minor);
        }
        for text in ["", "v1", "one", "1.x", "01.2"] {
            assert!(KubeVersion::parse(text).is_err(), "{text}");
        }
    }
}
