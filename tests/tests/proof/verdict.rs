//! What a verifier says to a token, at a time of one's choice.

use std::sync::Arc;

use better_auth_jwt::{Claims, Clock, ErrorKind, Verifier};
use futures_util::FutureExt;

/// A verifier's answer. Keys at hand never make anybody wait for it.
pub(crate) fn of(verifier: &Verifier, token: &str) -> Result<Arc<Claims>, ErrorKind> {
    let verdict = verifier.verify(token).now_or_never().expect("an answer at once");
    verdict.map_err(|error| error.kind())
}

/// A clock that always shows this time.
pub(crate) fn at(unix_time: u64) -> Arc<dyn Clock> {
    struct Stopped(u64);

    impl Clock for Stopped {
        fn unix_time(&self) -> u64 {
            self.0
        }
    }

    Arc::new(Stopped(unix_time))
}
