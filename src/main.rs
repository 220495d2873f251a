//! The `sparkler` program: a shell around `sparkler::cli`. Sets the allocator,
//! which a library must leave to the program.

use std::process::ExitCode;

// The worker makes many small, short-lived allocations on several threads, and
// musl's own allocator takes one lock for all of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sparkler::cli::main()
}
