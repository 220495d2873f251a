//! The single error of all Redis operations, with its cause.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

/// A command failed, though it may still have taken effect. The caller continues without
/// Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not available: {0}")]
pub struct Unavailable(pub Cause);

impl Unavailable {
    /// Returns true if the server may have executed the command all the same.
    pub fn may_have_run(self) -> bool {
        matches!(self.0, Cause::Late | Cause::Unreachable)
    }
}

/// The cause of a failure; its text contains nothing that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Cause {
    /// Not sent: the server was unreachable a moment ago.
    #[error("it was not asked, since it was out of reach a moment ago")]
    NotAsked,
    /// No answer within the time limit.
    #[error("it did not answer in time; look at its load and at the network")]
    Late,
    /// No connection, or a broken one.
    #[error("it cannot be connected to; check --redis-url, --redis-ca-file and the network")]
    Unreachable,
    /// The password or the user is wrong.
    #[error("it refuses the password or the user; check --redis-password-file and --redis-url")]
    Unauthorized,
    /// The user lacks a permission that workers need.
    #[error("its user may not run a command that workers need; see the documentation for the ACL")]
    Forbidden,
    /// The server is a replica, or has lost its replicas.
    #[error("it takes no writes; if it is a replica, name the primary or use Sentinel")]
    ReadOnly,
    /// The server is starting or failing over, or its Cluster is incomplete.
    #[error("it is starting or failing over")]
    NotReady,
    /// The server's memory is full.
    #[error("its memory is full; give it more, or set maxmemory-policy to volatile-lru")]
    Full,
    /// The Sentinels know no primary by this name.
    #[error("no Sentinel names a primary that can be reached; check the name in --redis-url")]
    NoPrimary,
    /// The value exceeds the maximum size.
    #[error("the value is larger than is kept there")]
    TooLarge,
    /// An unexpected error answer.
    #[error("it answered with an error that is not foreseen; look at its log")]
    Unforeseen,
}

impl Cause {
    /// The causes for which [`is_refusal`](Cause::is_refusal) is true.
    pub(super) const REFUSALS: [Cause; 4] =
        [Cause::Unauthorized, Cause::Forbidden, Cause::ReadOnly, Cause::Full];

    /// Returns the cause in one word, for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::NotAsked => "not_asked",
            Cause::Late => "late",
            Cause::Unreachable => "unreachable",
            Cause::Unauthorized => "unauthorized",
            Cause::Forbidden => "forbidden",
            Cause::ReadOnly => "read_only",
            Cause::NotReady => "not_ready",
            Cause::Full => "full",
            Cause::NoPrimary => "no_primary",
            Cause::TooLarge => "too_large",
            Cause::Unforeseen => "unforeseen",
        }
    }

    /// Returns true if the next command would fail the same way, so that none is sent
    /// until the supervisor gets an answer.
    pub(super) fn is_lasting(self) -> bool {
        match self {
            Cause::Late
            | Cause::Unreachable
            | Cause::Unauthorized
            | Cause::ReadOnly
            | Cause::NotReady
            | Cause::NoPrimary => true,
            // Quick answers: commands that need no memory or further permission still
            // succeed.
            Cause::NotAsked
            | Cause::Forbidden
            | Cause::Full
            | Cause::TooLarge
            | Cause::Unforeseen => false,
        }
    }

    /// Returns true if the server answers but refuses what workers need, which lasts
    /// until the operator changes something.
    pub(super) fn is_refusal(self) -> bool {
        Cause::REFUSALS.contains(&self)
    }

    pub(super) fn of(error: &RedisError) -> Cause {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Cause::Unauthorized,
            ErrorKind::Server(kind) => Cause::of_answer(kind, error.code()),
            ErrorKind::Extension => Cause::of_code(error.code()),
            ErrorKind::MasterNameNotFoundBySentinel => Cause::NoPrimary,
            _ if error.is_timeout() => Cause::Late,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::Parse => {
                Cause::Unreachable
            }
            _ if error.is_unrecoverable_error() => Cause::Unreachable,
            _ => Cause::Unforeseen,
        }
    }

    fn of_answer(kind: ServerErrorKind, code: Option<&str>) -> Cause {
        match kind {
            ServerErrorKind::ReadOnly => Cause::ReadOnly,
            ServerErrorKind::NoPerm => Cause::Forbidden,
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask => Cause::NotReady,
            _ => Cause::of_code(code),
        }
    }

    fn of_code(code: Option<&str>) -> Cause {
        match code {
            Some("OOM") => Cause::Full,
            Some("WRONGPASS" | "NOAUTH") => Cause::Unauthorized,
            Some("NOREPLICAS" | "MISCONF") => Cause::ReadOnly,
            Some("BUSY") => Cause::Late,
            Some("READONLY") => Cause::ReadOnly,
            Some("NOPERM") => Cause::Forbidden,
            _ => Cause::Unforeseen,
        }
    }
}

impl From<Cause> for Unavailable {
    fn from(cause: Cause) -> Unavailable {
        Unavailable(cause)
    }
}
