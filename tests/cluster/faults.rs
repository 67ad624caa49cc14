//! The road to the API server breaks, the process is told to stop, somebody else is at work: one test each. What is
//! asked afterwards is asked of real Helm and of the API server.
//!
//! The rows of the fault matrix and what holds them. The bound of a row is the patience of `house`: 60 s from the end of
//! the fault, on a loaded machine, until everything is as it should be.
//!
//! | row | fault | held by |
//! |---|---|---|
//! | F1 | a crash at each API write | `hack/faults`; in memory, exhaustively, `tests/it/plan_walks.rs` |
//! | F2 | SIGTERM in a wait, a cut in a hook | `process_that_is_asked_to_stop_while_waiting_leaves_the_rest_to_the_next`, `hooks::controller_that_is_cut_off_in_a_hook_is_followed_by_one_that_goes_on_with_it` |
//! | F3 | killed, as for memory, with 20 releases in flight | `process_that_is_killed_with_twenty_releases_in_flight_loses_none` |
//! | F5 | two controllers, no election | `releases::two_controllers_make_one_revision`, `two_controllers_under_changes_never_deploy_two_revisions` |
//! | F6 | a person's `helm upgrade` at the same time | `upgrade_by_a_person_is_waited_for_and_followed` |
//! | F7 | 429 | `storm_of_refusals_for_load_delays_an_upgrade_and_fails_nothing` |
//! | F8 | resets and 5xx, 30 % | `api_server_that_fails_three_of_ten_requests_fails_no_release` |
//! | F9 | the answer is lost after the write | `answers_that_are_lost_after_the_write_make_no_second_revision` |
//! | F10 | the API server is down and comes back | `api_server_that_goes_away_in_an_upgrade_is_awaited`; killed for real, and etcd with it, `own_cluster::api_server_and_etcd_that_are_killed_in_an_upgrade_are_awaited` |
//! | F11 | etcd is full | `own_cluster::full_etcd_is_told_and_awaited_with_the_old_revision_intact` |
//! | F12 | writers beside us | `conflicts_with_busy_writers_cost_no_attempt` |
//! | F13 | a watch that stands still | `history_that_a_dead_watch_hides_is_read_before_it_is_written` |
//! | F15 | an API server that lags behind another | `own_cluster::spec_that_a_lagging_api_server_still_shows_is_not_rolled_out_again` |
//! | F16 | a record that is too large | `bad_input::record_that_fits_into_no_secret_is_refused_before_the_first_write` |
//! | F17 | records spoilt or deleted, two deployed | `bad_input::record_that_somebody_spoilt_is_named_and_can_be_deleted`, `bad_input::newest_record_that_somebody_deleted_is_made_anew`, `lifecycle::history_that_somebody_spoilt_is_put_right_without_a_rollout` |
//! | F19 | an admission webhook that cannot be called | `webhook_that_is_down_is_awaited_with_the_old_revision_intact` |
//! | F20 | definition and object in one chart | `lifecycle::definitions_of_a_chart_come_first_and_follow_their_policy`; with crashes, `hack/faults --scenario crds` |
//! | F21 | a field that cannot be changed | `lifecycle::immutable_fields_are_named_and_stall_the_release_before_the_first_write` |
//! | F22 | a field of somebody else | `releases::conflict_with_a_person_is_forced_and_told`, `releases::conflict_is_refused_where_the_spec_says_so_and_lists_every_field`, `releases::replicas_that_were_scaled_stay_scaled` |
//! | F23 | the namespace goes, the service account first | `releases::namespace_that_is_deleted_does_not_hang_on_its_releases`, `releases::namespace_that_takes_the_service_account_along_does_not_hang` |
//! | F26 | the rollback fails too | `rollback_that_fails_too_is_told_with_both_causes` |
//! | F27 | rights taken away in an upgrade | `rights_that_go_in_an_upgrade_are_named_and_it_ends_once_they_are_back` |
//! | F32 | 100 edits; deleted and made again in an upgrade | `last_of_a_hundred_edits_wins`, `release_that_is_deleted_and_made_again_in_an_upgrade_follows_the_new_spec` |
//! | F33 | an object that cannot be read | `bad_input::object_that_cannot_be_read_stops_only_itself` |

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::{Method, StatusCode};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use crate::env::{env, run};
use crate::house::{House, is, is_for, newest, summary, with_controller, with_temp_ns};
use crate::proxy::{Fate, Proxy};

fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// F7.
#[tokio::test(flavor = "multi_thread")]
async fn storm_of_refusals_for_load_delays_an_upgrade_and_fails_nothing() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let controller = house.start_through(proxy.config.clone(), "test");
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        // Each request is refused more often than one pass is willing to ask.
        let refused = Arc::new(AtomicU32::new(0));
        let count = refused.clone();
        proxy.rule(move |request| {
            let storms = is_write(&request.method) && count.fetch_add(1, Ordering::Relaxed) < 12;
            if storms { Fate::Refuse(StatusCode::TOO_MANY_REQUESTS) } else { Fate::Pass }
        });
        house.apply(json!({"tag": "2"})).await;
        let object = house.wait_ready(2).await;
        assert!(refused.load(Ordering::Relaxed) >= 12, "the storm was not met");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert_eq!(object.status.unwrap().failed_attempt, None);
        controller.stop().await;
    })
    .await;
}

/// F9.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_after_the_write_make_no_second_revision() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let controller = house.start_through(proxy.config.clone(), "test");
        // Each kind of write loses its first answer.
        let mut met: Vec<String> = Vec::new();
        let seen = Arc::new(AtomicU32::new(0));
        let count = seen.clone();
        proxy.rule(move |request| {
            let what = format!("{} {}", request.method, request.uri.path());
            if !is_write(&request.method) || what.contains("events") || met.contains(&what) {
                return Fate::Pass;
            }
            met.push(what);
            count.fetch_add(1, Ordering::Relaxed);
            Fate::LoseAnswer
        });
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert!(seen.load(Ordering::Relaxed) >= 6, "the writes were not met");
        controller.stop().await;
    })
    .await;
}

/// F13.
#[tokio::test(flavor = "multi_thread")]
async fn history_that_a_dead_watch_hides_is_read_before_it_is_written() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let controller = house.start_through(proxy.config.clone(), "test");
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        proxy.hold_watches(Some("/secrets"));
        house.helm(&["rollback", "web", "1"]);
        house.apply(json!({"tag": "3"})).await;
        house
            .wait_for("Secret", "sh.helm.release.v1.web.v4", "deployed", |object| {
                object.is_some_and(|object| object["metadata"]["labels"]["status"] == "deployed")
            })
            .await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 superseded", "4 deployed"]);
        proxy.hold_watches(None);
        house.wait_ready(4).await;
        controller.stop().await;
    })
    .await;
}

/// F2.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_asked_to_stop_while_waiting_leaves_the_rest_to_the_next() {
    with_temp_ns(|house: Arc<House>| async move {
        let mut first = start_process(&house);
        house.apply(json!({"tag": "1-slow3"})).await;
        house
            .wait_for("Secret", "sh.helm.release.v1.web.v1", "waiting", |object| {
                let progress = object.and_then(|object| object.pointer("/metadata/annotations/pintle.dev~1progress"));
                progress.and_then(Value::as_str).is_some_and(|text| text.contains("\"wait\""))
            })
            .await;
        let asked = Command::new("kill").args(["-TERM", &first.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let stopped = tokio::task::spawn_blocking(move || first.wait().unwrap()).await.unwrap();
        assert!(stopped.success(), "{stopped}");
        let history = house.helm_history();
        assert!(["1 pending-install", "1 deployed"].contains(&history[0].as_str()), "{history:?}");
        let mut second = start_process(&house);
        house.wait_ready(1).await;
        assert_eq!(house.helm_history(), ["1 deployed"]);
        second.kill().unwrap();
        second.wait().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_that_flux_owns_is_refused_until_flux_lets_go() {
    with_temp_ns(|house: Arc<House>| async move {
        let flux = flux_releases(&house).await;
        let of_flux = |suspend: bool| {
            json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "theirs"},
                "spec": {"releaseName": "web", "suspend": suspend}})
        };
        let apply = PatchParams::apply("test").force();
        flux.patch("theirs", &apply, &Patch::Apply(of_flux(false))).await.unwrap();
        let controller = house.start_controller().await;
        house.apply(json!({})).await;
        let object = house.wait("refused", |object| is_for(object, "Stalled", "Rival")).await;
        let owner = format!("the HelmRelease {}/theirs of Flux", house.namespace);
        assert!(summary(&object).contains(&owner), "{}", summary(&object));
        assert!(is(&object, "Ready", "False") && newest(&object).is_none());
        assert!(house.get("Deployment", "web").await.is_none());
        flux.patch("theirs", &apply, &Patch::Apply(of_flux(true))).await.unwrap();
        house.annotate(pintle::api::RECONCILE_AT, Some("Flux let go")).await;
        house.wait_ready(1).await;
        controller.stop().await;
    })
    .await;
}

/// F8. Reads and watches fail as well as writes, some before and some after the server did as asked, until 40 have.
#[tokio::test(flavor = "multi_thread")]
async fn api_server_that_fails_three_of_ten_requests_fails_no_release() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let mut luck = fastrand::Rng::with_seed(7);
        let failed = Arc::new(AtomicU32::new(0));
        let count = failed.clone();
        proxy.rule(move |_| {
            let fates = [Fate::Break, Fate::LoseAnswer, Fate::Refuse(StatusCode::INTERNAL_SERVER_ERROR)];
            if luck.u32(..10) >= 3 || count.load(Ordering::Relaxed) >= 40 {
                return Fate::Pass;
            }
            count.fetch_add(1, Ordering::Relaxed);
            fates[luck.usize(..fates.len())]
        });
        let controller = house.start_through(proxy.config.clone(), "test");
        let patient = |tag: &str| json!({"timeout": "5m", "values": {"tag": tag}});
        house.apply_spec("web", patient("1")).await;
        house.wait_ready(1).await;
        house.apply_spec("web", patient("2")).await;
        let object = house.wait_ready(2).await;
        assert!(failed.load(Ordering::Relaxed) >= 20, "the storm was not met");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert_eq!(object.status.unwrap().failed_attempt, None);
        controller.stop().await;
    })
    .await;
}

/// F10. The connections of the controller end in the middle of an upgrade, and for a while there are no new ones.
#[tokio::test(flavor = "multi_thread")]
async fn api_server_that_goes_away_in_an_upgrade_is_awaited() {
    with_temp_ns(|house: Arc<House>| async move {
        let mut proxy = Proxy::start().await;
        let controller = house.start_through(proxy.config.clone(), "test");
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        house.apply(json!({"tag": "2-slow3"})).await;
        house.wait_for("Deployment", "web", "written", |object| runs(object, "2-slow3")).await;
        proxy.go_down().await;
        // The rest of the cluster goes on: the Pods become ready while nobody looks, and the spec changes again.
        house.wait_for("Deployment", "web", "ready", |object| rolled_out(object, "2-slow3")).await;
        house.apply(json!({"tag": "3"})).await;
        assert!(controller.is_alive());
        proxy.come_up().await;
        let object = house.wait("at the newest spec", |object| is(object, "Ready", "True")).await;
        assert_eq!(newest(&object), Some(3));
        assert_eq!(house.helm_history()[2], "3 deployed");
        assert_eq!(object.status.unwrap().failed_attempt, None);
        controller.stop().await;
    })
    .await;
}

/// F12. Others write the HelmRelease and the release's objects all the time.
#[tokio::test(flavor = "multi_thread")]
async fn conflicts_with_busy_writers_cost_no_attempt() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        let over = Arc::new(AtomicBool::new(false));
        let write = |writer: usize| {
            let (house, over) = (house.clone(), over.clone());
            async move {
                let mut count = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    count += 1;
                    let mark =
                        json!({"metadata": {"labels": {format!("example.com/writer-{writer}"): count.to_string()}}});
                    let kind = ["HelmRelease", "Deployment"][writer % 2];
                    let patch = Patch::Merge(&mark);
                    house.objects(kind).patch("web", &PatchParams::default(), &patch).await.unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                count
            }
        };
        let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write(writer))).collect();
        for revision in 2..=4_u32 {
            house.apply(json!({"tag": revision.to_string()})).await;
            house.wait_ready(revision).await;
        }
        over.store(true, Ordering::Relaxed);
        for writer in writers {
            assert!(writer.await.unwrap() > 0);
        }
        let object = house.wait_ready(4).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 superseded", "4 deployed"]);
        assert_eq!(object.status.unwrap().failed_attempt, None);
        let marks = house.get("Deployment", "web").await.unwrap()["metadata"]["labels"].clone();
        assert!(marks["example.com/writer-1"].is_string(), "what others wrote stays");
    })
    .await;
}

/// F3. For the process there is no difference between the kernel's SIGKILL for memory and this one.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_killed_with_twenty_releases_in_flight_loses_none() {
    with_temp_ns(|house: Arc<House>| async move {
        let names: Vec<_> = (1..=20).map(|number| format!("web-{number}")).collect();
        let mut process = start_process(&house);
        for name in &names {
            house.apply_spec(name, json!({"values": {"tag": "1"}})).await;
        }
        // Some are stored by now and most are not.
        house.wait_for("Secret", "sh.helm.release.v1.web-3.v1", "stored", |object| object.is_some()).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let mut process = start_process(&house);
        for name in &names {
            house.wait_named(name, "ready", |object| is(object, "Ready", "True") && newest(object) == Some(1)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let listed: Vec<Value> = serde_json::from_str(&house.helm(&["list", "-o", "json"])).unwrap();
        assert_eq!(listed.len(), 20);
        assert!(
            listed.iter().all(|release| release["status"] == "deployed" && release["revision"] == "1"),
            "{listed:?}"
        );
    })
    .await;
}

/// F5. Two that know nothing of each other serve the same release through many changes.
#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_under_changes_never_deploy_two_revisions() {
    with_temp_ns(|house: Arc<House>| async move {
        let (first, second) = (house.start_named("first").await, house.start_named("second").await);
        for tag in 1..=6_u32 {
            house.apply(json!({"tag": tag.to_string(), "configs": {format!("config-{tag}"): "1"}})).await;
            if tag % 2 == 0 {
                house.wait("ready", |object| is(object, "Ready", "True")).await;
                one_deployed(&house);
            }
        }
        house.wait("ready", |object| is(object, "Ready", "True")).await;
        one_deployed(&house);
        for tag in 1..=6 {
            let there = house.get("ConfigMap", &format!("config-{tag}")).await.is_some();
            assert_eq!(there, tag == 6, "config-{tag}");
        }
        first.stop().await;
        second.stop().await;
    })
    .await;
}

/// F6. What a person has begun is not touched while it is fresh; then the spec is followed.
#[tokio::test(flavor = "multi_thread")]
async fn upgrade_by_a_person_is_waited_for_and_followed() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        let chart = house.chart_url();
        let mut person = Command::new(env("HELM"))
            .args(["upgrade", "web", &chart, "--version", "1.0.0", "--plain-http", "--set", "tag=2-slow3", "--wait"])
            .args(["--force-conflicts", "--namespace", &house.namespace])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_record(&house, 2).await;
        house.apply(json!({"tag": "3"})).await;
        let ended = tokio::task::spawn_blocking(move || person.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "the person's upgrade came to its own end");
        let object = house.wait("at the spec", |object| is(object, "Ready", "True") && newest(object) == Some(3)).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 deployed"]);
        assert_eq!(object.status.unwrap().failed_attempt, None);
        let deployment = house.get("Deployment", "web").await;
        assert!(rolled_out(deployment.as_ref(), "3"), "{deployment:?}");
    })
    .await;
}

/// F19. Nothing can be checked, so nothing is begun, and no attempt is used up.
#[tokio::test(flavor = "multi_thread")]
async fn webhook_that_is_down_is_awaited_with_the_old_revision_intact() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"one": "1"}})).await;
        house.wait_ready(1).await;
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": house.namespace},
            "webhooks": [{
                "name": "down.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 1,
                "clientConfig": {"url": "https://127.0.0.1:9/validate"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": house.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"]}],
            }],
        });
        let file = crate::env::Folder::new();
        let path = file.path.join("webhook.json");
        std::fs::write(&path, webhook.to_string()).unwrap();
        run(Command::new(env("KUBECTL")).args(["apply", "-f"]).arg(&path));
        // It takes effect a moment after it is stored.
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
        let dry = PatchParams::apply("somebody").force().dry_run();
        while house.objects("ConfigMap").patch("probe", &dry, &Patch::Apply(&probe)).await.is_ok() {
            tokio::task::yield_now().await;
        }
        house.apply(json!({"tag": "2", "configs": {"one": "2"}})).await;
        house.wait("told of it", |object| summary(object).contains("failed calling webhook")).await;
        assert_eq!(house.helm_history(), ["1 deployed"]);
        assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "1"), "what runs is untouched");
        run(Command::new(env("KUBECTL")).args(["delete", "-f"]).arg(&path));
        let object = house.wait_ready(2).await;
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
        assert_eq!(object.status.unwrap().failed_attempt, None);
    })
    .await;
}

/// F26. The rollback may not write its Deployment.
#[tokio::test(flavor = "multi_thread")]
async fn rollback_that_fails_too_is_told_with_both_causes() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let controller = house.start_through(proxy.config.clone(), "test");
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        // From the record of the rollback on, the Deployment may not be written any more.
        let is_rolling_back = Arc::new(AtomicBool::new(false));
        let mut records = 0_u32;
        proxy.rule(move |request| {
            let is_record = request.method == Method::POST && request.uri.path().ends_with("/secrets");
            records += u32::from(is_record);
            is_rolling_back.store(records >= 2, Ordering::Relaxed);
            let is_deployment = request.method == Method::PATCH && request.uri.path().contains("/deployments/");
            let refuses = is_rolling_back.load(Ordering::Relaxed) && is_deployment;
            if refuses { Fate::Refuse(StatusCode::FORBIDDEN) } else { Fate::Pass }
        });
        house.apply_spec("web", json!({"values": {"tag": "2-crash"}})).await;
        let object = house.wait("given up", |object| is_for(object, "Held", "FailedFingerprint")).await;
        let told = summary(&object);
        assert!(told.contains("CrashLoopBackOff"), "{told}");
        assert!(told.contains("rollback to revision 1 failed too"), "{told}");
        assert!(is(&object, "Ready", "False") && is(&object, "Remediated", "False"), "{told}");
        // Nothing is tried again and again; a change is followed.
        proxy.rule(|_| Fate::Pass);
        house.apply(json!({"tag": "3"})).await;
        house.wait("ready", |object| is(object, "Ready", "True")).await;
        one_deployed(&house);
        controller.stop().await;
    })
    .await;
}

/// F27. The rights of the service account go while the upgrade waits for its Pods.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_go_in_an_upgrade_are_named_and_it_ends_once_they_are_back() {
    with_controller(|house: Arc<House>| async move {
        let rbac = "rbac.authorization.k8s.io/v1";
        let meta = json!({"name": "deployer"});
        house.put("somebody", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})).await;
        let rules = json!([{"apiGroups": ["", "apps", "events.k8s.io"], "verbs": ["*"],
            "resources": ["secrets", "services", "configmaps", "deployments", "pods", "pods/log", "events"]}]);
        house.put("somebody", json!({"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": rules})).await;
        let binding = json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": house.namespace}]});
        house.put("somebody", binding.clone()).await;
        let spec = |tag: &str| json!({"serviceAccountName": "deployer", "values": {"tag": tag}});
        house.apply_spec("web", spec("1")).await;
        house.wait_ready(1).await;
        house.apply_spec("web", spec("2-slow3")).await;
        wait_for_record(&house, 2).await;
        house.objects("RoleBinding").delete("deployer", &DeleteParams::default()).await.unwrap();
        let account = format!("system:serviceaccount:{}:deployer", house.namespace);
        house.wait("told of it", |object| summary(object).contains(&account)).await;
        assert_eq!(house.helm_history(), ["1 deployed", "2 pending-upgrade"], "nothing that is not allowed is claimed");
        house.put("somebody", binding).await;
        house.annotate(pintle::api::RETRY_AT, Some("rights are back")).await;
        house.wait("ready", |object| is(object, "Ready", "True")).await;
        one_deployed(&house);
    })
    .await;
}

/// F32. Each edit overtakes the ones before it.
#[tokio::test(flavor = "multi_thread")]
async fn last_of_a_hundred_edits_wins() {
    with_controller(|house: Arc<House>| async move {
        for edit in 1..=100_u32 {
            house.apply(json!({"tag": edit.to_string(), "configs": {"edit": edit.to_string()}})).await;
        }
        house.wait("ready", |object| is(object, "Ready", "True")).await;
        one_deployed(&house);
        assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "100"));
        let values: Value = serde_json::from_str(&house.helm(&["get", "values", "web", "-o", "json"])).unwrap();
        assert_eq!(values["configs"]["edit"], "100");
    })
    .await;
}

/// F32.
#[tokio::test(flavor = "multi_thread")]
async fn release_that_is_deleted_and_made_again_in_an_upgrade_follows_the_new_spec() {
    with_controller(|house: Arc<House>| async move {
        house.apply(json!({"configs": {"old": "1"}})).await;
        house.wait_ready(1).await;
        house.apply(json!({"tag": "2-slow3", "configs": {"middle": "1"}})).await;
        wait_for_record(&house, 2).await;
        house.apply_spec("web", json!({"values": {"tag": "2-slow3"}, "suspend": true})).await;
        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        house.apply(json!({"tag": "3", "configs": {"new": "1"}})).await;
        house.wait("ready", |object| is(object, "Ready", "True")).await;
        one_deployed(&house);
        assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "3"));
        assert!(house.get("ConfigMap", "new").await.is_some());
        for gone in ["old", "middle"] {
            assert!(house.get("ConfigMap", gone).await.is_none(), "{gone} is left over");
        }
    })
    .await;
}

fn start_process(house: &House) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_pintle"))
        .args(["controller", "--watch-namespaces", &house.namespace])
        .args(["--metrics-addr", "127.0.0.1:0", "--allow-loopback-sources", "--log-level", "error"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn wait_for_record(house: &House, revision: u32) {
    let name = format!("sh.helm.release.v1.web.v{revision}");
    house.wait_for("Secret", &name, "stored", |object| object.is_some()).await;
}

/// Whether a Deployment asks for this image.
pub(crate) fn runs(deployment: Option<&Value>, tag: &str) -> bool {
    let image = deployment.and_then(|it| it.pointer("/spec/template/spec/containers/0/image")).and_then(Value::as_str);
    image.is_some_and(|image| image.ends_with(&format!(":{tag}")))
}

/// Whether a Deployment runs this image and nothing else.
pub(crate) fn rolled_out(deployment: Option<&Value>, tag: &str) -> bool {
    let Some(deployment) = deployment else { return false };
    let status = &deployment["status"];
    runs(Some(deployment), tag)
        && status["observedGeneration"] == deployment["metadata"]["generation"]
        && status["updatedReplicas"] == 1
        && status["readyReplicas"] == 1
}

/// As real Helm tells it: one revision is deployed, and it is the last; none is pending.
fn one_deployed(house: &House) {
    let history = house.helm_history();
    assert_eq!(history.iter().filter(|line| line.ends_with(" deployed")).count(), 1, "{history:?}");
    assert!(history.last().unwrap().ends_with(" deployed"), "{history:?}");
    assert!(history.iter().all(|line| !line.contains("pending")), "{history:?}");
}

/// The kind of Flux, as far as anybody but Flux needs it.
async fn flux_releases(house: &House) -> Api<DynamicObject> {
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "helmreleases.helm.toolkit.fluxcd.io"},
        "spec": {
            "group": "helm.toolkit.fluxcd.io",
            "scope": "Namespaced",
            "names": {"kind": "HelmRelease", "plural": "helmreleases"},
            "versions": [{"name": "v2", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
    .unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(house.client.clone());
    let name = crd.metadata.name.clone().unwrap();
    crds.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&crd)).await.unwrap();
    await_condition(crds, &name, conditions::is_crd_established()).await.unwrap();
    let resource = ApiResource {
        group: "helm.toolkit.fluxcd.io".into(),
        version: "v2".into(),
        api_version: "helm.toolkit.fluxcd.io/v2".into(),
        kind: "HelmRelease".into(),
        plural: "helmreleases".into(),
    };
    Api::namespaced_with(house.client.clone(), &house.namespace, &resource)
}
