//! The cache's keys and its memory tier of recordings. Independent of the nodes.

pub(crate) mod key;
mod memory;

pub(crate) use self::memory::{Hit, Memory, MemoryConfig};
