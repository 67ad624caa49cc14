//! The tables of cases beside this file, which only hold questions. The answers are in `want`, written from real Helm by
//! `hack/fuzz golden`.
//!
//! A line is a case; lines that start with `# ` are for people. A text that starts with `"` is a JSON string, any other
//! stands as it is. `NAME| …` sets what holds for the lines after it.

use crate::ours::{Case, Kind, Text};

/// A table: its name, and its cases in order.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// All tables.
pub(crate) fn all() -> Vec<Table> {
    vec![
        Table { name: "templates", cases: templates(include_str!("templates.txt")) },
        Table { name: "set", cases: set_lines(include_str!("set.txt")) },
        Table { name: "versions", cases: versions(include_str!("versions.txt")) },
        Table { name: "schemas", cases: schemas(include_str!("schemas.txt")) },
        Table { name: "documents", cases: documents(include_str!("documents.txt")) },
        Table { name: "charts", cases: charts(include_str!("charts.txt")) },
    ]
}

/// The text of an answer's line, in `want`.
pub(crate) fn want_path(name: &str) -> String {
    format!("{}/tests/oracle/want/{name}.jsonl", env!("CARGO_MANIFEST_DIR"))
}

fn lines(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn text(line: &str) -> String {
    if line.starts_with('"')
        && let Ok(text) = serde_json::from_str(line)
    {
        return text;
    }
    line.to_owned()
}

/// `v| ` values, `h| ` a file of helpers; any other line is a template.
fn templates(table: &str) -> Vec<Case> {
    let (mut values, mut helpers) = (String::new(), String::new());
    let mut cases = Vec::new();
    for line in lines(table) {
        if let Some(line) = line.strip_prefix("v| ") {
            values = text(line);
        } else if let Some(line) = line.strip_prefix("h| ") {
            helpers = text(line);
        } else {
            cases.push(Case::template(text(line)).values(values.clone()).file("templates/_h.tpl", helpers.clone()));
        }
    }
    cases
}

/// `FLAG| LINE`, over the values of the last `values| `.
fn set_lines(table: &str) -> Vec<Case> {
    let mut values = String::new();
    let mut cases = Vec::new();
    for line in lines(table) {
        let (flag, line) = line.split_once("| ").expect("a flag stands before each line");
        if flag == "values" {
            values = text(line);
        } else {
            let set = vec![(flag.to_owned(), text(line))];
            cases.push(Case { kind: Kind::Set, values: Text(values.clone().into()), set, ..Case::default() });
        }
    }
    cases
}

/// A range, and after `;;` versions.
fn versions(table: &str) -> Vec<Case> {
    let template = |line: &str| {
        let (range, versions) = line.split_once(" ;; ").expect("versions stand after the range");
        let versions: String = versions.split(' ').map(|version| format!(" {version:?}")).collect();
        format!("{{{{ range list{versions} }}}}{{{{ . }}}} {{{{ semverCompare {range:?} . }}}};{{{{ end }}}}")
    };
    lines(table).map(|line| Case::template(template(line))).collect()
}

/// A schema, and after each `;;` a value: a case each.
fn schemas(table: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for line in lines(table) {
        let mut parts = line.split(" ;; ");
        let schema = parts.next().expect("split gives at least one part");
        // A schema that names its draft is the whole one; any other is that of the value `v`.
        let schema = match schema.strip_prefix("whole| ") {
            Some(whole) => whole.to_owned(),
            None => format!("{{\"properties\": {{\"v\": {schema}}}}}"),
        };
        for value in parts {
            let case = Case::template("ok").values(format!("{{\"v\": {value}}}"));
            cases.push(case.file("values.schema.json", schema.clone()));
        }
    }
    cases
}

/// A document of YAML, read in both ways and written in both.
fn documents(table: &str) -> Vec<Case> {
    let template = |document: &str| {
        let document = serde_json::to_string(document).expect("a text is JSON");
        // JSON's escapes for what lies above the 16-bit plane are no Go; such characters stand as they are.
        format!(
            "{{{{ $d := {document} }}}}{{{{ fromYaml $d | mustToRawJson }}}}\n{{{{ fromYamlArray $d | mustToRawJson }}}}\n\
             {{{{ fromYaml $d | toYaml }}}}\n{{{{ fromYaml $d | toYamlPretty }}}}"
        )
    };
    lines(table).map(|line| Case::template(template(&text(line)))).collect()
}

/// Values of the chart, of its subchart `kid`, and the user's, separated by `;;`; the fourth part is the dependency.
fn charts(table: &str) -> Vec<Case> {
    let shown = "{{ .Values | mustToRawJson }}";
    let case = |line: &str| {
        let parts: Vec<&str> = line.split(" ;; ").collect();
        let dependency = parts.get(3).copied().unwrap_or("{name: kid, version: '*'}");
        let chart = format!("apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{dependency}]\n");
        Case::default()
            .file("Chart.yaml", chart)
            .file("values.yaml", parts[0])
            .file("templates/t", shown)
            .file("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 1.0.0\n")
            .file("charts/kid/values.yaml", parts[1])
            .file("charts/kid/templates/t", shown)
            .values(parts[2])
    };
    lines(table).map(case).collect()
}
