//! Utilities for the end-to-end tests: the programs that they start, and their responses.
//!
//! - [`BetterAuth`]: a real Better Auth server in Node.js, which issues the tokens ([`User`]) in these tests.
//! - [`TasksApi`]: the server under test, in its own process with its own database.
//! - [`Process`]: runs both, and stops them by signal.
//! - [`node`]: installs Better Auth, or skips the tests if that is not possible.
//!
//! All servers listen on loopback, on ports chosen by the operating system, so that tests can run in parallel. Failures
//! panic with a message.

mod better_auth;
pub mod node;
mod oauth;
mod process;
mod response;
mod tasks_api;

pub use better_auth::{BetterAuth, Issuer, Signing, User};
pub use oauth::OAuthTokens;
pub use process::Process;
pub use response::ApiResponse;
pub use tasks_api::TasksApi;
