//! The Kubernetes edge: every request about a release goes through here.
//!
//! No decisions: what to do is `plan`, in which order is `reconcile`. What a stored body means is `release::codec`,
//! whether an object is healthy is `plan::health`.

pub mod apply;
pub mod discovery;
pub mod error;
pub mod events;
pub mod flux;
pub mod groundwork;
pub mod hooks;
pub mod identity;
pub mod lease;
pub mod live;
mod managers;
pub mod mandate;
pub mod permissions;
pub mod objects;
pub mod own;
pub mod references;
pub mod store;
mod wire;
