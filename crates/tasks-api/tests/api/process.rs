//! The server as a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The program, in a directory of its own and with nothing configured.
pub(crate) fn tasks_api(directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasks-api"));
    command.current_dir(directory).env_clear();
    command
}

/// Runs the command to its end. One that does not end, such as a server that starts after all, is killed after 12 seconds.
pub(crate) fn run(command: &mut Command) -> Output {
    let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = process.id().to_string();
    let waiting = thread::spawn(move || process.wait_with_output().unwrap());
    let start = Instant::now();
    while !waiting.is_finished() && start.elapsed() < Duration::from_secs(12) {
        thread::sleep(Duration::from_millis(20));
    }
    if !waiting.is_finished() {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
    }
    waiting.join().unwrap()
}

/// A server that serves; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts `command`, whose standard error is the log.
    pub(crate) fn start(mut command: Command) -> Self {
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
        Self { process, address, log: Some(thread::spawn(move || read_on(log, stderr))) }
    }

    pub(crate) fn serve(directory: &tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let mut command = tasks_api(directory);
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
        Self::start(command)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends the server a signal, and goes on.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap().success());
    }

    /// Asks the server to stop, and says how long it took and what it logged.
    pub(crate) fn stop(mut self, signal: &str) -> (Duration, String) {
        let start = Instant::now();
        self.signal(signal);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        (start.elapsed(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// To the end, lest the server wait for a reader.
fn read_on(mut log: String, mut stderr: BufReader<ChildStderr>) -> String {
    let _ = stderr.read_to_string(&mut log);
    log
}
