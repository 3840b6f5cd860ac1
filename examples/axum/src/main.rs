//! An axum service with the layer: a public route, and a route that users may access only for their own user id.

#![expect(clippy::print_stdout, reason = "the example prints its address")]

use std::{env, error::Error};

use axum::{Router, routing::get};
use better_auth_jwt::{Authenticated, Claims, JwtAuthLayer, PathParam, Verifier};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url =
        env::var("BETTER_AUTH_URL").map_err(|_| "set BETTER_AUTH_URL to the base URL of your Better Auth server")?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app(Verifier::better_auth(&url)?)).await?)
}

fn app(verifier: Verifier) -> Router {
    let auth = JwtAuthLayer::new(verifier).match_user(PathParam("user_id"));
    Router::new()
        .route("/users/{user_id}/greeting", get(greeting))
        .route_layer(auth) // protects the routes above, and only those
        .route("/", get(async || "public"))
}

async fn greeting(Authenticated(claims): Authenticated<Claims>) -> String {
    format!("Hello, {}!", claims.name().unwrap_or(claims.user_id()))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use better_auth_jwt::test_util::Issuer;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn users_can_read_only_their_own_greeting() {
        let issuer = Issuer::new();
        let app = app(issuer.verifier());
        let token = format!("Bearer {}", issuer.token("ada"));
        for (path, token, status) in [
            ("/", "", 200),
            ("/users/ada/greeting", "", 401),
            ("/users/ada/greeting", &*token, 200),
            ("/users/bob/greeting", &*token, 403),
        ] {
            let request = Request::get(path).header("authorization", token).body(Body::empty()).unwrap();
            assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{path}");
        }
    }
}
