// The node with a context as n8n's; tests/n8n has n8n itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";
import { KEY, MODEL, startWorld, until } from "../../testing/world.mjs";

const require = createRequire(import.meta.url);
const { n8n } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const { LmChatSparkler } = require(`../${n8n.nodes[0]}`);
const { SparklerApi } = require(`../${n8n.credentials[0]}`);

let world;
before(async () => {
  world = await startWorld();
});
afterEach(() => world.provider.reset());
after(() => world.stop());

function contextOf(parameters = {}, { signal, secrets = { apiKey: KEY } } = {}) {
  const given = { model: MODEL, ...parameters };
  return {
    getCredentials: async () => ({ url: world.url, token: "", ca: "", secretName: "", ...secrets }),
    getNodeParameter: (name, _item, otherwise) => given[name] ?? otherwise,
    getWorkflow: () => ({ id: "workflow-1" }),
    getExecutionId: () => "execution-2",
    getNode: () => ({ name: "Model" }),
    getExecutionCancelSignal: () => signal,
  };
}
const modelOf = async (...context) => (await new LmChatSparkler().supplyData.call(contextOf(...context), 0)).response;
const sent = async () => (await world.provider.report()).requests.at(-1).body;

test("the options reach the provider as what they mean", async () => {
  const sampling = { temperature: 0, maxTokens: 30, stop: "END, STOP", logitBias: '{"7": 1}' };
  const { content } = await (await modelOf({ sampling, routing: { user: "u-1" } })).invoke("Say hello");
  assert.match(content, /Say hello/);
  const { temperature, max_tokens, stop, logit_bias, user } = await sent();
  assert.deepEqual([temperature, max_tokens, stop, logit_bias, user], [0, 30, ["END", "STOP"], { 7: 1 }, "u-1"]);
});

test("workflow, execution and node are in the worker's line", async () => {
  await (await modelOf()).invoke("Hi");
  const line = JSON.parse(await until(() => world.worker.log.findLast((one) => one.includes("workflow-1"))));
  assert.deepEqual([line.flow_id, line.run_id, line.node_id], ["workflow-1", "execution-2", "Model"]);
});

test("stopping the execution stops the provider", async () => {
  await world.provider.script({ faults: [{ stall: { after_deltas: 2 } }] });
  const control = new AbortController();
  const ended = assert.rejects((await modelOf({}, { signal: control.signal })).invoke("Hi"), /abort/i);
  await world.provider.until(({ in_flight }) => in_flight === 1);
  control.abort();
  await ended;
  await world.provider.until(({ aborted }) => aborted === 1);
});

test("a repeated question comes from the worker's cache", async () => {
  const model = await modelOf({ answerCache: "readWrite" });
  for (const cache of ["miss", "hit"]) {
    assert.equal((await model.invoke("Remember")).response_metadata.sparkler.cache, cache);
  }
});

test("a failure is reported by its reason", async () => {
  await assert.rejects((await modelOf({}, { secrets: { apiKey: "fw_unknown" } })).invoke("Hi"), /^SparklerError: CREDENTIAL_REJECTED/);
});

test("the models of the credential can be searched", async () => {
  const { methods, description } = new LmChatSparkler();
  const { type, modes } = description.properties.find(({ name }) => name === "model");
  assert.deepEqual([type, modes.map(({ name }) => name)], ["resourceLocator", ["list", "id"]]);
  const search = methods.listSearch[modes[0].typeOptions.searchListMethod];
  const { results } = await search.call(contextOf(), "GLM-5P3");
  assert.deepEqual(results.map(({ value }) => value), results.map(({ name }) => name));
  assert.ok(results.every(({ value }) => value.includes("glm-5p3")));
  assert.match(results.find(({ value }) => value.endsWith("/glm-5p3")).description, /1,048,576 tokens/);
  assert.ok((await search.call(contextOf())).results.length > results.length);
  await assert.rejects(search.call(contextOf({}, { secrets: { apiKey: "fw_unknown" } })), /CREDENTIAL_REJECTED/);
  assert.deepEqual(await search.call(contextOf({}, { secrets: { apiKey: "" } })), { results: [] });
});

test("each property has what n8n asks for, in English and in Korean", () => {
  const english = new LmChatSparkler().description.properties;
  process.env.SPARKLER_FORM_LANGUAGE = "ko";
  const korean = new LmChatSparkler().description.properties;
  delete process.env.SPARKLER_FORM_LANGUAGE;
  const collections = english.filter(({ type }) => type === "collection");
  assert.deepEqual(collections.map(({ name }) => name), ["sampling", "answer", "reasoning", "tools", "prompt", "routing"]);
  assert.deepEqual(korean.map(({ name }) => name), english.map(({ name }) => name));
  const options = (properties) => properties.flatMap(({ options = [], type }) => (type === "collection" ? options : []));
  assert.ok(options(english).length > 20);
  const all = [...options(english), ...options(korean), ...new SparklerApi().properties];
  for (const { displayName, name, type, default: value, description } of all) {
    assert.ok(displayName && name && type && description && value !== undefined, name);
  }
  assert.ok(korean.every(({ displayName }) => /[가-힣]/.test(displayName)));
  const hidden = new SparklerApi().properties.filter(({ typeOptions }) => typeOptions?.password);
  assert.deepEqual(hidden.map(({ name }) => name), ["token", "apiKey"]);
});
