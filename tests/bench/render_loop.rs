//! Renders a chart many times in one process, as the controller does for releases of one chart: our side of
//! `hack/bench render`.
//!
//! `render_loop CHART.tgz COUNT [VALUES]`. The chart is read once; each turn is what a rollout asks of the library:
//! a thread with a big stack, dependencies, values, schema, templates, order.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use pintle::chart::{self, Limits, Object, values};
use pintle::entropy::SystemEntropy;
use pintle::render::{self, Capabilities, Offline, Operation, Options, ReleaseInfo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // as in the binary

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, count, values_file) = match arguments.as_slice() {
        [path, count] => (path, count, None),
        [path, count, values_file] => (path, count, Some(values_file)),
        _ => bail!("usage: render_loop CHART.tgz COUNT [VALUES]"),
    };
    let count: u32 = count.parse().context("COUNT is no number")?;
    let chart = chart::load_archive(&std::fs::read(path)?, &Limits::default())?;
    let user_values = match values_file {
        Some(file) => values::read(file, &std::fs::read(file)?)?,
        None => Object::new(),
    };
    let release = ReleaseInfo {
        name: "rel".to_owned(),
        namespace: "testns".to_owned(),
        revision: 1,
        operation: Operation::Install,
    };
    let options = Options {
        now: jiff::Timestamp::now(),
        local_zone: || TimeZone::UTC,
        lookup: Arc::new(Offline),
        entropy: Arc::new(SystemEntropy),
        limits: render::Limits::default(),
        stop: Arc::default(),
        parsed: Arc::default(),
    };
    let mut manifest_bytes = 0;
    let began = Instant::now();
    for _ in 0..count {
        let turn = || render::render(&chart, &user_values, &release, &Capabilities::default(), &options);
        manifest_bytes = render::on_big_stack(turn)??.manifest.len();
    }
    let milliseconds = began.elapsed().as_secs_f64() * 1e3 / f64::from(count.max(1));
    println!("{milliseconds:.3} ms a render, {manifest_bytes} bytes of manifest");
    Ok(())
}
