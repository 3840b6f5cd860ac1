//! Secrets shared with the issuer.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;

use super::{Algorithm, Key, KeySource};
use crate::{error::ConfigError, header::Header};

/// Better Auth's published default, used outside production.
const BETTER_AUTH_DEFAULT: &str = "better-auth-secret-12345678901234567890";

/// One secret, or several during a rotation, for tokens signed with HMAC.
///
/// The key is the bytes of the string, as in Better Auth and jose.
///
/// `Debug` does not print secrets.
#[derive(Clone)]
pub struct SharedSecret(Arc<Key>);

impl SharedSecret {
    /// Creates a key source from one secret, for `HS256`.
    ///
    /// # Errors
    ///
    /// The secret is shorter than 32 bytes (RFC 7518, section 3.2), all zeros, or the default that
    /// ships with Better Auth.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::keyring([secret])
    }

    /// Creates a key source from several secrets for `HS256`, the newest first. Tokens signed with any of them are
    /// accepted.
    ///
    /// # Errors
    ///
    /// There is no secret, or one of them is rejected as in [`new`](Self::new).
    pub fn keyring<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Self::with_algorithm(Algorithm::HS256, secrets)
    }

    /// Creates a key source from Better Auth's `BETTER_AUTH_SECRETS`, such as `2:newest,1:older`, for `HS256`.
    ///
    /// ```
    /// use better_auth_jwt::keys::SharedSecret;
    ///
    /// let text = "2:k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n,1:x9pLr4sT8wYz1aBc3dEf5gHj6nk7Qm2v";
    /// let secrets = SharedSecret::from_better_auth_secrets(text)?;
    /// # let _ = secrets;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`split_better_auth_secrets`](Self::split_better_auth_secrets), or one of the secrets is rejected
    /// as in [`new`](Self::new).
    pub fn from_better_auth_secrets(text: &str) -> Result<Self, ConfigError> {
        Self::keyring(Self::split_better_auth_secrets(text)?)
    }

    /// Splits the value of `BETTER_AUTH_SECRETS` into its secrets, in their order, for programs that also sign.
    ///
    /// # Errors
    ///
    /// An entry is not a version number, a colon and a secret, or a version appears twice.
    pub fn split_better_auth_secrets(text: &str) -> Result<Vec<&str>, ConfigError> {
        let (mut versions, mut secrets) = (Vec::new(), Vec::new());
        for entry in text.split(',') {
            let (version, secret) = entry
                .trim()
                .split_once(':')
                .and_then(|(version, secret)| Some((version.trim().parse::<u64>().ok()?, secret.trim())))
                .ok_or_else(|| {
                    ConfigError::secret("each secret must follow its version and a colon, as in `2:newest,1:older`")
                })?;
            if versions.contains(&version) {
                return Err(ConfigError::secret(format!("version {version} is given twice")));
            }
            versions.push(version);
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// Creates a key source from secrets for `HS256`, `HS384` or `HS512`, the newest first.
    ///
    /// # Errors
    ///
    /// The algorithm is not one of these, there is no secret, or one is shorter than the algorithm's hash
    /// (32, 48 or 64 bytes), all zeros, or Better Auth's default.
    pub fn with_algorithm<S: AsRef<[u8]>>(
        algorithm: Algorithm,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let secrets: Vec<S> = secrets.into_iter().collect();
        for secret in &secrets {
            check_not_well_known(secret.as_ref())?;
        }
        Self::allowing_well_known(algorithm, secrets)
    }

    /// Like [`with_algorithm`](Self::with_algorithm), but accepts well-known secrets, such as those of published test
    /// vectors.
    pub(crate) fn allowing_well_known<S: AsRef<[u8]>>(
        algorithm: Algorithm,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let Some(hash) = algorithm.hmac() else {
            return Err(ConfigError::secret(format!("{algorithm} does not use a shared secret")));
        };
        // RFC 7518, section 3.2: at least the size of the hash.
        let min = hash.digest_algorithm().output_len;
        let secrets: Vec<S> = secrets.into_iter().collect();
        if secrets.is_empty() {
            return Err(ConfigError::secret("no shared secret is given"));
        }
        if let Some(short) = secrets.iter().map(|secret| secret.as_ref().len()).find(|length| *length < min) {
            return Err(ConfigError::secret(format!(
                "the secret has {short} bytes, but {algorithm} needs at least {min}; generate one with `openssl rand -base64 {min}`",
            )));
        }
        let secrets = secrets.iter().map(|secret| hmac::Key::new(hash, secret.as_ref()));
        Ok(Self(Arc::new(Key::secrets(algorithm, secrets))))
    }
}

fn check_not_well_known(secret: &[u8]) -> Result<(), ConfigError> {
    if secret == BETTER_AUTH_DEFAULT.as_bytes() {
        return Err(ConfigError::secret(
            "this secret is Better Auth's published default; generate your own with `openssl rand -base64 32`",
        ));
    }
    if !secret.is_empty() && secret.iter().all(|byte| *byte == 0) {
        return Err(ConfigError::secret("the secret is all zeros"));
    }
    Ok(())
}

impl KeySource for SharedSecret {
    fn supports(&self, algorithm: Algorithm) -> bool {
        algorithm == self.0.algorithm()
    }

    /// All secrets as one key. A `kid` in the token is ignored: secrets have no ids.
    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        (header.algorithm() == self.0.algorithm()).then(|| self.0.clone())
    }

    fn generation(&self) -> Option<u64> {
        Some(0)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").field("algorithm", &self.0.algorithm()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_rejected() {
        assert!(SharedSecret::new("").is_err());
        assert!(SharedSecret::new([7; 31]).is_err());
        assert!(SharedSecret::new([7; 32]).is_ok());
        assert!(SharedSecret::new([0; 64]).is_err());
        assert!(SharedSecret::new(BETTER_AUTH_DEFAULT).is_err());
        assert!(SharedSecret::with_algorithm(Algorithm::HS384, [[7; 47]]).is_err());
        assert!(SharedSecret::with_algorithm(Algorithm::HS384, [[7; 48]]).is_ok());
        assert!(SharedSecret::with_algorithm(Algorithm::HS512, [[7; 63]]).is_err());
        assert!(SharedSecret::with_algorithm(Algorithm::HS512, [[7; 64]]).is_ok());
        assert!(SharedSecret::with_algorithm(Algorithm::EdDSA, [[7; 64]]).is_err());
    }

    #[test]
    fn a_keyring_with_a_weak_secret_is_rejected() {
        assert!(SharedSecret::keyring([&[7; 32][..], &[8; 31]]).is_err());
        assert!(SharedSecret::keyring(Vec::<&[u8]>::new()).is_err());
    }

    #[test]
    fn better_auth_secrets_are_parsed() {
        let (new, old) = ("n".repeat(32), "o".repeat(32));
        assert_eq!(SharedSecret::split_better_auth_secrets(&format!("2:{new}, 1:{old}")).unwrap(), [&new, &old]);
        assert_eq!(SharedSecret::split_better_auth_secrets("0:a:b").unwrap(), ["a:b"]);
        for wrong in ["", &new, &format!("x:{new}"), &format!("1:{new},1:{old}"), &format!("-1:{new}"), "1:a,"] {
            let error = SharedSecret::split_better_auth_secrets(wrong).unwrap_err();
            assert!(!error.to_string().contains(&new), "{error}");
        }
    }

    #[test]
    fn debug_does_not_print_the_secret() {
        let secret = SharedSecret::new("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n").unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret { algorithm: HS256, .. }");
    }
}
