//! Upper bounds for waiting.

use std::{future::Future, time::Duration};

/// How long a request waits for one fetch of keys. Key sources have their own timeouts; this bounds the wait if a
/// source never finishes.
const KEY_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for keys. Returns whether they arrived in time.
pub(crate) async fn for_keys(keys: impl Future<Output = ()>) -> bool {
    within(KEY_TIMEOUT, keys).await.is_some()
}

/// Waits for a future, at most this long.
///
/// Outside of a tokio runtime there is no timer, so there is no limit.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Some(future.await);
    }
    tokio::time::timeout(limit, future).await.ok()
}
