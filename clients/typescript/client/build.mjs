// Makes src/gen and dist: ES modules and CommonJS, each with its own types.
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const here = new URL("./", import.meta.url).pathname;
const bin = new URL("../node_modules/.bin/", import.meta.url).pathname;
const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const run = (program, ...args) =>
  execFileSync(bin + program, args, { cwd: here, stdio: "inherit", env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } });

rmSync(`${here}dist`, { recursive: true, force: true });
run("buf", "generate");
const constants = { VERSION: read("package.json").version, SERVICE_CONFIG: JSON.stringify(read("../../../examples/service_config.json")) };
const lines = Object.entries(constants).map(([name, value]) => `export const ${name}: string = ${JSON.stringify(value)};\n`);
writeFileSync(`${here}src/gen/package.ts`, lines.join(""));
// The schema that the code was made of, for tests to compare.
copyFileSync(new URL("../../../proto/sparkler/worker/v1/worker.proto", import.meta.url), `${here}src/gen/worker.proto`);

run("tsc", "-p", ".");
run("tsc", "-p", ".", "--module", "commonjs", "--moduleResolution", "bundler", "--outDir", "dist/cjs");
writeFileSync(`${here}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
