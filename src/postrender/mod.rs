//! Post-renderers: what a HelmRelease changes in the objects that its chart rendered, before they are stored.
//!
//! Pure. The fields are Flux's (`spec.postRenderers`, `spec.commonMetadata`), their meaning is that of Kustomize
//! v5.8.1 (api and kyaml v0.21.1), which Flux's helm-controller 1.6 calls: same objects from the same patches, held by
//! `golden/cases.jsonl`, which `hack/oracle-kustomize` writes. Hooks are changed like everything else, as Helm v4 does
//! by default. Files below `crds/` are not.
//!
//! A document that nothing changed keeps its bytes; any other is written anew, with the bytes Flux would store.

mod common;
mod images;
mod json_patch;
mod keys;
mod merge;
mod patch;
mod resource;
mod select;

pub use common::CommonMetadata;
pub use images::Image;
pub use patch::Patch;
pub use select::{BadSelector, Selector, SelectorFields};

use std::fmt;

use crate::manifest::hooks::{self, Hook, Manifest};
use crate::manifest::{self, split};
use resource::{Document, Resource};

/// All that is done to the objects of a release, in order.
#[derive(Clone, Debug, Default)]
pub struct PostRenderers {
    pub kustomize: Vec<Kustomize>,
    /// Added last.
    pub common: CommonMetadata,
}

/// One post-renderer: all patches in order, then all images in order.
#[derive(Clone, Debug, Default)]
pub struct Kustomize {
    pub patches: Vec<Patch>,
    pub images: Vec<Image>,
}

/// What became of a manifest and its hooks.
#[derive(Clone, Debug, Default)]
pub struct PostRendered {
    pub manifests: Vec<Manifest>,
    pub hooks: Vec<Hook>,
    /// Patches and images that changed nothing: a target that fits no object, or a wish that was fulfilled already.
    pub idle: Vec<Place>,
}

/// Where a patch or an image stands in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub post_renderer: usize,
    pub item: Item,
}

/// What is meant within a post-renderer, with its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Patch(usize),
    Image(usize),
}

/// `spec.postRenderers[0].kustomize.patches[2]`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.postRenderers[{}].kustomize.", self.post_renderer)?;
        match self.item {
            Item::Patch(index) => write!(f, "patches[{index}]"),
            Item::Image(index) => write!(f, "images[{index}]"),
        }
    }
}

/// Why the objects could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{place}: {problem}")]
    At { place: Place, problem: Problem },
    #[error("spec.commonMetadata: {0}")]
    Common(Problem),
    #[error("after post-rendering")]
    Manifest(#[from] manifest::Error),
}

/// Why a patch does not fit the objects of the chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the chart has no {0}; correct apiVersion, kind, name and namespace of the patch, or give a target")]
    NoObject(String),
    #[error("{object}: {field} is {found} in the object, but {wanted} in the patch")]
    Shape { object: String, field: String, found: &'static str, wanted: &'static str },
    #[error("{object}: {field} is not {wanted}")]
    NotA { object: String, field: String, wanted: &'static str },
    #[error(
        "{object}: {directive} would stay in {field}, because Kustomize merges no lists there; give the whole list"
    )]
    Directive { object: String, field: String, directive: String },
    #[error("{object}: Kustomize would lose {lost} in {field}; {instead}")]
    Lost { object: String, field: String, lost: String, instead: String },
    #[error("{object}: operation {index} ({operation}) does not apply: {why}")]
    Operation { object: String, index: usize, operation: String, why: String },
    #[error("{object}: a patch may not change the {0}, because references to it would not follow", .field)]
    Identity { object: String, field: &'static str },
    #[error("{object}: merging takes too many steps; make the lists shorter")]
    Budget { object: String },
}

impl PostRenderers {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.common.is_empty() && self.kustomize.iter().all(|it| it.patches.is_empty() && it.images.is_empty())
    }

    /// Changes the objects of a rendered manifest and its hooks.
    ///
    /// What becomes a hook, or stops being one, by its annotations changes sides; a kind that changed is placed anew.
    /// Documents that are no objects are left as they are.
    ///
    /// # Errors
    /// A patch fits no object, or does not fit the one it names; a document is no YAML.
    pub fn apply(&self, manifest: &str, hooks: &[Hook]) -> Result<PostRendered, Error> {
        let framed = split::split(manifest).into_iter().map(split::unframe);
        let mut documents: Vec<(&str, &str)> = framed.collect();
        documents.extend(hooks.iter().map(|hook| (hook.path.as_str(), hook.manifest.as_str())));
        // By file, as they were rendered: a kind that changes finds its place among the others of its new kind.
        documents.sort_by_key(|(path, _)| *path);
        let mut documents: Vec<Document> =
            documents.into_iter().map(|(path, text)| Document::read(path, text)).collect::<Result<_, _>>()?;

        let idle = self.change(documents.iter_mut().flat_map(|document| &mut document.resources).collect())?;

        let texts: Vec<(String, String)> = documents.into_iter().flat_map(Document::into_texts).collect();
        let sorted = hooks::sort_documents(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
        Ok(PostRendered { manifests: sorted.manifests, hooks: sorted.hooks, idle })
    }

    fn change(&self, mut resources: Vec<&mut Resource>) -> Result<Vec<Place>, Error> {
        let mut idle = Vec::new();
        for (post_renderer, kustomize) in self.kustomize.iter().enumerate() {
            let mut note = |item, outcome: Result<bool, Problem>| {
                let place = Place { post_renderer, item };
                match outcome {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        idle.push(place);
                        Ok(())
                    }
                    Err(problem) => Err(Error::At { place, problem }),
                }
            };
            for (index, patch) in kustomize.patches.iter().enumerate() {
                note(Item::Patch(index), patch.apply(&mut resources))?;
            }
            for (index, image) in kustomize.images.iter().enumerate() {
                note(Item::Image(index), Ok(image.apply(&mut resources)))?;
            }
        }
        self.common.apply(&mut resources).map_err(Error::Common)?;
        Ok(idle)
    }
}

#[cfg(test)]
mod tests;
