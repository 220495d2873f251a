// What the node uses of Flowise. None of it is a published API, so each use has
// a way out.

// deno-lint-ignore no-explicit-any -- Flowise's own types are not published
export type Any = any;

declare const require: ((name: string) => Any) & { main: Any };

interface Helpers {
  getBaseClasses(model: unknown): string[];
  getCredentialData(id: string, options: unknown): Promise<Record<string, string | undefined>>;
}

/**
 * Flowise's helpers, beside the place where the node lies; or, where it was
 * mounted through links (a ConfigMap), by way of the server.
 */
export const helpers: Helpers = firstOf([
  () => require(beside("../../../src/utils")),
  () => require.main.require("flowise-components"),
]);

/** A path that the bundler must leave to run time. */
function beside(path: string): string {
  return path;
}

/** What the canvas and the flow's run say of a call. */
export interface RunOptions {
  chatflowid?: string;
  chatId?: string;
  /** Of agentflows only. */
  apiMessageId?: string;
  sessionId?: string;
  workspaceId?: string;
  evaluationRunId?: string;
  iterationContext?: { index: number };
  abortController?: AbortController;
  /** Where the run's events go, with its clients. */
  sseStreamer?: Any;
}

/** Returns the server of this process, as npm's package or the monorepo's images have it. */
export function server(): Any {
  const module = "utils/getRunningExpressApp";
  return firstOf([`flowise/dist/${module}`, `./${module}`].map((path) => () => require.main.require(path).getRunningExpressApp()));
}

/** Returns the queue of this process, which is a worker of it. */
function queue(): Any {
  const paths = ["flowise/dist/queue/QueueManager", "../dist/queue/QueueManager"];
  return firstOf(paths.map((path) => () => require.main.require(path).QueueManager.getInstance().getQueue("prediction")));
}

/**
 * The run's stop button. Agentflows hand it down; of chatflows the process has it
 * in a pool: the server in its app, a queue's worker in its queue. Without it a
 * stopped chatflow runs on, as it does with the stock nodes.
 */
export function stopSignal({ abortController, chatflowid, chatId }: RunOptions): AbortSignal | undefined {
  if (abortController) return abortController.signal;
  for (const holder of [server, queue]) {
    try {
      const signal = holder().abortControllerPool?.get(`${chatflowid}_${chatId}`)?.signal;
      if (signal) return signal;
    } catch {
      // Another release, or another kind of process.
    }
  }
  return undefined;
}

function firstOf<T>(ways: (() => T)[]): T {
  let problem: unknown;
  for (const way of ways) {
    try {
      return way();
    } catch (error) {
      problem ??= error;
    }
  }
  throw problem;
}
