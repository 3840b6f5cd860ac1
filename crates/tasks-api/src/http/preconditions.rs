//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13), for any resource that counts its versions.

use axum::{extract::FromRequestParts, http::request::Parts};
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};

use super::problem::Problem;

/// What the client requires of the current version.
pub(crate) struct Preconditions {
    is_read: bool,
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
}

impl Preconditions {
    /// Whether the request requires nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// # Errors
    /// The resource is not in a required version: 412.
    pub(crate) fn check(&self, version: i64) -> Result<(), Problem> {
        let etag = etag(version);
        let matches = self.if_match.as_ref().is_none_or(|required| required.precondition_passes(&etag));
        // A read that fails this one is answered with 304 instead.
        let differs = self.is_read || !self.matches_if_none_match(&etag);
        if matches && differs { Ok(()) } else { Err(Problem::PreconditionFailed) }
    }

    /// Whether a client that reads has this version already: 304.
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
        // Not axum-extra's `Option<TypedHeader>`, in which an absent header is one that matches nothing.
        let invalid = |_| Problem::PreconditionFailed;
        Ok(Self {
            is_read: parts.method.is_safe(),
            if_match: parts.headers.typed_try_get().map_err(invalid)?,
            if_none_match: parts.headers.typed_try_get().map_err(invalid)?,
        })
    }
}

/// A strong tag for a version.
pub(crate) fn etag(version: i64) -> ETag {
    format!("\"{version}\"").parse().expect("digits in quotes are an entity tag")
}
