//! The log of rejected requests and logout tokens.

use std::sync::{Arc, Mutex};

use better_auth_jwt::{BackChannelLogout, ErrorKind, JwtAuthLayer, LogoutVerifier, RevokedSessions, test_util::Issuer};
use http::Request;
use tower::ServiceExt;
use tracing::{Event, Metadata, Subscriber, field, span, subscriber::set_default};

use crate::{request, send};

/// Keeps the field `kind` of each event.
#[derive(Clone, Default)]
struct Kinds(Arc<Mutex<Vec<String>>>);

impl Subscriber for Kinds {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl field::Visit for Kinds {
    fn record_debug(&mut self, _: &field::Field, _: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &field::Field, value: &str) {
        if field.name() == "kind" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }
}

#[tokio::test]
async fn the_log_has_the_same_names_as_metrics() {
    let kinds = Kinds::default();
    let _guard = set_default(kinds.clone());
    let verifier = Issuer::new().verifier();
    let auth = JwtAuthLayer::new(verifier.clone());
    for token in ["", "Bearer x"] {
        send(&auth, request("/", token)).await;
    }
    let logout =
        BackChannelLogout::new(LogoutVerifier::from(&verifier), RevokedSessions::new(std::time::Duration::ZERO));
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    logout.oneshot(form.body("logout_token=x".to_owned()).unwrap()).await.unwrap();
    let expected = [ErrorKind::MissingToken, ErrorKind::Malformed, ErrorKind::Malformed].map(ErrorKind::as_str);
    assert_eq!(*kinds.0.lock().unwrap(), expected);
}
