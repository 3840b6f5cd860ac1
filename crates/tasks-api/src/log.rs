//! The log: tracing-subscriber on standard error, as text or JSON.

use std::{
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
};

use anyhow::{anyhow, ensure};
use tracing::{Metadata, error};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What is logged without `RUST_LOG`.
const DEFAULT_FILTER: &str = "info,sqlx=error,sea_orm_migration=warn";

/// A few MB, if standard error is not read.
const BUFFERED_LINES: usize = 16 * 1024;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Logs to standard error until the result is dropped, which writes what is left.
///
/// If standard error is not read, lines are dropped instead of requests delayed: see [`dropped_lines`].
///
/// # Errors
/// `RUST_LOG` cannot be parsed.
pub(crate) fn init(format: LogFormat) -> anyhow::Result<WorkerGuard> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => filter(&directives)?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(BUFFERED_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let _ = DROPPED.set(writer.error_counter());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(filter_fn(|metadata| !contains_credentials(metadata)));
    tracing_subscriber::registry().with(filter).with(lines).init();
    panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// A panic is an event like any other: in JSON, and with the span of its request.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    error!(panic = panic.payload_as_str(), location, "panic");
}

/// # Errors
/// The directives cannot be parsed, or are a single word that is not a level: it would be the name of the one crate that is
/// logged.
fn filter(directives: &str) -> anyhow::Result<EnvFilter> {
    const EXAMPLES: &str = "use a level such as info, or info,better_auth_jwt=debug";
    let is_word = directives.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    ensure!(!is_word || directives.parse::<LevelFilter>().is_ok(), "RUST_LOG is not a level: {EXAMPLES}");
    EnvFilter::builder().parse(directives).map_err(|_| anyhow!("RUST_LOG cannot be parsed: {EXAMPLES}"))
}

/// How many lines have been dropped.
pub(crate) fn dropped_lines() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// sqlx logs malformed lines of a `.pgpass` file and the values of parameters of the database URL that it does not know, and
/// SeaORM's spans have the database URL: all of these may contain passwords.
fn contains_credentials(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let has_field = |name| metadata.fields().field(name).is_some();
    (metadata.is_span() && target.starts_with("sea_orm"))
        || (target.starts_with("sqlx_postgres::options") && ["line", "value"].into_iter().any(has_field))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{info_span, subscriber};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_an_event_in_its_span() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let previous = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let result = subscriber::with_default(subscriber, || {
            info_span!("request", request_id = 7).in_scope(|| panic::catch_unwind(|| panic!("broken")))
        });
        panic::set_hook(previous);
        assert!(result.is_err());
        let line: Value = serde_json::from_slice(&buffer.0.lock().unwrap()).unwrap();
        assert_eq!((&line["panic"], &line["span"]["request_id"]), (&json!("broken"), &json!(7)));
        assert!(line["location"].as_str().unwrap().contains("log.rs"), "{line}");
    }
}
