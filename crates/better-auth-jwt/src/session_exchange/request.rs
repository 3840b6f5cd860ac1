//! The request to the issuer.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, COOKIE},
};
use serde::Deserialize;

use super::{Refusal, credential::Credential};
use crate::http_endpoint::{HttpEndpoint, HttpError};

/// A larger response is not a token of Better Auth, which has about 1 KiB.
const MAX_BODY: usize = 64 * 1024;

/// Asks the issuer for the JWT of a session. The caller limits the time.
pub(super) type RequestFunction =
    Box<dyn Fn(Credential) -> Pin<Box<dyn Future<Output = Result<String, RequestError>> + Send>> + Send + Sync>;

/// Why the issuer returned no JWT.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The issuer does not accept the session.
    Rejected,
    /// Too many requests. The time is until the next one is allowed.
    RateLimited(Duration),
    Connection(String),
    Timeout,
    Status(StatusCode),
    TooLarge,
    InvalidResponse,
    /// The runtime shut down, or there is none.
    Cancelled,
}

/// When to ask again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the issuer's rate limit is respected at most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The response of Better Auth's `/token`.
#[derive(Deserialize)]
struct TokenResponse {
    token: String,
}

pub(super) fn request_function(endpoint: HttpEndpoint) -> RequestFunction {
    // The expiration date of the browser's cookie does not change, so that of its session should not either.
    let for_cookies = endpoint.with_query("disableRefresh=true");
    Box::new(move |session| {
        let endpoint = if session.name == COOKIE { for_cookies.clone() } else { endpoint.clone() };
        Box::pin(async move { request(&endpoint, session).await })
    })
}

async fn request(endpoint: &HttpEndpoint, session: Credential) -> Result<String, RequestError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // The response is for this session only. A shared cache that ignores that must not return or store it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(session.name, session.value);
    let response = endpoint.get(headers, MAX_BODY).await?;
    match response.status {
        StatusCode::OK => {
            let body: TokenResponse =
                serde_json::from_slice(&response.body).map_err(|_| RequestError::InvalidResponse)?;
            Ok(body.token)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RequestError::Rejected),
        StatusCode::TOO_MANY_REQUESTS => {
            // The first is Better Auth's.
            let seconds = |name| response.headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_secs);
            let wait = ["x-retry-after", "retry-after"].into_iter().find_map(seconds).unwrap_or(RETRY_AFTER);
            Err(RequestError::RateLimited(wait.min(MAX_RETRY_AFTER)))
        }
        status => Err(RequestError::Status(status)),
    }
}

impl RequestError {
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::Rejected => Refusal::Rejected,
            Self::RateLimited(after) => Refusal::Unavailable(*after),
            _ => Refusal::Unavailable(RETRY_AFTER),
        }
    }
}

impl From<HttpError> for RequestError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connection(reason) => Self::Connection(reason),
            HttpError::Timeout => Self::Timeout,
            HttpError::Redirected => Self::Status(StatusCode::FOUND),
            HttpError::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected => f.write_str("the issuer does not accept the session"),
            Self::RateLimited(_) => f.write_str(
                "the issuer's rate limit is reached (status 429); with Better Auth, set \
                 rateLimit.customRules: { \"/token\": false } and limit requests in this service",
            ),
            Self::Connection(reason) => write!(f, "cannot connect to the issuer: {reason}"),
            Self::Timeout => f.write_str("the issuer did not respond in time"),
            Self::Status(StatusCode::NOT_FOUND) => f.write_str(
                "the issuer has no token endpoint (status 404); check the URL, and that it uses the plugin jwt()",
            ),
            Self::Status(status) if status.is_redirection() => {
                f.write_str("the issuer sent a redirect, which is not followed; configure the final URL")
            }
            Self::Status(status) => write!(f, "the issuer responded with status {}", status.as_u16()),
            Self::TooLarge => f.write_str("the issuer's response is larger than a token"),
            Self::InvalidResponse => f.write_str("the issuer's response contains no JWT"),
            Self::Cancelled => f.write_str("the runtime shut down, or there is none"),
        }
    }
}
