// The node in a folder that is laid out as Flowise's; tests/flowise has Flowise itself.
import assert from "node:assert/strict";
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { execFileSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { HumanMessage } from "@langchain/core/messages";
import { EMBEDDING, KEY, MODEL, SEEING, startWorld, until } from "../../testing/world.mjs";

const here = new URL("../", import.meta.url).pathname;
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "flowise-components-"));
const chat = join(folder, "dist/nodes/chatmodels");

let world;
before(async () => {
  mkdirSync(join(folder, "dist/nodes"), { recursive: true });
  mkdirSync(join(folder, "dist/src"));
  const helpers = `exports.getBaseClasses = ({ name }) => [name, "BaseChatModel"];
    exports.getCredentialData = async (id) => JSON.parse(id || "{}");`;
  writeFileSync(join(folder, "dist/src/utils.js"), helpers);
  symlinkSync(new URL("../../node_modules", import.meta.url).pathname, join(folder, "node_modules"));
  world = await startWorld();
  process.env.SPARKLER_WORKER = world.url;
});
afterEach(() => world.provider.reset());
after(async () => {
  rmSync(folder, { recursive: true });
  await world.stop();
});

const install = (...args) => execFileSync(join(here, "install.sh"), args, { encoding: "utf8", stdio: "pipe" });
const fresh = (path) => (delete require.cache[require.resolve(path)], require(path));
const nodeOf = () => new (fresh(join(chat, "ChatSparkler/ChatSparkler.js")).nodeClass)();
const embeddingsOf = () => new (fresh(join(folder, "dist/nodes/embeddings/SparklerEmbeddings/SparklerEmbeddings.js")).nodeClass)();
const data = (inputs, secrets = { fireworksApiKey: KEY }) => ({
  id: "chatSparkler_0",
  credential: JSON.stringify(secrets),
  inputs: { modelName: MODEL, ...inputs },
});
const sent = async () => (await world.provider.report()).requests.at(-1).body;

test("the script says where it laid the node, or what it did not find", () => {
  assert.match(install(folder), new RegExp(`${folder}/dist`));
  assert.throws(() => install("/nowhere"), /no flowise-components .* in \/nowhere/);
});

test("the form has the worker's fields, in English and in Korean", () => {
  const english = nodeOf();
  process.env.SPARKLER_FORM_LANGUAGE = "ko";
  const korean = nodeOf();
  delete process.env.SPARKLER_FORM_LANGUAGE;
  const field = (node, name) => node.inputs.find((input) => input.name === name);
  assert.deepEqual(english.inputs.map(({ name }) => name), korean.inputs.map(({ name }) => name));
  assert.deepEqual([field(english, "temperature").label, field(korean, "temperature").label], ["Temperature", "온도"]);
  assert.equal(field(english, "modelName").optional, false);
  assert.equal(field(english, "streaming").type, "boolean");
  assert.equal(field(english, "serviceTier").type, "string");
  assert.equal(field(english, "tools"), undefined);
  assert.deepEqual(field(korean, "answerCache").options.map(({ label }) => label), ["끔", "읽기와 쓰기", "읽기만", "새로 고침"]);
  for (const { label, description, name } of korean.inputs.slice(1)) {
    assert.ok(label && description, name);
  }
  assert.ok(english.baseClasses.includes("BaseChatModel"));
});

test("additional parameters are in groups, which a flow chooses", () => {
  const { inputs } = nodeOf();
  const chooser = inputs.find(({ name }) => name === "parameterGroups");
  const groups = chooser.options.map(({ name }) => name);
  assert.deepEqual(groups, ["worker", "sampling", "answer", "reasoning", "tools", "prompt", "routing"]);
  assert.deepEqual(JSON.parse(chooser.default), ["worker"]);
  const hidden = inputs.filter(({ additionalParams, name }) => additionalParams && name !== "parameterGroups");
  // In the order of the groups, so that a Flowise that draws all of them draws each in one piece.
  const drawn = hidden.map(({ show }) => groups.indexOf(show.parameterGroups[0]));
  assert.deepEqual(drawn, drawn.toSorted((one, other) => one - other));
  assert.deepEqual(new Set(drawn), new Set(groups.keys()));
  const groupOf = (name) => inputs.find((input) => input.name === name).show?.parameterGroups;
  assert.deepEqual([groupOf("topP"), groupOf("answerCache"), groupOf("modelName")], [["sampling"], ["worker"], undefined]);
});

test("the credential's models are offered, and the flow's own", async () => {
  const node = nodeOf();
  const { type, loadMethod, refresh } = node.inputs.find(({ name }) => name === "modelName");
  assert.deepEqual([type, refresh], ["asyncOptions", true]);
  const offered = await node.loadMethods[loadMethod](data({ modelName: "accounts/my-team/deployments/1" }), {});
  const find = (name) => offered.find((option) => option.name === name);
  assert.match(find("accounts/fireworks/models/glm-5p3").description, /^1,048,576 tokens · tools · .*\$.* per million tokens$/);
  assert.match(find("accounts/simulator/models/ending").description, /ends on \d{4}-\d\d-\d\d, then accounts/);
  assert.equal(offered.at(-1).name, "accounts/my-team/deployments/1");
  process.env.SPARKLER_FORM_LANGUAGE = "ko";
  const [korean] = await node.loadMethods[loadMethod](data({ modelName: "" }), {});
  delete process.env.SPARKLER_FORM_LANGUAGE;
  assert.match(korean.description, /토큰/);
});

test("without a list of models the form says why", async () => {
  const list = (secrets) => nodeOf().loadMethods.listModels(data({ modelName: "" }, secrets), {});
  assert.deepEqual(await list({}), [], "nobody pays yet");
  const [{ label, name }] = await list({ fireworksApiKey: "fw_unknown" });
  assert.match(label, /^CREDENTIAL_REJECTED: /);
  assert.equal(name, "");
});

test("a model that is not in the list can be named", async () => {
  const model = await nodeOf().init(data({ modelName: "", customModelName: SEEING }), "", {});
  await model.invoke("Hi");
  assert.equal((await sent()).model, SEEING);
});

test("what was typed into the form reaches the provider as what it means", async () => {
  const typed = { temperature: "0.2", maxTokens: "30", topP: "", stop: "END, STOP", logitBias: '{"7": 1}', seed: 4 };
  const model = await nodeOf().init(data(typed), "", {});
  await model.invoke("Say hello");
  const { temperature, max_tokens, top_p, stop, logit_bias, seed } = await sent();
  assert.deepEqual([temperature, max_tokens, top_p, seed], [0.2, 30, undefined, 4]);
  assert.deepEqual([stop, logit_bias], [["END", "STOP"], { 7: 1 }]);
});

test("a field with a wrong value is reported by name", async () => {
  const model = await nodeOf().init(data({ temperature: "warm" }), "", {});
  await assert.rejects(model.invoke("Hi"), /INVALID_NODE_CONFIG: .*config\.temperature/);
});

test("flow, run and node are in the worker's line", async () => {
  const options = { chatflowid: "flow-1", chatId: "chat-1", apiMessageId: "run-1", sessionId: "s", iterationContext: { index: 2 } };
  await (await nodeOf().init(data(), "", options)).invoke("Hi");
  const line = JSON.parse(await until(() => world.worker.log.findLast((one) => one.includes("flow-1"))));
  assert.deepEqual([line.flow_id, line.run_id, line.node_id], ["flow-1", "run-1", "chatSparkler_0"]);
});

test("the stop button stops the provider", async () => {
  await world.provider.script({ faults: [{ stall: { after_deltas: 2 } }] });
  const abortController = new AbortController();
  const model = await nodeOf().init(data(), "", { abortController });
  const ended = assert.rejects(model.invoke("Hi"), /abort/i);
  await world.provider.until(({ in_flight }) => in_flight === 1);
  abortController.abort();
  await ended;
  await world.provider.until(({ aborted }) => aborted === 1);
});

test("an answer comes from the worker's cache where the form says so", async () => {
  const model = await nodeOf().init(data({ answerCache: "readWrite", cacheMinutes: "5" }), "", {});
  for (const cache of ["miss", "hit"]) {
    assert.equal((await model.invoke("Remember")).response_metadata.sparkler.cache, cache);
  }
});

test("images reach the model where uploads are allowed", async () => {
  const model = await nodeOf().init(data({ modelName: SEEING, allowImageUploads: "true" }), "", {});
  assert.equal(model.multiModalOption.image.allowImageUploads, true);
  // Releases before 3 call these, for images and without.
  for (const name of ["setVisionModel", "revertToOriginalModel"]) assert.equal(model[name](), undefined);
  const url = "data:image/png;base64,iVBORw0KGgo=";
  await model.invoke([new HumanMessage({ content: [{ type: "text", text: "What?" }, { type: "image_url", image_url: { url } }] })]);
  assert.equal((await sent()).messages[0].content[1].image_url.url, url);
});

test("a credential may name another worker, which is not shown the operator's token", async () => {
  const file = join(folder, "token");
  writeFileSync(file, "the operator's");
  process.env.SPARKLER_WORKER_TOKEN_FILE = file;
  process.env.SPARKLER_WORKER = "http://127.0.0.1:1";
  const model = await nodeOf().init(data({}, { fireworksApiKey: KEY, sparklerUrl: world.url }), "", {});
  process.env.SPARKLER_WORKER = world.url;
  delete process.env.SPARKLER_WORKER_TOKEN_FILE;
  assert.ok((await model.invoke("Hi")).content);
});

test("a run that streams begins where its request did", async () => {
  const traces = new AsyncLocalStorage();
  const response = new EventEmitter();
  const seen = [];
  // As OpenTelemetry binds the listeners of a response.
  const request = traces.run("of the request", () => new AsyncResource("request"));
  const once = response.once.bind(response);
  response.once = (event, listener) => once(event, () => request.runInAsyncScope(listener));
  const sseStreamer = { clients: new Map([["chat-1", { response }]]) };
  const model = await nodeOf().init(data(), "", { chatId: "chat-1", sseStreamer });
  const scope = model.given().asyncScope;
  scope(() => seen.push(traces.getStore()));
  assert.deepEqual([...seen, traces.getStore()], ["of the request", undefined]);
  assert.ok((await model.invoke("Hi")).content);
  assert.equal((await nodeOf().init(data(), "", { chatId: "another", sseStreamer })).given().asyncScope, undefined);
});

test("texts are embedded, each of them paid for once", async () => {
  const typed = { modelName: EMBEDDING, dimensions: "8", batchSize: "2", answerCache: "readWrite" };
  const model = await embeddingsOf().init(data(typed), "", { chatflowid: "flow-2", chatId: "chat-2" });
  const [one, two, three] = await model.embedDocuments(["one", "two", "three"]);
  assert.deepEqual([one.length, await model.embedQuery("two")], [8, two]);
  assert.notDeepEqual(one, three);
  const { requests, texts } = await world.provider.report();
  // Which texts share a batch is not determined.
  assert.deepEqual([texts, requests.map(({ body }) => body.input.length).sort()], [3, [1, 2]]);
  assert.ok(await until(() => world.worker.log.findLast((line) => line.includes("flow-2"))));
});

test("the form of embeddings offers embedding models, and caches unless that is switched off", async () => {
  const node = embeddingsOf();
  assert.deepEqual([node.category, node.name], ["Embeddings", "sparklerEmbeddings"]);
  const names = ["modelName", "customModelName", "dimensions", "normalize", "promptTemplate", "batchSize"];
  assert.deepEqual(node.inputs.map(({ name }) => name), [...names, "answerCache", "cacheMinutes", "timeoutSeconds"]);
  assert.equal(node.inputs.find(({ name }) => name === "answerCache").default, "readWrite");
  const offered = await node.loadMethods.listModels(data({ modelName: "" }), {});
  assert.deepEqual([offered.some(({ name }) => name === EMBEDDING), offered.some(({ name }) => name === SEEING)], [true, false]);
});

test("without a worker the message says what to set", async () => {
  delete process.env.SPARKLER_WORKER;
  await assert.rejects(nodeOf().init(data(), "", {}), /SPARKLER_WORKER is not set/);
  process.env.SPARKLER_WORKER = world.url;
});

test("the stock nodes are replaced under their own names", async () => {
  assert.match(install("--replace", folder), /stock Fireworks nodes use it/);
  const stock = new (require(join(chat, "ChatFireworks/ChatFireworks.js")).nodeClass)();
  assert.deepEqual([stock.name, stock.type, stock.category], ["chatFireworks", "ChatFireworks", "Chat Models"]);
  assert.ok((await (await stock.init(data(), "", {})).invoke("Say hello")).content);
  const completion = new (require(join(folder, "dist/nodes/llms/Fireworks/Fireworks.js")).nodeClass)();
  assert.deepEqual([completion.name, completion.category], ["fireworks", "LLMs"]);
  assert.ok(await (await completion.init(data(), "", {})).invoke("Once upon a time"));
  assert.equal((await world.provider.report()).by_endpoint.completions, 1);
});

test("the credential has what it takes", () => {
  const credential = new (require(join(folder, "dist/credentials/SparklerWorker.credential.js")).credClass)();
  assert.equal(credential.name, "sparklerWorker");
  const hidden = credential.inputs.filter(({ type }) => type === "password").map(({ name }) => name);
  assert.deepEqual(hidden, ["fireworksApiKey", "sparklerToken"]);
});
