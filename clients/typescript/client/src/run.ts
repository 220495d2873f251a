import * as grpc from "@grpc/grpc-js";
import { SparklerError } from "./error.js";
import { type Answer, eventOf, type RunEvent } from "./event.js";
import type { ExecuteNodeResponse } from "./gen/sparkler/worker/v1/worker_pb.js";

type Stream = AsyncIterable<ExecuteNodeResponse> & { cancel(): void };

/**
 * The calls that one run is made of.
 * @internal
 */
export interface RunCalls {
  /** Begins the run; `deltas` is for a request that leaves it open. */
  begin(deltas: boolean): Stream;
  /** Goes on after the last event that was seen. */
  resume(token: string, after: bigint): Stream;
  /** Whether a lost connection is to be survived: the execution drains. */
  survives: boolean;
  /** Whether `restarted` events can come. */
  restarts: boolean;
  failure(error: unknown, seen: boolean): unknown;
}

/** Connections that may be lost in a row without any event in between. */
const FRUITLESS_RESUMES = 3;

/**
 * One execution. It begins when it is first read: by iterating over its events,
 * over its `text()`, or with `answer()`. It is read once; `answer()` may follow
 * or accompany the iteration. Leaving a loop early cancels the execution, which
 * stops the provider, unless `limits.onCancel` is "drain".
 */
export class Run implements AsyncIterable<RunEvent> {
  /** Names the execution to `attach`, once it has started. */
  token?: string;
  /** The last event that was seen, for `attach`. */
  lastSequence = 0n;

  readonly #calls: RunCalls;
  readonly #outcome = deferred<Answer>();
  #answer?: Answer;
  #read = false;
  #cancelled = false;
  #shown = false;
  #lost?: SparklerError;
  #stream?: Stream;

  /** @internal */
  constructor(calls: RunCalls) {
    this.#calls = calls;
  }

  /** The events, from `started` to `completed`; a failure is thrown as SparklerError. */
  [Symbol.asyncIterator](): AsyncGenerator<RunEvent, void, undefined> {
    return this.#events(true);
  }

  /** The text of the first choice, as it comes. */
  async *text(): AsyncGenerator<string, void, undefined> {
    if (this.#calls.restarts) {
      throw new TypeError("text() cannot take text back: read the events, or leave out limits.allowRestart");
    }
    for await (const event of this) {
      if (event.type === "delta" && event.choice === 0 && event.text) yield event.text;
    }
  }

  /**
   * The whole answer. Where nothing else reads the run, this does, and without
   * deltas, so that the worker can retry until the last moment.
   */
  answer(): Promise<Answer> {
    if (!this.#read) void this.#drain();
    return this.#outcome.promise;
  }

  /** Cancels the execution; what reads it ends with CALL_CANCELLED. */
  cancel(): void {
    this.#cancelled = true;
    this.#stream?.cancel();
    if (!this.#read) this.#outcome.reject(SparklerError.cancelled("the run was cancelled"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  async #drain() {
    try {
      for await (const _ of this.#events(false));
    } catch {
      // The outcome has it.
    }
  }

  async *#events(deltas: boolean): AsyncGenerator<RunEvent, void, undefined> {
    if (this.#read) throw new TypeError("a run is read once; answer() may be called as often as you like");
    this.#read = true;
    try {
      yield* this.#parts(deltas);
    } catch (error) {
      this.#outcome.reject(error);
      throw error;
    } finally {
      this.#outcome.reject(SparklerError.cancelled("the run was left before its end"));
    }
  }

  /** One stream after another, for as long as lost connections are survived. */
  async *#parts(deltas: boolean): AsyncGenerator<RunEvent, void, undefined> {
    let open = () => this.#calls.begin(deltas);
    for (let fruitless = 0; ; fruitless++) {
      try {
        for await (const event of this.#part(open)) {
          if (event.type !== "started") fruitless = 0;
          yield event;
        }
        return;
      } catch (failure) {
        if (this.#answer) return;
        if (fruitless >= FRUITLESS_RESUMES) throw failure;
        open = this.#next(failure, deltas);
      }
    }
  }

  async *#part(open: () => Stream): AsyncGenerator<RunEvent, void, undefined> {
    if (this.#cancelled) throw SparklerError.cancelled("the run was cancelled");
    const stream = (this.#stream = open());
    try {
      for await (const response of stream) {
        const event = eventOf(response);
        if (!event) continue;
        this.#note(event);
        yield event;
      }
    } catch (error) {
      throw this.#calls.failure(error, this.token !== undefined);
    } finally {
      // Leaving the loop ends up here, and the provider stops.
      stream.cancel();
    }
    if (!this.#answer) throw new Error("the stream ended without an answer; is this a Sparkler worker?");
  }

  /** The stream to go on with, where the failure is only the connection's. */
  #next(failure: unknown, deltas: boolean): () => Stream {
    if (!(failure instanceof SparklerError) || this.#cancelled) throw failure;
    const lost = this.#lost;
    if (lost && failure.code === grpc.status.NOT_FOUND) {
      // No worker kept the execution. What was shown cannot be taken back; where nothing was, the idempotency
      // key makes another execution safe.
      if (this.#shown) throw lost;
      this.#lost = undefined;
      return () => this.#calls.begin(deltas);
    }
    const token = this.#resumable(failure);
    if (token === undefined) throw failure;
    this.#lost = failure;
    return () => this.#calls.resume(token, this.lastSequence);
  }

  #resumable(failure: SparklerError): string | undefined {
    if (failure.reason === "CONNECTION_LOST") return this.#calls.survives ? this.token : undefined;
    // A worker that ends a connection names the execution, which may go on.
    return failure.token;
  }

  #note(event: RunEvent) {
    this.lastSequence = event.sequence;
    if (event.type === "delta") this.#shown = true;
    if (event.type === "started") this.token = event.token;
    if (event.type === "completed") this.#outcome.resolve((this.#answer = event.answer));
  }
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...both) => ([resolve, reject] = both));
  // A run whose answer nobody asks for must not end the process.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
