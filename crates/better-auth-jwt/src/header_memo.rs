//! JOSE headers read before.

use std::sync::{Arc, Mutex};

use crate::jws::Header;

const SLOTS: usize = 4;

/// The headers of tokens verified lately, as they came and as they were read.
///
/// An issuer writes the same header into every token, so it need not be read each time. Only a
/// verified token's is kept: what strangers send changes nothing.
#[derive(Default)]
pub(crate) struct HeaderMemo {
    slots: [Slot; SLOTS],
}

type Slot = Mutex<Option<Known>>;

struct Known {
    encoded: Box<[u8]>,
    header: Arc<Header>,
}

impl HeaderMemo {
    /// The header of a token verified before.
    pub(crate) fn find(&self, encoded: &[u8]) -> Option<Arc<Header>> {
        // Whoever finds the slot locked goes without: reading a header takes no longer than waiting.
        let slot = self.slot(encoded)?.try_lock().ok()?;
        slot.as_ref().filter(|known| *known.encoded == *encoded).map(|known| known.header.clone())
    }

    /// Remembers the header of a verified token.
    pub(crate) fn keep(&self, encoded: &[u8], header: Arc<Header>) {
        if let Some(mut slot) = self.slot(encoded).and_then(|slot| slot.try_lock().ok()) {
            *slot = Some(Known { encoded: encoded.into(), header });
        }
    }

    /// Headers differ in `kid`, which stands near their end.
    fn slot(&self, encoded: &[u8]) -> Option<&Slot> {
        let end = encoded.iter().rev().take(8).fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte));
        self.slots.get(end % SLOTS)
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
        let memo = HeaderMemo::default();
        for encoded in ENCODED {
            assert!(memo.find(encoded).is_none());
            let header = Arc::new(Header::decode(encoded).unwrap());
            memo.keep(encoded, header.clone());
            assert!(Arc::ptr_eq(&header, &memo.find(encoded).unwrap()));
        }
    }
}
