//! The harness of the end-to-end tests: the programs that they start, and their responses.
//!
//! - [`BetterAuth`]: a real Better Auth in Node.js, the issuer of every token ([`User`]) in these tests.
//! - [`TasksApi`]: the server under test, in its own process with its own database.
//! - [`Process`]: runs both, and stops them by signal.
//! - [`node`]: installs Better Auth, or skips the tests if that is not possible.
//!
//! Everything listens on loopback, on ports that the operating system chose, so that any number of tests run side
//! by side. The harness panics with a message if it fails.

mod better_auth;
pub mod node;
mod process;
mod response;
mod tasks_api;

pub use better_auth::{BetterAuth, Issuer, Signing, User};
pub use process::Process;
pub use response::ApiResponse;
pub use tasks_api::TasksApi;
