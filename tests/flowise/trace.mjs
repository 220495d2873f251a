// Takes docs/integrations/flowise-trace.png: a run's trace in Arize Phoenix, from
// Flowise's request to the provider's stream. Run by tests/flowise/run --trace.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { startWorld, stopperOf, until } from "../../clients/typescript/testing/world.mjs";
import { ask, freePort, startFlowise } from "./flowise.mjs";
import { kitOf, llmNode } from "./flows.mjs";
import { traced } from "./telemetry.mjs";

const PROJECT = "sparkler";
const MODEL = "accounts/fireworks/models/glm-5p3";
const PICTURE = new URL("../../docs/integrations/flowise-trace.png", import.meta.url).pathname;
/** Phoenix takes a minute to start; on a machine that is busy, many. */
const PATIENCE = 600_000;

async function startPhoenix() {
  const folder = mkdtempSync(join(tmpdir(), "phoenix-"));
  const [port, grpc] = [await freePort(), await freePort()];
  const here = new URL("../phoenix/", import.meta.url).pathname;
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    PHOENIX_HOST: "127.0.0.1",
    PHOENIX_PORT: `${port}`,
    PHOENIX_GRPC_PORT: `${grpc}`,
    PHOENIX_WORKING_DIR: folder,
    PHOENIX_TELEMETRY_ENABLED: "false",
    PHOENIX_ALLOW_EXTERNAL_RESOURCES: "false",
    PHOENIX_DISABLE_AGENT_ASSISTANT: "true",
    PHOENIX_AGENTS_DISABLE_WEB_ACCESS: "true",
  };
  const end = stopperOf(spawn(`${here}.venv/bin/python`, ["serve.py"], { cwd: here, env, stdio: "ignore" }));
  const stop = async () => {
    await end();
    rmSync(folder, { recursive: true, force: true });
  };
  const base = `http://127.0.0.1:${port}`;
  const get = (path) => fetch(`${base}/v1/${path}`).then((response) => (response.ok ? response.json() : undefined), () => undefined);
  await until(() => get("projects"), PATIENCE);
  return { base, grpc: `http://127.0.0.1:${grpc}`, get, stop };
}

/** The spans of the run, once all of them are there: from the call of the model up to Flowise's request. */
async function lineageIn(phoenix) {
  const found = await phoenix.get(`projects/${PROJECT}/spans?limit=1000`);
  const spans = new Map((found?.data ?? []).map((span) => [span.context.span_id, span]));
  const above = (span) => (span ? [span, ...above(spans.get(span.parent_id))] : []);
  const line = above([...spans.values()].find(({ name }) => name === `chat ${MODEL}`));
  return line.at(-1)?.attributes["http.target"]?.includes("/prediction/") ? line : undefined;
}

async function picture(phoenix, span) {
  const project = (await phoenix.get("projects")).data.find(({ name }) => name === PROJECT);
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    defaultViewport: { width: 1600, height: 1000 },
  });
  try {
    const page = await browser.newPage();
    const trace = `${phoenix.base}/projects/${encodeURIComponent(project.id)}/traces/${span.context.trace_id}`;
    await page.goto(`${trace}?selectedSpanNodeId=${encodeURIComponent(span.id)}`, { waitUntil: "networkidle2", timeout: PATIENCE });
    // The tree, then the span that is open; then both are drawn.
    for (const text of [`chat ${MODEL}`, "Invocation Params"]) await page.waitForSelector(`::-p-text(${text})`, { timeout: PATIENCE });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await page.screenshot({ path: PICTURE });
  } finally {
    await browser.close();
  }
}

const phoenix = await startPhoenix();
const resource = { OTEL_RESOURCE_ATTRIBUTES: `openinference.project.name=${PROJECT}` };
const worker = {
  ...resource,
  OTEL_EXPORTER_OTLP_ENDPOINT: phoenix.grpc,
  OTEL_METRICS_EXPORTER: "none",
  OTEL_BSP_SCHEDULE_DELAY: "200",
  SPARKLER_TELEMETRY_CONTENT: "true",
};
const world = await startWorld({ pace: ["--tokens-per-second", "60"], env: worker });
const flowise = await startFlowise({ worker: world.url, env: { ...traced(phoenix.base, "http/protobuf"), ...resource } });
try {
  const flow = await llmNode(await kitOf(flowise, "fw_trace"), { modelName: MODEL, temperature: "0.2", answerCache: "readWrite" });
  const { failure } = await ask(flowise, flow, "Why is the sky blue?", { streaming: true });
  if (failure) throw new Error(failure);
  const line = await until(() => lineageIn(phoenix), 60_000);
  console.log(`one trace: ${line.map(({ name }) => name).reverse().join(" > ")}`);
  await picture(phoenix, line[0]);
  console.log(PICTURE);
} finally {
  await flowise.stop();
  await world.stop();
  await phoenix.stop();
}
