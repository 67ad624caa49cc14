//! Generated cases, asked of Pintle and of real Helm: `hack/fuzz diff` builds both and runs this.
//!
//! The same seed makes the same cases. Answers are compared byte by byte, error texts too; each difference is printed
//! with its case cut down to what is needed for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod charts;
mod compare;
mod documents;
mod minimise;
mod oracle;
#[path = "../oracle/ours.rs"]
mod ours;
mod structure;
#[path = "../oracle/tables.rs"]
mod tables;
mod templates;
mod words;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use compare::Verdict;
use fastrand::Rng;
use oracle::Oracle;
use ours::{Answer, Case};

const USAGE: &str = "usage: fuzz ORACLE golden [--check] | fuzz ORACLE diff [--seed N] [--calls N] [--templates N] [--documents N] [--sets N] [--charts N]";

/// How many differences of one function or tier are cut down and printed; the others are counted.
const SHOWN_MAX: usize = 3;
/// How often the oracle is asked again before its answer counts as fixed: where it goes by the order of a Go map, it may
/// say the same several times.
const ASKED_AGAIN: usize = 32;
/// How many cases go to the oracle at once.
const BATCH: usize = 500;

struct Arguments {
    oracle: String,
    seed: u64,
    calls: usize,
    templates: usize,
    documents: usize,
    sets: usize,
    charts: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [oracle, command, options @ ..] = words.as_slice()
        && command == "golden"
    {
        return golden(&mut Oracle::start(oracle), options == ["--check"]);
    }
    let arguments = match Arguments::parse(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("fuzz: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of a render is an answer, and is printed as one.
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some("render") {
            print_panic(panic);
        }
    }));
    println!("seed {}", arguments.seed);
    let mut run = Run { oracle: Oracle::start(&arguments.oracle), seed: arguments.seed, tally: BTreeMap::new() };
    run.check_functions();
    let functions = calls::functions();
    run.tier("functions", arguments.calls, |rng| {
        let function = loop {
            let function = &functions[rng.usize(..functions.len())];
            if calls::is_wanted(rng, function) {
                break function;
            }
        };
        (function.name, calls::case(rng, function))
    });
    run.tier("templates", arguments.templates, |rng| ("templates", templates::case(rng)));
    run.tier("documents", arguments.documents, documents::case);
    run.tier("--set", arguments.sets, documents::set_case);
    run.tier("charts", arguments.charts, charts::case);
    run.structure();
    run.report()
}

/// Writes the answers to the tables of `tests/oracle`, or compares them with those that are there.
fn golden(oracle: &mut Oracle, is_check: bool) -> ExitCode {
    let (mut count, mut stale) = (0, 0);
    for table in tables::all() {
        let (answers, ()) = oracle.ask_all(&table.cases, || ());
        let lines: Vec<String> = answers.iter().map(|answer| serde_json::to_string(answer).unwrap()).collect();
        count += lines.len();
        let path = tables::want_path(table.name);
        if !is_check {
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            continue;
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let found: Vec<&str> = found.lines().collect();
        for number in 0..lines.len().max(found.len()) {
            if lines.get(number).map(String::as_str) != found.get(number).copied() {
                println!("{path}:{}: the oracle says {:?}", number + 1, lines.get(number));
                stale += 1;
            }
        }
    }
    println!("{} of {count} equal", count - stale.min(count));
    if stale == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let oracle = words.next().ok_or("which program is the oracle?")?;
        match words.next().as_deref() {
            Some("diff") => {}
            other => return Err(format!("there is no {other:?}")),
        }
        let mut arguments = Arguments {
            oracle,
            seed: 1,
            calls: 100_000,
            templates: 20_000,
            documents: 20_000,
            sets: 20_000,
            charts: 5_000,
        };
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a number"))?;
            let number: u64 = value.parse().map_err(|_| format!("{flag} {value}: not a number"))?;
            let count = usize::try_from(number).map_err(|_| format!("{flag} {value}: too many"))?;
            match flag.as_str() {
                "--seed" => arguments.seed = number,
                "--calls" => arguments.calls = count,
                "--templates" => arguments.templates = count,
                "--documents" => arguments.documents = count,
                "--sets" => arguments.sets = count,
                "--charts" => arguments.charts = count,
                other => return Err(format!("there is no {other}")),
            }
        }
        Ok(arguments)
    }
}

struct Run {
    oracle: Oracle,
    seed: u64,
    /// How many cases of a tier and a label had which verdict.
    tally: BTreeMap<(&'static str, &'static str), BTreeMap<Verdict, usize>>,
}

impl Run {
    /// Both sides must have the same functions of Sprig; or else the fuzzing would pass over the missing ones.
    fn check_functions(&mut self) {
        let Answer::Text(listed) = self.oracle.ask(&Case { kind: ours::Kind::Functions, ..Case::default() }) else {
            panic!("the oracle lists its functions");
        };
        let listed = String::from_utf8_lossy(&listed.0).into_owned();
        let theirs: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
        let mut ours: Vec<&str> = pintle::sprig::FUNCTIONS.iter().map(|function| function.name).collect();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "the functions of Sprig");
    }

    fn tier(&mut self, tier: &'static str, count: usize, make: impl Fn(&mut Rng) -> (&'static str, Case)) {
        let began = Instant::now();
        for first in (0..count).step_by(BATCH) {
            let made: Vec<(&str, Case)> = (first..count.min(first + BATCH))
                .map(|number| make(&mut Rng::with_seed(seed_of(self.seed, tier, number))))
                .collect();
            let (labels, cases): (Vec<&'static str>, Vec<Case>) = made.into_iter().unzip();
            let (theirs, mine) = self.oracle.ask_all(&cases, || answer_all(&cases));
            for (((label, case), theirs), mine) in labels.into_iter().zip(&cases).zip(&theirs).zip(&mine) {
                let mut verdict = Verdict::of(theirs, mine);
                if verdict == Verdict::Differs && (0..ASKED_AGAIN).any(|_| self.oracle.ask(case) != *theirs) {
                    verdict = Verdict::NotFixed;
                }
                let count = self.tally.entry((tier, label)).or_default().entry(verdict).or_default();
                *count += 1;
                if verdict == Verdict::Differs && *count <= SHOWN_MAX {
                    self.show(tier, label, case);
                }
            }
        }
        println!("{tier}: {count} cases in {:.1} s", began.elapsed().as_secs_f64());
    }

    fn structure(&mut self) {
        let outcomes = pintle::render::on_big_stack(|| structure::check(&mut self.oracle)).unwrap();
        for (case, verdict) in outcomes {
            *self.tally.entry(("structure", "random functions")).or_default().entry(verdict).or_default() += 1;
            if verdict == Verdict::Differs {
                println!("differs in structure: {:?}", case.files);
                let theirs = self.oracle.ask(&case);
                println!("  Helm {theirs:?}\n  we   {:?}", ours::answer(&case));
            }
        }
    }

    fn show(&mut self, tier: &str, label: &str, case: &Case) {
        let oracle = &mut self.oracle;
        let (case, mine) = pintle::render::on_big_stack(|| {
            let case = minimise::minimise(oracle, case);
            let mine = ours::answer(&case);
            (case, mine)
        })
        .unwrap();
        let theirs = self.oracle.ask(&case);
        println!("differs, {tier}, {label}: {}", serde_json::to_string(&case).unwrap());
        println!("  Helm {theirs:?}\n  we   {mine:?}");
    }

    fn report(&self) -> ExitCode {
        let mut by_tier: BTreeMap<&str, BTreeMap<Verdict, usize>> = BTreeMap::new();
        for ((tier, _), verdicts) in &self.tally {
            for (verdict, count) in verdicts {
                *by_tier.entry(tier).or_default().entry(*verdict).or_default() += count;
            }
        }
        println!("\ncases by function:");
        let of_functions: Vec<String> = self
            .tally
            .iter()
            .filter(|((tier, _), _)| *tier == "functions")
            .map(|((_, name), verdicts)| format!("{name} {}", verdicts.values().sum::<usize>()))
            .collect();
        for line in of_functions.chunks(10) {
            println!("  {}", line.join(", "));
        }
        println!("\nnot called with generated arguments:");
        for (name, reason) in calls::EXCLUDED {
            println!("  {name}: {reason}");
        }
        println!("\nby tier:");
        for (tier, verdicts) in &by_tier {
            println!("  {tier}: {verdicts:?}");
        }
        let total: usize = by_tier.values().flat_map(BTreeMap::values).sum();
        let differing: usize = by_tier.values().filter_map(|verdicts| verdicts.get(&Verdict::Differs)).sum();
        println!("{} of {total} equal, or of a class that is named above", total - differing);
        if differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Each case has a generator of its own, so that a change to one does not move all others.
fn seed_of(seed: u64, tier: &str, number: usize) -> u64 {
    let tier = tier.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ tier.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ number as u64
}

fn answer_all(cases: &[Case]) -> Vec<Answer> {
    pintle::render::on_big_stack(|| cases.iter().map(ours::answer).collect()).unwrap()
}
