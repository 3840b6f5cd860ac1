//! A strict parser for JSON objects.
//!
//! It rejects JSON that parsers interpret differently: duplicate member names at any depth (RFC 7515, section 4; RFC
//! 7519, section 4), lone surrogates, nesting deeper than [`MAX_DEPTH`], and everything outside RFC 8259. serde_json
//! keeps one of two duplicates, and does not check surrogates in values that it ignores. Checking both with serde_json
//! takes three times as long, which would be more than half of the time to verify an HS256 token.
//!
//! The parser builds no values. It records the position of each member of the outermost object; serde_json deserializes
//! from there.

use std::{borrow::Cow, ops::Range};

/// The maximum nesting depth of objects and arrays, including the outermost object.
pub(crate) const MAX_DEPTH: usize = 32;

/// Up to this many names are compared pairwise; more are sorted first.
const MAX_PAIRWISE: usize = 16;

/// The text is not a strict JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidJson;

/// The text of a JSON object and its members, in the order of the text.
#[derive(Clone)]
pub(crate) struct Document {
    /// The JSON text, followed by the unescaped form of the names and strings that have escapes.
    text: String,
    /// The length of the JSON text.
    len: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    name: Span,
    /// The value as it is in the text.
    raw: Span,
    /// The unescaped value, if it is a string.
    string: Option<Span>,
}

/// A range of bytes in a [`Document`]. Smaller than a `Range`, because every cached token has dozens of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // `Document::parse` rejects texts whose positions do not fit.
        Self { start: start as u32, end: end as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Document {
    /// Parses a JSON object.
    pub(crate) fn parse(text: impl Into<String>) -> Result<Self, InvalidJson> {
        let mut text = text.into();
        // Unescaped strings take no more space than the text.
        if text.len() > u32::MAX as usize / 2 {
            return Err(InvalidJson);
        }
        let mut scanner = Scanner::new(&text);
        // Most members are longer than this.
        let mut members = Vec::with_capacity((text.len() / 24).min(MAX_PAIRWISE));
        scanner.skip_whitespace();
        scanner.members(&mut members)?;
        scanner.skip_whitespace();
        if scanner.position != text.len() {
            return Err(InvalidJson);
        }
        let (len, unescaped) = (text.len(), scanner.unescaped);
        text += &unescaped;
        Ok(Self { text, len, members })
    }

    /// The bytes that the document owns on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        self.text.capacity() + self.members.capacity() * size_of::<Member>()
    }

    /// The text of the object.
    pub(crate) fn text(&self) -> &str {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The members in the order of the text.
    pub(crate) fn members(&self) -> impl Iterator<Item = Value<'_>> {
        self.members.iter().map(|member| Value { document: self, member })
    }

    /// The value of the member with this name.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'_>> {
        self.members().find(|value| value.name() == name)
    }

    /// The last member whose value starts at this position in the text or before.
    pub(crate) fn member_at(&self, position: usize) -> Option<Value<'_>> {
        self.members().take_while(|value| value.member.raw.range().start <= position).last()
    }

    /// The text at a [`Value::span`] of this document.
    pub(crate) fn get(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

/// A member of a [`Document`].
#[derive(Clone, Copy)]
pub(crate) struct Value<'d> {
    document: &'d Document,
    member: &'d Member,
}

impl<'d> Value<'d> {
    /// The member's name, unescaped.
    pub(crate) fn name(self) -> &'d str {
        self.document.get(self.member.name)
    }

    /// The value as JSON text.
    pub(crate) fn raw(self) -> &'d str {
        self.document.get(self.member.raw)
    }

    /// The unescaped content of a string.
    pub(crate) fn as_str(self) -> Option<&'d str> {
        self.span().map(|span| self.document.get(span))
    }

    /// The position of a string's content in the document.
    pub(crate) fn span(self) -> Option<Span> {
        self.member.string
    }

    pub(crate) fn is_null(self) -> bool {
        self.raw() == "null"
    }

    /// The elements of an array, as JSON texts.
    pub(crate) fn elements(self) -> Option<impl Iterator<Item = &'d str>> {
        let json = self.raw();
        let mut scanner = Scanner::new(json);
        let mut more = scanner.enter(b'[', b']').ok()?;
        Some(std::iter::from_fn(move || {
            let start = scanner.position;
            if !more || scanner.value(MAX_DEPTH).is_err() {
                return None;
            }
            let element = json.get(start..scanner.position);
            more = scanner.next_element(b']').ok()?;
            element
        }))
    }
}

/// The content of a JSON string; `None` if the text is not a string.
pub(crate) fn unescape(json: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(json);
    let span = scanner.string().ok()?;
    match json.get(span.range()) {
        Some(content) => Some(Cow::Borrowed(content)),
        None => Some(Cow::Owned(scanner.unescaped)),
    }
}

struct Scanner<'t> {
    text: &'t str,
    position: usize,
    /// The unescaped form of names and strings with escapes. Their spans start at the end of the text.
    unescaped: String,
    /// The names of the open nested objects, one object after the other.
    names: Vec<Span>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, position: 0, unescaped: String::new(), names: Vec::new() }
    }

    /// The outermost object.
    fn members(&mut self, members: &mut Vec<Member>) -> Result<(), InvalidJson> {
        let mut more = self.enter(b'{', b'}')?;
        while more {
            let name = self.member_name()?;
            let start = self.position;
            let string = self.value(MAX_DEPTH - 1)?;
            members.push(Member { name, raw: Span::new(start, self.position), string });
            more = self.next_element(b'}')?;
        }
        self.check_names(members.iter().map(|member| member.name))
    }

    /// A nested object. `depth` is how many more objects and arrays may be open, including this one.
    fn object(&mut self, depth: usize) -> Result<(), InvalidJson> {
        let depth = depth.checked_sub(1).ok_or(InvalidJson)?;
        let first = self.names.len();
        let mut more = self.enter(b'{', b'}')?;
        while more {
            let name = self.member_name()?;
            self.names.push(name);
            self.value(depth)?;
            more = self.next_element(b'}')?;
        }
        self.check_names(self.names.iter().skip(first).copied())?;
        self.names.truncate(first);
        Ok(())
    }

    /// A name and its colon.
    #[inline(always)]
    fn member_name(&mut self) -> Result<Span, InvalidJson> {
        let name = self.string()?;
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(name)
    }

    fn array(&mut self, depth: usize) -> Result<(), InvalidJson> {
        let depth = depth.checked_sub(1).ok_or(InvalidJson)?;
        let mut more = self.enter(b'[', b']')?;
        while more {
            self.value(depth)?;
            more = self.next_element(b']')?;
        }
        Ok(())
    }

    /// Any value. Returns the content of a string.
    #[inline(always)] // Spans stay in registers. Without inlining, an object takes 50 % longer.
    fn value(&mut self, depth: usize) -> Result<Option<Span>, InvalidJson> {
        match self.peek().ok_or(InvalidJson)? {
            b'"' => return self.string().map(Some),
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => self.number()?,
        }
        Ok(None)
    }

    #[inline(always)]
    fn string(&mut self) -> Result<Span, InvalidJson> {
        self.expect(b'"')?;
        let start = self.position;
        self.skip_plain();
        let end = self.position;
        match self.next()? {
            b'"' => Ok(Span::new(start, end)),
            b'\\' => {
                let unescaped_start = self.text.len() + self.unescaped.len();
                self.unescape(start)?;
                Ok(Span::new(unescaped_start, self.text.len() + self.unescaped.len()))
            }
            // RFC 8259, section 7: control characters must be escaped.
            _ => Err(InvalidJson),
        }
    }

    /// The rest of a string that starts here, after its first backslash.
    fn unescape(&mut self, mut start: usize) -> Result<(), InvalidJson> {
        loop {
            self.unescaped += self.text.get(start..self.position - 1).ok_or(InvalidJson)?;
            let escape = self.escape()?;
            self.unescaped.push(escape);
            start = self.position;
            self.skip_plain();
            match self.next()? {
                b'\\' => {}
                b'"' => break,
                _ => return Err(InvalidJson),
            }
        }
        self.unescaped += self.text.get(start..self.position - 1).ok_or(InvalidJson)?;
        Ok(())
    }

    /// Moves to the next quote, backslash or control character.
    #[inline(always)]
    fn skip_plain(&mut self) {
        let is_special = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
        let (bytes, mut end) = (self.text.as_bytes(), self.position);
        // The compiler vectorizes the comparison of eight bytes. Byte by byte, an object takes twice as long.
        while let Some(eight) = bytes.get(end..).and_then(<[u8]>::first_chunk::<8>)
            && !eight.iter().fold(false, |special, byte| special | is_special(*byte))
        {
            end += 8;
        }
        while bytes.get(end).is_some_and(|byte| !is_special(*byte)) {
            end += 1;
        }
        self.position = end;
    }

    /// An escape, after its backslash.
    fn escape(&mut self) -> Result<char, InvalidJson> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.hex4()? {
                high @ 0xd800..=0xdbff => {
                    self.literal("\\u")?;
                    let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(InvalidJson)?;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + low).ok_or(InvalidJson)?
                }
                // A low surrogate alone is not a character.
                unit => char::from_u32(unit).ok_or(InvalidJson)?,
            },
            _ => return Err(InvalidJson),
        })
    }

    fn hex4(&mut self) -> Result<u32, InvalidJson> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.next()?).to_digit(16).ok_or(InvalidJson)?;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), InvalidJson> {
        self.skip_if(|byte| byte == b'-');
        if !self.skip_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), InvalidJson> {
        let start = self.position;
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        if self.position > start { Ok(()) } else { Err(InvalidJson) }
    }

    fn literal(&mut self, literal: &str) -> Result<(), InvalidJson> {
        literal.bytes().try_for_each(|byte| self.expect(byte))
    }

    /// Moves to the first element of a container. Returns whether there is one.
    fn enter(&mut self, open: u8, close: u8) -> Result<bool, InvalidJson> {
        self.expect(open)?;
        self.skip_whitespace();
        Ok(!self.skip_if(|byte| byte == close))
    }

    /// Moves to the next element of a container, or out of it. Returns whether there is one.
    fn next_element(&mut self, close: u8) -> Result<bool, InvalidJson> {
        self.skip_whitespace();
        let byte = self.next()?;
        if byte == close {
            return Ok(false);
        }
        self.skip_whitespace();
        if byte == b',' { Ok(true) } else { Err(InvalidJson) }
    }

    fn check_names(&self, names: impl ExactSizeIterator<Item = Span> + Clone) -> Result<(), InvalidJson> {
        let is_duplicate = if names.len() <= MAX_PAIRWISE {
            // A bit for each hash of length, first and last byte, so that few names have to be compared.
            let mut seen = 0_u64;
            names.clone().enumerate().any(|(index, name)| {
                let name = self.name(name);
                let ends = name.first().zip(name.last()).map_or(0, |(first, last)| first.wrapping_add(*last));
                let bit = 1 << ((usize::from(ends) + name.len()) % 64);
                let may_be_duplicate = seen & bit != 0;
                seen |= bit;
                may_be_duplicate && names.clone().take(index).any(|earlier| self.name(earlier) == name)
            })
        } else {
            let mut names: Vec<&[u8]> = names.map(|name| self.name(name)).collect();
            names.sort_unstable();
            names.windows(2).any(|pair| pair.first() == pair.last())
        };
        if is_duplicate { Err(InvalidJson) } else { Ok(()) }
    }

    fn name(&self, span: Span) -> &[u8] {
        let (Range { start, end }, len) = (span.range(), self.text.len());
        // An empty name may be at the end of the text, where both branches return it.
        match start.checked_sub(len) {
            Some(start) => self.unescaped.as_bytes().get(start..end - len),
            None => self.text.as_bytes().get(start..end),
        }
        .unwrap_or_default()
    }

    fn skip_whitespace(&mut self) {
        while self.skip_if(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
    }

    fn skip_if(&mut self, condition: impl Fn(u8) -> bool) -> bool {
        let is_next = self.peek().is_some_and(condition);
        self.position += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), InvalidJson> {
        if self.next()? == byte { Ok(()) } else { Err(InvalidJson) }
    }

    fn next(&mut self) -> Result<u8, InvalidJson> {
        let byte = self.peek().ok_or(InvalidJson)?;
        self.position += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }
}

#[cfg(test)]
mod tests;
