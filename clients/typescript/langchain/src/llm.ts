import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import { type BaseLLMParams, LLM } from "@langchain/core/language_models/llms";
import { GenerationChunk } from "@langchain/core/outputs";
import type { Run, Sparkler } from "sparkler-client";
import { callOf, configOf, credentialOf, type ModelInput, shared } from "./settings.js";
import { abortOf } from "./signals.js";

export interface SparklerLLMInput extends BaseLLMParams, ModelInput {}

/** A text model of Fireworks whose calls a Sparkler worker executes. */
export class SparklerLLM extends LLM {
  static override lc_name() {
    return "SparklerLLM";
  }

  override lc_serializable = false;
  model: string;

  // Functions, as in ChatSparkler: they survive a deep copy and show no secret.
  private readonly given: () => Readonly<SparklerLLMInput>;
  private readonly sparkler: () => Sparkler;

  constructor(fields: SparklerLLMInput) {
    const { sparkler = shared, apiKey: _, ...plain } = fields;
    super(plain);
    this.given = () => fields;
    this.sparkler = typeof sparkler === "function" ? sparkler : () => sparkler;
    this.model = fields.model;
  }

  override _llmType() {
    return "sparkler";
  }

  override _identifyingParams() {
    return { model: this.model, ...configOf(this.given()) };
  }

  /** An estimate, without LangChain's download of a tokenizer. */
  override async getNumTokens(content: unknown): Promise<number> {
    return Math.ceil((typeof content === "string" ? content : JSON.stringify(content)).length / 4);
  }

  override async _call(prompt: string, options: this["ParsedCallOptions"], runManager?: CallbackManagerForLLMRun): Promise<string> {
    try {
      const { text } = await this.run(prompt, options, runManager).answer();
      return text;
    } catch (error) {
      throw abortOf(error) ?? error;
    }
  }

  override async *_streamResponseChunks(
    prompt: string,
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<GenerationChunk> {
    try {
      for await (const text of this.run(prompt, options, runManager).text()) {
        await runManager?.handleLLMNewToken(text);
        yield new GenerationChunk({ text });
      }
    } catch (error) {
      throw abortOf(error) ?? error;
    }
  }

  private run(prompt: string, options: this["ParsedCallOptions"], runManager?: CallbackManagerForLLMRun): Run {
    const given = this.given();
    const stop = options.stop ?? given.stop;
    const request = {
      node: "fireworks",
      model: this.model,
      config: { ...configOf(given), ...(stop?.length ? { stop } : {}) },
      prompt,
      credential: credentialOf(given),
      cache: given.answerCache,
      limits: given.limits,
      context: { runId: runManager?.runId, ...given.context },
      idempotencyKey: runManager?.runId,
    };
    return this.sparkler().execute(request, callOf(given, options));
  }
}
