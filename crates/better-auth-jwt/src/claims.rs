//! What a verified token says.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, MapAccess, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{
    json::{Document, Place, Value, unescape},
    numeric_date::NumericDate,
};

/// The claims of a verified token.
///
/// One buffer and the places of its members: nothing is copied until it is asked for. What
/// Better Auth puts in has a method of its own; any other claim is read by name with
/// [`get`](Self::get).
///
/// ```
/// # use better_auth_jwt::{Claims, ClaimError};
/// fn greeting(claims: &Claims) -> Result<String, ClaimError> {
///     let role: Option<String> = claims.get("role")?;
///     Ok(format!("{} ({})", claims.name().unwrap_or(claims.user_id()), role.as_deref().unwrap_or("user")))
/// }
/// ```
///
/// `Debug` prints the names of the claims and none of their values.
#[derive(Clone)]
pub struct Claims {
    pub(crate) document: Document,
    pub(crate) places: Places,
    /// `exp`, rounded down.
    pub(crate) expires: u64,
}

/// Where a document says what is asked for on every request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    pub(crate) user: Place,
    pub(crate) subject: Place,
    /// An empty string where there is no session.
    pub(crate) session: Place,
}

impl Claims {
    /// A token's payload, to be read and checked where it stays.
    pub(crate) fn unread(payload: String) -> Self {
        Self { document: Document::unread(payload), places: Places::default(), expires: 0 }
    }

    /// The user this token was issued to: `sub`, unless the verifier names another claim.
    pub fn user_id(&self) -> &str {
        self.document.at(self.places.user)
    }

    /// `sub`, the subject (RFC 7519, section 4.1.2).
    pub fn sub(&self) -> &str {
        self.document.at(self.places.subject)
    }

    /// `email`, if present and not `null`.
    pub fn email(&self) -> Option<&str> {
        self.text("email")
    }

    /// `name`, if present and not `null`.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// The session this token was issued for: `sid`, unless the verifier names another claim. None if it is absent,
    /// `null` or empty.
    pub fn session_id(&self) -> Option<&str> {
        Some(self.document.at(self.places.session)).filter(|session| !session.is_empty())
    }

    /// `iss`, the issuer (RFC 7519, section 4.1.1). Absent only when the verifier accepts any issuer.
    pub fn iss(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `aud`, the audiences (RFC 7519, section 4.1.3): one or several.
    pub fn aud(&self) -> Vec<String> {
        self.document.find("aud").map(audiences).unwrap_or_default()
    }

    /// `exp` in seconds since 1970, rounded down.
    pub fn exp(&self) -> u64 {
        self.expires
    }

    /// `iat`, when the token was issued, in seconds since 1970, if present.
    pub fn iat(&self) -> Option<u64> {
        Some(NumericDate::parse(self.document.find("iat")?.as_json_bytes())?.floor())
    }

    /// `scope`, the scopes an OAuth access token carries (RFC 8693, section 4.2).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty())
    }

    /// Any claim by name, as any type that serde can read.
    ///
    /// A claim that is missing reads like `null`: ask for an `Option` where it may be.
    ///
    /// # Errors
    ///
    /// The claim is missing and `T` is no `Option`, or it is not a `T`.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, name: &str) -> Result<T, ClaimError> {
        let json = self.document.find(name).map_or("null", Value::as_json);
        serde_json::from_str(json).map_err(|_| ClaimError(Some(name.into())))
    }

    /// All claims as a type of your own.
    ///
    /// # Errors
    ///
    /// The claims are not a `T`.
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ClaimError> {
        let members = Members { rest: self.document.members(), value: None };
        T::deserialize(MapAccessDeserializer::new(members)).map_err(|_| ClaimError(None))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.document.find(name)?.as_str()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")?;
        f.debug_list().entries(self.document.members().map(Value::name)).finish()
    }
}

/// Why a claim could not be read: it is missing, or has another type.
///
/// It names the claim that was asked for. serde's own message is left out, since that quotes values.
#[derive(Debug)]
pub struct ClaimError(Option<Box<str>>);

impl ClaimError {
    /// The name of the claim, if one was asked for by name.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "the claim `{name}` is missing or has another type"),
            None => f.write_str("a claim is missing or has another type than the service expects"),
        }
    }
}

impl std::error::Error for ClaimError {}

/// What the layer hands to the service: [`Claims`], or any type that serde can read.
pub trait FromClaims: Sized + Send + Sync + 'static {
    /// Makes the value from verified claims.
    ///
    /// # Errors
    ///
    /// The claims are not of this shape; the request is then refused with 401.
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

/// The strings of an `aud` claim that has passed verification.
fn audiences(value: Value<'_>) -> Vec<String> {
    match value.as_str() {
        Some(one) => vec![one.to_owned()],
        None => value
            .elements()
            .map(|elements| elements.filter_map(unescape).map(|text| text.into_owned()).collect())
            .unwrap_or_default(),
    }
}

/// All claims where they stand in the token, for serde.
struct Members<'de, I> {
    rest: I,
    /// That of the name read last.
    value: Option<Value<'de>>,
}

impl<'de, I: Iterator<Item = Value<'de>>> MapAccess<'de> for Members<'de, I> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        self.value = self.rest.next();
        self.value.map(|value| seed.deserialize(BorrowedStrDeserializer::new(value.name()))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(Json(value)),
            None => Err(serde_json::Error::custom("a value was asked for before its name")),
        }
    }
}

/// A claim's value where it stands in the token, for serde.
struct Json<'de>(Value<'de>);

impl<'de> Json<'de> {
    fn read(self) -> serde_json::Deserializer<serde_json::de::StrRead<'de>> {
        serde_json::Deserializer::from_str(self.0.as_json())
    }
}

impl<'de> serde::Deserializer<'de> for Json<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        // The scanner has unescaped it already.
        if let Some(content) = self.0.as_str() {
            return visitor.visit_borrowed_str(content);
        }
        // What most claims are needs no parser of its own.
        match self.0.as_json_bytes() {
            b"true" => visitor.visit_bool(true),
            b"false" => visitor.visit_bool(false),
            _ => match self.0.as_json().parse() {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => self.read().deserialize_any(visitor),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        // serde_json knows some by name.
        self.read().deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.read().deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        // The scanner has looked at it already.
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn claims(json: &str) -> Claims {
        let document = Document::parse(json.to_owned()).unwrap();
        let place = |name| document.find(name).and_then(Value::place).unwrap_or_default();
        let places = Places { user: place("sub"), subject: place("sub"), session: place("sid") };
        Claims { document, places, expires: 2 }
    }

    const ADA: &str = r#"{"iat":1.5,"name":"Ada \"L\"","email":null,"sub":"ada","exp":2,"iss":"https://a","aud":["x","y\u007a"],
        "role":"admin","banned":false,"tags":["a","b"],"plan":{"kind":"pro"},"scope":"openid  tasks:read"}"#;

    #[test]
    fn what_better_auth_puts_in_has_methods() {
        let claims = claims(ADA);
        assert_eq!(claims.user_id(), "ada");
        assert_eq!(claims.sub(), "ada");
        assert_eq!(claims.name(), Some("Ada \"L\""));
        assert_eq!(claims.email(), None);
        assert_eq!(claims.session_id(), None);
        assert_eq!(claims.iss(), Some("https://a"));
        assert_eq!(claims.aud(), ["x", "yz"]);
        assert_eq!(claims.iat(), Some(1));
        assert_eq!(claims.exp(), 2);
        assert_eq!(claims.scopes().collect::<Vec<_>>(), ["openid", "tasks:read"]);
    }

    #[test]
    fn any_other_claim_is_read_by_name() {
        let claims = claims(ADA);
        assert_eq!(claims.get::<String>("role").unwrap(), "admin");
        assert_eq!(claims.get::<&str>("role").unwrap(), "admin");
        assert!(!claims.get::<bool>("banned").unwrap());
        assert_eq!(claims.get::<Vec<String>>("tags").unwrap(), ["a", "b"]);
        assert_eq!(claims.get::<Option<String>>("absent").unwrap(), None);
        assert!(claims.get::<String>("absent").is_err());
        assert!(claims.get::<String>("banned").is_err());
        assert!(claims.get::<Option<String>>("banned").is_err(), "a wrong type is not an absent claim");
    }

    #[test]
    fn own_types_are_read_as_serde_json_would() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Role {
            Admin,
            User,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(tag = "kind", rename_all = "lowercase")]
        enum Plan {
            Pro,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct UserId(String);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Own {
            sub: UserId,
            role: Role,
            email: Option<String>,
            absent: Option<u8>,
            plan: Plan,
            exp: u64,
            iat: f64,
            #[serde(flatten)]
            rest: BTreeMap<String, serde_json::Value>,
        }
        let own: Own = claims(ADA).deserialize().unwrap();
        assert_eq!(own, serde_json::from_str(ADA).unwrap());
        assert_eq!(own.role, Role::Admin);
        assert!(claims(r#"{"sub":1}"#).deserialize::<Own>().is_err());
    }

    #[test]
    fn neither_debug_nor_errors_print_a_claim() {
        let claims = claims(r#"{"sub":"secret-user","exp":2}"#);
        assert_eq!(format!("{claims:?}"), r#"Claims["sub", "exp"]"#);
        let error = claims.get::<u8>("sub").unwrap_err();
        assert!(!format!("{error} ").contains("secret-user"));
        assert!(!format!("{error:?}").contains("secret-user"));
    }
}
