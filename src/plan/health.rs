//! Whether an object is well: on its way, there, or lost.
//!
//! Pure. Objects and their pods come as the API server's JSON; reading them is `cluster::live`. Pods count because the
//! objects above them say too little: a Deployment reports a crash loop after ten minutes, and one whose containers
//! have no readiness probe counts as rolled out between two crashes. A crash loop is told by terminated containers and
//! their restarts: the waiting reason `CrashLoopBackOff` shows for moments only.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::desired::FailFast;
use crate::manifest::id::ObjectId;

/// How long a Deployment whose containers have no readiness probe must have been available before it is believed:
/// what crashes at its start crashes within this.
pub const STEADY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// How an object, or all of a release, is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// On its way, and why it is not there yet.
    Progressing(Box<Cause>),
    /// It will not get there by itself.
    Failed(Box<Cause>),
}

/// Why an object is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub object: ObjectId,
    /// The state in a few words: `0/3 ready after 12s`.
    pub state: String,
    /// The pod that tells most, where one does.
    pub pod: Option<String>,
    pub container: Option<String>,
    /// `CrashLoopBackOff`, `ImagePullBackOff`, `ProgressDeadlineExceeded`…; empty where nothing is wrong yet.
    pub reason: String,
    pub exit_code: Option<i64>,
    /// What the cluster says about it.
    pub message: String,
    /// The container's last log lines, masked; for status and the stored record only, so `Display` leaves them out.
    pub log_lines: Vec<String>,
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A revision is being rolled out: every replica must be new and ready, and hopeless pods end it early.
    Rollout {
        /// When the attempt began; older pods belong to what was before.
        started: Timestamp,
        /// Whether it is a first install, where crash loops may be waited out.
        install: bool,
        fail_fast: FailFast,
    },
    /// A revision runs: it serves, even while replicas move or are added.
    Running,
}

/// An object with what is needed to judge it.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    pub id: &'a ObjectId,
    /// The object as the API server gave it; `None` where it is not there.
    pub object: Option<&'a Value>,
    /// Its pods, for workloads that are not ready; may be left out otherwise.
    pub pods: &'a [Value],
    /// For a claim: whether its storage class binds only when a pod uses it.
    pub binds_at_first_use: bool,
}

/// The health of one object.
pub fn health(live: Live<'_>, stage: Stage, now: Timestamp) -> Health {
    let Some(object) = live.object else {
        return Judge { live, object: &Value::Null, stage, now }.progressing("is missing", None);
    };
    Judge { live, object, stage, now }.judge()
}

/// The health of all objects together: the first failure, else the first that is on its way.
pub fn overall(parts: impl IntoIterator<Item = Health>) -> Health {
    let mut whole = Health::Healthy;
    for part in parts {
        match (&whole, &part) {
            (_, Health::Failed(_)) => return part,
            (Health::Healthy, Health::Progressing(_)) => whole = part,
            (_, Health::Healthy | Health::Progressing(_)) => {}
        }
    }
    whole
}

/// `Deployment apps/podinfo 0/3 ready after 12s: container app CrashLoopBackOff, exit 1: "DB_URL missing"`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if !self.state.is_empty() {
            write!(f, " {}", self.state)?;
        }
        let mut separator = ": ";
        if let Some(container) = &self.container {
            write!(f, "{separator}container {container}")?;
            separator = " ";
        }
        if !self.reason.is_empty() {
            write!(f, "{separator}{}", self.reason)?;
        }
        if let Some(code) = self.exit_code {
            write!(f, ", exit {code}")?;
        }
        match self.message.trim() {
            "" => Ok(()),
            message => write!(f, ": {message:?}"),
        }
    }
}

impl Cause {
    /// The sentence with the log lines, for status and the stored record.
    pub fn with_log(&self) -> String {
        match self.log_lines.as_slice() {
            [] => self.to_string(),
            lines => format!("{self}; last log lines: {:?}", lines.join("\n")),
        }
    }
}

/// One object, under judgement.
struct Judge<'a> {
    live: Live<'a>,
    object: &'a Value,
    stage: Stage,
    now: Timestamp,
}

impl Judge<'_> {
    fn judge(&self) -> Health {
        if self.object.pointer("/metadata/deletionTimestamp").is_some() {
            return self.progressing("is being deleted", None);
        }
        match (self.live.id.group.as_str(), self.live.id.kind.as_str()) {
            ("apps", "Deployment") => self.deployment(),
            ("apps", "StatefulSet") => self.stateful_set(),
            ("apps", "DaemonSet") => self.daemon_set(),
            ("apps", "ReplicaSet") | ("", "ReplicationController") => self.replica_set(),
            ("", "Pod") => self.pod(),
            ("batch", "Job") => self.job(),
            ("", "PersistentVolumeClaim") => self.claim(),
            ("", "Service") => self.service(),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => self.crd(),
            ("apiregistration.k8s.io", "APIService") => self.by_condition("Available"),
            _ => self.by_condition("Ready"),
        }
    }

    fn deployment(&self) -> Health {
        let wanted = self.number("/spec/replicas").unwrap_or(1);
        let available = self.count("/status/availableReplicas");
        if self.object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
            return Health::Healthy;
        }
        let Stage::Rollout { .. } = self.stage else {
            let serves = wanted == 0 || available >= wanted || self.condition("Available") == Some("True");
            return if serves { Health::Healthy } else { self.workload(available, wanted) };
        };
        if self.is_unseen() {
            return self.progressing("not seen by its controller yet", None);
        }
        if self.condition_reason("Progressing") == Some("ProgressDeadlineExceeded") {
            let trouble = self.trouble().map(|(trouble, _)| trouble);
            let exceeded = Trouble {
                reason: "ProgressDeadlineExceeded".to_owned(),
                message: self.condition_message("Progressing"),
                ..Trouble::default()
            };
            return self.failed(ready_of(available, wanted), trouble.unwrap_or(exceeded));
        }
        let updated = self.count("/status/updatedReplicas");
        if updated < wanted || available < wanted {
            return self.workload(available.min(updated), wanted);
        }
        let old = self.count("/status/replicas") - updated;
        if old > 0 && self.trouble().is_some() {
            // Old replicas count as available too: only what is beyond them is certainly new.
            return self.workload((available - old).max(0), wanted);
        }
        if old > 0 {
            return self.progressing(format!("{wanted}/{wanted} ready, {old} old to go"), None);
        }
        match self.lacks_probe().then(|| self.available_for()).flatten() {
            Some(time) if wanted > 0 && time < STEADY_AFTER => self.workload_steadying(available, wanted),
            _ => Health::Healthy,
        }
    }

    /// Whether a container can say only that it runs, not that it serves.
    fn lacks_probe(&self) -> bool {
        let containers = self.object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let lacks = containers.is_some_and(|all| all.iter().any(|it| it.get("readinessProbe").is_none()));
        lacks && self.count("/spec/minReadySeconds") == 0
    }

    /// For how long the new replicas have been available.
    fn available_for(&self) -> Option<SignedDuration> {
        let rolled_out = self.find_condition("Progressing")?;
        let since = rolled_out.get("lastUpdateTime").and_then(Value::as_str)?.parse::<Timestamp>().ok()?;
        (rolled_out.get("reason")? == "NewReplicaSetAvailable").then(|| self.now.duration_since(since))
    }

    fn workload_steadying(&self, ready: i64, wanted: i64) -> Health {
        match self.trouble() {
            Some((trouble, true)) => self.failed(ready_of(ready, wanted), trouble),
            other => {
                let trouble = other.map(|(trouble, _)| trouble);
                self.progressing(format!("{ready}/{wanted} ready, watched for a moment"), trouble)
            }
        }
    }

    fn stateful_set(&self) -> Health {
        let wanted = self.number("/spec/replicas").unwrap_or(1);
        let ready = self.count("/status/readyReplicas");
        let Stage::Rollout { .. } = self.stage else {
            return if ready >= wanted { Health::Healthy } else { self.workload(ready, wanted) };
        };
        if self.is_unseen() {
            return self.progressing("not seen by its controller yet", None);
        }
        let partition = self.count("/spec/updateStrategy/rollingUpdate/partition");
        let rolls = self.text("/spec/updateStrategy/type") != "OnDelete";
        let to_update = if rolls { (wanted - partition).max(0) } else { 0 };
        let updated = self.count("/status/updatedReplicas");
        if ready < wanted || updated < to_update {
            let ready = if ready < wanted { ready } else { updated };
            return self.workload(ready, wanted);
        }
        let revisions = [self.text("/status/currentRevision"), self.text("/status/updateRevision")];
        if rolls && partition == 0 && revisions[0] != revisions[1] {
            return self.workload(updated, wanted);
        }
        Health::Healthy
    }

    fn daemon_set(&self) -> Health {
        let wanted = self.count("/status/desiredNumberScheduled");
        let available = self.count("/status/numberAvailable");
        let Stage::Rollout { .. } = self.stage else {
            return if available >= wanted { Health::Healthy } else { self.workload(available, wanted) };
        };
        if self.is_unseen() {
            return self.progressing("not seen by its controller yet", None);
        }
        let rolls = self.text("/spec/updateStrategy/type") != "OnDelete";
        let updated = if rolls { self.count("/status/updatedNumberScheduled") } else { wanted };
        if updated < wanted || available < wanted {
            return self.workload(available.min(updated), wanted);
        }
        Health::Healthy
    }

    fn replica_set(&self) -> Health {
        let wanted = self.number("/spec/replicas").unwrap_or(1);
        let ready = self.count("/status/readyReplicas");
        if self.is_unseen() {
            return self.progressing("not seen by its controller yet", None);
        }
        if ready >= wanted { Health::Healthy } else { self.workload(ready, wanted) }
    }

    /// A workload that lacks replicas: its pods tell whether there is hope.
    fn workload(&self, ready: i64, wanted: i64) -> Health {
        match self.trouble() {
            Some((trouble, true)) => self.failed(ready_of(ready, wanted), trouble),
            Some((trouble, false)) => self.progressing(ready_of(ready, wanted), Some(trouble)),
            // Pods that cannot even be created: quota, admission.
            None if self.condition("ReplicaFailure") == Some("True") => {
                let trouble = Trouble {
                    reason: self.condition_reason("ReplicaFailure").unwrap_or_default().to_owned(),
                    message: self.condition_message("ReplicaFailure"),
                    ..Trouble::default()
                };
                self.progressing(ready_of(ready, wanted), Some(trouble))
            }
            None => self.progressing(ready_of(ready, wanted), None),
        }
    }

    fn pod(&self) -> Health {
        match self.text("/status/phase") {
            "Succeeded" => return Health::Healthy,
            "Failed" => {
                let trouble = terminated_container(self.object).unwrap_or_else(|| Trouble {
                    reason: self.text("/status/reason").to_owned(),
                    message: self.text("/status/message").to_owned(),
                    ..Trouble::default()
                });
                return self.failed("has failed", trouble);
            }
            _ => {}
        }
        if self.condition("Ready") == Some("True") {
            return Health::Healthy;
        }
        match self.trouble_of(self.object) {
            Some((trouble, true)) => self.failed("is not ready", trouble),
            Some((trouble, false)) => self.progressing("is not ready", Some(trouble)),
            None => self.progressing("is not ready", None),
        }
    }

    fn job(&self) -> Health {
        if self.condition("Complete") == Some("True") || self.condition("SuccessCriteriaMet") == Some("True") {
            return Health::Healthy;
        }
        if self.condition("Failed") == Some("True") {
            let of_pod = self.live.pods.iter().find_map(terminated_container);
            let trouble = of_pod.unwrap_or_else(|| Trouble {
                reason: self.condition_reason("Failed").unwrap_or_default().to_owned(),
                message: self.condition_message("Failed"),
                ..Trouble::default()
            });
            return self.failed("has failed", trouble);
        }
        if self.object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
            return Health::Healthy;
        }
        // A job tries again by its own rules, so nothing in its pods is final but an image that cannot be pulled.
        match self.trouble() {
            Some((trouble, true)) if trouble.exit_code.is_none() => self.failed("is not complete", trouble),
            trouble => self.progressing("is not complete", trouble.map(|(trouble, _)| trouble)),
        }
    }

    fn claim(&self) -> Health {
        match self.text("/status/phase") {
            "Bound" => Health::Healthy,
            "Lost" => self.failed("has lost its volume", Trouble { reason: "Lost".to_owned(), ..Trouble::default() }),
            _ if self.live.binds_at_first_use => Health::Healthy,
            _ => self.progressing("is not bound", None),
        }
    }

    fn service(&self) -> Health {
        let ingress = self.object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
        match self.text("/spec/type") {
            "LoadBalancer" if ingress.is_none_or(Vec::is_empty) => self.progressing("has no load balancer yet", None),
            _ => Health::Healthy,
        }
    }

    fn crd(&self) -> Health {
        if self.condition("Established") == Some("True") {
            return Health::Healthy;
        }
        if self.condition("NamesAccepted") == Some("False") {
            let trouble = Trouble {
                reason: self.condition_reason("NamesAccepted").unwrap_or_default().to_owned(),
                message: self.condition_message("NamesAccepted"),
                ..Trouble::default()
            };
            return self.failed("is not accepted", trouble);
        }
        self.progressing("is not established", None)
    }

    /// Any kind that follows the convention of one condition that sums up; what has none is well when it exists.
    fn by_condition(&self, name: &str) -> Health {
        let Some(condition) = self.find_condition(name) else {
            return Health::Healthy;
        };
        let seen = condition.get("observedGeneration").and_then(Value::as_i64);
        let generation = self.number("/metadata/generation");
        if self.is_unseen() || seen.is_some_and(|seen| Some(seen) < generation) {
            return self.progressing("not seen by its controller yet", None);
        }
        let trouble = || Trouble {
            reason: self.condition_reason(name).unwrap_or_default().to_owned(),
            message: self.condition_message(name),
            ..Trouble::default()
        };
        match self.condition(name) {
            Some("True") => Health::Healthy,
            _ if self.condition("Stalled") == Some("True") => self.failed("is stalled", trouble()),
            _ => self.progressing(format!("is not {}", name.to_lowercase()), Some(trouble())),
        }
    }

    /// What is wrong with the pods of this attempt, and whether that is final; the worst one.
    fn trouble(&self) -> Option<(Trouble, bool)> {
        let mut troubles = self.live.pods.iter().filter_map(|pod| self.trouble_of(pod));
        let first = troubles.next()?;
        Some(if first.1 { first } else { troubles.find(|(_, is_final)| *is_final).unwrap_or(first) })
    }

    fn trouble_of(&self, pod: &Value) -> Option<(Trouble, bool)> {
        if pod.pointer("/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let created = pod.pointer("/metadata/creationTimestamp").and_then(Value::as_str)?.parse::<Timestamp>().ok()?;
        let (started, install, fail_fast) = match self.stage {
            Stage::Rollout { started, install, fail_fast } => (started, install, fail_fast),
            Stage::Running => (created, false, FailFast::default()),
        };
        // The cluster's times have whole seconds.
        if created.as_second() < started.as_second() {
            return None;
        }
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let age = self.now.duration_since(created);
        let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let statuses = statuses.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
        let mut troubles = statuses.filter_map(|status| {
            let (mut trouble, kind) = trouble_of_container(status)?;
            trouble.pod = Some(name.to_owned());
            let is_final = match kind {
                TroubleKind::Name => true,
                TroubleKind::Pull => age >= fail_fast.image_pull,
                TroubleKind::Crash { restarts } => {
                    restarts >= i64::from(fail_fast.crash_restarts) && (!install || fail_fast.on_install)
                }
            };
            Some((trouble, is_final))
        });
        troubles.next().or_else(|| unschedulable(pod).map(|trouble| (trouble, false)))
    }

    fn progressing(&self, state: impl Into<String>, trouble: Option<Trouble>) -> Health {
        Health::Progressing(Box::new(self.cause(state.into(), trouble.unwrap_or_default())))
    }

    fn failed(&self, state: impl Into<String>, trouble: Trouble) -> Health {
        let mut state = state.into();
        if let Stage::Rollout { started, .. } = self.stage {
            let after = crate::text::duration(self.now.duration_since(started));
            state = format!("{state} after {after}");
        }
        Health::Failed(Box::new(self.cause(state, trouble)))
    }

    fn cause(&self, state: String, trouble: Trouble) -> Cause {
        let Trouble { pod, container, reason, exit_code, message } = trouble;
        let object = self.live.id.clone();
        Cause { object, state, pod, container, reason, exit_code, message, log_lines: Vec::new() }
    }

    /// Whether the object's controller has not looked at the newest spec yet.
    fn is_unseen(&self) -> bool {
        let workload = matches!(self.live.id.group.as_str(), "apps");
        match (self.number("/status/observedGeneration"), self.number("/metadata/generation")) {
            (Some(seen), Some(generation)) => seen < generation,
            (None, Some(_)) => workload,
            (_, None) => false,
        }
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer).and_then(Value::as_i64)
    }

    /// A counter, which the API leaves out where it is zero.
    fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn find_condition(&self, name: &str) -> Option<&Value> {
        let conditions = self.object.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
    }

    fn condition(&self, name: &str) -> Option<&str> {
        self.find_condition(name)?.get("status")?.as_str()
    }

    fn condition_reason(&self, name: &str) -> Option<&str> {
        self.find_condition(name)?.get("reason")?.as_str()
    }

    fn condition_message(&self, name: &str) -> String {
        let message = self.find_condition(name).and_then(|condition| condition.get("message")?.as_str());
        message.unwrap_or_default().to_owned()
    }
}

fn ready_of(ready: i64, wanted: i64) -> String {
    format!("{ready}/{wanted} ready")
}

/// What a pod or condition says is wrong.
#[derive(Default)]
struct Trouble {
    pod: Option<String>,
    container: Option<String>,
    reason: String,
    exit_code: Option<i64>,
    message: String,
}

enum TroubleKind {
    /// The image's name can never be pulled.
    Name,
    /// The image cannot be pulled, or the container's configuration is missing: somebody may be about to bring it.
    Pull,
    /// It ran and ended.
    Crash { restarts: i64 },
}

/// What is wrong with one container, if anything is.
fn trouble_of_container(status: &Value) -> Option<(Trouble, TroubleKind)> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let exit_code = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64);
    let container = text("/name").map(str::to_owned);
    let waiting = text("/state/waiting/reason").unwrap_or_default();
    let message = || text("/state/waiting/message").unwrap_or_default().to_owned();
    let trouble = |reason: &str, message| Trouble {
        container: container.clone(),
        reason: reason.to_owned(),
        message,
        ..Trouble::default()
    };
    match waiting {
        "InvalidImageName" => return Some((trouble(waiting, message()), TroubleKind::Name)),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "CreateContainerConfigError"
        | "CreateContainerError" => {
            return Some((trouble(waiting, message()), TroubleKind::Pull));
        }
        _ => {}
    }

    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    let ready = status.get("ready") == Some(&Value::Bool(true));
    let ended_well = exit_code("/state/terminated/exitCode") == Some(0);
    // The run that ended: the present state between two runs, the last one while it waits or runs again.
    let ended = ["/state/terminated", "/lastState/terminated"].into_iter().find(|it| status.pointer(it).is_some())?;
    if ready || (ended_well && restarts == 0) {
        return None;
    }
    let ended_text = |field: &str| text(&format!("{ended}/{field}")).unwrap_or_default();
    let reason = match waiting {
        "" | "PodInitializing" | "ContainerCreating" if restarts > 0 => "CrashLoopBackOff",
        "" => ended_text("reason"),
        waiting => waiting,
    };
    let mut trouble = trouble(reason, ended_text("message").to_owned());
    trouble.exit_code = exit_code(&format!("{ended}/exitCode"));
    Some((trouble, TroubleKind::Crash { restarts }))
}

/// The container whose failure ended a pod for good.
fn terminated_container(pod: &Value) -> Option<Trouble> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut statuses = statuses.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    let failed =
        |status: &&Value| status.pointer("/state/terminated/exitCode").and_then(Value::as_i64).unwrap_or(0) != 0;
    let status = statuses.find(failed)?;
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Trouble {
        pod: pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned),
        container: Some(text("/name")),
        reason: text("/state/terminated/reason"),
        exit_code: status.pointer("/state/terminated/exitCode").and_then(Value::as_i64),
        message: text("/state/terminated/message"),
    })
}

/// A pod that no node takes: final only at the timeout, as nodes may come.
fn unschedulable(pod: &Value) -> Option<Trouble> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|it| it.get("type").and_then(Value::as_str) == Some("PodScheduled"))?;
    let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("reason") == "Unschedulable").then(|| Trouble {
        pod: pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned),
        reason: text("reason"),
        message: text("message"),
        ..Trouble::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STARTED: &str = "2026-11-23T12:00:00Z";

    fn started() -> Timestamp {
        STARTED.parse().unwrap()
    }

    fn rollout() -> Stage {
        Stage::Rollout { started: started(), install: false, fail_fast: FailFast::default() }
    }

    /// The health some seconds after the attempt began, in words.
    fn judged(object: &Value, pods: &[Value], stage: Stage, seconds: i64) -> String {
        let id = ObjectId::of(object).unwrap();
        let live = Live { id: &id, object: Some(object), pods, binds_at_first_use: false };
        words(health(live, stage, started() + SignedDuration::from_secs(seconds)))
    }

    fn words(health: Health) -> String {
        match health {
            Health::Healthy => "healthy".to_owned(),
            Health::Progressing(cause) => format!("progressing: {cause}"),
            Health::Failed(cause) => format!("failed: {cause}"),
        }
    }

    #[track_caller]
    fn check(object: Value, want: &str) {
        assert_eq!(judged(&object, &[], rollout(), 12), want, "{object:#}");
    }

    /// An object named `web` with fields over `spec` and `status`.
    fn object(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
        let metadata = json!({"name": "web", "namespace": "apps", "generation": 2});
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})
    }

    fn deployment(status: Value) -> Value {
        object("apps/v1", "Deployment", json!({"replicas": 3}), status)
    }

    fn rolled_out() -> Value {
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3})
    }

    fn with(mut base: Value, changes: Value) -> Value {
        for (key, value) in changes.as_object().unwrap() {
            base[key] = value.clone();
        }
        base
    }

    #[test]
    fn deployments() {
        check(deployment(rolled_out()), "healthy");
        for (changes, want) in [
            (json!({"observedGeneration": 1}), "progressing: Deployment apps/web not seen by its controller yet"),
            (json!({"observedGeneration": null}), "progressing: Deployment apps/web not seen by its controller yet"),
            (json!({"updatedReplicas": 1}), "progressing: Deployment apps/web 1/3 ready"),
            (json!({"availableReplicas": null}), "progressing: Deployment apps/web 0/3 ready"),
            (json!({"replicas": 5}), "progressing: Deployment apps/web 3/3 ready, 2 old to go"),
            (
                json!({"availableReplicas": 1, "conditions": [{"type": "Progressing", "status": "False",
                    "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet has timed out"}]}),
                "failed: Deployment apps/web 1/3 ready after 12s: ProgressDeadlineExceeded: \"ReplicaSet has timed out\"",
            ),
            (
                json!({"availableReplicas": 0, "conditions": [{"type": "ReplicaFailure", "status": "True",
                    "reason": "FailedCreate", "message": "exceeded quota"}]}),
                "progressing: Deployment apps/web 0/3 ready: FailedCreate: \"exceeded quota\"",
            ),
        ] {
            check(deployment(with(rolled_out(), changes)), want);
        }
    }

    #[test]
    fn running_deployments_are_healthy_while_they_serve() {
        let available = json!([{"type": "Available", "status": "True"}]);
        let some = deployment(with(rolled_out(), json!({"availableReplicas": 2, "conditions": available})));
        assert_eq!(judged(&some, &[], Stage::Running, 0), "healthy");
        let few = deployment(with(rolled_out(), json!({"availableReplicas": 1})));
        assert_eq!(judged(&few, &[], Stage::Running, 0), "progressing: Deployment apps/web 1/3 ready");
    }

    #[test]
    fn a_deployment_without_probes_is_watched_for_a_moment() {
        let at = |seconds| {
            let mut object = deployment(with(
                rolled_out(),
                json!({"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                    "lastUpdateTime": "2026-11-23T12:00:10Z"}]}),
            ));
            object["spec"]["template"] = json!({"spec": {"containers": [{"name": "app"}]}});
            judged(&object, &[], rollout(), seconds)
        };
        assert_eq!(at(12), "progressing: Deployment apps/web 3/3 ready, watched for a moment");
        assert_eq!(at(15), "healthy");
    }

    /// A pod of this attempt with one container.
    fn pod(container: Value) -> Value {
        let container = with(json!({"name": "app", "ready": false, "restartCount": 0}), container);
        json!({"metadata": {"name": "web-1", "creationTimestamp": STARTED}, "status": {"containerStatuses": [container]}})
    }

    #[track_caller]
    fn check_pod(container: Value, seconds: i64, want: &str) {
        let object = deployment(with(rolled_out(), json!({"availableReplicas": 0})));
        let judged = judged(&object, &[pod(container)], rollout(), seconds);
        assert_eq!(judged.replace("Deployment apps/web 0/3 ready", "…"), want);
    }

    #[test]
    fn pods_that_crash() {
        let exit = |code: i64| json!({"exitCode": code, "reason": "Error", "message": "DB_URL missing\n"});
        check_pod(json!({}), 12, "progressing: …");
        check_pod(
            json!({"state": {"terminated": exit(1)}}),
            12,
            "progressing: …: container app Error, exit 1: \"DB_URL missing\"",
        );
        let looping = "failed: … after 12s: container app CrashLoopBackOff, exit 1: \"DB_URL missing\"";
        // The waiting reason shows for moments only; terminated and a count of restarts tell as much.
        for state in [
            json!({"state": {"terminated": exit(1)}}),
            json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": exit(1)}}),
            json!({"state": {"running": {}}, "lastState": {"terminated": exit(1)}}),
        ] {
            check_pod(with(state.clone(), json!({"restartCount": 3})), 12, looping);
            let hopeful = looping.replace("failed: … after 12s", "progressing: …");
            check_pod(with(state, json!({"restartCount": 2})), 12, &hopeful);
        }
        let recovered =
            json!({"ready": true, "state": {"running": {}}, "lastState": {"terminated": exit(1)}, "restartCount": 7});
        check_pod(recovered, 12, "progressing: …");
        check_pod(
            json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "restartCount": 3}),
            12,
            "failed: … after 12s: container app CrashLoopBackOff, exit 0",
        );
    }

    #[test]
    fn pods_that_cannot_start() {
        let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason, "message": "m"}}});
        for reason in ["ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError"] {
            check_pod(waiting(reason), 59, &format!("progressing: …: container app {reason}: \"m\""));
            check_pod(waiting(reason), 60, &format!("failed: … after 1m: container app {reason}: \"m\""));
        }
        check_pod(waiting("InvalidImageName"), 1, "failed: … after 1s: container app InvalidImageName: \"m\"");
        check_pod(waiting("ContainerCreating"), 600, "progressing: …");
    }

    /// With one replica the old pod alone makes the counters look as if the new one were ready.
    #[test]
    fn old_replica_does_not_hide_a_new_one_that_crashes() {
        let mut object =
            deployment(with(rolled_out(), json!({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1})));
        object["spec"]["replicas"] = json!(1);
        let crashing = pod(json!({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}, "restartCount": 3}));
        assert_eq!(
            judged(&object, &[crashing], rollout(), 12),
            "failed: Deployment apps/web 0/1 ready after 12s: container app CrashLoopBackOff, exit 1"
        );
    }

    #[test]
    fn first_installs_wait_for_crashing_pods_unless_told() {
        let object = deployment(with(rolled_out(), json!({"availableReplicas": 0})));
        let pods = [pod(json!({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}, "restartCount": 5}))];
        let with_on_install = |on_install| {
            let fail_fast = FailFast { on_install, ..FailFast::default() };
            judged(&object, &pods, Stage::Rollout { started: started(), install: true, fail_fast }, 12)
        };
        assert!(with_on_install(false).starts_with("progressing: "));
        assert!(with_on_install(true).starts_with("failed: "));
    }

    #[test]
    fn pods_of_before_and_pods_that_go_do_not_count() {
        let object = deployment(with(rolled_out(), json!({"availableReplicas": 0})));
        let crashed = json!({"state": {"terminated": {"exitCode": 1}}, "restartCount": 5});
        let mut older = pod(crashed.clone());
        older["metadata"]["creationTimestamp"] = json!("2026-11-23T11:59:59Z");
        let mut going = pod(crashed);
        going["metadata"]["deletionTimestamp"] = json!(STARTED);
        let judged = judged(&object, &[older, going], rollout(), 12);
        assert_eq!(judged, "progressing: Deployment apps/web 0/3 ready");
    }

    #[test]
    fn unschedulable_pods_are_told_and_waited_for() {
        let object = deployment(with(rolled_out(), json!({"availableReplicas": 0})));
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes"});
        let pod =
            json!({"metadata": {"name": "web-1", "creationTimestamp": STARTED}, "status": {"conditions": [condition]}});
        let judged = judged(&object, &[pod], rollout(), 600);
        assert_eq!(judged, "progressing: Deployment apps/web 0/3 ready: Unschedulable: \"no nodes\"");
    }

    #[test]
    fn stateful_sets() {
        let set = |spec: Value, changes: Value| {
            let status = json!({"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 3,
                "currentRevision": "b", "updateRevision": "b"});
            object("apps/v1", "StatefulSet", with(json!({"replicas": 3}), spec), with(status, changes))
        };
        check(set(json!({}), json!({})), "healthy");
        check(set(json!({}), json!({"readyReplicas": 2})), "progressing: StatefulSet apps/web 2/3 ready");
        check(
            set(json!({}), json!({"updatedReplicas": 1, "currentRevision": "a"})),
            "progressing: StatefulSet apps/web 1/3 ready",
        );
        let partition = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        check(set(partition, json!({"updatedReplicas": 1, "currentRevision": "a"})), "healthy");
        let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
        check(set(on_delete, json!({"updatedReplicas": 0, "currentRevision": "a"})), "healthy");
    }

    #[test]
    fn daemon_sets_and_replica_sets() {
        let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "numberAvailable": 2, "updatedNumberScheduled": 2});
        let set = |changes| object("apps/v1", "DaemonSet", json!({}), with(status.clone(), changes));
        check(set(json!({})), "healthy");
        check(set(json!({"updatedNumberScheduled": 1})), "progressing: DaemonSet apps/web 1/2 ready");
        check(set(json!({"numberAvailable": 0})), "progressing: DaemonSet apps/web 0/2 ready");
        let set = |ready| {
            object("apps/v1", "ReplicaSet", json!({}), json!({"observedGeneration": 2, "readyReplicas": ready}))
        };
        check(set(1), "healthy");
        check(set(0), "progressing: ReplicaSet apps/web 0/1 ready");
    }

    #[test]
    fn pods_and_jobs() {
        let pod = |status| object("v1", "Pod", json!({}), status);
        check(pod(json!({"phase": "Succeeded"})), "healthy");
        check(pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})), "healthy");
        check(pod(json!({"phase": "Pending"})), "progressing: Pod apps/web is not ready");
        check(
            pod(json!({"phase": "Failed", "reason": "Evicted", "message": "disk"})),
            "failed: Pod apps/web has failed after 12s: Evicted: \"disk\"",
        );
        let job = |spec, conditions| object("batch/v1", "Job", spec, json!({"conditions": conditions}));
        check(job(json!({}), json!([{"type": "Complete", "status": "True"}])), "healthy");
        check(job(json!({"suspend": true}), json!([])), "healthy");
        check(job(json!({}), json!([])), "progressing: Job apps/web is not complete");
        let failed =
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}]);
        check(job(json!({}), failed), "failed: Job apps/web has failed after 12s: BackoffLimitExceeded: \"too often\"");
    }

    #[test]
    fn claims_and_services() {
        let claim = |phase| object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": phase}));
        check(claim("Bound"), "healthy");
        check(claim("Pending"), "progressing: PersistentVolumeClaim apps/web is not bound");
        check(claim("Lost"), "failed: PersistentVolumeClaim apps/web has lost its volume after 12s: Lost");
        let (pending, id) = (claim("Pending"), ObjectId::of(&claim("Pending")).unwrap());
        let live = Live { id: &id, object: Some(&pending), pods: &[], binds_at_first_use: true };
        assert_eq!(health(live, rollout(), started()), Health::Healthy);
        let service = |spec, status| object("v1", "Service", spec, status);
        check(service(json!({"type": "ClusterIP"}), json!({})), "healthy");
        check(service(json!({"type": "ExternalName"}), json!({})), "healthy");
        let balanced = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        check(service(json!({"type": "LoadBalancer"}), balanced), "healthy");
        check(
            service(json!({"type": "LoadBalancer"}), json!({"loadBalancer": {}})),
            "progressing: Service apps/web has no load balancer yet",
        );
    }

    #[test]
    fn kinds_with_conditions_and_kinds_without() {
        let certificate = |status| object("cert-manager.io/v1", "Certificate", json!({}), status);
        let ready = |status: &str| json!({"type": "Ready", "status": status, "reason": "Issuing", "message": "m"});
        check(certificate(json!({})), "healthy");
        check(certificate(json!({"conditions": [ready("True")]})), "healthy");
        check(
            certificate(json!({"conditions": [ready("False")]})),
            "progressing: Certificate apps/web is not ready: Issuing: \"m\"",
        );
        check(
            certificate(json!({"conditions": [ready("False"), {"type": "Stalled", "status": "True"}]})),
            "failed: Certificate apps/web is stalled after 12s: Issuing: \"m\"",
        );
        for unseen in [
            json!({"observedGeneration": 1, "conditions": [ready("True")]}),
            json!({"conditions": [with(ready("True"), json!({"observedGeneration": 1}))]}),
        ] {
            check(certificate(unseen), "progressing: Certificate apps/web not seen by its controller yet");
        }
        let crd = |conditions| {
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({}), json!({"conditions": conditions}))
        };
        check(crd(json!([{"type": "Established", "status": "True"}])), "healthy");
        check(crd(json!([])), "progressing: CustomResourceDefinition apps/web is not established");
        check(object("v1", "ConfigMap", json!({}), json!({})), "healthy");
    }

    #[test]
    fn missing_and_leaving_objects_are_not_healthy() {
        let mut config = object("v1", "ConfigMap", json!({}), json!({}));
        let id = ObjectId::of(&config).unwrap();
        let live = Live { id: &id, object: None, pods: &[], binds_at_first_use: false };
        assert_eq!(words(health(live, Stage::Running, started())), "progressing: ConfigMap apps/web is missing");
        config["metadata"]["deletionTimestamp"] = json!(STARTED);
        check(config, "progressing: ConfigMap apps/web is being deleted");
    }

    #[test]
    fn the_whole_is_as_bad_as_its_worst_part() {
        let cause = |state: &str| {
            let object = object("v1", "ConfigMap", json!({}), json!({}));
            let judge = |live| Judge { live, object: &Value::Null, stage: rollout(), now: started() };
            let id = ObjectId::of(&object).unwrap();
            let live = Live { id: &id, object: None, pods: &[], binds_at_first_use: false };
            Box::new(judge(live).cause(state.to_owned(), Trouble::default()))
        };
        let (first, second) = (Health::Progressing(cause("1")), Health::Progressing(cause("2")));
        let failed = Health::Failed(cause("3"));
        assert_eq!(overall([]), Health::Healthy);
        assert_eq!(overall([Health::Healthy, first.clone(), second.clone()]), first);
        assert_eq!(overall([first, failed.clone(), second]), failed);
    }
}
