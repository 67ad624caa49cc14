//! What every test here stands on: the cluster, a namespace that goes away, a controller in this process, a chart.

use std::collections::HashMap;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use pintle::api::{self, HelmRelease};
use pintle::cluster::identity::Clients;
use pintle::metrics::Metrics;
use pintle::reconcile::{Options, Shell};
use pintle::source::{self, Reach, Sources};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::env::{Folder, env, run};

/// Long enough for a loaded machine, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(60);

static PREPARED: OnceCell<()> = OnceCell::const_new();

/// A namespace on the cluster, and what a test does there.
pub(crate) struct House {
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    registry: String,
    /// Of the control plane, where it is not the usual one.
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// A controller in this process. Dropped, it is cut off as by a crash.
pub(crate) struct Controller {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    pub(crate) metrics: Metrics,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Controller {
    pub(crate) fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("the controller ends when asked");
    }
}

/// Runs a test in a namespace of its own, with a controller for it.
pub(crate) async fn with_controller<F: Future<Output = ()>>(test: impl FnOnce(Arc<House>) -> F) {
    with_temp_ns(|house| async move {
        let controller = house.start_controller().await;
        test(house).await;
        controller.stop().await;
    })
    .await;
}

/// Runs a test in a namespace of its own, which is deleted afterwards.
pub(crate) async fn with_temp_ns<F: Future<Output = ()>>(test: impl FnOnce(Arc<House>) -> F) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = kube::Client::try_default().await.expect("a cluster: hack/cluster up, eval \"$(hack/cluster env)\"");
    let registry = env("PINTLE_REGISTRY");
    PREPARED.get_or_init(|| prepare(&client, &registry)).await;
    let namespace = create_namespace(&client).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let house = Arc::new(House { client, namespace: namespace.clone(), registry, kubeconfig: None });
    test(house.clone()).await;
    // A HelmRelease whose controller is gone would keep the namespace for ever.
    for release in house.releases().list(&Default::default()).await.unwrap() {
        let patch = json!({"metadata": {"finalizers": null}});
        let name = release.metadata.name.unwrap();
        let _ = house.releases().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
    }
    let _ = namespaces.delete(&namespace, &DeleteParams::background()).await;
}

/// A way to the cluster of a kubeconfig.
pub(crate) async fn config_of(kubeconfig: &Path) -> kube::Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

async fn create_namespace(client: &kube::Client) -> String {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let wanted = serde_json::from_value(json!({"metadata": {"generateName": "pintle-"}})).unwrap();
    namespaces.create(&PostParams::default(), &wanted).await.unwrap().metadata.name.unwrap()
}

async fn prepare(client: &kube::Client, registry: &str) {
    define_kinds(client).await;
    for version in ["1.0.0", "1.1.0"] {
        let folder = Folder::new();
        let file = folder.path.join(format!("web-{version}.tgz"));
        std::fs::write(&file, chart(version)).unwrap();
        let url = format!("oci://{registry}/tests");
        run(Command::new(env("HELM")).arg("push").arg(&file).args([&url, "--plain-http"]));
    }
}

async fn define_kinds(client: &kube::Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in api::crds() {
        let name = crd.metadata.name.clone().unwrap();
        crds.patch(&name, &PatchParams::apply("pintle-tests").force(), &Patch::Apply(&crd)).await.unwrap();
        let established = await_condition(crds.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, established).await.expect("the CRD is established").unwrap();
    }
}

/// A chart whose values decide about everything a test needs.
pub(crate) fn chart(version: &str) -> Vec<u8> {
    let files = [
        ("Chart.yaml", format!("apiVersion: v2\nname: web\nversion: {version}\nappVersion: '1'\n")),
        ("values.yaml", VALUES.to_owned()),
        ("values.schema.json", json!({"properties": {"replicas": {"type": "integer"}}}).to_string()),
        ("templates/deployment.yaml", DEPLOYMENT.to_owned()),
        ("templates/service.yaml", SERVICE.to_owned()),
        ("templates/configs.yaml", CONFIGS.to_owned()),
        ("templates/secret.yaml", SECRET.to_owned()),
        ("templates/NOTES.txt", "Web {{ .Chart.Version }} is there.\n".to_owned()),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    archive("web", &files)
}

/// A packed chart of these files.
pub(crate) fn archive(chart: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{chart}/{name}"), text.as_bytes()).unwrap();
    }
    let mut archive = tar.into_inner().unwrap();
    archive.flush().unwrap();
    archive.finish().unwrap()
}

const VALUES: &str = "replicas: 1\ntag: '1'\nlog: ''\nconfigs: {}\nkeep: false\npassword: ''\nenv: {}\nfail: ''\n";
const DEPLOYMENT: &str = r#"{{- if .Values.fail }}{{ fail .Values.fail }}{{ end -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations:
        simulated.pintle.dev/logs: {{ .Values.log | quote }}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: "registry.example.com/web:{{ .Values.tag }}"
          readinessProbe: {httpGet: {path: /, port: 80}}
          env:
            - {name: RELEASE, value: {{ .Release.Name | quote }}}
            {{- range $name, $value := .Values.env }}
            - {name: {{ $name }}, value: {{ $value | quote }}}
            {{- end }}
"#;
const SERVICE: &str = r#"apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
"#;
const CONFIGS: &str = r#"{{- range $name, $text := .Values.configs }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  {{- if $.Values.keep }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
data:
  text: {{ $text | quote }}
{{- end }}
"#;
const SECRET: &str = r#"{{- with .Values.password }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $.Release.Name }}
stringData:
  password: {{ . | quote }}
{{- end }}
"#;

impl House {
    /// A namespace on another control plane. Nothing is deleted afterwards: the control plane goes.
    pub(crate) async fn elsewhere(kubeconfig: PathBuf) -> Arc<House> {
        with_temp_ns(|_| async {}).await; // the charts are in the usual registry
        let client = kube::Client::try_from(config_of(&kubeconfig).await).unwrap();
        define_kinds(&client).await;
        let namespace = create_namespace(&client).await;
        Arc::new(House { client, namespace, registry: env("PINTLE_REGISTRY"), kubeconfig: Some(kubeconfig) })
    }

    /// A controller for this namespace alone.
    pub(crate) async fn start_controller(&self) -> Controller {
        self.start_named("test").await
    }

    pub(crate) async fn start_named(&self, instance: &str) -> Controller {
        self.start_through(kube::Config::infer().await.unwrap(), instance)
    }

    /// A controller that reaches the cluster in this way.
    pub(crate) fn start_through(&self, config: kube::Config, instance: &str) -> Controller {
        let metrics = Metrics::default();
        let clients = Clients::new(config, metrics.clone()).unwrap();
        let reach = Reach { loopback: true, ..Reach::default() };
        let sources = Sources::new(source::Options { reach, ..source::Options::default() }).unwrap();
        let options = Options {
            namespaces: vec![self.namespace.clone()],
            concurrency: 4,
            default_service_account: None,
            instance: instance.to_owned(),
            grace: Duration::from_secs(10),
        };
        let (shell, changes) = Shell::new(clients, sources, metrics.clone(), options);
        let stop = CancellationToken::new();
        let task = tokio::spawn(shell.run(changes, stop.clone()));
        Controller { stop, task, metrics }
    }

    pub(crate) fn releases(&self) -> Api<HelmRelease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The release `web` of the test chart with these values, applied as `kubectl apply` would.
    pub(crate) async fn apply(&self, values: Value) {
        self.apply_spec("web", json!({ "values": values })).await;
    }

    /// A HelmRelease with these fields over the usual ones.
    pub(crate) async fn apply_spec(&self, name: &str, fields: Value) {
        self.try_apply(name, fields).await.unwrap();
    }

    /// The answer is the API server's.
    pub(crate) async fn try_apply(&self, name: &str, fields: Value) -> kube::Result<HelmRelease> {
        let params = PatchParams::apply("test").force();
        self.releases().patch(name, &params, &Patch::Apply(self.object(name, fields))).await
    }

    /// The same through `kubectl create` or `replace`, which write what our own reader does not take.
    pub(crate) fn kubectl(&self, name: &str, fields: Value, verb: &str) {
        let folder = Folder::new();
        let file = folder.path.join("object.json");
        std::fs::write(&file, self.object(name, fields).to_string()).unwrap();
        run(Command::new(env("KUBECTL")).args([verb, "--namespace", &self.namespace, "-f"]).arg(&file));
    }

    fn object(&self, name: &str, fields: Value) -> Value {
        let mut spec = json!({
            "chart": {"oci": {"url": self.chart_url(), "tag": "1.0.0", "insecure": true}},
            "timeout": "30s",
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        json!({"apiVersion": "pintle.dev/v1", "kind": "HelmRelease", "metadata": {"name": name}, "spec": spec})
    }

    pub(crate) fn chart_url(&self) -> String {
        format!("oci://{}/tests/web", self.registry)
    }

    pub(crate) async fn annotate(&self, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        self.releases().patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until the release says so, and returns it.
    pub(crate) async fn wait(&self, what: &str, is: impl Fn(&HelmRelease) -> bool) -> HelmRelease {
        self.wait_named("web", what, is).await
    }

    pub(crate) async fn wait_named(&self, name: &str, what: &str, is: impl Fn(&HelmRelease) -> bool) -> HelmRelease {
        let condition = |object: Option<&HelmRelease>| object.is_some_and(&is);
        match tokio::time::timeout(PATIENCE, await_condition(self.releases(), name, condition)).await {
            Ok(found) => found.unwrap().expect("the condition asks for an object"),
            Err(_) => {
                let object = self.releases().get(name).await.unwrap();
                panic!("{name} is not {what}: {}", serde_json::to_string_pretty(&object.status).unwrap());
            }
        }
    }

    /// Waits until the newest spec is deployed as this revision and healthy.
    pub(crate) async fn wait_ready(&self, revision: u32) -> HelmRelease {
        self.wait(&format!("ready at revision {revision}"), |object| {
            is(object, "Ready", "True") && newest(object) == Some(revision)
        })
        .await
    }

    /// Waits until any object says so.
    pub(crate) async fn wait_for(&self, kind: &str, name: &str, what: &str, is: impl Fn(Option<&Value>) -> bool) {
        let api = self.objects(kind);
        let condition = |object: Option<&DynamicObject>| {
            let json = object.map(|object| serde_json::to_value(object).unwrap());
            is(json.as_ref())
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(api, name, condition)).await;
        waited.unwrap_or_else(|_| panic!("{kind} {name} is not {what}")).unwrap();
    }

    pub(crate) fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version, plural) = match kind {
            "Deployment" => ("apps", "v1", "deployments"),
            "StatefulSet" => ("apps", "v1", "statefulsets"),
            "Job" => ("batch", "v1", "jobs"),
            "Pod" => ("", "v1", "pods"),
            "ConfigMap" => ("", "v1", "configmaps"),
            "PersistentVolumeClaim" => ("", "v1", "persistentvolumeclaims"),
            "Secret" => ("", "v1", "secrets"),
            "Service" => ("", "v1", "services"),
            "ServiceAccount" => ("", "v1", "serviceaccounts"),
            "Role" => ("rbac.authorization.k8s.io", "v1", "roles"),
            "RoleBinding" => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
            "HelmRelease" => ("pintle.dev", "v1", "helmreleases"),
            "Event" => ("events.k8s.io", "v1", "events"),
            other => panic!("no test needs a {other} yet"),
        };
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version,
            kind: kind.into(),
            plural: plural.into(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.objects(kind).get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// Creates or changes an object as somebody else would.
    pub(crate) async fn put(&self, manager: &str, object: Value) {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let params = PatchParams::apply(manager).force();
        self.objects(kind).patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// What the real helm prints; it must succeed.
    pub(crate) fn helm(&self, arguments: &[&str]) -> String {
        let mut helm = Command::new(env("HELM"));
        helm.args(arguments).args(["--namespace", &self.namespace]);
        if let Some(kubeconfig) = &self.kubeconfig {
            helm.arg("--kubeconfig").arg(kubeconfig);
        }
        run(&mut helm)
    }

    /// `revision status` of each revision that helm sees, oldest first.
    pub(crate) fn helm_history(&self) -> Vec<String> {
        let json: Vec<HashMap<String, Value>> =
            serde_json::from_str(&self.helm(&["history", "web", "-o", "json"])).unwrap();
        json.iter().map(|line| format!("{} {}", line["revision"], line["status"].as_str().unwrap())).collect()
    }
}

/// Whether a condition has this status, for the newest spec.
pub(crate) fn is(object: &HelmRelease, condition: &str, status: &str) -> bool {
    let current = object.status.as_ref().and_then(|it| it.observed_generation) == object.metadata.generation;
    current && find(object, condition).is_some_and(|(found, _)| found == status)
}

/// The status and reason of a condition.
pub(crate) fn find(object: &HelmRelease, condition: &str) -> Option<(String, String)> {
    let conditions = &object.status.as_ref()?.conditions;
    let found = conditions.iter().find(|it| it.type_ == condition)?;
    Some((found.status.clone(), found.reason.clone()))
}

/// Whether a condition is true for this reason, for the newest spec.
pub(crate) fn is_for(object: &HelmRelease, condition: &str, reason: &str) -> bool {
    is(object, condition, "True") && find(object, condition).is_some_and(|(_, found)| found == reason)
}

pub(crate) fn newest(object: &HelmRelease) -> Option<u32> {
    object.status.as_ref()?.history.first().map(|first| first.revision)
}

pub(crate) fn summary(object: &HelmRelease) -> String {
    object.status.as_ref().map(|status| status.summary.clone()).unwrap_or_default()
}
