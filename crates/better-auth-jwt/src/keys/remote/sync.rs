//! The lock, which the model checker replaces with its own.

#[cfg(all(test, shuttle))]
pub(super) use shuttle::sync::Mutex;
#[cfg(not(all(test, shuttle)))]
pub(super) use std::sync::Mutex;
