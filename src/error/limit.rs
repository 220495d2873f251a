//! The worker's limits that a call can reach, and their messages.

use std::time::Duration;

/// A limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// Concurrent executions, of all callers.
    Executions,
    /// Concurrent executions, of one tenant.
    Tenant {
        /// The tenant.
        tenant: String,
        /// The number it may have.
        executions: usize,
    },
    /// The time a call may be queued.
    Queue {
        /// The time it was queued.
        waited: Duration,
    },
    /// Memory for requests and answers.
    Bytes,
    /// Concurrent checks of schemas and answers.
    Checkers,
    /// Streams of reflection and health checks, per connection or in total.
    Watches,
    /// File descriptors for connections to the provider.
    Descriptors,
    /// The daily token quota of a tenant.
    TokensPerDay {
        /// The tenant.
        tenant: String,
        /// The tokens it may spend.
        tokens: u64,
    },
    /// The daily spending quota of a tenant.
    DollarsPerDay {
        /// The tenant.
        tenant: String,
        /// The amount it may spend, in nano-dollars.
        nanodollars: i64,
    },
}

/// The subject and description of an exhausted quota:
/// `google.rpc.QuotaFailure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExhaustedQuota {
    /// The subject, such as `tenant:acme`.
    pub subject: String,
    /// A description of the quota, as a sentence without its full stop.
    pub description: String,
}

impl Limit {
    /// Returns the reason of its error, in one word: see
    /// [`Error::reason`](super::Error::reason).
    pub fn reason(&self) -> &'static str {
        if self.is_daily() { "QUOTA_EXHAUSTED" } else { "WORKER_SATURATED" }
    }

    /// Returns true if the limit resets daily.
    pub fn is_daily(&self) -> bool {
        match self {
            Limit::TokensPerDay { .. } | Limit::DollarsPerDay { .. } => true,
            Limit::Executions
            | Limit::Tenant { .. }
            | Limit::Queue { .. }
            | Limit::Bytes
            | Limit::Checkers
            | Limit::Watches
            | Limit::Descriptors => false,
        }
    }

    /// Returns the quota behind the limit, if it is one tenant's and not the
    /// worker's own.
    pub fn quota(&self) -> Option<ExhaustedQuota> {
        let (tenant, description) = match self {
            Limit::Tenant { tenant, executions } => {
                (tenant, format!("{executions} executions at a time"))
            }
            Limit::TokensPerDay { tenant, tokens } => {
                (tenant, format!("{tokens} tokens a day (UTC)"))
            }
            Limit::DollarsPerDay { tenant, nanodollars } => {
                (tenant, format!("{} US dollars a day (UTC)", dollars(*nanodollars)))
            }
            Limit::Executions
            | Limit::Queue { .. }
            | Limit::Bytes
            | Limit::Checkers
            | Limit::Watches
            | Limit::Descriptors => return None,
        };
        Some(ExhaustedQuota { subject: format!("tenant:{tenant}"), description })
    }

    pub(super) fn public_message(&self) -> String {
        match self {
            Limit::Executions => {
                "the worker is at capacity; retry after the indicated delay, or on \
                 another worker"
                    .to_owned()
            }
            Limit::Tenant { tenant, executions } => format!(
                "tenant {tenant:?} has all the executions it may have at a time ({executions}); \
                 try again after the wait, or have the operator raise --max-executions-per-tenant"
            ),
            Limit::Queue { waited } => format!(
                "the worker had no free slot within {}; retry after the \
                 wait, or on another worker",
                humantime::format_duration(*waited)
            ),
            Limit::Bytes => {
                "the worker has no memory left for this execution; try again after the wait, or \
                 on another worker, or with a shorter prompt or answer"
                    .to_owned()
            }
            Limit::Checkers => {
                "the worker had no time to read the JSON Schema; retry after the indicated delay, \
                 or on another worker"
                    .to_owned()
            }
            Limit::Watches => {
                "too many streams of reflection and health are open: on this connection, from this \
                 address, or in all; end those that are not needed, and retry after the delay"
                    .to_owned()
            }
            Limit::Descriptors => {
                "the worker has no file descriptor left for a connection or a file; retry after the \
                 indicated delay, or on another worker, and have the operator raise its limit"
                    .to_owned()
            }
            Limit::TokensPerDay { tenant, tokens } => spent(tenant, &format!("{tokens} tokens")),
            Limit::DollarsPerDay { tenant, nanodollars } => {
                spent(tenant, &format!("{} US dollars", dollars(*nanodollars)))
            }
        }
    }
}

fn spent(tenant: &str, what: &str) -> String {
    format!(
        "tenant {tenant:?} has used up its daily quota ({what}); try again when the day is over in \
         UTC, or have the operator raise its limit"
    )
}

fn dollars(nanodollars: i64) -> f64 {
    nanodollars as f64 / 1e9
}
