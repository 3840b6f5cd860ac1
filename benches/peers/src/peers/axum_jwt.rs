//! `axum-jwt`. Its layer stores the claims for handlers.

use ::axum_jwt::{
    Decoder, Token,
    jsonwebtoken::{DecodingKey, Validation, jwk::Jwk},
};
use axum::body::Body;

use crate::{Setup, Target, inner::Inner, setup::MyClaims, target::Layered};

pub(super) fn target(setup: &Setup) -> Box<dyn Target> {
    let key = DecodingKey::from_jwk(&setup.key::<Jwk>()).expect("a key");
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    let layer =
        ::axum_jwt::layer(Decoder::new(key, validation)).with_filter(|_: &Token<MyClaims>| true).store_to_extension();
    Box::new(Layered::new(layer, Inner::<Body>::new(), Body::empty))
}
