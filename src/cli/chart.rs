//! Charts as the command line names them: a folder, a `.tgz`, a URL, or a name in a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use jiff::Timestamp;

use super::helm_flags::{Foreign, GlobalArgs, Provenance};
use crate::chart::source_ref::{
    ChartName, Credentials, Digest, HttpUrl, OciReference, OciUrl, SourceRef, Tag, VersionRange,
};
use crate::chart::{self, Chart, File, Limits};
use crate::source::{self, ARCHIVE_BYTES_MAX, Content, Reach, Sources, Tls};

/// Where a chart comes from, and with which credentials. The names are Helm's.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ChartArgs {
    /// Version of the chart, or a range of versions, where it is not a folder or file
    #[arg(long, value_name = "RANGE")]
    version: Option<String>,
    /// Prereleases too; without effect beside --version
    #[arg(long)]
    devel: bool,
    /// The Helm repository that has the chart
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// User name for the repository or registry
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password for the repository or registry
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Show the password to other hosts too, where the repository's index leads to them
    #[arg(long)]
    pass_credentials: bool,
    /// Certificates of authorities that are trusted besides the machine's own, as PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Our own certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// The key of our own certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// Ask registries by HTTP instead of HTTPS
    #[arg(long)]
    plain_http: bool,
    /// Where passwords of registries are kept; default is $HELM_REGISTRY_CONFIG, then Helm's and Docker's own
    #[arg(long, value_name = "FILE")]
    registry_config: Option<PathBuf>,
    #[command(flatten)]
    foreign: Foreign<Provenance>,
}

impl ChartArgs {
    /// Whether the chart is a name in a Helm repository.
    pub fn is_in_repository(&self) -> bool {
        self.repo.as_deref().is_some_and(|url| !url.is_empty())
    }
}

/// A chart that was found.
pub enum Input {
    Folder(PathBuf),
    Archive(Bytes),
}

/// How charts and values elsewhere are reached.
pub struct Network {
    arguments: ChartArgs,
    global: GlobalArgs,
}

impl Input {
    /// The folder or file at a path.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn at(path: &Path) -> Result<Self> {
        let text = path.to_string_lossy();
        if fs::metadata(path).map_err(|error| go_error("stat", &text, &error))?.is_dir() {
            return Ok(Input::Folder(path.to_owned()));
        }
        Ok(Input::Archive(fs::read(path).map_err(|error| go_error("open", &text, &error))?.into()))
    }

    /// Reads the chart.
    ///
    /// # Errors
    /// It is no chart.
    pub fn load(&self) -> Result<Chart> {
        let limits = Limits::default();
        Ok(match self {
            Input::Folder(path) => chart::load_files(read_folder(path)?.0, &limits)?,
            Input::Archive(bytes) => chart::load_archive(bytes, &limits)?,
        })
    }

    /// The chart's own files, as they are.
    ///
    /// # Errors
    /// As [`Input::load`].
    pub fn files(&self) -> Result<Vec<File>> {
        let limits = Limits::default();
        Ok(match self {
            Input::Folder(path) => chart::kept_files(read_folder(path)?.0, &limits)?,
            Input::Archive(bytes) => chart::archive_files(bytes, &limits)?,
        })
    }
}

impl Network {
    /// Opens no connection.
    pub fn new(arguments: &ChartArgs, global: &GlobalArgs) -> Self {
        Network { arguments: arguments.clone(), global: global.clone() }
    }

    /// Finds a chart: on the disk, else where its name or the flags say.
    ///
    /// # Errors
    /// It is not there, or the server does not give it.
    pub fn locate(&self, reference: &str) -> Result<Input> {
        let reference = reference.trim();
        let version = self.version();
        self.global.say("Original chart version", "version", &version);
        if !self.arguments.is_in_repository() {
            let path = Path::new(reference);
            if path.exists() {
                let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                self.global.say("Chart path", "path", &clean(&absolute.to_string_lossy()));
                return Input::at(path);
            }
            if path.is_absolute() || reference.starts_with('.') {
                bail!("path {reference:?} not found");
            }
        }
        if let Some(repository) = self.arguments.repo.as_deref().filter(|url| !url.is_empty()) {
            return self.in_repository(repository, reference, &version);
        }
        match reference.split_once("://") {
            Some(("oci", _)) => self.in_registry(reference, &version),
            Some(("http" | "https", _)) => {
                let packed = self.file(reference, &self.credentials(), "chart archive", ARCHIVE_BYTES_MAX)?;
                Ok(Input::Archive(packed))
            }
            Some((scheme, _)) => bail!("scheme {scheme:?} not supported"),
            None if reference.contains('/') => {
                bail!("repositories of `helm repo add` are not read: name the one of {reference} with --repo URL")
            }
            None => bail!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {reference}"),
        }
    }

    /// A values file on a server.
    ///
    /// # Errors
    /// It is not there, or the server does not give it.
    pub fn values(&self, url: &str) -> Result<Vec<u8>> {
        Ok(self.file(url, &Credentials::Anonymous, "values file", VALUES_BYTES_MAX)?.into())
    }

    fn file(&self, url: &str, credentials: &Credentials, what: &'static str, bytes_max: u64) -> Result<Bytes> {
        let sources = self.sources()?;
        let asked = async { sources.file(url, credentials, what, bytes_max).await };
        runtime()?.block_on(asked).map_err(explain)
    }

    fn in_repository(&self, repository: &str, chart: &str, version: &str) -> Result<Input> {
        let source = SourceRef::Http {
            url: HttpUrl::parse(repository)?,
            chart: ChartName::parse(chart)?,
            version: VersionRange::parse(version)?,
            pass_credentials: self.arguments.pass_credentials,
        };
        self.fetch(source, self.credentials())
    }

    fn version(&self) -> String {
        let given = self.arguments.version.as_deref().unwrap_or_default().trim();
        if given.is_empty() && self.arguments.devel { ">0.0.0-0".to_owned() } else { given.to_owned() }
    }

    fn in_registry(&self, reference: &str, version: &str) -> Result<Input> {
        let (url, tail) = split_tail(reference);
        let url = OciUrl::parse(url)?;
        let reference = match tail {
            Tail::None => OciReference::from_version(version)?,
            Tail::Digest(digest) => OciReference::Digest(Digest::parse(digest)?),
            Tail::Tag(tag) if version.is_empty() || version == tag => OciReference::Tag(Tag::parse(tag)?),
            Tail::Tag(tag) => bail!("chart reference and version mismatch: {version} is not {tag}"),
        };
        let credentials = self.registry_credentials(url.host())?;
        self.fetch(SourceRef::Oci { url, reference, insecure: self.arguments.plain_http }, credentials)
    }

    fn fetch(&self, source: SourceRef, credentials: Credentials) -> Result<Input> {
        let sources = self.sources()?;
        let fetched = runtime()?.block_on(async {
            let resolved = sources.resolve(&source, &credentials, Duration::ZERO).await?;
            sources.fetch(&source, &credentials, &resolved).await
        });
        match &fetched.map_err(explain)?.content {
            Content::Archive(bytes) => Ok(Input::Archive(bytes.clone())),
            Content::Tree(_) => Err(anyhow!("{source} is a folder of files, not a chart archive")),
        }
    }

    fn sources(&self) -> Result<Sources> {
        let read = |path: &Option<PathBuf>| {
            let read =
                |path: &PathBuf| fs::read(path).map_err(|error| go_error("open", &path.to_string_lossy(), &error));
            path.as_ref().map(read).transpose()
        };
        let ChartArgs { ca_file, cert_file, key_file, insecure_skip_tls_verify, .. } = &self.arguments;
        let tls = Tls {
            authorities_pem: read(ca_file)?,
            identity_pem: read(cert_file)?
                .zip(read(key_file)?)
                .map(|(certificate, key)| [certificate, key].join(&b'\n')),
            trust_anyone: *insecure_skip_tls_verify,
        };
        // The user may ask his own machine.
        let reach = Reach { loopback: true, tls, ..Reach::default() };
        Ok(Sources::new(source::Options { reach, ..source::Options::default() })?)
    }

    fn credentials(&self) -> Credentials {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        let (username, password) = (given(&self.arguments.username), given(&self.arguments.password));
        match username.is_empty() && password.is_empty() {
            true => Credentials::Anonymous,
            false => Credentials::Basic { username, password },
        }
    }

    /// What the flags say; else what Helm's or Docker's configuration has for the host.
    fn registry_credentials(&self, host: &str) -> Result<Credentials> {
        let given = self.credentials();
        if given != Credentials::Anonymous {
            return Ok(given);
        }
        for path in self.registry_configs() {
            let Ok(data) = fs::read(&path) else { continue };
            let data = BTreeMap::from([(".dockerconfigjson".to_owned(), data)]);
            if let Ok(found) = Credentials::from_secret("kubernetes.io/dockerconfigjson", &data, host) {
                return Ok(found);
            }
        }
        Ok(Credentials::Anonymous)
    }

    fn registry_configs(&self) -> Vec<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || variable("HOME").unwrap_or_default();
        let of_helm = || {
            let folder = variable("HELM_CONFIG_HOME")
                .or_else(|| variable("XDG_CONFIG_HOME").map(|folder| folder.join("helm")))
                .unwrap_or_else(|| home().join(".config/helm"));
            folder.join("registry/config.json")
        };
        let first = self.arguments.registry_config.clone();
        let first = first.or_else(|| variable("HELM_REGISTRY_CONFIG")).unwrap_or_else(of_helm);
        let docker = variable("DOCKER_CONFIG").unwrap_or_else(|| home().join(".docker"));
        vec![first, docker.join("config.json")]
    }
}

/// The largest values file read from a server.
const VALUES_BYTES_MAX: u64 = 10 << 20;

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What follows the repository in a reference to a registry.
enum Tail<'t> {
    None,
    Tag(&'t str),
    Digest(&'t str),
}

fn split_tail(reference: &str) -> (&str, Tail<'_>) {
    if let Some((url, digest)) = reference.split_once('@') {
        return (url, Tail::Digest(digest));
    }
    let last = reference.rfind('/').unwrap_or(0);
    match reference[last..].find(':') {
        Some(colon) => (&reference[..last + colon], Tail::Tag(&reference[last + colon + 1..])),
        None => (reference, Tail::None),
    }
}

/// The sentences of sources speak of Secrets, which the command line does not have.
fn explain(error: source::Error) -> anyhow::Error {
    match error.cause() {
        source::Error::CredentialsMissing { host, repository } => {
            anyhow!("{host} asks for a name and password for {repository}: give --username and --password")
        }
        source::Error::CredentialsRefused { host, repository } => {
            anyhow!("{host} refused the name and password given for {repository}")
        }
        source::Error::Forbidden { host, repository } => anyhow!("{host} denied access to {repository}"),
        _ => error.into(),
    }
}

/// The files of a folder, with paths relative to it, and the folders in it. Links are followed: the folder is the
/// user's own.
///
/// # Errors
/// Something in it cannot be read, or there is more than a chart may have.
pub fn read_folder(folder: &Path) -> Result<(Vec<File>, BTreeSet<String>)> {
    let (mut files, mut folders) = (Vec::new(), BTreeSet::new());
    collect(folder, "", &Limits::default(), &mut files, &mut folders)?;
    Ok((files, folders))
}

fn collect(
    folder: &Path,
    prefix: &str,
    limits: &Limits,
    files: &mut Vec<File>,
    folders: &mut BTreeSet<String>,
) -> Result<()> {
    let unreadable = |path: &Path| format!("cannot read {}", path.display());
    for entry in fs::read_dir(folder).with_context(|| unreadable(folder))? {
        let entry = entry?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = fs::metadata(&path).with_context(|| unreadable(&path))?;
        if metadata.is_dir() {
            collect(&path, &format!("{name}/"), limits, files, folders)?;
            folders.insert(name);
        } else if metadata.is_file() {
            let data = Bytes::from(fs::read(&path).with_context(|| unreadable(&path))?);
            let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            files.push(File { name, data, modified });
        } else {
            bail!("cannot load irregular file {}", path.display());
        }
        // Folders linked into each other would be walked without end.
        if (files.len() + folders.len()) as u64 > limits.entries_max {
            return Err(chart::Error::TooLarge { limit: limits.entries_max, unit: "entries" }.into());
        }
    }
    Ok(())
}

/// An error of the disk, as Go words it.
pub fn go_error(operation: &str, path: &str, error: &std::io::Error) -> anyhow::Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => anyhow!("{operation} {path}: no such file or directory"),
        ErrorKind::PermissionDenied => anyhow!("{operation} {path}: permission denied"),
        ErrorKind::IsADirectory => anyhow!("read {path}: is a directory"),
        _ => anyhow!("{operation} {path}: {error}"),
    }
}

/// A path without `.`, `..` and double slashes, as Go's `filepath.Clean`.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, cleaned) in
            [("", "."), ("./a//b/", "a/b"), ("a/../..", ".."), ("../a", "../a"), ("/../a/./b/..", "/a"), ("/", "/")]
        {
            assert_eq!(clean(path), cleaned, "{path:?}");
        }
    }

    #[test]
    fn references_to_registries_may_end_in_a_tag_or_a_digest() {
        let tail = |text| match split_tail(text) {
            (url, Tail::None) => format!("{url} -"),
            (url, Tail::Tag(tag)) => format!("{url} {tag}"),
            (url, Tail::Digest(digest)) => format!("{url} {digest}"),
        };
        assert_eq!(tail("oci://r.io:5000/a/b"), "oci://r.io:5000/a/b -");
        assert_eq!(tail("oci://r.io:5000/a/b:1.0"), "oci://r.io:5000/a/b 1.0");
        assert_eq!(tail("oci://r.io/a@sha256:00"), "oci://r.io/a sha256:00");
    }
}
