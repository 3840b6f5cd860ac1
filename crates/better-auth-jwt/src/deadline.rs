//! An upper bound for waiting.

use std::{future::Future, time::Duration};

/// Waits for a future, at most this long.
///
/// Outside of a tokio runtime there is no timer, and the future is simply awaited.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Some(future.await);
    }
    tokio::time::timeout(limit, future).await.ok()
}
