//! `pintle values` and `pintle template --trace-values`: where values come from, and which ones nobody knows.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn pintle(arguments: &[&str]) -> Output {
    let charts = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/charts"));
    Command::new(env!("CARGO_BIN_EXE_pintle")).current_dir(charts).args(arguments).env("TZ", "UTC").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is told of one value of a chart.
fn entry(arguments: &[&str], path: &str) -> Value {
    let output = pintle(&[&["values", "--origin", "-o", "json"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = told["values"].as_array().unwrap();
    entries.iter().find(|entry| entry["path"] == path).unwrap_or_else(|| panic!("no {path} in {told:#}")).clone()
}

#[test]
fn trace_leaves_stdout_as_it_is() {
    for (case, arguments) in [
        ("hello", &["../../charts/hello"][..]),
        ("family", &["family", "--include-crds"]),
        ("nulls-global", &["nulls", "--set", "global.g2=null"]),
        ("engine", &["engine"]),
        ("files", &["files"]),
        ("legacy", &["legacy"]),
    ] {
        let want = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/charts/want/");
        let want = fs::read_to_string(format!("{want}{case}.yaml")).unwrap();
        let output = pintle(&[&["template", "rel", "-n", "testns", "--trace-values"], arguments].concat());
        assert_eq!(text(&output.stdout), want, "{case}");
        assert!(text(&output.stderr).starts_with("VALUE "), "{case}: {}", text(&output.stderr));
    }
}

#[test]
fn scripts_see_no_warning_that_they_did_not_ask_for() {
    let arguments = ["template", "rel", "../../charts/hello", "--set", "replicaCuont=3"];
    let silent = pintle(&arguments);
    assert!(silent.status.success() && silent.stderr.is_empty(), "{}", text(&silent.stderr));
    let told = pintle(&[&arguments[..], &["--trace-values"]].concat());
    let warning =
        "warning: values.replicaCuont was read by no template and is unknown to the chart; did you mean replicaCount?";
    assert_eq!(text(&told.stderr).lines().last(), Some(warning));
    assert_eq!(told.stdout, silent.stdout);
}

#[test]
fn values_tell_their_layer_their_line_and_their_readers() {
    let told = entry(&["../../charts/hello", "--set", "replicaCount=3"], "replicaCount");
    assert_eq!(told["value"], 3);
    assert_eq!(told["setBy"], json!([{"kind": "flag", "flag": "--set", "text": "replicaCount=3"}]));
    let over = &told["overrode"][0];
    assert_eq!((&over["kind"], &over["name"]), (&json!("chart"), &json!("hello")));
    let defaults = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/hello/values.yaml");
    let line = over["line"].as_u64().unwrap() as usize;
    let written = fs::read_to_string(defaults).unwrap().lines().nth(line - 1).unwrap().to_owned();
    assert!(written.starts_with("replicaCount:"), "line {line}: {written}");
    let reader = told["readBy"][0].as_str().unwrap();
    assert!(reader.starts_with("hello/templates/deployment.yaml:"), "{reader}");

    let told = entry(&["../../charts/hello", "--set-literal", "image.tag=a,b=c"], "image.tag");
    let setter = json!({"kind": "flag", "flag": "--set-literal", "text": "image.tag=a,b=c"});
    assert_eq!((&told["value"], &told["setBy"]), (&json!("a,b=c"), &json!([setter])));

    let told = entry(&["nulls", "--set", "a.x=null"], "a.x");
    assert_eq!((&told["deleted"], &told["overrode"][0]["name"]), (&json!(true), &json!("nulls")));
}

#[test]
fn values_alone_are_those_that_templates_get() {
    let output = pintle(&["values", "nulls", "--set", "kid.d2=null", "-o", "json"]);
    let values: Value = serde_json::from_slice(&output.stdout).unwrap();
    // What real Helm made of them: `want/nulls-d2.yaml`.
    assert_eq!(values["kid"], json!({"global": {"g1": 9, "g2": 2, "g3": 3}, "m": {"k2": 2}}));
    let table = pintle(&["values", "nulls", "-o", "table"]);
    assert!(!table.status.success() && text(&table.stderr).contains("--origin"));
}

#[test]
fn chart_that_does_not_render_has_origins_all_the_same() {
    let output = pintle(&["values", "--origin", "strict", "--set", "fail=required"]);
    assert!(text(&output.stdout).contains("--set fail=required"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("a name is needed"), "{}", text(&output.stderr));
}
