//! Disables core dumps of a worker: they would contain the keys of every call in
//! progress. Done before the first call arrives.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Prevents core dumps to a file, by the limit, and to a dump handler, which
/// ignores the limit, by making the process undumpable. Other processes of the same
/// user then cannot inspect its memory either.
pub(super) fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
