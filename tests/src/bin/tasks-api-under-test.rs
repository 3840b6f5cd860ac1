//! The server as the end-to-end tests start it: `tasks-api` itself, built by the same `cargo test` as they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    tasks_api::main()
}
