//! The objects of a release's manifest.

use serde_json::Value as Json;

use super::id::ObjectId;
use super::{Error, split};
use crate::yaml;

/// An object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The template that made it; empty where the manifest does not say.
    pub path: String,
    pub id: ObjectId,
    /// Kept apart from the identity: it may change while the object stays the same.
    pub api_version: String,
    pub content: Json,
    /// The document as rendered, without its `# Source:` line. The items of a `List` share the text of the list.
    pub text: String,
}

/// Reads the objects of a manifest in its order. Documents without content are passed over, `List`s are replaced by
/// their items.
///
/// # Errors
/// A document is no YAML, no object, or has no kind, version or name; its file is named.
pub fn parse(manifest: &str) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for document in split::split(manifest) {
        let (path, text) = match split::source_path(document) {
            Some(path) => (path, document.split_once('\n').map_or("", |(_, text)| text)),
            None => ("", document),
        };
        let content = yaml::to_json(text.as_bytes()).map_err(|source| Error::Yaml { file: path.to_owned(), source })?;
        collect(path, text, content, &mut objects)?;
    }
    Ok(objects)
}

fn collect(path: &str, text: &str, mut content: Json, objects: &mut Vec<Object>) -> Result<(), Error> {
    let file = || path.to_owned();
    let field = |content: &Json, name: &str| content.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    match &content {
        Json::Null => return Ok(()),
        Json::Object(fields) if fields.is_empty() => return Ok(()),
        Json::Object(_) => {}
        _ => return Err(Error::Shape { file: file(), problem: "document is not a table".into() }),
    }
    let (kind, api_version) = (field(&content, "kind"), field(&content, "apiVersion"));
    if kind.ends_with("List")
        && let Some(Json::Array(items)) = content.get_mut("items").map(Json::take)
    {
        return items.into_iter().try_for_each(|item| collect(path, text, item, objects));
    }
    let incomplete = |missing| Error::Incomplete { file: file(), missing };
    if kind.is_empty() {
        return Err(incomplete("kind"));
    }
    if api_version.is_empty() {
        return Err(incomplete("apiVersion"));
    }
    let id = ObjectId::of(&content).ok_or_else(|| incomplete("metadata.name"))?;
    objects.push(Object { path: file(), id, api_version, content, text: text.to_owned() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n\n\
                            ---\n# Source: web/templates/empty.yaml\n# nothing\n\n\
                            ---\n# Source: web/templates/list.yaml\napiVersion: v1\nkind: List\nitems:\n\
                            - {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: apps}}\n";

    #[test]
    fn objects_know_their_template_and_identity() {
        let objects = parse(MANIFEST).unwrap();
        let seen: Vec<(&str, String)> = objects.iter().map(|o| (o.path.as_str(), o.id.to_string())).collect();
        let want = [
            ("web/templates/a.yaml", "Service web".to_owned()),
            ("web/templates/list.yaml", "Deployment apps/web".to_owned()),
        ];
        assert_eq!(seen, want);
        assert_eq!(objects[1].id.group, "apps");
    }

    #[test]
    fn incomplete_objects_are_refused_by_file() {
        for (text, message) in [
            ("kind: Pod\nmetadata: {name: a}\n", "object in x.yaml has no apiVersion"),
            ("apiVersion: v1\nmetadata: {name: a}\n", "object in x.yaml has no kind"),
            ("apiVersion: v1\nkind: Pod\n", "object in x.yaml has no metadata.name"),
            ("- a\n", "YAML parse error on x.yaml: document is not a table"),
        ] {
            let error = parse(&format!("---\n# Source: x.yaml\n{text}")).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
