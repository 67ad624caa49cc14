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

/// What differs from Kustomize, where something does. What it leaves behind of a patch it did not follow is refused.
fn difference(case: &Case) -> Option<String> {
    let is_left =
        |text: &String| ["$patch:", "$retainKeys", "$setElementOrder", ": \"null\""].iter().any(|it| text.contains(it));
    match outcome(case) {
        Err(_) if case.want.iter().any(is_left) => None,
        Err(error) if ["Kustomize would lose", "would stay in"].iter().any(|it| error.contains(it)) => None,
        Err(error) if case.error.is_empty() => Some(format!("refused: {error}")),
        Err(_) => None,
        Ok(got) if !case.error.is_empty() => Some(format!("done: {got:?}\nbut there: {}", case.error)),
        Ok(got) => {
            let want: Vec<(Json, String)> =
                case.want.iter().map(|text| (yaml::to_json(text.as_bytes()).unwrap(), text.clone())).collect();
            let texts = |documents: &[(Json, String)]| {
                documents.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>().join("---\n")
            };
            // Kustomize folds no long lines.
            let is_short = |text: &str| text.lines().all(|line| line.len() <= 80);
            let is_same = got.len() == want.len()
                && got.iter().zip(&want).all(|(got, want)| got.0 == want.0 && (got.1 == want.1 || !is_short(&want.1)));
            (!is_same).then(|| format!("got:\n{}\nwant:\n{}", texts(&got), texts(&want)))
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

/// Rendered files as the manifest and hooks of a release.
fn rendered(files: &[(&str, &str)]) -> (String, Vec<Hook>) {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let sorted = hooks::sort(&files).unwrap();
    let framed = |it: &Manifest| format!("---\n# Source: {}\n{}\n", it.path, it.content);
    (sorted.manifests.iter().map(framed).collect(), sorted.hooks)
}

fn run(files: &[(&str, &str)], patches: Json, common: Json) -> Result<PostRendered, String> {
    let rules = post_renderers(&[serde_json::json!({"kustomize": {"patches": patches}})], &common).unwrap();
    let (manifest, hooks) = rendered(files);
    rules.apply(&manifest, &hooks).map_err(|error| crate::text::chain(&error))
}

fn patched(files: &[(&str, &str)], patches: Json) -> PostRendered {
    run(files, patches, Json::Null).unwrap()
}

fn refusal(object: &str, patch: Json) -> String {
    let rules = || post_renderers(&[serde_json::json!({"kustomize": {"patches": [patch]}})], &Json::Null);
    let (manifest, hooks) = rendered(&[("a.yaml", object)]);
    let applied = rules().map(|rules| rules.apply(&manifest, &hooks).map_err(|error| crate::text::chain(&error)));
    applied.flatten().unwrap_err()
}

const WEB: &str = "# the web server\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    \
                   spec:\n      containers: [{name: web, image: nginx, ports: [{containerPort: 80, protocol: TCP}]}]\n";
const CONFIG: &str = "# settings\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: \"1\"}\n";
const HOOK: &str =
    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}\n";

#[test]
fn documents_that_nothing_changes_keep_their_bytes() {
    let patch = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: \"2\"}\n";
    let got = patched(&[("a.yaml", WEB), ("b.yaml", CONFIG)], serde_json::json!([{ "patch": patch }]));
    let seen: Vec<(&str, &str)> = got.manifests.iter().map(|it| (it.path.as_str(), it.content.as_str())).collect();
    let written = "apiVersion: v1\ndata:\n  a: \"2\"\nkind: ConfigMap\nmetadata:\n  name: web\n";
    assert_eq!(seen, [("b.yaml", written), ("a.yaml", WEB)]);
    assert_eq!(got.idle, []);
}

#[test]
fn hooks_are_changed_too() {
    let common = serde_json::json!({"labels": {"team": "a"}});
    let got = run(&[("a.yaml", HOOK), ("b.yaml", CONFIG)], serde_json::json!([]), common).unwrap();
    assert!(got.hooks[0].manifest.contains("  labels:\n    team: a\n"), "{}", got.hooks[0].manifest);
    assert!(got.manifests[0].content.contains("  labels:\n    team: a\n"));
}

#[test]
fn annotations_make_and_unmake_hooks() {
    let patch = |op: &str, kind: &str| {
        let operation = format!("- {{op: {op}, path: /metadata/annotations/helm.sh~1hook, value: post-install}}");
        serde_json::json!([{"patch": operation, "target": {"kind": kind}}])
    };
    let got = patched(&[("a.yaml", HOOK), ("b.yaml", CONFIG)], patch("remove", "Job"));
    assert_eq!((got.manifests.len(), got.hooks.len()), (2, 0));
    assert_eq!(got.manifests[1].content, "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n");
    let got = patched(&[("a.yaml", HOOK), ("b.yaml", CONFIG)], patch("add", "ConfigMap"));
    assert_eq!((got.manifests.len(), got.hooks.len()), (0, 2));
}

#[test]
fn kind_that_changes_is_placed_anew_and_lists_become_their_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
    let patches = serde_json::json!([
        {"patch": "[{\"op\": \"replace\", \"path\": \"/kind\", \"value\": \"Zebra\"}]", "target": {"name": "a"}},
        {"patch": "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n$patch: delete\n"},
    ]);
    let got = patched(&[("a.yaml", list), ("b.yaml", WEB)], patches);
    let kinds: Vec<&str> = got.manifests.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds, ["Deployment", "Zebra"]);
}

#[test]
fn idle_patches_are_named() {
    let patches = serde_json::json!([
        {"patch": "{kind: any, metadata: {name: any, labels: {a: b}}}", "target": {"kind": "Nothing"}},
        {"patch": "{kind: any, metadata: {name: any, labels: {a: b}}}", "target": {"kind": "ConfigMap"}},
    ]);
    let idle: Vec<String> = patched(&[("b.yaml", CONFIG)], patches).idle.iter().map(Place::to_string).collect();
    assert_eq!(idle, ["spec.postRenderers[0].kustomize.patches[0]"]);
}

#[test]
fn patch_without_its_object_is_an_error() {
    let error =
        refusal(CONFIG, serde_json::json!({"patch": "{apiVersion: v1, kind: ConfigMap, metadata: {name: wbe}}"}));
    let want = "spec.postRenderers[0].kustomize.patches[0]: the chart has no v1 ConfigMap wbe; correct apiVersion, kind, \
                name and namespace of the patch, or give a target";
    assert_eq!(error, want);
}

#[test]
fn operation_that_does_not_apply_is_named() {
    let patch = "- {op: test, path: /data/a, value: \"1\"}\n- {op: remove, path: /data/b}\n";
    let error = refusal(CONFIG, serde_json::json!({"patch": patch, "target": {}}));
    let want = "spec.postRenderers[0].kustomize.patches[0]: v1 ConfigMap web: operation 1 (remove /data/b) does not apply: \
                there is no /data/b";
    assert_eq!(error, want);
}

#[test]
fn shapes_that_contradict_are_named() {
    let patch = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: {b: c}}}";
    let error = refusal(CONFIG, serde_json::json!({ "patch": patch }));
    assert!(error.ends_with("v1 ConfigMap web: data.a is a scalar in the object, but a table in the patch"), "{error}");
}

/// A patch of the containers of `WEB`.
fn of_containers(containers: &str) -> Json {
    let patch = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{template: {{spec: {{containers: {containers}}}}}}}\n"
    );
    serde_json::json!({ "patch": patch })
}

#[test]
fn differs_from_kustomize_in_refusing_what_it_would_lose() {
    for (patch, want) in [
        (
            of_containers("[{name: web, ports: [{containerPort: 80, name: http}]}]"),
            "Kustomize would lose the element with containerPort 80 in spec.template.spec.containers.ports; give \
             containerPort and protocol as the object has them",
        ),
        (
            of_containers("[{name: web, image: httpd, $patch: replace}]"),
            "Kustomize would lose $patch: replace of the element with name web in spec.template.spec.containers; delete \
             it and add it under another name, or use a JSON patch",
        ),
        (
            of_containers("[{name: web, env: [{$patch: replace}, {name: A, value: b}]}]"),
            "$patch: replace would stay in spec.template.spec.containers.env, because Kustomize merges no lists there; \
             give the whole list",
        ),
        (
            of_containers("[{name: web, $retainKeys: [name]}]"),
            "Kustomize does not know $retainKeys; use a JSON patch, or $patch: replace or delete",
        ),
        (
            serde_json::json!({"patch": "{kind: a, metadata: {name: a, labels: {b: null}}}", "target": {}}),
            "metadata.labels.b: with a target, Kustomize removes nothing for a null; use a JSON patch with remove",
        ),
        (
            serde_json::json!({"patch": "{kind: a, metadata: {name: a}, $patch: replace}", "target": {}}),
            "Kustomize replaces no whole object; use a JSON patch",
        ),
    ] {
        let error = refusal(WEB, patch);
        assert!(error.ends_with(want), "{error}");
    }
}

#[test]
fn differs_from_kustomize_in_refusing_another_name() {
    let patch = "- {op: replace, path: /metadata/name, value: db}";
    let error = refusal(CONFIG, serde_json::json!({"patch": patch, "target": {}}));
    assert!(error.ends_with("a patch may not change the name, because references to it would not follow"), "{error}");
}

#[test]
fn differs_from_kustomize_in_patching_objects_of_one_name_alike() {
    let patch = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: \"2\"}}";
    let got = patched(&[("a.yaml", CONFIG), ("b.yaml", CONFIG)], serde_json::json!([{ "patch": patch }]));
    assert!(got.manifests.iter().all(|it| it.content.contains("a: \"2\"")));
}

#[test]
fn differs_from_kustomize_in_reading_yaml_as_kubectl_does() {
    let patch = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, immutable: yes}";
    let got = patched(&[("a.yaml", CONFIG)], serde_json::json!([{ "patch": patch }]));
    assert!(got.manifests[0].content.contains("immutable: true"), "{}", got.manifests[0].content);
}

#[test]
fn long_lists_end_with_an_error() {
    let env: Vec<String> = (0..6000).map(|index| format!("{{name: E{index}, value: a}}")).collect();
    let error = refusal(WEB, of_containers(&format!("[{{name: web, env: [{}]}}]", env.join(", "))));
    assert!(error.ends_with("merging takes too many steps; make the lists shorter"), "{error}");
}
