use std::{convert::Infallible, fmt::Write};

use better_auth_jwt::{JwtAuthLayer, PathTemplate, test_util::Issuer};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, VARY, WWW_AUTHENTICATE},
};
use tower::{Layer, ServiceExt, service_fn};

/// Longer key ids are not looked at.
const LONGEST_KEY_ID: usize = 256;

const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";

/// A path that is Ada's.
const ADAS: &str = "/api/ada/tasks";

/// `ok`, or the first thing that did not hold of a string as user id, key id and issuer.
pub(crate) fn try_out(text: &str) -> &'static str {
    let mut verdicts = [
        ("own-path", own_path_passes(text)),
        ("path-of-another", path_of_another_is_refused(text)),
        ("another-on-the-path", another_is_refused_on_the_path(text)),
        ("key-id", key_id_is_found(text)),
        ("another-key-id", another_key_id_is_refused(text)),
        ("issuer", issuer_passes(text)),
        ("another-issuer", another_issuer_is_refused(text)),
    ]
    .into_iter();
    verdicts.find(|(_, holds)| !holds).map_or("ok", |(what, _)| what)
}

fn own_path_passes(user: &str) -> bool {
    let guard = Guard::by_secret();
    let token = guard.issuer.token(user);
    paths(user).iter().all(|path| guard.answers(path, &token, own_answer(user)))
}

/// What the user of this name gets on the path of this name.
fn own_answer(user: &str) -> StatusCode {
    let separator = |byte: u8| matches!(byte, b'/' | b'\\') || byte.is_ascii_control();
    match user {
        "" => StatusCode::UNAUTHORIZED,
        "." | ".." => StatusCode::BAD_REQUEST,
        _ if user.bytes().any(separator) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn path_of_another_is_refused(user: &str) -> bool {
    let guard = Guard::by_secret();
    let token = guard.issuer.token(user);
    let refusal = |status| if user.is_empty() { StatusCode::UNAUTHORIZED } else { status };
    guard.answers("/api/somebody-else/tasks", &token, refusal(StatusCode::FORBIDDEN))
        && guard.answers("/api//tasks", &token, refusal(StatusCode::FORBIDDEN))
        && guard.answers("/api/%FF%FE/tasks", &token, refusal(StatusCode::BAD_REQUEST))
}

/// Nor does a name that begins or ends like the path's, or differs in case, pass for it.
fn another_is_refused_on_the_path(user: &str) -> bool {
    let guard = Guard::by_secret();
    let others = [format!("{user}x"), format!("x{user}"), format!("{user} "), user.to_uppercase(), user.to_lowercase()];
    let refusal = match own_answer(user) {
        StatusCode::BAD_REQUEST => StatusCode::BAD_REQUEST,
        _ => StatusCode::FORBIDDEN,
    };
    others.iter().filter(|other| *other != user).all(|other| {
        let token = guard.issuer.token(other);
        paths(user).iter().all(|path| guard.answers(path, &token, refusal))
    })
}

fn key_id_is_found(id: &str) -> bool {
    // A key whose id is too long is left out, and the set then has none.
    id.len() > LONGEST_KEY_ID || {
        let guard = Guard::of(Issuer::new().key_id(id));
        guard.answers(ADAS, &guard.issuer.token("ada"), StatusCode::OK)
    }
}

fn another_key_id_is_refused(id: &str) -> bool {
    let guard = Guard::of(Issuer::new());
    let mut header = guard.issuer.header();
    header["kid"] = id.into();
    let token = guard.issuer.sign_with_header(&header, &guard.issuer.claims("ada"));
    guard.answers(ADAS, &token, StatusCode::UNAUTHORIZED)
}

fn issuer_passes(name: &str) -> bool {
    let guard = Guard::of(Issuer::with_secret(SECRET).with_origin(name));
    // An empty audience is none.
    let expected = if name.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    guard.answers(ADAS, &guard.issuer.token("ada"), expected)
}

fn another_issuer_is_refused(name: &str) -> bool {
    let guard = Guard::by_secret();
    ["iss", "aud"].iter().all(|claim| {
        let mut claims = guard.issuer.claims("ada");
        claims[claim] = name.into();
        guard.answers(ADAS, &guard.issuer.sign(&claims), StatusCode::UNAUTHORIZED)
    })
}

/// The user's path: with every byte escaped, in either case of the digits, and with none that need not be.
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
    [escaped(|_| false, true), escaped(|_| false, false), escaped(may_stand_in_a_segment, true)]
}

/// RFC 3986, section 3.3.
fn may_stand_in_a_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// An issuer, and a service that only its users may enter.
struct Guard {
    issuer: Issuer,
    layer: JwtAuthLayer,
}

impl Guard {
    fn of(issuer: Issuer) -> Self {
        let template = PathTemplate::new("/api/{user_id}/tasks").expect("a template");
        let layer = JwtAuthLayer::new(issuer.verifier()).match_user(template);
        Self { issuer, layer }
    }

    /// The quickest to make.
    fn by_secret() -> Self {
        Self::of(Issuer::with_secret(SECRET))
    }

    /// Whether a request is answered with this status, and a refusal repeats nothing of the request.
    fn answers(&self, path: &str, token: &str, status: StatusCode) -> bool {
        let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(String::new()).expect("a request");
        let enter = async |_: Request<String>| Ok::<_, Infallible>(Response::new("entered".to_owned()));
        // Neither this service nor keys at hand make anybody wait.
        let answer = self.layer.layer(service_fn(enter)).oneshot(request).now_or_never();
        let Ok(response) = answer.expect("an answer at once");
        let as_expected = match status {
            StatusCode::OK => response.body() == "entered",
            _ => response.body().is_empty() && is_known(response.headers()),
        };
        as_expected && response.status() == status
    }
}

/// Whether an answer's headers are made of nothing but what is written here.
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
