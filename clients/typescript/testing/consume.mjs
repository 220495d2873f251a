// Uses the installed archives in the folder that is named: types, then both kinds of module.
import { execFileSync } from "node:child_process";
import { startWorld } from "./world.mjs";

const folder = process.argv[2];
const tsc = new URL("../node_modules/typescript/bin/tsc", import.meta.url).pathname;
const types = new URL("../node_modules/@types", import.meta.url).pathname;
const run = (...args) => execFileSync(process.execPath, args, { cwd: folder, stdio: "inherit", timeout: 60_000 });

if (Number(process.versions.node.split(".")[0]) >= 20) {
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,esnext.disposable"];
  run(tsc, ...options, "--typeRoots", types, "--types", "node", "types.mts", "types.cts");
}
const world = await startWorld();
try {
  run("use.mjs", world.url);
  run("use.cjs", world.url);
} finally {
  await world.stop();
}
