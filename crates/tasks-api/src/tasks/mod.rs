//! The tasks resource.

mod dto;
mod entity;
mod handlers;
mod repository;

// With the types that `#[utoipa::path]` generates beside each handler.
pub(crate) use dto::Completion;
pub(crate) use handlers::*;
