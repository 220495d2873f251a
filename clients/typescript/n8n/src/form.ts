// The node's form, made of what the worker says of its fields.
import type { NodeField, Text } from "sparkler-client";
import { CHAT, configOf as configOfValues, type Language } from "../../shared/src/fields.js";

/** A collection of the canvas: a group of fields, of which each counts once it was added. */
export interface Collection {
  displayName: string;
  name: string;
  type: "collection";
  placeholder: string;
  default: Record<string, never>;
  options: Option[];
}

interface Option {
  displayName: string;
  name: string;
  description: string;
  type: string;
  default: unknown;
  typeOptions?: Record<string, unknown>;
  options?: { name: string; value: string }[];
}

/** Fields for which the node has inputs of its own, or that n8n fills in. */
const ELSEWHERE = new Set(["modelName", "streaming"]);

const shown = CHAT.fields.filter(({ name }) => !ELSEWHERE.has(name));
const groups = CHAT.groups.filter(({ name }) => shown.some(({ group }) => group === name));

/** The operator chooses, or n8n's own language does. */
export function languageOf({ SPARKLER_FORM_LANGUAGE, N8N_DEFAULT_LOCALE }: Record<string, string | undefined>): Language {
  return (SPARKLER_FORM_LANGUAGE || N8N_DEFAULT_LOCALE) === "ko" ? "ko" : "en";
}

/** Returns the node's own properties, and one collection for each group of fields. */
export function propertiesOf(language: Language) {
  const { label: model, help } = CHAT.fields.find(({ name }) => name === "modelName")!;
  const label = (text: Text) => text[language];
  return [
    {
      displayName: label(model),
      name: "model",
      type: "resourceLocator",
      default: { mode: "list", value: "" },
      required: true,
      description: label(help),
      modes: [
        {
          displayName: label(WORDS.list),
          name: "list",
          type: "list",
          typeOptions: { searchListMethod: "searchModels", searchable: true },
        },
        { displayName: label(WORDS.name), name: "id", type: "string", placeholder: "accounts/fireworks/models/glm-5p3" },
      ],
    },
    {
      displayName: label(WORDS.cache),
      name: "answerCache",
      type: "options",
      default: "off",
      description: label(WORDS.cacheHelp),
      options: [
        { name: label(WORDS.off), value: "off" },
        { name: label(WORDS.readWrite), value: "readWrite" },
        { name: label(WORDS.readOnly), value: "readOnly" },
        { name: label(WORDS.refresh), value: "refresh" },
      ],
    },
    {
      displayName: label(WORDS.timeout),
      name: "timeoutSeconds",
      type: "number",
      default: 360,
      description: label(WORDS.timeoutHelp),
    },
    ...collectionsOf(language),
  ];
}

const WORDS = {
  list: { en: "From List", ko: "목록에서" },
  name: { en: "By Name", ko: "이름으로" },
  cache: { en: "Answer Cache", ko: "답변 캐시" },
  cacheHelp: {
    en: "Whether a repeated request is answered from the worker's cache",
    ko: "반복되는 요청에 워커의 캐시로 답할지 정합니다",
  },
  off: { en: "Off", ko: "끔" },
  readWrite: { en: "Read and Write", ko: "읽기와 쓰기" },
  readOnly: { en: "Read Only", ko: "읽기만" },
  refresh: { en: "Refresh", ko: "새로 고침" },
  timeout: { en: "Timeout (Seconds)", ko: "제한 시간(초)" },
  timeoutHelp: { en: "The longest that a whole call may take", ko: "호출 전체에 허용되는 최대 시간" },
  add: { en: "Add Option", ko: "옵션 추가" },
} satisfies Record<string, Text>;

function collectionsOf(language: Language): Collection[] {
  return groups.map(({ name, label }) => ({
    displayName: label[language],
    name,
    type: "collection",
    placeholder: WORDS.add[language],
    default: {},
    options: shown.filter(({ group }) => group === name).map((field) => optionOf(field, language)),
  }));
}

function optionOf({ name, label, help, type, defaultValue, minimum, maximum, options }: NodeField, language: Language): Option {
  const common = { displayName: label[language], name, description: help[language] };
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

/** Returns the worker's config, given a function that returns a collection by its name. */
export function configOf(collection: (name: string) => Record<string, unknown>): Record<string, unknown> {
  return configOfValues(CHAT, Object.assign({}, ...groups.map(({ name }) => collection(name))));
}
