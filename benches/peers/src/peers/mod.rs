//! The targets, each in a separate file, configured as its documentation recommends.

mod aliri_tower;
mod axum_jose;
mod axum_jwt;
mod axum_jwt_auth;
pub mod better_auth_jwt;
mod jsonwebtoken;
mod jwt_authorizer;
mod provider;
mod tower_jwt;
mod tower_oauth2_resource_server;

use crate::{Setup, Target, version};

/// A crate to measure.
pub struct Peer {
    pub name: String,
    /// The target, or why it does not support this setup.
    pub target: Result<Box<dyn Target>, &'static str>,
}

/// All targets for this setup, better-auth-jwt first.
pub async fn all(setup: &Setup) -> Vec<Peer> {
    provider::install();
    vec![
        peer("better-auth-jwt", Ok(better_auth_jwt::cached(setup))),
        peer("aliri_tower", aliri_tower::target(setup).await),
        peer("axum-jose", Ok(axum_jose::target(setup))),
        peer("axum-jwt", Ok(axum_jwt::target(setup))),
        peer("axum-jwt-auth", Ok(axum_jwt_auth::target(setup).await)),
        peer("jwt-authorizer", Ok(jwt_authorizer::target(setup).await)),
        peer("tower-jwt", Ok(tower_jwt::target(setup))),
        peer("tower-oauth2-resource-server", Ok(tower_oauth2_resource_server::target(setup).await)),
        Peer {
            name: format!("`decode` of jsonwebtoken {} in a plain layer", version("jsonwebtoken")),
            target: Ok(jsonwebtoken::target(setup)),
        },
    ]
}

fn peer(package: &str, target: Result<Box<dyn Target>, &'static str>) -> Peer {
    Peer { name: format!("{package} {}", version(package)), target }
}
