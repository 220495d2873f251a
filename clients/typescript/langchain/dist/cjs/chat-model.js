"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.ChatSparkler = void 0;
const chat_models_1 = require("@langchain/core/language_models/chat_models");
const base_1 = require("@langchain/core/tracers/base");
const chunks_js_1 = require("./chunks.js");
const messages_js_1 = require("./messages.js");
const schema_js_1 = require("./schema.js");
const settings_js_1 = require("./settings.js");
const signals_js_1 = require("./signals.js");
const structured_js_1 = require("./structured.js");
/** A chat model of Fireworks whose calls a Sparkler worker executes. */
class ChatSparkler extends chat_models_1.BaseChatModel {
    static lc_name() {
        return "ChatSparkler";
    }
    /** A model holds a credential and a connection, neither of which belongs into a text. */
    lc_serializable = false;
    model;
    streaming;
    streamUsage;
    // Orchestrators copy models with lodash's cloneDeep: #private members would be
    // left behind, and a copied client is dead. Functions are kept as they are,
    // and show no secret where a model is printed.
    given;
    sparkler;
    constructor(fields) {
        // LangChain keeps what it is given here, for texts and for copies.
        const { sparkler = settings_js_1.shared, apiKey: _, ...plain } = fields;
        super(plain);
        this.given = () => fields;
        this.sparkler = typeof sparkler === "function" ? sparkler : () => sparkler;
        this.model = fields.model;
        this.streaming = fields.streaming ?? false;
        this.streamUsage = fields.streamUsage ?? true;
    }
    _llmType() {
        return "sparkler";
    }
    get callKeys() {
        return [...super.callKeys, "tools", "tool_choice", "strict", "json", "idempotencyKey", "context", "streamUsage"];
    }
    /** LangChain's cache key, and what traces show. */
    _identifyingParams() {
        return { model: this.model, ...(0, settings_js_1.configOf)(this.given()) };
    }
    invocationParams(options) {
        const { tools, tool_choice, stop, json } = options ?? {};
        return { ...this._identifyingParams(), stop: stop ?? this.given().stop, tools, tool_choice, json };
    }
    getLsParams(options) {
        const { temperature, maxTokens } = (0, settings_js_1.configOf)(this.given());
        return {
            ls_provider: "fireworks",
            ls_model_name: this.model,
            ls_model_type: "chat",
            ls_temperature: temperature,
            ls_max_tokens: maxTokens,
            ls_stop: options.stop ?? this.given().stop,
        };
    }
    /** An estimate: LangChain's own fetches a tokenizer, which without a network takes minutes to fail. */
    async getNumTokens(content) {
        return Math.ceil((typeof content === "string" ? content : JSON.stringify(content)).length / 4);
    }
    bindTools(tools, kwargs) {
        return this.with({ tools, ...kwargs });
    }
    withStructuredOutput(schema, config = {}) {
        return (0, structured_js_1.structured)((kwargs) => this.with(kwargs), schema, config);
    }
    async _generate(messages, options, runManager) {
        // Where nobody listens nothing is shown, and the worker can retry until the last moment.
        if (this.streaming && listens(runManager))
            return this.collected(messages, options, runManager);
        const request = this.request(messages, options, runManager);
        const run = this.sparkler().execute(request, (0, settings_js_1.callOf)(this.given(), options));
        try {
            const answer = await run.answer();
            return { generations: (0, chunks_js_1.generationsOf)(answer), llmOutput: (0, chunks_js_1.tokenUsageOf)((0, chunks_js_1.usageOf)(answer.usage)) };
        }
        catch (error) {
            throw (0, signals_js_1.abortOf)(error) ?? error;
        }
    }
    async *_streamResponseChunks(messages, options, runManager) {
        const request = { ...this.request(messages, options, runManager), output: { json: options.json, deltas: true } };
        const run = this.sparkler().execute(request, (0, settings_js_1.callOf)(this.given(), options));
        const withUsage = options.streamUsage ?? this.streamUsage;
        try {
            for await (const event of run) {
                const chunk = (0, chunks_js_1.chunkOf)(event, withUsage);
                if (!chunk)
                    continue;
                // Some callback handlers expect the token before the chunk is yielded.
                await runManager?.handleLLMNewToken(chunk.text, { prompt: 0, completion: 0 }, undefined, undefined, undefined, { chunk });
                yield chunk;
            }
        }
        catch (error) {
            throw (0, signals_js_1.abortOf)(error) ?? error;
        }
    }
    async collected(messages, options, runManager) {
        let whole;
        for await (const chunk of this._streamResponseChunks(messages, options, runManager)) {
            whole = whole ? whole.concat(chunk) : chunk;
        }
        if (!whole)
            throw new Error("the run ended without an answer");
        return { generations: [whole], llmOutput: (0, chunks_js_1.tokenUsageOf)(whole.message.usage_metadata) };
    }
    /** Release 1 has `withConfig` for this, older ones `bind`. */
    with(kwargs) {
        const older = this;
        return (older.bind?.(kwargs) ?? this.withConfig(kwargs));
    }
    request(messages, options, runManager) {
        const given = this.given();
        const stop = options.stop ?? given.stop;
        return {
            model: this.model,
            config: { ...(0, settings_js_1.configOf)(this.given()), ...(stop?.length ? { stop } : {}) },
            messages: messages.map(messages_js_1.messageOf),
            tools: options.tools?.map((tool) => (0, schema_js_1.toolOf)(tool, options.strict)),
            toolChoice: options.tools?.length ? (0, schema_js_1.toolChoiceOf)(options.tool_choice) : undefined,
            credential: (0, settings_js_1.credentialOf)(given),
            cache: given.answerCache,
            limits: { ...given.limits, allowRestart: false },
            context: { runId: runManager?.runId, ...given.context, ...options.context },
            output: { json: options.json, deltas: false },
            // LangChain's id of this very call. The flow's run and node would come again in a loop.
            idempotencyKey: options.idempotencyKey ?? runManager?.runId,
        };
    }
}
exports.ChatSparkler = ChatSparkler;
/** Tracers listen to all; they read the whole answer as well. */
function listens(runManager) {
    return runManager?.handlers.some((handler) => "handleLLMNewToken" in handler && !(handler instanceof base_1.BaseTracer)) ?? false;
}
