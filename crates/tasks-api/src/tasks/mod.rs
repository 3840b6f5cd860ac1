//! Tasks.

mod dto;
mod entity;
mod handlers;
mod repository;

pub(crate) use dto::{Completion, NewTask, Task, TaskPage, TaskReplacement};
pub(crate) use handlers::{complete, create, delete, list, read, replace};
