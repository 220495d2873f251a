import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Sparkler } from "sparkler-client";
import { KEY, startWorld } from "../../testing/world.mjs";

let world, sparkler;
before(async () => {
  world = await startWorld();
  const defaults = { model: "accounts/simulator/models/embedding", credential: { apiKey: KEY } };
  sparkler = new Sparkler({ url: world.url, defaults });
});
after(async () => {
  sparkler.close();
  await world.stop();
});

test("texts become vectors, in their order", async () => {
  const run = sparkler.execute({ texts: ["one", "two", "one"], config: { normalize: true } });
  const { embeddings, choices, usage } = await run.answer();
  const { dimensions, vectors, ...counts } = embeddings;
  assert.deepEqual([dimensions, vectors.length, vectors[0].length], [64, 3, 64]);
  assert.deepEqual(vectors[0], vectors[2]);
  assert.notDeepEqual(vectors[0], vectors[1]);
  assert.ok(vectors[1] instanceof Float32Array);
  assert.ok(Math.abs(vectors[1].reduce((sum, number) => sum + number ** 2, 0) - 1) < 1e-5);
  assert.deepEqual(counts, { cached: 0, joined: 0, executed: 2, repeated: 1, tokensEstimated: false });
  assert.deepEqual([choices, usage.promptTokens], [[], 2]);
});

test("a known text is not paid again", async () => {
  await sparkler.execute({ texts: ["three", "four"], cache: "readWrite" }).answer();
  const { embeddings } = await sparkler.execute({ texts: ["four", "five"], cache: "readWrite" }).answer();
  assert.deepEqual([embeddings.cached, embeddings.executed], [1, 1]);
});
