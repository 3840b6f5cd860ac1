//! From an error to the answer.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE},
};

use crate::error::{ConfigError, Error, ErrorKind};

/// Makes the answer to a refused request.
///
/// Implemented by [`BearerRejection`] (the default), [`ProblemRejection`], [`GrpcRejection`], and
/// by closures from [`&Error`](Error) to a response.
pub trait RejectionResponse<B> {
    /// The answer. Nothing of the request may appear in it.
    ///
    /// `blank` is an empty answer to begin with, in the room that the request has left; whoever makes
    /// one of their own can let it go.
    fn response(&self, error: &Error, blank: Response<()>) -> Response<B>;
}

impl<F, B> RejectionResponse<B> for F
where
    F: Fn(&Error) -> Response<B>,
{
    fn response(&self, error: &Error, _: Response<()>) -> Response<B> {
        self(error)
    }
}

/// The answer of RFC 6750: status and challenge, no body.
#[derive(Debug, Clone, Copy, Default)]
pub struct BearerRejection;

impl<B: Default> RejectionResponse<B> for BearerRejection {
    fn response(&self, error: &Error, blank: Response<()>) -> Response<B> {
        let mut response = blank.map(|()| B::default());
        *response.status_mut() = error.status();
        write_headers(error, response.headers_mut());
        response
    }
}

/// The same with a body in `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemRejection;

impl<B: From<String>> RejectionResponse<B> for ProblemRejection {
    fn response(&self, error: &Error, blank: Response<()>) -> Response<B> {
        let status = error.status();
        // Every part comes from a closed set without characters that JSON would escape.
        let body = format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{}"}}"#,
            status.canonical_reason().unwrap_or_default(),
            status.as_u16(),
            error.description(),
        );
        let mut response = blank.map(|()| B::from(body));
        *response.status_mut() = status;
        write_headers(error, response.headers_mut());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The answer of gRPC: HTTP 200 and the status in `grpc-status`, which clients of any language
/// understand.
///
/// 16 `UNAUTHENTICATED` stands for 400 and 401, 7 `PERMISSION_DENIED` for 403 and 14 `UNAVAILABLE` for
/// 503, with `grpc-retry-pushback-ms` where it is known when trying again makes sense.
///
/// With tonic, one service is guarded by `named_layer`, the whole server by `layer`:
///
/// ```text
/// use tonic::service::LayerExt;
///
/// let auth = JwtAuthLayer::new(verifier).reject_with(GrpcRejection);
/// Server::builder().add_service(auth.named_layer(GreeterServer::new(greeter))) // health stays open
/// Server::builder().layer(auth).add_service(…)                                 // everything
///
/// let Authenticated(claims) = request.extensions().get::<Authenticated<Claims>>() // in a method
/// ```
///
/// gRPC paths name no user, so [`match_user`](crate::JwtAuthLayer::match_user) is not for them: a
/// user named in a message is compared by the method.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcRejection;

impl<B: Default> RejectionResponse<B> for GrpcRejection {
    fn response(&self, error: &Error, blank: Response<()>) -> Response<B> {
        let code = match error.status().as_u16() {
            403 => "7",  // PERMISSION_DENIED
            503 => "14", // UNAVAILABLE
            _ => "16",   // UNAUTHENTICATED
        };
        let mut response = blank.map(|()| B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code));
        // Descriptions have no character that gRPC would percent-encode.
        headers.insert("grpc-message", HeaderValue::from_static(error.description()));
        if let Some(after) = error.retry_after() {
            let millis = after.as_millis().try_into().unwrap_or(u64::MAX);
            headers.insert("grpc-retry-pushback-ms", HeaderValue::from(millis));
        }
        response
    }
}

/// The headers that every HTTP answer to a refused request carries: the challenge, `Retry-After`
/// and what keeps caches away (RFC 9111, section 3.5). For answers of your own.
pub fn write_headers(error: &Error, headers: &mut HeaderMap) {
    if let Some(challenge) = error.challenge() {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(after) = error.retry_after() {
        write_retry_after(after, headers);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("Authorization"));
}

/// Rounded up: whoever waits this long finds the service willing to try.
pub(crate) fn write_retry_after(after: Duration, headers: &mut HeaderMap) {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}

/// The values of `WWW-Authenticate`, made once (RFC 6750, section 3; RFC 9728, section 5.1).
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    realm: String,
    resource_metadata: Option<String>,
    scope: Option<String>,
    missing: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
    expired: HeaderValue,
    insufficient_scope: HeaderValue,
}

impl Challenges {
    pub(crate) fn new() -> Self {
        let empty = HeaderValue::from_static("");
        let mut challenges = Self {
            realm: "api".to_owned(),
            resource_metadata: None,
            scope: None,
            missing: empty.clone(),
            invalid_request: empty.clone(),
            invalid_token: empty.clone(),
            expired: empty.clone(),
            insufficient_scope: empty,
        };
        challenges.write();
        challenges
    }

    pub(crate) fn realm(&mut self, realm: &str) -> Result<(), ConfigError> {
        self.realm = quotable("realm", realm)?;
        self.write();
        Ok(())
    }

    pub(crate) fn resource_metadata(&mut self, url: &str) -> Result<(), ConfigError> {
        self.resource_metadata = Some(quotable("resource_metadata", url)?);
        self.write();
        Ok(())
    }

    pub(crate) fn scope(&mut self, scope: &str) -> Result<(), ConfigError> {
        self.scope = Some(quotable("scope", scope)?);
        self.write();
        Ok(())
    }

    pub(crate) fn get(&self, kind: ErrorKind) -> Option<HeaderValue> {
        let value = match (kind, kind.error_code()) {
            (ErrorKind::MissingToken, _) => &self.missing,
            (ErrorKind::Expired, _) => &self.expired,
            (_, Some("invalid_request")) => &self.invalid_request,
            (_, Some("invalid_token")) => &self.invalid_token,
            (_, Some("insufficient_scope")) => &self.insufficient_scope,
            _ => return None,
        };
        Some(value.clone())
    }

    fn write(&mut self) {
        let mut base = format!(r#"Bearer realm="{}""#, self.realm);
        if let Some(url) = &self.resource_metadata {
            base += &format!(r#", resource_metadata="{url}""#);
        }
        let value = |kind: ErrorKind, scope: Option<&String>| {
            let mut text = base.clone();
            if let Some(code) = kind.error_code() {
                text += &format!(r#", error="{code}", error_description="{}""#, kind.description());
            }
            if let Some(scope) = scope {
                text += &format!(r#", scope="{scope}""#);
            }
            // A static text is copied without counting who has it.
            match USUAL.iter().find(|usual| **usual == text) {
                Some(usual) => HeaderValue::from_static(usual),
                // `quotable` has let only printable ASCII in.
                None => HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer")),
            }
        };
        self.missing = value(ErrorKind::MissingToken, None);
        self.invalid_request = value(ErrorKind::InvalidRequest, None);
        self.invalid_token = value(ErrorKind::Malformed, None);
        self.expired = value(ErrorKind::Expired, None);
        self.insufficient_scope = value(ErrorKind::InsufficientScope, self.scope.as_ref());
    }
}

/// The challenges of a layer whose realm is `api`, as most are.
const USUAL: [&str; 3] = [
    r#"Bearer realm="api""#,
    r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#,
    r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#,
];

/// What may stand between the quotes of an auth-param: RFC 6750, section 3.
fn quotable(name: &str, text: &str) -> Result<String, ConfigError> {
    let allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(ConfigError::new(format!("the {name} must be printable ASCII without quotes and backslashes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Response<()> {
        Response::new(())
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let mut challenges = Challenges::new();
        let of = |challenges: &Challenges, kind| challenges.get(kind).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(of(&challenges, ErrorKind::MissingToken).unwrap(), r#"Bearer realm="api""#);
        assert_eq!(
            of(&challenges, ErrorKind::InvalidSignature).unwrap(),
            r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#
        );
        assert_eq!(
            of(&challenges, ErrorKind::Expired).unwrap(),
            r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#
        );
        assert_eq!(of(&challenges, ErrorKind::UserMismatch), None);
        assert_eq!(of(&challenges, ErrorKind::KeysUnavailable), None);
        assert_eq!(of(&challenges, ErrorKind::InvalidPath), None);

        challenges.realm("tasks").unwrap();
        challenges.resource_metadata("https://api.example.com/.well-known/oauth-protected-resource").unwrap();
        assert_eq!(
            of(&challenges, ErrorKind::MissingToken).unwrap(),
            r#"Bearer realm="tasks", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource""#
        );
    }

    #[test]
    fn the_usual_challenges_are_those_of_a_layer_as_it_comes() {
        let kinds = [ErrorKind::MissingToken, ErrorKind::InvalidSignature, ErrorKind::Expired];
        assert_eq!(kinds.map(|kind| Challenges::new().get(kind).unwrap()), USUAL.map(HeaderValue::from_static));
    }

    #[test]
    fn what_would_break_out_of_the_quotes_is_refused() {
        for realm in ["", "a\"b", "a\\b", "a\nb", "é", "a\tb"] {
            assert!(Challenges::new().realm(realm).is_err(), "{realm:?}");
        }
    }

    #[test]
    fn grpc_answers_with_its_own_status() {
        for (kind, code) in [
            (ErrorKind::Expired, "16"),
            (ErrorKind::MissingToken, "16"),
            (ErrorKind::InvalidRequest, "16"),
            (ErrorKind::UserMismatch, "7"),
            (ErrorKind::KeysUnavailable, "14"),
        ] {
            let response: Response<String> = GrpcRejection.response(&Error::from(kind), blank());
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], code);
            assert!(!response.headers().contains_key("grpc-retry-pushback-ms"));
        }
        let away = Error::from(ErrorKind::KeysUnavailable).with_retry_after(std::time::Duration::from_millis(1500));
        let response: Response<String> = GrpcRejection.response(&away, blank());
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1500");
    }

    #[test]
    fn a_problem_is_json() {
        let response: Response<String> = ProblemRejection.response(&Error::from(ErrorKind::Expired), blank());
        let body: serde_json::Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(body["status"], 401);
        assert_eq!(body["title"], "Unauthorized");
        assert_eq!(body["detail"], "the token expired");
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let error = Error::from(ErrorKind::KeysUnavailable).with_retry_after(std::time::Duration::from_millis(1001));
        let response: Response<String> = BearerRejection.response(&error, blank());
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}
