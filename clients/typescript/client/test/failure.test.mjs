import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { Sparkler, SparklerError, WORKER_REASONS } from "sparkler-client";
import { KEY, MODEL, startWorld } from "../../testing/world.mjs";

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

const failureOf = async (request, options, by = sparkler) => {
  const failure = await by.execute({ prompt: "Hi", ...request }, options).answer().then(() => undefined, (error) => error);
  assert.ok(failure instanceof SparklerError, `${failure}`);
  return failure;
};

test("every wrong field is named", async () => {
  const { status, reason, retryable, violations, spent } = await failureOf({ config: { temprature: 1, topP: 7 } });
  assert.deepEqual([status, reason, retryable, spent], ["INVALID_ARGUMENT", "INVALID_NODE_CONFIG", false, undefined]);
  assert.deepEqual(violations.map(({ field }) => field).sort(), ["config.temprature", "config.topP"]);
});

test("a refused key is the provider's word, after one attempt", async () => {
  const { reason, domain, retryable, spent } = await failureOf({ credential: { apiKey: "fw_unknown" } });
  assert.deepEqual([reason, domain, retryable, spent.attempts], ["CREDENTIAL_REJECTED", "fireworks.ai", false, 1]);
});

test("a failure says how long to wait", async () => {
  await world.provider.script({ faults: [{ refuse: { status: 429, headers: { "retry-after": "7" } } }] });
  const { reason, retryable, retryAfterMs } = await failureOf({ credential: { apiKey: "fw_limited" }, limits: { maxAttempts: 1 } });
  assert.deepEqual([reason, retryable], ["PROVIDER_RATE_LIMITED", true]);
  assert.ok(retryAfterMs > 0 && retryAfterMs <= 7000, `${retryAfterMs}`);
});

test("a limit that ends an execution reports what was used", async () => {
  await world.provider.script({ faults: [{ stall: { after_deltas: 1 } }] });
  const { reason, retryable, spent } = await failureOf({ limits: { totalMs: 100 } });
  assert.deepEqual([reason, retryable, spent.attempts], ["TOTAL_TIMEOUT", true, 1]);
  assert.ok(spent.timing.totalMs >= 100);
});

test("a timeout of the call names itself", async () => {
  await world.provider.script({ faults: [{ stall: { after_deltas: 1 } }] });
  const failure = await failureOf({}, { timeoutMs: 200 });
  assert.ok(["CALL_TIMEOUT", "TOTAL_TIMEOUT"].includes(failure.reason), failure.reason);
  assert.match(failure.message, /200 ms|total/);
});

test("where nobody answers, the address is named", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  await new Promise((resolve) => server.close(resolve));
  const nobody = new Sparkler({ url, defaults: { model: MODEL } });
  const { reason, domain, retryable, message } = await failureOf({}, {}, nobody);
  assert.deepEqual([reason, domain, retryable], ["WORKER_UNREACHABLE", "client", true]);
  assert.ok(message.includes(url) && message.includes("ECONNREFUSED") && !message.includes("round_robin"), message);
  nobody.close();
});

test("what answers without being a worker is named by its address", async () => {
  const failure = await failureOf({}, { timeoutMs: 3000 }, new Sparkler({ url: new URL(world.provider.baseUrl).origin, defaults: { model: MODEL } }));
  assert.equal(failure.domain, "client");
  assert.match(failure.message, /127\.0\.0\.1/);
});

test("an address that is none is refused at once", () => {
  for (const url of ["127.0.0.1:50051", "", "ftp://host", "http://host/path", "http://user@host", undefined]) {
    assert.throws(() => new Sparkler({ url }), /http:\/\/HOST:PORT/);
  }
});

test("no error shows the key or the token", async () => {
  const secret = "fw_unknown";
  const failure = await failureOf({ credential: { apiKey: secret } });
  const { inspect } = await import("node:util");
  assert.ok(!inspect(failure, { depth: 9, showHidden: true }).includes(secret));
});

test("a token is read from its file for every call", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sparkler-"));
  const file = (name, text) => (writeFileSync(join(folder, name), text), join(folder, name));
  const callers = file("callers.json", JSON.stringify({ callers: [{ name: "flows", tokens_sha256: [sha256("first")] }] }));
  const asking = await startWorld({ flags: ["--callers-file", callers, "--insecure"] });
  const tokenFile = file("token", "wrong\n");
  const known = Sparkler.fromEnv({ defaults: { model: MODEL, credential: { apiKey: KEY } } }, { SPARKLER_WORKER: asking.url, SPARKLER_WORKER_TOKEN_FILE: tokenFile });
  assert.equal((await failureOf({}, {}, known)).reason, "CALLER_UNAUTHENTICATED");
  writeFileSync(tokenFile, "first\n");
  assert.ok((await known.execute({ prompt: "Hi" }).answer()).text);
  known.close();
  await asking.stop();
  rmSync(folder, { recursive: true });
});

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

// Reasons that this client knows before the worker gives them.
const AHEAD = ["MODEL_RETIRED"];

test("the reasons are those of the worker", () => {
  const table = readFileSync(new URL("../../../../tests/it/snapshots/it__failures__the_table_of_failures.snap", import.meta.url), "utf8");
  const given = [...table.matchAll(/^([A-Z]+(?:_[A-Z]+)+) +[A-Z][a-z]/gm)].map(([, reason]) => reason);
  assert.ok(given.length > 20, table);
  assert.deepEqual([...WORKER_REASONS].sort(), [...new Set([...given, ...AHEAD])].sort());
});
