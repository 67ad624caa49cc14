//! Folders of Git repositories over smart HTTP: a branch, tag or commit becomes the files below a path.
//!
//! The protocol is gix's (versions 2, 1 and 0); the HTTP beneath it is [`super::transport`], so that time, size,
//! redirects and passwords follow our rules; the pack is read in memory by [`super::pack`]. No process is started, no
//! file is written, nothing of a user's text becomes an argument of anything.
//!
//! One commit is fetched without its history. What is remembered of a server's first answer lets the next look at an
//! unchanged branch cost a single request.

use super::auth::authorization;
use super::error::Error;
use super::pack::{Budget, Pack, PackError, Work};
use super::transport::{Request, Response, Transport};
use super::{Artifact, Content, Resolved, Skipped, Tree, TreeFile};
use crate::chart::source_ref::{CommitId, Credentials, Digest, GitFiles, GitReference, GitUrl, TreePath};
use bytes::Bytes;
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::hash::Kind::Sha1;
use gix::objs::tree::EntryKind;
use gix::objs::{CommitRefIter, Kind, TagRefIter, TreeRefIter};
use gix::progress::Discard;
use gix::protocol::fetch::{Arguments, Response as FetchResponse};
use gix::protocol::handshake::Ref;
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::client::blocking_io::ExtendedBufRead;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport as GitTransport,
};
use gix::protocol::transport::{Protocol, Service};
use gix::protocol::{Command, Handshake, LsRefsCommand};
use http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Url;
use sha2::Digest as _;
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Cursor, Read, Write};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The references a server lists in answer to one question.
const REFS_BYTES_MAX: u64 = 16 << 20;
/// A commit with all its files, as it comes over the wire.
const PACK_BYTES_MAX: u64 = 128 << 20;
const PACK_BUDGET: Budget = Budget { objects_max: 1_000_000, object_bytes_max: 32 << 20, work_bytes_max: 2 << 30 };

/// What is taken of a tree: the limits of a chart archive.
const TREE_FILES_MAX: usize = 10_000;
const TREE_FILE_BYTES_MAX: usize = 5 << 20;
const TREE_BYTES_MAX: usize = 100 << 20;
const TREE_DEPTH_MAX: usize = 64;
/// Entries walked over, wanted or not. Trees may name each other, so a small pack can spell out billions.
const TREE_ENTRIES_MAX: usize = 500_000;

/// How many branches an error offers in place of the one that is missing.
const BRANCHES_SHOWN: usize = 8;

/// A repository seen with one identity during one operation.
pub(super) struct Remote {
    pub(super) transport: Arc<Transport>,
    pub(super) url: GitUrl,
    pub(super) credentials: Credentials,
    pub(super) deadline: Instant,
    /// Spares the greeting, where the server has been asked before.
    pub(super) advertisement: Option<Advertisement>,
}

/// What a server answers to "who are you", word for word. It does not change while the server does not.
#[derive(Clone)]
pub(super) struct Advertisement(Bytes);

/// What a reference means now.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) commit: ObjectId,
    pub(super) advertisement: Option<Advertisement>,
}

/// Asks what a reference means. A pinned commit means itself, but the server must let us in all the same.
///
/// The protocol's code waits where it stands, so this and [`download`] have threads of their own. They end by the
/// operation's deadline even when nobody waits for them any more.
///
/// # Errors
/// See [`Error`]. A branch that is not there is answered with those that are.
pub(super) async fn find(mut remote: Remote, reference: GitReference) -> Result<Head, Error> {
    if matches!(reference, GitReference::Commit(_)) {
        remote.advertisement = None;
    }
    on_its_thread(remote, move |mut session| {
        let commit = session.find_commit(&reference)?;
        let remembered = session.shared.greeting.borrow().clone();
        let can_be_remembered = session.handshake.server_protocol_version == Protocol::V2
            && session.shared.redirected_base.borrow().is_none();
        Ok(Head { commit, advertisement: remembered.filter(|_| can_be_remembered) })
    })
    .await
}

/// Gets a commit with all its files and none of its history.
///
/// # Errors
/// See [`Error`].
pub(super) async fn download(remote: Remote, commit: ObjectId) -> Result<Pack, Error> {
    on_its_thread(remote, move |mut session| session.fetch_pack(commit)).await
}

/// Reads the files below a path of a commit.
///
/// # Errors
/// See [`Error`].
pub(super) async fn read(
    pack: Arc<Pack>,
    url: GitUrl,
    commit: ObjectId,
    path: TreePath,
    files: GitFiles,
) -> Result<Artifact, Error> {
    let host = url.host().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let (tree, digest, size_bytes) = read_tree(&pack, &url, commit, &path, files)?;
        let resolved = Resolved { version: None, revision: commit.to_string(), digest, size_bytes };
        Ok(Artifact { resolved, content: Content::Tree(Arc::new(tree)) })
    });
    read.await.unwrap_or_else(|stopped| Err(thread_stopped(host, &stopped)))
}

async fn on_its_thread<T: Send + 'static>(
    remote: Remote,
    talk: impl FnOnce(Session) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let host = remote.url.host().to_owned();
    let handle = Handle::current();
    let task = tokio::task::spawn_blocking(move || talk(Session::open(remote, handle)?));
    task.await.unwrap_or_else(|stopped| Err(thread_stopped(host, &stopped)))
}

fn thread_stopped(host: String, stopped: &tokio::task::JoinError) -> Error {
    Error::Internal { host, problem: format!("the {stopped}") }
}

/// A conversation with a server after its greeting.
struct Session {
    url: GitUrl,
    wire: GitTransport<Wire>,
    shared: Rc<Shared>,
    handshake: Handshake,
}

impl Session {
    fn open(remote: Remote, handle: Handle) -> Result<Self, Error> {
        let Remote { transport, url, credentials, deadline, advertisement } = remote;
        let host = url.host().to_owned();
        let authorization =
            authorization(&credentials).map_err(|_| Error::CredentialsRefused { host, repository: url.to_string() })?;
        let shared = Rc::new(Shared {
            transport,
            handle,
            deadline,
            url: url.clone(),
            has_credentials: authorization.is_some(),
            authorization: RefCell::new(authorization),
            redirected_base: RefCell::new(None),
            failure: RefCell::new(None),
            expected: Cell::new(("list of references", REFS_BYTES_MAX)),
            greeting: RefCell::new(advertisement),
        });
        let parsed = gix::url::parse(url.as_str().as_bytes().as_bstr()).map_err(|error| shared.error("url", &error))?;
        let mut wire = GitTransport::new_http(Wire(Rc::clone(&shared)), parsed, Protocol::V2, false);
        let handshake =
            gix::protocol::handshake(&mut wire, Service::UploadPack, |_| Ok(None), Vec::new(), &mut Discard)
                .map_err(|error| shared.error("greeting", &error))?;
        Ok(Session { url, wire, shared, handshake })
    }

    fn find_commit(&mut self, reference: &GitReference) -> Result<ObjectId, Error> {
        let wanted = match reference {
            GitReference::Commit(id) => return Ok(object_id(id)),
            GitReference::Default => "HEAD".to_owned(),
            GitReference::Branch(name) => format!("refs/heads/{name}"),
            GitReference::Tag(name) => format!("refs/tags/{name}"),
        };
        let found = self.references(&wanted)?.iter().find_map(|reference| match reference {
            Ref::Peeled { full_ref_name, object, .. }
            | Ref::Direct { full_ref_name, object }
            | Ref::Symbolic { full_ref_name, object, .. } => {
                (full_ref_name.as_bytes() == wanted.as_bytes()).then_some(*object)
            }
            Ref::Unborn { .. } => None,
        });
        match found {
            Some(commit) => Ok(commit),
            None => Err(self.reference_missing(reference)?),
        }
    }

    fn reference_missing(&mut self, wanted: &GitReference) -> Result<Error, Error> {
        let url = self.url.to_string();
        let mut branches: Vec<String> = Vec::new();
        for reference in self.references("refs/")? {
            let (Ref::Peeled { full_ref_name, .. }
            | Ref::Direct { full_ref_name, .. }
            | Ref::Symbolic { full_ref_name, .. }) = reference
            else {
                continue;
            };
            let prefix = match wanted {
                GitReference::Tag(_) => "refs/tags/",
                GitReference::Default | GitReference::Branch(_) | GitReference::Commit(_) => "refs/heads/",
            };
            branches.extend(full_ref_name.to_str_lossy().strip_prefix(prefix).map(str::to_owned));
        }
        if branches.is_empty() && matches!(wanted, GitReference::Default | GitReference::Branch(_)) {
            return Ok(Error::RepositoryEmpty { url });
        }
        branches.truncate(BRANCHES_SHOWN);
        Ok(Error::ReferenceNotFound { url, reference: wanted.clone(), branches })
    }

    /// The references whose names begin with `prefix`; older servers have told all of them already.
    fn references(&mut self, prefix: &str) -> Result<Vec<Ref>, Error> {
        if let Some(references) = &self.handshake.refs {
            return Ok(references.clone());
        }
        let mut prefixes = RefPrefixes::new();
        prefixes.extend([BString::from(prefix)]);
        LsRefsCommand::new(Some(prefixes), &self.handshake.capabilities, agent())
            .invoke_blocking(&mut self.wire, &mut Discard, false)
            .map_err(|error| self.shared.error("list of references", &error))
    }

    fn fetch_pack(&mut self, commit: ObjectId) -> Result<Pack, Error> {
        const WHAT: &str = "pack";
        self.shared.expected.set((WHAT, PACK_BYTES_MAX));
        let version = self.handshake.server_protocol_version;
        let mut features = Command::Fetch.default_features(version, &self.handshake.capabilities);
        FetchResponse::check_required_features(version, &features).map_err(|error| self.shared.error(WHAT, &error))?;
        features.push(agent());
        let everything_is_in_bands = features.iter().any(|(name, _)| *name == "sideband-all");
        let mut arguments = Arguments::new(version, features, false);
        if arguments.can_use_shallow() {
            arguments.deepen(1);
        }
        arguments.want(commit);

        let mut said = Said::default();
        let result = (|| -> Result<Vec<u8>, String> {
            let mut reader = arguments.send(&mut self.wire, true).map_err(|error| crate::text::chain(&error))?;
            if everything_is_in_bands {
                listen(&mut reader, &said);
            }
            let response = FetchResponse::from_line_reader(version, &mut reader, true, false)
                .map_err(|error| crate::text::chain(&error))?;
            if !response.has_pack() {
                return Err("it holds no objects".into());
            }
            if !everything_is_in_bands {
                listen(&mut reader, &said);
            }
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(|error| crate::text::chain(&error))?;
            Ok(bytes)
        })();
        let bytes = result.map_err(|problem| self.fetch_failed(commit, problem, &mut said))?;
        Pack::read(bytes, PACK_BUDGET).map_err(|error| unreadable(&self.url, error))
    }

    fn fetch_failed(&self, commit: ObjectId, problem: String, said: &mut Said) -> Error {
        if let Some(failure) = self.shared.failure.borrow_mut().take() {
            return failure;
        }
        let remark = said.errors.take();
        if problem.contains("not our ref") || remark.contains("not our ref") || problem.contains("unadvertised object")
        {
            return no_such_commit(&self.url, commit);
        }
        let problem = if remark.is_empty() { problem } else { format!("{problem}: the server said {remark:?}") };
        Error::Malformed { host: self.url.host().to_owned(), what: "pack", problem }
    }
}

fn agent() -> gix::protocol::command::Feature {
    ("agent", Some(concat!("pintle/", env!("CARGO_PKG_VERSION")).to_owned()))
}

fn no_such_commit(url: &GitUrl, commit: ObjectId) -> Error {
    let id = CommitId::parse(&commit.to_string()).expect("an object id is 40 hexadecimal digits");
    Error::ReferenceNotFound { url: url.to_string(), reference: GitReference::Commit(id), branches: Vec::new() }
}

pub(super) fn object_id(id: &CommitId) -> ObjectId {
    ObjectId::from_hex(id.as_str().as_bytes()).expect("a commit id is 40 hexadecimal digits: checked by its parse")
}

/// What the server says beside the pack, kept for an error.
#[derive(Default, Clone)]
struct Said {
    errors: Rc<RefCell<String>>,
}

impl Said {
    const BYTES_MAX: usize = 300;
}

fn listen<'a>(reader: &mut Box<dyn ExtendedBufRead<'a> + Unpin + 'a>, said: &Said) {
    let errors = Rc::clone(&said.errors);
    reader.set_progress_handler(Some(Box::new(move |is_error, text: &[u8]| {
        if is_error {
            let mut errors = errors.borrow_mut();
            errors.push_str(&text.to_str_lossy());
            *errors = crate::text::truncate(errors.trim(), Said::BYTES_MAX);
        }
        ControlFlow::Continue(())
    })));
}

fn unreadable(repository: &GitUrl, error: PackError) -> Error {
    let url = repository.to_string();
    match error {
        PackError::TooManyObjects { found, limit } => {
            Error::TreeTooLarge { url, what: format!("the number of objects, {found},"), limit: limit.to_string() }
        }
        PackError::TooMuchWork { limit } => {
            Error::TreeTooLarge { url, what: "the inflated commit".into(), limit: format!("{limit} bytes") }
        }
        PackError::ObjectTooLarge { id, limit } => {
            Error::TreeTooLarge { url, what: format!("object {id}"), limit: format!("{limit} bytes") }
        }
        PackError::Corrupt(_) | PackError::ObjectMissing { .. } => {
            Error::Malformed { host: repository.host().to_owned(), what: "pack", problem: error.to_string() }
        }
    }
}

/// The files below the path, their digest and their size.
fn read_tree(
    pack: &Pack,
    url: &GitUrl,
    commit: ObjectId,
    path: &TreePath,
    files: GitFiles,
) -> Result<(Tree, Digest, u64), Error> {
    let work = Work::new(PACK_BUDGET);
    let mut walk =
        Walk { pack, work, url, wanted: files, files: Vec::new(), skipped: Vec::new(), bytes: 0, entries: 0 };
    let root = walk.root_of(commit)?;
    let folder = walk.descend(root, commit, path)?;
    walk.read_folder(folder, "", 0)?;
    let Walk { mut files, mut skipped, bytes, .. } = walk;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    let digest = tree_digest(&files);
    Ok((Tree { files, skipped }, digest, bytes as u64))
}

/// The digest of files by path and content: the same for the same files in any commit of any repository.
fn tree_digest(files: &[TreeFile]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"pintle tree 1\n");
    for file in files {
        for part in [file.path.as_bytes(), &file.bytes] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    Digest::finish(hasher)
}

struct Walk<'a> {
    pack: &'a Pack,
    work: Work,
    url: &'a GitUrl,
    wanted: GitFiles,
    files: Vec<TreeFile>,
    skipped: Vec<Skipped>,
    bytes: usize,
    entries: usize,
}

impl Walk<'_> {
    /// The tree of a commit, or of the commit that a tag stands for.
    fn root_of(&self, id: ObjectId) -> Result<ObjectId, Error> {
        const TAGS_OF_TAGS_MAX: usize = 5;
        let mut id = id;
        for _ in 0..TAGS_OF_TAGS_MAX {
            let (kind, data) = self.object(id)?;
            let next = match kind {
                Kind::Commit => return CommitRefIter::from_bytes(&data, Sha1).tree_id().map_err(|e| self.corrupt(&e)),
                Kind::Tag => TagRefIter::from_bytes(&data, Sha1).target_id().map_err(|e| self.corrupt(&e)),
                Kind::Tree | Kind::Blob => Err(no_such_commit(self.url, id)),
            };
            id = next?;
        }
        Err(Error::Malformed { host: self.host(), what: "tag", problem: "it is a tag of a tag of a tag…".into() })
    }

    fn descend(&self, root: ObjectId, commit: ObjectId, path: &TreePath) -> Result<ObjectId, Error> {
        let mut folder = root;
        let mut walked = String::new();
        for segment in path.segments() {
            join(&mut walked, segment);
            let data = self.tree_data(folder)?;
            let mut next = None;
            for entry in TreeRefIter::from_bytes(&data, Sha1) {
                let entry = entry.map_err(|error| self.corrupt(&error))?;
                if entry.filename.as_bytes() == segment.as_bytes() {
                    next = Some((entry.mode.kind(), entry.oid.to_owned()));
                }
            }
            folder = match next {
                Some((EntryKind::Tree, id)) => id,
                Some((EntryKind::Link, _)) => return Err(self.refused(&walked, "symbolic link")),
                Some((EntryKind::Commit, _)) => return Err(self.refused(&walked, "submodule")),
                Some((EntryKind::Blob | EntryKind::BlobExecutable, _)) | None => {
                    return Err(Error::PathNotFound {
                        url: self.url.to_string(),
                        path: path.clone(),
                        commit: commit.to_string(),
                    });
                }
            };
        }
        Ok(folder)
    }

    fn read_folder(&mut self, folder: ObjectId, prefix: &str, depth: usize) -> Result<(), Error> {
        if depth > TREE_DEPTH_MAX {
            return Err(self.too_large(format!("the depth of {prefix}"), format!("{TREE_DEPTH_MAX} folders")));
        }
        let data = self.tree_data(folder)?;
        for entry in TreeRefIter::from_bytes(&data, Sha1) {
            let entry = entry.map_err(|error| self.corrupt(&error))?;
            self.entries += 1;
            if self.entries > TREE_ENTRIES_MAX {
                return Err(self.too_large("the number of entries".into(), TREE_ENTRIES_MAX.to_string()));
            }
            let mut path = prefix.to_owned();
            join(&mut path, &entry.filename.to_str_lossy());
            let Some(name) = safe_name(entry.filename) else {
                return Err(self.refused(&path, "name that a file may not have"));
            };
            let kind = entry.mode.kind();
            let wants = match (self.wanted, kind) {
                (GitFiles::All, _) => true,
                (GitFiles::Manifests, _) if name.starts_with('.') => false,
                (GitFiles::Manifests, EntryKind::Tree) => true,
                (GitFiles::Manifests, _) => self.wanted.wants(name),
            };
            if !wants {
                continue;
            }
            let id = entry.oid.to_owned();
            match kind {
                EntryKind::Tree => self.read_folder(id, &path, depth + 1)?,
                EntryKind::Blob | EntryKind::BlobExecutable => self.read_file(id, path)?,
                EntryKind::Link => self.skipped.push(Skipped { path, kind: "symbolic link" }),
                EntryKind::Commit => self.skipped.push(Skipped { path, kind: "submodule" }),
            }
        }
        Ok(())
    }

    fn read_file(&mut self, id: ObjectId, path: String) -> Result<(), Error> {
        if self.files.len() >= TREE_FILES_MAX {
            return Err(self.too_large("the number of files".into(), TREE_FILES_MAX.to_string()));
        }
        let file_too_large =
            |walk: &Self, path| walk.too_large(format!("file {path}"), format!("{TREE_FILE_BYTES_MAX} bytes"));
        let data = match self.pack.object(id, &self.work) {
            Ok((Kind::Blob, data)) => data,
            Ok((Kind::Tree | Kind::Commit | Kind::Tag, _)) => return Err(self.refused(&path, "file without content")),
            Err(PackError::ObjectTooLarge { .. }) => return Err(file_too_large(self, &path)),
            Err(error) => return Err(unreadable(self.url, error)),
        };
        if data.len() > TREE_FILE_BYTES_MAX {
            return Err(file_too_large(self, &path));
        }
        self.bytes += data.len();
        if self.bytes > TREE_BYTES_MAX {
            return Err(self.too_large("all files together".into(), format!("{TREE_BYTES_MAX} bytes")));
        }
        self.files.push(TreeFile { path, bytes: Bytes::from(data) });
        Ok(())
    }

    fn object(&self, id: ObjectId) -> Result<(Kind, Vec<u8>), Error> {
        self.pack.object(id, &self.work).map_err(|error| unreadable(self.url, error))
    }

    fn tree_data(&self, id: ObjectId) -> Result<Vec<u8>, Error> {
        match self.object(id)? {
            (Kind::Tree, data) => Ok(data),
            (Kind::Blob | Kind::Commit | Kind::Tag, _) => {
                Err(unreadable(self.url, PackError::Corrupt("a folder is not one")))
            }
        }
    }

    fn too_large(&self, what: String, limit: String) -> Error {
        Error::TreeTooLarge { url: self.url.to_string(), what, limit }
    }

    fn refused(&self, path: &str, kind: &'static str) -> Error {
        Error::EntryRefused { url: self.url.to_string(), path: path.to_owned(), kind }
    }

    fn corrupt(&self, error: &dyn std::error::Error) -> Error {
        Error::Malformed { host: self.host(), what: "object", problem: crate::text::chain(error) }
    }

    fn host(&self) -> String {
        self.url.host().to_owned()
    }
}

fn join(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
}

/// A name as text, unless it could mean another place than its own folder.
fn safe_name(name: &gix::bstr::BStr) -> Option<&str> {
    let name = name.to_str().ok()?;
    let is_refused = matches!(name, "" | "." | "..")
        || name.eq_ignore_ascii_case(".git")
        || name.contains(['/', '\\'])
        || name.chars().any(char::is_control);
    (!is_refused).then_some(name)
}

/// gix's HTTP, spoken through our transport.
struct Wire(Rc<Shared>);

struct Shared {
    transport: Arc<Transport>,
    handle: Handle,
    deadline: Instant,
    url: GitUrl,
    has_credentials: bool,
    /// Gone after a redirect to another origin.
    authorization: RefCell<Option<HeaderValue>>,
    redirected_base: RefCell<Option<String>>,
    /// The first failure of ours, which the protocol's own error only hides.
    failure: RefCell<Option<Error>>,
    /// What the next answer is, and how large it may be.
    expected: Cell<(&'static str, u64)>,
    greeting: RefCell<Option<Advertisement>>,
}

impl Shared {
    /// The failure that stopped the protocol, or else the protocol's own complaint.
    fn error(&self, what: &'static str, error: &dyn std::error::Error) -> Error {
        match self.failure.borrow_mut().take() {
            Some(failure) => failure,
            None => Error::Malformed { host: self.url.host().to_owned(), what, problem: crate::text::chain(error) },
        }
    }

    fn fail(&self, error: Error) -> io::Error {
        self.failure.borrow_mut().get_or_insert(error);
        io::Error::other("the transport failed")
    }

    fn send(&self, mut request: Request) -> Result<Response, Error> {
        request.authorization = self.authorization.borrow().clone();
        let response = self.handle.block_on(self.transport.send(request, self.deadline))?;
        let (host, repository) = (self.url.host().to_owned(), self.url.to_string());
        match response.status {
            StatusCode::OK => {
                let (what, limit_bytes) = self.expected.get();
                response.check_length(what, limit_bytes)?;
                Ok(response)
            }
            StatusCode::UNAUTHORIZED if self.has_credentials => Err(Error::CredentialsRefused { host, repository }),
            StatusCode::UNAUTHORIZED => Err(Error::CredentialsMissing { host, repository }),
            StatusCode::FORBIDDEN => Err(Error::Forbidden { host, repository }),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::RepositoryNotFound { url: repository }),
            status => Err(Error::UnexpectedStatus { host, what: "a Git request", status: status.as_u16() }),
        }
    }

    /// Reads the headers that gix hands over as text. Identity is ours to send, not its.
    fn request(
        &self,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Request, Error> {
        let unusable = |problem: String| Error::Internal { host: self.url.host().to_owned(), problem };
        let url = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        let mut request = Request::new(method, url);
        for header in headers {
            let Some((name, value)) = header.as_ref().split_once(':') else { continue };
            let name = HeaderName::try_from(name).map_err(|error| unusable(error.to_string()))?;
            if name == AUTHORIZATION || name == USER_AGENT {
                continue;
            }
            let value = HeaderValue::try_from(value.trim()).map_err(|error| unusable(error.to_string()))?;
            request.headers.insert(name, value);
        }
        Ok(request)
    }

    /// Takes note of where a redirect led: the following requests go there.
    fn follow(&self, response: &Response, url: &str, base_url: &str) -> Result<(), Error> {
        if response.url.as_str() == url {
            return Ok(());
        }
        if response.left_origin {
            self.authorization.borrow_mut().take();
        }
        let tail = url.strip_prefix(base_url).unwrap_or(url);
        match response.url.as_str().strip_suffix(tail) {
            Some(base) => {
                self.redirected_base.borrow_mut().replace(base.to_owned());
                Ok(())
            }
            None => Err(Error::RedirectRefused {
                host: self.url.host().to_owned(),
                target: super::transport::host_of(&response.url),
                why: "it does not lead to a repository",
            }),
        }
    }
}

impl Http for Wire {
    type Headers = HeaderLines;
    type ResponseBody = Body;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<HeaderLines, Body>> {
        let shared = &self.0;
        let remembered = shared.greeting.borrow().clone();
        let exchange = match remembered {
            Some(Advertisement(greeting)) => Exchange::remembered(shared, greeting),
            None => {
                let answer = || -> Result<Exchange, Error> {
                    let response = shared.send(shared.request(Method::GET, url, headers)?)?;
                    shared.follow(&response, url, base_url)?;
                    let (what, limit_bytes) = shared.expected.get();
                    let head = head_of(&response.headers);
                    let greeting = shared.handle.block_on(response.bytes(what, limit_bytes))?;
                    shared.greeting.borrow_mut().replace(Advertisement(greeting.clone()));
                    Ok(Exchange { head, ..Exchange::remembered(shared, greeting) })
                };
                answer().map_err(|error| gix::Error::from_error(shared.fail(error)))?
            }
        };
        let exchange = Rc::new(RefCell::new(exchange));
        Ok(GetResponse { headers: HeaderLines::of(&exchange), body: Body::of(&exchange) })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<HeaderLines, Body, PostBody>> {
        let shared = &self.0;
        let request =
            shared.request(Method::POST, url, headers).map_err(|error| gix::Error::from_error(shared.fail(error)))?;
        let exchange = Rc::new(RefCell::new(Exchange {
            unsent: Some((request, Vec::new())),
            ..Exchange::remembered(shared, Bytes::new())
        }));
        Ok(PostResponse {
            post_body: PostBody(Rc::clone(&exchange)),
            headers: HeaderLines::of(&exchange),
            body: Body::of(&exchange),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.0.redirected_base.borrow().clone()
    }
}

/// One request and its answer. A POST is sent when its answer is first read: then its body is whole.
struct Exchange {
    shared: Rc<Shared>,
    unsent: Option<(Request, Vec<u8>)>,
    head: Vec<u8>,
    chunk: Bytes,
    response: Option<Response>,
    bytes_left: u64,
}

impl Exchange {
    fn remembered(shared: &Rc<Shared>, greeting: Bytes) -> Self {
        Exchange {
            shared: Rc::clone(shared),
            unsent: None,
            head: b"content-type: application/x-git-upload-pack-advertisement\r\n".to_vec(),
            chunk: greeting,
            response: None,
            bytes_left: shared.expected.get().1,
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let Some((mut request, body)) = self.unsent.take() else { return Ok(()) };
        request.body = body.into();
        let response = self.shared.send(request).map_err(|error| self.shared.fail(error))?;
        self.head = head_of(&response.headers);
        self.bytes_left = self.shared.expected.get().1;
        self.response = Some(response);
        Ok(())
    }

    fn next_chunk(&mut self) -> io::Result<Bytes> {
        self.send()?;
        if !self.chunk.is_empty() {
            return Ok(std::mem::take(&mut self.chunk));
        }
        let Some(response) = &mut self.response else { return Ok(Bytes::new()) };
        let chunk = self.shared.handle.block_on(response.chunk()).map_err(|error| self.shared.fail(error))?;
        let Some(chunk) = chunk else {
            self.response = None;
            return Ok(Bytes::new());
        };
        match self.bytes_left.checked_sub(chunk.len() as u64) {
            Some(left) => self.bytes_left = left,
            None => {
                let (what, limit_bytes) = self.shared.expected.get();
                let host = self.shared.url.host().to_owned();
                return Err(self.shared.fail(Error::TooLarge { host, what, limit_bytes }));
            }
        }
        Ok(chunk)
    }
}

fn head_of(headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head
}

struct PostBody(Rc<RefCell<Exchange>>);

impl Write for PostBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0.borrow_mut().unsent {
            Some((_, body)) => body.extend_from_slice(bytes),
            None => return Err(io::Error::other("the request is already on its way")),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct HeaderLines {
    exchange: Rc<RefCell<Exchange>>,
    lines: Option<Cursor<Vec<u8>>>,
}

impl HeaderLines {
    fn of(exchange: &Rc<RefCell<Exchange>>) -> Self {
        HeaderLines { exchange: Rc::clone(exchange), lines: None }
    }

    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            let mut exchange = self.exchange.borrow_mut();
            exchange.send()?;
            self.lines = Some(Cursor::new(std::mem::take(&mut exchange.head)));
        }
        Ok(self.lines.as_mut().expect("filled just above"))
    }
}

impl Read for HeaderLines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for HeaderLines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(amount);
        }
    }
}

struct Body {
    exchange: Rc<RefCell<Exchange>>,
    chunk: Bytes,
}

impl Body {
    fn of(exchange: &Rc<RefCell<Exchange>>) -> Self {
        Body { exchange: Rc::clone(exchange), chunk: Bytes::new() }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = self.exchange.borrow_mut().next_chunk()?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let _ = self.chunk.split_to(amount.min(self.chunk.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_another_place_are_refused() {
        for name in ["values.yaml", ".helmignore", "ü", "a b", "git~1"] {
            assert_eq!(safe_name(name.into()), Some(name));
        }
        for name in ["", ".", "..", ".git", ".GIT", "a/b", "a\\b", "a\nb", "a\0"] {
            assert_eq!(safe_name(name.into()), None, "{name:?}");
        }
        assert_eq!(safe_name(b"\xff".as_bstr()), None);
    }

    #[test]
    fn the_digest_of_a_tree_is_that_of_its_paths_and_contents() {
        let file = |path: &str, text: &str| TreeFile { path: path.into(), bytes: Bytes::from(text.to_owned()) };
        let digest = |files: &[TreeFile]| tree_digest(files);
        assert_eq!(digest(&[file("a", "1")]), digest(&[file("a", "1")]));
        assert_ne!(digest(&[file("a", "1")]), digest(&[file("b", "1")]));
        assert_ne!(digest(&[file("a", "1b")]), digest(&[file("a", "1"), file("b", "")]));
        assert_ne!(digest(&[]), digest(&[file("", "")]));
    }
}
