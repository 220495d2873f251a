// The models that a form offers.
import { choicesOf, payerOf, type Purpose } from "../../shared/src/models.js";
import type { NodeData } from "./call.js";
import type { RunOptions } from "./flowise.js";
import { languageOf } from "./form.js";
import { secretsOf, workerOf } from "./worker.js";

/** An option of an input, as the canvas draws it. */
export interface Option {
  label: string;
  name: string;
  description?: string;
}

/** Returns what the canvas calls for the options of a node's inputs. */
export function loadMethodsOf(purpose: Purpose) {
  return { listModels: (node: NodeData, options: RunOptions) => listModels(purpose, node, options) };
}

/** Returns the models of the node's credential, with the one that the flow has; or what is wrong. */
async function listModels(purpose: Purpose, node: NodeData, options: RunOptions): Promise<Option[]> {
  const { inputs = {} } = node;
  const stored = String(inputs.modelName ?? "");
  const offered = await offeredBy(purpose, node, options).catch((error) => [{ label: String(error?.message ?? error), name: "" }]);
  if (!stored || offered.some(({ name }) => name === stored)) return offered;
  return [...offered, { label: stored, name: stored }];
}

async function offeredBy(purpose: Purpose, node: NodeData, options: RunOptions): Promise<Option[]> {
  const secrets = await secretsOf(node.credential, options);
  const payer = payerOf(secrets.fireworksApiKey, secrets.sparklerSecretName);
  if (!payer) return [];
  const choices = await choicesOf(workerOf(secrets), payer, purpose, languageOf(process.env));
  return choices.map(({ name, description }) => ({ label: name, name, description }));
}
