//! The memory of the token cache. The only test in its process, because the process's memory is measured.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{convert::Infallible, fs};

use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
use http::{Request, Response};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn the_token_cache_takes_no_more_memory_than_configured_however_large_the_tokens() {
    let issuer = Issuer::with_secret([7; 32]);
    let layer = JwtAuthLayer::new(issuer.verifier()).token_cache_size(MIB);
    let request = async |n: usize| {
        let mut claims = issuer.claims("ada");
        (claims["n"], claims["padding"]) = (json!(n), json!("x".repeat(5000)));
        let request = Request::get("/").header("authorization", format!("Bearer {}", issuer.sign(&claims)));
        let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
        let response = layer.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    };
    for n in 0..500 {
        request(n).await;
    }
    let before = resident();
    for n in 500..3000 {
        request(n).await;
    }
    let growth = resident().saturating_sub(before);
    // 2,500 tokens of 7 KB and their claims would take 30 MB.
    assert!(growth < 4 * MIB, "{growth} bytes");
}

/// The resident memory in bytes; a page has 4 KiB.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
