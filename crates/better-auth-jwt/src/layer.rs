//! The layer and its configuration.

use std::{borrow::Cow, error::Error as StdError, fmt, future::Future, sync::Arc, time::Duration};

use http::request::Parts;
use tower_layer::Layer;

#[cfg(feature = "session-exchange")]
use crate::session_exchange::SessionExchange;
use crate::{
    authenticated::Authenticated,
    authorizer::{Authorizer, Decision, Policy},
    claims::{Claims, FromClaims},
    error::{ConfigError, Error},
    outcome::Outcome,
    path::PathValue,
    rejection::BearerRejection,
    rule::{Rule, is_scope_token},
    service::JwtAuth,
    session::{MissingSession, SessionCheck, Sessions},
    token_source::TokenSource,
    verifier::Verifier,
};

/// A Tower layer that only lets requests with a valid bearer token through.
///
/// Handlers find the claims as [`Authenticated`] in the request's extensions; in axum it is an extractor.
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
/// To give groups of routes different rules, clone a layer and add rules to the clones, which share the cache of verified
/// tokens.
///
/// The inner service must be `Clone`, as axum's and tonic's are; wrap other services in `tower::buffer`.
/// Errors are those of the inner service: rejected requests get a response, not an error.
///
/// Put concurrency limits and load shedding outside this layer, so that requests that wait for keys are counted. Put
/// CORS outside too, so that error responses carry its headers.
///
/// Token and session are checked once, when the request starts; streams and WebSockets may outlive them. End
/// long ones when the token expires or the session is revoked: see [`guides::streams`](crate::guides::streams).
///
/// # Order of checks
///
/// The token, its session, the user id in the path, the other path values, scopes, and rules in the order
/// in which they were added. Async rules come last, and the session is checked again after them. The first
/// check that fails decides.
///
/// # What clients and logs learn
///
/// Clients learn the status and a fixed description. Which check failed is logged with the feature `tracing`, passed to
/// [`on_outcome`](Self::on_outcome), and put into the response's extensions as an [`ErrorKind`](crate::ErrorKind). The
/// log's field `kind` is its [name](crate::ErrorKind::as_str). Rejected requests are logged at `debug`, because clients
/// without a valid token can cause them; misconfigured routes and failing dependencies are logged at `warn`.
#[must_use = "layers do nothing until they are applied to a service"]
pub struct JwtAuthLayer<C = Claims, R = BearerRejection> {
    /// Shared with the services: some routers make a service for each request.
    authorizer: Arc<Authorizer<C>>,
    rejection: R,
}

impl JwtAuthLayer {
    /// Creates a layer that requires a token which this verifier accepts.
    pub fn new(verifier: Verifier) -> Self {
        Self { authorizer: Arc::new(Authorizer::new(verifier)), rejection: BearerRejection }
    }
}

impl<R> JwtAuthLayer<Claims, R> {
    /// Changes the type of the claims that handlers get, to any type that implements `Deserialize`.
    ///
    /// A token whose claims do not deserialize is rejected with 401, which makes clients fetch another one. Make
    /// optional claims an `Option` and reject them with [`require`](JwtAuthLayer::require), which gives 403. Rules that
    /// are added after this see the new type; rules that were added before still apply.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "camelCase")]
    /// struct Member {
    ///     sub: String,
    ///     active_organization_id: Option<String>,
    /// }
    ///
    /// let auth = JwtAuthLayer::new(verifier)
    ///     .require("admin", |claims| claims.has_role("admin"))
    ///     .claims::<Member>()
    ///     .require("active organization", |member| member.active_organization_id.is_some());
    /// ```
    pub fn claims<C: FromClaims>(self) -> JwtAuthLayer<C, R> {
        let authorizer = Arc::unwrap_or_clone(self.authorizer).with_claims();
        JwtAuthLayer { authorizer: Arc::new(authorizer), rejection: self.rejection }
    }
}

impl<C: FromClaims, R> JwtAuthLayer<C, R> {
    /// Requires the user id in the path to be the token's: otherwise 403, also if the path contains none.
    pub fn match_user(mut self, path: impl PathValue) -> Self {
        self.policy_mut().path_user = Some(Arc::new(path));
        self
    }

    /// Requires a claim to be equal to this value in the path: 403 if it is missing, another string, or not
    /// a string. May be called several times.
    ///
    /// A claim says what was true when the token was issued. The active organization of Better Auth's organization
    /// plugin does not prove membership: Better Auth does not clear it when a user is removed. [`guides::organizations`] shows how
    /// `definePayload` can check the membership, and how to look it up with [`require_async`](Self::require_async).
    ///
    /// [`guides::organizations`]: crate::guides::organizations
    ///
    /// Handlers can read the value from the claims, which contain the same string as the path.
    ///
    /// ```
    /// # use better_auth_jwt::{ClaimError, Claims, JwtAuthLayer, PathTemplate, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// let auth = JwtAuthLayer::new(verifier)
    ///     .match_claim("activeOrganizationId", PathTemplate::new("/orgs/{org_id}/*")?);
    ///
    /// // In a handler, with the claims of `Authenticated`:
    /// fn org_id(claims: &Claims) -> Result<String, ClaimError> {
    ///     claims.get("activeOrganizationId")
    /// }
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    pub fn match_claim(mut self, claim: impl Into<Cow<'static, str>>, path: impl PathValue) -> Self {
        self.policy_mut().path_claims.push((claim.into(), Arc::new(path)));
        self
    }

    /// Rejects tokens of revoked sessions with 401, and responds with 503 while the check cannot tell. Cached
    /// tokens are checked too.
    ///
    /// [`RevokedSessions`](crate::RevokedSessions) is such a check. You decide how to treat tokens without a
    /// session id.
    ///
    /// ```
    /// use std::time::Duration;
    /// use better_auth_jwt::{JwtAuthLayer, RevokedSessions, MissingSession};
    /// # use better_auth_jwt::test_util::Issuer;
    /// # let verifier = Issuer::new().verifier();
    ///
    /// // The longest lifetime of a token, plus the leeway:
    /// let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30));
    /// let auth = JwtAuthLayer::new(verifier).sessions(revoked.clone(), MissingSession::Reject);
    /// revoked.revoke_session("https://app.example.com", "FwSmAw7Yk0Xvp3bZ")?; // its tokens get 401 from now on
    /// # let _ = auth;
    /// # Ok::<(), better_auth_jwt::CapacityError>(())
    /// ```
    pub fn sessions(mut self, check: impl SessionCheck, missing: MissingSession) -> Self {
        self.policy_mut().sessions = Some(Sessions::new(check, missing));
        self
    }

    /// Requires the claims to satisfy a rule: otherwise 403. May be called several times.
    ///
    /// The name is for the log and for [`Error::rule`]; clients do not learn which rule rejected them.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// let auth = JwtAuthLayer::new(verifier)
    ///     .require("verified email", |claims| claims.is_email_verified())
    ///     .require("admin", |claims| claims.has_role("admin"));
    /// ```
    pub fn require(
        self,
        name: impl Into<Cow<'static, str>>,
        rule: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.require_request(name, move |claims, _| rule(claims))
    }

    /// Requires the claims and the request's head (method, path, headers) to satisfy a rule: otherwise 403.
    ///
    /// The head is mutable because axum's extractors and [`PathValue::extract`] require that.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// use http::Method;
    ///
    /// let auth = JwtAuthLayer::new(verifier).require_request("editor", |claims, parts| {
    ///     parts.method == Method::GET || claims.has_role("editor")
    /// });
    /// ```
    pub fn require_request(
        mut self,
        name: impl Into<Cow<'static, str>>,
        rule: impl Fn(&C, &mut Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.authorizer_mut().rules.push(Rule::new(name.into(), rule));
        self
    }

    /// Requires an async rule to be satisfied, such as a lookup in a database: otherwise 403.
    ///
    /// If the rule fails or [`rule_timeout`](Self::rule_timeout) passes, the response is 503; the feature
    /// `tracing` logs the error, so it must not contain secrets. The function is called only for requests
    /// that pass all other checks, with a copy of the request's head. The future is dropped if the client
    /// disconnects.
    ///
    /// A [`PathError`](crate::PathError), which `?` passes on from [`PathValue::extract`], rejects the request
    /// as in [`match_user`](Self::match_user): 400 or 403.
    ///
    /// Time limits need a tokio runtime with its timer enabled. A layer without async rules costs nothing
    /// extra.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use better_auth_jwt::{JwtAuthLayer, PathTemplate, PathValue, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// # #[derive(Clone)] struct Database;
    /// # impl Database { async fn is_member(&self, _: &str, _: &str) -> Result<bool, Infallible> { Ok(true) } }
    /// # let database = Database;
    /// let org_id = PathTemplate::new("/orgs/{org_id}/*")?;
    /// let auth = JwtAuthLayer::new(verifier).require_async("organization member", move |claims, mut parts| {
    ///     let (database, org_id) = (database.clone(), org_id.clone());
    ///     async move {
    ///         let org_id = org_id.extract(&mut parts)?;
    ///         Ok(database.is_member(claims.user_id(), &org_id).await?)
    ///     }
    /// });
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    pub fn require_async<F>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        rule: impl Fn(Arc<C>, Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.authorizer_mut().rules.push(Rule::new_async(name.into(), rule));
        self
    }

    /// How long the async rules of a request may take together. 5 seconds by default.
    pub fn rule_timeout(mut self, timeout: Duration) -> Self {
        self.policy_mut().rule_timeout = timeout;
        self
    }

    /// Requires all of these scopes of an access token: otherwise 403 `insufficient_scope`, with the
    /// missing scopes in the challenge (RFC 6750, section 3.1). May be called several times.
    ///
    /// # Errors
    ///
    /// A scope is empty or contains characters that RFC 6749, section 3.3, does not allow, such as spaces.
    pub fn require_scopes<S: Into<Box<str>>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let scopes: Vec<Box<str>> = scopes.into_iter().map(Into::into).collect();
        if let Some(invalid) = scopes.iter().find(|scope| !is_scope_token(scope)) {
            return Err(ConfigError::new(format!(
                "the scope {invalid:?} must be printable ASCII without spaces, quotes or backslashes"
            )));
        }
        self.policy_mut().scopes.require(scopes);
        Ok(self)
    }

    /// Requires scopes that depend on the claims and the request, such as its method or (in gRPC) its path.
    ///
    /// Only OAuth access tokens have scopes: if the layer also accepts other tokens, require none of those.
    /// [`guides::grpc`](crate::guides::grpc) is a complete example.
    ///
    /// ```
    /// # use better_auth_jwt::{GrpcRejection, JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// let auth = JwtAuthLayer::new(verifier)
    ///     .require_scopes_for(|_, parts| match parts.uri.path() {
    ///         "/notes.v1.Notes/Get" | "/notes.v1.Notes/List" => &["notes:read"],
    ///         _ => &["notes:write"],
    ///     })
    ///     .rejection_response(GrpcRejection);
    /// ```
    pub fn require_scopes_for(
        mut self,
        scopes: impl Fn(&Claims, &Parts) -> &'static [&'static str] + Send + Sync + 'static,
    ) -> Self {
        self.policy_mut().scopes.require_by_request(scopes);
        self
    }

    /// Lets requests without a token through as anonymous, without claims.
    ///
    /// Paths, rules and scopes are not checked for them. A token that is present must still be valid.
    pub fn optional(mut self) -> Self {
        self.policy_mut().optional = true;
        self
    }

    /// Lets CORS preflights through without a token: `OPTIONS` requests with `Origin` and
    /// `Access-Control-Request-Method`.
    ///
    /// You need this only if the inner service responds to them. A CORS layer outside of this one already
    /// does, and puts its headers on error responses too.
    pub fn allow_cors_preflight(mut self) -> Self {
        self.policy_mut().allow_cors_preflight = true;
        self
    }

    /// Sets where the layer looks for the token: a header, a cookie, or a function. [`TokenSource::bearer`] by default.
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.policy_mut().token_source = source;
        self
    }

    /// Also accepts Better Auth's session cookie or session token, which is exchanged for a JWT: see
    /// [`SessionExchange`](crate::SessionExchange).
    #[cfg(feature = "session-exchange")]
    pub fn exchange_sessions(mut self, exchange: SessionExchange) -> Self {
        self.policy_mut().session_exchange = Some(exchange);
        self
    }

    /// The maximum size of the cache of verified tokens, in bytes. 16 MiB by default; 0 disables the cache.
    ///
    /// A cached token costs no signature check. Times, keys, session, path and rules are still checked on every
    /// request. A token of Better Auth takes about 2 KiB, so the default has room for 8,000. The least recently used
    /// tokens are dropped first; tokens that are not used for half an hour are always dropped.
    ///
    /// Clones of a layer share its cache. [`claims`](JwtAuthLayer::claims) creates a new one of the same size, because
    /// the type of its values changes.
    pub fn token_cache_size(mut self, bytes: usize) -> Self {
        self.authorizer_mut().set_token_cache_size(bytes);
        self
    }

    /// Calls a function with the outcome of every request, for metrics.
    ///
    /// It is called synchronously, so it should only count. Outer layers can read the
    /// [`ErrorKind`](crate::ErrorKind) from the response's extensions instead: use that if you need the
    /// response, and this function if you count accepted requests too.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// # fn count(_: &'static str) {}
    /// let auth = JwtAuthLayer::new(verifier).on_outcome(|outcome| count(outcome.as_str()));
    /// ```
    pub fn on_outcome(mut self, function: impl Fn(Outcome<'_>) + Send + Sync + 'static) -> Self {
        self.policy_mut().on_outcome = Some(Arc::new(function));
        self
    }

    /// Customizes the response to rejected requests: [`ProblemRejection`](crate::ProblemRejection),
    /// [`GrpcRejection`](crate::GrpcRejection), or a function.
    ///
    /// ```
    /// use better_auth_jwt::{Error, JwtAuthLayer};
    /// use http::Response;
    /// # use better_auth_jwt::test_util::Issuer;
    /// # let verifier = Issuer::new().verifier();
    ///
    /// let auth = JwtAuthLayer::new(verifier).rejection_response(|error: &Error| {
    ///     let mut response = Response::new(error.description().to_owned());
    ///     *response.status_mut() = error.status();
    ///     error.write_headers(response.headers_mut()); // the challenge, Retry-After, no-store
    ///     response
    /// });
    /// # let _ = auth;
    /// ```
    pub fn rejection_response<R2>(self, rejection: R2) -> JwtAuthLayer<C, R2> {
        JwtAuthLayer { authorizer: self.authorizer, rejection }
    }

    /// The realm in the challenge. `api` by default.
    ///
    /// # Errors
    ///
    /// The realm is empty or contains characters that are not allowed in a quoted string.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        self.policy_mut().challenges.set_realm(realm)?;
        Ok(self)
    }

    /// The URL of this service's protected resource metadata, for the challenge (RFC 9728, section 5.1).
    ///
    /// # Errors
    ///
    /// The URL is empty or contains characters that are not allowed in a quoted string.
    pub fn resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        self.policy_mut().challenges.set_resource_metadata(url)?;
        Ok(self)
    }

    /// Authorizes a request without a service: for WebSockets, workers and other frameworks.
    ///
    /// All checks of the layer apply, and [`on_outcome`](Self::on_outcome) is called. On success the claims are
    /// returned and inserted into the request's extensions, replacing those of an outer layer. `None` means an
    /// anonymous request to an [optional](Self::optional) layer, or an allowed CORS preflight.
    ///
    /// For a queue message, build the request that it represents, but do not format untrusted ids into its path.
    /// [`guides::workers`](crate::guides::workers) is a complete example.
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, PathTemplate, test_util::Issuer};
    /// # let issuer = Issuer::new();
    /// # let (verifier, token) = (issuer.verifier(), issuer.token("ada"));
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use http::{Request, header::AUTHORIZATION};
    ///
    /// let auth = JwtAuthLayer::new(verifier).match_user(PathTemplate::new("/jobs/{user_id}")?);
    ///
    /// let request = Request::get("/jobs/ada").header(AUTHORIZATION, format!("Bearer {token}"));
    /// let (mut parts, ()) = request.body(())?.into_parts();
    /// let claims = auth.authorize(&mut parts).await?.expect("the layer is not optional");
    /// assert_eq!(claims.0.user_id(), "ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The request is rejected.
    pub async fn authorize(&self, parts: &mut Parts) -> Result<Option<Authenticated<C>>, Error> {
        self.run(parts, None).await
    }

    /// Like [`authorize`](Self::authorize), but checks the token's times (`exp`, `nbf`, `iat`) as of `unix_time`: for
    /// queued jobs, whose token may expire before they are processed.
    ///
    /// All other checks are those of [`authorize`](Self::authorize): sessions, for example, are checked now.
    ///
    /// The time must not come from the sender of the token. Someone who has an expired token could otherwise choose a
    /// time at which it was valid. [`guides::workers`](crate::guides::workers) is a complete example.
    ///
    /// # Errors
    ///
    /// The request is rejected.
    pub async fn authorize_at(&self, parts: &mut Parts, unix_time: u64) -> Result<Option<Authenticated<C>>, Error> {
        self.run(parts, Some(unix_time)).await
    }

    async fn run(&self, parts: &mut Parts, at: Option<u64>) -> Result<Option<Authenticated<C>>, Error> {
        let mut decision = self.authorizer.decide(parts, at);
        loop {
            match decision {
                Decision::Allow => return Ok(parts.extensions.get().cloned()),
                Decision::Deny(error) => return Err(error),
                Decision::Pending(pending) => decision = self.authorizer.resume(parts, at, pending.await),
            }
        }
    }

    fn authorizer_mut(&mut self) -> &mut Authorizer<C> {
        Arc::make_mut(&mut self.authorizer)
    }

    fn policy_mut(&mut self) -> &mut Policy {
        &mut self.authorizer_mut().policy
    }
}

impl<S, C, R: Clone> Layer<S> for JwtAuthLayer<C, R> {
    type Service = JwtAuth<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        JwtAuth::new(inner, self.authorizer.clone(), self.rejection.clone())
    }
}

impl<C, R: Clone> Clone for JwtAuthLayer<C, R> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self { authorizer: self.authorizer.clone(), rejection: self.rejection.clone() }
    }
}

impl<C, R> fmt::Debug for JwtAuthLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthLayer").field("verifier", &self.authorizer.policy.verifier).finish_non_exhaustive()
    }
}
