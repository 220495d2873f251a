//! The memory settings: the limit and its division into shares.
//!
//! | share | of the limit |
//! |---|---|
//! | the program: code, connections, the allocator's overhead | an eighth, at least 32 MiB |
//! | cached answers | a quarter, or `--cache-bytes` |
//! | finished executions that can be attached to | a sixteenth, or `--retention-bytes` |
//! | executions: requests, answers, streams | the rest |

use clap::Args;

use super::{bytes::bytes, cgroup};

/// The memory arguments.
#[derive(Debug, Clone, Args)]
pub struct MemoryArgs {
    /// The worker's memory limit; by default that of its control group, or else
    /// half of the machine's memory.
    #[arg(long, env = "SPARKLER_MEMORY_LIMIT", value_parser = bytes, value_name = "SIZE")]
    pub memory_limit: Option<u64>,

    /// Memory for cached answers; by default a quarter of the limit.
    #[arg(long, env = "SPARKLER_CACHE_BYTES", value_parser = bytes, value_name = "SIZE")]
    pub cache_bytes: Option<u64>,

    /// Memory for finished executions that can be attached to; by default a
    /// sixteenth of the limit.
    #[arg(long, env = "SPARKLER_RETENTION_BYTES", value_parser = bytes, value_name = "SIZE")]
    pub retention_bytes: Option<u64>,

    /// The longest prompt or conversation accepted; by default 16MiB, or a
    /// sixteenth of the executions' share if that is less.
    #[arg(long, env = "SPARKLER_MAX_INPUT_BYTES", value_parser = bytes, value_name = "SIZE")]
    pub max_input_bytes: Option<u64>,

    /// The largest answer accepted from the provider; by default like the longest
    /// prompt.
    #[arg(long, env = "SPARKLER_MAX_ANSWER_BYTES", value_parser = bytes, value_name = "SIZE")]
    pub max_answer_bytes: Option<u64>,
}

/// The shares of the memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) cache: u64,
    pub(super) retention: u64,
    pub(super) executions: u64,
    pub(super) max_input: u64,
    pub(super) max_answer: u64,
}

const MIB: u64 = 1 << 20;
/// The minimum share of the program itself.
const LEAST_FOR_PROGRAM: u64 = 32 * MIB;
/// The minimum share of executions; a worker with less is not worth running.
const LEAST_FOR_EXECUTIONS: u64 = 16 * MIB;
/// The default limit of a text.
const USUAL_TEXT: u64 = 16 * MIB;
/// An answer's bytes are counted in 32 bits.
const LARGEST_ANSWER: u64 = 1 << 30;
/// The memory assumed if the system reports none.
const ASSUMED: u64 = 1 << 30;

impl MemoryArgs {
    /// Divides the memory into shares.
    ///
    /// # Errors
    ///
    /// Returns the problem if the shares do not fit into the limit.
    pub(super) fn shares(&self) -> Result<Shares, String> {
        let found = || cgroup::limit().or_else(|| cgroup::of_machine().map(|all| all / 2));
        self.shares_of(self.memory_limit.or_else(found).unwrap_or(ASSUMED))
    }

    fn shares_of(&self, limit: u64) -> Result<Shares, String> {
        let program = (limit / 8).max(LEAST_FOR_PROGRAM);
        let cache = self.cache_bytes.unwrap_or(limit / 4);
        let retention = self.retention_bytes.unwrap_or(limit / 16);
        let spoken_for = program.saturating_add(cache).saturating_add(retention);
        let executions = limit.saturating_sub(spoken_for);
        if executions < LEAST_FOR_EXECUTIONS {
            return Err(format!(
                "the memory limit of {limit} bytes does not hold the program ({program}), \
                 --cache-bytes ({cache}), --retention-bytes ({retention}) and at least \
                 {LEAST_FOR_EXECUTIONS} for executions; lower these, or raise --memory-limit or \
                 the container's limit"
            ));
        }
        let usual = USUAL_TEXT.min(executions / 16);
        let max_input = self.max_input_bytes.unwrap_or(usual);
        let max_answer = self.max_answer_bytes.unwrap_or(usual);
        fits("--max-input-bytes", max_input, executions / 16, executions)?;
        fits("--max-answer-bytes", max_answer, (executions / 8).min(LARGEST_ANSWER), executions)?;
        Ok(Shares { cache, retention, executions, max_input, max_answer })
    }
}

/// Checks that the largest text, with all its copies, leaves room for others.
fn fits(name: &str, bytes: u64, most: u64, executions: u64) -> Result<(), String> {
    match bytes {
        0 => Err(format!("{name} must be more than 0")),
        _ if bytes > most => Err(format!(
            "{name} is {bytes}, and must be at most {most}: executions have {executions} bytes of \
             memory; lower it, or raise --memory-limit or the container's limit"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> MemoryArgs {
        MemoryArgs {
            memory_limit: None,
            cache_bytes: None,
            retention_bytes: None,
            max_input_bytes: None,
            max_answer_bytes: None,
        }
    }

    #[test]
    fn the_shares_are_as_documented_and_add_up() {
        let shares = typed().shares_of(1024 * MIB).expect("they fit");
        assert_eq!(
            shares,
            Shares {
                cache: 256 * MIB,
                retention: 64 * MIB,
                executions: (1024 - 128 - 256 - 64) * MIB,
                max_input: 16 * MIB,
                max_answer: 16 * MIB,
            }
        );
        let small = typed().shares_of(128 * MIB).expect("they fit");
        assert_eq!(small.executions, (128 - 32 - 32 - 8) * MIB);
        assert_eq!(small.max_input, small.executions / 16, "large prompts do not fit");
    }

    #[test]
    fn what_adds_up_to_more_than_the_limit_is_refused() {
        let greedy = MemoryArgs { cache_bytes: Some(900 * MIB), ..typed() };
        let problem = greedy.shares_of(1024 * MIB).expect_err("too much");
        assert!(problem.contains("--cache-bytes (943718400)"), "{problem}");
        greedy.shares_of(2048 * MIB).expect("they fit");
        typed().shares_of(48 * MIB).expect_err("hardly the program");
        MemoryArgs { retention_bytes: Some(u64::MAX), ..typed() }
            .shares_of(1024 * MIB)
            .expect_err("no overflow");
    }

    #[test]
    fn texts_that_do_not_fit_are_refused() {
        for (name, typed) in [
            ("--max-input-bytes", MemoryArgs { max_input_bytes: Some(64 * MIB), ..typed() }),
            ("--max-answer-bytes", MemoryArgs { max_answer_bytes: Some(128 * MIB), ..typed() }),
            ("--max-answer-bytes", MemoryArgs { max_answer_bytes: Some(0), ..typed() }),
        ] {
            let problem = typed.shares_of(1024 * MIB).expect_err(name);
            assert!(problem.starts_with(name), "{problem}");
        }
    }
}
