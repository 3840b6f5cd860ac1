//! Runs the test vectors of a file. Prints `ID EXPECTED GOT` a line and exits with 1 if any of them differs.
//!
//!     cargo run -q -p system-tests --bin vectors -- ../shared/vectors/jws.json
//!
//! The file is a JSON array. The members of an element determine its kind:
//! - `token` and `jwks`: a signature, `valid` or `invalid`;
//! - `base64`: a JSON text that every parser must accept (`y`), must reject (`n`) or may do either with (`i`);
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
    let file = env::args_os().nth(1).ok_or("name a file of vectors")?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let vectors: Vec<Value> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut output = io::stdout().lock();
    let mut all_agree = true;
    for vector in &vectors {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| try_out(vector)));
        let Outcome { expected, got } = match outcome {
            Ok(outcome) => outcome?,
            Err(_) => Outcome { expected: text_of(vector, "expected")?.to_owned(), got: "panicked".to_owned() },
        };
        all_agree &= expected == got;
        writeln!(output, "{} {expected} {got}", text_of(vector, "id")?).map_err(|error| error.to_string())?;
    }
    Ok(all_agree)
}

/// What a vector should give, and what it gave.
struct Outcome {
    expected: String,
    got: String,
}

fn try_out(vector: &Value) -> Result<Outcome, String> {
    let expected = text_of(vector, "expected")?;
    let (expected, got) = if vector.get("token").is_some() {
        let jwks = vector.get("jwks").ok_or("a vector with a token needs keys")?;
        (expected, if jws::verifies(text_of(vector, "token")?, jwks) { "valid" } else { "invalid" })
    } else if vector.get("base64").is_some() {
        (expected, if json::is_let_through(text_of(vector, "base64")?, expected)? { "accepted" } else { expected })
    } else {
        ("ok", strings::try_out(text_of(vector, "text")?))
    };
    Ok(Outcome { expected: expected.to_owned(), got: got.to_owned() })
}

fn text_of<'v>(vector: &'v Value, member: &str) -> Result<&'v str, String> {
    vector.get(member).and_then(Value::as_str).ok_or_else(|| format!("a vector has no `{member}`: {vector:.200}"))
}
