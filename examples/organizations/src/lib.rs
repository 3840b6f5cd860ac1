//! An axum service for organizations of Better Auth's organization plugin.
//!
//! - [`members`] looks memberships up, with a cache.
//! - `permissions` says what the roles in an organization permit.
//! - `events` is a stream that ends when the user may not read it any more.

mod events;
pub mod members;
mod permissions;
#[cfg(test)]
mod tests;

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use better_auth_jwt::{
    Authenticated, BackChannelLogout, Claims, JwtAuthLayer, LogoutVerifier, MissingSession, PathParam, PathValue,
    RevokedSessions, Verifier,
};

use crate::{members::Members, permissions::has_permission};

/// What the service needs.
#[derive(Debug, Clone)]
pub struct App {
    /// Accepts the tokens of your Better Auth server.
    pub verifier: Verifier,
    /// The sessions that have been revoked, from the logout tokens that Better Auth sends.
    pub revoked: RevokedSessions,
    /// The members of the organizations.
    pub members: Members,
}

/// The service.
pub fn app(app: App) -> Router {
    let user = JwtAuthLayer::new(app.verifier.clone()).sessions(app.revoked.clone(), MissingSession::Allow);
    let by_claim = user.clone().match_claim("activeOrganizationId", PathParam("org_id"));
    let by_membership = require_permission(user.clone(), app.members.clone());
    let admin = user
        .clone()
        .require("admin", |claims| claims.has_role("admin"))
        .require("not impersonated", |claims| !claims.is_impersonated());
    let anyone = user.optional();
    let logout = BackChannelLogout::new(LogoutVerifier::from(&app.verifier), app.revoked.clone());

    Router::new()
        .route("/orgs/{org_id}/notes", get(notes).post(create_note))
        .route("/orgs/{org_id}/events", get(events::events))
        .route_layer(by_membership)
        .route("/orgs/{org_id}/logo", get(logo).layer(by_claim))
        .route("/admin", get(async || "users and organizations").layer(admin))
        .route("/greeting", get(greeting).layer(anyone))
        .route("/", get(async || "public"))
        // It authenticates logout tokens itself.
        .route_service("/auth/backchannel-logout", logout)
        .with_state(app)
}

/// Requires the user's roles in the organization of the path to permit the request.
fn require_permission(auth: JwtAuthLayer, members: Members) -> JwtAuthLayer {
    auth.require_async("permission in the organization", move |claims, mut parts| {
        let members = members.clone();
        async move {
            let permission = if parts.method.is_safe() { "note:read" } else { "note:create" };
            let org_id = PathParam("org_id").extract(&mut parts)?;
            let roles = members.roles(&org_id, claims.user_id()).await?;
            Ok(roles.is_some_and(|roles| has_permission(&roles, permission)))
        }
    })
}

async fn notes(Path(org_id): Path<String>) -> String {
    format!("notes of the organization {org_id}")
}

async fn create_note(Path(org_id): Path<String>) -> (StatusCode, String) {
    (StatusCode::CREATED, format!("a note of the organization {org_id}"))
}

async fn logo(Path(org_id): Path<String>) -> String {
    format!("logo of the organization {org_id}")
}

async fn greeting(user: Option<Authenticated<Claims>>) -> String {
    match user {
        Some(Authenticated(claims)) => format!("Hello, {}!", claims.name().unwrap_or(claims.user_id())),
        None => "Hello!".to_owned(),
    }
}
