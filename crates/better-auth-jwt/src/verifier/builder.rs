//! The builder of a verifier, which requires issuers and audiences.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Profile, Verifier,
    rules::{Accepted, ExpectedToken, Rules},
    trusted_issuer::TrustedIssuer,
};
use crate::{
    clock::SystemClock,
    error::{ConfigError, ConfigErrorKind},
    keys::KeySource,
};

/// The default of [`Verifier::leeway`].
const LEEWAY: Duration = Duration::from_secs(30);

/// The default of [`Verifier::max_token_size`].
const MAX_TOKEN_SIZE: usize = 8 * 1024;

/// Builds a [`Verifier`]. Set the issuers first, then the audiences. All other settings have defaults, and are methods
/// of [`Verifier`].
///
/// ```
/// use better_auth_jwt::{Verifier, keys::SharedSecret};
///
/// let verifier = Verifier::builder(SharedSecret::new("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?)
///     .issuers(["https://app.example.com", "https://old.example.com"])
///     .audience("https://api.example.com")?;
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
///
/// Better Auth derives `iss` and `aud` from the request if its `baseURL` has `allowedHosts`:
///
/// ```
/// # use better_auth_jwt::Verifier;
/// let is_ours = |origin: &str| {
///     origin.strip_prefix("https://").is_some_and(|host| ["app.example.com", "app.example.org"].contains(&host))
/// };
/// let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?
///     .issuer_matching(is_ours)
///     .audience_matching(is_ours)?;
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[must_use = "set the issuer and the audience to get a `Verifier`"]
pub struct VerifierBuilder<State> {
    keys: Arc<dyn KeySource>,
    state: State,
}

/// The state of a [`VerifierBuilder`] whose issuers are not set yet.
#[derive(Debug)]
pub struct WantsIssuer(());

/// The state of a [`VerifierBuilder`] whose audiences are not set yet.
pub struct WantsAudience {
    issuers: Accepted,
}

impl VerifierBuilder<WantsIssuer> {
    pub(super) fn new(keys: impl KeySource) -> Self {
        Self { keys: Arc::new(keys), state: WantsIssuer(()) }
    }

    /// Sets the `iss` that tokens must have, compared exactly: with Better Auth, the origin of its `baseURL`.
    pub fn issuer(self, issuer: impl Into<String>) -> VerifierBuilder<WantsAudience> {
        self.issuers([issuer])
    }

    /// Accepts several issuers that share the keys, such as an old and a new domain.
    pub fn issuers(self, issuers: impl IntoIterator<Item = impl Into<String>>) -> VerifierBuilder<WantsAudience> {
        self.with_issuers(Accepted::OneOf(issuers.into_iter().map(Into::into).collect()))
    }

    /// Accepts the issuers for which a function returns `true`.
    pub fn issuer_matching(
        self,
        accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> VerifierBuilder<WantsAudience> {
        self.with_issuers(Accepted::Matching(Arc::new(accepts)))
    }

    /// Accepts any `iss`, and tokens without `iss`.
    ///
    /// Insecure, because Better Auth signs other tokens with the same keys: use it only if you know all of them.
    pub fn insecure_any_issuer(self) -> VerifierBuilder<WantsAudience> {
        self.with_issuers(Accepted::Any)
    }

    fn with_issuers(self, issuers: Accepted) -> VerifierBuilder<WantsAudience> {
        VerifierBuilder { keys: self.keys, state: WantsAudience { issuers } }
    }
}

impl VerifierBuilder<WantsAudience> {
    /// Sets the `aud` that tokens must contain, compared exactly: with Better Auth, the origin of its `baseURL`.
    ///
    /// # Errors
    ///
    /// An issuer or the audience is empty.
    pub fn audience(self, audience: impl Into<String>) -> Result<Verifier, ConfigError> {
        self.audiences([audience])
    }

    /// Accepts tokens that contain at least one of these audiences.
    ///
    /// # Errors
    ///
    /// There are no issuers or audiences, or one of them is empty.
    pub fn audiences(self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Result<Verifier, ConfigError> {
        self.build(Accepted::OneOf(audiences.into_iter().map(Into::into).collect()))
    }

    /// Accepts tokens with an audience for which a function returns `true`.
    ///
    /// # Errors
    ///
    /// There are no issuers, or one of them is empty.
    pub fn audience_matching(
        self,
        accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<Verifier, ConfigError> {
        self.build(Accepted::Matching(Arc::new(accepts)))
    }

    /// Accepts any `aud`, and tokens without `aud`.
    ///
    /// Insecure, because tokens that were issued for another service are accepted too.
    ///
    /// # Errors
    ///
    /// There are no issuers, or one of them is empty.
    pub fn insecure_any_audience(self) -> Result<Verifier, ConfigError> {
        self.build(Accepted::Any)
    }

    fn build(self, audiences: Accepted) -> Result<Verifier, ConfigError> {
        let issuers = self.state.issuers;
        if issuers.has_no_value() {
            return Err(ConfigError::new(
                "an issuer is empty or missing; with Better Auth it is the origin of its baseURL; for OAuth access tokens, \
                 iss ends with the base path",
            )
            .with_kind(ConfigErrorKind::Issuer));
        }
        if audiences.has_no_value() {
            return Err(ConfigError::new(
                "an audience is empty or missing; with Better Auth it is the origin of its baseURL; for OAuth access \
                 tokens, aud is the requested resource",
            )
            .with_kind(ConfigErrorKind::Audience));
        }
        let rules = Rules {
            expected: ExpectedToken::Access(Profile::default()),
            names: issuers.names(),
            issuers,
            audiences,
            leeway: LEEWAY,
            max_age: None,
            user_id_claim: "sub".to_owned(),
            session_id_claim: "sid".to_owned(),
            allow_client_credentials: false,
        };
        Ok(Verifier {
            issuers: vec![TrustedIssuer { keys: self.keys, rules }],
            clock: Arc::new(SystemClock),
            max_token_size: MAX_TOKEN_SIZE,
        })
    }
}

impl Accepted {
    fn has_no_value(&self) -> bool {
        matches!(self, Self::OneOf(accepted) if accepted.is_empty() || accepted.iter().any(String::is_empty))
    }
}

impl fmt::Debug for VerifierBuilder<WantsIssuer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifierBuilder")
    }
}

impl fmt::Debug for VerifierBuilder<WantsAudience> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder").field("issuers", &self.state.issuers).finish_non_exhaustive()
    }
}
