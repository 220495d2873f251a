//! The limits of the worker that a call can meet, and what to say then.

use std::time::Duration;

/// A limit that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// Executions at a time, of all callers.
    Executions,
    /// Executions at a time, of one tenant.
    Tenant {
        /// Whose.
        tenant: String,
        /// How many it may have.
        executions: usize,
    },
    /// The time in line for a place.
    Queue {
        /// How long that was.
        waited: Duration,
    },
    /// Memory for requests and answers.
    Bytes,
    /// Schemas and answers checked at a time.
    Checkers,
    /// Streams of reflection and of health, of one connection or of all.
    Watches,
    /// File descriptors for connections with the provider.
    Descriptors,
    /// The tokens that a tenant may spend a day.
    TokensPerDay {
        /// Whose.
        tenant: String,
        /// How many it may spend.
        tokens: u64,
    },
    /// The money that a tenant may spend a day.
    DollarsPerDay {
        /// Whose.
        tenant: String,
        /// How much it may spend, in nano-dollars.
        nanodollars: i64,
    },
}

/// Whose quota is used up, and what it is: `google.rpc.QuotaFailure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Such as `tenant:acme`.
    pub subject: String,
    /// What the quota is, as a sentence without its end.
    pub description: String,
}

impl Limit {
    /// What happened when it is met, in one word: see
    /// [`Error::reason`](super::Error::reason).
    pub fn reason(&self) -> &'static str {
        if self.is_daily() { "QUOTA_EXHAUSTED" } else { "WORKER_SATURATED" }
    }

    /// Whether it is one of a day, and not of a moment.
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

    /// The quota behind it, where it is one caller's and not the worker's own.
    pub fn quota(&self) -> Option<Quota> {
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
        Some(Quota { subject: format!("tenant:{tenant}"), description })
    }

    pub(super) fn public_message(&self) -> String {
        match self {
            Limit::Executions => {
                "the worker has no place for another execution; try again after the wait, or on \
                 another worker"
                    .to_owned()
            }
            Limit::Tenant { tenant, executions } => format!(
                "tenant {tenant:?} has all the executions it may have at a time ({executions}); \
                 try again after the wait, or have the operator raise --max-executions-per-tenant"
            ),
            Limit::Queue { waited } => format!(
                "the worker had no place for another execution within {}; try again after the \
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
                "too many streams of reflection and health are open, on this connection or on \
                 all; end those that are not needed, and try again after the wait"
                    .to_owned()
            }
            Limit::Descriptors => {
                "the worker has no file descriptor left for a connection with the provider; try \
                 again after the wait, or on another worker, and have the operator raise its limit"
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
        "tenant {tenant:?} has spent what it may a day ({what}); try again when the day is over in \
         UTC, or have the operator raise its limit"
    )
}

fn dollars(nanodollars: i64) -> f64 {
    nanodollars as f64 / 1e9
}
