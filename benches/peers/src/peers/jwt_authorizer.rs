//! `jwt-authorizer`. Its newest release is for axum 0.7.

use ::jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
use axum_07::body::Body;
use better_auth_jwt::keys::Algorithm;

use crate::{Setup, Target, inner::Inner, setup::MyClaims, target::Layered};

pub(super) async fn target(setup: &Setup) -> Box<dyn Target> {
    let origin = [setup.issuer.origin()];
    let authorizer: JwtAuthorizer<MyClaims> = match &setup.jwks_url {
        Some(url) => JwtAuthorizer::from_jwks_url(url),
        None if setup.algorithm == Algorithm::HS256 => JwtAuthorizer::from_secret(Setup::SECRET),
        None => JwtAuthorizer::from_jwks_text(&setup.jwks()),
    };
    let validation = Validation::new().iss(&origin).aud(&origin).nbf(true).leeway(20);
    let layer = authorizer.validation(validation).build().await.expect("an authorizer").into_layer();
    Box::new(Layered::new(layer, Inner::<Body>::new(), || ()))
}
