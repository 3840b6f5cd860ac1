//! JSON objects, read strictly.
//!
//! serde_json reads the text. This module rejects what parsers understand differently: duplicate member names at any
//! depth (RFC 7515, section 4; RFC 7519, section 4), lone surrogates, and nesting deeper than [`MAX_DEPTH`].

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Containers may nest this deep; the outermost object counts as one.
pub(crate) const MAX_DEPTH: usize = 32;

/// The text is not a strict JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidJson;

/// The text of a JSON object and its members, in the order of the text.
#[derive(Clone)]
pub(crate) struct Document {
    text: Box<str>,
    members: Vec<Member>,
}

#[derive(Clone)]
struct Member {
    name: Text,
    /// The value in the text.
    raw: Range<usize>,
    /// The value, if it is a string.
    string: Option<Text>,
}

/// A JSON string: most have no escapes, and are in the text as they are.
#[derive(Clone)]
enum Text {
    Span(Range<usize>),
    Unescaped(Box<str>),
}

impl Document {
    /// Reads a JSON object.
    pub(crate) fn parse(text: impl Into<Box<str>>) -> Result<Self, InvalidJson> {
        let text = text.into();
        let object: Object<'_> = serde_json::from_str(&text).map_err(|_| InvalidJson)?;
        object.check_names()?;
        let members = object.0.into_iter().map(|(name, value)| {
            check(value, MAX_DEPTH - 1)?;
            let string = string(value.get())?.map(|string| Text::new(string, &text));
            Ok(Member { name: Text::new(name.0, &text), raw: span(value.get(), &text), string })
        });
        let members = members.collect::<Result<_, _>>()?;
        Ok(Self { text, members })
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The members in the order of the text.
    pub(crate) fn members(&self) -> impl Iterator<Item = Value<'_>> {
        self.members.iter().map(|member| Value { text: &self.text, member })
    }

    /// The value of the member with this name.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'_>> {
        self.members().find(|value| value.name() == name)
    }

    /// The last member whose value starts at this position in the text or before.
    pub(crate) fn member_at(&self, position: usize) -> Option<Value<'_>> {
        self.members().take_while(|value| value.member.raw.start <= position).last()
    }
}

/// A member of a [`Document`].
#[derive(Clone, Copy)]
pub(crate) struct Value<'d> {
    text: &'d str,
    member: &'d Member,
}

impl<'d> Value<'d> {
    /// The member's name, unescaped.
    pub(crate) fn name(self) -> &'d str {
        self.member.name.get(self.text)
    }

    /// The value as JSON text.
    pub(crate) fn raw(self) -> &'d str {
        self.text.get(self.member.raw.clone()).unwrap_or_default()
    }

    /// The unescaped content of a string.
    pub(crate) fn as_str(self) -> Option<&'d str> {
        self.member.string.as_ref().map(|string| string.get(self.text))
    }

    pub(crate) fn is_null(self) -> bool {
        self.raw() == "null"
    }

    /// The elements of an array, as JSON texts.
    pub(crate) fn elements(self) -> Option<impl Iterator<Item = &'d str>> {
        let elements: Vec<&RawValue> = serde_json::from_str(self.raw()).ok()?;
        Some(elements.into_iter().map(RawValue::get))
    }
}

/// The content of a JSON string; `None` if the text is not a string.
pub(crate) fn unescape(json: &str) -> Option<Cow<'_, str>> {
    string(json).ok()?
}

impl Text {
    fn new(content: Cow<'_, str>, text: &str) -> Self {
        match content {
            Cow::Borrowed(content) => Self::Span(span(content, text)),
            Cow::Owned(content) => Self::Unescaped(content.into()),
        }
    }

    fn get<'d>(&'d self, text: &'d str) -> &'d str {
        match self {
            Self::Span(span) => text.get(span.clone()).unwrap_or_default(),
            Self::Unescaped(content) => content,
        }
    }
}

/// Where `part`, a part of `text`, is in it.
fn span(part: &str, text: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

/// The content of a JSON value that is a string.
fn string(json: &str) -> Result<Option<Cow<'_, str>>, InvalidJson> {
    let Some(rest) = json.strip_prefix('"') else { return Ok(None) };
    // Without escapes, serde_json has checked all there is to check.
    match rest.strip_suffix('"') {
        Some(content) if !content.contains('\\') => Ok(Some(Cow::Borrowed(content))),
        _ => serde_json::from_str(json).map(|Name(content)| Some(content)).map_err(|_| InvalidJson),
    }
}

/// Checks a value that serde_json has skipped: names, surrogates and depth. `depth` is how many containers it may
/// nest.
fn check(value: &RawValue, depth: usize) -> Result<(), InvalidJson> {
    let json = value.get();
    match json.as_bytes() {
        [b'"', ..] => string(json).map(drop),
        [b'{', ..] => {
            let depth = depth.checked_sub(1).ok_or(InvalidJson)?;
            let object: Object<'_> = serde_json::from_str(json).map_err(|_| InvalidJson)?;
            object.check_names()?;
            object.0.iter().try_for_each(|(_, value)| check(value, depth))
        }
        [b'[', ..] => {
            let depth = depth.checked_sub(1).ok_or(InvalidJson)?;
            let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| InvalidJson)?;
            elements.into_iter().try_for_each(|value| check(value, depth))
        }
        _ => Ok(()),
    }
}

/// The members of an object, duplicates included.
struct Object<'t>(Vec<(Name<'t>, &'t RawValue)>);

/// A name, borrowed unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

impl Object<'_> {
    fn check_names(&self) -> Result<(), InvalidJson> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &*name.0).collect();
        names.sort_unstable();
        let has_duplicates = names.windows(2).any(|pair| pair.first() == pair.last());
        if has_duplicates { Err(InvalidJson) } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests;
