//! Claims of Better Auth and its plugins about the user.

use super::Claims;

/// Conditions on the user, for [`JwtAuthLayer::require`](crate::JwtAuthLayer::require).
///
/// A claim that is absent or has an unexpected type counts as the restrictive value:
/// [`is_email_verified`](Self::is_email_verified) is then `false`, and [`is_anonymous`](Self::is_anonymous),
/// [`is_banned`](Self::is_banned) and [`is_impersonated`](Self::is_impersonated) are `true`.
///
/// With `definePayload`, tokens contain only the claims that it returns, so it must return each one that you check, with
/// `?? null` where the value may be undefined. [`guides::roles`](crate::guides::roles) is a complete example.
impl Claims {
    /// `role`, the roles in the whole application, which Better Auth's admin plugin joins with commas.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.text("role").unwrap_or_default().split(',').map(str::trim).filter(|role| !role.is_empty())
    }

    /// Whether the user has this role in the whole application: whether it is one of the [`roles`](Self::roles).
    ///
    /// ```
    /// # use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
    /// # let verifier = Issuer::new().verifier();
    /// let auth = JwtAuthLayer::new(verifier).require("admin", |claims| claims.has_role("admin"));
    /// ```
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|other| other == role)
    }

    /// Whether the user has confirmed the email address: whether `emailVerified` is `true`.
    pub fn is_email_verified(&self) -> bool {
        self.json("emailVerified") == Some("true")
    }

    /// Whether the user has no account yet (`isAnonymous`, of Better Auth's anonymous plugin).
    pub fn is_anonymous(&self) -> bool {
        !matches!(self.json("isAnonymous"), Some("null" | "false"))
    }

    /// Whether the user is banned (`banned`, of Better Auth's admin plugin).
    ///
    /// Better Auth revokes the sessions of users whom it bans, and issues no more tokens to them. So a token contains
    /// `true` only if something else changed the database, and older tokens are valid until they expire, unless the
    /// layer checks [sessions](crate::JwtAuthLayer::sessions).
    pub fn is_banned(&self) -> bool {
        !matches!(self.json("banned"), Some("null" | "false"))
    }

    /// Whether an admin acts as this user (`impersonatedBy`, of Better Auth's admin plugin).
    ///
    /// Tokens contain the claim only if `definePayload` adds `session.impersonatedBy ?? null`, the id of the admin. To read
    /// it, use `claims.get::<Option<&str>>("impersonatedBy")`.
    pub fn is_impersonated(&self) -> bool {
        self.json("impersonatedBy") != Some("null")
    }
}
