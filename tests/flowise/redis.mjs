import { spawn } from "node:child_process";
import { connect } from "node:net";
import { stopperOf, until } from "../../clients/typescript/testing/world.mjs";
import { freePort } from "./flowise.mjs";

/** A Redis that keeps nothing. */
export async function startRedis() {
  const port = await freePort();
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const stop = stopperOf(spawn("redis-server", options, { stdio: "ignore" }));
  await until(() => answers(port));
  return { url: `redis://127.0.0.1:${port}`, stop };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
