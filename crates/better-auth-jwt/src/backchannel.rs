//! Where issuers send their logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8).

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
    error::ErrorKind,
    logout::{Logout, LogoutVerifier},
    rejection::write_retry_after,
    revoked::{RevocationsFull, RevokedSessions},
};

/// Longer bodies are refused.
const LONGEST_BODY: usize = 16 * 1024;

/// When to try again after a logout that could not be recorded.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A service that takes logout tokens, and passes on what has ended.
///
/// It is mounted without the layer, since the token in the request is all that it needs. Nothing is answered before the
/// logout has been recorded:
///
/// | case | answer |
/// | --- | --- |
/// | a good logout token, be it for the first time or again | 200 |
/// | any other, none, several, a body of another type or of more than 16 KiB | 400, `{"error":"invalid_request","error_description":…}` |
/// | a method other than `POST` | 405 |
/// | keys cannot be had, or the logout could not be recorded | 503, `Retry-After` |
///
/// For a token that was refused, the [`ErrorKind`] is in the response's extensions. The body is waited for as long as it
/// takes: bound that where you bound all requests.
///
#[cfg_attr(all(feature = "axum", feature = "jwks-reqwest"), doc = "```")]
#[cfg_attr(not(all(feature = "axum", feature = "jwks-reqwest")), doc = "```ignore")]
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use better_auth_jwt::{
///     BackchannelLogout, JwtAuthLayer, LogoutVerifier, RevokedSessions, Verifier, WithoutSession,
/// };
///
/// let verifier = Verifier::better_auth("https://app.example.com")?;
/// let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30));
/// let logout = BackchannelLogout::new(LogoutVerifier::from(&verifier), revoked.clone());
/// let auth = JwtAuthLayer::new(verifier).sessions(revoked, WithoutSession::Refuse);
/// let app: Router = Router::new()
///     .route("/tasks", get(async || "tasks"))
///     .route_layer(auth)
///     .route_service("/auth/backchannel-logout", logout);
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
pub struct BackchannelLogout<S = RevokedSessions> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    verifier: LogoutVerifier,
    sink: S,
}

impl<S: LogoutSink> BackchannelLogout<S> {
    /// Takes tokens that this verifier accepts, and tells the sink.
    pub fn new(verifier: LogoutVerifier, sink: S) -> Self {
        Self { shared: Arc::new(Shared { verifier, sink }) }
    }
}

/// Where verified logouts go: [`RevokedSessions`], or a function such as one that writes to a database.
///
/// ```
/// use better_auth_jwt::{BackchannelLogout, Logout};
/// # use better_auth_jwt::{LogoutVerifier, RevokedSessions, test_util::Issuer};
/// # async fn write_down(_: &Logout) -> Result<(), std::io::Error> { Ok(()) }
/// # let (verifier, revoked) = (Issuer::new().verifier(), RevokedSessions::new(std::time::Duration::from_secs(930)));
///
/// let service = BackchannelLogout::new(LogoutVerifier::from(&verifier), move |logout: Logout| {
///     let revoked = revoked.clone();
///     async move {
///         write_down(&logout).await?;
///         revoked.record(&logout)?;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
///     }
/// });
/// # let _ = service;
/// ```
pub trait LogoutSink: Send + Sync + 'static {
    /// Why a logout could not be recorded: for the log. The sender is told to try again.
    type Error: Display;

    /// Records a logout. It may come several times.
    fn record(&self, logout: Logout) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl LogoutSink for RevokedSessions {
    type Error = RevocationsFull;

    fn record(&self, logout: Logout) -> impl Future<Output = Result<(), Self::Error>> + Send {
        ready(RevokedSessions::record(self, &logout))
    }
}

impl<F, Fut, E> LogoutSink for F
where
    F: Fn(Logout) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Display,
{
    type Error = E;

    fn record(&self, logout: Logout) -> impl Future<Output = Result<(), E>> + Send {
        self(logout)
    }
}

impl<S, B> Service<Request<B>> for BackchannelLogout<S>
where
    S: LogoutSink,
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
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.answer(request).await.unwrap_or_else(Refusal::response)) })
    }
}

impl<S: LogoutSink> Shared<S> {
    async fn answer<B>(&self, request: Request<B>) -> Result<Response<String>, Refusal>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        if !is_form(request.headers()) {
            return Err(Refusal::Request("the body must be application/x-www-form-urlencoded"));
        }
        let body = Limited::new(request.into_body(), LONGEST_BODY).collect().await;
        let body = body.map_err(|_| Refusal::Request("the body is too long, or came to no end"))?.to_bytes();
        let token = logout_token(&body)?;
        let logout = self.verifier.verify(&token).await.map_err(|error| match error.retry_after() {
            Some(after) => Refusal::Unavailable(after),
            None => Refusal::Token(error.kind()),
        })?;
        self.sink.record(logout).await.map_err(|error| {
            log_failure(&error);
            Refusal::Unavailable(TRY_AGAIN)
        })?;
        Ok(answer(StatusCode::OK, String::new()))
    }
}

/// Why a logout was not recorded.
enum Refusal {
    Method,
    Request(&'static str),
    Token(ErrorKind),
    Unavailable(Duration),
}

impl Refusal {
    fn response(self) -> Response<String> {
        match self {
            Self::Method => {
                let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, String::new());
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                response
            }
            Self::Request(description) => invalid_request(description),
            Self::Token(kind) => {
                log_refusal(kind);
                let mut response = invalid_request("the logout token is not valid");
                response.extensions_mut().insert(kind);
                response
            }
            Self::Unavailable(after) => {
                let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, String::new());
                write_retry_after(after, response.headers_mut());
                response
            }
        }
    }
}

/// Descriptions come from a closed set, without characters that JSON would escape.
fn invalid_request(description: &str) -> Response<String> {
    let body = format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#);
    let mut response = answer(StatusCode::BAD_REQUEST, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn answer(status: StatusCode, body: String) -> Response<String> {
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

/// The form's one logout token. Other fields may be there (section 2.5).
fn logout_token(form: &[u8]) -> Result<String, Refusal> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token").map(|(_, token)| token);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token.into_owned()),
        (None, _) => Err(Refusal::Request("the form has no logout_token")),
        (Some(_), Some(_)) => Err(Refusal::Request("the form has several logout_tokens")),
    }
}

fn log_refusal(kind: ErrorKind) {
    #[cfg(feature = "tracing")]
    tracing::info!(?kind, "logout token refused: {kind}");
    #[cfg(not(feature = "tracing"))]
    let _ = kind;
}

fn log_failure(error: &impl Display) {
    #[cfg(feature = "tracing")]
    tracing::error!("a logout could not be recorded: {error}");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

impl<S> Clone for BackchannelLogout<S> {
    // Derived, it would ask for `S: Clone`.
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for BackchannelLogout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackchannelLogout").field("verifier", &self.shared.verifier).finish_non_exhaustive()
    }
}
