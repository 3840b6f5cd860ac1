//! The module `tasks` of `tasks-api`, with other queries.

#[path = "../../../../../crates/tasks-api/src/tasks/cursor.rs"]
mod cursor;
#[path = "../../../../../crates/tasks-api/src/tasks/handlers.rs"]
mod handlers;
#[path = "../../../../../crates/tasks-api/src/tasks/idempotency.rs"]
mod idempotency;
#[path = "../../../../../crates/tasks-api/src/tasks/preconditions.rs"]
mod preconditions;
#[path = "queries.rs"]
mod queries;
#[path = "../../../../../crates/tasks-api/src/tasks/shapes.rs"]
mod shapes;

pub(crate) use handlers::{complete, create, delete, list, read, replace};
pub(crate) use shapes::{Completion, NewTask, Task, TaskPage, TaskReplacement};
