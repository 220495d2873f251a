//! What identical executions share: the key that names them, and the tiers that
//! keep their recordings. Knows nothing of nodes.

pub mod key;
mod memory;

pub use self::memory::{Hit, Memory, MemoryConfig};
