//! A SQLite database for each test.

use tempfile::TempDir;

pub(crate) use crate::sql::execute;

pub(crate) struct Database {
    url: String,
    _directory: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("tasks.db").display());
        Self { url, _directory: directory }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
