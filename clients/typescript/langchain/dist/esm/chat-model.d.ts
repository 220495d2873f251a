import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import { BaseChatModel, type BaseChatModelCallOptions, type BaseChatModelParams, type BindToolsInput, type LangSmithParams } from "@langchain/core/language_models/chat_models";
import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages";
import type { ChatGenerationChunk, ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import type { Context, JsonSchema } from "sparkler-client";
import { type AnySchema } from "./schema.js";
import { type ModelInput } from "./settings.js";
export interface ChatSparklerInput extends BaseChatModelParams, ModelInput {
}
export interface ChatSparklerCallOptions extends BaseChatModelCallOptions {
    tools?: BindToolsInput[];
    /** Asks the provider to keep to the tools' schemas. */
    strict?: boolean;
    /** Asks for JSON: any, or what meets this schema. The worker checks it. */
    json?: true | JsonSchema;
    idempotencyKey?: string;
    context?: Context;
    streamUsage?: boolean;
}
/** A chat model of Fireworks whose calls a Sparkler worker executes. */
export declare class ChatSparkler extends BaseChatModel<ChatSparklerCallOptions, AIMessageChunk> {
    static lc_name(): string;
    /** A model holds a credential and a connection, neither of which belongs into a text. */
    lc_serializable: boolean;
    model: string;
    streaming: boolean;
    streamUsage: boolean;
    private readonly given;
    private readonly sparkler;
    constructor(fields: ChatSparklerInput);
    _llmType(): string;
    get callKeys(): string[];
    /** LangChain's cache key, and what traces show. */
    _identifyingParams(): {
        model: string;
    };
    invocationParams(options?: this["ParsedCallOptions"]): {
        model: string;
        stop: string[] | undefined;
        tools: BindToolsInput[] | undefined;
        tool_choice: import("@langchain/core/language_models/chat_models").ToolChoice | undefined;
        json: true | JsonSchema | undefined;
    };
    getLsParams(options: this["ParsedCallOptions"]): LangSmithParams;
    /** An estimate: LangChain's own fetches a tokenizer, which without a network takes minutes to fail. */
    getNumTokens(content: unknown): Promise<number>;
    bindTools(tools: BindToolsInput[], kwargs?: Partial<ChatSparklerCallOptions>): Runnable<BaseLanguageModelInput, AIMessageChunk<import("@langchain/core/messages").MessageStructure<import("@langchain/core/messages").MessageToolSet>>, ChatSparklerCallOptions>;
    withStructuredOutput<Out extends Record<string, unknown>>(schema: AnySchema, config?: StructuredOutputMethodOptions<false>): Runnable<BaseLanguageModelInput, Out>;
    withStructuredOutput<Out extends Record<string, unknown>>(schema: AnySchema, config?: StructuredOutputMethodOptions<true>): Runnable<BaseLanguageModelInput, {
        raw: BaseMessage;
        parsed: Out;
    }>;
    _generate(messages: BaseMessage[], options: this["ParsedCallOptions"], runManager?: CallbackManagerForLLMRun): Promise<ChatResult>;
    _streamResponseChunks(messages: BaseMessage[], options: this["ParsedCallOptions"], runManager?: CallbackManagerForLLMRun): AsyncGenerator<ChatGenerationChunk>;
    private collected;
    /** Release 1 has `withConfig` for this, older ones `bind`. */
    private with;
    private request;
}
