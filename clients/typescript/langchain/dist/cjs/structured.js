"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.structured = structured;
const output_parsers_1 = require("@langchain/core/output_parsers");
const runnables_1 = require("@langchain/core/runnables");
const schema_js_1 = require("./schema.js");
/**
 * By default JSON that the worker itself checks against the schema; as a tool
 * call or as any JSON where the caller says so.
 */
function structured(bind, given, config) {
    const { method = "jsonSchema", includeRaw, strict } = config;
    // `{ name, description, parameters }` is OpenAI's way to name a schema.
    const schema = (0, schema_js_1.isZod)(given) ? given : (given.schema ?? (given.parameters && given.name ? given.parameters : given));
    const json = (0, schema_js_1.jsonSchemaOf)(schema);
    const format = { ls_structured_output_format: { kwargs: { method }, schema: json } };
    const parser = parserOf(schema);
    if (method === "functionCalling") {
        const name = config.name ?? given.name ?? json.title ?? "extract";
        const { description = given.description } = json;
        const tool = { type: "function", function: { name, description, parameters: json } };
        const model = bind({ tools: [tool], tool_choice: name, strict, ...format });
        return together(model, calledWith(name, schema), includeRaw);
    }
    const model = bind({ json: method === "jsonMode" ? true : json, ...format });
    return together(model, parser, includeRaw);
}
function parserOf(schema) {
    const json = new output_parsers_1.JsonOutputParser();
    if (!(0, schema_js_1.isZod)(schema))
        return json;
    return json.pipe(runnables_1.RunnableLambda.from((value) => (0, schema_js_1.parseWith)(schema, value)));
}
function calledWith(name, schema) {
    return runnables_1.RunnableLambda.from(async (message) => {
        const call = message.tool_calls?.find((one) => one.name === name);
        if (!call)
            throw new Error(`the model did not call ${name}: ${JSON.stringify(message.content)}`);
        return ((0, schema_js_1.isZod)(schema) ? await (0, schema_js_1.parseWith)(schema, call.args) : call.args);
    });
}
function together(model, parser, includeRaw) {
    if (!includeRaw)
        return runnables_1.RunnableSequence.from([model, parser]);
    const parsed = runnables_1.RunnablePassthrough.assign({
        parsed: (both, config) => parser.invoke(both.raw, config),
    });
    const failed = runnables_1.RunnablePassthrough.assign({ parsed: () => null });
    return runnables_1.RunnableSequence.from([runnables_1.RunnableMap.from({ raw: model }), parsed.withFallbacks({ fallbacks: [failed] })]);
}
