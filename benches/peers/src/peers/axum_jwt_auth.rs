//! `axum-jwt-auth`, an extractor: a handler that takes the claims beside one that does not.

use std::sync::Arc;

use ::axum_jwt_auth::{Claims, Decoder, LocalDecoder, RemoteJwksDecoder};
use axum::{body::Body, handler::Handler};
use jsonwebtoken_10::{DecodingKey, Validation, jwk::Jwk};

use super::provider::{Backend, On};
use crate::{Contestant, Setup, contestant::Layered, inner, setup::MyClaims};

pub(super) async fn guard(setup: &Setup) -> Box<dyn Contestant> {
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    // Here too keys are made, by the provider in force.
    Backend::RustCrypto.use_it();
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
        Layered { guarded: guarded.with_state(decoder), bare: bare.with_state(()), body: Body::empty, sent: 0 };
    Box::new(On(Backend::RustCrypto, layered))
}

async fn guarded(_: Claims<MyClaims>) {
    inner::called_as_handler();
}

async fn bare() {
    inner::called_as_handler();
}
