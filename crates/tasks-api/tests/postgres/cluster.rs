//! A PostgreSQL of our own, thrown away at the end.

use std::{
    env, fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use url::Url;

pub(crate) struct Cluster {
    programs: PathBuf,
    /// The shell removes it; dropping it does so, too, but a static is never dropped.
    directory: TempDir,
    /// PostgreSQL refuses to run as root.
    user: Option<u32>,
    keeper: Option<Child>,
}

impl Cluster {
    /// `None` if PostgreSQL is not on this machine.
    pub(crate) fn new() -> Option<Self> {
        let programs = programs()?;
        // Short, for the socket in it: its name has at most 107 bytes.
        let directory = tempfile::Builder::new().prefix("tasks-pg-").tempdir_in("/tmp").unwrap();
        let user = unprivileged_user();
        chown(directory.path(), user, None).unwrap();
        let mut cluster = Self { programs, directory, user, keeper: None };
        let initdb = cluster
            .command("initdb")
            .args(["-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"])
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{initdb:?}");
        cluster.start();
        Some(cluster)
    }

    pub(crate) fn url(&self) -> Url {
        let url = format!("postgres://postgres@localhost/postgres?host={}", self.directory.path().display());
        url.parse().unwrap()
    }

    /// Starts PostgreSQL, or wakes it up.
    pub(crate) fn start(&mut self) {
        if self.keeper.is_some() {
            self.signal("-CONT");
            return;
        }
        // A shell holds PostgreSQL, and we hold the shell's standard input: however this process ends, the shell notices.
        const KEEP: &str = r#"
            "$0" -D data -c listen_addresses= -c unix_socket_directories="$PWD" -c fsync=off -c max_connections=200 </dev/null >>log 2>&1 &
            if read -r signal; then kill "-$signal" $!; wait $!; else kill -QUIT $!; wait $!; rm -rf "$PWD"; fi"#;
        let postgres = self.programs.join("postgres");
        let keeper = self
            .command("sh")
            .arg("-c")
            .arg(KEEP)
            .arg(postgres)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        let start = Instant::now();
        while !self
            .command("psql")
            .args(["-h", self.directory.path().to_str().unwrap(), "-U", "postgres", "-c", "SELECT 1"])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `INT` ends PostgreSQL in order, `KILL` as a crash does, and after `STOP` it is there but says nothing.
    pub(crate) fn stop(&mut self, signal: &str) {
        if signal == "STOP" {
            self.signal("-STOP");
            return;
        }
        let mut keeper = self.keeper.take().unwrap();
        writeln!(keeper.stdin.take().unwrap(), "{signal}").unwrap();
        keeper.wait().unwrap();
    }

    /// To PostgreSQL and all its processes.
    fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.directory.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            // A process may end meanwhile.
            let all = format!("kill {signal} {pid} $(cat /proc/{pid}/task/{pid}/children)");
            let _ = Command::new("sh").args(["-c", &all]).stderr(Stdio::null()).status();
        }
    }

    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = Command::new(if path.exists() { path } else { program.into() });
        command.current_dir(self.directory.path());
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // A test may have failed while it was stopped.
            self.signal("-CONT");
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Where `initdb` and `postgres` are: many systems keep them off the path.
fn programs() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter_map(|directory| fs::canonicalize(directory.join("postgres")).ok());
    on_path
        .filter_map(|postgres| postgres.parent().map(Path::to_owned))
        .chain(asked)
        .chain(versions.map(|version| version.path().join("bin")))
        .find(|directory| ["initdb", "postgres", "psql"].iter().all(|program| directory.join(program).exists()))
}

/// The user for programs that refuse to run as root, if this one does.
pub(crate) fn unprivileged_user() -> Option<u32> {
    (id(&["-u"]) == Some(0)).then(|| id(&["-u", "postgres"]).or_else(|| id(&["-u", "nobody"])).unwrap())
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
