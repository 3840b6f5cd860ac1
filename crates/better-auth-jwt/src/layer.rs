//! What the user configures.

use std::{fmt, sync::Arc};

use http::request::Parts;
use tower_layer::Layer;

use crate::{
    claims::{Claims, FromClaims},
    error::{ConfigError, ErrorKind},
    gate::{Gate, Outcome},
    rejection::BearerRejection,
    service::JwtAuth,
    session::{MissingSession, SessionCheck, Sessions},
    token_cache::TokenCache,
    user_path::UserPath,
    verifier::Verifier,
};

/// A Tower layer that lets only requests with a good bearer token through.
///
/// Handlers get the claims as [`Authenticated`](crate::Authenticated), from the request's
/// extensions or, in axum, as an extractor.
///
/// ```
/// use better_auth_jwt::{JwtAuthLayer, PathTemplate, Verifier};
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use tower::{ServiceBuilder, service_fn};
///
/// let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?
///     .issuer("https://app.example.com")
///     .audience("https://app.example.com")?;
/// let auth = JwtAuthLayer::new(verifier).match_user(PathTemplate::new("/api/{user_id}/*")?);
/// # let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
/// let service = ServiceBuilder::new().layer(auth).service(inner);
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
///
/// The service behind the layer must be `Clone`, as axum's and tonic's are; `tower::buffer` makes
/// one that is not. Errors are the inner service's: refused requests are answered, not failed.
///
/// What limits or sheds load stands outside, so that requests that wait for keys count, and so does
/// a CORS layer, whose headers the browser wants to see on refusals too.
///
/// The token is looked at once, when the request begins. A stream or a WebSocket may outlive it: end
/// long ones at [`Claims::exp`].
///
/// The client hears little about a refusal. Which check failed is in the log with the feature
/// `tracing`, is passed to [`observe`](Self::observe), and is in the response's extensions as an
/// [`ErrorKind`].
pub struct JwtAuthLayer<C = Claims, R = BearerRejection> {
    /// Shared with the services made, of which some routers make one for each request.
    gate: Arc<Gate<C>>,
    rejection: R,
}

impl JwtAuthLayer {
    /// A layer that asks for a token this verifier accepts.
    pub fn new(verifier: Verifier) -> Self {
        Self { gate: Arc::new(Gate::new(verifier)), rejection: BearerRejection }
    }
}

impl<R> JwtAuthLayer<Claims, R> {
    /// The same layer with claims of your own type, which handlers then get.
    ///
    /// A token whose claims are not of that shape is refused with 401, which makes a client fetch
    /// another token. So let what may be missing be an `Option`, and refuse it with a rule: that is
    /// 403. Rules given with [`require`](JwtAuthLayer::require) after this see the new type; those
    /// given before stay in force.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// #[derive(serde::Deserialize)]
    /// struct Member {
    ///     #[serde(rename = "sub")]
    ///     id: String,
    ///     // Better Auth's admin plugin: several roles are joined by commas.
    ///     role: Option<String>,
    /// }
    ///
    /// let admins = JwtAuthLayer::new(verifier)
    ///     .claims::<Member>()
    ///     .require(|member| member.role.iter().flat_map(|roles| roles.split(',')).any(|role| role == "admin"));
    /// ```
    #[must_use]
    pub fn claims<C: FromClaims>(self) -> JwtAuthLayer<C, R> {
        JwtAuthLayer { gate: Arc::new(Arc::unwrap_or_clone(self.gate).with_claims()), rejection: self.rejection }
    }
}

impl<C: FromClaims, R> JwtAuthLayer<C, R> {
    /// Asks that the path names the token's user: 403 for another's, and for a path that names none.
    #[must_use]
    pub fn match_user(mut self, path: impl UserPath) -> Self {
        self.gate = Arc::new(Arc::unwrap_or_clone(self.gate).with_user_path(path));
        self
    }

    /// Rejects tokens of revoked sessions with 401, and with 503 if the state of the session is unavailable. Cached
    /// tokens are checked too.
    ///
    /// [`RevokedSessions`](crate::RevokedSessions) is such a check. `missing` decides how to treat tokens without a
    /// session id.
    ///
    /// ```
    /// use std::time::Duration;
    /// use better_auth_jwt::{JwtAuthLayer, MissingSession, RevokedSessions};
    /// # use better_auth_jwt::test_util::Issuer;
    /// # let verifier = Issuer::new().verifier();
    ///
    /// let revoked = RevokedSessions::new(Duration::from_secs(16 * 60)); // tokens live for 15 minutes
    /// let auth = JwtAuthLayer::new(verifier).sessions(revoked.clone(), MissingSession::Reject);
    /// revoked.revoke_session("https://app.example.com", "FwSmAw7Yk0Xvp3bZ")?; // its tokens get 401 from now on
    /// # let _ = auth;
    /// # Ok::<(), better_auth_jwt::CapacityError>(())
    /// ```
    #[must_use]
    pub fn sessions(mut self, check: impl SessionCheck, missing: MissingSession) -> Self {
        self.gate_mut().sessions = Some(Sessions::new(check, missing));
        self
    }

    /// Asks that the claims satisfy a rule: 403 where they don't. May be called repeatedly.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// let auth = JwtAuthLayer::new(verifier).require(|claims| claims.get("emailVerified").unwrap_or(false));
    /// ```
    ///
    /// All rules end in the same answer, [`ErrorKind::Forbidden`]; where clients must be told which it
    /// was, the handler checks.
    #[must_use]
    pub fn require(mut self, rule: impl Fn(&C) -> bool + Send + Sync + 'static) -> Self {
        self.gate_mut().own_rules.push(Arc::new(rule));
        self
    }

    /// Lets requests without a token through as anonymous, without claims; the path is then not
    /// compared. A bad token is still refused.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.gate_mut().optional = true;
        self
    }

    /// Lets CORS preflights through without a token: `OPTIONS` requests with `Origin` and
    /// `Access-Control-Request-Method`.
    ///
    /// Only needed where the service behind the layer answers them; a CORS layer outside of this
    /// one already does, and then also puts its headers on this layer's refusals.
    #[must_use]
    pub fn allow_preflights(mut self) -> Self {
        self.gate_mut().preflights = true;
        self
    }

    /// Looks for the token in another place too, such as a cookie or a WebSocket's subprotocol.
    ///
    /// A request with a token in both places is refused with 400 (RFC 6750, section 3.1). Take none
    /// from the query: it ends up in logs and in histories.
    ///
    /// Browsers cannot set `Authorization` for a WebSocket, but they can offer
    /// `new WebSocket(url, ["bearer", token])`; the service then selects `bearer`:
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, Verifier};
    /// # let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?.insecure_any_issuer().insecure_any_audience()?;
    /// let auth = JwtAuthLayer::new(verifier).token_from(|parts| {
    ///     let offered = parts.headers.get("sec-websocket-protocol")?.to_str().ok()?;
    ///     let mut protocols = offered.split(',').map(str::trim);
    ///     protocols.find(|protocol| *protocol == "bearer")?;
    ///     protocols.next()
    /// });
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    ///
    /// A cookie is sent by the browser whoever asks it to, so it needs `SameSite` and a check of
    /// `Origin` besides:
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, Verifier};
    /// # let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?.insecure_any_issuer().insecure_any_audience()?;
    /// let auth = JwtAuthLayer::new(verifier).token_from(|parts| {
    ///     let cookies = parts.headers.get("cookie")?.to_str().ok()?;
    ///     cookies.split("; ").find_map(|cookie| cookie.strip_prefix("api_token="))
    /// });
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    #[must_use]
    pub fn token_from(mut self, place: impl Fn(&Parts) -> Option<&str> + Send + Sync + 'static) -> Self {
        self.gate_mut().token_from = Some(Arc::new(place));
        self
    }

    /// The maximum size of the cache of verified tokens, in bytes. 16 MiB by default; 0 for no cache.
    ///
    /// A cached token costs no signature check. Its times, session and keys are checked on every request all the same,
    /// and so are the path and the rules. A token of Better Auth takes about 2 KiB, so the default has room for 8,000.
    /// The tokens that have not been used for longest are dropped first, and those unused for half an hour in any case.
    ///
    /// Clones of a layer share its cache. A layer made by [`match_user`](Self::match_user) or
    /// [`claims`](JwtAuthLayer::claims) has another one of the same size, since it caches other values.
    #[must_use]
    pub fn token_cache_size(mut self, bytes: usize) -> Self {
        self.gate_mut().cache = Arc::new(TokenCache::new(bytes));
        self
    }

    /// Calls a function with the outcome of every request: for metrics, in whatever library.
    ///
    /// It runs on the request's path, so it should do no more than count.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(Outcome) + Send + Sync + 'static) -> Self {
        self.gate_mut().observer = Some(Arc::new(observer));
        self
    }

    /// Answers refused requests another way: [`ProblemRejection`](crate::ProblemRejection),
    /// [`GrpcRejection`](crate::GrpcRejection), or a function of your own.
    ///
    /// ```
    /// use better_auth_jwt::{Error, JwtAuthLayer, write_headers};
    /// use http::Response;
    /// # use better_auth_jwt::test_util::Issuer;
    /// # let verifier = Issuer::new().verifier();
    ///
    /// let auth = JwtAuthLayer::new(verifier).reject_with(|error: &Error| {
    ///     let mut response = Response::new(error.description().to_owned());
    ///     *response.status_mut() = error.status();
    ///     write_headers(error, response.headers_mut()); // the challenge, Retry-After, no-store
    ///     response
    /// });
    /// # let _ = auth;
    /// ```
    ///
    /// A function sees the error and not the request, so that nothing of the request can be echoed.
    #[must_use]
    pub fn reject_with<R2>(self, rejection: R2) -> JwtAuthLayer<C, R2> {
        JwtAuthLayer { gate: self.gate, rejection }
    }

    /// The realm in the challenge. `api` by default.
    ///
    /// # Errors
    ///
    /// The realm is empty or has characters that a challenge cannot hold.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        self.gate_mut().challenges.realm(realm)?;
        Ok(self)
    }

    /// The URL of this service's protected resource metadata, named in the challenge
    /// (RFC 9728, section 5.1).
    ///
    /// # Errors
    ///
    /// The URL is empty or has characters that a challenge cannot hold.
    pub fn resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        self.gate_mut().challenges.resource_metadata(url)?;
        Ok(self)
    }

    /// Asks for all of these scopes of an access token, separated by spaces: 403 `insufficient_scope` for a token
    /// without them (RFC 6750, section 3.1).
    ///
    /// # Errors
    ///
    /// The text is empty or has characters that a challenge cannot hold.
    pub fn require_scope(mut self, scope: &str) -> Result<Self, ConfigError> {
        self.gate_mut().challenges.scope(scope)?;
        let required: Vec<String> = scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        let rule = move |claims: &Claims| required.iter().all(|scope| claims.scopes().any(|held| held == scope));
        self.gate_mut().rules.push((Arc::new(rule), ErrorKind::InsufficientScope));
        Ok(self)
    }

    fn gate_mut(&mut self) -> &mut Gate<C> {
        Arc::make_mut(&mut self.gate)
    }
}

impl<S, C, R: Clone> Layer<S> for JwtAuthLayer<C, R> {
    type Service = JwtAuth<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        JwtAuth::new(inner, self.gate.clone(), self.rejection.clone())
    }
}

impl<C, R: Clone> Clone for JwtAuthLayer<C, R> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), rejection: self.rejection.clone() }
    }
}

impl<C, R> fmt::Debug for JwtAuthLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthLayer").field("verifier", &self.gate.verifier).finish_non_exhaustive()
    }
}
