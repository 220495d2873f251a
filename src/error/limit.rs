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
    /// The quota behind it, where it is one caller's and not the worker's own.
    pub fn quota(&self) -> Option<Quota> {
        match self {
            Limit::Tenant { tenant, executions } => Some(Quota {
                subject: format!("tenant:{tenant}"),
                description: format!("{executions} executions at a time"),
            }),
            Limit::Executions | Limit::Queue { .. } | Limit::Bytes => None,
        }
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
        }
    }
}
