//! A gRPC service with the layer. The diary requires a token; health checks and reflection do not.

#![expect(clippy::print_stdout, reason = "the example prints its address")]

mod diary;
#[cfg(test)]
mod tests;

use std::{env, error::Error, net::SocketAddr};

use better_auth_jwt::{GrpcRejection, JwtAuthLayer, Verifier};
use tonic::{
    service::LayerExt,
    transport::{
        Server,
        server::{Router, TcpIncoming},
    },
};

use crate::{diary::Diary, proto::diary_server::DiaryServer};

#[expect(unreachable_pub, reason = "generated code uses `pub`")]
mod proto {
    tonic::include_proto!("diary");

    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/diary.bin"));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url =
        env::var("BETTER_AUTH_URL").map_err(|_| "set BETTER_AUTH_URL to the base URL of your Better Auth server")?;
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 50051)))?.with_nodelay(Some(true));
    println!("listening on http://{}", incoming.local_addr()?);
    Ok(server(Verifier::better_auth(&url)?).await?.serve_with_incoming(incoming).await?)
}

async fn server(verifier: Verifier) -> Result<Router, tonic_reflection::server::Error> {
    let auth = JwtAuthLayer::new(verifier)
        .require("verified email", |claims| claims.get("emailVerified").unwrap_or(false)) // PERMISSION_DENIED
        .rejection_response(GrpcRejection);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<DiaryServer<Diary>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1()?;
    Ok(Server::builder()
        .add_service(auth.named_layer(DiaryServer::new(Diary::default()))) // protects this service, and only this one
        .add_service(health)
        .add_service(reflection))
}
