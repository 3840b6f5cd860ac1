//! What the feature `tracing` logs about requests.

use std::{
    env,
    process::Command,
    sync::{Arc, Mutex},
};

use better_auth_jwt::{JwtAuthLayer, PathTemplate, test_util::Issuer};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{bearer, request, send};

/// The environment variable that marks the child process.
const CHILD: &str = "TEST_LOG";

/// Records the level and the fields of each event of this crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("better_auth_jwt")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as text.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

#[tokio::test]
async fn only_problems_of_the_service_are_logged_as_warnings() {
    // In a separate process, because tests in other threads, without a subscriber, can disable events for all threads.
    if env::var_os(CHILD).is_none() {
        let test = "log::only_problems_of_the_service_are_logged_as_warnings";
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args([test, "--exact"]).env(CHILD, "").output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
        return;
    }
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .require_async("member", async |_, _| Err::<bool, _>("no connection".into()));
    let token = issuer.token("ada");
    for (path, authorization, expected) in [
        ("/api/ada/tasks", bearer(&format!("{token}x")), &[("DEBUG", "kind=\"malformed\"")][..]),
        ("/other", bearer(&token), &[("WARN", "kind=\"missing_path_value\"")]),
        (
            "/api/ada/tasks",
            bearer(&token),
            &[("WARN", "the rule `member` failed: no connection"), ("WARN", "kind=\"rule_unavailable\"")],
        ),
    ] {
        send(&layer, request(path, &authorization)).await;
        let lines = std::mem::take(&mut *log.0.lock().unwrap());
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, (level, text)) in lines.iter().zip(expected) {
            assert!(line.starts_with(level) && line.contains(text) && !line.contains(&token), "{line}");
        }
    }
}
