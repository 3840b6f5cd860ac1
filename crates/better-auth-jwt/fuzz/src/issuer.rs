//! The issuer of all tokens: its secret, its public keys, and tokens. They never change, so that an input has the same
//! meaning in every run.

use std::sync::{Arc, LazyLock};

use better_auth_jwt::{
    Clock, Profile, Verifier,
    keys::{KeySet, SharedSecret},
    test_util::Issuer,
};
use serde_json::{Value, json};

pub(super) const ORIGIN: &str = "https://app.example.com";
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const LEEWAY: u64 = 30;

const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";

/// Signs with the secret.
pub(super) static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::with_secret(SECRET).with_origin(ORIGIN));

pub(super) static BY_SECRET: LazyLock<Verifier> = LazyLock::new(|| {
    let secret = SharedSecret::new(SECRET).expect("a strong secret");
    Verifier::builder(secret).issuer(ORIGIN).audience(ORIGIN).expect("a verifier").clock(Arc::new(Stopped))
});

/// Like [`BY_SECRET`], for access tokens.
pub(super) static ACCESS_BY_SECRET: LazyLock<Verifier> =
    LazyLock::new(|| BY_SECRET.clone().profile(Profile::AccessToken));

/// Accepts every token that is signed with the secret.
pub(super) static BY_SECRET_ANY_ISSUER: LazyLock<Verifier> = LazyLock::new(|| {
    let secret = SharedSecret::new(SECRET).expect("a strong secret");
    Verifier::builder(secret)
        .insecure_any_issuer()
        .insecure_any_audience()
        .expect("a verifier")
        .clock(Arc::new(Stopped))
});

pub(super) static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_json(KNOWN["jwks"].to_string()).expect("usable keys"));

/// Accepts every token that is signed with one of the key pairs.
pub(super) static BY_KEYS_ANY_ISSUER: LazyLock<Verifier> = LazyLock::new(|| {
    Verifier::builder(KEYS.clone())
        .insecure_any_issuer()
        .insecure_any_audience()
        .expect("a verifier")
        .clock(Arc::new(Stopped))
});

/// Valid tokens: one for each type of key pair, with discarded private keys, and one for the secret.
pub(super) static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let signed = KNOWN["tokens"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    signed.chain([token("ada")]).collect()
});

static KNOWN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../known_tokens.json")).expect("JSON"));

/// Tokens, each with the part of its key that identifies it: the first coordinate or the modulus.
pub(super) fn signed_by() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keys = KNOWN["jwks"]["keys"].as_array().into_iter().flatten();
    let material = keys.filter_map(|key| key.get("x").or_else(|| key.get("n"))?.as_str());
    TOKENS.iter().map(String::as_str).zip(material)
}

/// A valid token for this user, signed with the secret.
pub(super) fn token(user: &str) -> String {
    ISSUER.sign(&claims(user))
}

pub(super) fn claims(user: &str) -> Value {
    json!({ "sub": user, "iss": ORIGIN, "aud": ORIGIN, "iat": NOW, "exp": NOW + 900 })
}

struct Stopped;

impl Clock for Stopped {
    fn unix_time(&self) -> u64 {
        NOW
    }
}
