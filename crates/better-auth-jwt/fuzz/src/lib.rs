//! What the fuzzers run: for each target a function that takes any bytes, gives them to the library, and asserts
//! what must hold whatever they are.
//!
//!     cargo fuzz run token --sanitizer none corpus/token seeds/token -- -dict=jose.dict
//!
//! `seeds` has inputs that somebody thought of, by name, and `corpus` what the fuzzers found besides.
//!
//! A second, slower reading of the same bytes says what is to be expected: serde_json's for JSON, `percent_encoding`'s
//! for paths. The functions are plain ones, so that the tests run them too, on the stable toolchain and without the
//! fuzzer, over the corpus and changes of it.

pub mod header;
pub mod jwks;
pub mod path;
pub mod token;

mod issuer;
mod json;
