//! The lock, exchangeable for the model checker's.

pub(super) use std::sync::{Mutex, MutexGuard};
