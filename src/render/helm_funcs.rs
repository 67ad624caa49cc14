//! The functions that Helm adds to Sprig's, or puts in their place.
//!
//! Where Helm swallows an error and prints nothing, so do these: charts rely on it.

use serde_json::Value as Json;

use super::error::{MESSAGE_END, MESSAGE_START};
use super::host::{Remark, RenderHost};
use super::{durations, toml, toml_reader};
use crate::template::func::{Call, Fault, Func, Host, WALK_DEPTH_MAX, spend_on_printing, spend_on_walk};
use crate::value::Type::{Any, String as Text};
use crate::value::json::{self, Html};
use crate::value::{Map, Signature, Str, Type, Value};
use crate::yaml;

type Body = fn(&mut Call<'_>, &[Value]) -> Result<Value, Fault>;

const fn func(name: &'static str, parameters: &'static [Type], body: Body) -> Func {
    Func { name, signature: Signature { parameters, variadic: false }, body }
}

/// By name, to be laid over Sprig's table.
pub(super) static FUNCTIONS: &[Func] = &[
    func("include", &[Text, Any], include),
    func("tpl", &[Text, Any], tpl),
    func("required", &[Text, Any], required),
    func("fail", &[Text], fail),
    func("lookup", &[Text, Text, Text, Text], lookup),
    func("getHostByName", &[Text], |_, _| Ok(Value::string(""))),
    func("toYaml", &[Any], |c, a| Ok(Value::string(to_yaml(c.host, "toYaml", &a[0])?.unwrap_or_default()))),
    func("mustToYaml", &[Any], |c, a| Ok(Value::string(to_yaml(c.host, "mustToYaml", &a[0])?.map_err(failed)?))),
    func("toYamlPretty", &[Any], |c, a| {
        spend_on_printing(c.host, "toYamlPretty", a)?;
        Ok(Value::string(without_newline(yaml::marshal_pretty(&a[0]).map_err(|error| budget("toYamlPretty", error))?)))
    }),
    func("fromYaml", &[Text], from_yaml),
    func("fromYamlArray", &[Text], from_yaml_array),
    func("toJson", &[Any], |c, a| {
        spend_on_walk(c.host, "toJson", a, WALK_DEPTH_MAX)?;
        Ok(Value::string(json::marshal(&a[0], Html::Escape).unwrap_or_default()))
    }),
    func("mustToJson", &[Any], |c, a| {
        spend_on_walk(c.host, "mustToJson", a, WALK_DEPTH_MAX)?;
        Ok(Value::string(json::marshal(&a[0], Html::Escape)?))
    }),
    func("fromJson", &[Text], from_json),
    func("fromJsonArray", &[Text], from_json_array),
    func("toToml", &[Any], |c, a| {
        spend_on_printing(c.host, "toToml", a)?;
        match (&a[0], toml::marshal(&a[0])) {
            (Value::Nil, Err(panic)) => Err(panic.into()),
            (_, Err(error)) => Ok(Value::string(error)),
            (_, Ok(text)) => Ok(Value::string(text)),
        }
    }),
    func("mustToToml", &[Any], |c, a| {
        spend_on_printing(c.host, "mustToToml", a)?;
        Ok(Value::string(toml::marshal(&a[0])?))
    }),
    func("fromToml", &[Text], |c, a| {
        if text(&a[0]).len() > TOML_BYTES_MAX {
            return Err(Fault::Budget(format!("fromToml of a text longer than {} MiB", TOML_BYTES_MAX >> 20)));
        }
        Ok(Value::Map(toml_reader::unmarshal(text(&a[0]), c.host).unwrap_or_else(error_map)))
    }),
    func("mustToDuration", &[Any], durations::must_to_duration),
    func("durationSeconds", &[Any], durations::seconds),
    func("durationMilliseconds", &[Any], durations::milliseconds),
    func("durationMicroseconds", &[Any], durations::microseconds),
    func("durationNanoseconds", &[Any], durations::whole_nanoseconds),
    func("durationMinutes", &[Any], durations::minutes),
    func("durationHours", &[Any], durations::hours),
    func("durationDays", &[Any], durations::days),
    func("durationWeeks", &[Any], durations::weeks),
    func("durationRoundTo", &[Any, Any], durations::round_to),
    func("durationTruncateTo", &[Any, Any], durations::truncate_to),
];

/// The longest TOML that is read: its reader takes many times as much memory.
const TOML_BYTES_MAX: usize = 1 << 20;

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::Failed(error.to_string())
}

fn text(value: &Value) -> &[u8] {
    match value {
        Value::Str(text) => text.as_bytes(),
        _ => b"",
    }
}

fn include(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let name = Str::from(text(&arguments[0]));
    let _nested = RenderHost::of(call.host).enter(&name)?;
    call.execution.execute_template(name.as_bytes(), &arguments[1]).map(Value::string)
}

/// Runs a text as a template. What it defines is seen by it and by the `tpl` calls inside it, not outside.
fn tpl(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let template_text = text(&arguments[0]);
    let quoted = || String::from_utf8_lossy(&crate::value::strconv::quote(template_text)).into_owned();
    let source = || Str::from(template_text);
    let mut set = call.execution.set().clone();
    let name = set.name().to_owned();
    let template = set.parse(&name, template_text).map_err(|error| Fault::Wrapped {
        text: format!("cannot parse template {}", quoted()),
        source: source(),
        error: Box::new(error),
    })?;
    let output = call.execution.execute_in(&set, &template, &arguments[1]).map_err(|fault| match fault {
        Fault::Template(error) => {
            let text = format!("error during tpl function execution for {}", quoted());
            Fault::Wrapped { text, source: source(), error }
        }
        other => other,
    })?;
    Ok(Value::string(without_no_value(output)))
}

fn required(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    match &arguments[1] {
        Value::Nil => remark(call, Remark::Missing(message(&arguments[0]))),
        Value::Str(value) if value.as_bytes().is_empty() => remark(call, Remark::Empty(message(&arguments[0]))),
        value => Ok(value.clone()),
    }
}

fn fail(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    remark(call, Remark::Fail(message(&arguments[0])))
}

/// Ends the render with a message for people, which replaces the whole chain of errors around it; where a chart is
/// only looked at it is noted, and the value is the empty text.
fn remark(call: &mut Call<'_>, remark: Remark) -> Result<Value, Fault> {
    match RenderHost::of(call.host).remark(remark) {
        Ok(()) => Ok(Value::string("")),
        Err(Remark::Missing(message) | Remark::Empty(message) | Remark::Fail(message)) => {
            Err(Fault::Failed(format!("{MESSAGE_START}{message}{MESSAGE_END}")))
        }
    }
}

fn message(argument: &Value) -> String {
    String::from_utf8_lossy(text(argument)).into_owned()
}

fn lookup(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let words: Vec<_> = arguments.iter().map(|argument| String::from_utf8_lossy(text(argument))).collect();
    let found = RenderHost::of(call.host).lookup(&words[0], &words[1], &words[2], &words[3])?;
    Ok(thaw_object_of_cluster(&found))
}

/// Live values of an object as a Kubernetes client decodes it: whole numbers are `int64`, unlike in values.
fn thaw_object_of_cluster(frozen: &serde_json::Value) -> Value {
    match frozen {
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::int64(whole),
            None => Value::thaw(frozen),
        },
        serde_json::Value::Array(items) => Value::list(items.iter().map(thaw_object_of_cluster).collect()),
        serde_json::Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (Str::from(key.as_str()), thaw_object_of_cluster(value)));
            Value::map(fields.collect())
        }
        other => Value::thaw(other),
    }
}

/// The YAML of a value without the last line break. What cannot be written at all is the error inside, which `toYaml`
/// swallows as in Helm; what is too large or too deep for us, but not for Helm, ends the render.
pub(super) fn to_yaml(host: &dyn Host, function: &str, value: &Value) -> Result<Result<String, String>, Fault> {
    let written = match spend_on_walk(host, function, std::slice::from_ref(value), yaml::DEPTH_MAX)? {
        true => yaml::marshal(value).map_err(|error| error.to_string()),
        // The error of the cycle; the writer of YAML may meet a lot before it meets the cycle.
        false => json::marshal(value, Html::Escape).and_then(|_| Err("a map holds itself".into())),
    };
    Ok(written.map(without_newline))
}

fn budget(function: &str, error: impl std::fmt::Display) -> Fault {
    Fault::Budget(format!("{function}: {error}"))
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

/// The output without the words Go prints for values that are not there.
pub(super) fn without_no_value(output: Vec<u8>) -> Vec<u8> {
    const NO_VALUE: &[u8] = b"<no value>";
    let mut rest = output.as_slice();
    let mut kept = Vec::new();
    while let Some(position) = memchr::memmem::find(rest, NO_VALUE) {
        kept.extend_from_slice(&rest[..position]);
        rest = &rest[position + NO_VALUE.len()..];
    }
    if rest.len() == output.len() {
        return output;
    }
    kept.extend_from_slice(rest);
    kept
}

/// A table that holds nothing but an error's text: what `fromYaml` and its like give where they fail.
fn error_map(error: impl std::fmt::Display) -> Map {
    Map::any([(Str::from("Error"), Value::string(error.to_string()))].into())
}

fn error_list(error: impl std::fmt::Display) -> Value {
    Value::list(vec![Value::string(error.to_string())])
}

/// What Go's JSON reader says when it finds another type than the one asked for.
fn mismatch(found: &Value, wanted: &str) -> String {
    let found = match found {
        Value::Bool(_) => "bool",
        Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        _ => "object",
    };
    format!("json: cannot unmarshal {found} into Go value of type {wanted}")
}

const MAP_TYPE: &str = "map[string]interface {}";
const LIST_TYPE: &str = "[]interface {}";
const YAML_AS_JSON: &str = "error unmarshaling JSON: while decoding JSON: ";

fn from_yaml(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    Ok(Value::Map(match yaml::to_json(text(&arguments[0])).map(|json| Value::thaw(&json)) {
        Ok(Value::Map(map)) => map,
        Ok(Value::Nil) => Map::any(Default::default()),
        Ok(other) => error_map(format!("{YAML_AS_JSON}{}", mismatch(&other, MAP_TYPE))),
        Err(error) => error_map(error),
    }))
}

fn from_yaml_array(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    Ok(match yaml::to_json(text(&arguments[0])).map(|json| Value::thaw(&json)) {
        Ok(list @ Value::List(_)) => list,
        Ok(Value::Nil) => Value::list(Vec::new()),
        Ok(other) => error_list(format!("{YAML_AS_JSON}{}", mismatch(&other, LIST_TYPE))),
        Err(error) => error_list(error),
    })
}

fn from_json(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let mut read = match read_json(text(&arguments[0])) {
        Ok(read) => read,
        Err(error) => return Ok(Value::Map(error_map(error))),
    };
    // What was read stays beside the error.
    if let (Json::Object(object), Some(problem)) = (&mut read.json, read.problem) {
        object.insert("Error".to_owned(), problem.into());
    }
    Ok(Value::Map(match Value::thaw(&read.json) {
        Value::Map(map) => map,
        Value::Nil => Map { map_type: crate::value::MapType::Any, entries: None },
        other => error_map(mismatch(&other, MAP_TYPE)),
    }))
}

fn from_json_array(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let read = match read_json(text(&arguments[0])) {
        Ok(read) => read,
        Err(error) => return Ok(error_list(error)),
    };
    Ok(match (Value::thaw(&read.json), read.problem) {
        (list @ Value::List(_), None) => list,
        (Value::List(_), Some(problem)) => error_list(problem),
        (Value::Nil, _) => Value::List(crate::value::List { element: crate::value::ElementType::Any, items: None }),
        (other, _) => error_list(mismatch(&other, LIST_TYPE)),
    })
}

struct ReadJson {
    json: Json,
    /// A number that no `float64` holds stands somewhere; in its place there is null.
    problem: Option<String>,
}

/// Reads a text of JSON. A number alone is one by its type, whatever its size.
fn read_json(text: &[u8]) -> Result<ReadJson, String> {
    let (json, problem) = json::unmarshal_partly(text)?;
    match (json, problem) {
        (Json::Null, Some(_)) => Ok(ReadJson { json: 0.0.into(), problem: None }),
        (json, problem) => Ok(ReadJson { json, problem }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_vanishes_from_output() {
        for (output, want) in [("a<no value>b<no value>", "ab"), ("a", "a"), ("<no <no value>value>", "<no value>")] {
            assert_eq!(without_no_value(output.into()), want.as_bytes());
        }
    }

    #[test]
    fn numbers_of_the_cluster_stay_whole() {
        let value = thaw_object_of_cluster(&serde_json::json!({"replicas": 1_000_000, "ratio": 1.5}));
        let Value::Map(map) = value else { panic!("is a map") };
        assert!(matches!(map.get(b"replicas"), Some(Value::Int(_, 1_000_000))));
        assert!(matches!(map.get(b"ratio"), Some(Value::Float(_))));
    }
}
