//! The fingerprint of what is desired: chart, values and options that shape the objects, as one digest.
//!
//! Two passes with the same fingerprint would install the same release. Not in it: timeouts, intervals, retries,
//! health rules, cluster capabilities, lookup results and rendered text (`randAlphaNum`, `genCA` and `now` differ
//! each time). The formula has a number, so that a later one compares old revisions by their own.

use std::fmt::{self, Write};

use data_encoding::BASE32_NOPAD;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use super::{JsonMap, ReleaseId};

/// A formula number and a SHA-256. Stored as 53 characters, shown as 13.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    formula: Formula,
    digest: [u8; 32],
}

/// How a fingerprint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Formula {
    /// SHA-256 of the canonical JSON of [`Inputs`].
    One,
}

/// What goes into a fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The digest of the chart: of the archive, or of the packed tree for a chart in Git.
    pub chart_digest: &'a str,
    /// The merged values of the user, without the chart's own.
    pub values: &'a JsonMap,
    pub release: &'a ReleaseId,
    /// What is changed in the rendered objects, as the spec says it; null where nothing is.
    pub post_rendering: &'a Value,
    /// Options that a release with the same chart and values depends on, each only where it is not the default.
    pub options: &'a JsonMap,
}

impl Fingerprint {
    /// The fingerprint by the newest formula.
    pub fn of(inputs: Inputs<'_>) -> Self {
        // An object, so that an input added later, left out where unset, changes no fingerprint of today.
        let mut object = serde_json::json!({
            "chart": inputs.chart_digest,
            "values": inputs.values,
            "release": {"name": inputs.release.name.as_str(), "namespace": inputs.release.namespace},
        });
        if !inputs.post_rendering.is_null() {
            object["postRendering"] = inputs.post_rendering.clone();
        }
        for (option, value) in inputs.options {
            object[option] = value.clone();
        }
        let text = canonical_json(&object);
        Fingerprint { formula: Formula::One, digest: Sha256::digest(text.as_bytes()).into() }
    }

    /// Reads [`Fingerprint::encoded`]. `None` for anything else, also for formulas this Pintle does not know.
    pub fn decode(text: &str) -> Option<Self> {
        let base32 = text.strip_prefix('1')?;
        let bytes = BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).ok()?;
        Some(Fingerprint { formula: Formula::One, digest: bytes.try_into().ok()? })
    }

    /// The whole fingerprint in lower-case letters and digits, fit for a label: the formula, then base32.
    pub fn encoded(&self) -> String {
        let formula = match self.formula {
            Formula::One => '1',
        };
        format!("{formula}{}", BASE32_NOPAD.encode(&self.digest).to_ascii_lowercase())
    }
}

/// The first characters: enough to tell two apart by eye.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.encoded()[..13])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// `sha256:` and the hex digest of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// JSON in one form only: keys sorted by bytes, no spaces, whole numbers without a fraction.
///
/// `1` and `1.0` are one value to Helm, which reads every number of a values file as a float.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => write_number(number, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_bytes());
            text.push('{');
            for (index, (key, field)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
    }
}

fn write_number(number: &Number, text: &mut String) {
    // Above 2^53 a float no longer tells neighbouring integers apart; there the two forms stay two.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        // Adding zero turns -0 into 0.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX => {
            let _ = write!(text, "{:.0}", float + 0.0);
        }
        _ => text.push_str(&number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::ReleaseName;
    use serde_json::json;
    use std::sync::LazyLock;

    fn fingerprint(chart: &str, values: Value, name: &str, namespace: &str) -> Fingerprint {
        let release = ReleaseId { namespace: namespace.to_owned(), name: ReleaseName::parse(name).unwrap() };
        Fingerprint::of(inputs(chart, &values, &release, &Value::Null))
    }

    fn inputs<'a>(chart: &'a str, values: &'a Value, release: &'a ReleaseId, post_rendering: &'a Value) -> Inputs<'a> {
        static NONE: LazyLock<JsonMap> = LazyLock::new(JsonMap::new);
        Inputs { chart_digest: chart, values: values.as_object().unwrap(), release, post_rendering, options: &NONE }
    }

    #[test]
    fn post_rendering_changes_the_fingerprint() {
        let release = ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse("web").unwrap() };
        let of = |post_rendering: Value| Fingerprint::of(inputs("sha256:a", &json!({}), &release, &post_rendering));
        let labels = |team: &str| of(json!({"commonMetadata": {"labels": {"team": team}}}));
        assert_eq!(of(Value::Null), fingerprint("sha256:a", json!({}), "web", "apps"));
        assert_ne!(labels("a"), of(Value::Null));
        assert_ne!(labels("a"), labels("b"));
    }

    #[test]
    fn each_input_changes_the_fingerprint() {
        let base = fingerprint("sha256:a", json!({"a": 1}), "web", "apps");
        for other in [
            fingerprint("sha256:b", json!({"a": 1}), "web", "apps"),
            fingerprint("sha256:a", json!({"a": "1"}), "web", "apps"),
            fingerprint("sha256:a", json!({"a": 1, "b": null}), "web", "apps"),
            fingerprint("sha256:a", json!({"a": 1}), "web2", "apps"),
            fingerprint("sha256:a", json!({"a": 1}), "web", "apps2"),
        ] {
            assert_ne!(base, other);
        }
        let release = ReleaseId { namespace: "apps".to_owned(), name: ReleaseName::parse("web").unwrap() };
        let values = json!({"a": 1});
        let inputs = inputs("sha256:a", &values, &release, &Value::Null);
        assert_eq!(base, Fingerprint::of(inputs));
        let options = json!({"crds": "Create"});
        assert_ne!(base, Fingerprint::of(Inputs { options: options.as_object().unwrap(), ..inputs }));
    }

    #[test]
    fn fingerprint_of_the_first_formula_never_changes() {
        // A change here would roll out every release of every user again.
        assert_eq!(
            fingerprint("sha256:a", json!({"b": [1.0, 1.5, true, null], "a": {"z": "ä", "y": 0}}), "web", "apps"),
            fingerprint("sha256:a", json!({"a": {"y": 0.0, "z": "ä"}, "b": [1, 1.5, true, null]}), "web", "apps"),
        );
        // The formula by hand: printf '{"chart":"sha256:a","release":{"name":"web","namespace":"apps"},"values":{"a":1}}' |
        // sha256sum | xxd -r -p | base32 -w0 | tr -d = | tr A-Z a-z, after the digit of the formula.
        let encoded = fingerprint("sha256:a", json!({"a": 1}), "web", "apps").encoded();
        assert_eq!(encoded, "1ky3wknkbxusmz3kj6oxlalx3accrbwigz4iwiw46glakwkns22fa");
    }

    #[test]
    fn fingerprint_reads_back_and_fits_a_label() {
        let it = fingerprint("sha256:a", json!({}), "web", "apps");
        assert_eq!(Fingerprint::decode(&it.encoded()), Some(it));
        assert_eq!(it.encoded().len(), 53);
        assert_eq!(Fingerprint::decode("2abc"), None);
        assert_eq!(Fingerprint::decode(""), None);
    }

    #[test]
    fn canonical_json_has_one_form() {
        let value = json!({"b": 1.0, "a": [1e3, -2.5, -0.0, 18446744073709551615u64], "": "\"<"});
        assert_eq!(canonical_json(&value), r#"{"":"\"<","a":[1000,-2.5,0,18446744073709551615],"b":1}"#);
    }
}
