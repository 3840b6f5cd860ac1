//! The JSON and query parameters of tasks.

use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, de};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::entity;
use crate::{
    http::{
        pagination::Limit,
        validate::{at_most_characters, not_empty, trimmed, without_nul},
    },
    timestamp,
};

/// A task
#[derive(Serialize, ToSchema)]
pub(crate) struct Task {
    /// A UUIDv7
    id: Uuid,
    #[schema(example = "ada")]
    user_id: String,
    /// Without leading or trailing whitespace
    #[schema(example = "Buy milk")]
    title: String,
    #[schema(required, example = "Two litres")]
    description: Option<String>,
    completed: bool,
    #[serde(serialize_with = "timestamp::rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:00:00.000000Z")]
    created_at: OffsetDateTime,
    #[serde(serialize_with = "timestamp::rfc3339::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:00:00.000000Z")]
    updated_at: OffsetDateTime,
}

/// A page of tasks
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskPage {
    pub(super) items: Vec<Task>,
    /// The cursor of the next page; null on the last page
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// A new task
#[derive(Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    #[serde(deserialize_with = "trimmed")]
    #[garde(custom(not_empty), custom(at_most_characters(200)), custom(without_nul))]
    #[schema(example = "Buy milk", max_length = 200, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub(super) title: String,
    #[garde(inner(custom(at_most_characters(2000)), custom(without_nul)))]
    #[schema(example = "Two litres", max_length = 2000, pattern = r"^[^\u0000]*$")]
    pub(super) description: Option<String>,
}

/// The new state of a task
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskReplacement {
    #[serde(deserialize_with = "trimmed")]
    #[garde(custom(not_empty), custom(at_most_characters(200)), custom(without_nul))]
    #[schema(example = "Buy milk", max_length = 200, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub(super) title: String,
    // Without `deserialize_with`, serde deserializes a missing member as null.
    #[serde(deserialize_with = "Option::deserialize")]
    #[garde(inner(custom(at_most_characters(2000)), custom(without_nul)))]
    #[schema(required, example = "Two litres", max_length = 2000, pattern = r"^[^\u0000]*$")]
    pub(super) description: Option<String>,
    #[garde(skip)]
    #[schema(example = true)]
    pub(super) completed: bool,
}

/// Whether a task is completed
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Completion {
    #[garde(skip)]
    #[schema(example = true)]
    pub(super) completed: bool,
}

/// The query parameters of a list.
#[derive(Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// The maximum number of tasks; values above 100 mean 100
    #[serde(default)]
    #[param(inline)]
    pub(super) limit: Limit,
    /// Only tasks that are completed, or only those that are not
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completed: Option<bool>,
    /// Only tasks with this text in title or description; case-insensitive for ASCII letters only
    // In lower case; empty for all tasks.
    #[serde(default, deserialize_with = "search_text", skip_serializing_if = "String::is_empty")]
    #[param(max_length = 200, pattern = r"^[^\u0000]*$")]
    pub(super) q: String,
    /// The order; titles by code point
    #[serde(default)]
    #[param(inline)]
    pub(super) sort: Sort,
    /// The `next_cursor` of the previous page, with the same user, `completed`, `q` and `sort`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
}

/// The order of a list. Tasks with the same title are in the order of their creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(default = Sort::default)]
pub(crate) enum Sort {
    #[serde(rename = "created_at")]
    Oldest,
    #[default]
    #[serde(rename = "-created_at")]
    Newest,
    #[serde(rename = "title")]
    Title,
    #[serde(rename = "-title")]
    TitleDescending,
}

/// The last task of a page. It stays valid if the task is deleted.
#[derive(Deserialize, Serialize)]
pub(super) struct Position {
    pub(super) id: Uuid,
    /// In lists sorted by title.
    pub(super) title: Option<String>,
}

impl From<entity::Model> for Task {
    fn from(task: entity::Model) -> Self {
        let entity::Model { user_id, id, title, description, completed, version: _, created_at, updated_at } = task;
        Self { id, user_id, title, description, completed, created_at, updated_at }
    }
}

/// Converts ASCII letters to lower case. Other letters stay, since databases differ in how they fold them.
fn search_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().count() > 200 {
        return Err(de::Error::custom("q must be at most 200 characters long"));
    }
    if text.contains('\0') {
        return Err(de::Error::custom("q must not contain a NUL character"));
    }
    Ok(text.to_ascii_lowercase())
}
