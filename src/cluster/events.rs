//! Events on our own objects, as `kubectl describe` shows them.
//!
//! Written with the release's own rights. An Event is a courtesy: one that cannot be written is logged and forgotten.
//! The same news about the same object is told once in a while only, and each object has a budget, so that a broken
//! release cannot fill etcd. The name of an Event says what it tells: a controller that was killed after it told
//! something, and before that was recorded, cannot tell it again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tracing::debug;

use super::error::Error;
use super::identity::TenantClient;
use super::wire::{self, Want};
use crate::text;

/// Equal news within this time is not told again.
const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// Events of one object within [`REPEAT_AFTER`].
const BUDGET: usize = 20;

/// The object that an Event is about, without its resourceVersion: that would make every Event a new one.
#[derive(Clone, Debug)]
pub struct Regarding {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// News about an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct News {
    pub warning: bool,
    /// A CamelCase word.
    pub reason: String,
    /// What was being done, a CamelCase word.
    pub action: String,
    pub note: String,
}

/// Writes Events and remembers what was told.
pub struct Events {
    /// Which of several controllers speaks: the name of its Pod.
    instance: String,
    told: Mutex<HashMap<String, Vec<(u64, Instant)>>>,
}

impl Events {
    pub fn new(instance: String) -> Self {
        Events { instance, told: Mutex::default() }
    }

    /// Tells news, unless it was told already.
    pub async fn publish(&self, tenant: &TenantClient, regarding: &Regarding, news: &News) {
        if !self.is_new(&regarding.uid, news, Instant::now()) {
            return;
        }
        let now = Timestamp::now();
        let event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": name_of(regarding, news, now),
                "namespace": regarding.namespace,
            },
            "eventTime": format!("{now:.6}"),
            "reportingController": "pintle.dev/controller",
            "reportingInstance": self.instance,
            "type": if news.warning { "Warning" } else { "Normal" },
            "reason": news.reason,
            "action": news.action,
            "note": text::truncate(&news.note, text::MESSAGE_BYTES_MAX),
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        });
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", regarding.namespace);
        let bytes = serde_json::to_vec(&event).expect("a JSON value can be written");
        let body = Some(("application/json", bytes));
        if let Err(source) = wire::send(tenant.client(), Method::POST, &path, body, Want::Object).await {
            let error = Error::of("write", "an Event", "Event", source);
            if error.is_already_exists() {
                return;
            }
            debug!(object = %regarding.name, error = %text::chain(&error), "event not written");
        }
    }

    fn is_new(&self, uid: &str, news: &News, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        news.hash(&mut hasher);
        let hash = hasher.finish();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() > 10_000 {
            told.retain(|_, times| times.iter().any(|(_, at)| now.duration_since(*at) < REPEAT_AFTER));
        }
        let times = told.entry(uid.to_owned()).or_default();
        times.retain(|(_, at)| now.duration_since(*at) < REPEAT_AFTER);
        if times.len() >= BUDGET || times.iter().any(|(known, _)| *known == hash) {
            return false;
        }
        times.push((hash, now));
        true
    }
}

/// The same for equal news about an object, as long as it is not to be told again.
fn name_of(regarding: &Regarding, news: &News, now: Timestamp) -> String {
    let mut hasher = DefaultHasher::new();
    let window = now.as_second().unsigned_abs() / REPEAT_AFTER.as_secs();
    (&regarding.uid, news, window).hash(&mut hasher);
    format!("{}.{:x}", text::truncate(&regarding.name, 200), hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(note: &str) -> News {
        News { warning: false, reason: "Installed".into(), action: "Install".into(), note: note.into() }
    }

    #[test]
    fn equal_news_is_told_once_in_a_while() {
        let events = Events::new("pintle-0".into());
        let now = Instant::now();
        assert!(events.is_new("u", &news("a"), now));
        assert!(!events.is_new("u", &news("a"), now));
        assert!(events.is_new("u", &news("b"), now));
        assert!(events.is_new("other", &news("a"), now));
        assert!(events.is_new("u", &news("a"), now + REPEAT_AFTER));
    }

    #[test]
    fn equal_news_has_one_name_for_a_while_whoever_tells_it() {
        let regarding = |uid: &str| Regarding {
            api_version: "pintle.dev/v1".into(),
            kind: "HelmRelease".into(),
            namespace: "apps".into(),
            name: "web".into(),
            uid: uid.into(),
        };
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let name = name_of(&regarding("u"), &news("a"), at(1200));
        assert_eq!(name_of(&regarding("u"), &news("a"), at(1799)), name);
        assert_ne!(name_of(&regarding("u"), &news("a"), at(1800)), name);
        assert_ne!(name_of(&regarding("u"), &news("b"), at(1200)), name);
        assert_ne!(name_of(&regarding("other"), &news("a"), at(1200)), name);
    }

    #[test]
    fn object_has_a_budget() {
        let events = Events::new("pintle-0".into());
        let now = Instant::now();
        let told = (0..100).filter(|n: &u32| events.is_new("u", &news(&n.to_string()), now));
        assert_eq!(told.count(), BUDGET);
    }
}
