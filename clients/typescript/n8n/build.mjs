// Makes dist/. n8n's rules want a package without dependencies: all but LangChain,
// which is n8n's own, is inside.
import { cpSync, rmSync } from "node:fs";
import { build } from "esbuild";
import { nodeTypes, run } from "../build.mjs";

const here = new URL("./", import.meta.url).pathname;

rmSync(`${here}dist`, { recursive: true, force: true });
nodeTypes();
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
