//! The contestants, each in a file of its own, configured as its documentation says.

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

use crate::{Contestant, Setup, version};

/// A contestant, or why there is none for this setup.
pub struct Entrant {
    pub name: String,
    pub guarded: Result<Box<dyn Contestant>, &'static str>,
}

/// All contestants for this setup, ours first.
pub async fn all(setup: &Setup) -> Vec<Entrant> {
    provider::install();
    vec![
        entrant("better-auth-jwt", Ok(better_auth_jwt::as_it_comes(setup))),
        entrant("aliri_tower", aliri_tower::guard(setup).await),
        entrant("axum-jose", Ok(axum_jose::guard(setup))),
        entrant("axum-jwt", Ok(axum_jwt::guard(setup))),
        entrant("axum-jwt-auth", Ok(axum_jwt_auth::guard(setup).await)),
        entrant("jwt-authorizer", Ok(jwt_authorizer::guard(setup).await)),
        entrant("tower-jwt", Ok(tower_jwt::guard(setup))),
        entrant("tower-oauth2-resource-server", Ok(tower_oauth2_resource_server::guard(setup).await)),
        Entrant {
            name: format!("`decode` of jsonwebtoken {} in a plain layer", version("jsonwebtoken")),
            guarded: Ok(jsonwebtoken::guard(setup)),
        },
    ]
}

fn entrant(package: &str, guarded: Result<Box<dyn Contestant>, &'static str>) -> Entrant {
    Entrant { name: format!("{package} {}", version(package)), guarded }
}
