use std::error::Error as _;

use http::Response;

use super::*;
use crate::{GrpcRejection, Outcome, RejectionResponse};

#[test]
fn token_errors_are_401_invalid_token_and_request_errors_are_not() {
    for (kind, status, code) in [
        (ErrorKind::Expired, 401, Some("invalid_token")),
        (ErrorKind::SenderConstrained, 401, Some("invalid_token")),
        (ErrorKind::IdToken, 401, Some("invalid_token")),
        (ErrorKind::MissingToken, 401, None),
        (ErrorKind::InvalidRequest, 400, Some("invalid_request")),
        (ErrorKind::UserMismatch, 403, None),
        (ErrorKind::KeysUnavailable, 503, None),
    ] {
        assert_eq!((kind.status().as_u16(), kind.error_code()), (status, code), "{kind}");
    }
}

#[test]
fn every_401_has_a_challenge_without_a_layer_too() {
    for error in every_kind().into_iter().map(Error::from) {
        let mut headers = HeaderMap::new();
        error.write_headers(&mut headers);
        let expected = (error.status() == 401).then(|| HeaderValue::from_static("Bearer"));
        assert_eq!(headers.get(WWW_AUTHENTICATE), expected.as_ref(), "{error}");
    }
}

/// Makes a list of all kinds. It does not compile if one is missing.
macro_rules! every_kind {
    ($($kind:ident)*) => {{
        let _ = |kind| match kind {
            $(ErrorKind::$kind => (),)*
        };
        vec![$(ErrorKind::$kind),*]
    }};
}

fn every_kind() -> Vec<ErrorKind> {
    every_kind! {
        MissingToken InvalidRequest TokenTooLarge Malformed OpaqueToken EncryptedToken UnsupportedAlgorithm
        UnsupportedCriticalHeader InvalidType UnknownKey InvalidSignature InvalidClaims Expired NotYetValid
        MaxAgeExceeded InvalidIssuer InvalidAudience ClientToken IdToken SenderConstrained InvalidSession MissingSession
        Revoked ForbiddenOrigin UserMismatch ClaimMismatch MissingPathValue Forbidden InsufficientScope InvalidPath
        KeysUnavailable SessionsUnavailable ExchangeUnavailable RuleUnavailable
    }
}

#[test]
fn the_name_of_an_error_is_its_variant_in_snake_case() {
    for kind in every_kind() {
        let mut name = String::new();
        for character in format!("{kind:?}").chars() {
            if character.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(character.to_ascii_lowercase());
        }
        assert_eq!(kind.as_str(), name);
    }
}

#[test]
fn the_documentation_lists_every_label_with_what_the_client_receives() {
    let mut table = "| label | HTTP status | gRPC code | description |\n| --- | --- | --- | --- |\n".to_owned();
    for outcome in [Outcome::Verified, Outcome::Anonymous, Outcome::Preflight] {
        table += &format!("| `{}` | | | |\n", outcome.as_str());
    }
    for error in every_kind().into_iter().map(Error::from) {
        let response: Response<String> = GrpcRejection.response(&error);
        let code = response.headers()["grpc-status"].to_str().unwrap();
        let name = match code {
            "3" => "INVALID_ARGUMENT",
            "7" => "PERMISSION_DENIED",
            "14" => "UNAVAILABLE",
            "16" => "UNAUTHENTICATED",
            _ => panic!("unexpected code {code}"),
        };
        let (label, status) = (Outcome::Rejected(&error).as_str(), error.status().as_u16());
        table += &format!("| `{label}` | {status} | {code} `{name}` | {} |\n", error.description());
    }
    assert_eq!(include_str!("../labels.md"), table);
}

#[test]
fn an_error_prints_the_claim_on_one_line() {
    let error = Error::from(ErrorKind::InvalidClaims).with_claim("role\n\u{1b}[31m".to_owned());
    let printed = error.to_string();
    assert!(printed.ends_with(r"(claim `role\n\u{1b}[31m`)"), "{printed}");
    assert!(error.source().is_none());
}

#[test]
fn a_configuration_error_has_a_kind_and_the_cause_as_its_source() {
    let error = crate::BetterAuthUrls::new("https://").unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Url);
    assert!(error.source().is_some());
    let error = crate::Verifier::shared_secret("short").unwrap_err();
    assert_eq!((error.kind(), error.source().is_none()), (ConfigErrorKind::Secret, true));
    let error = crate::keys::KeySet::from_json("{}").unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Keys);
}
