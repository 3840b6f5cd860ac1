//! The handlers of tasks.

use axum::{
    Json,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};

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
        path::{Id, IdPath, UserPath, collection_path},
        preconditions::{Preconditions, Versioned},
        problem::Problem,
        query::Query,
    },
    idempotency::Idempotency,
};

/// List tasks
#[utoipa::path(
    get,
    path = "/api/{user_id}/tasks",
    operation_id = "listTasks",
    tag = "tasks",
    params(UserPath, ListQuery),
    responses((status = 200, description = "A page of tasks", body = TaskPage, headers(("Link")))),
)]
pub(crate) async fn list(db: UserDatabase, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let (tasks, next_cursor) = TaskRepository::new(&work).page(&query).await?;
    let link = match &next_cursor {
        Some(_) => {
            let next = ListQuery { cursor: next_cursor.clone(), ..query };
            Some(next_link(&collection_path(work.user_id(), "tasks"), &next)?)
        }
        None => None,
    };
    let page = TaskPage { items: tasks.into_iter().map(Task::from).collect(), next_cursor };
    Ok((link, Json(page)).into_response())
}

/// Create a task
#[utoipa::path(
    post,
    path = "/api/{user_id}/tasks",
    operation_id = "createTask",
    tag = "tasks",
    params(UserPath, Idempotency),
    request_body = NewTask,
    responses((status = 201, description = "The task", body = Task, headers(("ETag"), ("Location")))),
)]
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
    let location = format!("{}/{}", collection_path(&task.user_id, "tasks"), task.id);
    let response = (StatusCode::CREATED, [(LOCATION, location)], versioned(task)).into_response();
    request.commit(work, response).await
}

/// Read a task
#[utoipa::path(
    get,
    path = "/api/{user_id}/tasks/{id}",
    operation_id = "readTask",
    tag = "tasks",
    params(UserPath, IdPath, Preconditions),
    responses(
        (status = 200, description = "The task", body = Task, headers(("ETag"))),
        (status = 304, description = "The client already has the current version", headers(("ETag"))),
    ),
)]
pub(crate) async fn read(db: UserDatabase, Id(id): Id, preconditions: Preconditions) -> Result<Response, Problem> {
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).find(id).await?;
    preconditions.check(task.version)?;
    if preconditions.is_not_modified(task.version) {
        let not_modified = Versioned { version: task.version, content: StatusCode::NOT_MODIFIED };
        return Ok(not_modified.into_response());
    }
    Ok(versioned(task).into_response())
}

/// Replace a task
#[utoipa::path(
    put,
    path = "/api/{user_id}/tasks/{id}",
    operation_id = "replaceTask",
    tag = "tasks",
    params(UserPath, IdPath, Preconditions),
    request_body = TaskReplacement,
    responses((status = 200, description = "The task", body = Task, headers(("ETag")))),
)]
pub(crate) async fn replace(
    db: UserDatabase,
    Id(id): Id,
    preconditions: Preconditions,
    ValidJson(new): ValidJson<TaskReplacement>,
) -> Result<Versioned<Json<Task>>, Problem> {
    let work = db.connect().await?;
    let task = TaskRepository::new(&work).replace(id, new, &preconditions).await?;
    work.commit().await?;
    Ok(versioned(task))
}

/// Complete or reopen a task
///
/// Without a body this toggles `completed`. With a body it sets `completed`, which is safe to retry.
#[utoipa::path(
    patch,
    path = "/api/{user_id}/tasks/{id}/complete",
    operation_id = "completeTask",
    tag = "tasks",
    params(UserPath, IdPath, Preconditions),
    // Not `Option<Completion>`, which would allow the body `null`.
    request_body(content = ref("#/components/schemas/Completion")),
    responses((status = 200, description = "The task", body = Task, headers(("ETag")))),
)]
pub(crate) async fn complete(
    db: UserDatabase,
    Id(id): Id,
    preconditions: Preconditions,
    completion: Option<ValidJson<Completion>>,
) -> Result<Versioned<Json<Task>>, Problem> {
    let work = db.connect().await?;
    let tasks = TaskRepository::new(&work);
    let task = match completion {
        Some(ValidJson(Completion { completed })) => tasks.set_completed(id, completed, &preconditions).await?,
        None => tasks.toggle_completed(id, &preconditions).await?,
    };
    work.commit().await?;
    Ok(versioned(task))
}

/// Delete a task
#[utoipa::path(
    delete,
    path = "/api/{user_id}/tasks/{id}",
    operation_id = "deleteTask",
    tag = "tasks",
    params(UserPath, IdPath, Preconditions),
    responses((status = 204, description = "The task is deleted")),
)]
pub(crate) async fn delete(db: UserDatabase, Id(id): Id, preconditions: Preconditions) -> Result<StatusCode, Problem> {
    let work = db.connect().await?;
    TaskRepository::new(&work).delete(id, &preconditions).await?;
    work.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn versioned(task: entity::Model) -> Versioned<Json<Task>> {
    Versioned { version: task.version, content: Json(task.into()) }
}
