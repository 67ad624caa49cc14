//! Calls of every function a chart may call, as templates.

use fastrand::Rng;
use pintle::value::{Signature, Type};

use crate::ours::Case;
use crate::words::{self, literal, once_in, pick};

/// A function by name, with the types of its parameters.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) signature: Signature,
}

const fn function(name: &'static str, parameters: &'static [Type]) -> Function {
    Function { name, signature: Signature { parameters, variadic: false } }
}

const fn variadic(name: &'static str, parameters: &'static [Type]) -> Function {
    Function { name, signature: Signature { parameters, variadic: true } }
}

use Type::{Any, String as Text};

/// What Helm and `text/template` add to Sprig's functions, or put in their place.
const OTHERS: &[Function] = &[
    function("toYaml", &[Any]),
    function("mustToYaml", &[Any]),
    function("toYamlPretty", &[Any]),
    function("fromYaml", &[Text]),
    function("fromYamlArray", &[Text]),
    function("toToml", &[Any]),
    function("mustToToml", &[Any]),
    function("fromToml", &[Text]),
    function("fromJsonArray", &[Text]),
    function("mustToDuration", &[Any]),
    function("durationSeconds", &[Any]),
    function("durationMilliseconds", &[Any]),
    function("durationMicroseconds", &[Any]),
    function("durationNanoseconds", &[Any]),
    function("durationMinutes", &[Any]),
    function("durationHours", &[Any]),
    function("durationDays", &[Any]),
    function("durationWeeks", &[Any]),
    function("durationRoundTo", &[Any, Any]),
    function("durationTruncateTo", &[Any, Any]),
    function("include", &[Text, Any]),
    function("tpl", &[Text, Any]),
    function("required", &[Text, Any]),
    function("lookup", &[Text, Text, Text, Text]),
    variadic("and", &[Any, Any]),
    variadic("or", &[Any, Any]),
    function("not", &[Any]),
    function("len", &[Any]),
    variadic("index", &[Any, Any]),
    variadic("call", &[Any, Any]),
    variadic("eq", &[Any, Any]),
    function("ne", &[Any, Any]),
    function("lt", &[Any, Any]),
    function("le", &[Any, Any]),
    function("gt", &[Any, Any]),
    function("ge", &[Any, Any]),
    variadic("print", &[Any]),
    variadic("println", &[Any]),
    variadic("printf", &[Text, Any]),
    variadic("html", &[Any]),
    variadic("js", &[Any]),
    variadic("urlquery", &[Any]),
    // Two methods of what templates see, each with arguments.
    function(".Capabilities.APIVersions.Has", &[Text]),
    function(".Files.Get", &[Text]),
    function(".Files.GetBytes", &[Text]),
    function(".Files.Glob", &[Text]),
    function(".Files.Lines", &[Text]),
];

/// Functions that are not called with generated arguments, each with the reason. `structure.rs` looks at all of them but
/// the last.
pub(crate) const EXCLUDED: &[(&str, &str)] = &[
    ("randAlpha", "draws from the same source in another way; alphabet and length are checked"),
    ("randAlphaNum", "the same"),
    ("randAscii", "the same"),
    ("randNumeric", "the same"),
    ("randInt", "math/rand cannot be given a source; the range is checked"),
    ("shuffle", "the same; that it is a permutation is checked"),
    ("genCA", "keys cannot be given; the certificate is checked by its parts"),
    ("genSelfSignedCert", "the same"),
    ("genSignedCert", "the same"),
    ("genPrivateKey", "the same"),
];

/// Slow on purpose, so called less often.
const SLOW: &[&str] = &["bcrypt", "htpasswd", "derivePassword"];

/// Every function to call, by name.
pub(crate) fn functions() -> Vec<Function> {
    let of_sprig = pintle::sprig::FUNCTIONS.iter().map(|f| Function { name: f.name, signature: f.signature });
    let mut all: Vec<Function> = of_sprig.filter(|f| EXCLUDED.iter().all(|(name, _)| *name != f.name)).collect();
    all.extend(OTHERS.iter().map(|f| Function { name: f.name, signature: f.signature }));
    all.sort_by_key(|function| function.name);
    all
}

/// What templates of this tier see.
pub(crate) const VALUES: &str = r#"
a: 1
f: 3.5
i: 7
big: 1000000
neg: -7.9
t: true
no: false
n: null
s: abc
b: two words
u: "héllo wörld"
es: ""
l: [1, two, 3.5, true, null]
e: []
em: {}
z: 0
m: {x: 1, y: {z: 2}, "k k": [a, {b: c}]}
strs: [b, a, c, a]
nested: {a: {b: {c: deep}}, list: [{n: 1}, {n: 2, m: [x]}]}
nums: [3, 1, 2, 2.5, -1]
multi: "line one\nline two\n  indented\n"
num: "42"
date: "2020-05-06"
huge: 123456789012345678901234567890
"#;

/// A template that calls the function, in a chart with files and helpers.
pub(crate) fn case(rng: &mut Rng, function: &Function) -> Case {
    let mut call = call(rng, function);
    while function.name.starts_with("print") && holds_struct(&call)
        || call.contains("eepCopy") && [".Capabilities", "$", " .", "(.)"].iter().any(|all| call.contains(all))
    {
        // A deep copy loses the field of the version that Go does not export.
        call = self::call(rng, function);
    }
    let template = frame(rng, function.name, &call);
    Case::template(template)
        .values(VALUES)
        .file("templates/_h.tpl", "{{ define \"h\" }}<{{ . }}>{{ end }}{{ define \"fails\" }}{{ .x.y.z }}{{ end }}")
        .file("conf/a.txt", "one\ntwo\n\nthree")
        .file("conf/b.bin", b"\x00\xff\xfe bin\n".as_slice())
        .file("conf/sub/c.yaml", "k: v\n")
}

/// How often a function is picked.
pub(crate) fn is_wanted(rng: &mut Rng, function: &Function) -> bool {
    !SLOW.contains(&function.name) || once_in(rng, 30)
}

fn call(rng: &mut Rng, function: &Function) -> String {
    let Signature { parameters, variadic } = function.signature;
    let fixed = if variadic { parameters.len() - 1 } else { parameters.len() };
    let mut arguments: Vec<String> =
        (0..fixed).map(|place| argument(rng, function.name, parameters[place], place)).collect();
    if variadic {
        let last = parameters[parameters.len() - 1];
        for more in 0..rng.usize(..5) {
            arguments.push(argument(rng, function.name, last, fixed + more));
        }
    }
    match rng.u32(..60) {
        0 => arguments.push(any(rng)),
        1 => drop(arguments.pop()),
        _ => {}
    }
    let name = function.name;
    if once_in(rng, 6)
        && let Some(last) = arguments.pop()
    {
        return format!("({last}) | {name} {}", arguments.join(" "));
    }
    format!("{name} {}", arguments.join(" "))
}

const FORMATS: &[&str] = &[
    "%T|%v",
    "%T|%+v",
    "%T|%q",
    "%T|%d",
    "%T|%x",
    "%T|%5.1v",
    "%T|%s",
    "%T|% x",
    "%T|%#q",
    "%T|%08.3f",
    "%T|%t",
    "%T|%U",
    "%T|%e",
    "%T|%-9v|",
];
const ENDS: &[&str] = &[
    "toYaml",
    "toJson",
    "mustToRawJson",
    "mustToPrettyJson",
    "toToml",
    "toYamlPretty",
    "quote",
    "squote",
    "toString",
    "typeOf",
    "len",
    "kindOf",
    "toStrings",
    "print",
    "html",
    "js",
    "toRawJson",
    "mustToYaml",
    "mustToToml",
    "b64enc",
    "int64",
    "float64",
    "not",
    "first",
    "empty",
    "toDecimal",
];

/// Whether a time or a version is among the arguments. Under verbs for numbers, Go prints the fields of such a struct,
/// with addresses.
fn holds_struct(call: &str) -> bool {
    ["now", "ate", "odify", "semver"].iter().any(|word| call.contains(word))
}

fn frame(rng: &mut Rng, name: &str, call: &str) -> String {
    // Go's maps give these in any order.
    if name == "keys" || name == "values" {
        return format!("{{{{ {call} | sortAlpha }}}}");
    }
    match rng.u32(..13) {
        0..=2 => format!("{{{{ {call} }}}}"),
        3..=5 => {
            let format = if holds_struct(call) { "%T|%v" } else { pick(rng, FORMATS) };
            format!("{{{{ $r := {call} }}}}{{{{ printf {format:?} $r $r }}}}|{{{{ $r }}}}")
        }
        6..=8 => format!("{{{{ $r := {call} }}}}{{{{ $r | {} }}}}|{{{{ $r | {} }}}}", pick(rng, ENDS), pick(rng, ENDS)),
        9 => format!("{{{{ range $k, $v := {call} }}}}[{{{{ $k }}}}={{{{ $v }}}}]{{{{ else }}}}none{{{{ end }}}}"),
        10 => format!("{{{{ with {call} }}}}[{{{{ . }}}}{{{{ kindOf . }}}}]{{{{ else }}}}empty{{{{ end }}}}"),
        11 => {
            let functions = functions();
            let outer = &functions[rng.usize(..functions.len())];
            if holds_struct(call) && outer.name.starts_with("print")
                || SLOW.contains(&outer.name)
                || matches!(outer.name, "keys" | "values")
                || counts(outer.name, 0)
                || counts(outer.name, 1)
            {
                return format!("{{{{ ({call}).x }}}}");
            }
            let parameters = outer.signature.parameters.len();
            let before: Vec<String> = (0..parameters.saturating_sub(1))
                .map(|place| argument(rng, outer.name, outer.signature.parameters[place], place))
                .collect();
            format!("{{{{ {call} | {} {} }}}}", outer.name, before.join(" "))
        }
        _ => format!("{{{{- $m := {} -}}}}{{{{ $r := {call} }}}}{{{{ $m | toJson }}}}{{{{ $r | toJson }}}}", map(rng)),
    }
}

/// Whether a number there decides how much is made, so that a large one would fill the memory.
fn counts(name: &str, place: usize) -> bool {
    match name {
        "until" | "untilStep" | "seq" | "randBytes" => true,
        "repeat" | "indent" | "nindent" => place == 0,
        _ => false,
    }
}

/// An argument for a parameter: mostly of its type, and mostly of what the function is for.
fn argument(rng: &mut Rng, name: &str, wanted: Type, place: usize) -> String {
    if counts(name, place) {
        return words::count(rng);
    }
    if once_in(rng, 25) {
        return any(rng);
    }
    if once_in(rng, 2)
        && let Some(topic) = topic(rng, name, place)
    {
        return topic;
    }
    match wanted {
        Type::Any | Type::Reflect => any(rng),
        Type::Bool => pick(rng, &["true", "false", ".Values.t", ".Values.no", "(not .Values.x)"]).to_owned(),
        Type::Int | Type::Int32 | Type::Int64 | Type::Uint8 | Type::Uint32 => {
            if once_in(rng, 5) {
                pick(rng, &["(int .Values.i)", "(len .Values.l)", "(int \"12\")", "(atoi \"-3\")", "(int64 4 | int)"])
                    .to_owned()
            } else {
                words::int(rng)
            }
        }
        Type::Float64 => words::float(rng),
        Type::String => string(rng),
        Type::Bytes => pick(rng, &["(.Files.GetBytes \"conf/b.bin\")", "(.Files.GetBytes \"none\")"]).to_owned(),
        Type::AnyList | Type::StringList => list(rng),
        Type::AnyMap | Type::StringMap => map(rng),
        Type::Time => time(rng),
        Type::Duration => format!("(mustToDuration {:?})", words::duration(rng)),
        Type::Certificate => {
            let key = words::private_key(rng);
            format!("(genCAWithKey \"x\" {} {key:?})", words::int(rng))
        }
        Type::Writer => "nil".to_owned(),
    }
}

fn quoted(rng: &mut Rng, text: impl AsRef<[u8]>) -> String {
    literal(rng, text.as_ref())
}

/// What a function is for.
fn topic(rng: &mut Rng, name: &str, place: usize) -> Option<String> {
    let text = match (name, place) {
        (name, 0) if name.to_lowercase().contains("regex") && name != "regexQuoteMeta" => words::regex(rng),
        ("regexReplaceAll" | "mustRegexReplaceAll" | "regexReplaceAllLiteral" | "mustRegexReplaceAllLiteral", 2) => {
            pick(
                rng,
                &["$1", "${1}x", "$name", "${name}", "$0", "$$", "$", "${", "$1x", "${1", "$é", "\\1", "$2$1", "${99}"],
            )
            .to_owned()
        }
        (name, 1) if name.to_lowercase().contains("regex") => pick(
            rng,
            &[
                "foo bar baz",
                "aaa",
                "a1b22c333",
                "abababab",
                "héllo 世界",
                "line1\nline2\n",
                "2020-01-02",
                "",
                "AbC",
                "a.b*c",
            ],
        )
        .to_owned(),
        ("semver", 0) | ("semverCompare", 1) => words::version(rng),
        ("semverCompare", 0) => words::constraint(rng),
        ("date" | "dateInZone" | "date_in_zone" | "toDate" | "mustToDate", 0) => words::layout(rng),
        ("toDate" | "mustToDate", 1) => words::date(rng),
        ("dateInZone" | "date_in_zone", 2) | ("htmlDateInZone", 1) => words::zone(rng).to_owned(),
        ("dateModify" | "date_modify" | "mustDateModify" | "must_date_modify", 0) => words::duration(rng),
        ("date" | "dateInZone" | "date_in_zone", 1) | ("htmlDate" | "htmlDateInZone" | "ago" | "durationRound", 0) => {
            return Some(time(rng));
        }
        (name, _) if name.starts_with("duration") || name == "mustToDuration" => words::duration(rng),
        ("fromYaml" | "fromYamlArray", 0) => String::from_utf8_lossy(&crate::documents::yaml(rng)).into_owned(),
        ("fromJson" | "mustFromJson" | "fromJsonArray", 0) => {
            String::from_utf8_lossy(&crate::documents::json(rng)).into_owned()
        }
        ("fromToml", 0) => String::from_utf8_lossy(&crate::documents::toml(rng)).into_owned(),
        ("tpl", 0) => crate::templates::small(rng),
        ("include", 0) => pick(rng, &["h", "fails", "none", ""]).to_owned(),
        ("kindIs", 0) => {
            pick(rng, &["string", "map", "slice", "int", "float64", "invalid", "bool", "ptr", "struct"]).to_owned()
        }
        ("typeIs" | "typeIsLike", 0) => pick(
            rng,
            &[
                "string",
                "map[string]interface {}",
                "[]interface {}",
                "int",
                "float64",
                "bool",
                "*semver.Version",
                "semver.Version",
                "time.Time",
                "<nil>",
                "int64",
            ],
        )
        .to_owned(),
        ("printf", 0) => format(rng),
        ("derivePassword", 1) => pick(rng, &["long", "maximum", "medium", "short", "basic", "pin", "none"]).to_owned(),
        (".Files.Glob", 0) => pick(
            rng,
            &[
                "conf/*",
                "**",
                "conf/**",
                "*.txt",
                "conf/[ab].*",
                "{conf,x}/*.txt",
                "**/c.yaml",
                "conf/?.txt",
                "[",
                "conf/[!a].*",
                "{a,b",
                "conf\\/a.txt",
            ],
        )
        .to_owned(),
        (".Files.Get" | ".Files.GetBytes" | ".Files.Lines", 0) => {
            pick(rng, &["conf/a.txt", "conf/b.bin", "none", "conf/sub/c.yaml", ""]).to_owned()
        }
        (".Capabilities.APIVersions.Has", 0) => {
            pick(rng, &["v1", "apps/v1", "apps/v1/Deployment", "none", "batch/v1beta1"]).to_owned()
        }
        ("dig", place) => {
            return Some(if place < 3 && !once_in(rng, 4) {
                pick(rng, &["\"a\"", "\"b\"", "\"x\"", "\"y\"", "\"z\"", "\"k k\""]).to_owned()
            } else {
                map(rng)
            });
        }
        ("pick" | "omit", 1..) | ("get" | "hasKey" | "unset" | "set", 1) | ("pluck", 0) => {
            pick(rng, &["a", "b", "x", "y", "k", "none", ""]).to_owned()
        }
        ("index", 1..) => {
            return Some(
                pick(rng, &["0", "1", "2", "\"x\"", "\"y\"", "\"a\"", "-1", "nil", "1.0", "(int64 1)"]).to_owned(),
            );
        }
        ("urlJoin", 0) => return Some(url(rng)),
        ("default" | "coalesce" | "ternary" | "empty", _) => {
            return Some(
                pick(
                    rng,
                    &[
                        "\"\"",
                        "0",
                        "false",
                        "nil",
                        "(list)",
                        "(dict)",
                        ".Values.none",
                        "\"x\"",
                        "1",
                        "0.0",
                        "(semver \"1.0.0\")",
                        "(toDate \"x\" \"y\")",
                    ],
                )
                .to_owned(),
            );
        }
        ("genCAWithKey", 2) | ("genSelfSignedCertWithKey", 4) | ("genSignedCertWithKey", 5) => words::private_key(rng),
        (
            "first" | "last" | "rest" | "initial" | "reverse" | "uniq" | "compact" | "sortAlpha" | "toStrings"
            | "concat" | "len" | "mustFirst" | "mustLast" | "mustRest" | "mustInitial" | "mustReverse" | "mustUniq"
            | "mustCompact" | "all" | "any",
            _,
        ) => {
            return Some(list(rng));
        }
        (
            "append" | "prepend" | "push" | "mustAppend" | "mustPush" | "mustPrepend" | "without" | "mustWithout"
            | "slice" | "mustSlice",
            0,
        ) => {
            return Some(list(rng));
        }
        ("has" | "mustHas" | "join" | "chunk" | "mustChunk", 1) => return Some(list(rng)),
        (name, _) if name.starts_with("merge") || name.starts_with("mustMerge") => return Some(map(rng)),
        (
            "add" | "sub" | "mul" | "div" | "mod" | "add1" | "max" | "min" | "biggest" | "floor" | "ceil" | "round"
            | "int" | "int64" | "float64" | "addf" | "subf" | "mulf" | "divf" | "add1f" | "maxf" | "minf" | "toDecimal"
            | "duration" | "lt" | "le" | "gt" | "ge" | "eq" | "ne",
            _,
        ) => {
            return Some(match rng.u32(..5) {
                0 | 1 => words::int(rng),
                2 => words::float(rng),
                3 => format!("{:?}", words::int(rng)),
                _ => pick(
                    rng,
                    &[
                        "(uint8 3)",
                        "(index \"x\" 0)",
                        "(int64 5)",
                        "(mustToDuration \"1s\")",
                        "now.Month",
                        "now.Weekday",
                        ".Values.f",
                        ".Values.num",
                        "true",
                        "nil",
                        "(len \"ab\")",
                        "\"1.9\"",
                        "\"0x1F\"",
                        "\" 3\"",
                        "\"1e3\"",
                        "\"-08\"",
                    ][1..],
                )
                .to_owned(),
            });
        }
        _ => return None,
    };
    Some(quoted(rng, text))
}

fn url(rng: &mut Rng) -> String {
    let mut out = String::from("(dict");
    for part in ["scheme", "host", "path", "query", "fragment", "userinfo", "opaque"] {
        if rng.bool() {
            let value = pick(
                rng,
                &[
                    "http",
                    "h.example:80",
                    "/a b/c",
                    "q=1&r=é",
                    "frag ment",
                    "u:p",
                    "x%20y",
                    "",
                    "//x",
                    "a@b",
                    "[::1]",
                    "%zz",
                    "mailto",
                    "a:b",
                ],
            );
            out.push_str(&format!(" {part:?} {value:?}"));
        }
    }
    out + ")"
}

fn format(rng: &mut Rng) -> String {
    let mut out = String::new();
    for _ in 0..rng.u32(1..4) {
        out.push_str(pick(rng, &["", "a", " ", "é", "%%", "x:"]));
        out.push('%');
        out.push_str(pick(rng, &["", "", "", "-", "+", "#", "0", " ", "+0", "-0", "# ", "+#", "0-"]));
        out.push_str(pick(rng, &["", "", "", "5", "12", "0", "1", "*", "[1]", "[2]", "[3]*", "[0]", "[x]", "[1"]));
        out.push_str(pick(rng, &["", "", "", ".2", ".0", ".", ".10", ".*", ".[1]*", ".-1", ".40"]));
        out.push_str(pick(rng, &["", "", "", "", "[1]", "[2]"]));
        out.push_str(pick(
            rng,
            &[
                "d", "s", "v", "q", "x", "X", "t", "c", "U", "e", "E", "f", "F", "g", "G", "b", "o", "O", "T", "v",
                "s", "d", "z", "é", "!", "w", "",
            ],
        ));
    }
    out
}

/// Any value, of any type a template can come by.
pub(crate) fn any(rng: &mut Rng) -> String {
    match rng.u32(..14) {
        0..=2 => string(rng),
        3 => words::int(rng),
        4 => words::float(rng),
        5..=6 => list(rng),
        7..=8 => map(rng),
        9 => pick(rng, &["nil", "true", "false", ".Values.n", ".Values.none", ".Values.es", ".Values.t"]).to_owned(),
        10 => pick(
            rng,
            &[
                ".Values.a",
                ".Values.f",
                ".Values.big",
                ".Values.neg",
                ".Values.s",
                ".Values.u",
                ".Values.multi",
                ".Values.date",
                ".Values.huge",
                ".Values.num",
                ".Values.m.y",
                ".Values.l",
            ],
        )
        .to_owned(),
        11 => pick(
            rng,
            &[
                "(int64 5)",
                "(index \"x\" 0)",
                "(mustToDuration \"90s\")",
                "now.Month",
                "now.Weekday",
                "(len \"héllo\")",
                "(add 1 2)",
                "(add1f 0.5)",
                "(float64 \"NaN\")",
                "(float64 \"-inf\")",
                "now.Year",
                "(now.Sub now)",
                "(toDecimal \"777\")",
                "now.UnixNano",
            ],
        )
        .to_owned(),
        12 => time(rng),
        _ => pick(
            rng,
            &[
                "(semver \"1.2.3-rc.1+b\")",
                ".Capabilities.KubeVersion",
                ".Capabilities.HelmVersion.Version",
                ".Release.Revision",
                ".Chart.Name",
                ".Chart.Keywords",
                ".Chart.Annotations",
                "(.Files.Glob \"conf/*.txt\")",
                "(.Files.GetBytes \"conf/b.bin\")",
                "(.Files.Get \"conf/b.bin\")",
                ".Release",
                ".Template",
                ".Subcharts",
                "(split \",\" \"a,b\")",
                "(toDate \"2006\" \"x\")",
                ".Chart.Type",
                ".Chart.Maintainers",
                ".Chart.Deprecated",
                ".Chart.Dependencies",
                ".Chart.IsRoot",
                ".Files",
                ".Values",
                ".Chart",
            ],
        )
        .to_owned(),
    }
}

fn string(rng: &mut Rng) -> String {
    if once_in(rng, 12) {
        return pick(
            rng,
            &[
                ".Values.s",
                ".Values.b",
                ".Values.u",
                ".Values.es",
                ".Values.multi",
                ".Values.num",
                "(trunc 2 \"héllo\")",
                "(print 1 nil)",
                ".Release.Name",
                "(b64dec \"//79\")",
                "(repeat 30 \"ab\")",
            ],
        )
        .to_owned();
    }
    let text = words::text(rng);
    literal(rng, &text)
}

fn list(rng: &mut Rng) -> String {
    match rng.u32(..12) {
        0 => pick(
            rng,
            &[".Values.l", ".Values.e", ".Values.strs", ".Values.nums", ".Values.nested.list", ".Values.none"],
        )
        .to_owned(),
        1 => pick(rng, &["(until 4)", "(untilStep 9 0 -3)", "(until 0)", "(untilStep 0 3 1)"]).to_owned(),
        2 => pick(
            rng,
            &[
                "(splitList \",\" \"b,a,,b\")",
                "(splitList \"\" \"añb\")",
                "(toStrings (list 1 nil 2.5))",
                "(regexFindAll \"a\" \"bab\" -1)",
                "(regexFindAll \"z\" \"bab\" -1)",
                "(sortAlpha (list \"b\" \"a\"))",
            ],
        )
        .to_owned(),
        3 => pick(rng, &["(chunk 2 (list 1 2 3))", "(chunk 1 (list))", "(chunk 1 (until 3))"]).to_owned(),
        4 => pick(
            rng,
            &[
                "\"abc\"",
                ".Capabilities.APIVersions",
                "(rest (list 1))",
                "(initial (list))",
                "(without (list 1 2) 1)",
                "(fromJsonArray \"[1,[2],{}]\")",
                "(fromYamlArray \"- 1\\n- a: b\\n\")",
                "(.Files.GetBytes \"conf/a.txt\")",
                "(compact (list 0 \"\" nil))",
                "(uniq (list 1 1.0 \"1\"))",
                "(pluck \"a\" (dict \"a\" 1))",
                "(concat (list 1) (list 2))",
                "(reverse (splitList \",\" \"x,y\"))",
            ],
        )
        .to_owned(),
        _ => {
            let items: Vec<String> =
                (0..rng.usize(..5)).map(|_| if once_in(rng, 6) { any(rng) } else { scalar(rng) }).collect();
            format!("(list {})", items.join(" "))
        }
    }
}

fn map(rng: &mut Rng) -> String {
    match rng.u32(..12) {
        0 => pick(
            rng,
            &[
                ".Values.m",
                ".Values.em",
                ".Values.nested",
                ".Values",
                ".Values.none",
                "$.Values.m.y",
                ".Chart.Annotations",
                ".Release",
            ],
        )
        .to_owned(),
        1 => pick(
            rng,
            &[
                "(split \",\" \"a,b\")",
                "(splitn \",\" 2 \"a,b,c\")",
                "(fromYaml \"a: 1\\nb: {c: [d]}\")",
                "(fromJson \"{\\\"a\\\":null}\")",
                "(urlParse \"http://u@h/p?q#f\")",
                "(fromToml \"a=1\")",
                "(.Files.Glob \"*\")",
                "(set (dict) \"a\" 1)",
                "(fromYaml \"- 1\")",
                "(deepCopy .Values.m)",
                "(lookup \"v1\" \"Pod\" \"\" \"\")",
            ],
        )
        .to_owned(),
        2 => "(dict \"a\" 1 \"b\" (dict \"x\" 1 \"y\" (dict \"z\" (list 1 (dict \"k\" nil)))))".to_owned(),
        _ => {
            let mut out = String::from("(dict");
            for _ in 0..rng.usize(..4) {
                let key = if once_in(rng, 5) {
                    string(rng)
                } else {
                    pick(rng, &["\"a\"", "\"b\"", "\"x\"", "\"y\"", "\"k\"", "\"z\"", "1", "\"true\"", "\"\""])
                        .to_owned()
                };
                let value = if once_in(rng, 4) { any(rng) } else { scalar(rng) };
                out.push_str(&format!(" {key} {value}"));
            }
            out + ")"
        }
    }
}

fn scalar(rng: &mut Rng) -> String {
    match rng.u32(..9) {
        0..=2 => string(rng),
        3 => words::int(rng),
        4 => words::float(rng),
        5 => pick(rng, &["nil", "true", "false", "\"\"", "0", "0.0", "(list)", "(dict)"]).to_owned(),
        6 => pick(rng, &["1", "2", "\"a\"", "\"b\"", "1.0", "(int64 1)"]).to_owned(),
        7 => pick(rng, &["(dict \"a\" 1)", "(list 1 2)", "(list \"a\")", "(dict \"x\" (dict))"]).to_owned(),
        _ => pick(
            rng,
            &[
                ".Values.a",
                ".Values.s",
                ".Values.n",
                ".Values.big",
                "(mustToDuration \"1m\")",
                "(semver \"1.0.0\")",
                "now",
            ],
        )
        .to_owned(),
    }
}

fn time(rng: &mut Rng) -> String {
    match rng.u32(..9) {
        0 => "now".to_owned(),
        1..=2 => {
            let date = words::date(rng);
            format!(
                "(toDate {} {date:?})",
                pick(
                    rng,
                    &[
                        "\"2006-01-02\"",
                        "\"2006-01-02T15:04:05Z07:00\"",
                        "\"2006-01-02T15:04:05Z\"",
                        "\"2006-01-02 15:04:05.000 -0700\""
                    ]
                )
            )
        }
        3 => format!(
            "(toDate \"2006-01-02 15:04:05\" \"{:04}-{:02}-{:02} {:02}:{:02}:{:02}\")",
            rng.u32(1..9999),
            rng.u32(1..13),
            rng.u32(1..29),
            rng.u32(..24),
            rng.u32(..60),
            rng.u32(..60)
        ),
        4 => format!("(now | dateModify {:?})", words::duration(rng)),
        5 => rng.i64(-100_000_000_000..100_000_000_000).to_string(),
        6 => format!("(int64 {})", rng.i32(..)),
        7 => pick(
            rng,
            &[
                "(toDate \"2006-01-02 15:04:05 -0700\" \"2020-05-06 07:08:09 +0530\")",
                "(toDate \"2006-01-02 MST\" \"2020-05-06 CEST\")",
                "(now.AddDate 1 -14 40)",
                "(now.UTC)",
                "(now.Add 1000000000)",
                "(now.Truncate 3600000000000)",
            ],
        )
        .to_owned(),
        _ => pick(rng, &["nil", "\"2020-01-01\"", "0", "-1", "1.5e9", "(int 1600000000)"]).to_owned(),
    }
}
