use std::{fmt::Write, sync::Mutex};

use tracing::{Event, Metadata, Subscriber, field::Visit, span};

use crate::keys::{FetchError, RemoteKeySet};

/// Keeps every event as text.
#[derive(Default, Clone)]
struct Lines(std::sync::Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        // Other crates log here, too.
        if event.metadata().target().starts_with("better_auth_jwt") {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
#[cfg(feature = "jwks-reqwest")]
fn the_log_names_the_url_at_the_start_and_with_each_failure_but_not_its_query() {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Nothing listens where a listener has just been.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let keys = RemoteKeySet::new(format!("http://{address}/api/auth/jwks?key=secret")).unwrap();
        assert!(runtime.block_on(keys.load()).is_err());
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("INFO") && lines[1].starts_with("WARN"), "{lines:?}");
        for line in &*lines {
            assert!(line.contains(&format!("jwks=\"http://{address}/api/auth/jwks\"")), "{line}");
            assert!(!line.contains("secret"), "{line}");
        }
    });
}

#[test]
fn a_subscriber_may_use_the_keys() {
    /// Reads the status at each event, as a subscriber with metrics might.
    struct Curious(RemoteKeySet);

    impl Subscriber for Curious {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.status();
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    let keys = RemoteKeySet::with_fetch(async |_| Err(FetchError::Timeout)).build().unwrap();
    tracing::subscriber::with_default(Curious(keys.clone()), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(keys.load()), Err(FetchError::Timeout));
    });
}
