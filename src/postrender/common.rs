//! Labels and annotations that every object gets.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::Problem;
use super::resource::{Id, Resource};

/// What every object gets, hooks too, over labels and annotations of its own. Pod templates and selectors stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommonMetadata {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl CommonMetadata {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    pub(super) fn apply(&self, resources: &mut [&mut Resource]) -> Result<(), Problem> {
        for object in resources.iter_mut().filter_map(|resource| resource.now.as_mut()) {
            add(object, "labels", &self.labels)?;
            add(object, "annotations", &self.annotations)?;
        }
        Ok(())
    }
}

fn add(object: &mut Json, field: &str, entries: &BTreeMap<String, String>) -> Result<(), Problem> {
    if entries.is_empty() {
        return Ok(());
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return Ok(()) };
    let table = metadata.entry(field).or_insert(Json::Null);
    if table.is_null() {
        *table = Json::Object(Map::new());
    }
    match table.as_object_mut() {
        Some(table) => table.extend(entries.iter().map(|(key, value)| (key.clone(), value.as_str().into()))),
        None => {
            let object = Id::of(object).to_string();
            return Err(Problem::NotA { object, field: format!("metadata.{field}"), wanted: "a table" });
        }
    }
    Ok(())
}
