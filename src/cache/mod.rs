//! The cache's keys and its memory tier of recordings. Independent of the nodes.

pub mod key;
mod memory;

pub use self::memory::{Hit, Memory, MemoryConfig};
