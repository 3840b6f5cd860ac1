//! The measured statements in plain sqlx, on SeaORM's connection pool. Statements that are not measured are left out.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use better_auth_jwt::{Authenticated, Claims};
use sea_orm::DbBackend;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    cursor::Cursor,
    preconditions::Preconditions,
    shapes::{NewTask, PageRequest, TaskReplacement},
};
use crate::{
    effect::Effect,
    entity::task::Model,
    problem::Problem,
    router::AppState,
    store::{Session, Store, now},
};

pub(crate) struct Tasks {
    store: Store,
    user: String,
}

impl FromRequestParts<Arc<AppState>> for Tasks {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Problem> {
        let authenticated = Authenticated::<Claims>::from_request_parts(parts, state).await;
        let Authenticated(claims) = authenticated.map_err(|_| Problem::Internal)?;
        Ok(Self { store: state.store.clone(), user: claims.user_id().to_owned() })
    }
}

impl Tasks {
    pub(super) async fn open(self) -> Result<OpenTasks, Problem> {
        let session = self.store.session(&self.user, Effect::default()).await?;
        Ok(OpenTasks { session, store: self.store, user: self.user })
    }

    pub(super) async fn begin(self) -> Result<OpenTasks, Problem> {
        Err(Problem::Unavailable)
    }
}

pub(crate) struct OpenTasks {
    pub(super) session: Session,
    store: Store,
    pub(super) user: String,
}

/// Runs a statement on either database.
macro_rules! rows {
    ($tasks:expr, $fetch:ident, $sql:expr $(, $bound:expr)*) => {{
        let db = &$tasks.store.db;
        let rows = match db.get_database_backend() {
            DbBackend::Postgres => {
                sqlx::query_as::<_, Row>($sql)$(.bind($bound))*.$fetch(db.get_postgres_connection_pool()).await
            }
            _ => sqlx::query_as::<_, Row>($sql)$(.bind($bound))*.$fetch(db.get_sqlite_connection_pool()).await,
        };
        rows.map_err(|_| Problem::Internal)
    }};
}

type Row = (String, Uuid, String, Option<String>, bool, i64, i64, i64);

impl OpenTasks {
    pub(super) async fn page(&self, request: &PageRequest) -> Result<(Vec<Model>, Option<String>), Problem> {
        if !request.is_the_usual() {
            return Err(Problem::Unavailable);
        }
        let most = request.limit + 1;
        let sql = format!(
            "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
             WHERE user_id = $1 ORDER BY id DESC LIMIT {most}"
        );
        let mut rows: Vec<_> = rows!(self, fetch_all, AssertSqlSafe(sql), &self.user)?.into_iter().map(model).collect();
        let is_last = rows.len() as u64 <= request.limit;
        rows.truncate(request.limit as usize);
        let last = rows.last().filter(|_| !is_last);
        let next = last.map(|last| Cursor::after(last, request.sort).write(&self.user, request));
        Ok((rows, next))
    }

    pub(super) async fn create(self, new: NewTask) -> Result<Model, Problem> {
        self.insert(new).await
    }

    pub(super) async fn insert(&self, new: NewTask) -> Result<Model, Problem> {
        let sql = "INSERT INTO tasks (user_id, id, title, description, completed, version, created_at, updated_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                   RETURNING user_id, id, title, description, completed, version, created_at, updated_at";
        let now = now();
        let id = Uuid::now_v7();
        one(rows!(self, fetch_all, sql, &self.user, id, &new.title, &new.description, false, 1_i64, now, now)?)
    }

    pub(super) async fn find(&self, id: Uuid) -> Result<Model, Problem> {
        let sql = "SELECT user_id, id, title, description, completed, version, created_at, updated_at FROM tasks \
                   WHERE user_id = $1 AND id = $2";
        rows!(self, fetch_optional, sql, &self.user, id)?.map(model).ok_or(Problem::NotFound)
    }

    pub(super) async fn toggle(self, id: Uuid, _: &Preconditions) -> Result<Model, Problem> {
        let sql = "UPDATE tasks SET completed = NOT completed, version = version + 1, updated_at = $3 \
                   WHERE user_id = $1 AND id = $2 \
                   RETURNING user_id, id, title, description, completed, version, created_at, updated_at";
        one(rows!(self, fetch_all, sql, &self.user, id, now())?)
    }

    pub(super) async fn replace(self, _: Uuid, _: TaskReplacement, _: &Preconditions) -> Result<Model, Problem> {
        Err(Problem::Unavailable)
    }

    pub(super) async fn complete(self, _: Uuid, _: bool, _: &Preconditions) -> Result<Model, Problem> {
        Err(Problem::Unavailable)
    }

    pub(super) async fn delete(self, _: Uuid, _: &Preconditions) -> Result<(), Problem> {
        Err(Problem::Unavailable)
    }
}

fn one(rows: Vec<Row>) -> Result<Model, Problem> {
    rows.into_iter().next().map(model).ok_or(Problem::NotFound)
}

fn model((user_id, id, title, description, completed, version, created_at, updated_at): Row) -> Model {
    Model { user_id, id, title, description, completed, version, created_at, updated_at }
}
