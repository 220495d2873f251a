import { SparklerError } from "sparkler-client";

/** A signal that aborts with the first of both. Node 18 has no AbortSignal.any. */
export function either(one?: AbortSignal, other?: AbortSignal): AbortSignal | undefined {
  if (!one || !other || one === other) return one ?? other;
  if (AbortSignal.any) return AbortSignal.any([one, other]);
  const control = new AbortController();
  for (const signal of [one, other]) {
    const abort = () => control.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true, signal: control.signal });
  }
  return control.signal;
}

/** The abort behind a cancelled call, in the words that agents and orchestrators look for. */
export function abortOf(error: unknown): unknown {
  if (!(error instanceof SparklerError) || error.reason !== "CALL_CANCELLED") return undefined;
  const { cause } = error;
  if (cause instanceof Error && (cause.name === "AbortError" || cause.name === "TimeoutError")) return cause;
  return new DOMException("The execution was aborted", "AbortError");
}

interface Span {
  spanContext?(): { traceId: string; spanId: string; traceFlags: number };
}

interface OpenTelemetry {
  context?: { active?(): { getValue?(key: symbol): Span | undefined } };
}

/**
 * OpenTelemetry's active span, where the process has its API. None is made up: a
 * sampled trace of ours would overrule the worker's own sampling.
 */
export function traceparent(): string | undefined {
  const api = (globalThis as Record<symbol, unknown>)[Symbol.for("opentelemetry.js.api.1")] as OpenTelemetry | undefined;
  const span = api?.context?.active?.()?.getValue?.(Symbol.for("OpenTelemetry Context Key SPAN"))?.spanContext?.();
  if (!span || !/[1-9a-f]/.test(span.traceId)) return undefined;
  return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`;
}
