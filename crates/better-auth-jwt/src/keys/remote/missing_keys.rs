//! Which missing keys have been searched for.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{super::Algorithm, snapshot::FetchId};
use crate::jws::Header;

/// At most this many missing keys are cached, each with at most 256 bytes. A key beyond that is never "not found";
/// its tokens get 503.
const MAX_KEYS: usize = 1024;

/// The keys that tokens have asked for in vain, and the last search.
pub(super) struct MissingKeys {
    /// For each key, the first fetch that can start after it was first asked for.
    searched_from: HashMap<Wanted, FetchId>,
    /// The last successful search and when it was complete.
    last_search: Option<(FetchId, Instant)>,
    /// For how long after a search its result holds.
    memory: Duration,
    /// The search whose keys have been removed.
    purged: FetchId,
}

/// The key that a token needs: by its `kid`, or by its algorithm if the token has none.
#[derive(PartialEq, Eq, Hash)]
enum Wanted {
    KeyId(Box<str>),
    Algorithm(Algorithm),
}

impl MissingKeys {
    pub(super) fn new(memory: Duration) -> Self {
        Self { searched_from: HashMap::new(), last_search: None, memory, purged: 0 }
    }

    /// Whether a search that started after the key was first asked for has not found it. Otherwise the next search, from
    /// `next_fetch` on, can tell.
    ///
    /// What a search has not found is looked for again after a while, since the issuer may have published it since.
    pub(super) fn is_confirmed(&mut self, header: &Header, next_fetch: FetchId, now: Instant) -> bool {
        let wanted = match header.key_id() {
            Some(id) => Wanted::KeyId(id.into()),
            None => Wanted::Algorithm(header.algorithm()),
        };
        let (last_search, is_recent) = self.last_search(now);
        if let Some(searched_from) = self.searched_from.get_mut(&wanted) {
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
            self.searched_from.insert(wanted, next_fetch);
        }
        false
    }

    /// A search is complete.
    pub(super) fn searched(&mut self, id: FetchId, now: Instant) {
        self.last_search = Some((id, now));
    }

    /// The last search, and whether its result still holds.
    fn last_search(&self, now: Instant) -> (FetchId, bool) {
        let is_recent = |ended| now.saturating_duration_since(ended) < self.memory;
        self.last_search.map_or((0, false), |(id, ended)| (id, is_recent(ended)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Duration = Duration::from_secs(10);

    fn header(id: usize) -> Header {
        Header::parse(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)).unwrap()
    }

    #[test]
    fn only_a_search_that_started_after_the_first_request_confirms() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(MEMORY);
        // Search 5 is in flight, so that the next is number 6.
        assert!(!missing.is_confirmed(&header(1), 6, now));
        missing.searched(5, now);
        assert!(!missing.is_confirmed(&header(1), 6, now));
        missing.searched(6, now);
        assert!(missing.is_confirmed(&header(1), 7, now));
        assert!(!missing.is_confirmed(&header(2), 7, now), "another key has not been searched for");
    }

    #[test]
    fn a_missing_key_is_searched_for_again_after_a_while() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(MEMORY);
        assert!(!missing.is_confirmed(&header(1), 1, now));
        missing.searched(1, now);
        assert!(missing.is_confirmed(&header(1), 2, now + MEMORY - Duration::from_nanos(1)));
        assert!(!missing.is_confirmed(&header(1), 3, now + MEMORY), "fetch 2 is in flight");
        missing.searched(2, now + MEMORY);
        assert!(!missing.is_confirmed(&header(1), 3, now + MEMORY), "fetch 2 started before");
        missing.searched(3, now + MEMORY);
        assert!(missing.is_confirmed(&header(1), 4, now + MEMORY));
    }

    #[test]
    fn a_token_without_kid_asks_for_its_algorithm() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(MEMORY);
        let without_kid = |alg: &str| Header::parse(format!(r#"{{"alg":"{alg}"}}"#)).unwrap();
        assert!(!missing.is_confirmed(&without_kid("ES256"), 1, now));
        missing.searched(1, now);
        assert!(missing.is_confirmed(&without_kid("ES256"), 2, now));
        assert!(!missing.is_confirmed(&without_kid("RS256"), 2, now));
    }

    #[test]
    fn memory_is_bounded_and_what_does_not_fit_is_never_confirmed() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(MEMORY);
        for id in 0..MAX_KEYS + 1 {
            assert!(!missing.is_confirmed(&header(id), 1, now));
        }
        missing.searched(1, now);
        assert!(missing.is_confirmed(&header(MAX_KEYS - 1), 2, now));
        for _ in 0..2 {
            assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now), "it was not remembered");
        }
        assert_eq!(missing.searched_from.len(), MAX_KEYS);
        // When the result no longer holds, there is room again.
        assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now + MEMORY));
        assert_eq!(missing.searched_from.len(), 1);
        missing.searched(2, now + MEMORY);
        assert!(missing.is_confirmed(&header(MAX_KEYS), 3, now + MEMORY));
    }

    #[test]
    fn keys_that_wait_for_the_next_search_are_not_removed_to_make_room() {
        let now = Instant::now();
        let mut missing = MissingKeys::new(MEMORY);
        for id in 1..MAX_KEYS {
            assert!(!missing.is_confirmed(&header(id), 1, now));
        }
        assert!(!missing.is_confirmed(&header(0), 2, now), "search 1 is in flight");
        missing.searched(1, now);
        assert!(!missing.is_confirmed(&header(MAX_KEYS), 2, now + MEMORY));
        missing.searched(2, now + MEMORY);
        assert!(missing.is_confirmed(&header(0), 3, now + MEMORY));
    }
}
