//! Running an exchange.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{
    ExchangeResult, Refusal, credential::Credential, request::RequestError, results::SessionHash, shared::Shared,
};
use crate::deadline;

/// `None` until the exchange is complete.
pub(super) type Completed = watch::Receiver<Option<ExchangeResult>>;

/// How much longer than an exchange may take a request waits for it, in case the runtime of the exchange is blocked.
const GRACE: Duration = Duration::from_secs(1);

/// When to retry if an exchange was lost.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An exchange that is running. Dropping it stores its result, also if its task was cancelled.
pub(super) struct RunningExchange {
    pub(super) shared: Arc<Shared>,
    pub(super) session: SessionHash,
    pub(super) completed: watch::Sender<Option<ExchangeResult>>,
    /// `None` if it was cancelled.
    pub(super) result: Option<Result<String, RequestError>>,
}

impl RunningExchange {
    /// Runs the exchange in a task of its own, which outlives the request that started it.
    pub(super) fn spawn(self, session: Credential, runtime: &Handle) {
        runtime.spawn(self.run(session));
    }

    async fn run(mut self, session: Credential) {
        let response = (self.shared.request)(session);
        let response = tokio::time::timeout(self.shared.settings.timeout, response).await;
        self.result = Some(response.unwrap_or(Err(RequestError::Timeout)));
    }
}

impl Drop for RunningExchange {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or(Err(RequestError::Cancelled));
        self.completed.send_replace(Some(self.shared.complete(&self.session, result)));
    }
}

/// Waits until the exchange is complete.
pub(super) async fn wait(mut completed: Completed, timeout: Duration) -> ExchangeResult {
    let lost = Err(Refusal::Unavailable(RETRY_AFTER));
    match deadline::within(timeout + GRACE, completed.wait_for(Option::is_some)).await {
        Some(Ok(result)) => result.clone().unwrap_or(lost),
        _ => lost,
    }
}
