//! Fetching a key set with reqwest.
//!
//! [`RemoteKeySet::new`](super::RemoteKeySet::new) documents how it uses the environment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Certificate, Client, Response, Url, redirect};
use url::Host;

use super::{FetchError, JwksRequest, JwksResponse, error::root_cause, response::FetchFunction};
use crate::error::ConfigError;

/// One JWKS endpoint.
#[derive(Clone)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

/// How to reach the endpoint.
#[derive(Default)]
pub(super) struct HttpSettings {
    pub(super) allow_http: bool,
    pub(super) headers: Vec<(String, String)>,
    /// PEM file contents.
    pub(super) root_certificates: Vec<Vec<u8>>,
    pub(super) client: Option<Client>,
}

impl HttpSettings {
    pub(super) fn is_set(&self) -> bool {
        self.allow_http || !self.headers.is_empty() || !self.root_certificates.is_empty() || self.client.is_some()
    }

    fn headers(&self) -> Result<HeaderMap, ConfigError> {
        let parse = |(name, value): &(String, String)| {
            let invalid =
                || ConfigError::new(format!("the header {name:?} of the JWKS request, or its value, is invalid"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        self.headers.iter().map(parse).collect()
    }

    fn client(self, url: &Url) -> Result<Client, ConfigError> {
        if let Some(client) = self.client {
            if self.root_certificates.is_empty() {
                return Ok(client);
            }
            return Err(ConfigError::new("configure root certificates for the JWKS URL in your own HTTP client"));
        }
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("better-auth-jwt/", env!("CARGO_PKG_VERSION")))
            // Other crates may enable decompression in reqwest; a small document does not need it.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            // A pooled connection belongs to the runtime that opened it, and would be idle for minutes.
            .pool_max_idle_per_host(0);
        if let Some(name) = localhost_name(url) {
            // Port 0 means the URL's port.
            let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            client = client.resolve_to_addrs(name, &addresses.map(|address| SocketAddr::new(address, 0)));
        }
        if url.scheme() == "http" {
            // Without root certificates, so that it works on machines without them.
            let client = client.no_proxy().tls_certs_only([]).build();
            return client.map_err(|error| cannot_create_client("", &error));
        }
        for pem in self.root_certificates {
            let certificates = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| ConfigError::new("the root certificates for the JWKS URL are not valid PEM"))?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(|error| {
            let hint = "; https needs root certificates: install ca-certificates or set SSL_CERT_FILE";
            cannot_create_client(hint, &error)
        })
    }
}

fn cannot_create_client(hint: &str, error: &reqwest::Error) -> ConfigError {
    ConfigError::new(format!("cannot create the HTTP client for the JWKS URL: {}{hint}", root_cause(error)))
}

impl Endpoint {
    /// Plain `http` is for this machine only, unless it is allowed.
    pub(super) fn new(url: &str, settings: HttpSettings) -> Result<Self, ConfigError> {
        let invalid = |what: &str| ConfigError::url(format!("the JWKS URL {what}"));
        let url = Url::parse(url)
            .map_err(|_| invalid("is invalid; it should look like https://app.example.com/api/auth/jwks"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("must not contain a user or a password"));
        }
        match url.scheme() {
            "https" => {}
            "http" if settings.allow_http || settings.client.is_none() && is_loopback(&url) => {}
            "http" => {
                return Err(invalid("must use https, unless it is on this machine or http is explicitly allowed"));
            }
            _ => return Err(invalid("must use https")),
        }
        let headers = settings.headers()?;
        Ok(Self { client: settings.client(&url)?, url, headers })
    }

    /// The URL for the log, without the query, which could contain a credential.
    pub(super) fn name(&self) -> &str {
        &self.url[..url::Position::AfterPath]
    }

    pub(super) fn into_function(self, max_body_size: usize) -> FetchFunction {
        Box::new(move |request| Box::pin(self.clone().fetch(request, max_body_size)))
    }

    /// Fetches the document once. The caller limits the time.
    async fn fetch(self, request: JwksRequest, max_body_size: usize) -> Result<JwksResponse, FetchError> {
        let mut headers = request.headers();
        headers.extend(self.headers);
        let response = self.client.get(self.url.clone()).headers(headers).send().await.map_err(fetch_error)?;
        // Only a custom client follows redirects.
        if *response.url() != self.url {
            return Err(FetchError::Redirect);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        // The body of other responses is not read.
        let body = if status == StatusCode::OK { body(response, max_body_size).await? } else { Vec::new() };
        JwksResponse::from_parts(status, &headers, body)
    }
}

async fn body(mut response: Response, max_body_size: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fetch_error)? {
        if body.len() + chunk.len() > max_body_size {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn fetch_error(error: reqwest::Error) -> FetchError {
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

/// RFC 6761, section 6.3: names that always resolve to loopback.
fn localhost_name(url: &Url) -> Option<&str> {
    match url.host()? {
        Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_accepted_unless_http_is_allowed() {
        let accepted = |url: &str| Endpoint::new(url, HttpSettings::default()).is_ok();
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
        let allowed =
            |url: &str| Endpoint::new(url, HttpSettings { allow_http: true, ..HttpSettings::default() }).is_ok();
        assert!(allowed("http://auth.internal/jwks"));
        assert!(!allowed("file:///etc/passwd"));
    }

    #[test]
    fn a_custom_client_needs_permission_for_plain_http() {
        let client = || Some(Client::builder().tls_certs_only([]).build().unwrap());
        let accepted = |url: &str, allow_http| {
            Endpoint::new(url, HttpSettings { allow_http, client: client(), ..HttpSettings::default() }).is_ok()
        };
        assert!(accepted("https://app.example.com/jwks", false));
        assert!(!accepted("http://127.0.0.1/jwks", false), "it may use a proxy");
        assert!(accepted("http://127.0.0.1/jwks", true));
    }

    #[test]
    fn invalid_headers_and_certificates_are_rejected_without_their_content() {
        let url = "https://app.example.com/jwks";
        let header = HttpSettings { headers: vec![("X-Key".into(), "secret\n".into())], ..HttpSettings::default() };
        let error = Endpoint::new(url, header).err().unwrap().to_string();
        assert!(error.contains("X-Key") && !error.contains("secret"), "{error}");
        let certificate = HttpSettings { root_certificates: vec![b"secret".to_vec()], ..HttpSettings::default() };
        assert!(Endpoint::new(url, certificate).is_err());
    }

    #[test]
    fn the_url_in_the_log_has_no_query() {
        let endpoint =
            Endpoint::new("http://127.0.0.1:3000/api/auth/jwks?token=secret#x", HttpSettings::default()).unwrap();
        assert_eq!(endpoint.name(), "http://127.0.0.1:3000/api/auth/jwks");
    }
}
