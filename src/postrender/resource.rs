//! A document of the manifest, the objects in it, and what is asked of them to be found.

use std::fmt;

use serde_json::{Map, Value as Json};

use super::keys;
use crate::manifest::Error;
use crate::yaml;

/// Helm marks each document with its file while post-renderers run. A patch may count on `metadata.annotations` being
/// there because of it, so it is there for us too.
const FILE_ANNOTATION: &str = "postrenderer.helm.sh/postrender-filename";

/// What Kustomize calls the namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// What Kustomize calls the namespace of an object that has none.
const NO_NAMESPACE: &str = "_non_namespaceable_";

/// A document that was rendered.
pub(super) struct Document {
    path: String,
    text: String,
    /// One object, the items of a list, or none where it is no object.
    pub(super) resources: Vec<Resource>,
}

/// An object on its way through the post-renderers.
pub(super) struct Resource {
    before: Json,
    /// `None` once a patch deleted it.
    pub(super) now: Option<Json>,
}

impl Document {
    pub(super) fn read(path: &str, text: &str) -> Result<Self, Error> {
        let content = yaml::to_json(text.as_bytes()).map_err(|source| Error::Yaml { file: path.to_owned(), source })?;
        let mut resources = Vec::new();
        collect(content, path, &mut resources);
        Ok(Document { path: path.to_owned(), text: text.to_owned(), resources })
    }

    /// Path and text of what is left of it: its own text where nothing changed, else each object that is left.
    pub(super) fn into_texts(self) -> Vec<(String, String)> {
        let Document { path, text, mut resources } = self;
        for resource in &mut resources {
            [Some(&mut resource.before), resource.now.as_mut()].into_iter().flatten().for_each(unmark);
        }
        if resources.iter().all(|resource| resource.now.as_ref() == Some(&resource.before)) {
            return vec![(path, text)];
        }
        let left = resources.into_iter().filter_map(|resource| resource.now);
        left.map(|content| (path.clone(), yaml::marshal_json(&content))).collect()
    }
}

/// The objects of a document: lists are replaced by their items. What has no kind or name is no object that a patch
/// could mean.
fn collect(mut content: Json, path: &str, into: &mut Vec<Resource>) {
    let id = Id::of(&content);
    if id.kind.ends_with("List")
        && let Some(Json::Array(items)) = content.get_mut("items").map(Json::take)
    {
        return items.into_iter().for_each(|item| collect(item, path, into));
    }
    if !id.kind.is_empty() && !id.name.is_empty() {
        mark(&mut content, path);
        into.push(Resource { before: content.clone(), now: Some(content) });
    }
}

fn mark(object: &mut Json, path: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert(Json::Null);
    if annotations.is_null() {
        *annotations = Json::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(FILE_ANNOTATION.to_owned(), path.into());
    }
}

/// Takes the mark away, and the annotations if none are left.
fn unmark(object: &mut Json) {
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) else { return };
    annotations.remove(FILE_ANNOTATION);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// By what a patch finds an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// As the object says it; empty where it does not.
    pub(super) namespace: String,
}

impl Id {
    pub(super) fn of(object: &Json) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let api_version = text("/apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Id {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("/kind").to_owned(),
            name: text("/metadata/name").to_owned(),
            namespace: text("/metadata/namespace").to_owned(),
        }
    }

    pub(super) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The namespace by which Kustomize tells objects apart, and which a target's `namespace` is matched with.
    pub(super) fn effective_namespace(&self) -> &str {
        if keys::is_cluster_scoped(&self.api_version(), &self.kind) {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// Whether a patch without a target means this object.
    pub(super) fn is_meant_by(&self, patch: &Id) -> bool {
        let same = |of: fn(&Id) -> &str| of(self) == of(patch);
        same(|id| &id.group)
            && same(|id| &id.version)
            && same(|id| &id.kind)
            && same(|id| &id.name)
            && same(Id::effective_namespace)
    }
}

/// `apps/v1 Deployment web`, `v1 ConfigMap apps/web`
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.api_version(), self.kind)?;
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}
