//! For those who operate the server, and those who call it: probes, metrics, documentation.

pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
