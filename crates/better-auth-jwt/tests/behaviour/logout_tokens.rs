//! Logout tokens: which ones are accepted, and what they revoke.

use std::{sync::Arc, time::Duration};

use better_auth_jwt::{
    Error, ErrorKind, LogoutTarget, LogoutToken, LogoutVerifier, Profile, Verifier,
    keys::{Algorithm, JwksResponse, KeySet, RemoteKeySet},
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

async fn read(issuer: &Issuer, change: impl FnOnce(&mut Value)) -> LogoutToken {
    LogoutVerifier::from(&issuer.verifier()).verify(&changed(issuer, change)).await.unwrap()
}

fn without(name: &'static str) -> impl FnOnce(&mut Value) {
    move |claims| _ = claims.as_object_mut().unwrap().remove(name)
}

#[tokio::test]
async fn a_logout_token_of_any_algorithm_is_read() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES512, Algorithm::RS256, Algorithm::HS256] {
        let issuer = Issuer::with_algorithm(algorithm);
        let logout = read(&issuer, |claims| claims["jti"] = json!("one")).await;
        assert_eq!(logout.target(), LogoutTarget::Session("phone"), "{algorithm}");
        assert_eq!(logout.jti(), "one");
        assert_eq!(logout.issued_at(), issuer.claims("")["iat"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn a_logout_token_with_sid_revokes_that_session_only() {
    let issuer = Issuer::new();
    assert_eq!(read(&issuer, |claims| claims["sub"] = json!("ada")).await.target(), LogoutTarget::Session("phone"));
    let of_user = LogoutVerifier::from(&issuer.verifier()).verify(&issuer.logout_token_for_user("ada")).await;
    assert_eq!(of_user.unwrap().target(), LogoutTarget::User("ada"));
}

#[tokio::test]
async fn a_fractional_time_of_issue_is_rounded_up() {
    let issuer = Issuer::new();
    let now = issuer.claims("")["iat"].as_u64().unwrap();
    assert_eq!(read(&issuer, |claims| claims["iat"] = json!(now as f64 - 0.5)).await.issued_at(), now);
}

#[tokio::test]
async fn claims_that_are_invalid_in_a_logout_token_are_rejected() {
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
async fn access_tokens_and_logout_tokens_are_not_interchangeable() {
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
    assert_eq!(verdict(&logouts, &issuer.token_with_session("ada", "phone")).await, Some(InvalidType));
    assert_eq!(verdict(&logouts, &issuer.access_token("ada", issuer.origin(), "")).await, Some(InvalidType));

    // The OAuth provider's logout tokens have all claims that an access token needs.
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
async fn tokens_that_are_not_signed_by_the_keys_are_rejected() {
    use ErrorKind::*;
    let issuer = Issuer::new();
    let logouts = LogoutVerifier::from(&issuer.verifier());
    let valid = issuer.logout_token("phone");
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let other = issuer.logout_token("laptop");
    let payload = other.split('.').nth(1).unwrap();
    let header = valid.split('.').next().unwrap();
    let long = changed(&issuer, |claims| claims["x"] = json!("x".repeat(8 * 1024)));
    for (token, expected) in [
        (Issuer::new().sign_with_header(&issuer.logout_header(), &issuer.logout_claims("phone")), InvalidSignature),
        (Issuer::new().logout_token("phone"), UnknownKey),
        (Issuer::with_secret([7; 32]).logout_token("phone"), UnsupportedAlgorithm),
        (format!("{header}.{payload}.{signature}"), InvalidSignature),
        (format!("{signed}."), InvalidSignature),
        (signed.to_owned(), Malformed),
        (format!("{valid}."), Malformed),
        (format!(" {valid}"), Malformed),
        (String::new(), Malformed),
        (long, TokenTooLarge),
    ] {
        assert_eq!(verdict(&logouts, &token).await, Some(expected), "{token:.60}");
    }
    // A public key is never used as a secret.
    let secret = Issuer::with_secret(issuer.jwks()).with_key_id(issuer.jwk()["kid"].as_str().unwrap());
    assert_eq!(verdict(&logouts, &secret.logout_token("phone")).await, Some(UnsupportedAlgorithm));
}

#[tokio::test]
async fn logout_tokens_of_the_oauth_provider_are_accepted_if_configured() {
    let issuer = Issuer::new();
    let token = changed(&issuer, |claims| {
        claims["iss"] = json!("https://app.example.com/api/auth");
        claims["aud"] = json!("client-1");
        claims["sub"] = json!("ada");
    });
    let strict = LogoutVerifier::from(&issuer.verifier());
    assert_eq!(verdict(&strict, &token).await, Some(ErrorKind::InvalidIssuer));
    let with_issuer = strict.additional_issuer("https://app.example.com/api/auth");
    assert_eq!(verdict(&with_issuer, &token).await, Some(ErrorKind::InvalidAudience));
    let with_both = with_issuer.additional_audience("client-1");
    assert_eq!(verdict(&with_both, &token).await, None);
    assert_eq!(verdict(&with_both, &issuer.logout_token("phone")).await, None, "others are still accepted");
    assert_eq!(
        issuer.verifier().verify(&issuer.token("ada")).await.unwrap().user_id(),
        "ada",
        "what is added for logout tokens is not added for access tokens"
    );
}

#[tokio::test]
async fn an_audience_can_be_added_to_those_that_a_function_accepts() {
    let issuer = Issuer::new();
    let verifier = Verifier::builder(KeySet::from_json(issuer.jwks()).unwrap()).issuer(issuer.origin());
    let verifier = verifier.audience_matching(|audience| audience == "client-1").unwrap().clock(issuer.clock());
    let logouts = LogoutVerifier::from(&verifier).additional_audience("client-2");
    for (audience, expected) in [("client-1", None), ("client-2", None), ("client-3", Some(ErrorKind::InvalidAudience))]
    {
        let token = changed(&issuer, |claims| claims["aud"] = json!(audience));
        assert_eq!(verdict(&logouts, &token).await, expected, "{audience}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_not_checked_if_the_verifier_waives_them() {
    let issuer = Issuer::with_secret([7; 32]);
    let verifier = Verifier::shared_secret([7; 32]).unwrap().insecure_any_issuer().insecure_any_audience().unwrap();
    let token = changed(&issuer, |claims| {
        without("iss")(claims);
        without("aud")(claims);
    });
    assert_eq!(verdict(&LogoutVerifier::from(&verifier), &token).await, None);
}

#[tokio::test]
async fn each_issuer_has_its_own_keys() {
    let (first, second) = (Issuer::new(), Issuer::new().with_origin("https://second.example.com"));
    let by_secret = Issuer::with_secret([7; 32]).with_origin("https://third.example.com");
    let verifier = first.verifier().or(second.verifier()).or(by_secret.verifier());
    let logouts = LogoutVerifier::from(&verifier);
    for issuer in [&first, &second, &by_secret] {
        assert_eq!(verdict(&logouts, &issuer.logout_token("phone")).await, None, "{}", issuer.origin());
    }
    let forged = second.sign_with_header(&second.logout_header(), &first.logout_claims("phone"));
    assert_eq!(verdict(&logouts, &forged).await, Some(ErrorKind::UnknownKey));
    assert_eq!(
        verdict(&logouts, &Issuer::new().with_origin("https://fourth.example.com").logout_token("phone")).await,
        Some(ErrorKind::InvalidIssuer)
    );
}

#[tokio::test]
async fn another_issuer_of_logout_tokens_revokes_the_verifiers_sessions() {
    let issuer = Issuer::new();
    let keys = KeySet::from_json(issuer.jwks()).unwrap();
    let verifier =
        Verifier::builder(keys).issuers([issuer.origin(), "https://new.example.com"]).audience(issuer.origin());
    let verifier = verifier.unwrap().clock(issuer.clock());
    let logouts = LogoutVerifier::from(&verifier).additional_issuer("https://app.example.com/api/auth");
    for (iss, expected) in [
        ("https://app.example.com", "https://app.example.com"),
        ("https://new.example.com", "https://new.example.com"),
        ("https://app.example.com/api/auth", "https://app.example.com"),
    ] {
        let token = changed(&issuer, |claims| claims["iss"] = json!(iss));
        assert_eq!(logouts.verify(&token).await.unwrap().issuer(), expected);
    }
    assert_eq!(verifier.issuers().collect::<Vec<_>>(), ["https://app.example.com", "https://new.example.com"]);

    let verifier = Verifier::builder(KeySet::from_json(issuer.jwks()).unwrap())
        .insecure_any_issuer()
        .insecure_any_audience()
        .unwrap();
    let logouts = LogoutVerifier::from(&verifier.clock(issuer.clock())).additional_issuer("https://a.example.com");
    let token = changed(&issuer, |claims| claims["iss"] = json!("https://b.example.com"));
    assert_eq!(logouts.verify(&token).await.unwrap().issuer(), "https://b.example.com", "any is still accepted");
}

#[tokio::test]
async fn an_issuer_added_to_one_of_two_logout_verifiers_is_not_added_to_the_other() {
    let (a, b) = (Issuer::new(), Issuer::new().with_origin("https://b.example.com"));
    let alias = "https://a.example.com/api/auth";
    let of_alias = |issuer: &Issuer| {
        let mut claims = issuer.logout_claims("phone");
        (claims["iss"], claims["aud"]) = (json!(alias), json!([a.origin(), b.origin()]));
        issuer.sign_with_header(&issuer.logout_header(), &claims)
    };
    let one = LogoutVerifier::from(&a.verifier()).additional_issuer(alias).or(LogoutVerifier::from(&b.verifier()));
    assert_eq!(one.verify(&of_alias(&a)).await.unwrap().issuer(), a.origin());
    assert_eq!(verdict(&one, &of_alias(&b)).await, Some(ErrorKind::UnknownKey));
    for issuer in [&a, &b] {
        assert_eq!(one.verify(&issuer.logout_token("phone")).await.unwrap().issuer(), issuer.origin());
    }

    // Added to both, each still revokes its own sessions.
    let both = LogoutVerifier::from(&a.verifier().or(b.verifier())).additional_issuer(alias);
    for issuer in [&a, &b] {
        assert_eq!(both.verify(&of_alias(issuer)).await.unwrap().issuer(), issuer.origin());
    }
}

#[tokio::test]
async fn the_profile_and_the_maximum_age_apply_to_access_tokens_only() {
    let issuer = Issuer::new();
    let logouts = LogoutVerifier::from(&issuer.verifier().profile(Profile::AccessToken).max_age(Duration::ZERO));
    assert_eq!(verdict(&logouts, &issuer.logout_token("phone")).await, None);
    let old = changed(&issuer, |claims| claims["iat"] = json!(1));
    assert_eq!(verdict(&logouts, &old).await, None, "the maximum age is not for logout tokens");
}

#[tokio::test]
async fn keys_are_fetched_for_a_logout_token_too() {
    let issuer = Arc::new(Issuer::new());
    let jwks = issuer.jwks();
    let keys =
        RemoteKeySet::with_fetch(move |_| std::future::ready(Ok(JwksResponse::new(jwks.clone())))).build().unwrap();
    let verifier =
        Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(issuer.clock());
    assert_eq!(verdict(&LogoutVerifier::from(&verifier), &issuer.logout_token("phone")).await, None);
}

#[test]
fn debug_prints_no_claim_of_a_logout_token() {
    let issuer = Issuer::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let printed = format!("{:?}", runtime.block_on(read(&issuer, |_| {})));
    assert!(!printed.contains("phone"), "{printed}");
}
