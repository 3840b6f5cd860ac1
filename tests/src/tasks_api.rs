use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
};

use reqwest::{Client, Method, RequestBuilder};

use crate::{Process, response::client};

/// A running `tasks-api`.
#[derive(Debug)]
pub struct TasksApi {
    process: Process,
    url: String,
    client: Client,
}

impl TasksApi {
    /// Starts `program command` on a free port, with only these environment variables, and returns when it is ready.
    /// The database is in `directory`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(program: &str, command: &str, directory: &Path, environment: &[(&str, &str)]) -> Self {
        let address = free_address().to_string();
        let mut server = Command::new(program);
        server.arg(command).current_dir(directory);
        server.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path))).env("NO_COLOR", "1");
        // No load balancer sends requests while it stops.
        // If a test fails, its output says why requests were rejected.
        server.env("RUST_LOG", "info,better_auth_jwt=debug");
        server.env("TASKS_API_LISTEN", &address).env("TASKS_API_DRAIN_DELAY", "0s").envs(environment.iter().copied());
        let mut process = Process::start("tasks-api", &mut server);
        process.line(|line| line.contains(&address).then_some(())).await;
        Self { process, url: format!("http://{address}"), client: client() }
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A request without a token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Waits until the output contains a line with these words, and returns the output so far: the log, and what the
    /// command prints.
    ///
    /// # Panics
    /// If there is no such line within a minute.
    pub async fn output(&mut self, words: &str) -> String {
        self.process.line(|line| line.contains(words).then_some(())).await;
        self.process.output()
    }

    /// Stops the server and waits until it has exited.
    ///
    /// # Panics
    /// If it does not exit, or fails.
    pub async fn stop(self) {
        let status = self.process.stop().await;
        assert!(status.success(), "tasks-api exited with {status}");
    }
}

/// A free port. The operating system assigns ports at random, so it is unlikely to reuse this one soon.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound address")
}
