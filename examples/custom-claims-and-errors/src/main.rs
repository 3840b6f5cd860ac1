//! An axum service with a custom claims type, rules, and custom error responses.

#![expect(clippy::print_stdout, reason = "the example prints its address")]

mod member;
mod rejection;
#[cfg(test)]
mod tests;

use std::{env, error::Error};

use axum::{Router, routing::get};
use better_auth_jwt::{
    Authenticated, BetterAuthUrls, Claims, ConfigError, JwtAuthLayer, Profile, Verifier,
    keys::{KeySource, RemoteKeySet},
};
use tokio::net::TcpListener;

use crate::{member::Member, rejection::json_rejection};

/// The `resource` for which clients of the OAuth provider request tokens.
const RESOURCE: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url =
        env::var("BETTER_AUTH_URL").map_err(|_| "set BETTER_AUTH_URL to the base URL of your Better Auth server")?;
    let server = BetterAuthUrls::new(&url)?;
    let keys = RemoteKeySet::new(server.jwks_url())?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app(&server, keys)?).await?)
}

/// Both kinds of token are signed with the same keys. Issuer, audience and `typ` distinguish them.
fn app(server: &BetterAuthUrls, keys: impl KeySource + Clone) -> Result<Router, ConfigError> {
    let users = Verifier::builder(keys.clone()).issuer(server.origin()).audience(server.origin())?;
    let apps = Verifier::builder(keys).issuer(server.oauth_issuer()).audience(RESOURCE)?.profile(Profile::AccessToken);

    let members = JwtAuthLayer::new(users).claims::<Member>().rejection_response(json_rejection);
    let admins = members.clone().require("admin", Member::is_admin);
    let partners = JwtAuthLayer::new(apps).require_scopes(["invoices:read"])?.rejection_response(json_rejection);

    Ok(Router::new()
        .route("/invoices", get(invoices).layer(members))
        .route("/audit", get(audit).layer(admins))
        .route("/export", get(export).layer(partners)))
}

async fn invoices(Authenticated(member): Authenticated<Member>) -> String {
    match &member.active_organization_id {
        Some(organization) => format!("invoices of the organization {organization}"),
        None => format!("personal invoices of {}", member.sub),
    }
}

async fn audit(Authenticated(admin): Authenticated<Member>) -> String {
    format!("audit log for {}", admin.sub)
}

async fn export(Authenticated(claims): Authenticated<Claims>) -> String {
    format!("invoices of {}, for an app", claims.user_id())
}
