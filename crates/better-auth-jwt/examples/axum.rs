//! An axum service with a public route, and a route that each user may access only for their own user id.
//!
//! ```sh
//! cargo run --example axum --features axum,test-util
//! ```
//!
//! It prints commands to try. `test_util::Issuer` is used in place of your Better Auth server. In your service, use
//! `Verifier::better_auth("https://app.example.com")?`.

#![expect(clippy::print_stdout, reason = "an example prints how to try it")]

use std::error::Error;

use axum::{Router, routing::get};
use better_auth_jwt::{Authenticated, Claims, JwtAuthLayer, PathParam, Verifier, test_util::Issuer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new();
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    let token = issuer.token("ada");
    println!("curl -i http://127.0.0.1:8080/");
    for user in ["ada", "bob"] {
        println!("curl -i -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/users/{user}/greeting");
    }
    Ok(axum::serve(listener, app(issuer.verifier())).await?)
}

fn app(verifier: Verifier) -> Router {
    let auth = JwtAuthLayer::new(verifier).match_user(PathParam("user_id"));
    Router::new()
        .route("/users/{user_id}/greeting", get(greeting))
        .route_layer(auth) // protects the routes above, and only those
        .route("/", get(async || "public\n"))
}

async fn greeting(Authenticated(claims): Authenticated<Claims>) -> String {
    format!("Hello, {}!\n", claims.name().unwrap_or(claims.user_id()))
}
