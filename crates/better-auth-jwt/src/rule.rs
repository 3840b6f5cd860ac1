//! Custom authorization rules and scopes.

use std::{borrow::Cow, error::Error as StdError, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::request::Parts;

use crate::{
    claims::Claims,
    deadline,
    error::{Error, ErrorKind},
    path::PathError,
};

/// When to retry after a rule failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type BoxError = Box<dyn StdError + Send + Sync>;
type CheckFn<C> = dyn Fn(&C, &mut Parts) -> bool + Send + Sync;
type CheckFuture = Pin<Box<dyn Future<Output = Result<bool, BoxError>> + Send>>;
type StartFn<C> = dyn Fn(Arc<C>, Parts) -> CheckFuture + Send + Sync;

/// A named condition that requests must satisfy.
pub(crate) struct Rule<C> {
    name: Cow<'static, str>,
    condition: Condition<C>,
}

enum Condition<C> {
    Sync(Arc<CheckFn<C>>),
    Async(Arc<StartFn<C>>),
}

/// An async rule that was called for one request.
pub(crate) struct StartedRule {
    name: Cow<'static, str>,
    check: CheckFuture,
}

impl<C> Rule<C> {
    pub(crate) fn new(name: Cow<'static, str>, check: impl Fn(&C, &mut Parts) -> bool + Send + Sync + 'static) -> Self {
        Self { name, condition: Condition::Sync(Arc::new(check)) }
    }

    pub(crate) fn new_async<F>(
        name: Cow<'static, str>,
        check: impl Fn(Arc<C>, Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, BoxError>> + Send + 'static,
    {
        let start = move |claims, parts| -> CheckFuture { Box::pin(check(claims, parts)) };
        Self { name, condition: Condition::Async(Arc::new(start)) }
    }

    /// Checks a synchronous rule. Async rules are [started](Self::start) instead.
    pub(crate) fn check(&self, claims: &C, parts: &mut Parts) -> Result<(), Error> {
        match &self.condition {
            Condition::Sync(check) if !check(claims, parts) => {
                Err(Error::from(ErrorKind::Forbidden).with_rule(self.name.clone()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn start(&self, claims: &Arc<C>, parts: &Parts) -> Option<StartedRule> {
        match &self.condition {
            Condition::Sync(_) => None,
            Condition::Async(start) => {
                let check = start(claims.clone(), parts.clone());
                Some(StartedRule { name: self.name.clone(), check })
            }
        }
    }
}

/// Awaits started rules in turn until one is not satisfied. The time limit is for all of them together.
pub(crate) async fn finish(rules: Vec<StartedRule>, timeout: Duration) -> Result<(), Error> {
    let mut running = Cow::Borrowed("");
    let in_turn = async {
        for StartedRule { name, check } in rules {
            running = name;
            if !check.await? {
                return Ok(false);
            }
        }
        Ok::<_, BoxError>(true)
    };
    let reason = match deadline::within(timeout, in_turn).await {
        Some(Ok(true)) => return Ok(()),
        Some(Ok(false)) => return Err(Error::from(ErrorKind::Forbidden).with_rule(running)),
        Some(Err(error)) => match error.downcast::<PathError>() {
            Ok(error) => return Err(Error::from(*error).with_rule(running)),
            Err(error) => error,
        },
        None => BoxError::from(format!("the async rules took longer than {timeout:?}")),
    };
    log_failure(&running, &*reason);
    Err(Error::from(ErrorKind::RuleUnavailable).with_rule(running).with_retry_after(RETRY_AFTER))
}

impl<C> Clone for Rule<C> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        let condition = match &self.condition {
            Condition::Sync(check) => Condition::Sync(check.clone()),
            Condition::Async(start) => Condition::Async(start.clone()),
        };
        Self { name: self.name.clone(), condition }
    }
}

fn log_failure(name: &str, reason: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!("the rule `{name}` failed: {reason}");
    #[cfg(not(feature = "tracing"))]
    let _ = (name, reason);
}

/// The scopes that requests need (RFC 6749, section 3.3).
#[derive(Clone, Default)]
pub(crate) struct Scopes {
    always: Vec<Box<str>>,
    by_request: Vec<Arc<ScopesFn>>,
}

type ScopesFn = dyn Fn(&Claims, &Parts) -> &'static [&'static str] + Send + Sync;

impl Scopes {
    pub(crate) fn require(&mut self, scopes: impl IntoIterator<Item = Box<str>>) {
        self.always.extend(scopes);
    }

    pub(crate) fn require_by_request(
        &mut self,
        scopes: impl Fn(&Claims, &Parts) -> &'static [&'static str] + Send + Sync + 'static,
    ) {
        self.by_request.push(Arc::new(scopes));
    }

    /// Returns an error that lists all missing scopes.
    pub(crate) fn check(&self, claims: &Claims, parts: &Parts) -> Result<(), Error> {
        let by_request = self.by_request.iter().flat_map(|scopes| scopes(claims, parts).iter().copied());
        let required = self.always.iter().map(|scope| &**scope).chain(by_request);
        let missing: Vec<&str> = required.filter(|scope| !claims.scopes().any(|granted| granted == *scope)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::from(ErrorKind::InsufficientScope).with_missing_scopes(missing.join(" ")))
    }
}

/// RFC 6749, section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
