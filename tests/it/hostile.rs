//! Charts are untrusted input: whatever one holds, reading and rendering it ends, with a clear error or with what Helm
//! prints, and takes a bounded amount of memory.
//!
//! The rows are the known attacks on charts, archives, templates and schemas. Bounds are asserted as budgets, never as
//! seconds: a test that would take for ever without its bound hangs, and a stack that overflows ends the process.

use std::fmt::Write;
use std::sync::Arc;

use pintle::chart::{self, Chart, File, strvals};
use pintle::render::{
    Capabilities, Entropy, Error, Limits, Lookup, Offline, Operation, Options, ReleaseInfo, Rendered, on_big_stack,
};
use pintle::template::func::KeyType;
use pintle::value::{self, Entries, Map};
use pintle::{api, manifest, render, yaml};
use serde_json::json;

/// Zeros for randomness; one and the same key, so that no test waits for another to be made.
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, String> {
        let _ = key_type;
        pintle::entropy::SystemEntropy.private_key(KeyType::EcdsaP256)
    }
}

/// Enough for all that is to be rendered here, and spent soon by a test build.
const STEPS_MAX: u64 = 2_000_000;

fn options() -> Options {
    Options {
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        local_zone: || jiff::tz::TimeZone::UTC,
        parsed: Arc::default(),
        lookup: Arc::new(Offline),
        entropy: Arc::new(Fixed),
        limits: Limits { steps_max: STEPS_MAX, made_bytes_max: 256 << 20, ..Limits::default() },
        stop: Arc::default(),
    }
}

fn file(name: &str, data: impl Into<Vec<u8>>) -> File {
    File { name: name.into(), data: data.into().into(), modified: None }
}

fn chart_of(files: impl IntoIterator<Item = File>) -> Result<Chart, chart::Error> {
    let chart_yaml = file("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    chart::load_files(std::iter::once(chart_yaml).chain(files).collect(), &chart::Limits::default())
}

fn render_chart(chart: &Chart, options: &Options) -> Result<Rendered, Error> {
    let release =
        ReleaseInfo { name: "rel".into(), namespace: "apps".into(), revision: 1, operation: Operation::Install };
    render::render(chart, &chart::Object::new(), &release, &Capabilities::default(), options)
}

/// What a template gives on a render thread: its text, or the error.
fn rendered_with(template: &str, options: &Options) -> Result<String, String> {
    let files = [
        file("templates/NOTES.txt", template),
        file("values.yaml", "secret: s3cr3t.example.com\nlist: [1, 2]\nmap: {a: {b: c}}\n"),
        file("data.txt", "data"),
    ];
    let chart = chart_of(files).map_err(|error| error.to_string())?;
    let rendered = on_big_stack(|| render_chart(&chart, options)).unwrap().map_err(|error| error.to_string())?;
    Ok(rendered.notes.trim_end().to_owned())
}

fn rendered(template: &str) -> Result<String, String> {
    rendered_with(template, &options())
}

/// The error of a template, with its place.
#[track_caller]
fn refused(template: &str) -> String {
    match rendered(template) {
        Ok(text) => panic!("rendered {} bytes: {:.80}: {:.200}", text.len(), text, template),
        Err(error) => error,
    }
}

/// A budget ended the render, in this line of the template, and the error says which.
#[track_caller]
fn over_budget(template: &str, says: &str) {
    over_budget_of(template, says, &options());
}

#[track_caller]
fn over_budget_of(template: &str, says: &str, options: &Options) {
    let error = rendered_with(template, options).expect_err(template);
    assert!(
        error.starts_with("rendering was ended: template: web/templates/NOTES.txt:"),
        "{error:.300}\n{template:.200}"
    );
    assert!(error.contains(says), "{error:.600}\n{template:.200}");
    assert!(error.len() < 4096, "{} bytes of error: {error:.300}", error.len());
}

// ---- memory ----

#[test]
fn texts_that_double_are_ended() {
    for step in [
        r#"printf "%s%s" $s $s"#,
        "print $s $s",
        "cat $s $s",
        r#"replace "x" "xx" $s"#,
        "repeat 2 $s",
        r#"join "" (list $s $s)"#,
        r#"regexReplaceAll "x" $s "xx""#,
        r#"regexReplaceAll "(x+)" $s "$1$1""#,
        "tpl (print $s $s) .",
        "b64enc $s",
        "toJson $s | quote",
        r#"toYaml (list $s $s)"#,
    ] {
        over_budget(
            &format!(r#"{{{{ $s := repeat 1000 "x" }}}}{{{{ range until 1000 }}}}{{{{ $s = {step} }}}}{{{{ end }}}}"#),
            "",
        );
    }
}

#[test]
fn texts_that_are_kept_are_ended() {
    let limits = Limits { steps_max: u64::MAX, made_bytes_max: 32 << 20, ..Limits::default() };
    let memory = Options { limits, ..options() };
    for template in [
        r#"{{ $s := repeat 1000000 "x" }}{{ $d := dict }}{{ range $i := until 100000 }}{{ $_ := set $d (toString $i) (upper $s) }}{{ end }}"#,
        r#"{{ $s := repeat 1000000 "x" }}{{ $l := list }}{{ range until 100000 }}{{ $l = append $l (lower $s) }}{{ end }}"#,
        r#"{{ $s := repeat 1000000 "x" }}{{ define "a" }}{{ . }}{{ end }}{{ $l := list }}{{ range until 100000 }}{{ $l = append $l (include "a" $s) }}{{ end }}"#,
        r#"{{ $d := dict }}{{ range $i := until 1000000 }}{{ range $j := until 1000 }}{{ $_ := set $d (printf "%d-%d" $i $j) 1 }}{{ end }}{{ end }}"#,
        r#"{{ $s := repeat 1000000 "x" }}{{ range until 100000 }}{{ $s }}{{ end }}"#,
    ] {
        over_budget_of(template, "bytes of values and text", &memory);
    }
}

#[test]
fn lists_that_double_are_ended() {
    for step in ["concat $l $l", "list $l $l | toJson | fromJsonArray", "concat $l (deepCopy $l)"] {
        over_budget(
            &format!("{{{{ $l := until 1000 }}}}{{{{ range until 1000 }}}}{{{{ $l = {step} }}}}{{{{ end }}}}"),
            "",
        );
    }
    over_budget("{{ $l := list 1 }}{{ range until 1000000 }}{{ $l = append $l 1 }}{{ end }}", "");
}

#[test]
fn a_value_of_very_many_shared_parts_is_not_walked_through() {
    let doubled = "{{ $l := list 1 }}{{ range until 100 }}{{ $l = list $l $l }}{{ end }}";
    let mapped = r#"{{ $l := dict "a" 1 }}{{ range until 100 }}{{ $l = dict "a" $l "b" $l }}{{ end }}"#;
    for walk in [
        "toJson $l",
        "toYaml $l",
        "toYamlPretty $l",
        "toPrettyJson $l",
        "toRawJson $l",
        "mustToJson $l",
        "mustToYaml $l",
        r#"toToml (dict "a" $l)"#,
        "$l",
        "toString $l",
        "quote $l",
        "squote $l",
        "cat $l",
        r#"join "," (list $l)"#,
        r#"printf "%v" $l"#,
        "print $l",
        "println $l",
        "html $l",
        "js $l",
        "urlquery $l",
        "toStrings (list $l)",
        "sortAlpha (list $l)",
        "deepCopy $l",
        "dict $l 1",
        "toDecimal $l",
        r#"printf "%d" $l"#,
        r#"printf "%!" $l"#,
    ] {
        for setup in [doubled, mapped] {
            over_budget(&format!("{setup}{{{{ {walk} }}}}"), "");
        }
    }
    for comparison in ["deepEqual $l $m", "has $l (list $m)", "uniq (list $l $m)", "without (list $l) $m"] {
        let second = doubled.replace("$l", "$m");
        over_budget(&format!("{doubled}{second}{{{{ {comparison} }}}}"), "steps");
    }
    let merged = mapped.replace("$l", "$m");
    over_budget(&format!("{mapped}{merged}{{{{ merge $l $m }}}}"), "steps");
}

#[test]
fn sizes_that_a_template_names_are_bounded() {
    for call in [
        r#"repeat 1000000000 "x""#,
        "until 1000000000",
        "untilStep 0 1000000000 1",
        "seq 1 1000000000",
        r#"indent 1000000000 "x""#,
        r#"nindent 1000000 (repeat 1000 "x\n")"#,
        "randAlphaNum 1000000000",
        "randBytes 1000000000",
        r#"wrapWith 1 (repeat 1000000 "x") (repeat 1000 "y")"#,
        r#"printf "%1000000d%1000000d" (until 1000) (until 1000)"#,
        r#"bcrypt "x" | repeat 100000000"#,
    ] {
        over_budget(&format!("a\n{{{{ {call} }}}}"), ":2:");
    }
    assert_eq!(rendered(r#"{{ printf "%100000000d" 1 }}"#).unwrap(), "%!(NOVERB)%!(EXTRA int=1)");
    over_budget("{{ range 1000000000 }}{{ end }}", "more than 2000000 steps");
}

#[test]
fn keys_and_slow_hashes_are_counted() {
    over_budget(r#"{{ range until 1000 }}{{ genPrivateKey "ecdsa" }}{{ end }}"#, "more than 64 private keys");
    over_budget(r#"{{ range until 1000 }}{{ $_ := genCA "a" 1 }}{{ end }}"#, "more than 64 private keys");
    for call in [r#"bcrypt "x""#, r#"htpasswd "u" "p""#, r#"derivePassword 1 "long" "p" "u" "s""#] {
        let error = rendered(&format!("{{{{ range until 100 }}}}{{{{ $_ := {call} }}}}{{{{ end }}}}"));
        assert!(error.as_ref().is_err_and(|error| error.contains("more than 2000000 steps")), "{call}: {error:?}");
    }
    // The cost of a hash and the size of a key are no arguments in Sprig.
    assert_eq!(rendered(r#"{{ genPrivateKey "rsa8192" }}"#).unwrap(), "Unknown type rsa8192");
}

#[test]
fn patterns_are_bounded_in_size_and_in_work() {
    for call in [
        r#"mustRegexMatch "((a{100}){100}){100}" "a""#,
        r#"mustRegexMatch (printf "%s" (repeat 100000 "(a|b)?")) "a""#,
        r#"mustRegexMatch (repeat 100000 "(") "a""#,
        r#"mustRegexMatch (printf "%s%s" (repeat 100000 "(") (repeat 100000 ")")) "a""#,
        r#"regexMatch "(x{0,30}){30}y" (repeat 50000000 "x")"#,
        r#"regexFindAll "(?s:a(?:.*z)?)" (repeat 10000000 "a") -1"#,
        r#"regexReplaceAll "(.+)" (repeat 100000 "a") (repeat 100000 "$1")"#,
        r#"regexReplaceAll "" (repeat 1000000 "a") (repeat 1000 "b")"#,
    ] {
        let error = refused(&format!("a\n{{{{ {call} }}}}"));
        assert!(error.contains("web/templates/NOTES.txt:2:"), "{error:.400}");
    }
    // Not catastrophic: no pattern is, with an engine that does not go back.
    assert_eq!(rendered(r#"{{ regexMatch "^(a+)+$" (print (repeat 100000 "a") "b") }}"#).unwrap(), "false");
    let many =
        r#"{{ range $i := until 10000 }}{{ $_ := regexMatch (printf "a{%d}b{1000}" (mod $i 1000)) "a" }}{{ end }}"#;
    assert!(rendered(many).is_ok() || rendered(many).is_err());
}

#[test]
fn variables_of_one_text_are_counted() {
    for template in [
        "{{ $a := 1 }}".repeat(100_000),
        (0..100_000).fold(String::new(), |text, i| text + &format!("{{{{ $a{i} := 1 }}}}")),
    ] {
        assert!(refused(&template).contains("more than 5000 variables in one text"));
    }
}

// ---- depth ----

const DEEP: usize = 100_000;

#[test]
fn deep_templates_are_refused() {
    let nested = |open: &str, inner: &str, close: &str| open.repeat(DEEP) + inner + &close.repeat(DEEP);
    for (what, template) in [
        ("parentheses", format!("{{{{ {} }}}}", nested("(", "1", ")"))),
        ("calls", format!("{{{{ {} }}}}", nested("(not ", "1", ")"))),
        ("open parentheses", format!("{{{{ {}", "(".repeat(DEEP))),
        ("if", nested("{{ if 1 }}", "x", "{{ end }}")),
        ("with", nested("{{ with . }}", "x", "{{ end }}")),
        ("range", nested("{{ range . }}", "x", "{{ end }}")),
        ("else", nested("{{ if 0 }}{{ else }}", "x", "{{ end }}")),
        ("else if", format!("{{{{ if 0 }}}}{}{{{{ end }}}}", "{{ else if 0 }}x".repeat(DEEP))),
        ("else with", format!("{{{{ with 0 }}}}{}{{{{ end }}}}", "{{ else with 0 }}x".repeat(DEEP))),
        ("block", nested(r#"{{ block "a" . }}"#, "x", "{{ end }}")),
        ("define", nested(r#"{{ define "a" }}"#, "x", "{{ end }}")),
        ("unclosed if", "{{ if 1 }}".repeat(DEEP)),
        (
            "text of tpl",
            format!("{{{{ tpl (print (repeat {DEEP} \"{{{{ if 1 }}}}\") (repeat {DEEP} \"{{{{ end }}}}\")) . }}}}"),
        ),
    ] {
        let error = refused(&template);
        assert!(error.contains("web/templates/NOTES.txt:1") || error.contains("gotpl:1"), "{what}: {error:.300}");
    }
}

#[test]
fn long_templates_are_not_deep() {
    let chained = |piece: &str, count: usize| piece.repeat(count);
    assert_eq!(rendered(&format!("{{{{ 1{} }}}}", chained(" | int", DEEP))).unwrap(), "1");
    assert_eq!(rendered(&chained("{{ 1 }}", 1000)).unwrap(), "1".repeat(1000));
    assert!(rendered(&format!("{{{{ .Values{} }}}}", chained(".a", DEEP))).is_err());
    assert!(rendered(&format!("{{{{ (.Values){} }}}}", chained(".a", DEEP))).is_err());
    assert!(rendered(&format!("{{{{/* {} */}}}}x", chained("(", DEEP))).is_ok());
    assert!(rendered(&format!("{{{{ print{} }}}}", chained(" 1", DEEP))).is_ok());
}

#[test]
fn endless_recursion_is_an_error() {
    for template in [
        r#"{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}"#,
        r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
        r#"{{ define "a" }}{{ include "b" . }}{{ end }}{{ define "b" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}"#,
        r#"{{ define "a" }}{{ tpl "{{ template \"a\" . }}" . }}{{ end }}{{ template "a" . }}"#,
        r#"{{ define "a" }}{{ if (and 1 (or 0 (include "a" .))) }}{{ end }}{{ end }}{{ include "a" . }}"#,
        r#"{{ $_ := set .Values "t" "{{ tpl .Values.t . }}" }}{{ tpl .Values.t . }}"#,
        r#"{{ define "a" }}{{ range tuple 1 }}{{ with (include "a" $) }}{{ end }}{{ end }}{{ end }}{{ include "a" . }}"#,
    ] {
        let error = refused(template);
        assert!(error.len() <= (1 << 20) + 8, "{} bytes: {error:.300}", error.len());
    }
    let many: String = (0..100).fold(String::new(), |mut text, i| {
        let _ = write!(text, r#"{{{{ define "a{i}" }}}}{{{{ include "a{}" . }}}}{{{{ end }}}}"#, (i + 1) % 100);
        text
    });
    refused(&(many + r#"{{ include "a0" . }}"#));
}

#[test]
fn recursion_helm_allows_is_allowed() {
    let template = r#"{{ define "a" }}{{ if gt (int .) 0 }}{{ include "a" (sub . 1) }}{{ else }}end{{ end }}{{ end }}{{ include "a" 999 }}"#;
    assert_eq!(rendered(template).unwrap(), "end");
}

#[test]
fn deep_values_end_in_an_error_and_are_dropped() {
    for build in [
        "{{ $v := 1 }}{{ range until 100000 }}{{ $v = list $v }}{{ end }}",
        r#"{{ $v := 1 }}{{ range until 100000 }}{{ $v = dict "a" $v }}{{ end }}"#,
        r#"{{ $v := dict }}{{ range until 100000 }}{{ $n := dict }}{{ $_ := set $n "a" $v }}{{ $v = $n }}{{ end }}"#,
        r#"{{ $v := 1 }}{{ range until 100000 }}{{ $v = list (dict "a" $v) }}{{ end }}"#,
    ] {
        assert_eq!(rendered(&format!("{build}done")).unwrap(), "done");
        let build = build.replace("100000", "1000");
        for walk in [
            "toJson $v",
            "toYaml $v",
            "toYamlPretty $v",
            r#"toToml (dict "a" $v)"#,
            "toPrettyJson $v",
            "toRawJson $v",
            "$v",
            r#"printf "%v" $v"#,
            "quote $v",
            "deepCopy $v",
            r#"join "," (list $v)"#,
            "deepEqual $v (deepCopy $v)",
            r#"merge (dict) (dict "a" $v) | toJson"#,
            "has $v (list $v) | print $v",
        ] {
            over_budget(&format!("{build}{{{{ {walk} }}}}"), "deep");
        }
    }
}

#[test]
fn maps_that_hold_themselves_end_in_an_error_or_in_what_helm_gives() {
    let cyclic = r#"{{ $m := dict "a" 1 }}{{ $_ := set $m "self" $m }}"#;
    // Helm swallows the error of its JSON writer.
    for walk in ["toJson $m", "toYaml $m", "toPrettyJson $m"] {
        assert_eq!(rendered(&format!("{cyclic}x{{{{ {walk} }}}}")).unwrap(), "x", "{walk}");
    }
    for walk in ["mustToJson $m", "mustToYaml $m", "toRawJson $m"] {
        let error = refused(&format!("{cyclic}{{{{ {walk} }}}}"));
        assert!(error.contains("encountered a cycle via map[string]interface {}"), "{walk}: {error}");
    }
    // The process of Helm dies of these.
    for walk in [
        "toYamlPretty $m",
        "toToml $m",
        "$m",
        r#"printf "%v" $m"#,
        "quote $m",
        "toString $m",
        "deepCopy $m",
        "cat $m",
        "merge $m (deepCopy $m)",
    ] {
        over_budget(&format!("{cyclic}{{{{ {walk} }}}}"), "");
    }
    assert_eq!(rendered(&format!("{cyclic}{{{{ deepEqual $m $m }}}}")).unwrap(), "true");
    assert!(
        rendered(&format!(
            "{cyclic}{{{{ $n := dict \"a\" 1 }}}}{{{{ $_ := set $n \"self\" $n }}}}{{{{ deepEqual $m $n }}}}"
        ))
        .is_err()
    );
    let _ = rendered(&format!("{cyclic}{{{{ merge $m $m | len }}}}"));
    // The whole scope, as charts might by accident.
    assert_eq!(
        rendered(r#"x{{ $_ := set . "self" . }}{{ toYaml . }}{{ toJson .Values }}"#).map(|text| text.starts_with('x')),
        Ok(true)
    );
    refused(r#"{{ $_ := set . "self" . }}{{ . }}"#);
}

#[test]
fn deep_texts_of_data_are_refused() {
    let deep_json = "[".repeat(DEEP) + &"]".repeat(DEEP);
    let deep_objects = r#"{"a":"#.repeat(DEEP) + "1" + &"}".repeat(DEEP);
    assert_eq!(value::json::unmarshal(deep_json.as_bytes()).unwrap_err(), "exceeded max depth");
    for text in [deep_json.clone(), deep_objects, "- ".repeat(DEEP) + "1", "? ".repeat(DEEP), "a: &a [".repeat(DEEP)] {
        assert!(yaml::to_json(text.as_bytes()).is_err(), "{text:.20}");
        assert!(manifest::parse(&text).is_err(), "{text:.20}");
        assert!(chart_of([file("values.yaml", text.clone())]).is_err(), "{text:.20}");
        assert!(chart_of([file("Chart.yaml", text.clone())]).is_err(), "{text:.20}");
        let chart = chart_of([file("crds/a.yaml", text.clone())]).unwrap();
        assert!(manifest::parse(&String::from_utf8_lossy(&chart.crds()[0].data)).is_err());
    }
    for (call, text) in [
        ("fromJson", r#"{"a":"#),
        ("fromJsonArray", "["),
        ("fromYaml", "{a: "),
        ("fromYamlArray", "["),
        ("fromToml", "a = ["),
        ("fromToml", "a.b."),
        ("fromYaml", "? "),
        ("fromYamlArray", "- "),
    ] {
        let template = format!("{{{{ {call} (repeat {DEEP} {text:?}) | toJson }}}}");
        assert!(rendered(&template).is_ok_and(|text| text.len() < 4096), "{call}");
    }
    let lines = (0..DEEP).fold(String::new(), |mut text, level| {
        let _ = writeln!(text, "{}a:", " ".repeat(level.min(2000)));
        text
    });
    assert!(yaml::to_json(lines.as_bytes()).is_err());
}

#[test]
fn a_thread_with_a_small_stack_renders_or_refuses() {
    let deep =
        r#"{{ define "a" }}{{ if gt (int .) 0 }}{{ include "a" (sub . 1) }}{{ end }}{{ end }}{{ include "a" 900 }}"#;
    let chart = chart_of([file("templates/NOTES.txt", deep)]).unwrap();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let error = thread.spawn(move || render_chart(&chart, &options()).map(|_| ()).unwrap_err().to_string());
    let error = error.unwrap().join().unwrap();
    assert!(error.contains("the stack is used up"), "{error:.300}");
}

// ---- A: archives and Chart.yaml ----

#[test]
fn a6_malformed_chart_yaml_is_refused_by_name() {
    for (text, says) in [
        ("", "name is required"),
        ("null", "name is required"),
        ("[]", "Chart.yaml"),
        ("7", "Chart.yaml"),
        ("apiVersion: v2\n", "name"),
        ("apiVersion: v2\nname: a\n", "version"),
        ("apiVersion: v2\nname: [a]\nversion: 1.0.0\n", "name"),
        ("apiVersion: v2\nname: a\nversion: {}\n", "version"),
        ("apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: 7\n", "dependencies"),
        ("apiVersion: v2\nname: ../a\nversion: 1.0.0\n", "name"),
        ("\0", "Chart.yaml"),
        ("a: b: c", "Chart.yaml"),
        ("apiVersion: v9\nname: a\nversion: 1.0.0\n", "apiVersion"),
    ] {
        let files = vec![file("Chart.yaml", text)];
        let error = chart::load_files(files, &chart::Limits::default())
            .and_then(|chart| chart.check_installable())
            .unwrap_err();
        let message = pintle::text::chain(&error);
        assert!(message.contains(says), "{text:?}: {message}");
    }
    // Of a key that stands there twice the last counts, as in Helm.
    let twice = "apiVersion: v2\nname: a\nname: b\nversion: 1.0.0\n";
    let chart = chart::load_files(vec![file("Chart.yaml", twice)], &chart::Limits::default()).unwrap();
    assert_eq!(chart.name(), "b");
    // Null entries of lists are passed over or refused, never met later.
    for list in ["dependencies", "maintainers", "keywords", "sources"] {
        let text = format!("apiVersion: v2\nname: a\nversion: 1.0.0\n{list}: [null]\nannotations: null\n");
        let loaded = chart::load_files(vec![file("Chart.yaml", text)], &chart::Limits::default());
        if let Ok(chart) = loaded {
            let _ = chart.check_installable();
            let _ = on_big_stack(|| render_chart(&chart, &options()).is_ok()).unwrap();
        }
    }
}

#[test]
fn a7_yaml_bombs_are_refused() {
    let laughs = (1..10).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |mut text, level| {
        let alias = format!("*a{}", level - 1);
        let _ = writeln!(text, "a{level}: &a{level} [{}]", [alias.as_str(); 9].join(", "));
        text
    });
    let long_text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    for (what, text) in [
        ("laughs", laughs),
        ("texts", long_text),
        ("itself", "a: &a [*a]".to_owned()),
        ("merge of itself", "a: &a {<<: *a}".to_owned()),
        ("unknown", "a: *b".to_owned()),
        ("nodes", format!("[{}]", "1,".repeat(2_000_001))),
    ] {
        let error = chart_of([file("values.yaml", text.clone())]).unwrap_err();
        let message = pintle::text::chain(&error);
        assert!(message.contains("values.yaml") && message.len() < 500, "{what}: {message:.300}");
        let template = "{{ (.Files.Get \"bomb\" | fromYaml).Error }}";
        let chart = chart_of([file("bomb", text), file("templates/NOTES.txt", template)]).unwrap();
        let rendered = on_big_stack(|| render_chart(&chart, &options())).unwrap().unwrap();
        assert!(rendered.notes.contains("error converting YAML to JSON"), "{what}: {}", rendered.notes);
    }
    let large = format!("a: {}\n", "x".repeat(50 << 20));
    let error = chart_of([file("values.yaml", large)]).unwrap_err();
    assert_eq!(error.to_string(), "chart exceeds the limit of 20971520 bytes in one file");
}

#[test]
fn a9_lines_of_set_are_bounded() {
    let long = "a.".repeat(DEEP) + "a=1";
    let indexes = "a".to_owned() + &"[0]".repeat(DEEP) + "=1";
    let elements = (0..100).map(|i| format!("a{i}[65536]=1")).collect::<Vec<_>>().join(",");
    for (line, says) in [
        ("a[999999999]=1", "greater than maximum supported index"),
        ("a[99999999999999999999999]=1", "not a number"),
        ("a[-1]=1", "negative"),
        (long.as_str(), "nested level"),
        (indexes.as_str(), "nested level"),
        (elements.as_str(), "elements"),
        (&"{".repeat(DEEP), ""),
        (&format!("a={}", "{".repeat(DEEP)), ""),
        (&"a[0".repeat(DEEP), ""),
        (&"[".repeat(DEEP), ""),
        (&"\\".repeat(DEEP), ""),
    ] {
        let destination = Map::any(Entries::new());
        let error = strvals::parse_into(line, &destination, strvals::Reading::Typed).unwrap_err().to_string();
        assert!(error.contains(says), "{line:.30}: {error:.300}");
    }
    let deep = "[".repeat(DEEP);
    let destination = Map::any(Entries::new());
    assert!(strvals::parse_into(&format!("a={deep}"), &destination, strvals::Reading::Json).is_err());
}

// ---- C: templates and schemas ----

/// A cluster that must not be asked.
struct Unreachable;

impl Lookup for Unreachable {
    fn get(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        panic!("nothing was to be looked up")
    }
}

#[test]
fn c1_get_host_by_name_asks_nobody() {
    let options = Options { lookup: Arc::new(Unreachable), ..options() };
    assert_eq!(rendered_with("[{{ getHostByName .Values.secret }}]", &options).unwrap(), "[]");
}

#[test]
fn c2_environment_and_files_outside_the_chart_are_out_of_reach() {
    for function in ["env", "expandenv"] {
        for template in
            [format!(r#"{{{{ {function} "HOME" }}}}"#), format!(r#"{{{{ tpl "{{{{ {function} \"HOME\" }}}}" . }}}}"#)]
        {
            let error = refused(&template);
            assert!(error.contains(&format!("function \"{function}\" not defined")), "{error}");
        }
    }
    for path in ["../../etc/passwd", "/etc/passwd", "..", "/proc/self/environ", "data.txt/../../x"] {
        assert_eq!(rendered(&format!("x{{{{ .Files.Get \"{path}\" }}}}")).unwrap(), "x", "{path}");
        assert_eq!(
            rendered(&format!("x{{{{ tpl \"{{{{ .Files.Get \\\"{path}\\\" }}}}\" . }}}}")).unwrap(),
            "x",
            "{path}"
        );
    }
    assert_eq!(rendered(r#"{{ range $path, $_ := .Files.Glob "/**" }}{{ $path }}{{ end }}x"#).unwrap(), "x");
    assert_eq!(rendered(r#"{{ range $path, $_ := .Files.Glob "**" }}{{ $path }} {{ end }}"#).unwrap(), "data.txt");
}

#[test]
fn c4_whatever_a_template_does_for_ever_is_ended_with_its_place() {
    for template in [
        "x\n{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}",
        "x\n{{ range $i := until 1000000 }}{{ range $j := until 1000 }}{{ tpl \"{{ . }}\" $i }}{{ end }}{{ end }}",
        "x\n{{ range until 1000000 }}{{ $_ := sha256sum (repeat 1000000 \"x\") }}{{ end }}",
        "x\n{{ $s := repeat 1000000 \"x\" }}{{ range until 1000000 }}{{ $_ := contains \"y\" $s }}{{ end }}",
        "x\n{{ $l := until 1000000 }}{{ $_ := uniq $l }}",
        "x\n{{ range until 1000000 }}{{ $_ := toYaml $.Values }}{{ range until 1000 }}{{ end }}{{ end }}",
    ] {
        let error = refused(template);
        assert!(error.starts_with("rendering was ended: template: "), "{error:.300}");
        assert!(error.contains(":2:") || error.contains("gotpl:1:"), "{error:.300}");
    }
}

#[test]
fn c4_a_render_ends_when_it_is_told_to() {
    let options = Options { limits: Limits { steps_max: u64::MAX, ..Limits::default() }, ..options() };
    let stop = options.stop.clone();
    let rendering = std::thread::spawn(move || {
        rendered_with("{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}", &options)
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = rendering.join().unwrap().unwrap_err();
    assert!(error.starts_with("rendering was ended: ") && error.contains("its time is over"), "{error}");
}

#[test]
fn c5_deep_everything_is_an_error() {
    // Templates, values and JSON are in the tests of depth above; what is left is the schema.
    let deep = r#"{"properties":{"a":"#.repeat(DEEP) + "true" + &"}}".repeat(DEEP);
    let chart = chart_of([file("values.schema.json", deep)]).unwrap();
    let error = render_chart(&chart, &options()).unwrap_err().to_string();
    assert!(error.contains("recursion limit"), "{error}");
}

fn schema_error(schema: &str, values: &str) -> String {
    let chart =
        chart_of([file("values.schema.json", schema), file("values.yaml", values), file("templates/NOTES.txt", "x")])
            .unwrap();
    match on_big_stack(|| render_chart(&chart, &options())).unwrap() {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn c6_schemas_do_not_run_for_ever() {
    for circle in [
        r##"{"$ref": "#"}"##,
        r##"{"allOf": [{"$ref": "#"}]}"##,
        r##"{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}"##,
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        r##"{"not": {"$ref": "#"}}"##,
    ] {
        let error = schema_error(circle, "a: {a: {a: {a: 1}}}");
        assert!(error.contains("refers to itself"), "{circle}: {error:.300}");
    }
    let tree = r##"{"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}"##;
    assert_eq!(schema_error(tree, "a: {a: {a: {a: 1}}}"), "valid");
    let regex_bomb = r#"{"properties": {"a": {"pattern": "^(a+)+$"}}}"#;
    let error = schema_error(regex_bomb, &format!("a: {}b\n", "a".repeat(100_000)));
    assert!(error.contains("does not match pattern"), "{error:.200}");
    let large_pattern = r#"{"properties": {"a": {"pattern": "((a{1000}){1000}){1000}"}}}"#;
    assert!(
        schema_error(large_pattern, "a: a").contains("schema cannot be used"),
        "{}",
        schema_error(large_pattern, "a: a")
    );
    let options: Vec<String> = (0..100_000).map(|i| format!("\"v{i}\"")).collect();
    let enumeration = format!(r#"{{"properties": {{"a": {{"enum": [{}]}}}}}}"#, options.join(","));
    let error = schema_error(&enumeration, "a: x");
    assert!(error.contains("value must be one of 'v0', 'v1'"), "{error:.200}");
    let doubling = (0..40).fold(r#"{"$defs": {"a0": {"type": "string"}"#.to_owned(), |mut text, i| {
        let _ =
            write!(text, r##", "a{}": {{"anyOf": [{{"$ref": "#/$defs/a{i}"}}, {{"$ref": "#/$defs/a{i}"}}]}}"##, i + 1);
        text
    }) + r##"}, "properties": {"a": {"$ref": "#/$defs/a40"}}}"##;
    let error = schema_error(&doubling, "a: 1");
    assert!(error.contains("more than 2000000 comparisons"), "{error:.300}");
    let deep = r#"{"not": "#.repeat(DEEP) + "true" + &"}".repeat(DEEP);
    assert!(schema_error(&deep, "a: 1").contains("recursion limit"));
}

#[test]
fn c7_schemas_elsewhere_are_not_fetched() {
    for uri in
        ["http://169.254.169.254/x", "https://example.com/schema.json", "file:///etc/passwd", "ftp://example.com/x"]
    {
        let error = schema_error(&format!(r#"{{"$ref": "{uri}"}}"#), "a: 1");
        assert!(error.contains("not part of the chart, and schemas are not fetched"), "{uri}: {error}");
        assert!(!error.contains("root:"), "{error}");
    }
    assert_eq!(schema_error(r#"{"properties": {"a": {"$ref": "urn:example:a"}}}"#, "a: 1"), "valid");
}

#[test]
fn c8_documents_that_values_smuggle_in_are_objects_like_any_other() {
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: {{ .Values.secret }}\n{{ .Values.more }}\n";
    let values = "secret: s\nmore: |\n  ---\n  apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRoleBinding\n  metadata: {name: evil}\n";
    let chart = chart_of([file("templates/a.yaml", template), file("values.yaml", values)]).unwrap();
    let rendered = on_big_stack(|| render_chart(&chart, &options())).unwrap().unwrap();
    let objects = manifest::parse(&rendered.manifest).unwrap();
    let kinds: Vec<_> = objects.iter().map(|object| object.id.kind.as_str()).collect();
    assert_eq!(kinds, ["ConfigMap", "ClusterRoleBinding"]);
}

#[test]
fn c9_post_renderers_fetch_and_run_nothing() {
    let check = |post_renderer: serde_json::Value| {
        let release = serde_json::from_value(json!({
            "apiVersion": "pintle.dev/v1", "kind": "HelmRelease",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": {
                "chart": {"oci": {"url": "oci://registry.example.com/charts/web", "version": "1.x"}},
                "postRenderers": [post_renderer],
            },
        }));
        api::validate::validate(&release.unwrap())
    };
    let patch = "{kind: Pod, apiVersion: v1, metadata: {name: web}}";
    for (post_renderer, field) in [
        (json!({"exec": {"command": "sh"}}), "exec"),
        (json!({"kustomize": {"images": []}, "plugin": "x"}), "plugin"),
        (json!({"kustomize": {"resources": ["https://example.com/base"]}}), "kustomize.resources"),
        (json!({"kustomize": {"bases": ["github.com/org/base?ref=v1"]}}), "kustomize.bases"),
        (json!({"kustomize": {"components": ["../../elsewhere"]}}), "kustomize.components"),
        (json!({"kustomize": {"helmCharts": [{"name": "web"}]}}), "kustomize.helmCharts"),
        (json!({"kustomize": {"generators": ["plugin.yaml"]}}), "kustomize.generators"),
        (json!({"kustomize": {"transformers": ["plugin.yaml"]}}), "kustomize.transformers"),
        (
            json!({"kustomize": {"patches": [{"patch": patch, "path": "https://example.com/p"}]}}),
            "kustomize.patches[0].path",
        ),
        (
            json!({"kustomize": {"patches": [{"patch": patch, "options": {"allowNameChange": true}}]}}),
            "kustomize.patches[0].options",
        ),
        (
            json!({"kustomize": {"patches": [{"patch": patch, "target": {"labels": "a=b"}}]}}),
            "kustomize.patches[0].target.labels",
        ),
        (json!({"kustomize": {"images": [{"name": "web", "tagSuffix": "-x"}]}}), "kustomize.images[0].tagSuffix"),
    ] {
        let error = check(post_renderer).unwrap_err().to_string();
        let says =
            format!("spec.postRenderers[0].{field}: a post-renderer fetches and runs nothing; what may be written");
        assert!(error.starts_with(&says) && !error.contains("; spec."), "{field}: {error}");
    }
    // A patch is the text of one, never where one lies.
    for text in ["https://example.com/patch.yaml", "github.com/org/base?ref=v1", "patch.yaml"] {
        let error = check(json!({"kustomize": {"patches": [{"patch": text, "target": {}}]}})).unwrap_err().to_string();
        assert!(error.starts_with("spec.postRenderers[0].kustomize.patches[0].patch: "), "{text}: {error}");
    }
    // Kustomize's own configuration is an object like any other: one that the chart does not have.
    let kustomization = "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, metadata: {name: web}, \
                         resources: ['https://example.com/base']}";
    let rules = check(json!({"kustomize": {"patches": [{"patch": kustomization}]}})).unwrap().post_rendering.rules;
    let error = rules.apply("", &[]).unwrap_err().to_string();
    assert!(error.contains("the chart has no kustomize.config.k8s.io/v1beta1 Kustomization web"), "{error}");
}
