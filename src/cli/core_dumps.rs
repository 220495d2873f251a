//! No core file of a worker: it would hold the keys of everybody whose calls were
//! under way. Called by `serve`, before it has seen any.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Lets the process leave none, wherever the system puts them: in a file, which a
/// limit forbids, or in a program's hands, which heeds no limit. It can then not be
/// looked into by others of the same user either.
pub(super) fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
