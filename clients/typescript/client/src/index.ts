export type { AsyncScope, CallOptions, ConnectionOptions } from "./channel.js";
export { SparklerError, type Spent, type Violation } from "./error.js";
export type {
  Answer,
  CacheOutcome,
  CacheStatus,
  Choice,
  Cost,
  Delta,
  Embeddings,
  Phase,
  PromptPrefix,
  RunEvent,
  Started,
  Timing,
  ToolCall,
  ToolCallFragment,
  Usage,
} from "./event.js";
export type { Model, ModelPrice, ModelsRequest } from "./model.js";
export { VERSION } from "./gen/package.js";
export type { FieldGroup, NodeField, NodeType, Text } from "./node-type.js";
export { type ClientReason, type Reason, WORKER_REASONS, type WorkerReason } from "./reason.js";
export type {
  AttachRequest,
  CacheMode,
  CachePolicy,
  ContentPart,
  Context,
  Credential,
  Defaults,
  ExecuteRequest,
  JsonSchema,
  Limits,
  Message,
  NodeRequest,
  Output,
  Tool,
  ToolChoice,
} from "./request.js";
export type { Run } from "./run.js";
export { type Finding, Sparkler, type SparklerOptions } from "./sparkler.js";
