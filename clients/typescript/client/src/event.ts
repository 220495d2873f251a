import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";

export type CacheStatus =
  | "disabled"
  | "bypassed"
  | "hit"
  | "miss"
  | "joined"
  | "stale"
  | "lookupFailed";

export type Phase = "queued" | "connecting" | "waiting" | "streaming" | "retrying";

/** A piece of a tool call; pieces with the same `index` make one call. */
export interface ToolCallFragment {
  index: number;
  /** On the first fragment of a call. */
  id?: string;
  /** On the first fragment of a call. */
  name?: string;
  /** More of the arguments' JSON text. */
  arguments: string;
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON text, as the model wrote it. */
  arguments: string;
}

/** One event of a run; `sequence` is its position, for `attach`. */
export type RunEvent = { sequence: bigint } & (
  | Started
  | Delta
  | { type: "restarted"; attempt: number; reason: string }
  | { type: "progress"; phase?: Phase; elapsedMs?: number }
  | { type: "completed"; answer: Answer }
);

/** The run has begun, or goes on after a lost connection. */
export interface Started {
  type: "started";
  /** Names the execution to `attach`; a secret between this caller and the worker. */
  token: string;
  workerId: string;
  workerVersion: string;
  model: string;
  cache?: CacheStatus;
}

/** A piece of output. */
export interface Delta {
  type: "delta";
  choice: number;
  text: string;
  reasoning: string;
  /** At most one for each index. */
  toolCalls: ToolCallFragment[];
  /** The provider's `logprobs` object, as JSON text, when asked for. */
  logprobs?: string;
}

/** What the provider did not count is absent, never 0. */
export interface Usage {
  promptTokens?: number;
  completionTokens?: number;
  totalTokens?: number;
  /** Of the prompt, read from the provider's own prompt cache. */
  cachedTokens?: number;
  /** Of the answer, reasoning. */
  reasoningTokens?: number;
  /** The share of the prompt that was read from the provider's own prompt cache, 0 to 1. */
  cachedShare?: number;
}

/** US dollars. */
export interface Cost {
  /** Spent by this run: 0 for a hit or a joined run. */
  spentUsd: number;
  originalUsd: number;
  savedUsd: number;
  priceDate: string;
  /** The service tier whose rate the cost is by. */
  tier: string;
  /** True where the price table has no rate for the tier: the cost is by the standard rate. */
  tierUnpriced: boolean;
}

export interface Timing {
  queueMs?: number;
  cacheMs?: number;
  connectMs?: number;
  firstTokenMs?: number;
  totalMs?: number;
}

export interface CacheOutcome {
  status?: CacheStatus;
  stored: boolean;
  notStoredReason?: string;
  keyFingerprint?: string;
  ageMs?: number;
  /** The flight that produced the answer. */
  source?: string;
}

export interface Choice {
  index: number;
  text: string;
  reasoning: string;
  /** With `output.json`: the JSON text, verbatim and checked by the worker. */
  jsonText?: string;
  toolCalls: ToolCall[];
  finishReason: string;
  logprobs?: string;
  /** True where `jsonText` was taken out of a fenced block; `text` still has the block. */
  jsonWasFenced: boolean;
  /** True where `jsonText` was not checked against its schema, which would have taken too long. */
  jsonUnchecked: boolean;
}

/** The vectors of texts, in their order, and where they came from. */
export interface Embeddings {
  dimensions: number;
  /** Views of one buffer. */
  vectors: Float32Array[];
  /** Texts found in the cache. */
  cached: number;
  /** Texts that another run was requesting. */
  joined: number;
  /** Texts that this run requested, and paid for. */
  executed: number;
  /** Texts equal to an earlier one. */
  repeated: number;
  /** True where `usage` has a text's estimated share of a request's tokens. */
  tokensEstimated: boolean;
}

/** A prompt beside the last one of the same session, node and model. */
export interface PromptPrefix {
  /** Messages of the last prompt. */
  previousMessages: number;
  /** The first message, from 0, that differs; absent where one prompt begins with the other. */
  firstChangedMessage?: number;
  toolsChanged: boolean;
}

/** What a run came to; the first choice's fields are repeated at the top. */
export interface Answer extends Omit<Choice, "index"> {
  /** `jsonText`, parsed; large numbers are rounded as JavaScript does. */
  json?: unknown;
  choices: Choice[];
  /** Where texts were embedded; there is no choice then. */
  embeddings?: Embeddings;
  usage: Usage;
  /** Absent where the model's price is unknown. */
  cost?: Cost;
  timing: Timing;
  /** Calls of the provider, the failed ones included; 0 for a hit. */
  attempts: number;
  cache: CacheOutcome;
  model: string;
  providerRequestId: string;
  /** Where the prompt departs from the session's last one; absent for a first call or a hit. */
  promptPrefix?: PromptPrefix;
  /** The tier that served the request; absent where the provider does not say. */
  serviceTier?: string;
}

/** Absent for an event that only a newer worker knows. */
export function eventOf({ sequence, event }: api.ExecuteNodeResponse): RunEvent | undefined {
  switch (event.case) {
    case "started":
      return { sequence, ...startedOf(event.value) };
    case "delta":
      return { sequence, ...deltaOf(event.value) };
    case "restarted":
      return { sequence, type: "restarted", attempt: event.value.attempt, reason: event.value.reason };
    case "progress":
      return { sequence, type: "progress", ...progressOf(event.value) };
    case "completed":
      return { sequence, type: "completed", answer: answerOf(event.value) };
    default:
      return undefined;
  }
}

const STATUSES: Partial<Record<api.CacheStatus, CacheStatus>> = {
  [api.CacheStatus.DISABLED]: "disabled",
  [api.CacheStatus.BYPASSED]: "bypassed",
  [api.CacheStatus.HIT]: "hit",
  [api.CacheStatus.MISS]: "miss",
  [api.CacheStatus.JOINED]: "joined",
  [api.CacheStatus.STALE]: "stale",
  [api.CacheStatus.LOOKUP_FAILED]: "lookupFailed",
};

const PHASES: Partial<Record<api.Progress_Phase, Phase>> = {
  [api.Progress_Phase.QUEUED]: "queued",
  [api.Progress_Phase.CONNECTING]: "connecting",
  [api.Progress_Phase.WAITING]: "waiting",
  [api.Progress_Phase.STREAMING]: "streaming",
  [api.Progress_Phase.RETRYING]: "retrying",
};

function startedOf(started: api.Started): Started {
  const { executionToken: token, workerId, workerVersion, model, cacheStatus } = started;
  return { type: "started", token, workerId, workerVersion, model, cache: STATUSES[cacheStatus] };
}

function deltaOf({ choice, text, reasoning, toolCalls, logprobs }: api.Delta): Delta {
  const fragments = joined(toolCalls);
  return { type: "delta", choice, text, reasoning, toolCalls: fragments, logprobs: logprobs || undefined };
}

/** A worker may put fragments of one call into one delta, which few readers expect. */
function joined(fragments: api.ToolCallFragment[]): ToolCallFragment[] {
  const calls = new Map<number, ToolCallFragment>();
  for (const { index, id, name, arguments: more } of fragments) {
    const call = calls.get(index) ?? { index, arguments: "" };
    if (id) call.id = id;
    if (name) call.name = name;
    call.arguments += more;
    calls.set(index, call);
  }
  return [...calls.values()];
}

function progressOf({ phase, elapsed }: api.Progress) {
  return { phase: PHASES[phase], elapsedMs: milliseconds(elapsed) };
}

function answerOf(completed: api.Completed): Answer {
  const { attempts, model, providerRequestId } = completed;
  const choices = completed.choices.map(choiceOf);
  const { index, ...first } = choices[0] ?? NO_CHOICE;
  return {
    ...first,
    json: first.jsonText === undefined ? undefined : JSON.parse(first.jsonText),
    choices,
    embeddings: completed.embeddings && embeddingsOf(completed.embeddings),
    usage: usageOf(completed.usage),
    cost: costOf(completed.cost),
    timing: timingOf(completed.timing),
    attempts,
    cache: cacheOf(completed.cache),
    model,
    providerRequestId,
    promptPrefix: completed.promptPrefix && prefixOf(completed.promptPrefix),
    serviceTier: completed.serviceTier || undefined,
  };
}

/** Of an answer that is vectors. */
const NO_CHOICE: Choice = {
  index: 0,
  text: "",
  reasoning: "",
  toolCalls: [],
  finishReason: "",
  jsonWasFenced: false,
  jsonUnchecked: false,
};

function prefixOf({ previousMessages, firstChangedMessage, toolsChanged }: api.PromptPrefix): PromptPrefix {
  return { previousMessages, firstChangedMessage, toolsChanged };
}

function embeddingsOf(embeddings: api.Embeddings): Embeddings {
  const { vectors: packed, dimensions, cached, joined, executed, repeated, tokensEstimated } = embeddings;
  const count = dimensions && packed.byteLength / (4 * dimensions);
  // Read by its declared order of bytes, and copied: what arrives need not be aligned.
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const all = Float32Array.from({ length: count * dimensions }, (_, place) => view.getFloat32(4 * place, true));
  const vectors = Array.from({ length: count }, (_, text) => all.subarray(text * dimensions, (text + 1) * dimensions));
  return { dimensions, vectors, cached, joined, executed, repeated, tokensEstimated };
}

function choiceOf(choice: api.Choice): Choice {
  const { index, text, reasoning, json, finishReason, logprobs, jsonWasFenced, jsonUnchecked } = choice;
  const toolCalls = choice.toolCalls.map(({ id, name, arguments: text }) => ({ id, name, arguments: text }));
  const optional = { jsonText: json || undefined, logprobs: logprobs || undefined };
  return { index, text, reasoning, toolCalls, finishReason, jsonWasFenced, jsonUnchecked, ...optional };
}

function cacheOf(cache?: api.CacheOutcome): CacheOutcome {
  return {
    status: STATUSES[cache?.status ?? 0],
    stored: cache?.store === api.StoreStatus.STORED,
    notStoredReason: cache?.notStoredReason || undefined,
    keyFingerprint: cache?.keyFingerprint || undefined,
    ageMs: milliseconds(cache?.age),
    source: cache?.sourceExecution || undefined,
  };
}

export function usageOf(usage?: api.Usage): Usage {
  const count = (tokens?: bigint) => (tokens === undefined ? undefined : Number(tokens));
  return {
    promptTokens: count(usage?.promptTokens),
    completionTokens: count(usage?.completionTokens),
    totalTokens: count(usage?.totalTokens),
    cachedTokens: count(usage?.cachedTokens),
    reasoningTokens: count(usage?.reasoningTokens),
    cachedShare: usage?.cachedShare,
  };
}

export function costOf(cost?: api.Cost): Cost | undefined {
  const dollars = (nanodollars: bigint) => Number(nanodollars) / 1e9;
  return cost && {
    spentUsd: dollars(cost.spentNanodollars),
    originalUsd: dollars(cost.originalNanodollars),
    savedUsd: dollars(cost.savedNanodollars),
    priceDate: cost.priceDate,
    tier: cost.tier,
    tierUnpriced: cost.tierUnpriced,
  };
}

export function timingOf(timing?: api.Timing): Timing {
  return {
    queueMs: milliseconds(timing?.queue),
    cacheMs: milliseconds(timing?.cache),
    connectMs: milliseconds(timing?.connect),
    firstTokenMs: milliseconds(timing?.firstToken),
    totalMs: milliseconds(timing?.total),
  };
}

function milliseconds(duration?: Duration): number | undefined {
  return duration && durationMs(duration);
}
