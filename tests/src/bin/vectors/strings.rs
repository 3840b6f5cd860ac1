use std::{convert::Infallible, fmt::Write};

use better_auth_jwt::{JwtAuthLayer, PathTemplate, test_util::Issuer};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, VARY, WWW_AUTHENTICATE},
};
use tower::{Layer, ServiceExt, service_fn};

/// Longer key ids are rejected.
const MAX_KEY_ID: usize = 256;

const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";

/// A path of the user `ada`.
const PATH_OF_ADA: &str = "/api/ada/tasks";

/// Uses a string as user id, key id and issuer. Returns `ok`, or the first check that fails.
pub(crate) fn evaluate(text: &str) -> &'static str {
    let mut verdicts = [
        ("own-path", own_path_passes(text)),
        ("path-of-another", path_of_another_is_rejected(text)),
        ("another-on-the-path", another_is_rejected_on_the_path(text)),
        ("key-id", key_id_is_found(text)),
        ("another-key-id", another_key_id_is_rejected(text)),
        ("issuer", issuer_passes(text)),
        ("another-issuer", another_issuer_is_rejected(text)),
    ]
    .into_iter();
    verdicts.find(|(_, holds)| !holds).map_or("ok", |(what, _)| what)
}

fn own_path_passes(user: &str) -> bool {
    let service = Protected::with_secret();
    let token = service.issuer.token(user);
    paths(user).iter().all(|path| service.responds(path, &token, expected_status(user)))
}

/// The expected status for this user and the user's own path.
fn expected_status(user: &str) -> StatusCode {
    let separator = |byte: u8| matches!(byte, b'/' | b'\\') || byte.is_ascii_control();
    match user {
        "" => StatusCode::UNAUTHORIZED,
        "." | ".." => StatusCode::BAD_REQUEST,
        _ if user.bytes().any(separator) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn path_of_another_is_rejected(user: &str) -> bool {
    let service = Protected::with_secret();
    let token = service.issuer.token(user);
    let rejection = |status| if user.is_empty() { StatusCode::UNAUTHORIZED } else { status };
    service.responds("/api/another-user/tasks", &token, rejection(StatusCode::FORBIDDEN))
        && service.responds("/api//tasks", &token, rejection(StatusCode::FORBIDDEN))
        && service.responds("/api/%FF%FE/tasks", &token, rejection(StatusCode::BAD_REQUEST))
}

/// A user id that starts or ends like the one in the path, or differs in case, does not match it.
fn another_is_rejected_on_the_path(user: &str) -> bool {
    let service = Protected::with_secret();
    let others = [format!("{user}x"), format!("x{user}"), format!("{user} "), user.to_uppercase(), user.to_lowercase()];
    let rejection = match expected_status(user) {
        StatusCode::BAD_REQUEST => StatusCode::BAD_REQUEST,
        _ => StatusCode::FORBIDDEN,
    };
    others.iter().filter(|other| *other != user).all(|other| {
        let token = service.issuer.token(other);
        paths(user).iter().all(|path| service.responds(path, &token, rejection))
    })
}

fn key_id_is_found(id: &str) -> bool {
    // A key with an id that is too long is rejected, and the set then has no keys.
    id.len() > MAX_KEY_ID || {
        let service = Protected::of(Issuer::new().with_key_id(id));
        service.responds(PATH_OF_ADA, &service.issuer.token("ada"), StatusCode::OK)
    }
}

fn another_key_id_is_rejected(id: &str) -> bool {
    let service = Protected::of(Issuer::new());
    let mut header = service.issuer.header();
    header["kid"] = id.into();
    let token = service.issuer.sign_with_header(&header, &service.issuer.claims("ada"));
    service.responds(PATH_OF_ADA, &token, StatusCode::UNAUTHORIZED)
}

fn issuer_passes(name: &str) -> bool {
    let service = Protected::of(Issuer::with_secret(SECRET).with_origin(name));
    // An empty audience is not accepted.
    let expected = if name.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    service.responds(PATH_OF_ADA, &service.issuer.token("ada"), expected)
}

fn another_issuer_is_rejected(name: &str) -> bool {
    let service = Protected::with_secret();
    ["iss", "aud"].iter().all(|claim| {
        let mut claims = service.issuer.claims("ada");
        claims[claim] = name.into();
        service.responds(PATH_OF_ADA, &service.issuer.sign(&claims), StatusCode::UNAUTHORIZED)
    })
}

/// The user's path with all bytes percent-encoded, in upper and lower case, and with only the necessary ones encoded.
fn paths(user: &str) -> [String; 3] {
    let escaped = |keep: fn(u8) -> bool, upper: bool| {
        let segment = user.bytes().fold(String::new(), |mut segment, byte| {
            let written = match byte {
                _ if keep(byte) => write!(segment, "{}", char::from(byte)),
                _ if upper => write!(segment, "%{byte:02X}"),
                _ => write!(segment, "%{byte:02x}"),
            };
            written.map_or_else(|_| String::new(), |()| segment)
        });
        format!("/api/{segment}/tasks")
    };
    [escaped(|_| false, true), escaped(|_| false, false), escaped(is_allowed_in_segment, true)]
}

/// RFC 3986, section 3.3.
fn is_allowed_in_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// An issuer, and a layer that accepts its tokens.
struct Protected {
    issuer: Issuer,
    layer: JwtAuthLayer,
}

impl Protected {
    fn of(issuer: Issuer) -> Self {
        let template = PathTemplate::new("/api/{user_id}/tasks").expect("a template");
        let layer = JwtAuthLayer::new(issuer.verifier()).match_user(template);
        Self { issuer, layer }
    }

    /// With a secret, because creating one is fast.
    fn with_secret() -> Self {
        Self::of(Issuer::with_secret(SECRET))
    }

    /// Whether a request gets this status, and an error response contains nothing of the request.
    fn responds(&self, path: &str, token: &str, status: StatusCode) -> bool {
        let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(String::new()).expect("a request");
        let enter = async |_: Request<String>| Ok::<_, Infallible>(Response::new("entered".to_owned()));
        // With keys in memory, the service never waits.
        let response = self.layer.layer(service_fn(enter)).oneshot(request).now_or_never();
        let Ok(response) = response.expect("no waiting");
        let as_expected = match status {
            StatusCode::OK => response.body() == "entered",
            _ => response.body().is_empty() && is_known(response.headers()),
        };
        as_expected && response.status() == status
    }
}

/// Whether the headers are exactly those of an error response.
fn is_known(headers: &HeaderMap) -> bool {
    const INVALID: &str = r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#;
    let known = |(name, value): (&HeaderName, &_)| match *name {
        WWW_AUTHENTICATE => value == INVALID,
        CACHE_CONTROL => value == "no-store",
        VARY => value == "Authorization",
        _ => false,
    };
    headers.iter().all(known)
}
