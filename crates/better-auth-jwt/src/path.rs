//! Values in the request's path.

use std::{borrow::Cow, fmt};

use http::request::Parts;
use memchr::memchr;
use percent_encoding::percent_decode_str;

use crate::error::{ConfigError, Error, ErrorKind};

/// Extracts a value from the request's path, such as the user id in `/api/{user_id}/tasks`.
///
/// Implemented by [`PathTemplate`], by
#[cfg_attr(feature = "axum", doc = "[`PathParam`](crate::PathParam),")]
#[cfg_attr(not(feature = "axum"), doc = "`PathParam` (feature `axum`),")]
/// and by closures from `&Parts` to `Result<String, PathError>`.
pub trait PathValue: Send + Sync + 'static {
    /// Returns the value, percent-decoded once.
    ///
    /// `parts` is mutable because axum's extractors require that.
    ///
    /// # Errors
    ///
    /// [`PathError::Missing`] if the path has no such value, and [`PathError::Invalid`] if the value
    /// could be read in more than one way.
    fn extract<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, PathError>;
}

impl<F> PathValue for F
where
    F: Fn(&Parts) -> Result<String, PathError> + Send + Sync + 'static,
{
    fn extract<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, PathError> {
        self(parts).map(Cow::Owned)
    }
}

/// Why a [`PathValue`] has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathError {
    /// The path does not contain the value. The request is rejected with 403.
    Missing,
    /// The value contains a separator, a control character or a broken percent-encoding, or is `.` or
    /// `..`. The request is rejected with 400.
    Invalid,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the path does not contain the value",
            Self::Invalid => "the path contains an invalid value",
        })
    }
}

impl std::error::Error for PathError {}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Missing => ErrorKind::MissingPathValue.into(),
            PathError::Invalid => ErrorKind::InvalidPath.into(),
        }
    }
}

/// The position of a value in the path, for services that see the whole path.
///
/// `{name}` is the segment with the value and `*` is any one segment. A `*` at the end stands for any
/// number of segments. Other segments are compared byte by byte. A path that does not fit has no value,
/// and the request is rejected.
///
/// ```
/// use better_auth_jwt::PathTemplate;
///
/// PathTemplate::new("/api/{user_id}/*")?;
/// PathTemplate::new("/orgs/*/users/{user_id}/settings")?;
/// assert!(PathTemplate::new("/api/tasks").is_err());
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
///
/// Inside axum's `nest` the path does not have its prefix: put the layer outside, or use `PathParam`.
#[derive(Debug, Clone)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    trailing_wildcard: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
    Value,
}

impl PathTemplate {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// The template does not start with a slash, does not have exactly one `{name}`, or has `{`, `}` or
    /// `*` inside a segment.
    pub fn new(template: &str) -> Result<Self, ConfigError> {
        let invalid = |what: &str| ConfigError::new(format!("the path template {template:?} {what}"));
        let path = template.strip_prefix('/').ok_or_else(|| invalid("must start with a slash"))?;
        let mut segments = Vec::new();
        for segment in path.split('/') {
            segments.push(match segment {
                "*" => Segment::Any,
                _ if segment.len() > 2 && segment.starts_with('{') && segment.ends_with('}') => Segment::Value,
                _ if segment.contains(['{', '}', '*']) => {
                    return Err(invalid("may contain {name} and * only as whole segments"));
                }
                _ => Segment::Literal(segment.into()),
            });
        }
        if segments.iter().filter(|segment| **segment == Segment::Value).count() != 1 {
            return Err(invalid("must contain exactly one {name}; use * for other segments that vary"));
        }
        let trailing_wildcard = segments.pop_if(|last| *last == Segment::Any).is_some();
        Ok(Self { segments, trailing_wildcard })
    }

    /// The value's segment, not yet decoded, if the whole path fits.
    fn find<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut rest = path.strip_prefix('/');
        let mut value = None;
        for segment in &self.segments {
            let (text, next) = split_segment(rest?);
            match segment {
                Segment::Literal(literal) if **literal != *text => return None,
                Segment::Value => value = Some(text),
                Segment::Literal(_) | Segment::Any => {}
            }
            rest = next;
        }
        value.filter(|value| !value.is_empty() && (self.trailing_wildcard || rest.is_none()))
    }
}

/// The first segment, and what follows its slash.
fn split_segment(path: &str) -> (&str, Option<&str>) {
    let slash = memchr(b'/', path.as_bytes());
    match slash.and_then(|slash| path.split_at_checked(slash)) {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (path, None),
    }
}

impl PathValue for PathTemplate {
    fn extract<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, PathError> {
        decode_segment(self.find(parts.uri.path()).ok_or(PathError::Missing)?)
    }
}

/// Percent-decodes one segment, once (RFC 3986, section 2.1), and rejects what routers, proxies and
/// logs might read differently.
pub(crate) fn decode_segment(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let decoded = match memchr(b'%', segment.as_bytes()) {
        Some(_) => decode_percent(segment)?,
        None => Cow::Borrowed(segment),
    };
    if is_valid_segment(&decoded) { Ok(decoded) } else { Err(PathError::Invalid) }
}

fn decode_percent(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let is_escape = |after_percent: &str| {
        after_percent.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    // The crate percent-encoding ignores broken escapes.
    if !segment.split('%').skip(1).all(is_escape) {
        return Err(PathError::Invalid);
    }
    percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Invalid)
}

/// Whether a decoded segment contains neither a separator nor an ASCII control character, and is not a
/// relative path. All other values are valid.
pub(crate) fn is_valid_segment(value: &str) -> bool {
    let is_invalid = |byte: u8| matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f);
    // Without a way out of the loop, the compiler checks many bytes at once.
    !value.bytes().fold(false, |invalid, byte| invalid | is_invalid(byte)) && value != "." && value != ".."
}

#[cfg(test)]
mod tests;
