//! Which HelmRelease is looked at next.
//!
//! One entry per object however often it is woken; an object that is being worked on is looked at again afterwards and
//! never twice at once. Each object has at most one alarm. First come, first served.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Key;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// The keys in `ready`.
    waiting: HashSet<Key>,
    running: HashSet<Key>,
    /// Woken while running.
    again: HashSet<Key>,
    alarms: BTreeSet<(Instant, Key)>,
    alarm_of: HashMap<Key, Instant>,
}

impl Queue {
    /// The object is to be looked at as soon as a worker is free.
    pub(super) fn wake(&self, key: &Key) {
        if self.lock().wake(key) {
            self.news.notify_one();
        }
    }

    /// The object is to be looked at after this time, unless woken before; replaces its alarm.
    pub(super) fn wake_in(&self, key: &Key, time: Duration) {
        let at = Instant::now() + time;
        let mut state = self.lock();
        state.silence(key);
        state.alarms.insert((at, key.clone()));
        state.alarm_of.insert(key.clone(), at);
        let first = state.alarms.first().is_some_and(|(first, _)| *first == at);
        drop(state);
        if first {
            self.news.notify_one();
        }
    }

    /// The next object; it is this worker's until [`Queue::done`].
    pub(super) async fn next(&self) -> Key {
        loop {
            let alarm = {
                let mut state = self.lock();
                state.ring(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.waiting.remove(&key);
                    state.silence(&key);
                    state.running.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.news.notify_one();
                    }
                    return key;
                }
                state.alarms.first().map(|(at, _)| *at)
            };
            match alarm {
                Some(at) => tokio::select! {
                    () = self.news.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.news.notified().await,
            }
        }
    }

    /// The worker is through with the object.
    pub(super) fn done(&self, key: &Key) {
        let mut state = self.lock();
        state.running.remove(key);
        let again = state.again.remove(key);
        if again && state.wake(key) {
            drop(state);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a worker has something new to take.
    fn wake(&mut self, key: &Key) -> bool {
        if self.running.contains(key) {
            self.again.insert(key.clone());
            return false;
        }
        if !self.waiting.insert(key.clone()) {
            return false;
        }
        self.ready.push_back(key.clone());
        true
    }

    fn ring(&mut self, now: Instant) {
        while let Some((at, _)) = self.alarms.first()
            && *at <= now
        {
            let (_, key) = self.alarms.pop_first().expect("the set has a first element: seen above");
            self.alarm_of.remove(&key);
            self.wake(&key);
        }
    }

    fn silence(&mut self, key: &Key) {
        if let Some(at) = self.alarm_of.remove(key) {
            self.alarms.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "apps".into(), name: name.into() }
    }

    async fn nothing_is_ready(queue: &Queue) -> bool {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.is_err()
    }

    #[tokio::test]
    async fn object_woken_often_is_looked_at_once() {
        let queue = Queue::default();
        for _ in 0..3 {
            queue.wake(&key("a"));
        }
        queue.wake(&key("b"));
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(queue.next().await, key("b"));
        assert!(nothing_is_ready(&queue).await);
    }

    #[tokio::test]
    async fn object_woken_while_running_is_looked_at_afterwards() {
        let queue = Queue::default();
        queue.wake(&key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.wake(&key("a"));
        assert!(nothing_is_ready(&queue).await, "never the same object twice at once");
        queue.done(&key("a"));
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test]
    async fn alarm_is_replaced_and_silenced_by_a_pass() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.wake_in(&key("a"), Duration::from_secs(60));
        queue.wake_in(&key("a"), Duration::from_millis(5));
        assert_eq!(queue.next().await, key("a"));
        assert!(start.elapsed() < Duration::from_secs(60));
        queue.done(&key("a"));
        queue.wake_in(&key("b"), Duration::from_millis(10));
        assert_eq!(queue.next().await, key("b"), "the alarm of a does not ring again");
    }
}
