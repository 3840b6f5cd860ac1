//! The strict scanner: one pass over a JSON object that refuses what parsers disagree about,
//! and notes where each of the object's members lies.
//!
//! Refused are duplicate member names at any depth (RFC 7515, section 4; RFC 7519, section 4),
//! lone surrogates, nesting deeper than [`MAX_DEPTH`] and everything outside RFC 8259. Nothing is
//! built: a value is a [`Span`] of the text, read later by whoever wants it.

use std::borrow::Cow;

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
        if text.len() > u32::MAX as usize / 2 {
            return Err(Invalid);
        }
        let mut document = Self { text, members: Few::new() };
        let mut scanner = Scanner::new(&document.text);
        scanner.document(&mut document.members)?;
        let unescaped = scanner.unescaped;
        document.text.push_str(&unescaped);
        Ok(document)
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
        let Span { start, end } = self.member.name;
        self.text.as_bytes().get(start as usize..end as usize).unwrap_or_default()
    }

    /// The value as JSON text.
    pub(crate) fn as_json(self) -> &'d str {
        self.member.value.of(self.text)
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
        self.as_json() == "null"
    }

    /// The elements of an array, as JSON texts.
    pub(crate) fn elements(self) -> Option<impl Iterator<Item = &'d str>> {
        let inner = self.as_json().strip_prefix('[')?;
        let mut scanner = Scanner::new(inner);
        let mut spans = Vec::new();
        scanner.skip_blanks();
        while scanner.peek() != Some(b']') {
            let start = scanner.at;
            // The text was accepted as a whole, so its parts are.
            scanner.value(MAX_DEPTH).ok()?;
            spans.push(Span::new(start, scanner.at));
            scanner.skip_blanks();
            if scanner.peek() == Some(b',') {
                scanner.at += 1;
                scanner.skip_blanks();
            }
        }
        Some(spans.into_iter().map(move |span| span.of(inner)))
    }
}

/// A list whose first `N` elements, usually all of them, need no allocation.
#[derive(Clone)]
struct Few<T, const N: usize> {
    first: [T; N],
    len: usize,
    rest: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    fn new() -> Self {
        Self { first: [T::default(); N], len: 0, rest: Vec::new() }
    }

    fn push(&mut self, element: T) {
        match self.first.get_mut(self.len) {
            Some(place) => *place = element,
            None => self.rest.push(element),
        }
        self.len += 1;
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.get(..self.len).unwrap_or(&self.first).iter().chain(&self.rest)
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// Where strings with escapes go. A span beyond the text's end lies in here.
    unescaped: String,
    /// The names of every open object but the outermost, one after the other.
    names: Vec<Span>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, unescaped: String::new(), names: Vec::new() }
    }

    /// Scans the whole text, which must be one object, and notes its members.
    fn document<const N: usize>(&mut self, members: &mut Few<Member, N>) -> Result<(), Invalid> {
        self.skip_blanks();
        if self.begin(b'{', b'}')? {
            let mut seen = Seen::default();
            loop {
                let name = self.name()?;
                seen.note(self, name, || members.iter().map(|member| member.name))?;
                let start = self.at;
                let content = self.value(MAX_DEPTH - 1)?;
                members.push(Member { name, value: Span::new(start, self.at), content });
                if !self.go_on(b'}')? {
                    break;
                }
            }
            seen.finish(self, || members.iter().map(|member| member.name))?;
        }
        self.skip_blanks();
        if self.at == self.text.len() { Ok(()) } else { Err(Invalid) }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Scans any value and returns the content if it was a string. `depth` is how many
    /// containers may still be opened.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Span, Invalid> {
        match self.peek().ok_or(Invalid)? {
            b'"' => return self.string(),
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return Err(Invalid),
        }
        Ok(Span::default())
    }

    fn object(&mut self, depth: usize) -> Result<(), Invalid> {
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        if !self.begin(b'{', b'}')? {
            return Ok(());
        }
        let first = self.names.len();
        let mut seen = Seen::default();
        loop {
            let name = self.name()?;
            seen.note(self, name, || self.names.iter().skip(first).copied())?;
            self.names.push(name);
            self.value(depth)?;
            if !self.go_on(b'}')? {
                break;
            }
        }
        seen.finish(self, || self.names.iter().skip(first).copied())?;
        self.names.truncate(first);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), Invalid> {
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        if !self.begin(b'[', b']')? {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if !self.go_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Moves into a container; says whether there is anything in it.
    #[inline(always)]
    fn begin(&mut self, open: u8, close: u8) -> Result<bool, Invalid> {
        self.expect(open)?;
        self.skip_blanks();
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Moves on behind a comma, or out of the container; says which it was.
    #[inline(always)]
    fn go_on(&mut self, close: u8) -> Result<bool, Invalid> {
        self.skip_blanks();
        let next = self.peek().ok_or(Invalid)?;
        if next != b',' && next != close {
            return Err(Invalid);
        }
        self.at += 1;
        if next == b',' {
            self.skip_blanks();
        }
        Ok(next == b',')
    }

    /// A member's name and the colon behind it.
    #[inline(always)]
    fn name(&mut self) -> Result<Span, Invalid> {
        let name = self.string()?;
        self.skip_blanks();
        self.expect(b':')?;
        self.skip_blanks();
        Ok(name)
    }

    /// Scans a string and returns where its unescaped content lies.
    #[inline(always)]
    fn string(&mut self) -> Result<Span, Invalid> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_plain();
        match self.peek().ok_or(Invalid)? {
            b'"' => {}
            b'\\' => return self.string_with_escapes(start),
            // RFC 8259, section 7: controls must be escaped.
            _ => return Err(Invalid),
        }
        let content = Span::new(start, self.at);
        self.at += 1;
        Ok(content)
    }

    /// Moves on to the next quote, backslash or control, eight bytes at a time.
    #[inline(always)]
    fn skip_plain(&mut self) {
        const ONES: u64 = u64::from_le_bytes([0x01; 8]);
        const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
        // The high bit of a byte of the result is set where the byte of `word` is below `limit`.
        // Borrows raise false alarms only behind a true one, and only the first counts.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
        let bytes = self.text.as_bytes();
        while let Some(chunk) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*chunk);
            let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
            let backslashes = below(word ^ (ONES * u64::from(b'\\')), 1);
            let found = quotes | backslashes | below(word, 0x20);
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            self.at += 1;
        }
    }

    #[cold]
    fn string_with_escapes(&mut self, start: usize) -> Result<Span, Invalid> {
        let from = self.text.len() + self.unescaped.len();
        let mut plain = start;
        loop {
            self.skip_plain();
            self.unescaped.push_str(self.text.get(plain..self.at).ok_or(Invalid)?);
            match self.peek().ok_or(Invalid)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    let escaped = self.escape()?;
                    self.unescaped.push(escaped);
                    plain = self.at;
                }
                _ => return Err(Invalid),
            }
        }
        self.at += 1;
        Ok(Span::new(from, self.text.len() + self.unescaped.len()))
    }

    fn escape(&mut self) -> Result<char, Invalid> {
        let byte = self.peek().ok_or(Invalid)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex4()?;
                let point = match unit {
                    0xd800..=0xdbff => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
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
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(Invalid)?;
            self.at += 1;
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
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(Invalid) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Invalid> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    fn text_of(&self, span: Span) -> &str {
        match (span.start as usize).checked_sub(self.text.len()) {
            // An empty string may end where the text does; both readings of it are the same.
            Some(start) => {
                let end = span.end as usize - self.text.len();
                self.unescaped.get(start..end).unwrap_or_default()
            }
            None => span.of(self.text),
        }
    }
}

/// The names seen in an object that is still open.
#[derive(Default)]
struct Seen {
    count: usize,
    fingerprints: u64,
}

impl Seen {
    /// Refuses a name the second time.
    fn note<I>(&mut self, scanner: &Scanner<'_>, name: Span, others: impl Fn() -> I) -> Result<(), Invalid>
    where
        I: Iterator<Item = Span>,
    {
        if self.count < FEW_MEMBERS {
            let text = scanner.text_of(name).as_bytes();
            let bit = fingerprint(text);
            if self.fingerprints & bit != 0 && others().any(|other| scanner.text_of(other).as_bytes() == text) {
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
            let mut names: Vec<&str> = names().map(|name| scanner.text_of(name)).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(Invalid);
            }
        }
        Ok(())
    }
}

/// One bit that equal names share and most different ones don't.
fn fingerprint(name: &[u8]) -> u64 {
    let edge = |byte: Option<&u8>| byte.copied().unwrap_or_default();
    let mix = (name.len() as u8)
        .wrapping_mul(7)
        .wrapping_add(edge(name.first()).wrapping_mul(31))
        .wrapping_add(edge(name.last()).wrapping_mul(5))
        .wrapping_add(edge(name.get(name.len() / 2)));
    1 << (mix & 63)
}

/// Unescapes a JSON string that the scanner has accepted; `None` if it is no string.
pub(crate) fn unescape(json: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(json);
    let content = scanner.string().ok()?;
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
