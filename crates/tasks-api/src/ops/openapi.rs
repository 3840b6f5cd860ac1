use std::collections::BTreeSet;

use better_auth_jwt::ErrorKind;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    auth,
    http::problem::{self, FieldError, Problem, ProblemDocument},
    tasks::{Completion, NewTask, Task, TaskPage, TaskReplacement},
};

/// The API's description: OpenAPI 3.1, its schemas from the types, its errors and their examples from [`Problem`].
pub(crate) fn document() -> Value {
    let page = [
        query(
            "limit",
            "How many tasks at most; above 100 it is 100",
            json!({ "type": "integer", "minimum": 1, "default": 50 }),
        ),
        query("completed", "Only tasks that are, or are not, completed", json!({ "type": "boolean" })),
        query(
            "q",
            "Only tasks with these letters in title or description; upper and lower case are the same for A to Z",
            json!({ "type": "string", "maxLength": 200, "pattern": NO_NUL }),
        ),
        query(
            "sort",
            "The order; titles by code point",
            json!({ "type": "string", "enum": ["created_at", "-created_at", "title", "-title"], "default": "-created_at" }),
        ),
        query(
            "cursor",
            "Where the last page ended: its `next_cursor`, with the same user, `completed`, `q` and `sort`",
            json!({ "type": "string" }),
        ),
    ];
    let list = Operation::new("listTasks", "List tasks", success(200, "A page of tasks", Some("TaskPage"), &["Link"]))
        .parameters(page)
        .fails([Problem::InvalidQuery("limit must be a whole number from 1".into())]);
    let create =
        Operation::new("createTask", "Create a task", success(201, "The task", Some("Task"), &["ETag", "Location"]))
            .parameters([header(
                "Idempotency-Key",
                "Sent again with the same key within 24 hours, the same request makes no second task",
                json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" }),
            )])
            .body("NewTask", true)
            .fails([
                Problem::InvalidIdempotencyKey,
                Problem::IdempotencyKeyInUse,
                Problem::IdempotencyKeyReused,
                Problem::OutcomeUnknown,
            ]);
    let mut read = Operation::new("readTask", "Read a task", success(200, "The task", Some("Task"), &["ETag"]))
        .parameters(preconditions())
        .fails([Problem::NotFound, Problem::PreconditionFailed]);
    read.responses.insert("304".into(), json!({ "description": "The task is still as If-None-Match says" }));
    let change = |operation: Operation| {
        let problems = [Problem::NotFound, Problem::PreconditionFailed, Problem::OutcomeUnknown];
        operation.parameters(preconditions()).fails(problems)
    };
    let replace = Operation::new("replaceTask", "Replace a task", success(200, "The task", Some("Task"), &["ETag"]));
    let replace = change(replace.body("TaskReplacement", true));
    let delete = change(Operation::new("deleteTask", "Delete a task", success(204, "The task is gone", None, &[])));
    let complete = Operation::new(
        "completeTask",
        "Complete a task, or open it again",
        success(200, "The task", Some("Task"), &["ETag"]),
    )
    .describe("Without a body it toggles; with one it sets, which is safe to send again.");
    let complete = change(complete.body("Completion", false));

    let user = path(
        "user_id",
        "The user's id, as the token's `sub` names it",
        json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
    );
    let id = path("id", "The task's id", json!({ "type": "string", "format": "uuid" }));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tasks-api",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Tasks of users whom Better Auth knows. Every error is a problem document (RFC 9457) whose `code` is from a closed set.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "tasks", "description": "A user's own tasks" },
            { "name": "sessions", "description": "For Better Auth, which knows when a session has ended" },
            { "name": "operation", "description": "For balancers, probes and Prometheus" },
        ],
        "security": [{ "token": [] }],
        "paths": {
            "/api/{user_id}/tasks": { "get": list.json([&user]), "post": create.json([&user]) },
            "/api/{user_id}/tasks/{id}": {
                "get": read.json([&user, &id]), "put": replace.json([&user, &id]), "delete": delete.json([&user, &id]),
            },
            "/api/{user_id}/tasks/{id}/complete": { "patch": complete.json([&user, &id]) },
            "/auth/backchannel-logout": { "post": logout() },
            "/healthz": { "get": probe("isAlive", "Does the process answer?", "text/plain", json!({ "type": "string" }), []) },
            "/readyz": { "get": probe("isReady", "Should requests come here?", "application/json", json!({ "type": "object" }),
                [Problem::NotReady("not ready: keys (none could be fetched yet)".into())]) },
            "/metrics": { "get": probe("metrics", "What was counted, for Prometheus", "text/plain", json!({ "type": "string" }), []) },
        },
        "components": {
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "What `authClient.token()` gives",
            } },
            "schemas": {
                "Task": schema::<Task>(),
                "TaskPage": schema::<TaskPage>(),
                "NewTask": closed(schema::<NewTask>()),
                "TaskReplacement": closed(schema::<TaskReplacement>()),
                "Completion": closed(schema::<Completion>()),
                "Problem": schema::<ProblemDocument<'static>>(),
                "FieldError": schema::<FieldError>(),
            },
            "headers": {
                "ETag": { "description": "The task's version, for If-Match and If-None-Match", "schema": { "type": "string" } },
                "Location": { "description": "Where the task is", "schema": { "type": "string" } },
                "Link": { "description": "The next page, as rel=\"next\", if there is one", "schema": { "type": "string" } },
                "Retry-After": { "description": "Seconds to wait before the next attempt", "schema": { "type": "integer" } },
                "WWW-Authenticate": { "description": "How to authenticate (RFC 6750)", "schema": { "type": "string" } },
            },
        },
    });
    document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = json!(codes(&document["paths"]));
    document
}

/// All codes that are described anywhere: the closed set.
fn codes(paths: &Value) -> BTreeSet<String> {
    let operations =
        paths.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_object).flat_map(Map::values);
    let responses = operations.filter_map(|operation| operation.get("responses")?.as_object()).flat_map(Map::values);
    let examples = responses.filter_map(|response| response.pointer("/content/application~1problem+json/examples"));
    // Beyond the operations, for wrong methods.
    let beyond = Problem::MethodNotAllowed.code().to_owned();
    examples.filter_map(Value::as_object).flat_map(Map::keys).cloned().chain([beyond]).collect()
}

/// As patterns know it: any text without the one character that no database stores.
const NO_NUL: &str = r"^[^\u0000]*$";

struct Operation {
    about: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Operation {
    /// One of the six, with the failures that all of them have.
    fn new(id: &str, summary: &str, (status, response): (u16, Value)) -> Self {
        let refused = [
            ErrorKind::InvalidRequest,
            ErrorKind::InvalidPath,
            ErrorKind::MissingToken,
            ErrorKind::Expired,
            ErrorKind::InvalidSignature,
            ErrorKind::UserMismatch,
            ErrorKind::KeysUnavailable,
        ];
        let mut problems: Vec<Problem> = refused.map(|kind| Problem::Auth(auth::auth_error(kind))).into();
        problems.extend([
            Problem::RequestTimeout,
            Problem::PayloadTooLarge,
            Problem::RateLimited(3),
            Problem::Internal,
            Problem::Unavailable,
        ]);
        let mut about = Map::new();
        about.insert("operationId".into(), id.into());
        about.insert("summary".into(), summary.into());
        about.insert("tags".into(), json!(["tasks"]));
        let responses = Map::from_iter([(status.to_string(), response)]);
        Self { about, parameters: Vec::new(), responses, problems }
    }

    fn describe(mut self, text: &str) -> Self {
        self.about.insert("description".into(), text.into());
        self
    }

    fn parameters(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn body(mut self, schema: &str, required: bool) -> Self {
        let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
        self.about.insert("requestBody".into(), json!({ "required": required, "content": content }));
        let fault = FieldError { pointer: "/title".into(), detail: "must not be empty".into() };
        self.fails([
            Problem::InvalidJson("the body is not JSON (line 1, column 2)".into()),
            Problem::UnsupportedMediaType,
            Problem::Validation(vec![fault]),
        ])
    }

    fn fails(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(problems);
        self
    }

    fn json<const N: usize>(mut self, path: [&Value; N]) -> Value {
        self.parameters.splice(..0, path.map(Value::clone));
        self.responses.extend(failures(&self.problems, "/api/ada/tasks"));
        self.about.insert("parameters".into(), self.parameters.into());
        self.about.insert("responses".into(), self.responses.into());
        self.about.into()
    }
}

/// The one operation that is not for clients.
fn logout() -> Value {
    let problems = [
        Problem::InvalidLogoutToken("the logout token is not valid".into()),
        Problem::RequestTimeout,
        Problem::PayloadTooLarge,
        Problem::Internal,
        Problem::Unavailable,
    ];
    let mut responses = failures(&problems, "/auth/backchannel-logout");
    responses.insert("200".into(), json!({ "description": "The session has ended, now or before" }));
    let form = json!({ "type": "object", "required": ["logout_token"], "properties": { "logout_token": { "type": "string" } } });
    json!({
        "operationId": "endSession",
        "summary": "End a session",
        "description": "OpenID Connect Back-Channel Logout: tokens of the session that the logout token names are refused from now on, \
                        or all that its user has been issued. To repeat it changes nothing.",
        "tags": ["sessions"],
        "security": [],
        "requestBody": { "required": true, "content": { "application/x-www-form-urlencoded": { "schema": form } } },
        "responses": responses,
    })
}

fn probe<const N: usize>(id: &str, summary: &str, content: &str, schema: Value, problems: [Problem; N]) -> Value {
    let mut responses = failures(&problems, "/readyz");
    responses.insert("200".into(), json!({ "description": "Yes", "content": { content: { "schema": schema } } }));
    json!({ "operationId": id, "summary": summary, "tags": ["operation"], "security": [], "responses": responses })
}

/// The responses of a failed request, by status; the examples are what the server itself would write.
fn failures(problems: &[Problem], instance: &str) -> Map<String, Value> {
    let mut responses = Map::new();
    for problem in problems {
        let status = problem.status();
        let response = responses.entry(status.as_str()).or_insert_with(|| {
            let headers: Map<String, Value> = match status.as_u16() {
                401 => Map::from_iter([("WWW-Authenticate".into(), reference("headers", "WWW-Authenticate"))]),
                409 | 429 | 503 => Map::from_iter([("Retry-After".into(), reference("headers", "Retry-After"))]),
                _ => Map::new(),
            };
            json!({
                "description": status.canonical_reason(),
                "headers": headers,
                "content": { "application/problem+json": { "schema": reference("schemas", "Problem"), "examples": {} } },
            })
        });
        let example = problem::document(problem, status, instance, "01890a5d-ac96-774b-bcce-b302099a8057");
        let example = json!({ "summary": problem.detail(), "value": example });
        response["content"]["application/problem+json"]["examples"][problem.code()] = example;
    }
    responses
}

fn success(status: u16, description: &str, schema: Option<&str>, headers: &[&str]) -> (u16, Value) {
    let headers: Map<String, Value> =
        headers.iter().map(|&name| (name.to_owned(), reference("headers", name))).collect();
    let mut response = json!({ "description": description, "headers": headers });
    if let Some(schema) = schema {
        response["content"] = json!({ "application/json": { "schema": reference("schemas", schema) } });
    }
    (status, response)
}

fn preconditions() -> [Value; 2] {
    let tags = json!({ "type": "string" });
    [
        header("If-Match", "Only if the task's ETag is one of these", tags.clone()),
        header("If-None-Match", "Only if the task's ETag is none of these", tags),
    ]
}

fn path(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

fn header(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": schema })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn schema<T: ToSchema + PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

/// Unknown members are refused.
fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = false.into();
    schema
}
