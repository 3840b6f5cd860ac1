//! The repository of tasks. All queries of the table are here, and each is limited to one user.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, Select, Set, UpdateMany,
    sea_query::{CaseStatement, Expr, Func, SimpleExpr},
};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    dto::{ListQuery, NewTask, Position, Sort, TaskReplacement},
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    database::unit_of_work::UnitOfWork,
    http::{
        pagination::{decode_cursor, encode_cursor},
        preconditions::Preconditions,
        problem::Problem,
    },
    timestamp,
};

/// The tasks of the unit of work's user, who comes from a verified token.
pub(super) struct TaskRepository<'a> {
    work: &'a UnitOfWork,
}

impl<'a> TaskRepository<'a> {
    pub(super) fn new(work: &'a UnitOfWork) -> Self {
        Self { work }
    }

    /// A page of the list, and the cursor of the next page if there is one.
    pub(super) async fn page(&self, query: &ListQuery) -> Result<(Vec<Model>, Option<String>), Problem> {
        let limit = query.limit.get();
        // One more row shows whether there is a next page.
        let mut tasks = self.list(query)?.limit(limit + 1).all(self.work).await?;
        if tasks.len() as u64 <= limit {
            return Ok((tasks, None));
        }
        tasks.truncate(limit as usize);
        let next = tasks.last().map(|last| {
            let title = query.sort.is_by_title().then(|| last.title.clone());
            encode_cursor(&Position { id: last.id, title }, &self.identity(query))
        });
        Ok((tasks, next.transpose().map_err(|_| Problem::Internal)?))
    }

    pub(super) async fn create(&self, new: NewTask) -> Result<Model, Problem> {
        let id = Uuid::now_v7();
        let created_at = created_at(id);
        let task = ActiveModel {
            user_id: Set(self.work.user_id().to_owned()),
            id: Set(id),
            title: Set(new.title),
            description: Set(new.description),
            completed: Set(false),
            version: Set(1),
            created_at: Set(created_at),
            updated_at: Set(created_at),
        };
        Ok(task.insert(self.work).await?)
    }

    pub(super) async fn find(&self, id: Uuid) -> Result<Model, Problem> {
        let task = Entity::find_by_id((self.work.user_id().to_owned(), id)).one(self.work).await?;
        task.ok_or(Problem::NotFound)
    }

    pub(super) async fn replace(
        &self,
        id: Uuid,
        new: TaskReplacement,
        preconditions: &Preconditions,
    ) -> Result<Model, Problem> {
        let description_differs = match &new.description {
            Some(text) => Column::Description.is_null().or(Column::Description.ne(text)),
            None => Column::Description.is_not_null(),
        };
        let differs = Column::Title.ne(&new.title).or(description_differs).or(Column::Completed.ne(new.completed));
        let update = bump_version_if(differs)
            .col_expr(Column::Title, Expr::value(new.title))
            .col_expr(Column::Description, Expr::value(new.description))
            .col_expr(Column::Completed, Expr::value(new.completed));
        self.update(id, update, preconditions).await
    }

    pub(super) async fn set_completed(
        &self,
        id: Uuid,
        completed: bool,
        preconditions: &Preconditions,
    ) -> Result<Model, Problem> {
        let update =
            bump_version_if(Column::Completed.ne(completed)).col_expr(Column::Completed, Expr::value(completed));
        self.update(id, update, preconditions).await
    }

    pub(super) async fn toggle_completed(&self, id: Uuid, preconditions: &Preconditions) -> Result<Model, Problem> {
        let update = Entity::update_many()
            .col_expr(Column::Version, Column::Version.into_expr().add(1))
            .col_expr(Column::UpdatedAt, Expr::value(timestamp::now()))
            .col_expr(Column::Completed, Column::Completed.into_expr().not());
        self.update(id, update, preconditions).await
    }

    pub(super) async fn delete(&self, id: Uuid, preconditions: &Preconditions) -> Result<(), Problem> {
        loop {
            let owned = self.owned_matching(id, preconditions).await?;
            let deleted = Entity::delete_many().filter(owned).exec(self.work).await?;
            match deleted.rows_affected {
                0 if preconditions.is_empty() => return Err(Problem::NotFound),
                // Another request changed the task after it was read.
                0 => {}
                _ => return Ok(()),
            }
        }
    }

    /// One statement, unless there are preconditions: then the task is read, and changed if it still has that version.
    async fn update(
        &self,
        id: Uuid,
        update: UpdateMany<Entity>,
        preconditions: &Preconditions,
    ) -> Result<Model, Problem> {
        loop {
            let update = update.clone().filter(self.owned_matching(id, preconditions).await?);
            match update.exec_with_returning(self.work).await?.pop() {
                Some(task) => return Ok(task),
                None if preconditions.is_empty() => return Err(Problem::NotFound),
                // Another request changed the task after it was read.
                None => {}
            }
        }
    }

    async fn owned_matching(&self, id: Uuid, preconditions: &Preconditions) -> Result<Condition, Problem> {
        let owned = self.owned().add(Column::Id.eq(id));
        if preconditions.is_empty() {
            return Ok(owned);
        }
        let task = self.find(id).await?;
        preconditions.check(task.version)?;
        Ok(owned.add(Column::Version.eq(task.version)))
    }

    fn owned(&self) -> Condition {
        Condition::all().add(Column::UserId.eq(self.work.user_id()))
    }

    /// The parameters that identify this list. Its cursors are valid for no other.
    fn identity<'q>(&'q self, query: &'q ListQuery) -> impl Serialize + 'q {
        (self.work.user_id(), query.completed, &query.q, query.sort)
    }

    fn list(&self, query: &ListQuery) -> Result<Select<Entity>, Problem> {
        let mut filter = self.owned();
        // The column itself and not a comparison with a bound value, so that the database uses the index of open tasks.
        match query.completed {
            Some(true) => filter = filter.add(Column::Completed.into_expr()),
            Some(false) => filter = filter.add(Column::Completed.into_expr().not()),
            None => {}
        }
        if !query.q.is_empty() {
            let matches = |column| contains(column, &query.q, self.work.get_database_backend());
            filter = filter.add(matches(Column::Title).or(matches(Column::Description)));
        }
        if let Some(cursor) = &query.cursor {
            let unknown = || Problem::InvalidQuery("cursor does not match this user, filter or sort order".into());
            let position = decode_cursor(cursor, &self.identity(query)).ok_or_else(unknown)?;
            filter = filter.add(after(position, query.sort));
        }
        let order = query.sort.order();
        let mut list = Entity::find().filter(filter);
        if query.sort.is_by_title() {
            list = list.order_by(Column::Title, order.clone());
        }
        Ok(list.order_by(Column::Id, order))
    }
}

/// The time in a UUIDv7, so that tasks are created in the order of their ids, whichever replica creates them.
fn created_at(id: Uuid) -> OffsetDateTime {
    let time = id.get_timestamp().and_then(|time| {
        let (seconds, nanoseconds) = time.to_unix();
        OffsetDateTime::from_unix_timestamp(seconds.cast_signed()).ok()?.replace_nanosecond(nanoseconds).ok()
    });
    time.map_or_else(timestamp::now, timestamp::to_microseconds)
}

/// Not `LIKE`, in which `%` and `_` are wildcards.
fn contains(column: Column, text: &str, backend: DbBackend) -> SimpleExpr {
    let position = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    Expr::expr(Func::cust(position).args([Func::lower(column.into_expr()).into(), Expr::value(text)])).gt(0)
}

/// The tasks after this position in this order.
fn after(position: Position, sort: Sort) -> SimpleExpr {
    let (key, position) = match position.title {
        Some(title) => {
            let key = Expr::tuple([Column::Title.into_expr(), Column::Id.into_expr()]);
            (key, Expr::tuple([Expr::value(title), Expr::value(position.id)]))
        }
        None => (Column::Id.into_expr(), Expr::value(position.id)),
    };
    if sort.order() == Order::Desc { key.lt(position) } else { key.gt(position) }
}

impl Sort {
    fn is_by_title(self) -> bool {
        matches!(self, Self::Title | Self::TitleDescending)
    }

    fn order(self) -> Order {
        match self {
            Self::Oldest | Self::Title => Order::Asc,
            Self::Newest | Self::TitleDescending => Order::Desc,
        }
    }
}

/// An update that increments the version only if `differs`, so that a repeated request changes nothing.
fn bump_version_if(differs: SimpleExpr) -> UpdateMany<Entity> {
    let version = CaseStatement::new()
        .case(differs.clone(), Column::Version.into_expr().add(1))
        .finally(Column::Version.into_expr());
    let updated_at =
        CaseStatement::new().case(differs, Expr::value(timestamp::now())).finally(Column::UpdatedAt.into_expr());
    Entity::update_many().col_expr(Column::Version, version.into()).col_expr(Column::UpdatedAt, updated_at.into())
}

#[cfg(test)]
mod tests;
