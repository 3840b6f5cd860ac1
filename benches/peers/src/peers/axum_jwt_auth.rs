//! `axum-jwt-auth`, an extractor: compares a handler with the claims to one without.

use std::sync::Arc;

use ::axum_jwt_auth::{Claims, Decoder, LocalDecoder, RemoteJwksDecoder};
use axum::{body::Body, handler::Handler};
use jsonwebtoken_10::{DecodingKey, Validation, jwk::Jwk};

use super::provider::{Backend, WithBackend};
use crate::{Setup, Target, inner, setup::MyClaims, target::Layered};

pub(super) async fn target(setup: &Setup) -> Box<dyn Target> {
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    // Keys are created with the active backend too.
    Backend::RustCrypto.activate();
    let decoder: Decoder<MyClaims> = match &setup.jwks_url {
        Some(url) => {
            let decoder = RemoteJwksDecoder::builder().jwks_url(url.clone()).validation(validation).build();
            let decoder = decoder.expect("a decoder");
            decoder.initialize().await.expect("keys");
            Arc::new(decoder)
        }
        None => {
            let key = DecodingKey::from_jwk(&setup.key::<Jwk>()).expect("a key");
            Arc::new(LocalDecoder::builder().keys(vec![key]).validation(validation).build().expect("a decoder"))
        }
    };
    let layered =
        Layered { layered: layered.with_state(decoder), bare: bare.with_state(()), body: Body::empty, sent: 0 };
    Box::new(WithBackend(Backend::RustCrypto, layered))
}

async fn layered(_: Claims<MyClaims>) {
    inner::called_as_handler();
}

async fn bare() {
    inner::called_as_handler();
}
