//! Paths: the template finds the same user as a second parser and as axum's router.

use std::{convert::Infallible, sync::LazyLock};

use axum::{Router, routing::get};
use better_auth_jwt::{JwtAuthLayer, PathError, PathParam, PathTemplate, PathValue};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tower::{Layer, ServiceExt, service_fn};

use super::issuer;

/// The first byte chooses the template, the others are the path.
const TEMPLATES: [&str; 4] = ["/api/{user_id}/tasks", "/api/{user_id}/*", "/*/x/{user}/y", "/{user}"];

/// With the first template.
static LAYER: LazyLock<JwtAuthLayer> = LazyLock::new(|| {
    let template = PathTemplate::new(TEMPLATES[0]).expect("a template");
    JwtAuthLayer::new(issuer::BY_SECRET.clone()).match_user(template)
});

static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let auth = JwtAuthLayer::new(issuer::BY_SECRET.clone()).match_user(PathParam("user_id"));
    Router::new().route(TEMPLATES[0], get("entered")).route_layer(auth)
});

pub fn run(data: &[u8]) {
    let Some((which, path)) = data.split_first() else { return };
    let Ok(uri) = Uri::try_from(path) else { return };
    let template = TEMPLATES[usize::from(*which) % TEMPLATES.len()];
    let found = user(template, &uri);
    assert_eq!(found, expected(template, uri.path()), "{template} {uri}");
    if let Ok(user) = &found {
        reaches_its_path(template, user);
    }
    // With a longer user id the token is too large.
    let token_fits = found.as_ref().map_or(0, String::len) <= 4096;
    if template == TEMPLATES[0] && token_fits {
        router_agrees(&uri, &found);
    }
}

fn user(template: &str, uri: &Uri) -> Result<String, PathError> {
    let (mut parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
    let template = PathTemplate::new(template).expect("a template");
    template.extract(&mut parts).map(|user| user.into_owned())
}

/// The user according to a second implementation of RFC 3986.
fn expected(template: &str, path: &str) -> Result<String, PathError> {
    let mut template: Vec<&str> = template.split('/').collect();
    let mut path: Vec<&str> = path.split('/').collect();
    if template.last() == Some(&"*") {
        template.pop();
        path.truncate(template.len());
    }
    let fits = |(pattern, segment): (&&str, &&str)| pattern == segment || *pattern == "*" || pattern.starts_with('{');
    if template.len() != path.len() || !template.iter().zip(&path).all(fits) {
        return Err(PathError::Missing);
    }
    let position = template.iter().position(|pattern| pattern.starts_with('{')).expect("a user");
    match path[position] {
        "" => Err(PathError::Missing),
        segment => decoded(segment).ok_or(PathError::Invalid),
    }
}

fn decoded(segment: &str) -> Option<String> {
    let mut after_percent = segment.split('%').skip(1);
    let is_hex = |text: &str| text.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let user = percent_decode_str(segment).decode_utf8().ok()?;
    let is_invalid = matches!(&*user, "." | "..") || user.contains(|c: char| c.is_ascii_control() || "/\\".contains(c));
    (after_percent.all(is_hex) && !is_invalid).then(|| user.into_owned())
}

/// If the user id is percent-encoded again, completely or only where necessary, the result is the same.
fn reaches_its_path(template: &str, user_id: &str) {
    let in_full: String = user_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let where_needed = utf8_percent_encode(user_id, NON_ALPHANUMERIC).to_string();
    for encoded in [in_full, where_needed] {
        let fill = |pattern| if str::starts_with(pattern, '{') { &encoded } else { pattern };
        let path = template.split('/').map(fill).collect::<Vec<_>>().join("/");
        // The encoded path may be too long.
        if let Ok(uri) = Uri::try_from(path) {
            assert_eq!(user(template, &uri).as_deref(), Ok(user_id), "{template} {uri}");
        }
    }
}

/// The template and axum's router accept and reject the same paths.
fn router_agrees(uri: &Uri, found: &Result<String, PathError>) {
    let user = found.as_deref().unwrap_or("ada");
    let request = || {
        let request = Request::get(uri).header(AUTHORIZATION, format!("Bearer {}", issuer::token(user)));
        request.body(axum::body::Body::empty()).expect("a request")
    };
    let enter = async |_| Ok::<_, Infallible>(Response::new(axum::body::Body::empty()));
    let Ok(by_template) = LAYER.layer(service_fn(enter)).oneshot(request()).now_or_never().expect("no waiting");
    let Ok(by_router) = ROUTER.clone().oneshot(request()).now_or_never().expect("no waiting");
    let (by_template, by_router) = (by_template.status(), by_router.status());
    let expected = match found {
        Ok(_) => StatusCode::OK,
        Err(PathError::Invalid) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::FORBIDDEN,
    };
    assert_eq!(by_template, expected, "{uri}");
    // A path without a route is 404. An empty segment has a route, but is not a user.
    let no_route = expected == StatusCode::FORBIDDEN && by_router == StatusCode::NOT_FOUND;
    assert!(by_router == expected || no_route, "{uri}: {by_router}");
}
