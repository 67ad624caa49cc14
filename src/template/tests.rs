//! Templates against what Go printed for them (`go.golden`), and what Go does not do: limits, budgets, caret places.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;

use super::func::{Call, Fault, Func, FuncTable, Host, KeyType};
use super::{Error, MissingKey, Set, Template, execute};
use crate::value::{
    ElementType, IntType, Kind, List, Map, MapType, Object, Signature, Str, Type, UintType, Value, fmt, strconv,
};

struct TestHost {
    steps_left: Cell<u64>,
}

impl TestHost {
    fn new() -> Self {
        TestHost { steps_left: Cell::new(u64::MAX) }
    }
}

impl Host for TestHost {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn local_zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::UTC
    }
    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
    fn private_key(&self, _: KeyType) -> Result<Vec<u8>, Fault> {
        Err("no keys in tests".into())
    }
    fn spend(&self, steps: u64) -> Result<(), Fault> {
        let left = self.steps_left.get().checked_sub(steps).ok_or(Fault::Budget("out of steps".into()))?;
        self.steps_left.set(left);
        Ok(())
    }
    fn map_method(&self, _: &Map, name: &str, _: &[Value]) -> Option<Result<Value, Fault>> {
        (name == "Get").then(|| Ok(Value::string("content")))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Body = fn(&mut Call<'_>, &[Value]) -> Result<Value, Fault>;

const fn func(name: &'static str, parameters: &'static [Type], body: Body) -> Func {
    Func { name, signature: Signature { parameters, variadic: false }, body }
}

const fn variadic(name: &'static str, parameters: &'static [Type], body: Body) -> Func {
    Func { name, signature: Signature { parameters, variadic: true }, body }
}

fn same(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    Ok(arguments[0].clone())
}

fn type_of(_: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    Ok(Value::string(arguments[0].type_name()))
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(_, number) => *number,
        Value::Float(float) => *float as i64,
        other => panic!("{other:?} is no number"),
    }
}

fn text(value: &Value) -> &[u8] {
    match value {
        Value::Str(text) => text.as_bytes(),
        other => panic!("{other:?} is no text"),
    }
}

fn map(value: &Value) -> &Map {
    match value {
        Value::Map(map) => map,
        other => panic!("{other:?} is no map"),
    }
}

fn one(map_type: MapType, value: Value) -> Result<Value, Fault> {
    Ok(Value::Map(Map::typed(map_type, [(Str::from("k"), value)].into())))
}

fn tpl(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Fault> {
    let body = text(&arguments[0]);
    let quoted = String::from_utf8_lossy(&strconv::quote(body)).into_owned();
    let mut set = call.execution.set().clone();
    let source = || Str::from(body);
    let template = set.parse("gotpl", body).map_err(|error| Fault::Wrapped {
        text: format!("cannot parse template {quoted}"),
        source: source(),
        error: Box::new(error),
    })?;
    match call.execution.execute_in(&set, &template, &arguments[1]) {
        Ok(out) => Ok(Value::string(out)),
        Err(Fault::Template(error)) => {
            let text = format!("error during tpl function execution for {quoted}");
            Err(Fault::Wrapped { text, source: source(), error })
        }
        Err(fault) => Err(fault),
    }
}

const FUNCS: &[Func] = &[
    func("any", &[Type::Any], same),
    func("bytes", &[Type::String], |_, a| Ok(Value::Bytes(text(&a[0]).to_vec().into()))),
    func("dur", &[Type::Int64], |_, a| Ok(Value::Int(IntType::Duration, number(&a[0])))),
    func("f64", &[Type::Float64], same),
    func("fail", &[Type::String], |_, a| Err(String::from_utf8_lossy(text(&a[0])).into_owned().into())),
    func("fbool", &[Type::Bool], same),
    func("fbytes", &[Type::Bytes], same),
    func("fdur", &[Type::Duration], same),
    func("files", &[], |_, _| one(MapType::Files, Value::Bytes(b"hi".as_slice().into()))),
    func("fint", &[Type::Int], same),
    func("flist", &[Type::AnyList], type_of),
    func("fmap", &[Type::AnyMap], type_of),
    func("fsmap", &[Type::StringMap], type_of),
    func("fstrs", &[Type::StringList], type_of),
    func("i32", &[Type::Int32], same),
    func("i64", &[Type::Int64], same),
    func("imap", &[], |_, _| one(MapType::Int, Value::int(7))),
    func("include", &[Type::String, Type::Any], |call, a| {
        Ok(Value::string(call.execution.execute_template(text(&a[0]), &a[1])?))
    }),
    func("int", &[Type::Float64], |_, a| Ok(Value::int(number(&a[0])))),
    variadic("ints", &[Type::Int], |_, a| Ok(Value::List(List::typed(ElementType::Int, a.to_vec())))),
    variadic("list", &[Type::Any], |_, a| {
        Ok(Value::List(List { element: ElementType::Any, items: (!a.is_empty()).then(|| a.into()) }))
    }),
    func("month", &[Type::Int64], |_, a| Ok(Value::Int(IntType::Month, number(&a[0])))),
    func("nillist", &[], |_, _| Ok(Value::List(List { element: ElementType::Any, items: None }))),
    func("nilmap", &[], |_, _| Ok(Value::Map(Map { map_type: MapType::Any, entries: None }))),
    func("parseFloat", &[Type::String], |_, a| {
        strconv::parse_float(text(&a[0])).map(Value::Float).map_err(|error| error.to_string().into())
    }),
    func("parseInt", &[Type::String, Type::Int], |_, a| {
        let parsed = strconv::parse_int(text(&a[0]), number(&a[1]) as u32, 64);
        parsed.map(Value::int64).map_err(|error| error.to_string().into())
    }),
    func("parseUint", &[Type::String, Type::Int], |_, a| {
        let parsed = strconv::parse_uint(text(&a[0]), number(&a[1]) as u32, 64);
        parsed.map(|number| Value::Uint(UintType::Uint64, number)).map_err(|error| error.to_string().into())
    }),
    variadic("quote", &[Type::Any], |_, a| Ok(Value::string(strconv::quote(&fmt::sprint(a))))),
    func("set", &[Type::AnyMap, Type::String, Type::Any], |_, a| {
        map(&a[0]).set(text(&a[1]), a[2].clone());
        Ok(a[0].clone())
    }),
    func("smap", &[], |_, _| one(MapType::String, Value::string("v"))),
    func("str", &[Type::String], same),
    variadic("strs", &[Type::String], |_, a| Ok(Value::List(List::typed(ElementType::String, a.to_vec())))),
    func("tpl", &[Type::String, Type::Any], tpl),
    func("two", &[Type::String, Type::String], |_, a| Ok(Value::string([text(&a[0]), b"/", text(&a[1])].concat()))),
    func("typeOf", &[Type::Any], type_of),
    func("u8", &[Type::Uint8], same),
    func("unquote", &[Type::String], |_, a| {
        strconv::unquote(text(&a[0])).map(|text| Value::string(&*text)).ok_or("invalid syntax".into())
    }),
    func("values", &[Type::AnyMap], |_, a| Ok(Value::Map(map(&a[0]).with_type(MapType::Values)))),
    variadic("vari", &[Type::String, Type::Int], |_, a| {
        Ok(Value::string([text(&a[0]), format!(":{}", a.len() - 1).as_bytes()].concat()))
    }),
];

fn empty_set() -> Set {
    let mut funcs = FuncTable::default();
    funcs.extend(FUNCS);
    Set::new(Arc::new(funcs)).named("gotpl")
}

fn set_of(template: &str) -> Set {
    let mut set = empty_set();
    set.parse("t", template).expect("the template parses");
    set
}

fn run(set: &Set, data: &Value) -> Result<String, Error> {
    let out = execute(set, "t", data, &TestHost::new(), MissingKey::Zero)?;
    Ok(String::from_utf8(out).expect("the output is UTF-8"))
}

fn render(template: &str, data: &Value) -> String {
    match run(&set_of(template), data) {
        Ok(out) => out,
        Err(error) => error.to_string(),
    }
}

/// One case of `go.golden`.
#[derive(Default)]
struct GoCase {
    files: Vec<(String, String)>,
    template: Option<String>,
    data: Option<String>,
    missing: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

impl GoCase {
    fn of(lines: &[&str]) -> Self {
        let mut case = GoCase::default();
        for line in lines {
            let (mark, text) = line.split_once('|').expect("a line has a mark");
            let text = text.strip_prefix(' ').unwrap_or(text);
            let field = match mark {
                "t" => &mut case.template,
                "d" => &mut case.data,
                "m" => &mut case.missing,
                "o" => &mut case.output,
                "e" => &mut case.error,
                _ => {
                    let name = mark.strip_prefix("f ").expect("a known mark");
                    match case.files.last_mut() {
                        Some((last, body)) if last == name => *body = format!("{body}\n{text}"),
                        _ => case.files.push((name.to_owned(), text.to_owned())),
                    }
                    continue;
                }
            };
            *field = Some(match field.take() {
                Some(before) => format!("{before}\n{text}"),
                None => text.to_owned(),
            });
        }
        case
    }

    fn run(&self) -> Result<Vec<u8>, Error> {
        let missing = match self.missing.as_deref() {
            Some("default") => MissingKey::Default,
            Some("error") => MissingKey::Error,
            Some(_) | None => MissingKey::Zero,
        };
        let data = match &self.data {
            Some(json) => Value::thaw(&serde_json::from_str(json).expect("the data is JSON")),
            None => Value::Nil,
        };
        let mut set = empty_set();
        for (name, body) in &self.files {
            set.parse(name, body)?;
        }
        set.parse("t", self.template.as_deref().expect("a case has a template"))?;
        execute(&set, "t", &data, &TestHost::new(), missing)
    }
}

#[test]
fn templates_print_what_go_prints() {
    let lines: Vec<_> = include_str!("go.golden").lines().filter(|line| !line.starts_with('#')).collect();
    let cases: Vec<_> = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    let mut failures = Vec::new();
    for lines in cases {
        let case = GoCase::of(lines);
        let (output, error) = match case.run() {
            Ok(output) => (Some(String::from_utf8_lossy(&output).into_owned()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        if (&output, &error) != (&case.output, &case.error) {
            failures.push(format!("{}\ngot {output:?} {error:?}", lines.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn carriage_returns_are_trimmed_as_spaces_and_dropped_from_raw_strings() {
    // Run with Go 1.26.8.
    assert_eq!(render("x \r\n\t{{- 3 -}}\r\n\r\n y\r\n", &Value::Nil), "x3y\r\n");
    assert_eq!(render("{{\r\n`a\r\nb`\r\n}}", &Value::Nil), "a\nb");
}

#[test]
fn an_error_gives_its_places_and_the_chain_of_includes() {
    let mut set = empty_set();
    set.parse("_h.tpl", "\n{{ define \"h\" }}\n  {{ .a.b.c }}{{ end }}").expect("parses");
    set.parse("t", "x\n  {{ include \"h\" . }}").expect("parses");
    let error = run(&set, &Value::thaw(&serde_json::json!({"a": {}}))).expect_err("b is nil");

    let place = error.place().expect("it happened at a place");
    assert_eq!((place.source_name.as_str(), place.line, place.column), ("t", 2, 5));
    assert_eq!((place.template.as_str(), place.node.as_str()), ("t", r#"include "h" ."#));
    let inner = error.cause().expect("the included template failed");
    let place = inner.place().expect("it happened at a place");
    assert_eq!((place.source_name.as_str(), place.line, place.column), ("_h.tpl", 3, 7));
    assert_eq!((place.template.as_str(), place.node.as_str()), ("h", ".a.b.c"));
    assert!(inner.cause().is_none());
    assert_eq!(
        inner.to_string(),
        r#"template: _h.tpl:3:7: executing "h" at <.a.b.c>: nil pointer evaluating interface {}.c"#
    );
    assert_eq!(
        crate::text::chain(&error),
        format!(r#"template: t:2:5: executing "t" at <include "h" .>: error calling include: {inner}"#)
    );
}

#[test]
fn a_clone_of_a_set_keeps_its_templates_to_itself() {
    let mut set = set_of(r#"{{ define "a" }}1{{ end }}{{ template "a" }}"#);
    let mut clones = Vec::new();
    for i in 0..40 {
        let mut clone = set.clone();
        clone.parse("new", format!(r#"{{{{ define "a" }}}}{i}{{{{ end }}}}"#)).expect("parses");
        clones.push(clone);
    }
    set.parse("other", "text").expect("parses");

    for (i, clone) in clones.iter().enumerate() {
        assert_eq!(run(clone, &Value::Nil).expect("runs"), i.to_string());
        assert!(!clone.contains("other"));
    }
    assert_eq!(run(&set, &Value::Nil).expect("runs"), "1");
    assert!(set.contains("a") && !set.contains("new"));
    let names: Vec<_> = set.names().iter().map(|name| name.to_text().into_owned()).collect();
    assert_eq!(names, ["a", "other", "t"]);
}

#[test]
fn a_chain_of_clones_stays_searchable() {
    let mut set = set_of("{{ template \"n0\" }}{{ template \"n49\" }}{{ template \"same\" }}");
    let mut kept = Vec::new();
    for i in 0..50 {
        kept.push(set.clone());
        set.parse(format!("n{i}"), format!("{i},")).expect("parses");
        set.parse("same", format!("{i}")).expect("parses");
    }
    assert_eq!(run(&set, &Value::Nil).expect("runs"), "0,49,49");
    assert_eq!(set.names().len(), 52);
}

#[test]
fn a_failed_parse_leaves_the_set_as_it_was() {
    let mut set = set_of("{{ define \"a\" }}1{{ end }}{{ template \"a\" }}");
    assert!(set.parse("bad", "{{ define \"a\" }}2{{ end }}{{ if }}").is_err());
    assert_eq!(run(&set, &Value::Nil).expect("runs"), "1");
    assert!(!set.contains("bad"));
}

#[test]
fn parsed_templates_are_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Set>();
    is_shared::<Template>();
    is_shared::<Error>();
}

#[test]
fn functions_replace_built_in_ones_and_keywords_of_loops() {
    const OWN: &[Func] = &[
        func("len", &[Type::Any], |_, _| Ok(Value::string("mine"))),
        func("break", &[], |_, _| Ok(Value::string("broken"))),
    ];
    let mut funcs = FuncTable::default();
    funcs.extend(OWN);
    let mut set = Set::new(Arc::new(funcs));
    set.parse("t", "{{ len 1 }} {{ range 2 }}{{ break }}{{ end }}").expect("parses");
    assert_eq!(run(&set, &Value::Nil).expect("runs"), "mine brokenbroken");
}

#[test]
fn endless_recursion_is_an_error_not_a_crash() {
    for template in [
        r#"{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}"#,
        r#"{{ define "x" }}{{ if true }}{{ range 1 }}{{ template "x" . }}{{ end }}{{ end }}{{ end }}{{ template "x" . }}"#,
        r#"{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}"#,
        r#"{{ tpl . . }}"#,
    ] {
        let data = Value::string("{{ tpl . . }}");
        let error = render(template, &data);
        assert!(error.contains("exceeded maximum template depth"), "{template}: {error:.300}");
    }
}

#[test]
fn deep_nesting_of_a_text_is_an_error_not_a_crash() {
    let deep = |open: &str, middle: &str, close: &str| open.repeat(200_000) + middle + &close.repeat(200_000);
    let parens = format!("{{{{ {} }}}}", deep("(", "1", ")"));
    let error = empty_set().parse("t", parens).expect_err("too deep");
    assert_eq!(error.to_string(), "template: t:1: max expression depth exceeded");
    for text in [
        deep("{{ if 1 }}", "", "{{ end }}"),
        deep("{{ range 1 }}", "", "{{ end }}"),
        deep("{{ if 1 }}{{ else if 1 }}", "", "{{ end }}"),
        deep("{{ block \"x\" . }}", "", "{{ end }}"),
    ] {
        let error = empty_set().parse("t", text).expect_err("too deep").to_string();
        assert!(error.contains("max nesting depth exceeded"), "{error}");
    }
}

#[test]
fn nesting_as_deep_as_charts_go_is_parsed_and_run() {
    let depth = 100;
    let text = "{{ if 1 }}".repeat(depth) + "x" + &"{{ end }}".repeat(depth);
    assert_eq!(render(&text, &Value::Nil), "x");
    let text = format!("{{{{ {}1{} }}}}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(render(&text, &Value::Nil), "1");
}

#[test]
fn a_spent_budget_ends_the_render_through_every_include() {
    let set = set_of(r#"{{ define "x" }}{{ range 1000 }}{{ . }}{{ end }}{{ end }}{{ include "x" . | quote }}"#);
    let host = TestHost { steps_left: Cell::new(500) };
    let error = execute(&set, "t", &Value::Nil, &host, MissingKey::Zero).expect_err("500 steps do not do");
    assert!(matches!(error, Error::Budget { .. }), "{error}");
    assert_eq!(error.place().map(|place| place.template.as_str()), Some("x"));
    assert!(error.to_string().ends_with(": out of steps"), "{error}");
}

#[test]
fn written_text_costs_steps() {
    let set = set_of(&format!("{}{{{{ .a }}}}", "x".repeat(6400)));
    let host = TestHost::new();
    let data = Value::map([(Str::from("a"), Value::string("y".repeat(6400)))].into());
    execute(&set, "t", &data, &host, MissingKey::Zero).expect("runs");
    let spent = u64::MAX - host.steps_left.get();
    // Each byte as it is written, and the value once more as it is weighed.
    assert!((220..240).contains(&spent), "{spent}");
}

#[test]
fn a_map_that_holds_itself_is_not_printed() {
    let data = Value::map([(Str::from("a"), Value::int(1))].into());
    let printed = render(r#"{{ set . "self" . | typeOf }} {{ . }}"#, &data);
    assert!(printed.ends_with("executing \"t\" at <{{.}}>: printing met a map that holds itself"), "{printed}");
    // Nothing frees a cycle of references.
    map(&data).set("self", Value::Nil);
}

#[test]
fn text_that_doubles_without_end_spends_a_budget() {
    let set = set_of(r#"{{ $x := "xxxxxxxxxxxxxxxx" }}{{ range 64 }}{{ $x = printf "%s%s" $x $x }}{{ end }}"#);
    let error = run(&set, &Value::Nil).expect_err("nothing holds 2^68 bytes");
    assert!(matches!(error, Error::Budget { .. }), "{error}");
}

#[test]
fn complex_numbers_fail_by_name_when_they_are_used() {
    assert_eq!(
        render("{{ 1i }}", &Value::Nil),
        r#"template: t:1:3: executing "t" at <1i>: complex numbers are not supported: 1i"#
    );
    assert_eq!(render("{{ if false }}{{ 1+2i }}{{ end }}{{ fint 3+0i }}", &Value::Nil), "3");
}

/// A pointer with a method, a field, and a struct whose `String()` only its pointer has.
#[derive(Debug)]
struct Pointer;

#[derive(Debug)]
struct Version;

impl Object for Pointer {
    fn type_name(&self) -> &str {
        "*main.Pointer"
    }
    fn kind(&self) -> Kind {
        Kind::Ptr
    }
    fn field(&self, name: &str) -> Option<Value> {
        (name == "Version").then(|| Value::Object(std::rc::Rc::new(Version)))
    }
    fn method(&self, name: &str) -> Option<Signature> {
        (name == "Has").then_some(Signature { parameters: &[Type::String], variadic: false })
    }
    fn call(&self, _: &str, arguments: &[Value]) -> Result<Value, String> {
        match text(&arguments[0]) {
            b"bad" => Err("bad words".into()),
            word => Ok(Value::Bool(word == b"v1")),
        }
    }
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Version", Value::Object(std::rc::Rc::new(Version)))]
    }
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({})
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Version {
    fn type_name(&self) -> &str {
        "main.Version"
    }
    fn kind(&self) -> Kind {
        Kind::Struct
    }
    fn field(&self, name: &str) -> Option<Value> {
        (name == "Major").then(|| Value::string("1"))
    }
    fn pointer_stringer(&self) -> Option<String> {
        Some("v1.30.0".into())
    }
    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Version", Value::string("v1.30.0-gke")), ("Major", Value::string("1"))]
    }
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"Version": "v1.30.0-gke", "Major": "1"})
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn objects_behave_as_the_go_types_they_stand_for() {
    // Run with Go 1.26.8 on types of this shape.
    let data = Value::map([(Str::from("C"), Value::Object(std::rc::Rc::new(Pointer)))].into());
    let cases = [
        ("{{ .C.Version }} {{ .C.Version | quote }} {{ .C.Version.Major }}", r#"v1.30.0 "{v1.30.0-gke 1}" 1"#),
        ("{{ .C }} {{ print .C }}", "{{v1.30.0-gke 1}} &{{v1.30.0-gke 1}}"),
        (
            r#"{{ printf "%v %+v %#v" .C.Version .C.Version .C.Version }}"#,
            r#"{v1.30.0-gke 1} {Version:v1.30.0-gke Major:1} main.Version{Version:"v1.30.0-gke", Major:"1"}"#,
        ),
        (r#"{{ .C.Has "v1" }} {{ "v2" | .C.Has }}"#, "true false"),
        ("{{ eq .C .C }} {{ eq .C.Version .C.Version }} {{ if .C }}T{{ end }}", "true true T"),
        (
            "{{ .C.Nope }}",
            r#"template: t:1:5: executing "t" at <.C.Nope>: can't evaluate field Nope in type interface {}"#,
        ),
        (
            "{{ .C.Version.Nope }}",
            r#"template: t:1:5: executing "t" at <.C.Version.Nope>: can't evaluate field Nope in type main.Version"#,
        ),
        ("{{ .C.Has }}", r#"template: t:1:5: executing "t" at <.C.Has>: wrong number of args for Has: want 1 got 0"#),
        ("{{ .C.Has 1 }}", r#"template: t:1:10: executing "t" at <1>: expected string; found 1"#),
        (r#"{{ .C.Has "bad" }}"#, r#"template: t:1:5: executing "t" at <.C.Has>: error calling Has: bad words"#),
        (
            "{{ .C.Version 1 }}",
            r#"template: t:1:5: executing "t" at <.C.Version>: Version has arguments but cannot be invoked as function"#,
        ),
        ("{{ len .C }}", r#"template: t:1:3: executing "t" at <len .C>: error calling len: len of type main.Pointer"#),
        ("{{ $v := .C.Version }}{{ $v }}{{ with .C.Version }}{{ . }}{{ end }}", "v1.30.0v1.30.0"),
        ("{{ html .C.Version .C }}", "{v1.30.0-gke 1} {{v1.30.0-gke 1}}"),
        (
            r#"{{ printf "%d %s %q" .C.Version .C.Version .C.Version }}"#,
            r#"{%!d(string=v1.30.0-gke) %!d(string=1)} {v1.30.0-gke 1} {"v1.30.0-gke" "1"}"#,
        ),
        (r#"{{ printf "%s %+v" .C .C }}"#, "&{{v1.30.0-gke 1}} &{Version:{Version:v1.30.0-gke Major:1}}"),
        (
            "{{ range .C }}{{ end }}",
            r#"template: t:1:9: executing "t" at <.C>: range can't iterate over {{v1.30.0-gke 1}}"#,
        ),
        (
            "{{ (.C.Version).Nope }}",
            r#"template: t:1:6: executing "t" at <.C.Version>: can't evaluate field Nope in type main.Version"#,
        ),
        (
            "{{ eq .C.Version .C }}",
            "template: t:1:3: executing \"t\" at <eq .C.Version .C>: error calling eq: non-comparable types \
             {v1.30.0-gke 1}: main.Version, *main.Pointer: &{{v1.30.0-gke 1}}",
        ),
        (
            "{{ eq .C 1 }}",
            "template: t:1:3: executing \"t\" at <eq .C 1>: error calling eq: incompatible types for comparison: \
             *main.Pointer and int",
        ),
        (
            "{{ index .C 1 }}",
            r#"template: t:1:3: executing "t" at <index .C 1>: error calling index: can't index item of type main.Pointer"#,
        ),
    ];
    for (template, want) in cases {
        assert_eq!(render(template, &data), want, "{template}");
    }
}

#[test]
fn methods_the_engine_does_not_know_are_asked_of_the_host() {
    assert_eq!(render(r#"{{ files.Get "a" }}"#, &Value::Nil), "content");
    assert_eq!(
        render("{{ files.AsConfig }}", &Value::Nil),
        "template: t:1:8: executing \"t\" at <files.AsConfig>: error calling AsConfig: engine.files has no method \
         AsConfig in this render"
    );
    assert_eq!(
        render("{{ files.Get 1 }}", &Value::Nil),
        "template: t:1:13: executing \"t\" at <1>: expected string; found 1"
    );
}

mod generated {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of which templates consist, whole and broken.
    fn piece() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "{{",
            "}}",
            "{{-",
            "-}}",
            " ",
            "\n",
            "if ",
            "else ",
            "end",
            "range ",
            "with ",
            "define ",
            "template ",
            "block ",
            "break",
            "continue",
            "nil",
            "true",
            ".",
            ".a",
            ".a.b",
            "$",
            "$x",
            ":=",
            "=",
            ",",
            "|",
            "(",
            ")",
            "\"a\"",
            "`",
            "'c'",
            "'",
            "\"",
            "\\",
            "1",
            "0x",
            "1.5e3",
            "1i",
            "-",
            "/*",
            "*/",
            "print ",
            "printf ",
            "index ",
            "slice ",
            "and ",
            "eq ",
            "len ",
            "html ",
            "\"%*[2]d%\"",
            "é",
            "\u{0}",
            "{{ end }}",
        ];
        prop_oneof![8 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_text_makes_the_engine_panic(pieces in prop::collection::vec(piece(), 0..40)) {
            let mut set = empty_set();
            if set.parse("t", pieces.concat()).is_ok() {
                let host = TestHost { steps_left: Cell::new(10_000) };
                let data = Value::thaw(&serde_json::json!({"a": {"b": [1, null, "x"]}}));
                let _ = execute(&set, "t", &data, &host, MissingKey::Zero);
            }
        }
    }
}
