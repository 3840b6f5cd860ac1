//! Fetching a key set over HTTP.

use std::time::Duration;

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER},
    redirect,
};

use super::fetch::{FetchError, Fetched};
use crate::error::ConfigError;

/// One JWKS endpoint.
#[derive(Clone)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
}

impl Endpoint {
    /// Plain `http` is for loopback only, unless `allow_http` says otherwise.
    pub(super) fn new(url: &str, allow_http: bool) -> Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::new(format!("the JWKS URL {what}"));
        let url = Url::parse(url)
            .map_err(|_| wrong("is no URL; it should look like https://app.example.com/api/auth/jwks"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not contain a user or a password"));
        }
        match url.scheme() {
            "https" => {}
            "http" if allow_http || is_loopback(&url) => {}
            "http" => {
                return Err(wrong("must use https, except to this machine itself or where http is allowed by name"));
            }
            _ => return Err(wrong("must use https")),
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("better-auth-jwt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ConfigError::new(format!("no HTTP client could be made: {}", root_cause(&error))))?;
        Ok(Self { client, url })
    }

    /// One attempt. The caller bounds its time.
    pub(super) async fn fetch(self, etag: Option<String>, most_bytes: usize) -> Result<Fetched, FetchError> {
        let conditional = etag.is_some();
        let mut request = self.client.get(self.url).header(ACCEPT, "application/json");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(broken)?;
        let headers = response.headers();
        let max_age = max_age(headers);
        let mut fetched = match response.status() {
            StatusCode::OK => {
                let etag = text(headers, ETAG.as_str()).map(str::to_owned);
                Fetched { etag, ..Fetched::new(body(response, most_bytes).await?) }
            }
            // RFC 9110, section 15.4.5: an answer to a conditional request only.
            StatusCode::NOT_MODIFIED if conditional => Fetched::not_modified(),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                return Err(FetchError::Redirect);
            }
            status => {
                let retry_after = text(headers, RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
                return Err(FetchError::Status {
                    status: status.as_u16(),
                    retry_after: retry_after.map(Duration::from_secs),
                });
            }
        };
        fetched.max_age = max_age;
        Ok(fetched)
    }
}

async fn body(mut response: Response, most_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `max-age` of `Cache-Control`; `no-store` and `no-cache` count as zero. What is unreadable is ignored.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = text(headers, CACHE_CONTROL.as_str())?.to_ascii_lowercase();
    directives.split(',').map(str::trim).find_map(|directive| match directive.split_once('=') {
        Some(("max-age", seconds)) => seconds.trim_matches('"').parse().ok().map(Duration::from_secs),
        None if directive == "no-store" || directive == "no-cache" => Some(Duration::ZERO),
        _ => None,
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn broken(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::Connection(root_cause(&error)) }
}

/// reqwest's own message repeats the URL and hides the reason behind it.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_accepted_unless_http_is_allowed() {
        let accepted = |url: &str| Endpoint::new(url, false).is_ok();
        assert!(accepted("https://app.example.com/api/auth/jwks"));
        for url in [
            "http://localhost:3000/api/auth/jwks",
            "http://127.0.0.1/jwks",
            "http://[::1]:1/jwks",
            "http://app.localhost/jwks",
        ] {
            assert!(accepted(url), "{url}");
        }
        for url in [
            "http://app.example.com/jwks",
            "http://localhost.example.com/jwks",
            "http://10.0.0.1/jwks",
            "file:///etc/passwd",
            "ftp://localhost/",
            "https://user:password@app.example.com/",
            "app.example.com",
            "",
            "/jwks",
        ] {
            assert!(!accepted(url), "{url}");
        }
        assert!(Endpoint::new("http://auth.internal/jwks", true).is_ok());
        assert!(Endpoint::new("file:///etc/passwd", true).is_err());
    }

    #[test]
    fn max_age_is_read_and_nonsense_ignored() {
        let read = |value: &str| {
            max_age(&HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())])).map(|age| age.as_secs())
        };
        assert_eq!(read("public, max-age=300"), Some(300));
        assert_eq!(read("Max-Age=\"60\", must-revalidate"), Some(60));
        assert_eq!(read("no-store"), Some(0));
        assert_eq!(read("max-age=1000000000000"), Some(1_000_000_000_000));
        for nonsense in
            ["", "max-age", "max-age=", "max-age=-1", "max-age=soon", "s-maxage=5", "max-age=99999999999999999999999"]
        {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
