//! The closed sets of values of the metrics' attributes. Each value is a fixed
//! word; no caller's text becomes one.

/// Defines an enum whose values are words.
macro_rules! words {
    ($(
        $(#[$documented:meta])+
        $name:ident { $( $(#[$said:meta])+ $value:ident = $word:literal, )+ }
    )*) => { $(
        $(#[$documented])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$said])+ $value, )+ }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$( $name::$value, )+];

            /// Returns the value as metrics show it.
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$value => $word, )+ }
            }
        }
    )* };
}

words! {
    /// The tier in which an answer is looked up or stored.
    Tier {
        /// The memory of this process.
        Memory = "memory",
        /// The memory that the fleet shares.
        Redis = "redis",
        /// The answers stored by idempotency key.
        Idempotency = "idempotency",
    }

    /// The result of a look-up.
    LookupResult {
        /// The answer was found.
        Hit = "hit",
        /// The answer was not found.
        Miss = "miss",
        /// The look-up failed.
        Failed = "failed",
    }

    /// The role of an execution in its flight.
    Role {
        /// It leads the flight.
        Leader = "leader",
        /// It subscribes to a flight of this worker.
        Follower = "follower",
        /// It subscribes to a flight of another worker.
        FleetFollower = "fleet_follower",
    }

    /// The limit that refused a call.
    Limit {
        /// The executions of the whole worker.
        Executions = "executions",
        /// The executions of one tenant.
        Tenant = "tenant",
        /// The bytes in flight.
        Bytes = "bytes",
        /// The length of the queue, or the time in it.
        Queue = "queue",
        /// The concurrent schema checks.
        Checkers = "checkers",
        /// The open streams of reflection and health.
        Watches = "watches",
        /// The process's file descriptors.
        Descriptors = "descriptors",
        /// A tenant's daily quota of tokens.
        TokensPerDay = "tokens_per_day",
        /// A tenant's daily quota of dollars.
        DollarsPerDay = "dollars_per_day",
    }

    /// The reason a socket did not become a connection of a caller.
    Handshake {
        /// The handshake did not finish in time.
        Timeout = "timeout",
        /// The peer closed the socket during the handshake.
        Closed = "closed",
        /// The peer does not speak TLS, or violates the protocol.
        NotTls = "not_tls",
        /// The peer shares no TLS version, cipher or application protocol with the
        /// worker.
        Incompatible = "incompatible",
        /// The peer presented no certificate although one is required.
        NoCertificate = "no_certificate",
        /// The peer's certificate is not accepted.
        BadCertificate = "bad_certificate",
        /// The peer rejected the worker's certificate or aborted.
        RefusedByPeer = "refused_by_peer",
        /// The peer does not speak HTTP/2.
        NotHttp2 = "not_http2",
        /// The oldest of too many unfinished handshakes was dropped.
        GaveWay = "gave_way",
        /// The limit of connections is reached.
        NoRoom = "no_room",
    }

    /// The reason for a cooldown towards the provider.
    Cooldown {
        /// The provider reported too many requests.
        RateLimited = "rate_limited",
        /// The provider rejected a credential.
        Credential = "credential",
        /// The provider rejected a model.
        Model = "model",
    }

    /// The outcome of a Redis command.
    Command {
        /// Redis answered.
        Ok = "ok",
        /// Redis answered with an error, or the connection failed.
        Failed = "failed",
        /// No answer arrived in time.
        Timeout = "timeout",
        /// The command was not sent: Redis is known to be unreachable, or the
        /// command is too large.
        Refused = "refused",
    }

    /// The kinds of telemetry.
    Signal {
        /// Spans.
        Traces = "traces",
        /// Metrics.
        Metrics = "metrics",
        /// Log lines.
        Logs = "logs",
    }

    /// The operations of the provider.
    Operation {
        /// Chat completions.
        Chat = "chat",
        /// Text completions.
        TextCompletion = "text_completion",
        /// Embeddings.
        Embeddings = "embeddings",
    }
}

impl LookupResult {
    /// Returns the result of a look-up that cannot fail.
    pub fn found(found: bool) -> LookupResult {
        if found { LookupResult::Hit } else { LookupResult::Miss }
    }
}

/// The result of storing an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The answer was stored in the tier.
    Stored,
    /// The answer was not stored; the reason, as one word.
    NotStored(&'static str),
    /// Storing the answer failed.
    Failed,
}

/// The two ways to count tokens and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// Paid: spent by a provider request.
    Spent,
    /// Saved by sharing or the cache.
    Saved,
}
