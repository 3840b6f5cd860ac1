//! Responses to rejected requests.

use std::mem;

use http::{HeaderValue, Response, header::CONTENT_TYPE};

use crate::{
    error::{ConfigError, Error, ErrorKind},
    rule::is_scope_token,
};

/// Builds the response to a rejected request.
///
/// Implemented by [`BearerRejection`] (the default), [`ProblemRejection`], [`GrpcRejection`], and by
/// closures from [`&Error`](Error) to a response. The request is not available, so the response cannot
/// echo any of it.
///
/// Implement it for a type of your own if you need to name the layer's type, or if a closure fails to compile with "one
/// type is more general than the other": rustc reports that in spawned tasks if the body contains a `dyn Error`, as in
/// `UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>`. `examples/tower.rs` has such a type.
pub trait RejectionResponse<B> {
    /// Builds the response.
    fn response(&self, error: &Error) -> Response<B>;
}

impl<F, B> RejectionResponse<B> for F
where
    F: Fn(&Error) -> Response<B>,
{
    fn response(&self, error: &Error) -> Response<B> {
        self(error)
    }
}

/// The response of RFC 6750, section 3: status and challenge, without a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct BearerRejection;

impl<B: Default> RejectionResponse<B> for BearerRejection {
    fn response(&self, error: &Error) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = error.status();
        error.write_headers(response.headers_mut());
        response
    }
}

/// The response of RFC 6750 with a body of type `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemRejection;

impl<B: From<String>> RejectionResponse<B> for ProblemRejection {
    fn response(&self, error: &Error) -> Response<B> {
        let status = error.status();
        // All parts are fixed strings without characters that JSON escapes.
        let body = format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{}"}}"#,
            status.canonical_reason().unwrap_or_default(),
            status.as_u16(),
            error.description(),
        );
        let mut response = BearerRejection.response(error).map(|()| B::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The response of gRPC: HTTP 200 with the status in `grpc-status`.
///
/// 400 becomes 3 `INVALID_ARGUMENT`, 401 becomes 16 `UNAUTHENTICATED`, 403 becomes 7 `PERMISSION_DENIED`,
/// and 503 becomes 14 `UNAVAILABLE` with `grpc-retry-pushback-ms`.
///
/// With tonic, protect one service with `named_layer` or the whole server with `layer`:
///
/// ```text
/// use tonic::service::LayerExt;
///
/// let auth = JwtAuthLayer::new(verifier).rejection_response(GrpcRejection);
/// Server::builder().add_service(auth.named_layer(GreeterServer::new(greeter))) // this service only
/// Server::builder().layer(auth).add_service(…)                                 // the whole server
///
/// let Authenticated(claims) = request.extensions().get::<Authenticated<Claims>>() // in a method
/// ```
///
/// gRPC paths contain the method and no user id. Compare user ids in messages inside the method, and
/// require scopes per method with [`require_scopes_for`](crate::JwtAuthLayer::require_scopes_for);
/// [`guides::grpc`](crate::guides::grpc) is a complete example.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcRejection;

impl<B: Default> RejectionResponse<B> for GrpcRejection {
    fn response(&self, error: &Error) -> Response<B> {
        let code = match error.status().as_u16() {
            400 => "3",  // INVALID_ARGUMENT
            403 => "7",  // PERMISSION_DENIED
            503 => "14", // UNAVAILABLE
            _ => "16",   // UNAUTHENTICATED
        };
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code));
        // Descriptions have no characters that gRPC percent-encodes.
        headers.insert("grpc-message", HeaderValue::from_static(error.description()));
        if let Some(after) = error.retry_after() {
            let millis = after.as_millis().try_into().unwrap_or(u64::MAX);
            headers.insert("grpc-retry-pushback-ms", HeaderValue::from(millis));
        }
        response
    }
}

/// The values of `WWW-Authenticate` (RFC 6750, section 3; RFC 9728, section 5.1).
#[derive(Debug, Clone)]
pub(crate) struct Challenges {
    realm: String,
    resource_metadata: Option<String>,
    missing_token: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
    expired: HeaderValue,
}

impl Challenges {
    pub(crate) fn new() -> Self {
        Self::build("api".to_owned(), None)
    }

    pub(crate) fn set_realm(&mut self, realm: &str) -> Result<(), ConfigError> {
        *self = Self::build(validate_quoted_string("realm", realm)?, self.resource_metadata.take());
        Ok(())
    }

    pub(crate) fn set_resource_metadata(&mut self, url: &str) -> Result<(), ConfigError> {
        let url = validate_quoted_string("resource_metadata", url)?;
        *self = Self::build(mem::take(&mut self.realm), Some(url));
        Ok(())
    }

    pub(crate) fn get(&self, error: &Error) -> Option<HeaderValue> {
        let kind = error.kind();
        match (kind, kind.error_code()) {
            (ErrorKind::MissingToken, _) => Some(self.missing_token.clone()),
            (ErrorKind::Expired, _) => Some(self.expired.clone()),
            (_, Some("invalid_request")) => Some(self.invalid_request.clone()),
            (_, Some("invalid_token")) => Some(self.invalid_token.clone()),
            (_, Some(_)) => {
                Some(challenge(&self.realm, self.resource_metadata.as_deref(), kind, error.missing_scopes()))
            }
            (_, None) => None,
        }
    }

    fn build(realm: String, resource_metadata: Option<String>) -> Self {
        let build = |kind| challenge(&realm, resource_metadata.as_deref(), kind, None);
        Self {
            missing_token: build(ErrorKind::MissingToken),
            invalid_request: build(ErrorKind::InvalidRequest),
            invalid_token: build(ErrorKind::Malformed),
            expired: build(ErrorKind::Expired),
            realm,
            resource_metadata,
        }
    }
}

fn challenge(realm: &str, resource_metadata: Option<&str>, kind: ErrorKind, scopes: Option<&str>) -> HeaderValue {
    let mut text = format!(r#"Bearer realm="{realm}""#);
    let mut push = |name: &str, value: &str| text.extend([", ", name, "=\"", value, "\""]);
    if let Some(url) = resource_metadata {
        push("resource_metadata", url);
    }
    if let Some(code) = kind.error_code() {
        push("error", code);
        push("error_description", kind.description());
    }
    // Scopes chosen per request have not been validated.
    if let Some(scopes) = scopes.filter(|scopes| scopes.split(' ').all(is_scope_token)) {
        push("scope", scopes);
    }
    // All parts were validated.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Accepts the content of a quoted auth-param: RFC 6750, section 3.
fn validate_quoted_string(name: &str, text: &str) -> Result<String, ConfigError> {
    let is_allowed = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(ConfigError::new(format!("the {name} must be printable ASCII without quotes or backslashes")))
    }
}

#[cfg(test)]
mod tests;
