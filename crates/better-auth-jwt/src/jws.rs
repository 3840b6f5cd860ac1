//! The compact serialisation of a JWS (RFC 7515) and its JOSE header.
//!
//! [`verify`] is this level alone, for payloads that are not claims; a
//! [`Verifier`](crate::Verifier) does the same and then reads the claims.

use memchr::memchr_iter;

use crate::{
    base64url,
    error::ErrorKind,
    json::{Document, Value},
    keys::{Algorithm, Key, KeySource, LONGEST_ID},
};

/// Longer JOSE headers (encoded) are refused unread. Better Auth's has 80 bytes.
const LONGEST_HEADER: usize = 2048;

/// The signature of an 8192-bit RSA key, encoded.
const LONGEST_SIGNATURE: usize = 1366;

/// Verifies a compact JWS and returns its payload, whatever that is.
///
/// Nothing of what makes a JWT is looked at: no claims, no `typ`. The token's length is the
/// caller's to bound. Keys that would have to be waited for are not.
///
/// # Errors
///
/// The token is no strict compact JWS, no key fits its header, or the signature is not the key's.
pub fn verify(token: &str, keys: &dyn KeySource) -> Result<Vec<u8>, ErrorKind> {
    let token = Compact::split(token.as_bytes())?;
    let header = Header::decode(token.header)?;
    if !keys.supports(header.algorithm) {
        return Err(ErrorKind::UnsupportedAlgorithm);
    }
    let key = keys.find(&header).ok_or(ErrorKind::UnknownKey)?;
    token.open(&header, &key)
}

/// A token taken apart, nothing of it decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compact<'t> {
    pub(crate) header: &'t [u8],
    /// What the signature covers: header, dot and payload as they came (RFC 7515, section 5.2).
    signed: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Compact<'t> {
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, ErrorKind> {
        let mut dots = memchr_iter(b'.', token);
        let (first, second, third) = (dots.next(), dots.next(), dots.next());
        let (Some(first), Some(second), None) = (first, second, third) else {
            // RFC 7516, section 9: five parts make a JWE.
            let is_jwe = third.is_some() && dots.count() == 1;
            return Err(if is_jwe { ErrorKind::EncryptedToken } else { no_jws(token) });
        };
        let (signed, signature) = (token.get(..second), token.get(second + 1..));
        let (header, payload) = (token.get(..first), token.get(first + 1..second));
        let (Some(signed), Some(signature), Some(header), Some(payload)) = (signed, signature, header, payload) else {
            return Err(ErrorKind::Malformed);
        };
        if header.len() > LONGEST_HEADER || signature.len() > LONGEST_SIGNATURE {
            return Err(ErrorKind::Malformed);
        }
        Ok(Self { header, signed, payload, signature })
    }

    /// Checks the signature with a key, which must have the header's algorithm, and returns the
    /// payload.
    pub(crate) fn open(&self, header: &Header, key: &Key) -> Result<Vec<u8>, ErrorKind> {
        // Sources are asked to return nothing else; a mistake there must not pass here.
        if key.algorithm() != header.algorithm {
            return Err(ErrorKind::UnknownKey);
        }
        // One buffer for both: the signature is done with when the payload is decoded.
        let mut buffer = Vec::with_capacity(self.payload.len().max(self.signature.len()));
        base64url::decode_into(self.signature, &mut buffer).ok_or(ErrorKind::Malformed)?;
        if !key.verifies(self.signed, &buffer) {
            return Err(ErrorKind::InvalidSignature);
        }
        buffer.clear();
        base64url::decode_into(self.payload, &mut buffer).ok_or(ErrorKind::Malformed)?;
        Ok(buffer)
    }

    /// The payload of a token whose signature has not been checked.
    pub(crate) fn unverified_payload(&self) -> Result<Vec<u8>, ErrorKind> {
        base64url::decode(self.payload).ok_or(ErrorKind::Malformed)
    }
}

/// What people send instead of a JWT: `data.token` of a sign-in, 32 letters and digits, perhaps with
/// its signature, as in the session cookie or the `set-auth-token` header.
fn no_jws(token: &[u8]) -> ErrorKind {
    let (session, rest) = token.split_at_checked(32).unwrap_or_default();
    let is_session = !session.is_empty() && session.iter().all(u8::is_ascii_alphanumeric);
    match rest {
        [] if is_session => ErrorKind::OpaqueToken,
        [b'.', signature @ ..] if is_session && signature.len() >= 43 => ErrorKind::OpaqueToken,
        _ => ErrorKind::Malformed,
    }
}

/// The JOSE header of a token (RFC 7515, section 4), before its signature is checked: nothing in
/// it is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    kind: TokenKind,
}

impl Header {
    pub(crate) fn decode(encoded: &[u8]) -> Result<Self, ErrorKind> {
        let json = base64url::decode(encoded).ok_or(ErrorKind::Malformed)?;
        Self::parse(String::from_utf8(json).map_err(|_| ErrorKind::Malformed)?)
    }

    /// Reads a header. `jku`, `jwk`, `x5u` and `x5c` are never followed nor used.
    ///
    /// # Errors
    ///
    /// It is no strict JSON object, a member has the wrong type, `alg` is unknown, or there is a
    /// `crit` or `b64`.
    pub fn parse(json: String) -> Result<Self, ErrorKind> {
        let document = Document::parse(json).map_err(|_| ErrorKind::Malformed)?;
        let (mut algorithm, mut key_id, mut kind) = (None, None, TokenKind::Untyped);
        for value in document.members() {
            match value.name() {
                "alg" => {
                    let name = text(value)?;
                    algorithm = Some(Algorithm::from_name(name).ok_or(ErrorKind::UnsupportedAlgorithm)?);
                }
                "kid" => {
                    let id = text(value)?;
                    if id.len() > LONGEST_ID {
                        return Err(ErrorKind::Malformed);
                    }
                    key_id = Some(id.into());
                }
                "typ" => kind = TokenKind::of(text(value)?),
                // RFC 7519, section 5.2: the payload is another JWT, which nobody asked for.
                "cty" if TokenKind::of(text(value)?) == TokenKind::Jwt => return Err(ErrorKind::InvalidType),
                // RFC 7515, section 4.1.11: what is critical must be understood, and nothing is.
                // RFC 7797, section 7: b64 is not for JWTs.
                "crit" | "b64" => return Err(ErrorKind::UnsupportedCriticalHeader),
                _ => {}
            }
        }
        Ok(Self { algorithm: algorithm.ok_or(ErrorKind::UnsupportedAlgorithm)?, key_id, kind })
    }

    /// `alg`, the algorithm the token claims to be signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`, the id of the key the token claims to be signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.kind
    }
}

fn text(value: Value<'_>) -> Result<&str, ErrorKind> {
    value.as_str().ok_or(ErrorKind::Malformed)
}

/// What `typ` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// No `typ`, as in the tokens of Better Auth's JWT plugin.
    Untyped,
    /// `JWT`.
    Jwt,
    /// `at+jwt`, an OAuth access token (RFC 9068).
    AccessToken,
    /// `logout+jwt`, which says that a session has ended (OpenID Connect Back-Channel Logout 1.0).
    Logout,
    /// Anything else.
    Other,
}

impl TokenKind {
    /// RFC 7515, section 4.1.9: a media type, compared without regard to case, whose
    /// `application/` may be left out when it has no other slash.
    fn of(typ: &str) -> Self {
        const PREFIX: &str = "application/";
        let is = |name: &str| {
            typ.eq_ignore_ascii_case(name)
                || typ.split_at_checked(PREFIX.len()).is_some_and(|(prefix, rest)| {
                    prefix.eq_ignore_ascii_case(PREFIX) && rest.eq_ignore_ascii_case(name)
                })
        };
        if is("JWT") {
            Self::Jwt
        } else if is("at+jwt") {
            Self::AccessToken
        } else if is("logout+jwt") {
            Self::Logout
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<Header, ErrorKind> {
        Header::parse(json.to_owned())
    }

    #[test]
    fn the_header_of_a_better_auth_token_is_read() {
        let header = header(r#"{"alg":"EdDSA","kid":"e89bnvnZ1WwbYyWzLeteLs9wyKorQ2vA"}"#).unwrap();
        assert_eq!(header.algorithm(), Algorithm::EdDSA);
        assert_eq!(header.key_id(), Some("e89bnvnZ1WwbYyWzLeteLs9wyKorQ2vA"));
        assert_eq!(header.kind(), TokenKind::Untyped);
    }

    #[test]
    fn headers_that_are_not_understood_are_refused() {
        use ErrorKind::*;
        for (json, kind) in [
            ("{}", UnsupportedAlgorithm),
            (r#"{"alg":"none"}"#, UnsupportedAlgorithm),
            (r#"{"alg":"hs256"}"#, UnsupportedAlgorithm),
            (r#"{"alg":null}"#, Malformed),
            (r#"{"alg":1}"#, Malformed),
            (r#"{"alg":["HS256"]}"#, Malformed),
            (r#"{"alg":"HS256","alg":"none"}"#, Malformed),
            (r#"{"alg":"HS256","\u0061lg":"HS256"}"#, Malformed),
            (r#"{"alg":"HS256","kid":1}"#, Malformed),
            (r#"{"alg":"HS256","kid":null}"#, Malformed),
            (r#"{"alg":"HS256","typ":null}"#, Malformed),
            (r#"{"alg":"HS256","cty":"JWT"}"#, InvalidType),
            (r#"{"alg":"HS256","cty":"application/jwt"}"#, InvalidType),
            (r#"{"alg":"HS256","crit":[]}"#, UnsupportedCriticalHeader),
            (r#"{"alg":"HS256","crit":null}"#, UnsupportedCriticalHeader),
            (r#"{"alg":"HS256","crit":["exp"]}"#, UnsupportedCriticalHeader),
            (r#"{"alg":"HS256","b64":true}"#, UnsupportedCriticalHeader),
            (r#"["alg"]"#, Malformed),
        ] {
            assert_eq!(header(json), Err(kind), "{json}");
        }
        assert!(header(r#"{"alg":"HS256","cty":"other"}"#).is_ok());
        let id = |length: usize| header(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length)));
        assert!(id(256).is_ok());
        assert_eq!(id(257), Err(Malformed));
    }

    #[test]
    fn typ_is_a_media_type() {
        use TokenKind::*;
        for (typ, kind) in [
            ("JWT", Jwt),
            ("jwt", Jwt),
            ("application/jwt", Jwt),
            ("APPLICATION/JWT", Jwt),
            ("at+jwt", AccessToken),
            ("AT+JWT", AccessToken),
            ("application/at+jwt", AccessToken),
            ("application/x/at+jwt", Other),
            ("", Other),
            ("JWT ", Other),
            ("application/", Other),
            ("logout+jwt", Logout),
            ("application/Logout+JWT", Logout),
            ("logout+jwts", Other),
            ("better-auth.session-cache+jwt", Other),
            ("é", Other),
        ] {
            assert_eq!(TokenKind::of(typ), kind, "{typ}");
        }
    }

    #[test]
    fn what_is_no_compact_jws_is_told_apart() {
        use ErrorKind::*;
        let session = "a".repeat(32);
        for (token, kind) in [
            ("", Malformed),
            (".", Malformed),
            ("..", Malformed),
            ("a.b", Malformed),
            ("a.b.c.d", Malformed),
            ("a.b.c.d.e", EncryptedToken),
            ("a.b.c.d.e.f", Malformed),
            (&*session, OpaqueToken),
            (&*format!("{session}."), Malformed),
            (&*format!("{session}.FDyzCJ92X3qT3McOzfs6kDJA5Hu57vpcvsvj3kzAOiU="), OpaqueToken),
            (&*".".repeat(100_000), Malformed),
            (&*format!("{}.a.b", "e".repeat(5000)), Malformed),
            ("eyJhbGciOiJIUzI1NiJ9==.e30.AA", Malformed),
            ("{\"payload\":\"a.b.c\"}", Malformed),
        ] {
            let read = Compact::split(token.as_bytes()).and_then(|token| Header::decode(token.header));
            assert_eq!(read.unwrap_err(), kind, "{token:.60}");
        }
    }
}
