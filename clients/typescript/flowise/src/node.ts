import { readFileSync } from "node:fs";
import { ChatSparkler, SparklerLLM } from "langchain-sparkler";
import { type CacheMode, type CachePolicy, type Context, Sparkler } from "sparkler-client";
import { type Any, helpers, type RunOptions, stopSignal } from "./flowise.js";
import { configOf } from "../../shared/src/fields.js";
import { choicesOf, payerOf } from "../../shared/src/models.js";
import { formOf, type Input, languageOf } from "./form.js";
import { asyncScopeOf } from "./trace.js";

interface NodeData {
  id?: string;
  credential?: string;
  inputs?: Record<string, Any>;
}

/** The canvas's node, and what a flow gets of it. */
class ChatSparklerNode {
  label = "Sparkler Fireworks";
  name = "chatSparkler";
  version = 1.0;
  type = "ChatSparkler";
  icon = "sparkler.svg";
  category = "Chat Models";
  description = "Fireworks chat models, executed by a Sparkler worker";
  baseClasses = [this.type, ...helpers.getBaseClasses(ChatSparkler)];
  credential = {
    label: "Connect Credential",
    name: "credential",
    type: "credential",
    credentialNames: ["fireworksApi", "sparklerWorker"],
    optional: true,
  };
  inputs: Input[] = [
    { label: "Cache", name: "cache", type: "BaseCache", optional: true },
    ...formOf(languageOf(process.env)),
  ];

  loadMethods = { listModels };

  async init(node: NodeData, _: string, options: RunOptions) {
    const { inputs = {} } = node;
    const model = new ChatSparkler(await fieldsOf(node, options));
    return Object.assign(model, seeing(isOn(inputs.allowImageUploads, false)));
  }
}

/** The stock chat node's name and place: flows that have it use the worker, unedited. */
class StockChatNode extends ChatSparklerNode {
  override label = "Fireworks AI";
  override name = "chatFireworks";
  override version = 2.0;
  override type = "ChatFireworks";
  override icon = "../ChatSparkler/sparkler.svg";
  override baseClasses = [this.type, ...helpers.getBaseClasses(ChatSparkler)];
}

/** The same for the stock completion node. */
class StockCompletionNode {
  label = "Fireworks";
  name = "fireworks";
  version = 1.0;
  type = "Fireworks";
  icon = "../../chatmodels/ChatSparkler/sparkler.svg";
  category = "LLMs";
  description = "Fireworks text models, executed by a Sparkler worker";
  baseClasses = [this.type, ...helpers.getBaseClasses(SparklerLLM)];
  credential = new ChatSparklerNode().credential;
  inputs = new ChatSparklerNode().inputs;
  loadMethods = { listModels };

  async init(node: NodeData, _: string, options: RunOptions) {
    return new SparklerLLM(await fieldsOf(node, options));
  }
}

/** What Flowise asks of a model that may see. Releases before 3 switch to another model for images; this one stays. */
function seeing(allowImageUploads: boolean) {
  const stays = () => {};
  return { multiModalOption: { image: { allowImageUploads } }, setVisionModel: stays, revertToOriginalModel: stays };
}

/** An option of an input, as the canvas draws it. */
interface Option {
  label: string;
  name: string;
  description?: string;
}

/** Returns the models of the node's credential, with the one that the flow has; or what is wrong. */
async function listModels(node: NodeData, options: RunOptions): Promise<Option[]> {
  const { inputs = {} } = node;
  const stored = String(inputs.modelName ?? "");
  const offered = await offeredBy(node, options).catch((error) => [{ label: String(error?.message ?? error), name: "" }]);
  if (!stored || offered.some(({ name }) => name === stored)) return offered;
  return [...offered, { label: stored, name: stored }];
}

async function offeredBy(node: NodeData, options: RunOptions): Promise<Option[]> {
  const secrets = await secretsOf(node, options);
  const payer = payerOf(secrets.fireworksApiKey, secrets.sparklerSecretName);
  if (!payer) return [];
  const choices = await choicesOf(workerOf(secrets.sparklerUrl, secrets.sparklerToken), payer, languageOf(process.env));
  return choices.map(({ name, description }) => ({ label: name, name, description }));
}

function secretsOf(node: NodeData, options: RunOptions) {
  return helpers.getCredentialData(node.credential ?? "", options);
}

async function fieldsOf(node: NodeData, options: RunOptions) {
  const { inputs = {} } = node;
  const secrets = await secretsOf(node, options);
  const sparkler = workerOf(secrets.sparklerUrl, secrets.sparklerToken);
  // Now, not at the call: a stopped run is no longer in the pool.
  const signal = stopSignal(options);
  const { modelName, ...config } = configOf(inputs) as { modelName?: string };
  const seconds = Number(inputs.timeoutSeconds) || undefined;
  return {
    sparkler: () => sparkler,
    model: inputs.customModelName || modelName || "",
    ...credentialOf(secrets),
    config,
    cache: inputs.cache || undefined,
    streaming: isOn(inputs.streaming, true),
    answerCache: policyOf(inputs),
    limits: seconds ? { totalMs: seconds * 1000 } : undefined,
    context: contextOf(node, options),
    signal: () => signal,
    asyncScope: asyncScopeOf(options),
  };
}

function credentialOf({ sparklerSecretName, fireworksApiKey }: Record<string, string | undefined>) {
  return sparklerSecretName ? { secretName: sparklerSecretName } : { apiKey: fireworksApiKey };
}

function policyOf({ answerCache, cacheMinutes }: Record<string, Any>): CachePolicy | undefined {
  const minutes = Number(cacheMinutes) || undefined;
  return answerCache ? { mode: answerCache as CacheMode, ttlMs: minutes && minutes * 60_000 } : undefined;
}

function contextOf(node: NodeData, options: RunOptions): Context {
  const { chatflowid, chatId, apiMessageId, sessionId, workspaceId, evaluationRunId, iterationContext } = options;
  const labels = { chat_id: chatId, workspace: workspaceId, evaluation: evaluationRunId, iteration: iterationContext?.index };
  const given = Object.entries(labels).filter(([, value]) => value !== undefined && value !== "");
  return {
    flowId: chatflowid,
    // A chatflow's run has no id of its own: it is the turn of a chat.
    runId: apiMessageId ?? chatId,
    nodeId: node.id,
    sessionId,
    labels: Object.fromEntries(given.map(([name, value]) => [name, String(value)])),
  };
}

/** Flows store a switch as a boolean or as its text. */
function isOn(value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null || value === "") return otherwise;
  return value === true || value === "true";
}

/** One connection for all flows of this process, for each worker and caller. */
const workers = new Map<string, Sparkler>();

function workerOf(url?: string, token?: string): Sparkler {
  const key = JSON.stringify([url, token]);
  const known = workers.get(key);
  if (known) return known;
  // Another worker than the operator's is not shown the operator's token.
  const own = url ? new Sparkler({ url, token, ca: caOf(process.env) }) : Sparkler.fromEnv(token ? { token, tokenFile: undefined } : {});
  workers.set(key, own);
  return own;
}

function caOf({ SPARKLER_WORKER_CA: file }: Record<string, string | undefined>): Buffer | undefined {
  return file ? readFileSync(file) : undefined;
}

module.exports = { nodeClass: ChatSparklerNode, stockChat: StockChatNode, stockCompletion: StockCompletionNode };
