//! Rules for the members of bodies, with messages that say what is allowed.

use serde::{Deserialize, Deserializer};

/// For `deserialize_with`.
pub(crate) fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| text.trim().to_owned())
}

pub(crate) fn not_empty(text: &str, _: &()) -> garde::Result {
    if text.is_empty() { Err(garde::Error::new("must not be empty")) } else { Ok(()) }
}

/// Like garde's `length(chars, max)`, with a message that says what is allowed.
pub(crate) fn at_most_characters(max: usize) -> impl FnOnce(&str, &()) -> garde::Result {
    move |text, _| {
        if text.chars().count() <= max {
            return Ok(());
        }
        Err(garde::Error::new(format!("must be at most {max} characters long")))
    }
}

/// PostgreSQL cannot store NUL in text, and SQLite's functions stop at it.
pub(crate) fn without_nul(text: &str, _: &()) -> garde::Result {
    if text.contains('\0') { Err(garde::Error::new("must not contain a NUL character")) } else { Ok(()) }
}
