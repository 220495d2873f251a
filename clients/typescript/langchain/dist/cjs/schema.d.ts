import type { BindToolsInput } from "@langchain/core/language_models/chat_models";
import type { JsonSchema, Tool, ToolChoice } from "sparkler-client";
export type AnySchema = any;
export declare function isZod(schema: AnySchema): boolean;
export declare function jsonSchemaOf(schema: AnySchema): JsonSchema;
export declare function parseWith(schema: AnySchema, value: unknown): Promise<unknown>;
export declare function toolOf(tool: BindToolsInput, strict?: boolean): Tool;
export declare function toolChoiceOf(choice: unknown): ToolChoice | undefined;
