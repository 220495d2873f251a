//! The closed sets of values that the metrics' attributes take. Each is a word
//! on the page; nothing that a caller writes becomes one.

/// Makes an enum whose values are words.
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

            /// The word on the page.
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$value => $word, )+ }
            }
        }
    )* };
}

words! {
    /// Where an answer was looked up, or stored.
    Tier {
        /// In this process.
        Memory = "memory",
        /// In the fleet's memory.
        Redis = "redis",
        /// Among the answers to idempotency keys.
        Idempotency = "idempotency",
    }

    /// What a look-up came to.
    LookupResult {
        /// There it was.
        Hit = "hit",
        /// It was not there.
        Miss = "miss",
        /// Nobody could say.
        Failed = "failed",
    }

    /// What an execution is in its flight.
    Role {
        /// It has it run.
        Leader = "leader",
        /// It listens to a flight of this worker.
        Follower = "follower",
        /// It listens to a flight of another worker.
        FleetFollower = "fleet_follower",
    }

    /// Which limit refused a call.
    Limit {
        /// All executions of the worker.
        Executions = "executions",
        /// The executions of a tenant.
        Tenant = "tenant",
        /// The bytes in flight.
        Bytes = "bytes",
        /// The queue, its length or its time.
        Queue = "queue",
        /// The checkers of schemas.
        Checkers = "checkers",
        /// Streams of reflection and of health.
        Watches = "watches",
        /// The process's file descriptors.
        Descriptors = "descriptors",
        /// A tenant's tokens of the day.
        TokensPerDay = "tokens_per_day",
        /// A tenant's dollars of the day.
        DollarsPerDay = "dollars_per_day",
    }

    /// Why a socket did not become a connection of a caller.
    Handshake {
        /// It said too little in time.
        Timeout = "timeout",
        /// It was closed before it had said enough.
        Closed = "closed",
        /// It does not speak TLS, or breaks it.
        NotTls = "not_tls",
        /// It has no version or cipher of TLS in common with the worker.
        Incompatible = "incompatible",
        /// It shows no certificate where one is asked for.
        NoCertificate = "no_certificate",
        /// Its certificate is not accepted.
        BadCertificate = "bad_certificate",
        /// It does not accept the worker's certificate, or gave up.
        RefusedByPeer = "refused_by_peer",
        /// It does not speak HTTP/2.
        NotHttp2 = "not_http2",
        /// It was the oldest of too many that said too little.
        GaveWay = "gave_way",
        /// There are too many connections.
        NoRoom = "no_room",
    }

    /// Why the provider is left in peace.
    Cooldown {
        /// It said that there were too many requests.
        RateLimited = "rate_limited",
        /// It refuses a credential.
        Credential = "credential",
        /// It refuses a model.
        Model = "model",
    }

    /// How a command to Redis ended.
    Command {
        /// With an answer.
        Ok = "ok",
        /// With an error.
        Failed = "failed",
        /// Not in time.
        Timeout = "timeout",
        /// It was not sent: Redis is known to be away.
        Refused = "refused",
    }

    /// What kind of telemetry.
    Signal {
        /// Spans.
        Traces = "traces",
        /// Metrics.
        Metrics = "metrics",
        /// Log lines.
        Logs = "logs",
    }

    /// Which operation of the provider.
    Operation {
        /// Chat completions.
        Chat = "chat",
        /// Text completions.
        TextCompletion = "text_completion",
    }
}

impl LookupResult {
    /// What a look-up came to that could not fail.
    pub fn found(found: bool) -> LookupResult {
        if found { LookupResult::Hit } else { LookupResult::Miss }
    }
}

/// What became of an answer that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// It is in the tier.
    Stored,
    /// It is not; in a word, why.
    NotStored(&'static str),
    /// It should be, and could not.
    Failed,
}

/// Whether tokens were paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// By a call of the provider.
    Spent,
    /// No: sharing or the cache saved them.
    Saved,
}
