//! A HelmRelease that means another release by now: another name, another namespace, other records.

use std::process::Command;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, PostParams};
use pintle::api::HelmRelease;
use serde_json::json;

use crate::env::{env, name, run};
use crate::house::{House, is, newest, summary, with_controller};

/// The release that the status names: namespace, name, and where its records are.
fn release(object: &HelmRelease) -> String {
    let release = object.status.as_ref().and_then(|status| status.release.clone()).unwrap_or_default();
    format!("{}/{} in {}", release.namespace, release.name, release.storage_namespace)
}

async fn ready_as(house: &House, release_is: &str) -> HelmRelease {
    let is_there = |object: &HelmRelease| {
        is(object, "Ready", "True") && release(object) == release_is && newest(object) == Some(1)
    };
    house.wait(release_is, is_there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn release_moves_to_another_name_and_leaves_nothing_behind() {
    with_controller(|house: Arc<House>| async move {
        let ns = &house.namespace;
        house.apply(json!({"tag": "1"})).await;
        ready_as(&house, &format!("{ns}/web in {ns}")).await;

        // Not before it is known what takes its place.
        let missing = json!({"oci": {"url": house.chart_url(), "tag": "9.9.9", "insecure": true}});
        house.apply_spec("web", json!({"releaseName": "shop", "chart": missing})).await;
        let object = house.wait("stalled", |object| is(object, "Stalled", "True")).await;
        assert!(summary(&object).contains("9.9.9"), "{}", summary(&object));
        assert_eq!(house.helm_history(), ["1 deployed"]);

        house.apply_spec("web", json!({"releaseName": "shop", "values": {"tag": "1"}})).await;
        ready_as(&house, &format!("{ns}/shop in {ns}")).await;
        assert!(house.get("Deployment", "web").await.is_none());
        assert!(house.get("Secret", "sh.helm.release.v1.web.v1").await.is_none());
        assert!(house.get("Deployment", "shop").await.is_some());

        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("Deployment", "shop").await.is_none());
        assert!(house.get("Secret", "sh.helm.release.v1.shop.v1").await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_kept_in_the_storage_namespace_where_helm_finds_them() {
    with_controller(|house: Arc<House>| async move {
        let ns = &house.namespace;
        let ops = name("ops");
        let namespaces: Api<Namespace> = Api::all(house.client.clone());
        let wanted = serde_json::from_value(json!({"metadata": {"name": ops}})).unwrap();
        namespaces.create(&PostParams::default(), &wanted).await.unwrap();

        house.apply(json!({"tag": "1"})).await;
        house.wait_ready(1).await;
        house.apply_spec("web", json!({"storageNamespace": ops, "values": {"tag": "2"}})).await;
        ready_as(&house, &format!("{ns}/web in {ops}")).await;
        assert!(house.get("Secret", "sh.helm.release.v1.web.v1").await.is_none());
        let list = run(Command::new(env("HELM")).args(["history", "web", "-n", &ops, "-o", "json"]));
        assert!(list.contains("\"status\":\"deployed\""), "{list}");

        house.apply_spec("web", json!({"storageNamespace": ops, "values": {"tag": "3"}})).await;
        house.wait_ready(2).await;
        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("Deployment", "web").await.is_none());
        let left = run(Command::new(env("KUBECTL")).args(["get", "secrets", "-n", &ops, "-o", "name"]));
        assert_eq!(left, "");
        namespaces.delete(&ops, &DeleteParams::background()).await.unwrap();
    })
    .await;
}
