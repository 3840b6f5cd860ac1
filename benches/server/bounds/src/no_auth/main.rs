//! The sources of `tasks-api` without its layer: every request is treated as one of the same user.

#![allow(dead_code, unreachable_pub, reason = "the sources belong to another crate")]

mod auth;
#[path = "../../../../../crates/tasks-api/src/body.rs"]
mod body;
#[path = "../../../../../crates/tasks-api/src/cli.rs"]
mod cli;
#[path = "../../../../../crates/tasks-api/src/config.rs"]
mod config;
#[path = "../../../../../crates/tasks-api/src/connection.rs"]
mod connection;
#[path = "../../../../../crates/tasks-api/src/database.rs"]
mod database;
#[path = "../../../../../crates/tasks-api/src/database_url.rs"]
mod database_url;
#[path = "../../../../../crates/tasks-api/src/db_error.rs"]
mod db_error;
#[path = "../../../../../crates/tasks-api/src/dev.rs"]
mod dev;
#[path = "../../../../../crates/tasks-api/src/docs.rs"]
mod docs;
#[path = "../../../../../crates/tasks-api/src/health.rs"]
mod health;
#[path = "../../../../../crates/tasks-api/src/http/mod.rs"]
mod http;
#[path = "../../../../../crates/tasks-api/src/idempotency.rs"]
mod idempotency;
#[path = "../../../../../crates/tasks-api/src/limits.rs"]
mod limits;
#[path = "../../../../../crates/tasks-api/src/log/mod.rs"]
mod log;
#[path = "../../../../../crates/tasks-api/src/logout/mod.rs"]
mod logout;
#[path = "../../../../../crates/tasks-api/src/metrics.rs"]
mod metrics;
#[path = "../../../../../crates/tasks-api/src/migration/mod.rs"]
mod migration;
#[path = "../../../../../crates/tasks-api/src/observe.rs"]
mod observe;
#[path = "../../../../../crates/tasks-api/src/openapi.rs"]
mod openapi;
#[path = "../../../../../crates/tasks-api/src/rate_limit.rs"]
mod rate_limit;
#[path = "../../../../../crates/tasks-api/src/router.rs"]
mod router;
#[path = "../../../../../crates/tasks-api/src/serve.rs"]
mod serve;
#[path = "../../../../../crates/tasks-api/src/store.rs"]
mod store;
#[path = "../../../../../crates/tasks-api/src/tasks/mod.rs"]
mod tasks;
#[path = "../../../../../crates/tasks-api/src/timestamp.rs"]
mod timestamp;
#[path = "../../../../../crates/tasks-api/src/token.rs"]
mod token;
#[path = "../../../../../crates/tasks-api/src/unit_of_work.rs"]
mod unit_of_work;
#[path = "../../../../../crates/tasks-api/src/writability.rs"]
mod writability;

use http::problem;

fn main() -> std::process::ExitCode {
    cli::main()
}
