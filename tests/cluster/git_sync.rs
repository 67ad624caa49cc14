//! GitSync on a real control plane: commits go in by `git push`, everything else is seen through `kubectl`.

use crate::env::{Repository, env, name, run};
use pintle::cluster::discovery::Discovery;
use pintle::cluster::events::Events;
use pintle::cluster::identity::Clients;
use pintle::metrics::Metrics;
use pintle::source::{self, Reach, Sources};
use pintle::sync::{Context, Options};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const CONFIRM: &str = "pintle.dev/confirm-prune";

/// A namespace, a repository, and a controller that serves this namespace only.
struct World {
    namespace: String,
    repository: Repository,
    metrics: Metrics,
    stop: CancellationToken,
    controller: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn new() -> World {
        static DEFINITIONS: Once = Once::new();
        DEFINITIONS.call_once(|| {
            apply(&json!({"apiVersion": "v1", "kind": "List", "items": pintle::api::crds()}).to_string());
            let kinds = ["crd/gitsyncs.pintle.dev", "crd/helmreleases.pintle.dev"];
            kubectl(&[&["wait", "--for=condition=Established", "--timeout=30s"][..], &kinds].concat());
        });
        let namespace = name("sync");
        kubectl(&["create", "namespace", &namespace]);
        let mut world = World {
            namespace,
            repository: Repository::new(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
            controller: None,
        };
        world.start().await;
        world
    }

    /// Starts a controller; one that ran before is stopped.
    async fn start(&mut self) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // RUST_LOG=pintle=debug shows what the controller does.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let clients = Clients::new(kube::Config::infer().await.unwrap(), self.metrics.clone()).unwrap();
        let reach = Reach { loopback: true, ..Reach::default() };
        let context = Context {
            discovery: Arc::new(Discovery::new(clients.controller().clone())),
            sources: Sources::new(source::Options { reach, ..source::Options::default() }).unwrap(),
            events: Arc::new(Events::new("pintle-test".into())),
            metrics: self.metrics.clone(),
            listed: AtomicBool::default(),
            options: Options {
                namespaces: vec![self.namespace.clone()],
                concurrency: 4,
                default_service_account: None,
                grace: Duration::from_secs(5),
            },
            clients,
        };
        self.controller = Some(tokio::spawn(pintle::sync::run(Arc::new(context), self.stop.clone())));
    }

    /// Ends the controller between two of its steps, with what it was doing.
    fn kill(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.abort();
        }
    }

    /// Makes a GitSync named `fleet`, with changes to its spec.
    fn sync(&self, change: &Value) {
        self.sync_named("fleet", change);
    }

    fn sync_named(&self, name: &str, change: &Value) {
        let mut spec =
            json!({"url": self.repository.url, "insecure": true, "interval": "10m", "ref": {"branch": "main"}});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let metadata = json!({"name": name, "namespace": self.namespace});
        apply(
            &json!({"apiVersion": "pintle.dev/v1", "kind": "GitSync", "metadata": metadata, "spec": spec}).to_string(),
        );
    }

    fn write_map(&self, file: &str, name: &str) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"of": file}});
        self.repository.write(file, &map.to_string());
    }

    fn get(&self, what: &str) -> Option<Value> {
        let output = Command::new(env("KUBECTL"))
            .args(["get", "-n", &self.namespace, "-o", "json", "--ignore-not-found"])
            .args(what.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).ok()
    }

    fn kubectl(&self, arguments: &str) -> String {
        kubectl(&[&["-n", &self.namespace], &arguments.split(' ').collect::<Vec<_>>()[..]].concat())
    }

    fn maps(&self) -> Vec<String> {
        // With nothing to list, kubectl prints nothing.
        let list = self.get("configmaps -l pintle.dev/gitsync").unwrap_or(json!({"items": []}));
        names(&list["items"])
    }

    async fn status_when(&self, what: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        self.status_of("fleet", what, is_met).await
    }

    /// The status once it is as wished and speaks of the current generation.
    async fn status_of(&self, name: &str, what: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let object = self.get(&format!("gitsync {name}")).expect("the GitSync is there");
            let status = &object["status"];
            if status["observedGeneration"] == object["metadata"]["generation"] && is_met(status) {
                return status.clone();
            }
            assert!(began.elapsed() < PATIENCE, "not {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the commit is applied as a whole.
    async fn applied(&self, commit: &str) -> Value {
        self.status_when(&format!("applied {commit}"), |status| {
            status["appliedCommit"] == commit && ready(status) == "True Applied"
        })
        .await
    }

    /// There is an Event, and a count.
    async fn is_told(&self, name: &str, reason: &str) {
        let told = |event: &Value| {
            event["reason"] == reason && event["involvedObject"]["name"] == name && event["type"] == "Warning"
        };
        let is_there = || self.get("events").is_some_and(|list| list["items"].as_array().unwrap().iter().any(told));
        self.until(&format!("told as Event {reason}"), is_there).await;
        let counted = format!("pintle_sync_failures_total{{reason=\"{reason}\"}} ");
        let page = self.metrics.page();
        assert!(page.lines().any(|line| line.starts_with(&counted)), "{reason} is not counted: {page}");
    }

    async fn until(&self, what: &str, is_met: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_met() {
            assert!(began.elapsed() < PATIENCE, "not {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for a pass now.
    fn poke(&self) -> String {
        let when = name("at");
        self.kubectl(&format!("annotate gitsync fleet --overwrite pintle.dev/reconcile-at={when}"));
        when
    }

    /// Asks for a pass now and waits for its end.
    async fn poked(&self) {
        let when = self.poke();
        self.status_when("looked at again", |status| status["lastHandledReconcileAt"] == when).await;
    }

    /// Commits, asks for a pass, and gives the commit.
    fn push(&self, message: &str) -> String {
        let commit = self.repository.push(message);
        if self.get("gitsync fleet").is_some() {
            self.poke();
        }
        commit
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = Command::new(env("KUBECTL")).args(["delete", "namespace", &self.namespace, "--wait=false"]).output();
    }
}

fn kubectl(arguments: &[&str]) -> String {
    run(Command::new(env("KUBECTL")).args(arguments))
}

fn apply(manifest: &str) {
    let mut child = Command::new(env("KUBECTL"))
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{manifest}");
}

fn names(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Status and reason of `Ready`.
fn ready(status: &Value) -> String {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    format!("{} {}", ready["status"].as_str().unwrap_or("-"), ready["reason"].as_str().unwrap_or("-"))
}

fn inventory(status: &Value) -> Vec<String> {
    let items = status["inventory"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| format!("{} {}", item["kind"].as_str().unwrap(), item["name"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_applied_with_namespaces_and_definitions_first() {
    let world = World::new().await;
    let repository = &world.repository;
    let (other, group) = (name("other"), format!("{}.example.com", world.namespace));
    // By name, everything comes in the wrong order.
    repository.write(
        "prod/a-widget.yaml",
        &format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: 1}}\n"),
    );
    repository.write(
        "prod/b-elsewhere.yml",
        &format!(
            "# in another namespace\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m, namespace: {other}}}\n"
        ),
    );
    repository
        .write("prod/y-namespace.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n"));
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Cluster", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    });
    repository.write("prod/z/definition.json", &definition.to_string());
    let release = "apiVersion: pintle.dev/v1\nkind: HelmRelease\nmetadata: {name: hr}\nspec:\n  interval: 10m\n  \
                   suspend: true\n  chart: {oci: {url: oci://r.io/charts/app, version: 1.0.0}}\n";
    repository.write("prod/release.yaml", release);
    world.write_map("elsewhere/not-below-the-path.yaml", "no");
    let commit = repository.push("all");
    world.sync(&json!({"path": "./prod"}));

    let status = world.applied(&commit).await;
    assert_eq!(status["attemptedCommit"], commit.as_str());
    assert_eq!(status["summary"], format!("applied 5 objects of commit {}", &commit[..12]));
    assert_eq!(inventory(&status).len(), 5);
    let map: Value =
        serde_json::from_str(&kubectl(&["get", "cm", "m", "-n", &other, "-o", "json", "--show-managed-fields"]))
            .unwrap();
    assert_eq!(map["metadata"]["annotations"]["pintle.dev/gitsync"], format!("{}/fleet", world.namespace));
    assert_eq!(map["metadata"]["labels"]["pintle.dev/gitsync"], "fleet");
    assert_eq!(map["metadata"]["managedFields"][0]["manager"], "pintle-gitsync");
    assert_eq!(map["metadata"]["managedFields"][0]["operation"], "Apply");
    assert!(world.get("helmreleases.pintle.dev hr").is_some());
    assert!(world.maps().is_empty(), "what is not below the path is not applied");

    // Leaving the folder, all of it goes: the definition last, since its objects would go with it.
    for file in ["a-widget.yaml", "b-elsewhere.yml", "y-namespace.yaml", "z/definition.json", "release.yaml"] {
        repository.remove(&format!("prod/{file}"));
    }
    world.write_map("prod/last.yaml", "last");
    let commit = world.push("nothing but one map");
    world.kubectl(&format!("annotate gitsync fleet --overwrite {CONFIRM}={commit}"));
    let status = world.applied(&commit).await;
    assert_eq!(inventory(&status), ["ConfigMap last"]);
    assert!(world.get(&format!("namespace {other}")).is_none());
    assert!(world.get(&format!("crd widgets.{group}")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_commit_is_pruned_and_what_moves_is_not() {
    let world = World::new().await;
    for map in ["a", "b", "c"] {
        world.write_map(&format!("{map}.yaml"), map);
    }
    let first = world.push("three");
    world.sync(&json!({}));
    world.applied(&first).await;
    let uid = world.get("cm b").unwrap()["metadata"]["uid"].clone();

    world.repository.remove("a.yaml");
    world.repository.remove("b.yaml");
    world.write_map("moved/b.yaml", "b");
    let second = world.push("a is gone, b has moved");
    let status = world.applied(&second).await;
    assert_eq!(inventory(&status), ["ConfigMap b", "ConfigMap c"]);
    assert_eq!(world.maps(), ["b", "c"]);
    let moved = world.get("cm b").unwrap();
    assert_eq!((&moved["metadata"]["uid"], &moved["data"]["of"]), (&uid, &json!("moved/b.yaml")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_stops_pruning_and_nothing_else() {
    let world = World::new().await;
    for map in ["a", "b"] {
        world.write_map(&format!("{map}.yaml"), map);
    }
    let first = world.push("two");
    world.sync(&json!({}));
    world.applied(&first).await;

    world.repository.remove("a.yaml");
    world.write_map("c.yaml", "c");
    world.repository.write("apps/broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\n bad: indent\n");
    let second = world.push("one goes, one comes, one is broken");
    let status = world
        .status_when("incomplete", |status| {
            status["attemptedCommit"] == second.as_str() && ready(status) == "False Incomplete"
        })
        .await;
    assert_eq!(status["errors"][0]["file"], "apps/broken.yaml");
    assert_eq!(status["errors"][0]["line"], 5);
    world.is_told("fleet", "Incomplete").await;
    assert_eq!(status["errorCount"], 1);
    assert_eq!(status["appliedCommit"], first.as_str(), "the last complete one");
    assert_eq!(world.maps(), ["a", "b", "c"], "the readable is applied, nothing is pruned");
    assert_eq!(inventory(&status), ["ConfigMap a", "ConfigMap b", "ConfigMap c"]);

    world.repository.write("apps/broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\n");
    let third = world.push("cured");
    let status = world.applied(&third).await;
    assert_eq!((&status["errors"], &status["errorCount"]), (&Value::Null, &Value::Null));
    assert_eq!(world.maps(), ["b", "c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_the_cluster_refuses_stops_pruning_and_nothing_else() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let first = world.push("one");
    world.sync(&json!({}));
    world.applied(&first).await;
    world.repository.remove("a.yaml");
    world.write_map("b.yaml", "b");
    world
        .repository
        .write("wrong.yaml", "---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {prots: []}\n");
    world.repository.write("unknown.yaml", "apiVersion: nowhere.example.com/v1\nkind: Thing\nmetadata: {name: t}\n");
    world.push("two wrong");
    let status = world.status_when("incomplete", |status| status["errorCount"] == 2).await;
    let errors = &status["errors"];
    assert_eq!(
        (&errors[1]["file"], &errors[1]["line"], &errors[1]["object"]["name"]),
        (&json!("wrong.yaml"), &json!(3), &json!("s"))
    );
    assert!(errors[1]["message"].as_str().unwrap().contains("prots"), "{errors}");
    assert!(errors[0]["message"].as_str().unwrap().contains("serves no kind Thing"), "{errors}");
    assert_eq!(ready(&status), "False Incomplete");
    assert_eq!(world.maps(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_object_in_two_files_is_refused_in_both() {
    let world = World::new().await;
    world.write_map("a.yaml", "same");
    world.write_map("b.yaml", "same");
    world.write_map("c.yaml", "other");
    world.push("twice");
    world.sync(&json!({}));
    let status = world.status_when("incomplete", |status| status["errorCount"] == 2).await;
    let message = format!("ConfigMap {}/same is in b.yaml:1 as well; neither is applied", world.namespace);
    assert_eq!(status["errors"][0]["message"], message);
    assert_eq!(world.maps(), ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_prune_waits_for_the_word() {
    let world = World::new().await;
    for n in 0..6 {
        world.write_map(&format!("{n}.yaml"), &format!("m{n}"));
    }
    let first = world.push("six");
    world.sync(&json!({}));
    world.applied(&first).await;
    for n in 0..4 {
        world.repository.remove(&format!("{n}.yaml"));
    }
    let second = world.push("two");
    let status = world.status_when("waiting", |status| ready(status) == "False PruneToConfirm").await;
    assert_eq!((&status["pruneToConfirm"], &status["appliedCommit"]), (&json!(4), &json!(first)));
    assert!(status["summary"].as_str().unwrap().ends_with(&format!("{CONFIRM}={second}")), "{status:#}");
    assert_eq!(world.maps().len(), 6);

    world.kubectl(&format!("annotate gitsync fleet {CONFIRM}={first}"));
    world.poked().await;
    assert_eq!(world.maps().len(), 6, "the word was for another commit");
    world.kubectl(&format!("annotate gitsync fleet --overwrite {CONFIRM}={second}"));
    world.applied(&second).await;
    assert_eq!(world.maps(), ["m4", "m5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_commit_or_a_missing_path_prunes_nothing() {
    let world = World::new().await;
    world.write_map("apps/a.yaml", "a");
    let first = world.push("one");
    world.sync(&json!({"path": "apps"}));
    world.applied(&first).await;
    world.repository.remove("apps/a.yaml");
    world.repository.write("apps/README.md", "empty");
    world.push("no manifest");
    let status = world.status_when("empty", |status| ready(status) == "False NoDocuments").await;
    assert!(status["summary"].as_str().unwrap().contains("nothing was pruned"), "{status:#}");
    world.is_told("fleet", "NoDocuments").await;
    world.repository.remove("apps/README.md");
    world.repository.write("README.md", "no folder");
    world.push("no folder");
    let status = world.status_when("pathless", |status| ready(status) == "False PathNotFound").await;
    world.is_told("fleet", "PathNotFound").await;
    assert_eq!(inventory(&status), ["ConfigMap a"]);
    assert_eq!(world.maps(), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_ignored_chart_and_kustomize_files_are_not_applied() {
    let world = World::new().await;
    world.write_map(".hidden/a.yaml", "hidden");
    world.write_map("drafts/deep/b.yaml", "draft");
    world.write_map("c.test.yaml", "test");
    world.repository.write("charts/app/Chart.yaml", "name: app\nversion: 1.0.0\n");
    world.repository.write("charts/app/templates/d.yaml", "{{ not yaml }}");
    world.write_map("e.yaml", "e");
    let commit = world.push("all sorts");
    world.sync(&json!({"ignore": ["drafts", "**/*.test.yaml"]}));
    world.applied(&commit).await;
    assert_eq!(world.maps(), ["e"]);

    world.repository.write("base/kustomization.yaml", "resources: [f.yaml]\n");
    world.write_map("base/f.yaml", "f");
    world.push("kustomize");
    let status = world.status_when("incomplete", |status| ready(status) == "False Incomplete").await;
    assert_eq!(status["errors"][0]["file"], "base/kustomization.yaml");
    assert_eq!(world.maps(), ["e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_can_be_kept_from_pruning() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    world.write_map("b.yaml", "b");
    let first = world.push("two");
    world.sync(&json!({}));
    world.applied(&first).await;
    world.kubectl("annotate cm a pintle.dev/prune=disabled");
    world.repository.remove("a.yaml");
    let second = world.push("one");
    let status = world.applied(&second).await;
    assert_eq!(inventory(&status), ["ConfigMap b"]);
    let kept = world.get("cm a").unwrap();
    assert_eq!(kept["metadata"]["annotations"]["pintle.dev/gitsync"], Value::Null, "it belongs to nobody now");
    assert_eq!(kept["data"]["of"], "a.yaml", "and is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_gitsync_are_refused_until_it_is_gone() {
    let world = World::new().await;
    world.write_map("one/a.yaml", "a");
    world.write_map("two/a.yaml", "a");
    world.write_map("two/b.yaml", "b");
    let commit = world.push("both want a");
    world.sync_named("first", &json!({"path": "one"}));
    world.status_of("first", "applied", |status| ready(status) == "True Applied").await;
    world.sync(&json!({"path": "two"}));
    let status = world.status_when("refused", |status| ready(status) == "False Incomplete").await;
    let owner = format!("{}/first", world.namespace);
    assert_eq!(status["errors"][0]["message"], format!("ConfigMap {}/a belongs to GitSync {owner}", world.namespace));
    assert_eq!(status["errors"][0]["file"], "two/a.yaml");
    assert_eq!(inventory(&status), ["ConfigMap b"]);
    assert_eq!(world.get("cm a").unwrap()["data"]["of"], "one/a.yaml");

    world.kubectl("delete gitsync first");
    world.poke();
    world.applied(&commit).await;
    assert_eq!(world.get("cm a").unwrap()["data"]["of"], "two/a.yaml", "what a deleted one left is taken over");
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_pruned_first_and_waited_for() {
    let world = World::new().await;
    let release = |file: &str| {
        let metadata = json!({"name": "hr", "finalizers": ["example.com/held"]});
        let spec = json!({"interval": "10m", "suspend": true, "chart": {"oci": {"url": "oci://r.io/c/app", "version": "1.0.0"}}});
        let object = json!({"apiVersion": "pintle.dev/v1", "kind": "HelmRelease", "metadata": metadata, "spec": spec});
        world.repository.write(file, &object.to_string());
    };
    release("hr.yaml");
    for map in ["a", "b", "c", "d"] {
        world.write_map(&format!("{map}.yaml"), map);
    }
    let first = world.push("all");
    world.sync(&json!({}));
    world.applied(&first).await;

    world.repository.remove("hr.yaml");
    world.repository.remove("a.yaml");
    let second = world.push("less");
    let status = world.status_when("waiting", |status| ready(status) == "Unknown Pruning").await;
    assert!(
        status["summary"].as_str().unwrap().ends_with(&format!(
            "waiting for HelmRelease {}/hr to be gone (held by example.com/held)",
            world.namespace
        )),
        "{status:#}"
    );
    assert_eq!(world.maps(), ["a", "b", "c", "d"], "the rest waits for the release");
    assert!(inventory(&status).contains(&"HelmRelease hr".to_owned()), "it leaves when it is gone");

    // It comes back while it is going: it is made again when it is gone.
    release("again.yaml");
    let third = world.push("back");
    let status = world.status_when("returning", |status| ready(status) == "Unknown WaitingForDeletion").await;
    assert!(status["summary"].as_str().unwrap().contains("it is made again then"), "{status:#}");
    let uid = world.get("helmreleases.pintle.dev hr").unwrap()["metadata"]["uid"].clone();
    world.kubectl(r#"patch helmreleases.pintle.dev hr --type=merge -p {"metadata":{"finalizers":null}}"#);
    world.applied(&third).await;
    assert_ne!(world.get("helmreleases.pintle.dev hr").unwrap()["metadata"]["uid"], uid);
    assert_eq!(world.maps(), ["b", "c", "d"]);
    assert_ne!(second, third);
    world.kubectl(r#"patch helmreleases.pintle.dev hr --type=merge -p {"metadata":{"finalizers":null}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_gitsync_leaves_its_objects_unless_told_to_prune() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let commit = world.push("one");
    world.sync(&json!({}));
    world.applied(&commit).await;
    world.kubectl("delete gitsync fleet --timeout=20s");
    assert_eq!(world.maps(), ["a"]);

    world.sync(&json!({"deletionPolicy": "prune"}));
    world.applied(&commit).await;
    assert_eq!(world.get("gitsync fleet").unwrap()["metadata"]["finalizers"], json!(["pintle.dev/finalizer"]));
    world.kubectl("delete gitsync fleet --timeout=20s");
    assert!(world.maps().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_right_when_asked_and_nothing_while_suspended() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let first = world.push("one");
    world.sync(&json!({}));
    world.applied(&first).await;
    world.kubectl(r#"patch cm a --type=merge -p {"data":{"of":"changed"}}"#);
    world.poke();
    world.until("put right", || world.get("cm a").unwrap()["data"]["of"] == "a.yaml").await;

    world.kubectl(r#"patch gitsync fleet --type=merge -p {"spec":{"suspend":true}}"#);
    let status =
        world.status_when("suspended", |status| status["summary"].as_str().unwrap().starts_with("suspended")).await;
    assert_eq!(ready(&status), "True Applied", "as before");
    world.write_map("b.yaml", "b");
    let second = world.repository.push("two");
    world.poked().await;
    assert_eq!(world.maps(), ["a"]);
    world.kubectl(r#"patch gitsync fleet --type=merge -p {"spec":{"suspend":false}}"#);
    world.applied(&second).await;
    assert_eq!(world.maps(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_done_with_the_rights_of_the_service_account() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let commit = world.push("one");
    world.kubectl("create serviceaccount deployer");
    world.sync(&json!({"serviceAccountName": "deployer"}));
    let status = world.status_when("refused", |status| ready(status) == "False Incomplete").await;
    let message = status["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("system:serviceaccount:{}:deployer", world.namespace)), "{message}");
    assert!(world.get("cm a").is_none());
    world.kubectl("create role maps --verb=get,patch,create,delete --resource=configmaps");
    let account = format!("{}:deployer", world.namespace);
    world.kubectl(&format!("create rolebinding maps --role=maps --serviceaccount={account}"));
    world.poke();
    world.applied(&commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_repositories_that_are_missing_are_named() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let commit = world.push("one");
    let private = world.repository.url.replace(&env("PINTLE_GIT"), &format!("{}/auth", env("PINTLE_GIT")));
    world.sync(&json!({"url": private, "secretRef": {"name": "git"}}));
    let status = world.status_when("without its Secret", |status| ready(status) == "False SecretNotFound").await;
    assert_eq!(status["summary"], format!("Secret {}/git does not exist", world.namespace));
    let (user, password) = (env("PINTLE_REGISTRY_USER"), env("PINTLE_REGISTRY_PASSWORD"));
    world.kubectl(&format!("create secret generic git --from-literal=username={user} --from-literal=password=canary"));
    world.poke();
    let status = world.status_when("refused", |status| ready(status) == "False CredentialsRefused").await;
    assert!(!status.to_string().contains("canary"), "{status:#}");
    world.kubectl("delete secret git");
    world.kubectl(&format!(
        "create secret generic git --from-literal=username={user} --from-literal=password={password}"
    ));
    world.poke();
    world.applied(&commit).await;
    world.sync(&json!({"url": format!("{}/nowhere.git", env("PINTLE_GIT"))}));
    let status = world.status_when("without repository", |status| ready(status) == "False RepositoryNotFound").await;
    assert_eq!(status["appliedCommit"], commit.as_str());
    assert_eq!(world.maps(), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_controller_goes_on_where_the_old_one_stopped() {
    let mut world = World::new().await;
    world.write_map("a.yaml", "a");
    world.write_map("b.yaml", "b");
    let first = world.push("two");
    world.sync(&json!({}));
    let before = world.applied(&first).await;
    world.stop.cancel();
    world.repository.remove("a.yaml");
    let second = world.repository.push("one");
    world.start().await;
    world.applied(&second).await;
    assert_eq!(world.maps(), ["b"]);

    // With nothing new, a new controller writes nothing at all.
    let version = |what: &str| world.get(what).unwrap()["metadata"]["resourceVersion"].clone();
    let (sync, map) = (version("gitsync fleet"), version("cm b"));
    let requests = world.repository.requests().len();
    world.stop.cancel();
    world.start().await;
    world.until("asked again", || world.repository.requests().len() > requests + 2).await;
    // Nothing marks the end of a pass that writes nothing, so it is given time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let version = |what: &str| world.get(what).unwrap()["metadata"]["resourceVersion"].clone();
    assert_eq!((version("gitsync fleet"), version("cm b")), (sync, map));
    assert_ne!(before["appliedCommit"], second.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitsync_that_cannot_be_read_stops_nobody_else() {
    let world = World::new().await;
    world.write_map("a.yaml", "a");
    let commit = world.push("one");
    world.sync_named("broken", &json!({"interval": "3h99999999999999999999m"}));
    world.sync(&json!({}));
    world.applied(&commit).await;
    let status = world.status_of("broken", "refused", |status| ready(status) == "False InvalidSpec").await;
    assert!(status["summary"].as_str().unwrap().starts_with("spec.interval: "), "{status:#}");
    world.is_told("broken", "InvalidSpec").await;
    world
        .until("counted by Ready", || {
            let page = world.metrics.page();
            ["pintle_gitsyncs{ready=\"True\"} 1", "pintle_gitsyncs{ready=\"False\"} 1"]
                .iter()
                .all(|line| page.contains(line))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_deleted_takes_its_gitsync_along() {
    let world = World::new().await;
    let elsewhere = name("elsewhere");
    kubectl(&["create", "namespace", &elsewhere]);
    world.write_map("a.yaml", "a");
    let commit = world.push("one");
    world.kubectl("create serviceaccount deployer");
    for (namespace, role) in [(&world.namespace, "here"), (&elsewhere, "there")] {
        let account = format!("--serviceaccount={}:deployer", world.namespace);
        kubectl(&["create", "rolebinding", role, "-n", namespace, "--clusterrole=edit", &account]);
    }
    let spec = json!({"serviceAccountName": "deployer", "deletionPolicy": "prune", "targetNamespace": elsewhere});
    world.sync(&spec);
    world.applied(&commit).await;
    // The rights go first, as they do when everything in a namespace is deleted in no particular order.
    kubectl(&["delete", "rolebinding", "there", "-n", &elsewhere]);
    kubectl(&["delete", "namespace", &world.namespace, "--timeout=60s"]);
    let left = kubectl(&["get", "cm", "a", "-n", &elsewhere, "-o", "name"]);
    assert_eq!(left, "configmap/a", "nobody had the right to delete it");
    kubectl(&["delete", "namespace", &elsewhere, "--wait=false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_that_was_applied_is_forgotten() {
    let mut world = World::new().await;
    world.write_map("stays.yaml", "stays");
    for n in 0..30 {
        world.write_map(&format!("many/{n:02}.yaml"), &format!("m{n:02}"));
    }
    let many = world.repository.push("many");
    world.sync(&json!({"path": "."}));
    world.applied(&many).await;
    let few = |world: &World| {
        for n in 0..30 {
            world.repository.remove(&format!("many/{n:02}.yaml"));
        }
        let commit = world.repository.push("few");
        world.kubectl(&format!("annotate gitsync fleet --overwrite {CONFIRM}={commit}"));
        commit
    };
    // Killed at some moment of applying or pruning, then started over with the opposite wish.
    for milliseconds in [20, 60, 120, 250] {
        let commit = few(&world);
        world.start().await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        world.kill();
        for n in 0..30 {
            world.write_map(&format!("many/{n:02}.yaml"), &format!("m{n:02}"));
        }
        world.repository.push("many again");
        world.start().await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        world.kill();
        let last = few(&world);
        world.start().await;
        world.applied(&last).await;
        assert_eq!(world.maps(), ["stays"], "killed after {milliseconds} ms of {commit}");
        for n in 0..30 {
            world.write_map(&format!("many/{n:02}.yaml"), &format!("m{n:02}"));
        }
    }
}
