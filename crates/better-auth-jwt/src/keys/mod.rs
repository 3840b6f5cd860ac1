//! Where verification keys come from.
//!
//! [`SharedSecret`] is the secret both sides know, [`KeySet`] a JWKS document at hand, and
#![cfg_attr(feature = "jwks-cache", doc = "[`RemoteKeySet`]")]
#![cfg_attr(not(feature = "jwks-cache"), doc = "`RemoteKeySet`")]
//! one that is fetched, cached and renewed. Anything else implements [`KeySource`].

mod algorithm;
mod ed25519;
#[cfg(feature = "jwks-cache")]
mod fetch;
#[cfg(feature = "remote-jwks")]
mod http;
mod jwk;
mod key;
mod key_set;
#[cfg(feature = "jwks-cache")]
mod remote;
mod shared_secret;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use jsonwebtoken::DecodingKey;

pub use self::{
    algorithm::Algorithm,
    jwk::Flaw,
    key::Key,
    key_set::{KeySet, SkippedKey},
    shared_secret::{SharedSecret, split_secrets},
};
#[cfg(feature = "jwks-cache")]
pub use self::{
    fetch::{FetchError, Fetched},
    remote::{KeyStatus, RemoteKeySet, RemoteKeySetBuilder},
};
use crate::header::Header;

/// A source of verification keys.
///
/// Looking a key up never waits. Only a token whose key is not in memory makes the layer ask
/// whether waiting could help.
pub trait KeySource: Send + Sync + 'static {
    /// Whether keys of this source can have this algorithm at all.
    ///
    /// A source of public keys must say no to `HS256`, `HS384` and `HS512`, so that a public key is
    /// never taken for a secret.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// The key for a token with this JOSE header, from memory.
    ///
    /// The key returned must have exactly the header's algorithm.
    fn find(&self, header: &Header) -> Option<Arc<Key>>;

    /// Called when [`find`](Self::find) had no key: can one be had?
    fn refresh(&self, header: &Header) -> Refresh {
        let _ = header;
        Refresh::Pointless
    }

    /// A number that changes whenever a key has been added, replaced or withdrawn: tokens verified before
    /// are then verified anew.
    ///
    /// By default there is none, and no verified token is remembered. It is asked for on every
    /// request, so it should come from memory.
    fn generation(&self) -> Option<u64> {
        None
    }

    /// Whether tokens can be verified at the moment: for health checks.
    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

impl<K: KeySource + ?Sized> KeySource for Arc<K> {
    fn supports(&self, algorithm: Algorithm) -> bool {
        (**self).supports(algorithm)
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        (**self).find(header)
    }

    fn refresh(&self, header: &Header) -> Refresh {
        (**self).refresh(header)
    }

    fn generation(&self) -> Option<u64> {
        (**self).generation()
    }

    fn readiness(&self) -> Readiness {
        (**self).readiness()
    }
}

/// Whether a [`KeySource`] has keys. In ascending order of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// There are no keys; tokens are answered with 503.
    Unavailable,
    /// There are keys, but they could not be renewed when it was time.
    Stale,
    /// There are keys.
    Ready,
}

/// What a [`KeySource`] can do about a missing key.
pub enum Refresh {
    /// Nothing: the token is refused.
    Pointless,
    /// Others were looked for lately, and looking again makes sense only after this time. A token is refused at once; a
    /// logout token, which comes again after a 503 and not after a refusal, is asked to.
    TooSoon(Duration),
    /// Wait for this, then look again.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// There are no keys at all, and trying again makes sense only after this time.
    Unavailable(Duration),
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointless => f.write_str("Pointless"),
            Self::TooSoon(after) => f.debug_tuple("TooSoon").field(after).finish(),
            Self::Wait(_) => f.write_str("Wait(..)"),
            Self::Unavailable(after) => f.debug_tuple("Unavailable").field(after).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_can_be_printed() {
        let printed = |refresh: Refresh| format!("{refresh:?}");
        assert_eq!(printed(Refresh::Pointless), "Pointless");
        assert_eq!(printed(Refresh::TooSoon(Duration::from_secs(2))), "TooSoon(2s)");
        assert_eq!(printed(Refresh::Wait(Box::pin(async {}))), "Wait(..)");
        assert_eq!(printed(Refresh::Unavailable(Duration::from_secs(1))), "Unavailable(1s)");
    }
}
