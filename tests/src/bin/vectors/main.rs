//! Runs the test vectors in a file. Prints a line `ID EXPECTED GOT` for each, and exits with 1 if any result differs.
//!
//!     cargo run -q -p system-tests --bin vectors -- ../shared/vectors/jws.json
//!
//! The file is a JSON array. The members of an element determine its kind:
//! - `token` and `jwks`: a signature, `valid` or `invalid`;
//! - `base64`: a JSON text that every parser must accept (`y`), must reject (`n`), or may accept or reject (`i`);
//! - `text`: a string to use as user id, key id and issuer.

mod json;
mod jws;
mod strings;

use std::{
    env, fs,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use serde_json::Value;

#[expect(clippy::print_stderr, reason = "a command line program reports errors to its user")]
fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vectors: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every vector gave the expected result.
fn run() -> Result<bool, String> {
    let file = env::args_os().nth(1).ok_or("usage: vectors FILE")?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let vectors: Vec<Value> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut output = io::stdout().lock();
    let mut all_agree = true;
    for vector in &vectors {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| evaluate(vector)));
        let Outcome { expected, got } = match outcome {
            Ok(outcome) => outcome?,
            Err(_) => Outcome { expected: text_of(vector, "expected")?.to_owned(), got: "panicked".to_owned() },
        };
        all_agree &= expected == got;
        writeln!(output, "{} {expected} {got}", text_of(vector, "id")?).map_err(|error| error.to_string())?;
    }
    Ok(all_agree)
}

/// The expected and the actual result of a vector.
struct Outcome {
    expected: String,
    got: String,
}

fn evaluate(vector: &Value) -> Result<Outcome, String> {
    let expected = text_of(vector, "expected")?;
    let (expected, got) = if vector.get("token").is_some() {
        let jwks = vector.get("jwks").ok_or("a vector with a token needs keys")?;
        (expected, if jws::verifies(text_of(vector, "token")?, jwks) { "valid" } else { "invalid" })
    } else if vector.get("base64").is_some() {
        (expected, if json::is_wrongly_accepted(text_of(vector, "base64")?, expected)? { "accepted" } else { expected })
    } else {
        ("ok", strings::evaluate(text_of(vector, "text")?))
    };
    Ok(Outcome { expected: expected.to_owned(), got: got.to_owned() })
}

fn text_of<'v>(vector: &'v Value, member: &str) -> Result<&'v str, String> {
    vector.get(member).and_then(Value::as_str).ok_or_else(|| format!("a vector has no `{member}`: {vector:.200}"))
}
