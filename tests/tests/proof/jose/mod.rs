//! Verifies thousands of tokens with this library and with jose, which Better Auth uses. Most tokens have one to three
//! changes. A token that jose rejects must be rejected here too; if jose accepts a token and we reject it, there must be a
//! [`Reason`].

mod changes;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use better_auth_jwt::{ErrorKind, Verifier, keys::Algorithm, test_util::Issuer};
use serde_json::{Value, json};
use system_tests::node;

use self::changes::Change;
use crate::{rng::Rng, verdict};

const ORIGIN: &str = "https://app.example.com";
const NOW: u64 = 1_800_000_000;

/// The number of tokens with several changes for each issuer, in addition to one for each single change.
const MIXED: usize = 400;

#[test]
fn nothing_that_jose_rejects_is_accepted_and_every_other_difference_has_a_reason() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("jose");
    if !node::ready_for(&home, "the comparison with jose") {
        return;
    }
    let changes = changes::all();
    let cases = cases(&changes);
    let (mut accepted, mut rejected, mut explained) = (0, 0, BTreeSet::new());
    for (case, theirs) in cases.iter().zip(verdicts_of_jose(&home, &cases)) {
        match (verdict::of(&case.verifier, &case.token), &*theirs) {
            (Ok(_), "accept") => accepted += 1,
            (Err(_), rejection) if rejection != "accept" => rejected += 1,
            (Ok(_), _) => panic!("we accept what jose rejects ({theirs}): {}", case.description()),
            (Err(ours), _) => {
                let explanation = case.changes.iter().find(|change| change.explains(ours));
                let explanation = explanation
                    .unwrap_or_else(|| panic!("we reject ({ours:?}) what jose accepts: {}", case.description()));
                if case.changes.len() == 1 {
                    explained.insert(&explanation.name);
                }
            }
        }
    }
    let unneeded: Vec<_> = changes
        .iter()
        .filter(|change| change.stricter.is_some())
        .map(|change| &change.name)
        .filter(|name| !explained.contains(name))
        .collect();
    assert!(unneeded.is_empty(), "jose is as strict as we are: {unneeded:?}");
    assert!(accepted > 400 && rejected > 3000, "{accepted} accepted by both and {rejected} rejected by both");
}

/// Why we reject a token that jose accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// jose accepts padding, whitespace and non-zero unused bits, which RFC 7515, section 2, does not allow.
    Base64,
    /// jose ignores a byte order mark, and accepts lone surrogates.
    Text,
    /// If a member is duplicated, jose uses the last one, and other parsers use the first one.
    Duplicate,
    /// We accept JSON with up to 32 nested levels.
    Depth,
    /// We accept tokens of up to 8 KiB, headers of up to 2 KiB, and key ids of up to 256 bytes.
    Size,
    /// jose does not check the types of members that it does not use, such as `kid`, `typ` and `sub`.
    Type,
    /// jose supports `b64`, and ignores it if `crit` does not list it.
    Critical,
    /// jose compares `typ` only if configured. Better Auth signs other tokens with the same keys (RFC 8725, section 3.11).
    Typ,
    /// The payload is another token, which jose leaves to its caller.
    Nested,
    /// jose accepts negative and infinite dates, and dates after the year 9999.
    Date,
    /// We round fractions of a second towards rejection.
    Fraction,
    /// jose checks `iat` only if a maximum age is configured.
    Future,
    /// jose accepts an audience in an array with invalid elements, or with any number of elements.
    Audience,
    /// We reject an empty `sub`.
    NoUser,
    /// jose does not verify the proof of possession that `cnf` requires (RFC 7800).
    KeyBound,
    /// The token of a client, not of a user (RFC 9700, section 4.15).
    Client,
}

impl Reason {
    /// Whether our error corresponds to this reason.
    fn matches(self, kind: ErrorKind) -> bool {
        match self {
            Self::Base64 | Self::Text | Self::Duplicate | Self::Depth => kind == ErrorKind::Malformed,
            Self::Size => matches!(kind, ErrorKind::TokenTooLarge | ErrorKind::Malformed),
            Self::Type => matches!(kind, ErrorKind::Malformed | ErrorKind::InvalidClaims),
            Self::Critical => kind == ErrorKind::UnsupportedCriticalHeader,
            Self::Typ | Self::Nested => kind == ErrorKind::InvalidType,
            Self::Date | Self::Audience | Self::NoUser => kind == ErrorKind::InvalidClaims,
            Self::Fraction => matches!(kind, ErrorKind::Expired | ErrorKind::NotYetValid),
            Self::Future => kind == ErrorKind::NotYetValid,
            Self::KeyBound => kind == ErrorKind::SenderConstrained,
            Self::Client => kind == ErrorKind::ClientToken,
        }
    }
}

/// A token with its verifier.
struct Case<'c> {
    token: String,
    changes: Vec<&'c Change>,
    verifier: Verifier,
    /// The input for `verify.mjs`.
    input: Value,
}

impl Case<'_> {
    fn description(&self) -> String {
        let names: Vec<_> = self.changes.iter().map(|change| &change.name).collect();
        format!("{names:?}\n{}", self.token)
    }
}

fn cases(changes: &[Change]) -> Vec<Case<'_>> {
    use Algorithm::*;
    let mut rng = Rng::new(1);
    let mut cases = Vec::new();
    for algorithm in [HS256, EdDSA, Ed25519, ES256, ES384, ES512, RS256, PS256] {
        let (issuer, options) = issuer(algorithm);
        let verifier = issuer.verifier().clock(verdict::at(NOW));
        let mut add = |changes: Vec<_>| {
            let token = changes::token(&issuer, &changes);
            let mut input = options.clone();
            input["token"] = json!(token);
            cases.push(Case { token, changes, verifier: verifier.clone(), input });
        };
        add(Vec::new());
        changes.iter().for_each(|change| add(vec![change]));
        for _ in 0..MIXED {
            add((0..2 + rng.below(2)).map(|_| rng.choose(changes)).collect());
        }
    }
    cases
}

/// An issuer, and the options with which jose verifies its tokens.
fn issuer(algorithm: Algorithm) -> (Issuer, Value) {
    const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";
    let mut options = json!({ "now": NOW, "issuer": ORIGIN, "audience": ORIGIN });
    let issuer = if algorithm.is_symmetric() {
        options["secret"] = json!(SECRET);
        Issuer::with_secret(SECRET)
    } else {
        let issuer = Issuer::with_algorithm(algorithm);
        options["jwks"] = json!({ "keys": [issuer.jwk()] });
        issuer
    };
    (issuer.with_origin(ORIGIN), options)
}

/// jose's verdicts, in the order of the cases.
fn verdicts_of_jose(home: &Path, cases: &[Case<'_>]) -> Vec<String> {
    let mut command = Command::new("node");
    command.arg("verify.mjs").current_dir(home).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut jose = command.spawn().expect("Node.js");
    let mut inputs = jose.stdin.take().expect("a pipe");
    let lines: String = cases.iter().map(|case| format!("{}\n", case.input)).collect();
    // Written in another thread, because both pipes could be full.
    let writer = thread::spawn(move || inputs.write_all(lines.as_bytes()));
    let mut verdicts = String::new();
    jose.stdout.take().expect("a pipe").read_to_string(&mut verdicts).expect("text");
    writer.join().expect("no panic").expect("jose reads everything");
    assert!(jose.wait().expect("a child of ours").success());
    let verdicts: Vec<_> = verdicts.lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), cases.len());
    verdicts
}
