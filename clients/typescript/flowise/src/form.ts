// The node's form, made of what the worker says of its fields.
import type { NodeField, NodeType } from "sparkler-client";
import nodes from "./gen/nodes.json";

export type Language = "en" | "ko";

/** An input as Flowise's canvas draws it. */
export interface Input {
  label: string;
  name: string;
  type: string;
  description?: string;
  default?: unknown;
  step?: number;
  optional?: boolean;
  additionalParams?: boolean;
  placeholder?: string;
  options?: { label: string; name: string }[];
}

/** Fields that Flowise or the model fills in, or for which the node has inputs of its own. */
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

const TYPES: Record<string, string> = {
  boolean: "boolean",
  enum: "options",
  integer: "number",
  json: "json",
  number: "number",
};

const { fields } = (nodes as unknown as { nodeTypes: NodeType[] }).nodeTypes.find(({ name }) => name === "chatFireworks")!;
const shown = fields.filter(({ name }) => !ELSEWHERE.has(name));

/** The operator chooses: Flowise's canvas has no language. */
export function languageOf(env: Record<string, string | undefined>): Language {
  return env.SPARKLER_FORM_LANGUAGE === "ko" ? "ko" : "en";
}

export function formOf(language: Language): Input[] {
  const own = OWN.map(({ label, description, options, ...input }) => ({
    ...input,
    label: label[language],
    description: description?.[language],
    options: options?.map(({ name, label }) => ({ name, label: label[language] })),
  }));
  const given = shown.map((field) => inputOf(field, language));
  // Behind "Additional Parameters" those of the worker come before the provider's.
  return [...given.filter(isFirst), ...own, ...given.filter((input) => !isFirst(input))];
}

function isFirst({ additionalParams }: Input): boolean {
  return !additionalParams;
}

function inputOf({ name, label, help, type, required, defaultValue, options, advanced }: NodeField, language: Language): Input {
  return {
    name,
    label: label[language],
    // A list is written as text, which the worker reads.
    type: TYPES[type] ?? "string",
    description: help[language],
    default: defaultValue,
    step: type === "number" ? 0.1 : type === "integer" ? 1 : undefined,
    optional: !required,
    additionalParams: advanced || undefined,
    placeholder: name === "modelName" ? "accounts/fireworks/models/glm-5p3" : undefined,
    options: options?.length ? options.map((option) => ({ label: option, name: option })) : undefined,
  };
}

/** The form's values as the worker's config: what is empty is left to it. */
export function configOf(inputs: Record<string, unknown>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const { name, type } of shown) {
    const value = inputs[name];
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

const OWN = [
  {
    name: "answerCache",
    type: "options",
    default: "off",
    optional: true,
    additionalParams: true,
    label: { en: "Answer cache", ko: "답변 캐시" },
    description: {
      en: "Answers a repeated request from the worker's cache; equal requests at the same time become one call.",
      ko: "반복되는 요청에 워커의 캐시로 답합니다. 동시에 들어온 같은 요청은 한 번의 호출이 됩니다.",
    },
    options: [
      { name: "off", label: { en: "Off", ko: "끔" } },
      { name: "readWrite", label: { en: "Read and write", ko: "읽기와 쓰기" } },
      { name: "readOnly", label: { en: "Read only", ko: "읽기만" } },
      { name: "refresh", label: { en: "Refresh", ko: "새로 고침" } },
    ],
  },
  {
    name: "cacheMinutes",
    type: "number",
    step: 1,
    optional: true,
    additionalParams: true,
    label: { en: "Cache minutes", ko: "캐시 유지 시간(분)" },
    description: {
      en: "How long a stored answer lives; the worker's limit is never exceeded.",
      ko: "저장된 답변이 유지되는 시간입니다. 워커의 한도를 넘지 않습니다.",
    },
  },
  {
    name: "timeoutSeconds",
    type: "number",
    step: 1,
    optional: true,
    additionalParams: true,
    label: { en: "Timeout (seconds)", ko: "제한 시간(초)" },
    description: { en: "The longest that a whole call may take.", ko: "호출 전체에 허용되는 최대 시간입니다." },
  },
  {
    name: "allowImageUploads",
    type: "boolean",
    default: false,
    optional: true,
    label: { en: "Allow image uploads", ko: "이미지 업로드 허용" },
    description: {
      en: "Sends images of the chat to the model, which must be one that sees.",
      ko: "채팅의 이미지를 모델로 보냅니다. 이미지를 지원하는 모델이어야 합니다.",
    },
  },
];
