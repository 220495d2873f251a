// The trace of a run, where Flowise loses it. Its sessions are read from a store that
// calls back out of native code (connect-sqlite3, its default): what comes after is in
// no asynchronous context, and so in no trace.
import { AsyncResource } from "node:async_hooks";
import { traceparent } from "langchain-sparkler";
import type { AsyncScope } from "sparkler-client";
import { type Any, type RunOptions, server } from "./flowise.js";

/** Returns where a run's calls begin: in the trace that they are in, else in that of the request which asked for the run. */
export function asyncScopeOf(options: RunOptions): AsyncScope | undefined {
  const request = requestScope(options);
  return request && ((begin) => (traceparent() ? begin() : request(begin)));
}

/** The asynchronous scope of the request. A run knows its request by the response to which it streams. */
function requestScope({ chatId = "", sseStreamer }: RunOptions): AsyncScope | undefined {
  try {
    const { clients } = sseStreamer?.clients ? sseStreamer : server().sseStreamer;
    const client = clients instanceof Map ? clients.get(chatId) : clients[chatId];
    return client && listenerScope(client.response);
  } catch {
    // Another release, or a worker of the queue.
    return undefined;
  }
}

/** OpenTelemetry binds the listeners of a response to the context of its request. */
function listenerScope(response: Any): AsyncScope | undefined {
  const event = Symbol("asyncScope");
  let resource: AsyncResource | undefined;
  response.once(event, () => (resource = new AsyncResource("SparklerRun")));
  response.emit(event);
  return resource && ((begin) => resource!.runInAsyncScope(begin));
}
