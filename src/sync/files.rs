//! The files of a commit as objects, or what is wrong with them, file by file.
//!
//! Pure. Which files count: `.yaml`, `.yml` and `.json`; not hidden ones, not those an ignore glob names, not those of a
//! chart (a folder with a `Chart.yaml` and everything below). Kustomize is not run: a folder with a
//! `kustomization.yaml` is refused by name, and nothing in it is applied, because a patch looks like an object and
//! is half of one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::ObjectRef;
use crate::api::git_sync::SyncError;
use crate::chart::source_ref::GitFiles;
use crate::manifest::id::ObjectId;
use crate::source::{Tree, TreeFile};
use crate::yaml;

/// How many objects one GitSync may have: its inventory lives in its status, and that has to fit into etcd.
pub const OBJECTS_MAX: usize = 5000;

/// What kustomize calls its file.
const KUSTOMIZATION: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
const CHART: &str = "Chart.yaml";

/// An object and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// The path within the repository.
    pub(super) file: String,
    /// Where the document begins, counted from 1.
    pub(super) line: u32,
    /// The namespace is what the document says, and empty where it says nothing.
    pub(super) id: ObjectId,
    pub(super) object: Value,
}

/// What a commit holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// By file and line.
    pub(super) documents: Vec<Document>,
    /// By file. Where there is one, something that the commit means is unknown.
    pub(super) errors: Vec<SyncError>,
    /// Folders that were passed over because they are charts.
    pub(super) charts: Vec<String>,
}

/// Which files are skipped, as globs relative to the path of the GitSync.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignore(Vec<Vec<String>>);

impl Ignore {
    /// Reads globs: `*` and `?` within a name, `**` for any number of folders. One that matches a folder matches
    /// everything in it.
    pub(super) fn new(globs: &[String]) -> Self {
        let segments =
            |glob: &String| glob.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect();
        Ignore(globs.iter().map(segments).filter(|glob: &Vec<String>| !glob.is_empty()).collect())
    }

    /// Whether the path, or a folder it lies in, is named.
    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        self.0.iter().any(|glob| (1..=path.len()).any(|end| matches_path(glob, &path[..end])))
    }
}

/// Reads the files of a commit. `root` is the path of the GitSync within the repository, for what is printed.
pub(super) fn read(tree: &Tree, root: &str, ignore: &Ignore) -> Reading {
    let mut reading = Reading::default();
    let full = |path: &str| if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") };
    let counts = |path: &str| !is_hidden(path) && !ignore.matches(path);
    let files: Vec<&TreeFile> = tree.files.iter().filter(|file| counts(&file.path)).collect();

    let folders_with = |names: &[&str]| -> BTreeSet<&str> {
        files
            .iter()
            .map(|file| split(&file.path))
            .filter(|(_, name)| names.contains(name))
            .map(|(folder, _)| folder)
            .collect()
    };
    let charts = folders_with(&[CHART]);
    let kustomized = folders_with(&KUSTOMIZATION);
    reading.charts = charts.iter().map(|folder| full(folder)).collect();

    for skipped in tree.skipped.iter().filter(|skipped| counts(&skipped.path) && !is_within(&skipped.path, &charts)) {
        let name = split(&skipped.path).1;
        if GitFiles::Manifests.wants(name) {
            let message = format!("it is a {}, which is not followed", skipped.kind);
            reading.errors.push(SyncError { file: full(&skipped.path), message, ..SyncError::default() });
        }
    }
    for file in files.into_iter().filter(|file| !is_within(&file.path, &charts)) {
        let (_, name) = split(&file.path);
        if KUSTOMIZATION.contains(&name) {
            let message =
                "kustomize is not run: nothing in this folder is applied; put plain manifests there, or ignore it";
            reading.errors.push(SyncError { file: full(&file.path), message: message.into(), ..SyncError::default() });
        } else if GitFiles::Manifests.wants(name) && !is_within(&file.path, &kustomized) {
            read_file(&full(&file.path), &file.bytes, &mut reading);
        }
    }
    reading.errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    if reading.documents.len() > OBJECTS_MAX {
        let message =
            format!("there are {} objects, more than the {OBJECTS_MAX} of one GitSync", reading.documents.len());
        reading.errors.push(SyncError { message, ..SyncError::default() });
        reading.documents.clear();
    }
    reading
}

fn read_file(file: &str, bytes: &[u8], reading: &mut Reading) {
    let error = |line: Option<usize>, message: String| SyncError {
        file: file.to_owned(),
        line: line.map(line_number),
        object: None,
        message,
    };
    let documents = match yaml::documents(bytes) {
        Ok(documents) => documents,
        Err(problem) => return reading.errors.push(error(problem.line, problem.problem().to_owned())),
    };
    for document in documents {
        for object in items_of(document.value) {
            match check(&object) {
                Ok(None) => {}
                Ok(Some(id)) => reading.documents.push(Document {
                    file: file.to_owned(),
                    line: line_number(document.line),
                    id,
                    object,
                }),
                Err(message) => reading.errors.push(error(Some(document.line), message)),
            }
        }
    }
}

/// A list is its items.
fn items_of(mut value: Value) -> Vec<Value> {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items") {
        Some(Value::Array(items)) if is_list => std::mem::take(items),
        _ => vec![value],
    }
}

/// The identity of an object that can be applied; `None` for an empty document.
fn check(object: &Value) -> Result<Option<ObjectId>, String> {
    let fields = match object {
        Value::Null => return Ok(None),
        Value::Object(fields) if fields.is_empty() => return Ok(None),
        Value::Object(fields) => fields,
        _ => return Err("it is not an object of Kubernetes but a list or a single value".into()),
    };
    for field in ["apiVersion", "kind"] {
        match fields.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return Err(format!("its {field} is not a text")),
            None => return Err(format!("it is not an object of Kubernetes: it has no {field}")),
        }
    }
    if fields.get("sops").is_some_and(|sops| sops.get("mac").is_some()) {
        return Err("it is encrypted with SOPS, which is not supported".into());
    }
    let metadata = fields.get("metadata").and_then(Value::as_object);
    let metadata = metadata.ok_or_else(|| "it has no metadata".to_owned())?;
    for (field, is_needed) in [("name", true), ("namespace", false)] {
        match metadata.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {}
            None | Some(Value::Null) if !is_needed => {}
            None if metadata.contains_key("generateName") => {
                return Err("it has a generateName in place of a name: each pass would make another object".into());
            }
            None | Some(Value::Null) => return Err(format!("it has no metadata.{field}")),
            Some(_) => return Err(format!("its metadata.{field} is not a text")),
        }
    }
    for field in ["labels", "annotations"] {
        if !matches!(metadata.get(field), None | Some(Value::Null | Value::Object(_))) {
            return Err(format!("its metadata.{field} is not a map"));
        }
    }
    ObjectId::of(object).map(Some).ok_or_else(|| "it has no kind or no name".into())
}

/// An error about a document, with the object it is about.
pub(super) fn error_about(document: &Document, id: &ObjectId, message: String) -> SyncError {
    SyncError { file: document.file.clone(), line: Some(document.line), object: Some(ObjectRef::from(id)), message }
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// Whether the path lies in one of the folders, at any depth.
fn is_within(path: &str, folders: &BTreeSet<&str>) -> bool {
    let mut folder = split(path).0;
    loop {
        if folders.contains(folder) {
            return true;
        }
        if folder.is_empty() {
            return false;
        }
        folder = split(folder).0;
    }
}

/// The folder of a path, empty at the top, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn matches_path(glob: &[String], path: &[&str]) -> bool {
    match (glob.split_first(), path.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((first, rest)), _) if first == "**" => {
            matches_path(rest, path) || (!path.is_empty() && matches_path(glob, &path[1..]))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((name, names))) => {
            matches_name(first.as_bytes(), name.as_bytes()) && matches_path(rest, names)
        }
    }
}

/// `*` for any run of characters, `?` for one. Goes back to the last star only, so it takes no more than length times
/// length.
fn matches_name(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            Some(_) | None => match &mut star {
                Some((star_at, taken)) => {
                    *taken += 1;
                    (g, n) = (*star_at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Skipped;
    use bytes::Bytes;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n";

    fn map(name: &str) -> String {
        MAP.replace("NAME", name)
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut files: Vec<TreeFile> = files
            .iter()
            .map(|(path, text)| TreeFile { path: (*path).into(), bytes: Bytes::from((*text).to_owned()) })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Tree { files, skipped: Vec::new() }
    }

    /// What was read, as `file:line kind name`, and what was wrong, as `file:line message`.
    fn read_with(tree: &Tree, ignore: &[&str]) -> (Vec<String>, Vec<String>) {
        let globs: Vec<String> = ignore.iter().map(|glob| (*glob).to_owned()).collect();
        let reading = read(tree, "", &Ignore::new(&globs));
        let line = |line: Option<u32>| line.map_or_else(String::new, |line| format!(":{line}"));
        (
            reading.documents.iter().map(|d| format!("{}:{} {}", d.file, d.line, d.id)).collect(),
            reading.errors.iter().map(|e| format!("{}{} {}", e.file, line(e.line), e.message)).collect(),
        )
    }

    fn read_all(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        read_with(&tree(files), &[])
    }

    #[test]
    fn yaml_and_json_files_below_the_path_are_read() {
        let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d", "namespace": "apps"}}"#;
        let (read, errors) = read_all(&[
            ("a.yaml", &map("a")),
            ("deep/er/b.yml", &format!("# comment\n---\n{}---\n---\n{}", map("b1"), map("b2"))),
            ("c.json", json),
            ("README.md", "no yaml: [\n"),
            ("script.sh", "no"),
        ]);
        assert_eq!(
            read,
            [
                "a.yaml:1 ConfigMap a",
                "c.json:1 Pod apps/d",
                "deep/er/b.yml:3 ConfigMap b1",
                "deep/er/b.yml:8 ConfigMap b2"
            ]
        );
        assert_eq!(errors, [""; 0]);
    }

    #[test]
    fn hidden_files_and_folders_are_skipped() {
        let broken = "a: [";
        let (read, errors) = read_all(&[
            (".hidden.yaml", broken),
            (".github/x.yaml", broken),
            ("a/.b/c.yaml", broken),
            ("a.yaml", &map("a")),
        ]);
        assert_eq!((read.len(), errors.len()), (1, 0));
    }

    #[test]
    fn charts_are_skipped_with_everything_below_them() {
        let files = [
            ("charts/app/Chart.yaml", "name: app"),
            ("charts/app/templates/a.yaml", "{{ broken }}"),
            ("charts/app/values.yaml", "a: 1"),
            ("charts/app/charts/sub/kustomization.yaml", "resources: []"),
            ("charts/a.yaml", &map("a")),
        ];
        let reading = read(&tree(&files), "fleet", &Ignore::default());
        assert_eq!(reading.documents.iter().map(|d| d.file.as_str()).collect::<Vec<_>>(), ["fleet/charts/a.yaml"]);
        assert_eq!((reading.errors.len(), reading.charts), (0, vec!["fleet/charts/app".to_owned()]));
        let at_the_top = read(&tree(&[("Chart.yaml", "name: a"), ("a.yaml", &map("a"))]), "", &Ignore::default());
        assert!(at_the_top.documents.is_empty());
    }

    #[test]
    fn kustomizations_are_refused_by_name_and_their_folders_not_applied() {
        for name in KUSTOMIZATION {
            let (read, errors) = read_all(&[
                (&format!("apps/{name}"), "resources: [a.yaml]"),
                ("apps/a.yaml", &map("a")),
                ("apps/patches/p.yaml", &map("p")),
                ("other/b.yaml", &map("b")),
            ]);
            assert_eq!(read, ["other/b.yaml:1 ConfigMap b"]);
            assert_eq!(errors.len(), 1);
            assert!(errors[0].starts_with(&format!("apps/{name} kustomize is not run")), "{errors:?}");
        }
        let files = [("apps/kustomization.yaml", "a"), ("apps/a.yaml", &map("a"))];
        let (read, errors) = read_with(&tree(&files), &["apps/kustomization.yaml"]);
        assert_eq!((read, errors), (vec!["apps/a.yaml:1 ConfigMap a".to_owned()], vec![]));
    }

    #[test]
    fn globs_name_files_and_folders_to_ignore() {
        let ignores = |glob: &str, path: &str| Ignore::new(&[glob.to_owned()]).matches(path);
        for (glob, path) in [
            ("a.yaml", "a.yaml"),
            ("*.yaml", "a.yaml"),
            ("**/values*.yaml", "x/y/values-prod.yaml"),
            ("**/values*.yaml", "values.yaml"),
            ("drafts", "drafts/x/a.yaml"),
            ("drafts/", "drafts/a.yaml"),
            ("/drafts/**", "drafts/x/a.yaml"),
            ("./a/?.yaml", "a/b.yaml"),
            ("a/**/z.yaml", "a/z.yaml"),
            ("a/**/z.yaml", "a/b/c/z.yaml"),
            ("**", "a/b.yaml"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(ignores(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("*.yaml", "x/a.yaml"),
            ("a.yaml", "x/a.yaml"),
            ("draft", "drafts/a.yaml"),
            ("", "a"),
            ("a/*/z", "a/b/c/z"),
            ("a*b", "ac"),
        ] {
            assert!(!ignores(glob, path), "{glob} {path}");
        }
        let hostile = "*a".repeat(40);
        assert!(!ignores(&hostile, &"a".repeat(5000).replace("aa", "ab")), "and that fast");
    }

    #[test]
    fn unreadable_files_are_named_with_their_line_and_the_others_are_read() {
        let (read, errors) = read_all(&[
            ("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a\n"),
            ("b.yaml", &map("b")),
            ("c.yaml", &format!("{}---\n- list\n---\njust text\n", map("c"))),
            ("d.yaml", "name: docker-compose\nservices: {}\n"),
            ("e.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: e-}\n"),
            ("f.yaml", "apiVersion: v1\nkind: Pod\n"),
            ("g.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: 7}\n"),
            ("h.yaml", "apiVersion: 1\nkind: Pod\nmetadata: {name: h}\n"),
            ("i.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: i}\nsops: {mac: x}\n"),
            ("j.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: j, labels: [a]}\n"),
        ]);
        assert_eq!(read, ["b.yaml:1 ConfigMap b", "c.yaml:1 ConfigMap c"]);
        assert!(errors[0].starts_with("a.yaml:"), "{errors:?}");
        let expected = [
            "c.yaml:5 it is not an object of Kubernetes but a list or a single value",
            "c.yaml:7 it is not an object of Kubernetes but a list or a single value",
            "d.yaml:1 it is not an object of Kubernetes: it has no apiVersion",
            "e.yaml:1 it has a generateName in place of a name: each pass would make another object",
            "f.yaml:1 it has no metadata",
            "g.yaml:1 its metadata.name is not a text",
            "h.yaml:1 its apiVersion is not a text",
            "i.yaml:1 it is encrypted with SOPS, which is not supported",
            "j.yaml:1 its metadata.labels is not a map",
        ];
        assert_eq!(errors[1..], expected);
    }

    #[test]
    fn lists_are_their_items() {
        let list =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {kind: Pod}\n";
        let (read, errors) = read_all(&[("a.yaml", list)]);
        assert_eq!(read, ["a.yaml:1 Pod a"]);
        assert_eq!(errors, ["a.yaml:1 it is not an object of Kubernetes: it has no apiVersion"]);
    }

    #[test]
    fn links_in_place_of_manifests_are_errors_and_others_are_not() {
        let mut tree = tree(&[("a.yaml", &map("a"))]);
        let skipped = |path: &str, kind| Skipped { path: path.into(), kind };
        tree.skipped = vec![
            skipped("apps/b.yaml", "symbolic link"),
            skipped("docs", "symbolic link"),
            skipped("vendor", "submodule"),
            skipped(".c.yaml", "symbolic link"),
        ];
        let (_, errors) = read_with(&tree, &[]);
        assert_eq!(errors, ["apps/b.yaml it is a symbolic link, which is not followed"]);
    }
}
