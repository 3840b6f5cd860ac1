//! Test data in `../shared`, relative to the root of the project. It is not part of the project.

use std::{
    env,
    io::{Write, stderr},
    path::{Path, PathBuf},
};

/// The file with this name. If it does not exist, prints a message and returns `None`.
///
/// # Panics
/// In CI, if it does not exist.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if file.exists() {
        return Some(file);
    }
    skip(&format!("../shared/{name} is missing, relative to the root of the project"));
    None
}

/// Prints that a test was skipped, with the reason, also if the test runner hides the output of passed tests.
///
/// # Panics
/// In CI, where no test may be skipped.
pub(crate) fn skip(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "with CI=true no test may be skipped: {reason}");
    // Not `eprintln!`, which the test runner captures.
    let _ = writeln!(stderr(), "SKIPPED a test: {reason}");
}
