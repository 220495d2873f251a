// The same as client.py, by gRPC's own client for Node.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const root = fileURLToPath(new URL("../../", import.meta.url));
const [target, callers, seconds] = process.argv.slice(2);
const loaded = loadSync("sparkler/worker/v1/worker.proto", { includeDirs: [`${root}proto`], keepCase: true });
const { WorkerService } = grpc.loadPackageDefinition(loaded).sparkler.worker.v1;
const client = new WorkerService(target, grpc.credentials.createInsecure(), {
  "grpc.service_config": readFileSync(`${root}examples/service_config.json`, "utf8"),
});
let number = 0;
let stopped = false;

const request = () => ({
  node_type: "chatFireworks",
  prompt: `Node's ${number++}?`,
  config: { fields: { modelName: { stringValue: "accounts/fireworks/models/glm-5p3" } } },
  credential: { api_key: "fw_of_the_rollout" },
});

function call() {
  const began = Date.now() / 1000;
  const result = { began, first: null, worker: "" };
  return new Promise((resolve) => {
    const stream = client.ExecuteNode(request(), { deadline: Date.now() + 60_000 });
    stream.on("data", (answer) => {
      if (answer.started) result.worker = answer.started.worker_id;
      if (answer.delta) result.first ??= Date.now() / 1000 - began;
    });
    stream.on("error", (error) => resolve({ began, failure: `${grpc.status[error.code]}: ${error.details}` }));
    stream.on("end", () => resolve(result));
  });
}

async function caller() {
  while (!stopped) {
    console.log(JSON.stringify(await call()));
    await pause(1000 * Number(seconds));
  }
}

process.stdin.resume();
process.stdin.on("end", () => (stopped = true));
await Promise.all(Array.from({ length: Number(callers) }, caller));
client.close();
process.exit(0);
