//! Fetching a key set with reqwest.

use super::{FetchError, JwksRequest, JwksResponse, response::FetchFunction};
use crate::http_endpoint::{HttpEndpoint, HttpError};

/// A function that fetches the document of this endpoint once. The caller limits the time.
pub(super) fn fetch_function(endpoint: HttpEndpoint, max_body_size: usize) -> FetchFunction {
    Box::new(move |request| Box::pin(fetch(endpoint.clone(), request, max_body_size)))
}

async fn fetch(endpoint: HttpEndpoint, request: JwksRequest, max_body_size: usize) -> Result<JwksResponse, FetchError> {
    let response = endpoint.get(request.headers(), max_body_size).await?;
    JwksResponse::from_parts(response.status, &response.headers, response.body)
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connection(reason) => Self::Connection(reason),
            HttpError::Timeout => Self::Timeout,
            HttpError::Redirected => Self::Redirect,
            HttpError::TooLarge => Self::TooLarge,
        }
    }
}
