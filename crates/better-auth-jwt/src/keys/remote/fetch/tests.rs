use tracing::{Event, Metadata, Subscriber, span};

use crate::keys::{FetchError, JwksResponse, RemoteKeySet};

/// Calls a function for each event.
struct OnEvent<F>(F);

impl<F: Fn(&Event<'_>) + 'static> Subscriber for OnEvent<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        (self.0)(event);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as text.
#[cfg(feature = "jwks-reqwest")]
struct Line(String);

#[cfg(feature = "jwks-reqwest")]
impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

#[test]
#[cfg(feature = "jwks-reqwest")]
fn the_log_contains_the_url_at_the_start_and_for_each_failure_but_not_its_query() {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = lines.clone();
    let subscriber = OnEvent(move |event: &Event<'_>| {
        // Other crates log events too.
        if event.metadata().target().starts_with("better_auth_jwt") {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            log.lock().unwrap().push(line.0);
        }
    });
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The listener is dropped, so nothing listens on this port.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let keys = RemoteKeySet::new(format!("http://{address}/api/auth/jwks?key=secret")).unwrap();
        assert!(runtime.block_on(keys.load()).is_err());
        let lines = lines.lock().unwrap();
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
    let keys = RemoteKeySet::with_fetch(async |_| Err(FetchError::Timeout)).build().unwrap();
    // It reads the status at each event, as a subscriber for metrics might.
    let subscriber = OnEvent({
        let keys = keys.clone();
        move |_: &Event<'_>| _ = keys.status()
    });
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(keys.load()), Err(FetchError::Timeout));
    });
}

#[test]
fn wake_is_not_called_before_a_refresh_is_due() {
    const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let keys = RemoteKeySet::with_fetch(async |_| Ok(JwksResponse::new(JWKS))).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(keys.load()), Ok(()));
    let count = keys.shared.read(|snapshot| snapshot.keys.len(), || panic!("it takes the lock"));
    assert_eq!(count, Some(1));
}
