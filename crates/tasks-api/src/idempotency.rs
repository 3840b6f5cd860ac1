//! `Idempotency-Key`: a repeated POST gets the stored first response and has no second effect. Works for any resource.
//!
//! ```text
//! let (work, request) = idempotency.begin(db, &new).await?;
//! if let Some(response) = request.stored_response(&work).await? {
//!     return Ok(response);
//! }
//! let response = …;
//! request.commit(work, response).await
//! ```

use std::time::Duration;

use aws_lc_rs::digest;
use axum::{
    body::{Body, to_bytes},
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts},
    response::Response,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set, SqlErr,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::interval;
use tracing::warn;
use utoipa::IntoParams;

use crate::{
    database::{
        Database,
        unit_of_work::{UnitOfWork, UserDatabase},
    },
    http::problem::Problem,
    timestamp,
};

/// How long the first response is stored.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The extractor: the request's key, if it has one.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Idempotency {
    /// A retry with the same key within 24 hours gets the first response and has no second effect
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$"
    )]
    key: Option<String>,
    #[param(ignore)]
    path: String,
}

/// A request whose body has been read.
pub(crate) struct IdempotentRequest {
    key: Option<String>,
    hash: Vec<u8>,
}

impl Idempotency {
    /// Starts a unit of work: a transaction if there is a key. The path and `request` must be the same whenever the key is
    /// reused.
    pub(crate) async fn begin(
        self,
        db: UserDatabase,
        request: &impl Serialize,
    ) -> Result<(UnitOfWork, IdempotentRequest), Problem> {
        let Self { key, path } = self;
        if key.is_none() {
            return Ok((db.connect().await?, IdempotentRequest { key, hash: Vec::new() }));
        }
        let request = serde_json::to_vec(&(path, request)).map_err(|_| Problem::Internal)?;
        let hash = digest::digest(&digest::SHA256, &request).as_ref().to_vec();
        Ok((db.begin().await?, IdempotentRequest { key, hash }))
    }
}

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path().to_owned();
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(first) = values.next() else { return Ok(Self { key: None, path }) };
        match (first.to_str(), values.next()) {
            (Ok(key), None) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Self { key: Some(key.to_owned()), path })
            }
            _ => Err(Problem::InvalidIdempotencyKey),
        }
    }
}

impl IdempotentRequest {
    /// The response to the first request with this key.
    pub(crate) async fn stored_response(&self, work: &UnitOfWork) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let id = (work.user_id().to_owned(), key.clone());
        let Some(stored) = entity::Entity::find_by_id(id.clone()).one(work).await? else { return Ok(None) };
        let expiry = expiry();
        if stored.created_at < expiry {
            // The filter is needed because a concurrent request may have stored the key again.
            let expired = entity::Column::CreatedAt.lt(expiry);
            entity::Entity::delete_by_id(id).filter(expired).exec(work).await?;
            return Ok(None);
        }
        if stored.request_hash != self.hash {
            return Err(Problem::IdempotencyKeyReused);
        }
        stored.into_response().map(Some)
    }

    /// Stores the response together with the changes that it reports, and commits both.
    pub(crate) async fn commit(self, work: UnitOfWork, response: Response) -> Result<Response, Problem> {
        let Some(key) = self.key else {
            work.commit().await?;
            return Ok(response);
        };
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|_| Problem::Internal)?;
        let stored = entity::ActiveModel {
            user_id: Set(work.user_id().to_owned()),
            key: Set(key),
            request_hash: Set(self.hash),
            status: Set(parts.status.as_u16().cast_signed()),
            headers: Set(names_and_values(&parts.headers)?),
            body: Set(body.to_vec()),
            created_at: Set(timestamp::now()),
        };
        stored.insert(&work).await.map_err(in_use)?;
        work.commit().await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// Deletes expired keys of all users, every hour.
pub(crate) async fn purge_expired(database: Database) {
    let mut hourly = interval(Duration::from_secs(60 * 60));
    loop {
        hourly.tick().await;
        // The error itself has been logged.
        if delete_expired(&database).await.is_err() {
            warn!("failed to purge expired idempotency keys");
        }
    }
}

async fn delete_expired(database: &Database) -> Result<(), Problem> {
    const BATCH: u64 = 1000;
    loop {
        // Small batches: no statement takes long, and replicas that purge at the same time skip each other's rows.
        let expired = entity::Entity::find()
            .select_only()
            .columns([entity::Column::UserId, entity::Column::Key])
            .filter(entity::Column::CreatedAt.lt(expiry()))
            .order_by_asc(entity::Column::CreatedAt)
            .limit(BATCH)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_query();
        let id = Expr::tuple([Expr::col(entity::Column::UserId), Expr::col(entity::Column::Key)]);
        // A row-level security policy allows every user to delete expired keys.
        let work = UserDatabase::for_job(database.clone(), "").connect().await?;
        let deleted = entity::Entity::delete_many().filter(id.in_subquery(expired)).exec(&work).await?;
        work.commit().await?;
        if deleted.rows_affected < BATCH {
            return Ok(());
        }
    }
}

/// Keys created before this time have expired.
fn expiry() -> OffsetDateTime {
    timestamp::now() - TTL
}

/// A unique violation means that a concurrent request stored the same key first.
fn in_use(error: DbErr) -> Problem {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Problem::IdempotencyKeyInUse,
        _ => error.into(),
    }
}

mod entity {
    //! The table `idempotency_keys`.
    #![expect(unreachable_pub, reason = "SeaORM derives public items from the model")]

    use sea_orm::{FromJsonQueryResult, entity::prelude::*};
    use serde::{Deserialize, Serialize};

    /// The response to the first request with this key.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub request_hash: Vec<u8>,
        pub status: i16,
        #[sea_orm(column_type = "JsonBinary")]
        pub headers: Headers,
        pub body: Vec<u8>,
        pub created_at: TimeDateTimeWithTimeZone,
    }

    /// Header names and values.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
    pub struct Headers(pub Vec<(String, String)>);

    impl ActiveModelBehavior for ActiveModel {}
}

impl entity::Model {
    fn into_response(self) -> Result<Response, Problem> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status.cast_unsigned()).map_err(|_| Problem::Internal)?;
        for (name, value) in self.headers.0 {
            let name: HeaderName = name.parse().map_err(|_| Problem::Internal)?;
            response.headers_mut().append(name, value.parse().map_err(|_| Problem::Internal)?);
        }
        Ok(response)
    }
}

fn names_and_values(headers: &HeaderMap) -> Result<entity::Headers, Problem> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    headers.iter().map(text).collect::<Option<_>>().map(entity::Headers).ok_or(Problem::Internal)
}
