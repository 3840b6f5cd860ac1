//! What fetching a key set can result in.

use std::{fmt, time::Duration};

/// The answer of a JWKS endpoint, before anything in it is believed.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    pub(super) body: Option<Vec<u8>>,
    pub(super) etag: Option<String>,
    pub(super) max_age: Option<Duration>,
}

impl Fetched {
    /// A document.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// The document of the `etag` that was asked with is still the current one.
    pub fn not_modified() -> Self {
        Self::default()
    }

    /// The document's validator, handed to the next fetch.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// For how long the issuer says that the document is fresh.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }
}

/// Why no key set could be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// No answer: name resolution, connection or TLS failed, or the connection broke.
    Connection(String),
    /// No complete answer in time.
    Timeout,
    /// Another status than 200.
    Status {
        /// The status.
        status: u16,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// A redirect, which is never followed.
    Redirect,
    /// The document is larger than allowed.
    TooLarge,
    /// The document is no JWKS, or has no usable key. The text says what is wrong.
    Unusable(String),
    /// Not asked: an attempt failed a moment ago, and the next is due after this time.
    BackingOff(Duration),
}

impl FetchError {
    /// The name of this kind of error, for a metric's label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Timeout => "timeout",
            Self::Status { .. } => "status",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::Unusable(_) => "unusable",
            Self::BackingOff(_) => "backing_off",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(reason) => write!(f, "no connection to the JWKS endpoint: {reason}"),
            Self::Timeout => f.write_str("the JWKS endpoint did not answer in time"),
            Self::Status { status, .. } => write!(f, "the JWKS endpoint answered with status {status}"),
            Self::Redirect => {
                f.write_str("the JWKS endpoint redirects, which is not followed; configure the final URL")
            }
            Self::TooLarge => f.write_str("the JWKS document is larger than allowed"),
            Self::Unusable(reason) => f.write_str(reason),
            Self::BackingOff(after) => {
                write!(f, "the last attempt failed; the next is due in {} s", after.as_secs() + 1)
            }
        }
    }
}

impl std::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_happened_and_has_a_name_for_metrics() {
        for (error, name, says) in [
            (FetchError::Connection("refused".to_owned()), "connection", "no connection to the JWKS endpoint: refused"),
            (FetchError::Timeout, "timeout", "in time"),
            (FetchError::Status { status: 404, retry_after: None }, "status", "status 404"),
            (FetchError::Redirect, "redirect", "configure the final URL"),
            (FetchError::TooLarge, "too_large", "larger than allowed"),
            (FetchError::Unusable("no keys".to_owned()), "unusable", "no keys"),
            (FetchError::BackingOff(Duration::from_millis(1500)), "backing_off", "due in 2 s"),
        ] {
            assert_eq!(error.name(), name);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
