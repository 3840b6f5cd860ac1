//! Fetching a key set with reqwest.
//!
//! The process's environment decides little of it. Plain http never goes through a proxy; https does if `HTTPS_PROXY` or
//! `ALL_PROXY` says so and `NO_PROXY` does not object. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's root
//! certificates. `localhost` and names below it are this machine, without asking a resolver; other names are resolved by
//! the system. Redirects are not followed, and there are no cookies and no `.netrc`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{Client, ClientBuilder, Response, Url, redirect};
use url::Host;

use super::{FetchError, JwksRequest, JwksResponse, error::root_cause, fetch::FetchFunction, response::rejected};
use crate::error::ConfigError;

/// One JWKS endpoint.
#[derive(Clone)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
}

impl Endpoint {
    /// Plain `http` is for this machine only, unless `allow_http` says otherwise.
    pub(super) fn new(url: &str, allow_http: bool) -> Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::new(format!("the JWKS URL {what}"));
        let url = Url::parse(url)
            .map_err(|_| wrong("is invalid; expected something like https://app.example.com/api/auth/jwks"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not contain a user or a password"));
        }
        match url.scheme() {
            "https" => {}
            "http" if allow_http || is_loopback(&url) => {}
            "http" => return Err(wrong("must use https, unless it is on this machine or http is explicitly allowed")),
            _ => return Err(wrong("must use https")),
        }
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("better-auth-jwt/", env!("CARGO_PKG_VERSION")))
            // A kept connection belongs to the runtime that opened it, and is idle for minutes.
            .pool_max_idle_per_host(0);
        if let Some(name) = localhost_name(&url) {
            // Port 0 stands for the URL's.
            let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            client = client.resolve_to_addrs(name, &addresses.map(|address| SocketAddr::new(address, 0)));
        }
        if url.scheme() == "http" {
            client = without_tls(client).no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| ConfigError::new(format!("cannot create the HTTP client: {}", root_cause(&error))))?;
        Ok(Self { client, url })
    }

    pub(super) fn into_function(self, max_body_size: usize) -> FetchFunction {
        Box::new(move |request| Box::pin(self.clone().fetch(request, max_body_size)))
    }

    /// One attempt. The caller bounds its time.
    async fn fetch(self, request: JwksRequest, max_body_size: usize) -> Result<JwksResponse, FetchError> {
        let response = self.client.get(self.url).headers(request.headers()).send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() && status != reqwest::StatusCode::NOT_MODIFIED {
            return Err(rejected(status, &headers));
        }
        JwksResponse::from_parts(status, &headers, body(response, max_body_size).await?)
    }
}

/// Plain http needs no root certificates, so it works on machines that have none.
fn without_tls(client: ClientBuilder) -> ClientBuilder {
    client.tls_certs_only([])
}

async fn body(mut response: Response, max_body_size: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > max_body_size {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn broken(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::connection(error) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(_)) => localhost_name(url).is_some(),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// RFC 6761, section 6.3: names that are always this machine.
fn localhost_name(url: &Url) -> Option<&str> {
    match url.host()? {
        Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => Some(name),
        _ => None,
    }
}

/// The URL for the log: without query, which could contain a credential.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url[..url::Position::AfterPath])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_accepted_unless_http_is_allowed() {
        let accepted = |url: &str| Endpoint::new(url, false).is_ok();
        for url in [
            "http://localhost:3000/api/auth/jwks",
            "http://127.0.0.1/jwks",
            "http://127.1/jwks",
            "http://[::1]:1/jwks",
            "http://app.localhost/jwks",
        ] {
            assert!(accepted(url), "{url}");
        }
        for url in [
            "http://app.example.com/jwks",
            "http://localhost.example.com/jwks",
            "http://notlocalhost/jwks",
            "http://localhost./jwks",
            "http://0.0.0.0/jwks",
            "http://10.0.0.1/jwks",
            "http://[::ffff:127.0.0.1]/jwks",
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
    fn the_name_for_the_log_has_no_query() {
        let endpoint = Endpoint::new("http://127.0.0.1:3000/api/auth/jwks?token=secret#x", false).unwrap();
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:3000/api/auth/jwks");
    }
}
