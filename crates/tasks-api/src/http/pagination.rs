//! Pages of a list, for any resource: their size, and the cursors that lead from one to the next.

use std::borrow::Cow;

use aws_lc_rs::digest;
use axum::{
    http::{HeaderName, header::LINK},
    response::AppendHeaders,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Error;

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

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than a `u64` holds are still a number above the maximum.
        match text.parse().unwrap_or(u64::MAX) {
            limit @ 1.. if is_number => Ok(Self(limit.min(Self::MAX))),
            _ => Err(de::Error::custom("limit must be an integer of at least 1")),
        }
    }
}

/// A cursor: where a page ended, and a hash of it and of `list`, which is all that makes lists different.
///
/// The hash is not secret. It prevents that a cursor is used with another list by mistake.
pub(crate) fn encode_cursor(position: &impl Serialize, list: &impl Serialize) -> Result<String, Error> {
    let position = serde_json::to_vec(position)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&serde_json::to_vec(list)?);
    hash.update(&position);
    Ok(URL_SAFE_NO_PAD.encode([&hash.finish().as_ref()[..8], &position].concat()))
}

/// The position in a cursor of this list; `None` for anything else.
pub(crate) fn decode_cursor<P>(cursor: &str, list: &impl Serialize) -> Option<P>
where
    P: Serialize + for<'de> Deserialize<'de>,
{
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let position = serde_json::from_slice(bytes.get(8..)?).ok()?;
    (encode_cursor(&position, list).ok()? == cursor).then_some(position)
}

/// RFC 8288. The target has no scheme and host, since the server does not know its name outside.
pub(crate) fn next_link(path: &str, query: &str) -> AppendHeaders<[(HeaderName, String); 1]> {
    AppendHeaders([(LINK, format!("<{path}?{query}>; rel=\"next\""))])
}
