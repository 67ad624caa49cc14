//! Things in memory up to a number of bytes: artifacts by digest, packs by commit.
//!
//! The identity that fetched a thing is part of its key: knowing a private chart's digest gives nobody its bytes. What
//! was used longest ago goes first when the budget is spent.

use std::collections::HashMap;
use std::hash::Hash;

pub(super) struct Cache<K, V> {
    held: HashMap<K, Held<V>>,
    bytes: u64,
    bytes_max: u64,
    /// Counts uses; the lowest stamp is the oldest use.
    clock: u64,
}

struct Held<V> {
    value: V,
    bytes: u64,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(bytes_max: u64) -> Self {
        Cache { held: HashMap::new(), bytes: 0, bytes_max, clock: 0 }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let held = self.held.get_mut(key)?;
        held.used = self.clock;
        Some(held.value.clone())
    }

    /// Keeps a value of so many bytes. One that is larger than the whole budget is not kept.
    pub(super) fn insert(&mut self, key: K, value: V, bytes: u64) {
        if bytes > self.bytes_max {
            return;
        }
        self.clock += 1;
        if let Some(replaced) = self.held.insert(key, Held { value, bytes, used: self.clock }) {
            self.bytes -= replaced.bytes;
        }
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(key, _)| key.clone());
            let Some(removed) = oldest.and_then(|key| self.held.remove(&key)) else { break };
            self.bytes -= removed.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first() {
        let mut cache = Cache::new(200);
        cache.insert("a", 1, 100);
        cache.insert("b", 2, 100);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.insert("c", 3, 100);
        cache.insert("c", 4, 90);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(4)));
        assert_eq!(cache.bytes, 190);
    }

    #[test]
    fn what_exceeds_the_whole_budget_is_not_kept() {
        let mut cache = Cache::new(10);
        cache.insert("a", 1, 10);
        cache.insert("b", 2, 11);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.bytes), (Some(1), None, 10));
    }
}
