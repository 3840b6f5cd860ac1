//! The `{id}` of a path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::Deserialize;
use uuid::{Uuid, fmt::Hyphenated};

use super::problem::Problem;

/// The UUID of a resource. Anything else is the id of none: 404.
pub(crate) struct Id(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Parameters {
            id: String,
        }
        let Path(Parameters { id }) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::NotFound)?;
        // Other ways to write a UUID would be other URLs of the same resource.
        id.parse::<Hyphenated>().map(|id| Self(id.into_uuid())).map_err(|_| Problem::NotFound)
    }
}
