//! Requests for a key set, and their responses (RFC 9110, RFC 9111).

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, DATE, ETAG, EXPIRES, IF_NONE_MATCH, RETRY_AFTER,
    },
};

use super::{FetchError, snapshot::Fetch};

/// Sends a request.
pub(super) type FetchFunction = Box<dyn Fn(JwksRequest) -> Fetching + Send + Sync>;

type Fetching = Pin<Box<dyn Future<Output = Result<JwksResponse, FetchError>> + Send>>;

/// A request to a JWKS endpoint.
#[derive(Debug, Clone)]
pub struct JwksRequest {
    etag: Option<String>,
    bypass_caches: bool,
}

impl JwksRequest {
    pub(super) fn new(fetch: &Fetch) -> Self {
        let etag = fetch.current.as_ref().filter(|_| !fetch.bypass_caches).and_then(|current| current.etag.clone());
        Self { etag, bypass_caches: fetch.bypass_caches }
    }

    /// The headers that the request should have: `Accept`, `Accept-Encoding`, and those for caches.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        let accepted = "application/jwk-set+json, application/json;q=0.9, */*;q=0.1";
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        // The document is small, and its size is checked while it is received.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.bypass_caches {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(etag) = self.etag.as_ref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        headers
    }

    /// The `ETag` of the current set, for a conditional request.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Whether caches must be bypassed, because they may have an older set.
    pub fn bypass_caches(&self) -> bool {
        self.bypass_caches
    }
}

/// The response of a JWKS endpoint, not yet verified.
#[derive(Debug, Clone, Default)]
pub struct JwksResponse {
    pub(super) body: Option<Vec<u8>>,
    pub(super) etag: Option<String>,
    pub(super) max_age: Option<Duration>,
    pub(super) age: Duration,
}

impl JwksResponse {
    /// A response with a JWKS document.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// A response that says that the document with the request's [`etag`](JwksRequest::etag) is still current (status
    /// 304).
    pub fn not_modified() -> Self {
        Self::default()
    }

    /// A response of any HTTP client. Reads the status and the headers `Cache-Control`, `Expires`, `Age`, `ETag`,
    /// `Retry-After` and `Content-Encoding`.
    ///
    /// If your client decodes content encodings, it must remove `Content-Encoding`, as reqwest does.
    ///
    /// # Errors
    ///
    /// The status is neither 200 nor 304, or the body has a content encoding.
    pub fn from_parts(status: StatusCode, headers: &HeaderMap, body: impl Into<Vec<u8>>) -> Result<Self, FetchError> {
        let body = match status {
            StatusCode::OK if is_encoded(headers) => return Err(FetchError::ContentEncoding),
            StatusCode::OK => Some(body.into()),
            StatusCode::NOT_MODIFIED => None,
            _ if status.is_redirection() => return Err(FetchError::Redirect),
            _ => return Err(FetchError::Status { status: status.as_u16(), retry_after: retry_after(headers) }),
        };
        let etag = text(headers, ETAG).map(str::to_owned);
        Ok(Self { body, etag, max_age: max_age(headers), age: age(headers) })
    }

    /// Sets the `ETag` of the document, for the next request.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// Sets how long the document is fresh.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }
}

/// RFC 9110, section 8.4.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The freshness lifetime (RFC 9111, section 4.2.1), if the response has one.
///
/// `s-maxage` and `private` are for shared caches, so they are ignored here. `no-store` and `no-cache` count as a
/// lifetime of zero: the set is refreshed as often as the settings allow.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = || headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in values().flat_map(|value| value.split(',')).map(str::trim) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        // RFC 9111, section 5.2.2.4: `no-cache` with an argument is about single headers.
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") && argument.is_empty() {
            return Some(Duration::ZERO);
        }
        // Section 4.2.1: the first of several counts; an invalid one makes the response stale.
        if name.eq_ignore_ascii_case("max-age") && max_age.is_none() {
            max_age = Some(delta_seconds(argument.trim_matches('"')).unwrap_or_default());
        }
    }
    max_age.or_else(|| {
        let expires = headers.get(EXPIRES)?;
        // Section 5.3: an invalid date, such as 0, is in the past.
        let expires = expires.to_str().ok().and_then(|date| httpdate::parse_http_date(date).ok());
        Some(expires.map_or(Duration::ZERO, |expires| expires.duration_since(date(headers)).unwrap_or_default()))
    })
}

/// RFC 9111, section 5.1: the first of several counts; an invalid one is ignored.
fn age(headers: &HeaderMap) -> Duration {
    let first = text(headers, AGE).and_then(|value| value.split(',').next());
    first.and_then(|age| delta_seconds(age.trim())).unwrap_or_default()
}

/// RFC 9110, section 10.2.3: seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?.trim();
    delta_seconds(value).or_else(|| {
        let at = httpdate::parse_http_date(value).ok()?;
        Some(at.duration_since(date(headers)).unwrap_or_default())
    })
}

/// When the response was generated, by the issuer's clock; without a `Date` header, by this machine's.
fn date(headers: &HeaderMap) -> SystemTime {
    let date = text(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    date.unwrap_or_else(SystemTime::now)
}

/// RFC 9111, section 1.2.2: digits only; numbers that are too large count as 2^31 seconds.
fn delta_seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(1 << 31)))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
