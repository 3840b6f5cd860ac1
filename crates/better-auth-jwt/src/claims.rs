//! The claims of a verified token.

mod user;

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Serialize, Serializer,
    de::DeserializeOwned,
    ser::{Error as _, SerializeMap},
};

use crate::{
    error::{Error, ErrorKind},
    json::{Document, Span, Value, unescape},
    numeric_date::NumericDate,
};

/// The claims of a verified token.
///
/// The claims that Better Auth issues have methods; [`get`](Self::get) reads any other claim by name.
///
/// ```
/// # use better_auth_jwt::{Claims, ClaimError};
/// fn greeting(claims: &Claims) -> Result<String, ClaimError> {
///     let plan: Option<String> = claims.get("plan")?;
///     Ok(format!("{} ({})", claims.name().unwrap_or(claims.user_id()), plan.as_deref().unwrap_or("free")))
/// }
/// ```
///
/// The verifier checks only the types of the claims that it needs. If a claim has another type than its method returns,
/// the method returns `None`.
///
/// `Debug` prints the names of the claims and none of their values. `Serialize` writes all claims.
#[derive(Clone)]
pub struct Claims {
    pub(crate) document: Document,
    /// The claims that every request needs, located once.
    pub(crate) spans: ClaimSpans,
    /// `exp`, rounded down.
    pub(crate) expires_at: u64,
    /// The first second at which the verifier rejects the token, leeway included.
    pub(crate) valid_until: u64,
    /// The names of the issuer whose keys verified the token; empty if any is accepted.
    pub(crate) issuers: Arc<[String]>,
    pub(crate) is_access_token: bool,
}

/// Where the claims that identify user and session are in the document.
#[derive(Clone, Copy)]
pub(crate) struct ClaimSpans {
    pub(crate) issuer: Option<Span>,
    pub(crate) subject: Span,
    pub(crate) user_id: Span,
    pub(crate) session_id: Option<Span>,
}

impl Claims {
    /// The size in bytes, including the heap.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.document.heap_size()
    }

    /// The user this token was issued to: `sub`, unless the verifier reads another claim.
    ///
    /// A user is identified by [`issuer`](Self::issuer) and user id.
    pub fn user_id(&self) -> &str {
        self.document.get(self.spans.user_id)
    }

    /// `sub`, the subject (RFC 7519, section 4.1.2).
    pub fn subject(&self) -> &str {
        self.document.get(self.spans.subject)
    }

    /// The session this token was issued for: `sid`, unless the verifier reads another claim. `None` if it is absent,
    /// `null` or empty.
    ///
    /// A session is identified by [`issuer`](Self::issuer) and session id.
    pub fn session_id(&self) -> Option<&str> {
        self.spans.session_id.map(|span| self.document.get(span))
    }

    /// `iss`, the issuer (RFC 7519, section 4.1.1). `None` only if the verifier accepts any issuer.
    pub fn issuer(&self) -> Option<&str> {
        self.spans.issuer.map(|span| self.document.get(span))
    }

    /// `aud`, the audiences (RFC 7519, section 4.1.3): one or several.
    pub fn audiences(&self) -> Vec<String> {
        let Some(value) = self.document.find("aud") else { return Vec::new() };
        match value.as_str() {
            Some(one) => vec![one.to_owned()],
            None => {
                let elements = value.elements().into_iter().flatten();
                elements.filter_map(unescape).map(Cow::into_owned).collect()
            }
        }
    }

    /// `exp`, when the token expires, in Unix seconds, rounded down.
    ///
    /// [`Verifier::remaining`](crate::Verifier::remaining) says how much longer the token is valid.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// `iat`, when the token was issued, in Unix seconds, rounded down.
    pub fn issued_at(&self) -> Option<u64> {
        Some(NumericDate::parse(self.document.find("iat")?.raw())?.floor())
    }

    /// `jti`, the id of the token (RFC 7519, section 4.1.7).
    pub fn jti(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `email`.
    pub fn email(&self) -> Option<&str> {
        self.text("email")
    }

    /// `name`.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Whether the token is an OAuth access token: whether a verifier with [`Profile::AccessToken`] or
    /// [`Profile::LegacyAccessToken`] accepted it.
    ///
    /// [`Profile::AccessToken`]: crate::Profile::AccessToken
    /// [`Profile::LegacyAccessToken`]: crate::Profile::LegacyAccessToken
    pub fn is_access_token(&self) -> bool {
        self.is_access_token
    }

    /// `scope`, the scopes of an OAuth access token (RFC 8693, section 4.2).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty())
    }

    /// Deserializes a claim by name, with serde_json.
    ///
    /// A missing claim deserializes like `null`: use `Option` for optional claims.
    ///
    /// # Errors
    ///
    /// The claim is missing and `T` is not an `Option`, or the claim is not a `T`.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, name: &str) -> Result<T, ClaimError> {
        serde_json::from_str(self.json(name).unwrap_or("null")).map_err(|_| ClaimError::new(name.to_owned()))
    }

    /// Deserializes all claims into one type, with serde_json.
    ///
    /// # Errors
    ///
    /// The claims are not a `T`.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ClaimError> {
        serde_json::from_str(self.document.text()).map_err(|error| ClaimError { claim: self.claim_of(&error) })
    }

    /// All claims in the token's order: the name, and the value as JSON text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.document.members().map(|value| (value.name(), value.raw()))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.document.find(name)?.as_str()
    }

    /// The JSON text of a claim.
    fn json(&self, name: &str) -> Option<&str> {
        self.document.find(name).map(Value::raw)
    }

    /// The name of the claim that could not be deserialized. The error's own message may quote the value.
    fn claim_of(&self, error: &serde_json::Error) -> Option<Cow<'static, str>> {
        let text = self.document.text();
        let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let position = line_start + error.column();
        if position < text.trim_end().len() {
            return self.document.member_at(position).map(|value| value.name().to_owned().into());
        }
        // The error is about the whole object. The only part of serde's message that is not a value is a missing field.
        let message = error.to_string();
        let (field, _) = message.strip_prefix("missing field `")?.split_once('`')?;
        Some(field.to_owned().into())
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")?;
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, json) in self.iter() {
            let value: serde_json::Value = serde_json::from_str(json).map_err(S::Error::custom)?;
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

/// A claim is missing, or has another type than the service expects.
///
/// It contains the claim's name, but not serde's message, which may quote values.
#[derive(Debug, Clone)]
pub struct ClaimError {
    claim: Option<Cow<'static, str>>,
}

impl ClaimError {
    /// An error about the claim of this name, for [`FromClaims`] implementations.
    pub fn new(claim: impl Into<Cow<'static, str>>) -> Self {
        Self { claim: Some(claim.into()) }
    }

    /// The name of the claim, if one claim is the cause.
    pub fn claim(&self) -> Option<&str> {
        self.claim.as_deref()
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.claim {
            Some(claim) => write!(f, "the claim `{}` is missing or has another type", claim.escape_debug()),
            None => f.write_str("a claim is missing or has another type"),
        }
    }
}

impl std::error::Error for ClaimError {}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        let with_claim = match error.claim.clone() {
            Some(claim) => Self::from(ErrorKind::InvalidClaims).with_claim(claim),
            None => ErrorKind::InvalidClaims.into(),
        };
        with_claim.with_source(error)
    }
}

/// A type of claims that the layer passes to the service: [`Claims`], or any type that implements `Deserialize`.
///
/// Implement it for a type that checks or combines claims itself:
///
/// ```
/// use std::sync::Arc;
/// use better_auth_jwt::{ClaimError, Claims, FromClaims};
///
/// struct Member {
///     organization: String,
/// }
///
/// impl FromClaims for Member {
///     fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, ClaimError> {
///         let organization: String = claims.get("org")?;
///         if organization.is_empty() {
///             return Err(ClaimError::new("org"));
///         }
///         Ok(Arc::new(Self { organization }))
///     }
/// }
/// ```
pub trait FromClaims: Sized + Send + Sync + 'static {
    /// Creates the value from verified claims.
    ///
    /// # Errors
    ///
    /// A claim is missing or invalid; the layer then rejects the request with 401.
    fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, ClaimError>;
}

impl FromClaims for Claims {
    fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, ClaimError> {
        Ok(claims.clone())
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> FromClaims for T {
    fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, ClaimError> {
        claims.deserialize().map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
