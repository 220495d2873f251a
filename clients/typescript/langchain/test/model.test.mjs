import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { inspect } from "node:util";
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { DynamicStructuredTool } from "@langchain/core/tools";
import { ChatSparkler, SparklerLLM } from "langchain-sparkler";
import { Sparkler } from "sparkler-client";
import { z } from "zod";
import { KEY, MODEL, SEEING, startWorld, until } from "../../testing/world.mjs";

let world, sparkler;
before(async () => {
  world = await startWorld();
  sparkler = new Sparkler(world.url);
});
afterEach(() => world.provider.reset());
after(async () => {
  sparkler.close();
  await world.stop();
});

const model = (fields = {}) => new ChatSparkler({ sparkler, model: MODEL, apiKey: KEY, ...fields });
const typeOf = (message) => message.getType?.() ?? message._getType();
const sent = async () => (await world.provider.report()).requests.at(-1).body;
const WORDS = Array.from({ length: 100 }, (_, number) => `word${number + 1} `);
const words = (...faults) => ({ faults: [{ answer: { deltas: WORDS } }, ...faults] });
const calls = (...tool_calls) => ({ faults: [{ answer: { tool_calls } }] });
const joined = async (stream) => {
  let whole;
  for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
  return whole;
};

const weather = new DynamicStructuredTool({
  name: "weather",
  description: "The weather in a city",
  schema: z.object({ when: z.string(), city: z.string() }),
  func: async ({ city }) => `sunny in ${city}`,
});

test("an answer has its text, tokens, cost and end", async () => {
  const message = await model({ model: "accounts/fireworks/models/glm-5p3", temperature: 0 }).invoke("Say hello");
  assert.match(message.content, /Say hello/);
  assert.equal(typeOf(message), "ai");
  const { input_tokens, output_tokens, total_tokens } = message.usage_metadata;
  assert.ok(input_tokens > 0 && output_tokens > 0);
  assert.equal(total_tokens, input_tokens + output_tokens);
  const { finish_reason, model_name, sparkler: ours } = message.response_metadata;
  assert.deepEqual([finish_reason, ours.cache, ours.attempts], ["stop", "disabled", 1]);
  assert.match(model_name, /glm-5p3/);
  assert.ok(ours.spent_usd > 0);
  assert.equal((await sent()).temperature, 0);
});

test("a stream comes in pieces and joins to the same answer", async () => {
  const whole = await model().invoke("Say hello");
  const chunks = [];
  for await (const chunk of await model().stream("Say hello")) chunks.push(chunk);
  const together = await joined(chunks);
  assert.equal(together.content, whole.content);
  // Release 0.2 drops the details where it joins chunks.
  assert.deepEqual({ ...whole.usage_metadata, ...together.usage_metadata }, whole.usage_metadata);
  assert.equal(together.response_metadata.finish_reason, "stop");
  assert.equal(together.response_metadata.model_name, whole.response_metadata.model_name);
  assert.equal(chunks.filter(({ usage_metadata }) => usage_metadata).length, 1);
});

test("streamUsage off leaves the tokens out of a stream", async () => {
  const whole = await joined(await model({ streamUsage: false }).stream("Say hello"));
  assert.equal(whole.usage_metadata, undefined);
});

test("invoke streams to its callbacks, and its answer is whole", async () => {
  const tokens = [];
  const callbacks = [{ handleLLMNewToken: (token) => void tokens.push(token) }];
  await world.provider.script(words({ slow_deltas: { delay: "2ms" } }));
  const message = await model({ streaming: true }).invoke("Say hello", { callbacks });
  assert.equal(message.content, WORDS.join(""));
  assert.equal(tokens.join(""), message.content);
  assert.ok(tokens.length > 5, `${tokens.length} pieces`);
  assert.ok(message.usage_metadata.total_tokens > 0);
});

test("where nobody listens a cut stream is retried", async () => {
  const cut = { ...words({ cut: { after_deltas: 3 } }), times: 1 };
  await world.provider.script(cut, words());
  const message = await model({ streaming: true }).invoke("Say hello");
  assert.equal(message.content, WORDS.join(""));
  assert.equal(message.response_metadata.sparkler.attempts, 2);
});

test("a chain of prompt, model and parser runs, and as a batch", async () => {
  const chain = ChatPromptTemplate.fromTemplate("Say {word}").pipe(model()).pipe(new StringOutputParser());
  const answers = await chain.batch([{ word: "one" }, { word: "two" }]);
  assert.match(answers[0], /Say one/);
  assert.match(answers[1], /Say two/);
});

test("a tool is called, and its result goes back", async () => {
  const pieces = ['{"when":', ' "now", ', '"city": "Paris"}'];
  await world.provider.script({ ...calls({ name: "weather", arguments: pieces }), times: 1 });
  const bound = model().bindTools([weather], { tool_choice: "any" });
  const question = new HumanMessage("What is it like outside?");
  const message = await bound.invoke([question]);
  const { tools, tool_choice } = await sent();
  assert.equal(tool_choice, "required");
  assert.deepEqual(Object.keys(tools[0].function.parameters.properties), ["when", "city"]);
  const [call] = message.tool_calls;
  assert.deepEqual([call.name, call.args], ["weather", { when: "now", city: "Paris" }]);
  const result = new ToolMessage({ content: await weather.invoke(call.args), tool_call_id: call.id });
  assert.ok((await model().bindTools([weather]).invoke([question, message, result])).content);
  const [, assistant, tool] = (await sent()).messages;
  assert.equal(assistant.tool_calls[0].id, tool.tool_call_id);
  assert.equal(tool.content, "sunny in Paris");
});

test("tools may be OpenAI's, and one may be chosen by name", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const bound = model().bindTools([weather, { type: "function", function: { name: "time", parameters } }], {
    tool_choice: "time",
    strict: true,
  });
  const message = await bound.invoke("Hi");
  const { tools, tool_choice } = await sent();
  assert.deepEqual(tool_choice, { type: "function", function: { name: "time" } });
  assert.deepEqual(tools.map(({ function: { name, strict } }) => [name, strict]), [["weather", true], ["time", true]]);
  assert.equal(message.tool_calls[0].name, "time");
});

test("several calls join whole from a stream, and from a recording at once", async () => {
  const paris = { name: "weather", arguments: ['{"when": "now",', ' "city": "Paris"}'] };
  const rome = { name: "weather", arguments: ['{"when": "now", "city"', ': "Rome"}'] };
  await world.provider.script(calls(paris, rome));
  const bound = model({ answerCache: "readWrite" }).bindTools([weather]);
  for (const cache of ["miss", "hit"]) {
    const whole = await joined(await bound.stream("Where is it sunny?"));
    assert.equal(whole.response_metadata.sparkler.cache, cache);
    assert.deepEqual(whole.tool_calls.map(({ args }) => args.city), ["Paris", "Rome"]);
    assert.ok(whole.tool_calls.every(({ id }) => id));
  }
});

test("arguments that are not JSON are reported as such, and can be answered", async () => {
  await world.provider.script({ ...calls({ name: "weather", arguments: ['{"city": '] }), times: 1 });
  const bound = model().bindTools([weather]);
  const message = await bound.invoke("Hi");
  assert.equal(message.tool_calls.length, 0);
  const [wrong] = message.invalid_tool_calls;
  assert.equal(wrong.args, '{"city": ');
  const result = new ToolMessage({ content: "not JSON", tool_call_id: wrong.id });
  assert.ok((await bound.invoke([new HumanMessage("Hi"), message, result])).content);
});

const City = z.object({ name: z.string(), people: z.number() });
const CITY = { title: "City", type: "object", required: ["name"], properties: { name: { type: "string" } } };
const answer = (text) => ({ faults: [{ answer: { deltas: [text] } }] });

test("structured output is checked by the worker and parsed", async () => {
  await world.provider.script(answer('{"name": "Paris", "people": 2100000}'));
  assert.deepEqual(await model().withStructuredOutput(City).invoke("Which?"), { name: "Paris", people: 2100000 });
  const { type, json_schema } = (await sent()).response_format;
  assert.equal(type, "json_schema");
  assert.deepEqual(Object.keys(json_schema.schema.properties), ["name", "people"]);
  assert.deepEqual(await model().withStructuredOutput(CITY).invoke("Which?"), { name: "Paris", people: 2100000 });
});

test("output of another structure is a failure by name", async () => {
  await world.provider.script(answer('{"town": "Paris"}'));
  await assert.rejects(model().withStructuredOutput(City).invoke("Which?"), /OUTPUT_SCHEMA_MISMATCH/);
});

test("structured output by a tool call, and as any JSON", async () => {
  await world.provider.script(calls({ name: "City", arguments: ['{"name": "Rome"}'] }));
  const called = model().withStructuredOutput(CITY, { method: "functionCalling" });
  assert.deepEqual(await called.invoke("Which?"), { name: "Rome" });
  await world.provider.reset();
  await world.provider.script(answer('{"any": [1]}'));
  assert.deepEqual(await model().withStructuredOutput(CITY, { method: "jsonMode" }).invoke("Which?"), { any: [1] });
});

test("includeRaw keeps the message, also of what cannot be parsed", async () => {
  await world.provider.script(answer('{"name": "Paris", "people": 1}'));
  const both = await model().withStructuredOutput(City, { includeRaw: true }).invoke("Which?");
  assert.deepEqual(both.parsed, { name: "Paris", people: 1 });
  assert.ok(both.raw.usage_metadata.total_tokens > 0);
  const wrong = await model().withStructuredOutput(City, { includeRaw: true, method: "jsonMode" });
  await world.provider.reset();
  await world.provider.script(answer('{"town": 1}'));
  assert.equal((await wrong.invoke("Which?")).parsed, null);
});

test("reasoning stays apart, is counted, and goes back", async () => {
  const reasoning = model({ model: "accounts/simulator/models/reasoning" });
  const message = await reasoning.invoke("Say hello");
  const thought = message.additional_kwargs.reasoning_content;
  assert.ok(thought && !message.content.includes(thought));
  assert.ok(message.usage_metadata.output_token_details.reasoning > 0);
  const whole = await joined(await reasoning.stream("Say hello"));
  assert.equal(whole.additional_kwargs.reasoning_content, thought);
  if (whole.contentBlocks) {
    assert.deepEqual(whole.contentBlocks.map(({ type }) => type), ["reasoning", "text"]);
  }
  await reasoning.invoke([new HumanMessage("Say hello"), message, new HumanMessage("Again")]);
  assert.equal((await sent()).messages[1].reasoning_content, thought);
});

test("cached prompt tokens are counted as such", async () => {
  const long = "The same long beginning of a prompt, again and again. ".repeat(60);
  await model().invoke(`${long} one`);
  const { usage_metadata } = await model().invoke(`${long} two`);
  assert.ok(usage_metadata.input_token_details.cache_read > 0, inspect(usage_metadata));
});

test("images go in every form that LangChain has had", async () => {
  const data = "iVBORw0KGgo=";
  const url = `data:image/png;base64,${data}`;
  const forms = [
    { type: "image_url", image_url: { url, detail: "low" } },
    { type: "image_url", image_url: url },
    { type: "image", source_type: "base64", mime_type: "image/png", data },
    { type: "image", mimeType: "image/png", data },
    { type: "image", url },
  ];
  for (const form of forms) {
    await model({ model: SEEING }).invoke([new HumanMessage({ content: [{ type: "text", text: "What is this?" }, form] })]);
    const [, image] = (await sent()).messages[0].content;
    assert.equal(image.image_url.url, url, inspect(form));
  }
  const file = new HumanMessage({ content: [{ type: "file", data }] });
  await assert.rejects(model().invoke([file]), /"file" cannot be sent to Fireworks/);
});

test("roles go as they are, and blocks of text become text", async () => {
  const content = [{ type: "text", text: "Be " }, { type: "text", text: "brief." }];
  await model({ stop: ["END"] }).invoke([new SystemMessage({ content }), new HumanMessage("Hi"), new AIMessage("Ho"), new HumanMessage("Hu")]);
  const { messages, stop } = await sent();
  assert.deepEqual(messages.map(({ role }) => role), ["system", "user", "assistant", "user"]);
  assert.equal(messages[0].content, "Be brief.");
  assert.deepEqual(stop, ["END"]);
});

test("leaving a stream stops the provider", async () => {
  await world.provider.script(words({ stall: { after_deltas: 3 } }));
  for await (const _ of await model().stream("Say hello")) break;
  await world.provider.until(({ aborted }) => aborted === 1);
});

test("a signal stops the provider, of a call and of a model", async () => {
  for (const [streaming, own] of [[false, false], [true, false], [false, true]]) {
    await world.provider.reset();
    await world.provider.script(words({ stall: { after_deltas: 3 } }));
    const control = new AbortController();
    const listening = own ? {} : { signal: control.signal };
    const asked = model({ streaming, signal: () => (own ? control.signal : undefined) }).invoke("Say hello", listening);
    const ended = assert.rejects(asked, /abort/i);
    await world.provider.until(({ in_flight }) => in_flight === 1);
    control.abort();
    await ended;
    await world.provider.until(({ aborted }) => aborted === 1);
  }
});

test("a failure is reported by its reason and fields", async () => {
  await assert.rejects(model({ apiKey: "fw_unknown" }).invoke("Hi"), { reason: "CREDENTIAL_REJECTED", message: /^CREDENTIAL_REJECTED: / });
  await assert.rejects(model({ config: { temprature: 1 } }).invoke("Hi"), /INVALID_NODE_CONFIG: .*did you mean temperature/);
});

test("tokens are estimated without a download", async () => {
  const fetched = globalThis.fetch;
  globalThis.fetch = () => assert.fail("the network is not needed");
  const count = await model().getNumTokens("Twelve chars");
  globalThis.fetch = fetched;
  assert.equal(count, 3);
});

test("no text of a model shows its key", () => {
  const secret = "fw_secret_of_the_test";
  const one = model({ apiKey: secret });
  for (const text of [JSON.stringify(one), inspect(one, { depth: 9, showHidden: true }), JSON.stringify(one.invocationParams({}))]) {
    assert.ok(!text.includes(secret));
  }
  assert.equal(one.lc_serializable, false);
});

test("a copy of a model works as well", async () => {
  const one = model();
  // As lodash's cloneDeep does it: own fields one by one, functions as they are.
  const copy = Object.assign(Object.create(Object.getPrototypeOf(one)), one);
  assert.match((await copy.invoke("Say hello")).content, /Say hello/);
});

test("run, flow and call are in the worker's line", async () => {
  await model({ context: { flowId: "flow-7" } }).invoke("Say hello", {
    context: { nodeId: "node-8" },
    callbacks: [{ handleLLMEnd() {} }], // without any, LangChain has no run
  });
  const line = JSON.parse(await until(() => world.worker.log.findLast((one) => one.includes("flow-7"))));
  assert.deepEqual([line.flow_id, line.node_id], ["flow-7", "node-8"]);
  assert.match(line.run_id, /^[0-9a-f-]{36}$/);
});

test("a traced call names provider, model and settings", () => {
  const params = model({ temperature: 0.5, maxTokens: 9, stop: ["X"] }).getLsParams({});
  assert.deepEqual(params, {
    ls_provider: "fireworks",
    ls_model_name: MODEL,
    ls_model_type: "chat",
    ls_temperature: 0.5,
    ls_max_tokens: 9,
    ls_stop: ["X"],
  });
});

test("a text model completes a prompt, whole and streamed", async () => {
  const llm = new SparklerLLM({ sparkler, model: MODEL, apiKey: KEY, maxTokens: 20 });
  const whole = await llm.invoke("Once upon a time");
  let streamed = "";
  for await (const piece of await llm.stream("Once upon a time")) streamed += piece;
  assert.equal(streamed, whole);
  const { by_endpoint, requests } = await world.provider.report();
  assert.equal(by_endpoint.completions, 2);
  assert.deepEqual([requests.at(-1).body.prompt, requests.at(-1).body.max_tokens], ["Once upon a time", 20]);
  assert.ok(!JSON.stringify(llm).includes(KEY));
});
