use sea_orm::entity::prelude::*;

/// A row of `tasks`. The key leads with the user, so that the table can be split by user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// UUIDv7: its order is the order of creation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub title: String,
    pub description: Option<String>,
    pub completed: bool,
    /// Counts the changes; the ETag is made of it.
    pub version: i64,
    /// Microseconds since 1970. SQLite has no type for times, and their texts do not sort; an integer is the same on both databases.
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
