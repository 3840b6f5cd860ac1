//! The claims that this service uses.

use serde::Deserialize;

/// The claims of `definePayload`, and `sub`, which every token has. Other claims are ignored.
///
/// A token whose claims do not deserialize is rejected with 401, although a new token would not help. So
/// optional claims are `Option`s, and rules (403) require them where necessary.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) sub: String,
    /// `null` for users who were created before the admin plugin was added. Several roles are separated by commas.
    role: Option<String>,
    /// `null` until the user chooses one in this session.
    pub(crate) active_organization_id: Option<String>,
}

impl Member {
    pub(crate) fn is_admin(&self) -> bool {
        self.role.iter().flat_map(|roles| roles.split(',')).any(|role| role == "admin")
    }
}
