//! The guarantees of the verifier on many inputs: published vectors, everything that a real Better Auth issues,
//! generated tokens compared with another implementation, and the inputs of the fuzzers.

mod better_auth_tokens;
mod chance;
mod fuzz_corpus;
#[expect(unreachable_pub, reason = "these are the library's fuzz targets, and public to the fuzzers")]
#[path = "../../../crates/better-auth-jwt/fuzz/src/lib.rs"]
mod fuzzed;
mod jose;
mod properties;
mod shared_data;
mod vectors;
mod verdict;
