//! The reference server of `better-auth-jwt`: six endpoints for tasks over SeaORM, on SQLite or PostgreSQL.
//!
//! A request goes through the files in this order:
//!
//! - [`router`](app) names every route and layer,
//! - `observe` gives it an id, turns any error into `application/problem+json` (`problem`), counts it (`metrics`) and logs it (`log`),
//! - `auth` is `better-auth-jwt` with our configuration and our responses; it needs the head alone,
//! - `limits` is how many, how large and how slow it may be,
//! - `body` reads JSON strictly,
//! - `tasks` is the resource: handlers, their shapes, their queries.
//!
//! `logout` hears of sessions that have ended, and has `auth` refuse their tokens.
//!
//! `health` and `metrics` are for those who operate it, `openapi` and `docs` for those who call it.
//!
//! `cli`, `config`, `serve`, `dev` and `token` are the commands around it.

mod auth;
mod body;
mod cli;
mod config;
mod connection;
mod database;
mod database_url;
mod db_error;
mod dev;
mod docs;
mod health;
mod http;
mod idempotency;
mod limits;
mod log;
mod logout;
mod metrics;
mod migration;
mod observe;
mod openapi;
mod rate_limit;
mod router;
mod serve;
mod store;
mod tasks;
mod timestamp;
mod token;
mod unit_of_work;
mod writability;

use http::problem;

pub use cli::{Failure, main};
pub use logout::LogoutRules;
pub use router::{AppState, app};
