//! The extractor for JSON bodies. It deserializes and validates them.

use axum::{
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_TYPE},
    },
};
use garde::Validate;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::{
    body,
    problem::{FieldError, Problem},
};

/// A valid JSON object of this type.
///
/// Rejects another content type or encoding with 415, invalid JSON with 400, and invalid values with 422. A syntax error,
/// a wrong type, or a missing, unknown or duplicate member is reported alone; all violated rules are reported together.
#[derive(Debug)]
pub(crate) struct ValidJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Validate<Context = ()>> FromRequest<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        parse(&body::read(body, usize::MAX).await?).map(Self)
    }
}

/// An empty body is `None`. Its content type is not checked.
impl<S: Sync, T: DeserializeOwned + Validate<Context = ()>> OptionalFromRequest<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = body::read(body, usize::MAX).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        require_json(&parts.headers)?;
        parse(&bytes).map(|value| Some(Self(value)))
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json");
    let is_encoded = headers.get_all(CONTENT_ENCODING).iter().any(|coding| {
        let coding = coding.as_bytes().trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    });
    if is_json && !is_encoded { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}

fn parse<T: DeserializeOwned + Validate<Context = ()>>(bytes: &[u8]) -> Result<T, Problem> {
    // Check the syntax first; otherwise a wrong type is reported although the rest is not JSON.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| invalid_json(&error))?;
    // serde also deserializes structs from arrays.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::Validation(vec![FieldError {
            pointer: String::new(),
            detail: "must be an object".into(),
        }]));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().classify() {
        Category::Data => {
            Problem::Validation(vec![FieldError { pointer: pointer(error.path()), detail: error.inner().to_string() }])
        }
        _ => invalid_json(error.inner()),
    })?;
    value.validate().map_err(|report| {
        let errors = report.iter().map(|(path, error)| {
            let pointer = format!("/{path}").replace(['.', '['], "/").replace(']', "");
            FieldError { pointer, detail: error.to_string() }
        });
        Problem::Validation(errors.collect())
    })?;
    Ok(value)
}

fn invalid_json(error: &serde_json::Error) -> Problem {
    Problem::InvalidJson(format!("the body is not JSON: {error}").into())
}

/// A JSON pointer. RFC 6901, section 3: `~` and `/` are escaped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}
