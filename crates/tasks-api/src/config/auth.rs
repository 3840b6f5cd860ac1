//! The accepted token issuers and their keys.

use std::{collections::HashSet, time::Duration};

use better_auth_jwt::{
    BetterAuthUrls, ConfigError, LogoutVerifier, Verifier,
    keys::{Algorithm, KeySource, RemoteKeySet, SharedSecret},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    args::AuthArgs,
    errors::{ConfigErrors, non_empty, plain_http_hint},
    values::{boolean, count, duration_or_zero, names, rsa_algorithm},
};

/// The issuers, with their keys.
#[derive(Debug, Clone)]
pub(crate) struct AuthConfig {
    /// HS256 secrets, newest first.
    pub(crate) secrets: Vec<SecretString>,
    jwks: Option<Jwks>,
    /// Accepted issuers; any if empty.
    pub(crate) issuers: Vec<String>,
    /// Accepted audiences; any if empty.
    pub(crate) audiences: Vec<String>,
    /// Additional issuer and audiences of logout tokens: those of the OAuth provider.
    logout_issuer: Option<String>,
    logout_audiences: Vec<String>,
    pub(crate) leeway: Duration,
    max_token_size: usize,
    /// Whether tokens without a session id are rejected.
    pub(crate) require_sid: bool,
}

#[derive(Debug, Clone)]
struct Jwks {
    url: String,
    allow_http: bool,
    rsa_algorithm: Option<Algorithm>,
}

/// The settings that a command requires.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requires {
    /// A secret or a key set.
    Key,
    Secret,
    Nothing,
}

impl AuthConfig {
    pub(super) fn parse(args: &AuthArgs, requires: Requires, errors: &mut ConfigErrors) -> Self {
        let server = errors.parse("BETTER_AUTH_URL", non_empty(&args.issuer.better_auth_url), better_auth_url);
        let origin: Vec<String> = server.iter().map(|server| server.origin().to_owned()).collect();
        let issuers = errors.parse("BETTER_AUTH_ISSUER", non_empty(&args.issuer.better_auth_issuer), names);
        let audiences = errors.parse("BETTER_AUTH_AUDIENCE", non_empty(&args.issuer.better_auth_audience), names);
        let logout_audiences =
            errors.parse("BETTER_AUTH_LOGOUT_AUDIENCES", non_empty(&args.better_auth_logout_audiences), names);
        let require_sid = errors.parse("TASKS_API_REQUIRE_SID", non_empty(&args.require_sid), boolean);
        let leeway = errors.parse("TASKS_API_LEEWAY", non_empty(&args.leeway), duration_or_zero);
        // A larger token would exceed the maximum size of a request head.
        let max_token_size = errors.parse("TASKS_API_MAX_TOKEN_SIZE", non_empty(&args.max_token_size), |text| {
            count(256)(text)
                .ok()
                .filter(|size| *size <= 24 * 1024)
                .ok_or_else(|| "must be a number of bytes from 256 to 24576".to_owned())
        });
        let auth = Self {
            secrets: secrets(args, errors),
            logout_issuer: server.as_ref().map(BetterAuthUrls::oauth_issuer),
            jwks: jwks(args, server, errors),
            issuers: issuers.unwrap_or_else(|| origin.clone()),
            audiences: audiences.unwrap_or(origin),
            logout_audiences: logout_audiences.unwrap_or_default(),
            leeway: leeway.unwrap_or(Duration::from_secs(30)),
            max_token_size: max_token_size.map_or(8192, |size| size as usize),
            require_sid: require_sid.unwrap_or(false),
        };
        auth.check(args, requires, errors);
        auth
    }

    /// Reports missing settings. Invalid ones have been reported already.
    fn check(&self, args: &AuthArgs, requires: Requires, errors: &mut ConfigErrors) {
        let has_jwks_url = non_empty(&args.better_auth_jwks_url).is_some();
        let has_url = non_empty(&args.issuer.better_auth_url).is_some();
        let has_secret = [
            &args.issuer.better_auth_secret,
            &args.issuer.better_auth_secret_file,
            &args.issuer.better_auth_secrets,
            &args.issuer.better_auth_secrets_file,
        ]
        .into_iter()
        .any(|text| non_empty(text).is_some());
        if has_jwks_url && !has_url && (self.issuers.is_empty() || self.audiences.is_empty()) {
            errors.push(
                "BETTER_AUTH_JWKS_URL says where the keys are but not whose tokens are accepted: set BETTER_AUTH_URL as \
                 well, or both BETTER_AUTH_ISSUER and BETTER_AUTH_AUDIENCE",
            );
        }
        if requires == Requires::Key && !has_secret && !has_url && !has_jwks_url {
            errors.push(
                "no token issuer configured: set BETTER_AUTH_URL to the base URL of your Better Auth server, or \
                 BETTER_AUTH_SECRET to the secret with which it signs HS256 tokens (BETTER_AUTH_SECRETS during a rotation, \
                 BETTER_AUTH_JWKS_URL for another key set); to try the server without Better Auth, run `tasks-api dev`",
            );
        }
        if requires == Requires::Secret && !has_secret {
            errors.push("no secret to sign with: set BETTER_AUTH_SECRET to the same secret as the server's");
        }
    }

    /// Whether the issuer and the audience of tokens are checked.
    pub(crate) fn checks_issuer_and_audience(&self) -> bool {
        !self.issuers.is_empty() && !self.audiences.is_empty()
    }

    /// A verifier of tokens that are signed with the secrets or with the issuer's published keys. Also returns the published
    /// keys, for monitoring.
    pub(crate) fn verifier(&self) -> Result<(Verifier, Option<RemoteKeySet>), ConfigError> {
        let secrets = self.secrets.iter().map(|secret| secret.expose_secret());
        let shared = SharedSecret::keyring(secrets).and_then(|keys| self.with_issuer_and_audience(keys));
        let Some(jwks) = &self.jwks else { return Ok((self.with_rules(shared?), None)) };
        let keys = jwks.key_set()?;
        let published = self.with_issuer_and_audience(keys.clone())?;
        let verifier = if self.secrets.is_empty() { published } else { shared?.or(published) };
        Ok((self.with_rules(verifier), Some(keys)))
    }

    /// A verifier of the logout tokens of the same issuer and of its OAuth provider.
    pub(crate) fn logout_verifier(&self, verifier: &Verifier) -> LogoutVerifier {
        let mut logout = LogoutVerifier::from(verifier);
        if let Some(issuer) = &self.logout_issuer {
            logout = logout.additional_issuer(issuer);
        }
        // If any audience is accepted, adding one would make it the only one.
        if !self.audiences.is_empty() {
            logout = self.logout_audiences.iter().fold(logout, LogoutVerifier::additional_audience);
        }
        logout
    }

    fn with_issuer_and_audience(&self, keys: impl KeySource) -> Result<Verifier, ConfigError> {
        let keys = Verifier::builder(keys);
        let keys = if self.issuers.is_empty() { keys.insecure_any_issuer() } else { keys.issuers(&self.issuers) };
        if self.audiences.is_empty() { keys.insecure_any_audience() } else { keys.audiences(&self.audiences) }
    }

    fn with_rules(&self, verifier: Verifier) -> Verifier {
        verifier.leeway(self.leeway).max_token_size(self.max_token_size)
    }
}

impl Jwks {
    fn key_set(&self) -> Result<RemoteKeySet, ConfigError> {
        let mut keys = RemoteKeySet::builder(&self.url);
        if self.allow_http {
            keys = keys.allow_http();
        }
        if let Some(algorithm) = self.rsa_algorithm {
            keys = keys.default_rsa_algorithm(algorithm);
        }
        keys.build()
    }
}

fn jwks(args: &AuthArgs, server: Option<BetterAuthUrls>, errors: &mut ConfigErrors) -> Option<Jwks> {
    let allow_http = errors.parse("BETTER_AUTH_ALLOW_HTTP", non_empty(&args.better_auth_allow_http), boolean);
    let rsa_algorithm =
        errors.parse("BETTER_AUTH_JWKS_RSA_ALGORITHM", non_empty(&args.better_auth_jwks_rsa_algorithm), rsa_algorithm);
    let (name, url) = match non_empty(&args.better_auth_jwks_url) {
        Some(url) => ("BETTER_AUTH_JWKS_URL", url.to_owned()),
        None => ("BETTER_AUTH_URL", server?.jwks_url()),
    };
    let jwks = Jwks { url, allow_http: allow_http.unwrap_or(false), rsa_algorithm };
    if let Err(error) = jwks.key_set() {
        errors.push(format!("{name} cannot be used: {error}{}", plain_http_hint(&jwks.url, jwks.allow_http)));
    }
    Some(jwks)
}

/// All secrets, without duplicates.
fn secrets(args: &AuthArgs, errors: &mut ConfigErrors) -> Vec<SecretString> {
    let single = errors.text_or_file(
        "BETTER_AUTH_SECRET",
        &args.issuer.better_auth_secret,
        &args.issuer.better_auth_secret_file,
    );
    let rotated = errors.text_or_file(
        "BETTER_AUTH_SECRETS",
        &args.issuer.better_auth_secrets,
        &args.issuer.better_auth_secrets_file,
    );
    let single = errors.parse("BETTER_AUTH_SECRET", single.as_deref(), secret);
    let rotated = errors.parse("BETTER_AUTH_SECRETS", rotated.as_deref(), |text| {
        let secrets =
            SharedSecret::split_better_auth_secrets(text).map_err(|error| format!("cannot be used: {error}"))?;
        secrets.into_iter().map(secret).collect::<Result<Vec<_>, _>>()
    });
    let mut seen = HashSet::new();
    let all = single.into_iter().chain(rotated.into_iter().flatten());
    all.filter(|secret| seen.insert(secret.expose_secret().to_owned())).collect()
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.contains(char::is_control) {
        return Err(
            "contains a line end or another control character; Better Auth's secret would have to contain it, too"
                .into(),
        );
    }
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if is_quoted('"') || is_quoted('\'') {
        return Err("is in quotes; write it without them".into());
    }
    SharedSecret::new(text).map(|_| text.into()).map_err(|error| format!("cannot be used: {error}"))
}

fn better_auth_url(text: &str) -> Result<BetterAuthUrls, String> {
    BetterAuthUrls::new(text).map_err(|error| format!("cannot be used: {error}"))
}

#[cfg(test)]
mod tests;
