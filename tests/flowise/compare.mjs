// Measures the node beside Flowise's own ChatOpenAI node, on the same simulated
// provider: an agentflow's LLM node, streamed. Run by tests/flowise/run --compare.
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { startWorld } from "../../clients/typescript/testing/world.mjs";
import { ask, startFlowise } from "./flowise.mjs";
import { kitOf, llmNode } from "./flows.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
const TICK_MS = 10;

const world = await startWorld({ pace: ["--first-token", "100ms", "--tokens-per-second", "200"] });
const flowise = await startFlowise({ worker: world.url });
try {
  const kit = await kitOf(flowise, "fw_compare");
  const openai = { name: "openai", credentialName: "openAIApi", plainDataObj: { openAIApiKey: "fw_compare" } };
  const { id: credential } = await flowise.call("POST", "/credentials", openai);
  const modelName = "accounts/fireworks/models/glm-5p3-flash";
  const common = { modelName, temperature: "0.2", streaming: true };
  const flows = {
    "Sparkler Fireworks": await llmNode(kit, common),
    ChatOpenAI: await llmNode({ ...kit, credential }, { node: "chatOpenAI", ...common, basepath: world.provider.baseUrl }),
  };
  const seen = Object.fromEntries(Object.keys(flows).map((name) => [name, { first: [], total: [], cpu: [] }]));
  for (let round = -3; round < ROUNDS; round++) {
    for (const [name, flow] of Object.entries(flows)) {
      const before = cpuOf(flowise.pid);
      const { firstTokenMs, ms, failure, text } = await ask(flowise, flow, `Why is the sky blue? ${randomUUID()}`, { streaming: true });
      if (failure || !text) throw new Error(`${name}: ${failure}`);
      if (round < 0) continue; // warm
      seen[name].first.push(firstTokenMs);
      seen[name].total.push(ms);
      seen[name].cpu.push(cpuOf(flowise.pid) - before);
    }
  }
  console.log(`| ${ROUNDS} runs each, median (p90) | first token | total | CPU of Flowise |\n|---|---|---|---|`);
  for (const [name, { first, total, cpu }] of Object.entries(seen)) {
    console.log(`| ${name} | ${of(first)} | ${of(total)} | ${of(cpu)} |`);
  }
} finally {
  await flowise.stop();
  await world.stop();
}

/** User and system time of a process, in milliseconds. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function of(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  return `${at(0.5)} ms (${at(0.9)} ms)`;
}
