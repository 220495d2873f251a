// LangChain's messages, as a worker takes them.
import type { AIMessage, BaseMessage, ToolMessage } from "@langchain/core/messages";
import type { ContentPart, Message, ToolCall } from "sparkler-client";

// deno-lint-ignore no-explicit-any -- blocks differ with the release of LangChain
type Block = Record<string, any>;

const ROLES: Record<string, Message["role"]> = {
  human: "user",
  ai: "assistant",
  system: "system",
  developer: "system",
  tool: "tool",
  user: "user",
  assistant: "assistant",
};

/** What a model wrote beside its text: it goes back in fields of its own, or not at all. */
const NOT_CONTENT = new Set([
  "reasoning",
  "thinking",
  "redacted_thinking",
  "tool_call",
  "tool_call_chunk",
  "invalid_tool_call",
  "tool_use",
  "input_json_delta",
]);

export function messageOf(message: BaseMessage): Message {
  // Releases before 0.3 have the underscore only.
  const type = message.getType?.() ?? message._getType();
  const role = ROLES[type] ?? ROLES[(message as { role?: string }).role ?? ""];
  if (!role) throw new TypeError(`a message of type ${JSON.stringify(type)} cannot be sent to Fireworks`);
  const content = contentOf(message.content);
  if (role === "assistant") return { role, content, ...answerOf(message as AIMessage) };
  if (role === "tool") return { role, content, toolCallId: (message as ToolMessage).tool_call_id };
  return { role, content };
}

function answerOf(message: AIMessage): Pick<Message, "toolCalls" | "reasoning"> {
  const { reasoning_content } = message.additional_kwargs;
  const reasoning = typeof reasoning_content === "string" ? reasoning_content : undefined;
  return { toolCalls: toolCallsOf(message), reasoning };
}

function toolCallsOf({ tool_calls = [], invalid_tool_calls = [], additional_kwargs }: AIMessage): ToolCall[] {
  const calls = [
    ...tool_calls.map(({ id = "", name, args }) => ({ id, name, arguments: JSON.stringify(args) })),
    // The result that follows names the call; what was not JSON travels inside JSON.
    ...invalid_tool_calls.map(({ id = "", name = "", args }) => ({ id, name, arguments: JSON.stringify({ invalid: args }) })),
  ];
  if (calls.length) return calls;
  const stored = (additional_kwargs.tool_calls ?? []) as { id: string; function: { name: string; arguments: string } }[];
  return stored.map(({ id, function: call }) => ({ id, name: call.name, arguments: call.arguments }));
}

function contentOf(content: BaseMessage["content"]): string | ContentPart[] {
  if (typeof content === "string") return content;
  const parts = (content as Block[]).filter(({ type }) => !NOT_CONTENT.has(type)).map(partOf);
  // Plain text is what every model takes.
  const plain = parts.every((part) => part.type === "text");
  return plain ? parts.map((part) => (part as { text: string }).text).join("") : parts;
}

function partOf(block: Block): ContentPart {
  if (typeof block === "string") return { type: "text", text: block };
  if (block.type === "text") return { type: "text", text: block.text };
  if (block.type === "image_url") {
    const { url, detail } = typeof block.image_url === "string" ? { url: block.image_url, detail: undefined } : block.image_url;
    return { type: "image", url, detail };
  }
  if (block.type === "image") return { type: "image", url: imageOf(block) };
  throw new TypeError(`a content block of type ${JSON.stringify(block.type)} cannot be sent to Fireworks`);
}

/** Standard blocks: of release 0.3 with snake case, of release 1 with camel case. */
function imageOf({ url, data, mime_type, mimeType = mime_type ?? "image/png" }: Block): string {
  if (url) return url;
  if (data === undefined) throw new TypeError("an image block needs a url or data");
  const text = typeof data === "string" ? data : Buffer.from(data).toString("base64");
  return `data:${mimeType};base64,${text}`;
}
