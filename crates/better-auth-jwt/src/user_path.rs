//! Which user does the path name?

use std::borrow::Cow;

use http::request::Parts;

use crate::error::{ConfigError, ErrorKind};

/// Finds the user that a request's path names.
///
/// Implemented by [`PathTemplate`], by
#[cfg_attr(feature = "axum", doc = "[`PathParam`](crate::PathParam),")]
#[cfg_attr(not(feature = "axum"), doc = "`PathParam`,")]
/// and by closures from `&Parts` to the user's id.
pub trait UserPath: Send + Sync + 'static {
    /// The user's id, percent-decoded once. The parts are mutable only because axum's extractors
    /// want them so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingPathUser`] when the path has no place for a user, and
    /// [`ErrorKind::InvalidPath`] when what stands there is not acceptable.
    fn user<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, ErrorKind>;
}

impl<F> UserPath for F
where
    F: Fn(&Parts) -> Result<String, ErrorKind> + Send + Sync + 'static,
{
    fn user<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, ErrorKind> {
        self(parts).map(Cow::Owned)
    }
}

/// The place of the user in a path, for any service that sees the whole path.
///
/// `{name}` is the segment with the user, `*` any one segment, and a `*` at the end whatever
/// follows, if anything. Other segments are compared byte by byte. A path that does not fit names
/// no user and is refused.
///
/// ```
/// use better_auth_jwt::PathTemplate;
///
/// PathTemplate::new("/api/{user_id}/*")?;
/// PathTemplate::new("/orgs/*/users/{user}/settings")?;
/// assert!(PathTemplate::new("/api/tasks").is_err());
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
///
/// Inside axum's `nest` the path has lost its prefix: put the layer outside, or use `PathParam`.
#[derive(Debug, Clone)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    open_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Fixed(Box<str>),
    Any,
    User,
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// It does not begin with a slash, or does not have exactly one `{name}`.
    pub fn new(template: &str) -> Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::new(format!("the path template {template:?} {what}"));
        let path = template.strip_prefix('/').ok_or_else(|| wrong("must begin with a slash"))?;
        let mut segments = Vec::new();
        for segment in path.split('/') {
            segments.push(match segment {
                "*" => Segment::Any,
                _ if segment.len() > 2 && segment.starts_with('{') && segment.ends_with('}') => Segment::User,
                _ if segment.contains(['{', '}', '*']) => {
                    return Err(wrong("may have {name} and * only as whole segments"));
                }
                _ => Segment::Fixed(segment.into()),
            });
        }
        if segments.iter().filter(|segment| **segment == Segment::User).count() != 1 {
            return Err(wrong(
                "must have exactly one {name}, where the user stands; write * for other segments that vary",
            ));
        }
        let open_end = segments.pop_if(|last| *last == Segment::Any).is_some();
        Ok(Self { segments, open_end })
    }

    /// The raw segment where the user stands, if the whole path fits.
    fn find<'p>(&self, path: &'p str) -> Option<&'p str> {
        // What follows the slash of the next segment, if there is one.
        let mut rest = path.strip_prefix('/');
        let mut user = None;
        for segment in &self.segments {
            let text = rest?;
            let end = match segment {
                Segment::Fixed(fixed) if text.starts_with(&**fixed) => fixed.len(),
                Segment::Fixed(_) => return None,
                Segment::Any | Segment::User => text.find('/').unwrap_or(text.len()),
            };
            let (actual, behind) = text.split_at_checked(end)?;
            if *segment == Segment::User {
                user = Some(actual);
            }
            rest = behind.strip_prefix('/');
            if rest.is_none() && !behind.is_empty() {
                return None;
            }
        }
        user.filter(|user| !user.is_empty() && (self.open_end || rest.is_none()))
    }
}

impl UserPath for PathTemplate {
    fn user<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, ErrorKind> {
        let segment = self.find(parts.uri.path()).ok_or(ErrorKind::MissingPathUser)?;
        decode_segment(segment)
    }
}

/// Percent-decodes one segment, once (RFC 3986, section 2.1), and refuses what routers, proxies
/// and logs might read differently.
pub(crate) fn decode_segment(segment: &str) -> Result<Cow<'_, str>, ErrorKind> {
    // The ids that Better Auth makes, which need no closer look. Without a way out in the middle, many
    // bytes are looked at at once.
    if segment.bytes().fold(true, |so_far, byte| so_far & byte.is_ascii_alphanumeric()) {
        return Ok(Cow::Borrowed(segment));
    }
    let decoded = if segment.contains('%') {
        let mut bytes = Vec::with_capacity(segment.len());
        let mut rest = segment.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(ErrorKind::InvalidPath);
            };
            bytes.push((high * 16 + low) as u8);
        }
        Cow::Owned(String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidPath)?)
    } else {
        Cow::Borrowed(segment)
    };
    if is_acceptable(&decoded) { Ok(decoded) } else { Err(ErrorKind::InvalidPath) }
}

/// Not a separator, not a step in the tree, and no ASCII control. Anything else may be a user.
pub(crate) fn is_acceptable(user: &str) -> bool {
    user != "." && user != ".." && !user.bytes().any(|byte| matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn user(template: &str, path: &str) -> Result<String, ErrorKind> {
        let (mut parts, ()) = Request::builder().uri(path).body(()).unwrap().into_parts();
        PathTemplate::new(template).unwrap().user(&mut parts).map(Cow::into_owned)
    }

    #[test]
    fn the_user_is_where_the_template_says() {
        for (template, path) in [
            ("/api/{user_id}/*", "/api/ada/tasks"),
            ("/api/{user_id}/*", "/api/ada/"),
            ("/api/{user_id}/*", "/api/ada"),
            ("/api/{user_id}/*", "/api/ada/tasks/1/x?y=/api/bob/"),
            ("/api/{user_id}", "/api/ada"),
            ("/{user}", "/ada"),
            ("/*/x/{u}/y", "/org/x/ada/y"),
            ("/api/{user_id}/tasks", "http://bob@other.example/api/ada/tasks"),
        ] {
            assert_eq!(user(template, path), Ok("ada".to_owned()), "{template} {path}");
        }
    }

    #[test]
    fn a_path_that_does_not_fit_names_no_user() {
        for (template, path) in [
            ("/api/{user_id}/*", "/"),
            ("/api/{user_id}/*", "/api"),
            ("/api/{user_id}/*", "/api/"),
            ("/api/{user_id}/*", "/api//tasks"),
            ("/api/{user_id}/*", "//api/ada/tasks"),
            ("/api/{user_id}/*", "/API/ada/tasks"),
            ("/api/{user_id}/*", "/%61pi/ada/tasks"),
            ("/api/{user_id}", "/api/ada/"),
            ("/api/{user_id}", "/api/ada/tasks"),
            ("/api/{user_id}/tasks", "/api/ada/task"),
            ("/api/{user_id}/tasks", "*"),
        ] {
            assert_eq!(user(template, path), Err(ErrorKind::MissingPathUser), "{template} {path}");
        }
    }

    #[test]
    fn segments_are_decoded_once_and_compared_as_bytes() {
        for (segment, expected) in [
            ("%61da", "ada"),
            ("%2561da", "%61da"),
            ("%252e%252e", "%2e%2e"),
            ("a+b", "a+b"),
            ("a;v=1", "a;v=1"),
            ("%C3%A9", "é"),
            ("e%CC%81", "e\u{301}"),
            ("%EF%BC%A1lice", "Ａlice"),
            ("a%20b", "a b"),
            ("%C2%85", "\u{85}"),
            ("%EF%BB%BFa", "\u{feff}a"),
            ("...", "..."),
            ("%7e", "~"),
            ("%25", "%"),
        ] {
            assert_eq!(decode_segment(segment).as_deref(), Ok(expected), "{segment}");
        }
    }

    #[test]
    fn separators_controls_steps_and_broken_encoding_are_refused() {
        for segment in [
            "a%2Fb",
            "a%2fb",
            "a%5Cb",
            "a\\b",
            "%00",
            "a%0d%0a",
            "%1f",
            "%7F",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
            "%",
            "a%",
            "a%4",
            "%zz",
            "%4g",
            "%-1",
            "%+1",
            "al%ff",
            "%C3",
            "%ED%A0%80",
            "%é1",
        ] {
            assert_eq!(decode_segment(segment), Err(ErrorKind::InvalidPath), "{segment}");
        }
    }

    #[test]
    fn templates_without_exactly_one_user_are_refused() {
        for template in [
            "",
            "api/{user}",
            "/api",
            "/{a}/{b}",
            "/api/{}",
            "/api/x{user}",
            "/api/{user}x",
            "/api/{user}/a*",
            "/{*rest}/{",
        ] {
            assert!(PathTemplate::new(template).is_err(), "{template}");
        }
    }
}
