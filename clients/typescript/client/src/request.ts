import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ToolCall } from "./event.js";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";

export type JsonSchema = Record<string, unknown>;

/** A function that the model may call, in OpenAI's shape. */
export interface Tool {
  type: "function";
  function: { name: string; description?: string; parameters?: JsonSchema; strict?: boolean };
}

export type ToolChoice = "auto" | "none" | "required" | { type: "function"; function: { name: string } };

export type ContentPart =
  | { type: "text"; text: string }
  /** `https://…` or `data:image/png;base64,…`; the provider fetches it, not the worker. */
  | { type: "image"; url: string; detail?: "auto" | "low" | "high" };

export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content?: string | ContentPart[];
  /** Assistant messages only. */
  toolCalls?: ToolCall[];
  /** Tool messages only. */
  toolCallId?: string;
  /** Assistant messages only. */
  reasoning?: string;
}

/** A key that goes with the call, or the name of one that the worker holds. */
export type Credential = { apiKey: string } | { secretName: string };

/** The flow, run and node that an execution belongs to; reaches logs and spans only. */
export interface Context {
  flowId?: string;
  runId?: string;
  nodeId?: string;
  sessionId?: string;
  tenant?: string;
  /** The orchestrator's attempt, from 1. */
  attempt?: number;
  labels?: Record<string, string>;
}

export type CacheMode = "off" | "readWrite" | "readOnly" | "refresh" | "onlyIfCached";

export interface CachePolicy {
  mode?: CacheMode;
  scope?: "credential" | "tenant" | "shared";
  ttlMs?: number;
  salt?: string;
}

export interface Output {
  /** True asks for JSON, a schema for JSON that meets it; the worker checks it. */
  json?: boolean | JsonSchema;
  /** False leaves out deltas, and lets the worker retry until the last moment. */
  deltas?: boolean;
}

export interface Limits {
  connectMs?: number;
  firstTokenMs?: number;
  idleMs?: number;
  totalMs?: number;
  maxAttempts?: number;
  /** With "drain" the execution survives its caller, and a run its connection. */
  onCancel?: "abort" | "drain";
  /** Allows a `restarted` event, which voids the deltas before it. */
  allowRestart?: boolean;
}

/** Values for every call of a client; a call's own take precedence, field by field. */
export interface Defaults {
  /** `chatFireworks` where nothing is given. */
  node?: string;
  model?: string;
  credential?: Credential;
  cache?: CacheMode | CachePolicy;
  limits?: Limits;
  context?: Context;
}

/** A node and its fields. */
export interface NodeRequest extends Defaults {
  /** The node's fields as flows store them, such as `{ temperature: 0.2 }`. */
  config?: Record<string, unknown>;
  tools?: Tool[];
  toolChoice?: ToolChoice;
}

export type ExecuteRequest = NodeRequest & {
  output?: Output;
  /**
   * The same key and request joins or replays an execution, and is never paid
   * twice. Random where absent; give one where the orchestrator itself may
   * ask again, after a crash.
   */
  idempotencyKey?: string;
} & (
  | { prompt: string; messages?: undefined; texts?: undefined }
  | { messages: Message[]; prompt?: undefined; texts?: undefined }
  /** Texts to embed; the node is `fireworksEmbeddings`. */
  | { texts: string[]; prompt?: undefined; messages?: undefined }
);

export interface AttachRequest {
  token: string;
  /** The last event that was seen; everything is replayed where absent. */
  after?: bigint;
  /** As it was for the execution. */
  context?: Context;
  deltas?: boolean;
  limits?: Limits;
}

const MODES = {
  off: api.CachePolicy_Mode.OFF,
  readWrite: api.CachePolicy_Mode.READ_WRITE,
  readOnly: api.CachePolicy_Mode.READ_ONLY,
  refresh: api.CachePolicy_Mode.REFRESH,
  onlyIfCached: api.CachePolicy_Mode.ONLY_IF_CACHED,
};

const SCOPES = {
  credential: api.CachePolicy_Scope.CREDENTIAL,
  tenant: api.CachePolicy_Scope.TENANT,
  shared: api.CachePolicy_Scope.SHARED,
};

const ON_CANCEL = {
  abort: api.ExecutionLimits_OnCancel.ABORT,
  drain: api.ExecutionLimits_OnCancel.DRAIN,
};

/** The request with what it leaves to the client's defaults. */
export function withDefaults<R extends Defaults>(request: R, defaults: Defaults): R {
  return {
    ...defaults,
    ...defined(request),
    cache: { ...policyOf(defaults.cache), ...policyOf(request.cache) },
    limits: { ...defaults.limits, ...defined(request.limits ?? {}) },
    context: { ...defaults.context, ...defined(request.context ?? {}) },
  };
}

export function executeMessage(request: ExecuteRequest, idempotencyKey: string) {
  const node = request.texts ? "fireworksEmbeddings" : undefined;
  return create(api.ExecuteNodeRequestSchema, {
    ...nodeOf({ ...request, node: node ?? request.node }),
    input: inputOf(request),
    cache: cacheOf(policyOf(request.cache)),
    output: outputOf(request.output),
    limits: limitsOf(request.limits),
    idempotencyKey,
  });
}

export function attachMessage({ token, after, context, deltas, limits }: AttachRequest) {
  return create(api.AttachExecutionRequestSchema, {
    executionToken: token,
    afterSequence: after ?? 0n,
    context: contextOf(context),
    deltas,
    limits: limitsOf(limits),
  });
}

export function checkMessage(request: NodeRequest) {
  return create(api.CheckNodeRequestSchema, nodeOf(request));
}

function nodeOf({ node = "chatFireworks", credential, context, ...fields }: NodeRequest) {
  const config = configOf(fields);
  return { nodeType: node, config, credential: credentialOf(credential), context: contextOf(context) };
}

function configOf({ model, config, tools, toolChoice }: NodeRequest): JsonObject {
  return defined({
    ...config,
    ...(model === undefined ? {} : { modelName: model }),
    // As text: a Struct has no order of keys, while a model reads a schema in order.
    ...(tools?.length ? { tools: JSON.stringify(tools) } : {}),
    ...(toolChoice === undefined ? {} : { toolChoice }),
  }) as JsonObject;
}

type Input = MessageInitShape<typeof api.ExecuteNodeRequestSchema>["input"];

function inputOf({ prompt, messages, texts }: ExecuteRequest): Input {
  if (prompt !== undefined) return { case: "prompt", value: prompt };
  if (texts !== undefined) return { case: "texts", value: { texts } };
  return { case: "chat", value: { messages: (messages ?? []).map(messageOf) } };
}

function messageOf({ role, content = "", toolCalls = [], toolCallId = "", reasoning = "" }: Message) {
  const [text, parts] = typeof content === "string" ? [content, []] : ["", content];
  const rest = { toolCalls, toolCallId, reasoningContent: reasoning };
  return { role, content: text, parts: parts.map((part) => ({ part: partOf(part) })), ...rest };
}

function partOf(part: ContentPart) {
  if (part.type === "text") return { case: "text" as const, value: part.text };
  return { case: "imageUrl" as const, value: { url: part.url, detail: part.detail ?? "" } };
}

export function credentialOf(credential?: Credential) {
  if (!credential) return undefined;
  const source =
    "apiKey" in credential
      ? { case: "apiKey" as const, value: credential.apiKey }
      : { case: "secretName" as const, value: credential.secretName };
  return { source };
}

export function contextOf(context: Context = {}) {
  return defined(context);
}

function policyOf(cache: CacheMode | CachePolicy = {}): CachePolicy {
  return typeof cache === "string" ? { mode: cache } : defined(cache);
}

function cacheOf({ mode, scope, ttlMs, salt = "" }: CachePolicy) {
  return {
    mode: mode && named("cache mode", MODES, mode),
    scope: scope && named("cache scope", SCOPES, scope),
    ttl: duration(ttlMs),
    salt,
  };
}

function outputOf({ json, deltas }: Output = {}) {
  if (!json) return { deltas };
  const jsonSchema = json === true ? "" : JSON.stringify(json);
  return { deltas, format: api.OutputOptions_Format.JSON, jsonSchema };
}

function limitsOf(limits: Limits = {}) {
  const { onCancel } = limits;
  return {
    connect: duration(limits.connectMs),
    firstToken: duration(limits.firstTokenMs),
    idle: duration(limits.idleMs),
    total: duration(limits.totalMs),
    maxAttempts: limits.maxAttempts,
    onCancel: onCancel && named("limits.onCancel", ON_CANCEL, onCancel),
    allowRestart: limits.allowRestart,
  };
}

/** Flows are not typed: a word that is not known must not pass as the default. */
function named<T>(what: string, names: Record<string, T>, name: string): T {
  const value = Object.hasOwn(names, name) ? names[name] : undefined;
  if (value !== undefined) return value;
  throw new TypeError(`${what} is ${JSON.stringify(name)}; it can be ${Object.keys(names).join(", ")}`);
}

function duration(ms?: number) {
  return ms === undefined ? undefined : durationFromMs(ms);
}

/** The fields that have a value. */
function defined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
