import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Sparkler } from "sparkler-client";
import { KEY, MODEL, startWorld, until } from "../../testing/world.mjs";

const WORDS = Array.from({ length: 100 }, (_, number) => `word${number + 1} `);
const WHOLE = WORDS.join("");
const words = (...faults) => ({ faults: [{ answer: { deltas: WORDS } }, ...faults] });
const SLOW = { slow_deltas: { delay: "20ms" } };
const HELLO = { prompt: "Say hello" };

let world, sparkler;
before(async () => {
  world = await startWorld({ flags: ["--prefix-affinity", "on"] });
  sparkler = client();
});
afterEach(() => world.provider.reset());
after(async () => {
  sparkler.close();
  await world.stop();
});

function client(defaults = {}) {
  return new Sparkler({ url: world.url, defaults: { model: MODEL, credential: { apiKey: KEY }, ...defaults } });
}

test("events come in order and end in the answer", async () => {
  await world.provider.script(words(SLOW));
  const types = [];
  let text = "";
  let last = -1n;
  for await (const event of sparkler.execute(HELLO)) {
    if (types.at(-1) !== event.type) types.push(event.type);
    if (event.type === "delta") text += event.text;
    assert.ok(event.sequence >= last, `${event.sequence} after ${last}`);
    last = event.sequence;
    if (event.type === "completed") assert.equal(event.answer.text, text);
  }
  assert.deepEqual(types, ["started", "delta", "completed"]);
  assert.equal(text, WHOLE);
});

test("an answer has numbers for tokens and dollars for money", async () => {
  const run = sparkler.execute({ ...HELLO, model: "accounts/fireworks/models/glm-5p3" });
  const { text, finishReason, usage, cost, cache, attempts, timing } = await run.answer();
  assert.match(text, /Say hello/);
  assert.equal(finishReason, "stop");
  assert.equal(usage.totalTokens, usage.promptTokens + usage.completionTokens);
  assert.ok(cost.spentUsd > 0 && cost.spentUsd < 0.01, `${cost.spentUsd}`);
  assert.deepEqual([cache.status, cache.stored, attempts], ["disabled", false, 1]);
  assert.ok(timing.totalMs >= timing.firstTokenMs);
  assert.deepEqual([cost.tier, cost.tierUnpriced], ["default", false]);
});

test("an answer names the message at which its prompt departs from the session's last", async () => {
  const ask = (...contents) => {
    const messages = contents.map((content) => ({ role: "user", content }));
    return sparkler.execute({ messages, context: { sessionId: "prefix" } }).answer();
  };
  assert.equal((await ask("Hello", "there")).promptPrefix, undefined);
  const changed = { previousMessages: 2, firstChangedMessage: 1, toolsChanged: false };
  assert.deepEqual((await ask("Hello", "again", "there")).promptPrefix, changed);
  const longer = { previousMessages: 3, firstChangedMessage: undefined, toolsChanged: false };
  assert.deepEqual((await ask("Hello", "again", "there", "friend")).promptPrefix, longer);
});

test("text comes as text, and the answer after it", async () => {
  const run = sparkler.execute(HELLO);
  let text = "";
  for await (const piece of run.text()) text += piece;
  const answer = await run.answer();
  assert.equal(answer.text, text);
  assert.equal((await world.provider.report()).calls, 1);
});

test("an answer asked for during the iteration is the same one", async () => {
  const run = sparkler.execute(HELLO);
  const events = run[Symbol.asyncIterator]();
  await events.next();
  const answer = run.answer();
  for await (const _ of events);
  assert.match((await answer).text, /Say hello/);
});

test("a run is read once", async () => {
  const run = sparkler.execute(HELLO);
  await run.answer();
  await assert.rejects(async () => {
    for await (const _ of run);
  }, /read once/);
});

test("a cut stream is retried where nothing was shown", async () => {
  await world.provider.script({ ...words({ cut: { after_deltas: 5 } }), times: 1 }, words());
  const { text, attempts } = await sparkler.execute(HELLO).answer();
  assert.deepEqual([text, attempts], [WHOLE, 2]);
});

test("a cut stream that was shown is a failure", async () => {
  await world.provider.script(words({ cut: { after_deltas: 5 } }));
  const run = sparkler.execute(HELLO);
  await assert.rejects(async () => {
    for await (const _ of run.text());
  }, { reason: "STREAM_INTERRUPTED", retryable: true });
  await assert.rejects(run.answer(), { reason: "STREAM_INTERRUPTED" });
});

test("text cannot be promised of a run that may start again", async () => {
  const run = sparkler.execute({ ...HELLO, limits: { allowRestart: true } });
  await assert.rejects(run.text().next(), /allowRestart/);
});

test("an allowed restart voids what came before", async () => {
  await world.provider.script({ ...words({ cut: { after_deltas: 5 } }), times: 1 }, words());
  let text = "";
  for await (const event of sparkler.execute({ ...HELLO, limits: { allowRestart: true } })) {
    if (event.type === "restarted") {
      assert.equal(event.attempt, 2);
      text = "";
    }
    if (event.type === "delta") text += event.text;
  }
  assert.equal(text, WHOLE);
});

for (const [how, leave] of Object.entries({
  "leaving the loop": () => true,
  "cancel()": (run) => run.cancel(),
  "the signal": (_, control) => control.abort(),
  "leaving the scope": (run) => void run[Symbol.asyncDispose](),
})) {
  test(`${how} stops the provider`, async () => {
    await world.provider.script(words({ stall: { after_deltas: 3 } }));
    const control = new AbortController();
    const run = sparkler.execute(HELLO, { signal: control.signal });
    const reading = (async () => {
      for await (const event of run) if (event.type === "delta" && leave(run, control)) return;
    })();
    if (how === "leaving the loop") await reading;
    else await assert.rejects(reading, { reason: "CALL_CANCELLED", retryable: false });
    await assert.rejects(run.answer(), { reason: "CALL_CANCELLED" });
    await world.provider.until(({ aborted }) => aborted === 1);
  });
}

test("a run cancelled before it began calls nobody", async () => {
  const run = sparkler.execute(HELLO);
  run.cancel();
  await assert.rejects(run.answer(), { reason: "CALL_CANCELLED" });
  assert.equal((await world.provider.report()).calls, 0);
});

test("an aborted signal is the cause, and calls nobody", async () => {
  const signal = AbortSignal.abort(new Error("the flow was stopped"));
  const failure = await sparkler.execute(HELLO, { signal }).answer().catch((error) => error);
  assert.equal(failure.cause?.message, "the flow was stopped");
  assert.equal((await world.provider.report()).calls, 0);
});

test("what one client began another one ends", async () => {
  await world.provider.script(words(SLOW));
  const limits = { onCancel: "drain" };
  const left = sparkler.execute({ ...HELLO, limits });
  let text = "";
  for await (const piece of left.text()) {
    text += piece;
    break;
  }
  const other = client();
  const run = other.attach({ token: left.token, after: left.lastSequence });
  for await (const piece of run.text()) text += piece;
  assert.equal(text, WHOLE);
  assert.equal((await run.answer()).text, WHOLE);
  assert.equal((await world.provider.report()).calls, 1);
  other.close();
});

test("a key that comes again is not paid again", async () => {
  const request = { ...HELLO, idempotencyKey: "run-1/answer" };
  const [first, second] = [await sparkler.execute(request).answer(), await sparkler.execute(request).answer()];
  assert.equal(second.text, first.text);
  assert.equal(second.cache.status, "hit");
  assert.equal((await world.provider.report()).calls, 1);
  await assert.rejects(sparkler.execute({ ...request, prompt: "Other" }).answer(), { reason: "IDEMPOTENCY_MISMATCH" });
});

test("defaults hold for every call, and a call's own count more", async () => {
  const cached = client({ cache: { mode: "readWrite", ttlMs: 60_000 }, context: { flowId: "f" } });
  const once = { prompt: "Remember this", context: { nodeId: "n" } };
  assert.equal((await cached.execute(once).answer()).cache.status, "miss");
  assert.equal((await cached.execute(once).answer()).cache.status, "hit");
  assert.equal((await cached.execute({ ...once, cache: "off" }).answer()).cache.status, "disabled");
  const both = (line) => line.includes('"flow_id":"f"') && line.includes('"node_id":"n"');
  await until(() => world.worker.log.filter(both).length === 3);
  cached.close();
});

test("a word that a policy does not know is refused", () => {
  assert.throws(() => sparkler.execute({ ...HELLO, cache: "readwrite" }), /readWrite/);
  assert.throws(() => sparkler.execute({ ...HELLO, limits: { onCancel: "toString" } }), /abort, drain/);
});
