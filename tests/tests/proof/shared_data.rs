//! Data in `../shared`, relative to the root of the project, that is not part of it.

use std::{
    env,
    io::{Write, stderr},
    path::{Path, PathBuf},
};

/// The file of that name, if it is there; if not, says so.
///
/// # Panics
/// In CI, if it is not.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if file.exists() {
        return Some(file);
    }
    skip(&format!("../shared/{name} is missing, relative to the root of the project"));
    None
}

/// Says that a test was skipped and why, also in a run that shows no output of tests that pass.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub(crate) fn skip(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "with CI=true no test may be skipped: {reason}");
    // Not `eprintln!`, which the test runner captures.
    let _ = writeln!(stderr(), "SKIPPED a proof: {reason}");
}
