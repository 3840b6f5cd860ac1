//! `better-auth-jwt` and its peers behind one interface: what each costs (`cargo bench`) and what
//! each answers (`cargo run`).

mod contestant;
mod field;
mod inner;
mod peers;
mod setup;
mod versions;

pub use self::{
    contestant::{Answer, Contestant, Lap},
    field::{Field, Runner, request},
    peers::{Entrant, all, better_auth_jwt as ours},
    setup::{MyClaims, Setup},
    versions::version,
};
