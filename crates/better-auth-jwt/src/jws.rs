//! The compact serialization of a JWS (RFC 7515, section 7.1).
//!
//! [`verify`] checks a signature and nothing else, for payloads that are not claims; a
//! [`Verifier`](crate::Verifier) checks the claims too.

use std::ops::Range;

use memchr::memchr_iter;

pub use crate::header::Header;
use crate::{
    base64url,
    error::{Error, ErrorKind},
    keys::{Key, KeySource},
};

/// A longer JOSE header (encoded) is rejected unread. Better Auth's has 80 bytes.
const MAX_HEADER: usize = 2048;

/// The signature of an 8192-bit RSA key, encoded.
const MAX_SIGNATURE: usize = 1366;

/// Verifies a compact JWS and returns its payload.
///
/// `typ` and claims are not checked. The caller must bound the token's length. Only keys in memory are used: `verify`
/// never waits for a fetch.
///
/// # Errors
///
/// The token is not a strict compact JWS, no key fits its header, or the signature is invalid.
pub fn verify(token: &str, keys: &dyn KeySource) -> Result<Vec<u8>, Error> {
    let token = CompactJws::split(token.as_bytes())?;
    let header = Header::decode(token.header)?;
    if !keys.supports(header.algorithm()) {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    }
    let key = keys.find(&header).ok_or(ErrorKind::UnknownKey)?;
    token.verify(&header, &key)
}

/// The parts of a token, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompactJws<'t> {
    pub(crate) header: &'t [u8],
    payload: &'t [u8],
    /// Header, dot and payload as received (RFC 7515, section 5.2).
    signing_input: &'t [u8],
    signature: &'t [u8],
}

impl<'t> CompactJws<'t> {
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, Error> {
        let mut dots = memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(classify_non_jws(token).into());
        };
        let part = |range: Range<usize>| token.get(range).unwrap_or_default();
        let (header, payload) = (part(0..first), part(first + 1..second));
        let (signing_input, signature) = (part(0..second), part(second + 1..token.len()));
        if header.len() > MAX_HEADER || signature.len() > MAX_SIGNATURE {
            return Err(ErrorKind::Malformed.into());
        }
        Ok(Self { header, payload, signing_input, signature })
    }

    /// Checks the signature and returns the payload.
    pub(crate) fn verify(&self, header: &Header, key: &Key) -> Result<Vec<u8>, Error> {
        // `KeySource::find` must not return a key of another algorithm. If it does, reject the token.
        if key.algorithm() != header.algorithm() {
            return Err(ErrorKind::UnknownKey.into());
        }
        // One buffer for signature and payload.
        let mut buffer = Vec::with_capacity(self.payload.len());
        base64url::decode_into(self.signature, &mut buffer).ok_or(ErrorKind::Malformed)?;
        if !key.verifies(self.signing_input, &buffer) {
            return Err(ErrorKind::InvalidSignature.into());
        }
        buffer.clear();
        base64url::decode_into(self.payload, &mut buffer).ok_or(ErrorKind::Malformed)?;
        Ok(buffer)
    }

    /// The payload of a token whose signature has not been checked.
    pub(crate) fn unverified_payload(&self) -> Result<Vec<u8>, Error> {
        Ok(base64url::decode(self.payload).ok_or(ErrorKind::Malformed)?)
    }
}

/// Recognizes what clients send instead of a compact JWS, for the log.
fn classify_non_jws(token: &[u8]) -> ErrorKind {
    // RFC 7516, section 9: a JWE has five parts, all base64url.
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if token.split(|byte| *byte == b'.').count() == 5 && token.iter().all(|byte| *byte == b'.' || is_base64url(byte)) {
        return ErrorKind::EncryptedToken;
    }
    // `data.token` of a sign-in is 32 letters and digits. The session cookie and the `set-auth-token` header append a
    // signature.
    let (session, rest) = token.split_at_checked(32).unwrap_or_default();
    let is_session = !session.is_empty() && session.iter().all(u8::is_ascii_alphanumeric);
    match rest {
        [] if is_session => ErrorKind::OpaqueToken,
        [b'.', signature @ ..] if is_session && signature.len() >= 43 => ErrorKind::OpaqueToken,
        _ => ErrorKind::Malformed,
    }
}

#[cfg(test)]
mod tests;
