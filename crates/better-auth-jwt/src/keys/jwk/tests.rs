use super::*;

const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

fn rsa() -> String {
    format!(
        r#""kty":"RSA","e":"AQAB","n":"{}""#,
        "_".repeat(342).replace("__", "_-").trim_end_matches('-').to_owned() + "w"
    )
}

fn read(members: &str) -> Result<Algorithm, JwkError> {
    parse(&format!("{{{members}}}"), None).map(|key| key.algorithm()).map_err(|rejected| rejected.error)
}

#[test]
fn the_algorithm_follows_from_the_key() {
    assert_eq!(read(ED25519), Ok(Algorithm::EdDSA));
    assert_eq!(read(&format!(r#"{ED25519},"alg":"EdDSA""#)), Ok(Algorithm::EdDSA));
    assert_eq!(read(&format!(r#"{ED25519},"alg":"Ed25519""#)), Ok(Algorithm::Ed25519));
    assert_eq!(read(P256), Ok(Algorithm::ES256));
    assert_eq!(read(&format!(r#"{P256},"alg":"ES256","use":"sig","key_ops":["verify"]"#)), Ok(Algorithm::ES256));
}

#[test]
fn a_contradicting_or_unknown_algorithm_is_rejected() {
    for (jwk, alg) in [(ED25519, "ES256"), (P256, "ES384"), (P256, "RS256"), (P256, "HS256"), (ED25519, "HS256")] {
        assert_eq!(read(&format!(r#"{jwk},"alg":"{alg}""#)), Err(JwkError::AlgorithmMismatch), "{alg}");
    }
    assert_eq!(read(&format!(r#"{P256},"alg":"ES224""#)), Err(JwkError::Unsupported));
    assert_eq!(read(&format!(r#"{P256},"alg":"""#)), Err(JwkError::Unsupported));
}

#[test]
fn an_rsa_key_without_algorithm_needs_a_default() {
    assert_eq!(read(&rsa()), Err(JwkError::AlgorithmMissing));
    let jwk = format!("{{{}}}", rsa());
    assert_eq!(parse(&jwk, Some(Algorithm::PS256)).unwrap().algorithm(), Algorithm::PS256);
    assert_eq!(read(&format!(r#"{},"alg":"RS512""#, rsa())), Ok(Algorithm::RS512));
    assert_eq!(read(&format!(r#"{},"alg":"ES256""#, rsa())), Err(JwkError::AlgorithmMismatch));
}

#[test]
fn keys_for_other_purposes_are_rejected() {
    for purpose in [
        r#""use":"enc""#,
        r#""use":"""#,
        r#""key_ops":["sign"]"#,
        r#""key_ops":[]"#,
        r#""key_ops":["verify","verify"]"#,
        r#""use":"sig","key_ops":["encrypt"]"#,
        r#""use":"enc","key_ops":["verify"]"#,
    ] {
        assert_eq!(read(&format!("{P256},{purpose}")), Err(JwkError::WrongUse), "{purpose}");
    }
    assert!(read(&format!(r#"{P256},"key_ops":["sign","verify"]"#)).is_ok());
}

#[test]
fn private_and_symmetric_keys_are_rejected() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        assert_eq!(read(&format!(r#"{P256},"{name}":"AA""#)), Err(JwkError::PrivateKey), "{name}");
    }
    assert_eq!(read(&format!(r#"{P256},"k":"AA""#)), Err(JwkError::Symmetric));
    assert_eq!(
        read(
            r#""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow""#
        ),
        Err(JwkError::Symmetric)
    );
}

#[test]
fn invalid_lengths_types_and_points_are_rejected() {
    let p256 = |x: &str, y: &str| read(&format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#));
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert_eq!(p256(x, x), Err(JwkError::NotOnCurve));
    assert_eq!(p256(&x[..42], y), Err(JwkError::Malformed), "a non-zero unused bit in the last character");
    assert_eq!(p256(&x[..40], y), Err(JwkError::InvalidLength));
    assert_eq!(p256("", y), Err(JwkError::InvalidLength));
    assert_eq!(p256(&format!("AAAA{x}"), y), Err(JwkError::InvalidLength));
    assert_eq!(read(&P256.replace("P-256", "P-384")), Err(JwkError::InvalidLength));
    assert_eq!(read(&P256.replace("P-256", "secp256k1")), Err(JwkError::Unsupported));
    assert_eq!(read(&ED25519.replace("Ed25519", "Ed448")), Err(JwkError::Unsupported));
    assert_eq!(read(&ED25519.replace("Ed25519", "X25519")), Err(JwkError::Unsupported));
    assert_eq!(read(&ED25519.replace("OKP", "AKP")), Err(JwkError::Unsupported));
    for broken in [r#""kid":1"#, r#""use":null"#, r#""alg":["ES256"]"#, r#""key_ops":"verify""#, r#""key_ops":[1]"#] {
        assert_eq!(read(&format!("{P256},{broken}")), Err(JwkError::Malformed), "{broken}");
    }
    assert_eq!(read(""), Err(JwkError::Malformed));
    assert_eq!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(257))), Err(JwkError::KeyIdTooLong));
    assert!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(256))).is_ok());
}

#[test]
fn every_error_has_its_own_message() {
    let all = [
        JwkError::Malformed,
        JwkError::Unsupported,
        JwkError::WrongUse,
        JwkError::PrivateKey,
        JwkError::Symmetric,
        JwkError::AlgorithmMismatch,
        JwkError::AlgorithmMissing,
        JwkError::RsaKeySize,
        JwkError::RsaExponent,
        JwkError::InvalidLength,
        JwkError::NotOnCurve,
        JwkError::SmallOrder,
        JwkError::DuplicateKeyId,
        JwkError::KeyIdTooLong,
    ];
    let words: std::collections::HashSet<String> = all.iter().map(JwkError::to_string).collect();
    assert_eq!(words.len(), all.len());
    assert!(words.iter().all(|words| words.len() > 10));
}

#[test]
fn the_id_of_a_rejected_key_is_reported_unless_it_is_too_long() {
    let id = |length: usize| {
        let jwk = format!(r#"{{{P256},"use":"enc","kid":"{}"}}"#, "k".repeat(length));
        parse(&jwk, None).unwrap_err().key_id
    };
    assert_eq!(id(256), Some("k".repeat(256)));
    assert_eq!(id(257), None);
}
