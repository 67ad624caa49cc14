//! The crash explorer: kills the controller before and after each of its API writes, on the real control plane, starts
//! it again and judges what it ends with. `hack/faults` runs it.
//!
//! A run owns a namespace, a fault proxy and a controller process that serves only this namespace, so that several go on
//! side by side. The first run of a scenario has no fault: it counts the writes, and what it ends with is what every
//! other one must end with. Dry runs and Events are not counted: the former write nothing, and nothing is ever decided
//! on the latter; a crash beside one is a crash between the two writes around it.
//!
//! Nothing here uses Pintle's own code. `judge` asks the real helm, kubectl and the API server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../cluster/env.rs"]
#[allow(dead_code, reason = "tests/cluster uses the rest")]
mod env;
mod judge;
#[path = "../cluster/proxy.rs"]
#[allow(dead_code, reason = "tests/cluster uses the rest")]
mod proxy;
mod scenario;
mod stage;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::StreamExt;
use judge::Ending;
use scenario::{End, Scenario};
use stage::{Crash, Fault, Side, Stage};

const USAGE: &str = "usage: hack/faults [--scenario NAME]... [--only K:before|after] [--jobs N] [--without-fence]";

/// How long after its restart the controller may take to put everything right, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(240);

struct Arguments {
    scenarios: Vec<Scenario>,
    only: Option<Crash>,
    jobs: usize,
    without_fence: bool,
}

/// How one run went.
struct Run {
    scenario: &'static str,
    crash: Crash,
    /// Between which writes it was killed; `None` where it ended with fewer writes.
    killed: Option<String>,
    took: Duration,
    verdict: Result<(), String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("faults: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(16).enable_all().build().unwrap();
    runtime.block_on(explore(&arguments))
}

async fn explore(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    stage::prepare().await;
    let fenced = !arguments.without_fence;
    let mut crashes = Vec::new();
    let mut endings = BTreeMap::new();
    let mut is_sound = true;
    let rehearsals = futures::stream::iter(&arguments.scenarios)
        .map(|scenario| async move { (scenario, rehearse(scenario, fenced).await) })
        .buffered(arguments.jobs);
    for (scenario, rehearsal) in rehearsals.collect::<Vec<_>>().await {
        let (writes, ending) = match rehearsal {
            Ok(rehearsal) => rehearsal,
            Err(sentence) => {
                println!("{} without a crash: {sentence}", scenario.name);
                is_sound = false;
                continue;
            }
        };
        println!("{}: {writes} writes", scenario.name);
        endings.insert(scenario.name, ending);
        let sides = |write| [Side::Before, Side::After].map(|side| Crash { write, side });
        let all = (1..=writes).flat_map(sides).filter(|crash| arguments.only.is_none_or(|only| only == *crash));
        crashes.extend(all.map(|crash| (scenario, crash)));
    }
    if !is_sound {
        return ExitCode::FAILURE;
    }
    let runs =
        futures::stream::iter(crashes).map(|(scenario, crash)| play(scenario, crash, &endings[scenario.name], fenced));
    let mut runs = std::pin::pin!(runs.buffer_unordered(arguments.jobs));
    let mut tally = Tally::default();
    while let Some(run) = runs.next().await {
        tally.count(&run);
    }
    tally.tell(began.elapsed(), arguments.without_fence)
}

/// The run without a fault: how many writes there are, and how it ends.
async fn rehearse(scenario: &Scenario, fenced: bool) -> Result<(u32, Ending), String> {
    let stage = Stage::set(scenario, fenced).await;
    let writes_before = stage.writes();
    stage.act(scenario).await;
    let ending = stage.settle(scenario, None, BOUND).await;
    let writes = stage.writes() - writes_before;
    stage.strike(ending.is_err()).await;
    ending.map(|ending| (writes, ending))
}

/// The same, with one crash.
async fn play(scenario: &Scenario, crash: Crash, ending: &Ending, fenced: bool) -> Run {
    let began = Instant::now();
    let stage = Stage::set(scenario, fenced).await;
    stage.arm(Fault { crash, writes_before: stage.writes() });
    stage.act(scenario).await;
    let early = tokio::select! {
        () = stage.killed() => None,
        settled = stage.settle(scenario, Some(ending), BOUND) => Some(settled),
    };
    let killed = stage.disarm();
    let settled = match early {
        Some(settled) if killed.is_none() => settled,
        _ => {
            stage.start(crash.side);
            stage.settle(scenario, Some(ending), BOUND).await
        }
    };
    stage.strike(settled.is_err()).await;
    Run { scenario: scenario.name, crash, killed, took: began.elapsed(), verdict: settled.map(drop) }
}

#[derive(Default)]
struct Tally {
    runs: usize,
    clean: usize,
    /// Runs that ended before the write they wait for.
    unreached: usize,
    slowest: Duration,
}

impl Tally {
    fn count(&mut self, run: &Run) {
        self.runs += 1;
        self.unreached += usize::from(run.killed.is_none());
        self.slowest = self.slowest.max(run.took);
        match &run.verdict {
            Ok(()) => self.clean += 1,
            Err(sentence) => {
                let killed = run.killed.as_deref().unwrap_or("a write that never came");
                println!("{} {} {}: {sentence} ({killed})", run.scenario, run.crash.write, run.crash.side);
            }
        }
    }

    fn tell(&self, took: Duration, without_fence: bool) -> ExitCode {
        if self.unreached > 0 {
            println!("{} runs ended before the write they were to be killed at", self.unreached);
        }
        println!("{:.0} s, the slowest run {:.0} s", took.as_secs_f64(), self.slowest.as_secs_f64());
        let found = self.runs - self.clean;
        if without_fence {
            println!("without the fence {found} of {} runs fail; at least one must", self.runs);
        }
        println!("{} runs, {} clean", self.runs, self.clean);
        ExitCode::from(u8::from((found > 0) != without_fence || self.runs == 0))
    }
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let all = scenario::all();
        let mut arguments = Arguments { scenarios: Vec::new(), only: None, jobs: 12, without_fence: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--scenario" => {
                    let name = value()?;
                    let names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
                    let found = all.iter().find(|scenario| scenario.name == name);
                    let found = found.ok_or(format!("no scenario {name}; there are {}", names.join(", ")))?;
                    arguments.scenarios.push(found.clone());
                }
                "--only" => arguments.only = Some(value()?.parse()?),
                "--jobs" => arguments.jobs = value()?.parse().map_err(|_| "--jobs takes a number".to_owned())?,
                "--without-fence" => arguments.without_fence = true,
                other => return Err(format!("unknown argument {other}")),
            }
        }
        if arguments.scenarios.is_empty() {
            // Without the fence it is not known which objects have to go again. Hooks would not run at all without a record.
            let tells = |scenario: &Scenario| {
                matches!(scenario.end, End::RolledBack | End::Removed) && scenario.runs.is_empty()
            };
            let is_played = |scenario: &Scenario| !arguments.without_fence || tells(scenario);
            arguments.scenarios = all.into_iter().filter(is_played).collect();
        }
        Ok(arguments)
    }
}
