//! Sources of verification keys.
//!
//! [`SharedSecret`] holds secrets shared with the issuer, [`KeySet`] a JWKS document you already have, and
#![cfg_attr(feature = "jwks", doc = "[`RemoteKeySet`]")]
#![cfg_attr(not(feature = "jwks"), doc = "`RemoteKeySet`")]
//! one that is fetched, cached and refreshed. Implement [`KeySource`] for other sources.

mod der;
mod ed25519;
mod jwk;
mod key;
mod key_set;
#[cfg(feature = "jwks")]
mod remote;
mod shared_secret;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use jsonwebtoken::DecodingKey;

#[cfg(feature = "test-util")]
pub(crate) use self::der::rsa_public_key;
pub use crate::algorithm::Algorithm;

#[cfg(feature = "jwks")]
pub use self::remote::{FetchError, JwksRequest, JwksResponse, KeyStatus, RemoteKeySet, RemoteKeySetBuilder};
pub use self::{
    jwk::JwkError,
    key::Key,
    key_set::{KeySet, RejectedKey},
    shared_secret::SharedSecret,
};
use crate::header::Header;

/// A source of verification keys.
///
/// Lookups are synchronous. On a miss the layer calls [`refresh`](Self::refresh) to ask whether waiting could help.
pub trait KeySource: Send + Sync + 'static {
    /// Whether keys of this source can have this algorithm.
    ///
    /// A source of public keys must return false for `HS256`, `HS384` and `HS512`, so that a public key is never used
    /// as a secret.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// The key for a token with this JOSE header, from memory.
    ///
    /// The key returned must have exactly the header's algorithm.
    fn find(&self, header: &Header) -> Option<Arc<Key>>;

    /// Called when [`find`](Self::find) has returned no key.
    fn refresh(&self, header: &Header) -> Refresh {
        let _ = header;
        Refresh::NotFound
    }

    /// Called when a signature did not verify with the key that [`find`](Self::find) returned. The token is rejected in
    /// any case.
    ///
    /// The issuer may have replaced the key under the same `kid`, so a source can fetch keys in the background. Most
    /// such tokens are forged, so it must limit the rate. By default nothing happens.
    fn on_invalid_signature(&self, header: &Header) {
        let _ = header;
    }

    /// A number that changes whenever a key is added, replaced or removed. Cached tokens are then verified again.
    ///
    /// By default this is `None`, and verified tokens are not cached. It is called for every request, so it must not
    /// block.
    fn generation(&self) -> Option<u64> {
        None
    }

    /// Whether tokens can be verified, for health checks.
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

    fn on_invalid_signature(&self, header: &Header) {
        (**self).on_invalid_signature(header);
    }

    fn generation(&self) -> Option<u64> {
        (**self).generation()
    }

    fn readiness(&self) -> Readiness {
        (**self).readiness()
    }
}

/// Whether a [`KeySource`] has keys, in ascending order of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// There are no keys; requests with a token get 503.
    Unavailable,
    /// There are keys, but refreshing them has failed.
    Stale,
    /// There are keys.
    Ready,
}

impl Readiness {
    /// `unavailable`, `stale` or `ready`, for health checks and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Stale => "stale",
            Self::Ready => "ready",
        }
    }
}

/// The result of [`KeySource::refresh`], for a key that is not in memory.
pub enum Refresh {
    /// The issuer does not have the key. The response is 401.
    NotFound,
    /// The issuer may have the key, but another fetch is not allowed before this time has passed. The response is 503.
    CoolingDown(Duration),
    /// A fetch is running. The request waits for this future, and then the key is looked up again.
    Pending(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// There are no keys at all, and another fetch is not allowed before this time has passed. The response is 503.
    Unavailable(Duration),
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("NotFound"),
            Self::CoolingDown(left) => f.debug_tuple("CoolingDown").field(left).finish(),
            Self::Pending(_) => f.write_str("Pending(..)"),
            Self::Unavailable(left) => f.debug_tuple("Unavailable").field(left).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_a_refresh() {
        let printed = |refresh: Refresh| format!("{refresh:?}");
        assert_eq!(printed(Refresh::NotFound), "NotFound");
        assert_eq!(printed(Refresh::CoolingDown(Duration::from_secs(2))), "CoolingDown(2s)");
        assert_eq!(printed(Refresh::Pending(Box::pin(async {}))), "Pending(..)");
        assert_eq!(printed(Refresh::Unavailable(Duration::from_secs(1))), "Unavailable(1s)");
    }
}
