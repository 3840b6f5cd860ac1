//! Pagination of lists, for any resource: page size and cursors.

use std::borrow::Cow;

use aws_lc_rs::digest;
use axum::{
    http::{HeaderName, header::LINK},
    response::AppendHeaders,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Error;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::problem::Problem;

/// The size of a page: the query parameter `limit`.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Limit(u64);

impl Limit {
    pub(crate) const MAX: u64 = 100;

    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

/// Any integer from 1 on, without the `format` that utoipa derives: larger ones are accepted, too.
impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        let limit =
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).default(Some(Self::default().0.into()));
        limit.build().into()
    }
}

impl ToSchema for Limit {}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number too large for `u64` is above the maximum, too.
        match text.parse().unwrap_or(u64::MAX) {
            limit @ 1.. if is_number => Ok(Self(limit.min(Self::MAX))),
            _ => Err(de::Error::custom("limit must be an integer of at least 1")),
        }
    }
}

/// A cursor: the position where a page ended, and a hash of it and of `list`, the parameters that identify the list.
///
/// The hash is not secret. It detects a cursor that is used with another list by mistake.
pub(crate) fn encode_cursor(position: &impl Serialize, list: &impl Serialize) -> Result<String, Error> {
    let position = serde_json::to_vec(position)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&serde_json::to_vec(list)?);
    hash.update(&position);
    Ok(URL_SAFE_NO_PAD.encode([&hash.finish().as_ref()[..8], &position].concat()))
}

/// The position in the cursor; `None` if it is not a cursor of this list.
pub(crate) fn decode_cursor<P>(cursor: &str, list: &impl Serialize) -> Option<P>
where
    P: Serialize + for<'de> Deserialize<'de>,
{
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let position = serde_json::from_slice(bytes.get(8..)?).ok()?;
    (encode_cursor(&position, list).ok()? == cursor).then_some(position)
}

/// `Link: rel="next"` (RFC 8288), to the same path with the query of the next page. The target is relative, since the server
/// does not know its public host name.
pub(crate) fn next_link(
    path: &str,
    next: &impl Serialize,
) -> Result<AppendHeaders<[(HeaderName, String); 1]>, Problem> {
    let query = serde_urlencoded::to_string(next).map_err(|_| Problem::Internal)?;
    Ok(AppendHeaders([(LINK, format!("<{path}?{query}>; rel=\"next\""))]))
}
