//! Which sessions are accepted in place of tokens.

use std::time::Duration;

use axum::http::HeaderValue;
use better_auth_jwt::{BetterAuthUrls, ConfigError, SessionExchange};

use super::{
    args::AuthArgs,
    errors::{ConfigErrors, non_empty, plain_http_hint},
    values::{boolean, list},
};

/// Shorter than `TASKS_API_REQUEST_TIMEOUT` by default, and than the time-outs of balancers.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The exchange of sessions for tokens.
#[derive(Debug, Clone)]
pub(crate) struct SessionExchangeConfig {
    url: String,
    token_url: Option<String>,
    allow_http: bool,
    bearer: bool,
    /// Who may send cookies; `None` if they are not accepted.
    pub(super) cookie_origins: Option<Vec<String>>,
}

/// In which forms a client may send its session.
#[derive(Default)]
struct SessionForms {
    bearer: bool,
    cookie: bool,
}

impl SessionExchangeConfig {
    /// `None` if no session is accepted.
    pub(super) fn parse(args: &AuthArgs, cors_origins: &[HeaderValue], errors: &mut ConfigErrors) -> Option<Self> {
        let token_url = non_empty(&args.better_auth_token_url);
        if token_url.is_some() && non_empty(&args.session_exchange).is_none() {
            errors.push("BETTER_AUTH_TOKEN_URL is not used unless TASKS_API_SESSION_EXCHANGE is set");
        }
        let forms = errors.parse("TASKS_API_SESSION_EXCHANGE", non_empty(&args.session_exchange), session_forms)?;
        // An invalid URL or boolean is reported with the key set.
        let url = non_empty(&args.issuer.better_auth_url);
        let allow_http = non_empty(&args.better_auth_allow_http).is_some_and(|text| boolean(text) == Ok(true));
        if url.is_none() {
            errors.push("TASKS_API_SESSION_EXCHANGE needs BETTER_AUTH_URL, where sessions are exchanged for tokens");
        }
        let server = BetterAuthUrls::new(url?).ok()?;
        // App shells have origins of their own schemes, for which there are no cookies.
        let web_origins =
            cors_origins.iter().filter_map(|origin| origin.to_str().ok()).filter(|origin| origin.starts_with("http"));
        let origins = [server.origin()].into_iter().chain(web_origins).map(str::to_owned).collect();
        let config = Self {
            url: url?.to_owned(),
            token_url: token_url.map(str::to_owned),
            allow_http,
            bearer: forms.bearer,
            cookie_origins: forms.cookie.then_some(origins),
        };
        if let Err(error) = config.build() {
            let name = if token_url.is_some() { "BETTER_AUTH_TOKEN_URL" } else { "BETTER_AUTH_URL" };
            errors.push(format!(
                "{name} cannot be used: {error}{}",
                plain_http_hint(token_url.unwrap_or(&config.url), allow_http)
            ));
        }
        Some(config)
    }

    pub(super) fn build(&self) -> Result<SessionExchange, ConfigError> {
        let mut exchange = SessionExchange::builder(&self.url).timeout(TIMEOUT);
        if let Some(url) = &self.token_url {
            exchange = exchange.token_url(url);
        }
        if self.allow_http {
            exchange = exchange.allow_http();
        }
        if self.bearer {
            exchange = exchange.bearer();
        }
        if let Some(origins) = &self.cookie_origins {
            exchange = exchange.cookies(origins);
        }
        exchange.build()
    }
}

/// `bearer`, `cookie`, or both.
fn session_forms(text: &str) -> Result<SessionForms, String> {
    let mut forms = SessionForms::default();
    for form in list(text) {
        match &*form {
            "bearer" => forms.bearer = true,
            "cookie" => forms.cookie = true,
            _ => return Err("must be bearer, cookie, or bearer,cookie".into()),
        }
    }
    Ok(forms)
}
