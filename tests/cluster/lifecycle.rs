//! The options of each phase of a release's life, and releases that were found in a bad way.

use std::process::{Command, Stdio};
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use pintle::api::HelmRelease;
use pintle::release::{Status, codec};
use serde_json::{Value, json};

use crate::env::{Folder, env, name, run};
use crate::house::{House, archive, find, is, is_for, newest, summary, with_controller, with_temp_ns};

/// The chart `any`, pushed into a folder of its own: its objects are its values.
struct Chart {
    folder: String,
}

impl Chart {
    /// A chart whose version 1.0.0 has these other files.
    fn push(files: &[(&str, &str)]) -> Chart {
        let chart = Chart { folder: name("any") };
        chart.push_version("1.0.0", files);
        chart
    }

    fn push_version(&self, version: &str, files: &[(&str, &str)]) {
        const OBJECTS: &str = "{{- range .Values.objects }}\n---\n{{ toYaml . }}\n{{- end }}\n";
        let metadata = format!("apiVersion: v2\nname: any\nversion: {version}\n");
        let mut all = vec![("Chart.yaml", metadata.as_str()), ("templates/objects.yaml", OBJECTS)];
        all.extend(files);
        let work = Folder::new();
        let file = work.path.join(format!("any-{version}.tgz"));
        std::fs::write(&file, archive("any", &all)).unwrap();
        let url = format!("oci://{}/{}", env("PINTLE_REGISTRY"), self.folder);
        run(Command::new(env("HELM")).arg("push").arg(&file).args([&url, "--plain-http"]));
    }

    fn url(&self) -> String {
        format!("oci://{}/{}/any", env("PINTLE_REGISTRY"), self.folder)
    }

    /// A spec with these objects, and these fields beside them.
    fn with(&self, objects: Value, fields: Value) -> Value {
        let mut spec = self.version("1.0.0", objects);
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        spec
    }

    fn version(&self, version: &str, objects: Value) -> Value {
        json!({"chart": {"oci": {"url": self.url(), "tag": version, "insecure": true}},
            "values": {"objects": objects}, "failFast": {"imagePull": "1s", "onInstall": true}})
    }
}

fn config(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A Deployment whose image tag says what becomes of its Pods.
fn deployment(tag: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "web", "image": format!("registry.example.com/web:{tag}"),
                "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}]}}}})
}

/// A Job that never ends, because it never starts.
fn job(name: &str, image: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"suspend": true,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": image}]}}}})
}

fn stateful_set(service: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {
        "replicas": 0, "serviceName": service, "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {
            "containers": [{"name": "db", "image": "registry.example.com/db:1"}]}}}})
}

fn secret(kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "type": kind,
        "stringData": {"token": "hunter2-hunter2"}})
}

fn claim(class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}})
}

fn held(object: &HelmRelease) -> bool {
    is_for(object, "Held", "FailedFingerprint")
}

/// The notes of all Events of this reason.
async fn events(house: &House, reason: &str) -> Vec<String> {
    let events = house.objects("Event").list(&Default::default()).await.unwrap();
    let told = events.items.iter().filter(|event| event.data["reason"] == reason);
    told.filter_map(|event| event.data["note"].as_str().map(str::to_owned)).collect()
}

async fn uid(house: &House, kind: &str, name: &str) -> Value {
    house.get(kind, name).await.map_or(Value::Null, |object| object["metadata"]["uid"].clone())
}

fn kubectl(house: &House, arguments: &[&str]) -> String {
    run(Command::new(env("KUBECTL")).args(arguments).args(["--namespace", &house.namespace]))
}

async fn delete(house: &House, name: &str) {
    let uid = house.releases().get(name).await.unwrap().metadata.uid.unwrap();
    house.releases().delete(name, &Default::default()).await.unwrap();
    let gone = await_condition(house.releases(), name, conditions::is_deleted(&uid));
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("deleted in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_fields_are_named_and_stall_the_release_before_the_first_write() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let waits = json!({"install": {"disableWaitForJobs": true}, "upgrade": {"disableWaitForJobs": true}});
        let good = json!([stateful_set("db"), job("once", "a:1"), secret("Opaque")]);
        house.apply_spec("web", chart.with(good.clone(), waits.clone())).await;
        house.wait_ready(1).await;
        let changed =
            json!([config("new", json!({})), stateful_set("other"), job("once", "a:2"), secret("example.com/x")]);
        house.apply_spec("web", chart.with(changed, waits.clone())).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "ImmutableField")).await;
        let told = summary(&object);
        let named =
            ["spec.serviceName of StatefulSet", "/db", "spec.template.spec of Job", "/once", "Secret", "/token: type"];
        for part in named {
            assert!(told.contains(part), "no {part} in {told}");
        }
        assert!(told.contains("cannot be changed; change it back, or set upgrade.force"), "{told}");
        assert!(told.ends_with("revision 1 (any 1.0.0) stays"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(house.helm_history(), ["1 deployed"]);
        assert!(house.get("ConfigMap", "new").await.is_none(), "nothing was written");
        // It is not tried again and again: the same status after somebody asks.
        house.annotate(pintle::api::RECONCILE_AT, Some("again")).await;
        let asked =
            |object: &HelmRelease| object.status.as_ref().is_some_and(|it| it.last_handled_reconcile_at.is_some());
        let object = house.wait("asked", asked).await;
        assert!(is_for(&object, "Stalled", "ImmutableField"), "{}", summary(&object));
        house.apply_spec("web", chart.with(good, waits)).await;
        house.wait_ready(1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_creates_objects_again_and_their_rollback_too() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let force = json!({"upgrade": {"force": true}});
        house.apply_spec("web", chart.with(json!([stateful_set("db"), deployment("1")]), force.clone())).await;
        house.wait_ready(1).await;
        let first = uid(&house, "StatefulSet", "db").await;
        let web = uid(&house, "Deployment", "web").await;
        house.apply_spec("web", chart.with(json!([stateful_set("other"), deployment("1")]), force.clone())).await;
        house.wait_ready(2).await;
        let second = uid(&house, "StatefulSet", "db").await;
        assert_ne!(first, second);
        assert_eq!(uid(&house, "Deployment", "web").await, web, "only what must be is created again");
        let told = events(&house, "ObjectsRecreated").await;
        assert!(told.len() == 1 && told[0].contains("/db (spec.serviceName)"), "{told:?}");

        house.apply_spec("web", chart.with(json!([stateful_set("third"), deployment("2-crash")]), force)).await;
        house.wait("rolled back", |object| held(object) && newest(object) == Some(4)).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 failed", "4 deployed"]);
        let set = house.get("StatefulSet", "db").await.unwrap();
        assert_eq!(set["spec"]["serviceName"], "other");
        assert_ne!(set["metadata"]["uid"], second);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_between_deleting_and_creating_again_loses_nothing() {
    let chart = Chart::push(&[]);
    with_temp_ns(|house: Arc<House>| async move {
        let finalizers = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        let params = PatchParams::default();
        let force = json!({"upgrade": {"force": true}});
        // A process of its own: killed, nothing of it goes on.
        let arguments = [
            "controller",
            "--watch-namespaces",
            &house.namespace,
            "--metrics-addr",
            "127.0.0.1:0",
            "--allow-loopback-sources",
            "--log-level",
            "error",
        ];
        let mut process =
            Command::new(env!("CARGO_BIN_EXE_pintle")).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        house
            .apply_spec("web", chart.with(json!([stateful_set("db"), config("a", json!({"a": "1"}))]), force.clone()))
            .await;
        house.wait_ready(1).await;
        let before = uid(&house, "StatefulSet", "db").await;
        house.objects("StatefulSet").patch("db", &params, &finalizers(json!(["example.com/held"]))).await.unwrap();

        house
            .apply_spec("web", chart.with(json!([stateful_set("other"), config("a", json!({"a": "2"}))]), force))
            .await;
        let deleted = |object: Option<&Value>| object.is_some_and(|it| !it["metadata"]["deletionTimestamp"].is_null());
        house.wait_for("StatefulSet", "db", "deleted", deleted).await;
        process.kill().unwrap();
        process.wait().unwrap();
        house.objects("StatefulSet").patch("db", &params, &finalizers(Value::Null)).await.unwrap();
        house.wait_for("StatefulSet", "db", "gone", |object| object.is_none()).await;
        assert_eq!(house.helm_history(), ["1 deployed", "2 pending-upgrade"]);

        let second = house.start_named("second").await;
        house.wait_ready(2).await;
        let set = house.get("StatefulSet", "db").await.unwrap();
        assert_eq!(set["spec"]["serviceName"], "other");
        assert_ne!(set["metadata"]["uid"], before);
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_deletes_nothing_that_holds_data() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let force = json!({"upgrade": {"force": true}, "install": {"disableWait": true}});
        house.apply_spec("web", chart.with(json!([claim("slow")]), force.clone())).await;
        house.wait("deployed", |object| is(object, "Released", "True")).await;
        let first = uid(&house, "PersistentVolumeClaim", "data").await;
        house.apply_spec("web", chart.with(json!([claim("fast")]), force)).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "ImmutableField")).await;
        assert!(summary(&object).contains("spec.storageClassName"), "{}", summary(&object));
        assert_eq!(uid(&house, "PersistentVolumeClaim", "data").await, first);
    })
    .await;
}

fn definition(group: &str, versions: &[&str]) -> String {
    let versions: Vec<_> = versions
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"name": name, "served": true, "storage": index == 0,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
        })
        .collect();
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("ships.{group}")}, "spec": {"group": group, "scope": "Namespaced",
            "names": {"kind": "Ship", "plural": "ships"}, "versions": versions}})
    .to_string()
}

fn versions_of(house: &House, crd: &str) -> String {
    kubectl(house, &["get", "crd", crd, "-o", "jsonpath={.spec.versions[*].name}"])
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_a_chart_come_first_and_follow_their_policy() {
    let group = format!("{}.example.com", name("g"));
    let crd = format!("ships.{group}");
    let old = definition(&group, &["v1alpha1", "v1"]);
    let stray = config("stray", json!({})).to_string();
    let template = format!(
        "{{{{- if .Capabilities.APIVersions.Has \"{group}/v1/Ship\" }}}}\napiVersion: {group}/v1\nkind: Ship\n\
         metadata: {{name: {{{{ .Release.Name }}}}}}\n{{{{- end }}}}\n"
    );
    let with = |definition: &str| {
        [
            ("crds/ships.json", definition.to_owned()),
            ("crds/stray.yaml", stray.clone()),
            ("templates/ship.yaml", template.clone()),
        ]
    };
    let push = |chart: &Chart, version: &str, definition: &str| {
        let files = with(definition);
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        chart.push_version(version, &files);
    };
    let chart = Chart { folder: name("any") };
    push(&chart, "1.0.0", &old);
    push(&chart, "2.0.0", &definition(&group, &["v1alpha1", "v1", "v2"]));
    push(&chart, "3.0.0", &definition(&group, &["v1"]));
    with_controller(|house: Arc<House>| async move {
        let with = |version: &str, upgrade: Value| {
            let mut spec = chart.version(version, json!([]));
            spec["upgrade"] = upgrade;
            spec
        };
        let mut skipped = with("1.0.0", json!({}));
        skipped["install"] = json!({"crds": "Skip"});
        house.apply_spec("none", skipped).await;
        house.wait_named("none", "ready", |object| is(object, "Ready", "True")).await;
        let found = kubectl(&house, &["get", "crd", "--ignore-not-found", "-o", "name", &crd]);
        assert_eq!(found, "", "skipped");

        house.apply_spec("web", with("1.0.0", json!({}))).await;
        house.wait_ready(1).await;
        // The template saw the kind in .Capabilities, and its object was written once the kind was served.
        let ship = kubectl(&house, &["get", &format!("{crd}/web"), "-o", "name"]);
        assert!(ship.contains("/web"), "{ship}");
        let told = events(&house, "CrdsIgnored").await;
        assert!(told.iter().any(|note| note.contains("stray") && note.contains("crds/stray.yaml")), "{told:?}");
        assert!(house.get("ConfigMap", "stray").await.is_none(), "no definition, so left alone");

        house.apply_spec("web", with("2.0.0", json!({}))).await;
        house.wait_ready(2).await;
        assert_eq!(versions_of(&house, &crd), "v1alpha1 v1", "upgrades skip by default");
        house.apply_spec("web", with("2.0.0", json!({"crds": "CreateReplace"}))).await;
        house.wait_ready(3).await;
        assert_eq!(versions_of(&house, &crd), "v1alpha1 v1 v2");

        house.apply_spec("web", with("3.0.0", json!({"crds": "CreateReplace"}))).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "DefinitionIncompatible")).await;
        assert!(summary(&object).contains("objects may be stored as v1alpha1"), "{}", summary(&object));
        assert_eq!(versions_of(&house, &crd), "v1alpha1 v1 v2", "nothing was written");
        assert_eq!(house.helm_history().len(), 3);

        delete(&house, "web").await;
        assert_eq!(versions_of(&house, &crd), "v1alpha1 v1 v2", "definitions outlive the release");
        kubectl(&house, &["delete", "crd", &crd, "--wait=false"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_is_created_with_the_rights_of_the_release_and_only_where_it_is_missing() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}});
        house.put("somebody", account).await;
        let there = name("there");
        let fields = |account: Option<&str>| {
            let mut fields = json!({"targetNamespace": there, "install": {"createNamespace": true}});
            if let Some(account) = account {
                fields["serviceAccountName"] = account.into();
            }
            chart.with(json!([config("a", json!({}))]), fields)
        };
        house.apply_spec("web", fields(Some("deployer"))).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "Forbidden")).await;
        assert!(summary(&object).contains(&format!("{}:deployer", house.namespace)), "{}", summary(&object));
        assert_eq!(kubectl(&house, &["get", "ns", &there, "--ignore-not-found", "-o", "name"]), "");

        house.apply_spec("web", fields(None)).await;
        house.wait_ready(1).await;
        assert_eq!(events(&house, "NamespaceCreated").await.len(), 1);
        delete(&house, "web").await;
        assert_eq!(kubectl(&house, &["get", "ns", &there, "-o", "name"]), format!("namespace/{there}"), "it stays");

        // One that exists is not touched.
        let before = kubectl(&house, &["get", "ns", &there, "-o", "jsonpath={.metadata.resourceVersion}"]);
        house.apply_spec("web", fields(None)).await;
        house.wait_ready(1).await;
        assert_eq!(kubectl(&house, &["get", "ns", &there, "-o", "jsonpath={.metadata.resourceVersion}"]), before);
        delete(&house, "web").await;
        kubectl(&house, &["delete", "ns", &there, "--wait=false"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_waited_for_is_deployed_once_it_is_written() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let fields = json!({"install": {"disableWait": true}, "upgrade": {"disableWaitForJobs": true}});
        house.apply_spec("web", chart.with(json!([deployment("1-slow20")]), fields.clone())).await;
        let object = house.wait("deployed", |object| is(object, "Released", "True")).await;
        let status = object.status.unwrap();
        assert_eq!(status.history[0].status, "deployed");
        assert!(!status.history[0].verified, "its health was not seen");

        house.apply_spec("web", chart.with(json!([deployment("2"), job("never", "a:1")]), fields)).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_others_are_taken_over_when_asked_and_survive_a_rollback() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        house.apply_spec("web", chart.with(json!([deployment("1")]), json!({}))).await;
        house.wait_ready(1).await;
        let folder = Folder::new();
        let file = folder.path.join("theirs.json");
        std::fs::write(&file, config("theirs", json!({"a": "1", "b": "1"})).to_string()).unwrap();
        kubectl(&house, &["apply", "--server-side=false", "-f", file.to_str().unwrap()]);
        house.apply_spec("other", chart.with(json!([config("others", json!({"a": "1"}))]), json!({}))).await;
        house.wait_named("other", "ready", |object| is(object, "Ready", "True")).await;
        let before = uid(&house, "ConfigMap", "theirs").await;

        let objects = |tag: &str| {
            json!([deployment(tag), config("theirs", json!({"a": "2"})), config("others", json!({"a": "2"}))])
        };
        house.apply_spec("web", chart.with(objects("2-crash"), json!({}))).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "ForeignObject")).await;
        assert!(
            summary(&object).contains("/other") && summary(&object).contains("takeOwnership"),
            "{}",
            summary(&object)
        );

        let take = json!({"upgrade": {"takeOwnership": true}});
        house.apply_spec("web", chart.with(objects("2-crash"), take.clone())).await;
        house.wait("rolled back", |object| held(object) && newest(object) == Some(3)).await;
        assert_eq!(uid(&house, "ConfigMap", "theirs").await, before, "what stood before is never deleted");
        assert!(house.get("ConfigMap", "others").await.is_some());

        house.apply_spec("web", chart.with(objects("2"), take)).await;
        let object = house.wait_ready(4).await;
        let told = events(&house, "OwnershipTaken").await;
        let other = format!("/others from release {}/other", house.namespace);
        assert!(told.iter().any(|note| note.contains("/theirs from kubectl-client-side-apply")), "{told:?}");
        assert!(told.iter().any(|note| note.contains(&other)), "{told:?}");
        assert_eq!(object.status.unwrap().history[0].status, "deployed");
        let theirs = house.get("ConfigMap", "theirs").await.unwrap();
        assert_eq!(theirs["data"], json!({"a": "2"}), "what the chart does not have goes");
        assert_eq!(theirs["metadata"]["annotations"]["meta.helm.sh/release-name"], "web");
        assert_eq!(theirs["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"], Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_install_reports_what_it_takes_over_in_its_status() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        house.put("somebody", config("theirs", json!({"a": "1"}))).await;
        let take = json!({"install": {"takeOwnership": true}});
        house.apply_spec("web", chart.with(json!([config("theirs", json!({"a": "2"}))]), take)).await;
        let object = house.wait_ready(1).await;
        let taken = object.status.unwrap().taken_over;
        assert_eq!((taken.len(), taken[0].object.name.as_str(), taken[0].from.as_str()), (1, "theirs", "somebody"));
        // The next revision takes nothing.
        house.apply_spec("web", chart.with(json!([config("theirs", json!({"a": "3"}))]), json!({}))).await;
        assert_eq!(house.wait_ready(2).await.status.unwrap().taken_over, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_client_side_helm_wrote_go_when_the_chart_drops_them() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let values = |data: Value| json!({"objects": [config("a", data)]}).to_string();
        let folder = Folder::new();
        let file = folder.path.join("values.json");
        std::fs::write(&file, values(json!({"kept": "1", "dropped": "1"}))).unwrap();
        let url = chart.url();
        let arguments = ["install", "web", &url, "--plain-http", "--version", "1.0.0", "--server-side=false"];
        house.helm(&[&arguments[..], &["-f", file.to_str().unwrap()]].concat());
        let managers =
            kubectl(&house, &["get", "cm", "a", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields}"]);
        assert!(managers.contains("\"operation\":\"Update\""), "{managers}");
        // A person's own field is none of the chart's.
        let edit = Patch::Merge(json!({"data": {"theirs": "1"}}));
        let person = PatchParams { field_manager: Some("person".into()), ..PatchParams::default() };
        house.objects("ConfigMap").patch("a", &person, &edit).await.unwrap();

        house.apply_spec("web", chart.with(json!([config("a", json!({"kept": "2"}))]), json!({}))).await;
        house.wait_ready(2).await;
        let data = house.get("ConfigMap", "a").await.unwrap()["data"].clone();
        assert_eq!(data, json!({"kept": "2", "theirs": "1"}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_left_for_a_person_where_the_spec_says_so() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let left = json!({"remediation": {"remediateLastFailure": false}});
        let fields = json!({"install": left, "upgrade": {"remediation": left["remediation"], "cleanupOnFail": true}});
        house
            .apply_spec("web", chart.with(json!([deployment("1-crash"), config("a", json!({}))]), fields.clone()))
            .await;
        let object = house.wait("held", held).await;
        assert!(summary(&object).ends_with("it is left as it is, for a person to look at"), "{}", summary(&object));
        assert_ne!(find(&object, "Healthy").unwrap().0, "True");
        assert!(house.get("ConfigMap", "a").await.is_some());
        assert_eq!(house.helm_history(), ["1 failed"]);

        // What the left install holds and the next one does not is removed, as ever.
        house.apply_spec("web", chart.with(json!([deployment("1")]), fields.clone())).await;
        house.wait_ready(2).await;
        assert!(house.get("ConfigMap", "a").await.is_none());

        house
            .apply_spec("web", chart.with(json!([deployment("2-crash"), config("new", json!({}))]), fields.clone()))
            .await;
        house.wait("held", |object| held(object) && newest(object) == Some(3)).await;
        assert_eq!(house.helm_history(), ["1 failed", "2 deployed", "3 failed"]);
        let web = house.get("Deployment", "web").await.unwrap();
        assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "registry.example.com/web:2-crash");
        house.wait_for("ConfigMap", "new", "cleaned up", |object| object.is_none()).await;

        house.apply_spec("web", chart.with(json!([deployment("3")]), fields)).await;
        house.wait_ready(4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_upgrade_is_uninstalled_and_installed_afresh_where_the_spec_says_so() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let fields = json!({"upgrade": {"remediation": {"strategy": "uninstall"}}});
        house.apply_spec("web", chart.with(json!([deployment("1"), config("a", json!({}))]), fields.clone())).await;
        house.wait_ready(1).await;
        let first = uid(&house, "ConfigMap", "a").await;
        house
            .apply_spec("web", chart.with(json!([deployment("2-crash"), config("a", json!({}))]), fields.clone()))
            .await;
        house.wait("held", |object| held(object) && newest(object) == Some(3)).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 uninstalled", "3 failed"]);
        house.wait_for("Deployment", "web", "gone", |object| object.is_none()).await;
        house.apply_spec("web", chart.with(json!([deployment("3"), config("a", json!({}))]), fields)).await;
        house.wait_ready(4).await;
        assert_ne!(uid(&house, "ConfigMap", "a").await, first);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_orphans_the_release_where_the_policy_says_so() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        house.apply_spec("web", chart.with(json!([config("a", json!({}))]), json!({"deletionPolicy": "orphan"}))).await;
        house.wait_ready(1).await;
        delete(&house, "web").await;
        assert!(house.get("ConfigMap", "a").await.is_some());
        assert_eq!(house.helm_history(), ["1 deployed"]);
        assert_eq!(events(&house, "Orphaned").await.len(), 1);

        // What was left is taken up again, and a suspended release that says so is uninstalled.
        let fields = json!({"deletionPolicy": "uninstall", "suspend": true});
        house.apply_spec("web", chart.with(json!([config("a", json!({}))]), fields)).await;
        house.wait("suspended", |object| summary(object).starts_with("suspended")).await;
        delete(&house, "web").await;
        assert!(house.get("ConfigMap", "a").await.is_none());
        assert!(house.get("Secret", "sh.helm.release.v1.web.v1").await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstall_keeps_records_and_dependents_where_the_spec_says_so() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let fields = json!({"uninstall": {"keepHistory": true, "disableWait": true, "deletionPropagation": "orphan"}});
        let mut stuck = config("stuck", json!({}));
        stuck["metadata"]["finalizers"] = json!(["example.com/never"]);
        house.apply_spec("web", chart.with(json!([deployment("1"), stuck]), fields.clone())).await;
        house.wait_ready(1).await;
        delete(&house, "web").await;
        assert!(house.get("Deployment", "web").await.is_none());
        assert_eq!(kubectl(&house, &["get", "rs", "-o", "name"]).lines().count(), 1, "its ReplicaSet stays");
        assert!(house.get("ConfigMap", "stuck").await.is_some(), "not waited for");
        assert_eq!(house.helm_history(), ["1 uninstalled"]);
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        house.objects("ConfigMap").patch("stuck", &PatchParams::default(), &patch).await.unwrap();

        let replace =
            |replace: bool| chart.with(json!([config("a", json!({}))]), json!({"install": {"replace": replace}}));
        house.apply_spec("web", replace(false)).await;
        house.wait("refused", |object| is_for(object, "Stalled", "NameInUse")).await;
        house.apply_spec("web", replace(true)).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 uninstalled", "2 deployed"]);
    })
    .await;
}

/// Writes a stored revision as somebody would who knows its format.
async fn edit_record(house: &House, revision: u32, edit: impl FnOnce(&mut pintle::release::Release)) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let name = format!("sh.helm.release.v1.web.v{revision}");
    let secret = house.get("Secret", &name).await.unwrap();
    let body = STANDARD.decode(secret["data"]["release"].as_str().unwrap()).unwrap();
    let mut release = codec::decode(&body).unwrap();
    edit(&mut release);
    let label = release.info.status.as_str();
    let patch = json!({"metadata": {"labels": {"status": label}}, "data": {"release": STANDARD.encode(codec::encode(&release))}});
    house.objects("Secret").patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_somebody_spoilt_is_put_right_without_a_rollout() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        house.apply(json!({"configs": {"a": "1"}})).await;
        house.wait_ready(2).await;
        let generation = house.get("Deployment", "web").await.unwrap()["metadata"]["generation"].clone();
        let labelled = |status: &'static str| {
            move |secret: Option<&Value>| secret.is_some_and(|it| it["metadata"]["labels"]["status"] == status)
        };

        edit_record(&house, 1, |release| release.info.status = Status::Deployed).await;
        house.wait_for("Secret", "sh.helm.release.v1.web.v1", "superseded", labelled("superseded")).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        let told = events(&house, "SeveralDeployed").await;
        assert!(told.iter().any(|note| note == "revision 1 says deployed beside revision 2"), "{told:?}");

        for (name, status) in [("sh.helm.release.v1.web.v1", "superseded"), ("sh.helm.release.v1.web.v2", "deployed")] {
            let patch = Patch::Merge(json!({"metadata": {"labels": {"status": "borked"}}}));
            house.objects("Secret").patch(name, &PatchParams::default(), &patch).await.unwrap();
            house.wait_for("Secret", name, "labelled as before", labelled(status)).await;
        }
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert_eq!(house.get("Deployment", "web").await.unwrap()["metadata"]["generation"], generation);

        // A status that nobody knows: what is desired is deployed anew.
        edit_record(&house, 2, |release| release.info.status = Status::Unknown).await;
        house.wait_ready(3).await;
        assert!(house.get("ConfigMap", "a").await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_any_record_are_adopted_and_told_and_survive_a_failed_install() {
    let chart = Chart::push(&[]);
    with_controller(|house: Arc<House>| async move {
        let fields = json!({"deletionPolicy": "orphan"});
        house.apply_spec("web", chart.with(json!([deployment("1"), config("a", json!({}))]), fields.clone())).await;
        house.wait_ready(1).await;
        delete(&house, "web").await;
        house.objects("Secret").delete("sh.helm.release.v1.web.v1", &Default::default()).await.unwrap();
        let (web, a) = (uid(&house, "Deployment", "web").await, uid(&house, "ConfigMap", "a").await);

        let bad = json!([deployment("2-crash"), config("a", json!({})), config("b", json!({}))]);
        house.apply_spec("web", chart.with(bad, fields.clone())).await;
        house.wait("held", held).await;
        let told = events(&house, "ObjectsAdopted").await;
        assert!(told.len() == 1 && told[0].contains("/web") && told[0].contains("/a"), "{told:?}");
        house.wait_for("ConfigMap", "b", "cleaned up", |object| object.is_none()).await;
        assert_eq!(uid(&house, "Deployment", "web").await, web);
        assert_eq!(uid(&house, "ConfigMap", "a").await, a);

        house.apply_spec("web", chart.with(json!([deployment("1")]), fields)).await;
        house.wait_ready(2).await;
        assert_eq!(uid(&house, "Deployment", "web").await, web);
    })
    .await;
}
