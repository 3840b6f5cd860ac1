//! The strict scanner: one pass over a JSON object that refuses what parsers disagree about,
//! and notes where each of the object's members lies.
//!
//! Refused are duplicate member names at any depth (RFC 7515, section 4; RFC 7519, section 4),
//! lone surrogates, nesting deeper than [`MAX_DEPTH`] and everything outside RFC 8259. Nothing is
//! built: a value is a [`Span`] of the text, read later by whoever wants it.

use std::borrow::Cow;

use wide::u8x16;

use crate::digits;

/// Containers may nest this deep; the outermost object counts as one.
pub(crate) const MAX_DEPTH: usize = 32;

/// Objects of up to this many members are checked for duplicates name by name, larger ones by
/// sorting, so that no document costs quadratic time.
const FEW_MEMBERS: usize = 16;

/// The text was not strict JSON. What exactly was wrong helps no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

/// A range of bytes in a [`Document`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // `scan` refuses texts that a `u32` could not address.
        Self { start: start as u32, end: end as u32 }
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The same as bytes: nobody need look whether characters begin and end there.
    #[inline]
    fn bytes_of(self, text: &str) -> &[u8] {
        text.as_bytes().get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Where the content of a string lies in a [`Document`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place(Span);

/// One member of the outermost object.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Member {
    /// The name, unescaped.
    name: Span,
    /// The value as it stands in the text, a string with its quotes.
    value: Span,
    /// The unescaped content, when the value is a string. Where it is none, that is the start of
    /// the text, where no string's content can be.
    content: Span,
}

/// The text of a JSON object and the places of its members.
///
/// Names and strings with escapes are unescaped once, behind the text proper, so that every
/// accessor can lend a `&str`.
#[derive(Clone)]
pub(crate) struct Document {
    text: String,
    members: Few<Member, 16>,
}

impl Document {
    /// Scans a JSON object.
    pub(crate) fn parse(text: String) -> Result<Self, Invalid> {
        let mut document = Self::unread(text);
        document.read()?;
        Ok(document)
    }

    /// A text to be scanned by [`read`](Self::read): for documents that are too large to be moved
    /// about.
    pub(crate) fn unread(text: String) -> Self {
        Self { text, members: Few::new() }
    }

    /// The bytes that the document owns on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        self.text.capacity() + self.members.many.capacity() * size_of::<Member>()
    }

    /// Scans the text, which must be a JSON object.
    pub(crate) fn read(&mut self) -> Result<(), Invalid> {
        if self.text.len() > u32::MAX as usize / 2 {
            return Err(Invalid);
        }
        let mut scanner = Scanner::new(&self.text);
        // Issuers write no blanks between tokens, and it is quicker not to look for any.
        if scanner.document::<false, _>(&mut self.members).is_err() {
            self.members = Few::new();
            scanner = Scanner::new(&self.text);
            scanner.document::<true, _>(&mut self.members)?;
        }
        let unescaped = scanner.unescaped;
        if !unescaped.is_empty() {
            self.text.push_str(&unescaped);
        }
        Ok(())
    }

    /// The members in the order of the text.
    #[inline]
    pub(crate) fn members(&self) -> impl Iterator<Item = Value<'_>> {
        let text = &self.text;
        self.members.iter().map(move |member| Value { text, member })
    }

    /// The string at a place of this document.
    pub(crate) fn at(&self, place: Place) -> &str {
        place.0.of(&self.text)
    }

    /// The value of the member called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'_>> {
        self.members().find(|value| value.name() == name)
    }
}

/// A member of a [`Document`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'d> {
    text: &'d str,
    member: &'d Member,
}

impl<'d> Value<'d> {
    /// The member's name, unescaped.
    #[inline]
    pub(crate) fn name(self) -> &'d str {
        self.member.name.of(self.text)
    }

    /// The same as bytes, which are quicker to compare.
    #[inline]
    pub(crate) fn name_bytes(self) -> &'d [u8] {
        self.member.name.bytes_of(self.text)
    }

    /// The value as JSON text.
    pub(crate) fn as_json(self) -> &'d str {
        self.member.value.of(self.text)
    }

    /// The same as bytes, which are quicker to look at.
    #[inline]
    pub(crate) fn as_json_bytes(self) -> &'d [u8] {
        self.member.value.bytes_of(self.text)
    }

    /// The unescaped content of a string.
    pub(crate) fn as_str(self) -> Option<&'d str> {
        self.place().map(|Place(content)| content.of(self.text))
    }

    /// Where that content lies.
    pub(crate) fn place(self) -> Option<Place> {
        (self.member.content.start != 0).then_some(Place(self.member.content))
    }

    pub(crate) fn is_null(self) -> bool {
        self.as_json_bytes() == b"null"
    }

    /// The elements of an array, as JSON texts.
    pub(crate) fn elements(self) -> Option<impl Iterator<Item = &'d str>> {
        let inner = self.as_json().strip_prefix('[')?;
        let (mut scanner, mut cursor) = (Scanner::new(inner), Cursor::<true>::new(inner));
        let mut spans = Vec::new();
        cursor.skip_blanks();
        let mut more = cursor.peek() != Some(b']');
        while more {
            let start = cursor.at;
            // The text was accepted as a whole, so its parts are.
            scanner.value(&mut cursor, MAX_DEPTH).ok()?;
            spans.push(Span::new(start, cursor.at));
            more = cursor.go_on(b']').ok()?;
        }
        Some(spans.into_iter().map(move |span| span.of(inner)))
    }
}

/// A list that needs no allocation as long as it has no more than `N` elements.
#[derive(Clone)]
struct Few<T, const N: usize> {
    few: [T; N],
    len: usize,
    /// All of them, when they are more.
    many: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    fn new() -> Self {
        Self { few: [T::default(); N], len: 0, many: Vec::new() }
    }

    #[inline(always)]
    fn push(&mut self, element: T) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = element,
            None => self.push_many(element),
        }
        self.len += 1;
    }

    #[cold]
    fn push_many(&mut self, element: T) {
        if self.many.is_empty() {
            self.many.extend(self.few);
        }
        self.many.push(element);
    }

    #[inline(always)]
    fn iter(&self) -> std::slice::Iter<'_, T> {
        self.few.get(..self.len).unwrap_or(&self.many).iter()
    }
}

struct Scanner<'t> {
    text: &'t str,
    /// Where strings with escapes go. A span beyond the text's end lies in here.
    unescaped: String,
    /// The names of every open object but the outermost, one after the other.
    names: Vec<Span>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, unescaped: String::new(), names: Vec::new() }
    }

    /// Scans the whole text, which must be one object, and notes its members.
    fn document<const BLANKS: bool, const N: usize>(&mut self, members: &mut Few<Member, N>) -> Result<(), Invalid> {
        let mut cursor = Cursor::<BLANKS>::new(self.text);
        cursor.skip_blanks();
        if cursor.begin(b'{', b'}')? {
            let mut seen = Seen::default();
            loop {
                let name = self.name(&mut cursor)?;
                seen.note(self, name, || members.iter().map(|member| member.name))?;
                let start = cursor.at;
                let content = self.value(&mut cursor, MAX_DEPTH - 1)?;
                members.push(Member { name, value: Span::new(start, cursor.at), content });
                if !cursor.go_on(b'}')? {
                    break;
                }
            }
            seen.finish(self, || members.iter().map(|member| member.name))?;
        }
        cursor.skip_blanks();
        if cursor.at == self.text.len() { Ok(()) } else { Err(Invalid) }
    }

    /// Scans any value and returns the content if it was a string. `depth` is how many
    /// containers may still be opened.
    #[inline(always)]
    fn value<const BLANKS: bool>(&mut self, cursor: &mut Cursor<'t, BLANKS>, depth: usize) -> Result<Span, Invalid> {
        match cursor.peek().ok_or(Invalid)? {
            b'"' => return self.string(cursor),
            b'{' => *cursor = self.object(*cursor, depth)?,
            b'[' => *cursor = self.array(*cursor, depth)?,
            b'-' | b'0'..=b'9' => cursor.number()?,
            b't' => cursor.literal(b"true")?,
            b'f' => cursor.literal(b"false")?,
            b'n' => cursor.literal(b"null")?,
            _ => return Err(Invalid),
        }
        Ok(Span::default())
    }

    fn object<const BLANKS: bool>(
        &mut self,
        mut cursor: Cursor<'t, BLANKS>,
        depth: usize,
    ) -> Result<Cursor<'t, BLANKS>, Invalid> {
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        if !cursor.begin(b'{', b'}')? {
            return Ok(cursor);
        }
        let first = self.names.len();
        let mut seen = Seen::default();
        loop {
            let name = self.name(&mut cursor)?;
            seen.note(self, name, || self.names.iter().skip(first).copied())?;
            self.names.push(name);
            self.value(&mut cursor, depth)?;
            if !cursor.go_on(b'}')? {
                break;
            }
        }
        seen.finish(self, || self.names.iter().skip(first).copied())?;
        self.names.truncate(first);
        Ok(cursor)
    }

    fn array<const BLANKS: bool>(
        &mut self,
        mut cursor: Cursor<'t, BLANKS>,
        depth: usize,
    ) -> Result<Cursor<'t, BLANKS>, Invalid> {
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        if !cursor.begin(b'[', b']')? {
            return Ok(cursor);
        }
        loop {
            self.value(&mut cursor, depth)?;
            if !cursor.go_on(b']')? {
                return Ok(cursor);
            }
        }
    }

    /// A member's name and the colon behind it.
    #[inline(always)]
    fn name<const BLANKS: bool>(&mut self, cursor: &mut Cursor<'t, BLANKS>) -> Result<Span, Invalid> {
        let name = self.string(cursor)?;
        cursor.skip_blanks();
        cursor.take(b':')?;
        cursor.skip_blanks();
        Ok(name)
    }

    /// Scans a string and returns where its unescaped content lies.
    #[inline(always)]
    fn string<const BLANKS: bool>(&mut self, cursor: &mut Cursor<'t, BLANKS>) -> Result<Span, Invalid> {
        cursor.take(b'"')?;
        let start = cursor.at;
        cursor.skip_plain();
        match cursor.peek().ok_or(Invalid)? {
            b'"' => {
                let content = Span::new(start, cursor.at);
                cursor.at += 1;
                Ok(content)
            }
            b'\\' => {
                let from = self.text.len() + self.unescaped.len();
                *cursor = self.unescape(*cursor, start)?;
                Ok(Span::new(from, self.text.len() + self.unescaped.len()))
            }
            // RFC 8259, section 7: controls must be escaped.
            _ => Err(Invalid),
        }
    }

    /// Goes on with a string that began at `start`, from its first backslash to behind its end.
    #[cold]
    fn unescape<const BLANKS: bool>(
        &mut self,
        mut cursor: Cursor<'t, BLANKS>,
        start: usize,
    ) -> Result<Cursor<'t, BLANKS>, Invalid> {
        let mut plain = start;
        loop {
            cursor.skip_plain();
            self.unescaped.push_str(self.text.get(plain..cursor.at).ok_or(Invalid)?);
            match cursor.next()? {
                b'"' => return Ok(cursor),
                b'\\' => {
                    self.unescaped.push(cursor.escape()?);
                    plain = cursor.at;
                }
                _ => return Err(Invalid),
            }
        }
    }

    fn bytes_of(&self, span: Span) -> &[u8] {
        let (start, end, length) = (span.start as usize, span.end as usize, self.text.len());
        // An empty string may end where the text does; both readings of it are the same.
        let bytes = match start.checked_sub(length) {
            Some(start) => self.unescaped.as_bytes().get(start..end - length),
            None => self.text.as_bytes().get(start..end),
        };
        bytes.unwrap_or_default()
    }
}

/// Where a scan has come to. Without `BLANKS`, blanks between tokens are errors. Whatever is called out of line takes it
/// by value and hands it back, so that it stays in registers.
#[derive(Clone, Copy)]
struct Cursor<'t, const BLANKS: bool> {
    bytes: &'t [u8],
    at: usize,
    /// Where plain text ends in this block of the text, a bit for each byte.
    ends: u64,
    block: usize,
}

/// Bytes of a block, as many as a word has bits.
const BLOCK: usize = 64;

impl<'t, const BLANKS: bool> Cursor<'t, BLANKS> {
    fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, ends: ends_of_plain(text.as_bytes(), 0), block: 0 }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn next(&mut self) -> Result<u8, Invalid> {
        let byte = self.peek().ok_or(Invalid)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.next()? == byte { Ok(()) } else { Err(Invalid) }
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while BLANKS && let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Moves into a container; says whether there is anything in it.
    #[inline(always)]
    fn begin(&mut self, open: u8, close: u8) -> Result<bool, Invalid> {
        self.take(open)?;
        self.skip_blanks();
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Moves on behind a comma, or out of the container; says which it was.
    #[inline(always)]
    fn go_on(&mut self, close: u8) -> Result<bool, Invalid> {
        self.skip_blanks();
        match self.next()? {
            b',' => {
                self.skip_blanks();
                Ok(true)
            }
            byte if byte == close => Ok(false),
            _ => Err(Invalid),
        }
    }

    /// Moves on to the next quote, backslash or control.
    #[inline(always)]
    fn skip_plain(&mut self) {
        loop {
            let block = self.at / BLOCK;
            if block != self.block {
                self.ends = ends_of_plain(self.bytes, block);
                self.block = block;
            }
            let ends = self.ends >> (self.at % BLOCK);
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize;
                return;
            }
            self.at = (block + 1) * BLOCK;
        }
    }

    /// What an escape stands for, behind its backslash.
    fn escape(&mut self) -> Result<char, Invalid> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex4()?;
                let point = match unit {
                    0xd800..=0xdbff => {
                        self.take(b'\\')?;
                        self.take(b'u')?;
                        let low = self.hex4()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(Invalid);
                        }
                        0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => unit,
                };
                // A lone low surrogate is no character.
                char::from_u32(point).ok_or(Invalid)?
            }
            _ => return Err(Invalid),
        })
    }

    fn hex4(&mut self) -> Result<u32, Invalid> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.next()?).to_digit(16).ok_or(Invalid)?;
        }
        Ok(unit)
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Invalid> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let count = digits::leading(*eight);
            self.at += count;
            if count < 8 {
                return if self.at == start { Err(Invalid) } else { Ok(()) };
            }
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(Invalid) } else { Ok(()) }
    }

    #[inline(always)]
    fn literal<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Invalid> {
        if self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) == Some(word) {
            self.at += N;
            Ok(())
        } else {
            Err(Invalid)
        }
    }
}

/// A bit for each byte of a block that is a quote, a backslash or a control. The end of the text
/// counts as one.
#[inline(always)]
fn ends_of_plain(bytes: &[u8], block: usize) -> u64 {
    let rest = bytes.get(block * BLOCK..).unwrap_or_default();
    match rest.first_chunk() {
        Some(whole) => ends_in(whole),
        None => {
            let mut padded = [0; BLOCK];
            if let Some(begin) = padded.get_mut(..rest.len()) {
                begin.copy_from_slice(rest);
            }
            ends_in(&padded)
        }
    }
}

fn ends_in(block: &[u8; BLOCK]) -> u64 {
    let (quote, backslash, last_control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let (lanes, _) = block.as_chunks();
    lanes.iter().rev().fold(0, |ends, lane| {
        let bytes = u8x16::new(*lane);
        // What is not above the last control is one.
        let found = bytes.simd_eq(quote) | bytes.simd_eq(backslash) | bytes.min(last_control).simd_eq(bytes);
        ends << 16 | u64::from(found.to_bitmask())
    })
}

/// The names seen in an object that is still open.
#[derive(Default)]
struct Seen {
    count: usize,
    fingerprints: u64,
}

impl Seen {
    /// Refuses a name the second time.
    #[inline(always)]
    fn note<I>(&mut self, scanner: &Scanner<'_>, name: Span, others: impl Fn() -> I) -> Result<(), Invalid>
    where
        I: Iterator<Item = Span>,
    {
        if self.count < FEW_MEMBERS {
            let bit = fingerprint(scanner, name);
            if self.fingerprints & bit != 0 && is_among(scanner, name, others()) {
                return Err(Invalid);
            }
            self.fingerprints |= bit;
        }
        self.count += 1;
        Ok(())
    }

    /// Compares the names of an object that had too many for [`note`](Self::note).
    fn finish<I>(&self, scanner: &Scanner<'_>, names: impl Fn() -> I) -> Result<(), Invalid>
    where
        I: Iterator<Item = Span>,
    {
        if self.count > FEW_MEMBERS {
            let mut names: Vec<&[u8]> = names().map(|name| scanner.bytes_of(name)).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(Invalid);
            }
        }
        Ok(())
    }
}

#[cold]
fn is_among(scanner: &Scanner<'_>, name: Span, mut others: impl Iterator<Item = Span>) -> bool {
    let name = scanner.bytes_of(name);
    others.any(|other| scanner.bytes_of(other) == name)
}

/// Any odd number would do; with this one the usual claims of Better Auth and its plugins have bits of their own.
const MIX: u64 = 0x025b_413f_8a9a_021f;

/// One bit that equal names share and most different ones don't.
#[inline(always)]
fn fingerprint(scanner: &Scanner<'_>, name: Span) -> u64 {
    // A name's first bytes, read at once where the text goes on for long enough.
    let length = name.end.wrapping_sub(name.start);
    let begin = match scanner.text.as_bytes().get(name.start as usize..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => begin_of(scanner.bytes_of(name)),
    };
    // Of a shorter name, without what stands behind it.
    let begin = begin.unbounded_shl(64 - 8 * length.min(8));
    1 << (begin.wrapping_add(length.into()).wrapping_mul(MIX) >> 58)
}

#[cold]
fn begin_of(name: &[u8]) -> u64 {
    name.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Unescapes a JSON string that the scanner has accepted; `None` if it is no string.
pub(crate) fn unescape(json: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(json);
    let content = scanner.string(&mut Cursor::<true>::new(json)).ok()?;
    if (content.start as usize) < json.len() {
        Some(Cow::Borrowed(content.of(json)))
    } else {
        Some(Cow::Owned(scanner.unescaped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, Invalid> {
        Document::parse(text.to_owned())
    }

    fn refused(text: &str) -> bool {
        parse(text).is_err()
    }

    #[test]
    fn members_are_found_with_their_values() {
        let document = parse(r#" {"a": 1.5e3 ,"b":"x","c":[1,"]",{"d":[]}],"e":null,"":{}} "#).unwrap();
        assert_eq!(document.find("a").unwrap().as_json(), "1.5e3");
        assert_eq!(document.find("b").unwrap().as_str(), Some("x"));
        assert_eq!(document.find("c").unwrap().as_json(), r#"[1,"]",{"d":[]}]"#);
        assert!(document.find("e").unwrap().is_null());
        assert_eq!(document.find("").unwrap().as_json(), "{}");
        assert!(document.find("d").is_none());
    }

    #[test]
    fn blanks_between_tokens_change_nothing() {
        let dense = r#"{"a":-1.5e3,"b":{"c":[true,"x y",{}],"d":"\u0041"},"e":[],"f":null}"#;
        for blank in [" ", "\t", "\n", "\r", " \r\n\t "] {
            // One blank alone, wherever it may stand, and all of them.
            let places: Vec<usize> =
                dense.match_indices([',', ':', '{', '}', '[', ']']).map(|(place, _)| place).collect();
            for chosen in places.iter().map(|place| vec![*place]).chain([places.clone()]) {
                let mut text = dense.to_owned();
                for place in chosen.iter().rev() {
                    text.insert_str(place + 1, blank);
                    text.insert_str(*place, blank);
                }
                let document = parse(&text).unwrap();
                let names: Vec<_> = document.members().map(Value::name).collect();
                assert_eq!(names, ["a", "b", "e", "f"], "{text}");
                assert_eq!(document.find("a").unwrap().as_json(), "-1.5e3", "{text}");
            }
        }
        assert!(refused(r#"{"a":1 2}"#));
        assert!(refused(r#"{"a":t rue}"#));
        assert!(refused(r#"{"a": 1, "a": 2}"#));
    }

    #[test]
    fn more_members_than_have_a_place_of_their_own_are_found_in_order() {
        for count in [15, 16, 17, 40] {
            let names: Vec<String> = (0..count).map(|number| format!("name{number}")).collect();
            let members: Vec<String> = names.iter().map(|name| format!(r#""{name}":"of {name}""#)).collect();
            let document = parse(&format!("{{{}}}", members.join(","))).unwrap();
            assert!(document.members().map(Value::name).eq(names.iter().map(String::as_str)), "{count}");
            for name in &names {
                assert_eq!(document.find(name).unwrap().as_str(), Some(&*format!("of {name}")));
            }
        }
    }

    #[test]
    fn every_byte_of_a_number_is_looked_at_whatever_its_place_in_a_word() {
        for length in 1..40 {
            let digits = "9081726354".repeat(4);
            let number = &digits[..length];
            for (before, behind) in [("", ""), ("-", ""), ("1.", ""), ("1e", ""), ("1E+", ""), ("", "e5"), ("", ".5")] {
                let json = format!("{before}{number}{behind}");
                // With and without room for a whole word behind it.
                for rest in ["}", r#","b":"something"}"#] {
                    let document = parse(&format!(r#"{{"a":{json}{rest}"#)).unwrap();
                    assert_eq!(document.find("a").unwrap().as_json(), json);
                }
            }
            for place in 0..=length {
                for bad in ["/", ":", "a", "\u{1}", "é", "\u{7f}", "1 1", "-"] {
                    let (head, tail) = number.split_at(place);
                    let text = format!(r#"{{"a":{head}{bad}{tail}1,"b":"something"}}"#);
                    // A minus may stand before the digits alone.
                    let is_sign = bad == "-" && place == 0;
                    assert_eq!(refused(&text), !is_sign, "{text}");
                }
            }
        }
    }

    #[test]
    fn escapes_are_undone_in_names_and_strings() {
        let document = parse(r#"{"\u0073ub":"\ud83d\ude00\n\"é\/","x":"\\"}"#).unwrap();
        assert_eq!(document.find("sub").unwrap().as_str(), Some("😀\n\"é/"));
        assert_eq!(document.find("x").unwrap().as_str(), Some("\\"));
    }

    #[test]
    fn elements_of_an_array_are_listed() {
        let document = parse(r#"{"aud":[ "a" ,{"b":[1,2]}, [] ],"none":[],"text":"[]"}"#).unwrap();
        let elements =
            |name: &str| document.find(name).unwrap().elements().map(|elements| elements.collect::<Vec<_>>());
        assert_eq!(elements("aud").unwrap(), [r#""a""#, r#"{"b":[1,2]}"#, "[]"]);
        assert_eq!(elements("none").unwrap(), Vec::<&str>::new());
        assert!(elements("text").is_none());
    }

    #[test]
    fn duplicates_are_refused_at_any_depth_and_however_they_are_written() {
        assert!(refused(r#"{"a":1,"a":1}"#));
        assert!(refused(r#"{"sub":1,"s\u0075b":1}"#));
        assert!(refused(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#));
        assert!(refused(r#"{"":1,"":2}"#));
        assert!(!refused(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#));
    }

    #[test]
    fn duplicates_are_refused_among_many_members() {
        for (count, duplicate) in [(16, 0), (17, 3), (17, 16), (300, 0), (300, 298)] {
            let mut names: Vec<String> = (0..count).map(|n| format!(r#""name{n}":{n}"#)).collect();
            let all_different = format!("{{{}}}", names.join(","));
            assert!(!refused(&all_different), "{count}");
            names.push(format!(r#""name{duplicate}":0"#));
            assert!(refused(&format!("{{{}}}", names.join(","))), "{count} {duplicate}");
        }
    }

    #[test]
    fn what_is_no_strict_json_object_is_refused() {
        for text in [
            "",
            " ",
            "null",
            "[]",
            "1",
            r#""x""#,
            "{",
            "}",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            "{,}",
            "{a:1}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,]}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a":0x1}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":tru}"#,
            r#"{"a":TRUE}"#,
            r#"{"a":'b'}"#,
            r#"{"a":"b}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"\0\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\ud800x"}"#,
            "{\"a\":1 /* c */}",
            "{\"a\":1}\0",
            "{\u{a0}}",
        ] {
            assert!(refused(text), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_at_the_documented_depth() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(!refused(&nested(MAX_DEPTH)));
        assert!(refused(&nested(MAX_DEPTH + 1)));
        let arrays = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(!refused(&arrays(MAX_DEPTH - 1)));
        assert!(refused(&arrays(MAX_DEPTH)));
        assert!(refused(&arrays(100_000)));
    }

    #[test]
    fn every_byte_of_a_string_is_looked_at_whatever_its_place_in_a_word() {
        for length in 0..40 {
            let plain = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let document = parse(&format!(r#"{{"a":"{plain}"}}"#)).unwrap();
            assert_eq!(document.find("a").unwrap().as_str(), Some(&*plain));
            for bad in ["\u{1}", "\u{1f}", "\"", "\\"] {
                let text = format!(r#"{{"a":"{}{bad}{}"}}"#, "x".repeat(length), "y".repeat(20));
                assert!(refused(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_string_alone_is_unescaped() {
        assert_eq!(unescape(r#""ab""#).unwrap(), "ab");
        assert_eq!(unescape(r#""a\u0062""#).unwrap(), "ab");
        assert_eq!(unescape(r#""""#).unwrap(), "");
        assert!(unescape("1").is_none());
    }
}
