import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Sparkler } from "sparkler-client";
import { KEY, MODEL, SEEING, startWorld } from "../../testing/world.mjs";

let world, sparkler;
before(async () => {
  world = await startWorld();
  sparkler = new Sparkler({ url: world.url, defaults: { model: MODEL, credential: { apiKey: KEY } } });
});
afterEach(() => world.provider.reset());
after(async () => {
  sparkler.close();
  await world.stop();
});

const sent = async () => (await world.provider.report()).requests.at(-1).body;

const WEATHER = {
  type: "function",
  function: {
    name: "weather",
    parameters: { type: "object", required: ["when", "city"], properties: { when: { type: "string" }, city: { type: "string" } } },
  },
};

test("the keys of a tool reach the model in their order", async () => {
  await sparkler.execute({ prompt: "Hi", tools: [WEATHER], toolChoice: "required" }).answer();
  const { tools, tool_choice } = await sent();
  assert.equal(JSON.stringify(tools[0].function.parameters), JSON.stringify(WEATHER.function.parameters));
  assert.equal(tool_choice, "required");
});

test("fragments of one call are one in each delta, and whole in the answer", async () => {
  const pieces = ['{"city"', ":", '"Paris"', "}"];
  const call = { name: "weather", arguments: pieces };
  await world.provider.script({ faults: [{ answer: { tool_calls: [call, { ...call, name: "other" }] } }] });
  const run = sparkler.execute({ prompt: "Hi", tools: [WEATHER] });
  const joined = new Map();
  for await (const event of run) {
    if (event.type !== "delta") continue;
    const indices = event.toolCalls.map(({ index }) => index);
    assert.equal(new Set(indices).size, indices.length);
    for (const { index, arguments: more } of event.toolCalls) joined.set(index, (joined.get(index) ?? "") + more);
  }
  assert.deepEqual([...joined.values()], [pieces.join(""), pieces.join("")]);
  const { toolCalls, finishReason } = await run.answer();
  assert.deepEqual(toolCalls.map(({ name, arguments: text }) => [name, text]), [["weather", pieces.join("")], ["other", pieces.join("")]]);
  assert.equal(finishReason, "tool_calls");
});

test("a conversation goes with its tool calls, results and images", async () => {
  const url = "data:image/png;base64,iVBORw0KGgo=";
  await sparkler
    .execute({
      model: SEEING,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "What is this?" }, { type: "image", url, detail: "low" }] },
        { role: "assistant", toolCalls: [{ id: "1", name: "weather", arguments: "{}" }], reasoning: "Let me see." },
        { role: "tool", content: "sunny", toolCallId: "1" },
      ],
    })
    .answer();
  const [system, user, assistant, tool] = (await sent()).messages;
  assert.deepEqual(system, { role: "system", content: "Be brief." });
  assert.deepEqual(user.content[1], { type: "image_url", image_url: { url, detail: "low" } });
  assert.equal(assistant.tool_calls[0].function.name, "weather");
  assert.equal(assistant.reasoning_content, "Let me see.");
  assert.deepEqual(tool, { role: "tool", content: "sunny", tool_call_id: "1" });
});

test("JSON that was asked for is checked, kept verbatim and parsed", async () => {
  const text = '{"city": "Paris", "people": 12345678901234567890}';
  await world.provider.script({ faults: [{ answer: { deltas: [text] } }] });
  const json = { type: "object", required: ["city"], properties: { city: { type: "string" } } };
  const answer = await sparkler.execute({ prompt: "Hi", output: { json } }).answer();
  assert.equal(answer.jsonText, text);
  assert.equal(answer.json.city, "Paris");
});

test("JSON of another form is a failure that has the text", async () => {
  await world.provider.script({ faults: [{ answer: { deltas: ['{"town": 1}'] } }] });
  const json = { type: "object", required: ["city"] };
  await assert.rejects(sparkler.execute({ prompt: "Hi", output: { json } }).answer(), (failure) => {
    assert.equal(failure.reason, "OUTPUT_SCHEMA_MISMATCH");
    assert.equal(failure.spent.text, '{"town": 1}');
    return true;
  });
});

test("reasoning stays apart from the text", async () => {
  const { text, reasoning, usage } = await sparkler.execute({ prompt: "Say hello", model: "accounts/simulator/models/reasoning" }).answer();
  assert.ok(reasoning.length > 0 && !text.includes(reasoning));
  assert.ok(usage.reasoningTokens > 0);
});

test("a node is checked before it runs", async () => {
  const findings = await sparkler.check({ config: { temprature: 1 } });
  const [config] = findings;
  assert.deepEqual(findings.map(({ subject }) => subject), ["config", "credential", "model"]);
  assert.deepEqual([config.verdict, config.reason], ["no", "INVALID_NODE_CONFIG"]);
  assert.match(config.violations[0].description, /temperature/);
});

test("the node types are there to draw forms from", async () => {
  const types = await sparkler.nodeTypes();
  assert.deepEqual(types.map(({ name }) => name), ["chatFireworks", "fireworks", "fireworksEmbeddings"]);
  const temperature = types[0].fields.find(({ name }) => name === "temperature");
  assert.equal(temperature.defaultValue, 0.9);
  assert.equal(temperature.maximum, 2);
  assert.ok(temperature.label.ko && temperature.help.en);
});
