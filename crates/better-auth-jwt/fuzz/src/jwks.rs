//! Key sets: only valid keys of the document are used.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use better_auth_jwt::{
    jws::{self, Header},
    keys::{Algorithm, Key, KeySet, KeySource},
};
use serde_json::{Map, Value, json};

use super::{
    issuer,
    json::{self, Reading},
};

const ALGORITHMS: [Algorithm; 14] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
    Algorithm::Ed25519,
];

pub fn run(data: &[u8]) {
    let plain = KeySet::from_json(data);
    let with_rsa = KeySet::from_json_with_default_rsa_algorithm(data, Algorithm::RS256);
    let reading = json::read(data);
    for (set, rsa) in [(plain, None), (with_rsa, Some(Algorithm::RS256))] {
        let Ok(set) = set else { continue };
        let elements = match &reading {
            Reading::Object(members) => members["keys"].as_array().expect("an array"),
            Reading::Invalid => panic!("not a JSON object"),
            Reading::NumberTooLarge => return,
        };
        check(&set, elements, rsa);
        for element in elements {
            check_one(element, rsa);
        }
    }
}

fn check(set: &KeySet, elements: &[Value], rsa: Option<Algorithm>) {
    assert!(!set.is_empty() && set.len() + set.rejected().len() <= elements.len());
    let all_are_in_use = set.len() == elements.len();
    for algorithm in ALGORITHMS {
        assert!(set.supports(algorithm) != algorithm.is_symmetric());
        let fits = |element: &&Value| element.as_object().is_some_and(|jwk| may_verify(jwk, rsa) == Some(algorithm));
        let fitting: Vec<&Value> = elements.iter().filter(fits).collect();
        let found = find(set, algorithm, None);
        assert!(found.is_none() || !fitting.is_empty(), "no such key was given");
        // Without an id, exactly one key must fit.
        assert!(!all_are_in_use || found.is_some() == (fitting.len() == 1), "{algorithm}");
        for id in fitting.iter().filter_map(|element| element["kid"].as_str()) {
            let found = find(set, algorithm, Some(id));
            assert!(found.as_ref().is_none_or(|key| key.key_id() == Some(id)), "another key");
            assert!(!all_are_in_use || found.is_some(), "{id}");
        }
    }
    for (token, material) in issuer::signed_by() {
        if jws::verify(token, set).is_ok() {
            assert!(elements.iter().any(|element| holds(element, material)), "a signature of a key that was not given");
        }
    }
}

fn find(set: &KeySet, algorithm: Algorithm, id: Option<&str>) -> Option<Arc<Key>> {
    let mut header = json!({ "alg": algorithm.to_string() });
    if let Some(id) = id {
        header["kid"] = id.into();
    }
    let header = Header::parse(header.to_string()).expect("a header");
    let found = set.find(&header);
    assert!(found.as_ref().is_none_or(|key| key.algorithm() == algorithm), "a key for another algorithm");
    found
}

fn holds(element: &Value, material: &str) -> bool {
    ["x", "n"].iter().any(|name| element.get(name).is_some_and(|value| value == material))
}

/// Checks a single key: if it is used, it must be a valid one.
fn check_one(element: &Value, rsa: Option<Algorithm>) {
    let document = json!({ "keys": [element] }).to_string();
    let set = match rsa {
        Some(rsa) => KeySet::from_json_with_default_rsa_algorithm(document, rsa),
        None => KeySet::from_json(document),
    };
    if set.is_ok() {
        let jwk = element.as_object().expect("an object");
        assert!(may_verify(jwk, rsa).is_some(), "{element}");
    }
}

/// The algorithm of a key that may be used, according to its members. Whether its numbers are a valid key is not checked.
fn may_verify(jwk: &Map<String, Value>, rsa: Option<Algorithm>) -> Option<Algorithm> {
    use Algorithm::*;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let length = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok().map(|bytes| bytes.len());
    if ["k", "d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| jwk.contains_key(*name)) {
        return None;
    }
    if ["kid", "use", "alg"].iter().any(|name| jwk.get(*name).is_some_and(|value| !value.is_string())) {
        return None;
    }
    if text("use").is_some_and(|purpose| purpose != "sig") || text("kid").is_some_and(|id| id.len() > 256) {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array()?;
        let verify = operations.iter().filter(|operation| *operation == "verify").count();
        if verify != 1 || !operations.iter().all(Value::is_string) {
            return None;
        }
    }
    let allowed: &[Algorithm] = match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) if length("x") == Some(32) => &[EdDSA, Ed25519],
        ("EC", Some("P-256")) if (length("x"), length("y")) == (Some(32), Some(32)) => &[ES256],
        ("EC", Some("P-384")) if (length("x"), length("y")) == (Some(48), Some(48)) => &[ES384],
        ("EC", Some("P-521")) if (length("x"), length("y")) == (Some(66), Some(66)) => &[ES512],
        ("RSA", _) if (256..=1024).contains(&length("n")?) && (1..=4).contains(&length("e")?) => {
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }
        _ => return None,
    };
    match text("alg") {
        Some(name) => name.parse().ok().filter(|algorithm| allowed.contains(algorithm)),
        None if text("kty") == Some("RSA") => rsa,
        None => allowed.first().copied(),
    }
}
