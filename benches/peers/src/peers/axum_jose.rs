//! `axum-jose`. Its claims are always a `serde_json::Value`.

use std::{num::NonZero, time::Duration};

use ::axum_jose::{AuthorizationLayer, RemoteJwkSet};
use axum::body::Body;
use jsonwebtoken_10::jwk::JwkSet;
use url::Url;

use super::provider::{Backend, WithBackend};
use crate::{Setup, Target, inner::Inner, target::Layered};

pub(super) fn target(setup: &Setup) -> Box<dyn Target> {
    let issuer = Url::parse(setup.issuer.origin()).expect("a URL");
    let audience = setup.issuer.origin().to_owned();
    let layer = match &setup.jwks_url {
        Some(url) => {
            let keys = RemoteJwkSet::builder(Url::parse(url).expect("a URL"))
                .with_cache(Duration::from_secs(300))
                .with_rate_limit(NonZero::new(10).expect("ten"), Duration::from_secs(60));
            AuthorizationLayer::with_remote_jwk_set(keys.build(), issuer, audience)
        }
        None => AuthorizationLayer::with_local_jwk_set(JwkSet { keys: vec![setup.key()] }, issuer, audience),
    };
    Box::new(WithBackend(Backend::AwsLcRs, Layered::new(layer, Inner::<Body>::new(), Body::empty)))
}
