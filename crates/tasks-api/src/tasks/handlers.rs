use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK, LOCATION},
        request::Parts,
    },
    response::{AppendHeaders, IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use super::{
    idempotency::IdempotencyKey,
    preconditions::{Preconditions, etag},
    queries::Tasks,
    shapes::{Completion, NewTask, PageRequest, Task, TaskPage, TaskReplacement},
};
use crate::{body::Valid, entity::task, problem::Problem};

pub(crate) async fn list(tasks: Tasks, request: PageRequest) -> Result<Response, Problem> {
    let tasks = tasks.open().await?;
    let (rows, next) = tasks.page(&request).await?;
    // RFC 8288; relative to this server, whatever name it goes by outside.
    let link = next.as_deref().map(|next| {
        let query = request.at(next);
        [(LINK, format!("<{}?{query}>; rel=\"next\"", list_path(&tasks.user)))]
    });
    let page = TaskPage { items: rows.into_iter().map(Task::from).collect(), next_cursor: next };
    Ok((PRIVATE, link.map(AppendHeaders), json(&page)).into_response())
}

pub(crate) async fn create(
    tasks: Tasks,
    key: Option<IdempotencyKey>,
    Valid(new): Valid<NewTask>,
) -> Result<Response, Problem> {
    let row = match key {
        Some(key) => tasks.begin().await?.create_once(key, new).await?,
        None => tasks.open().await?.create(new).await?,
    };
    let location = [(LOCATION, location(&row))];
    Ok((StatusCode::CREATED, location, answer(row)).into_response())
}

pub(crate) async fn read(tasks: Tasks, id: TaskId, when: Preconditions) -> Result<Response, Problem> {
    let id = id.existing()?;
    let row = tasks.open().await?.find(id).await?;
    when.allow(&row)?;
    if when.client_has(&row) {
        return Ok((StatusCode::NOT_MODIFIED, PRIVATE, [(ETAG, etag(&row))]).into_response());
    }
    Ok(answer(row))
}

pub(crate) async fn replace(
    tasks: Tasks,
    id: TaskId,
    when: Preconditions,
    Valid(new): Valid<TaskReplacement>,
) -> Result<Response, Problem> {
    let id = id.existing()?;
    tasks.open().await?.replace(id, new, &when).await.map(answer)
}

pub(crate) async fn complete(
    tasks: Tasks,
    id: TaskId,
    when: Preconditions,
    completion: Option<Valid<Completion>>,
) -> Result<Response, Problem> {
    let id = id.existing()?;
    let tasks = tasks.open().await?;
    let row = match completion {
        Some(Valid(Completion { completed })) => tasks.complete(id, completed, &when).await?,
        None => tasks.toggle(id, &when).await?,
    };
    Ok(answer(row))
}

pub(crate) async fn delete(tasks: Tasks, id: TaskId, when: Preconditions) -> Result<Response, Problem> {
    let id = id.existing()?;
    tasks.open().await?.delete(id, &when).await?;
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

fn answer(row: task::Model) -> Response {
    (PRIVATE, [(ETAG, etag(&row))], json(&Task::from(row))).into_response()
}

/// Not `axum::Json`: its buffer is slower than a `Vec`, which shows in a list.
fn json(content: &impl Serialize) -> Response {
    // Room for a task, which would otherwise be made step by step.
    let mut body = Vec::with_capacity(512);
    if serde_json::to_writer(&mut body, content).is_err() {
        return Problem::Internal.into_response();
    }
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn location(row: &task::Model) -> HeaderValue {
    HeaderValue::from_str(&format!("{}/{}", list_path(&row.user_id), row.id)).expect("a percent-encoded path is ASCII")
}

fn list_path(user: &str) -> String {
    format!("/api/{}/tasks", utf8_percent_encode(user, PATH_SEGMENT))
}
