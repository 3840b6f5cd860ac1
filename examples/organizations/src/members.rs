//! Who is a member of which organization, and with which roles: from Better Auth's database, with a cache.

use std::{fmt, sync::Arc, time::Duration};

use moka::future::Cache;
use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect};

/// The maximum size of the cache in bytes: about 14,000 entries.
const CACHE_SIZE: u64 = 8 * 1024 * 1024;

/// The members of all organizations.
#[derive(Clone)]
pub struct Members {
    database: DatabaseConnection,
    /// By organization and user. `None` if the user is not a member.
    roles: Cache<(String, String), Option<String>>,
}

impl Members {
    /// Looks members up in this database. Changes take effect after `max_age` at the latest.
    pub fn new(database: DatabaseConnection, max_age: Duration) -> Self {
        let roles = Cache::builder().weigher(size).max_capacity(CACHE_SIZE).time_to_live(max_age).build();
        Self { database, roles }
    }

    /// The user's roles in the organization, separated by commas; `None` if the user is not a member.
    ///
    /// Concurrent calls for the same member make one query. Errors are not cached.
    ///
    /// # Errors
    ///
    /// The query fails.
    pub async fn roles(&self, org_id: &str, user_id: &str) -> Result<Option<String>, Arc<DbErr>> {
        let key = (org_id.to_owned(), user_id.to_owned());
        self.roles.try_get_with(key, self.find(org_id, user_id)).await
    }

    async fn find(&self, org_id: &str, user_id: &str) -> Result<Option<String>, DbErr> {
        member::Entity::find()
            .select_only()
            .column(member::Column::Role)
            .filter(member::Column::OrganizationId.eq(org_id))
            .filter(member::Column::UserId.eq(user_id))
            .into_tuple()
            .one(&self.database)
            .await
    }
}

/// About the size of an entry in bytes. Ids in a path can be long.
fn size((org_id, user_id): &(String, String), _: &Option<String>) -> u32 {
    u32::try_from(500 + org_id.len() + user_id.len()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

/// Better Auth's table `member`, as its own migrations create it.
mod member {
    #![expect(unreachable_pub, reason = "SeaORM derives public items from the model")]

    use sea_orm::entity::prelude::*;

    /// Ids are text, unless `advanced.database.generateId` is `"uuid"` (on PostgreSQL, `Uuid`) or `"serial"` (`i32`).
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "member", rename_all = "camelCase")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub organization_id: String,
        pub user_id: String,
        pub role: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cache_is_bounded_whatever_ids_users_invent() {
        let members = Members::new(crate::tests::database().await, Duration::from_secs(60 * 60));
        for number in 0..20 {
            let long = "x".repeat(1024 * 1024) + &number.to_string();
            assert_eq!(members.roles(&long, "ada").await, Ok(None));
        }
        members.roles.run_pending_tasks().await;
        assert!((1..=CACHE_SIZE).contains(&members.roles.weighted_size()), "{} bytes", members.roles.weighted_size());
        assert!((1..=8).contains(&members.roles.entry_count()), "{} entries", members.roles.entry_count());
    }
}
