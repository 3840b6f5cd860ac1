//! The program: see `tasks-api --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tasks_api::main()
}
