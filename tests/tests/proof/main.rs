//! What the verifier promises, tried on more inputs than anybody writes down: published vectors, everything that a
//! real Better Auth puts into the world, generated tokens beside another implementation, and what the fuzzers found.

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
