//! Texts that have found faults before, and ways to make more of them.

use fastrand::Rng;

/// One of several.
pub(crate) fn pick<'a, T: ?Sized>(rng: &mut Rng, words: &[&'a T]) -> &'a T {
    words[rng.usize(..words.len())]
}

/// True once in so many times.
pub(crate) fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

/// A text as a string literal of templates, whatever bytes it holds.
pub(crate) fn literal(rng: &mut Rng, text: &[u8]) -> String {
    let is_plain = text.iter().all(|b| matches!(b, b' '..=b'~')) && !text.contains(&b'`');
    if is_plain && once_in(rng, 4) {
        return format!("`{}`", String::from_utf8_lossy(text));
    }
    let mut out = String::from("\"");
    let mut rest = text;
    while !rest.is_empty() {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => valid,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).expect("is valid so far"),
        };
        for c in valid.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                ' '..='~' => out.push(c),
                // A line break or a byte order mark would end the literal; others may stand as they are.
                c if (c as u32) < 0x20 || c == '\u{feff}' || c as u32 == 0x7f || rng.bool() => {
                    if (c as u32) < 0x1_0000 {
                        out.push_str(&format!("\\u{:04x}", c as u32));
                    } else {
                        out.push_str(&format!("\\U{:08x}", c as u32));
                    }
                }
                c => out.push(c),
            }
        }
        rest = &rest[valid.len()..];
        if let Some((bad, after)) = rest.split_first() {
            out.push_str(&format!("\\x{bad:02x}"));
            rest = after;
        }
    }
    out + "\""
}

const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"a",
    b"ab",
    b"abc",
    b"Hello World",
    b"foo_bar-baz.qux",
    b"FooBarHTTPServer2",
    b"a,b,,c",
    b"a b  c\td\n",
    b"\n",
    b"\r\n",
    b"  lead",
    b"trail  ",
    b"x\ny\nz",
    b"x\r\ny\r\n",
    b"\n\nx\n\n",
    b"true",
    b"false",
    b"null",
    b"nil",
    b"~",
    b"yes",
    b"0",
    b"1",
    b"-1",
    b"010",
    b"0x1F",
    b"0b11",
    b"0o17",
    b"1_000",
    b"1e3",
    b"1.5",
    b"-0",
    b".5",
    b"5.",
    b"+7",
    b" 7",
    b"7x",
    b"NaN",
    b"inf",
    b"-Inf",
    b"1e400",
    b"1e-400",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"0.1",
    b"100000000000000000000",
    b"3.14159265358979323846",
    b"1e21",
    b"123456789.123456789",
    "héllo wörld".as_bytes(),
    "日本語テキスト".as_bytes(),
    "e\u{301}".as_bytes(),
    "ß".as_bytes(),
    "İı".as_bytes(),
    "ǆ ǅ".as_bytes(),
    "ﬀ".as_bytes(),
    "🦀🚀".as_bytes(),
    "\u{feff}bom".as_bytes(),
    "\u{200b}\u{a0}\u{2028}".as_bytes(),
    "ΑΣΣ ς".as_bytes(),
    "K".as_bytes(),
    "Ⅷ ٣".as_bytes(),
    "\u{0}\u{1}\u{7f}\u{85}\u{ad}".as_bytes(),
    b"\xff",
    b"a\xffb",
    b"\xc3",
    b"\xe4\xb8",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"<a href=\"x\">&amp;'</a>",
    b"\"quoted\"",
    b"it's",
    b"a\\b",
    b"$1 ${x}",
    b"%d %s %%",
    b"{{ . }}",
    b"`",
    b"a/b/../c",
    b"/a//b/./c/",
    b"../x",
    b"a.tar.gz",
    b".hidden",
    b"C:\\x\\y",
    b"/",
    b".",
    b"..",
    b"a=b&c=d",
    b"https://user:p%40ss@host.example:8080/a/b%20c?q=1&r=#frag",
    b"mailto:a@b.c",
    b"//host/x",
    b"http://[::1]:80/",
    b"http://h/%zz",
    b"a:b",
    b":x",
    b"?q",
    b"aGVsbG8=",
    b"aGVsbG8",
    b"aGVs\nbG8=",
    b"!!!",
    b"MFRGG===",
    b"MFRGGZDF",
    b"v1.2.3",
    b"1.2.3-rc.1+b.5",
    b"1.2",
    b"01.2.3",
    b"2020-05-06",
    b"2020-05-06T07:08:09Z",
    b"1h30m",
    b"-1.5h",
    b"100ms",
    b"1d",
    b"3600",
    b"{\"a\": [1, 2.5, null, \"x\"]}",
    b"[1,2",
    b"a: 1\nb: [x, y]\n",
    b"- 1\n- two\n",
    b"a = 1\n[t]\nb = 'x'\n",
    b"one two three four five six seven",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"a-b_c d.E9",
    b"XMLHttpRequest",
    b"snake_case_word",
    b"UPPER",
    b"camelCase",
    b"___",
    b"--",
    b"a1B2c3",
];

/// Any text.
pub(crate) fn text(rng: &mut Rng) -> Vec<u8> {
    let mut text = TEXTS[rng.usize(..TEXTS.len())].to_vec();
    match rng.u32(..20) {
        0 => text.extend_from_slice(TEXTS[rng.usize(..TEXTS.len())]),
        1 => text = text.repeat(rng.usize(..5)),
        2 => mutate(rng, &mut text),
        3 => text = (0..rng.usize(..12)).map(|_| rng.u8(b' '..=b'~')).collect(),
        4 => text = (0..rng.usize(..6)).map(|_| rng.char(..)).collect::<String>().into_bytes(),
        5 => text = (0..rng.usize(..6)).map(|_| rng.u8(..)).collect(),
        _ => {}
    }
    text
}

/// Takes out, puts in, doubles or swaps a piece of a text.
pub(crate) fn mutate(rng: &mut Rng, text: &mut Vec<u8>) {
    let place = rng.usize(..=text.len());
    match rng.u32(..5) {
        0 if place < text.len() => {
            let end = (place + 1 + rng.usize(..3)).min(text.len());
            text.drain(place..end);
        }
        1 => text.insert(
            place,
            pick(rng, &["{", "}", "\"", "\n", " ", ":", "-", "\\", "#", "\t", "[", "\r", "'", "0", "\u{7f}", "."])
                .as_bytes()[0],
        ),
        2 => {
            let from = rng.usize(..=text.len());
            let piece = text[from..(from + rng.usize(..6)).min(text.len())].to_vec();
            text.splice(place..place, piece);
        }
        3 if text.len() > 1 => {
            let other = rng.usize(..text.len());
            let place = place.min(text.len() - 1);
            text.swap(place, other);
        }
        _ => {
            let other = TEXTS[rng.usize(..TEXTS.len())];
            text.splice(place..place, other.iter().copied());
        }
    }
}

/// A number as a literal of templates.
pub(crate) fn int(rng: &mut Rng) -> String {
    match rng.u32(..10) {
        0..=5 => rng.i32(-3..12).to_string(),
        6 => rng.i32(-1000..1000).to_string(),
        7 => {
            pick(rng, &["0x10", "'a'", "1_000", "0b101", "0o17", "017", "1e2", "+3", "'\\n'", "'世'", "0x_1F", "-0x8"])
                .to_owned()
        }
        8 => pick(
            rng,
            &[
                "9223372036854775807",
                "-9223372036854775808",
                "2147483648",
                "4294967296",
                "-1",
                "255",
                "1e18",
                "9223372036854775808",
                "0x1p4",
            ],
        )
        .to_owned(),
        _ => rng.i64(..).to_string(),
    }
}

/// A small count, for what would otherwise fill the memory.
pub(crate) fn count(rng: &mut Rng) -> String {
    match rng.u32(..8) {
        0..=5 => rng.i32(-2..14).to_string(),
        6 => rng.i32(-100..300).to_string(),
        _ => {
            pick(rng, &["'a'", "0x10", "1e1", "(int 3)", "(len \"abc\")", "(int64 2 | int)", ".Values.i", ".Values.f"])
                .to_owned()
        }
    }
}

pub(crate) fn float(rng: &mut Rng) -> String {
    match rng.u32(..6) {
        0..=1 => format!("{}", f64::from(rng.i32(-10_000..10_000)) / 8.0),
        2 => format!("{:e}", rng.f64() * 10f64.powi(rng.i32(-30..30))),
        3 => pick(
            rng,
            &[
                "0.1",
                "-0.0",
                "1e6",
                "1e21",
                "123456.7",
                "1234567.0",
                "1e-5",
                "1e-7",
                "0.5",
                "1.5",
                "2.5",
                "-2.5",
                "1e308",
                "5e-324",
                "0x1p-2",
                "1e20",
                ".5",
                "1.",
            ],
        )
        .to_owned(),
        4 => pick(
            rng,
            &[
                "(float64 \"NaN\")",
                "(float64 \"inf\")",
                "(float64 \"-inf\")",
                ".Values.f",
                ".Values.big",
                "(mulf 1.1 1.1)",
            ],
        )
        .to_owned(),
        _ => format!("{}.{}", rng.i32(-999..999), rng.u32(..1000)),
    }
}

pub(crate) fn regex(rng: &mut Rng) -> String {
    let mut out = String::new();
    for _ in 0..rng.u32(1..5) {
        match rng.u32(..14) {
            0..=3 => out.push_str(pick(
                rng,
                &["a", "b", "foo", "\\d", "\\w", "\\s", ".", "x", "é", "世", "[a-z]", "[^a]", "\\D", "\\S", "\\W", "0"],
            )),
            4 => out.push_str(pick(
                rng,
                &[
                    "[[:alpha:]]",
                    "[[:^digit:]a]",
                    "\\pL",
                    "\\p{Greek}",
                    "\\PN",
                    "\\p{^Lu}",
                    "[\\d_]",
                    "[^\\W]",
                    "\\x41",
                    "\\x{1F600}",
                    "\\Qa.b\\E",
                    "\\101",
                    "\\C",
                    "[a\\]]",
                    "[]a]",
                    "[^]a]",
                    "[a-]",
                    "\\.",
                    "\\-",
                    "\\_",
                ],
            )),
            5 => out.push_str(pick(
                rng,
                &[
                    "^",
                    "$",
                    "\\b",
                    "\\B",
                    "\\A",
                    "\\z",
                    "(?m)^",
                    "(?s).",
                    "(?i)A",
                    "(?-i)a",
                    "(?U)a+",
                    "(?im-s:x)",
                    "(?P<n>a)",
                    "(?<n>b)",
                    "\\Z",
                    "(?=a)",
                    "(?<!a)",
                    "(?#c)",
                ],
            )),
            6..=7 => {
                let inner = regex(rng);
                out.push_str(&format!("({}{inner})", pick(rng, &["", "?:", "?P<name>", "?i:", ""])));
            }
            8 => {
                let inner = regex(rng);
                out.push_str(&format!("{inner}|{}", pick(rng, &["", "a", "ab", "\\d+"])));
            }
            9..=11 => {
                out.push_str(pick(rng, &["a", "\\w", ".", "(ab)", "[0-9]"]));
                out.push_str(pick(
                    rng,
                    &[
                        "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}", "{0}", "{,2}", "{1,3}?", "{1001}",
                        "{2,1}", "**", "+*", "{", "{a}",
                    ],
                ));
            }
            12 => out.push_str(pick(
                rng,
                &[
                    "(",
                    ")",
                    "[",
                    "]",
                    "*",
                    "\\",
                    "[z-a]",
                    "(?P<n",
                    "\\pX",
                    "\\8",
                    "\\x{110000}",
                    "a**",
                    "(?i",
                    "[[:foo:]]",
                    "\\p{",
                    "{",
                    "}",
                    "|",
                ],
            )),
            _ => out.push_str(&String::from_utf8_lossy(&text(rng))),
        }
    }
    out
}

pub(crate) fn version(rng: &mut Rng) -> String {
    const NUMBERS: &[&str] = &[
        "0",
        "1",
        "2",
        "3",
        "10",
        "19",
        "00",
        "01",
        "x",
        "*",
        "18446744073709551615",
        "18446744073709551616",
        "",
        "-1",
    ];
    const GOOD_NUMBERS: usize = 6;
    let number = |rng: &mut Rng| {
        let numbers = if once_in(rng, 6) { NUMBERS } else { &NUMBERS[..GOOD_NUMBERS] };
        pick(rng, numbers).to_owned()
    };
    let mut out = String::from(if once_in(rng, 4) { pick(rng, &["v", "V", " ", "=", "vv"]) } else { "" });
    for place in 0..if once_in(rng, 4) { rng.u32(1..5) } else { 3 } {
        if place > 0 {
            out.push('.');
        }
        out.push_str(&number(rng));
    }
    if once_in(rng, 3) {
        out.push_str(pick(
            rng,
            &[
                "-rc.1",
                "-alpha",
                "-alpha.beta",
                "-0",
                "-01",
                "-1a",
                "-",
                "-a..b",
                "-gke.1245000",
                "-x-y-z.-",
                "-10",
                "-9",
                "-rc.10",
                "-é",
            ],
        ));
    }
    if once_in(rng, 5) {
        out.push_str(pick(rng, &["+b", "+b.5", "+", "+001", "+a+b", "+é", "+b-1"]));
    }
    out
}

pub(crate) fn constraint(rng: &mut Rng) -> String {
    let mut out = String::new();
    for place in 0..rng.u32(1..4) {
        if place > 0 {
            out.push_str(pick(rng, &[" ", ", ", ",", " || ", "||", " - ", "|", "  ", " ,", " && "]));
        }
        out.push_str(pick(
            rng,
            &[
                "", "=", "!=", ">", "<", ">=", "<=", "=>", "=<", "~", "~>", "^", "", ">", "^", "~", "==", "><", ">= ",
                "~ ", "^ ",
            ],
        ));
        out.push_str(&version(rng));
    }
    out
}

pub(crate) fn layout(rng: &mut Rng) -> String {
    const PIECES: &[&str] = &[
        "2006",
        "06",
        "01",
        "1",
        "Jan",
        "January",
        "02",
        "_2",
        "2",
        "002",
        "__2",
        "15",
        "03",
        "3",
        "04",
        "4",
        "05",
        "5",
        "PM",
        "pm",
        "MST",
        "Z0700",
        "Z07:00",
        "Z07",
        "Z070000",
        "Z07:00:00",
        "-0700",
        "-07:00",
        "-07",
        "-070000",
        "-07:00:00",
        ".000",
        ".999",
        ".0",
        ".999999999",
        ",000",
        "000",
        "Mon",
        "Monday",
        "-",
        "/",
        " ",
        ":",
        "T",
        "at",
        "Z",
        "0",
        "_2006",
        "é",
        "Janu",
        "Monda",
        "01/02",
        "2006-01-02",
        "15:04:05",
        "2006-01-02T15:04:05Z07:00",
        "05.000",
        "05,999",
        "Jan _2 15:04:05",
        "\n",
        "\"",
    ];
    (0..rng.u32(1..6)).map(|_| pick(rng, PIECES)).collect()
}

pub(crate) fn date(rng: &mut Rng) -> String {
    pick(
        rng,
        &[
            "2020-05-06",
            "2020-05-06T07:08:09Z",
            "2020-02-30",
            "2020-12-31T23:59:60Z",
            "06 May 20 07:08 CEST",
            "Wed, 06 May 2020 07:08:09 +0200",
            "2020-05-06 07:08:09.123456789 -0330",
            "0000-01-01",
            "9999-12-31",
            "20-1-2",
            "May 6, 2020",
            "7:08AM",
            "19:08PM",
            "2020-127",
            "Wednesday",
            "",
            "1969-12-31T23:59:59.999999999Z",
            "2020-05-06T07:08:09.5+14:00",
            "2016-02-29",
            "2020-05-06T24:00:00Z",
        ],
    )
    .to_owned()
}

pub(crate) fn duration(rng: &mut Rng) -> String {
    let mut out = String::from(pick(rng, &["", "", "", "-", "+"]));
    for _ in 0..rng.u32(1..3) {
        out.push_str(pick(
            rng,
            &[
                "1",
                "1.5",
                "0",
                "90",
                "100",
                ".5",
                "1.",
                "9223372036",
                "1000000",
                "0.000000001",
                "",
                "3.999",
                "36",
                "59.9999",
            ],
        ));
        out.push_str(pick(rng, &["h", "m", "s", "ms", "us", "µs", "μs", "ns", "h", "m", "s", "d", "", "w", "y"]));
    }
    out
}

pub(crate) fn zone(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "UTC",
            "",
            "Local",
            "Europe/Berlin",
            "America/New_York",
            "Asia/Kolkata",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Etc/GMT+5",
            "GMT",
            "EST5EDT",
            "Africa/Casablanca",
            "Nowhere/No",
            "../UTC",
            "America/St_Johns",
            "Asia/Kathmandu",
            "Europe/Dublin",
        ],
    )
}

/// An Ed25519 key as PEM, so that both sides have the same one.
pub(crate) fn private_key(rng: &mut Rng) -> String {
    use base64::Engine;
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let mut der = HEAD.to_vec();
    der.extend((0..32).map(|_| rng.u8(..)));
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}
