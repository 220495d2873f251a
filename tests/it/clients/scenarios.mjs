// Scenarios of an orchestrator on the TypeScript client, for client.rs.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Sparkler, SparklerError } from "../../../clients/typescript/client/dist/esm/index.js";

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    worker: { type: "string" },
    "worker-ca": { type: "string" },
    model: { type: "string", default: "accounts/fireworks/models/glm-5p3" },
    prompt: { type: "string", default: "Why is the sky blue?" },
    timeout: { type: "string" },
    traceparent: { type: "string", default: process.env.TRACEPARENT },
  },
});
const ca = options["worker-ca"] && readFileSync(options["worker-ca"]);
const timeoutMs = options.timeout && Number(options.timeout) * 1000;
const call = { timeoutMs, traceparent: options.traceparent };
const defaults = {
  model: options.model,
  credential: { apiKey: process.env.FIREWORKS_API_KEY },
  context: { flowId: "example", runId: "1", nodeId: "answer" },
};
const connect = () => new Sparkler({ url: options.worker, ca, defaults });
const sparkler = connect();

const execute = (request = {}) => {
  const config = { temperature: 0.2 };
  return sparkler.execute({ prompt: options.prompt, config, ...request }, call);
};
const CACHED = { cache: "readWrite" };
const DRAIN = { limits: { onCancel: "drain" } };

const scenarios = {
  async nodes() {
    for (const { name, fields, description } of await sparkler.nodeTypes(call)) {
      console.log(`${name}: ${fields.length} fields; ${description.en}`);
    }
  },
  stream: () => follow(execute()),
  async hit() {
    await follow(execute(CACHED));
    await follow(execute(CACHED));
  },
  async idempotent() {
    const idempotencyKey = `${randomUUID()}/answer`;
    await follow(execute({ idempotencyKey }));
    await follow(execute({ idempotencyKey }));
  },
  async cancel() {
    console.log(`cancelled after '${await firstText(execute())}'`);
  },
  async failures() {
    await print(follow(execute({ config: { temprature: 0.2 } })));
    await print(follow(execute({ credential: { apiKey: "fw_unknown" } })));
    await print(follow(execute({ limits: { totalMs: 50 } })));
  },
  resume: () => follow(execute(DRAIN)),
  async attach() {
    const left = execute(DRAIN);
    console.log(`left after '${await firstText(left)}'`);
    const other = connect();
    await follow(other.attach({ token: left.token, after: left.lastSequence }, call));
    other.close();
  },
};

const TITLES = {
  nodes: "What the worker can execute.",
  stream: "Text as it comes, then what it took.",
  hit: "The same twice, and paid once.",
  idempotent: "A run that was asked for again after a crash: the same key, the same answer.",
  cancel: "Leaving stops the provider, and billing with it.",
  failures: "Three executions that fail, each with its reason.",
  resume: "To the end, even if the connection is lost on the way.",
  attach: "What one process began another one ends.",
};

async function follow(run) {
  for await (const event of run) {
    if (event.type === "started" && event.sequence > 0n) write(`[attached after event ${event.sequence}]`);
    if (event.type === "delta") write(event.text);
    if (event.type === "restarted") write(`\n[once more: ${event.reason}]\n`);
  }
  const { finishReason, usage, cost, cache, attempts, timing } = await run.answer();
  console.log(`\n  ${finishReason}; tokens: ${usage.promptTokens ?? "?"} in, ${usage.completionTokens ?? "?"} out`);
  if (cost) console.log(`  $${cost.spentUsd.toFixed(7)} spent, $${cost.savedUsd.toFixed(7)} saved`);
  const calls = `calls of the provider: ${attempts}`;
  console.log(`  cache: ${cache?.status?.toUpperCase()}; ${calls}; ${Math.floor(timing?.totalMs ?? 0)} ms`);
}

async function firstText(run) {
  for await (const text of run.text()) return text;
}

/** Prints all that is known of a failure; returns the exit code. */
async function print(outcome) {
  try {
    await outcome;
    return 0;
  } catch (failure) {
    if (!(failure instanceof SparklerError)) throw failure;
    const { status, reason, domain, description, violations, retryable, retryAfterMs, spent } = failure;
    const own = domain === "client";
    console.log(`${own ? status : `${status} ${reason}`}: ${description}`);
    for (const violation of violations) console.log(`  ${violation.field}: ${violation.description}`);
    if (!own) console.log(`  said by ${domain}; safe to retry: ${retryable}`);
    if (retryAfterMs !== undefined) console.log(`  retry after ${retryAfterMs / 1000} s`);
    if (spent) console.log(`  attempts so far: ${spent.attempts}`);
    return 1;
  }
}

function write(text) {
  process.stdout.write(text);
}

async function main() {
  for (const name of names) {
    console.log(`# ${name}: ${TITLES[name]}`);
    await scenarios[name]();
  }
  sparkler.close();
}

process.exitCode = await print(main());
