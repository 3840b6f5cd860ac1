//! The bearer token in the `Authorization` header (RFC 6750, section 2.1; RFC 9110, section 11.6.2).

use http::{HeaderMap, header::AUTHORIZATION};

use crate::error::ErrorKind;

const SCHEME: &[u8] = b"Bearer";

/// Returns the token of the request's only `Authorization: Bearer` header.
///
/// Tokens in the query or in a form are not accepted. The token's syntax is checked by the verifier.
///
/// # Errors
///
/// [`ErrorKind::MissingToken`] without the header, for another scheme and for a scheme without a token;
/// [`ErrorKind::InvalidRequest`] for two headers, bytes outside ASCII and a tab after the scheme.
pub(crate) fn token(headers: &HeaderMap) -> Result<&[u8], ErrorKind> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(ErrorKind::MissingToken)?.as_bytes();
    // RFC 9110, section 5.3: the field is not a list, so two of them are ambiguous.
    if values.next().is_some() || !value.is_ascii() {
        return Err(ErrorKind::InvalidRequest);
    }
    match strip_scheme(value) {
        // RFC 9110, section 11.4: one or more spaces follow the scheme.
        Some([b' ', rest @ ..]) => {
            let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
            rest.get(spaces..).filter(|token| !token.is_empty()).ok_or(ErrorKind::MissingToken)
        }
        Some([b'\t', ..]) => Err(ErrorKind::InvalidRequest),
        // The scheme alone, or another one that starts with the same letters.
        _ => Err(ErrorKind::MissingToken),
    }
}

/// The rest after the scheme `Bearer`. RFC 9110, section 11.1: the scheme is case-insensitive.
pub(crate) fn strip_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

#[cfg(test)]
mod tests;
