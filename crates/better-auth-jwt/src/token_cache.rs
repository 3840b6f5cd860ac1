//! A cache of verified tokens, bounded in bytes.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

// With std's hasher here and in the list of revoked sessions, a request with a cached token takes a sixth longer.
use foldhash::fast::RandomState;

/// The lifetime of a generation, in seconds. A token that no request uses is dropped after one to two lifetimes. Better
/// Auth's tokens expire after 15 minutes by default.
const GENERATION_TIME: u64 = 15 * 60;

/// The end of a token, which is the cache's key: a part of the signature, so it differs between tokens.
type Tag = [u8; 16];

/// A map from tokens to values, bounded in bytes.
///
/// Only verified tokens are inserted, so forged ones cannot evict entries.
///
/// There are two generations. New entries go into the current one; an entry of the previous one moves there when it is
/// used. When the current generation takes half of the bytes, or is too old, it becomes the previous one, and the
/// entries of the previous one are dropped. So the least recently used entries are dropped first, and expired ones
/// within two generations.
///
/// Values may contain the user's types, and their `Drop` may run any code: they are dropped after the lock is released.
pub(crate) struct TokenCache<V> {
    max_bytes: usize,
    generations: Mutex<Generations<V>>,
}

struct Generations<V> {
    current: Generation<V>,
    previous: Generation<V>,
    /// When the current generation started, in Unix seconds.
    started: u64,
}

struct Generation<V> {
    // Boxed, because a table has up to twice as many slots as entries.
    entries: HashMap<Tag, Box<Entry<V>>, RandomState>,
    bytes: usize,
}

struct Entry<V> {
    /// Always compared completely: equal tags do not mean equal tokens.
    token: Box<[u8]>,
    bytes: usize,
    value: V,
}

impl<V: Clone> TokenCache<V> {
    /// Creates a cache. If `max_bytes` is 0, it stores nothing.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let generations = Generations { current: Generation::new(), previous: Generation::new(), started: 0 };
        Self { max_bytes, generations: Mutex::new(generations) }
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The value of this token. `V::clone` runs under the lock.
    pub(crate) fn get(&self, token: &[u8]) -> Option<V> {
        let tag = tag(token)?;
        let mut generations = self.lock();
        if let Some(entry) = generations.current.entries.get(&tag) {
            return (*entry.token == *token).then(|| entry.value.clone());
        }
        let entry = generations.previous.remove(&tag)?;
        let value = (*entry.token == *token).then(|| entry.value.clone());
        let dropped = generations.insert(tag, entry, self.max_bytes / 2);
        drop(generations);
        drop(dropped);
        value
    }

    /// Inserts a value. `value_bytes` is its size on the heap, `now` the time in Unix seconds.
    pub(crate) fn insert(&self, token: &[u8], value: V, value_bytes: usize, now: u64) {
        let Some(tag) = tag(token) else { return };
        let bytes = token.len() + value_bytes + Entry::<V>::OVERHEAD;
        if bytes > self.max_bytes / 2 {
            return;
        }
        let entry = Box::new(Entry { token: token.into(), bytes, value });
        let mut generations = self.lock();
        let expired = generations.rotate_if_old(now);
        let dropped = generations.insert(tag, entry, self.max_bytes / 2);
        drop(generations);
        drop((expired, dropped));
    }

    fn lock(&self) -> MutexGuard<'_, Generations<V>> {
        // A panic cannot leave a generation inconsistent, except for its count of bytes.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Entry<V> {
    /// The size of an entry without its token and the value's heap memory: the entry itself, up to 16/7 slots of a hash
    /// table, and the allocator's headers.
    const OVERHEAD: usize = size_of::<Self>() + 16 * (size_of::<(Tag, Box<Self>)>() + 1) / 7 + 48;
}

/// Removed entries, to be dropped after the lock is released.
type Removed<V> = (Option<Box<Entry<V>>>, Option<Generation<V>>);

impl<V> Generations<V> {
    fn insert(&mut self, tag: Tag, entry: Box<Entry<V>>, max_bytes: usize) -> Removed<V> {
        let is_full = self.current.bytes + entry.bytes > max_bytes;
        let generation = is_full.then(|| self.rotate());
        (self.current.insert(tag, entry), generation)
    }

    fn rotate_if_old(&mut self, now: u64) -> Option<Generation<V>> {
        if now.saturating_sub(self.started) < GENERATION_TIME {
            return None;
        }
        self.started = now;
        Some(self.rotate())
    }

    /// Starts a new generation. Returns the one to be dropped.
    fn rotate(&mut self) -> Generation<V> {
        mem::replace(&mut self.previous, mem::replace(&mut self.current, Generation::new()))
    }
}

impl<V> Generation<V> {
    fn new() -> Self {
        Self { entries: HashMap::default(), bytes: 0 }
    }

    fn insert(&mut self, tag: Tag, entry: Box<Entry<V>>) -> Option<Box<Entry<V>>> {
        self.bytes += entry.bytes;
        let replaced = self.entries.insert(tag, entry)?;
        self.bytes -= replaced.bytes;
        Some(replaced)
    }

    fn remove(&mut self, tag: &Tag) -> Option<Box<Entry<V>>> {
        let removed = self.entries.remove(tag)?;
        self.bytes -= removed.bytes;
        Some(removed)
    }
}

/// The tag of a token. Every verified token is long enough to have one.
fn tag(token: &[u8]) -> Option<Tag> {
    token.last_chunk().copied()
}

#[cfg(test)]
mod tests;
