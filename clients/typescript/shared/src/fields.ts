// The worker's fields, as the forms of Flowise and n8n have them, and the way back
// from what was typed.
import type { FieldGroup, NodeField, NodeType } from "sparkler-client";
import nodes from "./gen/nodes.json";

export type Language = "en" | "ko";

/** A worker's node, as far as forms have it. */
export interface NodeForm {
  /** Its fields, in the order of the form. */
  fields: NodeField[];
  /** The groups of its fields, in the order of the form; one may have no fields. */
  groups: FieldGroup[];
}

/** A chat node, without what an orchestrator or the model fills in, and what Flowise and n8n have inputs of their own for. */
export const CHAT = nodeForm("chatFireworks", [
  "cache",
  "credential",
  "echo",
  "echoLast",
  "functionCall",
  "functions",
  "n",
  "responseFormat",
  "toolChoice",
  "tools",
  // Nothing of these reaches a flow.
  "perfMetricsInResponse",
  "rawOutput",
  "returnTokenIds",
]);

/** The node that embeds texts. */
export const EMBEDDINGS = nodeForm("fireworksEmbeddings", ["cache", "credential"]);

function nodeForm(name: string, elsewhere: string[]): NodeForm {
  const { nodeTypes } = nodes as unknown as { nodeTypes: NodeType[] };
  const { fields, groups } = nodeTypes.find((node) => node.name === name)!;
  return { fields: fields.filter((field) => !elsewhere.includes(field.name)), groups };
}

/** Returns a form's values as the worker's config; what is empty is left to the worker. */
export function configOf({ fields }: NodeForm, values: Record<string, unknown>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const { name, type } of fields) {
    const value = values[name];
    if (value === undefined || value === null || value === "" || name === "streaming") continue;
    config[name] = valueOf(type, value);
  }
  return config;
}

/** Flows store what was typed. The worker reads numbers and booleans out of text, and says what is wrong. */
function valueOf(type: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  const text = value.trim();
  if (type === "json" || /^[[{]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return value;
    }
  }
  if (type.endsWith("[]")) return text.split(",").map((part) => part.trim());
  return value;
}
