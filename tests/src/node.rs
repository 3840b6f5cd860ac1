//! Checks for Node.js, and installs the npm packages that the tests need, on first use.
//!
//! Without Node.js, the tests that need it are skipped with a message. With `CI=true` they fail instead.

use std::{
    env,
    fs::{self, File},
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

/// The supported lines of Better Auth, oldest first. Each has a directory, which pins its newest patch.
pub const LINES: [&str; 4] = ["1.4", "1.5", "1.6", NEWEST];
/// The line of all tests that are not about a certain line.
pub const NEWEST: &str = "1.7";

const MIN_VERSION: u32 = 20;
const HOW_TO_RUN: &str = "install Node.js 20 or newer with npm, then run `cargo test -p system-tests`";

/// Whether a Better Auth server can be started. The first call prints a message and installs the packages, which takes a
/// minute or two. If that is not possible, it prints the reason and what to install.
///
/// # Panics
/// In CI, if the server cannot be started.
pub fn ready() -> bool {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    require_in_ci(READY.get_or_init(|| prepare(&packages(), "the end-to-end tests with a real Better Auth")))
}

/// Like [`ready`], for the program in another directory. `tests` describes the tests that need it.
///
/// # Panics
/// In CI, if the program cannot run.
pub fn ready_for(home: &Path, tests: &str) -> bool {
    require_in_ci(&prepare(&[home.to_owned()], tests))
}

fn prepare(homes: &[PathBuf], tests: &str) -> Result<(), String> {
    let ready = find().and_then(|()| install_all(homes, tests));
    if let Err(reason) = &ready {
        print(&format!("SKIPPED {tests}: {reason}. To run them, {HOW_TO_RUN}."));
    }
    ready
}

fn require_in_ci(ready: &Result<(), String>) -> bool {
    if let Err(reason) = ready {
        assert!(env::var("CI").as_deref() != Ok("true"), "with CI=true no test may be skipped: {reason}");
    }
    ready.is_ok()
}

/// The directory of the Better Auth server.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("better-auth")
}

/// The directories with packages for Better Auth servers.
fn packages() -> Vec<PathBuf> {
    let lines = LINES.iter().flat_map(|line| [home().join(line), home().join(line).join("oauth-provider")]);
    [home()].into_iter().chain(lines).collect()
}

fn find() -> Result<(), String> {
    let version = output_of(Command::new("node").arg("--version"))?;
    output_of(npm().arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(MIN_VERSION..) => Ok(()),
        _ => Err(format!("Node.js {MIN_VERSION} or newer is required, and {} is installed", version.trim())),
    }
}

fn install_all(homes: &[PathBuf], tests: &str) -> Result<(), String> {
    thread::scope(|scope| {
        let installations: Vec<_> = homes.iter().map(|home| scope.spawn(move || install(home, tests))).collect();
        installations.into_iter().try_for_each(|installation| installation.join().expect("no panic"))
    })
}

fn install(home: &Path, tests: &str) -> Result<(), String> {
    let lock_file = home.join("package-lock.json");
    let lock = File::open(&lock_file).map_err(|error| format!("{} cannot be read: {error}", lock_file.display()))?;
    // Several test runs may need the packages at the same time: one of them installs them, and the others wait.
    lock.lock().map_err(|error| format!("{} cannot be locked: {error}", lock_file.display()))?;
    if installed(home, &lock_file) {
        return Ok(());
    }
    print(&format!("Installing packages for {tests} (npm ci in {}), which takes a while ...", home.display()));
    output_of(npm().arg("ci").current_dir(home)).map(|_| ())
}

/// npm writes its lock file in `node_modules` at the end of an installation.
fn installed(home: &Path, lock_file: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified(&home.join("node_modules/.package-lock.json")) > modified(lock_file)
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

/// Prints a message to standard error, also if the test passes: the test runner would capture `eprintln!`.
pub fn print(message: &str) {
    let _ = writeln!(stderr(), "{message}");
}
