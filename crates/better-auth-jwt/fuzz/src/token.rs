//! Tokens: only valid tokens are accepted, and a validly signed token exactly if its header and claims are valid.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use better_auth_jwt::{
    Claims, ErrorKind, Verifier,
    jws::{self, Header},
    keys::Algorithm,
};
use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::{
    issuer::{self, ISSUER, LEEWAY, NOW, ORIGIN, TOKENS},
    json::{self, Reading},
};

const MAX_TOKEN: usize = 8192;
const MAX_HEADER: usize = 2048;
const MAX_KEY_ID: usize = 256;

/// The last second of the year 9999.
const MAX_DATE: f64 = 253_402_300_799.0;

/// The first byte is the kind of the input.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((b'r', text)) => anything(text),
        Some((b'e', edits)) => edited(edits),
        Some((b's', parts)) => signed(parts),
        Some((b'h', json)) => header_alone(json),
        _ => {}
    }
}

/// Any text, without a signature.
fn anything(text: &[u8]) {
    if let Ok(text) = str::from_utf8(text) {
        assert_accepted_if_known(text);
    }
}

/// A valid token with edits. An edit has three bytes: two for the position and one for the new byte. The highest bit of the
/// position means a removal, the next one an insertion.
fn edited(edits: &[u8]) {
    let Some((which, edits)) = edits.split_first() else { return };
    let original = &TOKENS[usize::from(*which) % TOKENS.len()];
    let mut token = original.clone().into_bytes();
    for edit in edits.chunks_exact(3) {
        let position = usize::from(edit[0] & 0x3f) << 8 | usize::from(edit[1]);
        let position = position % token.len().max(1);
        match edit[0] >> 6 {
            0b10 | 0b11 if !token.is_empty() => _ = token.remove(position),
            0b01 => token.insert(position, edit[2]),
            _ if !token.is_empty() => token[position] = edit[2],
            _ => {}
        }
    }
    if let Ok(token) = str::from_utf8(&token) {
        assert_accepted_if_known(token);
    }
}

fn assert_accepted_if_known(token: &str) {
    let known = TOKENS.iter().any(|known| known == token);
    let verifiers = [&*issuer::BY_SECRET, &issuer::BY_SECRET_ANY_ISSUER, &issuer::BY_KEYS_ANY_ISSUER];
    let accepted = verifiers.iter().any(|verifier| verify(verifier, token).is_ok());
    assert_eq!(accepted, known, "{token}");
    assert!(known || jws::verify(token, &*issuer::KEYS).is_err(), "{token}");
}

/// A header, the byte 0xff, which UTF-8 never contains, and claims; or only claims, with a valid header.
fn signed(parts: &[u8]) {
    let valid_header = ISSUER.header().to_string();
    let (header, claims) = match parts.iter().position(|byte| *byte == 0xff) {
        Some(end) => (&parts[..end], &parts[end + 1..]),
        None => (valid_header.as_bytes(), parts),
    };
    let token = ISSUER.sign_bytes(header, claims);
    let kind = kind_of_token(header, token.len());
    for (verifier, wanted, origin) in [
        (&*issuer::BY_SECRET, Kind::Jwt, Some(ORIGIN)),
        (&*issuer::BY_SECRET_ANY_ISSUER, Kind::Jwt, None),
        (&*issuer::ACCESS_BY_SECRET, Kind::AccessToken, Some(ORIGIN)),
    ] {
        let verdict = verify(verifier, &token);
        let expected = match (kind, json::read(claims)) {
            (Some(kind), _) if kind != wanted => Some(false),
            (_, Reading::Invalid) => Some(false),
            (None, _) | (_, Reading::NumberTooLarge) => None,
            (Some(_), Reading::Object(members)) => {
                if let Ok(claims) = &verdict {
                    assert_same_claims(claims, &members);
                }
                are_valid(&members, wanted, origin)
            }
        };
        if let Some(expected) = expected {
            assert_eq!(verdict.is_ok(), expected, "{token}: {:?}", verdict.err());
        }
    }
}

/// The kind of a token with this header and a valid signature, or `None` if the second parser cannot tell.
fn kind_of_token(header: &[u8], length: usize) -> Option<Kind> {
    let short = length <= MAX_TOKEN && BASE64_URL_SAFE_NO_PAD.encode(header).len() <= MAX_HEADER;
    let header = read_header(header)?.filter(|header| short && header.algorithm == Algorithm::HS256);
    Some(header.map_or(Kind::Other, |header| header.kind))
}

/// Parses a header without a token.
fn header_alone(json: &[u8]) {
    let Ok(text) = str::from_utf8(json) else { return };
    let header = Header::parse(text.to_owned());
    if let Some(expected) = read_header(json) {
        assert_eq!(header.is_ok(), expected.is_some(), "{text}: {header:?}");
        if let (Ok(header), Some(expected)) = (header, expected) {
            assert_eq!(header.algorithm(), expected.algorithm);
            assert_eq!(header.key_id(), expected.key_id.as_deref());
        }
    }
}

struct ValidHeader {
    algorithm: Algorithm,
    key_id: Option<String>,
    kind: Kind,
}

/// The kind of token in `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jwt,
    AccessToken,
    Other,
}

/// The header, `Some(None)` if it must be rejected, or `None` if the second parser cannot tell.
fn read_header(json: &[u8]) -> Option<Option<ValidHeader>> {
    let members = match json::read(json) {
        Reading::Object(members) => members,
        Reading::Invalid => return Some(None),
        Reading::NumberTooLarge => return None,
    };
    Some(valid_header(&members))
}

fn valid_header(members: &Map<String, Value>) -> Option<ValidHeader> {
    let algorithm = members.get("alg")?.as_str()?.parse().ok()?;
    let text = |name: &str| match members.get(name) {
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let (key_id, typ, cty) = (text("kid")?, text("typ")?, text("cty")?);
    let rejected = members.contains_key("crit")
        || members.contains_key("b64")
        || cty.is_some_and(|cty| kind_of(&cty) == Kind::Jwt)
        || key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID);
    let kind = typ.map_or(Kind::Jwt, |typ| kind_of(&typ));
    (!rejected).then_some(ValidHeader { algorithm, key_id, kind })
}

fn kind_of(typ: &str) -> Kind {
    match &*typ.to_ascii_lowercase() {
        "jwt" | "application/jwt" => Kind::Jwt,
        "at+jwt" | "application/at+jwt" => Kind::AccessToken,
        _ => Kind::Other,
    }
}

/// Whether the claims are valid for this issuer and audience, or for any, or `None` if that depends on a fraction of a
/// second.
fn are_valid(members: &Map<String, Value>, kind: Kind, origin: Option<&str>) -> Option<bool> {
    let is_text = |name: &str| members.get(name).is_none_or(Value::is_string);
    let is_text_or_null = |name: &str| members.get(name).is_none_or(|value| value.is_string() || value.is_null());
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let types_fit = ["iss", "sub"].iter().all(|name| is_text(name)) && is_text_or_null("sid");
    let user = text("sub").filter(|sub| !sub.is_empty());
    let has_all = kind != Kind::AccessToken
        || text("client_id").is_some() && members.contains_key("iat") && text("jti").is_some();
    let fits = types_fit
        && !members.contains_key("cnf")
        && text("iss") != Some("")
        && has_all
        && user.is_some()
        && text("client_id") != user
        && text("azp") != user
        && (origin.is_none() || text("iss") == origin)
        && members.get("aud").map_or(origin.is_none(), |audience| is_ours(audience, origin));
    let (now, leeway) = (NOW as f64, LEEWAY as f64);
    let dates = [
        members.get("exp").map_or(Some(false), |exp| is_date(exp, |exp| exp > now - leeway, now - leeway)),
        members.get("nbf").map_or(Some(true), |nbf| is_date(nbf, |nbf| nbf <= now + leeway, now + leeway)),
        members.get("iat").map_or(Some(true), |iat| is_date(iat, |iat| iat <= now + leeway, now + leeway)),
    ];
    if !fits || dates.contains(&Some(false)) {
        return Some(false);
    }
    dates.iter().all(Option::is_some).then_some(true)
}

/// Whether a value is a date that fulfils the condition, or `None` if a float is too imprecise to tell, near to the
/// boundary of the condition or to the last date.
fn is_date(value: &Value, holds: impl Fn(f64) -> bool, turn: f64) -> Option<bool> {
    let Some(date) = value.as_f64() else { return Some(false) };
    if date.is_sign_negative() || date > MAX_DATE + 2.0 {
        return Some(false);
    }
    let is_exact = value.is_u64() && date <= MAX_DATE;
    let is_near = |other: f64| (date - other).abs() < 2.0;
    if !is_exact && (is_near(turn) || is_near(MAX_DATE)) {
        return None;
    }
    Some(date <= MAX_DATE && holds(date))
}

fn is_ours(audience: &Value, origin: Option<&str>) -> bool {
    let is_ours = |name: &str| origin.is_none_or(|origin| name == origin);
    match audience {
        Value::String(one) => !one.is_empty() && is_ours(one),
        Value::Array(several) => {
            let names: Option<Vec<&str>> = several.iter().map(Value::as_str).collect();
            let are_names = |names: &Vec<&str>| names.len() <= 64 && !names.contains(&"");
            names.filter(are_names).is_some_and(|names| names.into_iter().any(is_ours))
        }
        _ => false,
    }
}

/// Checks that accepted claims have the values of the JSON.
fn assert_same_claims(claims: &Claims, members: &Map<String, Value>) {
    assert_eq!(claims.deserialize::<Map<String, Value>>().ok().as_ref(), Some(members));
    assert_eq!(Some(claims.user_id()), members["sub"].as_str());
    assert_eq!(claims.email(), members.get("email").and_then(Value::as_str));
    assert_eq!(claims.name(), members.get("name").and_then(Value::as_str));
    assert_eq!(claims.session_id(), members.get("sid").and_then(Value::as_str).filter(|session| !session.is_empty()));
    let audiences = match members.get("aud") {
        None => Vec::new(),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        Some(one) => one.as_str().into_iter().collect(),
    };
    assert_eq!(claims.audiences(), audiences);
    assert!(members["exp"].as_f64().is_some_and(|exp| (claims.expires_at() as f64 - exp).abs() <= 1.0));
    for (name, value) in members {
        assert_eq!(claims.get::<Value>(name).ok().as_ref(), Some(value), "{name}");
    }
}

fn verify(verifier: &Verifier, token: &str) -> Result<Arc<Claims>, ErrorKind> {
    let verdict = verifier.verify(token).now_or_never().expect("no waiting");
    verdict.map_err(|error| error.kind())
}
