//! Controllers that are processes of their own: with signals, logs and pages.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::env::Folder;
use crate::house::House;
use crate::proxy::Proxy;

/// Long enough for a loaded machine, and shorter than a lease on Flux's terms.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A controller in a process of its own, which ends with its owner.
pub(crate) struct Process {
    pub(crate) child: Child,
    folder: Folder,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// In the Pod of this name, so to speak.
    pub(crate) fn start(house: &House, pod: &str, election: &[&str]) -> Process {
        Process::start_at(house.kubeconfig.as_deref(), house, pod, election)
    }

    /// One that reaches the cluster through the proxy.
    pub(crate) fn start_through(proxy: &Proxy, house: &House, pod: &str, election: &[&str]) -> Process {
        let folder = Folder::new();
        let file = folder.path.join("kubeconfig");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": proxy.config.cluster_url.to_string()}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {}}],
        });
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        Process::start_at(Some(&file), house, pod, election).keeping(folder)
    }

    /// One that reaches the cluster as this kubeconfig says.
    pub(crate) fn start_at(kubeconfig: Option<&Path>, house: &House, pod: &str, election: &[&str]) -> Process {
        let folder = Folder::new();
        let log = std::fs::File::create(folder.path.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
        command
            .args(["controller", "--watch-namespaces", &house.namespace, "--metrics-addr", "127.0.0.1:0"])
            .args(["--allow-loopback-sources", "--leader-elect-resource-namespace", &house.namespace])
            .args(election)
            .env("POD_NAME", pod)
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(kubeconfig) = kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        Process { child: command.spawn().unwrap(), folder }
    }

    /// The kubeconfig has been read by now, or will be: its folder stays as long as the process.
    fn keeping(mut self, folder: Folder) -> Process {
        std::fs::rename(self.folder.path.join("log"), folder.path.join("log")).unwrap();
        self.folder = folder;
        self
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path.join("log")).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        until("the process to end", || self.child.try_wait().unwrap()).await
    }

    /// A page of the process, once it serves any: the status and the text.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let address = until("the process to serve its pages", || {
            let log = self.log();
            let rest = log.split_once("address=127.0.0.1:")?.1;
            rest.split_whitespace().next().map(|port| format!("127.0.0.1:{port}"))
        })
        .await;
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn wait_readyz(&self) {
        let deadline = Instant::now() + SOON;
        while self.page("/readyz").await.0 != 200 {
            assert!(Instant::now() < deadline, "never ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn metric(&self, name: &str) -> String {
        let page = self.page("/metrics").await.1;
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).to_owned()
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// For what no watch tells: a process, a file.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
