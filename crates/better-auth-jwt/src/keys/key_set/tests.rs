use super::*;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_X: &str = "xHphwvOcQclldJH5fecl5p9XEGDIxR9lAonuzXRa16g";

fn jwk(id: &str, x: &str) -> String {
    format!(r#"{{"kid":"{id}","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
}

fn set(keys: &[String]) -> Result<KeySet, ConfigError> {
    KeySet::from_json(format!(r#"{{"keys":[{}],"more":1}}"#, keys.join(",")))
}

fn finds(set: &KeySet, alg: &str, id: Option<&str>) -> bool {
    let id = id.map(|id| format!(r#","kid":"{id}""#)).unwrap_or_default();
    let header = Header::parse(format!(r#"{{"alg":"{alg}"{id}}}"#)).unwrap();
    set.find(&header).is_some()
}

#[test]
fn a_key_is_found_by_id_and_algorithm() {
    let set = set(&[jwk("a", X), jwk("b", OTHER_X)]).unwrap();
    assert!(!set.is_empty() && KeySet::default().is_empty());
    assert!(finds(&set, "EdDSA", Some("a")));
    assert!(!finds(&set, "EdDSA", Some("c")));
    assert!(!finds(&set, "EdDSA", Some("A")));
    assert!(!finds(&set, "ES256", Some("a")));
    assert!(!finds(&set, "Ed25519", Some("a")));
    assert!(!finds(&set, "EdDSA", None), "two keys fit");
}

#[test]
fn without_an_id_exactly_one_key_must_fit() {
    let one = set(&[jwk("a", X)]).unwrap();
    assert!(finds(&one, "EdDSA", None));
    assert!(!finds(&one, "ES256", None));
}

#[test]
fn different_keys_with_the_same_id_are_all_rejected() {
    let clashing = set(&[jwk("a", X), jwk("a", OTHER_X), jwk("a", X), jwk("b", X)]).unwrap();
    assert!(!finds(&clashing, "EdDSA", Some("a")));
    assert!(finds(&clashing, "EdDSA", Some("b")));
    assert!(clashing.rejected().iter().all(|rejected| rejected.error == JwkError::DuplicateKeyId));
    assert_eq!(clashing.rejected().len(), 2);
    let twice = set(&[jwk("a", X), jwk("a", X)]).unwrap();
    assert!(finds(&twice, "EdDSA", Some("a")));
    assert_eq!(twice.rejected(), []);
}

#[test]
fn unusable_keys_are_rejected_and_the_others_work() {
    let bad = ["1", "null", "[]", "{}", r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"AKP","alg":"ML-DSA-44","kid":"pq"}"#];
    let mut keys: Vec<String> = bad.iter().map(|key| (*key).to_owned()).collect();
    keys.push(jwk("a", X));
    let set = set(&keys).unwrap();
    assert!(finds(&set, "EdDSA", Some("a")));
    assert_eq!(set.rejected().len(), bad.len());
    assert_eq!(set.rejected()[5].to_string(), "key \"pq\" is not used: its type, curve or algorithm is not supported");
    assert!(set.rejected()[0].to_string().starts_with("a key without kid is not used"));
}

#[test]
fn all_keys_of_an_issuer_that_rotates_every_hour_are_used() {
    // 30 days of them, in an order that is not sorted.
    let keys: Vec<String> = (0..720).rev().map(|n| jwk(&format!("k{n}"), X)).collect();
    let set = set(&keys).unwrap();
    assert_eq!((set.len(), set.rejected()), (720, &[][..]));
    for n in 0..720 {
        assert!(finds(&set, "EdDSA", Some(&format!("k{n}"))), "{n}");
    }
    assert!(!finds(&set, "EdDSA", Some("k720")));
}

#[test]
fn an_empty_set_is_not_ready() {
    assert_eq!(KeySet::default().readiness(), Readiness::Unavailable);
    assert_eq!(set(&[jwk("a", X)]).unwrap().readiness(), Readiness::Ready);
}

#[test]
fn a_document_that_is_not_a_jwks_is_an_error() {
    for json in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"keys":null}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[1,null]}"#,
        "<html>",
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(KeySet::from_json(json).is_err(), "{json}");
    }
    assert!(KeySet::from_json([0xff]).is_err());
}
