//! Every case of `tests/charts/cases.tsv` rendered, against what real Helm printed (`hack/oracle` writes it).

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A line of `cases.tsv`.
struct Case {
    name: String,
    chart: String,
    arguments: Vec<String>,
}

fn charts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/charts"))
}

fn cases() -> Vec<Case> {
    let table = fs::read_to_string(charts().join("cases.tsv")).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [name, chart, arguments] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("line {line:?}") };
            let arguments = arguments.split_whitespace().map(str::to_owned).collect();
            Case { name: name.to_owned(), chart: chart.to_owned(), arguments }
        })
        .collect()
}

fn render(case: &Case) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pintle"))
        .current_dir(charts())
        .args(["template", "rel", &case.chart, "-n", "testns"])
        .args(&case.arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

#[test]
fn charts_render_to_the_bytes_of_helm() {
    let mut unequal = Vec::new();
    for case in cases() {
        let Ok(want) = fs::read(charts().join(format!("want/{}.yaml", case.name))) else { continue };
        let output = render(&case);
        if output.stdout != want {
            unequal.push(format!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(unequal.is_empty(), "{} cases are not equal:\n{}", unequal.len(), unequal.join("\n"));
}

#[test]
fn charts_that_helm_refuses_are_refused_in_its_words() {
    let mut unequal = Vec::new();
    for case in cases() {
        let Ok(want) = fs::read_to_string(charts().join(format!("want/{}.error", case.name))) else { continue };
        let output = render(&case);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = want.split_once("Error: ").expect("helm says what it refuses").1;
        let message = message.split("\n\nUse --debug flag").next().unwrap_or(message).trim_end();
        let is_refused = output.status.code() == Some(1) && output.stdout.is_empty();
        if !is_refused || !stderr.contains(message) {
            unequal.push(format!("{}: want\n{message}\ngot\n{stderr}", case.name));
        }
    }
    assert!(unequal.is_empty(), "{} cases are not equal:\n{}", unequal.len(), unequal.join("\n"));
}

/// The chart that `helm create` makes is Helm's own text, so it is made anew each time and not kept here.
#[test]
fn starter_chart_renders_to_the_bytes_of_helm() {
    let Some(helm) = std::env::var_os("HELM") else {
        eprintln!("skipped: $HELM names no helm to make the starter chart with; hack/cluster build helm prints one");
        return;
    };
    let folder = std::env::temp_dir().join(format!("pintle-starter-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let run = |program: &std::ffi::OsStr, arguments: &[&str]| {
        Command::new(program).current_dir(&folder).env_remove("KUBECONFIG").args(arguments).output().unwrap()
    };
    assert!(run(&helm, &["create", "starter"]).status.success());
    let cases: [&[&str]; 3] = [
        &[],
        &["--set", "ingress.enabled=true,autoscaling.enabled=true,service.port=8080"],
        &["--set", "serviceAccount.create=false,httpRoute.enabled=true", "--is-upgrade", "--kube-version", "1.34.0"],
    ];
    for case in cases {
        let arguments = [&["template", "rel", "starter", "-n", "testns"], case].concat();
        let (want, got) = (run(&helm, &arguments), run(env!("CARGO_BIN_EXE_pintle").as_ref(), &arguments));
        assert!(want.status.success(), "{case:?}: helm says {}", String::from_utf8_lossy(&want.stderr));
        assert_eq!(String::from_utf8_lossy(&got.stdout), String::from_utf8_lossy(&want.stdout), "{case:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
