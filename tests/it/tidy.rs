//! The house rules that a compiler does not hold: who may use whom, no orphan files, no clock in pure rooms,
//! generated files fresh, every file saying what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name in `crate::` paths. What is not listed is refused.
/// Widening it needs a reason in `src/ARCHITECTURE.md`.
const EDGES: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("value", &[]),
    ("yaml", &["value"]),
    ("template", &["value"]),
    ("sprig", &["template", "value", "yaml"]),
    ("chart", &["value", "yaml"]),
    ("manifest", &["value", "yaml"]),
    ("postrender", &["manifest", "sprig", "value", "yaml"]),
    ("render", &["sprig", "template", "chart", "manifest", "value", "yaml"]),
    ("lint", &["sprig", "chart", "render", "value", "yaml"]),
    ("entropy", &["render", "template"]),
    ("release", &["chart", "manifest", "value", "yaml"]),
    ("plan", &["release", "manifest", "chart", "value"]),
    ("api", &["plan", "postrender", "release", "chart", "manifest", "value"]),
    ("source", &["chart", "value", "yaml"]),
    ("election", &[]),
    ("cluster", &["election", "release", "manifest", "value"]),
    ("sync", &["api", "manifest", "yaml", "source", "cluster", "chart"]),
    (
        "reconcile",
        &["api", "plan", "postrender", "release", "render", "manifest", "chart", "value", "yaml", "source", "cluster"],
    ),
];

/// Words every room may use.
const OPEN_TO_ALL: &[&str] = &["text"];
/// Rooms open from the edges up.
const OPEN_TO_EDGES: &[&str] = &["metrics", "telemetry", "entropy"];
/// The edges and the shell: they may use the rooms above, and do I/O.
const EDGE_ROOMS: &[&str] =
    &["source", "cluster", "sync", "reconcile", "metrics", "telemetry", "entropy", "cli", "main"];
/// The command line may use everything.
const FREE_ROOMS: &[&str] = &["cli", "main", "lib"];

/// Words that mean a clock, randomness, the network or the disk. A pure room gets these as arguments.
const IMPURE: &[&str] = &[
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "fastrand",
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "tokio::",
    "reqwest",
    "getrandom",
    "thread_rng",
    "SystemRandom",
    "kube::Client",
];

/// An ECDSA signature needs a random number that must never repeat, so not one that a test may fix.
const MAY_BE_IMPURE: &[(&str, &str)] = &[("src/sprig/keys.rs", "SystemRandom")];

struct Source {
    room: String,
    path: PathBuf,
    text: String,
}

impl Source {
    /// The file without its tests: from `#[cfg(test)]` on, a file may do what it wants.
    fn shipped(&self) -> &str {
        if self.path.file_name().is_some_and(|name| name == "tests.rs") {
            return "";
        }
        self.text.split("#[cfg(test)]").next().expect("split gives at least one part")
    }
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let table: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut refused = Vec::new();
    for source in sources().iter().filter(|source| !FREE_ROOMS.contains(&source.room.as_str())) {
        let allowed = table.get(source.room.as_str()).copied().unwrap_or(&[]);
        for (line, used) in rooms_named(source.shipped()) {
            let open = OPEN_TO_ALL.contains(&used.as_str())
                || OPEN_TO_EDGES.contains(&used.as_str()) && EDGE_ROOMS.contains(&source.room.as_str());
            if used != source.room && !allowed.contains(&used.as_str()) && !open {
                refused.push(format!("{}:{line}: `{}` may not use `{used}`", source.path.display(), source.room));
            }
        }
    }
    assert!(refused.is_empty(), "edges outside the table:\n{}", refused.join("\n"));
}

#[test]
fn pure_rooms_have_no_clock_randomness_network_or_disk() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !EDGE_ROOMS.contains(&source.room.as_str())) {
        for (number, line) in source.shipped().lines().enumerate() {
            let code = line.split("//").next().expect("split gives at least one part");
            for word in IMPURE.iter().filter(|word| code.contains(*word)) {
                if MAY_BE_IMPURE.iter().any(|(path, allowed)| source.path == Path::new(path) && allowed == word) {
                    continue;
                }
                found.push(format!("{}:{}: {word}", source.path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "impure words in pure rooms:\n{}", found.join("\n"));
}

#[test]
fn every_file_is_compiled_and_says_what_it_is() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests/it", "tests/cluster", "tests/differential"] {
        for path in rust_files(&root().join(folder)) {
            let text = read(&path);
            let is_crate_root = path.ends_with("src/lib.rs");
            if !text.starts_with("//!") && !is_crate_root {
                wrong.push(format!("{}: does not open with what it is (//!)", path.display()));
            }
            if !is_declared(&path) {
                wrong.push(format!("{}: no `mod` names this file, so it is not compiled", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `UPDATE=1 cargo test --test it tidy` writes them again.
#[test]
fn generated_files_are_fresh() {
    let rules = ("charts/pintle/files/rules.yaml".to_owned(), pintle::cluster::permissions::rules_yaml());
    let crds = pintle::cli::crd::definitions().into_iter().flat_map(|definition| {
        ["crds", "charts/pintle/files/crds"]
            .map(|folder| (format!("{folder}/{}", definition.file), definition.yaml.clone()))
    });
    let mut stale = Vec::new();
    for (file, text) in crds.chain([rules]) {
        let path = root().join(&file);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(path.parent().expect("files lie in folders")).expect("the checkout can be written");
            fs::write(&path, text).expect("the checkout can be written");
        }
        stale.push(file);
    }
    assert!(stale.is_empty(), "stale (UPDATE=1 cargo test --test it tidy writes them): {stale:?}");
}

#[test]
fn no_unfinished_marks_in_the_tree() {
    // Written in two parts, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("#[ign", "ore"),
    ];
    let mut found = Vec::new();
    for folder in ["src", "tests", "hack", "charts", "crds"] {
        for path in files(&root().join(folder)) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for (number, line) in text.lines().enumerate() {
                if marks.iter().any(|mark| line.contains(mark)) {
                    found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "unfinished marks:\n{}", found.join("\n"));
}

#[test]
fn the_table_of_edges_has_no_cycle() {
    let table: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < table.len() {
        let before = settled.len();
        for (room, uses) in &table {
            if uses.iter().all(|used| settled.contains(used)) {
                settled.insert(room);
            }
        }
        assert!(settled.len() > before, "a cycle among {:?}", table.keys().filter(|room| !settled.contains(*room)));
    }
}

/// `crate::room` paths in code, with their line numbers.
fn rooms_named(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().expect("split gives at least one part");
        for rest in code.split("crate::").skip(1) {
            let rooms: Vec<String> = match rest.strip_prefix('{') {
                // `use crate::{text, value::Value};`: the first word after each top-level comma.
                Some(group) => group.split(',').map(first_word).collect(),
                None => vec![first_word(rest)],
            };
            named.extend(rooms.into_iter().filter(|room| !room.is_empty()).map(|room| (number + 1, room)));
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// Whether the module tree reaches a file: its parent says `mod name;`.
fn is_declared(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("Rust files have UTF-8 names");
    let folder = path.parent().expect("files lie in folders");
    let (parents, module) = match stem {
        "lib" | "main" => return true,
        "mod" => {
            let above = folder.parent().expect("rooms lie below src or tests");
            (above.to_owned(), folder.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned())
        }
        _ => (folder.to_owned(), stem.to_owned()),
    };
    let mut candidates = vec![parents.join("mod.rs"), parents.join("lib.rs"), parents.join("main.rs")];
    candidates.push(parents.with_extension("rs"));
    candidates.iter().filter_map(|parent| fs::read_to_string(parent).ok()).any(|text| {
        text.lines().any(|line| {
            let line = line.trim();
            line.ends_with(&format!("mod {module};")) || line.contains(&format!("mod {module}; "))
        })
    })
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    rust_files(&src)
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).expect("files of src lie in src");
            let first = inside.components().next().expect("a path has a component").as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            Source { room, text: read(&path), path: Path::new("src").join(inside) }
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
