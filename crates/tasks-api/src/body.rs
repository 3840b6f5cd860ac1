//! Reading a request's body within a limit.

use axum::body::{Body, Bytes, to_bytes};

use crate::problem::Problem;

/// The largest body of a request.
pub(crate) const LIMIT: usize = 64 * 1024;

/// The largest body of a logout, which comes without a bearer token.
pub(crate) const LOGOUT_LIMIT: usize = 16 * 1024;

pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| {
        let too_large =
            std::error::Error::source(&error).is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if too_large { Problem::PayloadTooLarge } else { Problem::InvalidJson("the request body ended early".into()) }
    })
}
