//! Reads request bodies up to a size limit.

use std::error::Error;

use axum::body::{Body, Bytes, to_bytes};
use http_body_util::LengthLimitError;

use super::problem::Problem;

pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| match error.source() {
        Some(cause) if cause.is::<LengthLimitError>() => Problem::PayloadTooLarge,
        _ => Problem::InvalidJson("request body ended early".into()),
    })
}
