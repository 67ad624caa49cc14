//! `crd`: our CustomResourceDefinitions as YAML.

use crate::api;
use crate::yaml;

/// A definition and the name of its file in `crds/`.
pub struct Definition {
    pub file: String,
    pub yaml: String,
}

/// All definitions, each as one YAML document. They outlive `helm uninstall`: with them every release would go.
pub fn definitions() -> Vec<Definition> {
    api::crds()
        .into_iter()
        .map(|mut crd| {
            crd.metadata
                .annotations
                .get_or_insert_default()
                .insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
            let file = format!("{}.yaml", crd.metadata.name.as_deref().unwrap_or_default());
            let value = serde_json::to_value(&crd).expect("definitions are plain data");
            Definition { file, yaml: yaml::marshal_json(&value) }
        })
        .collect()
}

/// Prints them, ready for `kubectl apply --server-side -f -`.
pub fn print() {
    for definition in definitions() {
        print!("---\n{}", definition.yaml);
    }
}
