import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { inspect } from "node:util";
import { SparklerEmbeddings } from "langchain-sparkler";
import { Sparkler } from "sparkler-client";
import { EMBEDDING as MODEL, KEY, startWorld } from "../../testing/world.mjs";

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

const model = (fields = {}) => new SparklerEmbeddings({ sparkler, model: MODEL, apiKey: KEY, ...fields });
const seen = async () => (await world.provider.report()).texts;

test("texts become vectors, in their order", async () => {
  const vectors = await model().embedDocuments(["rivers", "lakes", "rivers"]);
  assert.deepEqual(vectors.map(({ length }) => length), [64, 64, 64]);
  assert.deepEqual(vectors[0], vectors[2]);
  assert.notDeepEqual(vectors[0], vectors[1]);
  assert.deepEqual(await model().embedQuery("lakes"), vectors[1]);
  assert.deepEqual(await model().embedDocuments([]), []);
});

test("what is known is not paid again", async () => {
  await model().embedDocuments(["one", "two", "three"]);
  assert.equal(await seen(), 3);
  await model().embedDocuments(["two", "four", "one"]);
  assert.equal(await seen(), 4);
  await model({ answerCache: "off" }).embedDocuments(["two"]);
  assert.equal(await seen(), 5);
});

test("every field reaches the provider", async () => {
  const fields = { dimensions: 8, normalize: true, promptTemplate: "doc: {text}", queryTemplate: "query: {text}", batchSize: 2 };
  const [vector] = await model(fields).embedDocuments(["five", "six", "seven"]);
  assert.equal(vector.length, 8);
  assert.ok(Math.abs(vector.reduce((sum, number) => sum + number ** 2, 0) - 1) < 1e-5);
  await model(fields).embedQuery("five");
  const bodies = (await world.provider.report()).requests.map(({ body }) => body);
  // The batches of a call are requested at the same time.
  assert.deepEqual(bodies.map(({ input }) => input.length).sort(), [1, 1, 2]);
  assert.deepEqual(bodies.map(({ prompt_template }) => prompt_template), ["doc: {text}", "doc: {text}", "query: {text}"]);
});

test("many texts are several executions", async () => {
  const texts = Array.from({ length: 2500 }, (_, number) => `text ${number % 1500}`);
  const vectors = await model({ dimensions: 2 }).embedDocuments(texts);
  assert.equal(vectors.length, 2500);
  assert.deepEqual(vectors.slice(0, 1000), vectors.slice(1500));
  assert.equal(await seen(), 1500);
});

test("a failure begins with its reason, and shows no secret", async () => {
  await assert.rejects(model({ dimensions: 0 }).embedQuery("x"), /INVALID_NODE_CONFIG/);
  assert.ok(!inspect(model(), { depth: 9 }).includes(KEY));
  assert.ok(!JSON.stringify(model()).includes(KEY));
});
