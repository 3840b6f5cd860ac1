//! Tests of the HTTP API and the command line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authentication;
mod bodies;
mod command_line;
mod concurrency;
mod connection;
mod crash;
mod database;
mod description;
mod dev_server;
mod disconnect;
mod drain;
mod full_disk;
mod idempotency;
mod isolation;
mod limits;
mod lists;
mod log;
mod logout;
mod operation;
mod process;
mod routes;
mod second_server;
mod secrets;
mod session_exchange;
mod settings;
mod slow_clients;
mod sql;
mod tasks;
mod test_app;
