//! Tasks.

mod cursor;
mod entity;
mod handlers;
mod preconditions;
mod repository;
mod shapes;

pub(crate) use handlers::{complete, create, delete, list, read, replace};
pub(crate) use shapes::{Completion, NewTask, Task, TaskPage, TaskReplacement};
