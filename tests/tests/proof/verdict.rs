//! The verdict of a verifier at a chosen time.

use std::sync::Arc;

use better_auth_jwt::{Claims, Clock, ErrorKind, Verifier};
use futures_util::FutureExt;

/// The verdict of a verifier. With keys in memory, verification never waits.
pub(crate) fn of(verifier: &Verifier, token: &str) -> Result<Arc<Claims>, ErrorKind> {
    let verdict = verifier.verify(token).now_or_never().expect("no waiting");
    verdict.map_err(|error| error.kind())
}

/// A clock that stands still at this time.
pub(crate) fn at(unix_time: u64) -> Arc<dyn Clock> {
    struct Stopped(u64);

    impl Clock for Stopped {
        fn unix_time(&self) -> u64 {
            self.0
        }
    }

    Arc::new(Stopped(unix_time))
}
