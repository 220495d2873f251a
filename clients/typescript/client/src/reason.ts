/** Reasons that a worker gives for a failure; `domain` says whose mistake it is. */
export const WORKER_REASONS = [
  "ACCOUNT_SUSPENDED",
  "BILLING_REQUIRED",
  "CALLER_UNAUTHENTICATED",
  "COMPRESSION_UNSUPPORTED",
  "CONNECTION_MAX_AGE",
  "CONNECT_TIMEOUT",
  "CONTEXT_TOO_LONG",
  "CREDENTIAL_REJECTED",
  "DEPLOYMENT_SCALING_UP",
  "EXECUTION_CANCELLED",
  "EXECUTION_NOT_FOUND",
  "FIRST_TOKEN_TIMEOUT",
  "IDEMPOTENCY_MISMATCH",
  "IDLE_TIMEOUT",
  "INVALID_NODE_CONFIG",
  "MODEL_FORBIDDEN",
  "MODEL_NOT_FOUND",
  "MODEL_RETIRED",
  "NOT_CACHED",
  "OUTPUT_NOT_JSON",
  "OUTPUT_SCHEMA_MISMATCH",
  "OUTPUT_TOO_LARGE",
  "PROVIDER_ANSWER_INVALID",
  "PROVIDER_RATE_LIMITED",
  "PROVIDER_UNAVAILABLE",
  "QUOTA_EXHAUSTED",
  "REQUEST_REJECTED",
  "REQUEST_TIMEOUT",
  "STREAM_INTERRUPTED",
  "TOTAL_TIMEOUT",
  "UNKNOWN_NODE_TYPE",
  "WORKER_DRAINING",
  "WORKER_FAILED",
  "WORKER_SATURATED",
] as const;

/** Reasons that this client gives, where no worker said anything. */
export type ClientReason =
  /** No connection with a worker; gRPC's own retries are over. */
  | "WORKER_UNREACHABLE"
  /** The connection ended before the execution did. */
  | "CONNECTION_LOST"
  /** The call's own `timeoutMs` is over. */
  | "CALL_TIMEOUT"
  /** `cancel()`, the call's signal, or leaving the loop. */
  | "CALL_CANCELLED"
  /** gRPC failed otherwise; see `status` and the message. */
  | "CALL_FAILED";

export type WorkerReason = (typeof WORKER_REASONS)[number];

/** A newer worker may give a reason that is not listed here. */
export type Reason = WorkerReason | ClientReason | (string & {});
