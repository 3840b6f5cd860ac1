//! Every token that jsonwebtoken's `decode` rejects, with all validation enabled, is rejected here too.
//!
//! The exception is header parameters that no rule reads, such as `x5c`: their types are not checked here.

use std::sync::Arc;

use better_auth_jwt::{SystemClock, Verifier, keys::Algorithm, test_util::Issuer};
use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};
use serde_json::{Map, Value, json};

const SECRET: [u8; 64] = [7; 64];

/// Changes to a member: a new value, or `None` to remove it.
type Change = (&'static str, Option<Value>);

fn header_changes() -> Vec<Change> {
    vec![
        ("alg", Some(json!("none"))),
        ("alg", Some(json!("HS256"))),
        ("alg", Some(json!("HS512"))),
        ("alg", Some(json!("ES256"))),
        ("alg", Some(json!("RS512"))),
        ("alg", Some(json!("unknown"))),
        ("alg", Some(json!(7))),
        ("alg", None),
        ("typ", Some(json!("JWT"))),
        ("typ", Some(json!(7))),
        ("kid", Some(json!(7))),
        ("kid", None),
        ("crit", Some(json!(["exp"]))),
        ("cty", Some(json!([]))),
        ("jku", Some(json!("https://evil.example"))),
        ("jwk", Some(json!({"kty": "oct", "k": "AA"}))),
    ]
}

fn claim_changes(now: u64, origin: &str) -> Vec<Change> {
    let mut changes: Vec<Change> = vec![
        ("exp", Some(json!(now + 60))),
        ("exp", Some(json!(now - 20))),
        ("exp", Some(json!(now as f64 + 60.5))),
        ("nbf", Some(json!(now))),
        ("nbf", Some(json!(now + 20))),
        ("iat", None),
        ("aud", Some(json!([origin]))),
        ("aud", Some(json!(["https://other.example", origin]))),
        ("email", Some(json!(["a"]))),
        ("extra", Some(json!({"nested": [1, null, {"x": "y"}]}))),
    ];
    for name in ["exp", "nbf"] {
        let invalid = if name == "exp" { now - 60 } else { now + 3600 };
        for value in [
            json!(invalid),
            json!(invalid as f64),
            json!(-1),
            json!("soon"),
            json!(true),
            json!([]),
            json!({}),
            json!(null),
        ] {
            changes.push((name, Some(value)));
        }
    }
    for name in ["iss", "aud", "sub", "exp"] {
        changes.push((name, None));
        for value in [json!(null), json!(7), json!([]), json!({}), json!([7]), json!(""), json!([""]), json!("x")] {
            changes.push((name, Some(value)));
        }
    }
    for name in ["iss", "aud"] {
        for value in [
            json!(format!("{origin}/")),
            json!(origin.to_uppercase()),
            json!(["https://other.example"]),
            json!([[origin]]),
        ] {
            changes.push((name, Some(value)));
        }
    }
    changes
}

fn changed(object: &Value, (name, value): &Change) -> Value {
    let mut object: Map<String, Value> = object.as_object().unwrap().clone();
    match value {
        Some(value) => _ = object.insert((*name).to_owned(), value.clone()),
        None => _ = object.remove(*name),
    }
    Value::Object(object)
}

fn tokens(issuer: &Issuer, now: u64) -> Vec<String> {
    let (header, claims) = (issuer.header(), issuer.claims("ada"));
    let valid = issuer.sign(&claims);
    let claim_changes = claim_changes(now, issuer.origin());
    let mut tokens = vec![valid.clone()];
    for change in header_changes() {
        let header = changed(&header, &change);
        tokens.push(issuer.sign_with_header(&header, &claims));
        tokens.extend(
            claim_changes.iter().step_by(5).map(|change| issuer.sign_with_header(&header, &changed(&claims, change))),
        );
    }
    for change in &claim_changes {
        let claims = changed(&claims, change);
        tokens.push(issuer.sign(&claims));
        tokens.extend(claim_changes.iter().step_by(7).map(|change| issuer.sign(&changed(&claims, change))));
    }
    for claims in ["", "{", "[]", "null", "7", "\"x\"", "{}", "{\"sub\":\"ada\"}x", "\u{feff}{}", "{'sub':'ada'}"] {
        tokens.push(issuer.sign_bytes(header.to_string().as_bytes(), claims.as_bytes()));
        tokens.push(issuer.sign_bytes(claims.as_bytes(), valid.as_bytes()));
    }
    tokens.push(issuer.sign_bytes(header.to_string().as_bytes(), b"{\"sub\":\"\xff\"}"));
    // Every character changed, and the token truncated at every position.
    for position in (0..valid.len()).step_by(3) {
        let (head, tail) = valid.split_at(position);
        let other = if tail.starts_with('A') { "B" } else { "A" };
        tokens.push(format!("{head}{other}{}", &tail[1..]));
        tokens.push(head.to_owned());
        tokens.push(format!("{head}={tail}"));
    }
    tokens
}

#[tokio::test]
async fn every_token_that_jsonwebtoken_rejects_is_rejected() {
    for algorithm in
        [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::PS256]
    {
        let (issuer, key) = if algorithm.is_symmetric() {
            (Issuer::with_secret(SECRET), DecodingKey::from_secret(&SECRET))
        } else {
            let issuer = Issuer::with_algorithm(algorithm);
            let jwk: Jwk = serde_json::from_value(issuer.jwk()).unwrap();
            (issuer, DecodingKey::from_jwk(&jwk).unwrap())
        };
        let mut validation = Validation::new(algorithm.try_into().unwrap());
        validation.leeway = 30;
        validation.validate_nbf = true;
        validation.set_audience(&[issuer.origin()]);
        validation.set_issuer(&[issuer.origin()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);

        // jsonwebtoken has no other clock.
        let verifier: Verifier = issuer.verifier().clock(Arc::new(SystemClock));
        let now = issuer.claims("ada")["iat"].as_u64().unwrap();
        let (mut both_accept, mut both_reject) = (0, 0);
        for token in tokens(&issuer, now) {
            let theirs = decode::<Value>(&token, &key, &validation);
            let ours = verifier.verify(&token).await;
            match (&theirs, &ours) {
                (Ok(theirs), Ok(ours)) => {
                    assert_eq!(ours.deserialize::<Value>().unwrap(), theirs.claims);
                    both_accept += 1;
                }
                (Err(_), Err(_)) => both_reject += 1,
                (Ok(_), Err(_)) => {}
                (Err(error), Ok(_)) => panic!("jsonwebtoken rejects ({error:?}) what is accepted: {token}"),
            }
        }
        assert!(both_accept > 20 && both_reject > 500, "{algorithm}: {both_accept} {both_reject}");
    }
}

#[test]
fn algorithms_convert_both_ways() {
    use jsonwebtoken::Algorithm as Theirs;
    for theirs in [
        Theirs::HS256,
        Theirs::HS384,
        Theirs::HS512,
        Theirs::RS256,
        Theirs::RS384,
        Theirs::RS512,
        Theirs::PS256,
        Theirs::PS384,
        Theirs::PS512,
        Theirs::ES256,
        Theirs::ES384,
        Theirs::EdDSA,
    ] {
        let ours = Algorithm::try_from(theirs).unwrap();
        assert_eq!(ours.to_string(), format!("{theirs:?}"));
        assert_eq!(Theirs::try_from(ours).unwrap(), theirs);
    }
    for only_ours in [Algorithm::ES512, Algorithm::Ed25519] {
        assert!(Theirs::try_from(only_ours).is_err());
    }
}
