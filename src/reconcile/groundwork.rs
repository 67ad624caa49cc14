//! What comes before a revision is stored: the definitions of its chart's `crds/` folder, and its namespace.
//!
//! As in Helm they come first, are never remediated and outlive the release. A template sees the kinds that are about to
//! come in `.Capabilities`, as with Helm, which writes them before it renders; here nothing is written for a chart that
//! cannot be rendered.

use serde_json::Value;

use super::error::failure;
use crate::chart::Chart;
use crate::cluster::discovery::Kinds;
use crate::manifest;
use crate::plan::rules::Crds;
use crate::plan::{Failure, FailureClass};
use crate::text;

const DEFINITION: &str = "CustomResourceDefinition";

/// The definitions of a chart that the rule wants written, and what else lies in `crds/`: that would be written without
/// marks and never removed, so it is left alone.
pub(super) fn definitions(chart: &Chart, rule: Crds) -> Result<(Vec<Value>, Vec<String>), Failure> {
    let (mut definitions, mut ignored) = (Vec::new(), Vec::new());
    if rule == Crds::Skip {
        return Ok((definitions, ignored));
    }
    for crd in chart.crds() {
        let text = String::from_utf8_lossy(&crd.data);
        let parsed = manifest::parse(&text).map_err(|problem| {
            let message = format!("{}: {}", crd.path, text::chain(&problem));
            failure(FailureClass::Input, "InvalidManifest", message)
        })?;
        for object in parsed {
            match object.id.kind.as_str() {
                DEFINITION => definitions.push(object.content),
                _ => ignored.push(format!("{} ({})", object.id, crd.path)),
            }
        }
    }
    Ok((definitions, ignored))
}

/// `group/version` and `group/version/Kind` of what will be served once the definitions are written and is not yet.
pub(super) fn coming(definitions: &[Value], rule: Crds, kinds: &Kinds) -> Vec<String> {
    let mut coming = Vec::new();
    for definition in definitions {
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
        // One that exists stays as it is, unless all are replaced.
        if rule != Crds::CreateReplace && kinds.preferred(group, kind).is_some() {
            continue;
        }
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten().filter(|version| version["served"] == true) {
            let api_version = format!("{group}/{}", version["name"].as_str().unwrap_or_default());
            if kinds.get(&api_version, kind).is_none() {
                coming.extend([format!("{api_version}/{kind}"), api_version]);
            }
        }
    }
    coming
}
