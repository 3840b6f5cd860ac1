//! The response to a token with an unknown `kid`: 401 only if a search that started after its first request did not return the
//! key.

use std::time::Duration;

use better_auth_jwt::{
    ErrorKind, LogoutVerifier, Verifier,
    keys::{Algorithm, FetchError, JwksResponse},
    test_util::Issuer,
};
use http::header::RETRY_AFTER;

use crate::{
    bearer, request, send,
    waiting::{Setup, setup},
};

/// Status and `Retry-After` of the response to a token of this issuer.
async fn get(setup: &Setup, issuer: &Issuer) -> (u16, Option<u64>) {
    let response = send(&setup.layer, request("/", &bearer(&issuer.token("ada")))).await;
    let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap());
    (response.status().as_u16(), retry_after)
}

fn unknown_issuer(n: usize) -> Issuer {
    Issuer::new().with_key_id(format!("unknown-{n}"))
}

#[tokio::test]
async fn one_failed_fetch_during_a_rotation_is_503_until_the_next_try() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    let rotated = Issuer::new().with_key_id("rotated");
    setup.endpoint.respond_with(Err(FetchError::Status { status: 502, retry_after: None }));
    assert_eq!(get(&setup, &rotated).await, (503, Some(1)));
    assert_eq!(get(&setup, &rotated).await, (503, Some(1)), "within the backoff");
    assert_eq!(get(&setup, &setup.issuer).await.0, 200, "a known key is not affected");
    assert_eq!(setup.endpoint.fetches(), 2);
    setup.endpoint.publish(&[setup.issuer.jwk(), rotated.jwk()]);
    setup.advance(1);
    assert_eq!(get(&setup, &rotated).await.0, 200);
}

#[tokio::test]
async fn invented_kids_never_make_the_token_of_a_new_key_invalid() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    for n in 0..100 {
        let (status, retry_after) = get(&setup, &unknown_issuer(n)).await;
        assert!(status == 401 || status == 503 && retry_after.is_some(), "{n}: {status}");
    }
    let rotated = Issuer::new().with_key_id("rotated");
    setup.endpoint.publish(&[setup.issuer.jwk(), rotated.jwk()]);
    let (status, retry_after) = get(&setup, &rotated).await;
    assert_eq!(status, 503, "no search has been made for it");
    setup.advance(retry_after.unwrap());
    assert_eq!(get(&setup, &rotated).await.0, 200);
}

#[tokio::test]
async fn invented_kids_cause_fetches_at_a_bounded_rate_only() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    for second in 0..300 {
        setup.advance(1);
        for n in 0..10 {
            assert_ne!(get(&setup, &unknown_issuer(second * 10 + n)).await.0, 200);
        }
        setup.settle().await;
    }
    let fetches = setup.endpoint.fetches();
    // The first load, a burst of three, one every 10 s.
    assert!((30..=1 + 3 + 30).contains(&fetches), "{fetches} fetches in 300 s");
}

#[tokio::test]
async fn failed_searches_back_off_and_honour_retry_after() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    setup.endpoint.respond_with(Err(FetchError::Status { status: 429, retry_after: Some(Duration::from_secs(120)) }));
    assert_eq!(get(&setup, &unknown_issuer(0)).await, (503, Some(120)));
    for second in 0..119 {
        assert_eq!(get(&setup, &unknown_issuer(second)).await.0, 503);
        setup.advance(1);
    }
    assert_eq!(setup.endpoint.fetches(), 2);
    setup.endpoint.respond_with(Err(FetchError::Timeout));
    setup.advance(1);
    for second in 0..600 {
        assert_eq!(get(&setup, &unknown_issuer(second)).await.0, 503, "after {second} s");
        setup.advance(1);
    }
    let fetches = setup.endpoint.fetches() - 2;
    assert!((10..=20).contains(&fetches), "{fetches} fetches in 600 s of failures");
}

#[tokio::test]
async fn a_missing_kid_is_rejected_and_then_causes_no_fetch_for_ten_seconds() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    let unknown = unknown_issuer(0);
    for _ in 0..100 {
        assert_eq!(get(&setup, &unknown).await, (401, None));
    }
    assert_eq!(setup.endpoint.fetches(), 2);
    setup.advance(10);
    assert_eq!(get(&setup, &unknown).await, (401, None));
    assert_eq!(setup.endpoint.fetches(), 3, "it is searched for again");
}

#[tokio::test]
async fn a_token_that_got_503_gets_a_definite_response_after_the_next_search() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    for n in 0..3 {
        assert_eq!(get(&setup, &unknown_issuer(n)).await.0, 401);
    }
    let waiting = unknown_issuer(3);
    assert_eq!(get(&setup, &waiting).await, (503, Some(10)));
    setup.advance(10);
    assert_eq!(get(&setup, &unknown_issuer(4)).await.0, 401, "this one's search");
    assert_eq!(get(&setup, &waiting).await.0, 401, "was the other's too");
    assert_eq!(setup.endpoint.fetches(), 5);
}

#[tokio::test]
async fn the_first_load_uses_nothing_of_the_limit() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    for n in 0..3 {
        assert_eq!(get(&setup, &unknown_issuer(n)).await.0, 401);
    }
    assert_eq!(setup.endpoint.fetches(), 4);
}

#[tokio::test]
async fn the_first_token_is_rejected_for_its_kid_only_after_a_search_that_bypasses_caches() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &unknown_issuer(0)).await.0, 401);
    assert_eq!(setup.endpoint.bypasses(), [false, true]);
    assert_eq!(get(&setup, &unknown_issuer(0)).await.0, 401);
    assert_eq!(setup.endpoint.fetches(), 2);
}

#[tokio::test]
async fn searches_bypass_caches_and_refreshes_do_not() {
    let setup = setup();
    setup.endpoint.respond_with(Ok(JwksResponse::new(setup.issuer.jwks()).etag("\"v1\"")));
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    assert_eq!(get(&setup, &unknown_issuer(0)).await.0, 401);
    setup.advance(599);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    setup.settle().await;
    assert_eq!(setup.endpoint.bypasses(), [false, true, false]);
    let etag = Some("\"v1\"".to_owned());
    assert_eq!(setup.endpoint.etags(), [None, None, etag], "a search is unconditional");
}

#[tokio::test]
async fn a_logout_token_follows_the_same_rules() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    let verifier =
        Verifier::builder(setup.keys.clone()).issuer(setup.issuer.origin()).audience(setup.issuer.origin()).unwrap();
    let logouts = LogoutVerifier::from(&verifier.clock(setup.issuer.clock()));
    let outcome = async |issuer: &Issuer| {
        let outcome = logouts.verify(&issuer.logout_token("session")).await;
        outcome.map(|_| ()).map_err(|error| (error.kind(), error.retry_after()))
    };
    for n in 0..3 {
        assert_eq!(outcome(&unknown_issuer(n)).await, Err((ErrorKind::UnknownKey, None)));
    }
    let rotated = Issuer::new().with_key_id("rotated");
    setup.endpoint.publish(&[setup.issuer.jwk(), rotated.jwk()]);
    setup.advance(4);
    assert_eq!(outcome(&rotated).await, Err((ErrorKind::KeysUnavailable, Some(Duration::from_secs(6)))));
    assert_eq!(outcome(&unknown_issuer(0)).await, Err((ErrorKind::UnknownKey, None)), "it has been searched for");
    setup.advance(6);
    assert_eq!(outcome(&rotated).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_was_replaced_under_the_same_kid_is_found_in_the_background() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    let kid = setup.issuer.header()["kid"].as_str().unwrap().to_owned();
    let replaced = Issuer::new().with_key_id(kid.clone());
    setup.endpoint.publish(&[replaced.jwk()]);
    assert_eq!(get(&setup, &replaced).await, (401, None), "no request waits for it");
    setup.settle().await;
    assert_eq!(get(&setup, &replaced).await.0, 200);
    assert_eq!(get(&setup, &setup.issuer).await.0, 401, "the old key is gone");
    setup.settle().await;
    // Also if the new key has another algorithm.
    let replaced = Issuer::with_algorithm(Algorithm::ES256).with_key_id(kid);
    setup.endpoint.publish(&[replaced.jwk()]);
    setup.advance(10);
    assert_eq!(get(&setup, &replaced).await, (401, None));
    setup.settle().await;
    assert_eq!(get(&setup, &replaced).await.0, 200);
}

#[tokio::test]
async fn forged_signatures_cause_at_most_one_fetch_per_ten_seconds_and_delay_no_valid_token() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_eq!(get(&setup, &setup.issuer).await.0, 200);
    let kid = setup.issuer.header()["kid"].as_str().unwrap().to_owned();
    let forger = Issuer::new().with_key_id(kid);
    for _ in 0..100 {
        for _ in 0..20 {
            assert_eq!(get(&setup, &forger).await, (401, None));
            assert_eq!(get(&setup, &setup.issuer).await, (200, None));
        }
        setup.settle().await;
        setup.advance(1);
    }
    assert!((10..=12).contains(&setup.endpoint.fetches()), "{} fetches in 100 s", setup.endpoint.fetches());
    // The rest of the limit is left to unknown keys.
    let rotated = Issuer::new().with_key_id("rotated");
    setup.endpoint.publish(&[setup.issuer.jwk(), rotated.jwk()]);
    assert_eq!(get(&setup, &rotated).await.0, 200);
}
