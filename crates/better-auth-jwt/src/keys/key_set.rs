//! A JWKS document (RFC 7517, section 5).

use std::{fmt, sync::Arc};

use super::{Algorithm, Flaw, Key, KeySource, jwk};
use crate::{error::ConfigError, header::Header, json::Document};

/// More keys than any issuer has; what goes beyond is skipped.
const MOST_KEYS: usize = 100;

/// The public keys of a JWKS document at hand: for verification without a network.
///
/// Keys that cannot be used are skipped one by one, each with its reason, and the others work.
///
/// ```
/// use better_auth_jwt::keys::KeySet;
///
/// let keys = KeySet::from_json(r#"{"keys":[
///     {"kid":"k1","kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kid":"k2","kty":"oct","k":"c2VjcmV0"}]}"#)?;
/// assert_eq!(keys.len(), 1);
/// assert_eq!(keys.skipped()[0].id.as_deref(), Some("k2"));
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    skipped: Vec<SkippedKey>,
}

/// A key of a JWKS document that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its `kid`, where that could be read.
    pub id: Option<String>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What a set has for a token.
pub(super) enum Lookup<'s> {
    Found(&'s Arc<Key>),
    /// Keys that do not fit: of another algorithm, or several.
    Conflict,
    /// No key of this `kid`, or of the algorithm if the token has no `kid`.
    Missing,
}

impl KeySet {
    /// Reads a JWKS document. RSA keys without `alg` are skipped.
    ///
    /// # Errors
    ///
    /// The document is no JWKS, or none of its keys can be used.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::read(json.as_ref(), None)
    }

    /// The same, with one algorithm for RSA keys that name none.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), or `algorithm` is none for RSA.
    pub fn from_json_with_rsa(json: impl AsRef<[u8]>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        if !algorithm.is_rsa() {
            return Err(ConfigError::new(format!("{algorithm} is no algorithm for RSA keys")));
        }
        Self::read(json.as_ref(), Some(algorithm))
    }

    /// A set of keys made one by one.
    ///
    /// # Errors
    ///
    /// There are no keys, or two different ones have the same id and algorithm.
    pub fn from_keys(keys: impl IntoIterator<Item = Key>) -> Result<Self, ConfigError> {
        let set = Self::collect(keys.into_iter().map(Ok));
        match set.skipped.first() {
            Some(skipped) => Err(ConfigError::new(format!("a key cannot be used: {}", skipped.flaw))),
            None if set.keys.is_empty() => Err(ConfigError::new("a key set needs at least one key")),
            None => Ok(set),
        }
    }

    /// How many keys can verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never the case for a set that a constructor has returned.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are not used.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The key for a token. With a `kid`, the key of that id; without, the only key of the algorithm.
    pub(super) fn lookup(&self, header: &Header) -> Lookup<'_> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithm() == header.algorithm() && (header.key_id().is_none() || header.key_id() == key.id())
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Lookup::Found(key),
            (Some(_), Some(_)) => Lookup::Conflict,
            (None, _) => match header.key_id() {
                Some(id) if self.keys.iter().any(|key| key.id() == Some(id)) => Lookup::Conflict,
                _ => Lookup::Missing,
            },
        }
    }

    /// Whether both sets have the same keys under the same ids.
    #[cfg(feature = "jwks-cache")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|key| other.keys.iter().any(|candidate| same_id_and_material(key, candidate)))
    }

    pub(super) fn read(json: &[u8], rsa: Option<Algorithm>) -> Result<Self, ConfigError> {
        let no_jwks =
            || ConfigError::new("this is no JWKS document: a JSON object with an array named `keys` is expected");
        let text = std::str::from_utf8(json).map_err(|_| no_jwks())?;
        let document = Document::parse(text.to_owned()).map_err(|_| no_jwks())?;
        let keys = document.find("keys").and_then(|keys| keys.elements()).ok_or_else(no_jwks)?;
        let set = Self::collect(keys.map(|key| jwk::parse(key, rsa)));
        if !set.keys.is_empty() {
            return Ok(set);
        }
        Err(ConfigError::new(match set.skipped.first() {
            Some(SkippedKey { flaw, .. }) => format!("the JWKS document has no usable key; of the first, {flaw}"),
            None => "the JWKS document has no keys".to_owned(),
        }))
    }

    fn collect(keys: impl Iterator<Item = Result<Key, (Option<String>, Flaw)>>) -> Self {
        let mut set = Self::default();
        let mut clashes: Vec<Arc<Key>> = Vec::new();
        for (place, key) in keys.enumerate() {
            let key = match key {
                _ if place >= MOST_KEYS => {
                    set.skip(None, Flaw::TooMany);
                    break;
                }
                Ok(key) => Arc::new(key),
                Err((id, flaw)) => {
                    set.skip(id, flaw);
                    continue;
                }
            };
            let clash = |other: &Arc<Key>| same_id(other, &key);
            if set.keys.iter().any(|other| same_id_and_material(other, &key)) {
                continue;
            }
            // Which of the two is right cannot be known, so neither is used.
            if let Some(place) = set.keys.iter().position(clash) {
                clashes.push(set.keys.swap_remove(place));
                set.skip(key.id().map(str::to_owned), Flaw::SameId);
            }
            if clashes.iter().any(clash) {
                set.skip(key.id().map(str::to_owned), Flaw::SameId);
            } else {
                set.keys.push(key);
            }
        }
        set
    }

    fn skip(&mut self, id: Option<String>, flaw: Flaw) {
        self.skipped.push(SkippedKey { id, flaw });
    }
}

fn same_id(a: &Key, b: &Key) -> bool {
    a.id().is_some() && a.id() == b.id() && a.algorithm() == b.algorithm()
}

fn same_id_and_material(a: &Key, b: &Key) -> bool {
    a.id() == b.id() && a.same_material(b)
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
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            // Debug formatting escapes what a terminal would obey.
            Some(id) => write!(f, "key {id:?} is skipped: {}", self.flaw),
            None => write!(f, "a key without kid is skipped: {}", self.flaw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const OTHER_X: &str = "xHphwvOcQclldJH5fecl5p9XEGDIxR9lAonuzXRa16g";

    fn jwk(id: &str, x: &str) -> String {
        format!(r#"{{"kid":"{id}","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
    }

    fn set(keys: &[String]) -> Result<KeySet, ConfigError> {
        KeySet::from_json(format!(r#"{{"keys":[{}],"more":1}}"#, keys.join(",")))
    }

    fn finds(set: &KeySet, alg: &str, id: Option<&str>) -> bool {
        let id = id.map(|id| format!(r#","kid":"{id}""#)).unwrap_or_default();
        let header = Header::parse(format!(r#"{{"alg":"{alg}"{id}}}"#)).unwrap();
        set.find(&header).is_some()
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let set = set(&[jwk("a", X), jwk("b", OTHER_X)]).unwrap();
        assert!(!set.is_empty() && KeySet::default().is_empty());
        assert!(finds(&set, "EdDSA", Some("a")));
        assert!(!finds(&set, "EdDSA", Some("c")));
        assert!(!finds(&set, "EdDSA", Some("A")));
        assert!(!finds(&set, "ES256", Some("a")));
        assert!(!finds(&set, "Ed25519", Some("a")));
        assert!(!finds(&set, "EdDSA", None), "two keys fit");
    }

    #[test]
    fn without_an_id_exactly_one_key_must_fit() {
        let one = set(&[jwk("a", X)]).unwrap();
        assert!(finds(&one, "EdDSA", None));
        assert!(!finds(&one, "ES256", None));
    }

    #[test]
    fn same_id_with_other_material_drops_all_of_them() {
        let clashing = set(&[jwk("a", X), jwk("a", OTHER_X), jwk("a", X), jwk("b", X)]).unwrap();
        assert!(!finds(&clashing, "EdDSA", Some("a")));
        assert!(finds(&clashing, "EdDSA", Some("b")));
        assert!(clashing.skipped().iter().all(|skipped| skipped.flaw == Flaw::SameId));
        assert_eq!(clashing.skipped().len(), 3);
        let twice = set(&[jwk("a", X), jwk("a", X)]).unwrap();
        assert!(finds(&twice, "EdDSA", Some("a")));
        assert_eq!(twice.skipped(), []);
    }

    #[test]
    fn unusable_keys_are_skipped_and_the_others_work() {
        let bad =
            ["1", "null", "[]", "{}", r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"AKP","alg":"ML-DSA-44","kid":"pq"}"#];
        let mut keys: Vec<String> = bad.iter().map(|key| (*key).to_owned()).collect();
        keys.push(jwk("a", X));
        let set = set(&keys).unwrap();
        assert!(finds(&set, "EdDSA", Some("a")));
        assert_eq!(set.skipped().len(), bad.len());
        assert_eq!(
            set.skipped()[5].to_string(),
            "key \"pq\" is skipped: its type, curve or algorithm is not supported"
        );
        assert!(set.skipped()[0].to_string().starts_with("a key without kid is skipped"));
    }

    #[test]
    fn at_most_a_hundred_keys_are_read() {
        let keys: Vec<String> = (0..150).map(|n| jwk(&format!("k{n}"), X)).collect();
        let set = set(&keys).unwrap();
        assert_eq!(set.len(), 100);
        assert_eq!(set.skipped(), [SkippedKey { id: None, flaw: Flaw::TooMany }]);
    }

    #[test]
    fn what_is_no_set_of_keys_is_refused() {
        for json in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"keys":null}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":{}}"#,
            r#"{"keys":[1,null]}"#,
            "<html>",
            r#"{"keys":[],"keys":[]}"#,
        ] {
            assert!(KeySet::from_json(json).is_err(), "{json}");
        }
        assert!(KeySet::from_json([0xff]).is_err());
    }
}
