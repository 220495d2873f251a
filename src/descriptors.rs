//! The process's file descriptors: how many it may have, and whether they have
//! run out. Every socket and every open file takes one.
//!
//! Called by `cli` at the start, by `server` to bound its connections, and by
//! `fireworks` to tell a worker that cannot open a socket from a provider that
//! cannot be reached.

use std::{error::Error, io, os::fd::AsFd};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Raises the soft limit to the hard one, and returns both: what it was, and
/// what it is now. Nothing here uses `select`, for which systems keep it low.
pub fn raise() -> io::Result<(u64, u64)> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok((current.unwrap_or(u64::MAX), limit()))
}

/// Returns how many there may be at a time.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns true if a failure is one of descriptors that have run out. Resolvers
/// lose the system's word on the way, so the process tries for one too.
pub fn ran_out(failure: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(failure), |&cause| cause.source());
    causes.any(says_so) || have_run_out()
}

fn says_so(cause: &(dyn Error + 'static)) -> bool {
    let problem = cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
    matches!(problem, Some(Errno::MFILE | Errno::NFILE))
}

fn have_run_out() -> bool {
    let copied = io::stderr().as_fd().try_clone_to_owned();
    copied.is_err_and(|problem| says_so(&problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_descriptors_wherever_it_stands_in_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("no connection")]
        struct Wrapped(#[source] io::Error);
        for (number, expected) in [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::PIPE, false)]
        {
            let failure = Wrapped(io::Error::from_raw_os_error(number.raw_os_error()));
            assert_eq!(ran_out(&failure), expected, "{failure:?}");
        }
    }
}
