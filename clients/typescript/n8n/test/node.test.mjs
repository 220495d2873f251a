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
  const options = { temperature: 0, maxTokens: 30, stop: "END, STOP", logitBias: '{"7": 1}' };
  const { content } = await (await modelOf({ options })).invoke("Say hello");
  assert.match(content, /Say hello/);
  const { temperature, max_tokens, stop, logit_bias } = await sent();
  assert.deepEqual([temperature, max_tokens, stop, logit_bias], [0, 30, ["END", "STOP"], { 7: 1 }]);
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

test("each property has what n8n asks for", () => {
  const { properties } = new LmChatSparkler().description;
  const { options } = properties.find(({ name }) => name === "options");
  assert.ok(options.length > 20);
  for (const { displayName, name, type, default: value, description } of [...options, ...new SparklerApi().properties]) {
    assert.ok(displayName && name && type && description && value !== undefined, name);
  }
  const hidden = new SparklerApi().properties.filter(({ typeOptions }) => typeOptions?.password);
  assert.deepEqual(hidden.map(({ name }) => name), ["token", "apiKey"]);
});
