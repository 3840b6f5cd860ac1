//! Thousands of tokens, most of them wrong in one to three ways, given to us and to jose, the library that Better Auth
//! itself verifies with. We never accept what jose rejects, and what we reject and jose accepts has one of the
//! [`Reason`]s.

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
use crate::{chance::Chance, verdict};

const ORIGIN: &str = "https://app.example.com";
const NOW: u64 = 1_800_000_000;

/// How many tokens each issuer signs with several changes at once, beside one with every single change.
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
            (Ok(_), _) => panic!("we accept what jose rejects ({theirs}): {}", case.described()),
            (Err(ours), _) => {
                let explanation = case.changes.iter().find(|change| change.explains(ours));
                let explanation = explanation
                    .unwrap_or_else(|| panic!("we reject ({ours:?}) what jose accepts: {}", case.described()));
                if case.changes.len() == 1 {
                    explained.insert(&explanation.name);
                }
            }
        }
    }
    let superfluous: Vec<_> = changes
        .iter()
        .filter(|change| change.stricter.is_some())
        .map(|change| &change.name)
        .filter(|name| !explained.contains(name))
        .collect();
    assert!(superfluous.is_empty(), "jose is as strict as we are: {superfluous:?}");
    assert!(accepted > 400 && rejected > 3000, "{accepted} accepted by both and {rejected} rejected by both");
}

/// Why we reject what jose accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// jose decodes padding, blanks and stray bits. RFC 7515, section 2, has none of them.
    Base64,
    /// jose drops a byte order mark and keeps one half of a surrogate pair.
    Text,
    /// Of two members of the same name the last one counts with jose, and the first one elsewhere.
    Duplicate,
    /// We read JSON that nests 32 deep.
    Depth,
    /// A token has up to 8 KiB, its header 2 KiB, a key id 256 bytes.
    Size,
    /// jose leaves the types of what it does not need to its caller: `kid`, `typ`, `sub` and more.
    Type,
    /// jose understands `b64`, and overlooks it where `crit` does not list it.
    Critical,
    /// jose compares `typ` only if configured. Better Auth signs other tokens with the same keys (RFC 8725, section 3.11).
    Typ,
    /// A token inside of the token, which jose leaves to its caller.
    Nested,
    /// jose takes negative and infinite dates, and those after the year 9999.
    Date,
    /// A fraction of a second counts against the token.
    Fraction,
    /// jose looks at `iat` only together with a maximum age.
    Future,
    /// jose finds its audience among things that are none, and among any number of them.
    Audience,
    /// No user id is empty.
    NoUser,
    /// jose does not verify the proof of possession that `cnf` requires (RFC 7800).
    KeyBound,
    /// The token of a client, not of a user (RFC 9700, section 4.15).
    Client,
}

impl Reason {
    /// Whether this is our error for that reason.
    fn gives(self, kind: ErrorKind) -> bool {
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

/// One token and who verifies it.
struct Case<'c> {
    token: String,
    changes: Vec<&'c Change>,
    verifier: Verifier,
    /// The options for jose beside the token.
    question: Value,
}

impl Case<'_> {
    fn described(&self) -> String {
        let names: Vec<_> = self.changes.iter().map(|change| &change.name).collect();
        format!("{names:?}\n{}", self.token)
    }
}

fn cases(changes: &[Change]) -> Vec<Case<'_>> {
    use Algorithm::*;
    let mut chance = Chance::new(1);
    let mut cases = Vec::new();
    for algorithm in [HS256, EdDSA, Ed25519, ES256, ES384, ES512, RS256, PS256] {
        let (issuer, trust) = issuer(algorithm);
        let verifier = issuer.verifier().clock(verdict::at(NOW));
        let mut add = |changes: Vec<_>| {
            let token = changes::token(&issuer, &changes);
            let mut question = trust.clone();
            question["token"] = json!(token);
            cases.push(Case { token, changes, verifier: verifier.clone(), question });
        };
        add(Vec::new());
        changes.iter().for_each(|change| add(vec![change]));
        for _ in 0..MIXED {
            add((0..2 + chance.below(2)).map(|_| chance.one_of(changes)).collect());
        }
    }
    cases
}

/// An issuer, and what jose must know of it.
fn issuer(algorithm: Algorithm) -> (Issuer, Value) {
    const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";
    let mut trust = json!({ "now": NOW, "issuer": ORIGIN, "audience": ORIGIN });
    let issuer = if algorithm.is_symmetric() {
        trust["secret"] = json!(SECRET);
        Issuer::with_secret(SECRET)
    } else {
        let issuer = Issuer::with_algorithm(algorithm);
        trust["jwks"] = json!({ "keys": [issuer.jwk()] });
        issuer
    };
    (issuer.with_origin(ORIGIN), trust)
}

/// jose's verdicts, in the order of the cases.
fn verdicts_of_jose(home: &Path, cases: &[Case<'_>]) -> Vec<String> {
    let mut command = Command::new("node");
    command.arg("verify.mjs").current_dir(home).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut jose = command.spawn().expect("Node.js");
    let mut questions = jose.stdin.take().expect("a pipe");
    let lines: String = cases.iter().map(|case| format!("{}\n", case.question)).collect();
    // Written in another thread, as otherwise each side would wait for the other.
    let writer = thread::spawn(move || questions.write_all(lines.as_bytes()));
    let mut verdicts = String::new();
    jose.stdout.take().expect("a pipe").read_to_string(&mut verdicts).expect("text");
    writer.join().expect("no panic").expect("jose reads everything");
    assert!(jose.wait().expect("a child of ours").success());
    let verdicts: Vec<_> = verdicts.lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), cases.len());
    verdicts
}
