//! What a pass came to, written down: status, Events, metrics, and when to look again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::Instant;
use tracing::{info, warn};

use super::execute::merge_patch;
use super::memory::Memory;
use super::observe::{Observation, look_again_after};
use super::{Key, Pass, Shell};
use crate::api::helm_release::HelmReleaseStatus;
use crate::api::summarize::{Event, EventKind, Facts, Summary, Wake, summarize};
use crate::api::{HelmRelease, conditions};
use crate::cluster::error::Error as ClusterError;
use crate::cluster::events::{News, Regarding};
use crate::cluster::identity::Account;
use crate::cluster::own::{self, Part};
use crate::manifest::id::ObjectId;
use crate::plan::outcome::Done;
use crate::plan::{Action, Decision, FailedAttempt, Failure, Observed, Outcome, Reason};
use crate::text;

impl Shell {
    /// Writes down what was decided and what came of it.
    pub(super) async fn record(
        &self,
        pass: &Pass<'_>,
        memory: &mut Memory,
        observation: &Observation,
        decision: &Decision,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), ClusterError> {
        self.count(decision, outcome);
        match (&decision.reason, &pass.desired.target) {
            (Reason::Rejected(failure), Err(_)) => self.metrics.failure(&failure.reason),
            (Reason::Rival { .. }, _) => self.metrics.failure(decision.reason.name()),
            _ => {}
        }
        let previous = pass.object.status.clone().unwrap_or_default();
        let ids: Option<Vec<ObjectId>> =
            observation.inventory.as_ref().map(|targets| targets.iter().map(|target| target.id.clone()).collect());
        let newest = observation.observed.history.newest().map(|newest| newest.revision());
        let taken = memory.taken.as_ref().filter(|(of, _)| Some(*of) == newest).map(|(_, taken)| taken.clone());
        let output = memory.hook_output.as_ref().filter(|(of, _)| Some(*of) == newest).map(|(_, it)| it.clone());
        let facts = Facts {
            generation: pass.object.metadata.generation.unwrap_or_default(),
            observed: &observation.observed,
            desired: &pass.desired,
            inventory: ids.as_deref(),
            taken: taken.as_deref(),
            hook_output: output.as_deref(),
        };
        let Summary { status, events, wake } = summarize(&previous, &facts, decision, outcome, now);
        if outcome.done == Done::Released {
            // The object is gone, or held by somebody else's finalizer; either way it is not ours any more.
            self.publish(pass, decision, &events).await;
            return Ok(());
        }
        self.remember_failure(pass, memory, decision, outcome, now);
        let after = self.when(memory, decision, outcome, wake, now);
        let may_pass = outcome.failure.as_ref().is_some_and(|failure| failure.backoff(pass.policy.interval).is_some());
        let only_waits = matches!(decision.reason, Reason::Rejected(_)) && decision.again_in.is_some();
        memory.failures = match wake {
            Wake::Backoff(_) => memory.failures.saturating_add(1),
            _ if may_pass => memory.failures.saturating_add(1),
            // Something was done: where some requests get through, the next one is not made to wait for long.
            Wake::Now => memory.failures / 2,
            Wake::After(_) if only_waits => memory.failures,
            Wake::After(_) => 0,
        };
        self.publish(pass, decision, &events).await;
        match after {
            // The next pass follows at once, and its status will say more.
            None => {
                self.queue.wake(pass.key);
                Ok(())
            }
            Some(after) => {
                self.queue.wake_in(pass.key, after);
                if is_too_early(memory, decision) {
                    return Ok(());
                }
                self.write_status(pass, memory, &previous, &status).await
            }
        }
    }

    /// Writes down that a release could not even be looked at.
    pub(super) async fn record_blind(
        &self,
        pass: &Pass<'_>,
        memory: &mut Memory,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<(), ClusterError> {
        let observed = Observed { failed_attempt: memory.failed_attempt.clone(), ..Observed::nothing() };
        let decision = Action::Nothing.because(Reason::Rejected(failure.clone()));
        let outcome = Outcome::failed(Done::Nothing, failure.clone());
        self.count(&decision, &outcome);
        let previous = pass.object.status.clone().unwrap_or_default();
        let facts = Facts {
            generation: pass.object.metadata.generation.unwrap_or_default(),
            observed: &observed,
            desired: &pass.desired,
            inventory: None,
            taken: None,
            hook_output: None,
        };
        let Summary { mut status, events, .. } = summarize(&previous, &facts, &decision, &outcome, now);
        // What was seen before is the best that is known.
        status.history.clone_from(&previous.history);
        let healthy = previous.conditions.iter().find(|condition| condition.type_ == "Healthy");
        status.conditions.extend(healthy.cloned());
        self.publish(pass, &decision, &events).await;
        let after =
            failure.backoff(pass.policy.interval).map_or_else(|| interval(pass), |backoff| memory.wait(backoff));
        memory.failures = memory.failures.saturating_add(1);
        self.queue.wake_in(pass.key, after);
        self.write_status(pass, memory, &previous, &status).await
    }

    /// Writes down that a HelmRelease cannot be read at all. Nothing is done about it until it changes.
    pub(super) async fn record_unreadable(
        &self,
        key: &Key,
        metadata: &ObjectMeta,
        problem: &str,
    ) -> Result<(), ClusterError> {
        warn!(object = %key, problem, "HelmRelease cannot be read");
        self.metrics.failure("InvalidSpec");
        let message = text::truncate(problem, text::MESSAGE_BYTES_MAX);
        let generation = metadata.generation.unwrap_or_default();
        let at = metadata.creation_timestamp.as_ref().map(|time| time.0);
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "InvalidSpec", "message": message,
                "observedGeneration": generation, "lastTransitionTime": at})
        };
        let patch = json!({"status": {
            "observedGeneration": generation,
            "summary": message,
            "conditions": [condition("Ready", "False"), condition("Stalled", "True")],
        }});
        let client = self.clients.controller();
        let IgnoredAny = own::patch::<HelmRelease, _>(client, &key.namespace, &key.name, Part::Status, &patch).await?;
        // Whose rights the spec asks for cannot be told.
        let tenant = self.clients.tenant(&Account::Controller);
        let (reason, action) = ("InvalidSpec".to_owned(), Action::Nothing.name().to_owned());
        let news = News { warning: true, reason, action, note: message };
        self.events.publish(&tenant, &regarding(key, metadata), &news).await;
        Ok(())
    }

    /// When to look again; `None` is at once.
    fn when(
        &self,
        memory: &Memory,
        decision: &Decision,
        outcome: &Outcome,
        wake: Wake,
        now: Timestamp,
    ) -> Option<Duration> {
        let after = match wake {
            Wake::Now => return None,
            Wake::Backoff(backoff) => return Some(memory.wait(backoff)),
            Wake::After(time) => Duration::try_from(time).unwrap_or_default(),
        };
        if let Done::Deleting { .. } = outcome.done {
            return Some(after.min(Duration::from_secs(1)));
        }
        if let Action::Wait { at_most, .. } = &decision.action {
            let left = Duration::try_from(*at_most).unwrap_or_default();
            // Watches tell of objects; Pods, and time itself, have to be looked at.
            let since = memory
                .unhealthy_since
                .map_or(Duration::ZERO, |since| Duration::try_from(now.duration_since(since)).unwrap_or_default());
            return Some(after.min(left).min(look_again_after(since)));
        }
        // A twentieth of jitter: releases that were made together do not come together for ever.
        Some(after.mul_f64(0.95 + 0.1 * fastrand::f64()))
    }

    fn count(&self, decision: &Decision, outcome: &Outcome) {
        if let Some(failure) = &outcome.failure {
            self.metrics.failure(&failure.reason);
            info!(action = decision.action.name(), reason = %failure.reason, message = failure.message, "action failed");
        }
        match decision.action {
            Action::Nothing | Action::Wait { .. } => {}
            _ => {
                let outcome = if outcome.failure.is_some() { "failed" } else { "done" };
                self.metrics.action(decision.action.name(), outcome);
            }
        }
    }

    /// A failure before anything was stored leaves no record in history, so it is remembered here and in the status.
    fn remember_failure(
        &self,
        pass: &Pass<'_>,
        memory: &mut Memory,
        decision: &Decision,
        outcome: &Outcome,
        now: Timestamp,
    ) {
        let starts = matches!(decision.action, Action::Install { .. } | Action::Upgrade { .. } | Action::Adopt { .. });
        let (Some(failure), Ok(target), true, true) =
            (&outcome.failure, &pass.desired.target, starts, outcome.done == Done::Nothing)
        else {
            return;
        };
        let after = failure.backoff(pass.policy.interval).map_or(Duration::ZERO, |backoff| memory.wait(backoff));
        memory.failed_attempt = Some(FailedAttempt {
            fingerprint: target.fingerprint,
            class: failure.class,
            reason: failure.reason.clone(),
            message: failure.message.clone(),
            retry: pass.desired.asks.retry.clone(),
            again_at: jiff::SignedDuration::try_from(after).ok().and_then(|after| now.checked_add(after).ok()),
        });
    }

    async fn publish(&self, pass: &Pass<'_>, decision: &Decision, events: &[Event]) {
        let regarding = regarding(pass.key, &pass.object.metadata);
        for event in events {
            let news = News {
                warning: event.kind == EventKind::Warning,
                reason: event.reason.clone(),
                action: decision.action.name().to_owned(),
                note: event.note.clone(),
            };
            self.events.publish(&pass.tenant, &regarding, &news).await;
        }
    }

    async fn write_status(
        &self,
        pass: &Pass<'_>,
        memory: &mut Memory,
        previous: &HelmReleaseStatus,
        status: &HelmReleaseStatus,
    ) -> Result<(), ClusterError> {
        let ready = conditions::ready(&status.conditions);
        self.metrics.ready_changed(memory.ready, Some(ready));
        memory.ready = Some(ready);
        let to_json = |status| serde_json::to_value(status).expect("a status is plain data");
        let Some(change) = merge_patch(&to_json(previous), &to_json(status)) else { return Ok(()) };
        memory.status_at = Some(Instant::now());
        let patch = json!({ "status": change });
        let client = self.clients.controller();
        let (namespace, name) = (&pass.key.namespace, &pass.key.name);
        match own::patch::<HelmRelease, HelmRelease>(client, namespace, name, Part::Status, &patch).await {
            Ok(changed) => {
                self.note(changed);
                Ok(())
            }
            // Deleted in between: there is nobody left to tell.
            Err(problem) if problem.is_not_found() => Ok(()),
            Err(problem) => Err(problem),
        }
    }
}

/// A rollout that is over in a moment needs no status in between, and a long one not each step of a counter. The next
/// look is at most a second away.
fn is_too_early(memory: &mut Memory, decision: &Decision) -> bool {
    const QUICK: Duration = Duration::from_millis(700);
    const STEP: Duration = Duration::from_millis(900);
    let Action::Wait { .. } = decision.action else {
        memory.waiting_since = None;
        return false;
    };
    let since = *memory.waiting_since.get_or_insert_with(Instant::now);
    since.elapsed() < QUICK || memory.status_at.is_some_and(|at| at.elapsed() < STEP)
}

fn regarding(key: &Key, metadata: &ObjectMeta) -> Regarding {
    Regarding {
        api_version: "pintle.dev/v1".to_owned(),
        kind: "HelmRelease".to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}

fn interval(pass: &Pass<'_>) -> Duration {
    Duration::try_from(pass.policy.interval).unwrap_or(Duration::from_secs(600))
}
