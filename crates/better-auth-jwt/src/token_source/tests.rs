use http::{HeaderValue, Request};

use super::*;

fn find(source: &TokenSource, headers: &[(&'static str, &str)]) -> Result<String, ErrorKind> {
    let (mut parts, ()) = Request::new(()).into_parts();
    for (name, value) in headers {
        parts.headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    source.find(&parts).map(|token| String::from_utf8(token.to_vec()).unwrap())
}

const MISSING: Result<String, ErrorKind> = Err(ErrorKind::MissingToken);
const INVALID: Result<String, ErrorKind> = Err(ErrorKind::InvalidRequest);

fn token(text: &str) -> Result<String, ErrorKind> {
    Ok(text.to_owned())
}

#[test]
fn another_header_replaces_authorization() {
    let source = TokenSource::header(HeaderName::from_static("x-jwt"));
    assert_eq!(find(&source, &[("x-jwt", "a.b.c"), ("authorization", "Bearer x")]), token("a.b.c"));
    assert_eq!(find(&source, &[("x-jwt", "bearer  a.b.c ")]), token("a.b.c"));
    assert_eq!(find(&source, &[("authorization", "Bearer x")]), MISSING);
    assert_eq!(find(&source, &[("x-jwt", "")]), MISSING);
    assert_eq!(find(&source, &[("x-jwt", "Bearer ")]), MISSING);
    assert_eq!(find(&source, &[("x-jwt", "é")]), INVALID);
    assert_eq!(find(&source, &[("x-jwt", "a"), ("x-jwt", "a")]), INVALID);
}

#[test]
fn the_header_authorization_is_the_bearer_source() {
    let source = TokenSource::header(AUTHORIZATION);
    assert_eq!(find(&source, &[("authorization", "a.b.c")]), MISSING);
    assert_eq!(find(&source, &[("authorization", "Bearer a.b.c")]), token("a.b.c"));
}

#[test]
fn a_cookie_is_found_in_any_of_several_fields() {
    let source = TokenSource::cookie("jwt");
    assert_eq!(find(&source, &[("cookie", "a=1; jwt=a.b.c; xjwt=no")]), token("a.b.c"));
    assert_eq!(find(&source, &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "jwt=a.b.c")]), token("a.b.c"));
    assert_eq!(find(&source, &[("cookie", "a=1;jwt=\"a.b.c\"")]), token("a.b.c"));
    assert_eq!(find(&source, &[("cookie", "xjwt=1; jwtx=2; a=jwt=3; jwt")]), MISSING);
    assert_eq!(find(&source, &[("cookie", "jwt=")]), MISSING);
    assert_eq!(find(&source, &[("cookie", "jwt=; jwt=a")]), token("a"));
    assert_eq!(find(&source, &[("cookie", "jwt=a; jwt=a")]), token("a"));
}

#[test]
fn two_cookies_of_one_name_with_different_values_are_ambiguous() {
    assert_eq!(find(&TokenSource::cookie("jwt"), &[("cookie", "jwt=a; jwt=b")]), INVALID);
}

#[test]
fn either_source_may_have_the_token_but_not_both() {
    let source = TokenSource::bearer().or(TokenSource::cookie("jwt"));
    assert_eq!(find(&source, &[("authorization", "Bearer a")]), token("a"));
    assert_eq!(find(&source, &[("cookie", "jwt=b")]), token("b"));
    assert_eq!(find(&source, &[("authorization", "Basic a"), ("cookie", "jwt=b")]), token("b"));
    assert_eq!(find(&source, &[("authorization", "Bearer a"), ("cookie", "jwt=")]), token("a"));
    assert_eq!(find(&source, &[("authorization", "Bearer a"), ("cookie", "jwt=a")]), INVALID);
    assert_eq!(find(&source, &[("authorization", "Bearer\ta"), ("cookie", "jwt=a")]), INVALID);
    assert_eq!(find(&source, &[]), MISSING);
}

#[test]
fn a_fallback_is_used_only_without_a_token_in_the_first_source() {
    let source = TokenSource::bearer().fallback(TokenSource::cookie("jwt"));
    assert_eq!(find(&source, &[("authorization", "Bearer a"), ("cookie", "jwt=b")]), token("a"));
    assert_eq!(find(&source, &[("cookie", "jwt=b")]), token("b"));
    assert_eq!(find(&source, &[("authorization", "Bearer\ta"), ("cookie", "jwt=b")]), INVALID);
    assert_eq!(find(&source, &[]), MISSING);
}

#[test]
fn a_function_can_extract_the_token() {
    let source = TokenSource::from_fn(|parts| parts.uri.path().strip_prefix("/t/"));
    let (parts, ()) = Request::builder().uri("/t/abc").body(()).unwrap().into_parts();
    assert_eq!(source.find(&parts), Ok(&b"abc"[..]));
    let (parts, ()) = Request::builder().uri("/t/").body(()).unwrap().into_parts();
    assert_eq!(source.find(&parts), Err(ErrorKind::MissingToken));
}
