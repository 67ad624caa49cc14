//! Whatever people get wrong: one test each.
//!
//! Each begins with a release that runs, changes one input for the worse, and then holds all of this: one sentence on the
//! object that names what is wrong and the way out, the right conditions, an Event and a count in `/metrics`; nothing of
//! the failed attempt in the cluster, neither objects nor a record; what ran before runs on; the neighbour in the same
//! namespace is upgraded meanwhile; and the input put right settles it all.

use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::{Patch, PatchParams};
use pintle::api::HelmRelease;
use serde_json::{Value, json};

use crate::env::{Folder, env, name, run};
use crate::house::{Controller, House, archive, find, is, is_for, newest, summary, with_temp_ns};

const GOOD: &str = "1.0.0";

/// A release that runs, a neighbour of it, and their controller.
struct Street {
    house: std::sync::Arc<House>,
    controller: Controller,
    neighbour: AtomicU32,
    /// What `web` runs on, as long as its input is right.
    good: Value,
    generation: Value,
}

/// What a wrong input gives.
struct Verdict {
    condition: &'static str,
    reason: &'static str,
    /// In this order in the sentence.
    says: Vec<String>,
}

/// `Stalled` for this reason.
fn stalled(reason: &'static str, says: &[&str]) -> Verdict {
    Verdict { condition: "Stalled", reason, says: says.iter().map(|&part| part.to_owned()).collect() }
}

/// Tried again and again for this reason.
fn tried_again(reason: &'static str, says: &[&str]) -> Verdict {
    Verdict { condition: "Reconciling", ..stalled(reason, says) }
}

/// Runs a test in a namespace where `web` is deployed from the good input.
async fn with_running<F: Future<Output = Street>>(good: Value, test: impl FnOnce(Street) -> F) {
    with_temp_ns(|house| async move {
        let controller = house.start_controller().await;
        house.apply_spec("neighbour", json!({})).await;
        house.apply_spec("web", good.clone()).await;
        house.wait_ready(1).await;
        let generation = house.get("Deployment", "web").await.map_or(Value::Null, generation_of);
        let street = test(Street { house, controller, neighbour: AtomicU32::new(1), good, generation }).await;
        street.controller.stop().await;
    })
    .await;
}

fn generation_of(object: Value) -> Value {
    object["metadata"]["generation"].clone()
}

impl Street {
    /// Makes the input wrong in these fields and sees the verdict.
    async fn change(&self, fields: Value, verdict: Verdict) -> HelmRelease {
        let mut spec = self.good.clone();
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        self.house.apply_spec("web", spec).await;
        self.holds(verdict).await
    }

    async fn holds(&self, verdict: Verdict) -> HelmRelease {
        let Verdict { condition, reason, says } = verdict;
        let house = &self.house;
        let object = house.wait(&format!("{condition} for {reason}"), |object| is_for(object, condition, reason)).await;
        let ready = if condition == "Stalled" { "False" } else { "Unknown" };
        assert_eq!(find(&object, "Ready").unwrap(), (ready.into(), reason.into()));
        assert_eq!(find(&object, "Released").unwrap().0, ready);
        let opposite = if condition == "Stalled" { "Reconciling" } else { "Stalled" };
        assert_eq!(find(&object, opposite), None, "{opposite}");
        let sentence = summary(&object);
        let mut rest = sentence.as_str();
        for part in &says {
            let at = rest.find(part.as_str()).unwrap_or_else(|| panic!("no {part:?} in {rest:?} of {sentence:?}"));
            rest = &rest[at + part.len()..];
        }
        println!("{reason}: {sentence}");
        self.is_told("web", reason).await;
        self.is_undisturbed().await;
        self.neighbour_is_upgraded().await;
        object
    }

    /// There is an Event, and a count.
    async fn is_told(&self, release: &str, reason: &str) {
        let events = self.house.objects("Event").list(&Default::default()).await.unwrap();
        let told = |event: &kube::api::DynamicObject| {
            event.data["reason"] == reason
                && event.data["regarding"]["name"] == release
                && event.data["type"] == "Warning"
        };
        let reasons: Vec<_> = events.items.iter().map(|event| event.data["reason"].clone()).collect();
        assert!(events.items.iter().any(told), "no Event {reason}: {reasons:?}");
        let page = self.controller.metrics.page();
        let counted = format!("pintle_failures_total{{reason=\"{reason}\"}} ");
        assert!(page.lines().any(|line| line.starts_with(&counted)), "{reason} is not counted: {page}");
    }

    /// The one revision runs as before, and there is no trace of another.
    async fn is_undisturbed(&self) {
        assert_eq!(self.house.helm_history(), ["1 deployed"]);
        assert!(self.house.get("Secret", "sh.helm.release.v1.web.v2").await.is_none());
        let generation = self.house.get("Deployment", "web").await.map_or(Value::Null, generation_of);
        assert_eq!(generation, self.generation, "the Deployment was written");
        assert!(self.house.get("ConfigMap", "fine").await.is_none(), "an object of the failed attempt is there");
    }

    async fn neighbour_is_upgraded(&self) {
        let revision = self.neighbour.fetch_add(1, Ordering::Relaxed) + 1;
        self.house.apply_spec("neighbour", json!({"values": {"tag": revision.to_string()}})).await;
        let ready = |object: &HelmRelease| is(object, "Ready", "True") && newest(object) == Some(revision);
        self.house.wait_named("neighbour", "upgraded", ready).await;
    }

    /// The input is put right.
    async fn settles(self) -> Street {
        self.house.apply_spec("web", self.good.clone()).await;
        let object = self.house.wait_ready(1).await;
        assert!(summary(&object).ends_with("is deployed as revision 1"), "{}", summary(&object));
        assert_eq!(object.status.unwrap().failed_attempt, None);
        self.is_undisturbed().await;
        self
    }
}

/// The chart `any`, pushed into a folder of its own: its objects are its values, and it runs a template that is one of
/// them. In version 1.1.0 a template fails.
struct AnyChart {
    folder: String,
}

impl AnyChart {
    fn push() -> AnyChart {
        const OBJECTS: &str = "{{- range .Values.objects }}\n---\n{{ toYaml . }}\n{{- end }}\n\
            {{- with .Values.template }}\n---\n{{ tpl . $ }}\n{{- end }}\n";
        const BROKEN: &str = "kind: ConfigMap\ndata:\n\tport: {{ .Values.server.port | int }}\n";
        let folder = name("any");
        for version in [GOOD, "1.1.0"] {
            let metadata = format!("apiVersion: v2\nname: any\nversion: {version}\n");
            let mut files = vec![("Chart.yaml", metadata.as_str()), ("templates/objects.yaml", OBJECTS)];
            if version != GOOD {
                files.push(("templates/config.yaml", BROKEN));
            }
            let work = Folder::new();
            let file = work.path.join(format!("any-{version}.tgz"));
            std::fs::write(&file, archive("any", &files)).unwrap();
            let url = format!("oci://{}/{folder}", env("PINTLE_REGISTRY"));
            run(Command::new(env("HELM")).arg("push").arg(&file).args([&url, "--plain-http"]));
        }
        AnyChart { folder }
    }

    fn url(&self) -> String {
        format!("oci://{}/{}/any", env("PINTLE_REGISTRY"), self.folder)
    }

    fn version(&self, version: &str) -> Value {
        json!({"oci": {"url": self.url(), "version": version, "insecure": true}})
    }

    fn tag(&self, tag: &str) -> Value {
        json!({"oci": {"url": self.url(), "tag": tag, "insecure": true}})
    }

    /// A good input: one ConfigMap.
    fn good(&self) -> Value {
        json!({"chart": self.tag(GOOD), "values": {"objects": [config("first")]}})
    }

    /// The fault of the registry for this chart, until it is dropped.
    fn fails_with(&self, status: u16) -> Fault {
        Fault::begin(format!("{status} /v2/{}/", self.folder))
    }
}

/// A line of the file that breaks the registry.
struct Fault {
    line: String,
}

impl Fault {
    fn begin(line: String) -> Fault {
        Fault::edit(|lines| lines.push(line.clone()));
        Fault { line }
    }

    /// The tests of this process share the file.
    fn edit(change: impl FnOnce(&mut Vec<String>)) {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock();
        let file = Path::new(&env("PINTLE_CLUSTER_STATE")).join("faults/registry");
        let mut lines: Vec<_> = std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(&file, lines.join("\n")).unwrap();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        Fault::edit(|lines| lines.retain(|line| *line != self.line));
    }
}

fn config(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

/// Good objects around a bad one: nothing of them shall be written.
fn among_good_ones(bad: Value) -> Value {
    json!({"values": {"objects": [config("first"), config("fine"), bad]}})
}

async fn ask_for_a_pass(house: &House) {
    house.annotate(pintle::api::RECONCILE_AT, Some(&name("now"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_that_the_schema_refuses_is_named_by_the_api_server() {
    with_running(json!({}), |street| async move {
        let oci = json!({"url": street.house.chart_url(), "tag": GOOD});
        for (chart, says) in [
            (
                json!({"oci": oci, "git": {"url": "https://git.example.com/a.git"}}),
                "give exactly one of oci, http and git",
            ),
            (json!({"oci": {"url": "oci://r/c"}}), "give exactly one of version, tag and digest"),
            (json!({"oci": {"url": "https://r/c", "tag": "1"}}), "spec.chart.oci.url"),
            (json!({"git": {"url": "http://git.example.com/a.git"}}), "url must begin with https:// unless insecure"),
        ] {
            let fields = json!({"chart": chart, "values": {"tag": "2"}});
            let refusal = street.house.try_apply("web", fields).await.unwrap_err();
            assert!(refusal.to_string().contains(says), "{refusal}");
        }
        street.is_undisturbed().await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_that_only_pintle_refuses_stalls_the_release() {
    with_running(json!({}), |street| async move {
        let out_of_bounds = ["spec.interval", "\"500ms\"", "allowed is 1s to 24h", "revision 1 (web 1.0.0) stays"];
        street.change(json!({"interval": "500ms"}), stalled("InvalidSpec", &out_of_bounds)).await;
        let chart = json!({"oci": {"url": street.house.chart_url(), "version": ">>1", "insecure": true}});
        let range = ["version \">>1\" is neither a version nor a range", "revision 1 (web 1.0.0) stays"];
        street.change(json!({ "chart": chart }), stalled("InvalidSource", &range)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_that_fits_nothing_is_named() {
    with_running(json!({}), |street| async move {
        let patched = |patch: &str| {
            json!({"postRenderers": [{"kustomize": {"patches": [{"patch": patch}]}}], "values": {"tag": "2"}})
        };
        let place = "spec.postRenderers[0].kustomize.patches[0]";
        let lost = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: wbe}, spec: {replicas: 2}}";
        let says = [place, "the chart has no apps/v1 Deployment wbe", "revision 1 (web 1.0.0) stays"];
        street.change(patched(lost), stalled("PostRenderFailed", &says)).await;
        let says = [place, ".patch: a JSON patch names no object; give a target", "revision 1 (web 1.0.0) stays"];
        street.change(patched("- {op: remove, path: /spec}"), stalled("InvalidSpec", &says)).await;
        let foreign = json!({"postRenderers": [{"kustomize": {"helmCharts": [{"name": "web"}]}}]});
        let says = ["spec.postRenderers[0].kustomize.helmCharts", "fetches and runs nothing", "revision 1 (web 1.0.0) stays"];
        street.change(foreign, stalled("InvalidSpec", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_cannot_be_read_stops_only_itself() {
    with_running(json!({}), |street| async move {
        // The API server stores what no JSON reader of ours takes. Not even the list may fail of it.
        let mut deep = json!({});
        for _ in 0..140 {
            deep = json!({ "a": deep });
        }
        street.house.kubectl("deep", json!({ "values": deep }), "create");
        let kubectl = |arguments: &[&str]| {
            let mut kubectl = Command::new(env("KUBECTL"));
            run(kubectl.args(arguments).args(["helmreleases.pintle.dev/deep", "--namespace", &street.house.namespace]))
        };
        kubectl(&["wait", "--for=condition=Stalled", "--timeout=60s"]);
        let columns = "jsonpath={.status.summary}|{.status.conditions[*].status}";
        let status = kubectl(&["get", "-o", columns]);
        assert_eq!(
            status,
            "the spec is nested too deeply, at most about 120 levels are read; make spec.values flatter|False True"
        );
        street.is_told("deep", "InvalidSpec").await;
        street.neighbour_is_upgraded().await;
        // A controller that starts now lists it along with the others.
        let second = street.house.start_named("second").await;
        street.neighbour_is_upgraded().await;
        second.stop().await;
        street.house.kubectl("deep", json!({"values": {"tag": "2"}}), "replace");
        street.house.wait_named("deep", "ready", |object| is(object, "Ready", "True")).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_that_cannot_be_read_is_written_anew() {
    with_running(json!({}), |street| async move {
        let broken = json!({"status": {"summary": "mine", "history": [
            {"revision": 5_000_000_000_u64, "chart": "web", "version": "1", "status": "deployed"}]}});
        let params = PatchParams::default();
        // Without its type, which the test would not survive either.
        let objects = street.house.objects("HelmRelease");
        objects.patch_status("web", &params, &Patch::Merge(broken)).await.unwrap();
        let ask = json!({"metadata": {"annotations": {pintle::api::RECONCILE_AT: "now"}}});
        objects.patch("web", &params, &Patch::Merge(ask)).await.unwrap();
        let healed = |object: &Value| object["status"]["history"][0]["revision"] == 1;
        street.house.wait_for("HelmRelease", "web", "healed", |object| object.is_some_and(healed)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chart_that_is_not_there_is_named() {
    with_running(json!({}), |street| async move {
        let registry = env("PINTLE_REGISTRY");
        let url = format!("oci://{registry}/tests/wbe");
        let chart = json!({"oci": {"url": url, "tag": GOOD, "insecure": true}});
        let says = ["chart tests/wbe", "not found", &registry, "revision 1 (web 1.0.0) stays"];
        let object = street.change(json!({ "chart": chart }), stalled("ChartNotFound", &says[..1])).await;
        for part in says {
            assert!(summary(&object).contains(part), "{}", summary(&object));
        }
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_that_is_not_there_is_answered_with_those_that_are() {
    with_running(json!({}), |street| async move {
        let chart = json!({"oci": {"url": street.house.chart_url(), "tag": "9.9.9", "insecure": true}});
        let registry = env("PINTLE_REGISTRY");
        let says = ["version 9.9.9 of chart tests/web", &registry, "newest there: 1.1.0, 1.0.0", "revision 1"];
        street.change(json!({ "chart": chart }), stalled("VersionNotFound", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn range_that_nothing_satisfies_is_answered_with_what_is_there() {
    with_running(json!({}), |street| async move {
        let chart = json!({"oci": {"url": street.house.chart_url(), "version": ">=2 <3", "insecure": true}});
        let says = ["a version within >=2 <3 of chart tests/web", "newest there: 1.1.0, 1.0.0", "revision 1"];
        street.change(json!({ "chart": chart }), stalled("VersionNotFound", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_is_down_is_tried_again() {
    with_running(json!({}), |street| async move {
        let chart = json!({"oci": {"url": "oci://127.0.0.1:1/tests/web", "tag": GOOD, "insecure": true}});
        let says = ["127.0.0.1:1 could not be reached", "refused", "trying again", "revision 1 (web 1.0.0) stays"];
        street.change(json!({ "chart": chart }), tried_again("Unreachable", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_wants_a_login_says_where_to_put_it() {
    with_running(json!({}), |street| async move {
        let registry = env("PINTLE_REGISTRY_AUTH");
        let chart = |secret: Option<&str>| {
            let mut oci = json!({"url": format!("oci://{registry}/tests/web"), "tag": GOOD, "insecure": true});
            if let Some(name) = secret {
                oci["secretRef"] = json!({ "name": name });
            }
            json!({"chart": {"oci": oci}})
        };
        let says =
            [&registry, "asks for a name and password for tests/web", "name a Secret in secretRef", "revision 1"];
        street.change(chart(None), stalled("CredentialsMissing", &says)).await;
        let says = ["Secret", "/login does not exist", "revision 1"];
        street.change(chart(Some("login")), stalled("ReferenceMissing", &says)).await;

        let login = |password: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
                "stringData": {"username": env("PINTLE_REGISTRY_USER"), "password": password}})
        };
        // Put there while the release waits for it: no need to ask.
        street.house.put("somebody", login("canary-password")).await;
        let says = [&registry, "refused the name and password given for tests/web", "revision 1"];
        let object = street.holds(stalled("CredentialsRefused", &says)).await;
        assert!(!serde_json::to_string(&object).unwrap().contains("canary"));
        street.house.put("somebody", login(&env("PINTLE_REGISTRY_PASSWORD"))).await;
        // That one lets us in; the chart is not there, which is another story.
        street.holds(stalled("ChartNotFound", &["tests/web"])).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_throttles_is_left_alone_and_asked_later() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let fault = chart.fails_with(429);
        let registry = env("PINTLE_REGISTRY");
        let says = [&registry, "too many requests", "trying again", "revision 1 (any 1.0.0) stays"];
        let fields = json!({"chart": chart.version(">=1.0.0 <1.1.0"), "values": {"objects": [config("second")]}});
        street.change(fields, tried_again("Throttled", &says)).await;
        drop(fault);
        street.house.wait_ready(2).await;
        assert_eq!(street.house.helm_history(), ["1 superseded", "2 deployed"], "without a person, no budget used");
        street
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_fails_stops_nothing_that_is_known() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let fault = chart.fails_with(500);
        let registry = env("PINTLE_REGISTRY");
        // What runs is still what is desired.
        ask_for_a_pass(&street.house).await;
        let failing = format!("{registry} answered with status 500");
        let named = |object: &HelmRelease| is(object, "Ready", "True") && summary(object).contains(&failing);
        street.house.wait("ready from an old answer", named).await;
        // What is new cannot be told.
        let says = [failing.as_str(), "trying again", "revision 1 (any 1.0.0) stays"];
        let fields = json!({"chart": chart.version(">=1.0.0 <1.1.0"), "values": {"objects": [config("second")]}});
        street.change(fields, tried_again("ServerError", &says)).await;
        drop(fault);
        street.house.wait_ready(2).await;
        assert_eq!(street.house.helm_history(), ["1 superseded", "2 deployed"]);
        street
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn template_that_fails_is_shown_with_line_and_caret() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let place = "any/templates/config.yaml:3:";
        let says = [
            "upgrade to any 1.1.0: ",
            place,
            "nil pointer evaluating interface {}.port",
            "; revision 1 (any 1.0.0) stays\n",
            "--> any/templates/config.yaml:3:",
            "\n3 | \tport: {{ .Values.server.port | int }}\n",
            "  | \t         ",
            "^",
        ];
        let object = street.change(json!({"chart": chart.tag("1.1.0")}), stalled("RenderFailed", &says)).await;
        let first_line = summary(&object).lines().next().unwrap().to_owned();
        assert!(first_line.ends_with("stays"), "kubectl get shows the first line: {first_line}");
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn template_that_quotes_a_secret_value_shows_no_secret() {
    with_running(json!({}), |street| async move {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values"},
            "stringData": {"values.yaml": "fail: canary-hunter2\n"}});
        street.house.put("somebody", secret).await;
        let from = json!({"valuesFrom": [{"kind": "Secret", "name": "values"}]});
        let says = ["web/templates/deployment.yaml:1:", "***", "revision 1 (web 1.0.0) stays"];
        street.change(from, stalled("RenderFailed", &says)).await;
        let events = street.house.objects("Event").list(&Default::default()).await.unwrap();
        let object = street.house.releases().get("web").await.unwrap();
        let all = format!("{}{}", serde_json::to_string(&events).unwrap(), serde_json::to_string(&object).unwrap());
        assert!(!all.contains("canary"), "a value of a Secret is shown");
        street.settles().await
    })
    .await;
}

/// A service account that may do everything with the ConfigMaps, Secrets and Events of its own namespace, and no more.
async fn tenant(house: &House) {
    let api_version = "rbac.authorization.k8s.io/v1";
    let meta = json!({"name": "tenant"});
    let rules = json!([{"apiGroups": ["", "events.k8s.io"], "verbs": ["*"],
        "resources": ["secrets", "configmaps", "events"]}]);
    let binding = json!({"apiVersion": api_version, "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": house.namespace}]});
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": api_version, "kind": "Role", "metadata": meta, "rules": rules}),
        binding,
    ] {
        house.put("somebody", object).await;
    }
    // The API server's authorizer hears of new rights a moment later.
    let (namespace, user) = (house.namespace.as_str(), format!("system:serviceaccount:{}:tenant", house.namespace));
    let question = ["auth", "can-i", "list", "secrets", "--quiet", "--namespace", namespace, "--as", &user];
    let may = |_| Command::new(env("KUBECTL")).args(question).status().unwrap().success();
    assert!((0..100).any(may), "the tenant never got its rights");
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_lookup_of_a_chart_has_the_rights_of_the_tenant_and_no_others() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        tenant(&street.house).await;
        // Canaries that the controller itself could read, in another namespace and cluster-wide.
        for (lookup, what) in [
            (r#"lookup "v1" "Secret" "kube-system" """#, "secrets is forbidden"),
            (r#"lookup "v1" "Secret" "" """#, "secrets is forbidden"),
            (r#"lookup "v1" "Namespace" "" "kube-system""#, "namespaces \"kube-system\" is forbidden"),
            (r#"lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" """#, "clusterroles"),
        ] {
            let template = format!("{{{{ fail (toJson ({lookup})) }}}}");
            let fields = json!({"serviceAccountName": "tenant", "values": {"template": template}});
            let user = format!("system:serviceaccount:{}:tenant", street.house.namespace);
            let object = street.change(fields, stalled("RenderFailed", &["any/templates/objects.yaml"])).await;
            let sentence = summary(&object);
            assert!(sentence.contains(what) && sentence.contains(&user), "{sentence}");
            street.house.apply_spec("web", chart.good()).await;
            street.house.wait_ready(1).await;
        }
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_template_without_an_end_stalls_only_its_own_release() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        for (template, says) in [
            ("{{ $s := `x` }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}", "printing met values of more than"),
            ("{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}", "rendering was ended"),
        ] {
            let says = ["upgrade to any 1.0.0: ", says, "revision 1 (any 1.0.0) stays"];
            let fields = json!({"values": {"objects": [config("fine")], "template": template}});
            street.change(fields, stalled("RenderBudget", &says)).await;
        }
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_object_that_a_value_smuggles_in_is_refused_for_lack_of_rights() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        tenant(&street.house).await;
        let name = name("smuggled");
        let template = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: fine}}\ndata:\n  text: x\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\n"
        );
        let fields = json!({"serviceAccountName": "tenant", "values": {"template": template}});
        let says = ["ClusterRoleBinding", &name, "forbidden"];
        let object = street.change(fields, stalled("Forbidden", &says[..1])).await;
        for part in says {
            assert!(summary(&object).contains(part), "{}", summary(&object));
        }
        let bindings = ["get", "clusterrolebindings", &name, "--ignore-not-found"];
        assert_eq!(run(Command::new(env("KUBECTL")).args(bindings)), "");
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_map_are_refused_wherever_they_stand() {
    with_running(json!({}), |street| async move {
        let refusal = street.house.try_apply("web", json!({"values": ["replicas"]})).await.unwrap_err();
        assert!(refusal.to_string().contains("spec.values"), "{refusal}");

        for kind in ["ConfigMap", "Secret"] {
            let field = if kind == "Secret" { "stringData" } else { "data" };
            let object = |text: &str| {
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "common"}, field: {"values.yaml": text}})
            };
            street.house.put("somebody", object("- canary\n")).await;
            let from = json!({"valuesFrom": [{"kind": kind, "name": "common"}]});
            let place = format!("key \"values.yaml\" of {kind} {}/common", street.house.namespace);
            let says = [place.as_str(), "table", "revision 1 (web 1.0.0) stays"];
            let object = street.change(from, stalled("InvalidValues", &says)).await;
            assert!(!summary(&object).contains("canary"), "{}", summary(&object));
            street.house.apply_spec("web", json!({})).await;
            street.house.wait_ready(1).await;
        }
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_the_schema_of_the_chart_refuses_are_named() {
    with_running(json!({}), |street| async move {
        let says = ["upgrade to web 1.0.0: ", "/replicas", "want integer", "revision 1 (web 1.0.0) stays"];
        street.change(json!({"values": {"replicas": "three"}}), stalled("InvalidValues", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifest_with_one_invalid_object_of_several_is_refused_before_the_first_write() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let service = |port: u32| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"}, "spec": {"ports": [{"port": port}]}})
        };
        let place = format!("cannot apply Service {}/bad", street.house.namespace);
        let says = ["upgrade to any 1.0.0: ", &place, "spec.ports[0].port", "between 1 and 65535", "revision 1"];
        street.change(among_good_ones(service(70_000)), stalled("InvalidObject", &says)).await;

        // The API server calls a wrong type an error of its own, as if it could work the next time.
        let mut number = config("bad");
        number["data"]["port"] = json!(8080);
        let place = format!("cannot apply ConfigMap {}/bad", street.house.namespace);
        let says = [&place, ".data.port: expected string, got 8080", "need quotes", "revision 1"];
        street.change(among_good_ones(number), stalled("InvalidObject", &says)).await;

        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad"}, "stringData": {"pin": 71_829}});
        let place = format!("cannot apply Secret {}/bad", street.house.namespace);
        let says = [&place, ".stringData.pin: expected string", "need quotes", "revision 1"];
        let object = street.change(among_good_ones(secret), stalled("InvalidObject", &says)).await;
        assert!(!serde_json::to_string(&object.status).unwrap().contains("71829"), "{:?}", object.status);

        let unknown = json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "bad"}});
        let says = ["Gadget bad", "example.com/v1", "install its CustomResourceDefinition", "revision 1"];
        street.change(among_good_ones(unknown), stalled("KindMissing", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_invalid_objects_are_told_at_once() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let objects = json!([config("first"), config("fine"), config("Bad_One"), config("Bad_Two")]);
        let says = ["Bad_One", "RFC 1123", "Bad_Two", "revision 1"];
        street.change(json!({"values": {"objects": objects}}), stalled("InvalidObject", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_in_a_namespace_that_does_not_exist_is_refused_before_the_first_write() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        let nowhere = name("nowhere");
        let mut away = config("away");
        away["metadata"]["namespace"] = json!(nowhere);
        let place = format!("ConfigMap {nowhere}/away");
        let says = [place.as_str(), "not found", "create the Namespace", "revision 1"];
        street.change(among_good_ones(away), stalled("NamespaceMissing", &says)).await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn target_namespace_that_does_not_exist_is_named_and_awaited() {
    with_running(json!({}), |street| async move {
        let (house, nowhere) = (&street.house, name("nowhere"));
        house.apply_spec("away", json!({"targetNamespace": nowhere})).await;
        let refused = |object: &HelmRelease| is_for(object, "Stalled", "NamespaceMissing");
        let object = house.wait_named("away", "refused", refused).await;
        let sentence = summary(&object);
        assert!(
            sentence.starts_with("install of web 1.0.0: ")
                && sentence.contains(&format!("namespaces \"{nowhere}\" not found")),
            "{sentence}"
        );
        assert!(sentence.ends_with("create the Namespace, or set install.createNamespace"), "{sentence}");
        assert_eq!(find(&object, "Ready").unwrap(), ("False".into(), "NamespaceMissing".into()));
        street.is_told("away", "NamespaceMissing").await;
        street.neighbour_is_upgraded().await;
        // Once it is there, nobody has to ask.
        run(Command::new(env("KUBECTL")).args(["create", "namespace", &nowhere]));
        house.wait_named("away", "installed", |object| is(object, "Ready", "True")).await;
        house.releases().delete("away", &Default::default()).await.unwrap();
        run(Command::new(env("KUBECTL")).args(["delete", "namespace", &nowhere, "--wait=false"]));
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_helm_release_for_one_release_is_refused_by_name_and_inherits() {
    with_running(json!({}), |street| async move {
        let house = &street.house;
        house.apply_spec("rival", json!({"releaseName": "web", "values": {"tag": "9"}})).await;
        let object = house.wait_named("rival", "refused", |object| is_for(object, "Stalled", "Rival")).await;
        let sentence = summary(&object);
        let says = format!("the release belongs to HelmRelease {}/web; remove one of the two", house.namespace);
        assert_eq!(sentence, says);
        street.is_told("rival", "Rival").await;
        street.is_undisturbed().await;
        street.neighbour_is_upgraded().await;
        // Suspended and deleted, the first one leaves the release to the second.
        house.apply_spec("web", json!({"suspend": true})).await;
        house.releases().delete("web", &Default::default()).await.unwrap();
        let heir = |object: &HelmRelease| is(object, "Ready", "True") && newest(object) == Some(2);
        house.wait_named("rival", "the owner", heir).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        street
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_fits_into_no_secret_is_refused_before_the_first_write() {
    let chart = AnyChart::push();
    with_running(chart.good(), |street| async move {
        // Noise, so that compression does not help; in parts, because the API server takes at most 3 MiB a request.
        let noise: String =
            (0..1_300_000).map(|_| char::from(fastrand::u8(b'!'..b'~'))).filter(|c| *c != '\\').collect();
        let says = ["the record of release", "/web takes", "a Secret holds at most", "the values (1", "revision 1"];
        street
            .change(json!({"values": {"objects": [config("fine")], "noise": noise}}), stalled("RecordTooLarge", &says))
            .await;
        street.settles().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_is_looked_at_again_when_a_person_asks_or_changes_the_spec() {
    with_running(json!({}), |street| async move {
        let house = &street.house;
        let theirs = |text: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"text": text}})
        };
        house.put("somebody", theirs("x")).await;
        let values = json!({"values": {"configs": {"theirs": "1"}}});
        let says = ["theirs exists and belongs to no release", "rename or delete", "meta.helm.sh/release-name=web"];
        street.change(values, stalled("ForeignObject", &says)).await;
        house.objects("ConfigMap").delete("theirs", &Default::default()).await.unwrap();
        ask_for_a_pass(house).await;
        house.wait_ready(2).await;

        // A field that is no part of the fingerprint is a change as well.
        house.put("somebody", theirs("y")).await;
        let values = json!({"configs": {"theirs": "2"}});
        house.apply_spec("web", json!({"values": values, "conflicts": "fail"})).await;
        house.wait("refused", |object| is_for(object, "Stalled", "FieldConflict")).await;
        house.apply_spec("web", json!({"values": values, "conflicts": "force"})).await;
        house.wait_ready(3).await;
        street
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_that_somebody_spoilt_is_named_and_can_be_deleted() {
    with_running(json!({}), |street| async move {
        let house = &street.house;
        let record = "sh.helm.release.v1.web.v1";
        for data in [json!("aGVsbG8="), Value::Null] {
            let spoil = Patch::Merge(json!({"data": {"release": data}}));
            house.objects("Secret").patch(record, &PatchParams::default(), &spoil).await.unwrap();
            house.apply(json!({"tag": name("new")})).await;
            let object = house.wait("stalled", |object| is_for(object, "Stalled", "RecordUnreadable")).await;
            let says = format!("Secret {}/{record} cannot be read: ", house.namespace);
            assert!(summary(&object).contains(&says), "{}", summary(&object));
            assert!(summary(&object).contains("; restore or delete it"), "{}", summary(&object));
            street.is_told("web", "RecordUnreadable").await;
            street.neighbour_is_upgraded().await;
            // Nobody has to ask: the record that goes is a change.
            house.objects("Secret").delete(record, &Default::default()).await.unwrap();
            house.wait_ready(1).await;
            assert_eq!(house.helm_history(), ["1 deployed"]);
        }
        street
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_record_that_somebody_deleted_is_made_anew() {
    with_running(json!({}), |street| async move {
        let house = &street.house;
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        let before = house.get("Deployment", "web").await.map(generation_of);
        house.objects("Secret").delete("sh.helm.release.v1.web.v2", &Default::default()).await.unwrap();
        let again = |secret: Option<&Value>| secret.is_some_and(|it| it["metadata"]["labels"]["status"] == "deployed");
        house.wait_for("Secret", "sh.helm.release.v1.web.v2", "made anew", again).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert_eq!(house.get("Deployment", "web").await.map(generation_of), before, "nothing is rolled out");
        street
    })
    .await;
}
