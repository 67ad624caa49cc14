//! Whether a release is as it has to be, asked of the real helm, of kubectl and of the API server, never of ourselves.
//!
//! The invariants: I1 one deployed revision at most, none pending, no number twice. I2 helm reads everything. I3 what is
//! in the cluster is what the deployed revision's manifest says, and nothing else. I4 the HelmRelease speaks of its
//! newest spec and tells the truth. I5 each hook ran, once, and never two at a time. I8 the same news is told once.
//! Beyond them a run with a crash must end exactly as the one without.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::env::env;
use crate::scenario::{End, Scenario};
use crate::stage::Stage;

/// Everything there is at the end of a run, without what no two runs share.
#[derive(Debug)]
pub(crate) struct Ending(BTreeMap<String, Value>);

impl Ending {
    /// Whether it is the same as another one, else where it is not.
    pub(crate) fn is(&self, wanted: &Ending) -> Result<(), String> {
        let names: BTreeSet<_> = self.0.keys().chain(wanted.0.keys()).collect();
        for name in names {
            match (self.0.get(name), wanted.0.get(name)) {
                (None, _) => return Err(format!("I3: {name} is missing")),
                (_, None) => return Err(format!("I3: {name} is left over")),
                (Some(found), Some(wanted)) => {
                    if let Some((place, found, wanted)) = difference(found, wanted, String::new()) {
                        return Err(format!("{name} has {found} at {place}, and without a crash {wanted}"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn difference(found: &Value, wanted: &Value, place: String) -> Option<(String, String, String)> {
    match (found, wanted) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
            keys.into_iter().find_map(|key| {
                let none = Value::Null;
                difference(left.get(key).unwrap_or(&none), right.get(key).unwrap_or(&none), format!("{place}/{key}"))
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs.into_iter().find_map(|(index, (left, right))| difference(left, right, format!("{place}/{index}")))
        }
        _ => (found != wanted).then(|| (place, found.to_string(), wanted.to_string())),
    }
}

/// Finds what is wrong, the first of it, as one sentence.
pub(crate) async fn judge(stage: &Stage, scenario: &Scenario) -> Result<Ending, String> {
    let history = match scenario.end {
        End::Gone => {
            let listed = helm(stage, &["list", "--output", "json"])?;
            if listed.as_array().is_none_or(|releases| !releases.is_empty()) {
                return Err(format!("I1: helm still lists {listed}"));
            }
            Vec::new()
        }
        _ => judge_history(stage, scenario.end)?,
    };
    let ending = observe(stage, &history).await;
    judge_objects(stage, scenario, &ending)?;
    stage.jobs.judge(scenario.runs)?;
    judge_news(stage).await?;
    Ok(ending)
}

/// I1 and I2; the answer is `revision status` of each revision.
fn judge_history(stage: &Stage, end: End) -> Result<Vec<String>, String> {
    let history = helm(stage, &["history", "web", "--output", "json"])?;
    let lines = history.as_array().ok_or("I2: helm history is no list")?;
    let lines: Vec<_> =
        lines.iter().map(|line| (line["revision"].as_u64().unwrap_or(0), line["status"].clone())).collect();
    let told: Vec<_> =
        lines.iter().map(|(revision, status)| format!("{revision} {}", status.as_str().unwrap_or("?"))).collect();
    let deployed = lines.iter().filter(|(_, status)| status == "deployed").count();
    if deployed != usize::from(end != End::Removed) {
        return Err(format!("I1: {deployed} revisions are deployed: {told:?}"));
    }
    if told.iter().any(|line| line.contains("pending") || line.contains("uninstalling")) {
        return Err(format!("I1: a revision is pending: {told:?}"));
    }
    if lines.iter().map(|(revision, _)| revision).collect::<BTreeSet<_>>().len() != lines.len() {
        return Err(format!("I1: a revision is there twice: {told:?}"));
    }
    for (revision, status) in &lines {
        let revision = revision.to_string();
        let read = helm(stage, &["status", "web", "--revision", &revision, "--output", "json"])?;
        if read["info"]["status"] != *status {
            return Err(format!("I2: helm status of revision {revision} is {}", read["info"]["status"]));
        }
        ask(Command::new(env("HELM")).args([
            "get",
            "all",
            "web",
            "--revision",
            &revision,
            "--namespace",
            &stage.namespace,
        ]))
        .map_err(|error| format!("I2: {error}"))?;
    }
    Ok(told)
}

/// I3, as far as the manifest goes; the rest is the comparison with the run without a crash.
fn judge_objects(stage: &Stage, scenario: &Scenario, ending: &Ending) -> Result<(), String> {
    let stand = |name: &str| ending.0.contains_key(name);
    match scenario.end {
        End::Deployed | End::RolledBack => {
            let manifest =
                ask(Command::new(env("HELM")).args(["get", "manifest", "web", "--namespace", &stage.namespace]))
                    .map_err(|error| format!("I2: {error}"))?;
            let arguments = ["diff", "--server-side", "--force-conflicts", "--filename", "-", "--namespace"];
            let mut diff = Command::new(env("KUBECTL"));
            diff.args(arguments).arg(&stage.namespace).stdin(Stdio::piped());
            let differs = block_in_place(|| {
                let mut diff = diff.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                diff.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
                diff.wait_with_output().unwrap()
            });
            if !differs.status.success() {
                let text = [differs.stdout, differs.stderr].concat();
                return Err(format!(
                    "I3: what is there is not what the manifest says:\n{}",
                    String::from_utf8_lossy(&text)
                ));
            }
        }
        End::Removed | End::Gone => {
            if let Some(left) =
                ["Deployment web", "Service web", "ConfigMap settings"].into_iter().find(|name| stand(name))
            {
                return Err(format!("I3: {left} is left over"));
            }
            if scenario.name == "uninstall" && !stand("ConfigMap precious") {
                return Err("I3: ConfigMap precious asks to be kept and is gone".to_owned());
            }
        }
    }
    Ok(())
}

/// I8: no news is told twice.
async fn judge_news(stage: &Stage) -> Result<(), String> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", stage.namespace);
    let mut told = BTreeSet::new();
    for event in list(stage, &path).await {
        let is_ours = event["regarding"]["kind"] == "HelmRelease";
        if is_ours && !told.insert(format!("{}: {}", event["reason"], event["note"])) {
            return Err(format!("I8: told twice: {} {}", event["reason"], event["note"]));
        }
    }
    Ok(())
}

/// Everything in the namespace that a release may have to do with.
async fn observe(stage: &Stage, history: &[String]) -> Ending {
    let namespace = &stage.namespace;
    let group = format!("{namespace}.example.com");
    let mut all = BTreeMap::from([("helm history".to_owned(), json!(history))]);
    for (kind, collection) in [
        ("ConfigMap", format!("/api/v1/namespaces/{namespace}/configmaps")),
        ("Secret", format!("/api/v1/namespaces/{namespace}/secrets")),
        ("Service", format!("/api/v1/namespaces/{namespace}/services")),
        ("Deployment", format!("/apis/apps/v1/namespaces/{namespace}/deployments")),
        ("Job", format!("/apis/batch/v1/namespaces/{namespace}/jobs")),
        ("HelmRelease", format!("/apis/pintle.dev/v1/namespaces/{namespace}/helmreleases")),
        ("Widget", format!("/apis/{group}/v1/namespaces/{namespace}/widgets")),
    ] {
        for object in list(stage, &collection).await {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            if name == "kube-root-ca.crt" {
                continue;
            }
            let text = shared(kind, object).to_string().replace(namespace, "NAMESPACE");
            all.insert(format!("{kind} {name}"), serde_json::from_str(&text).unwrap());
        }
    }
    Ending(all)
}

/// What two runs have in common of an object.
fn shared(kind: &str, mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    // Who owns which field, and since which change of mind of the server is not asked.
    let owners: BTreeMap<String, Value> = metadata
        .remove("managedFields")
        .and_then(|fields| fields.as_array().cloned())
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry["operation"] == "Apply")
        .map(|entry| (entry["manager"].as_str().unwrap_or_default().to_owned(), entry["fieldsV1"].clone()))
        .collect();
    for own in ["uid", "resourceVersion", "creationTimestamp", "namespace", "selfLink"] {
        metadata.remove(own);
    }
    match kind {
        "Secret" => {
            let (labels, annotations) = (&metadata["labels"], &metadata.get("annotations"));
            let names = |map: &Value| map.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
            json!({"status": labels["status"], "labels": names(labels), "annotations": annotations.and_then(names)})
        }
        // A Job's labels and selector name its uid.
        "Job" => json!({"annotations": metadata.get("annotations"), "succeeded": object["status"]["succeeded"]}),
        "HelmRelease" => {
            let condition = |it: &Value| json!([it["type"], it["status"], it["reason"]]);
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let revision = |it: &Value| json!([it["revision"], it["status"]]);
            let history = object["status"]["history"].as_array().cloned().unwrap_or_default();
            json!({
                "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
                "history": history.iter().map(revision).collect::<Vec<_>>(),
                "finalizers": object["metadata"]["finalizers"],
            })
        }
        _ => {
            for address in ["clusterIP", "clusterIPs"] {
                object["spec"].as_object_mut().map(|spec| spec.remove(address));
            }
            object.as_object_mut().unwrap().remove("status");
            object["owners"] = json!(owners);
            object
        }
    }
}

async fn list(stage: &Stage, path: &str) -> Vec<Value> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    match stage.client.request::<Value>(request).await {
        Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => panic!("{path}: {error}"),
    }
}

fn helm(stage: &Stage, arguments: &[&str]) -> Result<Value, String> {
    let answer = ask(Command::new(env("HELM")).args(arguments).args(["--namespace", &stage.namespace]))
        .map_err(|error| format!("I2: {error}"))?;
    serde_json::from_str(&answer).map_err(|error| format!("I2: helm {arguments:?}: {error}"))
}

fn ask(command: &mut Command) -> Result<String, String> {
    let output = block_in_place(|| command.output()).unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// What became of the Jobs of a namespace, in the order in which the API server saw it. All of them are hooks.
pub(crate) struct Jobs {
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// The name of each by its uid, and whether it is over.
    jobs: BTreeMap<String, (String, bool)>,
    overlap: Option<String>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Jobs {
    pub(crate) fn follow(client: kube::Client, namespace: &str) -> Jobs {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (jobs, api): (_, Api<Job>) = (seen.clone(), Api::namespaced(client, namespace));
        let task = tokio::spawn(watcher(api, watcher::Config::default()).for_each(move |event| {
            let mut seen = jobs.lock().unwrap();
            match event {
                Ok(watcher::Event::Apply(job) | watcher::Event::InitApply(job)) => seen.take(job, false),
                Ok(watcher::Event::Delete(job)) => seen.take(job, true),
                Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
            }
            std::future::ready(())
        }));
        Jobs { seen, task }
    }

    /// I5: each ran as often as it should, and none beside another.
    fn judge(&self, wanted: &[(&str, usize)]) -> Result<(), String> {
        let seen = self.seen.lock().unwrap();
        if let Some(overlap) = &seen.overlap {
            return Err(format!("I5: {overlap}"));
        }
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, _) in seen.jobs.values() {
            *runs.entry(name).or_default() += 1;
        }
        match runs == wanted.iter().copied().collect() {
            true => Ok(()),
            false => Err(format!("I5: hooks ran {runs:?}, not {wanted:?}")),
        }
    }
}

impl Seen {
    fn take(&mut self, job: Job, is_gone: bool) {
        let (Some(uid), Some(name)) = (job.metadata.uid, job.metadata.name) else { return };
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        let is_done =
            conditions.iter().any(|it| ["Complete", "Failed"].contains(&it.type_.as_str()) && it.status == "True");
        if !self.jobs.contains_key(&uid)
            && let Some((other, _)) = self.jobs.values().find(|(_, is_over)| !is_over)
        {
            self.overlap = Some(format!("hook {name} began while {other} ran"));
        }
        let entry = self.jobs.entry(uid).or_insert((name, false));
        entry.1 |= is_done || is_gone;
    }
}
