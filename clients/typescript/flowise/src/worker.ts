// The workers of this process, and who pays.
import { readFileSync } from "node:fs";
import { Sparkler } from "sparkler-client";
import { helpers, type RunOptions } from "./flowise.js";

/** The values of a node's credential. */
export type Secrets = Record<string, string | undefined>;

export function secretsOf(credential: string | undefined, options: RunOptions): Promise<Secrets> {
  return helpers.getCredentialData(credential ?? "", options);
}

/** One connection for all flows of this process, for each worker and caller. */
const workers = new Map<string, Sparkler>();

/** Returns the worker of a credential; that of the operator where it names none. */
export function workerOf({ sparklerUrl: url, sparklerToken: token }: Secrets): Sparkler {
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
