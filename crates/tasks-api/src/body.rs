use std::{borrow::Cow, fmt};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, error::Category};

use crate::problem::{FieldFault, Problem};

/// The largest body of a request.
pub(crate) const LIMIT: usize = 64 * 1024;

/// The largest body of a logout, which comes without a bearer token.
pub(crate) const LOGOUT_LIMIT: usize = 16 * 1024;

/// A JSON object from the request's body, read member by member so that every fault is found at once.
#[derive(Debug)]
pub(crate) struct Valid<T>(pub(crate) T);

/// What can be read from a JSON object.
pub(crate) trait FromFields: Sized {
    /// `None` when a field was at fault; `fields` then knows why. Reads all fields before it gives up.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The members of a JSON object, and what is wrong with them.
pub(crate) struct Fields {
    members: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl Fields {
    pub(crate) fn required<T>(&mut self, name: &str, read: fn(Value) -> Result<T, Cow<'static, str>>) -> Option<T> {
        match self.members.remove(name) {
            Some(value) => self.read(name, value, read),
            None => self.fault(name, "is missing"),
        }
    }

    /// `Some(None)` when the member is absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: fn(Value) -> Result<T, Cow<'static, str>>,
    ) -> Option<Option<T>> {
        match self.members.remove(name) {
            Some(value) => self.read(name, value, read).map(Some),
            None => Some(None),
        }
    }

    fn read<T>(&mut self, name: &str, value: Value, read: fn(Value) -> Result<T, Cow<'static, str>>) -> Option<T> {
        read(value).map_err(|fault| self.fault::<()>(name, fault)).ok()
    }

    fn fault<T>(&mut self, name: &str, detail: impl Into<Cow<'static, str>>) -> Option<T> {
        // RFC 6901 section 3: `~` and `/` are escaped.
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.faults.push(FieldFault { pointer, detail: detail.into() });
        None
    }
}

fn read_object<T: FromFields>(value: Value) -> Result<T, Problem> {
    let Value::Object(members) = value else {
        return Err(Problem::Invalid(vec![FieldFault { pointer: String::new(), detail: "must be an object".into() }]));
    };
    let mut fields = Fields { members, faults: Vec::new() };
    let read = T::from_fields(&mut fields);
    for name in std::mem::take(&mut fields.members).keys() {
        let read_only = matches!(name.as_str(), "id" | "user_id" | "created_at" | "updated_at");
        fields.fault::<()>(name, if read_only { "is read-only" } else { "is not known here" });
    }
    read.filter(|_| fields.faults.is_empty()).ok_or(Problem::Invalid(fields.faults))
}

impl<S: Sync, T: FromFields> FromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        read_object(parse(&read(body, LIMIT).await?)?).map(Self)
    }
}

/// No body at all is `None`, whatever the content type says of it.
impl<S: Sync, T: FromFields> OptionalFromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, LIMIT).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        require_json(&parts.headers)?;
        read_object(parse(&bytes)?).map(|read| Some(Self(read)))
    }
}

pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let too_large =
            std::error::Error::source(&error).is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if too_large { Problem::PayloadTooLarge } else { Problem::InvalidJson("the body ended before its time".into()) }
    })
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice::<Strict>(bytes).map(|Strict(value)| value).map_err(|error| {
        // serde_json's own words stay inside; the place is enough to find the fault.
        let what = if error.classify() == Category::Data { "a member appears twice" } else { "the body is not JSON" };
        Problem::InvalidJson(format!("{what} (line {}, column {})", error.line(), error.column()).into())
    })
}

/// A JSON value in which no object has a member twice, at any depth.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = access.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
