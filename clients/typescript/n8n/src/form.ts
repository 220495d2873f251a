// The node's options, made of what the worker says of its fields.
import type { NodeField, NodeType } from "sparkler-client";
import nodes from "./gen/nodes.json";

/** Fields that n8n, the model or the credential fills in. */
const ELSEWHERE = new Set([
  "modelName", "streaming", "cache", "credential", "tools", "toolChoice", "functions", "functionCall", "responseFormat",
  "n", "echo", "echoLast", "rawOutput", "returnTokenIds", "perfMetricsInResponse",
]);

const { fields } = (nodes as unknown as { nodeTypes: NodeType[] }).nodeTypes.find(({ name }) => name === "chatFireworks")!;
const shown = fields.filter(({ name }) => !ELSEWHERE.has(name));

export const OPTIONS = shown.map(optionOf);

function optionOf({ name, label, help, type, defaultValue, minimum, maximum, options }: NodeField) {
  const common = { displayName: label.en, name, description: help.en };
  if (type === "enum") {
    return { ...common, type: "options", default: options[0], options: options.map((value) => ({ name: value, value })) };
  }
  if (type === "boolean") return { ...common, type, default: defaultValue ?? false };
  if (type === "number" || type === "integer") {
    const typeOptions = { minValue: minimum, maxValue: maximum, numberPrecision: type === "integer" ? 0 : 2 };
    return { ...common, type: "number", default: defaultValue ?? minimum ?? 0, typeOptions };
  }
  return { ...common, type: type === "json" ? "json" : "string", default: defaultValue ?? "" };
}

/** An option counts once it was added; text is read by its field's type. */
export function configOf(options: Record<string, unknown>): Record<string, unknown> {
  const given = shown.filter(({ name }) => options[name] !== undefined && options[name] !== "");
  return Object.fromEntries(given.map(({ name, type }) => [name, valueOf(type, options[name])]));
}

function valueOf(type: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (type.endsWith("[]")) return value.split(",").map((part) => part.trim());
  if (type !== "json") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value; // the worker says what is wrong
  }
}
