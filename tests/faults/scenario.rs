//! What is played: how a release stands before, what is done to it, how it has to end.

use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) before: Before,
    pub(crate) act: Act,
    pub(crate) end: End,
    /// How often each Job runs, from the first write to the last.
    pub(crate) runs: &'static [(&'static str, usize)],
    /// Whether the chart brings the kind `Widget`.
    pub(crate) has_crds: bool,
}

/// What stands before the act.
#[derive(Clone)]
pub(crate) enum Before {
    Nothing,
    /// These fields of the HelmRelease are deployed.
    Deployed(Value),
    /// The real helm installed these objects.
    ByHelm(Vec<Value>),
}

/// The writes of the controller are counted from here on.
#[derive(Clone)]
pub(crate) enum Act {
    /// The HelmRelease gets these fields.
    Apply(Value),
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Ready, with one deployed revision.
    Deployed,
    /// What is asked for failed and is held; what ran before is deployed.
    RolledBack,
    /// What is asked for failed and is held; nothing is deployed.
    Removed,
    /// Neither the HelmRelease nor the release is there any more.
    Gone,
}

pub(crate) fn all() -> Vec<Scenario> {
    let scenario = |name, before, act, end| Scenario { name, before, act, end, runs: &[], has_crds: false };
    let (first, second) = (objects("1"), objects("2"));
    let with = |objects: &[Value], more: &[Value]| [objects, more].concat();
    vec![
        scenario("install", Before::Nothing, apply(&first), End::Deployed),
        scenario("upgrade", deployed(&first), apply(&second), End::Deployed),
        scenario("rollback", deployed(&first), apply(&objects("2-crash")), End::RolledBack),
        scenario("failed-install", Before::Nothing, apply(&objects("1-crash")), End::Removed),
        scenario("uninstall", deployed(&with(&first, &[kept("precious")])), Act::Delete, End::Gone),
        Scenario {
            runs: &[("prepare", 1), ("finish", 1)],
            ..scenario("hooks", Before::Nothing, apply(&with(&first, &hooks())), End::Deployed)
        },
        Scenario {
            // Installed with the first two, upgraded with the first, rolled back with the third at both events.
            runs: &[("prepare", 2), ("finish", 1), ("back", 2)],
            ..scenario(
                "hooks-rollback",
                deployed(&with(&first, &hooks())),
                apply(&with(&objects("2-crash"), &hooks())),
                End::RolledBack,
            )
        },
        Scenario {
            runs: &[("prepare", 1), ("finish", 1), ("goodbye", 1), ("gone", 1)],
            ..scenario("hooks-uninstall", deployed(&with(&first, &hooks())), Act::Delete, End::Gone)
        },
        Scenario {
            runs: &[("probe", 1)],
            ..scenario(
                "tests",
                Before::Nothing,
                Act::Apply(fields(
                    &with(&first, &[job("probe", "test", "before-hook-creation")]),
                    json!({"test": {"enable": true}}),
                )),
                End::Deployed,
            )
        },
        Scenario {
            has_crds: true,
            ..scenario("crds", Before::Nothing, apply(&with(&first, &[widget()])), End::Deployed)
        },
        scenario("adoption", Before::ByHelm(first.clone()), apply(&first), End::Deployed),
        scenario("adoption-differs", Before::ByHelm(first), apply(&second), End::Deployed),
    ]
}

fn deployed(objects: &[Value]) -> Before {
    Before::Deployed(fields(objects, json!({})))
}

fn apply(objects: &[Value]) -> Act {
    Act::Apply(fields(objects, json!({})))
}

fn fields(objects: &[Value], mut fields: Value) -> Value {
    fields["values"] = json!({ "objects": objects });
    fields
}

/// Something that stays, something that changes, something that goes or comes, and something that has to get healthy.
/// The end of the tag decides whether it does.
fn objects(tag: &str) -> Vec<Value> {
    vec![
        config("settings", tag),
        config(if tag == "1" { "old" } else { "new" }, "1"),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "web", "image": format!("registry.example.com/web:{tag}")}]}}}}),
    ]
}

/// The first may be made anew by its policy, the second is gone once it succeeded.
fn hooks() -> Vec<Value> {
    vec![
        job("prepare", "pre-install,pre-upgrade", "before-hook-creation"),
        job("finish", "post-install", "hook-succeeded"),
        job("back", "pre-rollback,post-rollback", "before-hook-creation"),
        job("goodbye", "pre-delete", "before-hook-creation"),
        job("gone", "post-delete", "before-hook-creation"),
    ]
}

fn job(name: &str, events: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": {"helm.sh/hook": events, "helm.sh/hook-delete-policy": policy}},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "registry.example.com/job:1"}]}}},
    })
}

fn config(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}})
}

fn kept(name: &str) -> Value {
    let mut kept = config(name, "1");
    kept["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    kept
}

/// An object of the kind in the chart's `crds/`, whose group is the namespace's own: definitions belong to the cluster.
fn widget() -> Value {
    json!({"apiVersion": "NAMESPACE.example.com/v1", "kind": "Widget", "metadata": {"name": "wheel"}, "spec": {"size": 1}})
}
