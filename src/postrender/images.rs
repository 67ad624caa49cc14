//! Images under another name, tag or digest.

use serde_json::Value as Json;

use super::resource::Resource;
use super::select::Pattern;

/// The lists whose elements have images, wherever in an object they are.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];
/// Where Kustomize looks besides: images that are volumes.
const POD_SPECS: [&str; 2] = ["/spec", "/spec/template/spec"];

/// A change of all images of one name.
#[derive(Clone, Debug)]
pub struct Image {
    name: Pattern,
    new_name: Option<String>,
    new_tag: Option<String>,
    digest: Option<String>,
}

impl Image {
    /// Images called `name`, whatever their tag and digest, get what is given. A new tag takes the digest away, and a
    /// new digest the tag. As in Kustomize, the name is read as a regular expression.
    ///
    /// # Errors
    /// The name is no regular expression.
    pub fn new(
        name: &str,
        new_name: Option<String>,
        new_tag: Option<String>,
        digest: Option<String>,
    ) -> Result<Self, String> {
        // By itself first, so that what is wrong is told in the words of the spec.
        Pattern::parse(name)?;
        let name = Pattern::parse(&format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$"))?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Image { name, new_name: given(new_name), new_tag: given(new_tag), digest: given(digest) })
    }

    /// Whether anything changed.
    pub(super) fn apply(&self, resources: &mut [&mut Resource]) -> bool {
        let mut changed = false;
        for object in resources.iter_mut().filter_map(|resource| resource.now.as_mut()) {
            // The schema in a definition has `containers` too, which are no containers.
            if object.get("kind").and_then(Json::as_str) == Some("CustomResourceDefinition") {
                continue;
            }
            changed |= self.apply_everywhere(object);
            for pod_spec in POD_SPECS {
                let Some(pod_spec) = object.pointer_mut(pod_spec) else { continue };
                for list in CONTAINERS {
                    changed |= self.apply_to_elements(pod_spec.get_mut(list), "/image");
                }
                changed |= self.apply_to_elements(pod_spec.get_mut("volumes"), "/image/reference");
            }
        }
        changed
    }

    fn apply_everywhere(&self, json: &mut Json) -> bool {
        match json {
            Json::Object(table) => table.iter_mut().fold(false, |changed, (key, value)| {
                let below = self.apply_everywhere(value);
                let here = CONTAINERS.contains(&key.as_str()) && self.apply_to_elements(Some(value), "/image");
                changed | below | here
            }),
            Json::Array(items) => items.iter_mut().fold(false, |changed, item| self.apply_everywhere(item) | changed),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        }
    }

    fn apply_to_elements(&self, list: Option<&mut Json>, pointer: &str) -> bool {
        let elements = list.and_then(Json::as_array_mut).into_iter().flatten();
        elements.fold(false, |changed, element| {
            let image = element.pointer_mut(pointer);
            let renamed = image.as_deref().and_then(Json::as_str).and_then(|image| self.renamed(image));
            match (image, renamed) {
                (Some(image), Some(renamed)) => {
                    *image = renamed.into();
                    true
                }
                _ => changed,
            }
        })
    }

    /// The new reference, where the image is meant and something changes.
    fn renamed(&self, image: &str) -> Option<String> {
        if !self.name.matches(image) {
            return None;
        }
        let (name, tag, digest) = split(image);
        let (tag, digest) = match (&self.new_tag, &self.digest) {
            (None, None) => (tag, digest),
            (tag, digest) => (tag.as_deref(), digest.as_deref()),
        };
        let mut renamed = self.new_name.clone().unwrap_or_else(|| name.to_owned());
        for (separator, part) in [(':', tag), ('@', digest)] {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                renamed.push(separator);
                renamed.push_str(part);
            }
        }
        (renamed != image).then_some(renamed)
    }
}

/// Name, tag and digest. A colon before the first slash is the port of a registry.
fn split(image: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let path = rest.find('/').unwrap_or(0);
    match rest[path..].find(':') {
        Some(colon) => (&rest[..path + colon], Some(&rest[path + colon + 1..]), digest),
        None => (rest, None, digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (image, parts) in [
            ("nginx", ("nginx", None, None)),
            ("nginx:1.2", ("nginx", Some("1.2"), None)),
            ("r.example.com:443/a/nginx", ("r.example.com:443/a/nginx", None, None)),
            ("r.example.com:443/nginx:1@sha256:ab", ("r.example.com:443/nginx", Some("1"), Some("sha256:ab"))),
            ("nginx@sha256:ab", ("nginx", None, Some("sha256:ab"))),
        ] {
            assert_eq!(split(image), parts, "{image}");
        }
    }
}
