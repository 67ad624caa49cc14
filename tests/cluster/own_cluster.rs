//! Faults of the control plane itself. Each test starts one of its own and takes it down, one at a time; only the registry
//! with the charts is the usual one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::env::run;
use crate::faults::{rolled_out, runs};
use crate::house::{House, config_of};
use crate::process::{Process, until};
use crate::proxy::{Fate, Proxy};

/// A control plane takes most of a gigabyte.
static TURN: Mutex<()> = Mutex::const_new(());

/// F11. The next spec is stored before etcd is full, and acted upon afterwards: a spec is a write too.
#[tokio::test(flavor = "multi_thread")]
async fn full_etcd_is_told_and_awaited_with_the_old_revision_intact() {
    let cluster = Cluster::up("full", &["--etcd-quota-mib", "64"]).await;
    let house = cluster.house().await;
    let mut process = Process::start(&house, "first", &[]);
    house.apply(json!({"configs": {"one": "1"}})).await;
    house.wait_ready(1).await;
    process.signal("STOP");
    house.apply(json!({"tag": "2", "configs": {"one": "2", "two": "2"}})).await;
    let etcd = Etcd { url: cluster.variable("PINTLE_ETCD") };
    etcd.fill().await;
    let full = Instant::now();
    process.signal("CONT");
    let told = || process.log().lines().filter(|line| line.contains("EtcdFull")).count();
    until("three attempts to store the revision", || (told() >= 3).then_some(())).await;
    assert!(full.elapsed() > Duration::from_secs(2), "asked again and again: {}", process.log());
    let log = process.log();
    let line = log.lines().find(|line| line.contains("EtcdFull")).unwrap();
    assert!(line.contains("sh.helm.release.v1.web.v2") && line.contains("database space exceeded"), "{line}");
    assert!(line.contains("compact and defragment"), "{line}");
    assert!(process.child.try_wait().unwrap().is_none(), "{log}");
    assert_eq!(house.helm_history(), ["1 deployed"]);
    assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "1"), "what runs is untouched");
    assert_eq!(house.get("ConfigMap", "one").await.unwrap()["data"]["text"], "1");
    assert!(house.get("ConfigMap", "two").await.is_none());

    etcd.make_room().await;
    let object = house.wait_ready(2).await;
    assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    assert_eq!(object.status.unwrap().failed_attempt, None);
    assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "2"));
}

/// F10.
#[tokio::test(flavor = "multi_thread")]
async fn api_server_and_etcd_that_are_killed_in_an_upgrade_are_awaited() {
    let cluster = Cluster::up("killed", &[]).await;
    let house = cluster.house().await;
    let mut process = Process::start(&house, "first", &[]);
    house.apply(json!({})).await;
    house.wait_ready(1).await;
    process.wait_readyz().await;
    house.apply_spec("web", json!({"timeout": "5m", "values": {"tag": "2-slow3"}})).await;
    house.wait_for("Deployment", "web", "written", |object| runs(object, "2-slow3")).await;
    cluster.run("kill", &["kube-apiserver", "etcd"]);
    let away = (503, "the API server does not answer\n".to_owned());
    let deadline = Instant::now() + crate::process::SOON;
    while process.page("/readyz").await != away {
        assert!(Instant::now() < deadline, "{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(process.page("/healthz").await.0, 200);
    cluster.run("start", &["etcd", "kube-apiserver"]);
    let object = house.wait_ready(2).await;
    assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    assert_eq!(object.status.unwrap().failed_attempt, None);
    assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "2-slow3"));
    process.wait_readyz().await;
    assert!(process.child.try_wait().unwrap().is_none(), "{}", process.log());
}

/// F15. A balancer sends the watch of HelmReleases to an API server that does not hear from etcd any more, and everything
/// else to one that does. Then a controller knows nothing but the one that lags.
#[tokio::test(flavor = "multi_thread")]
async fn spec_that_a_lagging_api_server_still_shows_is_not_rolled_out_again() {
    let cluster = Cluster::up("lagging", &[]).await;
    let house = cluster.house().await;
    let link = Link::start(&cluster.variable("PINTLE_ETCD")).await;
    let lagging = PathBuf::from(cluster.run("api-server", &["--etcd", &link.url]));
    let client = kube::Client::try_from(config_of(&lagging).await).unwrap();
    let proxy = Proxy::start_between(house.client.clone(), client.clone()).await;
    let (watching, web, gone) = (Counter::default(), Counter::default(), Counter::default());
    let (sees_watch, sees_web, sees_gone) = (watching.clone(), web.clone(), gone.clone());
    proxy.rule(move |request| {
        let is_watch = request.uri.query().is_some_and(|query| query.contains("watch=true"));
        match is_watch && request.uri.path().ends_with("/helmreleases") {
            true => Fate::Elsewhere,
            false => Fate::Pass,
        }
    });
    proxy.witness(move |request, _| {
        let (path, is_read) = (request.uri.path(), request.method == http::Method::GET);
        let is_watch = request.uri.query().is_some_and(|query| query.contains("watch=true"));
        sees_watch.add(is_watch && path.ends_with("/helmreleases"));
        sees_web.add(is_read && path.ends_with("/helmreleases/web"));
        sees_gone.add(is_read && path.ends_with("/helmreleases/gone"));
    });

    let first = house.start_through(config_of(&cluster.kubeconfig).await, "first");
    house.apply(json!({})).await;
    house.apply_spec("gone", json!({"values": {"configs": {"gone": "1"}}})).await;
    house.wait_ready(1).await;
    house.wait_named("gone", "ready", |object| crate::house::is(object, "Ready", "True")).await;
    let second = house.start_through(proxy.config.clone(), "second");
    until("the second one to watch", || (watching.get() >= 1).then_some(())).await;
    link.freeze(true);
    let looks = web.get();
    // It learns of the new revision at once and whole: the answer to a status of its own would tell it of the new spec.
    proxy.hold_watches(Some("/secrets"));
    house.apply(json!({"tag": "2"})).await;
    house.wait_ready(2).await;
    proxy.hold_watches(None);
    let acted = || web.get() > looks || house.helm_history().len() > 2;
    until("the second one to look whether its spec is the newest", || acted().then_some(())).await;
    assert_eq!(house.helm_history(), ["1 superseded", "2 deployed"]);
    proxy.hold_watches(Some("/secrets"));
    house.releases().delete("gone", &DeleteParams::default()).await.unwrap();
    house.wait_for("HelmRelease", "gone", "gone", |object| object.is_none()).await;
    proxy.hold_watches(None);
    until("the second one to look whether it is still there", || (gone.get() >= 1).then_some(())).await;
    // What the lagging one shows to whoever takes what it has.
    let api: kube::Api<pintle::api::HelmRelease> = kube::Api::namespaced(client, &house.namespace);
    let shown = api.list(&ListParams::default().match_any()).await.unwrap();
    let shown: Vec<_> =
        shown.iter().map(|object| (object.metadata.name.as_deref(), object.metadata.generation)).collect();
    assert_eq!(shown, [(Some("gone"), Some(1)), (Some("web"), Some(1))]);
    assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "2"));
    for (kind, name) in [("Deployment", "gone"), ("ConfigMap", "gone"), ("Secret", "sh.helm.release.v1.gone.v1")] {
        assert!(house.get(kind, name).await.is_none(), "{kind} {name} is back");
    }
    second.stop().await;

    let late = Process::start_at(Some(&lagging), &house, "late", &[]);
    house.apply(json!({"tag": "3"})).await;
    house.wait_ready(3).await;
    first.stop().await;
    house.apply(json!({"tag": "4"})).await;
    assert_eq!(late.page("/readyz").await.0, 503);
    assert_eq!(late.metric("pintle_passes_total").await, "0");
    link.freeze(false);
    let object = house.wait_ready(4).await;
    assert_eq!(house.helm_history(), ["1 superseded", "2 superseded", "3 superseded", "4 deployed"]);
    assert_eq!(object.status.unwrap().failed_attempt, None);
    assert!(rolled_out(house.get("Deployment", "web").await.as_ref(), "4"));
}

/// A control plane of this test alone, gone with its owner.
struct Cluster {
    name: String,
    kubeconfig: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    async fn up(kind: &str, options: &[&str]) -> Cluster {
        let turn = TURN.lock().await;
        let name = format!("{kind}-{}", std::process::id());
        let mut cluster = Cluster { name, kubeconfig: PathBuf::new(), _turn: turn };
        cluster.run("up", options);
        cluster.kubeconfig = cluster.variable("KUBECONFIG").into();
        cluster
    }

    async fn house(&self) -> Arc<House> {
        House::elsewhere(self.kubeconfig.clone()).await
    }

    /// What `hack/cluster` prints; it must succeed.
    fn run(&self, command: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/cluster");
        let mut command_line = Command::new(script);
        command_line.args([command, "--name", &self.name]).args(arguments);
        tokio::task::block_in_place(|| run(&mut command_line))
    }

    /// One of those that `hack/cluster env` sets.
    fn variable(&self, name: &str) -> String {
        let text = self.run("env", &[]);
        let prefix = format!("export {name}='");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('\''));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

/// etcd, through its JSON gateway.
struct Etcd {
    url: String,
}

impl Etcd {
    async fn ask(&self, path: &str, question: Value) -> Result<Value, String> {
        let request = reqwest::Client::new().post(format!("{}/v3/{path}", self.url)).body(question.to_string());
        let answer = request.send().await.unwrap();
        let (ok, text) = (answer.status().is_success(), answer.text().await.unwrap());
        if ok { Ok(serde_json::from_str(&text).unwrap()) } else { Err(text) }
    }

    /// Writes beside everything of Kubernetes until nothing more is taken.
    async fn fill(&self) {
        let value = STANDARD.encode(vec![b'x'; 1 << 20]);
        for number in 0..100 {
            let key = STANDARD.encode(format!("filler/{number}"));
            if let Err(refusal) = self.ask("kv/put", json!({"key": key, "value": value})).await {
                assert!(refusal.contains("database space exceeded"), "{refusal}");
                return;
            }
        }
        panic!("etcd takes more than its quota");
    }

    /// What whoever runs the cluster does about it.
    async fn make_room(&self) {
        let range = json!({"key": STANDARD.encode("filler/"), "range_end": STANDARD.encode("filler0")});
        let deleted = self.ask("kv/deleterange", range).await.unwrap();
        let compaction = json!({"revision": deleted["header"]["revision"], "physical": true});
        self.ask("kv/compaction", compaction).await.unwrap();
        self.ask("maintenance/defragment", json!({})).await.unwrap();
        let alarms = self.ask("maintenance/alarm", json!({"action": "GET"})).await.unwrap();
        for alarm in alarms["alarms"].as_array().unwrap() {
            let disarm = json!({"action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": alarm["alarm"]});
            self.ask("maintenance/alarm", disarm).await.unwrap();
        }
    }
}

/// A road of bytes that can be frozen: nothing arrives, and nothing ends.
struct Link {
    url: String,
    frozen: watch::Sender<bool>,
}

impl Link {
    async fn start(target: &str) -> Link {
        let target: SocketAddr = target.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link =
            Link { url: format!("http://{}", listener.local_addr().unwrap()), frozen: watch::Sender::new(false) };
        let frozen = link.frozen.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // etcd ends before the road to it.
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(from_near, to_far, frozen.clone()));
                tokio::spawn(carry(from_far, to_near, frozen.clone()));
            }
        });
        link
    }

    fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let gone = frozen.wait_for(|frozen| !frozen).await.is_err();
        if gone || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// What a rule or a witness has met.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU32>);

impl Counter {
    fn add(&self, met: bool) {
        self.0.fetch_add(met.into(), Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
