//! JOSE headers read before.

use std::sync::OnceLock;

use crate::jws::Header;

const SLOTS: usize = 64;

/// The headers of verified tokens, as they came and as they were read.
///
/// An issuer writes the same header into every token until it changes its key, so it need not be
/// read each time. Only a verified token's is kept, for good: what strangers send changes nothing,
/// and nobody waits for anybody. Where another has the slot already, a header is read each time.
pub(crate) struct HeaderMemo {
    slots: [OnceLock<Known>; SLOTS],
}

struct Known {
    encoded: Box<[u8]>,
    header: Header,
}

impl HeaderMemo {
    pub(crate) fn new() -> Self {
        Self { slots: [const { OnceLock::new() }; SLOTS] }
    }

    /// The header of a token verified before.
    pub(crate) fn find(&self, encoded: &[u8]) -> Option<&Header> {
        let known = self.slot(encoded)?.get()?;
        (*known.encoded == *encoded).then_some(&known.header)
    }

    /// Remembers the header of a verified token.
    pub(crate) fn keep(&self, encoded: &[u8], header: Header) {
        if let Some(slot) = self.slot(encoded) {
            slot.get_or_init(|| Known { encoded: encoded.into(), header });
        }
    }

    /// Headers differ in `kid`, which stands near their end. None is so short that it has no such end.
    fn slot(&self, encoded: &[u8]) -> Option<&OnceLock<Known>> {
        let end = u64::from_le_bytes(*encoded.last_chunk()?);
        // The golden ratio's digits: they spread what differs anywhere over the upper bits.
        let place = end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOTS.ilog2());
        self.slots.get(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"HS256"}`, and others that end alike.
    const ENCODED: [&[u8]; 4] =
        [b"eyJhbGciOiJIUzI1NiJ9", b"eyJhbGciOiJFUzI1NiJ9", b"eyJhbGciOiJQUzI1NiJ9", b"eyJhbGciOiJSUzI1NiJ9"];

    #[test]
    fn headers_that_were_kept_are_found_and_no_others() {
        let memo = HeaderMemo::new();
        let headers = ENCODED.map(|encoded| Header::decode(encoded).unwrap());
        for (encoded, header) in ENCODED.iter().zip(&headers) {
            assert!(memo.find(encoded).is_none());
            memo.keep(encoded, header.clone());
        }
        // Who came first stays; others may have found their slot taken.
        assert_eq!(memo.find(ENCODED[0]), Some(&headers[0]));
        for (encoded, header) in ENCODED.iter().zip(&headers) {
            assert!(memo.find(encoded).is_none_or(|found| found == header));
        }
    }
}
