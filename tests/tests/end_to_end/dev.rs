//! `tasks-api dev`, as in the README.

use std::process::Command;

use serde_json::Value;
use system_tests::TasksApi;

use crate::world::TASKS_API;

#[tokio::test]
async fn the_curl_lines_that_dev_prints_work_when_pasted_and_the_tasks_are_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = || TasksApi::start(TASKS_API, "dev", directory.path(), &[]);

    let mut dev = start().await;
    let lines = curl_lines(&mut dev).await;
    let before = list(&lines);
    for line in &lines {
        paste(line);
    }
    let after = list(&lines);
    assert_ne!(before, after, "one of the lines creates a task");
    dev.stop().await;

    let mut dev = start().await;
    let still_there = list(&curl_lines(&mut dev).await);
    assert!(after.iter().all(|task| still_there.contains(task)), "{still_there:?} lacks some of {after:?}");
    dev.stop().await;
}

async fn curl_lines(dev: &mut TasksApi) -> Vec<String> {
    let output = dev.output("Ctrl-C").await;
    output.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

/// The tasks, from the line that lists them.
fn list(lines: &[String]) -> Vec<Value> {
    let mut responses =
        lines.iter().filter(|line| !line.contains(" -X ")).filter_map(|line| serde_json::from_str(&paste(line)).ok());
    let list: Value = responses.find(|body: &Value| body["items"].is_array()).expect("a line that lists the tasks");
    list["items"].as_array().cloned().unwrap_or_default()
}

/// Runs a line in a shell, without proxies. The test fails if the response is an error.
fn paste(line: &str) -> String {
    let strict = line.replacen("curl", "curl --fail-with-body", 1);
    let output = Command::new("sh").args(["-c", &strict]).env("NO_PROXY", "*").output().expect("a shell");
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
