//! Templates from the grammar of `text/template`: statements, scopes, pipelines, literals, and all of it spoilt.

use fastrand::Rng;

use crate::calls;
use crate::ours::Case;
use crate::words::{self, once_in, pick};

/// One or more templates with helpers.
pub(crate) fn case(rng: &mut Rng) -> Case {
    let mut writer = Writer { rng, variables: vec!["$".into()], loops: 0, out: String::new() };
    writer.block(4, true);
    let mut main = std::mem::take(&mut writer.out).into_bytes();
    let mut helpers = String::new();
    for name in ["h", "g", "k"] {
        if name != "k" || writer.rng.bool() {
            writer.helper(name);
            helpers.push_str(&std::mem::take(&mut writer.out));
        }
    }
    let mut case = Case::default().values(calls::VALUES).file("templates/_h.tpl", helpers);
    if once_in(rng, 4) {
        for _ in 0..rng.u32(1..3) {
            spoil(rng, &mut main);
        }
    }
    if once_in(rng, 6) {
        let mut writer = Writer { rng, variables: vec!["$".into()], loops: 0, out: String::new() };
        writer.helper("h");
        writer.block(2, true);
        let other = std::mem::take(&mut writer.out);
        let path = pick(rng, &["templates/a.yaml", "templates/z/b.txt", "templates/_z.tpl", "templates/z.tpl"]);
        case = case.file(path, other);
    }
    if once_in(rng, 10) {
        let text = std::mem::take(&mut main);
        case = case.file("templates/NOTES.txt", text);
        main = b"{{ .Template.Name }} {{ .Template.BasePath }} {{ .Values | toJson }}".to_vec();
    }
    case.file("templates/t", main)
}

/// A small template for `tpl`.
pub(crate) fn small(rng: &mut Rng) -> String {
    let mut writer = Writer { rng, variables: vec!["$".into()], loops: 0, out: String::new() };
    writer.block(2, false);
    std::mem::take(&mut writer.out)
}

/// Takes out, puts in or doubles pieces that matter to a lexer.
fn spoil(rng: &mut Rng, text: &mut Vec<u8>) {
    if rng.bool() {
        return words::mutate(rng, text);
    }
    let place = rng.usize(..=text.len());
    let piece = pick(
        rng,
        &[
            "{{",
            "}}",
            "{{-",
            "-}}",
            "{{ end }}",
            "{{/*",
            "*/}}",
            "{{ else }}",
            "{{else if}}",
            "|",
            "(",
            ")",
            "$",
            "$x",
            ":=",
            "=",
            ",",
            ".",
            "..",
            "\"",
            "`",
            "'",
            "{{ if }}",
            "{{ range }}",
            "{{ break }}",
            "{{ continue }}",
            "{{ define \"x\" }}",
            "{{ template }}",
            "{{ block \"q\" . }}",
            "\\",
            "\n",
            "é",
            "1i",
            "0x",
            "1e",
            "'ab'",
            "{{ . | }}",
            "{{ | . }}",
            "{{ nil }}",
            "{{ $x := }}",
            "{{ 1 2 }}",
            "{{ (1) 2 }}",
            "{{ .a.b 1 }}",
            "{{ if 1 }}",
            "{{ with $q := 1 }}",
            "{{ else with 1 }}",
            "{{}}",
            "{{ }}",
            "{{ -1 }}",
            "{{-1}}",
            "{{- 1}}",
            "{{1 -}}",
            "{{1-}}",
            "\u{0}",
            "{{ \"a\nb\" }}",
            "{{ `a\nb` }}",
            "{{ $.x.y }}",
            "{{ $x.y }}",
            "{{ .x. }}",
            "{{ .1 }}",
            "{{ 1.x }}",
            "{{ \"s\".x }}",
            "{{ nil.x }}",
            "{{ true.x }}",
            "{{ print.x }}",
            "{{ (print 1).x }}",
            "{{ $x, $y := 1 }}",
            "{{ range $x, $y, $z := . }}",
            "{{ range $x = . }}",
            "{{ end 1 }}",
            "{{ else 1 }}",
            "{{ define x }}",
            "{{ define \"a\" 1 }}",
            "{{ template \"a\" 1 2 }}",
            "{{ template x }}",
            "{{/* a */ }}",
            "{{ /* a */}}",
            "{{/* {{ */}}",
            "\u{feff}",
            "{{ 08 }}",
            "{{ 1__0 }}",
            "{{ '\\400' }}",
            "{{ \"\\q\" }}",
            "{{ .Values.a=1 }}",
            "{{ unknown 1 }}",
            "{{ end }}{{ end }}",
            "{{ printf }}",
            "{{ a-b }}",
            "{{ .a-b }}",
            "{{ # }}",
            "{{ a&b }}",
            "{{ ! }}",
            "{{ <= }}",
        ],
    );
    text.splice(place..place, piece.bytes());
}

struct Writer<'r> {
    rng: &'r mut Rng,
    /// The names in scope.
    variables: Vec<String>,
    /// How many loops are around.
    loops: usize,
    out: String,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        pick(self.rng, words)
    }

    fn once_in(&mut self, times: u32) -> bool {
        once_in(self.rng, times)
    }

    fn open(&mut self) {
        let delimiter = self.pick(&["{{ ", "{{ ", "{{ ", "{{- ", "{{", "{{-\n", "{{\t", "{{\n  "]);
        self.push(delimiter);
    }

    fn close(&mut self) {
        let delimiter = self.pick(&[" }}", " }}", " }}", " -}}", "}}", "\n-}}", "\t}}", "\n}}"]);
        self.push(delimiter);
    }

    fn action(&mut self, text: &str) {
        self.open();
        self.push(text);
        self.close();
    }

    fn text(&mut self) {
        let text = self.pick(&[
            "a",
            "\n",
            " ",
            "text ",
            "\n  key: ",
            "- ",
            "\r\n",
            "{",
            "}",
            "{ {",
            "é",
            "  \n\n",
            "x: |\n  ",
            "\"",
            "<no value>",
            "#",
            "\t",
            "",
            "}}",
            "*/",
            "-",
            "- }}",
        ]);
        self.push(text);
    }

    fn block(&mut self, depth: usize, top: bool) {
        let in_scope = self.variables.len();
        for _ in 0..self.rng.u32(1..5) {
            self.text();
            self.statement(depth, top);
        }
        self.text();
        self.variables.truncate(in_scope);
    }

    fn helper(&mut self, name: &str) {
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let keyword = format!("define {name:?}");
        self.action(&keyword);
        self.block(2, false);
        self.action("end");
        self.variables = variables;
        self.loops = loops;
    }

    fn statement(&mut self, depth: usize, top: bool) {
        if depth == 0 {
            let pipeline = self.pipeline(1);
            return self.action(&pipeline);
        }
        match self.rng.u32(..24) {
            0..=4 => {
                let pipeline = self.pipeline(depth);
                self.action(&pipeline);
            }
            5..=7 => {
                let name = self.pick(&["$x", "$y", "$z", "$é", "$x1"]).to_owned();
                let value = self.pipeline(depth);
                let space = self.pick(&[" ", " ", ""]);
                self.action(&format!("{name}{space}:={space}{value}"));
                self.variables.push(name);
            }
            8 => {
                let name = self.variable();
                let value = self.pipeline(depth);
                self.action(&format!("{name} = {value}"));
            }
            9..=11 => self.branch("if", depth),
            12..=13 => self.branch("with", depth),
            14..=17 => self.range(depth),
            18 => {
                let word = self.pick(&["break", "continue", "break ", "continue"]);
                if self.loops > 0 || self.once_in(10) {
                    self.action(word);
                }
            }
            19 => {
                let (name, data) = (self.pick(&["h", "g", "k", "b1", "none"]), self.operand(2));
                // Templates of their own file call each other only through `include`, which is counted.
                let call = if self.rng.bool() && top {
                    format!("template {name:?} {data}")
                } else {
                    format!("include {name:?} {data}")
                };
                if top || self.once_in(4) {
                    self.action(&call);
                }
            }
            20 => {
                let name = self.pick(&["b1", "b2", "h"]);
                let data = self.operand(2);
                self.action(&format!("block {name:?} {data}"));
                let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
                let loops = std::mem::take(&mut self.loops);
                self.block(depth - 1, false);
                self.variables = variables;
                self.loops = loops;
                self.action("end");
            }
            21 => {
                let comment = self.pick(&[
                    "{{/* c */}}",
                    "{{- /* c */ -}}",
                    "{{/* a\nb */}}",
                    "{{/**/}}",
                    "{{- /* {{ x }} */}}",
                    "{{/* c */ -}}",
                ]);
                self.push(comment);
            }
            22 if top => {
                let name = self.pick(&["d1", "d2", "h", "b1"]);
                self.helper(name);
            }
            _ => {
                let inner = small_inner(self.rng);
                let data = self.operand(2);
                let quoted = words::literal(self.rng, inner.as_bytes());
                self.action(&format!("tpl {quoted} {data}"));
            }
        }
    }

    fn branch(&mut self, keyword: &str, depth: usize) {
        let in_scope = self.variables.len();
        let condition = self.condition(depth);
        self.action(&format!("{keyword} {condition}"));
        self.block(depth - 1, false);
        while self.once_in(4) {
            let condition = self.condition(depth);
            let keyword = if self.once_in(8) {
                self.pick(&["if", "with"])
            } else if keyword == "if" {
                "if"
            } else {
                "with"
            };
            self.action(&format!("else {keyword} {condition}"));
            self.block(depth - 1, false);
        }
        if self.rng.bool() {
            self.action("else");
            self.block(depth - 1, false);
        }
        self.action("end");
        self.variables.truncate(in_scope);
    }

    fn condition(&mut self, depth: usize) -> String {
        let value = self.pipeline(depth);
        if self.once_in(4) {
            let name = self.pick(&["$x", "$w", "$y"]).to_owned();
            self.variables.push(name.clone());
            return format!("{name} := {value}");
        }
        value
    }

    fn range(&mut self, depth: usize) {
        let in_scope = self.variables.len();
        let over = match self.rng.u32(..10) {
            0..=5 => self
                .pick(&[
                    ".Values.l",
                    ".Values.m",
                    ".Values.strs",
                    "until 3",
                    "list 1 \"a\" nil",
                    "dict \"b\" 1 \"a\" 2",
                    "3",
                    ".Values.e",
                    ".Values.em",
                    ".Values.none",
                    "$.Values.nums",
                    "splitList \",\" \"x,y\"",
                    "(int 2)",
                    ".",
                    "$.Values.nested.list",
                    "0",
                    "-2",
                    "\"abc\"",
                    "2.0",
                    "true",
                    "nil",
                    ".Values.big",
                    "(int64 2)",
                    ".Files",
                    ".Capabilities.APIVersions | len | until",
                    "split \",\" \"p,q\"",
                    "(index \"\\x02\" 0)",
                ])
                .to_owned(),
            _ => self.pipeline(depth.min(2)),
        };
        let (first, second) = (self.pick(&["$i", "$k", "$x", "$"]), self.pick(&["$v", "$e", "$y"]));
        let head = match self.rng.u32(..8) {
            0..=2 => over,
            3..=4 => format!("{first} := {over}"),
            5 => format!("{first}, {second} := {over}"),
            6 => format!("{first}, {second} :={over}"),
            _ => {
                let name = self.variable();
                format!("{name} = {over}")
            }
        };
        for name in [first, second] {
            if head.contains(&format!("{name} :=")) || head.contains(&format!("{name}, ")) {
                self.variables.push(name.to_owned());
            }
        }
        self.action(&format!("range {head}"));
        self.loops += 1;
        self.block(depth - 1, false);
        self.loops -= 1;
        if self.once_in(3) {
            self.action("else");
            self.block(depth - 1, false);
        }
        self.action("end");
        self.variables.truncate(in_scope);
    }

    fn variable(&mut self) -> String {
        if self.once_in(40) {
            return "$none".into();
        }
        let chosen = self.rng.usize(..self.variables.len());
        self.variables[chosen].clone()
    }

    fn pipeline(&mut self, depth: usize) -> String {
        let mut out = self.command(depth);
        while self.once_in(3) {
            let bar = self.pick(&[" | ", " | ", "|", "\n  | "]);
            let next = match self.rng.u32(..6) {
                0..=3 => self
                    .pick(&[
                        "quote",
                        "toString",
                        "len",
                        "print",
                        "toJson",
                        "default 5",
                        "upper",
                        "int",
                        "not",
                        "toYaml",
                        "indent 2",
                        "nindent 1",
                        "first",
                        "printf \"%v-%v\" 1",
                        "eq 1",
                        "index .Values.l",
                        "kindOf",
                        "typeOf",
                        "trimSuffix \"a\"",
                        "html",
                        "and 1",
                        "or 0",
                        "list 1",
                        "ternary 1 2",
                        "join \",\"",
                        "trunc 3",
                        "required \"m\"",
                        "fail",
                        ".Values.s",
                        "$",
                        "b64enc",
                        "add 1",
                        "len | print",
                        "tpl \"{{ . }}\"",
                        "include \"h\"",
                        "sortAlpha",
                        "printf",
                    ])
                    .to_owned(),
                4 => {
                    let operand = self.operand(1);
                    format!("eq {operand}")
                }
                _ => self.command(1),
            };
            out.push_str(bar);
            out.push_str(&next);
        }
        out
    }

    fn command(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.operand(0);
        }
        match self.rng.u32(..16) {
            0..=6 => self.operand(depth),
            7 => {
                let (function, a, b) = (
                    self.pick(&["eq", "ne", "lt", "le", "gt", "ge", "and", "or"]),
                    self.operand(depth - 1),
                    self.operand(depth - 1),
                );
                let more = if self.once_in(3) { self.operand(depth - 1) } else { String::new() };
                format!("{function} {a} {b} {more}")
            }
            8 => {
                let (a, b) = (self.operand(depth - 1), self.operand(0));
                let function = self.pick(&[
                    "index",
                    "slice",
                    "get",
                    "hasKey",
                    "dig \"a\"",
                    "pluck \"a\"",
                    "default",
                    "append",
                    "has",
                    "without",
                ]);
                let more = self.pick(&["", "", " 1", " 0 2"]);
                format!("{function} {a} {b}{more}")
            }
            9 => {
                let (a, b) = (self.operand(depth - 1), self.operand(0));
                let format =
                    self.pick(&["\"%v %v\"", "\"%s\"", "\"%d-%q\"", "`%5v|%-5v`", "\"%T %T\"", "\"%#v %+v\"", "\"\""]);
                format!("printf {format} {a} {b}")
            }
            10 => {
                let a = self.operand(depth - 1);
                let function = self.pick(&[
                    "print",
                    "println",
                    "not",
                    "len",
                    "html",
                    "js",
                    "urlquery",
                    "toJson",
                    "toYaml",
                    "quote",
                    "squote",
                    "kindOf",
                    "typeOf",
                    "int",
                    "float64",
                    "toString",
                    "empty",
                    "deepCopy",
                    "keys",
                    "list",
                    "dict \"a\"",
                    "coalesce",
                    "fromYaml",
                    "call",
                    "first",
                    "last",
                    "upper",
                ]);
                if function == "keys" { format!("keys {a} | sortAlpha") } else { format!("{function} {a}") }
            }
            11 => {
                let (name, value) = (self.variable(), self.operand(1));
                let key = self.pick(&["\"a\"", "\"k\"", "\"x\""]);
                let target = if self.rng.bool() {
                    name
                } else {
                    self.pick(&[".Values", ".Values.m", "$.Values.em", "."]).to_owned()
                };
                // What holds itself has no end in Go.
                let value = if value.contains('$') || value.starts_with('.') { "1".to_owned() } else { value };
                format!("set {target} {key} {value}")
            }
            12 => {
                let operand = self.operand(0);
                let name = self.pick(&["h", "g", "none"]);
                if self.loops == 0 || self.once_in(4) { format!("include {name:?} {operand}") } else { operand }
            }
            13 => self
                .pick(&[
                    ".Values.AsMap",
                    ".Values.YAML",
                    ".Values.Table \"m\"",
                    ".Values.PathValue \"m.x\"",
                    ".Values.Table \"none\"",
                    ".Capabilities.APIVersions.Has \"v1\"",
                    "(semver \"1.2.3\").Major",
                    "(semver \"1.2.3\").Compare (semver \"1.2.4\")",
                    "now.Year",
                    "now.Format \"2006\"",
                    "(now.Add 5).Unix",
                    "(mustToDuration \"90m\").Hours",
                    "(mustToDuration \"90m\").String",
                    ".Files.Get \"x\"",
                    ".Capabilities.KubeVersion.Minor",
                    ".Capabilities.KubeVersion.String",
                    ".Capabilities.KubeVersion.GitVersion",
                    "now.Month.String",
                    ".Values.m.x.y",
                    ".Values.s.x",
                    ".Values.l.x",
                    ".Values.AsMap 1",
                    ".Values.s 1",
                    "now.Nope",
                    "(semver \"1\").nope",
                    ".Release.Nope",
                    ".Release.Nope.Deeper",
                    ".Chart.Nope",
                    ".Capabilities.Nope",
                    ".Values.n.x",
                    "(.Values.n).x",
                    "now.Weekday",
                    "(semver \"1.2.3\").IncMajor",
                    ".Values.Encode nil",
                    "(semver \"1.2.3\").LessThan nil",
                    "now.After now",
                    "(dict \"f\" 1).f",
                    "(dict \"f\" 1).f.g",
                    "(dict).f.g",
                    "(list 1).f",
                    "(list).f",
                    ".Values.none.x",
                    "$.Values.m.none",
                    "($.Values.none).x.y",
                    "now.Equal \"x\"",
                    "(toDate \"2006\" \"2020\").IsZero",
                    ".Capabilities.HelmVersion",
                    ".Capabilities.KubeVersion",
                    ".Chart.Version",
                ])
                .to_owned(),
            _ => {
                let inner = self.pipeline(depth - 1);
                let field = self.pick(&["", "", "", ".x", ".a.b", ".Values"]);
                format!("({inner}){field}")
            }
        }
    }

    fn operand(&mut self, depth: usize) -> String {
        match self.rng.u32(..18) {
            0..=3 => {
                let field = self.pick(&["", "", ".a", ".x", ".Values.a", ".Values.m.x"]);
                let name = self.variable();
                format!("{name}{field}")
            }
            4 => ".".into(),
            5..=7 => self
                .pick(&[
                    ".Values.a",
                    ".Values.s",
                    ".Values.m",
                    ".Values.l",
                    ".Values.f",
                    ".Values.none",
                    ".Values.n",
                    ".x",
                    ".a.b",
                    ".Values.m.y.z",
                    ".Values.big",
                    ".Values.t",
                    ".Values.strs",
                    ".Release.Name",
                    ".Chart.Name",
                    ".Values.em",
                    ".Values.es",
                    ".Values",
                ])
                .to_owned(),
            8..=9 => words::int(self.rng),
            10 => words::float(self.rng),
            11..=12 => {
                let text = words::text(self.rng);
                words::literal(self.rng, &text)
            }
            13 => self.pick(&["true", "false", "nil", "1", "0", "\"\"", "'a'", "`raw`"]).to_owned(),
            14 => self
                .pick(&[
                    "(list 1 2)",
                    "(dict \"a\" 1)",
                    "(list)",
                    "(dict)",
                    "(until 2)",
                    "(int64 3)",
                    "(semver \"1.2.3\")",
                    "(splitList \",\" \"a,b\")",
                    "now",
                    "(dict \"a\" (dict \"b\" 2))",
                    "(list nil)",
                    "(split \",\" \"a\")",
                ])
                .to_owned(),
            15 => self
                .pick(&[
                    "1.5e3",
                    "0x1.8p1",
                    "1e1000",
                    "0b2",
                    "1_0.5",
                    "'\\x41'",
                    "'\\''",
                    "\"\\u00e9\\t\"",
                    "-0",
                    "+1",
                    "1i",
                    "0x",
                    "1e3",
                    "1.0",
                    "9223372036854775808",
                    "18446744073709551615",
                ])
                .to_owned(),
            _ if depth > 0 => {
                let inner = self.pipeline(depth - 1);
                format!("({inner})")
            }
            _ => "1".into(),
        }
    }
}

/// A text for `tpl`, which must not call `tpl` in turn for long.
fn small_inner(rng: &mut Rng) -> String {
    if rng.bool() {
        return pick(
            rng,
            &[
                "{{ . }}",
                "{{ .Values.a }}",
                "{{ $x := 1 }}{{ $x }}",
                "{{ define \"t\" }}T{{ . }}{{ end }}{{ template \"t\" 1 }}",
                "{{ include \"h\" . }}",
                "{{ .a.b.c }}",
                "{{ if }}",
                "plain",
                "",
                "{{ unknown }}",
                "{{ fail \"no\" }}",
                "{{ required \"need\" .none }}",
                "{{ range . }}{{ . }}{{ end }}",
                "<no value>{{ .none }}",
                "{{ define \"h\" }}new{{ end }}{{ include \"h\" . }}",
                "{{",
                "{{ template \"none\" }}",
                "{{ tpl \"{{ . }}\" 1 }}",
                "{{ end }}",
                "{{ $ }}",
            ],
        )
        .to_owned();
    }
    small(rng)
}
