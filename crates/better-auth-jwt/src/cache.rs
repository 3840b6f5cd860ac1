//! What was verified before, by token.

use std::{
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use foldhash::fast::RandomState;

/// Entries of one set. A token can only be in the set that its hash names.
const WAYS: usize = 4;

/// How many uses count. What is used more often than this is not more worth keeping.
const MOST_USES: u8 = 3;

/// A bounded map from whole tokens to what their verification found.
///
/// Only verified tokens come in, so no flood of forged ones pushes anything out. Of verified ones
/// that have to make room for each other, those used least go first.
pub(crate) struct Cache<V> {
    sets: OnceLock<Box<[Mutex<Set<V>>]>>,
    set_count: usize,
    hasher: RandomState,
}

struct Set<V> {
    ways: [Option<Entry<V>>; WAYS],
}

struct Entry<V> {
    hash: u64,
    uses: u8,
    /// Compared as a whole: a hash alone proves nothing.
    token: Box<[u8]>,
    value: V,
}

impl<V: Clone> Cache<V> {
    /// A cache for about this many tokens. Without room for any it keeps none.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { sets: OnceLock::new(), set_count: tokens.div_ceil(WAYS), hasher: RandomState::default() }
    }

    /// For how many tokens there is room.
    pub(crate) fn capacity(&self) -> usize {
        self.set_count * WAYS
    }

    pub(crate) fn find(&self, token: &[u8]) -> Option<V> {
        let sets = self.sets.get()?;
        let hash = self.hash(token)?;
        let mut set = lock(self.set(sets, hash)?);
        let entry = set.ways.iter_mut().flatten().find(|entry| entry.is(hash, token))?;
        entry.uses = (entry.uses + 1).min(MOST_USES);
        Some(entry.value.clone())
    }

    /// Keeps a value. `is_dead` tells which others no longer help anybody.
    pub(crate) fn insert(&self, token: &[u8], value: V, is_dead: impl Fn(&V) -> bool) {
        let Some(hash) = self.hash(token).filter(|_| self.set_count > 0) else { return };
        let entry = Entry { hash, uses: 0, token: token.into(), value };
        let sets = self.sets.get_or_init(|| (0..self.set_count).map(|_| Mutex::new(Set::new())).collect());
        if let Some(set) = self.set(sets, hash) {
            let replaced = lock(set).insert(entry, is_dead);
            // Freed without holding the lock.
            drop(replaced);
        }
    }

    /// Of the end alone, which is the signature: different for different verified tokens. None is so short that it has
    /// no such end.
    fn hash(&self, token: &[u8]) -> Option<u64> {
        token.last_chunk::<64>().map(|end| self.hasher.hash_one(end))
    }

    fn set<'s>(&self, sets: &'s [Mutex<Set<V>>], hash: u64) -> Option<&'s Mutex<Set<V>>> {
        sets.get(hash as usize % self.set_count)
    }
}

impl<V> Set<V> {
    fn new() -> Self {
        Self { ways: [const { None }; WAYS] }
    }

    /// Puts an entry in and returns the one whose place it took.
    fn insert(&mut self, entry: Entry<V>, is_dead: impl Fn(&V) -> bool) -> Option<Entry<V>> {
        const IN_USE: u8 = 3;
        let rank = |way: &Option<Entry<V>>| match way {
            Some(old) if old.is(entry.hash, &entry.token) => 0,
            None => 1,
            Some(old) if is_dead(&old.value) => 2,
            Some(old) => IN_USE + old.uses,
        };
        let (rank, place) = self.ways.iter_mut().map(|way| (rank(way), way)).min_by_key(|(rank, _)| *rank)?;
        let replaced = place.replace(entry);
        // Even the least used was used this often: for the others as much no longer counts.
        let worn = rank.saturating_sub(IN_USE);
        self.ways.iter_mut().flatten().for_each(|old| old.uses = old.uses.saturating_sub(worn));
        replaced
    }
}

impl<V> Entry<V> {
    fn is(&self, hash: u64, token: &[u8]) -> bool {
        self.hash == hash && *self.token == *token
    }
}

fn lock<V>(set: &Mutex<Set<V>>) -> MutexGuard<'_, Set<V>> {
    // An entry is only ever replaced as a whole; a panic elsewhere leaves the set sound.
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: usize) -> Vec<u8> {
        format!("{n:0>64}").into_bytes()
    }

    #[test]
    fn a_token_is_found_again_and_no_other_is() {
        let cache = Cache::new(1000);
        assert_eq!(cache.find(&token(1)), None);
        cache.insert(&token(1), "one", |_| false);
        assert_eq!(cache.find(&token(1)), Some("one"));
        assert_eq!(cache.find(&token(2)), None);
        assert_eq!(cache.find(&[b"x", &*token(1)].concat()), None, "the same end is not the same token");
        cache.insert(&token(1), "again", |_| false);
        assert_eq!(cache.find(&token(1)), Some("again"));
    }

    #[test]
    fn memory_is_bounded_and_the_token_in_use_stays() {
        let cache = Cache::new(64);
        let hot = "h".repeat(64);
        cache.insert(hot.as_bytes(), 0, |_| false);
        cache.find(hot.as_bytes());
        for n in 0..1_000_000 {
            cache.insert(&token(n), n, |_| false);
        }
        assert_eq!(cache.find(hot.as_bytes()), Some(0));
        let kept: usize = cache.sets.get().unwrap().iter().map(|set| lock(set).ways.iter().flatten().count()).sum();
        assert_eq!(kept, 64);
    }

    #[test]
    fn what_was_in_use_once_goes_when_others_are_in_use() {
        let cache = Cache::new(WAYS);
        for n in 0..WAYS {
            cache.insert(&token(n), n, |_| false);
            cache.find(&token(n));
        }
        cache.insert(&token(10), 10, |_| false);
        let left = (0..WAYS).filter(|n| cache.find(&token(*n)).is_some()).count();
        assert_eq!(left, WAYS - 1);
        assert_eq!(cache.find(&token(10)), Some(10));
    }

    #[test]
    fn the_dead_make_room_first() {
        let cache = Cache::new(WAYS);
        for n in 0..WAYS {
            cache.insert(&token(n), n, |_| false);
        }
        for _ in 0..3 {
            cache.find(&token(2));
        }
        cache.insert(&token(10), 10, |n| *n == 2);
        assert_eq!(cache.find(&token(2)), None);
        assert_eq!((0..WAYS).filter(|n| cache.find(&token(*n)).is_some()).count(), WAYS - 1);
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let cache = Cache::new(0);
        cache.insert(&token(1), 1, |_| false);
        assert_eq!(cache.find(&token(1)), None);
    }
}
