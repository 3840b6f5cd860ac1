//! Tests with a real client over TCP.

use std::{net::SocketAddr, sync::Arc};

use better_auth_jwt::{
    Verifier,
    keys::{JwksResponse, RemoteKeySet},
    test_util::Issuer,
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::Notify};

use crate::{serve, service};

/// Serves on a free port on loopback.
async fn start(verifier: Verifier, max_concurrent: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service(verifier, max_concurrent).unwrap()));
    address
}

fn client(only_http2: bool) -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(only_http2).build_http()
}

/// Status, headers and body of the response to a request with this token, or without one if it is empty.
async fn get(
    client: &Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    path: &str,
    token: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(format!("http://{address}{path}"));
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn users_can_read_only_their_own_visits() {
    for only_http2 in [false, true] {
        let issuer = Issuer::new();
        let (client, address) = (client(only_http2), start(issuer.verifier(), 10).await);
        let (ada, bob) = (issuer.token("ada"), issuer.token("bob"));
        for (path, token, status, body) in [
            ("/users/ada/visits", &*ada, 200, "ada: 1"),
            ("/users/ada/visits", &*ada, 200, "ada: 2"),
            ("/users/bob/visits", &*bob, 200, "bob: 1"),
            ("/users/%61da/visits", &*ada, 200, "ada: 3"),
            ("/users/bob/visits", &*ada, 403, ""),
            ("/users/ada/visits", "", 401, ""),
            ("/users/ada/visits", "x", 401, ""),
            ("/users/a%2Fda/visits", &*ada, 400, ""),
            ("/users/ada/visits/more", &*ada, 403, ""), // a path without a user id
        ] {
            let (got, _, text) = get(&client, address, path, token).await;
            assert_eq!((got.as_u16(), &*text), (status, body), "{path} {token}");
        }
    }
}

#[tokio::test]
async fn excess_requests_are_rejected_immediately_and_waiting_ones_are_served() {
    let issuer = Issuer::new();
    let (fetching, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let keys = RemoteKeySet::with_fetch({
        let (jwks, fetching, release) = (issuer.jwks(), fetching.clone(), release.clone());
        move |_| {
            let (jwks, fetching, release) = (jwks.clone(), fetching.clone(), release.clone());
            async move {
                fetching.notify_one();
                release.notified().await;
                Ok(JwksResponse::new(jwks))
            }
        }
    });
    let verifier = Verifier::builder(keys.build().unwrap()).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let (client, address, token) = (client(false), start(verifier, 1).await, issuer.token("ada"));

    let waiting = tokio::spawn({
        let (client, token) = (client.clone(), token.clone());
        async move { get(&client, address, "/users/ada/visits", &token).await }
    });
    fetching.notified().await;
    let (status, headers, _) = get(&client, address, "/users/ada/visits", &token).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "1"));

    release.notify_one();
    assert_eq!(waiting.await.unwrap().2, "ada: 1");
    assert_eq!(get(&client, address, "/users/ada/visits", &token).await.2, "ada: 2");
}
