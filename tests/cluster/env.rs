//! What `hack/cluster` provides, and repositories to push to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A variable of `eval "$(hack/cluster env)"`.
pub(crate) fn env(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `hack/cluster up` and `eval \"$(hack/cluster env)\"` first")
    })
}

/// A name that no other test uses, also when the same cluster serves many runs.
pub(crate) fn name(kind: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let seconds = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    format!("{kind}-{seconds}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a program to its end and gives what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A folder that is gone with its owner.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = std::env::temp_dir().join(name("pintle-test"));
        std::fs::create_dir_all(&path).unwrap();
        Folder { path }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A folder behind HTTP for whoever knows the name and password, until the test ends.
pub(crate) async fn serve(folder: PathBuf, username: &str, password: &str) -> String {
    use base64::Engine;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    let wanted = format!("Basic {pair}");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (folder, wanted) = (folder.clone(), wanted.clone());
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let file = folder.join(request.uri().path().trim_start_matches('/'));
                let is_known = request.headers().get("authorization").is_some_and(|given| *given == *wanted);
                let (status, body) = match (is_known, std::fs::read(file)) {
                    (false, _) => (401, Vec::new()),
                    (true, Ok(bytes)) => (200, bytes),
                    (true, Err(_)) => (404, Vec::new()),
                };
                let body = http_body_util::Full::new(bytes::Bytes::from(body));
                std::future::ready(http::Response::builder().status(status).body(body))
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    format!("http://{address}")
}

/// A repository on the Git server, and a work tree to push from.
pub(crate) struct Repository {
    pub(crate) url: String,
    work: Folder,
    bare: PathBuf,
}

impl Repository {
    pub(crate) fn new() -> Repository {
        let name = name("repo");
        let bare = Path::new(&env("PINTLE_GIT_ROOT")).join(format!("{name}.git"));
        run(Command::new("git").args(["init", "--quiet", "--bare", "-b", "main"]).arg(&bare));
        let url = format!("{}/{name}.git", env("PINTLE_GIT"));
        let repository = Repository { url, work: Folder::new(), bare };
        repository.git(&["init", "--quiet", "-b", "main"]);
        repository.git(&["remote", "add", "origin", &repository.url]);
        repository
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        run(Command::new("git").current_dir(&self.work.path).args(identity).args(arguments))
    }

    /// Writes a file into the work tree.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.work.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Removes a file from the work tree.
    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_file(self.work.path.join(path)).unwrap();
    }

    /// Puts a symbolic link into the work tree.
    pub(crate) fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.work.path.join(path)).unwrap();
    }

    /// Commits and pushes the work tree; gives the commit.
    pub(crate) fn push(&self, message: &str) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Packs everything on the server into one pack with deltas.
    pub(crate) fn repack(&self) {
        run(Command::new("git").current_dir(&self.bare).args(["repack", "-a", "-d", "-q", "-f"]));
    }

    /// The requests of readers that the server has seen for this repository.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(Path::new(&env("PINTLE_CLUSTER_STATE")).join("access.log")).unwrap();
        let name = self.bare.file_name().unwrap().to_str().unwrap();
        log.lines().filter(|line| line.contains(name) && line.contains("git-upload-pack")).map(str::to_owned).collect()
    }
}
