//! The road to the API server breaks, the process is told to stop, somebody else is at work: one test each. What is
//! asked afterwards is asked of real Helm and of the API server.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Method, StatusCode};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use crate::house::{House, is, is_for, newest, summary, with_temp_ns};
use crate::proxy::{Fate, Proxy};

fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

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

#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_asked_to_stop_while_waiting_leaves_the_rest_to_the_next() {
    with_temp_ns(|house: Arc<House>| async move {
        let start = || {
            Command::new(env!("CARGO_BIN_EXE_pintle"))
                .args(["controller", "--watch-namespaces", &house.namespace])
                .args(["--metrics-addr", "127.0.0.1:0", "--allow-loopback-sources", "--log-level", "error"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut first = start();
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
        let mut second = start();
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
