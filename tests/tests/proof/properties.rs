//! Properties of all tokens, paths and headers.

use std::{convert::Infallible, fmt::Write, sync::LazyLock};

use better_auth_jwt::{
    Claims, GrpcRejection, JwtAuthLayer, PathTemplate, ProblemRejection, RejectionResponse, Verifier, keys::Algorithm,
    test_util::Issuer,
};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY, WWW_AUTHENTICATE},
};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use crate::{fuzzed, verdict};

const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::HS256,
    Algorithm::HS512,
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::RS256,
    Algorithm::PS256,
];

#[test]
fn a_token_with_any_character_changed_is_rejected() {
    for algorithm in ALGORITHMS {
        let issuer = Issuer::with_algorithm(algorithm);
        let (token, verifier) = (issuer.token("ada"), issuer.verifier());
        assert!(verdict::of(&verifier, &token).is_ok());
        for (position, original) in token.char_indices() {
            // Another letter, a character that is not base64url, another bit, and another case.
            let others = [b'A', b'=', original as u8 ^ 1, original as u8 ^ 32];
            for other in others.map(char::from).into_iter().filter(|other| *other != original) {
                let mut changed = token.clone();
                changed.replace_range(position..=position, other.encode_utf8(&mut [0; 4]));
                assert!(verdict::of(&verifier, &changed).is_err(), "{algorithm}: {changed}");
            }
        }
    }
}

#[test]
fn a_truncated_token_is_rejected() {
    for algorithm in ALGORITHMS {
        let issuer = Issuer::with_algorithm(algorithm);
        let (token, verifier) = (issuer.token("ada"), issuer.verifier());
        for position in 0..token.len() {
            let mut shorter = token.clone();
            shorter.remove(position);
            for cut in [&token[..position], &token[position + 1..], &shorter] {
                assert!(verdict::of(&verifier, cut).is_err(), "{algorithm}: {cut}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_token_with_any_character_inserted_is_rejected(
        signed in signed(), position: prop::sample::Index, length in 0..4usize, more in ".{0,9}",
    ) {
        let position = position.index(signed.token.len() + 1);
        let end = signed.token.len().min(position + length);
        let mut changed = signed.token.clone();
        changed.replace_range(position..end, &more);
        prop_assert!(changed == signed.token || verdict::of(&signed.verifier, &changed).is_err(), "{}", changed);
    }

    #[test]
    fn a_user_reaches_their_path_in_every_encoding_and_no_other_path(
        user in prop_oneof![".{1,20}", any::<String>(), "[./%a]{1,4}"], other in any::<String>(), encode: [bool; 16],
    ) {
        let issuer = Issuer::with_secret(SECRET);
        let layer = JwtAuthLayer::new(issuer.verifier());
        let layer = layer.match_user(PathTemplate::new("/api/{user}/tasks").expect("a template"));
        let path = format!("/api/{}/tasks", encoded(&user, &encode));
        let is_invalid = matches!(&*user, "." | "..") || user.contains(|c: char| c.is_ascii_control() || "/\\".contains(c));
        let expected = match &*user {
            "" => 401,
            _ if is_invalid => 400,
            _ => 200,
        };
        prop_assert_eq!(send(&layer, &path, bearer(&issuer.token(&user))).status(), expected, "{}", path);
        if other != user && !other.is_empty() {
            let status = send(&layer, &path, bearer(&issuer.token(&other))).status();
            prop_assert_eq!(status, if is_invalid { 400 } else { 403 }, "{}", path);
        }
    }

    #[test]
    fn error_responses_contain_nothing_of_the_request(credentials in credentials()) {
        let Ok(credentials) = HeaderValue::from_bytes(&credentials) else { return Ok(()) };
        let layer = JwtAuthLayer::new(Issuer::with_secret(SECRET).verifier());
        let plain = send(&layer, "/", credentials.clone());
        prop_assert!(matches!(plain.status().as_u16(), 400 | 401));
        prop_assert!(are_of_an_error_response(plain.headers()), "{:?}", plain.headers());
        prop_assert_eq!(plain.body(), "");

        let problem = send(&layer.clone().rejection_response(ProblemRejection), "/", credentials.clone());
        prop_assert!(are_of_an_error_response(problem.headers()), "{:?}", problem.headers());
        let text = problem.body();
        prop_assert!(DETAILS.iter().any(|detail| text.ends_with(&format!(r#""detail":"{detail}"}}"#))), "{}", text);
        prop_assert!(text.len() < 150, "{}", text);

        let grpc = send(&layer.rejection_response(GrpcRejection), "/", credentials);
        prop_assert_eq!(grpc.status(), 200);
        let message = grpc.headers().get("grpc-message").expect("a message");
        prop_assert!(DETAILS.iter().any(|detail| message == detail), "{:?}", message);
        prop_assert_eq!(grpc.headers().len(), 3);
    }

    /// RFC 6750, section 3: the characters that are allowed between the quotes.
    #[test]
    fn a_challenge_contains_the_configured_realm_or_the_configuration_is_rejected(
        realm in prop_oneof![any::<String>(), "[ -~]{0,30}"],
    ) {
        let issuer = Issuer::with_secret(SECRET);
        let fits = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        let layer = JwtAuthLayer::new(issuer.verifier());
        let url = layer.clone().resource_metadata(&realm);
        match layer.realm(&realm) {
            Ok(layer) => {
                prop_assert!(url.is_ok() && !realm.is_empty() && realm.chars().all(fits));
                let response = send(&layer, "/", HeaderValue::from_static("Basic x"));
                prop_assert_eq!(&response.headers()[WWW_AUTHENTICATE], &format!(r#"Bearer realm="{realm}""#));
            }
            Err(_) => prop_assert!(url.is_err() && (realm.is_empty() || !realm.chars().all(fits))),
        }
    }

    #[test]
    fn no_input_causes_a_panic(kind in "[resh0-3]", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = [kind.as_bytes(), &bytes].concat();
        fuzzed::header::run(&bytes);
        fuzzed::token::run(&data);
        fuzzed::jwks::run(&bytes);
        fuzzed::path::run(&data);
    }
}

const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";

const DETAILS: [&str; 3] =
    ["a bearer token is required", "the Authorization header is not valid", "the token is not valid"];

/// A valid token and the verifier that accepts it.
#[derive(Debug)]
struct Signed {
    token: String,
    verifier: Verifier,
}

fn signed() -> impl Strategy<Value = &'static Signed> {
    static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(|| {
        let issuers = ALGORITHMS.into_iter().map(Issuer::with_algorithm);
        issuers.map(|issuer| Signed { token: issuer.token("ada"), verifier: issuer.verifier() }).collect()
    });
    (0..ALGORITHMS.len()).prop_map(|which| &SIGNED[which])
}

/// Bytes that a client might send as `Authorization`.
fn credentials() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..100);
    prop_oneof![
        bytes(),
        bytes().prop_map(|bytes| [b"Bearer ", &*bytes].concat()),
        "[Bb]earer[ \\t]{1,2}[ -~]{0,40}".prop_map(String::into_bytes),
        r"Bearer eyJ[\w-]{0,40}\.eyJ[\w-]{0,40}\.[\w-]{0,40}".prop_map(String::into_bytes),
    ]
}

/// Percent-encodes all bytes that must be encoded, and those of the others that the pattern selects.
fn encoded(user: &str, pattern: &[bool]) -> String {
    let mut segment = String::new();
    for (byte, escape) in user.bytes().zip(pattern.iter().cycle()) {
        // RFC 3986, section 3.3.
        let is_allowed = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        if is_allowed && !escape {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02x}");
        }
    }
    segment
}

fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a header")
}

fn send<R>(layer: &JwtAuthLayer<Claims, R>, path: &str, credentials: HeaderValue) -> Response<String>
where
    R: RejectionResponse<String> + Clone,
{
    let mut request = Request::get(path).body(String::new()).expect("a request");
    request.headers_mut().insert(AUTHORIZATION, credentials);
    let enter = async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new()));
    let Ok(response) = layer.layer(service_fn(enter)).oneshot(request).now_or_never().expect("no waiting");
    response
}

/// Whether the headers are exactly those of an error response.
fn are_of_an_error_response(headers: &HeaderMap) -> bool {
    const CHALLENGES: [&str; 3] = [
        r#"Bearer realm="api""#,
        r#"Bearer realm="api", error="invalid_request", error_description="the Authorization header is not valid""#,
        r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#,
    ];
    headers.iter().all(|(name, value)| match *name {
        WWW_AUTHENTICATE => CHALLENGES.iter().any(|challenge| value == challenge),
        CACHE_CONTROL => value == "no-store",
        VARY => value == "Authorization",
        CONTENT_TYPE => value == "application/problem+json",
        _ => false,
    })
}
