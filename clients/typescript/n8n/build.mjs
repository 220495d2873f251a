// Makes dist/. n8n's rules want a package without dependencies: all but LangChain,
// which is n8n's own, is inside.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { run } from "../build.mjs";

const here = new URL("./", import.meta.url).pathname;
const worker = process.env.SPARKLER_BINARY ?? new URL("../../../target/debug/sparkler", import.meta.url).pathname;

for (const folder of ["dist", "src/gen"]) rmSync(here + folder, { recursive: true, force: true });
mkdirSync(`${here}src/gen`);
writeFileSync(`${here}src/gen/nodes.json`, execFileSync(worker, ["nodes", "--json"]));
run(here, "tsc", "-p", ".");
await build({
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  logLevel: "warning",
  entryPoints: [`${here}src/LmChatSparkler.node.ts`, `${here}src/SparklerApi.credentials.ts`],
  outdir: `${here}dist`,
  external: ["@langchain/*", "@n8n/*", "n8n-workflow", "zod"],
  alias: { "zod/v3": "zod" },
});
cpSync(new URL("../flowise/sparkler.svg", import.meta.url), `${here}dist/sparkler.svg`);
