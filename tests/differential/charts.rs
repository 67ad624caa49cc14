//! Whole charts: values of chart, subchart and user laid over each other, dependencies, documents and hooks.

use fastrand::Rng;

use crate::ours::{Case, Kind};
use crate::words::{once_in, pick};

/// A chart with a subchart, asked for its values; or one whose templates print documents.
pub(crate) fn case(rng: &mut Rng) -> (&'static str, Case) {
    if rng.bool() { ("values", values_case(rng)) } else { ("documents", documents_case(rng)) }
}

fn values_case(rng: &mut Rng) -> Case {
    let shown = "{{ .Values | mustToRawJson }}";
    let mut dependency = String::from("{name: kid, version: '*'");
    if once_in(rng, 3) {
        dependency.push_str(pick(
            rng,
            &[", condition: kid.on", ", condition: 'a.on,kid.on'", ", condition: on", ", condition: ''"],
        ));
    }
    if once_in(rng, 4) {
        dependency.push_str(pick(rng, &[", tags: [a]", ", tags: [a, b]", ", tags: [none]"]));
    }
    if once_in(rng, 4) {
        dependency.push_str(pick(rng, &[", alias: al", ", alias: a", ", version: '>=9'"]));
    }
    if once_in(rng, 3) {
        dependency.push_str(pick(
            rng,
            &[
                ", import-values: [data]",
                ", import-values: [{child: a, parent: b}]",
                ", import-values: [{child: a, parent: .}]",
                ", import-values: [{child: a.b, parent: c.d}]",
            ],
        ));
    }
    let chart = format!("apiVersion: v2\nname: c\nversion: 1.2.3\ndependencies: [{dependency}}}]\n");
    Case::default()
        .file("Chart.yaml", chart)
        .file("values.yaml", table(rng, 3, true))
        .file("templates/t", shown)
        .file("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 1.0.0\n")
        .file("charts/kid/values.yaml", table(rng, 3, false))
        .file("charts/kid/templates/t", shown)
        .values(table(rng, 3, true))
}

fn table(rng: &mut Rng, depth: usize, is_parent: bool) -> String {
    let mut keys = vec!["a", "b", "c", "on", "global", "exports", "data"];
    if is_parent {
        keys.extend(["kid", "kid", "kid", "tags", "al"]);
    }
    let mut out = String::from("{");
    for key in keys {
        if rng.u32(..3) > 0 {
            continue;
        }
        // Of the same keys at each place, the last one would win.
        if out.contains(&format!("{key}: ")) {
            continue;
        }
        let value = match rng.u32(..9) {
            0..=3 if depth > 0 => table(rng, depth - 1, false),
            4 => "null".to_owned(),
            5 => pick(rng, &["true", "false"]).to_owned(),
            6 => pick(rng, &["[]", "[1, {x: null}]", "[a]"]).to_owned(),
            7 => pick(rng, &["{}", "{x: null}", "{x: 1}"]).to_owned(),
            _ => pick(rng, &["1", "text", "''", "2.5"]).to_owned(),
        };
        out.push_str(&format!("{key}: {value}, "));
    }
    out + "}"
}

fn documents_case(rng: &mut Rng) -> Case {
    let mut case = Case { kind: Kind::Chart, ..Case::default() };
    for path in ["templates/a.yaml", "templates/b.yaml", "templates/z/c.yaml", "templates/NOTES.txt", "crds/d.yaml"] {
        if rng.bool() {
            let documents: String = (0..rng.u32(1..4)).map(|_| document(rng)).collect();
            case = case.file(path, documents);
        }
    }
    case
}

fn document(rng: &mut Rng) -> String {
    let separator = pick(
        rng,
        &["---\n", "---\n", "--- \n", "\n---\n\n", "---", "--- # c\n", "", "  ---\n", "----\n", "...\n---\n"],
    );
    let kind = pick(
        rng,
        &[
            "ConfigMap",
            "Secret",
            "Deployment",
            "Job",
            "Pod",
            "Namespace",
            "CustomResourceDefinition",
            "Zebra",
            "Apple",
            "Service",
            "ValidatingWebhookConfiguration",
            "",
            "List",
        ],
    );
    let name = pick(rng, &["a", "b", "c", "{{ .Release.Name }}", "1"]);
    let hooks = pick(
        rng,
        &[
            "",
            "",
            "",
            "\n  annotations: {helm.sh/hook: pre-install}",
            "\n  annotations:\n    helm.sh/hook: post-install, PRE-upgrade\n    helm.sh/hook-weight: \"5\"",
            "\n  annotations: {helm.sh/hook: test-success, helm.sh/hook-weight: x}",
            "\n  annotations: {helm.sh/hook: nothing}",
            "\n  annotations: {helm.sh/hook: 'pre-install,nothing'}",
            "\n  annotations: {helm.sh/hook: pre-delete, helm.sh/hook-delete-policy: 'hook-succeeded, hook-failed'}",
            "\n  annotations: {other: x}",
            "\n  annotations: {helm.sh/hook: ''}",
            "\n  annotations: {helm.sh/hook: crd-install}",
            "\n  annotations: {helm.sh/hook: 1}",
        ],
    );
    let body = pick(
        rng,
        &[
            "data: {k: v}\n",
            "",
            "x: |\n  ---\n  y\n",
            "# comment\n",
            "bad: [\n",
            "  \n",
            "data: {k: v}\n\n\n",
            "a: {{ .Values.none }}\n",
        ],
    );
    match rng.u32(..10) {
        0 => format!("{separator}# only a comment\n"),
        1 => format!("{separator}\n  \n"),
        2 => format!("{separator}{body}"),
        _ => format!("{separator}apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}{hooks}\n{body}"),
    }
}
