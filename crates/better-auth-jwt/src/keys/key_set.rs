//! A JWKS document (RFC 7517, section 5).

use std::{cmp::Ordering, fmt, sync::Arc};

use super::{Algorithm, JwkError, Key, KeySource, Readiness, jwk};
use crate::{error::ConfigError, header::Header, json::Document};

/// The public keys of a JWKS document you already have. Nothing is fetched.
///
/// Keys that cannot be used are [rejected](Self::rejected) individually; the others are used.
///
/// ```
/// use better_auth_jwt::keys::KeySet;
///
/// let keys = KeySet::from_json(r#"{"keys":[
///     {"kid":"k1","kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kid":"k2","kty":"oct","k":"c2VjcmV0"}]}"#)?;
/// assert_eq!(keys.len(), 1);
/// assert_eq!(keys.rejected()[0].key_id.as_deref(), Some("k2"));
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    /// Sorted by `kid`. Issuers that rotate often publish hundreds.
    keys: Vec<Arc<Key>>,
    rejected: Vec<RejectedKey>,
}

/// A key of a JWKS document that is not used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedKey {
    /// Its `kid`, if that is readable.
    pub key_id: Option<String>,
    /// Why it is not used.
    pub error: JwkError,
}

/// The result of looking up a token's key.
pub(super) enum Lookup<'s> {
    Found(&'s Arc<Key>),
    /// The `kid` belongs to a key of another algorithm, or several keys fit.
    Conflict,
    /// No key of this `kid`, or of the algorithm if the token has no `kid`.
    Missing,
}

impl KeySet {
    /// Parses a JWKS document. RSA keys without `alg` are rejected.
    ///
    /// # Errors
    ///
    /// The document is not a JWKS, or none of its keys can be used.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::read(json.as_ref(), None)
    }

    /// Like [`from_json`](Self::from_json), with an algorithm for RSA keys that have no `alg`.
    ///
    /// # Errors
    ///
    /// The errors of [`from_json`](Self::from_json), or `algorithm` is not an RSA algorithm.
    pub fn from_json_with_default_rsa_algorithm(
        json: impl AsRef<[u8]>,
        algorithm: Algorithm,
    ) -> Result<Self, ConfigError> {
        if !algorithm.is_rsa() {
            return Err(ConfigError::keys(format!("{algorithm} is not an RSA algorithm")));
        }
        Self::read(json.as_ref(), Some(algorithm))
    }

    /// Creates a set from individual keys.
    ///
    /// # Errors
    ///
    /// There are no keys, or two different ones have the same id and algorithm.
    pub fn from_keys(keys: impl IntoIterator<Item = Key>) -> Result<Self, ConfigError> {
        let set = Self::collect(keys.into_iter().map(Ok));
        match set.rejected.first() {
            Some(rejected) => Err(ConfigError::keys(format!("a key cannot be used: {}", rejected.error))),
            None if set.keys.is_empty() => Err(ConfigError::keys("a key set needs at least one key")),
            None => Ok(set),
        }
    }

    /// The number of keys that are used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set is empty. Only [`KeySet::default`] is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used.
    pub fn rejected(&self) -> &[RejectedKey] {
        &self.rejected
    }

    /// The key for a token. With a `kid`, the key of that id; without, the only key of the algorithm.
    pub(super) fn lookup(&self, header: &Header) -> Lookup<'_> {
        let candidates = header.key_id().map_or(&*self.keys, |id| self.keys_with_id(id));
        let mut fitting = candidates.iter().filter(|key| key.algorithm() == header.algorithm());
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Lookup::Found(key),
            (Some(_), Some(_)) => Lookup::Conflict,
            (None, _) if header.key_id().is_some() && !candidates.is_empty() => Lookup::Conflict,
            (None, _) => Lookup::Missing,
        }
    }

    fn keys_with_id(&self, id: &str) -> &[Arc<Key>] {
        let start = self.keys.partition_point(|key| key.key_id() < Some(id));
        let end = self.keys.partition_point(|key| key.key_id() <= Some(id));
        self.keys.get(start..end).unwrap_or_default()
    }

    /// Whether both sets have the same keys under the same ids.
    #[cfg(feature = "jwks")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().zip(&other.keys).all(|(a, b)| order(a, b).is_eq())
    }

    pub(super) fn read(json: &[u8], default_rsa_algorithm: Option<Algorithm>) -> Result<Self, ConfigError> {
        let not_a_jwks =
            || ConfigError::keys("this is not a JWKS document: a JSON object with an array named `keys` is expected");
        let text = std::str::from_utf8(json).map_err(|_| not_a_jwks())?;
        let document = Document::parse(text.to_owned()).map_err(|_| not_a_jwks())?;
        let keys = document.find("keys").and_then(|keys| keys.elements()).ok_or_else(not_a_jwks)?;
        let set = Self::collect(keys.map(|key| jwk::parse(key, default_rsa_algorithm)));
        if !set.keys.is_empty() {
            return Ok(set);
        }
        Err(ConfigError::keys(match set.rejected.first() {
            Some(RejectedKey { error, .. }) => format!("the JWKS document has no usable key; the first: {error}"),
            None => "the JWKS document has no keys".to_owned(),
        }))
    }

    fn collect(keys: impl Iterator<Item = Result<Key, RejectedKey>>) -> Self {
        let (mut all, mut rejected) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                Ok(key) => all.push(Arc::new(key)),
                Err(key) => rejected.push(key),
            }
        }
        all.sort_by(|a, b| order(a, b));
        all.dedup_by(|a, b| order(a, b).is_eq());
        let mut keys = Vec::with_capacity(all.len());
        for same_id in all.chunk_by(|a, b| a.key_id().is_some() && is_same_id(a, b)) {
            match same_id {
                [key] => keys.push(key.clone()),
                // It is unknown which one is right, so none of them is used.
                several => rejected.extend(several.iter().map(|key| RejectedKey {
                    key_id: key.key_id().map(str::to_owned),
                    error: JwkError::DuplicateKeyId,
                })),
            }
        }
        Self { keys, rejected }
    }
}

/// By id, algorithm and material. Keys that are equal in all three are the same.
fn order(a: &Key, b: &Key) -> Ordering {
    let by_id = a.key_id().cmp(&b.key_id()).then_with(|| a.algorithm().as_str().cmp(b.algorithm().as_str()));
    by_id.then_with(|| a.public_bytes().cmp(b.public_bytes()))
}

fn is_same_id(a: &Key, b: &Key) -> bool {
    a.key_id() == b.key_id() && a.algorithm() == b.algorithm()
}

impl KeySource for KeySet {
    fn supports(&self, algorithm: Algorithm) -> bool {
        !algorithm.is_symmetric()
    }

    /// With a `kid`, the key of that id; without, the only key of the algorithm.
    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        match self.lookup(header) {
            Lookup::Found(key) => Some(key.clone()),
            Lookup::Conflict | Lookup::Missing => None,
        }
    }

    fn generation(&self) -> Option<u64> {
        Some(0)
    }

    fn readiness(&self) -> Readiness {
        if self.is_empty() { Readiness::Unavailable } else { Readiness::Ready }
    }
}

impl fmt::Display for RejectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key_id {
            // Debug formatting escapes control characters.
            Some(id) => write!(f, "key {id:?} is not used: {}", self.error),
            None => write!(f, "a key without kid is not used: {}", self.error),
        }
    }
}

#[cfg(test)]
mod tests;
