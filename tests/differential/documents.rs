//! YAML, JSON and TOML documents, read and written; `--set` lines.

use fastrand::Rng;

use crate::calls;
use crate::ours::{Case, Kind, Text};
use crate::words::{literal, mutate, once_in, pick, text};

/// A document in one of the languages, read or written in one of the ways.
pub(crate) fn case(rng: &mut Rng) -> (&'static str, Case) {
    match rng.u32(..12) {
        0..=4 => {
            let (document, reader) = (yaml(rng), pick(rng, &["fromYaml", "fromYamlArray"]));
            ("YAML read", shown(rng, &document, reader))
        }
        5 => {
            let document = yaml(rng);
            ("values files", Case { kind: Kind::Values, values: Text(document), ..Case::default() })
        }
        6 => {
            let (document, reader) = (json(rng), pick(rng, &["fromJson", "fromJsonArray", "mustFromJson"]));
            ("JSON read", shown(rng, &document, reader))
        }
        7 => {
            let document = toml(rng);
            ("TOML read", shown(rng, &document, "fromToml"))
        }
        _ => {
            let value = value(rng, 4);
            let writer = pick(
                rng,
                &[
                    "toYaml",
                    "toYamlPretty",
                    "toJson",
                    "toPrettyJson",
                    "toRawJson",
                    "toToml",
                    "mustToYaml",
                    "mustToToml",
                ],
            );
            let case = Case::template(format!("{{{{ {value} | {writer} }}}}")).values(calls::VALUES);
            ("written", case)
        }
    }
}

fn shown(rng: &mut Rng, document: &[u8], reader: &str) -> Case {
    let end = pick(rng, &["mustToRawJson", "toYaml", "toYamlPretty", "toToml", "toString", "printf \"%#v\""]);
    Case::template(format!("{{{{ {} | {reader} | {end} }}}}", literal(rng, document)))
}

/// A line of `--set` or its like over some values.
pub(crate) fn set_case(rng: &mut Rng) -> (&'static str, Case) {
    let flag = pick(rng, &["set", "set", "set", "set-string", "set-json", "set-file"]);
    let lines = (0..rng.u32(1..3)).map(|_| (flag.to_owned(), set_line(rng, flag == "set-json"))).collect();
    let values = pick(
        rng,
        &["", "a: 1\n", "a: {b: 1, c: [1, {d: 2}]}\nb: [x, y]\n", "a: null\nb: {}\nc: []\n", "a: [[1], [2, 3]]\n"],
    );
    (flag, Case { kind: Kind::Set, values: Text(values.into()), set: lines, ..Case::default() })
}

fn set_line(rng: &mut Rng, is_json: bool) -> String {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "c",
        "=",
        "=",
        "=",
        ".",
        ".",
        ",",
        ",",
        "[0]",
        "[1]",
        "[2]",
        "[",
        "]",
        "{",
        "}",
        "{x,y}",
        "{}",
        "\\",
        "\\,",
        "\\.",
        "1",
        "0",
        "01",
        "-1",
        "1.5",
        "true",
        "false",
        "null",
        "",
        " ",
        "é",
        "\"",
        "\n",
        "nul",
        "True",
        "[-1]",
        "[65536]",
        "[65537]",
        "[a]",
        "9223372036854775808",
        "0x1",
        "\\=",
        "\\[",
        "\\{",
    ];
    if rng.bool() {
        // Of the right shape.
        let mut out = String::new();
        for place in 0..rng.u32(1..4) {
            if place > 0 {
                out.push(',');
            }
            out.push_str(pick(
                rng,
                &[
                    "a",
                    "b",
                    "a.b",
                    "a[0]",
                    "b[1].c",
                    "a.b.c",
                    "a[0][1]",
                    "a\\.b",
                    "c[2]",
                    "a.c[1].d",
                    "",
                    " a",
                    "b[0].x[1]",
                    "a[0].b",
                ],
            ));
            out.push_str(pick(rng, &["=", "=", "=", "=", "", "=="]));
            if is_json {
                out.push_str(pick(
                    rng,
                    &[
                        "1",
                        "1.5",
                        "\"x\"",
                        "{\"k\": [1, null]}",
                        "[1,{\"a\":2}]",
                        "null",
                        "true",
                        "",
                        "{",
                        "x",
                        "12345678901234567890",
                        " {} ",
                        "[]",
                        "1e3",
                    ],
                ));
            } else {
                out.push_str(pick(
                    rng,
                    &[
                        "1",
                        "x",
                        "",
                        "null",
                        "true",
                        "{1,x,true}",
                        "{}",
                        "{",
                        "{a",
                        "{a,{b}}",
                        "01",
                        "-5",
                        "1.5",
                        "a=b",
                        "x y",
                        "a\\,b",
                        "{a\\,b,c}",
                        "{x}y",
                        "}",
                        "é",
                        "\"q\"",
                        "{null,}",
                        "[1]",
                    ],
                ));
            }
        }
        return out;
    }
    (0..rng.u32(1..12)).map(|_| pick(rng, PIECES)).collect()
}

const SCALARS: &[&str] = &[
    "a",
    "1",
    "-1",
    "01",
    "0o7",
    "0x1F",
    "0b1",
    "1_000",
    "1.5",
    "1e3",
    "1e+06",
    ".5",
    "1.",
    "-.5",
    ".inf",
    "-.INF",
    ".NaN",
    "nan",
    "true",
    "True",
    "yes",
    "Yes",
    "on",
    "off",
    "y",
    "n",
    "null",
    "~",
    "Null",
    "\"\"",
    "''",
    "\"a\\nb\"",
    "\"\\x41\\u00e9\\U0001F600\\0\\e\\_\\N\\L\\P\"",
    "\"a\\\n   b\"",
    "'it''s'",
    "\"tab\\t\"",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    "12:30:45",
    "190:20:30",
    "1:60",
    "a b c",
    "a: b",
    "a #b",
    "a#b",
    "- a",
    "-",
    "?",
    ":",
    "a:",
    ":a",
    "*x",
    "&x a",
    "&x",
    "!!str 1",
    "!!int \"1\"",
    "!!float 1",
    "!!binary aGk=",
    "!!null x",
    "!!bool yes",
    "!x y",
    "!!map {}",
    "!!set {a, b}",
    "!!timestamp 2020-01-01",
    "!<tag:yaml.org,2002:str> 1",
    "=",
    "<<",
    "@a",
    "`a",
    "%a",
    "|",
    ">",
    "a'b",
    "a\"b",
    "é世",
    "\u{feff}a",
    "\u{85}",
    "\u{2028}",
    "a\tb",
    "a\u{a0}b",
    "0.1",
    "123456789012345678901234567890",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "0.00000001",
    "1e21",
    "100000000000000000000.0",
    "+1",
    "+.5",
    "1__0",
    "0x",
    "08",
    "1e",
    "e1",
    "0o8",
    "-0",
    "-0.0",
    "0b2",
    "685_230.15",
    "[a",
    "{a",
    "]",
    "}",
    ",",
    "a,b",
    "a]",
    "NO",
    "oN",
    "N",
    "Y",
];

/// A document of YAML, mostly a good one.
pub(crate) fn yaml(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    if once_in(rng, 10) {
        out.push_str(pick(
            rng,
            &[
                "---\n",
                "--- ",
                "%YAML 1.1\n---\n",
                "# comment\n",
                "\n\n",
                "%TAG ! tag:x,2000:\n---\n",
                "---\n---\n",
                "\u{feff}",
                "%YAML 2.0\n---\n",
                "--- |\n a\n--- #c\n",
            ],
        ));
    }
    block(rng, 0, 4, &mut out);
    if once_in(rng, 10) {
        out.push_str(pick(rng, &["...\n", "---\nb: 2\n", "...\na: 3\n", "# end", "\n\n", "\t\n", "---"]));
    }
    let mut bytes = out.into_bytes();
    if once_in(rng, 5) {
        for _ in 0..rng.u32(1..4) {
            mutate(rng, &mut bytes);
        }
    }
    if once_in(rng, 30) {
        bytes = String::from_utf8_lossy(&bytes).replace('\n', pick(rng, &["\r\n", "\r", "\u{85}"])).into_bytes();
    }
    bytes
}

fn key(rng: &mut Rng) -> &'static str {
    if once_in(rng, 3) {
        return pick(rng, SCALARS);
    }
    pick(
        rng,
        &[
            "a", "b", "c", "key", "x", "y", "\"q\"", "'s'", "1", "1.5", "true", "null", "? a\n", "<<", "a b", "&k k",
            "!!str s", "[a]", "{b: c}", "é", "a", "b", "*x", "~", "",
        ],
    )
}

fn block(rng: &mut Rng, indent: usize, depth: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match if depth == 0 { 9 } else { rng.u32(..11) } {
        0..=4 => {
            for _ in 0..rng.u32(1..4) {
                out.push_str(&format!("{pad}{}:", key(rng)));
                below(rng, indent, depth, out);
            }
        }
        5..=7 => {
            for _ in 0..rng.u32(1..4) {
                out.push_str(&format!("{pad}-"));
                below(rng, indent, depth, out);
            }
        }
        8 => {
            out.push_str(&format!("{pad}? {}\n{pad}:", key(rng)));
            below(rng, indent, depth, out);
        }
        _ => {
            out.push_str(&pad);
            inline(rng, indent, 2, out);
            out.push('\n');
        }
    }
}

fn below(rng: &mut Rng, indent: usize, depth: usize, out: &mut String) {
    match rng.u32(..12) {
        0..=5 => {
            out.push_str(pick(rng, &[" ", " ", " ", " ", "  ", "\t", "", " &x ", " !!str ", " &y "]));
            inline(rng, indent, 2, out);
            out.push_str(pick(rng, &["\n", "\n", "\n", "\n", " # c\n", " \n", "#c\n", "\n\n", "\n# c\n"]));
        }
        6..=8 => {
            out.push_str(pick(rng, &["\n", "\n", " # c\n", " &x\n", " !!map\n", "  \n"]));
            let deeper = indent + pick(rng, &[&2, &2, &2, &1, &4, &0]);
            block(rng, deeper, depth - 1, out);
        }
        _ => scalar_block(rng, indent, out),
    }
}

fn scalar_block(rng: &mut Rng, indent: usize, out: &mut String) {
    out.push(' ');
    out.push_str(pick(
        rng,
        &["|", "|", ">", "|-", "|+", ">-", ">+", "|2", "|1-", ">2", "|9", "| # c", ">x", "|-2", "|0"],
    ));
    out.push('\n');
    let pad = " ".repeat(indent + pick(rng, &[&2, &2, &1, &4]));
    for _ in 0..rng.u32(..5) {
        let line = pick(
            rng,
            &["text", "  more", "", "# no comment", "a: b", "- x", "trail  ", "\ttab", "é", " ", "---", "..."],
        );
        out.push_str(&if line.is_empty() { String::new() } else { format!("{pad}{line}") });
        out.push('\n');
    }
}

fn inline(rng: &mut Rng, indent: usize, depth: usize, out: &mut String) {
    match if depth == 0 { 0 } else { rng.u32(..9) } {
        0..=5 => out.push_str(pick(rng, SCALARS)),
        6 => {
            out.push('[');
            for place in 0..rng.u32(..4) {
                if place > 0 {
                    out.push_str(pick(rng, &[", ", ",", " , ", ",\n  "]));
                }
                inline(rng, indent, depth - 1, out);
            }
            out.push_str(pick(rng, &["]", "]", ",]", "\n]", ""]));
        }
        7 => {
            out.push('{');
            for place in 0..rng.u32(..4) {
                if place > 0 {
                    out.push_str(pick(rng, &[", ", ",", ",\n    "]));
                }
                out.push_str(key(rng));
                out.push_str(pick(rng, &[": ", ": ", ":", "", " : "]));
                inline(rng, indent, depth - 1, out);
            }
            out.push_str(pick(rng, &["}", "}", ",}", "\n  }"]));
        }
        _ => {
            // A text over several lines.
            let pad = " ".repeat(indent + 1);
            out.push_str(pick(rng, &["a\n", "'a\n", "\"a\n", "\"a \\\n"]));
            out.push_str(&format!("{pad}{}", pick(rng, &["b", "b'", "b\"", "\n b\"", "", "# c", "b: c", "\\ b\""])));
        }
    }
}

/// A document of JSON, mostly a good one.
pub(crate) fn json(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    json_value(rng, 3, &mut out);
    let mut bytes = out.into_bytes();
    if once_in(rng, 3) {
        for _ in 0..rng.u32(1..3) {
            mutate(rng, &mut bytes);
        }
    }
    bytes
}

fn json_value(rng: &mut Rng, depth: usize, out: &mut String) {
    match if depth == 0 { 0 } else { rng.u32(..8) } {
        0..=3 => out.push_str(pick(
            rng,
            &[
                "1",
                "-0",
                "1.5",
                "1e3",
                "1E-7",
                "true",
                "false",
                "null",
                "\"a\"",
                "\"\\u00e9\\n\\\"\"",
                "\"\\ud83d\\ude00\"",
                "\"\\ud800\"",
                "12345678901234567890",
                "01",
                "+1",
                ".5",
                "1.",
                "NaN",
                "\"\\x\"",
                "'a'",
                "\"é\"",
                "tru",
                "1e400",
                "-",
                "\"\t\"",
                "\"\u{7f}\"",
                "1e",
                "\"\\u12\"",
            ],
        )),
        4 | 5 => {
            out.push('[');
            for place in 0..rng.u32(..4) {
                out.push_str(if place > 0 { pick(rng, &[",", ", ", ",\n"]) } else { "" });
                json_value(rng, depth - 1, out);
            }
            out.push_str(pick(rng, &["]", "]", "]", ",]", "", " ]"]));
        }
        _ => {
            out.push('{');
            for place in 0..rng.u32(..4) {
                out.push_str(if place > 0 { pick(rng, &[",", ", "]) } else { "" });
                out.push_str(pick(rng, &["\"a\":", "\"b\": ", "\"a\" :", "\"\":", "a:", "\"a\"", "1:", "\"é\":"]));
                json_value(rng, depth - 1, out);
            }
            out.push_str(pick(rng, &["}", "}", "}", ",}", " }x"]));
        }
    }
}

/// A document of TOML, mostly a good one. Without dates, which become texts here.
pub(crate) fn toml(rng: &mut Rng) -> Vec<u8> {
    let mut out = String::new();
    for _ in 0..rng.u32(1..6) {
        match rng.u32(..5) {
            0 => out.push_str(pick(
                rng,
                &["[t]\n", "[t.u]\n", "[[l]]\n", "[\"q r\"]\n", "[ t . v ]\n", "[[l.m]]\n", "[t\n", "# c\n", "\n"],
            )),
            _ => {
                out.push_str(pick(rng, &["a", "b", "c", "d.e", "\"q\"", "'s'", "d.f", "1", "x-y_z", "é"]));
                out.push_str(pick(rng, &[" = ", "=", " =", "= "]));
                out.push_str(pick(
                    rng,
                    &[
                        "1",
                        "-1",
                        "+1",
                        "1_000",
                        "0x1F",
                        "0o17",
                        "0b1",
                        "1.5",
                        "1e3",
                        "-0.0",
                        "inf",
                        "-inf",
                        "nan",
                        "true",
                        "false",
                        "\"a\\n\\u00e9\"",
                        "'lit\\'",
                        "\"\"\"m\nn\"\"\"",
                        "'''m\nn'''",
                        "[1, 2]",
                        "[1, \"a\"]",
                        "[]",
                        "{x = 1, y = {z = 2}}",
                        "[\n1,\n]",
                        "01",
                        "1.",
                        "x",
                        "9223372036854775808",
                        "{}",
                        "\"\\x41\"",
                        "[[1],[\"a\"]]",
                        "1e+06",
                        "\"\"\"\\\n  a\"\"\"",
                    ],
                ));
                out.push_str(pick(rng, &["\n", "\n", "\n", " # c\n", "\r\n", " \n"]));
            }
        }
    }
    let mut bytes = out.into_bytes();
    if once_in(rng, 8) {
        mutate(rng, &mut bytes);
    }
    bytes
}

/// An expression that makes a value to be written.
fn value(rng: &mut Rng, depth: usize) -> String {
    match if depth == 0 { 0 } else { rng.u32(..10) } {
        0..=3 => {
            let chosen = pick(rng, SCALARS).as_bytes().to_vec();
            let text = match rng.u32(..5) {
                0 | 1 => chosen,
                2 => text(rng),
                3 => {
                    let pieces = [
                        "a",
                        "\n",
                        " ",
                        "  ",
                        "\n\n",
                        "#",
                        ": ",
                        "-",
                        "\t",
                        "é",
                        "word word word word word word word word word word word word word word",
                        "\r",
                        "\"",
                        "'",
                        "\u{85}",
                        "\\",
                        "x",
                        "👍",
                        "\u{feff}",
                        "\u{200b}",
                        "|",
                        ">",
                    ];
                    (0..rng.u32(..7)).map(|_| pick(rng, &pieces)).collect::<String>().into_bytes()
                }
                _ => [text(rng), b"\n".to_vec(), text(rng)].concat(),
            };
            literal(rng, &text)
        }
        4 => calls::any(rng),
        5 | 6 => {
            let items: Vec<String> = (0..rng.u32(..4)).map(|_| value(rng, depth - 1)).collect();
            format!("(list {})", items.join(" "))
        }
        _ => {
            let mut out = String::from("(dict");
            for _ in 0..rng.u32(..5) {
                let key = if once_in(rng, 2) { pick(rng, SCALARS).as_bytes().to_vec() } else { text(rng) };
                out.push_str(&format!(" {} {}", literal(rng, &key), value(rng, depth - 1)));
            }
            out + ")"
        }
    }
}
