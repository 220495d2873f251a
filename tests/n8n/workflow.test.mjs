// A workflow whose chat model a worker executes, in a real n8n.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { startWorld, stopperOf, until } from "../../clients/typescript/testing/world.mjs";
import { freePort } from "../flowise/flowise.mjs";

const OWNER = { email: "flows@example.com", firstName: "A", lastName: "B", password: "Passw0rd-of-the-test" };
const MODEL = "accounts/fireworks/models/glm-5p3";
/** A stop must be with the provider by then. */
const STOP_MS = 500;

let world, n8n;
before(async () => {
  world = await startWorld();
  n8n = await startN8n();
});
afterEach(() => world.provider.reset());
after(async () => {
  await n8n?.stop();
  await world.stop();
});

async function startN8n() {
  const folder = mkdtempSync(join(tmpdir(), "n8n-"));
  const extensions = join(folder, "extensions");
  mkdirSync(extensions);
  writeFileSync(join(extensions, "package.json"), "{}");
  cpSync(new URL("../../clients/typescript/n8n/dist", import.meta.url), extensions, { recursive: true });
  const [port, broker] = [await freePort(), await freePort()];
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    N8N_USER_FOLDER: folder,
    N8N_CUSTOM_EXTENSIONS: extensions,
    N8N_HOST: "127.0.0.1",
    N8N_LISTEN_ADDRESS: "127.0.0.1",
    N8N_PORT: `${port}`,
    N8N_RUNNERS_BROKER_PORT: `${broker}`,
    N8N_DIAGNOSTICS_ENABLED: "false",
    N8N_VERSION_NOTIFICATIONS_ENABLED: "false",
    N8N_TEMPLATES_ENABLED: "false",
    N8N_SECURE_COOKIE: "false",
  };
  const program = `${process.env.N8N_APP}/node_modules/n8n/bin/n8n`;
  const child = spawn(process.execPath, [program, "start"], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  const log = join(folder, "n8n.log");
  const file = createWriteStream(log);
  child.stdout.pipe(file);
  child.stderr.pipe(file);
  const end = stopperOf(child);
  const stop = async () => {
    await end();
    rmSync(folder, { recursive: true, force: true });
  };
  const rest = `http://127.0.0.1:${port}/rest`;
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`n8n ended:\n${readFileSync(log, "utf8")}`);
    return (await fetch(`http://127.0.0.1:${port}/healthz/readiness`).catch(() => undefined))?.ok;
  }, 300_000);
  return { call: await session(rest), stop, log };
}

/** The owner of a fresh n8n, and a function that calls its API as that. */
async function session(rest) {
  let cookie = "";
  const call = async (method, path, body) => {
    const headers = { "content-type": "application/json", "browser-id": "tests", cookie };
    const response = await fetch(rest + path, { method, headers, body: body && JSON.stringify(body) });
    cookie = response.headers.getSetCookie().map((one) => one.split(";")[0]).join("; ") || cookie;
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 400)}`);
    return JSON.parse(text || "{}").data;
  };
  await until(() => call("POST", "/owner/setup", OWNER).catch((error) => !/404|503/.test(error.message) && assert.fail(error)), 60_000);
  await call("POST", "/login", { emailOrLdapLoginId: OWNER.email, password: OWNER.password });
  return call;
}

async function credentialOf(apiKey) {
  const data = { url: world.url, apiKey, token: "", secretName: "", ca: "" };
  const { id, name } = await n8n.call("POST", "/credentials", { name: `worker ${apiKey}`, type: "sparklerApi", data });
  return { id, name };
}

/** A chain of one question, with the model as its sub-node. */
async function workflowOf(apiKey, parameters = {}) {
  const credential = await credentialOf(apiKey);
  const nodes = [
    { id: "1", name: "Start", type: "n8n-nodes-base.manualTrigger", typeVersion: 1, position: [0, 0], parameters: {} },
    {
      id: "2",
      name: "Chain",
      type: "@n8n/n8n-nodes-langchain.chainLlm",
      typeVersion: 1.5,
      position: [200, 0],
      parameters: { promptType: "define", text: "Say hello", messages: {} },
    },
    {
      id: "3",
      name: "Model",
      type: "CUSTOM.lmChatSparkler",
      typeVersion: 1,
      position: [200, 200],
      parameters: { model: { __rl: true, mode: "list", value: MODEL }, ...parameters },
      credentials: { sparklerApi: credential },
    },
  ];
  const connections = {
    Start: { main: [[{ node: "Chain", type: "main", index: 0 }]] },
    Model: { ai_languageModel: [[{ node: "Chain", type: "ai_languageModel", index: 0 }]] },
  };
  return n8n.call("POST", "/workflows", { name: `flow ${apiKey}`, nodes, connections, active: false, settings: {} });
}

async function run(workflow) {
  const started = { workflowData: workflow, triggerToStartFrom: { name: "Start" }, startNodes: [], runData: {} };
  return (await n8n.call("POST", `/workflows/${workflow.id}/run`, started)).executionId;
}

const ended = (id) =>
  until(async () => {
    const execution = await n8n.call("GET", `/executions/${id}`);
    return execution.finished || ["error", "success", "canceled", "crashed"].includes(execution.status) ? execution : undefined;
  }, 60_000);

test("a chain answers, and its execution is in the worker's line", async () => {
  const workflow = await workflowOf("fw_n8n", { sampling: { temperature: 0, maxTokens: 40 } });
  const id = await run(workflow);
  const { status, data } = await ended(id);
  assert.equal(status, "success", data);
  assert.match(data, /On “Say hello”/);
  const line = JSON.parse(await until(() => world.worker.log.findLast((one) => one.includes(workflow.id))));
  assert.deepEqual([line.flow_id, line.run_id, line.node_id], [workflow.id, `${id}`, "Model"]);
  const { temperature, max_tokens } = (await world.provider.report()).requests.at(-1).body;
  assert.deepEqual([temperature, max_tokens], [0, 40]);
});

test("stopping the execution stops the provider", async () => {
  const workflow = await workflowOf("fw_n8n");
  await world.provider.script({ faults: [{ slow_deltas: { delay: "300ms" } }] });
  const id = await run(workflow);
  await world.provider.until(({ in_flight }) => in_flight === 1, 60_000);
  await new Promise((resolve) => setTimeout(resolve, 800));
  const begun = performance.now();
  await n8n.call("POST", `/executions/${id}/stop`, {});
  await world.provider.until(({ aborted }) => aborted === 1);
  const ms = performance.now() - begun;
  console.log(`# the provider is left after ${ms.toFixed()} ms`);
  assert.ok(ms < STOP_MS, `${ms} ms`);
  assert.equal((await world.provider.report()).completed, 0);
});

test("a refused key is reported by its reason", async () => {
  const { status, data } = await ended(await run(await workflowOf("fw_unknown")));
  assert.equal(status, "error");
  assert.match(data, /CREDENTIAL_REJECTED/);
});

test("the canvas offers the models of the credential", async () => {
  const { results } = await n8n.call("POST", "/dynamic-node-parameters/resource-locator-results", {
    nodeTypeAndVersion: { name: "CUSTOM.lmChatSparkler", version: 1 },
    path: "parameters.model",
    methodName: "searchModels",
    filter: "glm-5p3",
    currentNodeParameters: {},
    credentials: { sparklerApi: await credentialOf("fw_n8n") },
  });
  const { description } = results.find(({ value }) => value === MODEL);
  assert.match(description, /1,048,576 tokens/);
});
