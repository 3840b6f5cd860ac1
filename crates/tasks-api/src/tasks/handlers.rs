use std::convert::Infallible;

use axum::{
    Json,
    extract::{FromRequestParts, RawPathParams},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, ETAG, LINK, LOCATION},
        request::Parts,
    },
    response::{AppendHeaders, IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::{
    entity,
    preconditions::{Preconditions, etag},
    repository::TaskRepository,
    shapes::{Completion, NewTask, PageRequest, Task, TaskPage, TaskReplacement},
};
use crate::{body::Valid, idempotency::Idempotency, problem::Problem, unit_of_work::UserDatabase};

pub(crate) async fn list(db: UserDatabase, request: PageRequest) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let (tasks, next) = TaskRepository::new(&work).page(&request).await?;
    // RFC 8288; relative to this server, whatever name it goes by outside.
    let link = next.as_deref().map(|next| {
        let query = request.at(next);
        [(LINK, format!("<{}?{query}>; rel=\"next\"", list_path(work.user_id())))]
    });
    let page = TaskPage { items: tasks.into_iter().map(Task::from).collect(), next_cursor: next };
    Ok((PRIVATE, link.map(AppendHeaders), Json(page)).into_response())
}

pub(crate) async fn create(
    db: UserDatabase,
    idempotency: Idempotency,
    Valid(new): Valid<NewTask>,
) -> Result<Response, Problem> {
    let (work, request) = idempotency.begin(db, &new).await?;
    if let Some(response) = request.stored_response(&work).await? {
        return Ok(response);
    }
    let task = TaskRepository::new(&work).create(new).await?;
    let response = (StatusCode::CREATED, [(LOCATION, location(&task))], respond(task)).into_response();
    request.commit(work, response).await
}

pub(crate) async fn read(db: UserDatabase, id: TaskId, preconditions: Preconditions) -> Result<Response, Problem> {
    let id = id.existing()?;
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).find(id).await?;
    preconditions.allow(&task)?;
    if preconditions.client_has(&task) {
        return Ok((StatusCode::NOT_MODIFIED, PRIVATE, [(ETAG, etag(&task))]).into_response());
    }
    Ok(respond(task))
}

pub(crate) async fn replace(
    db: UserDatabase,
    id: TaskId,
    preconditions: Preconditions,
    Valid(new): Valid<TaskReplacement>,
) -> Result<Response, Problem> {
    let id = id.existing()?;
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).replace(id, new, &preconditions).await?;
    work.commit().await?;
    Ok(respond(task))
}

pub(crate) async fn complete(
    db: UserDatabase,
    id: TaskId,
    preconditions: Preconditions,
    completion: Option<Valid<Completion>>,
) -> Result<Response, Problem> {
    let id = id.existing()?;
    let work = db.connect().await?;
    let tasks = TaskRepository::new(&work);
    let task = match completion {
        Some(Valid(Completion { completed })) => tasks.set_completed(id, completed, &preconditions).await?,
        None => tasks.toggle_completed(id, &preconditions).await?,
    };
    work.commit().await?;
    Ok(respond(task))
}

pub(crate) async fn delete(db: UserDatabase, id: TaskId, preconditions: Preconditions) -> Result<Response, Problem> {
    let id = id.existing()?;
    let work = db.connect().await?;
    TaskRepository::new(&work).delete(id, &preconditions).await?;
    work.commit().await?;
    Ok((StatusCode::NO_CONTENT, PRIVATE).into_response())
}

/// The `{id}` of the path. One that is no UUID names no task: it is looked for like any other, and found like none.
pub(crate) struct TaskId(Option<Uuid>);

impl TaskId {
    fn existing(self) -> Result<Uuid, Problem> {
        self.0.ok_or(Problem::NotFound)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TaskId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|path| {
            let (_, id) = path.iter().find(|(name, _)| *name == "id")?;
            // Hyphenated only: the other ways to write a UUID would be other addresses of the same task.
            if id.len() == 36 { id.parse().ok() } else { None }
        });
        Ok(Self(id))
    }
}

const PRIVATE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "private, no-cache")];

/// RFC 3986: everything but the unreserved characters is encoded, and `.` too, lest a segment be `..`.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

fn respond(task: entity::Model) -> Response {
    (PRIVATE, [(ETAG, etag(&task))], Json(Task::from(task))).into_response()
}

fn location(task: &entity::Model) -> HeaderValue {
    HeaderValue::from_str(&format!("{}/{}", list_path(&task.user_id), task.id))
        .expect("a percent-encoded path is ASCII")
}

fn list_path(user: &str) -> String {
    format!("/api/{}/tasks", utf8_percent_encode(user, PATH_SEGMENT))
}
