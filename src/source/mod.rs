//! Where charts and manifests come from: OCI registries, Helm repositories and Git, asked with time and size limits.
//!
//! [`Sources::resolve`] says what a reference means now, cheaply and shared between all who ask the same;
//! [`Sources::fetch`] gives the bytes behind it. Everything stays in memory, nothing is unpacked to disk, links are
//! never followed, and what one identity fetched is never given to another. What the bytes mean is not known here:
//! archives are `chart`'s to read, manifests are `sync`'s.

mod auth;
mod cache;
mod error;
mod fetch;
mod git;
mod http;
mod oci;
mod pack;
mod transport;

pub use error::{Category, Cause, Error};
pub use fetch::{Options, Sources};
pub use transport::{CONNECT_TIMEOUT, IDLE_TIMEOUT, OPERATION_TIMEOUT, Reach, Tls};

use crate::chart::source_ref::Digest;
use bytes::Bytes;
use std::sync::Arc;

/// The largest chart archive, in bytes as it comes over the wire.
pub const ARCHIVE_BYTES_MAX: u64 = 10 << 20;

/// What a reference meant when the server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The version of the tag, or the tag itself where it is none; `None` where only the chart knows (digests, Git).
    pub version: Option<String>,
    /// What the server calls it: the manifest's digest, the commit, or in a Helm repository the version.
    pub revision: String,
    /// Of the content: the chart archive, or the files below the path by name and bytes. The same content has the same
    /// digest whatever tag or commit led to it.
    pub digest: Digest,
    /// Of the archive, or of all files together; 0 where that is known only once it is fetched (Helm repositories).
    pub size_bytes: u64,
}

/// Fetched content. It has the digest that was resolved: checked while it was read.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub resolved: Resolved,
    pub content: Content,
}

/// The two shapes that content comes in.
#[derive(Clone, Debug)]
pub enum Content {
    /// A chart archive, gzipped tar.
    Archive(Bytes),
    Tree(Arc<Tree>),
}

/// The files of a folder in Git.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By path, relative to the folder, in bytewise order.
    pub files: Vec<TreeFile>,
    /// What is in the folder and was not read. A chart with such entries would render differently: refuse it.
    pub skipped: Vec<Skipped>,
}

/// A file of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    pub path: String,
    pub bytes: Bytes,
}

/// An entry of a [`Tree`] that is no file: links and submodules are never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub path: String,
    /// `symbolic link` or `submodule`.
    pub kind: &'static str,
}

impl Artifact {
    /// About what it takes in memory.
    fn size_bytes(&self) -> u64 {
        const PER_FILE: u64 = 128;
        self.resolved.size_bytes
            + match &self.content {
                Content::Archive(_) => PER_FILE,
                Content::Tree(tree) => (tree.files.len() + tree.skipped.len() + 1) as u64 * PER_FILE,
            }
    }
}
