// A client of Sparkler, the gRPC worker that executes LLM nodes of visual flows.
//
// One file over the generated code: copy it, `gen/` and `service_config.json`
// into an orchestrator. It adds what every orchestrator needs and generated
// code does not have: failures with their details decoded, executions that
// survive a lost connection, and an idempotency key on every execution, so that
// a retry of gRPC's own is never paid twice.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";

export * as api from "./gen/sparkler/worker/v1/worker_pb.js";

/**
 * @import { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
 *
 * @typedef {MessageInitShape<typeof api.ExecuteNodeRequestSchema>} ExecuteNodeRequest
 * @typedef {MessageInitShape<typeof api.AttachExecutionRequestSchema>} AttachExecutionRequest
 * @typedef {MessageInitShape<typeof api.CheckNodeRequestSchema>} CheckNodeRequest
 *
 * @typedef {object} CallOptions
 * @property {number} [timeout] Milliseconds after which the call ends wherever it stands;
 *   `limits.total` of the request does the same with the details of what was done so far.
 * @property {AbortSignal} [signal] Cancels the call.
 * @property {string} [traceparent] The W3C trace that the call belongs to.
 */

// Retries what the worker refused before it did anything, after the wait that
// it asks for; spreads calls over the workers behind one name.
const SERVICE_CONFIG = new URL("../service_config.json", import.meta.url);

const CHANNEL_OPTIONS = {
  "grpc.service_config": readFileSync(SERVICE_CONFIG, "utf8"),
  "grpc.max_receive_message_length": 64 << 20,
  // A connection that died in silence is noticed within 40 seconds.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
};

/** A worker, or the fleet of workers behind one name. */
export class Sparkler {
  #client;
  #token;

  /**
   * @param {string} url `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
   * @param {object} [options]
   * @param {Buffer} [options.roots] The certificates (PEM) to trust instead of the system's.
   * @param {string} [options.token] What the worker knows this caller by, where it asks for that.
   */
  constructor(url, { roots, token } = {}) {
    const [, scheme, address] = /^(https?):\/\/([^/]+)\/?$/.exec(url) ?? [];
    if (!address) throw new TypeError(`${url} is not http://HOST:PORT or https://HOST:PORT`);
    const secure = scheme === "https";
    const credentials = secure ? grpc.credentials.createSsl(roots) : grpc.credentials.createInsecure();
    this.#client = new grpc.Client(`dns:///${address}`, credentials, CHANNEL_OPTIONS);
    this.#token = token;
  }

  /** Ends the connection once the calls under way have ended. */
  close() {
    this.#client.close();
  }

  /**
   * Executes one node, from the first iteration on.
   *
   * Without an `idempotencyKey` the request gets one; give your own (such as
   * the run's id and the node's) where the orchestrator itself may ask again,
   * after a crash.
   *
   * @param {ExecuteNodeRequest} request
   * @param {CallOptions} [options]
   */
  execute(request, options = {}) {
    const message = create(api.ExecuteNodeRequestSchema, request);
    message.idempotencyKey ||= randomUUID();
    const { context, limits, output } = message;
    const drains = limits?.onCancel === api.ExecutionLimits_OnCancel.DRAIN;
    const attachment = create(api.AttachExecutionRequestSchema, { context, limits, deltas: output?.deltas });
    const call = this.#call(options);
    return new Execution(
      () => call.stream(api.WorkerService.method.executeNode, message),
      () => call.stream(api.WorkerService.method.attachExecution, attachment),
      drains ? attachment : undefined,
    );
  }

  /**
   * Picks up an execution by its token, from another process or much later.
   *
   * @param {AttachExecutionRequest} request
   * @param {CallOptions} [options]
   */
  attach(request, options = {}) {
    const attachment = create(api.AttachExecutionRequestSchema, request);
    const call = this.#call(options);
    const attach = () => call.stream(api.WorkerService.method.attachExecution, attachment);
    return new Execution(attach, attach, attachment);
  }

  /**
   * The node types of the worker, with enough of each to draw its form.
   *
   * @param {CallOptions} [options]
   */
  async nodeTypes(options = {}) {
    const { listNodeTypes } = api.WorkerService.method;
    const request = create(api.ListNodeTypesRequestSchema);
    return (await this.#call(quick(options)).answer(listNodeTypes, request)).nodeTypes;
  }

  /**
   * Whether a node would run: its fields, its credential, its model.
   *
   * @param {CheckNodeRequest} request
   * @param {CallOptions} [options]
   */
  async check(request, options = {}) {
    const message = create(api.CheckNodeRequestSchema, request);
    const { checkNode } = api.WorkerService.method;
    return (await this.#call(quick(options)).answer(checkNode, message)).findings;
  }

  /** @param {CallOptions} options */
  #call({ timeout, signal, traceparent }) {
    const metadata = new grpc.Metadata();
    if (this.#token) metadata.set("authorization", `Bearer ${this.#token}`);
    if (traceparent) metadata.set("traceparent", traceparent);
    const deadline = timeout === undefined ? Infinity : Date.now() + timeout;
    return new Call(this.#client, metadata, deadline, signal);
  }
}

/**
 * One execution: iterate over its events, then read `completed`.
 *
 *     const execution = worker.execute(request);
 *     for await (const { event } of execution) {
 *       if (event.case === "delta") process.stdout.write(event.value.text);
 *     }
 *     console.log(execution.completed.usage);
 *
 * Leaving the loop early cancels the execution and stops the provider. A
 * failure is thrown as `Failure`. Where `limits.onCancel` is DRAIN, a lost
 * connection is none: the execution is picked up behind the last event seen,
 * and the events go on with another `started`.
 */
export class Execution {
  #begin;
  #attach;
  #attachment;
  /** @type {api.Started | undefined} */
  started;
  /** @type {api.Completed | undefined} */
  completed;
  lastSequence = 0n;

  /**
   * @param {() => grpc.ClientReadableStream<api.ExecuteNodeResponse>} begin
   * @param {() => grpc.ClientReadableStream<api.ExecuteNodeResponse>} attach
   * @param {api.AttachExecutionRequest | undefined} attachment
   */
  constructor(begin, attach, attachment) {
    this.#begin = begin;
    this.#attach = attach;
    this.#attachment = attachment;
  }

  /** @returns {AsyncGenerator<api.ExecuteNodeResponse>} */
  async *[Symbol.asyncIterator]() {
    for (let stream = this.#begin(); ; stream = this.#attach()) {
      let heard = false;
      try {
        for await (const response of stream) {
          heard = true;
          this.#note(response);
          yield response;
        }
        return;
      } catch (error) {
        const failure = Failure.decode(error);
        if (this.completed) return;
        // An attachment that brought nothing is not tried again: the service
        // config has retried it already.
        if (!(heard && failure.connectionLost && this.#attachment)) throw failure;
      } finally {
        stream.cancel();
      }
    }
  }

  /** @param {api.ExecuteNodeResponse} response */
  #note({ sequence, event }) {
    this.lastSequence = sequence;
    if (event.case === "started") this.started = event.value;
    if (event.case === "completed") this.completed = event.value;
    if (this.#attachment && this.started) {
      this.#attachment.executionToken = this.started.executionToken;
      this.#attachment.afterSequence = sequence;
    }
  }
}

/** A call that failed, its details decoded. */
export class Failure extends Error {
  /** @type {number} One of `grpc.status`. */
  code;
  /** Such as `CREDENTIAL_REJECTED`; empty where not the worker but gRPC itself
   * failed: no connection, this side's own deadline, or its own cancellation. */
  reason = "";
  /** `sparkler`, or `fireworks.ai` for what the provider said. */
  domain = "";
  /** @type {Record<string, string>} `phase`, `safe_to_retry`, `http_status`, … */
  metadata = {};
  /** @type {number | undefined} Milliseconds to wait before a retry, where that is known. */
  retryAfter;
  /** @type {{ field: string, description: string }[]} */
  violations = [];
  /** @type {api.FailureDetail | undefined} What was used and paid until then. */
  detail;

  /**
   * @param {number} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "Failure";
    this.code = code;
  }

  toString() {
    return `${[grpc.status[this.code], this.reason].join(" ").trimEnd()}: ${this.message}`;
  }

  /** Whether the same request may succeed later. */
  get safeToRetry() {
    return this.metadata.safe_to_retry === "true";
  }

  /** Whether it was not the worker that ended the call. */
  get connectionLost() {
    return this.code === grpc.status.UNAVAILABLE && !this.reason;
  }

  /**
   * A failure of gRPC's; any other error is thrown as it is.
   *
   * @param {any} error
   */
  static decode(error) {
    if (!(error?.metadata instanceof grpc.Metadata)) throw error;
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const status = bytes && fromBinary(StatusSchema, bytes);
    // The header with the message may be escaped in a way that grpc-js leaves.
    const failure = new Failure(error.code, status?.message ?? error.details);
    for (const any of status?.details ?? []) {
      const info = anyUnpack(any, ErrorInfoSchema);
      if (info) Object.assign(failure, { reason: info.reason, domain: info.domain, metadata: info.metadata });
      const retry = anyUnpack(any, RetryInfoSchema);
      if (retry?.retryDelay) failure.retryAfter = durationMs(retry.retryDelay);
      failure.violations = anyUnpack(any, BadRequestSchema)?.fieldViolations ?? failure.violations;
      failure.detail = anyUnpack(any, api.FailureDetailSchema) ?? failure.detail;
    }
    return failure;
  }
}

/**
 * @template {DescMessage} I
 * @template {DescMessage} O
 * @typedef {DescMethod & { input: I, output: O }} Method
 */

/** What the parts of one call have in common. */
class Call {
  #client;
  #metadata;
  #deadline;
  #signal;

  /**
   * @param {grpc.Client} client
   * @param {grpc.Metadata} metadata
   * @param {number} deadline
   * @param {AbortSignal | undefined} signal
   */
  constructor(client, metadata, deadline, signal) {
    this.#client = client;
    this.#metadata = metadata;
    this.#deadline = deadline;
    this.#signal = signal;
  }

  /**
   * @template {DescMessage} I
   * @template {DescMessage} O
   * @param {Method<I, O>} method
   * @param {MessageShape<I>} request
   */
  stream(method, request) {
    const [path, serialize, deserialize] = wire(method);
    const options = { deadline: this.#deadline };
    const stream = this.#client.makeServerStreamRequest(
      path, serialize, deserialize, request, this.#metadata, options,
    );
    this.#cancels(stream);
    // Whoever iterates gets it too; without a listener it would end the process.
    stream.on("error", () => {});
    return stream;
  }

  /**
   * @template {DescMessage} I
   * @template {DescMessage} O
   * @param {Method<I, O>} method
   * @param {MessageShape<I>} request
   * @returns {Promise<MessageShape<O>>}
   */
  answer(method, request) {
    const [path, serialize, deserialize] = wire(method);
    const options = { deadline: this.#deadline };
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path, serialize, deserialize, request, this.#metadata, options,
        (error, response) => (response ? resolve(response) : reject(Failure.decode(error))),
      );
      this.#cancels(call);
    });
  }

  /** @param {grpc.ClientUnaryCall | grpc.ClientReadableStream<any>} call */
  #cancels(call) {
    const signal = this.#signal;
    if (!signal) return;
    const cancel = () => call.cancel();
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel);
    call.on("status", () => signal.removeEventListener("abort", cancel));
  }
}

/**
 * For calls that take no time.
 *
 * @param {CallOptions} options
 */
function quick({ timeout = 30_000, ...options }) {
  return { timeout, ...options };
}

/**
 * A method as gRPC wants it: where it is, and how its messages become bytes.
 *
 * @template {DescMessage} I
 * @template {DescMessage} O
 * @param {Method<I, O>} method
 * @returns {[
 *   path: string,
 *   serialize: (message: MessageShape<I>) => Buffer,
 *   deserialize: (bytes: Buffer) => MessageShape<O>,
 * ]}
 */
function wire({ parent, name, input, output }) {
  return [
    `/${parent.typeName}/${name}`,
    (message) => Buffer.from(toBinary(input, message)),
    (bytes) => fromBinary(output, bytes),
  ];
}
