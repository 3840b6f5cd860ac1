//! Runs `tasks-api` as a separate process.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The program, run in `directory` with an empty environment.
pub(crate) fn tasks_api(directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasks-api"));
    command.current_dir(directory).env_clear();
    command
}

/// Runs the command until it exits. It is killed after 12 seconds, for instance if a server starts unexpectedly.
pub(crate) fn run(command: &mut Command) -> Output {
    let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = process.id().to_string();
    let wait = thread::spawn(move || process.wait_with_output().unwrap());
    let start = Instant::now();
    while !wait.is_finished() && start.elapsed() < Duration::from_secs(12) {
        thread::sleep(Duration::from_millis(20));
    }
    if !wait.is_finished() {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
    }
    wait.join().unwrap()
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    unread: Option<(String, BufReader<ChildStderr>)>,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts `command`, whose standard error is the log.
    pub(crate) fn start(command: Command) -> Self {
        let mut server = Self::start_with_unread_log(command);
        if let Some((log, stderr)) = server.unread.take() {
            server.log = Some(thread::spawn(move || read_to_end(log, stderr)));
        }
        server
    }

    /// Starts `command`, and reads its log up to the address that the server listens on.
    pub(crate) fn start_with_unread_log(mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut log = String::new();
        let address = loop {
            let read = log.len();
            assert_ne!(stderr.read_line(&mut log).unwrap(), 0, "no address in {log}");
            if let Some((_, address)) = log[read..].split_once("127.0.0.1:") {
                let port: String = address.chars().take_while(char::is_ascii_digit).collect();
                break format!("127.0.0.1:{port}");
            }
        };
        Self { process, address, unread: Some((log, stderr)), log: None }
    }

    pub(crate) fn serve(directory: &tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let mut command = tasks_api(directory);
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
        Self::start(command)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal and returns immediately.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap().success());
    }

    /// Sends a signal, waits for the exit, and returns how long it took and the log.
    pub(crate) fn stop(self, signal: &str) -> (Duration, String) {
        let (status, time, log) = self.wait_after(signal);
        assert!(status.success(), "{status}");
        (time, log)
    }

    /// Sends a signal and waits until the server exits.
    pub(crate) fn wait_after(mut self, signal: &str) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        self.signal(signal);
        let status = self.process.wait().unwrap();
        let log = self.log.take().map(|log| log.join().unwrap()).unwrap_or_default();
        (status, start.elapsed(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads the rest of the log, so that the server never blocks on a full pipe.
fn read_to_end(mut log: String, mut stderr: BufReader<ChildStderr>) -> String {
    let _ = stderr.read_to_string(&mut log);
    log
}
