//! HTTP for any resource: errors, extractors, pagination. Nothing here depends on tasks.

pub(crate) mod body;
pub(crate) mod json;
pub(crate) mod pagination;
pub(crate) mod path;
pub(crate) mod preconditions;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod validate;
