//! Paths: a template finds the user that a second reading finds, and axum's router the same one.

use std::{convert::Infallible, sync::LazyLock};

use axum::{Router, routing::get};
use better_auth_jwt::{JwtAuthLayer, PathError, PathParam, PathTemplate, PathValue};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tower::{Layer, ServiceExt, service_fn};

use super::issuer;

/// What the other bytes are a path for: the first byte chooses.
const TEMPLATES: [&str; 4] = ["/api/{user_id}/tasks", "/api/{user_id}/*", "/*/x/{user}/y", "/{user}"];

/// Of the first template.
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
    // The token of a longer user is refused for its size.
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

/// The user by RFC 3986, read once more.
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
    let place = template.iter().position(|pattern| pattern.starts_with('{')).expect("a user");
    match path[place] {
        "" => Err(PathError::Missing),
        segment => decoded(segment).ok_or(PathError::Invalid),
    }
}

fn decoded(segment: &str) -> Option<String> {
    let mut after_percent = segment.split('%').skip(1);
    let is_hex = |text: &str| text.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let user = percent_decode_str(segment).decode_utf8().ok()?;
    let is_refused = matches!(&*user, "." | "..") || user.contains(|c: char| c.is_ascii_control() || "/\\".contains(c));
    (after_percent.all(is_hex) && !is_refused).then(|| user.into_owned())
}

/// Encoded again, in full or where it must be, the user is still the same.
fn reaches_its_path(template: &str, user_id: &str) {
    let in_full: String = user_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let where_needed = utf8_percent_encode(user_id, NON_ALPHANUMERIC).to_string();
    for encoded in [in_full, where_needed] {
        let fill = |pattern| if str::starts_with(pattern, '{') { &encoded } else { pattern };
        let path = template.split('/').map(fill).collect::<Vec<_>>().join("/");
        // Three bytes for one may be more than a path can have.
        if let Ok(uri) = Uri::try_from(path) {
            assert_eq!(user(template, &uri).as_deref(), Ok(user_id), "{template} {uri}");
        }
    }
}

/// What the template lets in, axum's router lets in, and what one refuses, the other does.
fn router_agrees(uri: &Uri, found: &Result<String, PathError>) {
    let user = found.as_deref().unwrap_or("ada");
    let request = || {
        let request = Request::get(uri).header(AUTHORIZATION, format!("Bearer {}", issuer::token(user)));
        request.body(axum::body::Body::empty()).expect("a request")
    };
    let enter = async |_| Ok::<_, Infallible>(Response::new(axum::body::Body::empty()));
    let Ok(by_template) = LAYER.layer(service_fn(enter)).oneshot(request()).now_or_never().expect("an answer at once");
    let Ok(by_router) = ROUTER.clone().oneshot(request()).now_or_never().expect("an answer at once");
    let (by_template, by_router) = (by_template.status(), by_router.status());
    let expected = match found {
        Ok(_) => StatusCode::OK,
        Err(PathError::Invalid) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::FORBIDDEN,
    };
    assert_eq!(by_template, expected, "{uri}");
    // A route that does not match is nobody's. An empty segment does match, and is no user's.
    let no_route = expected == StatusCode::FORBIDDEN && by_router == StatusCode::NOT_FOUND;
    assert!(by_router == expected || no_route, "{uri}: {by_router}");
}
