//! The `sparkler` program. Everything it does is in `sparkler::cli`; here is
//! only what a library must leave to a program: the allocator.

use std::process::ExitCode;

// Many small, short-lived allocations on several threads, and a musl build
// whose own allocator takes one lock for all of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sparkler::cli::main()
}
