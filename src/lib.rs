#![doc = include_str!("ARCHITECTURE.md")]

// In reading order: each module uses only those above it (tests/it/tidy.rs holds the table).
pub mod text;
pub mod value;
pub mod yaml;
pub mod template;
pub mod sprig;
pub mod chart;
pub mod manifest;
pub mod postrender;
pub mod render;
pub mod lint;
pub mod release;
pub mod plan;
pub mod api;
pub mod election;
pub mod source;
pub mod metrics;
pub mod telemetry;
pub mod cluster;
pub mod sync;
pub mod reconcile;
pub mod entropy;
pub mod cli;
