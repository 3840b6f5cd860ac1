use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Node.js starts slowly while other tests use the CPU.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A program that a test started.
///
/// Dropping it stops the program, and kills it after ten seconds. If the test fails, the output is printed.
/// The program's standard input is closed when the test ends, so a program can exit with the test.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command`. `name` is for messages.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::default();
        record(child.stdout.take().expect("a pipe"), Arc::clone(&output));
        record(child.stderr.take().expect("a pipe"), Arc::clone(&output));
        Self { name, child, output }
    }

    /// Waits for the first line in which `find` finds something.
    ///
    /// # Panics
    /// If the program exits, or a minute passes, without such a line.
    pub async fn line<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = self.output().lines().find_map(&find) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("{} exited with {status}", self.name);
            }
            assert!(start.elapsed() < START_TIMEOUT, "{} did not become ready in time", self.name);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The output so far, of standard output and standard error.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the program and waits until it has exited.
    ///
    /// # Panics
    /// If it has not exited after ten seconds.
    pub async fn stop(mut self) -> ExitStatus {
        terminate(&mut self.child);
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(start.elapsed() < STOP_TIMEOUT, "{} did not stop in time", self.name);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        terminate(&mut self.child);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < STOP_TIMEOUT {
            thread::sleep(POLL_INTERVAL);
        }
        // Both fail if the program has already exited, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            report(self.name, &self.output());
        }
    }
}

/// Records the output of a program. A full pipe would block the program.
fn record(pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&String::from_utf8_lossy(&line));
            output.push('\n');
        }
    });
}

#[cfg(unix)]
fn terminate(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};

    // The id of a child that has exited may be reused by another process.
    if matches!(child.try_wait(), Ok(None)) {
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}

#[expect(clippy::print_stderr, reason = "the test's report, which the test runner shows for failed tests only")]
fn report(name: &str, output: &str) {
    eprintln!("---- {name} wrote ----\n{output}");
}
