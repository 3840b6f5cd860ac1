//! Running a fetch.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{
    super::KeySet,
    FetchError, JwksRequest, JwksResponse,
    settings::Settings,
    shared::InFlight,
    snapshot::{Fetch, Loaded},
};

/// Runs the fetch in a separate task, which outlives the request that caused it.
///
/// A runtime that is shutting down drops the task immediately, and the fetch with it.
pub(super) fn spawn(in_flight: InFlight, runtime: &Handle) {
    runtime.spawn(run(in_flight));
}

async fn run(mut in_flight: InFlight) {
    let shared = in_flight.shared.clone();
    let request = JwksRequest::new(&in_flight.fetch);
    let response = match tokio::time::timeout(shared.settings.timeout, (shared.fetch)(request)).await {
        Ok(response) => response,
        Err(_) => Err(FetchError::Timeout),
    };
    in_flight.outcome = Some(response.and_then(|response| read(response, &in_flight.fetch, &shared.settings)));
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
