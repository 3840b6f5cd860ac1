//! The versions of the peers, from the lock file.

const LOCK: &str = include_str!("../Cargo.lock");

/// The locked version of a package; if there are several, the newest.
pub fn version(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    let mut newest = "";
    while lines.any(|line| line == name) {
        newest = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).unwrap_or(newest);
    }
    newest
}
