//! The six endpoints.

use axum::{
    Json,
    http::{
        HeaderName, StatusCode,
        header::{CACHE_CONTROL, LOCATION},
    },
    response::{IntoResponse, Response},
};
use headers::{ETag, HeaderMapExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    dto::{Completion, ListQuery, NewTask, Task, TaskPage, TaskReplacement},
    entity,
    repository::TaskRepository,
};
use crate::{
    database::unit_of_work::UserDatabase,
    http::{
        json::ValidJson,
        pagination::next_link,
        path::Id,
        preconditions::{Preconditions, etag},
        problem::Problem,
        query::Query,
    },
    idempotency::Idempotency,
};

pub(crate) async fn list(db: UserDatabase, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let (tasks, next_cursor) = TaskRepository::new(&work).page(&query).await?;
    let next = ListQuery { cursor: next_cursor.clone(), ..query };
    let link = match &next_cursor {
        Some(_) => {
            let query = serde_urlencoded::to_string(next).map_err(|_| Problem::Internal)?;
            Some(next_link(&list_path(work.user_id()), &query))
        }
        None => None,
    };
    let page = TaskPage { items: tasks.into_iter().map(Task::from).collect(), next_cursor };
    Ok((PRIVATE, link, Json(page)).into_response())
}

pub(crate) async fn create(
    db: UserDatabase,
    idempotency: Idempotency,
    ValidJson(new): ValidJson<NewTask>,
) -> Result<Response, Problem> {
    let (work, request) = idempotency.begin(db, &new).await?;
    if let Some(response) = request.stored_response(&work).await? {
        return Ok(response);
    }
    let task = TaskRepository::new(&work).create(new).await?;
    let location = format!("{}/{}", list_path(&task.user_id), task.id);
    let response = (StatusCode::CREATED, [(LOCATION, location)], respond(task)).into_response();
    request.commit(work, response).await
}

pub(crate) async fn read(db: UserDatabase, Id(id): Id, preconditions: Preconditions) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).find(id).await?;
    preconditions.check(task.version)?;
    if preconditions.is_not_modified(task.version) {
        return Ok(with_etag(etag(task.version), (StatusCode::NOT_MODIFIED, PRIVATE).into_response()));
    }
    Ok(respond(task))
}

pub(crate) async fn replace(
    db: UserDatabase,
    Id(id): Id,
    preconditions: Preconditions,
    ValidJson(new): ValidJson<TaskReplacement>,
) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).replace(id, new, &preconditions).await?;
    work.commit().await?;
    Ok(respond(task))
}

pub(crate) async fn complete(
    db: UserDatabase,
    Id(id): Id,
    preconditions: Preconditions,
    completion: Option<ValidJson<Completion>>,
) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let tasks = TaskRepository::new(&work);
    let task = match completion {
        Some(ValidJson(Completion { completed })) => tasks.set_completed(id, completed, &preconditions).await?,
        None => tasks.toggle_completed(id, &preconditions).await?,
    };
    work.commit().await?;
    Ok(respond(task))
}

pub(crate) async fn delete(db: UserDatabase, Id(id): Id, preconditions: Preconditions) -> Result<Response, Problem> {
    let work = db.connect().await?;
    TaskRepository::new(&work).delete(id, &preconditions).await?;
    work.commit().await?;
    Ok((StatusCode::NO_CONTENT, PRIVATE).into_response())
}

const PRIVATE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "private, no-cache")];

/// RFC 3986: everything but the unreserved characters is encoded, and `.` too, so that no segment is `..`.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

fn list_path(user_id: &str) -> String {
    format!("/api/{}/tasks", utf8_percent_encode(user_id, PATH_SEGMENT))
}

fn respond(task: entity::Model) -> Response {
    with_etag(etag(task.version), (PRIVATE, Json(Task::from(task))).into_response())
}

fn with_etag(etag: ETag, mut response: Response) -> Response {
    response.headers_mut().typed_insert(etag);
    response
}
