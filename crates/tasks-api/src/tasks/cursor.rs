use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{
    entity::Model,
    shapes::{PageRequest, Sort},
};

/// Where a page ended: at this task, or where it would be if it is gone by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) id: Uuid,
    /// Empty unless the list is sorted by it.
    pub(crate) title: String,
}

impl Cursor {
    pub(crate) fn after(row: &Model, sort: Sort) -> Self {
        Self { id: row.id, title: if sort.by_title { row.title.clone() } else { String::new() } }
    }

    /// The cursor as text: itself, and a digest of whose list it is and how that is filtered and sorted.
    ///
    /// The digest is no secret. It keeps a cursor from being used with another list by mistake; what a list shows is decided by the token alone.
    pub(crate) fn write(&self, user: &str, list: &PageRequest) -> String {
        let completed = format!("{:?}", list.completed);
        let sort = format!("{:?}", list.sort);
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [user, &completed, &sort, &list.q, &self.title] {
            // The length keeps the parts apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(self.id.as_bytes());
        let digest = context.finish();
        URL_SAFE_NO_PAD.encode([self.id.as_bytes(), &digest.as_ref()[..8], self.title.as_bytes()].concat())
    }

    /// Reads a cursor of this very list; `None` for anything else, another way to write the same included.
    pub(crate) fn read(text: &str, user: &str, list: &PageRequest) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let id = Uuid::from_slice(bytes.get(..16)?).ok()?;
        let title = String::from_utf8(bytes.get(24..)?.to_vec()).ok()?;
        let cursor = Self { id, title };
        (cursor.write(user, list) == text).then_some(cursor)
    }
}
