//! Several controllers, each a process of its own: who works, who stands by, and what happens when the one that works
//! stops, dies or stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use http::Method;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

use crate::house::{House, is, newest, with_temp_ns};
use crate::process::{Process, SOON, signal, until};
use crate::proxy::{Fate, Proxy};

/// Flux's terms, as installed: what happens soon under them does not happen because a lease ran out.
const USUAL: &[&str] = &["--leader-elect"];
const SHORT: &[&str] = &[
    "--leader-elect",
    "--leader-elect-lease-duration=6s",
    "--leader-elect-renew-deadline=5s",
    "--leader-elect-retry-period=1s",
];

/// Waits until this Pod holds the lease.
async fn wait_leader(house: &House, pod: &str) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(house.client.clone(), &house.namespace);
    let holds = |lease: Option<&Lease>| {
        lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref()).is_some_and(|holder| holder == pod)
    };
    let waited = tokio::time::timeout(SOON, await_condition(leases, "pintle", holds)).await;
    let lease = waited.unwrap_or_else(|_| panic!("{pod} does not lead")).unwrap();
    lease.and_then(|lease| lease.spec).expect("the condition asks for a spec")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_works_and_the_other_takes_over_at_once_when_it_is_stopped() {
    with_temp_ns(|house: Arc<House>| async move {
        let mut first = Process::start(&house, "first", USUAL);
        let lease = wait_leader(&house, "first").await;
        assert_eq!((lease.lease_duration_seconds, lease.lease_transitions), (Some(35), Some(0)));
        let second = Process::start(&house, "second", USUAL);
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        first.wait_readyz().await;
        second.wait_readyz().await;
        assert_eq!(
            (first.metric("pintle_leader").await, second.metric("pintle_leader").await),
            ("1".into(), "0".into())
        );
        assert_eq!(second.metric("pintle_passes_total").await, "0");

        first.signal("TERM");
        assert!(first.end().await.success(), "{}", first.log());
        assert_eq!(wait_leader(&house, "second").await.lease_transitions, Some(1));
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
        assert_eq!(second.metric("pintle_leader").await, "1");
        assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_takes_over_when_the_lease_of_a_killed_one_has_run_out() {
    with_temp_ns(|house: Arc<House>| async move {
        let first = Process::start(&house, "first", SHORT);
        wait_leader(&house, "first").await;
        let second = Process::start(&house, "second", SHORT);
        second.wait_readyz().await;
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        first.signal("KILL");
        let killed = Instant::now();
        wait_leader(&house, "second").await;
        // The last renewal came at most the renew deadline before the end, else the first one had given up.
        assert!(killed.elapsed() >= Duration::from_secs(1), "taken over after {:?}", killed.elapsed());
        house.apply(json!({"tag": "2"})).await;
        house.wait_ready(2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_one_that_starts_again_in_its_pod_goes_on_with_its_lease_at_once() {
    with_temp_ns(|house: Arc<House>| async move {
        let first = Process::start(&house, "first", USUAL);
        let before = wait_leader(&house, "first").await;
        first.signal("KILL");
        drop(first);
        let again = Process::start(&house, "first", USUAL);
        house.apply(json!({})).await;
        house.wait_ready(1).await;
        let after = wait_leader(&house, "first").await;
        assert_eq!((after.acquire_time, after.lease_transitions), (before.acquire_time, Some(0)));
        assert!(after.renew_time > before.renew_time);
        drop(again);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_stood_still_past_its_lease_in_mid_upgrade_writes_nothing_more_and_ends() {
    with_temp_ns(|house: Arc<House>| async move {
        let proxy = Proxy::start().await;
        let mut first = Process::start_through(&proxy, &house, "first", SHORT);
        wait_leader(&house, "first").await;
        let second = Process::start(&house, "second", SHORT);
        second.wait_readyz().await;
        house.apply(json!({"configs": {"a": "1", "b": "1"}})).await;
        house.wait_ready(1).await;

        // It stands still while its first object of revision 2 is on the way; what it writes when it wakes is counted.
        let (stopped, awake) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let late_writes = Arc::new(AtomicU32::new(0));
        let (process, is_stopped, is_awake, late) =
            (first.child.id(), stopped.clone(), awake.clone(), late_writes.clone());
        proxy.rule(move |request| {
            if matches!(request.method, Method::GET | Method::HEAD) {
                return Fate::Pass;
            }
            let dry = request.uri.query().is_some_and(|query| query.contains("dryRun"));
            let of_object = request.uri.path().contains("/configmaps/") && !dry;
            if of_object && !is_stopped.swap(true, Ordering::SeqCst) {
                signal(process, "STOP");
            }
            if is_awake.load(Ordering::SeqCst) {
                late.fetch_add(1, Ordering::SeqCst);
            }
            Fate::Pass
        });
        house.apply(json!({"tag": "2", "configs": {"a": "2", "b": "2"}})).await;
        until("the upgrade to begin", || stopped.load(Ordering::SeqCst).then_some(())).await;
        assert_eq!(house.helm_history(), ["1 deployed", "2 pending-upgrade"]);

        wait_leader(&house, "second").await;
        house.wait_ready(2).await;
        house.apply(json!({"tag": "3", "configs": {"a": "3"}})).await;
        house.wait_ready(3).await;

        awake.store(true, Ordering::SeqCst);
        first.signal("CONT");
        assert_eq!(first.end().await.code(), Some(1));
        let log = first.log();
        assert!(log.contains("Error: Lease ") && log.contains("could not be renewed in time"), "{log}");
        assert_eq!(late_writes.load(Ordering::SeqCst), 0, "{log}");
        assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 deployed"]);
        let config = house.get("ConfigMap", "a").await.unwrap();
        assert_eq!(config["data"]["text"], "3");
        assert!(house.get("ConfigMap", "b").await.is_none());
        let object = house.releases().get("web").await.unwrap();
        assert!(is(&object, "Ready", "True") && newest(&object) == Some(3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_without_election_never_make_two_deployed() {
    with_temp_ns(|house: Arc<House>| async move {
        let processes = [Process::start(&house, "first", &[]), Process::start(&house, "second", &[])];
        // Every state of the records, as the API server tells it.
        let records: Api<Secret> = Api::namespaced(house.client.clone(), &house.namespace);
        let follow = tokio::spawn(async move {
            let mut changes =
                std::pin::pin!(watcher(records, watcher::Config::default().labels("owner=helm")).applied_objects());
            let mut statuses: std::collections::BTreeMap<String, String> = Default::default();
            let mut changes_seen = 0;
            while let Some(Ok(record)) = changes.next().await {
                let status = record.metadata.labels.unwrap_or_default().remove("status").unwrap_or_default();
                statuses.insert(record.metadata.name.unwrap(), status);
                let deployed = statuses.values().filter(|status| *status == "deployed").count();
                assert!(deployed <= 1, "two deployed: {statuses:?}");
                changes_seen += 1;
                if statuses.get("sh.helm.release.v1.web.v5").is_some_and(|status| status == "deployed") {
                    break;
                }
            }
            changes_seen
        });
        for tag in 1..=5_u32 {
            let text = tag.to_string();
            house.apply(json!({"tag": text, "configs": {"a": text, "b": text}})).await;
            house.wait_ready(tag).await;
        }
        assert!(tokio::time::timeout(SOON, follow).await.unwrap().unwrap() >= 15);
        let history = house.helm_history();
        assert_eq!(history, ["1 superseded", "2 superseded", "3 superseded", "4 superseded", "5 deployed"]);
        for name in ["a", "b"] {
            assert_eq!(house.get("ConfigMap", name).await.unwrap()["data"]["text"], "5");
        }
        let image = house.get("Deployment", "web").await.unwrap();
        let image = image.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).unwrap().to_owned();
        assert_eq!(image, "registry.example.com/web:5");
        for process in processes {
            assert_eq!(process.metric("pintle_leader").await, "1");
        }
    })
    .await;
}
