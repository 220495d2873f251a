import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { type Cost, costOf, type Timing, timingOf, type Usage, usageOf } from "./event.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";
import type { ClientReason, Reason } from "./reason.js";

export interface Violation {
  /** Such as `config.temperature`. */
  field: string;
  description: string;
}

/** What a failed execution had used until then. */
export interface Spent {
  usage: Usage;
  cost?: Cost;
  timing: Timing;
  attempts: number;
  /** With OUTPUT_NOT_JSON and OUTPUT_SCHEMA_MISMATCH: the beginning of the text. */
  text?: string;
}

/** Circumstances of a call that gRPC's own errors do not name. */
export interface CallInfo {
  url: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** A call that failed. Act on `reason`, or on `retryable` alone. */
export class SparklerError extends Error {
  override readonly name = "SparklerError";
  /** The origin of the error: `sparkler`, `fireworks.ai`, or `client` where no worker did. */
  domain = "client";
  /** Whether the same request, with the same idempotency key, may succeed later. */
  retryable = false;
  /** How long to wait before that, where it is known. */
  retryAfterMs?: number;
  /** Every field that is wrong, with INVALID_NODE_CONFIG. */
  violations: Violation[] = [];
  /** Absent where the execution had not begun. */
  spent?: Spent;
  /** `phase`, `http_status`, `provider_code`, … */
  metadata: Record<string, string> = {};
  /** @internal Names an execution that goes on over another connection. */
  token?: string;

  /**
   * @param code The gRPC status, as a number.
   * @param reason Names what happened, such as `CREDENTIAL_REJECTED`.
   * @param description Says what happened and what to do; `message` has the reason before it.
   */
  constructor(
    readonly code: number,
    readonly reason: Reason,
    readonly description: string,
    options?: { cause?: unknown },
  ) {
    super(`${reason}: ${description}`, options);
  }

  /** The gRPC status by name, such as `INVALID_ARGUMENT`. */
  get status(): string {
    return grpc.status[this.code] ?? String(this.code);
  }

  /** @internal Any other error is returned as it is. */
  static from(error: unknown, call: CallInfo, seen = false): unknown {
    if (!isServiceError(error)) return error;
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    return bytes ? decoded(error, bytes as Buffer) : local(error, call, seen);
  }

  /** @internal */
  static cancelled(description: string, cause?: unknown): SparklerError {
    return new SparklerError(grpc.status.CANCELLED, "CALL_CANCELLED", description, { cause });
  }
}

function isServiceError(error: unknown): error is grpc.ServiceError {
  const { code, metadata } = (error ?? {}) as Partial<grpc.ServiceError>;
  return typeof code === "number" && typeof metadata?.get === "function";
}

function decoded(error: grpc.ServiceError, bytes: Buffer): SparklerError {
  // From the details: grpc-js leaves escapes in the header with the message.
  const { message, details } = fromBinary(StatusSchema, bytes);
  const info = first(details, ErrorInfoSchema);
  const failure = new SparklerError(error.code, info?.reason ?? "CALL_FAILED", message, { cause: error });
  if (info) Object.assign(failure, { domain: info.domain, metadata: info.metadata });
  failure.retryable = info?.metadata.safe_to_retry === "true";
  const wait = first(details, RetryInfoSchema)?.retryDelay;
  if (wait) failure.retryAfterMs = durationMs(wait);
  const fields = first(details, BadRequestSchema)?.fieldViolations ?? [];
  failure.violations = fields.map(({ field, description }) => ({ field, description }));
  const detail = first(details, api.FailureDetailSchema);
  if (detail) Object.assign(failure, { spent: spentOf(detail), token: detail.executionToken || undefined });
  return failure;
}

function first<S extends DescMessage>(details: Any[], schema: S): MessageShape<S> | undefined {
  for (const detail of details) {
    const message = anyUnpack(detail, schema);
    if (message) return message;
  }
  return undefined;
}

function spentOf({ usage, cost, timing, attempts, text }: api.FailureDetail): Spent {
  const numbers = { usage: usageOf(usage), cost: costOf(cost), timing: timingOf(timing), attempts };
  return { ...numbers, text: text || undefined };
}

/** Not a worker but gRPC ended the call: its words say neither where nor why. */
function local(error: grpc.ServiceError, call: CallInfo, seen: boolean): SparklerError {
  const [reason, description] = explained(error, call, seen);
  const cause = reason === "CALL_CANCELLED" ? (call.signal?.reason ?? error) : error;
  const failure = new SparklerError(error.code, reason, description, { cause });
  failure.retryable = reason !== "CALL_CANCELLED" && reason !== "CALL_FAILED";
  return failure;
}

function explained({ code, details }: grpc.ServiceError, call: CallInfo, seen: boolean): [ClientReason, string] {
  const { url, timeoutMs } = call;
  const { UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED } = grpc.status;
  if (code === UNAVAILABLE && seen) return ["CONNECTION_LOST", `the connection with ${url} was lost: ${details}`];
  if (code === UNAVAILABLE) return ["WORKER_UNREACHABLE", `no worker answers at ${url}: ${attempted(details)}`];
  if (code === DEADLINE_EXCEEDED) return ["CALL_TIMEOUT", `the call took longer than its timeout of ${timeoutMs} ms`];
  if (code === CANCELLED) return ["CALL_CANCELLED", "the call was cancelled"];
  return ["CALL_FAILED", `${url}: ${details}`];
}

/** The system's own words out of gRPC's account of load balancing and resolving. */
function attempted(details: string): string {
  return /(?:connect|getaddrinfo|read|write) E[A-Z_]+[^.\s]*(?: [\w.:[\]-]+\w)?/.exec(details)?.[0] ?? details;
}
