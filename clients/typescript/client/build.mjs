// Makes src/gen, out of the schema and the service config, and dist.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { bothModules, run } from "../build.mjs";

const here = new URL("./", import.meta.url).pathname;
const root = new URL("../../../", import.meta.url).pathname;
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

run(here, "buf", "generate");
const constants = {
  VERSION: read(`${here}package.json`).version,
  SERVICE_CONFIG: JSON.stringify(read(`${root}examples/service_config.json`)),
};
const lines = Object.entries(constants).map(([name, value]) => `export const ${name}: string = ${JSON.stringify(value)};\n`);
writeFileSync(`${here}src/gen/package.ts`, lines.join(""));
// The schema that the code was made of, for tests to compare.
copyFileSync(`${root}proto/sparkler/worker/v1/worker.proto`, `${here}src/gen/worker.proto`);
bothModules(here);
