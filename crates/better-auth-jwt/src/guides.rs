//! Guides: how to solve a task that takes several parts of this crate.

#[doc = include_str!("guides/revocations.md")]
pub mod revocations {}
