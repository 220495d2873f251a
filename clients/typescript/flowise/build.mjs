// Makes dist/, which is laid over flowise-components/dist, and replace/, for the
// stock nodes' place. All but what Flowise has to share is inside the bundle.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { nodeTypes, run } from "../build.mjs";

const here = new URL("./", import.meta.url).pathname;
const common = { bundle: true, platform: "node", format: "cjs", target: "node18", logLevel: "warning" };
// Flowise checks `instanceof`: LangChain and Zod must be its own. Older releases
// of Zod have no `zod/v3`, and it is only those that the bundle asks for it.
const shared = { external: ["@langchain/*", "@grpc/grpc-js", "zod"], alias: { "zod/v3": "zod" } };

for (const folder of ["dist", "replace"]) rmSync(here + folder, { recursive: true, force: true });
nodeTypes();
run(here, "tsc", "-p", ".");

const node = `${here}dist/nodes/chatmodels/ChatSparkler`;
await build({ ...common, entryPoints: [`${here}src/node.ts`], outfile: `${node}/ChatSparkler.js`, ...shared });
await build({
  ...common,
  entryPoints: [`${here}src/credential.ts`],
  outfile: `${here}dist/credentials/SparklerWorker.credential.js`,
});
cpSync(`${here}sparkler.svg`, `${node}/sparkler.svg`);

/** A node of the bundle, in the place where Flowise looks for it. */
function places(path, name) {
  const file = here + path;
  mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
  writeFileSync(file, `module.exports = { nodeClass: require("../../chatmodels/ChatSparkler/ChatSparkler.js").${name} };\n`);
}
places("dist/nodes/embeddings/SparklerEmbeddings/SparklerEmbeddings.js", "embeddings");
// Stock nodes' files: flows that have them use the worker.
places("replace/nodes/chatmodels/ChatFireworks/ChatFireworks.js", "stockChat");
places("replace/nodes/llms/Fireworks/Fireworks.js", "stockCompletion");
