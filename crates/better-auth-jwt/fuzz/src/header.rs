//! `Authorization` headers: which ones are accepted, and that responses contain no part of them.

use std::{convert::Infallible, sync::LazyLock};

use better_auth_jwt::{JwtAuthLayer, PathTemplate, ProblemRejection};
use futures_util::FutureExt;
use http::{
    HeaderValue, Request, Response,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY, WWW_AUTHENTICATE},
};
use tower::{Layer, ServiceExt, service_fn};

use super::issuer;

static LAYER: LazyLock<JwtAuthLayer> = LazyLock::new(|| {
    let template = PathTemplate::new("/{user}").expect("a template");
    JwtAuthLayer::new(issuer::BY_SECRET.clone()).match_user(template)
});

static TOKEN: LazyLock<String> = LazyLock::new(|| issuer::token("ada"));

/// Each line is a header. A zero byte, which headers cannot contain, is replaced with a valid token.
pub fn run(data: &[u8]) {
    let token = TOKEN.as_bytes();
    let text: Vec<u8> =
        data.iter().flat_map(|byte| if *byte == 0 { token } else { std::slice::from_ref(byte) }).copied().collect();
    let values: Vec<HeaderValue> =
        text.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let response = send(&values);
    let (status, challenge) = expected(&values);
    assert_eq!(response.status(), status, "{values:?}");
    let headers = response.headers();
    if status == 200 {
        assert_eq!(response.body(), "entered");
        return;
    }
    assert_eq!(headers.get_all(WWW_AUTHENTICATE).iter().collect::<Vec<_>>(), [challenge], "{values:?}");
    assert_eq!(headers.len(), 4);
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[VARY], "Authorization");
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    assert!(BODIES.contains(&&**response.body()), "{}", response.body());
}

const BODIES: [&str; 3] = [
    r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"the Authorization header is not valid"}"#,
    r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"a bearer token is required"}"#,
    r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"the token is not valid"}"#,
];

fn send(values: &[HeaderValue]) -> Response<String> {
    let mut request = Request::get("/ada").body(String::new()).expect("a request");
    for value in values {
        request.headers_mut().append(AUTHORIZATION, value.clone());
    }
    let enter = async |_: Request<String>| Ok::<_, Infallible>(Response::new("entered".to_owned()));
    let service = LAYER.clone().rejection_response(ProblemRejection).layer(service_fn(enter));
    let Ok(response) = service.oneshot(request).now_or_never().expect("no waiting");
    response
}

/// Status and challenge according to a second implementation of RFC 6750 and RFC 9110.
fn expected(values: &[HeaderValue]) -> (u16, &'static str) {
    const MISSING: (u16, &str) = (401, r#"Bearer realm="api""#);
    const INVALID: (u16, &str) =
        (401, r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#);
    const BROKEN: (u16, &str) = (
        400,
        r#"Bearer realm="api", error="invalid_request", error_description="the Authorization header is not valid""#,
    );
    let value = match values {
        [] => return MISSING,
        [value] => value.as_bytes(),
        _ => return BROKEN,
    };
    if !value.is_ascii() {
        return BROKEN;
    }
    let (scheme, rest) = value.split_at(value.len().min(6));
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    match rest {
        _ if !is_bearer => MISSING,
        [b'\t', ..] => BROKEN,
        [b' ', ..] | [] => match without_spaces(rest) {
            [] => MISSING,
            token if token == TOKEN.as_bytes() => (200, ""),
            _ => INVALID,
        },
        _ => MISSING,
    }
}

/// Unlike `trim_ascii_start`, this does not remove tabs.
fn without_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b' ').unwrap_or(text.len());
    text.split_at(start).1
}
