//! Running an exchange.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};

use super::{
    Exchange, ExchangeResult, Refusal,
    credential::Credential,
    limits::Completed,
    request::RequestError,
    results::SessionHash,
    shared::{Shared, Step},
};
use crate::deadline;

/// How much longer than an exchange may take a request waits for it, in case the runtime of the exchange is blocked.
const GRACE: Duration = Duration::from_secs(1);

/// When to retry if an exchange was lost.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Exchanges a session, waits for an exchange of it that is running, or returns a recent result.
pub(super) fn exchange(shared: &Arc<Shared>, session: Credential) -> Exchange {
    let hash = shared.hash(&session);
    let completed = match shared.next_step(&hash) {
        Step::Ready(result) => return Exchange::Ready(result.map_err(Into::into)),
        Step::Join(completed) => completed,
        Step::Start(sender) => {
            let completed = sender.subscribe();
            let running = RunningExchange { shared: shared.clone(), session: hash, completed: sender, result: None };
            // In a task of its own, which outlives the request that started it. Outside a runtime, it is dropped.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(running.run(session));
            }
            completed
        }
    };
    let limit = shared.settings.timeout + GRACE;
    Exchange::Pending(Box::pin(async move { Ok(wait(completed, limit).await?) }))
}

async fn wait(mut completed: Completed, limit: Duration) -> ExchangeResult {
    let lost = Err(Refusal::Unavailable(RETRY_AFTER));
    match deadline::within(limit, completed.wait_for(Option::is_some)).await {
        Some(Ok(result)) => result.clone().unwrap_or(lost),
        _ => lost,
    }
}

/// An exchange that is running. Dropping it stores its result, also if its task was cancelled.
struct RunningExchange {
    shared: Arc<Shared>,
    session: SessionHash,
    completed: watch::Sender<Option<ExchangeResult>>,
    /// `None` if it was cancelled.
    result: Option<Result<String, RequestError>>,
}

impl RunningExchange {
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
