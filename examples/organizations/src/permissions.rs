//! What the roles in an organization permit.
//!
//! It is a copy of the table in `createAccessControl` on the Better Auth side: tokens and the database contain only the
//! roles.

/// The permissions of a role, as resource and action.
fn permissions(role: &str) -> &'static [&'static str] {
    match role {
        "owner" | "admin" => &["note:read", "note:create"],
        "member" => &["note:read"],
        _ => &[],
    }
}

/// Whether one of the roles, which are separated by commas, has the permission.
pub(crate) fn has_permission(roles: &str, permission: &str) -> bool {
    roles.split(',').any(|role| permissions(role.trim()).contains(&permission))
}
