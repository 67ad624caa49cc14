//! Whole post-renderers, compared with Kustomize.

use super::*;
use crate::yaml;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A line of the golden file; `hack/oracle-kustomize` says what the fields mean.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    objects: Vec<Json>,
    #[serde(default)]
    post_renderers: Vec<Json>,
    #[serde(default)]
    common_metadata: Json,
    #[serde(default)]
    want: Vec<String>,
    #[serde(default)]
    error: String,
}

fn strings(json: &Json) -> BTreeMap<String, String> {
    let table = json.as_object().into_iter().flatten();
    table.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn selector(target: &Json) -> Result<Option<Selector>, String> {
    if target.is_null() {
        return Ok(None);
    }
    let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
    let fields = SelectorFields {
        group: text("group"),
        version: text("version"),
        kind: text("kind"),
        name: text("name"),
        namespace: text("namespace"),
        label_selector: text("labelSelector"),
        annotation_selector: text("annotationSelector"),
    };
    Selector::parse(&fields).map(Some).map_err(|error| error.to_string())
}

fn post_renderers(post_renderers: &[Json], common: &Json) -> Result<PostRenderers, String> {
    let mut result = PostRenderers::default();
    for post_renderer in post_renderers {
        let mut kustomize = Kustomize::default();
        for patch in post_renderer["kustomize"]["patches"].as_array().into_iter().flatten() {
            kustomize.patches.push(Patch::parse(patch["patch"].as_str().unwrap(), selector(&patch["target"])?)?);
        }
        for image in post_renderer["kustomize"]["images"].as_array().into_iter().flatten() {
            let text = |field: &str| image[field].as_str().map(str::to_owned);
            let name = text("name").unwrap();
            kustomize.images.push(Image::new(&name, text("newName"), text("newTag"), text("digest"))?);
        }
        result.kustomize.push(kustomize);
    }
    result.common = CommonMetadata { labels: strings(&common["labels"]), annotations: strings(&common["annotations"]) };
    Ok(result)
}

fn manifest(objects: &[Json]) -> String {
    objects.iter().map(|object| format!("---\n# Source: a.yaml\n{}\n", yaml::marshal_json(object))).collect()
}

/// The documents that come of a case, in the order of its objects.
fn outcome(case: &Case) -> Result<Vec<(Json, String)>, String> {
    let rules = post_renderers(&case.post_renderers, &case.common_metadata)?;
    let mut documents: Vec<Document> =
        case.objects.iter().map(|object| Document::read("a.yaml", &yaml::marshal_json(object)).unwrap()).collect();
    let resources = documents.iter_mut().flat_map(|document| &mut document.resources).collect();
    rules.change(resources).map_err(|error| crate::text::chain(&error))?;
    let texts = documents.into_iter().flat_map(Document::into_texts);
    Ok(texts.map(|(_, text)| (yaml::to_json(text.as_bytes()).unwrap(), text)).collect())
}

/// What differs from Kustomize, where something does.
fn difference(case: &Case) -> Option<String> {
    match outcome(case) {
        Err(error) if case.error.is_empty() => Some(format!("refused: {error}")),
        Err(_) => None,
        Ok(got) if !case.error.is_empty() => Some(format!("done: {got:?}\nbut there: {}", case.error)),
        Ok(got) => {
            let want: Vec<(Json, String)> =
                case.want.iter().map(|text| (yaml::to_json(text.as_bytes()).unwrap(), text.clone())).collect();
            let texts = |documents: &[(Json, String)]| {
                documents.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>().join("---\n")
            };
            (got != want).then(|| format!("got:\n{}\nwant:\n{}", texts(&got), texts(&want)))
        }
    }
}

/// The cases of the repository, or those of the file that `PINTLE_POSTRENDER_CASES` names.
#[test]
fn objects_are_what_kustomize_makes_of_them() {
    let text = match std::env::var_os("PINTLE_POSTRENDER_CASES") {
        Some(path) => std::fs::read_to_string(path).unwrap(),
        None => include_str!("golden/cases.jsonl").to_owned(),
    };
    let mut differences = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let case: Case = serde_json::from_str(line).unwrap();
        differences.extend(difference(&case).map(|difference| format!("{}: {difference}", case.name)));
    }
    assert!(differences.is_empty(), "{} cases differ:\n{}", differences.len(), differences.join("\n\n"));
}
