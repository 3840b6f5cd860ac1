//! The builder of a verifier and a key set for a Better Auth server.

use std::{fmt, sync::Arc};

use crate::{
    BetterAuthUrls, ConfigError, Profile, Verifier,
    keys::{RemoteKeySet, RemoteKeySetBuilder},
    verifier::Predicate,
};

/// Builds a [`Verifier`] and its [`RemoteKeySet`] for the JWT plugin of a Better Auth server.
///
/// [`Verifier::better_auth`] is the short form. Use this builder if your service accesses the server at another address
/// than its users, if the server has several origins, or for [access tokens](Self::access_tokens) of its OAuth
/// provider:
///
/// ```
/// use better_auth_jwt::BetterAuth;
///
/// // In a container network. `keys` is for health checks and metrics.
/// let (verifier, keys) = BetterAuth::new("https://app.example.com")?
///     .jwks_url("http://web:3000/api/auth/jwks")
///     .allow_http()
///     .build()?;
///
/// // Better Auth's `baseURL` has `allowedHosts`: `iss` and `aud` follow the request.
/// let (verifier, keys) = BetterAuth::new("https://app.example.com")?
///     .allowed_hosts(|host| ["app.example.com", "app.example.org"].contains(&host))
///     .build()?;
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[must_use = "call `build` to get a `Verifier`"]
pub struct BetterAuth {
    urls: BetterAuthUrls,
    keys: RemoteKeySetBuilder,
    issuers: Vec<String>,
    audiences: Vec<String>,
    resources: Vec<String>,
    allowed_hosts: Option<Arc<Predicate>>,
}

impl BetterAuth {
    /// Creates a builder from the base URL of the server. A path in it is the base path, instead of `/api/auth`.
    ///
    /// # Errors
    ///
    /// The errors of [`BetterAuthUrls::new`].
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let urls = BetterAuthUrls::new(url)?;
        let keys = RemoteKeySet::builder(urls.jwks_url());
        Ok(Self { urls, keys, issuers: Vec::new(), audiences: Vec::new(), resources: Vec::new(), allowed_hosts: None })
    }

    /// Fetches the keys from this URL, instead of the one derived from the base URL.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.keys = self.keys.url(url.into());
        self
    }

    /// Allows plain `http` to fetch the keys: see [`RemoteKeySetBuilder::allow_http`].
    pub fn allow_http(mut self) -> Self {
        self.keys = self.keys.allow_http();
        self
    }

    /// Changes other settings of the key set, such as headers, root certificates and times.
    ///
    /// ```
    /// use std::time::Duration;
    /// use better_auth_jwt::BetterAuth;
    ///
    /// let (verifier, keys) = BetterAuth::new("https://app.example.com")?
    ///     .configure_keys(|keys| keys.header("x-gateway-key", "secret").timeout(Duration::from_secs(2)))
    ///     .build()?;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    pub fn configure_keys(mut self, change: impl FnOnce(RemoteKeySetBuilder) -> RemoteKeySetBuilder) -> Self {
        self.keys = change(self.keys);
        self
    }

    /// Accepts this `iss` instead of the origin. Call it again to accept several.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Accepts this `aud` instead of the origin. Call it again to accept several.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Also accepts access tokens that Better Auth's OAuth provider issued for this resource: see
    /// [`Profile::AccessToken`]. Call it again to accept several resources. For access tokens of Better Auth before 1.7,
    /// add a verifier with [`Profile::LegacyAccessToken`] by [`Verifier::or`].
    ///
    /// Their `iss` may be the origin with the base path, or any [`issuer`](Self::issuer) set here. All are names of the
    /// same issuer: a logout ends a session for both kinds of tokens. [`Claims::is_access_token`] tells them apart.
    ///
    /// ```
    /// use better_auth_jwt::BetterAuth;
    ///
    /// let (verifier, _) =
    ///     BetterAuth::new("https://app.example.com")?.access_tokens("https://api.example.com").build()?;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    ///
    /// [`Claims::is_access_token`]: crate::Claims::is_access_token
    pub fn access_tokens(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Also accepts these origins as `iss` and `aud`: those with the scheme of the base URL, and a host for which the
    /// function returns `true`. The host includes the port, unless it is the scheme's default.
    pub fn allowed_hosts(mut self, is_allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.allowed_hosts = Some(Arc::new(is_allowed));
        self
    }

    /// Builds the verifier, and the key set that it uses.
    ///
    /// # Errors
    ///
    /// The errors of [`RemoteKeySetBuilder::build`], or an issuer, audience or resource is empty.
    pub fn build(self) -> Result<(Verifier, RemoteKeySet), ConfigError> {
        let Self { urls, keys, issuers, audiences, resources, allowed_hosts } = self;
        let keys = keys.build()?;

        let origin = urls.origin().to_owned();
        let oauth_issuer = urls.oauth_issuer();
        let is_allowed_origin = allowed_hosts.map(|is_allowed| -> Arc<Predicate> {
            let scheme = origin.split_inclusive("://").next().unwrap_or_default().to_owned();
            Arc::new(move |origin| {
                let host = origin.strip_prefix(&*scheme).filter(|host| !host.contains(['/', '?', '#', '@', '\\']));
                host.is_some_and(|host| is_allowed(host))
            })
        });
        let or_origin = |values: &[String]| if values.is_empty() { vec![origin.clone()] } else { values.to_vec() };

        let mut verifier =
            Verifier::builder(keys.clone()).issuers(or_origin(&issuers)).audiences(or_origin(&audiences))?;
        if let Some(is_allowed) = &is_allowed_origin {
            verifier = verifier.add_matching_issuers(is_allowed.clone()).add_matching_audiences(is_allowed.clone());
        }
        if !resources.is_empty() {
            // ID tokens have this issuer too, and no `typ`: it is not accepted in tokens of the JWT plugin.
            let issuers = issuers.into_iter().chain([oauth_issuer.clone()]);
            let mut access = Verifier::builder(keys.clone()).issuers(issuers).audiences(resources)?;
            if let Some(is_allowed) = is_allowed_origin {
                let base_path = oauth_issuer.strip_prefix(&origin).unwrap_or_default().to_owned();
                access = access.add_matching_issuers(Arc::new(move |issuer| {
                    issuer.strip_suffix(&*base_path).is_some_and(|origin| is_allowed(origin))
                }));
            }
            verifier = verifier.or(access.profile(Profile::AccessToken)).join_issuers();
        }
        Ok((verifier, keys))
    }
}

impl fmt::Debug for BetterAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BetterAuth").field("urls", &self.urls).finish_non_exhaustive()
    }
}
