//! Path parameters.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;
use uuid::{Uuid, fmt::Hyphenated};

use super::problem::Problem;

/// The `{user_id}` of a path, for the OpenAPI document. The authentication layer reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the parameter")]
pub(crate) struct UserPath {
    /// The id of the user: the `sub` of the token
    #[param(min_length = 1, max_length = 255)]
    user_id: String,
}

/// The `{id}` of a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct IdPath {
    /// The id of the resource
    #[param(format = Uuid)]
    id: String,
}

/// Path parameters: axum's extractor, with 404 for a path that cannot be one of the resource.
pub(crate) struct PathParams<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(parameters)| Self(parameters)).map_err(|_| Problem::NotFound)
    }
}

/// The `{id}` of a resource, a UUID. Anything else is rejected with 404.
pub(crate) struct Id(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PathParams(IdPath { id }) = PathParams::from_request_parts(parts, state).await?;
        // Only the hyphenated form, so that a resource has one URL.
        id.parse::<Hyphenated>().map(|id| Self(id.into_uuid())).map_err(|_| Problem::NotFound)
    }
}

/// RFC 3986, section 2.3: all but the unreserved characters are encoded. So is `.`, so that no segment is `..`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// The path of a user's resources, such as `/api/ada/tasks`.
pub(crate) fn collection_path(user_id: &str, collection: &str) -> String {
    format!("/api/{}/{collection}", utf8_percent_encode(user_id, SEGMENT))
}
