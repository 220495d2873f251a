// The worker's fields, as the forms of Flowise and n8n have them, and the way back
// from what was typed.
import type { FieldGroup, NodeField, NodeType } from "sparkler-client";
import nodes from "./gen/nodes.json";

export type Language = "en" | "ko";

/** Fields that an orchestrator or the model fills in, or for which the nodes have inputs of their own. */
const ELSEWHERE = new Set([
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

const node = (nodes as unknown as { nodeTypes: NodeType[] }).nodeTypes.find(({ name }) => name === "chatFireworks")!;

/** The fields of a form, in its order. */
export const FIELDS: NodeField[] = node.fields.filter(({ name }) => !ELSEWHERE.has(name));

/** The groups of a form, in its order; one may have no fields. */
export const GROUPS: FieldGroup[] = node.groups;

/** Returns a form's values as the worker's config; what is empty is left to the worker. */
export function configOf(values: Record<string, unknown>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const { name, type } of FIELDS) {
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
