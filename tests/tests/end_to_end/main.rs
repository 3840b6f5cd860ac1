//! The project's programs as they meet each other: processes on loopback, and HTTP between them.

mod dev;
mod keys;
mod refusals;
mod rotation;
mod tasks;
mod world;
