//! A hash map that is read all the time and written now and then.
//!
//! ```text
//! cargo run --release --example map -- [READERS] [WRITES]
//! ```
//!
//! The idea to take home: a bucket is a slice that never changes. A writer copies it under
//! the bucket's lock and replaces it; readers look at whichever slice they found, without a
//! lock, a count, or a store that anybody else sees. No line here is unsafe.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use percid_shootdown::{Atomic, Brand, Guard, brand};

brand! {
    /// The domain of all maps.
    pub struct Maps;
}

/// A map with a fixed number of buckets.
pub struct Map<K: Send + Sync + 'static, V: Send + Sync + 'static> {
    buckets: Box<[Bucket<K, V>]>,
    hasher: RandomState,
}

struct Bucket<K: Send + Sync + 'static, V: Send + Sync + 'static> {
    entries: Atomic<Box<[(K, V)]>, Maps>,
    writer: Mutex<()>,
}

impl<K, V> Map<K, V>
where
    K: Hash + Eq + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    /// An empty map with so many buckets.
    pub fn new(buckets: usize) -> Map<K, V> {
        let buckets = (0..buckets.max(1)).map(|_| Bucket {
            entries: Atomic::null(),
            writer: Mutex::new(()),
        });
        Map {
            buckets: buckets.collect(),
            hasher: RandomState::new(),
        }
    }

    /// The value of a key, for as long as the guard.
    pub fn get<'g>(&self, key: &K, guard: &'g Guard<'_, Maps>) -> Option<&'g V> {
        let entries = self.bucket(key).entries.load(guard).as_ref()?;
        let found = entries.iter().find(|(other, _)| other == key);
        found.map(|(_, value)| value)
    }

    /// Gives a key a value; whether it had one.
    pub fn insert(&self, key: K, value: V) -> bool {
        self.change(&key.clone(), |rest| rest.push((key, value)))
    }

    /// Takes a key away; whether it was there.
    pub fn remove(&self, key: &K) -> bool {
        self.change(key, |_| {})
    }

    /// Replaces the bucket of a key by one without it, changed as asked.
    fn change(&self, key: &K, change: impl FnOnce(&mut Vec<(K, V)>)) -> bool {
        let bucket = self.bucket(key);
        let _writer = bucket.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = Maps::enter();
        let old = bucket.entries.load(&guard).as_ref();
        let old = old.map_or(&[][..], |entries| entries);
        let others = old.iter().filter(|(other, _)| other != key);
        let mut entries: Vec<_> = others.cloned().collect();
        let was_there = entries.len() < old.len();
        change(&mut entries);
        let new = (!entries.is_empty()).then(|| entries.into_boxed_slice());
        bucket.entries.replace(new);
        was_there
    }

    fn bucket(&self, key: &K) -> &Bucket<K, V> {
        &self.buckets[self.hasher.hash_one(key) as usize % self.buckets.len()]
    }
}

/// A pointer does not own what it leads to.
impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Drop for Map<K, V> {
    fn drop(&mut self) {
        self.buckets
            .iter()
            .for_each(|one| one.entries.replace(None));
    }
}

/// Readers that look up keys whose values all say the same, while a writer changes them;
/// how many lookups there were.
fn serve(readers: u64, writes: u64) -> u64 {
    const KEYS: u64 = 64;
    let map = Map::new(16);
    (0..KEYS).for_each(|key| _ = map.insert(key, (key, key)));
    let (lookups, writing) = (AtomicU64::new(0), AtomicBool::new(true));
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let mut count = 0;
                while writing.load(Ordering::Relaxed) || count == 0 {
                    let guard = Maps::enter();
                    for key in 0..KEYS {
                        let (a, b) = map.get(&key, &guard).expect("keys are never taken away");
                        assert_eq!(a % KEYS, key);
                        assert_eq!(a, b, "half of a value");
                    }
                    count += KEYS;
                }
                lookups.fetch_add(count, Ordering::Relaxed);
            });
        }
        for turn in 0..writes {
            let key = turn % KEYS;
            assert!(map.insert(key, (turn * KEYS + key, turn * KEYS + key)));
        }
        writing.store(false, Ordering::Relaxed);
    });
    lookups.into_inner()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (readers, writes) = (next(2), next(20_000));
    println!("{} lookups during {writes} writes", serve(readers, writes));
    println!("{:?}", Maps::domain().stats());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go() {
        let map = Map::new(2);
        for key in 0..20 {
            assert!(!map.insert(key, key.to_string()));
        }
        assert!(map.insert(7, "seven".to_owned()));
        let guard = Maps::enter();
        assert_eq!(map.get(&7, &guard).map(String::as_str), Some("seven"));
        let seven = map.get(&7, &guard);
        assert!(map.remove(&7));
        assert!(!map.remove(&7));
        assert_eq!(map.get(&7, &guard), None);
        // What was found stays for as long as the guard.
        assert_eq!(seven.map(String::as_str), Some("seven"));
        assert_eq!(map.get(&8, &guard).map(String::as_str), Some("8"));
    }

    #[test]
    fn readers_see_whole_values() {
        assert!(serve(2, 2_000) > 0);
    }
}
