// One trace for a run, from Flowise's request to the worker's call, in a real Flowise.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { startWorld, until } from "../../clients/typescript/testing/world.mjs";
import { ask, startFlowise, visitor } from "./flowise.mjs";
import { conversation, kitOf, llmNode } from "./flows.mjs";
import { lineage, startCollector, traced } from "./telemetry.mjs";

const MODEL = { modelName: "accounts/fireworks/models/glm-5p3-flash", temperature: "0.2", streaming: true };
const AGENTFLOWS = Number(process.env.FLOWISE_RELEASE.split(".")[0]) >= 3;
const SERVER = 2;

describe("a traced Flowise", () => {
  let collector, world, flowise, kit;
  before(async () => {
    collector = await startCollector();
    world = await startWorld();
    flowise = await startFlowise({ worker: world.url, env: traced(collector.endpoint, "http/json") });
    kit = await kitOf(flowise, "fw_trace");
  });
  after(async () => {
    await flowise?.stop();
    await world?.stop();
    await collector?.stop();
  });

  /** Asks once; the run is one trace, whose root is Flowise's request. */
  async function isOneTrace(caller, make, streaming) {
    const flow = await make(kit, MODEL);
    const { status, failure } = await ask(caller, flow, `Say hello ${randomUUID()}`, { streaming });
    assert.ok(status === 200 && !failure, failure);
    const line = JSON.parse(await until(() => world.worker.log.findLast((one) => one.includes(`"flow_id":"${flow}"`))));
    const called = ({ scope, traceId }) => scope.endsWith("instrumentation-grpc") && traceId === line.trace_id;
    const call = await until(() => [...collector.spans.values()].find(called));
    const root = await until(() => lineage(collector.spans, call).find(({ kind }) => kind === SERVER), 5_000);
    assert.match(root.attributes.find(({ key }) => key === "http.target").value.stringValue, new RegExp(`prediction/${flow}`));
  }

  for (const [name, make] of Object.entries({ "a chatflow": conversation, ...(AGENTFLOWS && { "an agentflow": llmNode }) })) {
    test(`${name} asked without a session is one trace`, async () => {
      for (const streaming of [false, true]) await isOneTrace(visitor(flowise), make, streaming);
    });

    // Flowise loses the trace where it reads the session.
    test(`${name} streamed to the canvas is one trace`, async () => {
      await isOneTrace(flowise, make, true);
    });
  }
});
