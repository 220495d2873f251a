// Schemas and tools, in whatever form a release of LangChain has them.
import type { BindToolsInput } from "@langchain/core/language_models/chat_models";
import * as schemas from "@langchain/core/utils/json_schema";
import * as types from "@langchain/core/utils/types";
import type { JsonSchema, Tool, ToolChoice } from "sparkler-client";
import { zodToJsonSchema } from "zod-to-json-schema";

// deno-lint-ignore no-explicit-any -- Zod 3, Zod 4 or a JSON schema
export type AnySchema = any;

// Releases before 0.3.58 know only Zod 3, and have no names for more.
const later = { ...schemas, ...types } as Partial<typeof schemas & typeof types>;

export function isZod(schema: AnySchema): boolean {
  return later.isInteropZodSchema?.(schema) ?? typeof schema?.safeParse === "function";
}

export function jsonSchemaOf(schema: AnySchema): JsonSchema {
  if (!isZod(schema)) return schema;
  return (later.toJsonSchema ?? (zodToJsonSchema as (schema: AnySchema) => JsonSchema))(schema) as JsonSchema;
}

export function parseWith(schema: AnySchema, value: unknown): Promise<unknown> {
  return later.interopParseAsync?.(schema, value) ?? schema.parseAsync(value);
}

export function toolOf(tool: BindToolsInput, strict?: boolean): Tool {
  const given = tool as Record<string, AnySchema>;
  const { name, description, schema, parameters, input_schema } = given.type === "function" ? given.function : given;
  if (!name) throw new TypeError(`a tool needs a name: ${JSON.stringify(tool)}`);
  const form = jsonSchemaOf(schema ?? parameters ?? input_schema ?? { type: "object", properties: {} });
  const strictly = strict ?? given.function?.strict;
  return { type: "function", function: { name, description, parameters: form, ...(strictly === undefined ? {} : { strict: strictly }) } };
}

export function toolChoiceOf(choice: unknown): ToolChoice | undefined {
  if (choice === undefined || choice === "") return undefined;
  if (choice === "any" || choice === true) return "required";
  if (typeof choice !== "string" || ["auto", "none", "required"].includes(choice)) return choice as ToolChoice;
  return { type: "function", function: { name: choice } };
}
