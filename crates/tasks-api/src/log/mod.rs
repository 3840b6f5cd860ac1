//! The log: a line on standard error for each event, as text or as JSON (`line`), written together with others (`lines`).

mod line;
mod lines;

use std::io::{self, IsTerminal};

use tracing::Metadata;
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

use self::{
    line::Line,
    lines::{InTime, LINES},
};
use crate::{cli::Failure, observe::RequestId};

tokio::task_local! {
    /// The id of the request in hand: every line has it that is about one. A span would do the same for all who listen, but
    /// there is only this log, and spans cost more than its lines do.
    pub(crate) static REQUEST_ID: RequestId;
}

/// Logs to standard error, for standard output belongs to what a command prints; until the result is dropped.
pub(crate) fn to_stderr(json: bool) -> Result<Log, Failure> {
    let failure = |error: io::Error| Failure::new(format!("the system gives no thread for the log: {error}."));
    LINES.keep_writing().map_err(failure)?;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm_migration=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(InTime)
        .with_ansi(io::stderr().is_terminal())
        .event_format(if json { Line::Json } else { Line::Text })
        .finish()
        .with(filter_fn(|event| !quotes_credentials(event)))
        .init();
    Ok(Log)
}

/// sqlx quotes malformed lines of a `.pgpass` file, and the values of parameters of the database URL that it does not
/// know: both may be passwords. `database::connect` names such parameters.
fn quotes_credentials(event: &Metadata<'_>) -> bool {
    event.target().starts_with("sqlx_postgres::options")
        && ["line", "value"].iter().any(|field| event.fields().field(field).is_some())
}

/// No line is left behind when it is dropped.
pub(crate) struct Log;

impl Drop for Log {
    fn drop(&mut self) {
        LINES.flush();
    }
}
