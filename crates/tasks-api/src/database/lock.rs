//! One server for each SQLite file.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
};

use anyhow::{Context, bail};

use super::url::DatabaseUrl;

/// Makes this process the only server of a SQLite file, until the result is dropped or the process ends, however it ends.
///
/// A second one would keep accepting tokens of sessions whose logouts the first one has received: only PostgreSQL's
/// servers read each other's. The lock is on a file beside the database and not on the database itself, since closing a
/// file that SQLite has open releases SQLite's own locks.
pub(crate) fn lock(url: &DatabaseUrl) -> anyhow::Result<Option<File>> {
    let Some(file) = url.sqlite_file() else { return Ok(None) };
    // One name for one file, whatever links lead to it.
    let mut name = file.canonicalize().unwrap_or(file).into_os_string();
    name.push("-lock");
    let path = PathBuf::from(name);
    let cannot_lock = || {
        format!(
            "cannot lock {}; check DATABASE_URL, and that the directory exists and can be written to",
            path.display()
        )
    };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).with_context(cannot_lock)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => bail!(
            "another tasks-api serves this SQLite database already: it holds {}; stop it, or set DATABASE_URL to another \
             file, or to a PostgreSQL database, which several servers can share",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot_lock),
    }
}
