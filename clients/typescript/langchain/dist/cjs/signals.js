"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.either = either;
exports.abortOf = abortOf;
exports.traceparent = traceparent;
const sparkler_client_1 = require("sparkler-client");
/** A signal that aborts with the first of both. Node 18 has no AbortSignal.any. */
function either(one, other) {
    if (!one || !other || one === other)
        return one ?? other;
    if (AbortSignal.any)
        return AbortSignal.any([one, other]);
    const control = new AbortController();
    for (const signal of [one, other]) {
        const abort = () => control.abort(signal.reason);
        if (signal.aborted)
            abort();
        signal.addEventListener("abort", abort, { once: true, signal: control.signal });
    }
    return control.signal;
}
/** The abort behind a cancelled call, in the words that agents and orchestrators look for. */
function abortOf(error) {
    if (!(error instanceof sparkler_client_1.SparklerError) || error.reason !== "CALL_CANCELLED")
        return undefined;
    const { cause } = error;
    if (cause instanceof Error && (cause.name === "AbortError" || cause.name === "TimeoutError"))
        return cause;
    return new DOMException("The execution was aborted", "AbortError");
}
/**
 * OpenTelemetry's active span, where the process has its API. None is made up: a
 * sampled trace of ours would overrule the worker's own sampling.
 */
function traceparent() {
    const api = globalThis[Symbol.for("opentelemetry.js.api.1")];
    const span = api?.context?.active?.()?.getValue?.(Symbol.for("OpenTelemetry Context Key SPAN"))?.spanContext?.();
    if (!span || !/[1-9a-f]/.test(span.traceId))
        return undefined;
    return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`;
}
