// Shared by the packages' own build.mjs.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";

const bin = new URL("node_modules/.bin/", import.meta.url).pathname;

/** Runs a program that npm installed, in the package's folder. */
export function run(folder, program, ...args) {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  execFileSync(bin + program, args, { cwd: folder, stdio: "inherit", env });
}

/** Makes what the forms are made of: the worker's node types, as it prints them. */
export function nodeTypes() {
  const root = new URL("./", import.meta.url).pathname;
  const worker = process.env.SPARKLER_BINARY ?? `${root}../../target/debug/sparkler`;
  mkdirSync(`${root}shared/src/gen`, { recursive: true });
  writeFileSync(`${root}shared/src/gen/nodes.json`, execFileSync(worker, ["nodes", "--json"]));
}

/** Makes dist: ES modules and CommonJS, each with its own types. */
export function bothModules(folder) {
  rmSync(`${folder}dist`, { recursive: true, force: true });
  run(folder, "tsc", "-p", ".");
  run(folder, "tsc", "-p", ".", "--module", "commonjs", "--moduleResolution", "bundler", "--outDir", "dist/cjs");
  writeFileSync(`${folder}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
}
