//! The project's programs as they meet each other: processes on loopback, and HTTP between them.

mod dev;
mod keys;
mod logout;
mod refusals;
mod rotation;
mod tasks;
mod world;

#[path = "../../../crates/tasks-api/tests/postgres/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests of the server, which also stop it")]
mod cluster;
