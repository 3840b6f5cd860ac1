//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13), for any resource with a version number.

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};
use utoipa::IntoParams;

use super::problem::Problem;

/// The preconditions of a request.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Preconditions {
    #[param(ignore)]
    is_read: bool,
    /// Only if the current ETag is one of these
    #[param(rename = "If-Match", value_type = String, required = false)]
    if_match: Option<IfMatch>,
    /// Only if the current ETag is none of these
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    if_none_match: Option<IfNoneMatch>,
}

impl Preconditions {
    /// Whether the request has no preconditions.
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// # Errors
    /// 412 if this version does not satisfy the preconditions.
    pub(crate) fn check(&self, version: i64) -> Result<(), Problem> {
        let etag = etag(version);
        let matches = self.if_match.as_ref().is_none_or(|required| required.precondition_passes(&etag));
        // A read whose If-None-Match fails gets 304 instead.
        let differs = self.is_read || !self.matches_if_none_match(&etag);
        if matches && differs { Ok(()) } else { Err(Problem::PreconditionFailed) }
    }

    /// Whether the request is a read by a client that already has this version: 304.
    pub(crate) fn is_not_modified(&self, version: i64) -> bool {
        self.is_read && self.matches_if_none_match(&etag(version))
    }

    fn matches_if_none_match(&self, etag: &ETag) -> bool {
        self.if_none_match.as_ref().is_some_and(|excluded| !excluded.precondition_passes(etag))
    }
}

impl<S: Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Not axum-extra's `Option<TypedHeader>`: it decodes an absent header like an empty one, which matches no ETag.
        let invalid = |_| Problem::PreconditionFailed;
        Ok(Self {
            is_read: parts.method.is_safe(),
            if_match: parts.headers.typed_try_get().map_err(invalid)?,
            if_none_match: parts.headers.typed_try_get().map_err(invalid)?,
        })
    }
}

/// The strong entity tag of a version.
/// A response with the `ETag` of a version.
pub(crate) struct Versioned<T> {
    pub(crate) version: i64,
    pub(crate) content: T,
}

impl<T: IntoResponse> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = self.content.into_response();
        response.headers_mut().typed_insert(etag(self.version));
        response
    }
}

/// The strong entity tag of a version.
fn etag(version: i64) -> ETag {
    format!("\"{version}\"").parse().expect("digits in quotes are an entity tag")
}
