// The models of a credential, as a form offers them.
import type { Model, Sparkler } from "sparkler-client";
import type { Language } from "./fields.js";

export interface Choice {
  name: string;
  /** What the provider states of the model. */
  description: string;
}

/** What a node needs a model for. */
export type Purpose = "chat" | "embeddings";

/** Returns the models that a node can use: all that the provider does not rule out. */
export async function choicesOf(
  sparkler: Sparkler,
  credential: Credential,
  purpose: Purpose,
  language: Language,
): Promise<Choice[]> {
  const models = await sparkler.models({ credential });
  const other = purpose === "chat" ? "embeddings" : "chat";
  const usable = models.filter((model) => model[purpose] !== false && !(model[other] && !model[purpose]));
  return usable.map((model) => ({ name: model.name, description: stated(model, WORDS[language]) }));
}

type Credential = { apiKey: string } | { secretName: string };

/** Returns who pays; absent where a form names nobody yet. */
export function payerOf(apiKey?: string, secretName?: string): Credential | undefined {
  if (secretName) return { secretName };
  return apiKey ? { apiKey } : undefined;
}

function stated({ contextLength, tools, images, reasoning, prices, endOfLife, successor }: Model, words: Words): string {
  const price = prices.find(({ tier }) => tier === "default");
  const parts = [
    contextLength && words.context(contextLength.toLocaleString("en-US")),
    tools && words.tools,
    images && words.images,
    reasoning && words.reasoning,
    price && words.price(`$${price.inputUsd}`, `$${price.outputUsd}`),
    endOfLife && words.ends(endOfLife, successor),
  ];
  return parts.filter(Boolean).join(" · ");
}

interface Words {
  tools: string;
  images: string;
  reasoning: string;
  context(tokens: string): string;
  price(input: string, output: string): string;
  ends(date: string, successor?: string): string;
}

const WORDS: Record<Language, Words> = {
  en: {
    tools: "tools",
    images: "images",
    reasoning: "reasoning",
    context: (tokens) => `${tokens} tokens`,
    price: (input, output) => `${input} in, ${output} out per million tokens`,
    ends: (date, successor) => `ends on ${date}${successor ? `, then ${successor}` : ""}`,
  },
  ko: {
    tools: "도구",
    images: "이미지",
    reasoning: "추론",
    context: (tokens) => `${tokens} 토큰`,
    price: (input, output) => `백만 토큰당 입력 ${input}, 출력 ${output}`,
    ends: (date, successor) => `${date} 종료${successor ? `, 후속 모델 ${successor}` : ""}`,
  },
};
