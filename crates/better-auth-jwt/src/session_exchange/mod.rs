//! Sessions of Better Auth in place of tokens.
//!
//! [`credential`] finds the session in a request. [`running`] exchanges it, or finds an earlier result in [`shared`], and
//! [`request`] asks the issuer.

mod builder;
mod credential;
mod limits;
mod origins;
mod request;
mod results;
mod running;
mod settings;
mod shared;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::request::Parts;

pub use self::builder::SessionExchangeBuilder;
use self::{
    credential::{Credential, Credentials},
    shared::Shared,
};
use crate::{
    error::{Error, ErrorKind},
    token_source::TokenSource,
};

/// Accepts Better Auth's session cookie or session token in place of a JWT.
///
/// The layer sends the session to Better Auth's `/token` endpoint and verifies the JWT in the response like any other.
/// All checks of the layer apply to that JWT, and handlers see no difference. It is for clients that never call `/token`
/// themselves: see [`guides::session_exchange`](crate::guides::session_exchange) for what it costs, and for what the
/// issuer needs.
///
/// ```
/// use better_auth_jwt::{JwtAuthLayer, SessionExchange, Verifier};
///
/// let exchange = SessionExchange::builder("https://app.example.com")
///     .bearer() // `Authorization: Bearer <session token>`
///     .cookies(["https://app.example.com"]) // the session cookie, in requests of this origin
///     .build()?;
/// let auth = JwtAuthLayer::new(Verifier::better_auth("https://app.example.com")?).exchange_sessions(exchange);
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
///
/// A session is exchanged once per [`cache_time`](SessionExchangeBuilder::cache_time), 60 seconds by default, however
/// many requests it has. In between, its JWT is used, but never beyond the JWT's `exp`. So a session that has ended is
/// accepted for up to that time, unless [`JwtAuthLayer::sessions`](crate::JwtAuthLayer::sessions) rejects it.
///
/// | the issuer | response |
/// | --- | --- |
/// | returns a JWT | that of the layer for this JWT |
/// | does not accept the session | 401, and again for 5 seconds without asking |
/// | cannot be reached, fails, or takes longer than 5 seconds | 503 with `Retry-After` |
/// | is not asked, because a [limit](SessionExchangeBuilder::new_session_limit) is reached or it responded with 429 | 503 with `Retry-After` |
///
/// Sessions are kept in memory only as a keyed hash (HMAC-SHA-256 with a random key). They are never logged.
///
/// An exchange runs in a task of its own on the tokio runtime of the request that started it. Clones share results and
/// limits.
#[derive(Clone)]
pub struct SessionExchange {
    credentials: Credentials,
    shared: Arc<Shared>,
}

/// A JWT in place of a session.
pub(crate) enum Exchange {
    Ready(Result<Arc<str>, Error>),
    /// The issuer is asked, for all requests with this session together.
    Pending(Pin<Box<dyn Future<Output = Result<Arc<str>, Error>> + Send>>),
}

/// How many exchanges there have been since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeStatus {
    /// Exchanges for which the issuer returned a JWT.
    pub exchanged: u64,
    /// Exchanges in which the issuer did not accept the session.
    pub rejected: u64,
    /// Exchanges that failed, because the issuer could not be reached, returned an error, or took too long.
    pub failed: u64,
    /// Exchanges that were not started, because of a limit.
    pub limited: u64,
}

impl SessionExchange {
    /// Configures an exchange at the `/token` endpoint of the Better Auth server with this base URL. A path in it is the
    /// base path, instead of `/api/auth`.
    pub fn builder(url: impl Into<String>) -> SessionExchangeBuilder {
        SessionExchangeBuilder::new(url.into())
    }

    /// How many exchanges there have been, for metrics.
    pub fn status(&self) -> ExchangeStatus {
        self.shared.status()
    }

    /// The session that a request has in place of a JWT.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForbiddenOrigin`] for a cookie that the request's origin may not use, [`ErrorKind::InvalidRequest`]
    /// for an ambiguous cookie.
    pub(crate) fn credential(&self, parts: &Parts, source: &TokenSource) -> Result<Option<Credential>, ErrorKind> {
        self.credentials.find(parts, source)
    }

    /// Exchanges a session, or returns the result of a recent exchange.
    pub(crate) fn exchange(&self, session: Credential) -> Exchange {
        running::exchange(&self.shared, session)
    }
}

/// The JWT of a session, or the reason for a refusal.
type ExchangeResult = Result<Arc<str>, Refusal>;

/// The reason why a session was not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The issuer does not accept the session.
    Rejected,
    /// The issuer could not be asked. Ask again after this time.
    Unavailable(Duration),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected => ErrorKind::InvalidSession.into(),
            Refusal::Unavailable(after) => Error::from(ErrorKind::ExchangeUnavailable).with_retry_after(after),
        }
    }
}

impl fmt::Debug for SessionExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionExchange").field("status", &self.status()).finish_non_exhaustive()
    }
}
