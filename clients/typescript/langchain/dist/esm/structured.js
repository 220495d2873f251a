import { JsonOutputParser } from "@langchain/core/output_parsers";
import { RunnableLambda, RunnableMap, RunnablePassthrough, RunnableSequence } from "@langchain/core/runnables";
import { isZod, jsonSchemaOf, parseWith } from "./schema.js";
/**
 * By default JSON that the worker itself checks against the schema; as a tool
 * call or as any JSON where the caller says so.
 */
export function structured(bind, given, config) {
    const { method = "jsonSchema", includeRaw, strict } = config;
    // `{ name, description, parameters }` is OpenAI's way to name a schema.
    const schema = isZod(given) ? given : (given.schema ?? (given.parameters && given.name ? given.parameters : given));
    const json = jsonSchemaOf(schema);
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
    const json = new JsonOutputParser();
    if (!isZod(schema))
        return json;
    return json.pipe(RunnableLambda.from((value) => parseWith(schema, value)));
}
function calledWith(name, schema) {
    return RunnableLambda.from(async (message) => {
        const call = message.tool_calls?.find((one) => one.name === name);
        if (!call)
            throw new Error(`the model did not call ${name}: ${JSON.stringify(message.content)}`);
        return (isZod(schema) ? await parseWith(schema, call.args) : call.args);
    });
}
function together(model, parser, includeRaw) {
    if (!includeRaw)
        return RunnableSequence.from([model, parser]);
    const parsed = RunnablePassthrough.assign({
        parsed: (both, config) => parser.invoke(both.raw, config),
    });
    const failed = RunnablePassthrough.assign({ parsed: () => null });
    return RunnableSequence.from([RunnableMap.from({ raw: model }), parsed.withFallbacks({ fallbacks: [failed] })]);
}
