//! Tests on the real control plane of `hack/cluster`. Each owns a namespace, with a controller of its own where it needs
//! one that serves only that namespace, and waits on conditions; none sleeps.
//!
//! Run `hack/cluster up` and `eval "$(hack/cluster env)"` first; `hack/test` does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod env;
mod faults;
mod git_sync;
mod hooks;
mod house;
mod leader;
mod lifecycle;
mod moves;
mod own_cluster;
mod process;
#[allow(dead_code, reason = "tests/faults uses the rest")]
mod proxy;
mod releases;
mod sources;
mod tenancy;
