// What a model is made with: the values of its form, and the run that it is in.
import type { CacheMode, CachePolicy, Context } from "sparkler-client";
import { configOf, type NodeForm } from "../../shared/src/fields.js";
import { type Any, type RunOptions, stopSignal } from "./flowise.js";
import { asyncScopeOf } from "./trace.js";
import { type Secrets, secretsOf, workerOf } from "./worker.js";

/** A node of a flow. */
export interface NodeData {
  id?: string;
  credential?: string;
  inputs?: Record<string, Any>;
}

/** Returns what every model of LangChain is made with. */
export async function callInputOf(form: NodeForm, node: NodeData, options: RunOptions) {
  const { inputs = {} } = node;
  const secrets = await secretsOf(node.credential, options);
  const sparkler = workerOf(secrets);
  // Now, not at the call: a stopped run is no longer in the pool.
  const signal = stopSignal(options);
  const { modelName, ...config } = configOf(form, inputs) as { modelName?: string };
  const seconds = Number(inputs.timeoutSeconds) || undefined;
  return {
    sparkler: () => sparkler,
    model: inputs.customModelName || modelName || "",
    ...credentialOf(secrets),
    config,
    answerCache: policyOf(inputs),
    limits: seconds ? { totalMs: seconds * 1000 } : undefined,
    context: contextOf(node, options),
    signal: () => signal,
    asyncScope: asyncScopeOf(options),
  };
}

function credentialOf({ sparklerSecretName, fireworksApiKey }: Secrets) {
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
export function isOn(value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null || value === "") return otherwise;
  return value === true || value === "true";
}
