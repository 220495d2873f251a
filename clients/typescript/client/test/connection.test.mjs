// Runs whose worker ends the connection: it grew old, or the worker stops.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Sparkler } from "sparkler-client";
import { KEY, MODEL, startSimulator, startWorker } from "../../testing/world.mjs";

const WORDS = Array.from({ length: 60 }, (_, number) => `word${number + 1} `);
const WHOLE = WORDS.join("");
const SLOW = { faults: [{ answer: { deltas: WORDS } }, { slow_deltas: { delay: "30ms" } }] };
const STOPS_AT_ONCE = ["--pre-drain-delay", "0s", "--drain-limit", "0s"];

let provider, worker, sparkler;
before(async () => {
  provider = await startSimulator(["--first-token", "5ms", "--tokens-per-second", "0"]);
});
afterEach(async () => {
  sparkler.close();
  await worker.stop();
  await provider.reset();
});
after(() => provider.stop());

async function start(flags) {
  worker = await startWorker(provider.baseUrl, { flags });
  sparkler = new Sparkler({ url: worker.url, defaults: { model: MODEL, credential: { apiKey: KEY } } });
}

/** Ends the worker as Kubernetes does, and starts another at its address. */
async function replace() {
  const { address } = worker;
  await worker.stop("SIGTERM");
  worker = await startWorker(provider.baseUrl, { listen: address });
}

for (const grace of ["0s", "200ms"]) {
  test(`a run outlives connections that reach their age, with a grace of ${grace}`, async () => {
    await start(["--max-connection-age", "400ms", "--max-connection-age-grace", grace]);
    await provider.script(SLOW);
    let text = "";
    let begins = 0;
    for await (const event of sparkler.execute({ prompt: "Count" })) {
      if (event.type === "started") begins += 1;
      if (event.type === "delta") text += event.text;
    }
    assert.equal(text, WHOLE);
    assert.ok(begins > 1, `${begins} connections`);
    assert.equal((await provider.report()).calls, 1);
  });
}

test("a run that showed nothing begins again on the next worker", async () => {
  await start(STOPS_AT_ONCE);
  await provider.script({ faults: [{ stall: { after_deltas: 0 } }], times: 1 });
  const answer = sparkler.execute({ prompt: "Hi" }).answer();
  await provider.until(({ calls }) => calls === 1);
  await replace();
  assert.match((await answer).text, /Hi/);
  assert.equal((await provider.report()).calls, 2);
});

test("a run that showed text ends with the worker's reason", async () => {
  await start(STOPS_AT_ONCE);
  await provider.script({ faults: [{ answer: { deltas: WORDS } }, { stall: { after_deltas: 3 } }] });
  const run = sparkler.execute({ prompt: "Hi" });
  const text = run.text();
  await text.next();
  const rest = (async () => {
    for await (const _ of text);
  })();
  await Promise.all([assert.rejects(rest, { reason: "WORKER_DRAINING", retryable: true }), replace()]);
});
