use axum::{extract::FromRequestParts, http::request::Parts};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, SqlErr};

use super::{queries::OpenTasks, shapes::NewTask};
use crate::{
    entity::{
        idempotency_key::{ActiveModel, Column, Entity, Model},
        task,
    },
    problem::Problem,
    store::{KEPT, now},
};

/// The `Idempotency-Key` of a POST: sent again, the same request makes no second task.
pub(crate) struct IdempotencyKey(String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all("idempotency-key").iter();
        match (given.next().and_then(|key| key.to_str().ok()), given.next()) {
            (Some(key), None) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Self(key.to_owned()))
            }
            _ => Err(Problem::InvalidIdempotencyKey),
        }
    }
}

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if !parts.headers.contains_key("idempotency-key") {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

impl OpenTasks {
    /// Makes a task, or says which one this key has made. Key and task are stored together or not at all.
    pub(super) async fn create_once(self, key: IdempotencyKey, new: NewTask) -> Result<task::Model, Problem> {
        let used = Entity::find_by_id((self.user.clone(), key.0.clone())).all(&self.session.db()).await?.pop();
        match used {
            Some(used) if used.created_at >= now() - KEPT => return first_result(used, &new),
            Some(expired) => self.delete_expired(&expired).await?,
            None => {}
        }
        let row = self.insert(new).await?;
        let used = ActiveModel {
            user_id: Set(row.user_id.clone()),
            key: Set(key.0),
            task_id: Set(row.id),
            title: Set(row.title.clone()),
            description: Set(row.description.clone()),
            created_at: Set(row.created_at),
        };
        used.insert(&self.session.db()).await.map_err(in_flight)?;
        self.session.commit().await?;
        Ok(row)
    }

    /// Deletes this row and no other: by now a request that came in parallel may have stored the key again.
    async fn delete_expired(&self, expired: &Model) -> Result<(), Problem> {
        let same = Entity::delete_by_id((expired.user_id.clone(), expired.key.clone()))
            .filter(Column::CreatedAt.eq(expired.created_at));
        match self.session.change(same.exec(&self.session.db())).await?.rows_affected {
            0 => Err(Problem::IdempotencyKeyInUse),
            _ => Ok(()),
        }
    }
}

/// The task as it was then, whatever became of it.
fn first_result(used: Model, new: &NewTask) -> Result<task::Model, Problem> {
    if (&used.title, &used.description) != (&new.title, &new.description) {
        return Err(Problem::IdempotencyKeyReused);
    }
    Ok(task::Model {
        user_id: used.user_id,
        id: used.task_id,
        title: used.title,
        description: used.description,
        completed: false,
        version: 1,
        created_at: used.created_at,
        updated_at: used.created_at,
    })
}

/// Someone stored the key since we looked.
fn in_flight(error: DbErr) -> Problem {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Problem::IdempotencyKeyInUse,
        _ => error.into(),
    }
}
