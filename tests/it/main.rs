//! Fast tests that need no outside resource. Tests on a real control plane are in `tests/cluster`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod commands;
mod hostile;
mod oracle;
#[path = "../oracle/ours.rs"]
mod ours;
mod plan_walks;
mod render;
mod scenario;
mod sources;
mod spec_walks;
#[path = "../oracle/tables.rs"]
mod tables;
mod tidy;
mod values;
mod world;
