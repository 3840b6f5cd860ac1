use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// Where a page ended: the id of its last task, and a digest of whose list it is and how that was filtered.
///
/// The digest is no secret. It keeps a cursor from being used with another list by mistake; what a list shows is decided by the token alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) after: Uuid,
    digest: [u8; 8],
}

impl Cursor {
    pub(crate) fn new(after: Uuid, user: &str, filter: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        // The length keeps user and filter apart.
        context.update(&(user.len() as u64).to_be_bytes());
        for part in [user.as_bytes(), filter.as_bytes(), after.as_bytes()] {
            context.update(part);
        }
        let whole = context.finish();
        let mut digest = [0; 8];
        digest.copy_from_slice(&whole.as_ref()[..8]);
        Self { after, digest }
    }

    /// Reads a cursor of this very list; `None` for anything else.
    pub(crate) fn of_list(text: &str, user: &str, filter: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let after = Uuid::from_slice(bytes.get(..16)?).ok()?;
        let cursor = Self::new(after, user, filter);
        (bytes[16..] == cursor.digest).then_some(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode([self.after.as_bytes().as_slice(), &self.digest].concat()))
    }
}
