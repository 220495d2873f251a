"use strict";
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __setModuleDefault = (this && this.__setModuleDefault) || (Object.create ? (function(o, v) {
    Object.defineProperty(o, "default", { enumerable: true, value: v });
}) : function(o, v) {
    o["default"] = v;
});
var __importStar = (this && this.__importStar) || (function () {
    var ownKeys = function(o) {
        ownKeys = Object.getOwnPropertyNames || function (o) {
            var ar = [];
            for (var k in o) if (Object.prototype.hasOwnProperty.call(o, k)) ar[ar.length] = k;
            return ar;
        };
        return ownKeys(o);
    };
    return function (mod) {
        if (mod && mod.__esModule) return mod;
        var result = {};
        if (mod != null) for (var k = ownKeys(mod), i = 0; i < k.length; i++) if (k[i] !== "default") __createBinding(result, mod, k[i]);
        __setModuleDefault(result, mod);
        return result;
    };
})();
Object.defineProperty(exports, "__esModule", { value: true });
exports.isZod = isZod;
exports.jsonSchemaOf = jsonSchemaOf;
exports.parseWith = parseWith;
exports.toolOf = toolOf;
exports.toolChoiceOf = toolChoiceOf;
const schemas = __importStar(require("@langchain/core/utils/json_schema"));
const types = __importStar(require("@langchain/core/utils/types"));
const zod_to_json_schema_1 = require("zod-to-json-schema");
// Releases before 0.3.58 know only Zod 3, and have no names for more.
const later = { ...schemas, ...types };
function isZod(schema) {
    return later.isInteropZodSchema?.(schema) ?? typeof schema?.safeParse === "function";
}
function jsonSchemaOf(schema) {
    if (!isZod(schema))
        return schema;
    return (later.toJsonSchema ?? zod_to_json_schema_1.zodToJsonSchema)(schema);
}
function parseWith(schema, value) {
    return later.interopParseAsync?.(schema, value) ?? schema.parseAsync(value);
}
function toolOf(tool, strict) {
    const given = tool;
    const { name, description, schema, parameters, input_schema } = given.type === "function" ? given.function : given;
    if (!name)
        throw new TypeError(`a tool needs a name: ${JSON.stringify(tool)}`);
    const form = jsonSchemaOf(schema ?? parameters ?? input_schema ?? { type: "object", properties: {} });
    const strictly = strict ?? given.function?.strict;
    return { type: "function", function: { name, description, parameters: form, ...(strictly === undefined ? {} : { strict: strictly }) } };
}
function toolChoiceOf(choice) {
    if (choice === undefined || choice === "")
        return undefined;
    if (choice === "any" || choice === true)
        return "required";
    if (typeof choice !== "string" || ["auto", "none", "required"].includes(choice))
        return choice;
    return { type: "function", function: { name: choice } };
}
