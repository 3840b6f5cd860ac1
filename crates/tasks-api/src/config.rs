use std::{collections::HashSet, fmt, net::SocketAddr, num::NonZeroU32, time::Duration};

use axum::http::HeaderValue;
use better_auth_jwt::{
    BetterAuthUrls, ConfigError,
    keys::{RemoteKeySet, SharedSecret},
};
use clap::{ArgAction, Args};
use url::Url;

use crate::database_url::DatabaseUrl;

/// The server's configuration, parsed once: what exists is usable.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) auth: AuthConfig,
    pub(crate) database_url: DatabaseUrl,
    pub(crate) row_security: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) json_log: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) revocation_keep: Duration,
    /// How long the server goes on without being able to read the logouts; `None` is for ever.
    pub(crate) revocation_outage: Option<Duration>,
}

/// Whose tokens are accepted.
#[derive(Debug, Clone)]
pub(crate) struct AuthConfig {
    /// HS256 secrets, newest first.
    pub(crate) secrets: Vec<Redacted>,
    pub(crate) jwks: Option<Jwks>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    /// Issuer and audiences that logout tokens may name as well: those of the OAuth provider.
    pub(crate) logout_issuer: Option<String>,
    pub(crate) logout_audiences: Vec<String>,
    /// Tokens without a session id are refused.
    pub(crate) require_sid: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Jwks {
    pub(crate) url: String,
    pub(crate) allow_http: bool,
}

/// For each user: so many `requests` at once, and as many again in each `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) requests: NonZeroU32,
    pub(crate) window: Duration,
}

/// A text that no log may show.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Redacted(String);

impl Redacted {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Everything that is wrong with a configuration, a sentence each.
#[derive(Debug)]
pub(crate) struct ConfigFaults(Vec<String>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used.")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}

/// What a command cannot do without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Secret,
    AnyKey,
}

/// What the environment and the flags say, not yet understood. An empty value counts as none.
#[derive(Args)]
#[command(next_help_heading = "Settings (each a flag or an environment variable)")]
pub(crate) struct Settings {
    /// The Better Auth server's base URL: key set, issuer and audience follow from it
    #[arg(long, env, global = true, value_name = "URL")]
    better_auth_url: Option<String>,
    /// Accept HS256 tokens signed with this secret, the same as Better Auth's (at least 32 bytes)
    #[arg(long, env, global = true, value_name = "SECRET")]
    better_auth_secret: Option<String>,
    /// The same during rotation, newest first, as Better Auth writes it: 2:new,1:old
    #[arg(long, env, global = true, value_name = "VERSION:SECRET,…")]
    better_auth_secrets: Option<String>,
    /// Where the key set is, if not where BETTER_AUTH_URL says
    #[arg(long, env, global = true, value_name = "URL")]
    better_auth_jwks_url: Option<String>,
    /// The issuer that tokens must name [default: the origin of BETTER_AUTH_URL]
    #[arg(long, env, global = true, value_name = "ISS")]
    better_auth_issuer: Option<String>,
    /// The audience that tokens must name [default: the origin of BETTER_AUTH_URL]
    #[arg(long, env, global = true, value_name = "AUD")]
    better_auth_audience: Option<String>,
    /// Client ids of the OAuth provider: its logout tokens for these clients are accepted, too
    #[arg(long, env, global = true, value_name = "ID,…")]
    better_auth_logout_audiences: Option<String>,
    /// Fetch the key set over plain http from another host too, for instance inside a container network
    #[arg(long, env, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    better_auth_jwks_allow_http: Option<String>,
    /// SQLite, or PostgreSQL and what speaks its protocol [default: sqlite://tasks.db?mode=rwc]
    #[arg(long, env, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// PostgreSQL: enable row-level security, so that the database keeps the users apart, too; the role must own the tables
    /// and not be a superuser. Where it is enabled already, all replicas follow
    #[arg(long, env, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    tasks_api_row_security: Option<String>,
    /// The address to listen on [default: 127.0.0.1:8000]
    #[arg(long, env, global = true, visible_alias = "listen", value_name = "IP:PORT")]
    tasks_api_listen: Option<String>,
    /// Origins whose pages may call this API from a browser
    #[arg(long, env, global = true, value_name = "ORIGIN,…")]
    tasks_api_cors_origins: Option<String>,
    /// Requests per user, for instance 100/10s [default: no limit]
    #[arg(long, env, global = true, value_name = "COUNT/TIME")]
    tasks_api_rate_limit: Option<String>,
    /// The log's form: text or json [default: text]
    #[arg(long, env, global = true, value_name = "FORM")]
    tasks_api_log: Option<String>,
    /// Refuse tokens without a session id
    #[arg(long, env, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    tasks_api_require_sid: Option<String>,
    /// How long a logout is remembered; at least the longest token's life [default: 8d]
    #[arg(long, env, global = true, value_name = "TIME")]
    tasks_api_revocation_keep: Option<String>,
    /// How long to go on while the logouts of other replicas cannot be read; then every token is answered with 503. With
    /// "forever" sessions are let in, ended or not [default: 60s]
    #[arg(long, env, global = true, value_name = "TIME")]
    tasks_api_revocation_outage: Option<String>,
}

impl Config {
    /// Understands `settings`, or says all that is wrong with them.
    pub(crate) fn read(settings: Settings, needs: Needs) -> Result<Self, ConfigFaults> {
        let mut faults = Faults::default();
        let config = Self {
            auth: auth(&settings, needs, &mut faults),
            database_url: faults.parsed("DATABASE_URL", &settings.database_url, DatabaseUrl::parse).unwrap_or_default(),
            row_security: faults
                .parsed("TASKS_API_ROW_SECURITY", &settings.tasks_api_row_security, boolean)
                .unwrap_or(false),
            listen: faults
                .parsed("TASKS_API_LISTEN", &settings.tasks_api_listen, address)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8000))),
            cors_origins: faults
                .parsed("TASKS_API_CORS_ORIGINS", &settings.tasks_api_cors_origins, origins)
                .unwrap_or_default(),
            json_log: faults.parsed("TASKS_API_LOG", &settings.tasks_api_log, json_log).unwrap_or(false),
            rate_limit: faults.parsed("TASKS_API_RATE_LIMIT", &settings.tasks_api_rate_limit, rate_limit).flatten(),
            revocation_keep: faults
                .parsed("TASKS_API_REVOCATION_KEEP", &settings.tasks_api_revocation_keep, duration)
                .unwrap_or(Duration::from_secs(8 * 24 * 60 * 60)),
            revocation_outage: faults
                .parsed("TASKS_API_REVOCATION_OUTAGE", &settings.tasks_api_revocation_outage, outage)
                .unwrap_or(Some(Duration::from_secs(60))),
        };
        if faults.0.is_empty() { Ok(config) } else { Err(ConfigFaults(faults.0)) }
    }
}

/// Collects what is wrong, so that reading goes on and finds the rest.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn parsed<T>(&mut self, name: &str, given: &Option<String>, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(set(given)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.0.push(format!("{name} {fault}"));
                None
            }
        }
    }
}

fn set(given: &Option<String>) -> Option<&str> {
    given.as_deref().filter(|text| !text.is_empty())
}

fn auth(settings: &Settings, needs: Needs, faults: &mut Faults) -> AuthConfig {
    let secret = faults.parsed("BETTER_AUTH_SECRET", &settings.better_auth_secret, secret);
    let rotated = faults.parsed("BETTER_AUTH_SECRETS", &settings.better_auth_secrets, versioned_secrets);
    let mut secrets: Vec<Redacted> = secret.into_iter().chain(rotated.into_iter().flatten()).collect();
    let mut seen = HashSet::new();
    secrets.retain(|secret| seen.insert(secret.clone()));

    let server = faults.parsed("BETTER_AUTH_URL", &settings.better_auth_url, better_auth);
    let origin = server.as_ref().map(|server| server.origin().to_owned());
    let logout_issuer = server.as_ref().map(BetterAuthUrls::oauth_issuer);
    let logout_audiences = set(&settings.better_auth_logout_audiences).map(list).unwrap_or_default();
    let issuer = set(&settings.better_auth_issuer).map(str::to_owned).or_else(|| origin.clone());
    let audience = set(&settings.better_auth_audience).map(str::to_owned).or(origin);
    let jwks = jwks(settings, server, faults);

    if set(&settings.better_auth_jwks_url).is_some()
        && set(&settings.better_auth_url).is_none()
        && (issuer.is_none() || audience.is_none())
    {
        faults.0.push(
            "BETTER_AUTH_JWKS_URL says where the keys are but not whose tokens are meant: set BETTER_AUTH_URL as well, \
             or both BETTER_AUTH_ISSUER and BETTER_AUTH_AUDIENCE"
                .into(),
        );
    }
    let given = |names: &[&Option<String>]| names.iter().any(|name| set(name).is_some());
    let a_secret = given(&[&settings.better_auth_secret, &settings.better_auth_secrets]);
    let a_key = a_secret || given(&[&settings.better_auth_url, &settings.better_auth_jwks_url]);
    if needs == Needs::AnyKey && !a_key {
        faults.0.push(
            "nothing says whose tokens to accept: set BETTER_AUTH_URL to the base URL of your Better Auth server, \
             or BETTER_AUTH_SECRET to the secret it signs HS256 tokens with (BETTER_AUTH_SECRETS and BETTER_AUTH_JWKS_URL do as well); \
             to look around without a Better Auth server, run `tasks-api dev`"
                .into(),
        );
    }
    if needs == Needs::Secret && !a_secret {
        faults.0.push("no secret to sign with: set BETTER_AUTH_SECRET to the same secret as the server's".into());
    }
    let require_sid = faults.parsed("TASKS_API_REQUIRE_SID", &settings.tasks_api_require_sid, boolean).unwrap_or(false);
    AuthConfig { secrets, jwks, issuer, audience, logout_issuer, logout_audiences, require_sid }
}

fn jwks(settings: &Settings, server: Option<BetterAuthUrls>, faults: &mut Faults) -> Option<Jwks> {
    let allow_http =
        faults.parsed("BETTER_AUTH_JWKS_ALLOW_HTTP", &settings.better_auth_jwks_allow_http, boolean).unwrap_or(false);
    let (name, url) = match set(&settings.better_auth_jwks_url) {
        Some(url) => ("BETTER_AUTH_JWKS_URL", url.to_owned()),
        None => ("BETTER_AUTH_URL", server?.jwks_url()),
    };
    let jwks = Jwks { url, allow_http };
    if let Err(error) = jwks.key_set() {
        let hint = if jwks.url.starts_with("http:") && !allow_http {
            "; or set BETTER_AUTH_JWKS_ALLOW_HTTP=true where the network between is trusted"
        } else {
            ""
        };
        faults.0.push(format!("{name} cannot be used: {error}{hint}"));
    }
    Some(jwks)
}

impl Jwks {
    pub(crate) fn key_set(&self) -> Result<RemoteKeySet, ConfigError> {
        let keys = RemoteKeySet::builder(&self.url);
        if self.allow_http { keys.allow_http().build() } else { keys.build() }
    }
}

fn better_auth(text: &str) -> Result<BetterAuthUrls, String> {
    BetterAuthUrls::new(text).map_err(|error| format!("cannot be used: {error}"))
}

fn secret(text: &str) -> Result<Redacted, String> {
    match SharedSecret::new(text) {
        Ok(_) => Ok(Redacted::new(text)),
        Err(error) => Err(format!("cannot be used: {error}")),
    }
}

fn versioned_secrets(text: &str) -> Result<Vec<Redacted>, String> {
    let secrets = SharedSecret::split_better_auth_secrets(text).map_err(|error| format!("cannot be used: {error}"))?;
    secrets.into_iter().map(secret).collect()
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, for instance 127.0.0.1:8000 or 0.0.0.0:8000".into())
}

fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    list(text).iter().map(|text| origin(text)).collect()
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let fault = || {
        // A URL with a password in it is not repeated.
        let entry = if text.contains('@') { "an entry with an @".into() } else { format!("{text:?}") };
        format!(
            "contains {entry}, which is not an origin such as https://app.example.com (no path, no slash at the end, no *)"
        )
    };
    let url = Url::parse(text).map_err(|_| fault())?;
    if url.origin().ascii_serialization() != text {
        return Err(fault());
    }
    HeaderValue::from_str(text).map_err(|_| fault())
}

fn rate_limit(text: &str) -> Result<Option<RateLimit>, String> {
    if text == "off" {
        return Ok(None);
    }
    let limit = text.split_once('/').and_then(|(count, window)| {
        let requests = count.trim().parse().ok()?;
        let window = duration(window.trim()).ok()?;
        Some(RateLimit { requests, window })
    });
    limit.map(Some).ok_or_else(|| "must be off, or a count and a time such as 100/10s".into())
}

fn outage(text: &str) -> Result<Option<Duration>, String> {
    if text == "forever" {
        return Ok(None);
    }
    // The table is read every other second.
    let time = duration(text).ok().filter(|time| *time >= Duration::from_secs(5));
    time.map(Some).ok_or_else(|| "must be a time from 5s on, such as 60s or 10m, or forever".into())
}

fn json_log(text: &str) -> Result<bool, String> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        _ => Err("must be text or json".into()),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// A time such as `15m`, `12h` or `7d`; never zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "must be a time such as 15m, 12h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn read(flags: &[&str]) -> AuthConfig {
        let line = Line::parse_from([&["tasks-api"], flags].concat());
        Config::read(line.settings, Needs::AnyKey).unwrap().auth
    }

    #[test]
    fn keys_issuer_and_audience_follow_from_the_url() {
        for (url, origin, jwks) in [
            ("https://app.example.com", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
            ("https://app.example.com/", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
            ("http://localhost:3000/custom/auth/", "http://localhost:3000", "http://localhost:3000/custom/auth/jwks"),
        ] {
            let auth = read(&["--better-auth-url", url]);
            assert_eq!((auth.issuer.as_deref(), auth.audience.as_deref()), (Some(origin), Some(origin)));
            assert_eq!(auth.jwks.unwrap().url, jwks);
        }
    }

    #[test]
    fn overrides_win_over_what_follows_from_the_url() {
        let auth = read(&[
            "--better-auth-url=https://app.example.com",
            "--better-auth-jwks-url=http://auth.internal:3000/api/auth/jwks",
            "--better-auth-jwks-allow-http",
            "--better-auth-audience=tasks",
        ]);
        assert_eq!(auth.jwks.unwrap().url, "http://auth.internal:3000/api/auth/jwks");
        assert_eq!(
            (auth.issuer.as_deref(), auth.audience.as_deref()),
            (Some("https://app.example.com"), Some("tasks"))
        );
    }

    #[test]
    fn a_secret_with_issuer_and_audience_fetches_no_keys() {
        let auth = read(&["--better-auth-secret", SECRET, "--better-auth-issuer=a", "--better-auth-audience=b"]);
        assert!(auth.jwks.is_none());
        assert_eq!((auth.issuer.as_deref(), auth.audience.as_deref()), (Some("a"), Some("b")));
    }

    #[test]
    fn secrets_of_a_rotation_join_the_single_one_without_doubles() {
        let newer = SECRET.replace('0', "x");
        let auth = read(&["--better-auth-secret", SECRET, "--better-auth-secrets", &format!("2:{newer}, 1:{SECRET}")]);
        assert_eq!(auth.secrets.iter().map(Redacted::expose).collect::<Vec<_>>(), [SECRET, &newer]);
    }

    #[test]
    fn logout_tokens_may_come_from_the_oauth_provider_of_the_same_server_too() {
        let auth = read(&["--better-auth-url=https://app.example.com", "--better-auth-logout-audiences=tasks, notes"]);
        assert_eq!(auth.logout_issuer.as_deref(), Some("https://app.example.com/api/auth"));
        assert_eq!(auth.logout_audiences, ["tasks", "notes"]);
    }

    #[test]
    fn an_outage_is_a_time_or_forever() {
        assert_eq!(outage("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(outage("forever"), Ok(None));
        assert!(outage("4s").is_err() && outage("never").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let line =
            Line::parse_from(["tasks-api", "--better-auth-secret", SECRET, "--database-url=postgres://u:pw123@db/t"]);
        let shown = format!("{:?}", Config::read(line.settings, Needs::Nothing).unwrap());
        assert!(!shown.contains(SECRET) && !shown.contains("pw123"), "{shown}");
    }

    #[test]
    fn rate_limits_and_origins_are_read_strictly() {
        let limit = RateLimit { requests: NonZeroU32::new(100).unwrap(), window: Duration::from_secs(10) };
        assert_eq!(rate_limit("100/10s"), Ok(Some(limit)));
        assert_eq!(rate_limit("off"), Ok(None));
        for wrong in ["100", "0/10s", "100/0s", "100/10", "-1/10s", "/", "ten/10s"] {
            assert!(rate_limit(wrong).is_err(), "{wrong}");
        }
        assert_eq!(origins("https://a.example, http://localhost:3000").unwrap().len(), 2);
        for wrong in
            ["*", "null", "https://a.example/", "a.example", "https://a.example:443", "https://A.example", "file:///x"]
        {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }
}
