//! From headers to the token (RFC 6750, section 2.1; RFC 9110, section 11.6.2).

use http::{HeaderMap, header::AUTHORIZATION};

use crate::error::ErrorKind;

const SCHEME: &[u8] = b"Bearer";

/// The token of the request's one `Authorization: Bearer` header.
///
/// Only the header is looked at: tokens in the query or in a form are not accepted. What a token is
/// made of is left to whoever reads it; [`is_ascii`] says whether the request is to blame.
pub(crate) fn token(headers: &HeaderMap) -> Result<&[u8], ErrorKind> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(ErrorKind::MissingToken)?;
    // RFC 9110, section 5.3: the field is no list, and which of two counts is anybody's guess.
    if values.next().is_some() {
        return Err(ErrorKind::InvalidRequest);
    }
    let value = value.as_bytes();
    match value.split_at_checked(SCHEME.len()) {
        // RFC 9110, section 11.1: the scheme is case-insensitive.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => match rest {
            // RFC 9110, section 11.4: one space or more, and nothing else.
            [b' ', rest @ ..] => {
                let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
                rest.get(blanks..).filter(|token| !token.is_empty()).ok_or(ErrorKind::MissingToken)
            }
            [b'\t', ..] => Err(ErrorKind::InvalidRequest),
            // Nothing, or another scheme that begins like ours.
            _ => Err(other_scheme(value)),
        },
        _ => Err(other_scheme(value)),
    }
}

/// Whether the header is without bytes that no header of ours may have.
pub(crate) fn is_ascii(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_none_or(|value| value.as_bytes().is_ascii())
}

fn other_scheme(value: &[u8]) -> ErrorKind {
    if value.is_ascii() { ErrorKind::MissingToken } else { ErrorKind::InvalidRequest }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token_of(value: &[u8]) -> Result<String, ErrorKind> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        token(&headers).map(|token| String::from_utf8(token.to_vec()).unwrap())
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_spaces_may_repeat() {
        for value in ["Bearer t", "bearer t", "BEARER t", "bEaReR t", "Bearer   t"] {
            assert_eq!(token_of(value.as_bytes()), Ok("t".to_owned()), "{value}");
        }
    }

    #[test]
    fn other_schemes_and_empty_credentials_are_no_token() {
        assert_eq!(token(&HeaderMap::new()), Err(ErrorKind::MissingToken));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer   ",
            "Basic x",
            "BearerX t",
            "Bearer=t",
            "Token t",
            "DPoP t",
            "Basic\tx",
            " Bearer t",
        ] {
            assert_eq!(token_of(value.as_bytes()), Err(ErrorKind::MissingToken), "{value:?}");
        }
    }

    #[test]
    fn a_tab_after_the_scheme_and_a_scheme_outside_ascii_are_invalid_requests() {
        for value in [&b"Bearer\tt"[..], b"bearer\t", b"B\xc3\xa9arer t", b"Basic \xc3\xa9", b"Bearer\xc3\xa9"] {
            assert_eq!(token_of(value), Err(ErrorKind::InvalidRequest), "{value:?}");
        }
    }

    #[test]
    fn bytes_outside_ascii_are_seen() {
        let mut headers = HeaderMap::new();
        assert!(is_ascii(&headers));
        for (value, expected) in
            [(&b"Bearer t"[..], true), (b"Bearer \xff\xfe.b.c", false), (b"Bearer t\xc3\xa9", false)]
        {
            headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(is_ascii(&headers), expected, "{value:?}");
        }
    }

    #[test]
    fn whatever_else_follows_the_scheme_is_left_to_the_verifier() {
        for rest in ["a b", "a, Bearer b", "a=", "+", "%0a", "\"a\"", "\ta", "a\t"] {
            assert_eq!(token_of(format!("Bearer {rest}").as_bytes()), Ok(rest.to_owned()));
        }
    }

    #[test]
    fn two_headers_are_an_invalid_request_even_when_they_agree() {
        for (first, second) in [("Bearer t", "Bearer t"), ("Bearer t", "Basic x"), ("Basic x", "Bearer t"), ("", "")] {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, HeaderValue::from_static(first));
            headers.append(AUTHORIZATION, HeaderValue::from_static(second));
            assert_eq!(token(&headers), Err(ErrorKind::InvalidRequest));
        }
    }
}
