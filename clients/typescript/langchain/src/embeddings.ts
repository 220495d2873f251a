import { Embeddings, type EmbeddingsParams } from "@langchain/core/embeddings";
import type { Sparkler } from "sparkler-client";
import { callOf, credentialOf, type ModelInput, shared } from "./settings.js";
import { abortOf } from "./signals.js";

/** Texts of one execution: the vectors of a large model then take some 16 MB. */
const CHUNK = 1000;

type Shared = Pick<ModelInput, "sparkler" | "model" | "apiKey" | "secretName" | "answerCache" | "context" | "limits" | "traceparent" | "signal">;

export interface SparklerEmbeddingsInput extends EmbeddingsParams, Shared {
  /** The length of a vector, for models that can shorten theirs. */
  dimensions?: number;
  /** Scales every vector to length 1. */
  normalize?: boolean;
  /** A template that the provider puts each text into. */
  promptTemplate?: string;
  /** The same for queries, where it is another. */
  queryTemplate?: string;
  /** Texts of one request to the provider. */
  batchSize?: number;
}

/**
 * An embedding model of Fireworks whose calls a Sparkler worker executes. The worker
 * caches each text by itself, unless `answerCache` says otherwise.
 */
export class SparklerEmbeddings extends Embeddings {
  model: string;

  // Functions, as in ChatSparkler: they survive a deep copy and show no secret.
  private readonly given: () => Readonly<SparklerEmbeddingsInput>;
  private readonly sparkler: () => Sparkler;

  constructor(fields: SparklerEmbeddingsInput) {
    const { sparkler = shared } = fields;
    super({ maxConcurrency: fields.maxConcurrency, maxRetries: fields.maxRetries });
    this.given = () => fields;
    this.sparkler = typeof sparkler === "function" ? sparkler : () => sparkler;
    this.model = fields.model;
  }

  override async embedDocuments(texts: string[]): Promise<number[][]> {
    const vectors: number[][] = [];
    for (let start = 0; start < texts.length; start += CHUNK) {
      vectors.push(...(await this.embed(texts.slice(start, start + CHUNK), this.given().promptTemplate)));
    }
    return vectors;
  }

  override async embedQuery(text: string): Promise<number[]> {
    const { promptTemplate, queryTemplate = promptTemplate } = this.given();
    const [vector = []] = await this.embed([text], queryTemplate);
    return vector;
  }

  private async embed(texts: string[], promptTemplate?: string): Promise<number[][]> {
    const given = this.given();
    const { dimensions, normalize, batchSize } = given;
    const request = {
      model: this.model,
      config: { dimensions, normalize, promptTemplate, batchSize },
      texts,
      credential: credentialOf(given),
      cache: given.answerCache ?? ("readWrite" as const),
      limits: given.limits,
      context: given.context,
    };
    try {
      const { embeddings } = await this.sparkler().execute(request, callOf(given, {})).answer();
      return embeddings?.vectors.map((vector) => Array.from(vector)) ?? [];
    } catch (error) {
      throw abortOf(error) ?? error;
    }
  }
}
