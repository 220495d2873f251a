import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { create, toJson } from "@bufbuild/protobuf";
import { type CallOptions, callOf, Channel, type ConnectionOptions } from "./channel.js";
import { SparklerError, type Violation } from "./error.js";
import * as api from "./gen/sparkler/worker/v1/worker_pb.js";
import { type Model, modelOf, modelsMessage, type ModelsRequest } from "./model.js";
import type { NodeType } from "./node-type.js";
import type { Reason } from "./reason.js";
import {
  type AttachRequest,
  attachMessage,
  checkMessage,
  type Defaults,
  executeMessage,
  type ExecuteRequest,
  type NodeRequest,
  withDefaults,
} from "./request.js";
import { Run } from "./run.js";

const { executeNode, attachExecution, checkNode, listModels, listNodeTypes } = api.WorkerService.method;

export interface SparklerOptions extends ConnectionOptions {
  /** Values for every call. */
  defaults?: Defaults;
}

/** The answer to one question of `check`. */
export interface Finding {
  subject: "config" | "credential" | "model";
  verdict: "yes" | "no" | "unknown";
  /** What the answer rests on. */
  basis: string;
  reason?: Reason;
  violations: Violation[];
}

/** A worker, or the fleet of workers behind one name. One client serves a whole process. */
export class Sparkler {
  readonly #channel: Channel;
  readonly #defaults: Defaults;

  /** @param options The worker's URL, or all that the connection needs. */
  constructor(options: string | SparklerOptions) {
    const { defaults = {}, ...connection } = typeof options === "string" ? { url: options } : options;
    this.#channel = new Channel(connection);
    this.#defaults = defaults;
  }

  /**
   * A client by the variables that `sparkler execute` reads too: SPARKLER_WORKER,
   * SPARKLER_WORKER_CA, SPARKLER_WORKER_CERT, SPARKLER_WORKER_KEY (files), and
   * SPARKLER_WORKER_TOKEN_FILE.
   */
  static fromEnv(options: Partial<SparklerOptions> = {}, env: Record<string, string | undefined> = process.env): Sparkler {
    const url = options.url ?? env.SPARKLER_WORKER;
    if (!url) throw new TypeError("SPARKLER_WORKER is not set: give the worker's URL, such as http://127.0.0.1:50051");
    const file = (name: string) => (env[name] ? readFileSync(env[name]) : undefined);
    return new Sparkler({
      ca: file("SPARKLER_WORKER_CA"),
      cert: file("SPARKLER_WORKER_CERT"),
      key: file("SPARKLER_WORKER_KEY"),
      tokenFile: env.SPARKLER_WORKER_TOKEN_FILE || undefined,
      ...options,
      url,
    });
  }

  /** Executes one node; the call begins when the run is first read. */
  execute(request: ExecuteRequest, options: CallOptions = {}): Run {
    const whole = withDefaults(request, this.#defaults);
    const { context, limits, output } = whole;
    const message = executeMessage(whole, request.idempotencyKey || randomUUID());
    const begin = (deltas: boolean) => ({ ...message, output: withDeltas(message.output, deltas) });
    return this.#run({ context, limits, deltas: output?.deltas }, options, (call, deltas) =>
      this.#channel.stream(executeNode, begin(deltas), call),
    );
  }

  /** Picks up an execution by its token, from another process or later. */
  attach(request: AttachRequest, options: CallOptions = {}): Run {
    const { token, after } = request;
    const whole = { ...request, context: { ...this.#defaults.context, ...request.context } };
    return this.#run({ ...whole, limits: { ...whole.limits, onCancel: "drain" } }, options, (call, deltas) =>
      this.#channel.stream(attachExecution, attachMessage({ deltas, ...whole, token, after }), call),
    );
  }

  /** Checks a node before it runs: its fields, its credential, its model. Spends no tokens. */
  async check(request: NodeRequest, options: CallOptions = {}): Promise<Finding[]> {
    const message = checkMessage(withDefaults(request, this.#defaults));
    const { findings } = await this.#channel.unary(checkNode, message, options);
    return findings.map(findingOf);
  }

  /** The node types of the worker, with enough of each to draw its form. */
  async nodeTypes(options: CallOptions = {}): Promise<NodeType[]> {
    const request = create(api.ListNodeTypesRequestSchema);
    const { nodeTypes } = await this.#channel.unary(listNodeTypes, request, options);
    return nodeTypes.map((type) => toJson(api.NodeTypeSchema, type, { alwaysEmitImplicit: true }) as unknown as NodeType);
  }

  /** The models that a credential can use, by name. Spends no tokens. */
  async models(request: ModelsRequest = {}, options: CallOptions = {}): Promise<Model[]> {
    const whole = withDefaults(request, this.#defaults);
    const models: Model[] = [];
    let page = "";
    do {
      const response = await this.#channel.unary(listModels, modelsMessage(whole, page), options);
      models.push(...response.models.map(modelOf));
      page = response.nextPageToken;
    } while (page);
    return models;
  }

  /** Ends the connection once the calls under way have ended. */
  close(): void {
    this.#channel.close();
  }

  #run(
    attachment: Omit<AttachRequest, "token">,
    options: CallOptions,
    begin: (call: ReturnType<typeof callOf>, deltas: boolean) => ReturnType<Channel["stream"]>,
  ): Run {
    // The deadline counts from the first read, and holds for all parts.
    let call: ReturnType<typeof callOf> | undefined;
    const own = () => (call ??= callOf(options));
    const info = { url: this.#channel.url, ...options };
    return new Run({
      begin: (deltas) => begin(own(), deltas) as never,
      resume: (token, after) =>
        this.#channel.stream(attachExecution, attachMessage({ ...attachment, token, after }), own()) as never,
      survives: attachment.limits?.onCancel === "drain",
      restarts: attachment.limits?.allowRestart ?? false,
      failure: (error, seen) => SparklerError.from(error, info, seen),
    });
  }
}

function withDeltas(output: api.OutputOptions | undefined, deltas: boolean): api.OutputOptions {
  const options = output ?? create(api.OutputOptionsSchema);
  // Absent is not true: it leaves the choice to the node's own `streaming`.
  if (options.deltas !== undefined || deltas) return options;
  return create(api.OutputOptionsSchema, { ...options, deltas: false });
}

const VERDICTS: Partial<Record<api.Finding_Verdict, Finding["verdict"]>> = {
  [api.Finding_Verdict.YES]: "yes",
  [api.Finding_Verdict.NO]: "no",
};

function findingOf({ subject, verdict, basis, reason, violations }: api.Finding): Finding {
  return {
    subject: subject as Finding["subject"],
    verdict: VERDICTS[verdict] ?? "unknown",
    basis,
    reason: reason || undefined,
    violations: violations.map(({ field, description }) => ({ field, description })),
  };
}
