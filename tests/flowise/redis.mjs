import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { until } from "../../clients/typescript/testing/world.mjs";
import { freePort } from "./flowise.mjs";

/** A Redis that keeps nothing. */
export async function startRedis() {
  const port = await freePort();
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, { stdio: "ignore" });
  const ended = once(child, "exit");
  const reap = () => child.kill("SIGKILL");
  process.on("exit", reap);
  await until(() => answers(port));
  const stop = async () => {
    reap();
    await ended;
    process.off("exit", reap);
  };
  return { url: `redis://127.0.0.1:${port}`, stop };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
