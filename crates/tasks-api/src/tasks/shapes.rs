use std::borrow::Cow;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::entity;
use crate::{
    body::{Fields, FromFields},
    problem::Problem,
    timestamp,
};

/// A task, as the client sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Task {
    /// A UUIDv7
    id: Uuid,
    #[schema(example = "ada")]
    user_id: String,
    /// Without blanks at its ends
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

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskPage {
    pub(crate) items: Vec<Task>,
    /// Where the next page begins; null on the last one
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// The body of POST.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewTask {
    #[schema(example = "Buy milk", max_length = 200, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub(crate) title: String,
    #[schema(example = "Two litres", max_length = 2000, pattern = r"^[^\u0000]*$")]
    pub(crate) description: Option<String>,
}

/// The body of PUT.
#[derive(ToSchema)]
pub(crate) struct TaskReplacement {
    #[schema(example = "Buy milk", max_length = 200, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub(crate) title: String,
    #[schema(required, example = "Two litres", max_length = 2000, pattern = r"^[^\u0000]*$")]
    pub(crate) description: Option<String>,
    #[schema(example = true)]
    pub(crate) completed: bool,
}

/// The body of PATCH, where there is one.
#[derive(ToSchema)]
pub(crate) struct Completion {
    #[schema(example = true)]
    pub(crate) completed: bool,
}

/// The query of a list.
pub(crate) struct PageRequest {
    pub(crate) limit: u64,
    pub(crate) completed: Option<bool>,
    /// Lower-case, and empty if everything is wanted.
    pub(crate) q: String,
    pub(crate) sort: Sort,
    pub(crate) cursor: Option<String>,
}

/// The order of a list; tasks with the same title come in the order of their creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) by_title: bool,
    pub(crate) descending: bool,
}

impl From<entity::Model> for Task {
    fn from(row: entity::Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            title: row.title,
            description: row.description,
            completed: row.completed,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl FromFields for NewTask {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let title = fields.required("title", title);
        let description = fields.optional("description", description);
        Some(Self { title: title?, description: description?.flatten() })
    }
}

impl FromFields for TaskReplacement {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let title = fields.required("title", title);
        let description = fields.required("description", description);
        let completed = fields.required("completed", boolean);
        Some(Self { title: title?, description: description?, completed: completed? })
    }
}

impl FromFields for Completion {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { completed: fields.required("completed", boolean)? })
    }
}

impl<S: Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let (mut limit, mut completed, mut q, mut sort, mut cursor) = (None, None, None, None, None);
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let repeated = match &*name {
                "limit" => limit.replace(page_size(&value)?).is_some(),
                "completed" => completed.replace(completed_filter(&value)?).is_some(),
                "q" => q.replace(search_text(&value)?).is_some(),
                "sort" => sort.replace(Sort::read(&value)?).is_some(),
                "cursor" => cursor.replace(value.into_owned()).is_some(),
                _ => {
                    return Err(Problem::InvalidQuery(
                        "a list takes limit, completed, q, sort and cursor, nothing else".into(),
                    ));
                }
            };
            if repeated {
                return Err(Problem::InvalidQuery("a query parameter appears twice".into()));
            }
        }
        Ok(Self {
            limit: limit.unwrap_or(50),
            completed,
            q: q.unwrap_or_default(),
            sort: sort.unwrap_or(Sort::NEWEST_FIRST),
            cursor,
        })
    }
}

impl PageRequest {
    /// The query that asks for the same list from another place on.
    pub(super) fn at(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(completed) = self.completed {
            query.append_pair("completed", if completed { "true" } else { "false" });
        }
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        query.append_pair("sort", self.sort.name()).append_pair("cursor", cursor).finish()
    }
}

impl Sort {
    const NEWEST_FIRST: Self = Self { by_title: false, descending: true };

    fn read(text: &str) -> Result<Self, Problem> {
        let (by, descending) = text.strip_prefix('-').map_or((text, false), |by| (by, true));
        match by {
            "created_at" => Ok(Self { by_title: false, descending }),
            "title" => Ok(Self { by_title: true, descending }),
            _ => Err(Problem::InvalidQuery("sort must be created_at, -created_at, title or -title".into())),
        }
    }

    fn name(self) -> &'static str {
        match (self.by_title, self.descending) {
            (false, false) => "created_at",
            (false, true) => "-created_at",
            (true, false) => "title",
            (true, true) => "-title",
        }
    }
}

fn page_size(text: &str) -> Result<u64, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than a u64 holds are still a number above 100.
    match text.parse().unwrap_or(u64::MAX) {
        size @ 1.. if is_number => Ok(size.min(100)),
        _ => Err(Problem::InvalidQuery("limit must be a whole number from 1".into())),
    }
}

fn completed_filter(text: &str) -> Result<bool, Problem> {
    text.parse().map_err(|_| Problem::InvalidQuery("completed must be true or false".into()))
}

/// Only ASCII letters are the same in upper and lower case: of the others each database has an opinion of its own.
fn search_text(text: &str) -> Result<String, Problem> {
    match text {
        text if text.chars().count() > 200 => {
            Err(Problem::InvalidQuery("q must be at most 200 characters long".into()))
        }
        text if text.contains('\0') => Err(Problem::InvalidQuery("q must not contain a NUL character".into())),
        text => Ok(text.to_ascii_lowercase()),
    }
}

fn title(value: Value) -> Result<String, Cow<'static, str>> {
    let text = text(value)?;
    match text.trim() {
        "" => Err("must not be empty".into()),
        title if title.chars().count() > 200 => Err("must be at most 200 characters long".into()),
        title => Ok(title.to_owned()),
    }
}

fn description(value: Value) -> Result<Option<String>, Cow<'static, str>> {
    match value {
        Value::Null => Ok(None),
        value => match text(value) {
            Ok(text) if text.chars().count() > 2000 => Err("must be at most 2000 characters long".into()),
            Ok(text) => Ok(Some(text)),
            Err(fault) if fault == NO_TEXT => Err("must be a string or null".into()),
            Err(fault) => Err(fault),
        },
    }
}

const NO_TEXT: &str = "must be a string";

fn text(value: Value) -> Result<String, Cow<'static, str>> {
    match value {
        // PostgreSQL stores no NUL in a text, and SQLite's own functions stop at one.
        Value::String(text) if text.contains('\0') => Err("must not contain a NUL character".into()),
        Value::String(text) => Ok(text),
        _ => Err(NO_TEXT.into()),
    }
}

fn boolean(value: Value) -> Result<bool, Cow<'static, str>> {
    value.as_bool().ok_or("must be true or false".into())
}
