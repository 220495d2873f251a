import { readFileSync } from "node:fs";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { SparklerError } from "./error.js";
import { SERVICE_CONFIG, VERSION } from "./gen/package.js";

/** Where a worker is, and who calls it. */
export interface ConnectionOptions {
  /** `http://HOST:PORT`, or `https://HOST:PORT` for TLS; the name may stand for several workers. */
  url: string;
  /** What the worker knows this caller by. */
  token?: string;
  /** A file with that token, read for every call, so that it can be rotated. */
  tokenFile?: string;
  /** The authorities (PEM) to trust instead of the system's. */
  ca?: string | Buffer;
  /** This caller's certificate (PEM), for a worker that asks for one. */
  cert?: string | Buffer;
  /** The certificate's private key (PEM). */
  key?: string | Buffer;
}

/** Runs a function within a context that follows asynchronous calls, as `AsyncResource.runInAsyncScope` does. */
export type AsyncScope = <T>(begin: () => T) => T;

export interface CallOptions {
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Ends the call wherever it stands; `limits.totalMs` does so with all details. */
  timeoutMs?: number;
  /** The W3C trace that the call belongs to. */
  traceparent?: string;
  /** Where the call begins, for tracing that instruments gRPC; by default where it is read. */
  asyncScope?: AsyncScope;
}

const here: AsyncScope = (begin) => begin();

interface Method<I extends DescMessage, O extends DescMessage> {
  parent: { typeName: string };
  name: string;
  input: I;
  output: O;
}

/** The same options for each part of one run: its deadline does not move. */
export interface Call extends CallOptions {
  deadline: number;
}

export function callOf(options: CallOptions): Call {
  const { timeoutMs } = options;
  return { ...options, deadline: timeoutMs === undefined ? Infinity : Date.now() + timeoutMs };
}

/** A connection with a worker, or with the fleet of workers behind one name. */
export class Channel {
  readonly url: string;
  readonly #client: grpc.Client;
  readonly #token: () => string | undefined;

  constructor({ url, token, tokenFile, ca, cert, key }: ConnectionOptions) {
    const { target, secure } = targetOf(url);
    const pem = (text?: string | Buffer) => (text === undefined ? null : Buffer.from(text));
    const credentials = secure
      ? grpc.credentials.createSsl(pem(ca), pem(key), pem(cert))
      : grpc.credentials.createInsecure();
    this.url = url;
    this.#client = new grpc.Client(target, credentials, CHANNEL_OPTIONS);
    this.#token = tokenFile ? () => readFileSync(tokenFile, "utf8").trim() : () => token;
  }

  close(): void {
    this.#client.close();
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageShape<I>,
    call: Call,
  ): grpc.ClientReadableStream<MessageShape<O>> {
    const { path, serialize, deserialize } = wireOf(method);
    const { deadline, signal, asyncScope = here } = call;
    // Not begun and then cancelled: that may already have cost something.
    if (signal?.aborted) throw SparklerError.cancelled("the call was cancelled", signal.reason);
    const metadata = this.#metadata(call);
    const stream = asyncScope(() =>
      this.#client.makeServerStreamRequest(path, serialize, deserialize, request, metadata, { deadline }),
    );
    // The iterator gets it too; without a listener it would end the process.
    stream.on("error", () => {});
    return follows(signal, stream);
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const { path, serialize, deserialize } = wireOf(method);
    const call = callOf({ ...options, timeoutMs: options.timeoutMs ?? 30_000 });
    const { deadline, asyncScope = here } = call;
    return new Promise((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, response?: MessageShape<O>) =>
        response ? resolve(response) : reject(SparklerError.from(error, { ...call, url: this.url }));
      const metadata = this.#metadata(call);
      follows(
        call.signal,
        asyncScope(() => this.#client.makeUnaryRequest(path, serialize, deserialize, request, metadata, { deadline }, done)),
      );
    });
  }

  #metadata({ traceparent }: Call): grpc.Metadata {
    const metadata = new grpc.Metadata();
    const token = this.#token();
    if (token) metadata.set("authorization", `Bearer ${token}`);
    if (traceparent) metadata.set("traceparent", traceparent);
    return metadata;
  }
}

const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  // Retries what a worker refused before it did anything, after the wait it
  // asks for; spreads calls over the workers behind one name.
  "grpc.service_config": SERVICE_CONFIG,
  "grpc.max_receive_message_length": 64 << 20,
  // A connection that died in silence is noticed within 40 seconds.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.primary_user_agent": `sparkler-js/${VERSION}`,
};

function targetOf(url: string): { target: string; secure: boolean } {
  const wrong = () => new TypeError(`${JSON.stringify(url)} is not http://HOST:PORT or https://HOST:PORT`);
  if (typeof url !== "string" || !URL.canParse(url)) throw wrong();
  const { protocol, hostname, port, pathname, search, username } = new URL(url);
  const secure = protocol === "https:";
  if ((!secure && protocol !== "http:") || pathname !== "/" || search || username) throw wrong();
  return { target: `dns:///${hostname}:${port || (secure ? 443 : 80)}`, secure };
}

function wireOf<I extends DescMessage, O extends DescMessage>({ parent, name, input, output }: Method<I, O>) {
  return {
    path: `/${parent.typeName}/${name}`,
    serialize: (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
    deserialize: (bytes: Buffer) => fromBinary(output, bytes),
  };
}

interface Cancellable {
  cancel(): void;
  on(event: "status", listener: () => void): unknown;
}

function follows<C extends Cancellable>(signal: AbortSignal | undefined, call: C): C {
  if (!signal) return call;
  const cancel = () => call.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
  call.on("status", () => signal.removeEventListener("abort", cancel));
  return call;
}
