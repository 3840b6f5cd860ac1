//! A cache of missing keys: those that a search did not return.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{super::Algorithm, snapshot::FetchId};
use crate::jws::Header;

/// At most this many missing keys are cached, each with at most 256 bytes. Tokens of further keys get 503, never 401.
const MAX_KEYS: usize = 1024;

/// The missing keys of tokens, and the last search.
pub(super) struct MissingKeys {
    /// For each key, the first fetch that can start after the first request for the key.
    searched_from: HashMap<MissingKey, FetchId>,
    /// The last successful search and when it was complete.
    last_search: Option<(FetchId, Instant)>,
    /// How long the result of a search is valid.
    retention: Duration,
    /// The keys of searches up to this one have been removed.
    purged: FetchId,
}

/// The key that a token needs: by its `kid`, or by its algorithm if the token has none.
#[derive(PartialEq, Eq, Hash)]
enum MissingKey {
    KeyId(Box<str>),
    Algorithm(Algorithm),
}

impl MissingKeys {
    pub(super) fn new(retention: Duration) -> Self {
        Self { searched_from: HashMap::new(), last_search: None, retention, purged: 0 }
    }

    /// Whether a search that started after the first request for the key did not return it. Otherwise, only a search
    /// with the id `next_fetch` or higher can confirm that the key is missing.
    ///
    /// A missing key is searched for again after the retention, because the issuer may have published it.
    pub(super) fn is_confirmed(&mut self, header: &Header, next_fetch: FetchId, now: Instant) -> bool {
        let key = match header.key_id() {
            Some(id) => MissingKey::KeyId(id.into()),
            None => MissingKey::Algorithm(header.algorithm()),
        };
        let (last_search, is_recent) = match self.last_search {
            Some((id, completed)) => (id, now.saturating_duration_since(completed) < self.retention),
            None => (0, false),
        };
        if let Some(searched_from) = self.searched_from.get_mut(&key) {
            let was_searched = last_search >= *searched_from;
            if was_searched && !is_recent {
                *searched_from = next_fetch;
            }
            return was_searched && is_recent;
        }
        if self.searched_from.len() >= MAX_KEYS && !is_recent && self.purged < last_search {
            self.searched_from.retain(|_, searched_from| *searched_from > last_search);
            self.purged = last_search;
        }
        if self.searched_from.len() < MAX_KEYS {
            self.searched_from.insert(key, next_fetch);
        }
        false
    }

    /// A search is complete.
    pub(super) fn searched(&mut self, id: FetchId, now: Instant) {
        self.last_search = Some((id, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_secs(10);

    fn header(id: usize) -> Header {
        Header::parse(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)).unwrap()
    }

    #[test]
    fn only_a_search_that_started_after_the_first_request_confirms() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(RETENTION);
        // Search 5 is in flight, so the next one is number 6.
        assert!(!missing.is_confirmed(&header(1), 6, now));
        missing.searched(5, now);
        assert!(!missing.is_confirmed(&header(1), 6, now));
        missing.searched(6, now);
        assert!(missing.is_confirmed(&header(1), 7, now));
        assert!(!missing.is_confirmed(&header(2), 7, now), "another key has not been searched for");
    }

    #[test]
    fn a_missing_key_is_searched_for_again_after_the_retention() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(RETENTION);
        assert!(!missing.is_confirmed(&header(1), 1, now));
        missing.searched(1, now);
        assert!(missing.is_confirmed(&header(1), 2, now + RETENTION - Duration::from_nanos(1)));
        assert!(!missing.is_confirmed(&header(1), 3, now + RETENTION), "fetch 2 is in flight");
        missing.searched(2, now + RETENTION);
        assert!(!missing.is_confirmed(&header(1), 3, now + RETENTION), "fetch 2 started before");
        missing.searched(3, now + RETENTION);
        assert!(missing.is_confirmed(&header(1), 4, now + RETENTION));
    }

    #[test]
    fn a_token_without_kid_needs_a_key_of_its_algorithm() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(RETENTION);
        let without_kid = |alg: &str| Header::parse(format!(r#"{{"alg":"{alg}"}}"#)).unwrap();
        assert!(!missing.is_confirmed(&without_kid("ES256"), 1, now));
        missing.searched(1, now);
        assert!(missing.is_confirmed(&without_kid("ES256"), 2, now));
        assert!(!missing.is_confirmed(&without_kid("RS256"), 2, now));
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_further_keys_are_never_confirmed() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(RETENTION);
        for id in 0..MAX_KEYS + 1 {
            assert!(!missing.is_confirmed(&header(id), 1, now));
        }
        missing.searched(1, now);
        assert!(missing.is_confirmed(&header(MAX_KEYS - 1), 2, now));
        for _ in 0..2 {
            assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now), "it was not cached");
        }
        assert_eq!(missing.searched_from.len(), MAX_KEYS);
        // When the result is no longer valid, its keys are removed.
        assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now + RETENTION));
        assert_eq!(missing.searched_from.len(), 1);
        missing.searched(2, now + RETENTION);
        assert!(missing.is_confirmed(&header(MAX_KEYS), 3, now + RETENTION));
    }

    #[test]
    fn keys_that_wait_for_the_next_search_are_not_removed_to_make_room() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(RETENTION);
        for id in 1..MAX_KEYS {
            assert!(!missing.is_confirmed(&header(id), 1, now));
        }
        assert!(!missing.is_confirmed(&header(0), 2, now), "search 1 is in flight");
        missing.searched(1, now);
        assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now + RETENTION));
        missing.searched(2, now + RETENTION);
        assert!(missing.is_confirmed(&header(0), 3, now + RETENTION));
    }
}
