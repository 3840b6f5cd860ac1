//! `dev` and the curl commands it prints; the log and the shutdown of `serve`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    process::{self, tasks_api},
    test_app::{SECRET, token},
};

/// A server started by `dev`; killed when dropped.
struct Server {
    process: Child,
    /// The lines printed before it was ready.
    printed: Vec<String>,
}

impl Server {
    fn dev(directory: &tempfile::TempDir) -> Self {
        let mut process = tasks_api(directory)
            .args(["dev", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut printed = Vec::new();
        for line in lines {
            let done = line.starts_with("Ctrl-C");
            printed.push(line);
            if done {
                break;
            }
        }
        Self { process, printed }
    }

    fn curl_commands(&self) -> Vec<&str> {
        self.printed.iter().map(String::as_str).filter(|line| line.starts_with("curl")).collect()
    }

    /// Sends a signal, waits for the exit, and returns how long it took.
    fn stop(mut self, signal: &str) -> Duration {
        let start = Instant::now();
        Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        start.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).env("NO_PROXY", "*").output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("JSON: {text}"))
}

#[test]
fn printed_curl_commands_work_and_tasks_survive_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::dev(&directory);
    let curl_commands: Vec<String> = server.curl_commands().iter().map(|&line| line.to_owned()).collect();
    let [health, create, list, read, replace, complete, delete] = curl_commands.as_slice() else {
        panic!("{curl_commands:#?}")
    };

    assert_eq!(shell(health), "ok\n");
    let created = parse_json(&shell(create));
    assert_eq!((created["title"].as_str(), created["completed"].as_bool()), (Some("Buy milk"), Some(false)));
    assert!(parse_json(&shell(list))["items"].as_array().unwrap().contains(&created));
    let task = parse_json(&shell(read));
    let replaced = parse_json(&shell(replace));
    assert_eq!((&replaced["id"], replaced["description"].as_str()), (&task["id"], Some("Replaced")));
    assert_eq!(parse_json(&shell(complete))["completed"], true);
    assert_eq!(parse_json(&shell(complete))["completed"], false);
    assert!(shell(delete).starts_with("HTTP/1.1 204"));
    assert!(server.stop("-INT") < Duration::from_secs(8));

    let restarted = Server::dev(&directory);
    let [_, _, list, read, ..] = restarted.curl_commands()[..] else { panic!() };
    let items = parse_json(&shell(list));
    assert!(items["items"].as_array().unwrap().contains(&created), "{items}");
    assert_eq!(parse_json(&shell(read))["completed"], false, "the example task is created again");
}

#[test]
fn serve_logs_one_line_per_request_without_paths_or_tokens_and_exits_successfully_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let server = process::Server::serve(&directory, &[("BETTER_AUTH_SECRET", SECRET)]);
    let address = server.address.clone();
    let token = token("ada-the-user");
    let list = shell(&format!(
        "curl -sS -H 'Authorization: Bearer {token}' -H 'X-Request-Id: mine' http://{address}/api/ada-the-user/tasks"
    ));
    assert_eq!(parse_json(&list), json!({ "items": [], "next_cursor": null }));
    // An idle connection must not delay the shutdown.
    let idle = std::net::TcpStream::connect(&address).unwrap();
    let (took, log) = server.stop("-TERM");
    assert!(took < Duration::from_secs(4), "{took:?}");
    drop(idle);

    assert!(log.contains("BETTER_AUTH_URL"), "a warning says that iss and aud are not checked");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("request_id=mine")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["GET", "/api/{user_id}/tasks", "status=200", "latency"] {
        assert!(lines[0].contains(part), "{log}");
    }
    assert!(!log.contains(&token) && !log.contains("ada-the-user") && !log.contains(SECRET), "{log}");
}

#[test]
fn json_log_contains_request_span() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_LOG", "json")];
    let server = process::Server::serve(&directory, &environment);
    shell(&format!("curl -sS -H 'X-Request-Id: mine' http://{}/api/ada/tasks", server.address));
    let (_, log) = server.stop("-INT");
    let lines: Vec<Value> = log.lines().map(parse_json).collect();
    let request = lines.iter().find(|line| line["span"]["request_id"] == "mine").unwrap_or_else(|| panic!("{log}"));
    assert_eq!(
        (&request["span"]["route"], &request["status"], &request["level"]),
        (&json!("/api/{user_id}/tasks"), &json!(401), &json!("INFO"))
    );
}
