//! The guarantees of the verifier with many inputs: published test vectors, everything that Better Auth issues, generated
//! tokens compared with jose, and the inputs of the fuzzers.

mod better_auth_tokens;
mod fuzz_corpus;
#[expect(unreachable_pub, reason = "the library's fuzz targets, which are public for the fuzzers")]
#[path = "../../../crates/better-auth-jwt/fuzz/src/lib.rs"]
mod fuzzed;
mod jose;
mod properties;
mod rng;
mod shared_data;
mod vectors;
mod verdict;
