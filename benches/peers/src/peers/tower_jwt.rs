//! `tower-jwt`.

use ::tower_jwt::{DecodingKey, JwtLayer, Validation};
use jsonwebtoken_9::jwk::Jwk;

use crate::{Contestant, Setup, contestant::Layered, inner::Inner, setup::MyClaims};

pub(super) fn guard(setup: &Setup) -> Box<dyn Contestant> {
    let key = DecodingKey::from_jwk(&setup.key::<Jwk>()).expect("a key");
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    let layer = JwtLayer::<MyClaims>::new(validation, key);
    Box::new(Layered::new(layer, Inner::<()>::new(), || ()))
}
