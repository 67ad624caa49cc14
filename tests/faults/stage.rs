//! Where a run is played: a namespace, a fault proxy, and the real controller process, killed with SIGKILL.

use std::fmt;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Method, StatusCode};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::block_in_place;

use crate::env::{Folder, env, name, run};
use crate::judge::{Ending, Jobs, judge};
use crate::proxy::{Fate, Proxy};
use crate::scenario::{Act, Before, End, Scenario};

/// After so long without a write, and nothing to be seen that is not yet as it should be, nothing more will happen.
const QUIET: Duration = Duration::from_millis(700);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the server hears of the write.
    Before,
    /// After the server did it, before the controller hears of that.
    After,
}

/// At which write the controller is killed, counted from the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) write: u32,
    pub(crate) side: Side,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Before => "before",
            Side::After => "after",
        })
    }
}

impl FromStr for Crash {
    type Err = String;

    fn from_str(text: &str) -> Result<Crash, String> {
        let wrong = || format!("{text} is no K:before or K:after");
        let (write, side) = text.split_once(':').ok_or_else(wrong)?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(wrong()),
        };
        Ok(Crash { write: write.parse().map_err(|_| wrong())?, side })
    }
}

/// A crash to come.
pub(crate) struct Fault {
    pub(crate) crash: Crash,
    pub(crate) writes_before: u32,
}

/// What the proxy has seen, and what it is to do.
#[derive(Default)]
struct Traffic {
    writes: u32,
    last_write: Option<Instant>,
    /// Watches that began since the process was started.
    watches: u32,
    fault: Option<Fault>,
    /// The write whose answer is waited for.
    fatal: Option<String>,
    killed: Option<String>,
    process: Option<Child>,
}

impl Traffic {
    fn kill(&mut self, what: String) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        self.killed = Some(what);
        self.fatal = None;
    }
}

pub(crate) struct Stage {
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    pub(crate) jobs: Jobs,
    folder: Folder,
    chart_url: String,
    proxy: Proxy,
    traffic: Arc<Mutex<Traffic>>,
    killed: Arc<Notify>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut process) = self.traffic.lock().unwrap().process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Our kinds and the chart that all scenarios share.
pub(crate) async fn prepare() {
    let folder = Folder::new();
    let file = folder.path.join("crds.yaml");
    std::fs::write(&file, run(Command::new(env!("CARGO_BIN_EXE_pintle")).arg("crd"))).unwrap();
    run(Command::new(env("KUBECTL")).args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(&file));
    run(Command::new(env("KUBECTL")).args(["wait", "--for=condition=Established", "--timeout=60s", "-f"]).arg(&file));
    push("faults", None);
}

/// Pushes a chart whose values are its objects.
fn push(repository: &str, definition: Option<Value>) {
    const OBJECTS: &str = "{{- range .Values.objects }}\n---\n{{ toYaml . }}\n{{- end }}\n";
    let folder = Folder::new();
    let chart = folder.path.join("any");
    for below in ["templates", "crds"] {
        std::fs::create_dir_all(chart.join(below)).unwrap();
    }
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: any\nversion: 1.0.0\n").unwrap();
    std::fs::write(chart.join("templates/objects.yaml"), OBJECTS).unwrap();
    if let Some(definition) = definition {
        std::fs::write(chart.join("crds/widget.yaml"), definition.to_string()).unwrap();
    }
    run(Command::new(env("HELM")).arg("package").arg(&chart).arg("--destination").arg(&folder.path));
    let url = format!("oci://{}/{repository}", env("PINTLE_REGISTRY"));
    run(Command::new(env("HELM")).arg("push").arg(folder.path.join("any-1.0.0.tgz")).args([&url, "--plain-http"]));
}

fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    })
}

fn is_counted(request: &Parts) -> bool {
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let is_dry = request.uri.query().is_some_and(|query| query.contains("dryRun=All"));
    // Reviews of one's own rights are questions, and leases have no part in any release.
    let path = request.uri.path();
    let is_aside = ["/events", "/leases", "/selfsubject"].iter().any(|part| path.contains(part));
    !(is_read || is_dry || is_aside)
}

fn line(request: &Parts) -> String {
    format!("{} {}", request.method, request.uri)
}

impl Stage {
    /// A namespace in which the release stands as the scenario wants it, with the controller at work.
    pub(crate) async fn set(scenario: &Scenario, fenced: bool) -> Stage {
        let client =
            kube::Client::try_default().await.expect("a cluster: hack/cluster up, eval \"$(hack/cluster env)\"");
        let namespace = name("faults");
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let wanted = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        let mut repository = "faults";
        if scenario.has_crds {
            repository = &namespace;
            block_in_place(|| push(repository, Some(definition(&format!("{namespace}.example.com")))));
        }
        let stage = Stage {
            jobs: Jobs::follow(client.clone(), &namespace),
            chart_url: format!("oci://{}/{repository}/any", env("PINTLE_REGISTRY")),
            client,
            namespace,
            folder: Folder::new(),
            proxy: Proxy::start().await,
            traffic: Arc::default(),
            killed: Arc::default(),
        };
        stage.set_rules(fenced);
        let server = stage.proxy.config.cluster_url.to_string();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "faults",
            "clusters": [{"name": "faults", "cluster": {"server": server}}],
            "contexts": [{"name": "faults", "context": {"cluster": "faults", "user": "faults"}}],
            "users": [{"name": "faults", "user": {}}],
        });
        std::fs::write(stage.folder.path.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        stage.start(Side::Before);
        match &scenario.before {
            Before::Nothing => {}
            Before::Deployed(fields) => {
                stage.apply(fields).await;
                let stands = stage.quiet(End::Deployed, Instant::now() + Duration::from_secs(120)).await;
                stands.unwrap_or_else(|sentence| panic!("{}: the release does not stand: {sentence}", scenario.name));
            }
            Before::ByHelm(objects) => {
                let values = stage.folder.path.join("values.json");
                std::fs::write(&values, json!({ "objects": objects }).to_string()).unwrap();
                let install = ["install", "web", &stage.chart_url, "--version", "1.0.0", "--plain-http", "--values"];
                block_in_place(|| {
                    run(Command::new(env("HELM")).args(install).arg(&values).args(["--namespace", &stage.namespace]))
                });
            }
        }
        stage
    }

    fn set_rules(&self, fenced: bool) {
        let traffic = self.traffic.clone();
        let killed = self.killed.clone();
        self.proxy.rule(move |request| {
            let mut traffic = traffic.lock().unwrap();
            if request.uri.query().is_some_and(|query| query.contains("watch=true")) {
                traffic.watches += 1;
            }
            if !is_counted(request) {
                return Fate::Pass;
            }
            traffic.writes += 1;
            traffic.last_write = Some(Instant::now());
            let fault =
                traffic.fault.as_ref().filter(|fault| fault.writes_before + fault.crash.write == traffic.writes);
            match fault.map(|fault| fault.crash.side) {
                Some(Side::Before) => {
                    traffic.kill(line(request));
                    killed.notify_one();
                    return Fate::Break;
                }
                Some(Side::After) => traffic.fatal = Some(line(request)),
                None => {}
            }
            let stores_revision = request.method == Method::POST && request.uri.path().ends_with("/secrets");
            if stores_revision && !fenced { Fate::KeepBack } else { Fate::Pass }
        });
        let traffic = self.traffic.clone();
        let killed = self.killed.clone();
        self.proxy.witness(move |request: &Parts, _: StatusCode| {
            let mut traffic = traffic.lock().unwrap();
            // A creation that is kept back was sent as a dry run.
            let line = line(request).replace("&dryRun=All", "");
            if traffic.fatal.as_ref() == Some(&line) {
                traffic.kill(line);
                killed.notify_one();
            }
        });
    }

    /// Starts the controller. After a crash on the one side it is the same Pod's container, on the other a new Pod.
    pub(crate) fn start(&self, side: Side) {
        let log = File::options().create(true).append(true).open(self.folder.path.join("controller.log")).unwrap();
        let pod = match side {
            Side::Before => "pintle-0",
            Side::After => "pintle-1",
        };
        let process = Command::new(env!("CARGO_BIN_EXE_pintle"))
            .args(["controller", "--watch-namespaces", &self.namespace, "--kubeconfig"])
            .arg(self.folder.path.join("kubeconfig"))
            .args(["--metrics-addr", "127.0.0.1:0", "--allow-loopback-sources"])
            .env("POD_NAME", pod)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut traffic = self.traffic.lock().unwrap();
        traffic.watches = 0;
        traffic.process = Some(process);
    }

    pub(crate) async fn act(&self, scenario: &Scenario) {
        match &scenario.act {
            Act::Apply(fields) => self.apply(fields).await,
            Act::Delete => drop(self.releases().delete("web", &DeleteParams::default()).await.unwrap()),
        }
    }

    async fn apply(&self, fields: &Value) {
        let mut spec = json!({
            "chart": {"oci": {"url": self.chart_url, "tag": "1.0.0", "insecure": true}},
            "interval": "1h",
            "timeout": "2m",
            "failFast": {"onInstall": true},
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let object =
            json!({"apiVersion": "pintle.dev/v1", "kind": "HelmRelease", "metadata": {"name": "web"}, "spec": spec});
        let object: Value = serde_json::from_str(&object.to_string().replace("NAMESPACE", &self.namespace)).unwrap();
        let params = PatchParams::apply("a-person").force();
        self.releases().patch("web", &params, &Patch::Apply(object)).await.unwrap();
    }

    pub(crate) fn releases(&self) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: "pintle.dev".into(),
            version: "v1".into(),
            api_version: "pintle.dev/v1".into(),
            kind: "HelmRelease".into(),
            plural: "helmreleases".into(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) fn writes(&self) -> u32 {
        self.traffic.lock().unwrap().writes
    }

    pub(crate) fn arm(&self, fault: Fault) {
        self.traffic.lock().unwrap().fault = Some(fault);
    }

    /// No crash from now on; the answer is at which write there was one.
    pub(crate) fn disarm(&self) -> Option<String> {
        let mut traffic = self.traffic.lock().unwrap();
        (traffic.fault, traffic.fatal) = (None, None);
        traffic.killed.clone()
    }

    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Waits until nothing more happens and the judge finds nothing wrong; else what is wrong at last.
    pub(crate) async fn settle(
        &self,
        scenario: &Scenario,
        wanted: Option<&Ending>,
        bound: Duration,
    ) -> Result<Ending, String> {
        let until = Instant::now() + bound;
        let mut wrong = None;
        loop {
            if let Err(restless) = self.quiet(scenario.end, until).await {
                return Err(wrong.unwrap_or(restless));
            }
            let verdict = judge(self, scenario).await.and_then(|ending| match wanted {
                Some(wanted) => ending.is(wanted).map(|()| ending),
                None => Ok(ending),
            });
            match verdict {
                Ok(ending) => return Ok(ending),
                Err(sentence) => wrong = Some(sentence),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the HelmRelease tells of its end, the controller has looked at everything, and writes nothing more.
    async fn quiet(&self, end: End, until: Instant) -> Result<(), String> {
        let mut since = Instant::now();
        loop {
            let object = self.releases().get_opt("web").await.unwrap();
            let object = object.map(|object| serde_json::to_value(object).unwrap());
            let (has_looked, last_write) = {
                let traffic = self.traffic.lock().unwrap();
                (traffic.watches >= 2, traffic.last_write)
            };
            if !has_looked || !has_ended(object.as_ref(), end) {
                since = Instant::now();
            }
            since = last_write.map_or(since, |last_write| since.max(last_write));
            if since.elapsed() > QUIET {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(match object {
                    Some(object) => format!("I4: never settled: {}", object["status"]["summary"]),
                    None => "I4: never settled: there is no HelmRelease".to_owned(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Leaves nothing behind. What the controller said is shown where something is wrong.
    pub(crate) async fn strike(self, is_wrong: bool) {
        if let Some(mut process) = self.traffic.lock().unwrap().process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        if is_wrong {
            let log = std::fs::read_to_string(self.folder.path.join("controller.log")).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(40).collect();
            for line in last.iter().rev() {
                eprintln!("  | {line}");
            }
        }
        let unbound = json!({"metadata": {"finalizers": null}});
        let _ = self.releases().patch("web", &PatchParams::default(), &Patch::Merge(unbound)).await;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let _ = namespaces.delete(&self.namespace, &DeleteParams::background()).await;
        let definitions: Api<
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        > = Api::all(self.client.clone());
        let definition = format!("widgets.{}.example.com", self.namespace);
        let _ = definitions.delete(&definition, &DeleteParams::background()).await;
    }
}

/// Whether a HelmRelease says, of its newest spec, that it has come to this end.
fn has_ended(object: Option<&Value>, end: End) -> bool {
    let Some(object) = object else { return end == End::Gone };
    let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let is = |condition: &str, status: &str| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|it| it["type"] == condition && it["status"] == status))
    };
    is_current
        && match end {
            End::Deployed => is("Ready", "True"),
            End::RolledBack | End::Removed => is("Held", "True") && is("Ready", "False"),
            End::Gone => false,
        }
}
