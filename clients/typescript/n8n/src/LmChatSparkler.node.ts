import { ChatSparkler } from "langchain-sparkler";
import { type CacheMode, Sparkler } from "sparkler-client";
import { choicesOf, payerOf } from "../../shared/src/models.js";
import { configOf, languageOf, propertiesOf } from "./form.js";

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
    properties: propertiesOf(languageOf(process.env)),
  };

  methods = { listSearch: { searchModels } };

  async supplyData(this: Any, item: number) {
    const credentials = await this.getCredentials("sparklerApi");
    const { apiKey, secretName } = credentials;
    const sparkler = workerOf(credentials);
    const parameter = (name: string, otherwise?: unknown) => this.getNodeParameter(name, item, otherwise);
    const seconds = Number(parameter("timeoutSeconds", 0));
    const response = new ChatSparkler({
      sparkler: () => sparkler,
      model: this.getNodeParameter("model", item, "", { extractValue: true }),
      ...(secretName ? { secretName } : { apiKey }),
      config: configOf((name) => parameter(name, {}) as Record<string, unknown>),
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

/** Returns the models of the credential whose names contain the filter. */
async function searchModels(this: Any, filter = "") {
  const credentials = await this.getCredentials("sparklerApi");
  const payer = payerOf(credentials.apiKey, credentials.secretName);
  if (!payer) return { results: [] };
  const choices = await choicesOf(workerOf(credentials), payer, "chat", languageOf(process.env));
  const found = choices.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  return { results: found.map(({ name, description }) => ({ name, value: name, description })) };
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
