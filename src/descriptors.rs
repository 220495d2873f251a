//! The process's file descriptors: their limit, and the detection of their
//! exhaustion. Every socket and every open file takes one.
//!
//! Lets the server bound its connections, and the provider's client tell a worker
//! that cannot open a socket from a provider that cannot be reached.

use std::{error::Error, io, os::fd::AsFd};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Raises the soft limit to the hard one and returns the old and the new soft
/// limit. Safe because nothing here uses `select`, the reason systems keep the soft
/// limit low.
pub(crate) fn raise() -> io::Result<(u64, u64)> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok((current.unwrap_or(u64::MAX), limit()))
}

/// Returns the soft limit; `u64::MAX` if there is none.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns true if a failure was caused by descriptor exhaustion. DNS resolvers
/// lose the system's error on the way, so this also tries to allocate a descriptor.
pub(crate) fn ran_out(failure: &(dyn Error + 'static)) -> bool {
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
