use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use better_auth_jwt::{Authenticated, Claims};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, Order, QueryFilter, QueryOrder,
    QueryResult, QueryTrait, Statement, UpdateMany, Value,
    sea_query::{CaseStatement, Expr, Func, SimpleExpr},
};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    preconditions::Preconditions,
    shapes::{NewTask, PageRequest, Sort, TaskReplacement},
};
use crate::{
    effect::Effect,
    entity::task::{Column, Entity, Model},
    problem::Problem,
    router::AppState,
    store::{Session, Store, now},
};

/// One user's tasks, and the only way to the table: it is made of a verified token, so a query without its user does not compile.
pub(crate) struct Tasks {
    store: Store,
    user: String,
    effect: Effect,
}

impl FromRequestParts<Arc<AppState>> for Tasks {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Problem> {
        let authenticated = Authenticated::<Claims>::from_request_parts(parts, state).await;
        let Authenticated(claims) = authenticated.map_err(|_| Problem::Internal)?;
        match claims.user_id() {
            user if user.len() > 255 => Err(Problem::InvalidPath),
            user => {
                let effect = parts.extensions.get().cloned().unwrap_or_default();
                Ok(Self { store: state.store.clone(), user: user.to_owned(), effect })
            }
        }
    }
}

impl Tasks {
    /// Begins the work in the database; only now, when the request has been read, it takes a connection.
    pub(super) async fn open(self) -> Result<OpenTasks, Problem> {
        let session = self.store.session(&self.user, self.effect).await?;
        Ok(OpenTasks { session, user: self.user })
    }

    /// The same for work that counts as a whole.
    pub(super) async fn begin(self) -> Result<OpenTasks, Problem> {
        let session = self.store.transaction(&self.user, self.effect).await?;
        Ok(OpenTasks { session, user: self.user })
    }
}

/// One user's tasks, for one request.
pub(crate) struct OpenTasks {
    pub(super) session: Session,
    pub(super) user: String,
}

impl OpenTasks {
    /// A page of the list, from the cursor on; with the cursor of the next page, if there is one.
    pub(super) async fn page(&self, request: &PageRequest) -> Result<(Vec<Model>, Option<String>), Problem> {
        let backend = self.session.db().get_database_backend();
        let mut list = if request.is_the_usual() {
            Statement::from_sql_and_values(backend, NEWEST, [self.user.as_str().into()])
        } else {
            self.list(request, backend)?
        };
        // Written out: SQLite prepares a statement anew each time its LIMIT is bound. One row more tells whether there is a next page.
        list.sql.push_str(&format!(" LIMIT {}", request.limit + 1));
        let mut rows = self.session.all(list).await?;

        let is_last = rows.len() as u64 <= request.limit;
        rows.truncate(request.limit as usize);
        let rows = rows.iter().map(model).collect::<Result<Vec<_>, _>>()?;
        let last = rows.last().filter(|_| !is_last);
        let next = last.map(|last| Cursor::after(last, request.sort).write(&self.user, request));
        Ok((rows, next))
    }

    fn list(&self, request: &PageRequest, backend: DbBackend) -> Result<Statement, Problem> {
        let mut mine = Condition::all().add(Column::UserId.eq(&self.user));
        // Not bound, so that the database sees whether its index of open tasks has them.
        match request.completed {
            Some(true) => mine = mine.add(Expr::col(Column::Completed)),
            Some(false) => mine = mine.add(Expr::col(Column::Completed).not()),
            None => {}
        }
        if !request.q.is_empty() {
            let has = |column| contains(column, &request.q, backend);
            mine = mine.add(has(Column::Title).or(has(Column::Description)));
        }
        if let Some(text) = &request.cursor {
            let unknown = || Problem::InvalidQuery("the cursor is not one of this list: begin without one".into());
            mine = mine.add(beyond(Cursor::read(text, &self.user, request).ok_or_else(unknown)?, request.sort));
        }
        let order = if request.sort.descending { Order::Desc } else { Order::Asc };
        let mut list = Entity::find().filter(mine);
        if request.sort.by_title {
            list = list.order_by(Column::Title, order.clone());
        }
        Ok(list.order_by(Column::Id, order).build(backend))
    }

    pub(super) async fn create(self, new: NewTask) -> Result<Model, Problem> {
        let row = self.insert(new).await?;
        self.session.commit().await?;
        Ok(row)
    }

    pub(super) async fn insert(&self, new: NewTask) -> Result<Model, Problem> {
        let id = Uuid::now_v7();
        // The id's own time: so the order of ids is the order of creation, whichever replica makes them.
        let now = id.get_timestamp().map_or_else(now, micros);
        let (user, title, description) = (self.user.as_str().into(), new.title.into(), new.description.into());
        self.written(CREATE, [user, id.into(), title, description, false.into(), 1_i64.into(), now.into(), now.into()])
            .await
    }

    pub(super) async fn find(&self, id: Uuid) -> Result<Model, Problem> {
        let row = self.session.one(self.statement(READ, [self.user.as_str().into(), id.into()])).await?;
        Ok(model(&row.ok_or(Problem::NotFound)?)?)
    }

    pub(super) async fn replace(self, id: Uuid, new: TaskReplacement, when: &Preconditions) -> Result<Model, Problem> {
        let other_description = match &new.description {
            Some(text) => Column::Description.is_null().or(Column::Description.ne(text)),
            None => Column::Description.is_not_null(),
        };
        let other = Column::Title.ne(&new.title).or(other_description).or(Column::Completed.ne(new.completed));
        let change = update_if(other)
            .col_expr(Column::Title, Expr::value(new.title))
            .col_expr(Column::Description, Expr::value(new.description))
            .col_expr(Column::Completed, Expr::value(new.completed));
        self.change(id, change, when).await
    }

    pub(super) async fn complete(self, id: Uuid, completed: bool, when: &Preconditions) -> Result<Model, Problem> {
        let change = update_if(Column::Completed.ne(completed)).col_expr(Column::Completed, Expr::value(completed));
        self.change(id, change, when).await
    }

    pub(super) async fn toggle(self, id: Uuid, when: &Preconditions) -> Result<Model, Problem> {
        if when.is_empty() {
            let row = self.written(TOGGLE, [now().into(), self.user.as_str().into(), id.into()]).await?;
            self.session.commit().await?;
            return Ok(row);
        }
        let change = update_if(Expr::value(true)).col_expr(Column::Completed, Expr::col(Column::Completed).not());
        self.change(id, change, when).await
    }

    pub(super) async fn delete(self, id: Uuid, when: &Preconditions) -> Result<(), Problem> {
        loop {
            let mine = self.mine_when(id, when).await?;
            let deleted = self.session.change(Entity::delete_many().filter(mine).exec(&self.session.db())).await?;
            match deleted.rows_affected {
                0 if when.is_empty() => return Err(Problem::NotFound),
                0 => {}
                _ => return self.session.commit().await,
            }
        }
    }

    /// One statement where the client asks for no certain version; otherwise a look, and a change of the version seen.
    async fn change(self, id: Uuid, change: UpdateMany<Entity>, when: &Preconditions) -> Result<Model, Problem> {
        loop {
            let change = change.clone().filter(self.mine_when(id, when).await?);
            match self.session.change(change.exec_with_returning(&self.session.db())).await?.pop() {
                Some(row) => {
                    self.session.commit().await?;
                    return Ok(row);
                }
                None if when.is_empty() => return Err(Problem::NotFound),
                // Someone was faster than our two statements: look again.
                None => {}
            }
        }
    }

    /// The row that a statement has written. It is read to its end, where SQLite commits and says if that fails.
    async fn written<const N: usize>(&self, sql: &str, values: [Value; N]) -> Result<Model, Problem> {
        let rows = self.session.change(self.session.all(self.statement(sql, values))).await?;
        Ok(model(rows.first().ok_or(Problem::NotFound)?)?)
    }

    fn statement<const N: usize>(&self, sql: &str, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.session.db().get_database_backend(), sql, values)
    }

    fn mine(&self, id: Uuid) -> Condition {
        Condition::all().add(Column::UserId.eq(&self.user)).add(Column::Id.eq(id))
    }

    async fn mine_when(&self, id: Uuid, when: &Preconditions) -> Result<Condition, Problem> {
        if when.is_empty() {
            return Ok(self.mine(id));
        }
        let row = self.find(id).await?;
        when.allow(&row)?;
        Ok(self.mine(id).add(Column::Version.eq(row.version)))
    }
}

/// The statements of the busiest requests, as text that both databases understand. SeaORM would write it anew for each
/// request, and that shows in what such a request costs.
const NEWEST: &str = "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
                      WHERE user_id = $1 ORDER BY id DESC";
const READ: &str = "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
                    WHERE user_id = $1 AND id = $2";
const CREATE: &str = "INSERT INTO tasks (user_id, id, title, description, completed, version, created_at, updated_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                      RETURNING user_id, id, title, description, completed, version, created_at, updated_at";
const TOGGLE: &str = "UPDATE tasks SET completed = NOT completed, version = version + 1, updated_at = $1 \
                      WHERE user_id = $2 AND id = $3 \
                      RETURNING user_id, id, title, description, completed, version, created_at, updated_at";

/// A row, read by the places of its columns in the entity's order. SeaORM's own way looks for each by name.
fn model(row: &QueryResult) -> Result<Model, DbErr> {
    Ok(Model {
        user_id: row.try_get_by_index(0)?,
        id: row.try_get_by_index(1)?,
        title: row.try_get_by_index(2)?,
        description: row.try_get_by_index(3)?,
        completed: row.try_get_by_index(4)?,
        version: row.try_get_by_index(5)?,
        created_at: row.try_get_by_index(6)?,
        updated_at: row.try_get_by_index(7)?,
    })
}

/// Is the text somewhere in the column, letter by letter? `LIKE` would take `%` and `_` for wildcards.
fn contains(column: Column, text: &str, backend: DbBackend) -> SimpleExpr {
    let position = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    Expr::expr(Func::cust(position).args([Func::lower(Expr::col(column)).into(), Expr::value(text)])).gt(0)
}

/// What comes after the cursor in this order.
fn beyond(cursor: Cursor, sort: Sort) -> SimpleExpr {
    let (here, there) = if sort.by_title {
        let here = Expr::tuple([Expr::col(Column::Title), Expr::col(Column::Id)]);
        (here, Expr::tuple([Expr::value(cursor.title), Expr::value(cursor.id)]))
    } else {
        (Expr::col(Column::Id), Expr::value(cursor.id))
    };
    if sort.descending { here.lt(there) } else { here.gt(there) }
}

/// A new version, if `other` says that the row is not yet as it is to be: to repeat a request changes nothing.
fn update_if(other: SimpleExpr) -> UpdateMany<Entity> {
    let version =
        CaseStatement::new().case(other.clone(), Expr::col(Column::Version).add(1)).finally(Expr::col(Column::Version));
    let updated_at = CaseStatement::new().case(other, now()).finally(Expr::col(Column::UpdatedAt));
    Entity::update_many().col_expr(Column::Version, version.into()).col_expr(Column::UpdatedAt, updated_at.into())
}

fn micros(time: uuid::Timestamp) -> i64 {
    let (seconds, nanos) = time.to_unix();
    seconds as i64 * 1_000_000 + i64::from(nanos) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, database_url::DatabaseUrl};

    /// How SQLite goes about a list: the parts of its plan.
    async fn plan_of(completed: Option<bool>, sort: Sort) -> String {
        let (db, writability) = database::connect(&DatabaseUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
        let store = Store::new(db, writability);
        let tasks = Tasks { store, user: "ada".to_owned(), effect: Effect::default() }.open().await.unwrap();
        let request = PageRequest { limit: 20, completed, q: String::new(), sort, cursor: None };
        let mut list = tasks.list(&request, DbBackend::Sqlite).unwrap();
        list.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let parts = tasks.session.all(list).await.unwrap();
        parts.iter().map(|part| part.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn lists_in_the_order_of_creation_come_out_of_an_index_as_they_are() {
        for descending in [false, true] {
            let sort = Sort { by_title: false, descending };
            let open = plan_of(Some(false), sort).await;
            assert!(open.contains("USING INDEX open_tasks") && !open.contains("TEMP B-TREE"), "{open}");
            for completed in [None, Some(true)] {
                let plan = plan_of(completed, sort).await;
                assert!(plan.starts_with("SEARCH tasks") && !plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
    }
}
