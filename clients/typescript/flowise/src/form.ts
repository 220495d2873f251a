// The nodes' forms, made of what the worker says of its fields.
import type { NodeField, Text } from "sparkler-client";
import { CHAT, EMBEDDINGS, type Language, type NodeForm } from "../../shared/src/fields.js";

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
  loadMethod?: string;
  /** A button that loads the options again, for another credential. */
  refresh?: boolean;
  options?: { label: string; name: string }[];
  /** Other inputs, with the values for which this one is drawn. */
  show?: Record<string, string[]>;
}

const TYPES: Record<string, string> = {
  boolean: "boolean",
  enum: "options",
  integer: "number",
  json: "json",
  number: "number",
};

/** The group of the inputs that are for the worker. */
const WORKER = "worker";
/** The input that chooses the groups which are drawn behind "Additional Parameters". */
const CHOSEN = "parameterGroups";

/** The input that every node has for who pays. */
export const CREDENTIAL = {
  label: "Connect Credential",
  name: "credential",
  type: "credential",
  credentialNames: ["fireworksApi", "sparklerWorker"],
  optional: true,
};

/** The operator chooses: Flowise's canvas has no language. */
export function languageOf(env: Record<string, string | undefined>): Language {
  return env.SPARKLER_FORM_LANGUAGE === "ko" ? "ko" : "en";
}

/** Returns a chat node's inputs: the basic ones, then the groups of the others with the input that chooses among them. */
export function chatFormOf(language: Language): Input[] {
  const sections = [WORKER, ...CHAT.groups.map(({ name }) => name).filter((name) => name !== WORKER)];
  const grouped = sections.map((name) => [name, sectionOf(name, language)] as const).filter(([, inputs]) => inputs.length);
  return [
    ...basicOf(CHAT, language),
    localized(IMAGE_UPLOADS, language),
    chooserOf(grouped.map(([name]) => name), language),
    ...grouped.flatMap(([, inputs]) => inputs),
  ];
}

/** Returns the inputs of the node that embeds texts. They are too few for groups. */
export function embeddingsFormOf(language: Language): Input[] {
  const advanced = EMBEDDINGS.fields.filter((field) => field.advanced).map((field) => inputOf(field, language));
  const ofTheWorker = OF_THE_WORKER.map((input) => localized(input, language));
  const cached = ofTheWorker.map((input) => (input.name === "answerCache" ? { ...input, default: "readWrite" } : input));
  const additional = [...advanced, ...cached].map((input) => ({ ...input, additionalParams: true }));
  return [...basicOf(EMBEDDINGS, language), ...additional];
}

/** Returns the inputs of the fields that are not advanced, with the models of the credential to choose from. */
function basicOf({ fields }: NodeForm, language: Language): Input[] {
  const basic = fields.filter(({ advanced }) => !advanced).map((field) => inputOf(field, language));
  const [model, ...others] = basic.map((input) => (input.name === "modelName" ? offered(input) : input));
  return [model!, localized(OTHER_MODEL, language), ...others];
}

/** Returns the inputs of a group of a chat node, drawn while it is chosen. */
function sectionOf(group: string, language: Language): Input[] {
  const fields = CHAT.fields.filter((field) => field.advanced && field.group === group);
  const own = group === WORKER ? OF_THE_WORKER.map((input) => localized(input, language)) : [];
  const inputs = [...own, ...fields.map((field) => inputOf(field, language))];
  return inputs.map((input) => ({ ...input, additionalParams: true, show: { [CHOSEN]: [group] } }));
}

function chooserOf(groups: string[], language: Language): Input {
  const label = (name: string) => CHAT.groups.find((group) => group.name === name)?.label[language] ?? name;
  return {
    ...localized(GROUP_CHOOSER, language),
    default: JSON.stringify([WORKER]),
    options: groups.map((name) => ({ name, label: label(name) })),
  };
}

/** The model's field with the models of the credential to choose from. */
function offered(input: Input): Input {
  return { ...input, type: "asyncOptions", loadMethod: "listModels", refresh: true };
}

function inputOf({ name, label, help, type, required, defaultValue, options }: NodeField, language: Language): Input {
  return {
    name,
    label: label[language],
    // A list is written as text, which the worker reads.
    type: TYPES[type] ?? "string",
    description: help[language],
    default: defaultValue,
    step: type === "number" ? 0.1 : type === "integer" ? 1 : undefined,
    optional: !required,
    options: options?.length ? options.map((option) => ({ label: option, name: option })) : undefined,
  };
}

type Localized = Omit<Input, "label" | "description" | "options"> & {
  label: Text;
  description: Text;
  options?: { name: string; label: Text }[];
};

function localized({ label, description, options, ...input }: Localized, language: Language): Input {
  return {
    ...input,
    label: label[language],
    description: description[language],
    options: options?.map((option) => ({ name: option.name, label: option.label[language] })),
  };
}

const GROUP_CHOOSER: Localized = {
  name: CHOSEN,
  type: "multiOptions",
  optional: true,
  additionalParams: true,
  label: { en: "Parameter groups", ko: "매개변수 그룹" },
  description: {
    en: "The groups of parameters that this form shows. The values of a group that is left out are dropped.",
    ko: "이 양식에 표시할 매개변수 그룹입니다. 선택을 해제한 그룹의 값은 지워집니다.",
  },
};

const OTHER_MODEL: Localized = {
  name: "customModelName",
  type: "string",
  optional: true,
  placeholder: "accounts/my-team/deployments/1a2b3c",
  label: { en: "Other model", ko: "다른 모델" },
  description: {
    en: "The full name of a model that is not in the list, such as a deployment of one's own; used in place of Model.",
    ko: "목록에 없는 모델의 전체 이름입니다(예: 자체 배포). 모델 대신 사용합니다.",
  },
};

const IMAGE_UPLOADS: Localized = {
  name: "allowImageUploads",
  type: "boolean",
  default: false,
  optional: true,
  label: { en: "Allow image uploads", ko: "이미지 업로드 허용" },
  description: {
    en: "Sends images of the chat to the model, which must be one that sees.",
    ko: "채팅의 이미지를 모델로 보냅니다. 이미지를 지원하는 모델이어야 합니다.",
  },
};

const OF_THE_WORKER: Localized[] = [
  {
    name: "answerCache",
    type: "options",
    default: "off",
    optional: true,
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
    label: { en: "Timeout (seconds)", ko: "제한 시간(초)" },
    description: { en: "The longest that a whole call may take.", ko: "호출 전체에 허용되는 최대 시간입니다." },
  },
];
