//! Tasks: handlers, their shapes, their queries.

mod cursor;
mod handlers;
mod idempotency;
mod preconditions;
mod queries;
mod shapes;

pub(crate) use handlers::{complete, create, delete, list, read, replace};
pub(crate) use shapes::{Completion, NewTask, Task, TaskPage, TaskReplacement};
