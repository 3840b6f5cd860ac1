//! Runs the service on 127.0.0.1:8080.

#![expect(clippy::print_stdout, reason = "the example prints its address")]

use std::{env, error::Error, time::Duration};

use better_auth_jwt::{RevokedSessions, Verifier};
use example_organizations::{App, app, members::Members};
use sea_orm::Database;
use tokio::net::TcpListener;

/// How long a user who was removed from an organization keeps access to it.
const MAX_AGE: Duration = Duration::from_secs(10);

/// The longest lifetime of a token, plus the leeway.
const RETENTION: Duration = Duration::from_secs(15 * 60 + 30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, what: &str| env::var(name).map_err(|_| format!("set {name} to {what}"));
    let url = setting("BETTER_AUTH_URL", "the base URL of your Better Auth server")?;
    let database = setting("DATABASE_URL", "the URL of its database: postgres://… or sqlite://…")?;
    let app = app(App {
        verifier: Verifier::better_auth(&url)?,
        revoked: RevokedSessions::new(RETENTION),
        members: Members::new(Database::connect(database).await?, MAX_AGE),
    });
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
