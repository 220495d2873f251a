import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Sparkler } from "sparkler-client";
import { KEY, startWorld } from "../../testing/world.mjs";

let world, sparkler;
before(async () => {
  world = await startWorld();
  sparkler = new Sparkler({ url: world.url, defaults: { credential: { apiKey: KEY } } });
});
after(async () => {
  sparkler.close();
  await world.stop();
});

test("the models of a credential have what the provider states", async () => {
  const models = await sparkler.models();
  const find = (name) => models.find((model) => model.name === name);
  const { contextLength, chat, images, reasoning, endOfLife, prices } = find("accounts/fireworks/models/glm-5p3");
  assert.deepEqual([contextLength, chat, images], [1_048_576, true, false]);
  assert.deepEqual([reasoning, endOfLife], [undefined, undefined], "what is not stated is absent");
  const { tier, inputUsd, cachedInputUsd, outputUsd, priceDate } = prices[0];
  assert.equal(tier, "default");
  assert.ok(0 < cachedInputUsd && cachedInputUsd < inputUsd && inputUsd < outputUsd && outputUsd < 100);
  assert.match(priceDate, /^\d{4}-\d\d-\d\d$/);
  const ending = find("accounts/simulator/models/ending");
  assert.match(ending.endOfLife, /^\d{4}-\d\d-\d\d$/);
  assert.deepEqual([ending.successor, ending.prices], ["accounts/simulator/models/plain", []]);
});

test("the pages of a list are one", async () => {
  assert.deepEqual(await sparkler.models({ pageSize: 3 }), await sparkler.models());
});

test("a list for a refused key says so", async () => {
  await assert.rejects(sparkler.models({ credential: { apiKey: "fw_unknown" } }), { reason: "CREDENTIAL_REJECTED" });
});
