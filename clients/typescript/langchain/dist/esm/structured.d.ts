import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import type { AIMessageChunk } from "@langchain/core/messages";
import { type Runnable } from "@langchain/core/runnables";
import type { ChatSparklerCallOptions } from "./chat-model.js";
import { type AnySchema } from "./schema.js";
type Model = Runnable<BaseLanguageModelInput, AIMessageChunk>;
type Bind = (kwargs: Partial<ChatSparklerCallOptions>) => Model;
/**
 * By default JSON that the worker itself checks against the schema; as a tool
 * call or as any JSON where the caller says so.
 */
export declare function structured(bind: Bind, given: AnySchema, config: StructuredOutputMethodOptions<boolean>): Runnable;
export {};
