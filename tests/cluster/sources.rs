//! Sources against a real registry and a real Git server.

use crate::env::{self, Repository, env, name};
use pintle::chart::source_ref::{
    Credentials, Digest, GitFiles, GitReference, GitUrl, OciReference, OciUrl, SourceRef, TreePath,
};
use pintle::source::{Content, Error, Options, Reach, Resolved, Sources, Tree};
use pintle::text::chain;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const NOBODY: Credentials = Credentials::Anonymous;

fn sources() -> Sources {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let reach = Reach { loopback: true, ..Reach::default() };
    Sources::new(Options { reach, ..Options::default() }).unwrap()
}

fn login() -> Credentials {
    Credentials::Basic { username: env("PINTLE_REGISTRY_USER"), password: env("PINTLE_REGISTRY_PASSWORD") }
}

/// A chart pushed by Helm itself, in each of these versions.
fn push_chart(registry: &str, folder: &str, versions: &[&str]) -> OciUrl {
    let work = env::Folder::new();
    let chart = name("chart");
    let helm = || {
        let mut helm = Command::new(env("HELM"));
        helm.current_dir(&work.path).env("HOME", &work.path);
        helm
    };
    env::run(helm().args(["create", &chart]));
    if registry == env("PINTLE_REGISTRY_AUTH") {
        let (user, password) = (env("PINTLE_REGISTRY_USER"), env("PINTLE_REGISTRY_PASSWORD"));
        env::run(helm().args(["registry", "login", registry, "--plain-http", "-u", &user, "-p", &password]));
    }
    for version in versions {
        env::run(helm().args(["package", &chart, "--version", version]));
        let archive = format!("{chart}-{version}.tgz");
        env::run(helm().args(["push", &archive, &format!("oci://{registry}/{folder}"), "--plain-http"]));
    }
    OciUrl::parse(&format!("oci://{registry}/{folder}/{chart}")).unwrap()
}

fn oci(url: &OciUrl, version: &str) -> SourceRef {
    SourceRef::Oci { url: url.clone(), reference: OciReference::from_version(version).unwrap(), insecure: true }
}

fn git(repository: &Repository, reference: GitReference, path: &str, files: GitFiles) -> SourceRef {
    SourceRef::Git {
        url: GitUrl::parse(&repository.url).unwrap(),
        reference,
        path: TreePath::parse(path).unwrap(),
        files,
    }
}

/// The default branch of a repository that has only its URL.
fn git_at(url: &str) -> SourceRef {
    SourceRef::Git {
        url: GitUrl::parse(url).unwrap(),
        reference: GitReference::Default,
        path: TreePath::parse("").unwrap(),
        files: GitFiles::All,
    }
}

fn branch(name: &str) -> GitReference {
    GitReference::branch(name).unwrap()
}

async fn tree(sources: &Sources, source: &SourceRef) -> (Resolved, Arc<Tree>) {
    let resolved = sources.resolve(source, &NOBODY, NOW).await.unwrap();
    let artifact = sources.fetch(source, &NOBODY, &resolved).await.unwrap();
    match &artifact.content {
        Content::Tree(tree) => (resolved, Arc::clone(tree)),
        Content::Archive(_) => panic!("an archive came out of Git"),
    }
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn charts_pushed_by_helm_are_resolved_and_fetched() {
    let url = push_chart(&env("PINTLE_REGISTRY"), "charts", &["0.1.0", "0.2.0+build.7", "1.0.0-rc.1"]);
    let sources = sources();
    for (wanted, version) in
        [("0.1.0", "0.1.0"), ("0.2.0+build.7", "0.2.0+build.7"), ("<1", "0.2.0+build.7"), (">=0-0", "1.0.0-rc.1")]
    {
        let source = oci(&url, wanted);
        let resolved = sources.resolve(&source, &NOBODY, NOW).await.unwrap();
        assert_eq!(resolved.version.as_deref(), Some(version));
        let artifact = sources.fetch(&source, &NOBODY, &resolved).await.unwrap();
        let Content::Archive(bytes) = &artifact.content else { panic!("no archive") };
        assert_eq!((Digest::of(bytes), bytes.len() as u64), (resolved.digest, resolved.size_bytes));
        assert_eq!(&bytes[..2], [0x1f, 0x8b], "it is gzip");
    }
    let error = sources.resolve(&oci(&url, "9.9.9"), &NOBODY, NOW).await.unwrap_err();
    assert!(error.to_string().ends_with("newest there: 1.0.0-rc.1, 0.2.0+build.7, 0.1.0"), "{error}");

    let resolved = sources.resolve(&oci(&url, "0.1.0"), &NOBODY, NOW).await.unwrap();
    let reference = OciReference::Digest(Digest::parse(&resolved.revision).unwrap());
    let pinned = SourceRef::Oci { url: url.clone(), reference, insecure: true };
    assert_eq!(sources.resolve(&pinned, &NOBODY, NOW).await.unwrap().digest, resolved.digest);

    let nowhere = OciUrl::parse(&format!("oci://{}/charts/nothing", env("PINTLE_REGISTRY"))).unwrap();
    let error = sources.resolve(&oci(&nowhere, "1.x"), &NOBODY, NOW).await.unwrap_err();
    assert!(matches!(error, Error::ChartNotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_with_login_wants_the_right_one() {
    let url = push_chart(&env("PINTLE_REGISTRY_AUTH"), "private", &["0.1.0"]);
    let (sources, source) = (sources(), oci(&url, "0.x"));
    let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
    assert!(matches!(error, Error::CredentialsMissing { .. }), "{error}");
    let wrong = Credentials::Basic { username: "pintle".into(), password: "canary".into() };
    let error = sources.resolve(&source, &wrong, NOW).await.unwrap_err();
    assert!(matches!(error, Error::CredentialsRefused { .. }), "{error}");
    assert!(!chain(&error).contains("canary"));
    let resolved = sources.resolve(&source, &login(), NOW).await.unwrap();
    sources.fetch(&source, &login(), &resolved).await.unwrap();
    let stolen = sources.fetch(&source, &NOBODY, &resolved).await;
    assert!(matches!(stolen, Err(Error::CredentialsMissing { .. })), "{stolen:?}");
}

#[tokio::test]
async fn certificates_of_strangers_are_refused() {
    let url = OciUrl::parse(&format!("oci://{}/charts/any", env("PINTLE_REGISTRY_TLS"))).unwrap();
    let reference = OciReference::from_version("1.x").unwrap();
    let error = sources().resolve(&SourceRef::Oci { url, reference, insecure: false }, &NOBODY, NOW).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
}

#[tokio::test]
async fn branches_tags_and_commits_are_read_below_a_path() {
    let repository = Repository::new();
    repository.write("README.md", "hello");
    repository.write("charts/app/Chart.yaml", "name: app");
    repository.write("charts/app/templates/a.yaml", "a: 1");
    let first = repository.push("first");
    repository.git(&["tag", "v1"]);
    repository.git(&["tag", "-a", "v1-annotated", "-m", "annotated"]);
    repository.git(&["push", "origin", "--tags"]);
    repository.write("charts/app/templates/a.yaml", "a: 2");
    let second = repository.push("second");
    repository.write("README.md", "hello again");
    let third = repository.push("third");

    let sources = sources();
    let at = |reference| git(&repository, reference, "charts/app", GitFiles::All);
    let (resolved, files) = tree(&sources, &at(branch("main"))).await;
    assert_eq!(resolved.revision, third);
    assert_eq!(paths(&files), ["Chart.yaml", "templates/a.yaml"]);
    assert_eq!(files.files[1].bytes, "a: 2");
    assert_eq!(tree(&sources, &at(GitReference::Default)).await.0, resolved);

    let (at_second, _) = tree(&sources, &at(GitReference::commit(&second).unwrap())).await;
    assert_eq!(at_second.revision, second);
    assert_eq!(at_second.digest, resolved.digest, "what changed is outside of the path");
    for tag in ["v1", "v1-annotated"] {
        let (resolved, files) = tree(&sources, &at(GitReference::tag(tag).unwrap())).await;
        assert_eq!((resolved.revision.as_str(), files.files[1].bytes.as_ref()), (first.as_str(), &b"a: 1"[..]));
    }
    let (_, whole) = tree(&sources, &git(&repository, branch("main"), "", GitFiles::All)).await;
    assert_eq!(paths(&whole), ["README.md", "charts/app/Chart.yaml", "charts/app/templates/a.yaml"]);
    let (_, manifests) = tree(&sources, &git(&repository, branch("main"), ".", GitFiles::Manifests)).await;
    assert_eq!(paths(&manifests), ["charts/app/Chart.yaml", "charts/app/templates/a.yaml"]);
}

#[tokio::test]
async fn an_unchanged_branch_costs_one_request() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1");
    repository.push("first");
    let (sources, source) = (sources(), git(&repository, branch("main"), "", GitFiles::All));
    let (first, _) = tree(&sources, &source).await;
    let before = repository.requests().len();
    assert_eq!(tree(&sources, &source).await.0, first);
    assert_eq!(repository.requests().len() - before, 1, "{:?}", repository.requests());

    repository.write("a.yaml", "a: 2");
    let second = repository.push("second");
    let (resolved, files) = tree(&sources, &source).await;
    assert_eq!((resolved.revision, files.files[0].bytes.as_ref()), (second, &b"a: 2"[..]));
    assert_eq!(repository.requests().len() - before, 3, "{:?}", repository.requests());
}

#[tokio::test]
async fn many_folders_of_one_repository_cost_one_question_and_one_download() {
    let repository = Repository::new();
    let paths_of: Vec<String> = (0..20).map(|n| format!("charts/app-{n}")).collect();
    paths_of.iter().for_each(|path| repository.write(&format!("{path}/Chart.yaml"), path));
    repository.push("twenty charts");
    let sources = sources();
    let all = paths_of.iter().map(|path| async {
        let source = git(&repository, branch("main"), path, GitFiles::All);
        let resolved = sources.resolve(&source, &NOBODY, Duration::from_secs(60)).await.unwrap();
        let artifact = sources.fetch(&source, &NOBODY, &resolved).await.unwrap();
        match &artifact.content {
            Content::Tree(tree) => assert_eq!(tree.files[0].bytes, *path.as_bytes()),
            Content::Archive(_) => panic!("an archive came out of Git"),
        }
    });
    futures::future::join_all(all).await;
    assert_eq!(repository.requests().len(), 3, "greeting, references, pack: {:?}", repository.requests());
}

#[tokio::test]
async fn what_is_missing_in_git_is_named() {
    let repository = Repository::new();
    repository.write("apps/a.yaml", "a: 1");
    let commit = repository.push("first");
    repository.git(&["push", "origin", "main:develop"]);
    let sources = sources();
    let url = &repository.url;
    for (reference, path, expected) in [
        (branch("mian"), "", format!("branch mian not found in {url}; it has develop, main")),
        (GitReference::tag("v1").unwrap(), "", format!("tag v1 not found in {url}")),
        (branch("main"), "prod", format!("path prod not found in {url} at commit {commit}")),
        (branch("main"), "apps/a.yaml", format!("path apps/a.yaml not found in {url} at commit {commit}")),
        (GitReference::commit(&"12".repeat(20)).unwrap(), "", format!("commit {} not found in {url}", "12".repeat(20))),
    ] {
        let source = git(&repository, reference, path, GitFiles::All);
        assert_eq!(sources.resolve(&source, &NOBODY, NOW).await.unwrap_err().to_string(), expected);
    }
    let empty = Repository::new();
    let source = git(&empty, branch("main"), "", GitFiles::All);
    let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), format!("repository {} is empty: it has no commit yet", empty.url));
    let source = git_at(&format!("{}/nowhere/at-all.git", env("PINTLE_GIT")));
    let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_git_server_with_login_wants_the_right_one() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1");
    repository.push("first");
    let url = repository.url.replace(&env("PINTLE_GIT"), &format!("{}/auth", env("PINTLE_GIT")));
    let (sources, source) = (sources(), git_at(&url));
    let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
    assert!(matches!(error, Error::CredentialsMissing { .. }), "{error}");
    let wrong = Credentials::Basic { username: "pintle".into(), password: "canary".into() };
    let error = sources.resolve(&source, &wrong, NOW).await.unwrap_err();
    assert!(matches!(error, Error::CredentialsRefused { .. }), "{error}");
    sources.resolve(&source, &login(), NOW).await.unwrap();
}

#[tokio::test]
async fn links_and_submodules_are_named_and_never_followed() {
    let repository = Repository::new();
    repository.write("apps/a.yaml", "a: 1");
    repository.link("apps/passwd.yaml", "/etc/passwd");
    repository.link("linked", "apps");
    repository.git(&["init", "--quiet", "apps/module"]);
    repository.git(&["-C", "apps/module", "commit", "--quiet", "--allow-empty", "-m", "module"]);
    repository.push("first");
    let sources = sources();
    let (_, files) = tree(&sources, &git(&repository, branch("main"), "apps", GitFiles::All)).await;
    assert_eq!(paths(&files), ["a.yaml"]);
    let skipped: Vec<_> = files.skipped.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    assert_eq!(skipped, [("module", "submodule"), ("passwd.yaml", "symbolic link")]);
    let source = git(&repository, branch("main"), "linked", GitFiles::All);
    let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), format!("linked in {} is a symbolic link, which is not followed", repository.url));
}

#[tokio::test]
async fn a_force_pushed_branch_is_followed_without_reading_it_twice() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1");
    let first = repository.push("first");
    repository.write("a.yaml", "a: 2");
    repository.push("second");
    let (sources, source) = (sources(), git(&repository, branch("main"), "", GitFiles::All));
    tree(&sources, &source).await;
    repository.git(&["push", "--force", "origin", &format!("{first}:main")]);
    let (resolved, files) = tree(&sources, &source).await;
    assert_eq!((resolved.revision, files.files[0].bytes.as_ref()), (first, &b"a: 1"[..]));
}

#[tokio::test]
async fn many_similar_files_come_as_deltas_and_are_read_right() {
    let repository = Repository::new();
    let body: String = (0..400).map(|line| format!("line {line}: {}\n", line * 7919 % 1000)).collect();
    let contents: Vec<String> = (0..200).map(|n| body.replacen("line 200", &format!("LINE {n}"), 1)).collect();
    for (n, content) in contents.iter().enumerate() {
        repository.write(&format!("files/{n:03}.txt"), content);
    }
    repository.push("first");
    repository.repack();
    let (_, files) = tree(&sources(), &git(&repository, branch("main"), "files", GitFiles::All)).await;
    assert_eq!(files.files.len(), contents.len());
    for (file, content) in files.files.iter().zip(&contents) {
        assert_eq!(file.bytes, *content.as_bytes(), "{}", file.path);
    }
}

#[tokio::test]
async fn a_large_file_elsewhere_does_no_harm_and_one_below_the_path_is_named() {
    let repository = Repository::new();
    repository.write("apps/a.yaml", "a: 1");
    repository.write("media/film.bin", &"x".repeat(40 << 20));
    repository.write("charts/big.txt", &"y".repeat(6 << 20));
    repository.push("first");
    let sources = sources();
    let (_, files) = tree(&sources, &git(&repository, branch("main"), "apps", GitFiles::All)).await;
    assert_eq!(paths(&files), ["a.yaml"]);
    let (_, files) = tree(&sources, &git(&repository, branch("main"), "", GitFiles::Manifests)).await;
    assert_eq!(paths(&files), ["apps/a.yaml"]);
    for (path, file) in [("media", "film.bin"), ("charts", "big.txt")] {
        let source = git(&repository, branch("main"), path, GitFiles::All);
        let error = sources.resolve(&source, &NOBODY, NOW).await.unwrap_err();
        let url = &repository.url;
        assert_eq!(error.to_string(), format!("file {file} in {url} is more than the limit of 5242880 bytes"));
    }
}

/// A way to the Git server on which the wish for a newer protocol gets lost, as behind old proxies and servers.
async fn old_git_server() -> String {
    use http_body_util::{BodyExt, Full};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, target) = (reqwest::Client::new(), env("PINTLE_GIT"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, target) = (client.clone(), target.clone());
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (client, target) = (client.clone(), target.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let mut headers = head.headers;
                    headers.remove("git-protocol");
                    let sent = client.request(head.method, format!("{target}{}", head.uri)).headers(headers);
                    let answer = sent.body(body.collect().await?.to_bytes()).send().await.unwrap();
                    let mut response = http::Response::builder().status(answer.status());
                    response = response.header("content-type", &answer.headers()["content-type"]);
                    Ok::<_, hyper::Error>(response.body(Full::new(answer.bytes().await.unwrap())).unwrap())
                }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn servers_that_know_only_the_first_protocol_are_read_too() {
    let repository = Repository::new();
    repository.write("a.yaml", "a: 1");
    let first = repository.push("first");
    let (sources, old) = (sources(), old_git_server().await);
    let source = git_at(&repository.url.replace(&env("PINTLE_GIT"), &old));
    let (resolved, files) = tree(&sources, &source).await;
    assert_eq!((resolved.revision, paths(&files)), (first, vec!["a.yaml"]));
    repository.write("b.yaml", "b: 1");
    let second = repository.push("second");
    let (resolved, files) = tree(&sources, &source).await;
    assert_eq!((resolved.revision, paths(&files)), (second, vec!["a.yaml", "b.yaml"]));
    assert_eq!(tree(&sources, &source).await.1.files.len(), 2);
}
