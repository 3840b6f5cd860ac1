//! What the end-to-end tests stand on: the programs they start, and what those answer.
//!
//! - [`BetterAuth`]: a real Better Auth in Node.js, the issuer of every token ([`User`]) in these tests.
//! - [`TasksApi`]: the server under test, a process of its own with a database of its own.
//! - [`Process`]: what both are; asked to stop by signal, never left behind.
//! - [`node`]: where Better Auth comes from, and what happens on a machine without it.
//!
//! Everything listens on loopback, on ports that the operating system chose, so that any number of tests run side
//! by side. A harness that cannot do its work panics with a sentence: in a test that is the report.

mod answer;
mod better_auth;
pub mod node;
mod process;
mod tasks_api;

pub use answer::Answer;
pub use better_auth::{BetterAuth, Issuer, Signing, User};
pub use process::Process;
pub use tasks_api::TasksApi;
