use base64::prelude::{BASE64_STANDARD, Engine};
use better_auth_jwt::{
    Verifier, jws,
    keys::{KeySet, KeySource},
    test_util::Issuer,
};
use futures_util::FutureExt;

/// Whether a JSON text is accepted although it must be rejected. Invalid JSON (`n`) must be rejected everywhere. Other texts
/// must be rejected as a whole header, claim set or key set, because none of them is a usable one.
pub(crate) fn is_wrongly_accepted(base64: &str, expected: &str) -> Result<bool, String> {
    let text = BASE64_STANDARD.decode(base64).map_err(|error| format!("{base64:.60}: {error}"))?;
    let issuer = Issuer::new();
    let verdicts = [passes_whole(&issuer, &text), passes_inside(&issuer, &text)];
    Ok(match expected {
        "n" => verdicts.contains(&true),
        "y" => verdicts[0],
        _ => false,
    })
}

/// Whether the text is accepted as the JOSE header, as the claims, or as the key set.
fn passes_whole(issuer: &Issuer, text: &[u8]) -> bool {
    let (header, claims) = (issuer.header().to_string(), issuer.claims("ada").to_string());
    let tokens = [issuer.sign_bytes(text, claims.as_bytes()), issuer.sign_bytes(header.as_bytes(), text)];
    let verdicts = [
        signature_passes(issuer, &tokens[0]),
        token_passes(&issuer.verifier(), &tokens[0]),
        token_passes(&issuer.verifier(), &tokens[1]),
        KeySet::from_json(text).is_ok(),
    ];
    verdicts.contains(&true)
}

/// Whether the text is accepted as the value of a member of a header, of claims, of a key, or of a key set.
fn passes_inside(issuer: &Issuer, text: &[u8]) -> bool {
    let (header, claims) = (issuer.header().to_string(), issuer.claims("ada").to_string());
    let tokens = [
        issuer.sign_bytes(&with_member(&header, text), claims.as_bytes()),
        issuer.sign_bytes(header.as_bytes(), &with_member(&claims, text)),
    ];
    let jwk = with_member(&issuer.jwk().to_string(), text);
    let key_sets = [
        [br#"{"keys":["#, &*jwk, b"]}"].concat(),
        [br#"{"keys":["#, text, b",", issuer.jwk().to_string().as_bytes(), b"]}"].concat(),
        with_member(&issuer.jwks(), text),
    ];
    let token = issuer.token("ada");
    let mut verdicts = vec![signature_passes(issuer, &tokens[0])];
    verdicts.extend(tokens.iter().map(|token| token_passes(&issuer.verifier(), token)));
    verdicts.extend(key_sets.iter().map(|json| KeySet::from_json(json).is_ok_and(|keys| passes(&keys, &token))));
    verdicts.contains(&true)
}

/// An object with one more member, in the middle of the others.
fn with_member(object: &str, value: &[u8]) -> Vec<u8> {
    let rest = object.strip_prefix('{').unwrap_or(object);
    [br#"{"first":1,"more":"#, value, b",", rest.as_bytes()].concat()
}

fn signature_passes(issuer: &Issuer, token: &str) -> bool {
    KeySet::from_json(issuer.jwks()).is_ok_and(|keys| passes(&keys, token))
}

fn passes(keys: &dyn KeySource, token: &str) -> bool {
    jws::verify(token, keys).is_ok()
}

/// With keys in memory, verification never waits.
fn token_passes(verifier: &Verifier, token: &str) -> bool {
    verifier.verify(token).now_or_never().is_some_and(|verdict| verdict.is_ok())
}
