use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sea_orm::DbErr;
use tracing::error;

use crate::{db_error::Cause, problem::Problem};

/// Whether a request may have changed data by now. Its time limit asks: 503 promises that a request had no effect.
#[derive(Clone, Default)]
pub(crate) struct Effect(Arc<AtomicBool>);

impl Effect {
    /// Awaits a statement that commits.
    pub(crate) async fn of<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, Problem> {
        self.0.store(true, Ordering::Relaxed);
        statement.await.map_err(|error| match Cause::of(&error) {
            cause @ Cause::ConnectionLost => {
                error!(%error, "{}; whether a change was committed is unknown", cause.describe());
                Problem::OutcomeUnknown
            }
            _ => error.into(),
        })
    }

    /// The response to a request that is given up now.
    pub(crate) fn timed_out(&self) -> Problem {
        if self.0.load(Ordering::Relaxed) { Problem::OutcomeUnknown } else { Problem::Unavailable }
    }
}
