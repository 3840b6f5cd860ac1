//! The extractor for query parameters: axum's, with a [`Problem`] as its rejection.

use std::error::Error;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The query parameters. Invalid and unknown ones are rejected with 400.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| {
            let detail = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
            Problem::InvalidQuery(detail.into())
        })
    }
}
