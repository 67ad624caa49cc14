//! Fast tests that need no outside resource. Tests on a real control plane are in `tests/cluster`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod commands;
mod hostile;
mod plan_walks;
mod render;
mod scenario;
mod sources;
mod tidy;
mod world;
