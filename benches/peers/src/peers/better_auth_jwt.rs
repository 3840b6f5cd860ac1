//! `better-auth-jwt`. The layer also matches the path and checks the session, which no peer does.

use std::{convert::Infallible, time::Duration};

use better_auth_jwt::{
    JwtAuthLayer, MissingSession, PathTemplate, RevokedSessions, Verifier,
    keys::{KeySet, RemoteKeySet, SharedSecret},
};
use http::{Request, Response};
use tower::{Layer, Service, layer::layer_fn};

use crate::{
    Setup, Target,
    inner::{Inner, MinimalRejection},
    setup::MyClaims,
    target::Layered,
};

/// The default: verified tokens are cached.
pub fn cached(setup: &Setup) -> Box<dyn Target> {
    layered(layer(setup))
}

/// Without the token cache: every token is verified.
pub fn uncached(setup: &Setup) -> Box<dyn Target> {
    layered(layer(setup).token_cache_size(0))
}

/// Without the token cache, and with a custom claims type.
pub fn uncached_custom_claims(setup: &Setup) -> Box<dyn Target> {
    layered(layer(setup).token_cache_size(0).claims::<MyClaims>())
}

/// With a cache so small that most tokens are dropped before they are used again.
pub fn cache_inserts(setup: &Setup) -> Box<dyn Target> {
    layered(layer(setup).token_cache_size(16 * 1024))
}

/// Rejections without the layer.
pub fn minimal_rejection() -> Box<dyn Target> {
    Box::new(Layered::new(layer_fn(|_| MinimalRejection), Inner::<()>::new(), || ()))
}

fn layer(setup: &Setup) -> JwtAuthLayer {
    let keys = match (&setup.jwks_url, setup.jwk["kty"].as_str()) {
        (Some(url), _) => Verifier::builder(RemoteKeySet::new(url).expect("a URL")),
        (None, Some("oct")) => Verifier::builder(SharedSecret::new(Setup::SECRET).expect("a secret")),
        (None, _) => Verifier::builder(KeySet::from_json(setup.jwks()).expect("a key set")),
    };
    let verifier = keys.issuer(setup.issuer.origin()).audience(setup.issuer.origin()).unwrap();
    let revoked = RevokedSessions::new(Duration::from_secs(8 * 24 * 60 * 60));
    (0..1000)
        .for_each(|number| revoked.revoke_session(setup.issuer.origin(), &format!("revoked-{number}")).expect("room"));
    JwtAuthLayer::new(verifier)
        .match_user(PathTemplate::new("/api/{user_id}/*").expect("a template"))
        .sessions(revoked, MissingSession::Allow)
}

fn layered<L>(layer: L) -> Box<dyn Target>
where
    L: Layer<Inner<()>, Service: Service<Request<()>, Response = Response<()>, Error = Infallible> + 'static>,
{
    Box::new(Layered::new(layer, Inner::<()>::new(), || ()))
}
