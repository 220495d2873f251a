// The AI SDK's Fireworks provider, against the simulator. Run with the
// simulator's origin, such as http://127.0.0.1:8080, as argument.

import assert from "node:assert/strict";
import { createFireworks } from "@ai-sdk/fireworks";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const origin = process.argv[2];
const fireworks = createFireworks({ apiKey: "fw_test", baseURL: `${origin}/inference/v1` });
const model = (name) => fireworks(`accounts/simulator/models/${name}`);
const person = z.object({ name: z.string(), age: z.number().int() });
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

const checks = {
  async wholeAndStreamed() {
    for (const name of ["plain", "reasoning", "silent-usage"]) {
      const asked = { model: model(name), prompt: "Say hello", maxRetries: 0 };
      const whole = await generateText(asked);
      assert.match(whole.text, /Say hello/);
      assert.equal(whole.finishReason, "stop");
      assert.equal(Boolean(whole.reasoningText), name === "reasoning");
      const streamed = streamText(asked);
      assert.equal(await streamed.text, whole.text);
      assert.equal(await streamed.reasoningText, whole.reasoningText);
      if (name !== "silent-usage") {
        assert.equal((await streamed.usage).outputTokens, whole.usage.outputTokens);
      }
    }
  },

  async tools() {
    const asked = {
      model: model("plain"),
      prompt: "What is the weather outside?",
      tools: { weather },
      stopWhen: stepCountIs(2),
      maxRetries: 0,
    };
    const whole = await generateText(asked);
    assert.equal(whole.steps[0].finishReason, "tool-calls");
    assert.equal(whole.steps[0].toolCalls[0].toolName, "weather");
    assert.ok(whole.steps[0].toolCalls[0].input.city);
    assert.ok(whole.text);
    const steps = await streamText(asked).steps;
    assert.deepEqual(steps[0].toolCalls[0].input, whole.steps[0].toolCalls[0].input);
    assert.equal(steps[1].text, whole.text);
  },

  async structured() {
    const asked = { model: model("plain"), prompt: "Who is it?", schema: person, maxRetries: 0 };
    const whole = await generateObject(asked);
    assert.equal(typeof whole.object.name, "string");
    const streamed = streamObject(asked);
    // Its promises settle only if somebody reads the stream.
    for await (const _partial of streamed.partialObjectStream);
    assert.deepEqual(await streamed.object, whole.object);
  },

  async completions() {
    const completion = fireworks.completionModel("accounts/simulator/models/plain");
    const asked = { model: completion, prompt: "Once upon a time", maxRetries: 0 };
    const whole = await generateText(asked);
    assert.ok(whole.text);
    assert.equal(await streamText(asked).text, whole.text);
  },

  async errors() {
    const ask = (more) =>
      generateText({ model: model("plain"), prompt: "Hi", maxRetries: 0, ...more });
    await assert.rejects(ask({ model: fireworks("nope") }), { statusCode: 404 });
    const limited = ask({ prompt: "please be rate limited" });
    await assert.rejects(limited, { statusCode: 429, isRetryable: true });
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
