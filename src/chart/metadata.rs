//! `Chart.yaml`: reading it as leniently as Helm does, checking it, and the JSON of Helm's release record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Error, Object};
use crate::value::shape::{Reading, Shape, Struct};
use crate::value::{semver, unicode};
use crate::yaml;

/// The content of `Chart.yaml`. Serialised with the names and omissions of Helm's release record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub sources: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub maintainers: Vec<Maintainer>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    #[serde(rename = "apiVersion", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    #[serde(rename = "appVersion", skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    #[serde(skip_serializing_if = "is_absent_or_empty", deserialize_with = "null_is_default")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "kubeVersion", skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// `None` where `Chart.yaml` has no such list. Helm looks at the subcharts of subcharts only below a chart that
    /// has one, even an empty one.
    #[serde(skip_serializing_if = "is_list_absent_or_empty")]
    pub dependencies: Option<Vec<Dependency>>,
    /// Empty, `application` or `library`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub chart_type: String,
}

/// Somebody who looks after a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A chart that another one wants below `charts/`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    pub name: String,
    /// A range of versions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    pub repository: String,
    /// Paths into the values, separated by commas; the first that holds a bool decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// Strings, or maps with `child` and `parent`.
    #[serde(rename = "import-values", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub import_values: Vec<Json>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// `Chart.lock`: which versions of the dependencies were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// When the file was written, as it is written there (RFC 3339).
    pub generated: String,
    pub digest: String,
    #[serde(deserialize_with = "null_is_default")]
    pub dependencies: Vec<Dependency>,
}

/// What a chart is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartType {
    Application,
    Library,
}

impl ChartType {
    /// The word of `Chart.yaml`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChartType::Application => "application",
            ChartType::Library => "library",
        }
    }
}

fn is_absent_or_empty(map: &Option<BTreeMap<String, String>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

fn is_list_absent_or_empty(list: &Option<Vec<Dependency>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// Go writes a nil slice or map as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The Go struct of `Chart.yaml`.
pub static METADATA: Struct = Struct {
    name: "Metadata",
    type_name: "v2.Metadata",
    fields: &[
        ("name", Shape::Text),
        ("home", Shape::Text),
        ("sources", Shape::List("[]string", &Shape::Text)),
        ("version", Shape::Text),
        ("description", Shape::Text),
        ("keywords", Shape::List("[]string", &Shape::Text)),
        ("maintainers", Shape::List("[]*v2.Maintainer", &Shape::Struct(&MAINTAINER))),
        ("icon", Shape::Text),
        ("apiVersion", Shape::Text),
        ("condition", Shape::Text),
        ("tags", Shape::Text),
        ("appVersion", Shape::Text),
        ("deprecated", Shape::Flag),
        ("annotations", Shape::Texts),
        ("kubeVersion", Shape::Text),
        ("dependencies", Shape::List("[]*v2.Dependency", &Shape::Struct(&DEPENDENCY))),
        ("type", Shape::Text),
    ],
};

static MAINTAINER: Struct = Struct {
    name: "Maintainer",
    type_name: "v2.Maintainer",
    fields: &[("name", Shape::Text), ("email", Shape::Text), ("url", Shape::Text)],
};

static DEPENDENCY: Struct = Struct {
    name: "Dependency",
    type_name: "v2.Dependency",
    fields: &[
        ("name", Shape::Text),
        ("version", Shape::Text),
        ("repository", Shape::Text),
        ("condition", Shape::Text),
        ("tags", Shape::List("[]string", &Shape::Text)),
        ("enabled", Shape::Flag),
        ("import-values", Shape::List("[]interface {}", &Shape::Any)),
        ("alias", Shape::Text),
    ],
};

impl Metadata {
    /// The dependencies; none where the list is absent.
    pub fn dependencies(&self) -> &[Dependency] {
        self.dependencies.as_deref().unwrap_or_default()
    }

    /// Takes over the fields that `document` names, as reading `Chart.yaml` and then `requirements.yaml` does.
    ///
    /// # Errors
    /// A field has a type that Helm refuses; scalars are taken as text where text is wanted.
    pub(super) fn read(&mut self, document: &Json) -> Result<(), String> {
        METADATA
            .check(document, Reading::OfYaml)
            .map_err(|problem| format!("error unmarshaling JSON: while decoding JSON: {problem}"))?;
        let fields = Fields::of(document, "Chart.yaml")?;
        fields.text("name", &mut self.name)?;
        fields.text("home", &mut self.home)?;
        fields.texts("sources", &mut self.sources)?;
        fields.text("version", &mut self.version)?;
        fields.text("description", &mut self.description)?;
        fields.texts("keywords", &mut self.keywords)?;
        if let Some(items) = fields.list("maintainers")? {
            self.maintainers = items.iter().map(Maintainer::read).collect::<Result<_, _>>()?;
        }
        fields.text("icon", &mut self.icon)?;
        fields.text("apiVersion", &mut self.api_version)?;
        fields.text("condition", &mut self.condition)?;
        fields.text("tags", &mut self.tags)?;
        fields.text("appVersion", &mut self.app_version)?;
        fields.flag("deprecated", &mut self.deprecated)?;
        if let Some(annotations) = fields.texts_by_key("annotations")? {
            self.annotations = Some(annotations);
        }
        fields.text("kubeVersion", &mut self.kube_version)?;
        if let Some(items) = fields.list("dependencies")? {
            self.dependencies = Some(items.iter().map(Dependency::read).collect::<Result<_, _>>()?);
        }
        fields.text("type", &mut self.chart_type)
    }

    /// Cleans the texts of characters that do not print, and checks them.
    pub(super) fn validate(&mut self) -> Result<(), Error> {
        let texts = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        texts.into_iter().chain(&mut self.sources).chain(&mut self.keywords).for_each(sanitize);
        for maintainer in &mut self.maintainers {
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url].into_iter().for_each(sanitize);
        }
        self.check().map_err(Error::Invalid)?;
        self.validate_dependencies().map_err(Error::Invalid)
    }

    fn check(&self) -> Result<(), String> {
        if self.api_version.is_empty() {
            return Err("chart.metadata.apiVersion is required".into());
        }
        match self.name.as_str() {
            "" => return Err("chart.metadata.name is required".into()),
            name @ ("." | "..") => return Err(format!("chart.metadata.name {name:?} is not allowed")),
            name if name.contains('/') || name.len() > NAME_BYTES_MAX => {
                return Err(format!("chart.metadata.name {name:?} is invalid"));
            }
            _ => {}
        }
        if self.version.is_empty() {
            return Err("chart.metadata.version is required".into());
        }
        if semver::Version::parse_loose(&self.version).is_err() {
            return Err(format!("chart.metadata.version {:?} is invalid", self.version));
        }
        match self.chart_type.as_str() {
            "" | "application" | "library" => Ok(()),
            _ => Err("chart.metadata.type must be application or library".into()),
        }
    }

    fn validate_dependencies(&mut self) -> Result<(), String> {
        let mut names = std::collections::HashSet::new();
        for dependency in self.dependencies.iter_mut().flatten() {
            let texts =
                [&mut dependency.name, &mut dependency.version, &mut dependency.repository, &mut dependency.condition];
            texts.into_iter().chain(&mut dependency.tags).for_each(sanitize);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if !dependency.alias.chars().all(is_plain) {
                return Err(format!("dependency {:?} has disallowed characters in the alias", dependency.name));
            }
            let name = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
            if !names.insert(name.clone()) {
                return Err(format!("more than one dependency with name or alias {name:?}"));
            }
        }
        Ok(())
    }
}

/// Longer names cannot be part of an object's name; Helm has no limit of its own.
const NAME_BYTES_MAX: usize = 250;

impl Maintainer {
    fn read(item: &Json) -> Result<Self, String> {
        if item.is_null() {
            return Err("maintainers must not contain empty or null nodes".into());
        }
        let fields = Fields::of(item, "maintainers")?;
        let mut maintainer = Maintainer::default();
        fields.text("name", &mut maintainer.name)?;
        fields.text("email", &mut maintainer.email)?;
        fields.text("url", &mut maintainer.url)?;
        Ok(maintainer)
    }
}

impl Dependency {
    fn read(item: &Json) -> Result<Self, String> {
        if item.is_null() {
            return Err("dependencies must not contain empty or null nodes".into());
        }
        let fields = Fields::of(item, "dependencies")?;
        let mut dependency = Dependency::default();
        fields.text("name", &mut dependency.name)?;
        fields.text("version", &mut dependency.version)?;
        fields.text("repository", &mut dependency.repository)?;
        fields.text("condition", &mut dependency.condition)?;
        fields.texts("tags", &mut dependency.tags)?;
        fields.flag("enabled", &mut dependency.enabled)?;
        dependency.import_values = fields.list("import-values")?.cloned().unwrap_or_default();
        fields.text("alias", &mut dependency.alias)?;
        Ok(dependency)
    }
}

impl Lock {
    pub(super) fn read(document: &Json) -> Result<Self, String> {
        let fields = Fields::of(document, "Chart.lock")?;
        let mut lock = Lock::default();
        fields.text("generated", &mut lock.generated)?;
        fields.text("digest", &mut lock.digest)?;
        if let Some(items) = fields.list("dependencies")? {
            lock.dependencies = items.iter().map(Dependency::read).collect::<Result<_, _>>()?;
        }
        Ok(lock)
    }
}

/// The fields of a document, found as Go's JSON reader finds them: by exact name, else regardless of case.
struct Fields<'j> {
    object: Option<&'j Object>,
    place: &'static str,
}

impl<'j> Fields<'j> {
    fn of(document: &'j Json, place: &'static str) -> Result<Self, String> {
        match document {
            Json::Null => Ok(Fields { object: None, place }),
            Json::Object(object) => Ok(Fields { object: Some(object), place }),
            other => Err(format!("{place} is a {}, not a table", type_word(other))),
        }
    }

    fn get(&self, name: &str) -> Option<&'j Json> {
        let object = self.object?;
        let found = object
            .get(name)
            .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    fn text(&self, name: &str, target: &mut String) -> Result<(), String> {
        if let Some(value) = self.get(name) {
            *target = scalar_text(value).ok_or_else(|| self.mismatch(name, value, "string"))?;
        }
        Ok(())
    }

    fn texts(&self, name: &str, target: &mut Vec<String>) -> Result<(), String> {
        if let Some(items) = self.list(name)? {
            let text = |item: &Json| match item {
                Json::Null => Ok(String::new()),
                item => scalar_text(item).ok_or_else(|| self.mismatch(name, item, "string")),
            };
            *target = items.iter().map(text).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn texts_by_key(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Object(entries)) => entries
                .iter()
                .map(|(key, value)| match value {
                    Json::Null => Ok((key.clone(), String::new())),
                    value => scalar_text(value)
                        .map(|text| (key.clone(), text))
                        .ok_or_else(|| self.mismatch(name, value, "string")),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(other) => Err(self.mismatch(name, other, "map of strings")),
        }
    }

    fn flag(&self, name: &str, target: &mut bool) -> Result<(), String> {
        if let Some(value) = self.get(name) {
            *target = value.as_bool().ok_or_else(|| self.mismatch(name, value, "bool"))?;
        }
        Ok(())
    }

    fn list(&self, name: &str) -> Result<Option<&'j Vec<Json>>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.mismatch(name, other, "list")),
        }
    }

    fn mismatch(&self, name: &str, found: &Json, wanted: &str) -> String {
        format!("{}: field {name} is a {}, not a {wanted}", self.place, type_word(found))
    }
}

/// A scalar as the text it becomes where a text is wanted: `version: 1.10` reads as `1.1`.
pub(crate) fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        other => yaml::as_string_field(other),
    }
}

fn type_word(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "table",
    }
}

/// Makes every kind of space a plain one and drops characters that do not print (terminal escapes, say).
fn sanitize(text: &mut String) {
    let keep = |c: char| match c {
        c if c.is_whitespace() => Some(' '),
        c if unicode::is_print(u32::from(c)) => Some(c),
        _ => None,
    };
    if text.chars().any(|c| keep(c) != Some(c)) {
        *text = text.chars().filter_map(keep).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(change: impl FnOnce(&mut Object)) -> Result<Metadata, String> {
        let mut document = json!({"apiVersion": "v2", "name": "web", "version": "1.2.3"});
        change(document.as_object_mut().unwrap());
        let mut metadata = Metadata::default();
        metadata.read(&document)?;
        metadata.validate().map_err(|error| error.to_string())?;
        Ok(metadata)
    }

    fn set(key: &str, value: Json) -> impl FnOnce(&mut Object) {
        let key = key.to_owned();
        move |object| {
            object.insert(key, value);
        }
    }

    #[test]
    fn scalars_are_taken_as_text() {
        let metadata = check(set("appVersion", json!(1.1))).unwrap();
        assert_eq!(metadata.app_version, "1.1");
        assert_eq!(check(set("annotations", json!({"a": true}))).unwrap().annotations.unwrap()["a"], "true");
    }

    #[test]
    fn fields_are_found_regardless_of_case() {
        assert_eq!(check(set("KUBEVERSION", json!(">=1.20"))).unwrap().kube_version, ">=1.20");
    }

    #[test]
    fn terminal_escapes_are_dropped() {
        assert_eq!(check(set("description", json!("a\u{1b}[2Jb\nc"))).unwrap().description, "a[2Jb c");
    }

    #[test]
    fn faults_are_refused_by_name() {
        for (key, value, message) in [
            ("name", json!(""), "validation: chart.metadata.name is required"),
            ("name", json!(".."), "validation: chart.metadata.name \"..\" is not allowed"),
            ("name", json!("a/b"), "validation: chart.metadata.name \"a/b\" is invalid"),
            ("version", json!("one"), "validation: chart.metadata.version \"one\" is invalid"),
            ("type", json!("plugin"), "validation: chart.metadata.type must be application or library"),
            (
                "keywords",
                json!("a"),
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field \
                 Metadata.keywords of type []string",
            ),
            ("dependencies", json!([null]), "dependencies must not contain empty or null nodes"),
            (
                "dependencies",
                json!([{"name": "a"}, {"name": "b", "alias": "a"}]),
                "validation: more than one dependency with name or alias \"a\"",
            ),
        ] {
            assert_eq!(check(set(key, value)).unwrap_err(), message);
        }
        assert!(check(set("name", json!("a".repeat(300)))).is_err());
    }
}
