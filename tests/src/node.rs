//! Node.js and the packages of the programs that run in it, a Better Auth first of all, installed on first use.
//!
//! Without Node.js the tests that need it are skipped with a message. With `CI=true` a skip is a failure.

use std::{
    env,
    fs::{self, File},
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

const OLDEST: u32 = 20;
const HOW_TO_RUN: &str = "install Node.js 20 or newer with npm, then run `cargo test -p system-tests`";

/// Whether a Better Auth can be started here. The first call installs its packages, which takes a minute or two
/// once, and says so; if the response is no, the first call says why and how to change it.
///
/// # Panics
/// In CI, if it cannot.
pub fn ready() -> bool {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    insist(READY.get_or_init(|| prepare(&home(), "the end-to-end tests with a real Better Auth")))
}

/// The same for a program of another directory, and the tests that need it.
///
/// # Panics
/// In CI, if it cannot run.
pub fn ready_for(home: &Path, tests: &str) -> bool {
    insist(&prepare(home, tests))
}

fn prepare(home: &Path, tests: &str) -> Result<(), String> {
    let ready = find().and_then(|()| install(home, tests));
    if let Err(reason) = &ready {
        say(&format!("SKIPPED {tests}: {reason}. To run them, {HOW_TO_RUN}."));
    }
    ready
}

fn insist(ready: &Result<(), String>) -> bool {
    if let Err(reason) = ready {
        assert!(env::var("CI").as_deref() != Ok("true"), "with CI=true no test may be skipped: {reason}");
    }
    ready.is_ok()
}

/// Where the Better Auth of these tests lives.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("better-auth")
}

fn find() -> Result<(), String> {
    let version = output_of(Command::new("node").arg("--version"))?;
    output_of(npm().arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(OLDEST..) => Ok(()),
        _ => Err(format!("Node.js {OLDEST} is needed and this is {}", version.trim())),
    }
}

fn install(home: &Path, tests: &str) -> Result<(), String> {
    let wanted = home.join("package-lock.json");
    let lock = File::open(&wanted).map_err(|error| format!("{} cannot be read: {error}", wanted.display()))?;
    // Several test runs may find the packages missing at once; one of them installs, the others wait here.
    lock.lock().map_err(|error| format!("{} cannot be locked: {error}", wanted.display()))?;
    if installed(home, &wanted) {
        return Ok(());
    }
    say(&format!("Installing packages for {tests} (npm ci in {}), which takes a while ...", home.display()));
    output_of(npm().arg("ci").current_dir(home)).map(|_| ())
}

/// npm writes the lock file in `node_modules` at the end of an installation.
fn installed(home: &Path, wanted: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified(&home.join("node_modules/.package-lock.json")) > modified(wanted)
}

fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`{program}` does not run ({error})"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Prints a message also in a test that passes, where the test runner captures `eprintln!`.
pub fn say(sentence: &str) {
    let _ = writeln!(stderr(), "{sentence}");
}
