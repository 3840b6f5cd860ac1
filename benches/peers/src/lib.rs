//! `better-auth-jwt` and similar crates behind one interface: their cost (`cargo bench`) and their
//! responses (`cargo run`).

mod benchmark;
mod inner;
mod peers;
mod setup;
mod target;
mod versions;

pub use self::{
    benchmark::{Benchmark, Case, request},
    peers::{Peer, all, better_auth_jwt as ours},
    setup::{MyClaims, Setup},
    target::{Outcome, Sample, Target},
    versions::version,
};
