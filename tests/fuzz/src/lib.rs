//! The rooms that read untrusted input, for the fuzzer.
//!
//! Their files are compiled once more, here, instead of the whole library: no clients of Kubernetes, registries and Git
//! servers are built with the fuzzer's flags, and readers that are private to a room are in reach.
#![allow(dead_code, unreachable_pub)]

#[path = "../../../src/text.rs"]
pub mod text;
#[path = "../../../src/value/mod.rs"]
pub mod value;
#[path = "../../../src/yaml/mod.rs"]
pub mod yaml;
#[path = "../../../src/template/mod.rs"]
pub mod template;
#[path = "../../../src/sprig/mod.rs"]
pub mod sprig;
#[path = "../../../src/chart/mod.rs"]
pub mod chart;
#[path = "../../../src/manifest/mod.rs"]
pub mod manifest;
#[path = "../../../src/render/mod.rs"]
pub mod render;
#[path = "../../../src/release/mod.rs"]
pub mod release;
#[path = "../../../src/source/pack.rs"]
mod pack;

use std::sync::Arc;

use chart::{Chart, File};
use template::func::KeyType;

/// Reads a Git pack: inflates every object in it and puts every delta together.
pub fn read_pack(bytes: Vec<u8>) {
    let budget = pack::Budget { objects_max: 1000, object_bytes_max: 1 << 20, work_bytes_max: 16 << 20 };
    let _ = pack::Pack::read(bytes, budget);
}

/// A chart of one template.
pub fn chart(template: &[u8], values: &[u8]) -> Option<Chart> {
    let file = |name: &str, data: &[u8]| File { name: name.into(), data: data.to_vec().into(), modified: None };
    let files = vec![
        file("Chart.yaml", b"apiVersion: v2\nname: fuzz\nversion: 1.0.0\n"),
        file("templates/a.yaml", template),
        file("values.yaml", values),
        file("data.txt", b"one\ntwo\n"),
    ];
    chart::load_files(files, &chart::Limits::default()).ok()
}

/// Renders a template that sees these values, under small budgets.
pub fn render(template: &[u8], values: &[u8]) {
    let Some(chart) = chart(template, values) else { return };
    let release = render::ReleaseInfo {
        name: "fuzz".into(),
        namespace: "default".into(),
        revision: 1,
        operation: render::Operation::Install,
    };
    let _ = render::on_big_stack(|| {
        let capabilities = render::Capabilities::default();
        render::render(&chart, &chart::Object::new(), &release, &capabilities, &options()).map(|_| ())
    });
}

fn options() -> render::Options {
    render::Options {
        now: "2026-01-02T03:04:05Z".parse().expect("a timestamp"),
        local_zone: || jiff::tz::TimeZone::UTC,
        parsed: Arc::default(),
        lookup: Arc::new(render::Offline),
        entropy: Arc::new(Zeros),
        limits: render::Limits {
            steps_max: 200_000,
            keys_max: 0,
            output_bytes_max: 1 << 20,
            ..render::Limits::default()
        },
        stop: Arc::default(),
    }
}

/// Runs are to be the same each time.
struct Zeros;

impl render::Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }

    fn private_key(&self, _: KeyType) -> Result<Vec<u8>, String> {
        Err("the fuzzer makes no keys".into())
    }
}
