use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
};

use super::entity::Model;
use crate::problem::Problem;

/// `If-Match` and `If-None-Match` (RFC 9110, section 13).
pub(crate) struct Preconditions {
    is_read: bool,
    if_match: Option<Vec<String>>,
    if_none_match: Option<Vec<String>>,
}

impl Preconditions {
    /// Does the request say nothing about the task's state?
    pub(super) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// May the request go on, the task being as it is?
    pub(super) fn allow(&self, row: &Model) -> Result<(), Problem> {
        if self.is_empty() {
            return Ok(());
        }
        let tag = tag(row);
        // A weak tag never matches here: `If-Match` compares strongly.
        let named = self.if_match.as_ref().is_none_or(|tags| tags.iter().any(|given| given == "*" || *given == tag));
        if named && (self.is_read || !self.excluded(&tag)) { Ok(()) } else { Err(Problem::PreconditionFailed) }
    }

    /// Does a reading client have the task already?
    pub(super) fn client_has(&self, row: &Model) -> bool {
        self.is_read && self.if_none_match.is_some() && self.excluded(&tag(row))
    }

    fn excluded(&self, tag: &str) -> bool {
        let same = |given: &String| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag;
        self.if_none_match.as_ref().is_some_and(|tags| tags.iter().any(same))
    }
}

impl<S: Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            is_read: parts.method.is_safe(),
            if_match: tags(&parts.headers, IF_MATCH),
            if_none_match: tags(&parts.headers, IF_NONE_MATCH),
        })
    }
}

/// A strong tag: one for each version of the task.
pub(super) fn etag(row: &Model) -> HeaderValue {
    HeaderValue::from_str(&tag(row)).expect("digits in quotes are visible ASCII")
}

fn tag(row: &Model) -> String {
    ["\"", &row.version.to_string(), "\""].concat()
}

/// Our own tags hold no comma, so a list can be cut at each; what is not one of ours matches nothing.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let values = headers.get_all(name);
    values.iter().next()?;
    let tags = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    Some(tags.map(|tag| tag.trim().to_owned()).collect())
}
