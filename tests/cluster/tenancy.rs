//! What one tenant can make of another, or of the controller. Each row is one of the ways that were found in this
//! controller's peers.
//!
//! | | what is tried | test |
//! |---|---|---|
//! | D1 | a reference into another namespace | `d1_references_reach_no_other_namespace` |
//! | D3 | an account that is somebody else | `cluster::identity` in `src/`: `name_that_could_mean_somebody_else_is_refused` |
//! | D4 | what cannot be read stops its neighbours | `bad_input::object_that_cannot_be_read_stops_only_itself`, `bad_input::status_that_cannot_be_read_is_written_anew`, `bad_input::field_that_the_schema_refuses_is_named_by_the_api_server` |
//! | D5 | a namespace made with the controller's rights | `lifecycle::namespace_is_created_with_the_rights_of_the_release_and_only_where_it_is_missing` |
//! | D6 | an object outside the watched namespaces | `d6_helm_release_outside_the_watched_namespaces_is_never_touched` |
//! | D7 | an object of another release | `lifecycle::objects_of_others_are_taken_over_when_asked_and_survive_a_rollback` |
//! | D8 | `crds/` with what is no definition | `lifecycle::definitions_of_a_chart_come_first_and_follow_their_policy` |
//! | D10 | values of Secrets in plain sight | `d10_values_of_a_secret_are_shown_nowhere` |
//! | D11 | a deletion without the rights for it | `d11_deletion_without_the_rights_for_it_is_told_and_uses_no_others` |
//!
//! D2 is about remote clusters and D9 about `diff`; Pintle has neither yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use pintle::api::HelmRelease;
use serde_json::{Value, json};

use crate::env::name;
use crate::house::{House, is, is_for, summary, with_controller, with_temp_ns};
use crate::proxy::{Fate, Proxy};

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
async fn d1_references_reach_no_other_namespace() {
    with_temp_ns(|house: Arc<House>| async move {
        let elsewhere = name("elsewhere");
        let namespaces: Api<Namespace> = Api::all(house.client.clone());
        let wanted = serde_json::from_value(json!({"metadata": {"name": elsewhere}})).unwrap();
        namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        let secrets: Api<Secret> = Api::namespaced(house.client.clone(), &elsewhere);
        let secret = json!({"metadata": {"name": "theirs"}, "stringData": {"values.yaml": "tag: stolen"}});
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();

        let proxy = Proxy::start().await;
        let asked = Arc::new(AtomicU32::new(0));
        let (count, there) = (asked.clone(), format!("/{elsewhere}/"));
        proxy.rule(move |request| {
            count.fetch_add(u32::from(request.uri.path().contains(&there)), Ordering::Relaxed);
            Fate::Pass
        });
        let controller = house.start_through(proxy.config.clone(), "test");
        let from = json!([{"kind": "Secret", "name": "theirs", "namespace": elsewhere}]);
        // The API server knows no such field; written with a patch that does not insist, it is dropped.
        let refusal = house.try_apply("web", json!({ "valuesFrom": from })).await.unwrap_err().to_string();
        assert!(refusal.contains("namespace") && refusal.contains("not declared in schema"), "{refusal}");
        house.apply_spec("web", json!({"suspend": true})).await;
        let spec = json!({"spec": {"suspend": false, "valuesFrom": from}});
        house.releases().patch("web", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
        let object = house.wait("refused", |object| is_for(object, "Stalled", "ReferenceMissing")).await;
        assert!(summary(&object).contains(&format!("Secret {}/theirs", house.namespace)), "{}", summary(&object));
        for name in ["../../elsewhere/secrets/theirs", "elsewhere/theirs"] {
            let from = json!([{"kind": "Secret", "name": name.replace("elsewhere", &elsewhere)}]);
            let refusal = house.try_apply("web", json!({ "valuesFrom": from })).await.unwrap_err().to_string();
            assert!(refusal.contains("valuesFrom[0].name"), "{refusal}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0, "requests to the other namespace");
        controller.stop().await;
        namespaces.delete(&elsewhere, &DeleteParams::background()).await.unwrap();
    })
    .await;
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
