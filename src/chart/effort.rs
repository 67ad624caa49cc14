//! How much work a schema makes of some values, found out before the work begins.
//!
//! References make a schema larger than its text: forty lines of `anyOf` over two references to the line before ask for
//! 2^40 comparisons, a reference to itself for a stack without end. The validator cannot be stopped, so its way is walked
//! beforehand, with a budget, as if nothing ever failed early.

use std::collections::HashMap;

use serde_json::Value as Json;

/// How often a schema may meet a value. The largest schemas of public charts with their values meet some ten thousand
/// times.
const MEETINGS_MAX: usize = 2_000_000;

/// So many entries of a list in a schema cost one comparison.
const LISTED_PER_COMPARISON: usize = 16;

/// How deep schemas and references may nest around one another, down to one value: each level takes some stack.
const DEPTH_MAX: usize = 400;

/// Checks that validating these values ends soon.
///
/// # Errors
/// It would not; the text says which bound is passed.
pub(super) fn check(schema: &Json, values: &Json) -> Result<(), String> {
    let mut walk = Walk { root: schema, left: MEETINGS_MAX, depth: 0, targets: HashMap::new() };
    walk.meet(schema, values)
}

struct Walk<'s> {
    root: &'s Json,
    left: usize,
    depth: usize,
    /// What references lead to, once it was looked for.
    targets: HashMap<&'s str, Option<&'s Json>>,
}

impl<'s> Walk<'s> {
    fn meet(&mut self, schema: &'s Json, value: &Json) -> Result<(), String> {
        let Json::Object(keywords) = schema else { return Ok(()) };
        self.take(1)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("schema cannot be used: it refers to itself more than {DEPTH_MAX} levels deep"));
        }
        for (keyword, inner) in keywords {
            self.keyword(keyword, inner, keywords, value)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn take(&mut self, comparisons: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(comparisons).ok_or_else(|| {
            format!("schema cannot be used: to check these values would take more than {MEETINGS_MAX} comparisons")
        })?;
        Ok(())
    }

    fn keyword(
        &mut self,
        keyword: &str,
        inner: &'s Json,
        siblings: &'s serde_json::Map<String, Json>,
        value: &Json,
    ) -> Result<(), String> {
        // Long lists of properties and of allowed values are gone through each time.
        self.take(match inner {
            Json::Array(items) => items.len() / LISTED_PER_COMPARISON,
            Json::Object(fields) => fields.len() / LISTED_PER_COMPARISON,
            Json::String(text) => text.len() / LISTED_PER_COMPARISON,
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        })?;
        match (keyword, inner, value) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Json::String(reference), _) => match self.target(reference) {
                Some(target) => self.meet(target, value),
                None => Ok(()),
            },
            ("allOf" | "anyOf" | "oneOf", Json::Array(schemas), _) => {
                schemas.iter().try_for_each(|schema| self.meet(schema, value))
            }
            ("not" | "if" | "then" | "else", schema, _) => self.meet(schema, value),
            ("dependentSchemas" | "dependencies", Json::Object(schemas), _) => {
                schemas.values().try_for_each(|schema| self.meet(schema, value))
            }
            ("properties", Json::Object(schemas), Json::Object(fields)) => {
                let met = schemas.iter().filter_map(|(name, schema)| Some((schema, fields.get(name)?)));
                met.collect::<Vec<_>>().into_iter().try_for_each(|(schema, field)| self.meet(schema, field))
            }
            ("patternProperties", Json::Object(schemas), Json::Object(fields)) => {
                // Which names match is not asked.
                schemas.values().try_for_each(|schema| self.meet_all(schema, fields.values()))
            }
            ("additionalProperties" | "unevaluatedProperties", schema, Json::Object(fields)) => {
                let known = siblings.get("properties").and_then(Json::as_object);
                let others = fields.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                self.meet_all(schema, others.map(|(_, field)| field))
            }
            ("items" | "prefixItems", Json::Array(schemas), Json::Array(items)) => {
                schemas.iter().zip(items).try_for_each(|(schema, item)| self.meet(schema, item))
            }
            ("items" | "additionalItems" | "unevaluatedItems" | "contains", schema, Json::Array(items)) => {
                self.meet_all(schema, items)
            }
            ("propertyNames", schema, Json::Object(fields)) => {
                let name = Json::String(String::new());
                fields.keys().try_for_each(|_| self.meet(schema, &name))
            }
            _ => Ok(()),
        }
    }

    fn meet_all<'v>(&mut self, schema: &'s Json, values: impl IntoIterator<Item = &'v Json>) -> Result<(), String> {
        values.into_iter().try_for_each(|value| self.meet(schema, value))
    }

    /// The schema behind a reference within the text: by its path, or by the name some schema has. What lies elsewhere
    /// is not followed; it is refused later.
    fn target(&mut self, reference: &'s str) -> Option<&'s Json> {
        if let Some(known) = self.targets.get(reference) {
            return *known;
        }
        let target = match reference.split_once('#') {
            Some((_, "")) => Some(self.root),
            Some((_, path)) if path.starts_with('/') => self.root.pointer(path),
            Some((_, anchor)) => named(self.root, &["$anchor", "$dynamicAnchor"], anchor)
                .or_else(|| named(self.root, &["$id", "id"], &format!("#{anchor}"))),
            None => named(self.root, &["$id", "id"], reference),
        };
        self.targets.insert(reference, target);
        target
    }
}

/// The first schema that has this name.
fn named<'s>(schema: &'s Json, keywords: &[&str], name: &str) -> Option<&'s Json> {
    match schema {
        Json::Object(fields) => {
            let is_it = keywords.iter().any(|keyword| fields.get(*keyword).is_some_and(|id| id == name));
            if is_it { Some(schema) } else { fields.values().find_map(|inner| named(inner, keywords, name)) }
        }
        Json::Array(items) => items.iter().find_map(|inner| named(inner, keywords, name)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_that_double_are_refused() {
        let mut definitions = serde_json::Map::from_iter([("a0".to_owned(), json!({"type": "string"}))]);
        for level in 0..40 {
            let below = json!({"$ref": format!("#/$defs/a{level}")});
            definitions.insert(format!("a{}", level + 1), json!({"anyOf": [below, below]}));
        }
        let schema = json!({"$defs": definitions, "properties": {"a": {"$ref": "#/$defs/a40"}}});
        assert!(check(&schema, &json!({"a": 1})).is_err_and(|error| error.contains("more than 2000000 comparisons")));
        assert_eq!(check(&schema, &json!({"b": 1})), Ok(()));
    }

    #[test]
    fn references_in_a_circle_are_refused() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$anchor": "me", "not": {"$ref": "#me"}}),
            json!({"$id": "me.json", "not": {"$ref": "me.json"}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        ] {
            assert!(check(&schema, &json!({})).is_err_and(|error| error.contains("refers to itself")), "{schema}");
        }
    }

    #[test]
    fn a_schema_of_trees_goes_as_deep_as_the_values() {
        let tree = json!({"type": "object", "additionalProperties": {"$ref": "#"}});
        let values = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(check(&tree, &values), Ok(()));
    }
}
