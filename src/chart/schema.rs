//! Checking values against `values.schema.json` of a chart and of its subcharts.
//!
//! Drafts 4 to 2020-12. Schemas elsewhere are not fetched: a chart must bring what it refers to, because a chart from
//! outside could otherwise make the controller call any address. Wording follows Helm's.

use std::fmt::Write;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{PatternOptions, Retrieve, Uri, ValidationError};
use serde_json::Value as Json;

use super::{Chart, Error, Object, effort};
use crate::value::semver;

/// Checks coalesced values against the schemas of the chart and of all its subcharts.
///
/// # Errors
/// [`Error::Schema`] with a line for each place that does not fit, below the name of its chart.
pub fn validate(chart: &Chart, values: &Json) -> Result<(), Error> {
    let mut report = String::new();
    collect(chart, values, &mut report);
    if report.is_empty() { Ok(()) } else { Err(Error::Schema(report.trim_end().to_owned())) }
}

/// Whether the chart or one of its subcharts has a schema.
pub fn is_present(chart: &Chart) -> bool {
    chart.schema.is_some() || chart.dependencies.iter().any(|child| is_present(child))
}

fn collect(chart: &Chart, values: &Json, report: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(problems) = validate_one(&schema.data, values)
    {
        let _ = writeln!(report, "{}:\n{problems}", chart.name());
    }
    let no_values = Object::new();
    for child in &chart.dependencies {
        match values.as_object().unwrap_or(&no_values).get(child.name()) {
            None | Some(Json::Null) => {}
            Some(table @ Json::Object(_)) => collect(child, table, report),
            Some(other) => {
                let found = type_word(other);
                let _ =
                    writeln!(report, "{}:\ninvalid type for values: expected object (map), got {found}", child.name());
            }
        }
    }
}

/// How many problems are told.
const PROBLEMS_MAX: usize = 1_000;

/// Checks values against one schema.
///
/// # Errors
/// What does not fit, one line a place.
pub fn validate_one(schema: &[u8], values: &Json) -> Result<(), String> {
    let schema: Json = serde_json::from_slice(schema).map_err(|error| format!("schema is not JSON: {error}"))?;
    effort::check(&schema, values)?;
    let validator = jsonschema::options()
        .with_retriever(NothingRemote)
        .with_pattern_options(PatternOptions::regex())
        .with_format("semver", |text: &str| semver::Version::parse(text).is_ok())
        .build(&schema)
        .map_err(|error| format!("schema cannot be used: {error}"))?;
    let errors: Vec<ValidationError<'_>> = validator.iter_errors(values).take(PROBLEMS_MAX).collect();
    let ends: Vec<End> = errors.iter().filter_map(End::of).collect();
    let mut places = Vec::new();
    for error in errors.iter().filter(|error| !ends.iter().any(|end| end.hides(error))) {
        add(&mut places, error);
    }
    match places.as_slice() {
        [] => Ok(()),
        [(path, problem)] => Err(format!("- at '{path}': {problem}")),
        // Helm's validator puts what it finds behind a reference one level deeper.
        places if schema.get("$ref").is_some() => {
            let lines = places.iter().map(|(path, problem)| format!("\n  - at '{path}': {problem}"));
            Err(format!("- at '': validation failed{}", lines.collect::<String>()))
        }
        places => {
            let lines: Vec<String> = places.iter().map(|(path, problem)| format!("- at '{path}': {problem}")).collect();
            Err(lines.join("\n"))
        }
    }
}

/// A keyword after whose failure Helm's validator looks at nothing else of the same schema: `type`, `const`, `enum`.
struct End {
    instance: String,
    schema: String,
    rank: u8,
}

impl End {
    fn of(error: &ValidationError<'_>) -> Option<Self> {
        let rank = rank(error);
        let (schema, _) = error.schema_path().as_str().rsplit_once('/')?;
        let instance = error.instance_path().as_str().to_owned();
        (rank < LAST_RANK).then(|| End { instance, schema: format!("{schema}/"), rank })
    }

    fn hides(&self, error: &ValidationError<'_>) -> bool {
        let (instance, schema) = (error.instance_path().as_str(), error.schema_path().as_str());
        let Some(keyword) = schema.strip_prefix(&self.schema) else { return false };
        let is_own = instance == self.instance && !keyword.contains('/');
        let is_below =
            instance.strip_prefix(&self.instance).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_below && (!is_own || rank(error) > self.rank)
    }
}

const LAST_RANK: u8 = 3;

fn rank(error: &ValidationError<'_>) -> u8 {
    match error.kind() {
        Kind::Type { .. } => 0,
        Kind::Constant { .. } => 1,
        Kind::Enum { .. } => 2,
        _ => LAST_RANK,
    }
}

/// Adds an error to the list; properties missing at one place share a line.
fn add(places: &mut Vec<(String, String)>, error: &ValidationError<'_>) {
    let path = error.instance_path().as_str().to_owned();
    let text = describe(error);
    if let (Some((last_path, last)), Some(more)) = (places.last_mut(), text.strip_prefix(MISSING_ONE))
        && *last_path == path
        && last.starts_with("missing propert")
    {
        let before = last.trim_start_matches(MISSING_ONE).trim_start_matches(MISSING_MORE);
        *last = format!("{MISSING_MORE}{before}, {more}");
        return;
    }
    if !places.contains(&(path.clone(), text.clone())) {
        places.push((path, text));
    }
}

const MISSING_ONE: &str = "missing property ";
const MISSING_MORE: &str = "missing properties ";

fn describe(error: &ValidationError<'_>) -> String {
    let instance = error.instance();
    let measured = |word: &str, got: String, want: String| format!("{word}: got {got}, want {want}");
    match error.kind() {
        Kind::Type { kind } => format!("got {}, want {}", type_word(instance), wanted_types(kind)),
        Kind::Required { property } => format!("{MISSING_ONE}{}", quoted(property)),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("'{name}'")).collect();
            format!("additional properties {} not allowed", names.join(", "))
        }
        Kind::Enum { options } => one_of(options),
        Kind::Constant { expected_value } => format!("value must be {}", quoted(expected_value)),
        Kind::Pattern { pattern } => format!("{} does not match pattern '{pattern}'", quoted(instance)),
        Kind::Format { format } => format!("{} is not valid {format}", quoted(instance)),
        Kind::Maximum { limit } => measured("maximum", instance.to_string(), limit.to_string()),
        Kind::Minimum { limit } => measured("minimum", instance.to_string(), limit.to_string()),
        Kind::ExclusiveMaximum { limit } => measured("exclusiveMaximum", instance.to_string(), limit.to_string()),
        Kind::ExclusiveMinimum { limit } => measured("exclusiveMinimum", instance.to_string(), limit.to_string()),
        Kind::MultipleOf { multiple_of } => measured("multipleOf", instance.to_string(), multiple_of.to_string()),
        Kind::MaxLength { limit } => measured("maxLength", length(instance), limit.to_string()),
        Kind::MinLength { limit } => measured("minLength", length(instance), limit.to_string()),
        Kind::MaxItems { limit } => measured("maxItems", length(instance), limit.to_string()),
        Kind::MinItems { limit } => measured("minItems", length(instance), limit.to_string()),
        Kind::MaxProperties { limit } => measured("maxProperties", length(instance), limit.to_string()),
        Kind::MinProperties { limit } => measured("minProperties", length(instance), limit.to_string()),
        Kind::AnyOf { context } => alternatives("'anyOf' failed", context),
        Kind::OneOfNotValid { context } => alternatives("'oneOf' failed, none matched", context),
        Kind::OneOfMultipleValid { .. } => "'oneOf' failed, more than one matched".to_owned(),
        Kind::Not { .. } => "'not' failed".to_owned(),
        Kind::FalseSchema => "false schema".to_owned(),
        Kind::UniqueItems => "items are not unique".to_owned(),
        Kind::Contains => "no items match contains schema".to_owned(),
        // The other kinds come from keywords that hardly a chart uses: the words of the crate will do.
        _ => error.to_string(),
    }
}

/// What each alternative of `anyOf` or `oneOf` had against the value, indented below it.
fn alternatives(headline: &str, context: &[Vec<ValidationError<'static>>]) -> String {
    let mut places = Vec::new();
    for error in context.iter().flatten() {
        add(&mut places, error);
    }
    let lines = places.iter().map(|(path, problem)| format!("\n    - at '{path}': {problem}"));
    format!("{headline}{}", lines.collect::<String>())
}

/// The types, joined by `or`, in the order of Helm's validator.
fn wanted_types(kind: &TypeKind) -> String {
    const ORDER: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];
    let mut names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(set) => set.iter().map(|one| one.to_string()).collect(),
    };
    names.sort_by_key(|name| ORDER.iter().position(|known| known == name));
    names.join(" or ")
}

fn one_of(options: &Json) -> String {
    match options.as_array().map(Vec::as_slice) {
        Some([one]) => format!("value must be {}", quoted(one)),
        Some(many) => {
            let many: Vec<String> = many.iter().map(quoted).collect();
            format!("value must be one of {}", many.join(", "))
        }
        None => "enum failed".to_owned(),
    }
}

fn quoted(value: &Json) -> String {
    match value {
        Json::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

fn length(value: &Json) -> String {
    match value {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(fields) => fields.len(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
    .to_string()
}

fn type_word(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Finds no schema anywhere but in the chart. An `urn:` stands for a schema that allows everything, as in Helm.
struct NothingRemote;

impl Retrieve for NothingRemote {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        if uri.scheme().as_str() == "urn" {
            return Ok(Json::Bool(true));
        }
        Err(format!("schema {uri} is not part of the chart, and schemas are not fetched").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn check(schema: Json, values: Json) -> String {
        let mut chart = Chart::default();
        "web".clone_into(&mut chart.metadata.name);
        let data = schema.to_string().into();
        chart.schema = Some(crate::chart::File { name: "values.schema.json".into(), data, modified: None });
        match validate(&chart, &values) {
            Ok(()) => "valid".into(),
            Err(error) => error.to_string(),
        }
    }

    const HEAD: &str = "values don't meet the specifications of the schema(s) in the following chart(s):\nweb:\n";

    #[test]
    fn problems_read_as_helm_words_them() {
        let properties =
            |properties: Json| json!({"type": "object", "properties": properties, "additionalProperties": false});
        for (schema, values, want) in [
            (json!({"required": ["policy"]}), json!({}), "- at '': missing property 'policy'"),
            (json!({"required": ["a", "b"]}), json!({}), "- at '': missing properties 'a', 'b'"),
            (properties(json!({"n": {"maximum": 1}})), json!({"n": 2}), "- at '/n': maximum: got 2, want 1"),
            (
                properties(json!({"e": {"type": ["boolean", "null"]}})),
                json!({"e": "yes"}),
                "- at '/e': got string, want null or boolean",
            ),
            (
                properties(json!({"policy": {"type": "string", "enum": ["sync"], "minLength": 1}})),
                json!({"policy": null}),
                "- at '/policy': got null, want string",
            ),
            (properties(json!({})), json!({"x": 1}), "- at '': additional properties 'x' not allowed"),
            (
                properties(json!({"a": {"type": "number"}, "b": {"enum": ["x", "y"]}})),
                json!({"a": "1", "b": "z"}),
                "- at '/a': got string, want number\n- at '/b': value must be one of 'x', 'y'",
            ),
        ] {
            assert_eq!(check(schema, values), format!("{HEAD}{want}"));
        }
    }

    #[test]
    fn remote_schemas_are_not_fetched() {
        let report = check(json!({"$ref": "http://169.254.169.254/schema.json"}), json!({}));
        assert!(report.contains("schemas are not fetched"), "{report}");
        assert_eq!(check(json!({"properties": {"a": {"$ref": "urn:example:a"}}}), json!({"a": 1})), "valid");
    }

    #[test]
    fn schema_of_a_subchart_sees_its_own_table() {
        let mut kid = Chart::default();
        "kid".clone_into(&mut kid.metadata.name);
        let data = json!({"properties": {"x": {"type": "string"}}}).to_string().into();
        kid.schema = Some(crate::chart::File { name: "values.schema.json".into(), data, modified: None });
        let mut parent = Chart::default();
        parent.dependencies.push(Arc::new(kid));
        let error = validate(&parent, &json!({"kid": {"x": 1}})).unwrap_err().to_string();
        assert!(error.ends_with(":\nkid:\n- at '/x': got number, want string"), "{error}");
        assert!(validate(&parent, &json!({})).is_ok());
    }
}
