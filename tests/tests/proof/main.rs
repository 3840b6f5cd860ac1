//! What the verifier promises, tried on more inputs than anybody writes down: published vectors, everything that a
//! real Better Auth puts into the world, generated tokens beside another implementation, and what the fuzzers found.

mod better_auth_tokens;
mod shared_data;
mod vectors;
mod verdict;
