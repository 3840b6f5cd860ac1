use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use better_auth_jwt::{
    jws,
    keys::{Algorithm, KeySet, SharedSecret},
    test_util,
};
use serde_json::Value;

/// The algorithm of RSA keys without `alg`.
const RSA: Algorithm = Algorithm::RS256;

/// Whether the signature of a token is valid for a set of keys.
pub(crate) fn verifies(token: &str, jwks: &Value) -> bool {
    let keys = jwks.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !keys.is_empty() && keys.iter().all(is_secret) {
        return keyring(keys).is_some_and(|rings| rings.iter().any(|ring| jws::verify(token, ring).is_ok()));
    }
    KeySet::from_json_with_default_rsa_algorithm(jwks.to_string(), RSA)
        .is_ok_and(|keys| jws::verify(token, &keys).is_ok())
}

fn is_secret(key: &Value) -> bool {
    key.get("kty").is_some_and(|kty| kty == "oct")
}

/// The secrets by algorithm, or `None` if one of them cannot be used, for example because it is too short. Published test
/// vectors are signed with well-known secrets, even all zeros.
fn keyring(keys: &[Value]) -> Option<Vec<SharedSecret>> {
    let mut rings: Vec<(Algorithm, Vec<Vec<u8>>)> = Vec::new();
    for key in keys {
        let algorithm = match key.get("alg") {
            Some(name) => name.as_str()?.parse().ok()?,
            None => Algorithm::HS256,
        };
        let secret = BASE64_URL_SAFE_NO_PAD.decode(key.get("k")?.as_str()?).ok()?;
        match rings.iter_mut().find(|(of, _)| *of == algorithm) {
            Some((_, ring)) => ring.push(secret),
            None => rings.push((algorithm, vec![secret])),
        }
    }
    rings.into_iter().map(|(algorithm, ring)| test_util::insecure_secrets(algorithm, ring).ok()).collect()
}
