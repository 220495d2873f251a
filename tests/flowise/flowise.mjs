// A headless Flowise, by its REST API.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stopperOf, until } from "../../clients/typescript/testing/world.mjs";

const APP = process.env.FLOWISE_APP;
export const USER = { email: "flows@example.com", password: "Passw0rd!of-the-test" };

/** Starts a server, and a worker of its queue where a Redis is named. */
export async function startFlowise({ worker, redis, env = {} }) {
  const folder = mkdtempSync(join(tmpdir(), "flowise-"));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const variables = {
    PATH: process.env.PATH,
    HOME: folder,
    HOST: "127.0.0.1",
    PORT: String(port),
    DATABASE_PATH: folder,
    SECRETKEY_PATH: folder,
    BLOB_STORAGE_PATH: join(folder, "storage"),
    LOG_PATH: join(folder, "logs"),
    DISABLE_FLOWISE_TELEMETRY: "true",
    SPARKLER_WORKER: worker,
    ...(redis && { MODE: "queue", REDIS_URL: redis, QUEUE_NAME: "sparkler-tests" }),
    ...env,
  };
  const server = program(["start"], variables, join(folder, "server.log"));
  const alive = async () => (await fetch(`${base}/api/v1/ping`).catch(() => undefined))?.ok;
  await until(async () => server.running() && (await alive()), 300_000);
  const queue = redis && program(["worker"], variables, join(folder, "queue.log"));
  const call = await session(base);
  const stop = async () => {
    await queue?.stop();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { base, call, stop, folder, pid: server.pid };
}

function program(args, env, log) {
  const child = spawn(process.execPath, [`${APP}/node_modules/flowise/bin/run`, ...args], { cwd: APP, env, stdio: ["ignore", "pipe", "pipe"] });
  const file = createWriteStream(log);
  child.stdout.pipe(file);
  child.stderr.pipe(file);
  const stop = stopperOf(child);
  const running = () => {
    if (child.exitCode === null) return true;
    throw new Error(`flowise ${args[0]} ended; see ${log}`);
  };
  return { running, stop, pid: child.pid };
}

/** The first account of a fresh Flowise, where it has accounts, and a function that calls its API as that. */
async function session(base) {
  const headers = { "content-type": "application/json", "x-request-from": "internal" };
  const post = (path, body) => fetch(`${base}/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const user = { name: "Flows", email: USER.email, type: "pro", credential: USER.password };
  await post("/account/register", { user });
  const login = await post("/auth/login", USER);
  // Releases before 3 have no accounts.
  if (!login.ok && login.status !== 404) throw new Error(`no login: ${login.status} ${await login.text()}`);
  const cookie = login.headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
  return async (method, path, body, options = {}) => {
    const response = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { ...headers, cookie, ...options.headers },
      body: body && JSON.stringify(body),
      signal: options.signal,
    });
    if (options.raw) return response;
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    return JSON.parse(text || "null");
  };
}

/** Someone without a session, who may ask public flows. */
export function visitor({ base }) {
  const headers = { "content-type": "application/json" };
  const call = (method, path, body) => fetch(`${base}/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
  return { call };
}

/** One turn of a flow; `events` and `text` where it is streamed. */
export async function ask({ call }, flow, question, { streaming = false, chatId = randomUUID(), signal, headers, uploads } = {}) {
  const begun = performance.now();
  const response = await call("POST", `/prediction/${flow}`, { question, streaming, chatId, uploads }, { raw: true, signal, headers });
  const ms = () => Math.round(performance.now() - begun);
  if (!response.headers.get("content-type")?.includes("event-stream")) {
    const text = await response.text();
    return { ms: ms(), status: response.status, body: parsed(text), text: parsed(text)?.text };
  }
  const events = await eventsOf(response, ms);
  const tokens = events.filter(({ event, data }) => event === "token" && data);
  const failure = events.find(({ event }) => event === "error")?.data;
  return { ms: ms(), status: response.status, events, failure, firstTokenMs: tokens[0]?.at, text: tokens.map(({ data }) => data).join("") };
}

async function eventsOf(response, ms) {
  const events = [];
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const frames = (rest + piece).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("");
      const event = parsed(data);
      if (event?.event) events.push({ ...event, at: ms() });
    }
  }
  return events;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
