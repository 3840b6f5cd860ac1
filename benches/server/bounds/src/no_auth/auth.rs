//! Verifies the token in `$TOKEN` once, and uses its claims for every request.

use std::{
    env,
    sync::{Arc, OnceLock},
};

use axum::extract::Request;
use better_auth_jwt::{Authenticated, Claims, Verifier};
use tower::util::MapRequestLayer;

use crate::{logout::Logouts, metrics::Metrics};

#[path = "../../../../../crates/tasks-api/src/auth.rs"]
mod with_layer;

pub(crate) use with_layer::{logout_verifier, refusal, verifier};

static CLAIMS: OnceLock<Authenticated<Claims>> = OnceLock::new();

pub(crate) fn layer(verifier: Verifier, _: Logouts, _: Arc<Metrics>) -> MapRequestLayer<fn(Request) -> Request> {
    // Until then, requests get 500, as without any layer.
    tokio::spawn(async move {
        let token = env::var("TOKEN").expect("TOKEN is set");
        let claims = verifier.verify(&token).await.expect("the token is valid");
        CLAIMS.get_or_init(|| Authenticated(claims));
    });
    MapRequestLayer::new(with_claims)
}

fn with_claims(mut request: Request) -> Request {
    if let Some(claims) = CLAIMS.get() {
        request.extensions_mut().insert(claims.clone());
    }
    request
}
