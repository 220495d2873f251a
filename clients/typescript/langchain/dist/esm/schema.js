import * as schemas from "@langchain/core/utils/json_schema";
import * as types from "@langchain/core/utils/types";
import { zodToJsonSchema } from "zod-to-json-schema";
// Releases before 0.3.58 know only Zod 3, and have no names for more.
const later = { ...schemas, ...types };
export function isZod(schema) {
    return later.isInteropZodSchema?.(schema) ?? typeof schema?.safeParse === "function";
}
export function jsonSchemaOf(schema) {
    if (!isZod(schema))
        return schema;
    return (later.toJsonSchema ?? zodToJsonSchema)(schema);
}
export function parseWith(schema, value) {
    return later.interopParseAsync?.(schema, value) ?? schema.parseAsync(value);
}
export function toolOf(tool, strict) {
    const given = tool;
    const { name, description, schema, parameters, input_schema } = given.type === "function" ? given.function : given;
    if (!name)
        throw new TypeError(`a tool needs a name: ${JSON.stringify(tool)}`);
    const form = jsonSchemaOf(schema ?? parameters ?? input_schema ?? { type: "object", properties: {} });
    const strictly = strict ?? given.function?.strict;
    return { type: "function", function: { name, description, parameters: form, ...(strictly === undefined ? {} : { strict: strictly }) } };
}
export function toolChoiceOf(choice) {
    if (choice === undefined || choice === "")
        return undefined;
    if (choice === "any" || choice === true)
        return "required";
    if (typeof choice !== "string" || ["auto", "none", "required"].includes(choice))
        return choice;
    return { type: "function", function: { name: choice } };
}
