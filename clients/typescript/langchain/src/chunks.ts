// A worker's events and answers, as LangChain has them.
import { AIMessage, AIMessageChunk, type UsageMetadata } from "@langchain/core/messages";
import { type ChatGeneration, ChatGenerationChunk } from "@langchain/core/outputs";
import type { Answer, Choice, Delta, RunEvent, ToolCall, Usage } from "sparkler-client";

const PROVIDER = "fireworks";

/** Absent for events that show nothing. */
export function chunkOf(event: RunEvent, withUsage: boolean): ChatGenerationChunk | undefined {
  if (event.type === "delta" && event.choice === 0) return deltaOf(event);
  if (event.type === "completed") return lastOf(event.answer, withUsage);
  return undefined;
}

function deltaOf({ text, reasoning, toolCalls, logprobs }: Delta): ChatGenerationChunk {
  const message = new AIMessageChunk({
    content: text,
    additional_kwargs: reasoning ? { reasoning_content: reasoning } : {},
    // On every chunk: content blocks are made of each by its provider.
    response_metadata: { model_provider: PROVIDER },
    tool_call_chunks: toolCalls.map(({ arguments: args, ...call }) => ({ ...call, args, type: "tool_call_chunk" as const })),
  });
  return new ChatGenerationChunk({ text, message, generationInfo: logprobs ? { logprobs: JSON.parse(logprobs) } : undefined });
}

/** On one chunk only: where chunks are joined, texts are joined and numbers added. */
function lastOf(answer: Answer, withUsage: boolean): ChatGenerationChunk {
  const message = new AIMessageChunk({
    content: "",
    usage_metadata: withUsage ? usageOf(answer.usage) : undefined,
    response_metadata: metadataOf(answer, answer.finishReason),
  });
  return new ChatGenerationChunk({ text: "", message, generationInfo: { finish_reason: answer.finishReason } });
}

export function generationsOf(answer: Answer): ChatGeneration[] {
  return answer.choices.map((choice) => generationOf(choice, answer));
}

function generationOf(choice: Choice, answer: Answer): ChatGeneration {
  const text = choice.jsonText ?? choice.text;
  const message = new AIMessage({
    content: text,
    additional_kwargs: choice.reasoning ? { reasoning_content: choice.reasoning } : {},
    ...parsedCalls(choice.toolCalls),
    // The tokens are those of all choices, and are counted once.
    usage_metadata: choice.index === 0 ? usageOf(answer.usage) : undefined,
    response_metadata: metadataOf(answer, choice.finishReason),
  });
  const logprobs = choice.logprobs ? { logprobs: JSON.parse(choice.logprobs) } : {};
  return { text, message, generationInfo: { finish_reason: choice.finishReason, ...logprobs } };
}

function parsedCalls(calls: ToolCall[]) {
  const tool_calls = [];
  const invalid_tool_calls = [];
  for (const { id, name, arguments: args } of calls) {
    try {
      tool_calls.push({ id, name, args: JSON.parse(args || "{}"), type: "tool_call" as const });
    } catch (problem) {
      invalid_tool_calls.push({ id, name, args, error: String(problem), type: "invalid_tool_call" as const });
    }
  }
  return { tool_calls, invalid_tool_calls };
}

export function usageOf(usage: Usage): UsageMetadata | undefined {
  const { promptTokens, completionTokens = 0, totalTokens, cachedTokens, reasoningTokens } = usage;
  if (promptTokens === undefined) return undefined;
  return {
    input_tokens: promptTokens,
    output_tokens: completionTokens,
    total_tokens: totalTokens ?? promptTokens + completionTokens,
    input_token_details: cachedTokens === undefined ? {} : { cache_read: cachedTokens },
    output_token_details: reasoningTokens === undefined ? {} : { reasoning: reasoningTokens },
  };
}

/** What releases before `usage_metadata` read. */
export function tokenUsageOf(usage?: UsageMetadata) {
  return (
    usage && {
      tokenUsage: { promptTokens: usage.input_tokens, completionTokens: usage.output_tokens, totalTokens: usage.total_tokens },
    }
  );
}

/** Cost lives here: chunks that are joined keep only the usage fields that LangChain knows. */
function metadataOf({ model, providerRequestId, cache, attempts, cost }: Answer, finishReason: string) {
  return {
    model_provider: PROVIDER,
    model,
    model_name: model,
    finish_reason: finishReason,
    id: providerRequestId,
    sparkler: {
      cache: cache.status,
      cache_key: cache.keyFingerprint,
      attempts,
      spent_usd: cost?.spentUsd,
      saved_usd: cost?.savedUsd,
    },
  };
}

// LangChain makes content blocks by a table of providers. Where Fireworks is not in
// it, DeepSeek's entry does what is right: text, and reasoning from `reasoning_content`.
const { lc_block_translators_registry: translators } = globalThis as {
  lc_block_translators_registry?: Map<string, unknown>;
};
const alike = translators?.get("deepseek");
if (alike && !translators?.has(PROVIDER)) translators?.set(PROVIDER, alike);
