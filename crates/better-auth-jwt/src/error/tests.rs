use std::error::Error as _;

use super::*;

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
fn the_name_of_an_error_is_its_variant_in_snake_case() {
    for kind in [
        ErrorKind::MissingToken,
        ErrorKind::TokenTooLarge,
        ErrorKind::UnsupportedCriticalHeader,
        ErrorKind::InvalidClaims,
        ErrorKind::SenderConstrained,
        ErrorKind::IdToken,
        ErrorKind::SessionsUnavailable,
    ] {
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
