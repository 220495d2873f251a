import { create } from "@bufbuild/protobuf";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";
import { contextOf, type Context, type Credential, credentialOf } from "./request.js";

/** Whose models to list; what is absent comes from the client's defaults. */
export interface ModelsRequest {
  credential?: Credential;
  context?: Context;
  /** The most models of one call; the list has those of all calls. The worker's maximum where absent. */
  pageSize?: number;
}

/** A model that a credential can use. What the provider does not state is absent: unknown, not false. */
export interface Model {
  /** As a request's `model`. */
  name: string;
  /** The most tokens of prompt and answer together. */
  contextLength?: number;
  /** Takes part in a conversation. */
  chat?: boolean;
  /** Continues a text. */
  completion?: boolean;
  /** Returns vectors. */
  embeddings?: boolean;
  /** Can call tools. */
  tools?: boolean;
  /** Reads images. */
  images?: boolean;
  /** Reasons before it answers. */
  reasoning?: boolean;
  /** Is served without a deployment of one's own. */
  serverless?: boolean;
  /** The first day on which it is no longer served, `YYYY-MM-DD`. */
  endOfLife?: string;
  /** The model that the provider names as its successor. */
  successor?: string;
  /** By tier; empty where they are unknown. */
  prices: ModelPrice[];
}

/** US dollars per million tokens. */
export interface ModelPrice {
  /** `default`, `priority` or another word of the provider. */
  tier: string;
  inputUsd: number;
  /** Of the prompt, read from the provider's own prompt cache. */
  cachedInputUsd: number;
  outputUsd: number;
  /** The date of the price table, `YYYY-MM-DD`. */
  priceDate: string;
}

export function modelsMessage({ credential, context, pageSize }: ModelsRequest, pageToken: string) {
  return create(api.ListModelsRequestSchema, {
    credential: credentialOf(credential),
    context: contextOf(context),
    pageSize,
    pageToken,
  });
}

export function modelOf(model: api.Model): Model {
  const { name, chat, completion, embeddings, tools, images, reasoning, serverless } = model;
  return {
    name,
    contextLength: model.contextLength === undefined ? undefined : Number(model.contextLength),
    chat,
    completion,
    embeddings,
    tools,
    images,
    reasoning,
    serverless,
    endOfLife: model.endOfLife || undefined,
    successor: model.successor || undefined,
    prices: model.prices.map(priceOf),
  };
}

function priceOf(price: api.ModelPrice): ModelPrice {
  const dollars = (nanodollars: bigint) => Number(nanodollars) / 1e9;
  return {
    tier: price.tier,
    inputUsd: dollars(price.inputNanodollars),
    cachedInputUsd: dollars(price.cachedInputNanodollars),
    outputUsd: dollars(price.outputNanodollars),
    priceDate: price.priceDate,
  };
}
