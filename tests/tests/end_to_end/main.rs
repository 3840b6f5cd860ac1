//! End-to-end tests: Better Auth and the server as processes on loopback, with HTTP between them.

mod dev;
mod logout;
mod organizations;
mod rejections;
mod rotation;
mod session_exchange;
mod tasks;
mod versions;
mod world;

#[path = "../../../crates/tasks-api/tests/postgres/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests of the server, which also stop it")]
mod cluster;
