use std::sync::Arc;

use super::*;

const MIB: usize = 1024 * 1024;

fn token(n: usize) -> Vec<u8> {
    format!("{n:0>64}").into_bytes()
}

impl<V> TokenCache<V> {
    /// The sum over all entries, which must be what the generations have counted.
    fn bytes(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        let sum = |generation: &Generation<V>| generation.entries.values().map(|entry| entry.bytes).sum::<usize>();
        let (current, previous) = (sum(&generations.current), sum(&generations.previous));
        assert_eq!((current, previous), (generations.current.bytes, generations.previous.bytes));
        current + previous
    }

    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.current.entries.len() + generations.previous.entries.len()
    }
}

#[test]
fn tokens_are_compared_completely() {
    let cache = TokenCache::new(MIB);
    assert_eq!(cache.get(&token(1)), None);
    cache.insert(&token(1), "one", 0, 0);
    assert_eq!(cache.get(&token(1)), Some("one"));
    assert_eq!(cache.get(&token(2)), None);
    assert_eq!(cache.get(&[b"x", &*token(1)].concat()), None, "the end is the same, the token is not");
    assert_eq!(cache.get(b"short"), None);
    cache.insert(&token(1), "again", 0, 0);
    assert_eq!((cache.get(&token(1)), cache.len()), (Some("again"), 1));
}

#[test]
fn the_size_is_bounded_and_used_tokens_stay() {
    let cache = TokenCache::new(MIB);
    let in_use = "h".repeat(64);
    cache.insert(in_use.as_bytes(), 0, 100, 0);
    for n in 0..100_000 {
        cache.insert(&token(n), n, n % 5000, 0);
        assert_eq!(cache.get(in_use.as_bytes()), Some(0));
        if n % 1000 == 0 {
            assert!(cache.bytes() <= MIB);
        }
    }
    assert!(cache.bytes() > MIB / 2);
}

#[test]
fn the_least_recently_used_entries_are_dropped_first() {
    let cache = TokenCache::new(100 * (Entry::<usize>::OVERHEAD + 64));
    for n in 0..100 {
        cache.insert(&token(n), n, 0, 0);
    }
    assert_eq!(cache.len(), 100);
    assert_eq!(cache.get(&token(7)), Some(7));
    cache.insert(&token(100), 100, 0, 0);
    assert_eq!(cache.get(&token(8)), None);
    for n in [7, 50, 99, 100] {
        assert_eq!(cache.get(&token(n)), Some(n));
    }
}

#[test]
fn unused_entries_are_dropped_after_two_generations() {
    let cache = TokenCache::new(MIB);
    for n in 0..100 {
        cache.insert(&token(n), n, 0, 1_000_000);
    }
    cache.insert(&token(200), 200, 0, 1_000_000 + GENERATION_TIME);
    assert_eq!(cache.get(&token(7)), Some(7), "now in use");
    cache.insert(&token(201), 201, 0, 1_000_000 + 2 * GENERATION_TIME);
    assert_eq!(cache.len(), 3);
    assert_eq!(cache.get(&token(7)), Some(7));
    cache.insert(&token(202), 202, 0, 5);
    assert_eq!(cache.len(), 4, "a clock that is set back drops nothing");
}

#[test]
fn an_oversized_entry_is_not_stored_and_evicts_nothing() {
    let cache = TokenCache::new(1000);
    cache.insert(&token(1), 1, 0, 0);
    cache.insert(&token(2), 2, 500, 0);
    assert_eq!((cache.get(&token(1)), cache.get(&token(2))), (Some(1), None));
}

#[test]
fn a_cache_of_size_zero_stores_nothing() {
    let cache = TokenCache::new(0);
    cache.insert(&token(1), 1, 0, 0);
    assert_eq!(cache.get(&token(1)), None);
}

/// A user's value, which uses the cache when it is dropped.
struct Reentrant(Arc<TokenCache<Option<Arc<Reentrant>>>>);

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.0.get(&token(1));
    }
}

#[test]
fn values_are_dropped_after_the_lock_is_released() {
    let cache = Arc::new(TokenCache::new(20_000));
    for n in 0..1000 {
        let value = Some(Arc::new(Reentrant(cache.clone())));
        cache.insert(&token(n), value, 0, n as u64 * 100);
        cache.insert(&token(n), None, 0, 0);
        cache.insert(&token(n), Some(Arc::new(Reentrant(cache.clone()))), 0, 0);
        if n > 60 {
            cache.get(&token(n - 60));
        }
    }
    // A strong reference would be a cycle.
    (0..1000).for_each(|n| cache.insert(&token(n), None, 0, 0));
}
