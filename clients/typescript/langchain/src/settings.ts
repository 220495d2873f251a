// What both models are made with, and what it means for a call.
import { type AsyncScope, type CacheMode, type CachePolicy, type CallOptions, type Context, type Credential, type Limits, Sparkler } from "sparkler-client";
import { either, traceparent } from "./signals.js";

export interface ModelInput {
  /** The worker; by default the one that SPARKLER_WORKER names. */
  sparkler?: Sparkler | (() => Sparkler);
  model: string;
  /** Who pays: a key, or the name of a credential that the worker holds. */
  apiKey?: string;
  secretName?: string;
  temperature?: number;
  maxTokens?: number;
  topP?: number;
  stop?: string[];
  /** Any other field of the worker's node, as `nodeTypes()` has them. */
  config?: Record<string, unknown>;
  /** Streams also where the caller uses `invoke`, as far as anybody listens. */
  streaming?: boolean;
  /** Tokens on the last chunk of a stream; true by default. */
  streamUsage?: boolean;
  /** The worker's cache of answers; LangChain's own is `cache`. */
  answerCache?: CacheMode | CachePolicy;
  context?: Context;
  limits?: Omit<Limits, "allowRestart">;
  /** The W3C trace of a call; by default OpenTelemetry's active span. */
  traceparent?: () => string | undefined;
  /** Where a call begins, for orchestrators that lose a trace; by default where it is made. */
  asyncScope?: AsyncScope;
  /** A signal for every call, beside each call's own. */
  signal?: () => AbortSignal | undefined;
}

/** The node's fields that were given. */
export function configOf({ temperature, maxTokens, topP, config }: ModelInput): Record<string, unknown> {
  const fields = { temperature, maxTokens, topP, ...config };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

export function callOf(given: ModelInput, options: { signal?: AbortSignal; timeout?: number }): CallOptions {
  const { asyncScope } = given;
  const signal = either(options.signal, given.signal?.());
  const trace = given.traceparent?.() ?? (asyncScope ? asyncScope(traceparent) : traceparent());
  return { signal, timeoutMs: options.timeout, traceparent: trace, asyncScope };
}

export function credentialOf({ apiKey, secretName }: ModelInput): Credential | undefined {
  if (secretName) return { secretName };
  return apiKey ? { apiKey } : undefined;
}

let fromEnv: Sparkler | undefined;

/** One connection for all models of this process that name none. */
export function shared(): Sparkler {
  return (fromEnv ??= Sparkler.fromEnv());
}
