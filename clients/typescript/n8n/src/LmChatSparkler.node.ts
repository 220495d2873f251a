import { ChatSparkler } from "langchain-sparkler";
import { type CacheMode, Sparkler } from "sparkler-client";
import { configOf, OPTIONS } from "./form.js";

// deno-lint-ignore no-explicit-any -- n8n's own context, which differs with its release
type Any = any;

declare const require: (name: string) => Any;

/** A chat model for n8n's AI Agent, Basic LLM Chain and their like. */
export class LmChatSparkler {
  description = {
    displayName: "Sparkler Fireworks Chat Model",
    name: "lmChatSparkler",
    icon: "file:sparkler.svg",
    group: ["transform"],
    version: [1],
    description: "Fireworks chat models, executed by a Sparkler worker",
    defaults: { name: "Sparkler Fireworks Chat Model" },
    codex: {
      categories: ["AI"],
      subcategories: { AI: ["Language Models", "Root Nodes"], "Language Models": ["Chat Models (Recommended)"] },
    },
    inputs: [],
    outputs: ["ai_languageModel"],
    outputNames: ["Model"],
    credentials: [{ name: "sparklerApi", required: true }],
    properties: [
      {
        displayName: "Model",
        name: "model",
        type: "string",
        default: "",
        required: true,
        placeholder: "accounts/fireworks/models/glm-5p3",
      },
      {
        displayName: "Answer Cache",
        name: "answerCache",
        type: "options",
        default: "off",
        description: "Whether a repeated request is answered from the worker's cache",
        options: [
          { name: "Off", value: "off" },
          { name: "Read and Write", value: "readWrite" },
          { name: "Read Only", value: "readOnly" },
          { name: "Refresh", value: "refresh" },
        ],
      },
      { displayName: "Timeout (Seconds)", name: "timeoutSeconds", type: "number", default: 360 },
      { displayName: "Options", name: "options", type: "collection", placeholder: "Add Option", default: {}, options: OPTIONS },
    ],
  };

  async supplyData(this: Any, item: number) {
    const credentials = await this.getCredentials("sparklerApi");
    const { apiKey, secretName } = credentials;
    const sparkler = workerOf(credentials);
    const parameter = (name: string, otherwise?: unknown) => this.getNodeParameter(name, item, otherwise);
    const seconds = Number(parameter("timeoutSeconds", 0));
    const response = new ChatSparkler({
      sparkler: () => sparkler,
      model: parameter("model"),
      ...(secretName ? { secretName } : { apiKey }),
      config: configOf(parameter("options", {})),
      answerCache: parameter("answerCache", "off") as CacheMode,
      limits: seconds > 0 ? { totalMs: seconds * 1000 } : undefined,
      streaming: true,
      context: { flowId: this.getWorkflow?.().id, runId: this.getExecutionId?.(), nodeId: this.getNode?.().name },
      callbacks: tracingOf(this),
      // Chains and agents pass their own; this is for those that do not.
      signal: () => this.getExecutionCancelSignal?.(),
    });
    return { response };
  }
}

/** Token counts on the canvas, where this release of n8n has the means. */
function tracingOf(context: unknown): Any[] {
  try {
    const { N8nLlmTracing } = require("@n8n/ai-utilities");
    return [new N8nLlmTracing(context)];
  } catch {
    return [];
  }
}

/** One connection for each worker and caller. */
const workers = new Map<string, Sparkler>();

function workerOf({ url, token, ca }: { url: string; token?: string; ca?: string }): Sparkler {
  const key = JSON.stringify([url, token, ca]);
  const worker = workers.get(key) ?? new Sparkler({ url, token: token || undefined, ca: ca || undefined });
  workers.set(key, worker);
  return worker;
}
