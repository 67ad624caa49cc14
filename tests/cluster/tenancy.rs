//! What one tenant can make of another, or of the controller.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, PostParams};
use pintle::api::HelmRelease;
use serde_json::{Value, json};

use crate::env::name;
use crate::house::{House, is, summary, with_controller, with_temp_ns};

const ROLES: &str = "rbac.authorization.k8s.io/v1";

/// The account `deployer`, with these verbs on everything that the test chart makes.
async fn account(house: &House, verbs: &[&str]) {
    let meta = json!({"name": "deployer"});
    let resources = ["secrets", "services", "configmaps", "deployments", "pods", "pods/log", "events"];
    let rules = json!([{"apiGroups": ["", "apps", "events.k8s.io"], "verbs": verbs, "resources": resources}]);
    let binding = json!({"apiVersion": ROLES, "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": house.namespace}]});
    house.put("somebody", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})).await;
    house.put("somebody", json!({"apiVersion": ROLES, "kind": "Role", "metadata": meta, "rules": rules})).await;
    house.put("somebody", binding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_helm_release_outside_the_watched_namespaces_is_never_touched() {
    with_temp_ns(|house: Arc<House>| async move {
        let elsewhere = name("elsewhere");
        let namespaces: Api<Namespace> = Api::all(house.client.clone());
        let wanted = serde_json::from_value(json!({"metadata": {"name": elsewhere}})).unwrap();
        namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        let spec = json!({"chart": {"oci": {"url": house.chart_url(), "tag": "1.0.0", "insecure": true}}});
        let object =
            json!({"apiVersion": "pintle.dev/v1", "kind": "HelmRelease", "metadata": {"name": "web"}, "spec": spec});
        let there: Api<HelmRelease> = Api::namespaced(house.client.clone(), &elsewhere);
        there.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        for revision in 1..=2 {
            // Once more with a controller that was started anew.
            let controller = house.start_controller().await;
            house.apply(json!({"tag": revision.to_string()})).await;
            house.wait_ready(revision).await;
            let untouched = there.get("web").await.unwrap();
            assert_eq!((untouched.metadata.finalizers, untouched.status), (None, None));
            controller.stop().await;
        }
        namespaces.delete(&elsewhere, &DeleteParams::background()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_values_of_a_secret_are_shown_nowhere() {
    with_controller(|house: Arc<House>| async move {
        const PASSWORD: &str = "hunter2-hunter2";
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"values.yaml": format!("password: {PASSWORD}\nlog: the password is {PASSWORD}\n")}});
        house.put("somebody", secret).await;
        let from = json!([{"kind": "Secret", "name": "db"}]);
        let good = json!({"tag": "1"});
        house.apply_spec("web", json!({"valuesFrom": from, "values": good})).await;
        house.wait_ready(1).await;
        // And where it fails, with the last words of the container that crashed.
        house.apply_spec("web", json!({"valuesFrom": from, "values": {"tag": "1-crash"}})).await;
        let object = house.wait("held", |object| is(object, "Held", "True")).await;
        let told = serde_json::to_string(&object).unwrap();
        assert!(!told.contains(PASSWORD), "{told}");
        for kind in ["Event", "ConfigMap"] {
            let all = house.objects(kind).list(&Default::default()).await.unwrap();
            assert!(!serde_json::to_string(&all.items).unwrap().contains(PASSWORD), "in an object of kind {kind}");
        }
        let labels = |object: &Value| object["metadata"].to_string();
        for secret in house.objects("Secret").list(&Default::default()).await.unwrap().items {
            let secret = serde_json::to_value(secret).unwrap();
            assert!(!labels(&secret).contains(PASSWORD), "{}", labels(&secret));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_deletion_without_the_rights_for_it_is_told_and_uses_no_others() {
    with_controller(|house: Arc<House>| async move {
        account(&house, &["*"]).await;
        house.apply_spec("web", json!({"serviceAccountName": "deployer", "interval": "10m"})).await;
        house.wait_ready(1).await;
        account(&house, &["get", "list", "watch", "create", "patch", "update"]).await;
        house.releases().delete("web", &DeleteParams::default()).await.unwrap();
        let object = house.wait("refused", |object| is(object, "Stalled", "True")).await;
        assert!(summary(&object).contains("deployer"), "{}", summary(&object));
        assert!(house.get("Deployment", "web").await.is_some());
        account(&house, &["*"]).await;
        house.wait_for("HelmRelease", "web", "gone", |object| object.is_none()).await;
        assert!(house.get("Deployment", "web").await.is_none());
    })
    .await;
}
