//! Revoked ids and their times, by issuer.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
};

use aws_lc_rs::digest::{SHA256, digest};
// With std's hasher here and in the token cache, a request with a cached token takes a sixth longer.
use foldhash::fast::RandomState;

use super::CapacityError;
use crate::claims::Claims;

/// The maximum number of expired entries that one insertion removes, so that none takes long.
const MAX_PURGED: usize = 16;

/// Longer ids are kept as their SHA-256, which bounds the memory of an entry.
const MAX_ID: usize = 128;

#[derive(Default)]
pub(super) struct List {
    /// There are only a few, so comparing names is faster than hashing one.
    issuers: BTreeMap<Arc<[u8]>, Issuer>,
    len: usize,
}

/// The entries of one issuer.
#[derive(Default)]
struct Issuer {
    /// By session id: the time of the revocation.
    sessions: ExpiringMap,
    /// By user id: tokens issued until this time are rejected.
    users: ExpiringMap,
}

/// What an id identifies.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Session,
    User,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The times of the claims' session and user, if they have entries.
    pub(super) fn find(&self, claims: &Claims) -> (Option<u64>, Option<u64>) {
        let mut found = (None, None);
        if self.len == 0 {
            return found;
        }
        let session = claims.session_id().map(key);
        let user = key(claims.subject());
        let mut search = |issuer: &Issuer| {
            found.0 = found.0.max(session.as_ref().and_then(|session| issuer.sessions.get(session)));
            found.1 = found.1.max(issuer.users.get(&user));
        };
        if claims.issuers.is_empty() {
            self.issuers.values().for_each(search);
        } else {
            claims.issuers.iter().filter_map(|name| self.issuers.get(&*key(name))).for_each(&mut search);
        }
        found
    }

    /// Adds an entry, or moves it to a later time.
    pub(super) fn add(
        &mut self,
        issuer: &str,
        kind: Kind,
        id: &str,
        time: u64,
        max_entries: usize,
        is_expired: impl Fn(u64) -> bool,
    ) -> Result<(), CapacityError> {
        let (issuer, id) = (key(issuer), key(id));
        if let Some(issuer) = self.issuers.get_mut(&*issuer) {
            if issuer.entries(kind).extend(&id, time) {
                return Ok(());
            }
            self.len -= issuer.purge(&is_expired);
        }
        if self.len >= max_entries {
            self.purge(&is_expired);
        }
        if self.len >= max_entries {
            return Err(CapacityError(()));
        }
        self.issuers.entry(issuer.into()).or_default().entries(kind).insert(id.into(), time);
        self.len += 1;
        Ok(())
    }

    /// Purges the entries of every issuer, of which there are few.
    fn purge(&mut self, is_expired: impl Fn(u64) -> bool) {
        self.issuers.retain(|_, issuer| {
            self.len -= issuer.purge(&is_expired);
            !(issuer.sessions.is_empty() && issuer.users.is_empty())
        });
    }
}

impl Issuer {
    fn entries(&mut self, kind: Kind) -> &mut ExpiringMap {
        match kind {
            Kind::Session => &mut self.sessions,
            Kind::User => &mut self.users,
        }
    }

    /// Removes some of the expired entries, and returns how many.
    fn purge(&mut self, is_expired: impl Fn(u64) -> bool) -> usize {
        self.sessions.purge(&is_expired) + self.users.purge(&is_expired)
    }
}

/// A map from ids to times that removes expired entries, the earliest first.
#[derive(Default)]
struct ExpiringMap {
    times: HashMap<Arc<[u8]>, u64, RandomState>,
    /// Every id once, the earliest first. An id whose time was extended is still queued under its old time.
    queue: BinaryHeap<Reverse<(u64, Arc<[u8]>)>>,
}

impl ExpiringMap {
    fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    fn get(&self, id: &[u8]) -> Option<u64> {
        self.times.get(id).copied()
    }

    fn insert(&mut self, id: Arc<[u8]>, time: u64) {
        self.times.insert(id.clone(), time);
        self.queue.push(Reverse((time, id)));
    }

    /// Moves an entry to a later time. Returns whether there is one.
    fn extend(&mut self, id: &[u8], time: u64) -> bool {
        let Some(present) = self.times.get_mut(id) else { return false };
        *present = time.max(*present);
        true
    }

    /// Removes some of the expired entries, and returns how many.
    fn purge(&mut self, is_expired: impl Fn(u64) -> bool) -> usize {
        let mut purged = 0;
        while purged < MAX_PURGED
            && let Some(Reverse((queued, _))) = self.queue.peek()
            && is_expired(*queued)
            && let Some(Reverse((queued, id))) = self.queue.pop()
        {
            match self.times.get(&id) {
                Some(&time) if time > queued => self.queue.push(Reverse((time, id))),
                _ => {
                    self.times.remove(&id);
                    purged += 1;
                }
            }
        }
        purged
    }
}

/// The key of an id in a map.
fn key(id: &str) -> Cow<'_, [u8]> {
    match id.len() {
        0..=MAX_ID => Cow::Borrowed(id.as_bytes()),
        _ => Cow::Owned(digest(&SHA256, id.as_bytes()).as_ref().to_vec()),
    }
}

#[cfg(test)]
mod tests;
