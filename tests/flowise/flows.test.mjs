// Flows whose models a worker executes, in a real Flowise.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { EMBEDDING, startSimulator, startWorker, until } from "../../clients/typescript/testing/world.mjs";
import { ask, startFlowise } from "./flowise.mjs";
import { agentNode, conversation, kitOf, llmChain, llmNode, retrieval, structuredNode, toolAgent } from "./flows.mjs";
import { startRedis } from "./redis.mjs";

const KEY = "fw_flowise";
const MODEL = { modelName: "accounts/fireworks/models/glm-5p3-flash", temperature: "0.2", streaming: true };
const REASONING = { ...MODEL, modelName: "accounts/simulator/models/reasoning" };
const PACE = ["--tokens-per-second", "200", "--first-token", "20ms"];
const SLOW = { faults: [{ slow_deltas: { delay: "200ms" } }] };
const CALCULATOR = "Please use calculator for 3*7";
/** A stop must be with the provider by then. */
const STOP_MS = 500;
/** Releases before 3 have chatflows only. */
const AGENTFLOWS = Number(process.env.FLOWISE_RELEASE.split(".")[0]) >= 3;
const ONLY_AGENTFLOWS = { skip: !AGENTFLOWS && "this release has no agentflows" };
const unique = (text) => `${text} ${randomUUID()}`;

let provider, worker;
before(async () => {
  provider = await startSimulator(PACE);
  worker = await startWorker(provider.baseUrl);
});
afterEach(() => provider.reset());
after(async () => {
  await worker.stop();
  await provider.stop();
});

const KINDS = {
  "Conversation Chain": [conversation, MODEL, () => unique("Why is the sky blue?")],
  "LLM Chain": [llmChain, MODEL, () => unique("Why is the sky blue?")],
  "Tool Agent": [toolAgent, MODEL, () => CALCULATOR],
  ...(AGENTFLOWS && {
    "Agentflow LLM": [llmNode, MODEL, () => unique("Why is the sky blue?")],
    "Agentflow Agent": [agentNode, MODEL, () => CALCULATOR],
  }),
};

function shared(mode, start) {
  let flowise, kit;
  const flows = {};
  before(async () => {
    flowise = await start();
    kit = await kitOf(flowise, KEY);
    for (const [name, [make, model]] of Object.entries(KINDS)) flows[name] = await make(kit, model);
  });
  after(() => flowise?.stop());

  for (const [name, [, , question]] of Object.entries(KINDS)) {
    test(`${mode}: ${name} answers, streamed and not`, async () => {
      const whole = await ask(flowise, flows[name], question());
      assert.equal(whole.status, 200, JSON.stringify(whole.body));
      assert.ok(whole.text.length > 10, JSON.stringify(whole.body));
      const streamed = await ask(flowise, flows[name], question(), { streaming: true });
      assert.equal(streamed.failure, undefined);
      assert.ok(streamed.text.length > 10 && streamed.events.filter(({ event }) => event === "token").length > 3);
      const tools = question() === CALCULATOR;
      const { completed } = await provider.report();
      assert.equal(completed, tools ? 4 : 2, "an agent asks twice: for the call, and after its result");
      await until(() => worker.log.some((line) => line.includes(`"flow_id":"${flows[name]}"`)));
    });

    test(`${mode}: stopping ${name} stops the provider`, async () => {
      for (const streaming of [false, true]) {
        await provider.reset();
        await provider.script(SLOW);
        const chatId = randomUUID();
        const asked = ask(flowise, flows[name], question(), { streaming, chatId }).catch(() => undefined);
        await provider.until(({ in_flight }) => in_flight === 1, 60_000);
        await new Promise((resolve) => setTimeout(resolve, 500));
        const begun = performance.now();
        await flowise.call("PUT", `/chatmessage/abort/${flows[name]}/${chatId}`);
        await provider.until(({ aborted }) => aborted === 1);
        const ms = performance.now() - begun;
        console.log(`# ${mode}, ${name}, streamed: ${streaming}: the provider is left after ${ms.toFixed()} ms`);
        assert.ok(ms < STOP_MS, `${ms} ms`);
        assert.equal((await provider.report()).completed, 0);
        await asked;
      }
    });
  }
  return { flowise: () => flowise, kit: () => kit, flows };
}

/** What the model's field offers, as the canvas asks for it. */
function modelsOf({ call }, credential) {
  const node = { name: "chatSparkler", loadMethod: "listModels", credential, inputs: {} };
  return call("POST", "/node-load-method/chatSparkler", node);
}

describe("Flowise", () => {
  const { flowise, kit, flows } = shared("alone", () => startFlowise({ worker: worker.url }));

  test("a structured answer has its fields", ONLY_AGENTFLOWS, async () => {
    const answer = { faults: [{ answer: { tool_calls: [{ name: "extract", arguments: ['{"city": "Paris", "people": 7}'] }] } }] };
    const flow = await structuredNode(kit(), MODEL);
    await provider.script(answer);
    const { body } = await ask(flowise(), flow, "Which city?");
    assert.match(JSON.stringify(body), /Paris/);
    const { text } = await ask(flowise(), flow, "Which city?", { streaming: true });
    assert.match(text, /Paris/);
  });

  test("the canvas offers the models of the credential, or says why not", async () => {
    const offered = await modelsOf(flowise(), kit().credential);
    const { description } = offered.find(({ name }) => name === MODEL.modelName);
    assert.match(description, /tokens/);
    const refused = await kitOf(flowise(), "fw_unknown");
    const [{ label }] = await modelsOf(flowise(), refused.credential);
    assert.match(label, /^CREDENTIAL_REJECTED/);
  });

  test("reasoning comes as thinking, before the text", ONLY_AGENTFLOWS, async () => {
    const flow = await llmNode(kit(), REASONING);
    const { events, text } = await ask(flowise(), flow, unique("Say hello"), { streaming: true });
    const kinds = events.map(({ event }) => event);
    assert.ok(kinds.includes("thinking"), [...new Set(kinds)].join());
    assert.ok(kinds.indexOf("thinking") < kinds.indexOf("token") && text.length > 10);
  });

  test("an image of the chat reaches the model", async () => {
    const flow = await conversation(kit(), { ...MODEL, allowImageUploads: true });
    const url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    const uploads = [{ type: "file", name: "dot.png", data: url, mime: "image/png" }];
    const { status, body } = await ask(flowise(), flow, "What is this?", { uploads });
    assert.equal(status, 200, JSON.stringify(body));
    const { content } = (await provider.report()).requests.at(-1).body.messages.at(-1);
    assert.match(content.find(({ type }) => type === "image_url").image_url.url, /^data:image\/png;base64,/);
  });

  test("tokens and cost are in an agentflow's data", ONLY_AGENTFLOWS, async () => {
    const { body } = await ask(flowise(), flows["Agentflow LLM"], unique("Say hello"));
    const { usageMetadata, responseMetadata } = body.agentFlowExecutedData.at(-1).data.output;
    assert.ok(usageMetadata.total_tokens > 0, JSON.stringify(usageMetadata));
    assert.equal(responseMetadata.sparkler.attempts, 1);
  });

  test("a repeated question comes from the cache", async () => {
    const flow = await llmChain(kit(), { ...MODEL, answerCache: "readWrite" });
    const question = unique("Remember this");
    const times = [];
    for (const streaming of [false, true, true]) times.push((await ask(flowise(), flow, question, { streaming })).ms);
    console.log(`# first ${times[0]} ms, then ${times.slice(1).join(" and ")} ms`);
    assert.equal((await provider.report()).calls, 1);
  });

  test("a flow that answers from a text pays for its vectors once", async () => {
    const texts = ["The harbour opens at dawn.", "The lighthouse is closed in winter."];
    const flow = await retrieval(kit(), MODEL, { modelName: EMBEDDING, dimensions: "16" }, texts.join("\n\n"));
    const counts = [];
    for (const question of ["When does the harbour open?", "When does the harbour open?", "And the lighthouse?"]) {
      const { status, body } = await ask(flowise(), flow, question);
      assert.equal(status, 200, JSON.stringify(body));
      counts.push((await provider.report()).texts);
    }
    const [first] = counts;
    assert.deepEqual(counts, [first, first, first + 1], "a question that was asked and the flow's text are known");
    const { messages } = (await provider.report()).requests.findLast(({ body }) => body.messages).body;
    assert.match(JSON.stringify(messages), /harbour opens at dawn/);
  });

  test("five equal flows at once are one call", async () => {
    const flow = await llmChain(kit(), { ...MODEL, answerCache: "readWrite" });
    await provider.script({ faults: [{ slow_first_token: { delay: "2s" } }] });
    const question = unique("All together");
    const asked = Array.from({ length: 5 }, () => ask(flowise(), flow, question, { streaming: true }));
    const texts = new Set((await Promise.all(asked)).map(({ text }) => text));
    assert.equal(texts.size, 1);
    assert.equal((await provider.report()).calls, 1);
  });

  test("a refused key and a missing model say so in words", async () => {
    const refused = await kitOf(flowise(), "fw_unknown");
    const failures = {
      CREDENTIAL_REJECTED: await conversation(refused, MODEL),
      MODEL_NOT_FOUND: await conversation(kit(), { ...MODEL, modelName: "accounts/fireworks/models/no-such-model" }),
      "config.temperature": await llmChain(kit(), { ...MODEL, temperature: "warm" }),
    };
    for (const [said, flow] of Object.entries(failures)) {
      const { status, body } = await ask(flowise(), flow, "Hi");
      assert.equal(status, 500);
      assert.ok(body.message.includes(said), body.message);
      const streamed = await ask(flowise(), flow, "Hi", { streaming: true });
      assert.ok(streamed.failure.includes(said), streamed.failure);
    }
  });

  test("a worker killed midway says so, and another goes on", async () => {
    await provider.script(SLOW);
    const asked = ask(flowise(), flows["Conversation Chain"], unique("Midway"), { streaming: true });
    await provider.until(({ in_flight }) => in_flight === 1);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await worker.stop();
    assert.match((await asked).failure, /CONNECTION_LOST/);
    const { body } = await ask(flowise(), flows["LLM Chain"], "Anybody?");
    assert.match(body.message, /WORKER_UNREACHABLE: no worker answers at http:/);
    await provider.reset();
    worker = await startWorker(provider.baseUrl, { listen: worker.address });
    assert.equal((await ask(flowise(), flows["LLM Chain"], "Anybody?")).status, 200);
  });
});

describe("Flowise with a queue", () => {
  let redis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis?.stop());
  shared("in a queue", () => startFlowise({ worker: worker.url, redis: redis.url }));
});

describe("Flowise with the stock nodes replaced", () => {
  let flowise, kit;
  before(async () => {
    const components = `${process.env.FLOWISE_APP}/node_modules/flowise-components`;
    const install = new URL("../../clients/typescript/flowise/install.sh", import.meta.url).pathname;
    const stock = ["nodes/chatmodels/ChatFireworks/ChatFireworks.js", "nodes/llms/Fireworks/Fireworks.js"];
    execFileSync("tar", ["cf", "stock.tar", ...stock], { cwd: `${components}/dist` });
    execFileSync(install, ["--replace", components]);
    flowise = await startFlowise({ worker: worker.url });
    kit = await kitOf(flowise, KEY);
  });
  after(async () => {
    const components = `${process.env.FLOWISE_APP}/node_modules/flowise-components`;
    execFileSync("tar", ["xf", "stock.tar"], { cwd: `${components}/dist` });
    await flowise?.stop();
  });

  test("flows of the stock chat node use the worker, unedited", async () => {
    // The fields of the stock node, and nothing of the worker's.
    const stock = { node: "chatFireworks", modelName: MODEL.modelName, temperature: 0.9, streaming: true, cache: "" };
    for (const make of AGENTFLOWS ? [conversation, llmNode] : [conversation]) {
      const flow = await make(kit, stock);
      const { status, text } = await ask(flowise, flow, unique("Say hello"));
      assert.ok(status === 200 && text.length > 10);
      await until(() => worker.log.some((line) => line.includes(`"flow_id":"${flow}"`)));
    }
  });

  test("so do those of the stock completion node", async () => {
    const flow = await llmChain(kit, { node: "fireworks", modelName: MODEL.modelName });
    const { status, body } = await ask(flowise, flow, unique("Once upon a time"));
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal((await provider.report()).by_endpoint.completions, 1);
  });
});
