/** A signal that aborts with the first of both. Node 18 has no AbortSignal.any. */
export declare function either(one?: AbortSignal, other?: AbortSignal): AbortSignal | undefined;
/** The abort behind a cancelled call, in the words that agents and orchestrators look for. */
export declare function abortOf(error: unknown): unknown;
/**
 * OpenTelemetry's active span, where the process has its API. None is made up: a
 * sampled trace of ours would overrule the worker's own sampling.
 */
export declare function traceparent(): string | undefined;
