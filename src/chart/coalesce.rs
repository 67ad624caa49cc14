//! Which values a chart and its subcharts get: the user's over the chart's over those of its subcharts.
//!
//! Works on live values, because the result is what templates see, with its sharing: a table below `global` is one
//! and the same object for a chart and its subcharts, and a `set` in one template is seen in all of them.
//! Rules and their oddities are those of Helm v4 (`pkg/chart/common/util/coalesce.go`).

use std::collections::HashSet;

use super::{Chart, Error, Object};
use crate::value::{Map, Str, Value};

const GLOBAL: &[u8] = b"global";

/// What becomes of nulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// A null over a default removes the key; nulls among the defaults vanish. For the final values.
    Delete,
    /// Nulls stay, because the values will be laid over others once more.
    Keep,
}

/// The values of a chart with `user_values` over its defaults. `user_values` stays as it is.
///
/// # Errors
/// The values under the name of a subchart are no table.
pub fn coalesce_values(chart: &Chart, user_values: &Map) -> Result<Map, Error> {
    lay_over_chart(chart, user_values, Nulls::Delete)
}

/// The defaults of a chart and its subcharts, with nothing over them; nulls stay, for they too are keys that the charts
/// know.
///
/// # Errors
/// As [`coalesce_values`].
pub fn defaults(chart: &Chart) -> Result<Object, Error> {
    lay_over_chart(chart, &Map::any(Default::default()), Nulls::Keep).map(|values| freeze_map(&values))
}

pub(super) fn lay_over_chart(chart: &Chart, user_values: &Map, nulls: Nulls) -> Result<Map, Error> {
    let values = deep_copy_map(user_values);
    coalesce(chart, &values, nulls)?;
    Ok(values)
}

fn coalesce(chart: &Chart, values: &Map, nulls: Nulls) -> Result<(), Error> {
    add_defaults(chart, values, nulls);
    for child in &chart.dependencies {
        let child_values = match values.get(child.name().as_bytes()) {
            None => {
                let created = Map::any(Default::default());
                values.set(child.name(), Value::Map(created.clone()));
                created
            }
            Some(Value::Map(table)) => table,
            Some(other) => {
                return Err(Error::SubchartValues { subchart: child.name().to_owned(), found: other.type_name() });
            }
        };
        pass_globals_down(&child_values, values);
        coalesce(child, &child_values, nulls)?;
    }
    Ok(())
}

/// Adds the defaults of the chart itself to `values`.
fn add_defaults(chart: &Chart, values: &Map, nulls: Nulls) {
    let Some(defaults) = &chart.values else { return };
    for (key, default) in thaw_object(defaults).snapshot() {
        match values.get(key.as_bytes()) {
            Some(Value::Nil) if nulls == Nulls::Delete => remove(values, &key),
            Some(Value::Map(table)) => {
                if let Value::Map(default) = default {
                    // A subchart's table keeps its nulls: they are to delete defaults of the subchart later.
                    let is_subchart = chart.dependencies.iter().any(|child| child.name().as_bytes() == key.as_bytes());
                    let nulls = if is_subchart { Nulls::Keep } else { nulls };
                    if nulls == Nulls::Delete {
                        remove_nulls(&default);
                    }
                    merge_tables(&table, &default, nulls);
                }
            }
            Some(_) => {}
            None if nulls == Nulls::Keep => values.set(key, default),
            None => {
                // So a null default of a subchart's key counts only if the user gave the subchart some value:
                // the quirk of Helm 4 (probe of nulls).
                match &default {
                    Value::Nil => continue,
                    Value::Map(table) => remove_nulls(table),
                    _ => {}
                }
                values.set(key, default);
            }
        }
    }
}

/// Lays the globals of a chart over those of its subchart.
fn pass_globals_down(child_values: &Map, values: &Map) {
    let table_of = |map: &Map| match map.get(GLOBAL) {
        None => Some(Map::any(Default::default())),
        Some(Value::Map(table)) => Some(table),
        Some(_) => None,
    };
    let (Some(child_globals), Some(globals)) = (table_of(child_values), table_of(values)) else { return };
    for (key, value) in globals.snapshot() {
        let below = child_globals.get(key.as_bytes());
        match (value, below) {
            (Value::Map(table), None) => child_globals.set(key, Value::Map(shallow_copy(&table))),
            (Value::Map(table), Some(Value::Map(below))) => {
                let copy = shallow_copy(&table);
                merge_tables(&copy, &below, Nulls::Keep);
                child_globals.set(key, Value::Map(copy));
            }
            (Value::Map(_), Some(_)) | (_, Some(Value::Map(_))) => {}
            (value, _) => child_globals.set(key, value),
        }
    }
    child_values.set("global", Value::Map(child_globals));
}

/// One table over another, as where no chart is known: a null over something removes it. Changes both.
pub fn coalesce_tables(over: &Map, below: &Map) {
    merge_tables(over, below, Nulls::Delete);
}

/// Adds to `over` what `below` has and it has not. Changes both, and shares tables between them.
pub(super) fn merge_tables(over: &Map, below: &Map, nulls: Nulls) {
    let with_default: HashSet<Str> =
        below.snapshot().into_iter().filter(|(_, value)| !matches!(value, Value::Nil)).map(|(key, _)| key).collect();
    for (key, value) in over.snapshot() {
        if matches!(value, Value::Nil) {
            below.set(key, Value::Nil);
        }
    }
    for (key, value) in below.snapshot() {
        match (over.get(key.as_bytes()), value) {
            (Some(Value::Nil), _) if nulls == Nulls::Delete && with_default.contains(&key) => remove(over, &key),
            (None, value) => over.set(key, value),
            (Some(Value::Map(over)), Value::Map(below)) => merge_tables(&over, &below, nulls),
            (Some(_), _) => {}
        }
    }
}

/// Removes nulls from a table and the tables in it, not from lists.
pub(super) fn remove_nulls(table: &Map) {
    for (key, value) in table.snapshot() {
        match value {
            Value::Nil => remove(table, &key),
            Value::Map(inner) => remove_nulls(&inner),
            _ => {}
        }
    }
}

fn remove(map: &Map, key: &Str) {
    if let Some(entries) = &map.entries {
        entries.borrow_mut().remove(key);
    }
}

fn shallow_copy(map: &Map) -> Map {
    Map::any(map.snapshot().into_iter().collect())
}

/// A copy that shares nothing with the original.
pub(super) fn deep_copy_map(map: &Map) -> Map {
    Map::any(map.snapshot().into_iter().map(|(key, value)| (key, deep_copy(&value))).collect())
}

fn deep_copy(value: &Value) -> Value {
    match value {
        Value::Map(map) if map.entries.is_some() => Value::Map(deep_copy_map(map)),
        Value::List(list) if list.items.is_some() => Value::list(list.as_slice().iter().map(deep_copy).collect()),
        other => other.clone(),
    }
}

/// Live values of a frozen table.
pub fn thaw_object(object: &Object) -> Map {
    Map::any(object.iter().map(|(key, value)| (Str::from(key.as_str()), Value::thaw(value))).collect())
}

/// The frozen form of live values.
pub fn freeze_map(map: &Map) -> Object {
    map.snapshot().iter().map(|(key, value)| (key.to_text().into_owned(), value.freeze())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn chart(name: &str, values: serde_json::Value, dependencies: Vec<Arc<Chart>>) -> Chart {
        let mut chart = Chart { dependencies, ..Chart::default() };
        chart.metadata.name = name.to_owned();
        chart.values = values.as_object().cloned().map(Arc::new);
        chart
    }

    fn coalesced(chart: &Chart, user: serde_json::Value) -> serde_json::Value {
        let user = thaw_object(user.as_object().unwrap());
        Value::Map(coalesce_values(chart, &user).unwrap()).freeze()
    }

    /// The charts of the probe of nulls: what real Helm v4.3 makes of them is in the rows of the test.
    fn probed() -> Chart {
        let kid = json!({"d1": 5, "d2": 6, "m": {"k1": 1, "k2": 2}, "cn": null, "global": {"g1": 9, "g3": 3}});
        let parent = json!({
            "a": {"x": 1, "y2": 2, "z": null}, "kid": {"d1": null, "m": {"k1": null}},
            "global": {"g1": null, "g2": 2}, "top": null
        });
        chart("parent", parent, vec![Arc::new(chart("kid", kid, vec![]))])
    }

    #[test]
    fn nulls_do_what_they_do_in_helm_4() {
        let globals = json!({"g1": 9, "g2": 2, "g3": 3});
        let (a, global) = (json!({"x": 1, "y2": 2}), json!({"g2": 2}));
        let untouched = json!({"d1": 5, "d2": 6, "global": globals, "m": {"k1": 1, "k2": 2}});
        for (user, kid, a, global, rest) in [
            (json!({}), untouched.clone(), Some(a.clone()), global.clone(), json!({})),
            (
                json!({"kid": {"d2": null}}),
                json!({"global": globals, "m": {"k2": 2}}),
                Some(a.clone()),
                global.clone(),
                json!({}),
            ),
            (
                json!({"kid": {"m": {"k2": null}}}),
                json!({"d2": 6, "global": globals, "m": {}}),
                Some(a.clone()),
                global.clone(),
                json!({}),
            ),
            (
                json!({"kid": {"m": null}}),
                json!({"d2": 6, "global": globals}),
                Some(a.clone()),
                global.clone(),
                json!({}),
            ),
            (json!({"a": {"x": null}}), untouched.clone(), Some(json!({"y2": 2})), global.clone(), json!({})),
            (json!({"a": null}), untouched.clone(), None, global.clone(), json!({})),
            (json!({"kid": null}), untouched.clone(), Some(a.clone()), global.clone(), json!({})),
            (
                json!({"global": {"g2": null}}),
                json!({"d1": 5, "d2": 6, "global": {"g1": 9, "g3": 3}, "m": {"k1": 1, "k2": 2}}),
                Some(a.clone()),
                json!({}),
                json!({}),
            ),
            (
                json!({"unknown": null, "a": {"unk": null}}),
                untouched.clone(),
                Some(json!({"x": 1, "y2": 2, "unk": null})),
                global.clone(),
                json!({"unknown": null}),
            ),
            (
                json!({"kid": {"unk": null}}),
                json!({"d2": 6, "global": globals, "m": {"k2": 2}, "unk": null}),
                Some(a.clone()),
                global.clone(),
                json!({}),
            ),
            (
                json!({"kid": {"other": 1}}),
                json!({"d2": 6, "global": globals, "m": {"k2": 2}, "other": 1}),
                Some(a.clone()),
                global.clone(),
                json!({}),
            ),
            (json!({"top": 1}), untouched.clone(), Some(a.clone()), global.clone(), json!({"top": 1})),
        ] {
            let mut want = json!({"kid": kid, "global": global});
            let fields = want.as_object_mut().unwrap();
            fields.extend(a.map(|a| ("a".to_owned(), a)));
            fields.extend(rest.as_object().unwrap().clone());
            assert_eq!(coalesced(&probed(), user.clone()), want, "user values {user}");
        }
    }

    #[test]
    fn tables_below_global_are_shared_with_subcharts() {
        let kid = Arc::new(chart("kid", json!({}), vec![]));
        let parent = chart("parent", json!({"global": {"a": {"b": {"c": 1}}}}), vec![kid]);
        let values = coalesce_values(&parent, &Map::any(Default::default())).unwrap();
        let table = |map: &Map, key: &str| match map.get(key.as_bytes()) {
            Some(Value::Map(map)) => map,
            other => panic!("{key}: {other:?}"),
        };
        let own = table(&table(&table(&values, "global"), "a"), "b");
        let of_kid = table(&table(&table(&table(&values, "kid"), "global"), "a"), "b");
        assert!(own.is_same(&of_kid));
    }

    #[test]
    fn values_of_a_subchart_must_be_a_table() {
        let error = coalesce_values(&probed(), &thaw_object(json!({"kid": 1}).as_object().unwrap())).unwrap_err();
        assert_eq!(error.to_string(), "values of subchart kid are a float64, not a table");
    }
}
