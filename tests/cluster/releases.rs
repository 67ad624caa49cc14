//! HelmReleases from install to uninstall, with the real helm reading along.

use std::process::{Command, Stdio};
use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use pintle::api::HelmRelease;
use serde_json::{Value, json};

use crate::env::{Folder, env, run, serve};
use crate::house::{House, chart, find, is, is_for, newest, summary, with_controller, with_temp_ns};

/// Crashes end an attempt at once and waiting for images takes a second, so that tests take no minute.
fn impatient(values: Value) -> Value {
    json!({"values": values, "failFast": {"imagePull": "1s", "onInstall": true}})
}

async fn install(house: &House) {
    house.apply(json!({})).await;
    house.wait_ready(1).await;
}

fn rolled_back(revision: u32) -> impl Fn(&pintle::api::HelmRelease) -> bool {
    move |object| is_for(object, "Held", "FailedFingerprint") && newest(object) == Some(revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn install_makes_a_release_that_helm_reads() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"replicas": 2, "password": "hunter2-hunter2"})).await;
        let object = house.wait_ready(1).await;
        assert_eq!(summary(&object), "web 1.0.0 is deployed as revision 1");
        assert_eq!(find(&object, "Ready").unwrap().1, "InstallSucceeded");
        assert_eq!(find(&object, "Healthy").unwrap().0, "True");

        assert_eq!(house.helm_history(), ["1 deployed"]);
        let values: Value = serde_json::from_str(&house.helm(&["get", "values", "web", "-o", "json"])).unwrap();
        assert_eq!(values, json!({"replicas": 2, "password": "hunter2-hunter2"}));
        let status: Value = serde_json::from_str(&house.helm(&["status", "web", "-o", "json"])).unwrap();
        assert_eq!(status["info"]["status"], "deployed");
        assert_eq!(status["info"]["notes"], "Web 1.0.0 is there.\n");
        // Byte for byte what helm itself would render and store.
        let manifest = house.helm(&["get", "manifest", "web"]);
        let url = house.chart_url();
        let rendered = house.helm(&[
            "template",
            "web",
            &url,
            "--plain-http",
            "--version",
            "1.0.0",
            "--set",
            "replicas=2,password=hunter2-hunter2",
        ]);
        assert_eq!(manifest.trim_end(), rendered.trim_end());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steady_state_asks_the_cluster_nothing() {
    with_temp_ns(|house: Arc<House>| async move {
        let controller = house.start_controller().await;
        install(&house).await;
        let requests = |controller: &crate::house::Controller| {
            let page = controller.metrics.page();
            let lines = page.lines().filter(|line| line.starts_with("pintle_api_requests_total"));
            lines.filter(|line| !line.contains("verb=\"watch\"")).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = requests(&controller);
        // Ask for passes: what is asked is one answer of the registry and one status, nothing else.
        house.annotate("example.com/note", Some("a pass that finds nothing to do")).await;
        house.annotate(pintle::api::RECONCILE_AT, Some("now")).await;
        house
            .wait("asked", |object| {
                object.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("now"))
            })
            .await;
        let after = requests(&controller);
        let changed: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(changed.iter().all(|line| line.contains("verb=\"patch\"")), "{changed:?}");
        controller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_supersedes_the_old_revision_and_prunes_what_the_new_one_drops() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"old": "1", "both": "1"}})).await;
        house.wait_ready(1).await;
        house.apply(json!({"configs": {"new": "2", "both": "2"}})).await;
        let object = house.wait_ready(2).await;
        assert_eq!(find(&object, "Ready").unwrap().1, "UpgradeSucceeded");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert!(house.get("ConfigMap", "old").await.is_none(), "pruned");
        assert_eq!(house.get("ConfigMap", "both").await.unwrap()["data"]["text"], "2");
        assert!(house.get("ConfigMap", "new").await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_a_helm_repository_are_upgraded_within_their_range() {
    with_controller(|house: Arc<House>| async move {
        let folder = Folder::new();
        let publish = |version: &str| {
            std::fs::write(folder.path.join(format!("web-{version}.tgz")), chart(version)).unwrap();
            run(Command::new(env("HELM")).args(["repo", "index"]).arg(&folder.path));
        };
        publish("1.0.0");
        let url = serve(folder.path.clone(), "bob", "canary-password").await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "repository"},
            "stringData": {"username": "bob", "password": "canary-password"},
        });
        let mut spec = json!({
            "chart": {"http": {"url": url, "name": "web", "version": "1.x", "insecure": true}},
            "interval": "1s",
        });
        house.apply_spec("web", spec.clone()).await;
        house.wait("refused", |object| is_for(object, "Stalled", "CredentialsMissing")).await;

        house.put("test", secret).await;
        spec["chart"]["http"]["secretRef"] = json!({"name": "repository"});
        house.apply_spec("web", spec).await;
        house.wait_ready(1).await;
        publish("1.2.0");
        publish("2.0.0");
        let object = house.wait_ready(2).await;
        assert_eq!(summary(&object), "web 1.2.0 is deployed as revision 2");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn post_renderers_change_what_is_stored_and_applied() {
    with_controller(|house: Arc<House>| async move {
        let spec = |team: &str| {
            let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
                         spec: {template: {spec: {containers: [{name: web, env: [{name: ADDED, value: \"1\"}]}]}}}\n";
            let images = json!([{"name": "registry.example.com/web", "newName": "mirror.example.com/web"}]);
            json!({
                "postRenderers": [{"kustomize": {"patches": [{"patch": patch}], "images": images}}],
                "commonMetadata": {"labels": {"team": team}},
            })
        };
        house.apply_spec("web", spec("a")).await;
        house.wait_ready(1).await;
        let live = house.get("Deployment", "web").await.unwrap();
        let container = &live["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "mirror.example.com/web:1");
        let names: Vec<_> = container["env"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
        assert_eq!(names, ["ADDED", "RELEASE"]);
        assert_eq!(house.get("Service", "web").await.unwrap()["metadata"]["labels"]["team"], "a");
        let manifest = house.helm(&["get", "manifest", "web"]);
        assert!(manifest.contains("image: mirror.example.com/web:1\n"), "{manifest}");

        // A post-renderer is an input like any other.
        house.apply_spec("web", spec("b")).await;
        house.wait_ready(2).await;
        assert_eq!(house.get("Service", "web").await.unwrap()["metadata"]["labels"]["team"], "b");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_follows_a_range_of_versions_and_keeps_what_asks_to_be_kept() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"precious": "1"}, "keep": true})).await;
        house.wait_ready(1).await;
        let chart = json!({"oci": {"url": house.chart_url(), "version": "1.x", "insecure": true}});
        house.apply_spec("web", json!({"chart": chart})).await;
        let object = house.wait_ready(2).await;
        assert_eq!(object.status.unwrap().history[0].version, "1.1.0");
        assert!(house.get("ConfigMap", "precious").await.is_some(), "kept by its policy");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_follows_a_crash_loop_and_the_fingerprint_is_held() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        let bad =
            json!({"tag": "2-crash", "log": "connecting\npassword is hunter2-hunter2", "password": "hunter2-hunter2"});
        house.apply_spec("web", impatient(bad)).await;
        let object = house.wait("rolled back", rolled_back(3)).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 failed", "3 deployed"]);
        assert_eq!(find(&object, "Ready").unwrap(), ("False".into(), "FailedFingerprint".into()));
        assert_eq!(find(&object, "Remediated").unwrap().1, "RollbackSucceeded");
        assert_eq!(find(&object, "Healthy").unwrap().0, "True", "of what runs");
        let summary = summary(&object);
        assert!(summary.contains("CrashLoopBackOff, exit 1"), "{summary}");
        assert!(summary.contains("rolled back to revision 1"), "{summary}");
        assert!(summary.contains("connecting") && summary.contains("***"), "{summary}");
        assert!(!serde_json::to_string(&object.status).unwrap().contains("hunter2"), "no secret in the status");

        // The spec returns to what runs: nothing is rolled out.
        house.apply(json!({})).await;
        house.wait_ready(3).await;
        assert_eq!(house.helm_history().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_follows_an_image_that_cannot_be_pulled_and_a_retry_tries_once() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply_spec("web", impatient(json!({"tag": "2-pull"}))).await;
        house.wait("rolled back", rolled_back(3)).await;
        house.annotate(pintle::api::RETRY_AT, Some("once")).await;
        let object = house.wait("rolled back again", rolled_back(5)).await;
        // ErrImagePull or ImagePullBackOff: a kubelet goes from one to the other and back.
        assert!(summary(&object).contains("ImagePull"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 superseded", "2 failed", "3 superseded", "4 failed", "5 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_install_removes_what_it_created_and_nothing_else() {
    with_controller(|house: Arc<House>| async move {
        house.apply_spec("web", impatient(json!({"tag": "1-crash", "configs": {"made": "1"}}))).await;
        let object = house.wait("held", |object| is_for(object, "Held", "FailedFingerprint")).await;
        house.wait_for("Deployment", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("ConfigMap", "made").await.is_none());
        assert_eq!(house.helm_history(), ["1 failed"]);
        assert!(summary(&object).contains("what it created was deleted"), "{}", summary(&object));

        house.apply(json!({})).await;
        house.wait_ready(2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn install_refuses_an_object_of_somebody_else_before_it_writes() {
    with_controller(|house: Arc<House>| async move {
        let foreign =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"text": "x"}});
        house.put("somebody", foreign).await;
        house.apply(json!({"configs": {"ours": "1", "theirs": "1"}})).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "ForeignObject")).await;
        assert!(summary(&object).contains("theirs exists and belongs to no release"), "{}", summary(&object));
        assert!(house.get("ConfigMap", "ours").await.is_none(), "nothing was written");
        assert_eq!(house.get("ConfigMap", "theirs").await.unwrap()["data"]["text"], "x");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstall_removes_objects_and_records_but_not_what_asks_to_be_kept() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"precious": "1"}, "keep": true})).await;
        let object = house.wait_ready(1).await;
        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        let uid = object.metadata.uid.unwrap();
        let gone = await_condition(house.releases(), "web", conditions::is_deleted(&uid));
        tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("deleted in time").unwrap();
        assert!(house.get("Deployment", "web").await.is_none());
        assert!(house.get("Secret", "sh.helm.release.v1.web.v1").await.is_none());
        assert!(house.get("ConfigMap", "precious").await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict_with_a_person_is_forced_and_told() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"shared": "1"}})).await;
        house.wait_ready(1).await;
        let edit = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"text": "theirs"}});
        house.put("somebody", edit).await;
        house.apply(json!({"configs": {"shared": "2"}})).await;
        house.wait_ready(2).await;
        assert_eq!(house.get("ConfigMap", "shared").await.unwrap()["data"]["text"], "2");
        let events = house.objects("Event").list(&Default::default()).await.unwrap();
        let notes: Vec<_> = events.items.iter().filter_map(|event| event.data["note"].as_str()).collect();
        assert!(notes.iter().any(|note| note.contains(".data.text") && note.contains("somebody")), "{notes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict_is_refused_where_the_spec_says_so_and_lists_every_field() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"a": "1", "b": "1"}})).await;
        house.wait_ready(1).await;
        for name in ["a", "b"] {
            let edit = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "theirs"}});
            house.put("somebody", edit).await;
        }
        house.apply_spec("web", json!({"values": {"configs": {"a": "2", "b": "2"}}, "conflicts": "fail"})).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "FieldConflict")).await;
        let summary = summary(&object);
        assert!(summary.contains("/a by somebody") && summary.contains("/b by somebody"), "{summary}");
        assert_eq!(house.helm_history(), ["1 deployed"], "refused before the first write");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_were_scaled_stay_scaled() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        let scale = json!({"spec": {"replicas": 3}});
        house.objects("Deployment").patch_scale("web", &PatchParams::default(), &Patch::Merge(scale)).await.unwrap();
        house.apply(json!({"replicas": 2, "env": {"A": "1"}})).await;
        house.wait_ready(2).await;
        let deployment = house.get("Deployment", "web").await.unwrap();
        assert_eq!(deployment["spec"]["replicas"], 3);
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"], "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adoption_of_a_release_that_helm_made_rolls_nothing_out() {
    with_controller(|house: Arc<House>| async move {
        let url = house.chart_url();
        house.helm(&["install", "web", &url, "--plain-http", "--version", "1.0.0", "--set", "tag=7"]);
        let before = house.get("Deployment", "web").await.unwrap()["metadata"]["generation"].clone();
        house.apply(json!({"tag": "7"})).await;
        house.wait_ready(1).await;
        assert_eq!(house.helm_history(), ["1 deployed"]);
        assert_eq!(house.get("Deployment", "web").await.unwrap()["metadata"]["generation"], before);

        house.apply(json!({"tag": "8"})).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adoption_of_a_release_that_differs_upgrades_it() {
    with_controller(|house: Arc<House>| async move {
        let url = house.chart_url();
        house.helm(&["install", "web", &url, "--plain-http", "--version", "1.0.0", "--set", "configs.old=1"]);
        house.apply(json!({"configs": {"new": "1"}})).await;
        house.wait_ready(2).await;
        assert!(house.get("ConfigMap", "old").await.is_none(), "pruned: helm's release held it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_by_a_person_stays_until_the_next_change() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        house.helm(&["rollback", "web", "1"]);
        let object = house.wait("held", |object| is_for(object, "Held", "ForeignRevision")).await;
        assert_eq!(newest(&object), Some(3));
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 deployed"]);

        house.apply(json!({"tag": "3"})).await;
        house.wait_ready(4).await;
        let image = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        assert_eq!(image(&house.get("Deployment", "web").await.unwrap()), "registry.example.com/web:3");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_blocks_changes_until_it_is_lifted() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.annotate(pintle::api::HOLD, Some("release party")).await;
        house.apply(json!({"tag": "2"})).await;
        let object = house.wait("held", |object| is_for(object, "Held", "Manual")).await;
        assert!(summary(&object).contains("release party"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
        house.annotate(pintle::api::HOLD, None).await;
        house.wait_ready(2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_release_is_left_alone() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply_spec("web", json!({"values": {"tag": "2"}, "suspend": true})).await;
        let object = house
            .wait("suspended", |object| {
                let status = object.status.as_ref();
                status.is_some_and(|status| status.observed_generation == object.metadata.generation)
            })
            .await;
        assert!(summary(&object).starts_with("suspended since"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
        house.apply_spec("web", json!({"values": {"tag": "2"}})).await;
        house.wait_ready(2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_that_is_suspended_in_mid_upgrade_reaches_its_end_and_goes_no_further() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply(json!({"tag": "2-slow3"})).await;
        house.wait_for("Secret", "sh.helm.release.v1.web.v2", "stored", |object| object.is_some()).await;
        house.apply_spec("web", json!({"values": {"tag": "3"}, "suspend": true})).await;
        let ended = |object: &HelmRelease| {
            summary(object).starts_with("suspended since") && is(object, "Ready", "True") && newest(object) == Some(2)
        };
        house.wait("suspended at its end", ended).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        house.apply(json!({"tag": "3"})).await;
        house.wait_ready(3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_owner_of_a_release_is_refused_by_name_and_inherits() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply_spec("rival", json!({"releaseName": "web", "values": {"tag": "9"}})).await;
        let object = house.wait_named("rival", "refused", |object| is(object, "Stalled", "True")).await;
        assert!(summary(&object).contains(&format!("HelmRelease {}/web", house.namespace)), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_the_schema_refuses_stall_the_release_until_they_change() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.apply(json!({"replicas": "three"})).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "InvalidValues")).await;
        assert!(summary(&object).contains("replicas"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
        house.apply(json!({"fail": "this chart says no"})).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "RenderFailed")).await;
        assert!(summary(&object).contains("this chart says no"), "{}", summary(&object));
        house.apply(json!({"replicas": 2})).await;
        house.wait_ready(2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_from_a_secret_are_awaited_and_followed() {
    with_controller(|house: Arc<House>| async move {
        let from = json!([{"kind": "Secret", "name": "db"}]);
        house.apply_spec("web", json!({"valuesFrom": from})).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "ReferenceMissing")).await;
        assert!(summary(&object).contains("/db does not exist"), "{}", summary(&object));
        let secret = |tag: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
                "stringData": {"values.yaml": format!("tag: '{tag}'\n")}})
        };
        house.put("somebody", secret("5")).await;
        house.wait_ready(1).await;
        house.put("somebody", secret("6")).await;
        house.wait_ready(2).await;
        let deployment = house.get("Deployment", "web").await.unwrap();
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "registry.example.com/web:6");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_of_a_secret_is_one_value_and_wins_over_all_others() {
    with_controller(|house: Arc<House>| async move {
        // As it stands, `--set` would take it for two values.
        let password = "canary,configs.injected=1";
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"password": password, "tag": "007", "list": "{a,b}c"},
        });
        house.put("somebody", secret).await;
        let from = |key: &str, path: &str| json!({"kind": "Secret", "name": "db", "valuesKey": key, "targetPath": path});
        let spec = |second: Value| {
            json!({"valuesFrom": [from("password", "password"), second], "values": {"password": "inline", "replicas": 1}})
        };
        house.apply_spec("web", spec(from("tag", "tag"))).await;
        house.wait_ready(1).await;
        let values: Value = serde_json::from_str(&house.helm(&["get", "values", "web", "-o", "json"])).unwrap();
        assert_eq!(values, json!({"password": password, "tag": "007", "replicas": 1}));

        house.apply_spec("web", spec(from("tag", "replicas.of.it"))).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "InvalidValues")).await;
        let place = format!("of key \"tag\" of Secret {}/db leads nowhere", house.namespace);
        assert!(summary(&object).contains(&place), "{}", summary(&object));
        house.apply_spec("web", spec(from("list", "tag"))).await;
        let object =
            house.wait("stalled", |object| is_for(object, "Stalled", "InvalidValues") && summary(object).contains("braces"));
        assert!(!summary(&object.await).contains("{a,b}c"), "what a Secret holds is not told");
        // The schema itself keeps everything out that could set more than it names.
        let refused = house.try_apply("other", spec(from("tag", "a=1,b"))).await.unwrap_err();
        assert!(refused.to_string().contains("targetPath"), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_chart_stalls_the_release_and_names_what_is_there() {
    with_controller(|house: Arc<House>| async move {
        let chart = json!({"oci": {"url": house.chart_url(), "tag": "9.9.9", "insecure": true}});
        house.apply_spec("web", json!({"chart": chart})).await;
        let object = house.wait("stalled", |object| is_for(object, "Stalled", "VersionNotFound")).await;
        assert!(summary(&object).contains("1.1.0"), "{}", summary(&object));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_account_without_rights_is_refused_until_it_has_them() {
    with_controller(|house: Arc<House>| async move {
        house
            .put("somebody", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}}))
            .await;
        house.apply_spec("web", json!({"serviceAccountName": "deployer", "interval": "10m"})).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "Forbidden")).await;
        assert!(summary(&object).contains("system:serviceaccount"), "{}", summary(&object));
        assert!(house.get("Deployment", "web").await.is_none());

        let rules = json!([{"apiGroups": ["", "apps", "events.k8s.io"], "verbs": ["*"],
            "resources": ["secrets", "services", "configmaps", "deployments", "pods", "pods/log", "events"]}]);
        let meta = json!({"name": "deployer"});
        let api_version = "rbac.authorization.k8s.io/v1";
        house
            .put("somebody", json!({"apiVersion": api_version, "kind": "Role", "metadata": meta, "rules": rules}))
            .await;
        let binding = json!({"apiVersion": api_version, "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": house.namespace}]});
        house.put("somebody", binding).await;
        // Found by itself, long before the interval.
        house.wait_ready(1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_that_is_cut_off_while_waiting_is_followed_by_one_that_goes_on() {
    with_temp_ns(|house: Arc<House>| async move {
        let first = house.start_named("first").await;
        house.apply(json!({"tag": "1-slow3"})).await;
        house
            .wait_for("Secret", "sh.helm.release.v1.web.v1", "waiting", |object| {
                let progress = object.and_then(|object| object.pointer("/metadata/annotations/pintle.dev~1progress"));
                progress.and_then(Value::as_str).is_some_and(|text| text.contains("\"wait\""))
            })
            .await;
        drop(first);
        assert_eq!(house.helm_history(), ["1 pending-install"]);
        let second = house.start_named("second").await;
        house.wait_ready(1).await;
        assert_eq!(house.helm_history(), ["1 deployed"]);
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_make_one_revision() {
    with_temp_ns(|house: Arc<House>| async move {
        let first = house.start_named("first").await;
        let second = house.start_named("second").await;
        install(&house).await;
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        first.stop().await;
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_killed_again_and_again_ends_with_one_deployed_revision() {
    with_temp_ns(|house: Arc<House>| async move {
        let start = || {
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
            Command::new(env!("CARGO_BIN_EXE_pintle")).args(arguments).stdout(Stdio::null()).spawn().unwrap()
        };
        for tag in 1..=5_u32 {
            house.apply(json!({"tag": tag.to_string(), "configs": {format!("config-{tag}"): "1"}})).await;
            let mut process = start();
            // Somewhere between the first request and the last: each round a little later.
            let _ =
                tokio::time::timeout(std::time::Duration::from_millis(u64::from(tag) * 60), house.wait_ready(u32::MAX))
                    .await;
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let mut process = start();
        let object = house.wait("ready", |object| is(object, "Ready", "True")).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let history = house.helm_history();
        let deployed: Vec<_> = history.iter().filter(|line| line.ends_with(" deployed")).collect();
        assert_eq!(deployed.len(), 1, "{history:?}");
        assert!(history.iter().all(|line| !line.contains("pending")), "{history:?}");
        assert_eq!(history.last(), Some(&format!("{} deployed", newest(&object).unwrap())));
        // Nothing of the revisions in between is left.
        for tag in 1..=5 {
            let there = house.get("ConfigMap", &format!("config-{tag}")).await.is_some();
            assert_eq!(there, tag == 5, "config-{tag}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_that_is_deleted_does_not_hang_on_its_releases() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        run(Command::new(env("KUBECTL")).args(["delete", "namespace", &house.namespace, "--timeout=30s"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_that_takes_the_service_account_along_does_not_hang() {
    with_controller(|house: Arc<House>| async move {
        let api_version = "rbac.authorization.k8s.io/v1";
        let binding = json!({"apiVersion": api_version, "kind": "RoleBinding", "metadata": {"name": "deployer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": house.namespace}]});
        house.put("somebody", binding).await;
        house.apply_spec("web", json!({"serviceAccountName": "deployer"})).await;
        house.wait_ready(1).await;
        run(Command::new(env("KUBECTL")).args(["delete", "namespace", &house.namespace, "--timeout=30s"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_lost_the_label_of_the_watch_is_still_seen() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        let relabel = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}});
        house.objects("Deployment").patch("web", &PatchParams::default(), &Patch::Merge(relabel)).await.unwrap();
        house.annotate(pintle::api::RECONCILE_AT, Some("after the label went")).await;
        let object = house
            .wait("asked", |object| {
                object.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.is_some())
            })
            .await;
        assert!(is(&object, "Healthy", "True") && is(&object, "Ready", "True"), "{}", summary(&object));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_object_shows_as_unhealthy_without_a_new_revision() {
    with_controller(|house: Arc<House>| async move {
        install(&house).await;
        house.objects("Service").delete("web", &DeleteParams::default()).await.unwrap();
        let object = house.wait("unhealthy", |object| is(object, "Ready", "False")).await;
        assert_eq!(find(&object, "Ready").unwrap().1, "Unhealthy");
        assert!(summary(&object).contains("Service") && summary(&object).contains("missing"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);
    })
    .await;
}
