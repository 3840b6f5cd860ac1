//! What this service wants to know of a user.

use serde::Deserialize;

/// The claims of `definePayload`, and the `sub` that every token has. Any others are left out.
///
/// A token that does not fit the type is refused with 401, and a new one would fit no better: so
/// what may be missing is an `Option`, and a rule decides (403) where it must not be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) sub: String,
    /// `null` for users from before there was an admin plugin; several have commas in between.
    role: Option<String>,
    /// `null` until the user has chosen one in this session.
    pub(crate) active_organization_id: Option<String>,
}

impl Member {
    pub(crate) fn is_admin(&self) -> bool {
        self.role.iter().flat_map(|roles| roles.split(',')).any(|role| role == "admin")
    }
}
