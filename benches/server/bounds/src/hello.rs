//! axum with one route that returns a constant.

use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(std::env::args().nth(1).expect("the address to listen on")).await?;
    let app = Router::new().route("/", get(async || "hello"));
    axum::serve(listener, app).await
}
