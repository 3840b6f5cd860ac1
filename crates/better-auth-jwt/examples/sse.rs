//! Server-sent events that end when their token expires or its session is revoked.
//!
//! ```sh
//! cargo run --example sse --features axum,test-util
//! ```
//!
//! It prints commands to try. `test_util::Issuer` is used in place of your Better Auth server.

#![expect(clippy::print_stdout, reason = "an example prints how to try it")]

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use better_auth_jwt::{
    Authenticated, Claims, Clock, JwtAuthLayer, MissingSession, RevokedSessions, SystemClock, Verifier,
    test_util::Issuer,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::net::TcpListener;

/// Short, so that you can watch the stream end.
const LIFETIME: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct App {
    verifier: Verifier,
    revoked: RevokedSessions,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new();
    // The issuer's own clock is for tests: it does not advance by itself.
    let verifier = issuer.verifier().clock(Arc::new(SystemClock)).leeway(Duration::ZERO);
    let app = app(App { verifier, revoked: RevokedSessions::new(LIFETIME) });

    let mut claims = issuer.claims("ada");
    claims["sid"] = "phone".into();
    claims["exp"] = (SystemClock.unix_time() + LIFETIME.as_secs()).into();
    let token = issuer.sign(&claims);
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("curl -N -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/events");
    println!("curl -X POST -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/sign-out");
    Ok(axum::serve(listener, app).await?)
}

fn app(app: App) -> Router {
    let auth = JwtAuthLayer::new(app.verifier.clone()).sessions(app.revoked.clone(), MissingSession::Reject);
    Router::new().route("/events", get(events)).route("/sign-out", post(sign_out)).route_layer(auth).with_state(app)
}

async fn events(
    State(app): State<App>,
    Authenticated(claims): Authenticated<Claims>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let expiry = tokio::time::sleep(app.verifier.remaining(&claims));
    let revocation = app.revoked.wait_for_revocation(&claims);
    let ticks = stream::unfold(tokio::time::interval(Duration::from_secs(1)), async |mut interval| {
        interval.tick().await;
        Some((Ok(Event::default().data("tick")), interval))
    });
    Sse::new(ticks.take_until(expiry).take_until(revocation))
}

/// In place of Better Auth. In your service, `BackChannelLogout` receives its logout tokens.
async fn sign_out(State(app): State<App>, Authenticated(claims): Authenticated<Claims>) -> &'static str {
    let issuer = claims.issuer().unwrap_or_default();
    match claims.session_id().map(|session_id| app.revoked.revoke_session(issuer, session_id)) {
        Some(Ok(())) => "signed out\n",
        _ => "not signed out\n",
    }
}
