//! Several issuers, the verifier's settings, and its errors.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use better_auth_jwt::{
    BetterAuth, Clock, ConfigErrorKind, ErrorKind, JwtAuthLayer, LogoutVerifier, Profile, Verifier,
    keys::{FetchError, JwksResponse, KeySet, KeySource, RemoteKeySet},
    test_util::Issuer,
};
use serde_json::{Value, json};

use crate::{bearer, request, send};

const ORIGIN: &str = "https://app.example.com";

async fn verdict(verifier: &Verifier, token: &str) -> Option<ErrorKind> {
    verifier.verify(token).await.err().map(|error| error.kind())
}

fn verifier(keys: impl KeySource) -> Verifier {
    Verifier::builder(keys).issuer(ORIGIN).audience(ORIGIN).unwrap()
}

/// A remote key set that fetches the JWKS document in the mutex, or fails if there is none.
struct Remote {
    published: Arc<Mutex<Option<String>>>,
    fetches: Arc<AtomicUsize>,
    keys: RemoteKeySet,
}

impl Remote {
    fn new(published: Option<String>) -> Self {
        let (published, fetches) = (Arc::new(Mutex::new(published)), Arc::new(AtomicUsize::new(0)));
        let keys = RemoteKeySet::with_fetch({
            let (published, fetches) = (published.clone(), fetches.clone());
            move |_| {
                fetches.fetch_add(1, Ordering::Relaxed);
                let document = published.lock().unwrap().clone();
                async move { document.map(JwksResponse::new).ok_or(FetchError::Timeout) }
            }
        });
        Self { published, fetches, keys: keys.build().unwrap() }
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

/// The claims with these changes; `null` removes a claim.
fn with(base: &Value, changes: Value) -> Value {
    let mut claims = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn each_of_several_remote_key_sets_of_one_issuer_is_fetched() {
    let issuers = [Issuer::new(), Issuer::new(), Issuer::new()];
    for ids in [["a", "b", "c"], ["1", "1", "1"]] {
        let issuers = [0, 1, 2].map(|n| Issuer::new().with_key_id(ids[n]));
        let remotes = [0, 1, 2].map(|n| Remote::new(Some(issuers[n].jwks())));
        let [first, second, third] = [0, 1, 2].map(|n| verifier(remotes[n].keys.clone()));
        let any = first.or(second).or(third);
        // The last one first, so that no search of the other key sets has failed before.
        for issuer in issuers.iter().rev() {
            assert_eq!(verdict(&any, &issuer.token("ada")).await, None, "{ids:?}");
        }
        assert_eq!([0, 1, 2].map(|n| remotes[n].fetches() > 0), [true; 3]);
    }
    assert_eq!(
        verdict(&issuers[0].verifier().or(issuers[1].verifier()), &issuers[2].token("ada")).await,
        Some(ErrorKind::UnknownKey)
    );
}

#[tokio::test]
async fn a_key_set_that_does_not_respond_does_not_keep_another_waiting() {
    let issuer = Issuer::new();
    let hanging = RemoteKeySet::with_fetch(|_| std::future::pending()).build().unwrap();
    let remote = Remote::new(Some(issuer.jwks()));
    let either = verifier(hanging).or(verifier(remote.keys));
    let verdict = tokio::time::timeout(Duration::from_secs(2), verdict(&either, &issuer.token("ada"))).await;
    assert_eq!(verdict, Ok(None));
}

#[tokio::test]
async fn a_token_is_not_rejected_while_an_issuer_that_may_have_signed_it_is_unavailable() {
    let (known, unknown) = (Issuer::new(), Issuer::new());
    let remote = Remote::new(None);
    let unavailable = verifier(remote.keys.clone()).clock(known.clock());
    let either = known.verifier().or(unavailable.clone());
    for either in [&either, &unavailable.or(known.verifier())] {
        for _ in 0..2 {
            let error = either.verify(&unknown.token("ada")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
            assert!(error.retry_after().is_some());
        }
    }
    *remote.published.lock().unwrap() = Some(unknown.jwks());
    assert_eq!(verdict(&either, &known.token("ada")).await, None);
}

#[tokio::test]
async fn a_validly_signed_token_causes_no_fetch_from_other_issuers() {
    let issuer = Issuer::new();
    let remote = Remote::new(Some(Issuer::new().jwks()));
    let either = issuer.verifier().or(verifier(remote.keys.clone()));
    let token = issuer.token("ada");
    issuer.clock().advance(Duration::from_secs(931));
    assert_eq!(verdict(&either, &token).await, Some(ErrorKind::Expired));
    assert_eq!(remote.fetches(), 0);
}

#[tokio::test]
async fn a_token_is_accepted_if_one_of_several_verifiers_with_the_same_keys_accepts_it() {
    let issuer = Issuer::new();
    let keys = || KeySet::from_json(issuer.jwks()).unwrap();
    let of = |audience: &str| Verifier::builder(keys()).issuer(ORIGIN).audience(audience).unwrap();
    let either = of("https://a.example").or(of("https://b.example").max_age(Duration::from_secs(60)));
    let sign = |audience: &str, age: u64| {
        let mut claims = issuer.claims("ada");
        (claims["aud"], claims["iat"]) = (json!(audience), json!(claims["iat"].as_u64().unwrap() - age));
        issuer.sign(&claims)
    };
    assert_eq!(verdict(&either, &sign("https://a.example", 100)).await, None);
    assert_eq!(verdict(&either, &sign("https://b.example", 0)).await, None);
    assert!(verdict(&either, &sign("https://b.example", 100)).await.is_some(), "each issuer has its own rules");
    assert!(verdict(&either, &sign("https://c.example", 0)).await.is_some());
}

#[tokio::test]
async fn claims_contain_the_issuer_that_users_and_sessions_belong_to() {
    let (web, admin) = (Issuer::new(), Issuer::new().with_origin("https://admin.example.com"));
    let either = web.verifier().or(admin.verifier());
    for issuer in [&web, &admin] {
        let claims = either.verify(&issuer.token("ada")).await.unwrap();
        assert_eq!((claims.issuer(), claims.user_id()), (Some(issuer.origin()), "ada"));
    }
    let any = Verifier::builder(KeySet::from_json(web.jwks()).unwrap()).insecure_any_issuer();
    let any = any.insecure_any_audience().unwrap();
    let mut claims = web.claims("ada");
    claims.as_object_mut().unwrap().remove("iss");
    assert_eq!(any.verify(&web.sign(&claims)).await.unwrap().issuer(), None);
}

#[test]
fn an_empty_issuer_or_audience_is_a_configuration_error() {
    let builder = || Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n").unwrap();
    let none: [&str; 0] = [];
    for (result, kind) in [
        (builder().issuer("").audience(ORIGIN), ConfigErrorKind::Issuer),
        (builder().issuer("").insecure_any_audience(), ConfigErrorKind::Issuer),
        (builder().issuers(["https://a.example", ""]).audience(ORIGIN), ConfigErrorKind::Issuer),
        (builder().issuers(none).audience(ORIGIN), ConfigErrorKind::Issuer),
        (builder().issuer(ORIGIN).audience(""), ConfigErrorKind::Audience),
        (builder().issuer(ORIGIN).audiences([ORIGIN, ""]), ConfigErrorKind::Audience),
        (builder().insecure_any_issuer().audiences(none), ConfigErrorKind::Audience),
    ] {
        assert_eq!(result.unwrap_err().kind(), kind);
    }
    assert!(BetterAuth::new(ORIGIN).unwrap().issuer("").build().is_err());
    assert!(BetterAuth::new(ORIGIN).unwrap().audience("").build().is_err());
}

#[tokio::test]
async fn a_logout_verifier_of_any_issuer_still_accepts_any_when_an_issuer_is_added() {
    let issuer = Issuer::new();
    let any = Verifier::builder(KeySet::from_json(issuer.jwks()).unwrap()).insecure_any_issuer();
    let any = any.insecure_any_audience().unwrap().clock(issuer.clock());
    let logouts = LogoutVerifier::from(&any).additional_issuer("https://other.example").additional_audience("client");
    assert!(logouts.verify(&issuer.logout_token("phone")).await.is_ok());
    let logouts = LogoutVerifier::from(&issuer.verifier()).additional_issuer("").additional_audience("");
    for name in ["iss", "aud"] {
        let mut claims = issuer.logout_claims("phone");
        claims[name] = json!("");
        let token = issuer.sign_with_header(&issuer.logout_header(), &claims);
        assert!(logouts.verify(&token).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn fractions_of_a_second_count_in_leeway_and_maximum_age() {
    let issuer = Issuer::new();
    let now = issuer.clock().unix_time();
    let sign = |exp: u64, iat: u64| {
        let mut claims = issuer.claims("ada");
        (claims["exp"], claims["iat"]) = (json!(exp), json!(iat));
        issuer.sign(&claims)
    };
    let millis = Duration::from_millis;
    let of = |leeway: u64| issuer.verifier().leeway(millis(leeway));
    assert_eq!(verdict(&of(0), &sign(now, now)).await, Some(ErrorKind::Expired));
    assert_eq!(verdict(&of(500), &sign(now, now)).await, None);
    assert_eq!(verdict(&of(500), &sign(now - 1, now)).await, Some(ErrorKind::Expired));
    assert_eq!(verdict(&of(1500), &sign(now - 1, now)).await, None);
    assert_eq!(verdict(&of(1500), &sign(now + 9, now + 1)).await, None);
    assert_eq!(verdict(&of(500), &sign(now + 9, now + 1)).await, Some(ErrorKind::NotYetValid));
    let aged = |age: u64, leeway: u64| of(leeway).max_age(millis(age));
    assert_eq!(verdict(&aged(1500, 0), &sign(now + 9, now - 1)).await, None);
    assert_eq!(verdict(&aged(1500, 0), &sign(now + 9, now - 2)).await, Some(ErrorKind::MaxAgeExceeded));
    assert_eq!(verdict(&aged(1500, 500), &sign(now + 9, now - 2)).await, Some(ErrorKind::MaxAgeExceeded));
    assert_eq!(verdict(&aged(1500, 600), &sign(now + 9, now - 2)).await, None);
    assert_eq!(verdict(&issuer.verifier().leeway(Duration::MAX).max_age(Duration::MAX), &sign(1, 1)).await, None);
}

#[tokio::test]
async fn the_remaining_time_of_a_token_ends_when_it_is_rejected() {
    let issuer = Issuer::new();
    for (verifier, seconds) in [
        (issuer.verifier(), 930),
        (issuer.verifier().leeway(Duration::ZERO), 900),
        (issuer.verifier().max_age(Duration::from_secs(60)), 90),
    ] {
        let token = issuer.token("ada");
        let claims = verifier.verify(&token).await.unwrap();
        assert_eq!(verifier.remaining(&claims), Duration::from_secs(seconds));
        issuer.clock().advance(Duration::from_secs(seconds - 1));
        assert_eq!(verdict(&verifier, &token).await, None);
        assert_eq!(verifier.remaining(&claims), Duration::from_secs(1));
        issuer.clock().advance(Duration::from_secs(1));
        assert!(verdict(&verifier, &token).await.is_some());
        assert_eq!(verifier.remaining(&claims), Duration::ZERO);
        issuer.clock().advance(Duration::from_secs(1));
        assert_eq!(verifier.remaining(&claims), Duration::ZERO);
    }
}

#[tokio::test]
async fn the_error_about_a_wrong_type_says_how_to_accept_it() {
    let issuer = Issuer::new();
    let access_token = issuer.access_token("ada", ORIGIN, "");
    let (plain, access) = (issuer.verifier(), issuer.verifier().profile(Profile::AccessToken));
    for (verifier, token, hint) in [
        (&plain, &access_token, "typ is `at+jwt`; use Profile::AccessToken"),
        (&access, &issuer.token("ada"), "typ is absent or `JWT`; use Profile::Jwt"),
        (&plain, &issuer.logout_token("phone"), "typ is `logout+jwt`; send logout tokens to BackChannelLogout"),
    ] {
        let message = verifier.verify(token).await.unwrap_err().to_string();
        assert_eq!(message, format!("the token's typ belongs to another kind of token: {hint}"));
    }
    let message = LogoutVerifier::from(&plain).verify(&access_token).await.unwrap_err().to_string();
    assert!(message.ends_with("a logout token has the typ `logout+jwt`"), "{message}");
}

#[tokio::test]
async fn an_error_names_the_claim_that_failed() {
    let issuer = Issuer::new();
    let now = issuer.clock().unix_time();
    let verifier = issuer.verifier().max_age(Duration::from_secs(600)).user_id_claim("uid");
    for (claim, value, name) in [
        ("exp", json!("secret"), Some("exp")),
        ("exp", json!(now - 100), Some("exp")),
        ("nbf", json!(now + 100), Some("nbf")),
        ("nbf", json!(null), Some("nbf")),
        ("iat", json!(now + 100), Some("iat")),
        ("iat", json!(now - 700), Some("iat")),
        ("iss", json!("https://secret.example"), Some("iss")),
        ("iss", json!(["secret"]), Some("iss")),
        ("aud", json!("secret"), Some("aud")),
        ("aud", json!([1]), Some("aud")),
        ("sub", json!(["secret"]), Some("sub")),
        ("sub", json!(""), Some("sub")),
        ("uid", json!(7), Some("uid")),
        ("sid", json!(7), Some("sid")),
        ("cnf", json!({"jkt": "secret"}), Some("cnf")),
    ] {
        let mut claims = issuer.claims("ada");
        claims["uid"] = json!("42");
        claims[claim] = value.clone();
        let error = verifier.verify(&issuer.sign(&claims)).await.unwrap_err();
        assert_eq!(error.claim(), name, "{claim}: {value}");
        let printed = format!("{error} {error:?}");
        assert!(printed.contains(&format!("(claim `{claim}`)")) && !printed.contains("secret"), "{printed}");
    }
    let forged = issuer.sign_with_header(&Issuer::new().header(), &issuer.claims("ada"));
    assert_eq!(verifier.verify(&forged).await.unwrap_err().claim(), None);
}

#[tokio::test]
async fn a_custom_type_that_does_not_fit_is_reported_with_the_name_of_the_claim() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "reading it is what fails")]
    struct Custom {
        role: String,
    }
    let issuer = Issuer::new();
    let layer =
        JwtAuthLayer::new(issuer.verifier()).claims::<Custom>().rejection_response(|error: &better_auth_jwt::Error| {
            let mut response = http::Response::new(format!("{} {:?}", error.kind().as_str(), error.claim()));
            *response.status_mut() = error.status();
            response
        });
    let mut claims = issuer.claims("ada");
    for role in [None, Some(json!(7))] {
        if let Some(role) = role {
            claims["role"] = role;
        }
        let response = send(&layer, request("/", &bearer(&issuer.sign(&claims)))).await;
        assert_eq!((response.status().as_u16(), &**response.body()), (401, "invalid_claims Some(\"role\")"));
    }
}

/// The access token of Better Auth 1.5 and 1.6, and the ID token that comes with it.
fn legacy_tokens(issuer: &Issuer) -> (Value, Value) {
    let now = issuer.clock().unix_time();
    let access = json!({
        "sub": "ada", "aud": ["https://api.example.com", "https://app.example.com/api/auth/oauth2/userinfo"],
        "azp": "client", "scope": "openid tasks:read", "sid": "phone", "iss": ORIGIN, "iat": now, "exp": now + 3600,
    });
    let id = json!({
        "auth_time": now, "acr": "urn:mace:incommon:iap:bronze", "iss": ORIGIN, "sub": "ada", "aud": "client",
        "nonce": "n", "iat": now, "exp": now + 36000, "sid": "phone",
    });
    (access, id)
}

#[tokio::test]
async fn one_profile_accepts_old_and_new_access_tokens_and_never_an_id_token() {
    let issuer = Issuer::new();
    let keys = || KeySet::from_json(issuer.jwks()).unwrap();
    let strict = Verifier::builder(keys()).issuer(ORIGIN).audience("https://api.example.com").unwrap();
    let lenient = Verifier::builder(keys()).insecure_any_issuer().insecure_any_audience().unwrap();
    let [strict, lenient] = [strict, lenient].map(|verifier| verifier.clock(issuer.clock()));
    let (access, id) = legacy_tokens(&issuer);
    let typed = |typ: &str, claims: &Value| {
        let mut header = issuer.header();
        header["typ"] = json!(typ);
        issuer.sign_with_header(&header, claims)
    };
    let new = with(&access, json!({"client_id": "client", "jti": "one"}));
    for (idea, token, accepted) in [
        ("an old access token", issuer.sign(&access), true),
        ("a new one", typed("at+jwt", &new), true),
        ("an old one for one audience", issuer.sign(&with(&access, json!({"aud": "https://api.example.com"}))), true),
        ("a new one without client_id", typed("at+jwt", &access), false),
        ("another typ", typed("JWT", &access), false),
        ("a logout token", typed("logout+jwt", &new), false),
        ("an ID token", issuer.sign(&id), false),
        ("an ID token with scopes", issuer.sign(&with(&id, json!({"scope": "openid", "azp": "client"}))), false),
        (
            "an ID token with all that a new access token has",
            issuer.sign(&with(&id, json!({"scope": "openid", "azp": "client", "client_id": "client", "jti": "j"}))),
            false,
        ),
        (
            "an ID token that only its audience distinguishes",
            issuer.sign(&with(&access, json!({"aud": ["client", "https://api.example.com"]}))),
            false,
        ),
        (
            "an ID token for another audience",
            issuer.sign(&with(&id, json!({"aud": "https://api.example.com", "azp": "client", "scope": "openid"}))),
            false,
        ),
        ("an ID token with a hash", issuer.sign(&with(&access, json!({"at_hash": "h"}))), false),
        ("a token of the JWT plugin", issuer.sign(&issuer.claims("ada")), false),
        ("no azp", issuer.sign(&with(&access, json!({"azp": null}))), false),
        ("no scope", issuer.sign(&with(&access, json!({"scope": null}))), false),
        ("no aud", issuer.sign(&with(&access, json!({"aud": null}))), false),
        ("an access token of a client", issuer.sign(&with(&access, json!({"sub": "client"}))), false),
        ("bound to a key", issuer.sign(&with(&access, json!({"cnf": {"jkt": "x"}}))), false),
    ] {
        for verifier in [&strict, &lenient] {
            let verifier = verifier.clone().profile(Profile::LegacyAccessToken);
            assert_eq!(verdict(&verifier, &token).await.is_none(), accepted, "{idea}");
        }
    }
    let legacy = lenient.clone().profile(Profile::LegacyAccessToken);
    assert_eq!(verdict(&legacy, &issuer.sign(&id)).await, Some(ErrorKind::IdToken));
    assert_eq!(
        verdict(&strict.profile(Profile::AccessToken), &issuer.sign(&access)).await,
        Some(ErrorKind::InvalidType)
    );
}

#[tokio::test]
async fn better_auth_can_have_another_jwks_url_issuers_and_audiences() {
    let issuer = Issuer::new().serve_jwks();
    let sign = |iss: &str, aud: &str| {
        let mut claims = issuer.claims("ada");
        (claims["iss"], claims["aud"]) = (json!(iss), json!(aud));
        issuer.sign(&claims)
    };
    let jwks_url = format!("{}/api/auth/jwks", issuer.origin());
    let builder = || BetterAuth::new("https://app.example.com").unwrap().jwks_url(&jwks_url);
    let (a, b) = ("https://a.example", "https://b.example");

    let (verifier, keys) = builder().build().unwrap();
    assert_eq!(verdict(&verifier, &sign(ORIGIN, ORIGIN)).await, None);
    assert_eq!(keys.status().fetches_ok, 1, "the key set is the verifier's");
    assert_eq!(verdict(&verifier, &sign(a, ORIGIN)).await, Some(ErrorKind::InvalidIssuer));
    assert_eq!(verdict(&verifier, &sign(ORIGIN, a)).await, Some(ErrorKind::InvalidAudience));

    let (verifier, _) = builder().issuer(a).issuer(b).audience(b).audience(a).build().unwrap();
    for (iss, aud, expected) in [
        (a, b, None),
        (b, a, None),
        (ORIGIN, a, Some(ErrorKind::InvalidIssuer)),
        (a, ORIGIN, Some(ErrorKind::InvalidAudience)),
    ] {
        assert_eq!(verdict(&verifier, &sign(iss, aud)).await, expected, "{iss} {aud}");
    }

    let invalid = builder().configure_keys(|keys| keys.timeout(Duration::ZERO));
    assert!(invalid.jwks_url(&jwks_url).build().is_err(), "another URL keeps the other settings");

    let (verifier, _) =
        builder().allowed_hosts(|host| host == "a.example" || host.ends_with(".b.example")).build().unwrap();
    for (origin, accepted) in [
        (ORIGIN, true),
        (a, true),
        ("https://x.b.example", true),
        ("https://b.example", false),
        ("http://a.example", false),
        ("https://a.example/", false),
        ("https://evil.example/.b.example", false),
        ("https://evil.example?x.b.example", false),
        ("https://x@y.b.example", false),
        ("a.example", false),
        ("", false),
    ] {
        assert_eq!(verdict(&verifier, &sign(origin, origin)).await.is_none(), accepted, "{origin}");
    }
}

#[tokio::test]
async fn better_auth_accepts_each_kind_of_token_from_its_own_issuer() {
    use ErrorKind::*;
    let issuer = Issuer::new().serve_jwks();
    let (plain, access) = (issuer.claims("ada"), issuer.access_claims("ada", "https://api.example", "notes:read"));
    let builder = || BetterAuth::new(issuer.origin()).unwrap().access_tokens("https://api.example");
    let (verifier, keys) = builder().build().unwrap();
    for (token, expected) in [
        (issuer.sign(&plain), Ok(false)),
        (issuer.sign_access(&access), Ok(true)),
        (issuer.sign_access(&with(&access, json!({"iss": issuer.origin()}))), Err(InvalidIssuer)),
        (issuer.sign_access(&with(&access, json!({"aud": issuer.origin()}))), Err(InvalidAudience)),
        // As an ID token, or an access token of Better Auth before 1.7.
        (issuer.sign(&with(&access, json!({"aud": issuer.origin()}))), Err(InvalidIssuer)),
        (issuer.sign(&with(&plain, json!({"aud": "https://api.example"}))), Err(InvalidAudience)),
    ] {
        let accepted = verifier.verify(&token).await.map(|claims| claims.is_access_token());
        assert_eq!(accepted.map_err(|error| error.kind()), expected);
    }
    assert_eq!(keys.status().fetches_ok, 1, "both kinds have the same keys");

    let (verifier, _) = builder().issuer("https://custom.example").build().unwrap();
    let custom = json!({"iss": "https://custom.example"});
    for token in [issuer.sign(&with(&plain, custom.clone())), issuer.sign_access(&with(&access, custom))] {
        assert_eq!(verdict(&verifier, &token).await, None, "`jwt.issuer` of Better Auth is for both kinds");
    }

    let (verifier, _) = builder().allowed_hosts(|host| host == "a.example").build().unwrap();
    let scheme = issuer.origin().split_once("://").unwrap().0;
    for (iss, expected) in [
        (format!("{scheme}://a.example/api/auth"), None),
        (format!("{scheme}://b.example/api/auth"), Some(InvalidIssuer)),
        (format!("{scheme}://a.example"), Some(InvalidIssuer)),
    ] {
        let token = issuer.sign_access(&with(&access, json!({"iss": iss})));
        assert_eq!(verdict(&verifier, &token).await, expected, "{iss}");
    }

    assert!(builder().access_tokens("").build().is_err());
}
