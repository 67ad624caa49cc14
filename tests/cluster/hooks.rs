//! Hooks and tests of charts: their order, what they leave behind beside the real helm, failures, hangs and crashes.

use std::process::Command;
use std::sync::Arc;

use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::env::{Folder, env, name, run};
use crate::house::{House, archive, find, is, is_for, newest, summary, with_controller, with_temp_ns};

/// A chart whose values are its objects.
async fn chart_url() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| async {
        const OBJECTS: &str = "{{- range .Values.objects }}\n---\n{{ toYaml . }}\n{{- end }}\n";
        let metadata = "apiVersion: v2\nname: hooked\nversion: 1.0.0\n";
        let work = Folder::new();
        let file = work.path.join("hooked-1.0.0.tgz");
        std::fs::write(&file, archive("hooked", &[("Chart.yaml", metadata), ("templates/objects.yaml", OBJECTS)]))
            .unwrap();
        let url = format!("oci://{}/{}", env("PINTLE_REGISTRY"), name("hooked"));
        run(Command::new(env("HELM")).arg("push").arg(&file).args([&url, "--plain-http"]));
        format!("{url}/hooked")
    })
    .await
}

/// A Job that is a hook. Its image's tag decides how it ends.
fn job(name: &str, events: &str, weight: i32, tag: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": {"helm.sh/hook": events, "helm.sh/hook-weight": weight.to_string()}},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": {"simulated.pintle.dev/logs": format!("{name} begins\ntoken is hunter2-hunter2")}},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": format!("registry.example.com/job:{tag}")}]},
        }},
    })
}

/// The same with a delete policy.
fn deleted(policy: &str, mut job: Value) -> Value {
    job["metadata"]["annotations"]["helm.sh/hook-delete-policy"] = policy.into();
    job
}

fn pod(name: &str, events: &str, tag: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": {"helm.sh/hook": events,
            "simulated.pintle.dev/logs": format!("{name} looks around")}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": format!("registry.example.com/test:{tag}")}]},
    })
}

fn config(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}})
}

fn deployment(tag: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "web", "image": format!("registry.example.com/web:{tag}"), "readinessProbe": {"httpGet": {"port": 80}}}]}}}})
}

async fn apply(house: &House, objects: &[Value], fields: Value) {
    let mut spec = json!({
        "chart": {"oci": {"url": chart_url().await, "tag": "1.0.0", "insecure": true}},
        "values": {"objects": objects},
    });
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    house.apply_spec("web", spec).await;
}

/// `name phase` of each hook that ran, in the order they began, as the real helm tells.
fn runs(house: &House) -> Vec<String> {
    let status: Value = serde_json::from_str(&house.helm(&["status", "web", "-o", "json"])).unwrap();
    let mut runs: Vec<_> =
        status["hooks"].as_array().unwrap().iter().filter(|it| it["last_run"]["phase"] != "").collect();
    runs.sort_by_key(|hook| hook["last_run"]["started_at"].as_str().unwrap_or_default().to_owned());
    let line = |hook: &&Value| {
        let run = &hook["last_run"];
        assert!(run["completed_at"].as_str() >= run["started_at"].as_str(), "{hook}");
        format!("{} {}", hook["name"].as_str().unwrap(), run["phase"].as_str().unwrap())
    };
    runs.iter().map(line).collect()
}

async fn names(house: &House, kind: &str) -> Vec<String> {
    let all = house.objects(kind).list(&ListParams::default()).await.unwrap();
    let mut names: Vec<_> = all.items.into_iter().map(|it| it.metadata.name.unwrap()).collect();
    names.retain(|name| name != "kube-root-ca.crt");
    names.sort();
    names
}

async fn uid(house: &House, kind: &str, name: &str) -> Option<String> {
    house.get(kind, name).await.map(|object| object["metadata"]["uid"].as_str().unwrap().to_owned())
}

fn held(revision: u32) -> impl Fn(&pintle::api::HelmRelease) -> bool {
    move |object| is_for(object, "Held", "FailedFingerprint") && newest(object) == Some(revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_of_each_event_run_in_the_order_of_their_weights() {
    with_controller(|house: Arc<House>| async move {
        let hooks = |text: &str| {
            [
                config("plain", text),
                job("second", "pre-install,pre-upgrade", 1, "1"),
                job("first-b", "pre-install,pre-upgrade", -1, "1"),
                job("first-a", "pre-install,pre-upgrade", -1, "1"),
                job("third", "post-install,post-upgrade", 0, "1"),
                job("goodbye", "pre-delete", 0, "1"),
                job("gone", "post-delete", 0, "1"),
                job("back", "pre-rollback,post-rollback", 0, "1"),
            ]
        };
        apply(&house, &hooks("1"), json!({})).await;
        let object = house.wait_ready(1).await;
        assert_eq!(find(&object, "Ready").unwrap().1, "InstallSucceeded");
        let order = ["first-a Succeeded", "first-b Succeeded", "second Succeeded", "third Succeeded"];
        assert_eq!(runs(&house), order);
        let first = uid(&house, "Job", "first-a").await.unwrap();
        assert!(house.helm(&["get", "hooks", "web"]).contains("name: first-a"));
        assert!(!house.helm(&["get", "hooks", "web"]).contains("pintle.dev/hook"), "the stored manifest is Helm's");

        apply(&house, &hooks("2"), json!({})).await;
        house.wait_ready(2).await;
        assert_eq!(runs(&house), order);
        assert_ne!(uid(&house, "Job", "first-a").await.unwrap(), first, "made anew before each run");

        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("ConfigMap", "plain").await.is_none());
        let left = names(&house, "Job").await;
        assert_eq!(left, ["first-a", "first-b", "gone", "goodbye", "second", "third"], "as helm leaves them");
        for name in ["gone", "goodbye"] {
            assert_eq!(house.get("Job", name).await.unwrap()["status"]["succeeded"], 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_leave_behind_what_helm_leaves_behind() {
    with_controller(|ours: Arc<House>| async move {
        with_temp_ns(|theirs: Arc<House>| async move {
            let on = "pre-install,post-install";
            let mut settings = config("settings", "1");
            settings["metadata"]["annotations"] = json!({"helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-9"});
            let objects = [
                config("plain", "1"),
                settings,
                job("stays", on, 0, "1"),
                deleted("hook-succeeded", job("goes", on, 1, "1")),
                deleted("hook-failed", job("stays-too", on, 2, "1")),
                deleted("before-hook-creation,hook-succeeded", job("goes-too", "post-install", 3, "1")),
                pod("shown", "test", "1"),
            ];
            apply(&ours, &objects, json!({})).await;
            ours.wait_ready(1).await;
            let work = Folder::new();
            let values = work.path.join("values.json");
            std::fs::write(&values, json!({"objects": objects}).to_string()).unwrap();
            let (url, values) = (chart_url().await, values.to_str().unwrap().to_owned());
            theirs.helm(&["install", "web", url, "--plain-http", "-f", &values, "--wait"]);
            for kind in ["Job", "ConfigMap", "Pod"] {
                let pods = kind == "Pod";
                let (our, their) = (names(&ours, kind).await, names(&theirs, kind).await);
                if pods {
                    assert_eq!((our.len(), their.len()), (2, 2), "one for each Job that stays: {our:?} {their:?}");
                } else {
                    assert_eq!(our, their, "{kind}");
                }
            }
            assert_eq!(ours.helm(&["get", "hooks", "web"]), theirs.helm(&["get", "hooks", "web"]));
            let told = |house: &House| {
                let mut status: Value = serde_json::from_str(&house.helm(&["status", "web", "-o", "json"])).unwrap();
                for hook in status["hooks"].as_array_mut().unwrap() {
                    for time in ["started_at", "completed_at"] {
                        let run = hook["last_run"].as_object_mut().unwrap();
                        if run.contains_key(time) {
                            run.insert(time.into(), "some time".into());
                        }
                    }
                }
                status["hooks"].take()
            };
            assert_eq!(told(&ours), told(&theirs));
            // And helm goes on with what we left: it runs the test, and writes our record again.
            ours.helm(&["test", "web"]);
            assert!(runs(&ours).contains(&"shown Succeeded".to_owned()));
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_pre_upgrade_hook_is_rolled_back_and_the_old_pods_are_never_touched() {
    with_controller(|house: Arc<House>| async move {
        let back = job("back", "pre-rollback,post-rollback", 0, "1");
        apply(&house, &[deployment("1"), job("migrate", "pre-upgrade", 0, "1"), back], json!({})).await;
        house.wait_ready(1).await;
        let before = (uid(&house, "Deployment", "web").await, names(&house, "Pod").await);
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
            "stringData": {"token": "hunter2-hunter2"}});
        let objects = [deployment("2"), config("new", "1"), secret, job("migrate", "pre-upgrade", 0, "2-fail")];
        apply(&house, &objects, json!({})).await;
        let object = house.wait("rolled back", held(3)).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 failed", "3 deployed"]);
        let says = summary(&object);
        for part in [
            "pre-upgrade hook Job ",
            "/migrate has failed after",
            "in Pod migrate-",
            "container main",
            "exit 1",
            "migrate begins",
            "***",
        ] {
            assert!(says.contains(part), "{part:?} is not in {says}");
        }
        assert!(!serde_json::to_string(&object.status).unwrap().contains("hunter2"), "no secret in the status");
        let deployment = house.get("Deployment", "web").await.unwrap();
        assert_eq!(deployment["metadata"]["generation"], 1);
        assert!(house.get("ConfigMap", "new").await.is_none(), "nothing of the new manifest was written");
        let pods: Vec<_> = names(&house, "Pod").await.into_iter().filter(|pod| pod.starts_with("web-")).collect();
        assert_eq!((uid(&house, "Deployment", "web").await, pods), before);
        let failed: Value =
            serde_json::from_str(&house.helm(&["status", "web", "--revision", "2", "-o", "json"])).unwrap();
        assert_eq!(failed["hooks"][0]["last_run"]["phase"], "Failed");
        assert_eq!(runs(&house), ["back Succeeded"], "the rollback ran its own");
        let events = house.objects("Event").list(&ListParams::default()).await.unwrap();
        let events = serde_json::to_string(&events.items).unwrap();
        assert!(events.contains("HookFailed") && !events.contains("migrate begins"), "logs stay out of Events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_hook_of_an_install_is_cleaned_up_by_its_policies() {
    with_controller(|house: Arc<House>| async move {
        let objects = [
            config("plain", "1"),
            deleted("hook-succeeded", job("made", "post-install", 0, "1")),
            job("stays", "post-install", 0, "1"),
            deleted("hook-failed", job("broken", "post-install", 1, "1-fail")),
            job("never", "post-install", 2, "1"),
        ];
        apply(&house, &objects, json!({})).await;
        let object = house.wait("held", held(1)).await;
        house.wait_for("ConfigMap", "plain", "gone", |object| object.is_none()).await;
        assert!(summary(&object).contains("post-install hook Job"), "{}", summary(&object));
        assert_eq!(names(&house, "Job").await, ["stays"]);
        assert_eq!(runs(&house), ["made Succeeded", "stays Succeeded", "broken Failed"]);
        // The real helm fails in the same way, and leaves the same.
        with_temp_ns(|theirs: Arc<House>| async move {
            let work = Folder::new();
            let values = work.path.join("values.json");
            std::fs::write(&values, json!({"objects": objects}).to_string()).unwrap();
            let mut install = Command::new(env("HELM"));
            install.args(["install", "web", chart_url().await, "--plain-http", "--namespace", &theirs.namespace]);
            assert!(!install.arg("-f").arg(&values).output().unwrap().status.success());
            assert_eq!(names(&theirs, "Job").await, ["stays"]);
            assert_eq!(runs(&theirs), runs(&house));
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_that_hangs_fails_at_the_timeout_and_disabled_hooks_do_not_run() {
    with_controller(|house: Arc<House>| async move {
        apply(&house, &[config("plain", "1")], json!({})).await;
        house.wait_ready(1).await;
        let objects = [config("plain", "2"), job("hangs", "pre-upgrade", 0, "1-never")];
        apply(&house, &objects, json!({"upgrade": {"timeout": "3s"}})).await;
        let object = house.wait("rolled back", held(3)).await;
        assert!(summary(&object).contains("did not end within 3s"), "{}", summary(&object));
        assert_eq!(house.get("ConfigMap", "plain").await.unwrap()["data"]["text"], "1");

        let mut objects = objects.to_vec();
        objects.push(config("more", "1"));
        apply(&house, &objects, json!({"upgrade": {"disableHooks": true}})).await;
        house.wait_ready(4).await;
        assert_eq!(runs(&house), [] as [String; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_that_is_cut_off_in_a_hook_is_followed_by_one_that_goes_on_with_it() {
    with_temp_ns(|house: Arc<House>| async move {
        let first = house.start_named("first").await;
        apply(&house, &[config("plain", "1"), job("slow", "pre-install", 0, "1-slow3")], json!({})).await;
        house.wait_for("Job", "slow", "there", |object| object.is_some()).await;
        let begun = uid(&house, "Job", "slow").await;
        drop(first);
        let second = house.start_named("second").await;
        house.wait_ready(1).await;
        assert_eq!(uid(&house, "Job", "slow").await, begun, "it ran once");
        assert_eq!(names(&house, "Pod").await.len(), 1);
        assert_eq!(runs(&house), ["slow Succeeded"]);
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_run_after_the_release_is_healthy_and_a_failed_one_rolls_back() {
    with_controller(|house: Arc<House>| async move {
        let objects = |text: &str, tag: &str| {
            [config("plain", text), pod("asks", "test", tag), pod("knocks", "test", "1"), pod("odd", "test", "1-fail")]
        };
        let all_but_odd = json!({"enable": true, "filters": [{"name": "odd", "exclude": true}]});
        apply(&house, &objects("1", "1"), json!({"test": all_but_odd})).await;
        let object = house.wait_ready(1).await;
        assert_eq!(find(&object, "TestSuccess").unwrap(), ("True".into(), "TestSucceeded".into()));
        assert_eq!(runs(&house), ["asks Succeeded", "knocks Succeeded"]);

        apply(&house, &objects("2", "2-fail"), json!({"test": all_but_odd})).await;
        let object = house.wait("rolled back", held(3)).await;
        assert_eq!(find(&object, "TestSuccess").unwrap(), ("False".into(), "TestFailed".into()));
        assert_eq!(house.helm_history(), ["1 superseded", "2 failed", "3 deployed"]);
        assert_eq!(house.get("ConfigMap", "plain").await.unwrap()["data"]["text"], "1");
        let says = summary(&object);
        assert!(says.contains("test Pod ") && says.contains("exit 1") && says.contains("asks looks around"), "{says}");

        let mut ignoring = all_but_odd.clone();
        ignoring["ignoreFailures"] = true.into();
        apply(&house, &objects("3", "2-fail"), json!({"test": ignoring})).await;
        let object = house.wait_ready(4).await;
        assert_eq!(find(&object, "TestSuccess").unwrap(), ("False".into(), "TestFailed".into()));
        let condition = object.status.unwrap().conditions.into_iter().find(|it| it.type_ == "TestSuccess").unwrap();
        assert!(condition.message.contains("asks looks around"), "{}", condition.message);
        assert_eq!(house.helm_history().last().unwrap(), "4 deployed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_pre_delete_hook_is_told_and_does_not_keep_the_release_for_ever() {
    with_controller(|house: Arc<House>| async move {
        let objects = [config("plain", "1"), job("guard", "pre-delete", 0, "1-fail")];
        apply(&house, &objects, json!({"uninstall": {"timeout": "5s"}})).await;
        house.wait_ready(1).await;
        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        house
            .wait("waiting with its hook", |object| {
                summary(object).contains("pre-delete hook Job")
                    && find(object, "Ready").is_some_and(|it| it.1 == "HookFailed")
            })
            .await;
        assert!(house.get("ConfigMap", "plain").await.is_some(), "nothing is deleted yet");
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("ConfigMap", "plain").await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_that_the_cluster_refuses_is_refused_before_the_first_write() {
    with_controller(|house: Arc<House>| async move {
        apply(&house, &[config("plain", "1")], json!({})).await;
        house.wait_ready(1).await;
        let mut odd = job("odd", "post-upgrade", 0, "1");
        odd["spec"]["backoffLimits"] = 3.into();
        apply(&house, &[config("plain", "2"), odd], json!({})).await;
        let object = house.wait("stalled", |object| is(object, "Stalled", "True")).await;
        assert!(summary(&object).contains("backoffLimits"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
        assert_eq!(house.get("ConfigMap", "plain").await.unwrap()["data"]["text"], "1");

        // Nor is an object written over that is no hook.
        house.put("somebody", config("theirs", "1")).await;
        let mut hook = config("theirs", "2");
        hook["metadata"]["annotations"] = json!({"helm.sh/hook": "pre-upgrade"});
        apply(&house, &[config("plain", "3"), hook], json!({})).await;
        let object = house.wait("rolled back", held(3)).await;
        assert!(summary(&object).contains("is no hook and belongs to no release"), "{}", summary(&object));
        assert_eq!(house.get("ConfigMap", "theirs").await.unwrap()["data"]["text"], "1");
    })
    .await;
}

/// What a hook said is in the status where its policy asks for it, without values of Secrets; a list is one hook of many
/// objects.
#[tokio::test(flavor = "multi_thread")]
async fn output_of_hooks_is_kept_where_their_policy_asks_for_it() {
    with_controller(|house: Arc<House>| async move {
        let told = |policy: &str, mut hook: Value| {
            hook["metadata"]["annotations"]["helm.sh/hook-output-log-policy"] = policy.into();
            hook
        };
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
            "stringData": {"token": "hunter2-hunter2"}});
        let mut list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"name": "many", "annotations": {
            "helm.sh/hook": "post-install", "helm.sh/hook-delete-policy": "hook-succeeded"}}});
        list["items"] = json!([job("in-list", "post-install", 0, "1"), config("for-list", "1")]);
        let hooks = [
            config("plain", "1"),
            secret,
            told("hook-succeeded", deleted("hook-succeeded", job("loud", "pre-install", 0, "1"))),
            told("hook-failed", job("quiet", "pre-install", 1, "1")),
            told("hook-succeeded,hook-failed", pod("looker", "post-install", "1")),
            list,
        ];
        apply(&house, &hooks, json!({})).await;
        let object = house.wait_ready(1).await;
        let output = object.status.unwrap().hook_output;
        let lines: Vec<_> = output
            .iter()
            .map(|it| format!("{} {} {}: {}", it.event, it.object.kind, it.object.name, it.lines.join(" | ")))
            .collect();
        assert_eq!(
            lines,
            ["pre-install Job loud: loud begins | token is ***", "post-install Pod looker: looker looks around"]
        );
        assert_eq!(names(&house, "Job").await, ["quiet"], "those of the list went with it");
        assert_eq!(names(&house, "ConfigMap").await, ["plain"]);
        let status: Value = serde_json::from_str(&house.helm(&["status", "web", "-o", "json"])).unwrap();
        let many = status["hooks"].as_array().unwrap().iter().find(|hook| hook["kind"] == "List").unwrap();
        assert_eq!(many["last_run"]["phase"], "Succeeded");
    })
    .await;
}
