//! Every line of `tests/charts/commands.tsv`, against what real Helm said and wrote (`hack/oracle` writes it): the
//! output, the errors, the files and the exit code.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

const CHARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/charts");

/// What a command says, in the form of the expected files.
fn said(name: &str, arguments: &str) -> String {
    let out = std::env::temp_dir().join(format!("pintle-commands-{}-{name}", std::process::id()));
    fs::create_dir_all(&out).unwrap();
    let arguments = arguments.replace("OUT", out.to_str().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    command.current_dir(CHARTS).args(arguments.split_whitespace()).env("TZ", "UTC").env("HOME", "/nonexistent");
    for name in ["KUBECONFIG", "HELM_NAMESPACE", "HELM_KUBECONTEXT", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = format!("{}--- stderr\n{}", text(&output.stdout), text(&output.stderr));
    let mut files = Vec::new();
    collect(&out, &mut files);
    files.sort();
    for file in files {
        let name = file.strip_prefix(&out).unwrap().display();
        let _ = write!(said, "--- file {name}\n{}", text(&fs::read(&file).unwrap()));
    }
    let _ = writeln!(said, "--- exit {}", output.status.code().unwrap());
    fs::remove_dir_all(&out).unwrap();
    said.replace(out.to_str().unwrap(), "OUT").replace(CHARTS, "/charts")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

#[test]
fn commands_of_helm_say_what_helm_says() {
    let table = fs::read_to_string(format!("{CHARTS}/commands.tsv")).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let cases = Mutex::new(lines.map(|line| line.split_once('\t').unwrap()));
    let unequal = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((name, arguments)) = { cases.lock().unwrap().next() } {
                    let want = fs::read_to_string(format!("{CHARTS}/want/{name}.said")).unwrap();
                    let got = said(name, arguments);
                    // A command is called by its own name.
                    if got != want.replace("helm ", "pintle ") && got != want {
                        unequal.lock().unwrap().push(format!("{name}: want\n{want}\ngot\n{got}"));
                    }
                }
            });
        }
    });
    let unequal = unequal.into_inner().unwrap();
    assert!(unequal.is_empty(), "{} cases are not equal:\n{}", unequal.len(), unequal.join("\n"));
}
