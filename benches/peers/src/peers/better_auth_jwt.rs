//! Our own layer, with the path matched and the session looked up, which no peer does.

use std::{convert::Infallible, time::Duration};

use better_auth_jwt::{
    JwtAuthLayer, PathTemplate, RevokedSessions, Verifier, WithoutSession,
    keys::{KeySet, RemoteKeySet, SharedSecret},
};
use http::{Request, Response};
use tower::{Layer, Service, layer::layer_fn};

use crate::{
    Contestant, Setup,
    contestant::Layered,
    inner::{Inner, Refusal},
    setup::MyClaims,
};

/// As it comes: a token that was verified before is looked up.
pub fn as_it_comes(setup: &Setup) -> Box<dyn Contestant> {
    layered(layer(setup))
}

/// Without memory: every sight of a token is the first.
pub fn first_sight(setup: &Setup) -> Box<dyn Contestant> {
    layered(layer(setup).token_cache_capacity(0))
}

/// The same with a claims type of the user's.
pub fn own_claims(setup: &Setup) -> Box<dyn Contestant> {
    layered(layer(setup).token_cache_capacity(0).claims::<MyClaims>())
}

/// With so little memory that all but three of many tokens that take turns are forgotten before they
/// come again.
pub fn remembering(setup: &Setup) -> Box<dyn Contestant> {
    layered(layer(setup).token_cache_capacity(4))
}

/// Its refusals without the layer: what they cost whoever gives them.
pub fn refusing_by_hand() -> Box<dyn Contestant> {
    Box::new(Layered::new(layer_fn(|_| Refusal), Inner::<()>::new(), || ()))
}

fn layer(setup: &Setup) -> JwtAuthLayer {
    let keys = match (&setup.jwks_url, setup.jwk["kty"].as_str()) {
        (Some(url), _) => Verifier::new(RemoteKeySet::new(url).expect("a URL")),
        (None, Some("oct")) => Verifier::new(SharedSecret::new(Setup::SECRET).expect("a secret")),
        (None, _) => Verifier::new(KeySet::from_json(setup.jwks()).expect("a key set")),
    };
    let verifier = keys.issuer(setup.issuer.origin()).audience(setup.issuer.origin());
    let ended = RevokedSessions::new(Duration::from_secs(8 * 24 * 60 * 60));
    (0..1000).for_each(|number| ended.end_session(&format!("ended-{number}")).expect("room"));
    JwtAuthLayer::new(verifier)
        .match_user(PathTemplate::new("/api/{user_id}/*").expect("a template"))
        .sessions(ended, WithoutSession::Accept)
}

fn layered<L>(layer: L) -> Box<dyn Contestant>
where
    L: Layer<Inner<()>, Service: Service<Request<()>, Response = Response<()>, Error = Infallible> + 'static>,
{
    Box::new(Layered::new(layer, Inner::<()>::new(), || ()))
}
