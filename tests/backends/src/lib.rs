//! Converts a JWK to the file formats of public keys.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::Value;

/// The key as PEM, in the form that `openssl pkey -pubout` writes (RFC 5280, section 4.1.2.7).
pub fn public_key_pem(jwk: &Value) -> String {
    let (algorithm, key) = match text(jwk, "kty") {
        "OKP" => (object_id(ED25519), bytes(jwk, "x")),
        "EC" => {
            let curve = match text(jwk, "crv") {
                "P-256" => P256,
                "P-384" => P384,
                _ => P521,
            };
            let point = [vec![4], bytes(jwk, "x"), bytes(jwk, "y")].concat();
            ([object_id(EC_KEY), object_id(curve)].concat(), point)
        }
        _ => ([object_id(RSA_KEY), tlv(NULL, &[])].concat(), rsa_key(jwk)),
    };
    let bits = [vec![0], key].concat();
    pem("PUBLIC KEY", &tlv(SEQUENCE, &[tlv(SEQUENCE, &algorithm), tlv(BIT_STRING, &bits)].concat()))
}

/// An RSA key as PEM, in the form that `openssl rsa -RSAPublicKey_out` writes (RFC 8017, appendix A.1.1).
pub fn rsa_public_key_pem(jwk: &Value) -> String {
    pem("RSA PUBLIC KEY", &rsa_key(jwk))
}

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const NULL: u8 = 5;
const OBJECT_ID: u8 = 6;
const SEQUENCE: u8 = 0x30;

const ED25519: &[u8] = b"\x2b\x65\x70";
const EC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x2b\x81\x04\x00\x23";
const RSA_KEY: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn rsa_key(jwk: &Value) -> Vec<u8> {
    // The zero keeps the modulus, whose first bit is set, from being negative.
    let modulus = [vec![0], bytes(jwk, "n")].concat();
    tlv(SEQUENCE, &[tlv(INTEGER, &modulus), tlv(INTEGER, &bytes(jwk, "e"))].concat())
}

fn object_id(id: &[u8]) -> Vec<u8> {
    tlv(OBJECT_ID, id)
}

/// Tag, length and value in DER (X.690, section 8.1).
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut der = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    der.extend_from_slice(value);
    der
}

fn text<'j>(jwk: &'j Value, member: &str) -> &'j str {
    jwk[member].as_str().expect("a member that is text")
}

fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text(jwk, member)).expect("base64url")
}
