//! HTTP requests to the issuer, with reqwest.
//!
//! [`RemoteKeySet::new`](crate::keys::RemoteKeySet::new) documents how they use the environment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Certificate, Client, Response, Url, redirect};
use url::Host;

use crate::error::{ConfigError, root_cause};

/// An endpoint of the issuer, which is read with `GET`.
#[derive(Clone)]
pub(crate) struct HttpEndpoint {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

/// How to reach an endpoint.
#[derive(Default)]
pub(crate) struct HttpSettings {
    pub(crate) allow_http: bool,
    pub(crate) headers: Vec<(String, String)>,
    /// PEM file contents.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    pub(crate) client: Option<Client>,
}

/// The body is empty unless the status is 200.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no complete response.
pub(crate) enum HttpError {
    /// The text says why.
    Connection(String),
    Timeout,
    /// Only a custom client follows redirects. Others return a response with a status of 3xx.
    Redirected,
    TooLarge,
}

impl HttpSettings {
    pub(crate) fn is_set(&self) -> bool {
        self.allow_http || !self.headers.is_empty() || !self.root_certificates.is_empty() || self.client.is_some()
    }

    fn headers(&self, name_of_url: &str) -> Result<HeaderMap, ConfigError> {
        let parse = |(name, value): &(String, String)| {
            let invalid =
                || ConfigError::new(format!("the header {name:?} for the {name_of_url}, or its value, is invalid"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        self.headers.iter().map(parse).collect()
    }

    fn client(self, name_of_url: &str, url: &Url) -> Result<Client, ConfigError> {
        if let Some(client) = self.client {
            if self.root_certificates.is_empty() {
                return Ok(client);
            }
            let message = format!("configure root certificates for the {name_of_url} in your own HTTP client");
            return Err(ConfigError::new(message));
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
        let cannot_create = |hint: &str, error: &reqwest::Error| {
            let cause = root_cause(error);
            ConfigError::new(format!("cannot create the HTTP client for the {name_of_url}: {cause}{hint}"))
        };
        if url.scheme() == "http" {
            // Without root certificates, so that it works on machines without them.
            return client.no_proxy().tls_certs_only([]).build().map_err(|error| cannot_create("", &error));
        }
        for pem in self.root_certificates {
            let certificates =
                Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty()).ok_or_else(
                    || ConfigError::new(format!("the root certificates for the {name_of_url} are not valid PEM")),
                )?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(|error| {
            cannot_create("; https needs root certificates: install ca-certificates or set SSL_CERT_FILE", &error)
        })
    }
}

impl HttpEndpoint {
    /// Plain `http` is for this machine only, unless it is allowed. Errors call the URL `name_of_url`.
    pub(crate) fn new(name_of_url: &str, url: &str, settings: HttpSettings) -> Result<Self, ConfigError> {
        let invalid = |what: &str| ConfigError::url(format!("the {name_of_url} {what}"));
        let url = Url::parse(url)
            .map_err(|_| invalid("is invalid; it should look like https://app.example.com/api/auth/…"))?;
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
        let headers = settings.headers(name_of_url)?;
        Ok(Self { client: settings.client(name_of_url, &url)?, url, headers })
    }

    /// The same endpoint with a query added to its URL.
    #[cfg(feature = "session-exchange")]
    pub(crate) fn with_query(&self, query: &str) -> Self {
        let mut endpoint = self.clone();
        let query = [self.url.query(), Some(query)].into_iter().flatten().collect::<Vec<_>>().join("&");
        endpoint.url.set_query(Some(&query));
        endpoint
    }

    /// The URL for the log, without the query, which could contain a credential.
    pub(crate) fn name(&self) -> &str {
        &self.url[..url::Position::AfterPath]
    }

    /// Sends one request with these headers and the configured ones. The caller limits the time.
    pub(crate) async fn get(&self, mut headers: HeaderMap, max_body_size: usize) -> Result<HttpResponse, HttpError> {
        headers.extend(self.headers.clone());
        let response = self.client.get(self.url.clone()).headers(headers).send().await?;
        if *response.url() != self.url {
            return Err(HttpError::Redirected);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status == StatusCode::OK { body(response, max_body_size).await? } else { Vec::new() };
        Ok(HttpResponse { status, headers, body })
    }
}

async fn body(mut response: Response, max_size: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_size {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Timeout } else { Self::Connection(root_cause(&error)) }
    }
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
        let accepted = |url: &str| HttpEndpoint::new("JWKS URL", url, HttpSettings::default()).is_ok();
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
        let allowed = |url: &str| {
            HttpEndpoint::new("JWKS URL", url, HttpSettings { allow_http: true, ..HttpSettings::default() }).is_ok()
        };
        assert!(allowed("http://auth.internal/jwks"));
        assert!(!allowed("file:///etc/passwd"));
    }

    #[test]
    fn a_custom_client_needs_permission_for_plain_http() {
        let client = || Some(Client::builder().tls_certs_only([]).build().unwrap());
        let accepted = |url: &str, allow_http| {
            HttpEndpoint::new("JWKS URL", url, HttpSettings { allow_http, client: client(), ..HttpSettings::default() })
                .is_ok()
        };
        assert!(accepted("https://app.example.com/jwks", false));
        assert!(!accepted("http://127.0.0.1/jwks", false), "it may use a proxy");
        assert!(accepted("http://127.0.0.1/jwks", true));
    }

    #[test]
    fn invalid_headers_and_certificates_are_rejected_without_their_content() {
        let url = "https://app.example.com/jwks";
        let header = HttpSettings { headers: vec![("X-Key".into(), "secret\n".into())], ..HttpSettings::default() };
        let error = HttpEndpoint::new("JWKS URL", url, header).err().unwrap().to_string();
        assert!(error.contains("X-Key") && !error.contains("secret"), "{error}");
        let certificate = HttpSettings { root_certificates: vec![b"secret".to_vec()], ..HttpSettings::default() };
        assert!(HttpEndpoint::new("JWKS URL", url, certificate).is_err());
    }

    #[test]
    fn the_url_in_the_log_has_no_query() {
        let endpoint = HttpEndpoint::new(
            "JWKS URL",
            "http://127.0.0.1:3000/api/auth/jwks?token=secret#x",
            HttpSettings::default(),
        )
        .unwrap();
        assert_eq!(endpoint.name(), "http://127.0.0.1:3000/api/auth/jwks");
    }
}
