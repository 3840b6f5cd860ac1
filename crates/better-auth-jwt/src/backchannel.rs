//! The endpoint for logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8).

use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt::{self, Display},
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

use crate::{
    error::{ErrorKind, whole_seconds},
    logout::{LogoutToken, LogoutVerifier},
    revoked::{CapacityError, RevokedSessions},
};

/// Longer bodies are rejected.
const MAX_BODY_SIZE: usize = 16 * 1024;

/// When to retry after a handler failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A service that receives logout tokens, verifies them and passes them to a [`LogoutHandler`].
///
/// Mount it outside the layer: the request is authenticated by the logout token alone. The response is sent after the
/// handler has finished:
///
/// | case | response |
/// | --- | --- |
/// | a valid logout token, also if it was sent before | 200, no body |
/// | an invalid token, no token or several, another content type, more than 16 KiB | 400, `{"error":"invalid_request","error_description":…}` |
/// | a method other than `POST` | 405, `Allow`, no body |
/// | keys are unavailable, or the handler failed | 503, `Retry-After`, no body |
///
/// If the token was rejected, the response's extensions contain the [`ErrorKind`]. Reading the body has no timeout; add
/// one as for other requests.
///
#[cfg_attr(all(feature = "axum", feature = "jwks-reqwest"), doc = "```")]
#[cfg_attr(not(all(feature = "axum", feature = "jwks-reqwest")), doc = "```ignore")]
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use better_auth_jwt::{
///     BackChannelLogout, JwtAuthLayer, LogoutVerifier, MissingSession, RevokedSessions, Verifier,
/// };
///
/// let verifier = Verifier::better_auth("https://app.example.com")?;
/// let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30));
/// let logout = BackChannelLogout::new(LogoutVerifier::from(&verifier), revoked.clone());
/// let auth = JwtAuthLayer::new(verifier).sessions(revoked, MissingSession::Reject);
/// let app: Router = Router::new()
///     .route("/tasks", get(async || "tasks"))
///     .route_layer(auth)
///     .route_service("/auth/backchannel-logout", logout);
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
pub struct BackChannelLogout<H = RevokedSessions> {
    verifier: Arc<LogoutVerifier>,
    handler: Arc<H>,
}

impl<H: LogoutHandler> BackChannelLogout<H> {
    /// Creates the service.
    pub fn new(verifier: LogoutVerifier, handler: H) -> Self {
        Self { verifier: Arc::new(verifier), handler: Arc::new(handler) }
    }
}

/// Applies verified logout tokens: [`RevokedSessions`], or a function, for example one that writes to a database.
///
/// ```
/// use better_auth_jwt::{BackChannelLogout, LogoutToken};
/// # use better_auth_jwt::{LogoutVerifier, RevokedSessions, test_util::Issuer};
/// # async fn store(_: &LogoutToken) -> Result<(), std::io::Error> { Ok(()) }
/// # let (verifier, revoked) = (Issuer::new().verifier(), RevokedSessions::new(std::time::Duration::from_secs(930)));
///
/// let service = BackChannelLogout::new(LogoutVerifier::from(&verifier), move |logout: LogoutToken| {
///     let revoked = revoked.clone();
///     async move {
///         store(&logout).await?;
///         revoked.apply(&logout)?;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
///     }
/// });
/// # let _ = service;
/// ```
///
/// [`guides::revocations`](crate::guides::revocations) has a complete example.
pub trait LogoutHandler: Send + Sync + 'static {
    /// Why a token could not be applied, for the log. The sender gets 503 and retries.
    type Error: Display;

    /// Applies a token. The same token may come several times.
    fn handle(&self, token: LogoutToken) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl LogoutHandler for RevokedSessions {
    type Error = CapacityError;

    fn handle(&self, token: LogoutToken) -> impl Future<Output = Result<(), Self::Error>> + Send {
        ready(self.apply(&token))
    }
}

impl<F, Fut, E> LogoutHandler for F
where
    F: Fn(LogoutToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Display,
{
    type Error = E;

    fn handle(&self, token: LogoutToken) -> impl Future<Output = Result<(), E>> + Send {
        self(token)
    }
}

impl<H, B> Service<Request<B>> for BackChannelLogout<H>
where
    H: LogoutHandler,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await.unwrap_or_else(LogoutError::response)) })
    }
}

impl<H: LogoutHandler> BackChannelLogout<H> {
    async fn handle<B>(&self, request: Request<B>) -> Result<Response<String>, LogoutError>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if request.method() != Method::POST {
            return Err(LogoutError::Method);
        }
        if !is_form(request.headers()) {
            return Err(LogoutError::Request("the body must be application/x-www-form-urlencoded"));
        }
        let body = Limited::new(request.into_body(), MAX_BODY_SIZE).collect().await;
        let body = body.map_err(|_| LogoutError::Request("the body is too long or incomplete"))?.to_bytes();
        let token = logout_token(&body)?;
        let logout = self.verifier.verify(&token).await.map_err(|error| match error.retry_after() {
            Some(after) => LogoutError::Unavailable(after),
            None => LogoutError::Token(error.kind()),
        })?;
        self.handler.handle(logout).await.map_err(|error| {
            log_failure(&error);
            LogoutError::Unavailable(RETRY_AFTER)
        })?;
        Ok(response(StatusCode::OK, String::new()))
    }
}

/// Why a logout token was not applied.
enum LogoutError {
    Method,
    Request(&'static str),
    Token(ErrorKind),
    Unavailable(Duration),
}

impl LogoutError {
    fn response(self) -> Response<String> {
        match self {
            Self::Method => {
                let mut response = response(StatusCode::METHOD_NOT_ALLOWED, String::new());
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                response
            }
            Self::Request(description) => invalid_request(description),
            Self::Token(kind) => {
                #[cfg(feature = "tracing")]
                tracing::info!(kind = kind.as_str(), "logout token rejected: {kind}");
                let mut response = invalid_request("the logout token is not valid");
                response.extensions_mut().insert(kind);
                response
            }
            Self::Unavailable(after) => {
                let mut response = response(StatusCode::SERVICE_UNAVAILABLE, String::new());
                response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
                response
            }
        }
    }
}

/// Descriptions are fixed strings without characters that JSON escapes.
fn invalid_request(description: &str) -> Response<String> {
    let body = format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#);
    let mut response = response(StatusCode::BAD_REQUEST, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn response(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Parameters such as a charset may follow the type: RFC 9110, section 8.3.1.
fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// The form's only logout token. Other fields are ignored (section 2.5).
fn logout_token(form: &[u8]) -> Result<String, LogoutError> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token").map(|(_, token)| token);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token.into_owned()),
        (None, _) => Err(LogoutError::Request("the form has no logout_token")),
        (Some(_), Some(_)) => Err(LogoutError::Request("the form has several logout_tokens")),
    }
}

fn log_failure(error: &impl Display) {
    #[cfg(feature = "tracing")]
    tracing::error!("the logout token could not be applied: {error}");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

impl<H> Clone for BackChannelLogout<H> {
    // A derived impl would require `H: Clone`.
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), handler: self.handler.clone() }
    }
}

impl<H> fmt::Debug for BackChannelLogout<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackChannelLogout").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
