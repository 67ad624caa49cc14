//! The conditions of a status, made anew in each pass from what the previous status said.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::text::{MESSAGE_BYTES_MAX, truncate};

/// Conditions in the making.
pub(crate) struct Conditions<'a> {
    previous: &'a [Condition],
    next: Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    pub(crate) fn new(previous: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Conditions { previous, next: Vec::new(), generation, now }
    }

    /// Adds a condition; its time of transition changes with its status only.
    pub(crate) fn add(&mut self, name: &str, status: &str, reason: &str, message: &str) {
        let before = self.previous.iter().find(|it| it.type_ == name && it.status == status);
        let now = || Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now));
        self.next.push(Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: truncate(message, MESSAGE_BYTES_MAX),
            observed_generation: Some(self.generation),
            last_transition_time: before.map_or_else(now, |before| before.last_transition_time.clone()),
        });
    }

    /// Keeps a condition as it was; tells whether there was one.
    pub(crate) fn keep(&mut self, name: &str) -> bool {
        let before = self.previous.iter().find(|it| it.type_ == name);
        self.next.extend(before.cloned());
        before.is_some()
    }

    /// Keeps all conditions as they were.
    pub(crate) fn keep_all(&mut self) {
        self.next = self.previous.to_vec();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn into_vec(self) -> Vec<Condition> {
        self.next
    }
}

/// The state of the condition `Ready`: `True`, `False` or `Unknown`.
pub(crate) fn ready(conditions: &[Condition]) -> &'static str {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    match ready.map(|condition| condition.status.as_str()) {
        Some("True") => "True",
        Some("False") => "False",
        _ => "Unknown",
    }
}
