// What an orchestrator does with a worker, one scenario after the other.
//
//     sparkler simulate &
//     sparkler serve --fireworks-base-url http://127.0.0.1:50080/inference/v1 &
//     FIREWORKS_API_KEY=fw_local node example.mjs stream hit cancel failures attach
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { api, Failure, Sparkler } from "./sparkler-client.mjs";

/**
 * @import { Execution, ExecuteNodeRequest } from "./sparkler-client.mjs"
 * @typedef {Partial<Omit<ExecuteNodeRequest, "$typeName">>} Fields Of a request, what is not as usual.
 */

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    worker: { type: "string", default: process.env.SPARKLER_WORKER ?? "http://127.0.0.1:50051" },
    "worker-ca": { type: "string" }, // certificates to trust, for https
    model: { type: "string", default: "accounts/fireworks/models/glm-5p3" },
    prompt: { type: "string", default: "Why is the sky blue?" },
    timeout: { type: "string" }, // seconds, for each execution
    traceparent: { type: "string", default: process.env.TRACEPARENT }, // the W3C trace
  },
});
const roots = options["worker-ca"] ? readFileSync(options["worker-ca"]) : undefined;
const call = {
  timeout: options.timeout === undefined ? undefined : Number(options.timeout) * 1000,
  traceparent: options.traceparent,
};

/**
 * A node as a flow would have it.
 *
 * @param {Fields} fields
 * @returns {ExecuteNodeRequest}
 */
const request = (fields) => ({
  nodeType: "chatFireworks",
  config: { modelName: options.model, temperature: 0.2 },
  input: { case: "prompt", value: options.prompt },
  credential: { source: { case: "apiKey", value: process.env.FIREWORKS_API_KEY ?? "fw_local" } },
  context: { flowId: "example", runId: "1", nodeId: "answer" },
  ...fields,
});

const CACHED = { mode: api.CachePolicy_Mode.READ_WRITE };
const DRAIN = { onCancel: api.ExecutionLimits_OnCancel.DRAIN };

/** @type {Record<string, { does: string, run: (worker: Sparkler) => Promise<void> }>} */
const scenarios = {
  nodes: {
    does: "What the worker can execute.",
    async run(worker) {
      for (const node of await worker.nodeTypes(call)) {
        console.log(`${node.name}: ${node.fields.length} fields; ${node.description?.en}`);
      }
    },
  },
  stream: {
    does: "Text as it comes, then what it took.",
    async run(worker) {
      await follow(execute(worker));
    },
  },
  hit: {
    does: "The same twice, and paid once.",
    async run(worker) {
      await follow(execute(worker, { cache: CACHED }));
      await follow(execute(worker, { cache: CACHED }));
    },
  },
  idempotent: {
    does: "A run that was asked for again after a crash: the same key, the same answer.",
    async run(worker) {
      const idempotencyKey = `${randomUUID()}/answer`; // the flow's run, and the node in it
      await follow(execute(worker, { idempotencyKey }));
      await follow(execute(worker, { idempotencyKey }));
    },
  },
  cancel: {
    does: "Leaving stops the provider, and billing with it.",
    async run(worker) {
      console.log(`cancelled after '${await firstText(execute(worker))}'`);
    },
  },
  failures: {
    does: "Three executions that fail, each with its reason.",
    async run(worker) {
      const misspelt = { modelName: options.model, temprature: 0.2 };
      await tell(follow(execute(worker, { config: misspelt })));
      const refused = { source: { case: /** @type {const} */ ("apiKey"), value: "fw_unknown" } };
      await tell(follow(execute(worker, { credential: refused })));
      await tell(follow(execute(worker, { limits: { total: durationFromMs(50) } })));
    },
  },
  resume: {
    does: "To the end, even if the connection is lost on the way.",
    async run(worker) {
      await follow(execute(worker, { limits: DRAIN }));
    },
  },
  attach: {
    does: "What one process began another one ends.",
    async run(worker) {
      const left = execute(worker, { limits: DRAIN });
      console.log(`left after '${await firstText(left)}'`);
      const other = new Sparkler(options.worker, { roots });
      const { started, lastSequence } = left;
      const seen = { executionToken: started?.executionToken, afterSequence: lastSequence };
      await follow(other.attach(seen, call));
      other.close();
    },
  },
};

/**
 * @param {Sparkler} worker
 * @param {Fields} fields
 */
function execute(worker, fields = {}) {
  return worker.execute(request(fields), call);
}

/**
 * Prints an execution as it comes, then what it took.
 *
 * @param {Execution} execution
 */
async function follow(execution) {
  for await (const { sequence, event } of execution) {
    if (event.case === "started" && sequence > 0n) print(`[attached after event ${sequence}]`);
    if (event.case === "delta") print(event.value.text);
    if (event.case === "restarted") print(`\n[once more: ${event.value.reason}]\n`);
  }
  const { choices, usage, cost, cache, attempts, timing } = /** @type {api.Completed} */ (execution.completed);
  const [tokensIn, tokensOut] = [usage?.promptTokens ?? "?", usage?.completionTokens ?? "?"];
  console.log(`\n  ${choices[0].finishReason}; tokens: ${tokensIn} in, ${tokensOut} out`);
  // A model whose price is not known has no cost.
  if (cost) {
    console.log(`  ${dollars(cost.spentNanodollars)} spent, ${dollars(cost.savedNanodollars)} saved`);
  }
  const status = api.CacheStatus[cache?.status ?? 0];
  const total = timing?.total ? Math.floor(durationMs(timing.total)) : "?";
  console.log(`  cache: ${status}; calls of the provider: ${attempts}; ${total} ms`);
}

/**
 * The first text of an execution, which is left there.
 *
 * @param {Execution} execution
 */
async function firstText(execution) {
  for await (const { event } of execution) {
    if (event.case === "delta" && event.value.text) return event.value.text;
  }
}

/**
 * Prints all that is known of a failure.
 *
 * @param {Promise<void>} outcome
 * @returns {Promise<number>} The exit code.
 */
async function tell(outcome) {
  try {
    await outcome;
    return 0;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    console.log(`${failure}`);
    for (const { field, description } of failure.violations) console.log(`  ${field}: ${description}`);
    if (failure.domain) console.log(`  said by ${failure.domain}; safe to retry: ${failure.safeToRetry}`);
    if (failure.retryAfter !== undefined) console.log(`  retry after ${failure.retryAfter / 1000} s`);
    if (failure.detail) console.log(`  attempts so far: ${failure.detail.attempts}`);
    return 1;
  }
}

/** @param {string} text */
function print(text) {
  process.stdout.write(text);
}

/** @param {bigint} nanodollars */
function dollars(nanodollars) {
  return `$${(Number(nanodollars) / 1e9).toFixed(7)}`;
}

async function main() {
  const worker = new Sparkler(options.worker, { roots });
  for (const name of names) {
    const scenario = scenarios[name];
    if (!scenario) throw new Error(`${name} is none of ${Object.keys(scenarios).join(", ")}`);
    console.log(`# ${name}: ${scenario.does}`);
    await scenario.run(worker);
  }
  worker.close();
}

process.exitCode = await tell(main());
