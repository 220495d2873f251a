// A worker and a simulated Fireworks, each a process of its own on free ports.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const BINARY = process.env.SPARKLER_BINARY ?? new URL("../../../target/debug/sparkler", import.meta.url).pathname;
const ANY = "127.0.0.1:0";

/** The key that the simulator takes. */
export const KEY = "fw_clients";
export const MODEL = "accounts/simulator/models/plain";
/** A model that embeds texts. */
export const EMBEDDING = "accounts/simulator/models/embedding";
/** A model that takes images. */
export const SEEING = "accounts/fireworks/models/glm-5p3-flash";

/** Starts both. `pace` is for the simulator, `flags` for the worker. */
export async function startWorld({ pace = ["--first-token", "5ms", "--tokens-per-second", "0"], flags = [], env = {} } = {}) {
  const provider = await startSimulator(pace);
  const worker = await startWorker(provider.baseUrl, { flags, env });
  const stop = async () => {
    await worker.stop();
    await provider.stop();
  };
  return { url: worker.url, worker, provider, stop };
}

export async function startSimulator(flags) {
  const program = start(["simulate", "--listen", ANY, ...flags]);
  const baseUrl = await program.line(/base URL +(\S+)/);
  const control = `${new URL(baseUrl).origin}/simulator`;
  const get = async (path) => (await fetch(`${control}/${path}`)).json();
  const send = (method, path, body) => fetch(`${control}/${path}`, { method, body: body && JSON.stringify(body) });
  return {
    baseUrl,
    report: () => get("report"),
    script: (...rules) => send("POST", "faults", rules),
    reset: () => send("POST", "reset"),
    until: (done, ms) => until(async () => ((found) => done(found) && found)(await get("report")), ms),
    stop: program.stop,
  };
}

export async function startWorker(baseUrl, { flags = [], env = {}, listen = ANY } = {}) {
  const program = start(
    ["serve", "--listen", listen, "--admin-listen", ANY, "--fireworks-base-url", baseUrl, "--log-format", "json", ...flags],
    env,
  );
  const address = await program.line(/"message":"listening","listen":"([^"]+)"/);
  return { url: `http://${address}`, address, log: program.log, kill: program.kill, stop: program.stop };
}

/** Waits until the question has an answer that is true. */
export async function until(question, ms = 10_000) {
  for (const end = Date.now() + ms; ; ) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${question}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Returns a function that stops a server; a test that dies stops it too. */
export function stopperOf(child) {
  const ended = once(child, "exit");
  const reap = () => child.kill("SIGKILL");
  process.on("exit", reap);
  return async (signal = "SIGKILL") => {
    child.kill(signal);
    await ended;
    process.off("exit", reap);
  };
}

function start(args, env = {}) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH, ...env } });
  const log = [];
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", (line) => log.push(line));
  const stop = stopperOf(child);
  const find = (pattern) => log.map((line) => pattern.exec(line)?.[1]).find(Boolean);
  const line = (pattern) =>
    until(() => {
      if (child.exitCode !== null) throw new Error(`${args[0]} ended:\n${log.join("\n")}`);
      return find(pattern);
    }, 30_000);
  return { log, line, kill: (signal) => child.kill(signal), stop };
}
