use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use crate::shared_data;

#[test]
fn every_published_signature_gets_the_expected_verdict() {
    all_agree("vectors/jws.json", 215);
}

#[test]
fn invalid_json_is_never_accepted_as_a_header_claims_or_keys() {
    all_agree("vectors/json.json", 158);
}

#[test]
fn every_naughty_string_can_be_a_user_id_and_matches_its_own_path_only() {
    all_agree("vectors/strings.json", 258);
}

#[test]
fn a_failing_vector_is_reported() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let vectors = json!([
        { "id": "json-is-let-through", "expected": "n", "base64": "e30=" },
        { "id": "json-is-fine", "expected": "y", "base64": "e30=" },
        { "id": "unsigned", "expected": "valid", "token": "e30.e30.AA", "jwks": { "keys": [] } },
    ]);
    fs::write(&file, vectors.to_string()).expect("a vector file");
    let output = run(file.path());
    let lines = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        ["json-is-let-through n accepted", "json-is-fine y y", "unsigned valid invalid"]
    );
    assert_eq!(output.status.code(), Some(1));
}

fn all_agree(file: &str, at_least: usize) {
    let Some(file) = shared_data::file(file) else { return };
    let output = run(&file);
    let lines = String::from_utf8_lossy(&output.stdout);
    let differing: Vec<_> = lines.lines().filter(|line| !agrees(line)).collect();
    assert!(differing.is_empty(), "ID EXPECTED GOT\n{}", differing.join("\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(lines.lines().count() >= at_least, "only {} vectors were run", lines.lines().count());
}

fn agrees(line: &str) -> bool {
    let mut words = line.rsplit(' ');
    words.next() == words.next()
}

fn run(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vectors")).arg(file).output().expect("the vectors program")
}
