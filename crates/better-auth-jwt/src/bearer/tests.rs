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
fn other_schemes_and_empty_credentials_count_as_a_missing_token() {
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
fn a_tab_after_the_scheme_and_bytes_outside_ascii_are_invalid_requests() {
    for value in [
        &b"Bearer\tt"[..],
        b"bearer\t",
        b"B\xc3\xa9arer t",
        b"Basic \xc3\xa9",
        b"Bearer\xc3\xa9",
        b"Bearer \xff\xfe.b.c",
        b"Bearer t\xc3\xa9",
    ] {
        assert_eq!(token_of(value), Err(ErrorKind::InvalidRequest), "{value:?}");
    }
}

#[test]
fn everything_else_after_the_scheme_is_passed_to_the_verifier() {
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
