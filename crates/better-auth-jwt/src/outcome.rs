//! The layer's decisions, for metrics.

use std::sync::Arc;

use crate::error::Error;

/// What the layer decided about a request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'e> {
    /// The token is valid and all rules are satisfied.
    Verified,
    /// The request has no token, and the layer is optional.
    Anonymous,
    /// The request is a CORS preflight, and the layer allows those.
    Preflight,
    /// The request was rejected.
    Rejected(&'e Error),
}

/// Called with every outcome.
pub(crate) type OnOutcome = Arc<dyn Fn(Outcome<'_>) + Send + Sync>;

impl Outcome<'_> {
    /// A stable name for a metric's label: `verified`, `anonymous`, `preflight`, or the name of the
    /// [`ErrorKind`](crate::ErrorKind).
    ///
    /// The layer rejects requests with these statuses and [descriptions](crate::ErrorKind::description); the gRPC codes
    /// are those of [`GrpcRejection`](crate::GrpcRejection):
    ///
    #[doc = include_str!("labels.md")]
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Anonymous => "anonymous",
            Self::Preflight => "preflight",
            Self::Rejected(error) => error.kind().as_str(),
        }
    }
}
