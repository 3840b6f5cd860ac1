//! Each test must pass with every backend of jsonwebtoken; CI runs them in all four builds.

use std::panic;

use better_auth_jwt::{
    ErrorKind, Verifier,
    keys::{Algorithm, Key, KeySet},
    test_util::Issuer,
};
use futures_util::FutureExt;
use jsonwebtoken::{DecodingKey, Validation};
use jsonwebtoken_backends::{public_key_pem, rsa_public_key_pem};
use serde_json::Value;

const SYMMETRIC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const ED25519: [Algorithm; 2] = [Algorithm::EdDSA, Algorithm::Ed25519];
const EC: [Algorithm; 3] = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512];
const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

#[test]
fn jsonwebtoken_itself_panics_unless_it_has_exactly_one_backend() {
    let issuer = Issuer::with_secret([7; 32]);
    let validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    let decode =
        || jsonwebtoken::decode::<Value>(issuer.token("ada"), &DecodingKey::from_secret(&[7; 32]), &validation);
    let works = panic::catch_unwind(panic::AssertUnwindSafe(decode)).is_ok();
    assert_eq!(works, cfg!(feature = "aws_lc_rs") != cfg!(feature = "rust_crypto"));
}

#[test]
fn tokens_of_every_algorithm_are_verified_and_forged_ones_rejected() {
    for algorithm in [&SYMMETRIC[..], &ED25519, &EC, &RSA].concat() {
        let issuer = Issuer::with_algorithm(algorithm);
        check(algorithm, &issuer.verifier(), &issuer);
    }
}

#[test]
fn keys_of_every_family_are_read_from_pem() {
    type Reader = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
    let families: [(&[Algorithm], Reader); 3] =
        [(&ED25519, DecodingKey::from_ed_pem), (&EC, DecodingKey::from_ec_pem), (&RSA, DecodingKey::from_rsa_pem)];
    for (algorithms, read) in families {
        for algorithm in algorithms {
            let issuer = Issuer::with_algorithm(*algorithm);
            let jwk = issuer.jwk();
            let mut written = vec![public_key_pem(&jwk)];
            if RSA.contains(algorithm) {
                written.push(rsa_public_key_pem(&jwk));
            }
            for pem in written {
                let key = Key::new(*algorithm, &read(pem.as_bytes()).unwrap()).unwrap();
                let key = key.with_key_id(jwk["kid"].as_str().unwrap());
                let keys = KeySet::from_keys([key]).unwrap();
                let verifier = Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
                check(*algorithm, &verifier, &issuer);
            }
        }
    }
}

#[test]
fn a_key_of_another_family_is_an_error_and_not_a_panic() {
    let pem = public_key_pem(&Issuer::with_algorithm(Algorithm::ES256).jwk());
    let key = DecodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    assert!(Key::new(Algorithm::ES384, &key).is_err());
    assert!(Key::new(Algorithm::EdDSA, &key).is_err());
    assert!(Key::new(Algorithm::RS256, &DecodingKey::from_rsa_der(b"not a key")).is_err());
}

fn check(algorithm: Algorithm, verifier: &Verifier, issuer: &Issuer) {
    let verify = |token: &str| {
        let claims = verifier.verify(token).now_or_never().expect("no waiting for keys in memory");
        claims.map(|claims| claims.user_id().to_owned()).map_err(|error| error.kind())
    };
    assert_eq!(verify(&issuer.token("ada")), Ok("ada".to_owned()), "{algorithm}");
    let forged = Issuer::with_algorithm(algorithm).sign_with_header(&issuer.header(), &issuer.claims("ada"));
    assert_eq!(verify(&forged), Err(ErrorKind::InvalidSignature), "{algorithm}");
}
