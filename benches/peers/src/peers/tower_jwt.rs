//! `tower-jwt`.

use ::tower_jwt::{DecodingKey, JwtLayer, Validation};
use jsonwebtoken_9::jwk::Jwk;

use crate::{Setup, Target, inner::Inner, setup::MyClaims, target::Layered};

pub(super) fn target(setup: &Setup) -> Box<dyn Target> {
    let key = DecodingKey::from_jwk(&setup.key::<Jwk>()).expect("a key");
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    let layer = JwtLayer::<MyClaims>::new(validation, key);
    Box::new(Layered::new(layer, Inner::<()>::new(), || ()))
}
