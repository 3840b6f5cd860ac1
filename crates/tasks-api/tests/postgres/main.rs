//! The HTTP contract once more, on PostgreSQL, and what PostgreSQL alone has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cable;
mod cluster;
mod credentials;
mod database;
mod failing_fast;
mod logout_replicas;
mod migration_locks;
mod migrations;
mod outage;
mod outcome;
mod pgbouncer;
mod read_only;
mod replicas;
mod row_security;
mod row_security_replicas;
mod transactions;

#[path = "../api/bodies.rs"]
mod bodies;
#[path = "../api/concurrency.rs"]
mod concurrency;
#[path = "../api/connection.rs"]
mod connection;
#[path = "../api/crash.rs"]
mod crash;
#[path = "../api/disconnect.rs"]
mod disconnect;
#[path = "../api/drain.rs"]
mod drain;
#[path = "../api/idempotency.rs"]
mod idempotency;
#[path = "../api/isolation.rs"]
mod isolation;
#[path = "../api/lists.rs"]
mod lists;
#[path = "../api/logout.rs"]
mod logout;
#[path = "../api/operation.rs"]
mod operation;
#[path = "../api/process.rs"]
mod process;
#[path = "../api/sql.rs"]
mod sql;
#[path = "../api/tasks.rs"]
mod tasks;
#[allow(dead_code, reason = "the other binary uses all of it")]
#[path = "../api/test_app.rs"]
mod test_app;
