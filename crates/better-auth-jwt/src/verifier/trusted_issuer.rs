//! The issuers that a verifier trusts, and the choice between them.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use super::rules::{Rules, invalid};
use crate::{
    error::{Error, ErrorKind},
    header::Header,
    json::{Document, Value},
    jws::CompactJws,
    keys::{KeySource, Refresh},
};

/// Keys, and the rules for the tokens that they sign.
#[derive(Clone)]
pub(super) struct TrustedIssuer {
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) rules: Rules,
}

/// The issuer whose key verified a token.
pub(super) struct VerifiedBy<'v> {
    /// The index in the verifier's list.
    pub(super) index: usize,
    pub(super) issuer: &'v TrustedIssuer,
    /// The generation of the keys before the key was looked up: if keys change in between, a cached result is outdated.
    pub(super) generation: Option<u64>,
}

/// Why a token has not been verified.
pub(crate) enum Failure {
    Rejected(Error),
    /// Try again when this is ready: the key may then be available.
    Pending(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl TrustedIssuer {
    fn accepts(&self, header: &Header) -> bool {
        self.rules.expected.accepts(header.token_type()) && self.keys.supports(header.algorithm())
    }

    /// The result for a token whose key is not in memory.
    fn refresh(&self, header: &Header) -> Failure {
        match self.keys.refresh(header) {
            Refresh::NotFound => ErrorKind::UnknownKey.into(),
            Refresh::Pending(keys) => Failure::Pending(keys),
            Refresh::CoolingDown(after) | Refresh::Unavailable(after) => {
                Error::from(ErrorKind::KeysUnavailable).with_retry_after(after).into()
            }
        }
    }
}

/// Verifies a token with each issuer that may have signed it, in turn. `check` checks the payload by the issuer's
/// rules.
///
/// A token is accepted if it satisfies the keys and rules of one issuer. It is rejected only if no fetch of keys can
/// change that.
pub(super) fn verify_with_each<'v, T>(
    issuers: &'v [TrustedIssuer],
    token: &CompactJws<'_>,
    header: &Header,
    check: impl Fn(VerifiedBy<'v>, Vec<u8>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let candidates = || issuers.iter().enumerate().filter(|(_, issuer)| issuer.accepts(header));
    let claimed_issuer = match candidates().count() {
        0 if issuers.iter().any(|issuer| issuer.rules.expected.accepts(header.token_type())) => {
            return Err(ErrorKind::UnsupportedAlgorithm.into());
        }
        0 => {
            // All issuers expect access tokens, or all expect logout tokens.
            let hint = issuers.first().map_or("", |issuer| issuer.rules.expected.hint(header.token_type()));
            return Err(Error::from(ErrorKind::InvalidType).with_hint(hint).into());
        }
        1 => None,
        // Only `iss` says whose keys are meant. It is not verified yet: the token must satisfy the keys and rules of
        // that issuer (RFC 8725, section 3.8).
        _ => Some(claimed_issuer(token)?),
    };
    let candidates = candidates().filter(|(_, issuer)| match &claimed_issuer {
        Some(claimed) => issuer.rules.accepts_issuer(claimed.as_deref()),
        None => true,
    });

    let (mut invalid_claims, mut rejection, mut without_key) = (None, None, Vec::new());
    for (index, issuer) in candidates {
        let generation = issuer.keys.generation();
        let Some(key) = issuer.keys.find(header) else {
            without_key.push(issuer);
            continue;
        };
        match token.verify(header, &key) {
            Ok(payload) => match check(VerifiedBy { index, issuer, generation }, payload) {
                Ok(verified) => return Ok(verified),
                Err(error) => _ = invalid_claims.get_or_insert(error),
            },
            Err(error) => {
                if error.kind() == ErrorKind::InvalidSignature {
                    issuer.keys.on_invalid_signature(header);
                }
                rejection = Some(error);
            }
        }
    }
    // The signature was valid, so no other issuer's key is needed.
    if let Some(error) = invalid_claims {
        return Err(error.into());
    }
    let mut pending = Vec::new();
    // The key may have arrived since it was looked up. `refresh` then says so.
    for issuer in without_key {
        match issuer.refresh(header) {
            Failure::Pending(keys) => pending.push(keys),
            // An issuer whose keys are unavailable might accept the token, so this overrides another issuer's
            // rejection.
            Failure::Rejected(error) if rejection.is_none() || error.retry_after().is_some() => rejection = Some(error),
            Failure::Rejected(_) => {}
        }
    }
    if pending.is_empty() {
        Err(rejection.unwrap_or_else(|| Error::from(ErrorKind::InvalidIssuer).with_claim("iss")).into())
    } else {
        Err(Failure::Pending(Box::pin(first_of(pending))))
    }
}

/// `iss` of a token whose signature has not been checked.
fn claimed_issuer(token: &CompactJws<'_>) -> Result<Option<String>, Error> {
    let document = parse_claims(token.unverified_payload()?)?;
    let Some(issuer) = document.find("iss") else { return Ok(None) };
    Ok(Some(Value::as_str(issuer).ok_or_else(|| invalid("iss"))?.to_owned()))
}

/// RFC 7519, section 7.2: a JSON object in UTF-8.
pub(crate) fn parse_claims(payload: Vec<u8>) -> Result<Document, Error> {
    let text = String::from_utf8(payload).map_err(|_| ErrorKind::Malformed)?;
    Ok(Document::parse(text).map_err(|_| ErrorKind::Malformed)?)
}

/// Completes when the first of the futures does.
async fn first_of(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    poll_fn(|cx| {
        let mut ready = false;
        // Poll all of them, so that each can wake the task.
        for future in &mut futures {
            ready |= future.as_mut().poll(cx).is_ready();
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Rejected(error)
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::Rejected(kind.into())
    }
}
