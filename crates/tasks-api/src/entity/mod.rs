//! The tables, as SeaORM sees them.
#![expect(unreachable_pub, reason = "SeaORM derives public items from these")]

pub(crate) mod idempotency_key;
pub(crate) mod task;
