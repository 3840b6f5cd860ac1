//! Logout tokens: what ends a session, and what only looks like it.

use std::{sync::Arc, time::Duration};

use better_auth_jwt::{
    Error, ErrorKind, LoggedOut, Logout, LogoutVerifier, Profile, Verifier,
    keys::{Algorithm, JwksResponse, RemoteKeySet},
    test_util::Issuer,
};
use serde_json::{Value, json};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn verdict(verifier: &LogoutVerifier, token: &str) -> Option<ErrorKind> {
    verifier.verify(token).await.err().map(|error: Error| error.kind())
}

/// A logout token whose claims have been changed.
fn changed(issuer: &Issuer, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = issuer.logout_claims("phone");
    change(&mut claims);
    issuer.sign_with_header(&issuer.logout_header(), &claims)
}

async fn read(issuer: &Issuer, change: impl FnOnce(&mut Value)) -> Logout {
    LogoutVerifier::from(&issuer.verifier()).verify(&changed(issuer, change)).await.unwrap()
}

fn without(name: &'static str) -> impl FnOnce(&mut Value) {
    move |claims| _ = claims.as_object_mut().unwrap().remove(name)
}

#[tokio::test]
async fn a_logout_token_is_read_whatever_the_algorithm() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES512, Algorithm::RS256, Algorithm::HS256] {
        let issuer = Issuer::with_algorithm(algorithm);
        let logout = read(&issuer, |claims| claims["jti"] = json!("one")).await;
        assert_eq!(logout.ends(), LoggedOut::Session("phone"), "{algorithm}");
        assert_eq!(logout.id(), "one");
        assert_eq!(logout.issued_at(), issuer.claims("")["iat"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn a_session_is_all_that_ends_where_one_is_named() {
    let issuer = Issuer::new();
    assert_eq!(read(&issuer, |claims| claims["sub"] = json!("ada")).await.ends(), LoggedOut::Session("phone"));
    let of_user = read(&issuer, |claims| {
        claims.as_object_mut().unwrap().remove("sid");
        claims["sub"] = json!("ada");
    });
    assert_eq!(of_user.await.ends(), LoggedOut::User("ada"));
}

#[tokio::test]
async fn a_time_with_a_fraction_is_rounded_so_that_no_token_slips_through() {
    let issuer = Issuer::new();
    let now = issuer.claims("")["iat"].as_u64().unwrap();
    assert_eq!(read(&issuer, |claims| claims["iat"] = json!(now as f64 - 0.5)).await.issued_at(), now);
}

#[tokio::test]
async fn claims_that_are_not_those_of_a_logout_are_refused() {
    use ErrorKind::*;
    let issuer = Issuer::new();
    let verifier = LogoutVerifier::from(&issuer.verifier());
    let now = issuer.claims("")["iat"].as_u64().unwrap();
    let rows: Vec<(&str, Value, Option<ErrorKind>)> = vec![
        ("events", json!({ EVENT: {}, "https://example.com/other": {} }), None),
        ("events", json!({ EVENT: { "detail": 1 } }), None),
        ("events", json!({}), Some(InvalidClaims)),
        ("events", json!(null), Some(InvalidClaims)),
        ("events", json!(EVENT), Some(InvalidClaims)),
        ("events", json!([EVENT]), Some(InvalidClaims)),
        ("events", json!([{ EVENT: {} }]), Some(InvalidClaims)),
        ("events", json!({ EVENT: null }), Some(InvalidClaims)),
        ("events", json!({ EVENT: true }), Some(InvalidClaims)),
        ("events", json!({ EVENT: "{}" }), Some(InvalidClaims)),
        ("events", json!({ EVENT: [] }), Some(InvalidClaims)),
        ("events", json!({ "x": { EVENT: {} } }), Some(InvalidClaims)),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout/": {} }), Some(InvalidClaims)),
        ("nonce", json!("n"), Some(InvalidClaims)),
        ("nonce", json!(null), Some(InvalidClaims)),
        ("sid", json!(""), Some(InvalidClaims)),
        ("sid", json!(null), Some(InvalidClaims)),
        ("sid", json!(7), Some(InvalidClaims)),
        ("sid", json!(["phone"]), Some(InvalidClaims)),
        ("sub", json!(""), Some(InvalidClaims)),
        ("sub", json!(null), Some(InvalidClaims)),
        ("sub", json!({ "id": "ada" }), Some(InvalidClaims)),
        ("jti", json!(""), Some(InvalidClaims)),
        ("jti", json!(1), Some(InvalidClaims)),
        ("iss", json!("https://evil.example.com"), Some(InvalidIssuer)),
        ("iss", json!("https://app.example.com/"), Some(InvalidIssuer)),
        ("iss", json!(["https://app.example.com"]), Some(InvalidClaims)),
        ("aud", json!(["https://other.example.com", "https://app.example.com"]), None),
        ("aud", json!("https://other.example.com"), Some(InvalidAudience)),
        ("aud", json!([]), Some(InvalidAudience)),
        ("aud", json!({}), Some(InvalidClaims)),
        ("exp", json!(now - 29), None),
        ("exp", json!(now - 30), Some(Expired)),
        ("exp", json!("soon"), Some(InvalidClaims)),
        ("exp", json!(null), Some(InvalidClaims)),
        ("iat", json!(now + 30), None),
        ("iat", json!(now + 31), Some(NotYetValid)),
        ("iat", json!("now"), Some(InvalidClaims)),
        ("nbf", json!(now + 31), Some(NotYetValid)),
        ("cnf", json!({ "jkt": "x" }), Some(SenderConstrained)),
        ("cnf", json!(null), Some(SenderConstrained)),
    ];
    for (name, value, expected) in rows {
        let token = changed(&issuer, |claims| claims[name] = value.clone());
        assert_eq!(verdict(&verifier, &token).await, expected, "{name}: {value}");
    }
    for (name, expected) in [
        ("iss", InvalidIssuer),
        ("aud", InvalidAudience),
        ("exp", InvalidClaims),
        ("iat", InvalidClaims),
        ("jti", InvalidClaims),
        ("events", InvalidClaims),
        ("sid", InvalidClaims),
    ] {
        assert_eq!(verdict(&verifier, &changed(&issuer, without(name))).await, Some(expected), "without {name}");
    }
    let twice = |member: &str| {
        let claims = issuer.logout_claims("phone").to_string();
        let payload = claims.replacen('{', &format!("{{{member},"), 1);
        issuer.sign_bytes(issuer.logout_header().to_string().as_bytes(), payload.as_bytes())
    };
    assert_eq!(verdict(&verifier, &twice(r#""sid":"laptop""#)).await, Some(Malformed));
    assert_eq!(verdict(&verifier, &twice(r#""events":{}"#)).await, Some(Malformed));
}

#[tokio::test]
async fn tokens_of_other_kinds_end_nothing_and_logout_tokens_open_nothing() {
    use ErrorKind::*;
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let logouts = LogoutVerifier::from(&verifier);
    let claims = issuer.logout_claims("phone");
    for (typ, expected) in [
        (json!("logout+jwt"), None),
        (json!("LOGOUT+JWT"), None),
        (json!("application/logout+jwt"), None),
        (json!("JWT"), Some(InvalidType)),
        (json!("at+jwt"), Some(InvalidType)),
        (json!("secevent+jwt"), Some(InvalidType)),
        (json!("logout+jwt "), Some(InvalidType)),
        (json!(""), Some(InvalidType)),
        (json!(null), Some(Malformed)),
    ] {
        let mut header = issuer.header();
        header["typ"] = typ.clone();
        assert_eq!(verdict(&logouts, &issuer.sign_with_header(&header, &claims)).await, expected, "{typ}");
    }
    assert_eq!(verdict(&logouts, &issuer.sign(&claims)).await, Some(InvalidType), "without a typ");
    assert_eq!(verdict(&logouts, &issuer.token_in_session("ada", "phone")).await, Some(InvalidType));
    assert_eq!(verdict(&logouts, &issuer.access_token("ada", issuer.origin(), "")).await, Some(InvalidType));

    // Such as one of the OAuth provider, which has everything that an access token needs.
    let mut whole = issuer.claims("ada");
    for (name, value) in claims.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole["client_id"] = json!("client");
    let logout = issuer.sign_with_header(&issuer.logout_header(), &whole);
    assert_eq!(verdict(&logouts, &logout).await, None);
    let both = verifier.clone().or(issuer.verifier().profile(Profile::AccessToken));
    for verifier in [verifier.clone(), verifier.profile(Profile::AccessToken), both] {
        assert_eq!(verifier.verify(&logout).await.unwrap_err().kind(), InvalidType);
    }
}

#[tokio::test]
async fn what_is_not_signed_by_the_keys_is_refused() {
    use ErrorKind::*;
    let issuer = Issuer::new();
    let logouts = LogoutVerifier::from(&issuer.verifier());
    let good = issuer.logout_token("phone");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = issuer.logout_token("laptop");
    let payload = other.split('.').nth(1).unwrap();
    let header = good.split('.').next().unwrap();
    let long = changed(&issuer, |claims| claims["x"] = json!("x".repeat(8 * 1024)));
    for (token, expected) in [
        (Issuer::new().sign_with_header(&issuer.logout_header(), &issuer.logout_claims("phone")), InvalidSignature),
        (Issuer::new().logout_token("phone"), UnknownKey),
        (Issuer::with_secret([7; 32]).logout_token("phone"), UnsupportedAlgorithm),
        (format!("{header}.{payload}.{signature}"), InvalidSignature),
        (format!("{signed}."), InvalidSignature),
        (signed.to_owned(), Malformed),
        (format!("{good}."), Malformed),
        (format!(" {good}"), Malformed),
        (String::new(), Malformed),
        (long, TokenTooLarge),
    ] {
        assert_eq!(verdict(&logouts, &token).await, Some(expected), "{token:.60}");
    }
    // A public key is no secret.
    let secret = Issuer::with_secret(issuer.jwks()).key_id(issuer.jwk()["kid"].as_str().unwrap());
    assert_eq!(verdict(&logouts, &secret.logout_token("phone")).await, Some(UnsupportedAlgorithm));
}

#[tokio::test]
async fn the_oauth_providers_tokens_pass_where_its_issuer_and_client_are_named() {
    let issuer = Issuer::new();
    let token = changed(&issuer, |claims| {
        claims["iss"] = json!("https://app.example.com/api/auth");
        claims["aud"] = json!("client-1");
        claims["sub"] = json!("ada");
    });
    let strict = LogoutVerifier::from(&issuer.verifier());
    assert_eq!(verdict(&strict, &token).await, Some(ErrorKind::InvalidIssuer));
    let with_issuer = strict.issuer("https://app.example.com/api/auth");
    assert_eq!(verdict(&with_issuer, &token).await, Some(ErrorKind::InvalidAudience));
    let with_both = with_issuer.audience("client-1");
    assert_eq!(verdict(&with_both, &token).await, None);
    assert_eq!(verdict(&with_both, &issuer.logout_token("phone")).await, None, "the others go on passing");
    assert_eq!(
        issuer.verifier().verify(&issuer.token("ada")).await.unwrap().user_id(),
        "ada",
        "what is added for logouts is not added for access"
    );
}

#[tokio::test]
async fn issuer_and_audience_go_unchecked_where_they_were_waived() {
    let issuer = Issuer::with_secret([7; 32]);
    let verifier = Verifier::shared_secret([7; 32]).unwrap().insecure_any_issuer().insecure_any_audience().unwrap();
    let token = changed(&issuer, |claims| {
        without("iss")(claims);
        without("aud")(claims);
    });
    assert_eq!(verdict(&LogoutVerifier::from(&verifier), &token).await, None);
}

#[tokio::test]
async fn of_several_trusts_each_has_its_own_keys() {
    let (first, second) = (Issuer::new(), Issuer::new().at("https://second.example.com"));
    let by_secret = Issuer::with_secret([7; 32]).at("https://third.example.com");
    let verifier = first.verifier().or(second.verifier()).or(by_secret.verifier());
    let logouts = LogoutVerifier::from(&verifier);
    for issuer in [&first, &second, &by_secret] {
        assert_eq!(verdict(&logouts, &issuer.logout_token("phone")).await, None, "{}", issuer.origin());
    }
    let forged = second.sign_with_header(&second.logout_header(), &first.logout_claims("phone"));
    assert_eq!(verdict(&logouts, &forged).await, Some(ErrorKind::UnknownKey));
    assert_eq!(
        verdict(&logouts, &Issuer::new().at("https://fourth.example.com").logout_token("phone")).await,
        Some(ErrorKind::InvalidIssuer)
    );
}

#[tokio::test]
async fn a_profile_for_access_tokens_makes_no_difference_to_logouts() {
    let issuer = Issuer::new();
    let logouts = LogoutVerifier::from(&issuer.verifier().profile(Profile::AccessToken).max_age(Duration::ZERO));
    assert_eq!(verdict(&logouts, &issuer.logout_token("phone")).await, None);
    let old = changed(&issuer, |claims| claims["iat"] = json!(1));
    assert_eq!(verdict(&logouts, &old).await, None, "how old a token may be that opens something is another matter");
}

#[tokio::test]
async fn keys_are_fetched_for_a_logout_too() {
    let issuer = Arc::new(Issuer::new());
    let jwks = issuer.jwks();
    let keys =
        RemoteKeySet::with_fetch(move |_| std::future::ready(Ok(JwksResponse::new(jwks.clone())))).build().unwrap();
    let verifier =
        Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(issuer.clock());
    assert_eq!(verdict(&LogoutVerifier::from(&verifier), &issuer.logout_token("phone")).await, None);
}

#[test]
fn debug_prints_nothing_of_a_logout() {
    let issuer = Issuer::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let printed = format!("{:?}", runtime.block_on(read(&issuer, |_| {})));
    assert!(!printed.contains("phone"), "{printed}");
}
