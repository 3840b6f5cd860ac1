//! The bodies of the fuzz targets: each function passes arbitrary bytes to the library and checks its guarantees.
//!
//!     cargo fuzz run token --sanitizer none corpus/token seeds/token -- -dict=jose.dict
//!
//! `seeds` contains hand-written inputs, with names, and `corpus` the inputs that the fuzzers found.
//!
//! The expected result comes from a second, slower parser of the same bytes: `serde_json` for JSON, `percent_encoding`
//! for paths. The functions do not depend on the fuzzer: tests on the stable toolchain run them with the corpus and with
//! modified inputs.

pub mod header;
pub mod jwks;
pub mod path;
pub mod token;

mod issuer;
mod json;
