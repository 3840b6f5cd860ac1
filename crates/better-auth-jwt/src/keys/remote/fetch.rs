//! Running a fetch.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{
    super::KeySet,
    FetchError, JwksRequest, JwksResponse,
    settings::Settings,
    shared::Shared,
    snapshot::{Fetch, Loaded},
};

/// A fetch that is running. Dropping it reports its outcome to the state, also if its task was cancelled.
pub(super) struct RunningFetch {
    pub(super) shared: Arc<Shared>,
    /// Dropped after the state has changed, so that waiting requests find the fetch complete.
    pub(super) fetch: Fetch,
    /// `None` if the fetch was cancelled.
    pub(super) outcome: Option<Result<Loaded, FetchError>>,
}

/// Runs the fetch in a separate task, which outlives the request that caused it. The channel closes when it is
/// complete.
///
/// A runtime that is shutting down drops the task immediately, and the fetch with it.
pub(super) fn spawn(shared: Arc<Shared>, fetch: Fetch, runtime: &Handle) -> watch::Receiver<()> {
    let completed = fetch.completed.subscribe();
    runtime.spawn(RunningFetch { shared, fetch, outcome: None }.run());
    completed
}

/// Waits until the fetch is complete, with a limit in case its runtime is blocked.
///
/// # Panics
///
/// Outside a runtime, or if its timer is not enabled.
pub(super) fn wait(mut completed: watch::Receiver<()>, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    // Created here, so that the timer belongs to this runtime, wherever the future is polled. Nothing is sent on the
    // channel; it closes.
    let closed = tokio::time::timeout(limit, async move { completed.changed().await });
    Box::pin(async move { _ = closed.await })
}

impl RunningFetch {
    async fn run(mut self) {
        let settings = &self.shared.settings;
        let response = (self.shared.fetch)(JwksRequest::new(&self.fetch));
        let response = tokio::time::timeout(settings.timeout, response).await.unwrap_or(Err(FetchError::Timeout));
        self.outcome = Some(response.and_then(|response| read(response, &self.fetch, settings)));
    }
}

impl Drop for RunningFetch {
    fn drop(&mut self) {
        let outcome =
            self.outcome.take().unwrap_or_else(|| Err(FetchError::Connection("the fetch was cancelled".to_owned())));
        // Keeps the keys alive until the lock is released, even if the state discards them.
        let summary = outcome.as_ref().map(|loaded| loaded.keys.clone()).map_err(Clone::clone);
        self.shared.change(|state, now| match outcome {
            Ok(loaded) => state.succeeded(&self.fetch, loaded, now),
            Err(error) => state.failed(self.fetch.id, error, now),
        });
        log(&self.shared.source, summary);
    }
}

fn read(response: JwksResponse, fetch: &Fetch, settings: &Settings) -> Result<Loaded, FetchError> {
    let age = response.age;
    let fresh_for = match response.max_age {
        Some(max_age) => max_age.saturating_sub(age).clamp(settings.min_max_age, settings.max_max_age),
        None => settings.default_max_age,
    };
    let current = fetch.current.as_ref();
    let (keys, etag) = match response.body {
        Some(body) if body.len() > settings.max_body_size => return Err(FetchError::TooLarge),
        Some(body) => {
            let keys = KeySet::read(&body, settings.default_rsa_algorithm)
                .map_err(|error| FetchError::InvalidKeySet(error.to_string()))?;
            (Arc::new(keys), response.etag)
        }
        // RFC 9110, section 15.4.5: a response to a conditional request only.
        None => match current {
            Some(current) if !fetch.bypass_caches && current.etag.is_some() => {
                (current.keys.clone(), response.etag.or_else(|| current.etag.clone()))
            }
            _ => return Err(FetchError::Status { status: 304, retry_after: None }),
        },
    };
    let is_unchanged = current.is_some_and(|current| current.keys.is_same(&keys));
    Ok(Loaded { keys, is_unchanged, etag, age, fresh_for })
}

fn log(source: &str, outcome: Result<Arc<KeySet>, FetchError>) {
    #[cfg(feature = "tracing")]
    match outcome {
        Ok(keys) => {
            tracing::debug!(jwks = source, keys = keys.len(), "keys fetched");
            keys.rejected().iter().for_each(|rejected| tracing::warn!(jwks = source, "{rejected}"));
        }
        Err(error) => tracing::warn!(jwks = source, "cannot fetch keys: {error}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (source, outcome);
}

#[cfg(test)]
#[cfg(all(feature = "tracing", not(shuttle)))]
mod tests;
