//! Errors of fetches.

use std::{fmt, time::Duration};

use crate::error::root_cause;

/// Why no key set could be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// No response: name resolution, connection or TLS failed, or the connection broke.
    Connection(String),
    /// No complete response in time.
    Timeout,
    /// A status other than 200.
    Status {
        /// The status.
        status: u16,
        /// How long to wait, from `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A redirect, which is never followed.
    Redirect,
    /// The document is larger than allowed.
    TooLarge,
    /// The response has a `Content-Encoding`, although none was accepted.
    ContentEncoding,
    /// The document is not a JWKS, or has no usable key. The text says why.
    InvalidKeySet(String),
    /// Not fetched: a fetch has failed, and the next is due after this time.
    Backoff(Duration),
}

impl FetchError {
    /// The connection failed. Use this for the errors of your own HTTP client.
    ///
    /// The message is that of the error's root cause, because outer messages usually only repeat the URL.
    pub fn connection(error: impl std::error::Error + 'static) -> Self {
        Self::Connection(root_cause(&error))
    }

    /// The kind of error, for a metric's label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Timeout => "timeout",
            Self::Status { .. } => "status",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::ContentEncoding => "content_encoding",
            Self::InvalidKeySet(_) => "invalid_key_set",
            Self::Backoff(_) => "backoff",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(reason) => write!(f, "cannot connect to the JWKS endpoint: {reason}"),
            Self::Timeout => f.write_str("the JWKS endpoint did not respond in time"),
            Self::Status { status, .. } => write!(f, "the JWKS endpoint responded with status {status}"),
            Self::Redirect => {
                f.write_str("the JWKS endpoint sent a redirect, which is not followed; configure the final URL")
            }
            Self::TooLarge => f.write_str("the JWKS document is larger than allowed"),
            Self::ContentEncoding => f.write_str(
                "the JWKS endpoint compresses its response, although the request does not allow it; configure it not to",
            ),
            Self::InvalidKeySet(reason) => f.write_str(reason),
            Self::Backoff(left) => {
                write!(f, "the last fetch failed; the next is due in {} s", left.as_secs() + 1)
            }
        }
    }
}

impl std::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_message_and_a_name_for_metrics() {
        for (error, name, says) in [
            (
                FetchError::Connection("refused".to_owned()),
                "connection",
                "cannot connect to the JWKS endpoint: refused",
            ),
            (FetchError::Timeout, "timeout", "in time"),
            (FetchError::Status { status: 404, retry_after: None }, "status", "status 404"),
            (FetchError::Redirect, "redirect", "configure the final URL"),
            (FetchError::TooLarge, "too_large", "larger than allowed"),
            (FetchError::ContentEncoding, "content_encoding", "compresses"),
            (FetchError::InvalidKeySet("no keys".to_owned()), "invalid_key_set", "no keys"),
            (FetchError::Backoff(Duration::from_millis(1500)), "backoff", "due in 2 s"),
        ] {
            assert_eq!(error.as_str(), name);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
