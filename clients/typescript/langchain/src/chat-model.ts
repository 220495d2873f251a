import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from "@langchain/core/language_models/chat_models";
import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages";
import type { ChatGenerationChunk, ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { BaseTracer } from "@langchain/core/tracers/base";
import type { Context, ExecuteRequest, JsonSchema, Sparkler } from "sparkler-client";
import { chunkOf, generationsOf, tokenUsageOf, usageOf } from "./chunks.js";
import { messageOf } from "./messages.js";
import { type AnySchema, toolChoiceOf, toolOf } from "./schema.js";
import { callOf, configOf, credentialOf, type ModelInput, shared } from "./settings.js";
import { abortOf } from "./signals.js";
import { structured } from "./structured.js";

export interface ChatSparklerInput extends BaseChatModelParams, ModelInput {}

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
export class ChatSparkler extends BaseChatModel<ChatSparklerCallOptions, AIMessageChunk> {
  static override lc_name() {
    return "ChatSparkler";
  }

  /** A model holds a credential and a connection, neither of which belongs into a text. */
  override lc_serializable = false;
  model: string;
  streaming: boolean;
  streamUsage: boolean;

  // Orchestrators copy models with lodash's cloneDeep: #private members would be
  // left behind, and a copied client is dead. Functions are kept as they are,
  // and show no secret where a model is printed.
  private readonly given: () => Readonly<ChatSparklerInput>;
  private readonly sparkler: () => Sparkler;

  constructor(fields: ChatSparklerInput) {
    // LangChain keeps what it is given here, for texts and for copies.
    const { sparkler = shared, apiKey: _, ...plain } = fields;
    super(plain);
    this.given = () => fields;
    this.sparkler = typeof sparkler === "function" ? sparkler : () => sparkler;
    this.model = fields.model;
    this.streaming = fields.streaming ?? false;
    this.streamUsage = fields.streamUsage ?? true;
  }

  override _llmType() {
    return "sparkler";
  }

  override get callKeys() {
    return [...super.callKeys, "tools", "tool_choice", "strict", "json", "idempotencyKey", "context", "streamUsage"];
  }

  /** LangChain's cache key, and what traces show. */
  override _identifyingParams() {
    return { model: this.model, ...configOf(this.given()) };
  }

  override invocationParams(options?: this["ParsedCallOptions"]) {
    const { tools, tool_choice, stop, json } = options ?? ({} as this["ParsedCallOptions"]);
    return { ...this._identifyingParams(), stop: stop ?? this.given().stop, tools, tool_choice, json };
  }

  override getLsParams(options: this["ParsedCallOptions"]): LangSmithParams {
    const { temperature, maxTokens } = configOf(this.given());
    return {
      ls_provider: "fireworks",
      ls_model_name: this.model,
      ls_model_type: "chat",
      ls_temperature: temperature as number | undefined,
      ls_max_tokens: maxTokens as number | undefined,
      ls_stop: options.stop ?? this.given().stop,
    };
  }

  /** An estimate: LangChain's own fetches a tokenizer, which without a network takes minutes to fail. */
  override async getNumTokens(content: unknown): Promise<number> {
    return Math.ceil((typeof content === "string" ? content : JSON.stringify(content)).length / 4);
  }

  override bindTools(tools: BindToolsInput[], kwargs?: Partial<ChatSparklerCallOptions>) {
    return this.with({ tools, ...kwargs });
  }

  override withStructuredOutput<Out extends Record<string, unknown>>(
    schema: AnySchema,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, Out>;
  override withStructuredOutput<Out extends Record<string, unknown>>(
    schema: AnySchema,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Out }>;
  override withStructuredOutput(schema: AnySchema, config: StructuredOutputMethodOptions<boolean> = {}): AnySchema {
    return structured((kwargs) => this.with(kwargs), schema, config);
  }

  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    // Where nobody listens nothing is shown, and the worker can retry until the last moment.
    if (this.streaming && listens(runManager)) return this.collected(messages, options, runManager);
    const request = this.request(messages, options, runManager);
    const run = this.sparkler().execute(request, callOf(this.given(), options));
    try {
      const answer = await run.answer();
      return { generations: generationsOf(answer), llmOutput: tokenUsageOf(usageOf(answer.usage)) };
    } catch (error) {
      throw abortOf(error) ?? error;
    }
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const request = { ...this.request(messages, options, runManager), output: { json: options.json, deltas: true } };
    const run = this.sparkler().execute(request, callOf(this.given(), options));
    const withUsage = options.streamUsage ?? this.streamUsage;
    try {
      for await (const event of run) {
        const chunk = chunkOf(event, withUsage);
        if (!chunk) continue;
        // Some callback handlers expect the token before the chunk is yielded.
        await runManager?.handleLLMNewToken(chunk.text, { prompt: 0, completion: 0 }, undefined, undefined, undefined, { chunk });
        yield chunk;
      }
    } catch (error) {
      throw abortOf(error) ?? error;
    }
  }

  private async collected(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let whole: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, runManager)) {
      whole = whole ? whole.concat(chunk) : chunk;
    }
    if (!whole) throw new Error("the run ended without an answer");
    return { generations: [whole], llmOutput: tokenUsageOf((whole.message as AIMessageChunk).usage_metadata) };
  }

  /** Release 1 has `withConfig` for this, older ones `bind`. */
  private with(kwargs: Partial<ChatSparklerCallOptions>): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatSparklerCallOptions> {
    const older = this as unknown as { bind?(kwargs: Partial<ChatSparklerCallOptions>): unknown };
    return (older.bind?.(kwargs) ?? this.withConfig(kwargs)) as never;
  }

  private request(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): ExecuteRequest {
    const given = this.given();
    const stop = options.stop ?? given.stop;
    return {
      model: this.model,
      config: { ...configOf(this.given()), ...(stop?.length ? { stop } : {}) },
      messages: messages.map(messageOf),
      tools: options.tools?.map((tool) => toolOf(tool, options.strict)),
      toolChoice: options.tools?.length ? toolChoiceOf(options.tool_choice) : undefined,
      credential: credentialOf(given),
      cache: given.answerCache,
      limits: { ...given.limits, allowRestart: false },
      context: { runId: runManager?.runId, ...given.context, ...options.context },
      output: { json: options.json, deltas: false },
      // LangChain's id of this very call. The flow's run and node would come again in a loop.
      idempotencyKey: options.idempotencyKey ?? runManager?.runId,
    };
  }

}

/** Tracers listen to all; they read the whole answer as well. */
function listens(runManager?: CallbackManagerForLLMRun): boolean {
  return runManager?.handlers.some((handler) => "handleLLMNewToken" in handler && !(handler instanceof BaseTracer)) ?? false;
}
